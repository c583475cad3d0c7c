"""Switches off what libraries do on their own: telemetry, update checks, chatter on the terminal, spinning threads."""

import logging
import os
import warnings

_SETTINGS = {
    "DO_NOT_TRACK": "1",  # Prefect's client, and others that honour it
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the progress bar is the terminal's; lines go to the UI
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # a server that is away is said in one line of ours
    "PREFECT_CLIENT_MAX_RETRIES": "2",  # 6 s of patience a call instead of a minute
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait slow a busy machine down: LOG.md
    "PREFECT_CLI_PROMPT": "false",
    "TRAINER_TELEMETRY": "0",  # Coqui's trainer
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
_OURS: set[str] = set()
"""Those that the user had not set."""


def hush(*, debug: bool = False) -> None:
    """Set what the user has not set; unless debugging, keep the libraries' warnings off the terminal too."""
    _OURS.update(name for name in _SETTINGS if name not in os.environ)
    os.environ.update({name: _SETTINGS[name] for name in _OURS})
    if debug:
        return
    logging.raiseExceptions = False  # Prefect's log handler would write to standard error what it cannot send
    warnings.simplefilter("ignore")
    logging.captureWarnings(capture=True)
    logging.getLogger("py.warnings").addHandler(logging.NullHandler())
    logging.getLogger("py.warnings").propagate = False


def let_fetch() -> None:
    """Let Hugging Face's library use the network, unless the user forbade it; it is to be imported after this."""
    if "HF_HUB_OFFLINE" in _OURS:
        os.environ.pop("HF_HUB_OFFLINE", None)

"""Switches off what libraries say and send on their own: telemetry, update checks, chatter on the terminal."""

import logging
import os
import warnings

_SETTINGS = {
    "DO_NOT_TRACK": "1",  # Prefect's client, and others that honour it
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the progress bar is the terminal's; lines go to the UI
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # a server that is away is said in one line of ours
    "PREFECT_CLIENT_MAX_RETRIES": "2",  # 6 s of patience a call instead of a minute
    "PREFECT_CLI_PROMPT": "false",
    "TRAINER_TELEMETRY": "0",  # Coqui's trainer
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


def hush() -> None:
    """Set what the user has not set, and keep the libraries' warnings off the terminal."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.raiseExceptions = False  # Prefect's log handler would write to standard error what it cannot send
    warnings.simplefilter("ignore")
    logging.captureWarnings(capture=True)
    logging.getLogger("py.warnings").addHandler(logging.NullHandler())
    logging.getLogger("py.warnings").propagate = False

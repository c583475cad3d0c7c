"""Where the models can run on this machine."""

import os

from flows.errors import FlowError

MODELS_AT_WORK = 2
"""Of the stages that overlap, the captioner's and the voice's keep cores busy."""


def share_cores() -> None:
    """Let torch use half of the cores in the calling thread, unless the user has set OMP_NUM_THREADS."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // MODELS_AT_WORK))


def choose_device(wanted: str) -> str:
    """Return the torch device for `auto`, `cpu`, `mps`, `cuda` or `cuda:N`.

    Raises FlowError where the machine does not have it.
    """
    import torch

    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise FlowError("this machine has no Apple GPU that torch can use", "--device mps", "use --device cpu")
    if wanted.startswith("cuda"):
        number = int(wanted.partition(":")[2] or 0)
        if number >= torch.cuda.device_count():
            what = f"torch sees {torch.cuda.device_count()} NVIDIA GPUs on this machine"
            raise FlowError(what, f"--device {wanted}", "use --device cpu, or check the driver with nvidia-smi")
    return wanted

"""Where the models can run on this machine."""

import os

from flows.errors import FlowError

LONGEST = "speech"
"""The stage that takes most of a run: it may use every core, and the others fill what it leaves idle."""


def share_cores(stage: str) -> None:
    """Let torch use every core in the thread of the longest stage and half of them in another's.

    OMP_NUM_THREADS, where the user has set it, holds for each.
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        cores = os.cpu_count() or 1
        torch.set_num_threads(cores if stage == LONGEST else max(1, cores // 2))


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

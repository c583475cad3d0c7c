"""Where the models can run on this machine."""

from flows.errors import FlowError


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

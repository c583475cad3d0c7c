"""Mix the weights of captioners that came from one start: `python -m captioner.soup --out DIR MODEL=SHARE ...`.

Ends of several runs mixed in equal shares (a model soup, Wortsman et al. 2022, arXiv 2203.05482), or a run drawn out
beyond its end by a negative share of its start (task vectors, Ilharco et al. 2023, arXiv 2212.04089). One captioner
comes out, as large and as fast as each.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from captioner.bundle import Bundle, load_bundle, save_bundle
from captioner.errors import CaptionerError, ModelError
from captioner.training_log import say
from captioner.weights import model_folder


def mix(bundles: Sequence[Bundle], shares: Sequence[float]) -> Bundle:
    """Return the first captioner with all weights mixed in `shares`, which add up to 1.

    Raises ModelError where they do not, or where the captioners differ in more than weights.
    """
    if abs(sum(shares) - 1) > 1e-6:  # noqa: PLR2004  rounding
        raise ModelError(f"the shares add up to {sum(shares):g}", "MODEL=SHARE", "make them add up to 1")
    first = bundles[0]
    for other in bundles[1:]:
        if (other.encoder.config, other.model.config) != (first.encoder.config, first.model.config):
            raise ModelError("captioners of different sizes cannot be mixed", f"{first.name}, {other.name}")
        if other.tokenizer.words != first.tokenizer.words:
            raise ModelError("captioners with other words cannot be mixed", f"{first.name}, {other.name}")
    _mix_into(first.encoder, [one.encoder.state_dict() for one in bundles], shares)
    _mix_into(first.model, [one.model.state_dict() for one in bundles], shares)
    return first


def _mix_into(module: nn.Module, states: Sequence[dict[str, Tensor]], shares: Sequence[float]) -> None:
    mixed = {
        name: sum((state[name] * share for state, share in zip(states, shares, strict=True)), start=0 * states[0][name])
        for name in states[0]
    }
    module.load_state_dict(mixed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Mix and write; return the exit status: 0 done, 2 could not start."""
    parser = argparse.ArgumentParser(prog="python -m captioner.soup", description="Mix the weights of captioners.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the captioner that comes out")
    parser.add_argument("models", nargs="+", metavar="MODEL=SHARE", help="name or folder of each and how much of it")
    given = parser.parse_args(arguments)
    try:
        pairs = [_pair(text) for text in given.models]
        bundles = [load_bundle(model_folder(name)) for name, _ in pairs]
        mixed = mix(bundles, [share for _, share in pairs])
        save_bundle(mixed, given.out)
    except CaptionerError as error:
        say(f"error: {error}")
        return 2
    say(f"{given.out}: {', '.join(given.models)}")
    return 0


def _pair(text: str) -> tuple[str, float]:
    name, _, share = text.rpartition("=")
    try:
        return name, float(share)
    except ValueError as error:
        raise ModelError("no share is given", text, "write MODEL=SHARE, such as run1/model=0.5") from error


if __name__ == "__main__":
    sys.exit(main())

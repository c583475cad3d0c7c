"""The captioners that are on this machine, and the one way to fetch another."""

from collections.abc import Iterator

import click

from captioner.confidence import load_calibration
from captioner.errors import ModelError
from captioner.weights import Description, describe, model_names


def print_captioners() -> int:
    """Print a line for each captioner: name, language, whether it is calibrated, licence."""
    for one in _captioners():
        known = load_calibration(one.calibration, one.weights_digest) is not None
        click.echo(f"{one.name}  {one.language}  {'calibrated' if known else 'not calibrated'}  {one.licence}")
    click.echo("Others: a folder, or hf:ORG/NAME after narrate captioners --fetch hf:ORG/NAME")
    return 0


def _captioners() -> Iterator[Description]:
    """Yield those that came along, then those in the Hub's cache that turn pictures into words."""
    from captioner.public import fetched

    for name in (*model_names(), *fetched()):
        try:
            yield describe(name)
        except ModelError:
            continue  # half fetched


def fetch_captioner(name: str) -> int:
    """Fetch a captioner and say where it is and on what terms; raises ModelError where that fails."""
    from captioner.public import fetch
    from flows.quiet import let_fetch

    let_fetch()
    folder = fetch(name)
    click.echo(f"{name} is in {folder}; its licence: {describe(name).licence}")
    return 0

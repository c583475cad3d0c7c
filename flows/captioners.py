"""`narrate captioners`: which captioners are on this machine, what they cost and give, how to get or train another."""

import json
import struct
from collections import Counter
from collections.abc import Iterator
from math import prod
from pathlib import Path
from textwrap import fill

import click

from captioner.confidence import load_calibration
from captioner.errors import ModelError
from captioner.families import COMPARED_MINUTES, FAMILIES
from captioner.weights import Description, describe, model_names

LINE_WIDTH = 100
"""Columns that a line takes at most."""
OLD_NAMES = {"transformer": "cnn_transformer"}
"""What captioners of before there were families call theirs."""


def print_captioners() -> int:
    """Print the captioners whose weights are here, then the families that can be trained; return 0."""
    there: set[str] = set()
    for one in _captioners():
        family = family_of(one.folder)
        there.add(family)
        known = load_calibration(one.calibration, one.weights_digest) is not None
        click.echo(f"{one.name}  {family}, {size_of(one.folder)}")
        told = f"{scores_of(one.folder)}; {one.language}; {'' if known else 'not '}calibrated"
        for line in (told, f"licence: {one.licence}"):
            click.echo(fill(line, LINE_WIDTH, initial_indent="  ", subsequent_indent="    "))
    click.echo("Others: a folder, or hf:ORG/NAME after narrate captioners --fetch hf:ORG/NAME")
    click.echo("Families that python -m captioner.train --family NAME trains, on the terms of your own data;")
    click.echo(f"scores after {COMPARED_MINUTES:.0f} minutes of one core on Flickr8k (benchmarks/README.md):")
    width = max(map(len, FAMILIES))
    for name, known_family in FAMILIES.items():
        click.echo(f"  {name:{width}}  {known_family.what}")
        weights = "weights here" if name in there else "no weights here"
        size = f"{known_family.parameters / 1e6:.1f} million parameters and an encoder"
        click.echo(f"  {'':{width}}  {weights}; {size}; CIDEr-D {known_family.cider_d:.3f}")
    return 0


def _captioners() -> Iterator[Description]:
    """Yield those that came along, then those in the Hub's cache that turn pictures into words."""
    from captioner.public import fetched

    for name in (*model_names(), *fetched()):
        try:
            yield describe(name)
        except ModelError:
            continue  # half fetched


def family_of(folder: Path) -> str:
    """Return the family that a captioner's configuration names, other people's model type too."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = str(config.get("model_type") or config.get("model", {}).get("kind", ""))
    return OLD_NAMES.get(kind, kind)


def size_of(folder: Path) -> str:
    """Return the parameters in words, from the weights' headers: nothing is loaded; megabytes where there is none."""
    counts: Counter[str] = Counter()
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        for name, one in header.items():
            if name != "__metadata__":
                counts[name.split(".", maxsplit=1)[0]] += prod(one["shape"])
    if not counts:
        return f"{sum(path.stat().st_size for path in folder.glob('*.bin')) / 1e6:.0f} MB"
    encoder = f" ({counts['encoder'] / 1e6:.1f} in its encoder)" if counts["encoder"] else ""
    return f"{sum(counts.values()) / 1e6:.1f} million parameters{encoder}"


def scores_of(folder: Path) -> str:
    """Return the scores that captioner.evaluate wrote into the folder, in words."""
    try:
        found = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        scores, photos = found["scores"], found["photos"]
    except (OSError, ValueError, KeyError):
        return "not scored here"
    return f"BLEU-4 {scores['BLEU-4']:.3f}, CIDEr-D {scores['CIDEr-D']:.3f} on {photos} photos"


def fetch_captioner(name: str) -> int:
    """Fetch a captioner and say where it is and on what terms; raises ModelError where that fails."""
    from captioner.public import fetch
    from flows.quiet import let_fetch

    let_fetch()
    folder = fetch(name)
    click.echo(f"{name} is in {folder}; its licence: {describe(name).licence}")
    return 0

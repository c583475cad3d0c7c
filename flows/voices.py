"""`narrate voices`: what can speak here, in which language and under which licence."""

import click

from speech import catalogue, espeak
from speech.errors import VoiceError
from speech.voices import list_voices


def print_voices(*, everything: bool) -> int:
    """Print the built-in voices, what was fetched, espeak-ng where it is there, or the whole catalogue; return 0."""
    rows = [(voice.name, voice.language, _told(voice.licence), "built in") for voice in list_voices()]
    for entry in catalogue.entries():
        there = catalogue.fetched_folder(entry) is not None
        if there or everything:
            rows.append((entry.name, entry.language, _told(entry.licence), "fetched" if there else ""))
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else [0, 0, 0]
    for name, language, licence, place in rows:
        line = f"{name:{widths[0]}}  {language:{widths[1]}}  {licence:{widths[2]}}  {place}"
        click.echo(line.rstrip())
    click.echo(_espeak_line())
    if not everything:
        click.echo("More: a folder with a Coqui voice, or a name from narrate voices --all")
    return 0


def fetch_voice(name: str, accepted: str) -> int:
    """Fetch a voice of the catalogue and say where it lies; return 0."""
    click.echo(f"Fetching {name} ...", err=True)
    folder = catalogue.fetch(name, accepted)
    click.echo(f"{name} is in {folder}; use it: narrate run PHOTOS OUT --voice {name}")
    return 0


def _told(licence: str) -> str:
    """Return a licence with what must be done before it is used."""
    return f"{licence} (needs --accept-licence {licence})" if catalogue.restricts_use(licence) else licence


def _espeak_line() -> str:
    try:
        path, version = espeak.program()
    except VoiceError as error:
        return f"espeak:LANGUAGE  {error.what}; {error.mend}"
    return f"espeak:LANGUAGE  {len(espeak.languages(path))} languages by espeak-ng {version}, such as espeak:en-us"

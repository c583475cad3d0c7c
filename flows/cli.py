"""The command `narrate`: parses, hands over, prints. Nothing heavy is imported before a command runs."""

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from captioner.errors import CaptionerError
from flows.errors import BrokenOffError, FlowError
from flows.exports.formats import FORMATS
from flows.options import job_file_option, job_options, night_options
from flows.stopping import ending_at_once
from speech.errors import SpeechError

if TYPE_CHECKING:
    from flows.job import Job

DONE, FAILED, NOT_STARTED = 0, 1, 2
"""Exit statuses: all done (refused photos included), something of ours failed, could not start."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="image-narrator", prog_name="narrate")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def narrate(debug: bool) -> None:
    """Photos in; captions, alt text, spoken clips and a Parquet manifest out."""
    from flows.quiet import hush

    hush(debug=debug)


@narrate.command(short_help="Narrate PHOTOS into OUT; what is done stands.")
@job_options
@job_file_option
@click.option(
    "--dry-run", is_flag=True, help="Say what would be done, with an estimate of time and bytes; write nothing."
)
@click.option("--show", is_flag=True, help="End with a table of photos and alt text.")
def run(job_file: Path | None, dry_run: bool, show: bool, **settings: Any) -> None:
    """Narrate PHOTOS into OUT: what is done stands, what is new or changed is narrated.

    PHOTOS is a folder, a glob in quotes, a text file with one path or web address a line, a CSV or Parquet table with a
    column of images, or an address such as s3://BUCKET/FOLDER.
    """
    from flows import commands

    job = _job(job_file, settings)
    sys.exit(commands.dry_run(job) if dry_run else commands.run(job, show=show))


@narrate.command(short_help="Narrate PHOTOS into OUT every night, by a Prefect work pool.")
@job_options
@job_file_option
@night_options
@click.option("--pool", default="narrate", show_default=True, help="Process work pool, made where it is missing.")
def deploy(job_file: Path | None, pool: str, name: str, cron: str, timezone: str, notify: str, heartbeat_s: int,
           **settings: Any) -> None:  # fmt: skip
    """Create or renew a Prefect deployment that narrates PHOTOS into OUT on a schedule, one run at a time."""
    from flows import deploy as nights

    night = nights.Night(name, cron, timezone, pool, notify, heartbeat_s)
    nights.deploy(_job(job_file, settings), night, click.echo)


@narrate.command(short_help="Narrate PHOTOS into OUT every night, in this one process.")
@job_options
@job_file_option
@night_options
def serve(job_file: Path | None, name: str, cron: str, timezone: str, notify: str, heartbeat_s: int,
          **settings: Any) -> None:  # fmt: skip
    """Narrate PHOTOS into OUT on a schedule for as long as this command runs, one run at a time."""
    from flows import deploy as nights

    night = nights.Night(name, cron, timezone, notify=notify, heartbeat_s=heartbeat_s)
    nights.serve(_job(job_file, settings), night, click.echo)


@narrate.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def samples(folder: Path) -> None:
    """Write the sample photos to FOLDER."""
    from flows.samples import write_samples

    click.echo(f"{len(write_samples(folder))} sample photos are in {folder}")


@narrate.command(short_help="Review the rows of OUT in a browser.")
@click.argument("out")
@click.option("--who", default=None, help="Your name, as it stands beside your decisions.  [default: your login]")
@click.option("--port", default=8765, show_default=True, help="Port to serve on; 0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on; others than this machine's "
              "own need the token that is printed.")  # fmt: skip
def review(out: str, who: str | None, port: int, host: str) -> None:
    """Review the rows of OUT in a browser: listen, approve, correct, reject; the next run speaks what was corrected."""
    from getpass import getuser

    from flows.review import serve
    from flows.storage import folder_at

    serve(folder_at(out), who or getuser(), host, port, click.echo)


@narrate.command(short_help="Write the rows of OUT as files that other systems take.")
@click.argument("out")
@click.option("--to", type=click.Choice(list(FORMATS)), required=True, help="What to write.")
@click.option("--into", type=click.Path(path_type=Path), help="File or folder to write.  [default: below OUT/exports]")
@click.option("--approved", is_flag=True, help="Only rows that a person approved or edited.")
@click.option("--title", default="Described photos", show_default=True, help="What a page, book or feed is called.")
@click.option("--in-place", is_flag=True, help="With --to xmp: into the photos themselves; a copy of each is kept.")
@click.option("--web", default="", metavar="URL", help="Address at which the export will be served (iiif, podcast).")
def export(out: str, **told: Any) -> None:
    """Write the rows of OUT as files that other systems take; each says how its text was made.

    What was exported before stands whole until the new one takes its place. Rows without words are counted only.
    """
    from flows import commands
    from flows.exports.settings import Export
    from flows.storage import folder_at

    sys.exit(commands.export(Export(folder_at(out), **told)))


@narrate.command(short_help="Learn from the reviewers of OUT: words, terms, and the captioner itself.")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--captioner", default="narrator-lite", show_default=True, help="Name or folder of the captioner to teach."
)
@click.option("--data", type=click.Path(path_type=Path), help="Photos with captions, in Flickr8k's layout: a captioner "
              "that describes their dev photos worse is not used.")  # fmt: skip
@click.option("--undo", is_flag=True, help="Take the captioner that was learned last back.")
def learn(out: Path, captioner: str, data: Path | None, undo: bool) -> None:
    """Learn from the reviewers of OUT; what is learned is in OUT/learned.

    The captioner learns in minutes where some hundred photos were reviewed, and is used from the next run on where it
    passes: reviewers have less to change in photos that it did not learn from. The old one is kept.
    """
    from flows import commands

    sys.exit(commands.unlearn(out) if undo else commands.learn(out, captioner, data))


@narrate.command(short_help="Find photos of OUT by words or by an example.")
@click.argument("out")
@click.argument("text", default="")
@click.option("--like", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Find photos like this one.")
@click.option("--by", type=click.Choice(["words", "meaning", "features"]), default="words", show_default=True,
              help="Look for TEXT's words in the alt texts, compare its meaning with theirs (extra meaning), "
                   "or compare it with the photos (a captioner of the family coca).")  # fmt: skip
@click.option("--captioner", default="narrator-lite", show_default=True,
              help="Whose features, for --index, --like, --by features: one of ours or trained here.")  # fmt: skip
@click.option("--top", default=24, show_default=True, type=click.IntRange(1), help="Photos at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--index", is_flag=True, help="Keep every photo's features in OUT/features, for --like and --by features."
)
def search(out: str, text: str, index: bool, as_json: bool, **told: Any) -> None:
    """Find the photos of OUT that TEXT or an example asks for: a list here, a page and JSON in OUT/search."""
    from flows import commands
    from flows.search import Query
    from flows.storage import folder_at

    if not index and not text and not told["like"]:
        raise click.UsageError('give words, as in narrate search OUT "a dog on a beach", or --like PHOTO')
    query = Query(folder_at(out), text.encode(errors="replace").decode(), **told)  # a terminal may give any bytes
    query.check()
    if index:
        click.echo(commands.index(out, told["captioner"]), err=as_json)
    if text or told["like"]:
        sys.exit(commands.search(query, as_json=as_json))


@narrate.command(short_help="Check every row, hash and clip in OUT.")
@click.argument("out")
@click.option("--photos", is_flag=True, help="Read every photo again too, and compare it with its hash.")
def verify(out: str, photos: bool) -> None:
    """Check every row, hash and clip in OUT, and say what does not hold, with its mend."""
    from flows import commands
    from flows.storage import folder_at

    sys.exit(commands.verify(folder_at(out), photos=photos))


@narrate.command(short_help="Find out how sure a captioner may be.")
@click.argument("photos", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--captioner", "name", default="narrator-lite", show_default=True, help="Name or folder of the captioner."
)
@click.option("--also", default="", help="A second captioner, where both are to run together.")
@click.option("--prompt", default="", help="What a captioner that takes one is asked.")
@click.option("--trust-remote-code", is_flag=True, help="Let code that lies beside the captioner's weights run.")
@click.option("--device", default="auto", show_default=True, help="Where it runs: auto, cpu, cuda, cuda:N or mps.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Draw twenty of the photos sorted by doubt: a PNG file.")
def calibrate(photos: Path, device: str, sheet: Path | None, **wanted: Any) -> None:
    """Find out on PHOTOS that people captioned how often a captioner is right, and how to tell.

    PHOTOS is a folder with captions in one of the layouts of the captioner's card, which the captioner was not trained
    on; several captions a photo. One half is learned from, the other half judged on.
    """
    from captioner.captioning import Wanted
    from flows import commands

    sys.exit(commands.calibrate(Wanted(**wanted), photos, device, sheet))


@narrate.command()
@click.option(
    "--fetch", metavar="NAME", help="Fetch hf:ORG/NAME: the one command that uses the network for captioners."
)
def captioners(fetch: str | None) -> None:
    """List the captioners here, with cost, scores and terms, and the families that can be trained."""
    from flows.captioners import fetch_captioner, print_captioners

    sys.exit(fetch_captioner(fetch) if fetch else print_captioners())


@narrate.command()
def doctor() -> None:
    """Say what is installed, found and missing, each with its mend."""
    from flows.doctor import examine, print_findings

    sys.exit(print_findings(examine()))


@narrate.command()
@click.option("--all", "everything", is_flag=True, help="List Coqui's whole catalogue too, fetched or not.")
@click.option("--fetch", metavar="NAME", help="Fetch a voice of the catalogue: the one command that uses the network.")
@click.option("--accept-licence", default="", metavar="LICENCE", help="Accept a licence that restricts use.")
def voices(everything: bool, fetch: str | None, accept_licence: str) -> None:
    """List the voices that can speak here, with language and licence."""
    from flows.voices import fetch_voice, print_voices

    sys.exit(fetch_voice(fetch, accept_licence) if fetch else print_voices(everything=everything))


def _job(job_file: Path | None, settings: dict[str, Any]) -> "Job":
    """Return the Job of the options given, over those of the job file."""
    from flows.job import load_settings, make_job

    given = {name: value for name, value in settings.items() if value is not None}
    return make_job((load_settings(job_file) if job_file else {}) | given)


def main() -> None:
    """Run the command line; errors come in one line, with a traceback only under --debug."""
    try:
        with ending_at_once():
            narrate(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(NOT_STARTED)
    except click.Abort:
        sys.exit(130)
    except BrokenOffError as error:
        _fail(f"narrate: {error}; what was committed stands", FAILED)
    except (FlowError, CaptionerError, SpeechError) as error:
        _fail(f"narrate: {error}", NOT_STARTED)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"narrate: {place}{error.strerror or error}; what was committed stands: mend it and run again", FAILED)
    except Exception as error:  # noqa: BLE001 - a fault of ours, said in one line too
        name = type(error).__name__
        _fail(f"narrate: {name}: {error}; this is our fault: run it with narrate --debug and report it", FAILED)


def _fail(line: str, status: int) -> None:
    if "--debug" in sys.argv:
        traceback.print_exc()
    click.echo(line, err=True)
    sys.exit(status)

"""The options of `narrate run`, one for each field of the Job, so that a setting is described in one place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from flows.job import Job

Command = TypeVar("Command", bound=Callable[..., Any])

ARGUMENTS = ("photos", "out")
"""Fields that are given by place; a job file may give them instead."""


def job_options(command: Command) -> Command:
    """Give `command` an argument or option for each field of the Job; what is not given is None."""
    for name, field in reversed(Job.model_fields.items()):
        command = _parameter(name, field)(command)
    return command


def job_file_option(command: Command) -> Command:
    """Give `command` the option for a file of settings."""
    return click.option(
        "--job",
        "job_file",
        type=click.Path(path_type=Path),
        help="Take settings from a TOML or JSON file; options overrule it.",
    )(command)


def night_options(command: Command) -> Command:
    """Give `command` the options of a schedule: those of `flows.deploy.Night`, but for the work pool."""
    options = (
        click.option("--name", default="nights", show_default=True, help="Name of the deployment, one a folder."),
        click.option("--cron", default="0 3 * * *", show_default=True, help="When runs begin, as crontab has it."),
        click.option("--timezone", default="UTC", show_default=True, help="IANA time zone of --cron."),
        click.option("--notify", default="", metavar="ADDRESS|TYPE/NAME", help="Who is told of runs that fail: "
                     "a web address that takes a POST, or a notification block of yours, e-mail among them."),
        click.option("--heartbeat", "heartbeat_s", default=180, type=click.IntRange(30), show_default=True,
                     help="Seconds between two signs of life; a run that misses three counts as crashed."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _parameter(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    if name in ARGUMENTS:
        return click.argument(name, required=False)
    flag = "--" + name.replace("_", "-")
    if field.annotation is bool:
        either = f"{flag}/--no-{name.replace('_', '-')}" if field.default else flag
        return click.option(either, name, is_flag=True, default=None, help=field.description)
    shown = "" if field.default in (None, "") else f"  [default: {field.default}]"
    metavar = None if get_origin(field.annotation) is Literal else name.upper()
    return click.option(
        flag, name, type=_type(field), default=None, metavar=metavar, help=f"{field.description}{shown}"
    )


def _type(field: FieldInfo) -> Any:
    if get_origin(field.annotation) is Literal:
        return click.Choice(get_args(field.annotation))
    return int if int in (field.annotation, *get_args(field.annotation)) else str

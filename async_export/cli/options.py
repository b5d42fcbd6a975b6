"""The arguments and options that the commands share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from async_export.cli.notices import log_shown
from async_export.cli.output import STDOUT
from async_export.cli.totals import TotalMode
from async_export.errors import ConfigurationError

__all__ = (
    "Analyze",
    "AsJSON",
    "DatabaseURL",
    "Debug",
    "Fields",
    "Format",
    "FormatOptions",
    "Limit",
    "NoClobber",
    "OptionValues",
    "OutputFolder",
    "OutputPath",
    "Settings",
    "TotalFrom",
    "Verbose",
    "WithManifest",
    "names_of",
    "values_of",
)


@dataclass(slots=True)
class Settings:
    """What an option sets for the whole program.

    Attributes:
        traceback: Whether an error shows its traceback.
    """

    traceback: bool = False


def _set_traceback(context: typer.Context, value: bool) -> bool:
    if value:
        context.obj.traceback = True
    return value


def _show_log(context: typer.Context, value: bool) -> bool:
    if value:
        context.with_resource(log_shown())
    return value


OutputPath: TypeAlias = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="Where to write; - is stdout.")
]
Format: TypeAlias = Annotated[
    str | None,
    typer.Option("--format", "-f", help="By default by the file's extension; csv for stdout."),
]
DatabaseURL: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--db",
        envvar="DATABASE_URL",
        metavar="URL",
        help="postgresql://…, sqlite:///… or any async URL of SQLAlchemy. Other users of this "
        "computer can see arguments: leave a password to the environment.",
    ),
]
Fields: TypeAlias = Annotated[
    str | None, typer.Option(metavar="A,B", help="Which fields, in which order.")
]
Limit: TypeAlias = Annotated[int | None, typer.Option(min=0, help="Rows after which to end.")]
AsJSON: TypeAlias = Annotated[
    bool,
    typer.Option("--json", help="Print the result as JSON: on stdout, with -o - on stderr."),
]
NoClobber: TypeAlias = Annotated[
    bool, typer.Option("--no-clobber", help="Refuse to replace a file.")
]
WithManifest: TypeAlias = Annotated[
    bool,
    typer.Option("--manifest", help="Write FILE.manifest.json beside the file, for verify."),
]
TotalFrom: TypeAlias = Annotated[
    TotalMode,
    typer.Option(
        "--total",
        help="Where the progress bar has its total from: PostgreSQL's statistics, or counting.",
    ),
]
FormatOptions: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--format-option", metavar="NAME=VALUE", help="An option of the format; repeatable."
    ),
]
OptionValues: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="An option of the resource; repeatable. Such as max_rows=1000, max_bytes=1000000, "
        "deadline=60 (seconds), on_limit=stop, on_error=skip, max_errors=10, read_timeout=30, "
        "deferrable=true, timezone=Europe/Paris.",
    ),
]
Debug: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--traceback", "--debug", callback=_set_traceback, help="Show tracebacks of errors."
    ),
]
Verbose: TypeAlias = Annotated[
    bool,
    typer.Option("--verbose", "-v", callback=_show_log, help="Tell on stderr what happens."),
]
Analyze: TypeAlias = Annotated[
    bool, typer.Option("--analyze", help="Let PostgreSQL run it, and add its own plan.")
]
OutputFolder: TypeAlias = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="Where the files go.")
]

DEFAULT_OUTPUT = STDOUT


def names_of(fields: str | None) -> list[str] | None:
    """Split the value of ``--fields``."""
    if fields is None:
        return None
    return [name.strip() for name in fields.split(",") if name.strip()]


def values_of(options: Sequence[str] | None, flag: str = "--option") -> Mapping[str, Any]:
    """Read the values of ``--option``: JSON where it is that, else text.

    Args:
        options: What was given.
        flag: The option of the command line that took them.

    Raises:
        ConfigurationError: one is not of the form name=value.
    """
    values: dict[str, Any] = {}
    for option in options or ():
        name, equals, value = option.partition("=")
        if not equals:
            raise ConfigurationError(f"{flag} takes name=value, not {option!r}")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values

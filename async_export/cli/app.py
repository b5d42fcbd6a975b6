"""The commands."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from async_export.cli.codes import EXIT_CODES, ExitCode, code_of
from async_export.cli.explanation import print_explanation
from async_export.cli.formats import print_formats
from async_export.cli.notices import PROGRAM, notice, show_traceback
from async_export.cli.options import (
    DEFAULT_OUTPUT,
    Analyze,
    AsJSON,
    DatabaseURL,
    Debug,
    Fields,
    Format,
    FormatOptions,
    Limit,
    NoClobber,
    OptionValues,
    OutputFolder,
    OutputPath,
    Settings,
    TotalFrom,
    Verbose,
    WithManifest,
    names_of,
    values_of,
)
from async_export.cli.output import Output, described, is_broken_pipe, print_result, write
from async_export.cli.signals import terminable
from async_export.cli.sources import (
    import_resource,
    query_resource,
    reflect,
    table_resource,
    watched,
)
from async_export.cli.totals import Total, TotalMode
from async_export.cli.verification import verify_files
from async_export.errors import ConfigurationError
from async_export.explain import Explanation
from async_export.manifests import rejects_path
from async_export.results import ExportResult, WorkbookResult
from async_export.streams import ExportStream
from async_export.urls import engine_from_url
from async_export.workbooks import WorkbookStream

__all__ = ("app", "run")

# BadParameter is public; the base of all errors of usage is not, in every release of typer.
_UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    help="Export tables, queries and resources to files, row by row.",
    epilog=EXIT_CODES,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="MODULE:RESOURCE...",
        help="As in shop.exports:Books; several become sheets of one file, from one snapshot.",
    ),
]
TableNames = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME...",
        help="A table or view, or schema.table; several become sheets of one file.",
    ),
]
SQL = Annotated[str, typer.Argument(metavar="SQL", help="A select.")]


@app.command("run")
def export_resource(
    targets: Targets,
    *,
    db: DatabaseURL = None,
    output: OutputPath = DEFAULT_OUTPUT,
    format: Format = None,  # noqa: A002 - the option's name
    format_option: FormatOptions = None,
    fields: Fields = None,
    limit: Limit = None,
    option: OptionValues = None,
    total: TotalFrom = TotalMode.ESTIMATE,
    no_clobber: NoClobber = False,
    manifest: WithManifest = False,
    as_json: AsJSON = False,
    verbose: Verbose = False,  # noqa: ARG001 - its callback sets it
    debug: Debug = False,  # noqa: ARG001 - its callback sets it
) -> None:
    """Export a resource that is written in Python, or several."""
    to = _output(output, format, format_option, overwrite=not no_clobber, manifest=manifest)
    engine = None if db is None else engine_from_url(db)
    values = values_of(option)
    resources: dict[str, Any] = {}
    for target in targets:
        resource = watched(import_resource(target), engine, values, limit, _shown(total))
        resources[_own_name(resource.get_display_name(), resources)] = resource
    _export(resources, to, fields, as_json=as_json)


@app.command("table")
def export_table(
    names: TableNames,
    *,
    db: DatabaseURL = None,
    output: OutputPath = DEFAULT_OUTPUT,
    format: Format = None,  # noqa: A002 - the option's name
    format_option: FormatOptions = None,
    fields: Fields = None,
    limit: Limit = None,
    option: OptionValues = None,
    total: TotalFrom = TotalMode.ESTIMATE,
    no_clobber: NoClobber = False,
    manifest: WithManifest = False,
    as_json: AsJSON = False,
    verbose: Verbose = False,  # noqa: ARG001 - its callback sets it
    debug: Debug = False,  # noqa: ARG001 - its callback sets it
) -> None:
    """Export a table, or several, without the columns that look secret."""
    to = _output(output, format, format_option, overwrite=not no_clobber, manifest=manifest)
    engine, values = _engine(db), values_of(option)
    resources: dict[str, Any] = {}
    for name in names:
        resource = _table(name, engine, values, fields, limit, total=_shown(total))
        resources[_own_name(name, resources)] = resource
    _export(resources, to, fields, as_json=as_json)


@app.command("query")
def export_query(
    sql: SQL,
    *,
    db: DatabaseURL = None,
    output: OutputPath = DEFAULT_OUTPUT,
    format: Format = None,  # noqa: A002 - the option's name
    format_option: FormatOptions = None,
    fields: Fields = None,
    limit: Limit = None,
    option: OptionValues = None,
    total: TotalFrom = TotalMode.ESTIMATE,
    no_clobber: NoClobber = False,
    manifest: WithManifest = False,
    as_json: AsJSON = False,
    verbose: Verbose = False,  # noqa: ARG001 - its callback sets it
    debug: Debug = False,  # noqa: ARG001 - its callback sets it
) -> None:
    """Export the rows of a select, without the columns that look secret."""
    to = _output(output, format, format_option, overwrite=not no_clobber, manifest=manifest)
    resource = _query(sql, _engine(db), values_of(option), fields, limit, total=_shown(total))
    _export({"query": resource}, to, fields, as_json=as_json)


@app.command("explain")
def explain(
    target: Annotated[
        str | None, typer.Argument(metavar="[MODULE:RESOURCE]", help="As for run.")
    ] = None,
    *,
    table: Annotated[str | None, typer.Option(metavar="NAME", help="As for table.")] = None,
    query: Annotated[str | None, typer.Option(metavar="SQL", help="As for query.")] = None,
    db: DatabaseURL = None,
    format: Format = "csv",  # noqa: A002 - the option's name
    fields: Fields = None,
    limit: Limit = None,
    option: OptionValues = None,
    analyze: Analyze = False,
    debug: Debug = False,  # noqa: ARG001 - its callback sets it
) -> None:
    """Tell how an export would be carried out: who makes each field, by which SQL."""
    if sum(each is not None for each in (target, table, query)) != 1:
        raise ConfigurationError("name one of MODULE:RESOURCE, --table and --query")
    values = values_of(option)
    if table is not None:
        resource = _table(table, _engine(db), values, fields, limit)
    elif query is not None:
        resource = _query(query, _engine(db), values, fields, limit)
    else:
        engine = None if db is None else engine_from_url(db)
        resource = watched(import_resource(str(target)), engine, values, limit)
    told = asyncio.run(_explain(resource, format or "csv", names_of(fields), analyze=analyze))
    print_explanation(told)


@app.command("verify")
def verify(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Files that --manifest was used for.")
    ],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object for each file.")
    ] = False,
    debug: Debug = False,  # noqa: ARG001 - its callback sets it
) -> None:
    """Compare files with their manifests, and name what happened to them."""
    if not verify_files(files, as_json=as_json):
        raise typer.Exit(ExitCode.NOT_AS_WRITTEN)


@app.command("formats")
def formats() -> None:
    """List the formats: whether they stream, hold types, what they cannot hold, what they need."""
    print_formats()


@app.command("demo")
def demo(
    output: OutputFolder = Path("async-export-demo"),
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the database lives; by default in your cache."),
    ] = None,
    db: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A PostgreSQL to use in place of the demo's own."),
    ] = None,
    cities: Annotated[int | None, typer.Option(min=1, help="Load only so many cities.")] = None,
    debug: Debug = False,  # noqa: ARG001 - its callback sets it
) -> None:
    """Load 234,908 cities into a PostgreSQL of its own, and export them."""
    from async_export.demo.show import show

    show(output, data_dir=data, url=db, cities=cities)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command, say in one line what goes wrong, and give the exit code.

    Args:
        arguments: Those of the command line; by default the process's own.
    """
    settings = Settings()
    command = typer.main.get_command(app)
    with terminable() as termination:
        try:
            code = command.main(arguments, PROGRAM, standalone_mode=False, obj=settings)
        except (KeyboardInterrupt, typer.Abort):
            code = ExitCode.INTERRUPTED
        except _UsageError as error:
            return _misused(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, people get one line
            return _failed(error, settings)
        if code == ExitCode.INTERRUPTED:
            return _interrupted(is_terminated=termination.arrived)
        return code if isinstance(code, int) else ExitCode.DONE


def _misused(error: Any) -> int:
    message = error.format_message().rstrip(".")
    if message:  # without arguments there is none: the help was shown
        context = f"; see {error.ctx.command_path} --help" if error.ctx else ""
        notice(f"error: {message}{context}")
    return ExitCode.MISUSED


def _failed(error: Exception, settings: Settings) -> int:
    if is_broken_pipe(error):
        # What is still in Python's own buffer must not be complained about at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return ExitCode.FAILED
    if settings.traceback:
        show_traceback(error)
    notice(f"error: {described(error)}")
    return code_of(error)


def _interrupted(*, is_terminated: bool) -> int:
    notice("terminated" if is_terminated else "interrupted")
    return ExitCode.TERMINATED if is_terminated else ExitCode.INTERRUPTED


def _engine(url: str | None) -> AsyncEngine:
    if url is None:
        raise ConfigurationError("name a database with --db URL, or in DATABASE_URL")
    return engine_from_url(url)


def _shown(total: TotalMode) -> TotalMode:
    """Look for no total where nobody sees it."""
    return total if sys.stderr.isatty() else TotalMode.NONE


def _table(
    name: str,
    engine: AsyncEngine,
    options: Mapping[str, Any],
    fields: str | None,
    limit: int | None,
    *,
    total: TotalMode = TotalMode.NONE,
) -> Any:
    table = asyncio.run(reflect(engine, name))
    resource = table_resource(table, names_of(fields), notice)
    return watched(resource, engine, options, limit, total)


def _query(
    sql: str,
    engine: AsyncEngine,
    options: Mapping[str, Any],
    fields: str | None,
    limit: int | None,
    *,
    total: TotalMode = TotalMode.NONE,
) -> Any:
    resource = query_resource(sql, names_of(fields), limit, notice)
    return watched(resource, engine, options, None, total)


def _own_name(name: str, taken: Container[str]) -> str:
    """Give *name*, numbered if it is taken."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name} ({number})"
    return found


def _output(
    path: str,
    format_name: str | None,
    options: Sequence[str] | None,
    *,
    overwrite: bool,
    manifest: bool,
) -> Output:
    values = values_of(options, "--format-option")
    return Output(path, format_name, overwrite, values, manifest)


def _export(
    resources: Mapping[str, Any], output: Output, fields: str | None, *, as_json: bool
) -> None:
    first, *others = resources.values()
    result: ExportResult | WorkbookResult
    if others:
        if fields is not None:
            raise ConfigurationError("--fields is for one resource or table")
        workbook = WorkbookStream(resources, output.workbook_encoder(), {})
        result = write(workbook, output, Total(), first.bind)
    else:
        stream: ExportStream = first.stream(output.encoder(), fields=names_of(fields))
        result = write(stream, output, first.total, first.bind)
    _tell(result, output)
    if as_json:
        print_result(result, output)


def _tell(result: ExportResult | WorkbookResult, output: Output) -> None:
    """Tell what else should be known of the file."""
    if result.skipped:
        where = f"; see {rejects_path(output.path)}" if output.is_file else ""
        total = result.rows + result.skipped
        notice(f"{result.skipped} of {total} rows failed and were skipped{where}")
    if result.escaped:
        notice(f"{result.escaped} cells were escaped, which a spreadsheet takes for formulas")
    if result.cut:
        notice(f"{result.cut} cells were cut, which were too long for the format")
    tables = result.sheets.values() if isinstance(result, WorkbookResult) else [result]
    for limit in sorted({each.stopped for each in tables} - {""}):
        notice(f"the export ended early, at {limit}; there may be more rows")


async def _explain(
    resource: Any, format_name: str, fields: Sequence[str] | None, *, analyze: bool
) -> Explanation:
    try:
        explained: Explanation = await resource.explain(format_name, fields=fields, analyze=analyze)
        return explained
    finally:
        if resource.bind is not None:
            await resource.bind.dispose()

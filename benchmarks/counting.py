"""How many records a file holds, found with no library that wrote it where that can be."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final
from zipfile import ZipFile

__all__ = ("count_records", "open_zstd")

_BLOCK: Final = 1_048_576


def count_records(path: Path, format_name: str) -> int | None:
    """Count the records of a file of that format, without its header; None if nobody can."""
    counter = _COUNTERS.get(format_name)
    return counter(path) if counter else None


def open_zstd(file: Any, mode: str = "rb") -> Any:
    """Open a file that is packed by zstd, with Python's own module or its backport."""
    try:
        zstd = import_module("compression.zstd")
    except ImportError:
        zstd = import_module("backports.zstd")
    return zstd.open(file, mode)


def _lines(path: Path, *, header: int = 0) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file) - header


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _delimited(path: Path, *, delimiter: str = ",", opener: Callable[[Path], Any] = _open) -> int:
    with opener(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        return sum(1 for _ in csv.reader(text, delimiter=delimiter)) - 1


@contextmanager
def _only_member(path: Path) -> Iterator[IO[bytes]]:
    with ZipFile(path) as archive, archive.open(archive.namelist()[0]) as member:
        yield member


def _marked(path: Path, *, mark: bytes, header: int = 0) -> int:
    """Count what each record begins with."""
    with path.open("rb") as file:
        return _count_in(file, mark) - header


def _xlsx(path: Path) -> int:
    with ZipFile(path) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/sheet")]
        return sum(_count_member(archive, sheet, b"<row ") - 1 for sheet in sheets)


def _ods(path: Path) -> int:
    with ZipFile(path) as archive:
        rows = _count_member(archive, "content.xml", b"</table:table-row>")
        return rows - _count_member(archive, "content.xml", b"</table:table>")


def _count_member(archive: ZipFile, name: str, mark: bytes) -> int:
    with archive.open(name) as file:
        return _count_in(file, mark)


def _count_in(file: IO[bytes], mark: bytes) -> int:
    count, rest = 0, b""
    while block := file.read(_BLOCK):
        block = rest + block
        count += block.count(mark)
        # Too short for another one, but it may begin there.
        rest = block[1 - len(mark) :]
    return count


def _parquet(path: Path) -> int:
    rows: int = import_module("pyarrow.parquet").ParquetFile(path).metadata.num_rows
    return rows


def _arrow(path: Path, *, reader: str) -> int:
    with getattr(import_module("pyarrow.ipc"), reader)(path) as batches:
        rows: int = batches.read_all().num_rows
        return rows


_COUNTERS: Final[dict[str, Callable[[Path], int]]] = {
    "csv": _delimited,
    "csv.gz": partial(_delimited, opener=gzip.open),
    "csv.zip": partial(_delimited, opener=_only_member),
    "csv.zst": partial(_delimited, opener=open_zstd),
    "csv-excel": _delimited,
    "tsv": partial(_delimited, delimiter="\t"),
    "tsv-excel": partial(_delimited, delimiter="\t"),
    "json": partial(_marked, mark=b'{"id": '),
    "jsonl": _lines,
    "xlsx": _xlsx,
    "ods": _ods,
    "html": partial(_marked, mark=b"<tr", header=1),
    "markdown": partial(_lines, header=2),
    "yaml": partial(_marked, mark=b"- {id: "),
    "sql": partial(_marked, mark=b"INSERT INTO "),
    "postgresql": partial(_marked, mark=b"\n("),
    "parquet": _parquet,
    "arrow": partial(_arrow, reader="open_file"),
    "arrows": partial(_arrow, reader="open_stream"),
}

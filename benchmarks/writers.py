"""Our own cases of writing a format: an encoder alone, without a database."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from benchmarks.case import Case, Job, Opener, Ready, Told
from benchmarks.made import HEADERS, Row, made_rows, with_text
from benchmarks.measure import NotedFile

__all__ = ("CASES", "MADE", "Write", "writer")

Write: TypeAlias = Callable[[Iterator[Row], NotedFile], object]
"""Writes rows to a file, as one format."""

MADE: Final = "made"
"""Key of the case that only makes the rows."""

_BATCH: Final = 256
"""Rows that are encoded together, as in an export."""


def writer(write: Write) -> Opener:
    """Make a case of something that writes rows."""

    @contextmanager
    def opened(job: Job) -> Iterator[Ready]:
        def export(limit: int | None, path: Path) -> Told:
            count = job.rows if limit is None else limit
            with NotedFile(path) as file:
                write(made_rows(count), file)
            return Told(count, first_share=file.first_share())

        yield Ready(export)

    return opened


def _encode(name: str) -> Write:
    """Write with our encoder of the format *name*."""

    def write(rows: Iterator[Row], file: NotedFile) -> None:
        from async_export.formats import make_encoder

        encoder, columns = make_encoder(name), _columns()
        if encoder.cells == "native":
            kinds = [column.type.kind for column in columns]
            others = [place for place, kind in enumerate(kinds) if kind not in encoder.natives]
            rows = with_text(rows, *others) if others else rows
        file.write(encoder.begin(columns))
        while batch := list(islice(rows, _BATCH)):
            file.write(encoder.encode(batch))
        file.write(encoder.end())

    return write


def _columns() -> list[Any]:
    from async_export.types import Column, Kind, LogicalType

    types = (
        LogicalType(Kind.INTEGER, bits=64),
        LogicalType(Kind.TEXT),
        LogicalType(Kind.TEXT),
        LogicalType(Kind.BOOLEAN),
        LogicalType(Kind.DECIMAL, precision=12, scale=2),
        LogicalType(Kind.FLOAT, bits=64),
        LogicalType(Kind.DATE),
        LogicalType(Kind.DATETIME),
        LogicalType(Kind.TEXT),
        LogicalType(Kind.TEXT),
    )
    return [Column(header, header, each) for header, each in zip(HEADERS, types, strict=True)]


def _ours(name: str, against: str = "", *modules: str, most_rows: int | None = None) -> Case:
    return Case(
        title="async_export",
        open=writer(_encode(name)),
        modules=("async_export.formats", *modules),
        source="made",
        against=against,
        base=MADE,
        format=name,
        file="own",
        most_rows=most_rows,
    )


_ZSTD: Final = () if sys.version_info >= (3, 14) else ("backports.zstd",)

CASES: Final = {
    "write-csv": _ours("csv", "hand-csv"),
    "write-json": _ours("json", "dump-json"),
    "write-jsonl": _ours("jsonl", "hand-jsonl"),
    "write-xlsx": _ours("xlsx", "xlsxwriter-xlsx"),
    "write-ods": _ours("ods", "tablib-ods"),
    "write-xls": _ours("xls", "tablib-xls", "tablib", "xlwt", most_rows=50_000),
    "write-html": _ours("html", "tablib-html"),
    "write-markdown": _ours("markdown"),
    "write-yaml": _ours("yaml", "tablib-yaml", "yaml", most_rows=20_000),
    "write-sql": _ours("sql", "tablib-sql"),
    "write-postgresql": _ours("postgresql"),
    "write-parquet": _ours("parquet", "pyarrow-parquet", "pyarrow.parquet"),
    "write-arrow": _ours("arrow", "pyarrow-arrow", "pyarrow.ipc"),
    "write-csv.gz": _ours("csv.gz", "hand-csv.gz"),
    "write-csv.zst": _ours("csv.zst", "hand-csv.zst", *_ZSTD),
    "write-csv.zip": _ours("csv.zip", "hand-csv.zip"),
}
"""Our own writers by key; each is compared with the usual library for its format."""

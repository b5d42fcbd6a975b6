"""What else writes the formats, each the way that its documentation suggests.

Those that can hold a few rows at a time do so.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from importlib import import_module
from itertools import islice
from typing import Any, Final

from benchmarks.case import Case
from benchmarks.counting import open_zstd
from benchmarks.made import DECIMAL, HEADERS, Row, with_text
from benchmarks.measure import NotedFile
from benchmarks.writers import MADE, Write, writer

__all__ = ("CASES",)

_GROUP_ROWS: Final = 65_536
"""Rows of a row group of Parquet, as our encoder has them."""

_BATCH_ROWS: Final = 8_192
"""Rows of a record batch of Arrow, as our encoder has them."""

_LEVEL: Final = 1
"""Level of compression, as ours, by which time and size may be compared."""

_XLSX_DATES: Final = "yyyy-mm-dd hh:mm:ss"


def _make(rows: Iterator[Row], _file: NotedFile) -> None:
    deque(rows, maxlen=0)


def _csv(rows: Iterator[Row], file: Any) -> None:
    with io.TextIOWrapper(file, "utf-8", newline="") as text:
        lines = csv.writer(text)
        lines.writerow(HEADERS)
        lines.writerows(rows)


def _gzip(rows: Iterator[Row], file: NotedFile) -> None:
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0) as packed:
        _csv(rows, packed)


def _zip(rows: Iterator[Row], file: NotedFile) -> None:
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive,
        archive.open("data.csv", "w") as member,
    ):
        _csv(rows, member)


def _zstd(rows: Iterator[Row], file: NotedFile) -> None:
    with open_zstd(file, "wb") as packed:
        _csv(rows, packed)


def _json_dump(rows: Iterator[Row], file: NotedFile) -> None:
    objects = [dict(zip(HEADERS, row, strict=True)) for row in rows]
    with io.TextIOWrapper(file, "utf-8") as text:
        json.dump(objects, text, ensure_ascii=False, default=_json_value)


def _json_lines(rows: Iterator[Row], file: NotedFile) -> None:
    with io.TextIOWrapper(file, "utf-8", newline="") as text:
        for row in rows:
            line = dict(zip(HEADERS, row, strict=True))
            text.write(json.dumps(line, ensure_ascii=False, default=_json_value) + "\n")


def _json_value(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _xlsxwriter(rows: Iterator[Row], file: NotedFile) -> None:
    options = {"constant_memory": True, "default_date_format": _XLSX_DATES}
    with import_module("xlsxwriter").Workbook(file, options) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADERS)
        for number, row in enumerate(rows, 1):
            sheet.write_row(number, 0, row)


def _openpyxl(rows: Iterator[Row], file: NotedFile) -> None:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet: Any = book.create_sheet()
    sheet.append(HEADERS)
    for row in rows:
        sheet.append(row)
    book.save(file)


def _tablib(name: str, *as_text: int, **options: Any) -> Write:
    def write(rows: Iterator[Row], file: NotedFile) -> None:
        import tablib

        dataset = tablib.Dataset(headers=HEADERS)
        for row in with_text(rows, *as_text) if as_text else rows:
            dataset.append(row)
        data = dataset.export(name, **options)
        file.write(data.encode() if isinstance(data, str) else data)

    return write


def _pandas(export: Callable[[Any, NotedFile], object]) -> Write:
    def write(rows: Iterator[Row], file: NotedFile) -> None:
        import pandas as pd

        export(pd.DataFrame.from_records(rows, columns=HEADERS), file)

    return write


def _to_excel(frame: Any, file: NotedFile, *, engine: str) -> None:
    import pandas as pd

    with pd.ExcelWriter(file, engine=engine) as book:
        frame.to_excel(book, index=False)


def _parquet(rows: Iterator[Row], file: NotedFile) -> None:
    from pyarrow import parquet

    schema = _schema()
    with parquet.ParquetWriter(file, schema, compression="zstd") as table:
        for batch in _arrow_batches(rows, schema, _GROUP_ROWS):
            table.write_batch(batch, _GROUP_ROWS)


def _arrow(rows: Iterator[Row], file: NotedFile) -> None:
    from pyarrow import ipc

    schema = _schema()
    with ipc.new_file(file, schema) as table:
        for batch in _arrow_batches(rows, schema, _BATCH_ROWS):
            table.write_batch(batch)


def _schema() -> Any:
    import pyarrow as pa

    types = (
        *(pa.int64(), pa.string(), pa.string(), pa.bool_(), pa.decimal128(12, 2), pa.float64()),
        *(pa.date32(), pa.timestamp("us"), pa.string(), pa.string()),
    )
    return pa.schema(list(zip(HEADERS, types, strict=True)))


def _arrow_batches(rows: Iterator[Row], schema: Any, size: int) -> Iterator[Any]:
    import pyarrow as pa

    while some := list(islice(rows, size)):
        columns = zip(zip(*some, strict=True), schema.types, strict=True)
        yield pa.record_batch([pa.array(cells, each) for cells, each in columns], schema)


def _peer(  # noqa: D417 - the rest is as in `Case`
    title: str,
    name: str,
    write: Write,
    *modules: str,
    is_same: bool = False,
    most_rows: int | None = None,
    most_rounds: int | None = None,
) -> Case:
    """Make a case.

    Args:
        name: The format.
        is_same: Whether the file has to be ours byte for byte.
    """
    return Case(
        title=title,
        open=writer(write),
        modules=modules,
        source="made",
        against=f"write-{name}",
        base=MADE,
        format=name,
        file="same" if is_same else "own",
        most_rows=most_rows,
        most_rounds=most_rounds,
    )


CASES: Final = {
    MADE: Case(
        title="rows made, nothing written",
        open=writer(_make),
        source="made",
        against="",
    ),
    "hand-csv": _peer("csv.writer", "csv", _csv, is_same=True),
    "tablib-csv": _peer("tablib", "csv", _tablib("csv"), "tablib", is_same=True),
    "pandas-csv": _peer(
        *("pandas to_csv", "csv"),
        _pandas(lambda frame, file: frame.to_csv(file, index=False)),
        "pandas",
    ),
    "dump-json": _peer("json.dump", "json", _json_dump, is_same=True),
    "tablib-json": _peer("tablib", "json", _tablib("json"), "tablib", is_same=True),
    "hand-jsonl": _peer("json.dumps, line by line", "jsonl", _json_lines, is_same=True),
    "xlsxwriter-xlsx": _peer("XlsxWriter, constant_memory", "xlsx", _xlsxwriter, "xlsxwriter"),
    "openpyxl-xlsx": _peer("openpyxl, write_only", "xlsx", _openpyxl, "openpyxl"),
    "tablib-xlsx": _peer(
        *("tablib (openpyxl)", "xlsx", _tablib("xlsx"), "tablib", "openpyxl"), most_rounds=3
    ),
    "pandas-xlsx": _peer(
        *("pandas (XlsxWriter)", "xlsx", _pandas(partial(_to_excel, engine="xlsxwriter"))),
        *("pandas", "xlsxwriter"),
        most_rounds=3,
    ),
    "tablib-ods": _peer(
        *("tablib (odfpy)", "ods", _tablib("ods"), "tablib", "odf.opendocument"),
        most_rows=10_000,
        most_rounds=3,
    ),
    "pandas-ods": _peer(
        *("pandas (odfpy)", "ods", _pandas(partial(_to_excel, engine="odf"))),
        *("pandas", "odf.opendocument"),
        most_rows=10_000,
        most_rounds=3,
    ),
    "tablib-xls": _peer(
        *("tablib (xlwt)", "xls", _tablib("xls"), "tablib", "xlwt"),
        is_same=True,
        most_rows=50_000,
    ),
    "tablib-html": _peer("tablib", "html", _tablib("html"), "tablib", is_same=True),
    "pandas-html": _peer(
        *("pandas to_html", "html"),
        _pandas(lambda frame, file: file.write(frame.to_html(index=False).encode())),
        "pandas",
        most_rows=20_000,
    ),
    "tablib-yaml": _peer(
        *("tablib (PyYAML)", "yaml", _tablib("yaml", DECIMAL), "tablib", "yaml"),
        is_same=True,
        most_rows=20_000,
        most_rounds=3,
    ),
    "tablib-sql": _peer("tablib", "sql", _tablib("sql"), "tablib", is_same=True),
    "pyarrow-parquet": _peer("pyarrow", "parquet", _parquet, "pyarrow.parquet"),
    "pandas-parquet": _peer(
        *("pandas to_parquet", "parquet"),
        _pandas(lambda frame, file: frame.to_parquet(file, compression="zstd", index=False)),
        *("pandas", "pyarrow.parquet"),
    ),
    "pyarrow-arrow": _peer("pyarrow", "arrow", _arrow, "pyarrow.ipc"),
    "hand-csv.gz": _peer("gzip at level 1, csv.writer", "csv.gz", _gzip, "gzip"),
    "hand-csv.zst": _peer("zstd, csv.writer", "csv.zst", _zstd),
    "hand-csv.zip": _peer("zipfile at level 1, csv.writer", "csv.zip", _zip, "zipfile"),
}
"""The others by key, and the rows alone, whose time is taken off."""

"""What files must hold, written the plain way: value by value, with `csv` and `json` alone."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import asyncpg

from benchmarks.case import FileKey, Job
from benchmarks.results import CASES
from benchmarks.tables import Source, Tables, column_names

__all__ = ("expected_files",)

_FETCH: Final = 1_000
_STAMP: Final = "%Y-%m-%d %H:%M:%S"


def expected_files(jobs: Iterable[Job], tables: Tables) -> dict[FileKey, str]:
    """Give the digests of the files that *jobs* are to write, as far as we know what they hold."""
    kinds: dict[Job, set[str]] = defaultdict(set)
    for job in jobs:
        kind = CASES[job.case].file
        if kind in _MAKERS:
            # What SQLite has is a copy.
            source: Source = "items" if job.source == "sqlite" else job.source
            url = tables.url(source, job.size, job.columns)
            kinds[replace(job, suite="compare", case="", source=source, url=url)].add(kind)
    return {
        table.file_key(kind): digest
        for table, wanted in kinds.items()
        for kind, digest in asyncio.run(_digests(table, wanted)).items()
    }


async def _digests(job: Job, kinds: Iterable[str]) -> dict[str, str]:
    makers = {kind: _MAKERS[kind] for kind in kinds}
    found = {kind: hashlib.sha256() for kind in makers}
    headers = column_names(job.columns)
    connection = await asyncpg.connect(job.url)
    try:
        async with connection.transaction():
            cursor = await connection.cursor(job.sql(job.limit))
            first = True
            while rows := await cursor.fetch(_FETCH):
                for kind, make in makers.items():
                    if first:
                        found[kind].update(_header(kind, headers))
                    found[kind].update(make(rows))
                first = False
    finally:
        await connection.close()
    return {kind: digest.hexdigest() for kind, digest in found.items()}


def _header(kind: str, names: Sequence[str]) -> bytes:
    if kind == "jsonl":
        return b""
    if kind in {"cities", "offsets"}:
        names = ["id", "name", "country", "alternate_names", "latitude", "longitude"]
        names += ["population", "timezone", "utc_offset"][: None if kind == "offsets" else 2]
    return _csv([names])


def _csv(records: Iterable[Iterable[Any]]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file).writerows(records)
    return file.getvalue().encode()


def _text(value: Any) -> str:
    return _TEXTS.get(type(value), str)(value)


_TEXTS: Final[dict[type, Callable[[Any], str]]] = {
    NoneType: lambda _: "",
    bool: lambda value: str(int(value)),
    Decimal: lambda value: format(value, "f"),
    datetime: lambda value: value.astimezone(UTC).strftime(_STAMP),
    list: ",".join,
}


def _item_with(**hooks: Callable[[Any], str]) -> Callable[[Sequence[Any]], bytes]:
    def make(rows: Sequence[Any]) -> bytes:
        return _csv([hooks.get(name, _text)(value) for name, value in row.items()] for row in rows)

    return make


def _offsets(rows: Sequence[Any]) -> bytes:
    return _csv([*map(_text, row), _offset(row["timezone"])] for row in rows)


def _offset(zone: str) -> str:
    try:
        return datetime.now(ZoneInfo(zone)).isoformat()[-6:]
    except ZoneInfoNotFoundError:
        return ""


def _jsonl(rows: Sequence[Any]) -> bytes:
    lines = (
        json.dumps({name: _native(value) for name, value in row.items()}, ensure_ascii=False)
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines).encode()


def _native(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat()
    return str(value)


_MAKERS: Final = {
    "plain": _item_with(),
    "priced": _item_with(price=lambda price: f"{price:.2f} EUR"),
    "hooks": _item_with(
        name=str.upper,
        price=lambda price: f"{price:,.2f}",
        created=lambda created: created.astimezone(UTC).strftime("%d.%m.%Y %H:%M"),
    ),
    "jsonl": _jsonl,
    "cities": _item_with(),
    "offsets": _offsets,
}

"""Which cases run on how many rows, and how often."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from benchmarks.case import Job, SuiteName
from benchmarks.made import HEADERS
from benchmarks.results import CASES, FORMATS
from benchmarks.tables import CITIES, COLUMNS

__all__ = (
    "Suite",
    "compare",
    "scale_columns",
    "scale_rows",
    "wait",
    "watch",
    "watch_formats",
    "write",
)

_WAITING: Final = ("wait-1", "wait-32")
"""Cases whose hooks wait, which has little to do with the rest."""

_MAIN: Final = ("server", "hook", "cursor", "instances", "jsonl")
"""The cases that stand for the strategies."""

_PEERS: Final = ("copy", "core")
"""The yardstick, and what people write by hand."""

_STREAMING: Final = (*_PEERS, *_MAIN, "async-hook", "three-hooks")
"""Cases whose memory should not grow with the rows."""

_OTHERS: Final = ("records", "dataset", "sqlite", "cities", "cities-hook")
"""Cases of ours whose hold on the event loop is watched, besides."""

_QUICK: Final = ("copy", "server", "hook", "async-hook", "cursor", "instances", "orm")
"""What the figures need, but for what takes minutes."""

_QUICK_STREAMING: Final = ("server", "hook", "cursor", "instances")

_QUICK_WAITS: Final = 500

_COMPARED: Final = tuple(
    key
    for key, case in CASES.items()
    if not case.format and case.source != "made" and key not in _WAITING
)
"""All that export the same table as CSV, and the few besides that say where they stand."""

_WRITERS: Final = tuple(
    key
    for each in FORMATS
    for key, case in CASES.items()
    if case.format == each and case.source == "made"
)
"""All that write rows which are made in Python, format by format."""

_QUICK_WRITERS: Final = ("write-xlsx", "xlsxwriter-xlsx")

_FORMATS: Final = tuple(key for key, case in CASES.items() if case.format and key not in _WRITERS)
"""All that export the same table, each as one format."""

_IN_MEMORY: Final = ("dataset", "django")
"""Cases whose memory grows with the rows."""

_IN_MEMORY_ROWS: Final = 100_000
"""More would take too much of it, or too long."""

_COLUMNS: Final = (5, COLUMNS, 25, 50, 100)


class Suite(NamedTuple):
    """Jobs that run in turns, and how many rounds of it."""

    jobs: list[Job]
    rounds: int


def compare(rows: int, rounds: int, *, quick: bool = False, only: Collection[str] = ()) -> Suite:
    """Compare all the tools on the same rows.

    Args:
        rows: How many.
        rounds: How often.
        quick: Whether those are left out that no figure needs, or that take minutes.
        only: Keys of the cases; by default all.
    """
    keys = [key for key in only or (_QUICK if quick else _COMPARED) if key in _COMPARED]
    wanted = dict.fromkeys([*(CASES[key].against for key in keys), *keys])
    jobs = [_job("compare", key, rows) for key in wanted if key]
    return Suite(jobs, rounds)


def write(rows: int, rounds: int, *, quick: bool = False, only: Collection[str] = ()) -> Suite:
    """Write *rows* that are made in Python, or as many of them as each can.

    Whoever can write fewer is compared with ours on as many.
    """
    keys = only or (_QUICK_WRITERS if quick else _WRITERS)
    wanted: dict[tuple[str, int], None] = {}
    for key in (key for key in _WRITERS if key in keys):
        case = CASES[key]
        size = min(rows, case.most_rows or rows)
        for each in (case.base, key, case.against):
            if each and size <= (CASES[each].most_rows or size):
                wanted[each, size] = None
    jobs = [_job("write", key, size, columns=len(HEADERS)) for key, size in wanted]
    return Suite(jobs, rounds)


def watch_formats(rows: int, rounds: int, *, only: Collection[str] = ()) -> Suite:
    """Watch memory, event loop and first bytes of every format, as `watch` does.

    That is on *rows* and on twenty times as many; on fewer where that would take too long.
    """
    jobs = []
    for key in _FORMATS:
        many = min(rows * 20, CASES[key].most_rows or rows * 20)
        jobs += [_job("watch", key, size) for size in (many // 20, many)]
    return Suite(_only(jobs, only), rounds)


def watch(rows: int, rounds: int, *, quick: bool = False, only: Collection[str] = ()) -> Suite:
    """Watch memory, event loop and first bytes.

    That is on a fifth of *rows* and on four times as many: 100,000 and 2,000,000 for 500,000.
    """
    streaming = _QUICK_STREAMING if quick else _STREAMING
    jobs = [_job("watch", key, size) for size in (rows // 5, rows * 4) for key in streaming]
    jobs += [_job("watch", key, rows) for key in _OTHERS if not quick]
    return Suite(_only(jobs, only), rounds)


def wait(rows: int, rounds: int, *, quick: bool = False, only: Collection[str] = ()) -> Suite:
    """Wait for hooks one by one, and for many at once."""
    limit = _QUICK_WAITS if quick else None
    return Suite(_only([_job("wait", key, rows, limit=limit) for key in _WAITING], only), rounds)


def scale_rows(rows: int, rounds: int, *, only: Collection[str] = ()) -> Suite:
    """Export more and more rows, up to four times *rows*."""
    jobs = [
        _job("rows", key, size)
        for size in (rows // 50, rows // 5, rows, rows * 2, rows * 4)
        for key in (*_PEERS, *_MAIN, *_IN_MEMORY)
        if size <= _IN_MEMORY_ROWS or key not in _IN_MEMORY
    ]
    return Suite(_only(jobs, only), rounds)


def scale_columns(rows: int, rounds: int, *, only: Collection[str] = ()) -> Suite:
    """Export more and more columns of a tenth of *rows*."""
    jobs = [
        _job("columns", key, rows // 10, columns=columns)
        for columns in _COLUMNS
        for key in (*_PEERS, *_MAIN)
    ]
    return Suite(_only(jobs, only), rounds)


def _only(jobs: Iterable[Job], only: Collection[str]) -> list[Job]:
    return [job for job in jobs if not only or job.case in only]


def _job(
    suite: SuiteName, key: str, rows: int, *, columns: int = COLUMNS, limit: int | None = None
) -> Job:
    case = CASES[key]
    size = min(rows, CITIES) if case.source == "cities" else rows
    most = limit or case.most_rows or size
    return Job(
        suite=suite,
        case=key,
        source=case.source,
        size=size,
        columns=columns,
        limit=most if most < size else None,
    )

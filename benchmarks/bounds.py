"""The figures that are promised, and whether they are met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from benchmarks.case import Job
from benchmarks.results import CASES, Quantity, Results, is_ours

__all__ = ("FIGURES", "FORMAT_FIGURES", "XLSX_FIGURES", "Figure", "Verdict", "judge")

_MEBIBYTE: Final = 1024 * 1024
_MILLISECOND: Final = 0.001

_STREAMING: Final = ("server", "hook", "async-hook", "three-hooks", "cursor", "instances", "jsonl")

_COMPARED: Final = tuple(case for case in CASES if is_ours(case) and not CASES[case].format)

# A Dataset has all its cells in memory, and the garbage collector walks through them in one go.
_WATCHED: Final = tuple(case for case in _COMPARED if case != "dataset")

_FORMATS: Final = tuple(key for key, case in CASES.items() if case.format and not case.base)
"""The formats, as they are exported."""

_ARROW: Final = ("export-parquet", "export-arrow", "export-arrows")

_PLAIN: Final = tuple(case for case in _FORMATS if case not in _ARROW)


class Found(NamedTuple):
    """A value that was measured, and in which case; the worst one, if there are several."""

    value: float
    case: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A promise.

    Attributes:
        text: What is promised, without the figure.
        limit: The figure.
        measure: Gives what was measured; None if nothing was.
        unit: What value and figure are counted in: "×", "%", "MiB" or "ms".
        at_least: Whether the figure is a lower bound.
        optional: Whether it may be left unmeasured.
    """

    text: str
    limit: float
    measure: Callable[[Results], Found | None]
    unit: str = "×"
    at_least: bool = False
    optional: bool = False


class Verdict(NamedTuple):
    """Whether a figure was met; None if it could not be measured and need not be."""

    figure: Figure
    limit: float
    found: Found | None
    met: bool | None


def judge(
    results: Results, slack: float = 1.0, figures: Sequence[Figure] | None = None
) -> list[Verdict]:
    """Compare what was measured with the figures.

    Args:
        results: What was measured.
        slack: Factor by which every figure is loosened, for small or noisy runs.
        figures: By default all.
    """
    verdicts = []
    for figure in FIGURES if figures is None else figures:
        limit = figure.limit / slack if figure.at_least else figure.limit * slack
        found = figure.measure(results)
        met: bool | None
        if found is None:
            met = None if figure.optional else False
        else:
            met = found.value >= limit if figure.at_least else found.value <= limit
        verdicts.append(Verdict(figure, limit, found, met))
    return verdicts


def _ratio(case: str, to: str) -> Callable[[Results], Found | None]:
    """Measure how many times as long one case takes as another one, on the same rows."""

    def measure(results: Results) -> Found | None:
        for job in results.jobs(case=case):
            for other in results.jobs(case=to, suite=job.suite, size=job.size):
                if job.suite != "watch" and (ratio := results.ratio(job, other)) is not None:
                    return Found(ratio)
        return None

    return measure


def _watched(results: Results, cases: Iterable[str]) -> Iterator[tuple[Job, Job]]:
    """Give the smallest and the biggest watched job of each case."""
    for case in cases:
        jobs = sorted(results.jobs(case=case, suite="watch"), key=lambda job: job.rows)
        if jobs:
            yield jobs[0], jobs[-1]


def _worst(quantity: Quantity, unit: float, cases: Sequence[str]) -> Callable[..., Found | None]:
    """Measure the worst of our cases, on the most rows that each exported."""

    def measure(results: Results) -> Found | None:
        found = [
            Found(value / unit, CASES[job.case].name)
            for _, job in _watched(results, cases)
            if (value := results.median(job, quantity)) is not None
        ]
        return max(found, default=None)

    return measure


def _growth(cases: Sequence[str]) -> Callable[[Results], Found | None]:
    """Measure by how much the memory of the worst case grows with the rows."""

    def measure(results: Results) -> Found | None:
        found = []
        for few, many in _watched(results, cases):
            before, after = results.median(few, "above"), results.median(many, "above")
            if before is not None and after is not None and few != many:
                found.append(Found((after - before) / _MEBIBYTE, CASES[many.case].name))
        return max(found, default=None)

    return measure


def _first_share(case: str) -> Callable[[Results], Found | None]:
    """Measure after which part of its time a writer has given its first byte."""

    def measure(results: Results) -> Found | None:
        shares = (results.median(job, "first_share") for job in results.jobs(case=case))
        return next((Found(100 * share) for share in shares if share is not None), None)

    return measure


FIGURES: Final = (
    Figure("server, csv, against COPY", 1.6, _ratio("server", "copy")),
    Figure("rows by COPY, one hook, against COPY", 2.5, _ratio("hook", "copy")),
    Figure("rows by COPY, one async hook, against COPY", 2.8, _ratio("async-hook", "copy")),
    Figure("rows by cursor, one hook, against COPY", 4.5, _ratio("cursor", "copy")),
    Figure("instances, against a bare ORM stream", 1.5, _ratio("instances", "orm")),
    Figure(
        "django-import-export against server",
        50,
        _ratio("django", "server"),
        at_least=True,
        optional=True,
    ),
    Figure(
        "django-import-export against rows by COPY",
        30,
        _ratio("django-hook", "hook"),
        at_least=True,
        optional=True,
    ),
    Figure(
        "django-import-export against rows by cursor",
        15,
        _ratio("django-hook", "cursor"),
        at_least=True,
        optional=True,
    ),
    Figure(
        "django-import-export against instances",
        4,
        _ratio("django-hook", "instances"),
        at_least=True,
        optional=True,
    ),
    Figure("memory, growth with twenty times the rows", 8, _growth(_STREAMING), "MiB"),
    Figure("memory above the imports", 40, _worst("above", _MEBIBYTE, _STREAMING), "MiB"),
    Figure("event loop held, p99", 10, _worst("p99", _MILLISECOND, _WATCHED), "ms"),
    Figure("event loop held, p99.9", 50, _worst("p999", _MILLISECOND, _WATCHED), "ms"),
    Figure("first byte", 100, _worst("first", _MILLISECOND, _STREAMING), "ms"),
    Figure(
        "5 ms hooks, row by row against 32 at once", 15, _ratio("wait-1", "wait-32"), at_least=True
    ),
)
"""The figures, as the design has them."""

XLSX_FIGURES: Final = (
    Figure(
        "writing xlsx, against XlsxWriter with constant_memory",
        0.4,
        _ratio("write-xlsx", "xlsxwriter-xlsx"),
        optional=True,
    ),
    Figure("writing xlsx, first byte after", 2, _first_share("write-xlsx"), "%"),
)
"""What the processor may take to write XLSX; XlsxWriter need not be installed."""

FORMAT_FIGURES: Final = (
    *XLSX_FIGURES,
    Figure("memory, growth with twenty times the rows", 8, _growth(_FORMATS), "MiB"),
    Figure("memory above the imports", 40, _worst("above", _MEBIBYTE, _PLAIN), "MiB"),
    Figure(
        "memory above the imports, parquet and arrow",
        160,
        _worst("above", _MEBIBYTE, _ARROW),
        "MiB",
    ),
    Figure("event loop held, p99", 10, _worst("p99", _MILLISECOND, _FORMATS), "ms"),
    Figure("event loop held, p99.9", 50, _worst("p999", _MILLISECOND, _FORMATS), "ms"),
    Figure("first byte", 100, _worst("first", _MILLISECOND, _FORMATS), "ms"),
)
"""The figures of all formats that stream."""

"""Charts of what was measured, for the README."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from benchmarks.case import Job
from benchmarks.results import CASES, FORMATS, Quantity, Results, is_ours
from benchmarks.tables import COLUMNS

__all__ = ("draw_charts",)

_OURS: Final = "#1b6ca8"
_PEERS: Final = "#a8a8a8"
_MARKERS: Final = "osD^vPX*<>"
_WIDTH: Final = 8.0
_DPI: Final = 100
_MEBIBYTE: Final = 1024 * 1024

_Series: TypeAlias = Mapping[str, Mapping[int, float]]
"""Values by case, and by what they depend on."""


def draw_charts(results: Results, folder: Path) -> list[Path]:
    """Draw what there is to be drawn, and give the files."""
    rows, columns = results.jobs(suite="rows"), results.jobs(suite="columns")
    figures = {
        "time_by_tool.png": _time_by_tool(results),
        "memory_by_rows.png": _lines(
            _series(rows or _watched(results), _rows, _memory(results)),
            *("rows", "MiB above the imports"),
        ),
        "time_by_rows.png": _lines(_series(rows, _rows, _pace(results)), "rows", "µs for a row"),
        "time_by_columns.png": _lines(
            _series(columns, lambda job: job.columns, _pace(results)), "columns", "µs for a row"
        ),
        "loop_delay.png": _loop_delay(results),
        "formats.png": _formats(results),
    }
    paths = []
    for name, figure in figures.items():
        if figure is not None:
            paths.append(folder / name)
            figure.savefig(paths[-1], dpi=_DPI)
    return paths


def _watched(results: Results) -> list[Job]:
    """Give what was watched of the exports as CSV; charts of all formats would be unreadable."""
    return [job for job in results.jobs(suite="watch") if not CASES[job.case].format]


def _rows(job: Job) -> int:
    return job.rows


def _memory(results: Results) -> Callable[[Job], float | None]:
    def memory(job: Job) -> float | None:
        above = results.median(job, "above")
        return None if above is None else above / _MEBIBYTE

    return memory


def _pace(results: Results) -> Callable[[Job], float | None]:
    def pace(job: Job) -> float | None:
        seconds = results.median(job, "seconds")
        return None if seconds is None else seconds / job.rows * 1e6

    return pace


def _series(
    jobs: Iterable[Job], key: Callable[[Job], int], value: Callable[[Job], float | None]
) -> _Series:
    series: dict[str, dict[int, float]] = {}
    for job in jobs:
        if (found := value(job)) is not None:
            series.setdefault(job.case, {})[key(job)] = found
    return {case: points for case, points in series.items() if len(points) > 1}


def _time_by_tool(results: Results) -> Any:
    jobs = results.jobs(suite="compare")
    found = [(ratio, job) for job in jobs if (ratio := results.times(job)) is not None]
    if not found:
        return None
    found.sort(key=lambda each: each[0], reverse=True)
    ratios = [ratio for ratio, _ in found]
    figure, axes = _axes(height=1 + 0.25 * len(found))
    bars = axes.barh(
        [CASES[job.case].name for _, job in found],
        ratios,
        color=[_colour(job.case) for _, job in found],
    )
    axes.bar_label(bars, [f"{ratio:.1f}" for ratio in ratios], padding=3, fontsize=8)
    _use_log(axes, "x")
    axes.margins(x=0.1, y=0.01)
    axes.set_xlabel(f"time for a row, COPY = 1 ({jobs[0].rows:,} rows, {COLUMNS} columns)")
    _explain_colours(figure)
    return figure


def _formats(results: Results) -> Any:
    """Draw what writers take in time and memory, each on the most rows that it wrote."""
    jobs = sorted(results.jobs(suite="write"), key=lambda job: job.rows)
    cases = {job.case: job for job in jobs if CASES[job.case].format}
    found = [
        (cases[key], seconds / cases[key].rows * 1e6, above / _MEBIBYTE)
        for key in sorted(cases, key=_place)
        if (seconds := results.cpu(cases[key])) and (above := results.median(cases[key], "above"))
    ]
    if not found:
        return None
    most = max(job.rows for job, _, _ in found)
    names = [_format_name(job, most) for job, _, _ in found]
    figure, both = _axes(height=1.2 + 0.2 * len(found), panels=2)
    for axes, values, what in zip(
        both,
        ([micros for _, micros, _ in found], [memory for _, _, memory in found]),
        ("µs of the processor for a row", f"MiB above the imports ({most:,} rows)"),
        strict=True,
    ):
        bars = axes.barh(
            *(names, [max(1, value) for value in values]),
            color=[_colour(job.case) for job, _, _ in found],
        )
        labels = [f"{value:.3g}" if value >= 1 else "< 1" for value in values]
        axes.bar_label(bars, labels, padding=3, fontsize=7)
        _use_log(axes, "x", ticks=(1,))
        axes.set_xlim(left=0.5)
        axes.margins(x=0.15, y=0.01)
        axes.set_xlabel(what)
    both[0].invert_yaxis()
    _explain_colours(figure)
    return figure


def _place(case: str) -> tuple[int, bool, str]:
    """Sort by format, ours first."""
    return FORMATS.index(CASES[case].format), not is_ours(case), case


def _format_name(job: Job, most: int) -> str:
    name = CASES[job.case].name
    return name if job.rows == most else f"{name} ({_short(job.rows)} rows)"


def _loop_delay(results: Results) -> Any:
    # The last job of a case has the most rows.
    jobs = {job.case: job for job in _watched(results)}.values()
    quantities: tuple[Quantity, ...] = ("p50", "p99", "max")
    found = []
    for job in jobs:
        delays = [results.median(job, quantity) for quantity in quantities]
        known = [1000 * delay for delay in delays if delay is not None]
        if known:
            found.append((known, job))
    if not found:
        return None
    found.sort(key=lambda each: each[0][1], reverse=True)
    figure, axes = _axes(height=1.2 + 0.25 * len(found))
    for position, (known, job) in enumerate(found):
        axes.plot(known, [position] * len(known), "-", color=_colour(job.case), linewidth=1)
        for delay, marker in zip(known, "o|x", strict=True):
            axes.plot(
                *(delay, position, marker),
                color=_colour(job.case),
                markersize=7,
                markeredgewidth=2,
            )
    names = [f"{CASES[job.case].name} ({_short(job.rows)} rows)" for _, job in found]
    axes.set_yticks(range(len(found)), names)
    _use_log(axes, "x")
    axes.set_xlabel("ms of the event loop held:  ● half   | p99   × at most")
    _explain_colours(figure)
    return figure


def _lines(series: _Series, x: str, y: str) -> Any:
    if not series:
        return None
    figure, axes = _axes(height=4.5)
    markers = {True: iter(_MARKERS), False: iter(_MARKERS)}
    for case, points in series.items():
        ours = is_ours(case)
        axes.plot(
            *zip(*sorted(points.items()), strict=True),
            marker=next(markers[ours]),
            linestyle="-" if ours else "--",
            color=_colour(case),
            label=CASES[case].name,
        )
    _use_log(axes, "x")
    _use_log(axes, "y")
    ticks = sorted({value for points in series.values() for value in points})
    axes.set_xticks(ticks, [_short(tick) for tick in ticks])
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    figure.legend(loc="outside right center", fontsize=8, frameon=False)
    return figure


def _axes(height: float, panels: int = 1) -> tuple[Any, Any]:
    """Make a figure, and its panels, which have the same names on the left."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.subplots(1, panels, sharey=True)
    for each in axes if panels > 1 else [axes]:
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=8)
    return figure, axes


def _use_log(axes: Any, which: str, ticks: Sequence[int] = (1, 2, 5)) -> None:
    """Scale an axis by logarithms, and write plain numbers on it: *ticks* times powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    axis.set_major_locator(LogLocator(subs=ticks))
    axis.set_major_formatter(lambda value, _: _short(value))
    axis.set_minor_formatter(NullFormatter())


def _explain_colours(figure: Any) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=_OURS, label="async_export"), Patch(color=_PEERS, label="others")]
    figure.legend(handles=patches, loc="outside upper right", ncols=2, fontsize=8, frameon=False)


def _colour(case: str) -> str:
    return _OURS if is_ours(case) else _PEERS


def _short(number: float) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"

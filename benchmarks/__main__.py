"""``python -m benchmarks``: measure, tell, and judge."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from async_export.postgres.embedded import EmbeddedPostgres
from benchmarks.bounds import FIGURES, FORMAT_FIGURES, XLSX_FIGURES, Figure, Verdict, judge
from benchmarks.case import Job
from benchmarks.expected import expected_files
from benchmarks.report import as_json, as_markdown, verdicts_as_markdown
from benchmarks.results import CASES, Results
from benchmarks.rounds import run_rounds
from benchmarks.suites import (
    Suite,
    compare,
    scale_columns,
    scale_rows,
    wait,
    watch,
    watch_formats,
    write,
)
from benchmarks.tables import COLUMNS, Tables

__all__ = ("main",)

_SETTINGS: Final = {
    "autovacuum": "off",  # it would run amid a round
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "512MB",
    "synchronous_commit": "off",
}

_ROW_BYTES: Final = 500
"""More than a row takes in any file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and give the exit code: 1 if a figure is missed or a file is wrong."""
    options = _parse(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    results = _measure(_suites(options), options.rows)
    verdicts = judge(results, options.slack, _figures(options)) if options.check else []
    _tell(results, verdicts, options.output, charts=not options.quick)
    return _exit_code(results, verdicts, check=options.check)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what exports take, ours and others, on a PostgreSQL of its own.",
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=("compare", "scaling", "formats"),
        default="compare",
        help="compare the tools (default), more and more rows and columns, or the formats",
    )
    parser.add_argument(
        "--rows", type=_count, help="rows of the table (default: 500000; for formats 100000)"
    )
    parser.add_argument(
        "--rounds", type=_count, help="rounds of all cases (default: 9; for scaling 3)"
    )
    parser.add_argument(
        "--only", type=_cases, default=(), metavar="CASES", help=f"of {','.join(CASES)}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="only what the figures need; no slow peers, no charts"
    )
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if a promised figure is missed"
    )
    parser.add_argument(
        "--slack", type=float, default=1.0, help="factor that loosens every figure (default: 1)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output",
        help="folder of the tables, JSON and charts (default: benchmarks/output)",
    )
    options = parser.parse_args(arguments)
    if options.check and options.what == "scaling":
        parser.error("--check needs the tools or the formats to be compared")
    if options.rows is None:
        options.rows = 100_000 if options.what == "formats" else 500_000
    if options.rounds is None:
        options.rounds = 3 if options.what == "scaling" else 9
    return options


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _cases(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in CASES:
            raise argparse.ArgumentTypeError(f"there is no case {name!r}")
    return names


def _suites(options: argparse.Namespace) -> list[Suite]:
    rows, rounds, only = options.rows, options.rounds, options.only
    # Memory, loop and waiting vary less than time, and take longer.
    fewer = max(1, rounds // 3)
    if options.what == "formats":
        writers = write(rows, rounds, quick=options.quick, only=only)
        return [writers, watch_formats(rows, fewer, only=only)]
    more = [
        watch(rows, fewer, quick=options.quick, only=only),
        wait(rows, fewer, quick=options.quick, only=only),
    ]
    if options.what == "scaling":
        return [scale_rows(rows, rounds, only=only), scale_columns(rows, rounds, only=only), *more]
    if options.quick:
        more.append(write(max(1, rows // 5), fewer, quick=True, only=only))
    return [compare(rows, rounds, quick=options.quick, only=only), *more]


def _figures(options: argparse.Namespace) -> Sequence[Figure]:
    if options.what == "formats":
        return FORMAT_FIGURES
    return (*FIGURES, *XLSX_FIGURES) if options.quick else FIGURES


def _measure(suites: Sequence[Suite], rows: int) -> Results:
    with tempfile.TemporaryDirectory(prefix="async-export-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root, the server's user must get through
        with (
            EmbeddedPostgres(folder / "postgres", settings=_SETTINGS) as server,
            _target(folder, _most_rows(suites)) as target,
        ):
            tables = Tables(server.url, folder)
            suites = [_with_urls(suite, tables) for suite in suites]
            # The others would take longer to check than to measure.
            checked = [job for suite in suites for job in suite.jobs if _is_small(job, rows)]
            expected = expected_files(checked, tables)
            samples = [sample for suite in suites for sample in run_rounds(*suite, folder=target)]
    return Results(samples, expected)


def _most_rows(suites: Sequence[Suite]) -> int:
    return max((job.rows for suite in suites for job in suite.jobs), default=0)


def _is_small(job: Job, rows: int) -> bool:
    return job.size <= rows and job.columns == COLUMNS


def _with_urls(suite: Suite, tables: Tables) -> Suite:
    jobs = [
        job
        if job.source == "made"
        else replace(job, url=tables.url(job.source, job.size, job.columns))
        for job in suite.jobs
    ]
    return suite._replace(jobs=jobs)


@contextmanager
def _target(folder: Path, rows: int) -> Iterator[Path]:
    """Give a folder for the files: in memory if there is room, for disks are of many kinds."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
    if not memory.is_dir() or shutil.disk_usage(memory).free < rows * _ROW_BYTES:
        memory = folder
    with tempfile.TemporaryDirectory(prefix="async-export-bench-", dir=memory) as target:
        yield Path(target)


def _tell(results: Results, verdicts: Sequence[Verdict], output: Path, *, charts: bool) -> None:
    told = as_markdown(results)
    if verdicts:
        told += f"\n\n{verdicts_as_markdown(verdicts)}"
    print(told)
    (output / "results.md").write_text(f"{told}\n", encoding="utf-8")
    found = json.dumps(as_json(results, verdicts), indent=1, ensure_ascii=False)
    (output / "results.json").write_text(f"{found}\n", encoding="utf-8")
    if charts:
        _draw(results, output)
    print(f"\nTables, JSON and charts are in {output}", file=sys.stderr)


def _draw(results: Results, output: Path) -> None:
    try:
        from benchmarks.charts import draw_charts

        draw_charts(results, output)
    except ModuleNotFoundError as error:
        print(f"no charts: {error.name} is not installed", file=sys.stderr)


def _exit_code(results: Results, verdicts: Sequence[Verdict], *, check: bool) -> int:
    faults = list(results.faults())
    for job, fault in faults:
        print(f"{CASES[job.case].name}, {job.rows:,} rows: wrong: {fault}", file=sys.stderr)
    missed = any(verdict.met is False for verdict in verdicts)
    return int(check and (missed or bool(faults)))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

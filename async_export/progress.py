"""Telling whoever waits how far an export is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from async_export.hooks import maybe_await
from async_export.results import Progress

__all__ = ("Reporter",)

_SECONDS: Final = 0.1
"""How often progress is told at most."""


class Reporter:
    """Calls a function with the progress of one export, at most ten times a second.

    Args:
        callback: The function, which may be async; None for nobody.
        started: When the export began, by `time.perf_counter`.
    """

    def __init__(self, callback: Callable[[Progress], Any] | None, started: float) -> None:
        self._callback = callback
        self._started = started
        self._due = started + _SECONDS

    def is_due(self, *, is_last: bool) -> bool:
        """Tell whether there is something to tell.

        Args:
            is_last: Whether it is the end, which is told in any case.
        """
        return self._callback is not None and (is_last or time.perf_counter() >= self._due)

    async def tell(self, rows: int, size: int, total: int | None) -> None:
        """Tell the progress, now that it is due.

        Args:
            rows: Records made.
            size: Bytes made.
            total: How many records there will be.
        """
        assert self._callback is not None
        now = time.perf_counter()
        self._due = now + _SECONDS
        await maybe_await(self._callback(Progress(rows, size, total, now - self._started)))

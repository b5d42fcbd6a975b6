"""The progress bar, on a terminal only."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from async_export.cli.totals import Total, TotalMode
from async_export.streams import ByteStream

__all__ = ("progress_bar",)

_SECONDS: Final = 0.1
"""Between two updates."""


@asynccontextmanager
async def progress_bar(
    name: str, stream: ByteStream[Any], total: Total, *, shown: bool
) -> AsyncIterator[None]:
    """Show how far *stream* has come, on stderr, if that is a terminal.

    Args:
        name: What is being written.
        stream: The export.
        total: What is known of the total; it may change meanwhile.
        shown: Whether a bar is wanted.
    """
    if not shown or not sys.stderr.isatty():
        yield
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), _Figures(stream, total))
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
        bar = _Bar(progress, name, stream, total)
        ticker = asyncio.create_task(bar.tick())
        try:
            yield
            bar.finish()
        finally:
            ticker.cancel()
            with suppress(asyncio.CancelledError):
                await ticker


class _Bar:
    def __init__(
        self, progress: Progress, name: str, stream: ByteStream[Any], total: Total
    ) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=None)
        self._stream = stream
        self._total = total

    async def tick(self) -> None:
        while True:
            self._update(_expected(self._total, self._stream.rows))
            await asyncio.sleep(_SECONDS)

    def finish(self) -> None:
        self._update(self._stream.rows or 1, completed=self._stream.rows or 1)
        self._progress.stop_task(self._task)

    def _update(self, total: int | None, completed: int | None = None) -> None:
        rows = self._stream.rows if completed is None else completed
        self._progress.update(self._task, total=total, completed=rows, refresh=True)


class _Figures(ProgressColumn):
    """Rows, rows per second, and the percentage if the total is known."""

    def __init__(self, stream: ByteStream[Any], total: Total) -> None:
        super().__init__()
        self._stream = stream
        self._total = total

    def render(self, task: Task) -> Text:
        rows = self._stream.rows
        figures = [f"{rows:,} rows"]
        if task.elapsed:
            figures.append(f"{rows / task.elapsed:,.0f} rows/s")
        total = self._total
        expected = _expected(total, rows)
        if task.stop_time is not None:
            figures.append("100 %")
        elif expected:
            about = "~" if total.mode is TotalMode.ESTIMATE else ""
            figures.append(f"{about}{100 * rows // expected} %")
        return Text("  ".join(figures))


def _expected(total: Total, rows: int) -> int | None:
    """Give the total, but for an estimate that turned out too low."""
    return None if total.rows is None or rows > total.rows else total.rows

"""The output of ``COPY (…) TO STDOUT`` as an asynchronous iterator of chunks.

asyncpg pushes what COPY gives into a function. [`CopyOut`][] turns that around without a task: it
runs asyncpg's coroutine step by step, which stands still, and with it the server, while a chunk is
being used. It is also what makes it safe to end: asyncpg loses a cancellation that coincides with
data from the server, and the connection with it; here it never gets one.
"""

from __future__ import annotations

import asyncio
import inspect
import types
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import suppress
from typing import Any

import asyncpg

__all__ = ("CopyOut",)

_TIMEOUT = 10 * 365 * 86_400.0
"""Ten years, in seconds: asyncpg counts the time of whoever takes the chunks, too."""

_running: set[Any] = set()
"""What must not be garbage before its `CopyOut.chunks` has ended it: the collector would close it
in the wrong way."""


class CopyOut:
    """Output of ``COPY (sql) TO STDOUT (FORMAT csv …)`` as chunks of whole rows.

    The connection belongs to the COPY until the iteration has ended; then it is usable again,
    after a rollback if the COPY did not come to its end.

    Args:
        connection: What to read from; not closed.
        sql: A query without parameters, and not of a user's making.
        delimiter: One character that separates columns.
        quote: One character around cells that need it.
        null: What stands for NULL.

    Attributes:
        rows: How many rows PostgreSQL says it has copied; None before the last chunk was taken.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        sql: str,
        *,
        delimiter: str,
        quote: str = '"',
        null: str = "",
    ) -> None:
        self.rows: int | None = None
        self._connection = connection
        self._sql = sql
        self._options = {"delimiter": delimiter, "quote": quote, "null": null}

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Run COPY and give its chunks: bytes or bytearrays of up to about 200 KB, or one row.

        Whoever iterates closes; that ends the query at once, without waiting for the server.

        Raises:
            asyncpg.PostgresError: the server's errors, after the chunks that it sent before.
            asyncpg.InterfaceError: the connection cannot be used, or was lost.
        """
        self.rows = None
        copying = self._connection.copy_from_query(
            f"{self._sql}\n",  # which may end in a comment
            output=_hand_over,
            format="csv",
            encoding="utf8",
            timeout=_TIMEOUT,
            **self._options,
        )
        step: Any = None
        _running.add(copying)
        try:
            while True:
                step = copying.send(None)
                if asyncio.isfuture(step):
                    await asyncio.wait([step])
                else:
                    yield step
        except StopIteration as end:
            self.rows = int(end.value.removeprefix("COPY "))
        finally:
            _end(copying, step, self._connection)
            _running.discard(copying)


@types.coroutine
def _hand_over(chunk: bytes) -> Generator[bytes, None, None]:
    """Let *chunk* out of asyncpg's coroutine, among the futures that it waits for."""
    yield chunk


def _end(copying: Coroutine[Any, Any, str], step: Any, connection: asyncpg.Connection) -> None:
    """Have the server cancel a COPY that is not at its end, and asyncpg forget it."""
    # If it fails by itself now, that is an end as well.
    with suppress(Exception, asyncio.CancelledError):
        while inspect.getcoroutinestate(copying) != inspect.CORO_CLOSED:
            if asyncio.isfuture(step) and not step.done():
                step.cancel()
                # asyncpg would do this in the next turn of the loop, but not if data came first.
                connection._protocol._on_waiter_completed(step)  # noqa: SLF001
                step = copying.throw(asyncio.CancelledError())
            else:
                # Only now asyncpg tells whether that was the last chunk: it would wait forever
                # for the server to say that it has cancelled a COPY that has ended.
                step = copying.send(None)

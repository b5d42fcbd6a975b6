"""Running a coroutine step by step, to cancel it wherever it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Generator
from typing import Any, TypeVar

__all__ = ("Steps",)

_T = TypeVar("_T")


class Steps:
    """Runs one piece of work, and counts how often it, or a task that it starts, waits.

    Args:
        at: At which of these times the work is cancelled.

    Attributes:
        count: How often something has waited.
    """

    def __init__(self, at: Collection[int] = ()) -> None:
        self.count = 0
        self._at = frozenset(at)
        self._cancel: Callable[[], object] = lambda: None

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run *work* in a task of its own, and give what it gives.

        Raises:
            CancelledError: it was cancelled, and did not end in another way.
        """
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        loop.set_task_factory(self._task)
        try:
            task = loop.create_task(work)
        finally:
            # Tasks that the work itself starts are counted, those of others are not.
            loop.set_task_factory(before)
        self._cancel = task.cancel
        return await task

    def _task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Task[Any]:
        return asyncio.Task(self._stepped(loop, coroutine), loop=loop, **options)

    async def _stepped(self, loop: asyncio.AbstractEventLoop, coroutine: Any) -> Any:
        return await _Stepped(self, loop, coroutine)

    def waits(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count, and cancel when it is time to."""
        self.count += 1
        if self.count in self._at:
            loop.call_soon(self._cancel)


class _Stepped:
    """A coroutine that tells whenever it waits; tasks that it makes do so, too."""

    def __init__(self, steps: Steps, loop: asyncio.AbstractEventLoop, coroutine: Any) -> None:
        self._steps = steps
        self._loop = loop
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        step, argument = self._coroutine.send, None
        while True:
            before = self._loop.get_task_factory()
            self._loop.set_task_factory(self._steps._task)
            try:
                waited_for = step(argument)
            except StopIteration as end:
                return end.value
            finally:
                self._loop.set_task_factory(before)
            self._steps.waits(self._loop)
            try:
                step, argument = self._coroutine.send, (yield waited_for)
            except BaseException as error:  # noqa: BLE001 - it is passed on, as the loop would
                step, argument = self._coroutine.throw, error

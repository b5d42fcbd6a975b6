"""From fetched rows to records: the work that is done for every row."""

from __future__ import annotations

import asyncio
import inspect
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from traceback import walk_tb
from typing import Any, Final, TypeAlias

import anyio
from sqlalchemy.exc import InvalidRequestError, MissingGreenlet

from async_export.errors import ConfigurationError, LimitError, RowError
from async_export.hooks import maybe_await
from async_export.options import OnError
from async_export.rows import UndeclaredReadError
from async_export.types import Cell
from async_export.widgets import has_text

__all__ = ("CellMaker", "RecordMaker", "Turns", "hint_of")

SLICE: Final = 0.002
"""Seconds of work after which the event loop gets a turn."""

_FAILURES: Final = (Exception, asyncio.CancelledError)
"""What makes a row fail; hooks raise the latter when they await something that was cancelled."""

_Record: TypeAlias = list[Cell]


def _absent(_row: Any) -> None:
    """Make nothing: the cell is in the row."""


@dataclass(frozen=True, slots=True)
class CellMaker:
    """Makes one cell of what a row is to hooks.

    Attributes:
        name: Name of the field, or of the hook that makes the whole record.
        make: Gives the cell; not called where there is a `position` or `text`.
        of: Gives what it is made of; None for the row itself.
        position: Where the cell is in the row, if it has not to be made.
        text: Where it is among the row's texts, likewise.
        unless_changed: Whether it is made all the same if the mapped object that the row begins
            with was changed.
        is_async: Whether `make` always gives an awaitable.
        is_hook: Whether somebody else wrote `make`, so that it may give an awaitable although
            nothing says so.
    """

    name: str
    make: Callable[[Any], Any] = _absent
    of: Callable[[Any], Any] | None = None
    position: int | None = None
    text: int | None = None
    unless_changed: bool = False
    is_async: bool = False
    is_hook: bool = False


class Turns:
    """When the event loop gets a turn: after every two milliseconds, for all workers together.

    Attributes:
        due: When the next one is, by ``time.perf_counter``.
    """

    def __init__(self) -> None:
        self.due = time.perf_counter() + SLICE
        self._given: asyncio.Event | None = None

    async def give_when_due(self) -> None:
        """Give the loop its turn if two milliseconds have gone."""
        if time.perf_counter() > self.due:
            await self.give()

    async def give(self) -> None:
        """Give the loop its turn; a worker that comes while another one does waits for that."""
        if self._given is not None:
            while self._given is not None:
                await self._given.wait()
            return
        self._given = given = asyncio.Event()
        try:
            await asyncio.sleep(0)
        finally:
            self._given = None
            self.due = time.perf_counter() + SLICE
            given.set()


class RecordMaker:
    """Makes records of batches of rows.

    Which makers are async is decided once. A plain function that gives an awaitable all the
    same is found by the type of what it gives, looked at once for each type; from then on its
    cells are awaited where they are awaitable.

    Args:
        cells: The makers, in the order of the columns.
        width: How many cells a record has.
        whole: Whether the only maker gives whole records.
        texts: Gives the texts of a row; None if it has none.
        subject: Gives what the makers receive of a row; None for the row itself.
        key: Gives the primary key of that.
        on_error: What a failing row does.
        max_errors: How many rows may be skipped; None for any number.
        concurrency: How many rows are worked on at once when a maker is async.

    Attributes:
        rows: How many rows have been worked on.
        skipped: How many of them failed, and were left out.
        failures: Those that were skipped by the last call of `records`, unless a function took
            care of them.
    """

    def __init__(
        self,
        cells: Sequence[CellMaker],
        *,
        width: int,
        whole: bool,
        texts: Callable[[Any], list[str]] | None = None,
        subject: Callable[[Any], Any] | None,
        key: Callable[[Any], Any],
        on_error: OnError,
        max_errors: int | None = None,
        concurrency: int,
    ) -> None:
        self._names = [each.name for each in cells]
        self._width = width
        self._whole = whole
        self._subject = subject
        self._key = key
        self._on_error = on_error
        self._max_errors = max_errors
        self._concurrency = concurrency
        self._is_async = any(each.is_async for each in cells)
        self._plain_types: set[type] = set()
        self._awaitables: list[Any] = []
        self._turns = turns = Turns()
        names = {
            "plain": self._plain_types,
            "subject": subject,
            "texts_of": texts,
            "turns": turns,
            "clock": time.perf_counter,
        }
        self._make = _compiled(cells, {**names, "settle": self._noted})
        self._make_async = _compiled(cells, {**names, "settle": self._settled}, is_async=True)
        self.rows = 0
        self.skipped = 0
        self.failures: list[RowError] = []

    async def records(self, rows: Sequence[Any]) -> list[_Record | None]:
        """Make the records of *rows*, in order; None for those that were skipped.

        Raises:
            RowError: a row failed, and ``on_error`` says to raise.
            LimitError: more than ``max_errors`` were skipped.
        """
        self.failures = []
        made: list[_Record | None] = []
        if not self._is_async:
            await self._make_plain(rows, made)
        if self._concurrency > 1 and len(made) < len(rows):
            made += await self._make_concurrently(rows[len(made) :], self.rows + 1 + len(made))
        else:
            await self._make_in_turn(rows, made)
        self.rows += len(rows)
        return [record and self._unwrapped(record) for record in made] if self._whole else made

    async def _make_plain(self, rows: Sequence[Any], made: list[_Record | None]) -> None:
        """Make records without awaiting; stop after a row in which something has to be awaited."""
        while len(made) < len(rows) and not self._is_async:
            try:
                self._make(rows[len(made) :], made)
            except _FAILURES as error:
                self._close()
                made.append(await self._failed(error, rows, len(made), _place_of(error)))
            last = made[-1]
            if self._is_async and last is not None:
                made[-1] = await self._awaited(last, rows, len(made) - 1)
            await self._turns.give_when_due()

    async def _make_in_turn(self, rows: Sequence[Any], made: list[_Record | None]) -> None:
        """Make one record after the other; the event loop gets a turn every two milliseconds."""
        while len(made) < len(rows):
            try:
                await self._make_async(rows[len(made) :], made)
            except _FAILURES as error:
                made.append(await self._failed(error, rows, len(made), _place_of(error)))
            await self._turns.give_when_due()

    async def _make_concurrently(self, rows: Sequence[Any], first: int) -> list[_Record | None]:
        """Make several records at once; the first error cancels the others."""
        made: dict[int, _Record | None] = {}
        todo = iter(range(len(rows)))
        errors: dict[int, BaseException] = {}

        async def work(scope: anyio.CancelScope) -> None:
            for index in todo:
                try:
                    await self._turns.give_when_due()
                    made[index] = await self._make_one(rows, index, first)
                except BaseException as error:  # noqa: BLE001 - raised below, by itself
                    # A task group would swallow a cancellation that is not its own.
                    if not (scope.cancel_called and isinstance(error, asyncio.CancelledError)):
                        errors[index] = error
                    scope.cancel()
                    return

        async with anyio.create_task_group() as group:
            for _ in range(min(self._concurrency, len(rows))):
                group.start_soon(work, group.cancel_scope)
        if errors:
            raise errors[min(errors)]
        if len(made) < len(rows):
            # Somebody cancelled a worker before it began or when it had ended.
            raise asyncio.CancelledError("a task that makes records was cancelled")
        return [made[index] for index in range(len(rows))]

    async def _make_one(self, rows: Sequence[Any], index: int, first: int) -> _Record | None:
        """Make one record, whose row may be any of *rows*."""
        made: list[_Record] = []
        try:
            await self._make_async((rows[index],), made)
        except _FAILURES as error:
            return await self._failed(error, rows, index, _place_of(error), first)
        return made[0]

    async def _awaited(self, record: _Record, rows: Sequence[Any], index: int) -> _Record | None:
        """Await what turned out to be awaitable in *record*."""
        place = 0
        try:
            for place, cell in enumerate(record):
                if hasattr(cell, "__await__"):
                    record[place] = await self._settled(cell)
        except _FAILURES as error:
            return await self._failed(error, rows, index, place)
        finally:
            self._close()
        return record

    def _noted(self, cell: Cell) -> Cell:
        """Note that a cell of a new type is awaitable, or that it is none."""
        if hasattr(cell, "__await__"):
            self._is_async = True
            self._awaitables.append(cell)
            self._turns.due = 0  # this row is the last one that is made without awaiting
        else:
            self._check_type(type(cell))
        return cell

    async def _settled(self, cell: Cell) -> Cell:
        """Await a cell of a new type if it is awaitable."""
        cell = await maybe_await(cell)
        self._check_type(type(cell))
        return cell

    def _close(self) -> None:
        """Close the coroutines that nobody will await."""
        for each in self._awaitables:
            if inspect.iscoroutine(each):
                each.close()
        self._awaitables.clear()

    def _check_type(self, kind: type) -> None:
        """Refuse what has no text; look at each type once."""
        if kind not in self._plain_types:
            if hasattr(kind, "__await__"):
                raise TypeError(f"it gave a {kind.__name__} that nobody awaits")
            if not has_text(kind):
                raise TypeError(f"it gave a {kind.__name__}, which has no text of its own")
            self._plain_types.add(kind)

    def _unwrapped(self, cells: _Record) -> _Record:
        """Give the record that the only maker made."""
        record = cells[0]
        if not isinstance(record, list | tuple) or len(record) != self._width:
            seen = len(record) if isinstance(record, list | tuple) else type(record).__name__
            raise ConfigurationError(
                f"{self._names[0]} gave {seen} cells for {self._width} columns"
            )
        return list(record)

    async def _failed(
        self,
        error: BaseException,
        rows: Sequence[Any],
        index: int,
        place: int,
        first: int | None = None,
    ) -> _Record | None:
        """Do with a failed row what ``on_error`` says; give None, which stands for it.

        Args:
            error: What its hook or widget raised.
            rows: The rows that are worked on.
            index: Which of them failed.
            place: Which cell.
            first: Number of the first of them; None for the next one.
        """
        if isinstance(error, asyncio.CancelledError) and _is_cancelled():
            raise error
        name = self._names[min(place, len(self._names) - 1)]
        number = index + (self.rows + 1 if first is None else first)
        key = self._key_of(rows[index])
        failure = RowError(number, name, type(error).__name__, key, hint_of(error))
        failure.__cause__ = error
        if self._on_error == "raise":
            raise failure
        if callable(self._on_error):
            await maybe_await(self._on_error(failure))
        else:
            self.failures.append(failure)
        self.skipped += 1
        if self._max_errors is not None and self.skipped > self._max_errors:
            raise LimitError("max_errors", self._max_errors) from failure
        return None

    def _key_of(self, row: Any) -> Any:
        try:
            return self._key(row if self._subject is None else self._subject(row))
        except Exception:  # noqa: BLE001 - the key only adds to an error that is on its way
            return None


_CODE: Final = "<records>"

_HEAD: Final = """\
def records(rows, made):
    append = made.append
    for row in rows:
        texts = texts_of(row)
        row = subject(row)
        append([
"""

_TAIL: Final = """
        ])
        if clock() > turns.due:
            return
"""


def _compiled(
    cells: Sequence[CellMaker], names: dict[str, Any], *, is_async: bool = False
) -> Callable[[Any, Any], Any]:
    """Write the function that makes records until a turn is due, so that no row asks again how.

    Each cell has a line of its own, by which a traceback tells which one failed.

    Args:
        cells: The makers.
        names: ``subject`` and ``texts_of`` a row, or None; ``plain``, the types of cells that
            were looked at before; ``settle``, which looks at the others; ``turns`` and ``clock``.
        is_async: Whether it awaits.
    """
    wait = "await " if is_async else ""
    lines = []
    for place, each in enumerate(cells):
        made = f"make_{place}({'row' if each.of is None else f'of_{place}(row)'})"
        if each.unless_changed:
            made = f"{made} if row[0]._sa_instance_state.modified else texts[{each.text}]"
        elif each.text is not None:
            made = f"texts[{each.text}]"
        elif each.position is not None:
            made = f"row[{each.position}]"
        if each.is_async:
            made = wait + made
        if each.is_hook:
            made = f"cell if type(cell := {made}) in plain else {wait}settle(cell)"
        lines.append(f"            {made},")
    head = f"async {_HEAD}" if is_async else _HEAD
    for name in ("texts_of", "subject"):
        if names[name] is None:  # an empty line in its place
            head = re.sub(rf"^.*\b{name}\(.*$", "", head, flags=re.MULTILINE)
    names["__name__"] = __name__
    for place, each in enumerate(cells):
        names |= {f"make_{place}": each.make, f"of_{place}": each.of}
    # No text of anybody else's is in it.
    exec(compile(head + "\n".join(lines) + _TAIL, _CODE, "exec"), names)  # noqa: S102
    function: Callable[[Any, Any], Any] = names["records"]
    return function


def _place_of(error: BaseException) -> int:
    """Find which cell failed."""
    line = next((n for f, n in walk_tb(error.__traceback__) if f.f_code.co_filename == _CODE), 0)
    return max(0, line - _HEAD.count("\n") - 1)


_DECLARE = (
    "declare what the hook reads with @depends(...), set Meta.load = [{}], or load it in the query "
    "that gave the objects"
)


def _is_cancelled() -> bool:
    """Tell whether somebody cancels this task, by itself or by a scope of anyio's."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0 or anyio.current_effective_deadline() == -inf


def hint_of(error: BaseException) -> str:
    """Say what to do about errors that async_export knows the reason of, without values."""
    error = getattr(error, "orig", None) or error  # SQLAlchemy may wrap it in a StatementError
    if isinstance(error, UndeclaredReadError):
        return str(error)
    if isinstance(error, InvalidRequestError) and "is not available due to" in str(error):
        found = re.search(r"'([^']+)' is not available", str(error))
        what = f"{found[1]} is" if found else "an attribute is"
        option = "undefer(...)" if "raiseload" in str(error) else "selectinload(...)"
        return f"{what} not loaded; {_DECLARE.format(option)}"
    if isinstance(error, MissingGreenlet):
        return f"an attribute is not loaded; {_DECLARE.format('undefer(...)')}"
    return _own_words(error)


def _own_words(error: BaseException) -> str:
    """Give the text of an error that was raised by us, or by a call that we could not make.

    Such texts speak of names and types; those of other code may hold values.
    """
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    raised_in = "" if frame is None else frame.tb_frame.f_globals.get("__name__", "")
    is_own = raised_in.startswith("async_export.")
    told = (TypeError, AttributeError, UndeclaredReadError, ConfigurationError)
    if is_own and isinstance(error, told):
        return str(error)
    if raised_in.startswith("async_export.widgets."):
        return str(error)
    # A name that stands in the code is no value; one that was computed may be.
    written = () if frame is None else frame.tb_frame.f_code.co_names
    if isinstance(error, AttributeError) and error.name in written:
        return f"there is no attribute {error.name!r}"
    return ""

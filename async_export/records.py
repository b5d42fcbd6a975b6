"""From fetched rows to records: the work that is done for every row."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import anyio
from sqlalchemy.exc import InvalidRequestError, MissingGreenlet

from async_export.errors import ConfigurationError, RowError
from async_export.hooks import maybe_await
from async_export.options import OnError
from async_export.rows import UndeclaredReadError
from async_export.types import Cell

__all__ = ("CellMaker", "RecordMaker")

SLICE: Final = 0.002
"""Seconds of work after which the event loop gets a turn."""

_Record: TypeAlias = list[Cell]


@dataclass(frozen=True, slots=True)
class CellMaker:
    """Makes one cell of what a row is to hooks.

    Attributes:
        name: Name of the field, or of the hook that makes the whole record.
        make: Gives the cell.
        is_async: Whether `make` always gives an awaitable.
        is_hook: Whether somebody else wrote `make`, so that it may give an awaitable although
            nothing says so.
    """

    name: str
    make: Callable[[Any], Any]
    is_async: bool = False
    is_hook: bool = False


class RecordMaker:
    """Makes records of batches of rows.

    Which makers are async is decided once. A plain function that gives an awaitable all the
    same is found by the type of its results, looked at once for each type.

    Args:
        cells: The makers, in the order of the columns.
        width: How many cells a record has.
        whole: Whether the only maker gives whole records.
        subject: Gives what the makers receive of a row; None for the row itself.
        key: Gives the primary key of that.
        on_error: What a failing row does.
        concurrency: How many rows are worked on at once when a maker is async.
    """

    def __init__(
        self,
        cells: Sequence[CellMaker],
        *,
        width: int,
        whole: bool,
        subject: Callable[[Any], Any] | None,
        key: Callable[[Any], Any],
        on_error: OnError,
        concurrency: int,
    ) -> None:
        self._names = [each.name for each in cells]
        self._makes = [each.make for each in cells]
        self._width = width
        self._whole = whole
        self._subject = subject
        self._key = key
        self._on_error = on_error
        self._concurrency = concurrency
        self._async = [each.is_async for each in cells]
        self._hooks = [i for i, each in enumerate(cells) if each.is_hook and not each.is_async]
        self._plain_types: set[type] = set()
        self.rows = 0
        self.skipped = 0

    async def records(self, rows: Sequence[Any]) -> list[_Record]:
        """Make the records of *rows*, in order; without those that were skipped.

        Raises:
            RowError: a row failed, and ``on_error`` says to raise.
        """
        if not any(self._async):
            made = await self._in_turn(rows, self._sync_record)
        elif self._concurrency == 1:
            made = await self._in_turn(rows, self._async_record)
        else:
            made = await self._concurrently(rows)
        await self._settle(made)
        self.rows += len(rows)
        records = [record for record in made if record is not None]
        return [self._unwrapped(record) for record in records] if self._whole else records

    async def _in_turn(
        self, rows: Sequence[Any], record: Callable[[Any, int], Any]
    ) -> list[_Record | None]:
        """Make one record after the other; the event loop gets a turn every two milliseconds."""
        awaited = record == self._async_record
        made: list[_Record | None] = []
        turn = time.perf_counter() + SLICE
        for number, row in enumerate(rows, self.rows + 1):
            try:
                cells = await record(row, number) if awaited else record(row, number)
            except RowError as error:
                cells = None
                await self._failed(error)
            made.append(cells)
            if time.perf_counter() > turn:
                await asyncio.sleep(0)
                turn = time.perf_counter() + SLICE
        return made

    async def _concurrently(self, rows: Sequence[Any]) -> list[_Record | None]:
        """Make several records at once; the first error cancels the others."""
        made: list[_Record | None] = [None] * len(rows)
        todo = iter(enumerate(rows))
        errors: list[RowError] = []

        async def work(scope: anyio.CancelScope) -> None:
            for index, row in todo:
                try:
                    made[index] = await self._async_record(row, self.rows + 1 + index)
                except RowError as error:
                    try:
                        await self._failed(error)
                    except RowError:
                        errors.append(error)
                        scope.cancel()

        async with anyio.create_task_group() as group:
            for _ in range(min(self._concurrency, len(rows))):
                group.start_soon(work, group.cancel_scope)
        if errors:
            raise min(errors, key=lambda error: error.row_number)
        return made

    def _sync_record(self, row: Any, number: int) -> _Record:
        cells: _Record = []
        try:
            subject = row if self._subject is None else self._subject(row)
            for make in self._makes:
                cells.append(make(subject))
        except Exception as error:
            raise self._row_error(error, row, number, len(cells)) from error
        return cells

    async def _async_record(self, row: Any, number: int) -> _Record:
        cells: _Record = []
        try:
            subject = row if self._subject is None else self._subject(row)
            for make, is_async in zip(self._makes, self._async, strict=True):
                cell = make(subject)
                cells.append(await cell if is_async else cell)
        except Exception as error:
            raise self._row_error(error, row, number, len(cells)) from error
        return cells

    async def _settle(self, made: list[_Record | None]) -> None:
        """Await what plain functions gave, if it is awaitable."""
        for position in self._hooks:
            types = {type(cells[position]) for cells in made if cells is not None}
            fresh = types - self._plain_types
            if any(hasattr(each, "__await__") for each in fresh):
                await self._await_column(made, position)
            else:
                self._plain_types |= fresh

    async def _await_column(self, made: list[_Record | None], position: int) -> None:
        try:
            for index, cells in enumerate(made):
                if cells is None or not hasattr(cells[position], "__await__"):
                    continue
                try:
                    cells[position] = await cells[position]
                except Exception as error:  # noqa: BLE001 - whatever a hook raises
                    failed = self._row_error(error, None, self.rows + 1 + index, position)
                    failed.__cause__ = error
                    made[index] = None
                    await self._failed(failed)
        finally:
            # After an error or cancellation nobody will await the others.
            for cells in made:
                close = getattr(cells and cells[position], "close", None)
                if close is not None and hasattr(cells and cells[position], "__await__"):
                    close()

    def _unwrapped(self, cells: _Record) -> _Record:
        """Give the record that the only maker made."""
        record = list(cells[0])
        if len(record) != self._width:
            raise ConfigurationError(
                f"{self._names[0]} gave {len(record)} cells for {self._width} columns"
            )
        return record

    def _row_error(self, error: Exception, row: Any, number: int, position: int) -> RowError:
        name = self._names[min(position, len(self._names) - 1)]
        return RowError(number, name, type(error).__name__, self._key_of(row), _hint(error))

    def _key_of(self, row: Any) -> Any:
        try:
            return self._key(row if self._subject is None else self._subject(row))
        except Exception:  # noqa: BLE001 - the key only adds to an error that is on its way
            return None

    async def _failed(self, error: RowError) -> None:
        """Do with a failed row what ``on_error`` says."""
        if self._on_error == "raise":
            raise error
        if callable(self._on_error):
            await maybe_await(self._on_error(error))
        self.skipped += 1


def _hint(error: Exception) -> str:
    """Say what to do about errors that async_export knows the reason of."""
    if isinstance(error, UndeclaredReadError):
        return str(error)
    if isinstance(error, InvalidRequestError) and "lazy='raise'" in str(error):
        found = re.search(r"'([^']+)' is not available", str(error))
        what = f"{found[1]} is" if found else "a relation is"
        return (
            f"{what} not loaded; declare what the hook reads with @depends(...), or add a "
            "loader option to Meta.load"
        )
    if isinstance(error, MissingGreenlet):
        return (
            "an attribute is not loaded; declare what the hook reads with @depends(...), or add "
            "undefer(...) to Meta.load"
        )
    return ""

"""How many rows an export will have: counted, or estimated by PostgreSQL's planner."""

from __future__ import annotations

import json
from collections.abc import Sized
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ClauseElement, Executable, TextClause, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles

from async_export.statements import is_statement

__all__ = ("Total", "TotalMode")


class TotalMode(StrEnum):
    """Where the total of the progress bar comes from."""

    NONE = "none"
    ESTIMATE = "estimate"
    EXACT = "exact"


@dataclass(slots=True)
class Total:
    """How many rows there will be, which becomes known when the export has begun.

    Attributes:
        mode: Where the number comes from.
        rows: The number; None if it is not known.
    """

    mode: TotalMode = TotalMode.NONE
    rows: int | None = None

    async def find(self, queryset: Any, connection: AsyncConnection | None) -> None:
        """Count or estimate the rows of *queryset*.

        Args:
            queryset: A statement or an iterable.
            connection: Where the statement will run, in the transaction of the export.
        """
        if self.mode is TotalMode.NONE:
            return
        if not is_statement(queryset):
            self.mode = TotalMode.EXACT
            self.rows = len(queryset) if isinstance(queryset, Sized) else None
        elif connection is not None:
            # A failure within would be the end of the export's transaction.
            with suppress(SQLAlchemyError):
                async with connection.begin_nested():
                    self.rows = await self._ask(queryset, connection)

    async def _ask(self, statement: Any, connection: AsyncConnection) -> int | None:
        if self.mode is TotalMode.EXACT:
            return await _count(statement, connection)
        return await _estimate(statement, connection)


async def _count(statement: Any, connection: AsyncConnection) -> int | None:
    rows = statement.columns() if isinstance(statement, TextClause) else statement.order_by(None)
    return await connection.scalar(select(func.count()).select_from(rows.subquery()))


class _Explain(Executable, ClauseElement):
    inherit_cache = False

    def __init__(self, statement: Any) -> None:
        self.statement = statement


@compiles(_Explain)
def _compile_explain(element: _Explain, compiler: Any, **kwargs: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **kwargs)}"


async def _estimate(statement: Any, connection: AsyncConnection) -> int | None:
    if connection.dialect.name != "postgresql":
        return None
    told = await connection.scalar(_Explain(statement))
    plan = json.loads(told) if isinstance(told, str) else told
    return int(plan[0]["Plan"]["Plan Rows"])

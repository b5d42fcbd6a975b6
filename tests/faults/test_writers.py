"""Concurrent writers: an export shows one state of the database, and nobody has to wait for it."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from conditions import Conditions
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Mapped, mapped_column
from subjects import Base, sampled

from async_export import ModelResource, depends

PAIRS = 1_000
"""Pairs of rows; the two halves of each change together, and their amounts add up to nothing."""

RUNS = 5
"""Exports by each strategy."""

TABLE = f"""
create table half (
    id integer generated always as identity primary key, pair integer not null,
    version integer not null, amount integer not null, note text not null
);
insert into half (pair, version, amount, note)
    select pair, 0, amount, repeat('n', 100)
    from generate_series(1, {PAIRS}) pair, (values (7), (-7)) as two(amount);
create index on half (pair);
create sequence pair start {PAIRS + 1};
analyze half
"""

REFERENCE = text("""
    select count(*), coalesce(sum(amount), 0),
        md5(string_agg(concat_ws(',', id, pair, version, amount), ';' order by id))
    from half
""")


class Half(Base):
    """One row of a pair."""

    __tablename__ = "half"

    id: Mapped[int] = mapped_column(primary_key=True)
    pair: Mapped[int]
    version: Mapped[int]
    amount: Mapped[int]
    note: Mapped[str]


class ServerResource(ModelResource):
    """Rendered by the server, sent by COPY."""

    class Meta:
        """Its options."""

        model = Half
        fields = ("id", "pair", "version", "amount", "note")
        batch_size = 100
        chunk_size = 8_192

    async def after_export(self, queryset: Any, result: Any, **kwargs: Any) -> None:
        """Ask for what the table holds, in the export's own snapshot."""
        if "seen" in kwargs:
            kwargs["seen"].extend((await self.session.execute(REFERENCE)).one())


class CopiedResource(ServerResource):
    """A hook of known reads, whose columns come by COPY."""

    @depends("note")
    def dehydrate_note(self, row: Any) -> str:
        """Change the note."""
        return str(row.note).upper()


class CursorResource(CopiedResource):
    """The same through a cursor."""

    class Meta:
        """Its options."""

        hooks_use_database = True


class InstancesResource(ServerResource):
    """A hook that takes the mapped object."""

    class Meta:
        """Its options."""

        infer_reads = False

    def dehydrate_note(self, half: Half) -> str:
        """Change the note."""
        return half.note.upper()


STRATEGIES = {
    "server-copy": ServerResource,
    "rows-copy": CopiedResource,
    "rows-cursor": CursorResource,
    "instances-stream": InstancesResource,
}


class Writer:
    """Changes pairs, one transaction after the other.

    Attributes:
        commits: Transactions that it has committed.
    """

    def __init__(self, connection: asyncpg.Connection, seed: int) -> None:
        self._connection = connection
        self._random = random.Random(seed)
        self.commits = 0

    async def write(self) -> None:
        """Write until cancelled."""
        changes = (self._insert, self._delete, self._move, self._move)
        while True:
            async with self._connection.transaction():
                await self._random.choice(changes)(self._random.randint(1, PAIRS))
            self.commits += 1

    async def _insert(self, amount: int) -> None:
        await self._connection.execute(
            "insert into half (pair, version, amount, note) select pair, 0, amount, 'new' "
            "from nextval('pair') as pair, (values ($1::integer), (-$1)) as two(amount)",
            amount,
        )

    async def _delete(self, pair: int) -> None:
        await self._connection.execute("delete from half where pair = $1", pair)

    async def _move(self, pair: int) -> None:
        # In two statements, so that a torn pair can be seen by whoever looks in between.
        await self._connection.execute(
            "update half set version = version + 1, amount = amount + 1 "
            "where pair = $1 and amount > 0",
            pair,
        )
        await self._connection.execute(
            "update half set version = version + 1, amount = amount - 1 "
            "where pair = $1 and amount < 0",
            pair,
        )


@pytest.fixture
async def halves(
    new_engine: Callable[..., AsyncEngine],
    watched: Callable[..., Conditions],
    name: str,
    pg_schema: str,
) -> Conditions:
    """The conditions of exports from the table of pairs."""
    conditions = watched(new_engine(name=name, settings={"search_path": pg_schema}), name)
    await conditions.watcher.execute(
        f"set search_path = {pg_schema}; set lock_timeout = '10ms'; {TABLE}"
    )
    return conditions


@pytest.fixture
async def writers(pg_dsn: str, halves: Conditions) -> AsyncIterator[list[Writer]]:
    """Two writers at work."""
    connections = [await asyncpg.connect(pg_dsn) for _ in range(2)]
    writers = [Writer(connection, seed) for seed, connection in enumerate(connections)]
    tasks = [asyncio.create_task(writer.write()) for writer in writers]
    yield writers
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in outcomes), outcomes
    for connection in connections:
        await connection.close()


@pytest.mark.parametrize(("strategy", "run"), sampled(STRATEGIES, range(RUNS), every=7))
async def test_one_state(
    halves: Conditions, writers: list[Writer], strategy: type[ModelResource], run: int
) -> None:
    """Each row of one snapshot comes once, as a query in the same snapshot finds it."""
    seen: list[Any] = []
    received, before = bytearray(), 0
    halves.tally.faults += 1
    async with strategy(halves.engine).stream("csv", seen=seen) as stream:
        async for chunk in stream:
            if not received:
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await halves.watcher.execute("truncate half")
                before = sum(writer.commits for writer in writers)
            received += chunk
            await asyncio.sleep(0.001 * (run + 1))
    assert sum(writer.commits for writer in writers) > before
    rows = [tuple(row[:4]) for row in csv.reader(received.decode().splitlines())][1:]
    halves.tally.rows += abs(len(rows) - seen[0]) + sum(n - 1 for n in Counter(rows).values())
    digest = hashlib.md5(";".join(map(",".join, rows)).encode()).hexdigest()
    assert [len(rows), sum(int(row[3]) for row in rows), digest] == seen
    pairs = Counter((pair, version) for _, pair, version, _ in rows)
    assert set(pairs.values()) == {2}
    assert halves.checked_out() == 0

"""Typed formats from a database: every type of a column, by every strategy, the same bytes."""

from __future__ import annotations

import datetime as dt
import enum
import io
import uuid
from decimal import Decimal
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from library import bytes_of
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_export import EncodeError, Field, ModelResource, depends

TYPED = ("xlsx", "ods", "parquet", "arrow", "arrows", "json", "jsonl", "yaml", "postgresql", "xls")


class Base(DeclarativeBase):
    """The registry of these models."""


class Color(enum.Enum):
    """Stored by name."""

    RED = "r"
    BLUE = "b"


class Thing(Base):
    """A column of every type that SQLite has, too."""

    __tablename__ = "thing"

    id: Mapped[int] = mapped_column(primary_key=True)
    small: Mapped[int | None] = mapped_column(sa.SmallInteger)
    big: Mapped[int | None] = mapped_column(sa.BigInteger)
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(20, 4))
    exact: Mapped[Decimal | None] = mapped_column(sa.Numeric)
    ratio: Mapped[float | None] = mapped_column(sa.Double)
    flag: Mapped[bool | None]
    name: Mapped[str | None]
    day: Mapped[dt.date | None]
    at: Mapped[dt.datetime | None] = mapped_column(sa.DateTime(timezone=True))
    local: Mapped[dt.datetime | None]
    clock: Mapped[dt.time | None]
    lasts: Mapped[dt.timedelta | None]
    data: Mapped[bytes | None]
    key: Mapped[uuid.UUID | None]
    details: Mapped[Any] = mapped_column(sa.JSON, nullable=True)
    color: Mapped[Color | None]


ROWS: list[dict[str, Any]] = [
    {
        "id": 1,
        "small": -3,
        "big": 2**62,
        "price": Decimal("123456789012.5600"),
        "exact": Decimal("1.10"),
        "ratio": 0.1,
        "flag": True,
        "name": "=1+1 <é> \N{GRINNING FACE}\nand more",
        "day": dt.date(2024, 2, 29),
        "at": dt.datetime(2024, 1, 31, 23, 30, 15, 123456, tzinfo=dt.UTC),
        "local": dt.datetime(2024, 7, 1, 12, 0, 0, 5),  # noqa: DTZ001 - a column without zone
        "clock": dt.time(23, 59, 58, 7),
        "lasts": dt.timedelta(days=3, seconds=5, microseconds=9),
        "data": b"\x00\xff",
        "key": uuid.UUID(int=7),
        "details": {"b": [1, 2.5, None], "a": "x"},
        "color": Color.BLUE,
    },
    {"id": 2} | {name: None for name in Thing.__table__.columns.keys() if name != "id"},  # noqa: SIM118 - no dict
]

NAMES = tuple(Thing.__table__.columns.keys())


class ThingResource(ModelResource):
    """All columns."""

    class Meta:
        """Its options."""

        model = Thing
        fields = NAMES


class ObjectsResource(ThingResource):
    """The same, of mapped objects."""

    async def iter_queryset(self, queryset: Any) -> Any:
        """Give what there is."""
        async for instance in super().iter_queryset(queryset):
            yield instance


class HookedResource(ThingResource):
    """The same, with a hook whose reads are known."""

    @depends("name")
    def dehydrate_name(self, row: Any) -> Any:
        """Change nothing."""
        return row.name


@pytest.fixture
async def things(engine: AsyncEngine) -> AsyncEngine:
    """The rows, in each database."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(sa.insert(Thing), ROWS)
    return engine


@pytest.mark.parametrize("name", TYPED)
async def test_same_bytes_by_every_strategy(things: AsyncEngine, name: str) -> None:
    """Cursor, mapped objects, hooks, a caller's connection and small batches give one file."""
    made = await bytes_of(ThingResource(things), name=name)
    assert made == await bytes_of(ObjectsResource(things), name=name)
    assert made == await bytes_of(ThingResource(things, batch_size=1), name=name)
    async with things.connect() as connection:
        assert made == await bytes_of(ThingResource(connection), name=name)
    assert (await ObjectsResource(things).explain(name)).strategy == "instances"
    if name not in {"parquet", "arrow", "arrows", "postgresql"}:
        # There, a hook's cells have no type.
        assert made == await bytes_of(HookedResource(things), name=name)


async def test_values_of_parquet(things: AsyncEngine) -> None:
    """Every value is what it was in the database."""
    read = pq.read_table(io.BytesIO(await bytes_of(ThingResource(things), name="parquet")))
    expected = dict(ROWS[0])
    expected["details"] = '{"b": [1, 2.5, null], "a": "x"}'
    expected["color"] = "BLUE"
    if things.dialect.name == "sqlite":
        expected["at"] = expected["at"].replace(tzinfo=None)
        expected["price"], expected["exact"] = "123456789012.5600", "1.1000000000"
    else:
        expected["exact"] = "1.10"
    assert read.to_pylist()[0] == expected
    assert all(value is None for key, value in read.to_pylist()[1].items() if key != "id")


async def test_values_of_xlsx(things: AsyncEngine) -> None:
    """What Excel has a type for has it, all else is the text of the text formats."""
    made = await bytes_of(ThingResource(things), name="xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(made)).active
    assert sheet is not None
    read = dict(zip(NAMES, next(sheet.iter_rows(min_row=2, values_only=True)), strict=True))
    texts = (await bytes_of(ThingResource(things), name="tsv")).decode()
    assert read["name"] == ROWS[0]["name"]
    assert read["big"] == str(2**62)
    assert read["price"] == 123456789012.56
    assert read["exact"] == 1.1
    assert read["flag"] is True
    assert read["day"] == dt.datetime(2024, 2, 29)  # noqa: DTZ001 - spreadsheets have no zones
    assert read["clock"] == dt.time(23, 59, 58)
    assert read["color"] == "BLUE"
    for name in ("key", "data"):
        assert str(read[name]) in texts
    assert read["details"] == '{"b": [1, 2.5, null], "a": "x"}'
    assert list(sheet.iter_rows(min_row=3, values_only=True)) == [(2, *[None] * (len(NAMES) - 1))]


@pytest.mark.parametrize("name", TYPED)
async def test_text_cells_in_typed_formats(things: AsyncEngine, name: str) -> None:
    """With native=False every cell is its text, and every column text."""
    made = await bytes_of(ThingResource(things, native=False), name=name)
    assert made
    if name == "parquet":
        read = pq.read_table(io.BytesIO(made))
        assert {str(each.type) for each in read.schema} == {"string"}
        assert read.to_pylist()[0]["flag"] in {"1", "True"}


async def test_zones_of_the_export(things: AsyncEngine) -> None:
    """Spreadsheets show the wall time of the export's timezone."""
    if things.dialect.name == "sqlite":
        pytest.skip("SQLite has no timezones")
    for name in ("xlsx", "ods"):
        utc = await bytes_of(ThingResource(things), name=name)
        paris = await bytes_of(ThingResource(things, timezone="Europe/Paris"), name=name)
        assert utc != paris
    sheet = openpyxl.load_workbook(
        io.BytesIO(await bytes_of(ThingResource(things, timezone="Europe/Paris"), name="xlsx"))
    ).active
    assert sheet is not None
    shown = sheet.cell(2, NAMES.index("at") + 1).value
    assert isinstance(shown, dt.datetime)
    assert shown.replace(microsecond=0) == dt.datetime(2024, 2, 1, 0, 30, 15)  # noqa: DTZ001 - no zone


async def test_values_without_equal(pg_engine: AsyncEngine) -> None:
    """Infinity of PostgreSQL is its text in spreadsheets, and refused where a column has a type."""
    table = sa.Table("t", sa.MetaData(), sa.Column("day", sa.Date))
    async with pg_engine.begin() as connection:
        await connection.run_sync(table.metadata.create_all)
        await connection.exec_driver_sql("INSERT INTO t VALUES ('infinity')")

    class Days(ModelResource):
        class Meta:
            model = table
            fields = ("day",)

    made = await bytes_of(Days(pg_engine), name="xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(made)).active
    assert sheet is not None
    assert sheet["A2"].value == "infinity"
    with pytest.raises(EncodeError, match=r"record 1: column 'day': .*on_unrepresentable"):
        await bytes_of(Days(pg_engine), name="parquet")
    made = await bytes_of(Days(pg_engine, on_unrepresentable="null"), name="parquet")
    assert pq.read_table(io.BytesIO(made)).to_pylist() == [{"day": None}]


@pytest.mark.parametrize("name", ["xlsx", "ods", "parquet", "sql", "csv"])
async def test_json_of_postgresql_is_exact(pg_engine: AsyncEngine, name: str) -> None:
    """The numbers of jsonb keep their digits by every strategy, and null is no text."""

    class Own(DeclarativeBase):
        pass

    class Doc(Own):
        __tablename__ = "doc"
        id: Mapped[int] = mapped_column(primary_key=True)
        body: Mapped[Any] = mapped_column(pg.JSONB, nullable=True)

    class Docs(ModelResource):
        class Meta:
            model = Doc
            fields = ("id", "body")

    class Objects(Docs):
        def export_resource(self, instance: Any, selected_fields: Any = None, **kw: Any) -> Any:
            return super().export_resource(instance, selected_fields, **kw)

    async with pg_engine.begin() as connection:
        await connection.run_sync(Own.metadata.create_all)
        await connection.exec_driver_sql(
            "INSERT INTO doc VALUES (1, '{\"a\": 1.50}'), (2, NULL), "
            "(3, '12345678901234567890.123456789')"
        )
    made = await bytes_of(Docs(pg_engine), name=name)
    assert made == await bytes_of(Objects(pg_engine), name=name)
    if name == "parquet":
        read = pq.read_table(io.BytesIO(made)).column("body").to_pylist()
        assert read == ['{"a": 1.50}', None, "12345678901234567890.123456789"]


async def test_types_of_postgresql(pg_engine: AsyncEngine) -> None:
    """Arrays are lists, and what only PostgreSQL has is its text."""
    table = sa.Table(
        "t",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("numbers", pg.ARRAY(sa.Integer)),
        sa.Column("span", pg.INT4RANGE),
        sa.Column("address", pg.INET),
        sa.Column("doc", pg.JSONB),
        sa.Column("later", pg.TIME(timezone=True)),
    )
    async with pg_engine.begin() as connection:
        await connection.run_sync(table.metadata.create_all)
        await connection.exec_driver_sql(
            "INSERT INTO t VALUES (1, '{1,NULL,3}', '[1,5)', '10.0.0.1', '{\"a\": 1.10}', "
            "'10:00+02')"
        )

    class Rows(ModelResource):
        class Meta:
            model = table
            fields = "__all__"

    read = pq.read_table(io.BytesIO(await bytes_of(Rows(pg_engine), name="parquet"))).to_pylist()
    assert read == [
        {
            "id": 1,
            "numbers": [1, None, 3],
            "span": "[1,5)",
            "address": "10.0.0.1",
            "doc": '{"a": 1.10}',
            "later": "10:00:00+02:00",
        }
    ]
    sheet = openpyxl.load_workbook(io.BytesIO(await bytes_of(Rows(pg_engine), name="xlsx"))).active
    assert sheet is not None
    assert [cell.value for cell in sheet[2]][1:5] == [
        "1,None,3",
        "[1,5)",
        "10.0.0.1",
        '{"a": 1.10}',
    ]


async def test_hooks_of_typed_fields(things: AsyncEngine) -> None:
    """A hook's cell is of the type that its field declares, or the error says how to declare it."""

    class Typed(ModelResource):
        double = Field(type=sa.Integer())
        untyped = Field()

        class Meta:
            model = Thing
            fields = ("id", "double", "untyped")

        @depends("id")
        def dehydrate_double(self, row: Any) -> Any:
            return int(row.id) * 2

        @depends("id")
        def dehydrate_untyped(self, row: Any) -> int:
            return int(row.id)

    class Wrong(Typed):
        def dehydrate_double(self, row: Any) -> Any:
            return "two"

    read = pq.read_table(io.BytesIO(await bytes_of(Typed(things), name="parquet")))
    assert read.to_pylist() == [
        {"id": 1, "double": 2, "untyped": "1"},
        {"id": 2, "double": 4, "untyped": "2"},
    ]
    with pytest.raises(EncodeError, match=r"record 1: column 'double': expected int, found str"):
        await bytes_of(Wrong(things), name="parquet")

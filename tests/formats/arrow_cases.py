"""What the tests of Parquet and Arrow share: exports, readers, and cells of every type."""

from __future__ import annotations

import datetime as dt
import io
import itertools
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from hypothesis import strategies as st
from sqlalchemy.types import TypeEngine

from async_export.formats._arrow import ArrowEncoder, ArrowStreamEncoder
from async_export.formats._encoder import Encoder
from async_export.formats._parquet import ParquetEncoder
from async_export.sqltypes import logical_type
from async_export.types import Column, Record

EncoderClass: TypeAlias = type[ParquetEncoder] | type[ArrowEncoder]

READERS: dict[EncoderClass, Callable[[bytes], Any]] = {
    ParquetEncoder: lambda data: pq.read_table(io.BytesIO(data)),
    ArrowEncoder: lambda data: pa.ipc.open_file(data).read_all(),
    ArrowStreamEncoder: lambda data: pa.ipc.open_stream(data).read_all(),
}
"""How the tables of each format are read."""

PARIS = dt.timezone(dt.timedelta(hours=2), "Paris")
MOMENT = dt.datetime(2024, 5, 6, 7, 8, 9, 123456)  # noqa: DTZ001 - a naive one, as the next two
FIRST = dt.datetime.min  # noqa: DTZ901
LAST = dt.datetime.max  # noqa: DTZ901
UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")


def column(sqltype: TypeEngine[Any], header: str = "A") -> Column:
    """Return a column of that SQLAlchemy type."""
    return Column("field", header, logical_type(sqltype))


def export(
    encoder: Encoder,
    columns: Sequence[Column],
    records: Sequence[Record],
    cuts: Sequence[int] = (),
) -> bytes:
    """Encode the records in batches that end at the *cuts*."""
    edges = [0, *cuts, len(records)]
    batches = [records[a:b] for a, b in itertools.pairwise(edges)]
    return encoder.begin(columns) + b"".join(map(encoder.encode, batches)) + encoder.end()


def tables(encoder: Encoder, columns: Sequence[Column], records: Sequence[Record]) -> Any:
    """Return the table that a reader finds in an export."""
    (read,) = [read for cls, read in READERS.items() if type(encoder) is cls]
    return read(export(encoder, columns, records))


def integers(bits: int) -> st.SearchStrategy[int]:
    """Draw integers of that many bits."""
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
INSTANTS = st.datetimes(FIRST + dt.timedelta(1), timezones=st.just(PARIS))

CELLS: tuple[tuple[TypeEngine[Any], st.SearchStrategy[Any]], ...] = (
    (sa.SmallInteger(), integers(16)),
    (sa.Integer(), integers(32)),
    (sa.BigInteger(), integers(64)),
    (sa.Float(), st.floats(allow_nan=False)),
    (sa.REAL(), st.floats(allow_nan=False, width=32)),
    (sa.Numeric(10, 2), st.decimals(-(10**7), 10**7, places=2)),
    (sa.Numeric(60, 5), st.decimals(-(10**54), 10**54, places=5)),
    (sa.Boolean(), st.booleans()),
    (sa.Text(), TEXT),
    (sa.LargeBinary(), st.binary()),
    (sa.Date(), st.dates()),
    (sa.DateTime(), st.datetimes()),
    (sa.DateTime(timezone=True), INSTANTS),
    (sa.Time(), st.times()),
    (
        sa.Interval(),
        st.timedeltas(dt.timedelta(days=-100_000_000), dt.timedelta(days=100_000_000)),
    ),
    (sa.Uuid(), st.uuids()),
    (sa.ARRAY(sa.Text), st.lists(st.none() | TEXT, max_size=3)),
    (sa.ARRAY(sa.Uuid), st.lists(st.uuids(), max_size=2)),
    (
        sa.ARRAY(sa.SmallInteger, dimensions=2),
        st.lists(st.none() | st.lists(integers(16), max_size=2), max_size=2),
    ),
)
"""Types, and cells of theirs that readers find unchanged."""


@st.composite
def datasets(draw: st.DrawFn) -> tuple[list[Column], list[list[Any]], list[int]]:
    """Draw columns, records and the places where the records are cut into batches."""
    chosen = draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=4))
    columns = [column(sqltype, f"{i}") for i, (sqltype, _) in enumerate(chosen)]
    record = st.tuples(*[st.none() | cells for _, cells in chosen]).map(list)
    records = draw(st.lists(record, max_size=12))
    return columns, records, sorted(draw(st.lists(st.integers(0, len(records)), max_size=5)))


VALUES: tuple[tuple[TypeEngine[Any], Any, Sequence[Any], Sequence[Any]], ...] = (
    (sa.SmallInteger(), pa.int16(), [-(2**15), 2**15 - 1], [-(2**15), 2**15 - 1]),
    (sa.Integer(), pa.int32(), [2**31 - 1], [2**31 - 1]),
    (sa.BigInteger(), pa.int64(), [2**63 - 1, Decimal("12E+1")], [2**63 - 1, 120]),
    (sa.Float(), pa.float64(), [0.1, 2**53, float("-inf")], [0.1, 2.0**53, float("-inf")]),
    (sa.REAL(), pa.float32(), [0.5, 1e-50, float("inf"), 1], [0.5, 0.0, float("inf"), 1.0]),
    (
        sa.Numeric(10, 2),
        pa.decimal128(10, 2),
        [Decimal("-12345678.90"), Decimal("1.500"), 7],
        [Decimal("-12345678.90"), Decimal("1.5"), Decimal(7)],
    ),
    (sa.Numeric(38, 38), pa.decimal128(38, 38), [Decimal("1E-38")], [Decimal("1E-38")]),
    (sa.Numeric(39, 1), pa.decimal256(39, 1), [Decimal("1E+37")], [Decimal("1E+37")]),
    (sa.Numeric(76, 0), pa.decimal256(76, 0), [10**76 - 1], [Decimal(10**76 - 1)]),
    (sa.Numeric(2, 5), pa.decimal128(5, 5), [Decimal("0.00012")], [Decimal("0.00012")]),
    (sa.Numeric(5, -2), pa.decimal128(7, 0), [Decimal(1234500)], [Decimal(1234500)]),
    (
        sa.Numeric(),
        pa.string(),
        [Decimal("1.10"), Decimal("1E+3"), Decimal("NaN"), Decimal("-Infinity"), 10**80],
        ["1.10", "1000", "NaN", "-Infinity", str(10**80)],
    ),
    (sa.Numeric(77, 0), pa.string(), [Decimal(10**76)], [str(10**76)]),
    (sa.Float(asdecimal=True), pa.string(), [Decimal("1E-7"), 0.1], ["0.0000001", "0.1"]),
    (sa.Boolean(), pa.bool_(), [True, False], [True, False]),
    (sa.Text(), pa.string(), ["", "é\0\n😀"], ["", "é\0\n😀"]),
    (sa.Enum("a", "b", name="letters"), pa.string(), ["a"], ["a"]),
    (sa.Uuid(as_uuid=False), pa.string(), [str(UUID)], [str(UUID)]),
    (
        sa.LargeBinary(),
        pa.binary(),
        [b"", b"\xff\0", bytearray(b"a"), memoryview(b"abcd")[::2]],
        [b"", b"\xff\0", b"a", b"ac"],
    ),
    (sa.Date(), pa.date32(), [dt.date.min, dt.date.max], [dt.date.min, dt.date.max]),
    (
        sa.DateTime(),
        pa.timestamp("us"),
        [MOMENT, FIRST, LAST],
        [MOMENT, FIRST, LAST],
    ),
    (
        sa.DateTime(timezone=True),
        pa.timestamp("us", "UTC"),
        [MOMENT.replace(tzinfo=PARIS), MOMENT.replace(tzinfo=dt.UTC)],
        [MOMENT.replace(hour=5, tzinfo=dt.UTC), MOMENT.replace(tzinfo=dt.UTC)],
    ),
    (sa.Time(), pa.time64("us"), [MOMENT.time(), dt.time.max], [MOMENT.time(), dt.time.max]),
    (
        sa.Time(timezone=True),
        pa.string(),
        [MOMENT.time().replace(tzinfo=PARIS)],
        ["07:08:09.123456+02:00"],
    ),
    (
        sa.Interval(),
        pa.duration("us"),
        [dt.timedelta(-1, 1, 1), dt.timedelta(10**8)],
        [dt.timedelta(-1, 1, 1), dt.timedelta(10**8)],
    ),
    (sa.Uuid(), pa.uuid(), [UUID], [UUID]),
    (sa.JSON(), pa.string(), ['{"a": 1}', '"x"'], ['{"a": 1}', '"x"']),
    (sa.JSON(), pa.string(), [{"a": [1, None]}, True, 1], ['{"a": [1, null]}', "true", "1"]),
    (sa.types.NullType(), pa.string(), ["x", 1, dt.timedelta(1)], ["x", "1", "1 day, 0:00:00"]),
    (sa.types.NullType(), pa.string(), [[1, 2], b"\xff", {"a": 1}], ["1,2", "ff", '{"a": 1}']),
    (
        sa.ARRAY(sa.Integer),
        pa.list_(pa.int32()),
        [[1, None, 3], (), (4,), []],
        [[1, None, 3], [], [4], []],
    ),
    (
        sa.ARRAY(sa.Numeric(5, 1), dimensions=2),
        pa.list_(pa.list_(pa.decimal128(5, 1))),
        [[[Decimal("1.5"), None], None, []]],
        [[[Decimal("1.5"), None], None, []]],
    ),
    (sa.ARRAY(sa.Uuid), pa.list_(pa.uuid()), [[UUID, None]], [[UUID, None]]),
    (
        sa.ARRAY(sa.DateTime(timezone=True)),
        pa.list_(pa.timestamp("us", "UTC")),
        [[MOMENT.replace(tzinfo=PARIS)]],
        [[MOMENT.replace(hour=5, tzinfo=dt.UTC)]],
    ),
    (
        sa.ARRAY(sa.JSON),
        pa.list_(pa.string()),
        [[{"a": 1}, "x", None, [1]]],
        [['{"a": 1}', '"x"', None, "[1]"]],
    ),
    (sa.ARRAY(sa.types.NullType), pa.list_(pa.string()), [["x", 1, None]], [["x", "1", None]]),
)
"""SQLAlchemy type, Arrow type, cells, and what readers find."""

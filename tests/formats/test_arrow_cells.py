"""Cells and columns in Parquet and Arrow: types, exact values, and what is refused."""

from __future__ import annotations

import datetime as dt
import enum
import sys
import traceback
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from arrow_cases import (
    MOMENT,
    PARIS,
    READERS,
    UUID,
    VALUES,
    EncoderClass,
    column,
    datasets,
    export,
    tables,
)
from asyncpg.pgproto.pgproto import UUID as AsyncpgUUID  # noqa: N811 - it has this name
from hypothesis import given, settings
from sqlalchemy.types import TypeEngine

from async_export.errors import ConfigurationError, EncodeError, MissingDependencyError
from async_export.formats._arrow import ArrowEncoder, ArrowStreamEncoder
from async_export.formats._parquet import ParquetEncoder
from async_export.types import Column, Kind, LogicalType, UnrepresentableText

ENCODERS = pytest.mark.parametrize("encoder_class", READERS)

SMALL: dict[EncoderClass, dict[str, Any]] = {
    ParquetEncoder: {"row_group_rows": 5, "row_group_bytes": 150},
    ArrowEncoder: {"batch_rows": 5, "batch_bytes": 150},
    ArrowStreamEncoder: {"batch_rows": 5, "batch_bytes": 150},
}
"""Options by which tables end after a few records."""


class Number(enum.IntEnum):
    """An enum of numbers."""

    ONE = 1


class Word(str, enum.Enum):  # noqa: UP042 - its str() is another
    """An enum of words, with names of their own."""

    RED = "r"


class Unspeakable:
    """An object without a text."""

    def __str__(self) -> str:
        raise RuntimeError("secret")


@ENCODERS
@pytest.mark.parametrize(("sqltype", "arrow_type", "cells", "found"), VALUES)
def test_values_of_every_type(
    encoder_class: EncoderClass,
    sqltype: TypeEngine[Any],
    arrow_type: Any,
    cells: list[Any],
    found: list[Any],
) -> None:
    """The type follows from the column, and readers find every value, null among them."""
    table = tables(encoder_class(), [column(sqltype)], [[cell] for cell in [*cells, None]])
    field = table.schema.field("A")
    # Parquet calls the items of lists "element" where Arrow says "item".
    assert field.type.equals(arrow_type) or pa.types.is_nested(arrow_type)
    assert str(field.type).replace("element", "item") == str(arrow_type)
    assert field.nullable
    assert table.column("A").to_pylist() == [*found, None]


@ENCODERS
@given(dataset=datasets())
@settings(max_examples=150, deadline=None)
def test_bytes_depend_on_records_alone(encoder_class: EncoderClass, dataset: Any) -> None:
    """However the records are cut into batches, the bytes are the same, and so are the values."""
    columns, records, cuts = dataset
    encoder = encoder_class(**SMALL[encoder_class])
    whole = export(encoder, columns, records)
    assert export(encoder, columns, records, cuts) == whole
    assert export(encoder, columns, records, range(len(records))) == whole
    table = READERS[encoder_class](whole)
    found = [list(row.values()) for row in table.to_pylist()]
    assert found == records


@ENCODERS
def test_bytes_do_not_depend_on_small_batches(encoder_class: EncoderClass) -> None:
    """Thousands of records in batches of any size, joined in between, make the same file."""
    columns = [column(sa.Integer(), "a"), column(sa.Text(), "b")]
    records = [[i, None if i > 1_500 else f"{i}" * (i % 7)] for i in range(3_000)]
    whole = export(encoder_class(), columns, records)
    for step in (7, 999, 1_024, 1_500):
        assert export(encoder_class(), columns, records, range(step, 3_000, step)) == whole
    assert READERS[encoder_class](whole).column("a").to_pylist() == [a for a, _ in records]


@ENCODERS
def test_no_rows(encoder_class: EncoderClass) -> None:
    """Without records there is a schema, and no row."""
    table = tables(encoder_class(), [column(sa.Integer()), column(sa.Text(), "B")], [])
    assert table.num_rows == 0
    assert table.schema == pa.schema([("A", pa.int32()), ("B", pa.string())])


@ENCODERS
def test_integers_and_floats_of_unknown_width_have_64_bits(encoder_class: EncoderClass) -> None:
    """What is not known may be wide."""
    columns = [
        Column("a", "a", LogicalType(Kind.INTEGER)),
        Column("b", "b", LogicalType(Kind.FLOAT)),
    ]
    table = tables(encoder_class(), columns, [[2**40, 0.1]])
    assert table.to_pylist() == [{"a": 2**40, "b": 0.1}]


@ENCODERS
def test_lists_without_a_type_of_items_hold_text(encoder_class: EncoderClass) -> None:
    """A list of which nothing more is known has the items' texts."""
    columns = [Column("a", "a", LogicalType(Kind.LIST))]
    assert tables(encoder_class(), columns, [[[1, "x"]]]).to_pylist() == [{"a": ["1", "x"]}]


@ENCODERS
def test_uuids_of_asyncpg(encoder_class: EncoderClass) -> None:
    """The class of UUIDs that asyncpg gives is a subclass, and counts as one."""
    cells = [[AsyncpgUUID(str(UUID))], [UUID]]
    assert tables(encoder_class(), [column(sa.Uuid())], cells).column("A").to_pylist() == [UUID] * 2


@ENCODERS
def test_uuids_as_strings(encoder_class: EncoderClass) -> None:
    """On request UUIDs are text, in lists, too, and still nothing else is taken for one."""
    columns = [column(sa.Uuid()), column(sa.ARRAY(sa.Uuid), "B")]
    encoder = encoder_class(uuid="string")
    table = tables(encoder, columns, [[AsyncpgUUID(str(UUID)), [UUID]], [None, None]])
    assert table.schema.field("A").type == pa.string()
    assert table.to_pylist() == [{"A": str(UUID), "B": [str(UUID)]}, {"A": None, "B": None}]
    with pytest.raises(EncodeError, match="expected UUID, found str"):
        export(encoder, columns, [["secret", None]])


def test_subclasses_count_as_what_they_are() -> None:
    """Members of enums of numbers and words, and the like, are numbers and words."""
    columns = [column(sa.Integer()), column(sa.Text(), "B"), column(sa.Float(), "C")]
    table = tables(ArrowEncoder(), columns, [[Number.ONE, Word.RED, Number.ONE]])
    assert table.to_pylist() == [{"A": 1, "B": "r", "C": 1.0}]


def test_texts_of_the_database() -> None:
    """What Python cannot hold is exact where the column is text."""
    columns = [column(sa.Time(timezone=True)), column(sa.Text(), "B"), column(sa.JSON(), "C")]
    record = [UnrepresentableText("24:00:00+02"), UnrepresentableText("x"), None]
    assert tables(ArrowEncoder(), columns, [record]).to_pylist() == [
        {"A": "24:00:00+02", "B": "x", "C": None}
    ]


AWARE = MOMENT.replace(tzinfo=PARIS)

REFUSED: tuple[tuple[TypeEngine[Any], Any, str], ...] = (
    # pyarrow itself would take nearly all of these without a word.
    (sa.Integer(), 1.0, "expected int, found float"),
    (sa.Integer(), True, "expected int, found bool"),
    (sa.Integer(), Decimal("1.5"), "expected int, found Decimal"),
    (sa.Integer(), Decimal("NaN"), "expected int, found Decimal"),
    (sa.Integer(), "secret", r"expected int, found str; .* Field\(type=...\)"),
    (sa.Float(), True, "expected float, found bool"),
    (sa.Float(), Decimal("0.1"), "expected float, found Decimal"),
    (sa.Float(), "secret", "expected float, found str"),
    (sa.Numeric(9, 2), 0.5, "expected Decimal, found float"),
    (sa.Numeric(9, 2), True, "expected Decimal, found bool"),
    (sa.Numeric(), True, "expected Decimal, found bool"),
    (sa.Numeric(), "secret", "expected Decimal, found str"),
    (sa.Boolean(), 1, "expected bool, found int"),
    (sa.Text(), b"secret", "expected str, found bytes"),
    (sa.Text(), 1, "expected str, found int"),
    (sa.LargeBinary(), "secret", "expected bytes, found str"),
    (sa.Date(), MOMENT, "expected date, found datetime"),
    (sa.Date(), 20240131, "expected date, found int"),
    (sa.DateTime(), MOMENT.date(), "expected datetime, found date"),
    (sa.DateTime(), 20240131, "expected datetime, found int"),
    (sa.DateTime(), AWARE, "a value with a timezone.* timezone=True"),
    (sa.DateTime(timezone=True), MOMENT, "a value without a timezone"),
    (sa.Time(), 1, "expected time, found int"),
    (sa.Time(), AWARE.timetz(), "a value with a timezone"),
    (sa.Time(timezone=True), MOMENT.time(), "a value without a timezone"),
    (sa.Time(timezone=True), "secret", "expected time, found str"),
    (sa.Interval(), 1, "expected timedelta, found int"),
    (sa.Uuid(), b"secret, 16 bytes", "expected UUID, found bytes"),
    (sa.Uuid(), str(UUID), "expected UUID, found str"),
    (sa.ARRAY(sa.Text), "secret", "expected list, found str"),
    (sa.ARRAY(sa.Text), {"secret"}, "expected list, found set"),
    (sa.ARRAY(sa.Integer), b"secret", "expected list, found bytes"),
    (sa.ARRAY(sa.Integer), [[1]], "expected int, found list"),
    (sa.ARRAY(sa.Integer), [1.0], "expected int, found float"),
    (sa.ARRAY(sa.Integer, dimensions=2), [1], "expected list, found int"),
    # Values of the right class that are too long, too large or too exact.
    (sa.SmallInteger(), 2**15, r"a value that does not fit int16; .* Field\(type=...\)"),
    (sa.BigInteger(), 2**63, "does not fit int64"),
    (sa.BigInteger(), 10**4_200, "does not fit int64"),
    (sa.Float(), 2**53 + 1, "does not fit double"),
    (sa.REAL(), 3.5e38, "does not fit float32"),
    (sa.REAL(), -(10**400), "does not fit float32"),
    (sa.Numeric(9, 2), Decimal("1.005"), r"does not fit decimal128\(9, 2\)"),
    (sa.Numeric(9, 2), Decimal(10**7), r"does not fit decimal128\(9, 2\)"),
    (sa.Numeric(9, 2), Decimal("1E+99999999"), "does not fit decimal128"),
    (sa.Numeric(9, 2), 10**4_200, "does not fit decimal128"),
    (sa.Numeric(9, 2), Decimal("NaN"), "does not fit decimal128"),
    (sa.Numeric(50, 2), Decimal("Infinity"), "does not fit decimal256"),
    (sa.Interval(), dt.timedelta.max, "does not fit duration"),
    (sa.Text(), "secret \ud800", "a character that utf-8 cannot hold"),
    (sa.JSON(), "secret \ud800", "a character that utf-8 cannot hold"),
    (sa.JSON(), object(), r"a object without a text \(TypeError\)"),
    (sa.types.NullType(), Unspeakable(), r"a Unspeakable without a text \(RuntimeError\)"),
    # What the database has and Python has not.
    (sa.Date(), UnrepresentableText("infinity"), 'infinity.* on_unrepresentable="null"'),
    (sa.DateTime(), UnrepresentableText("secret"), 'on_unrepresentable="null"'),
    (sa.ARRAY(sa.Date), [UnrepresentableText("secret")], 'on_unrepresentable="null"'),
)


@ENCODERS
@pytest.mark.parametrize(("sqltype", "cell", "reason"), REFUSED)
def test_nothing_is_converted_silently(
    encoder_class: EncoderClass, sqltype: TypeEngine[Any], cell: Any, reason: str
) -> None:
    """A cell that its column cannot hold exactly is refused at once, by its column and class."""
    encoder = encoder_class()
    encoder.begin([column(sa.Integer(), "First"), column(sqltype, "Second")])
    encoder.encode([[1, None]])
    with pytest.raises(EncodeError, match=f"column 'Second': .*{reason}") as caught:
        encoder.encode([[1, cell]])
    assert "secret" not in "".join(traceback.format_exception(caught.value, limit=0))


@pytest.mark.parametrize(
    ("sqltype", "cell"),
    [
        (sa.SmallInteger(), 7654321),
        (sa.Numeric(9, 2), Decimal("0.7654321")),
        (sa.Numeric(3, 2), Decimal(7654321)),
        (sa.Integer(), "7654321"),
        (sa.Uuid(), b"7654321"),
        (sa.Text(), "7654321\ud800"),
        (sa.REAL(), 7654321 * 10**50),
    ],
)
def test_errors_hold_no_values(sqltype: TypeEngine[Any], cell: Any) -> None:
    """Those of pyarrow would show the cell; here not even the traceback does."""
    with pytest.raises(EncodeError) as caught:
        export(ArrowEncoder(), [column(sqltype)], [[cell]])
    assert "7654321" not in "".join(traceback.format_exception(caught.value, limit=0))


@ENCODERS
def test_columns_that_cannot_be(encoder_class: EncoderClass) -> None:
    """Headers are unique and can be written, and there is at least one."""
    with pytest.raises(ConfigurationError, match="'Name'"):
        encoder_class().begin([Column("a", "Name"), Column("b", "B"), Column("c", "Name")])
    with pytest.raises(EncodeError, match=r"column '\\ud800': a character"):
        encoder_class().begin([Column("a", "\ud800")])
    with pytest.raises(ConfigurationError, match="without columns"):
        encoder_class().begin([])


@ENCODERS
def test_headers_of_any_text(encoder_class: EncoderClass) -> None:
    """Dots, NUL and nothing at all are headers like any others."""
    headers = ["", "a.b", "a\0b", "é 😀", "a"]
    columns = [Column(f"{i}", header) for i, header in enumerate(headers)]
    assert tables(encoder_class(), columns, [headers]).to_pylist() == [
        {header: header for header in headers}
    ]


@ENCODERS
def test_pyarrow_is_named_when_missing(
    encoder_class: EncoderClass, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The constructor says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"async_export\[parquet\]") as caught:
        encoder_class()
    assert caught.value.what == f"the format {encoder_class.name}"


@ENCODERS
@pytest.mark.parametrize("uuid_form", ["text", None, uuid.UUID])
def test_unknown_forms_of_uuids(encoder_class: EncoderClass, uuid_form: Any) -> None:
    """The error lists the forms that there are."""
    with pytest.raises(ConfigurationError, match="uuid must be one of 'uuid', 'string'"):
        encoder_class(uuid=uuid_form)


@ENCODERS
def test_one_encoder_serves_many_exports(encoder_class: EncoderClass) -> None:
    """``begin`` starts afresh, whatever an export before has left behind."""
    encoder = encoder_class()
    whole = export(encoder, [column(sa.Integer())], [[1]])
    encoder.begin([column(sa.Text())])
    encoder.encode([["x"]])
    assert export(encoder, [column(sa.Integer())], [[1]]) == whole


def test_formats_have_names_of_their_own() -> None:
    """No two are alike in name, extension or content type."""
    for attribute in ("name", "extension", "content_type"):
        values = {getattr(each, attribute) for each in READERS}
        assert len(values) == len(READERS)

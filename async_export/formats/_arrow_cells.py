"""Cells of each kind as Arrow arrays.

pyarrow converts much without a word: 1.5 to the integer 1, a datetime to its date, an aware
datetime to a naive one, a bool to 1.0. So it only sees cells of the classes that are known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate, chain
from math import inf
from numbers import Integral
from typing import Any, Final, Literal, Protocol, TypeAlias
from uuid import UUID

from async_export.formats._cell_error import CellError, reason_of
from async_export.formats._texts import cell_text
from async_export.types import Cell, Kind, LogicalType, UnrepresentableText
from async_export.widgets import DecimalWidget, JSONWidget

__all__ = (
    "ARROW_NATIVES",
    "Arrays",
    "ArrowArray",
    "ArrowType",
    "UUIDForm",
    "arrays_of",
)

ArrowType: TypeAlias = Any
"""A ``pyarrow.DataType``."""

ArrowArray: TypeAlias = Any
"""A ``pyarrow.Array``."""

UUIDForm: TypeAlias = Literal["uuid", "string"]
"""How UUIDs are held: as such, or as text for readers that do not know them."""

ARROW_NATIVES: Final = frozenset(Kind) - {Kind.ANY, Kind.JSON}
"""Kinds that have a type of their own; the others are text."""

_MAX_DECIMAL128: Final = 38
_MAX_DECIMAL256: Final = 76
"""Digits that the decimals of Arrow hold."""

_FLOAT32_END: Final = 3.4028235677973366e38
"""From here on, a number rounds to infinity in 32 bits."""


class Arrays(Protocol):
    """Makes the arrays of one column."""

    @property
    def arrow_type(self) -> ArrowType:
        """Type of the arrays."""

    def array(self, cells: Sequence[Cell]) -> ArrowArray:
        """Give *cells* as an array, None as null.

        Raises:
            CellError: one of them has no equal in it.
        """


def arrays_of(logical: LogicalType, uuid: UUIDForm) -> Arrays:
    """Give the maker of the arrays of a column.

    Args:
        logical: Type of the column.
        uuid: How it holds UUIDs.
    """
    import pyarrow as pa

    if logical.kind is Kind.JSON:
        # The column has text cells; only what a hook made may be a value.
        return _texts(pa, lambda cell: cell if isinstance(cell, str) else _JSON.render(cell), str)
    return _arrays(pa, logical, uuid)


@dataclass(frozen=True, slots=True)
class _FlatArrays:
    """Arrays of values that hold no others.

    Attributes:
        arrow_type: Type of the arrays.
        usual: Classes of the cells that need no look.
        adapt: Makes one of these of a cell of another class, or refuses it.
        check: Refuses cells by their values, where pyarrow does not.
    """

    arrow_type: ArrowType
    usual: frozenset[type]
    adapt: Callable[[Cell], Cell]
    check: Callable[[Sequence[Cell]], None] | None = None

    def array(self, cells: Sequence[Cell]) -> ArrowArray:
        """Give *cells* as an array."""
        import pyarrow as pa

        cells = _adapted(cells, self.usual, self.adapt)
        if self.check is not None:
            self.check(cells)
        try:
            return pa.array(cells, self.arrow_type)
        except UnicodeEncodeError as error:
            # Neither is chained: these errors hold the value.
            raise CellError(reason_of(error)) from None
        except (ArithmeticError, TypeError, ValueError, pa.ArrowException):
            raise _unfit(self.arrow_type) from None


@dataclass(frozen=True, slots=True)
class _ListArrays:
    """Arrays of lists, whose items are looked at as cells are."""

    arrow_type: ArrowType
    items: Arrays

    def array(self, cells: Sequence[Cell]) -> ArrowArray:
        """Give *cells* as an array."""
        import pyarrow as pa

        cells = _adapted(cells, _LISTS, _instance_of(list, tuple))
        lengths = [0 if cell is None else len(cell) for cell in cells]
        ends = pa.array([*accumulate(lengths, initial=0)], pa.int32())
        items = self.items.array([*chain.from_iterable(filter(None, cells))])
        nulls = pa.array([cell is None for cell in cells], pa.bool_())
        return pa.ListArray.from_arrays(ends, items, self.arrow_type, mask=nulls)


def _arrays(pa: Any, logical: LogicalType, uuid: UUIDForm) -> Arrays:
    """Give the maker of the arrays of a column, or of the items of its lists."""
    if logical.kind is Kind.LIST:
        items = _arrays(pa, logical.item or LogicalType(), uuid)
        return _ListArrays(pa.list_(items.arrow_type), items)
    if logical.kind is Kind.UUID and uuid == "string":
        is_uuid = _instance_of(UUID)
        return _texts(pa, lambda cell: str(is_uuid(cell)))
    return _FLAT[logical.kind](pa, logical)


def _adapted(
    cells: Sequence[Cell], usual: frozenset[type], adapt: Callable[[Cell], Cell]
) -> Sequence[Cell]:
    if usual.issuperset(map(type, cells)):
        return cells
    return [cell if cell is None or type(cell) in usual else adapt(cell) for cell in cells]


def _instance_of(*classes: type, but_not: type | tuple[()] = ()) -> Callable[[Cell], Cell]:
    def adapt(cell: Cell) -> Cell:
        if isinstance(cell, classes) and not isinstance(cell, but_not):
            return cell
        raise _refusal(cell, classes[0])

    return adapt


def _refusal(cell: Cell, expected: type) -> CellError:
    if isinstance(cell, UnrepresentableText):
        return CellError(
            f"a value of the database that has no equal of type {expected.__name__}, as infinity "
            'has none; on_unrepresentable="null" makes it null'
        )
    return CellError(
        f"expected {expected.__name__}, found {type(cell).__name__}; if a hook or a "
        "TypeDecorator makes the cell, give the field the type that it has: Field(type=...)"
    )


def _unfit(arrow_type: ArrowType) -> CellError:
    return CellError(
        f"a value that does not fit {arrow_type}; give the field a wider type: Field(type=...)"
    )


# Kinds that have text


def _texts(pa: Any, text: Callable[[Cell], Cell], *usual: type) -> Arrays:
    def adapt(cell: Cell) -> Cell:
        try:
            return text(cell)
        except CellError:
            raise
        except Exception as error:  # noqa: BLE001 - a cell may raise anything from its __str__
            found = type(cell).__name__
            raise CellError(f"a {found} without a text ({type(error).__name__})") from None

    return _FlatArrays(pa.string(), frozenset({*usual, type(None)}), adapt)


def _decimal_text(cell: Cell) -> Cell:
    if isinstance(cell, bool):
        raise _refusal(cell, Decimal)
    return _DECIMAL.render(_instance_of(Decimal, Integral, float, UnrepresentableText)(cell))


def _time_text(cell: Cell) -> Cell:
    if isinstance(cell, UnrepresentableText):
        return cell
    _check_aware([_instance_of(time)(cell)])
    return time.isoformat(cell)


# Kinds that have a type


def _flat(
    arrow_type: ArrowType,
    usual: type,
    adapt: Callable[[Cell], Cell] | None = None,
    check: Callable[[Sequence[Cell]], None] | None = None,
) -> Arrays:
    adapt = adapt or _instance_of(usual)
    return _FlatArrays(arrow_type, frozenset({usual, type(None)}), adapt, check)


def _integers(pa: Any, logical: LogicalType) -> Arrays:
    widths = {16: pa.int16(), 32: pa.int32()}
    return _flat(widths.get(logical.bits or 0, pa.int64()), int, _integer)


def _integer(cell: Cell) -> Cell:
    if isinstance(cell, Integral) and not isinstance(cell, bool):
        return int(cell)
    # The sum of a bigint is a numeric.
    if isinstance(cell, Decimal) and cell.is_finite() and cell == (number := int(cell)):
        return number
    raise _refusal(cell, int)


def _floats(pa: Any, logical: LogicalType) -> Arrays:
    adapt = _instance_of(float, Integral, but_not=bool)
    if logical.bits == 32:  # noqa: PLR2004 - bits
        return _flat(pa.float32(), float, adapt, _check_float32)
    return _flat(pa.float64(), float, adapt)


def _check_float32(cells: Sequence[Cell]) -> None:
    for cell in cells:
        if cell is not None and _FLOAT32_END <= abs(cell) < inf:
            raise _unfit("float32")


def _decimals(pa: Any, logical: LogicalType) -> Arrays:
    precision, scale = logical.precision, logical.scale
    if precision is None or scale is None:
        return _texts(pa, _decimal_text)
    # PostgreSQL's scale may be negative, or more than the precision; Parquet's may not.
    precision = max(precision - min(scale, 0), scale, 1)
    if precision > _MAX_DECIMAL256:
        return _texts(pa, _decimal_text)
    decimal = pa.decimal128 if precision <= _MAX_DECIMAL128 else pa.decimal256
    adapt = _instance_of(Decimal, Integral, but_not=bool)
    return _flat(decimal(precision, max(scale, 0)), Decimal, adapt)


def _datetimes(pa: Any, logical: LogicalType) -> Arrays:
    if logical.timezone:
        # Whatever zones they come in, as instants they are the same.
        return _flat(pa.timestamp("us", "UTC"), datetime, check=_check_aware)
    return _flat(pa.timestamp("us"), datetime, check=_check_naive)


def _times(pa: Any, logical: LogicalType) -> Arrays:
    if logical.timezone:
        # Arrow has no times with an offset.
        return _texts(pa, _time_text)
    return _flat(pa.time64("us"), time, check=_check_naive)


def _check_aware(cells: Sequence[Cell]) -> None:
    if [cell for cell in cells if cell is not None and cell.tzinfo is None]:
        raise CellError(
            "a value without a timezone, where the column has timezone=True; give the field a "
            "type without: Field(type=...)"
        )


def _check_naive(cells: Sequence[Cell]) -> None:
    if [cell for cell in cells if cell is not None and cell.tzinfo is not None]:
        raise CellError(
            "a value with a timezone, which the column would lose; give the field a type with "
            "timezone=True: Field(type=...)"
        )


_DECIMAL: Final = DecimalWidget()
_JSON: Final = JSONWidget()
_LISTS: Final[frozenset[type]] = frozenset({list, tuple, type(None)})

_FLAT: Final[dict[Kind, Callable[[Any, LogicalType], Arrays]]] = {
    Kind.ANY: lambda pa, _: _texts(pa, cell_text, str),
    Kind.BINARY: lambda pa, _: _flat(
        pa.binary(), bytes, _instance_of(bytes, bytearray, memoryview)
    ),
    Kind.BOOLEAN: lambda pa, _: _flat(pa.bool_(), bool),
    Kind.DATE: lambda pa, _: _flat(pa.date32(), date, _instance_of(date, but_not=datetime)),
    Kind.DATETIME: _datetimes,
    Kind.DECIMAL: _decimals,
    Kind.DURATION: lambda pa, _: _flat(pa.duration("us"), timedelta),
    Kind.FLOAT: _floats,
    Kind.INTEGER: _integers,
    # In lists a string is a value, too, which has quotes as JSON.
    Kind.JSON: lambda pa, _: _texts(pa, _JSON.render),
    Kind.TEXT: lambda pa, _: _flat(pa.string(), str),
    Kind.TIME: _times,
    Kind.UUID: lambda pa, _: _flat(pa.uuid(), UUID),
}
"""Makers for values that hold no others; those of columns of JSON are `arrays_of`'s."""

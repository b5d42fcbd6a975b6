"""Widgets: from a value to a cell. They never know the output format.

A widget gives two cells for a value: ``render`` a text, ``native`` one that keeps its Python type.
In both, None is empty (``""`` and None), and `UnrepresentableText` passes unchanged, but for its
fraction and offset where those of other values are not shown. A value of the wrong type raises
TypeError: it is never dropped.

``render_sql`` and ``native_sql`` are expressions of PostgreSQL for the same cells, where there are
any that give exactly the same.

| widget | text | native |
|---|---|---|
| `Widget`, `CharWidget` | ``str(value)``, bytes as UTF-8 | unchanged; text for `CharWidget` |
| `NumberWidget` and its kin | all digits, never an exponent, never localized | unchanged |
| `BooleanWidget` | ``1`` or ``0`` | bool |
| `DateWidget` | ``2024-01-31`` | date |
| `DateTimeWidget` | ``2024-01-31 09:05:00`` | datetime in the widget's zone |
| `TimeWidget` | ``09:05:00`` | time |
| `DurationWidget`, `IntervalWidget` | ``2 days, 3:00:00`` | timedelta |
| `SimpleArrayWidget` | ``a,b,c`` | list |
| `JSONWidget` | JSON | unchanged |
| `ForeignKeyWidget` | text of the key | the key, or a list for composite ones |
| `ManyToManyWidget` | ``1,2,3`` | list |
| `UUIDWidget` | ``6f1c…`` | UUID |
| `EnumWidget` | the stored text | the same |
| `BinaryWidget` | hexadecimal or base64 | bytes |
| `RangeWidget`, `InetWidget`, `BitWidget` | PostgreSQL's own text | the same |
| `AutoWidget` | that of the value's Python type | likewise |
"""

from __future__ import annotations

from async_export.widgets._auto import AutoWidget, register, register_shape
from async_export.widgets._base import CharWidget, Widget, has_text
from async_export.widgets._binary import BinaryWidget, BitWidget, is_bit_string
from async_export.widgets._containers import JSONWidget, SequenceWidget, SimpleArrayWidget
from async_export.widgets._dates import (
    DateTimeWidget,
    DateWidget,
    DurationWidget,
    IntervalWidget,
    TimeWidget,
    parse_timezone,
)
from async_export.widgets._enums import EnumWidget
from async_export.widgets._identifiers import InetWidget, UUIDWidget
from async_export.widgets._numbers import (
    BooleanWidget,
    DecimalWidget,
    FloatWidget,
    IntegerWidget,
    NumberWidget,
)
from async_export.widgets._ranges import RangeWidget, is_range
from async_export.widgets._relations import ForeignKeyWidget, ManyToManyWidget

__all__ = (
    "AutoWidget",
    "BinaryWidget",
    "BitWidget",
    "BooleanWidget",
    "CharWidget",
    "DateTimeWidget",
    "DateWidget",
    "DecimalWidget",
    "DurationWidget",
    "EnumWidget",
    "FloatWidget",
    "ForeignKeyWidget",
    "InetWidget",
    "IntegerWidget",
    "IntervalWidget",
    "JSONWidget",
    "ManyToManyWidget",
    "NumberWidget",
    "RangeWidget",
    "SimpleArrayWidget",
    "TimeWidget",
    "UUIDWidget",
    "Widget",
    "has_text",
    "parse_timezone",
)

for _widget in (
    CharWidget(),
    NumberWidget(),
    BooleanWidget(),
    DateWidget(),
    DateTimeWidget(),
    TimeWidget(),
    DurationWidget(),
    UUIDWidget(),
    EnumWidget(),
    BinaryWidget(),
    InetWidget(),
    SequenceWidget(),
):
    register(_widget, *_widget.accepts)
register(JSONWidget(), dict)
register_shape(RangeWidget(), is_range)
register_shape(BitWidget(), is_bit_string)

"""Widgets: their cells, the reference's text, and what they refuse."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from ipaddress import ip_address, ip_interface, ip_network
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naming import named
from sqlalchemy.dialects.postgresql import Range

from async_export.errors import ConfigurationError
from async_export.types import Cell, Kind, LogicalType, UnrepresentableText
from async_export.widgets import (
    AutoWidget,
    BinaryWidget,
    BitWidget,
    BooleanWidget,
    CharWidget,
    DateTimeWidget,
    DateWidget,
    DecimalWidget,
    DurationWidget,
    EnumWidget,
    FloatWidget,
    ForeignKeyWidget,
    InetWidget,
    IntegerWidget,
    IntervalWidget,
    JSONWidget,
    ManyToManyWidget,
    NumberWidget,
    RangeWidget,
    SimpleArrayWidget,
    TimeWidget,
    UUIDWidget,
    Widget,
    parse_timezone,
)

PARIS = ZoneInfo("Europe/Paris")
UNHURRIED = settings(deadline=None)
"""A loaded machine is no failure."""


def naive(*parts: int) -> datetime:
    """A datetime without a zone."""
    return datetime(*parts, tzinfo=None)  # type: ignore[misc,arg-type]  # noqa: DTZ001


class Color(Enum):
    """An enum of which name, value and stored text differ."""

    RED = "r"
    BLUE = "b"


class Level(IntEnum):
    """An enum that is a number."""

    LOW = 1


class Mood(StrEnum):
    """An enum that is a text."""

    FINE = "fine-value"


class Loud(str, Enum):  # noqa: UP042  # its str() is "Loud.YES", unlike a StrEnum's
    """The older form of an enum that is a text."""

    YES = "yes"


class Moment(datetime):
    """A datetime that shows itself in its own way, as pendulum's do."""

    def __str__(self) -> str:
        return "a moment"

    def isoformat(self, *_args: Any, **_kwargs: Any) -> str:
        """Return what no widget may show."""
        return "a moment"


class Span(timedelta):
    """A timedelta that shows itself in words."""

    def __str__(self) -> str:
        return "a while"


class Ratio(float):
    """A float whose repr is no number, as numpy's are."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Ratio"


class AsyncpgRange:
    """The range object of asyncpg, as far as it is read."""

    def __init__(self, lower: Any, upper: Any, bounds: str = "[)", empty: bool = False) -> None:
        self.lower = lower
        self.upper = upper
        self.bounds = bounds
        self.empty = empty

    @property
    def isempty(self) -> bool:
        """Whether nothing is in it."""
        return self.empty

    @property
    def lower_inc(self) -> bool:
        """Whether the lower bound is in it."""
        return self.bounds[0] == "["

    @property
    def upper_inc(self) -> bool:
        """Whether the upper bound is in it."""
        return self.bounds[1] == "]"


class AsyncpgBits:
    """The bit string of asyncpg, as far as it is read."""

    def as_string(self) -> str:
        """Return the bits in groups of four."""
        return "0101 1"

    def to_int(self) -> int:
        """Return the bits as a number."""
        return 11


EVERY_WIDGET: tuple[Widget, ...] = (
    Widget(),
    CharWidget(),
    NumberWidget(),
    IntegerWidget(),
    FloatWidget(),
    DecimalWidget(),
    BooleanWidget(),
    DateWidget(),
    DateWidget("%d.%m.%Y"),
    DateTimeWidget(),
    DateTimeWidget("iso", "Europe/Paris"),
    TimeWidget(),
    DurationWidget(),
    IntervalWidget(),
    SimpleArrayWidget(),
    SimpleArrayWidget(item=BinaryWidget()),
    JSONWidget(),
    ForeignKeyWidget(),
    ForeignKeyWidget(use_natural_foreign_keys=True),
    ManyToManyWidget(),
    UUIDWidget(),
    EnumWidget(),
    EnumWidget("name"),
    BinaryWidget(),
    RangeWidget(),
    InetWidget(),
    BitWidget(),
    AutoWidget(),
    AutoWidget(NumberWidget()),
)


# Parity with django-import-export

REFERENCE = """
import json, sys
from datetime import *
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo
import django
from django.conf import settings
settings.configure(USE_TZ=True, TIME_ZONE="UTC")
django.setup()
from django.utils.timezone import override
from import_export.widgets import *

def text(widget, value, zone):
    with override(zone):
        return eval(widget).render(eval(value))

print(json.dumps([text(*case) for case in json.load(sys.stdin)]))
"""

FLOATS = (
    "0.0 -0.0 1.0 0.1 0.1+0.2 1e-05 1e-07 123456.789 1e15 1e16 1e22 1e23 9007199254740993.0"
    " 2.0**54 1e40 1e-100 -1e100 float('nan') float('inf') float('-inf') 1.8e308"
)
DECIMALS = "1 1.10 -0.00 0E-10 0E+3 1E+3 1E-7 1.00E+6 123456789012345678901234567890.12 -1E-50"
DATES = ("date(1,1,1)", "date(868,1,2)", "date(2024,2,29)", "date(9999,12,31)")
STAMPS = (
    "datetime(1,1,2,tzinfo=UTC)",
    "datetime(868,1,2,3,4,5,6,tzinfo=UTC)",
    "datetime(2024,3,31,0,59,59,999999,tzinfo=UTC)",
    "datetime(2024,3,31,1,0,tzinfo=UTC)",
    "datetime(2024,7,1,12,0,tzinfo=ZoneInfo('America/New_York'))",
    "datetime(9999,12,30,23,59,59,tzinfo=UTC)",
)
TIMES = ("time(0)", "time(9,5,0,7)", "time(23,59,59,999999,tzinfo=UTC)")
DURATIONS = ("0", "0,0,5", "2,10800,5", "-1", "0,-1", "-400,3", "999999999,86399,999999")
JSONS = ('{"b":1,"a":[1.5,None,True]}', "[[]]", "' '", "'\\u00e9\"'", "float('nan')", "1e16")
DATE_FORMATS = ("%d/%m/%Y", "%G-W%V", "%C%%Y %%%Y", "%F", "%j %y")


def parity_cases() -> list[tuple[str, str, str]]:
    """Widget and value as Python source, and the zone of the export."""
    numbers = [*FLOATS.split(), *(f"Decimal('{text}')" for text in DECIMALS.split())]
    numbers += ["0", "-7", "10**30", "True", "Fraction(1,3)"]
    pairs = [(f"{name}Widget()", value) for name in ("Number", "Float") for value in numbers]
    pairs += [("DecimalWidget()", "Decimal('5.00')"), ("IntegerWidget()", "1234567")]
    pairs += [(f"{name}()", "None") for name in ("Widget", "CharWidget", "NumberWidget")]
    pairs += [("Widget()", value) for value in ("'é'", "b'\\xc3\\xa9'", "{'a': 1}", "1.5")]
    pairs += [("CharWidget()", value) for value in ("''", "'a,b'", "b'x'", "7", "1e16", "True")]
    pairs += [("BooleanWidget()", value) for value in ("True", "False", "None")]
    pairs += [("DateWidget()", value) for value in (*DATES, STAMPS[2], "None")]
    pairs += [(f"DateWidget({f!r})", value) for f in DATE_FORMATS for value in DATES]
    pairs += [("TimeWidget()", value) for value in (*TIMES, "None")]
    pairs += [("TimeWidget('%H.%M %f')", value) for value in TIMES]
    pairs += [("DurationWidget()", f"timedelta({value})") for value in DURATIONS]
    arrays = ("[]", "['a','b,c']", "[1,None,2.5]", "(1,2)", "[[1,2],[3]]", "[1e-07,True]", "None")
    pairs += [("SimpleArrayWidget('|')", value) for value in arrays]
    cases = [(*pair, "UTC") for pair in pairs]
    for zone in ("UTC", "Europe/Paris", "Asia/Kathmandu"):
        cases += [("DateTimeWidget()", value, zone) for value in STAMPS]
        cases += [("DateTimeWidget('%Y/%m/%d %H:%M:%S.%f')", value, zone) for value in STAMPS]
    return cases


def rendered(widget: str, value: str, zone: str) -> Any:
    """Our cell for a case of parity."""
    names = globals()
    return eval(widget, names).with_timezone(ZoneInfo(zone)).render(eval(value, names))


def reference_texts(cases: list[tuple[str, str, str]]) -> list[Any]:
    """What django-import-export's widgets render, in a process of their own."""
    script = [sys.executable, "-W", "ignore", "-c", REFERENCE]
    ran = subprocess.run(
        script, input=json.dumps(cases), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    texts: list[Any] = json.loads(ran.stdout)
    return texts


def test_text_equals_the_reference() -> None:
    """Every sound cell of django-import-export is ours, byte for byte."""
    cases = parity_cases()
    expected = dict(zip(cases, reference_texts(cases), strict=True))
    assert {case: rendered(*case) for case in cases} == expected


def test_json_equals_the_reference_when_escaped() -> None:
    """JSON cells differ from the reference's only by ensure_ascii."""
    expected = reference_texts([("JSONWidget()", value, "UTC") for value in JSONS])
    names = globals()
    assert [JSONWidget(ensure_ascii=True).render(eval(v, names)) for v in JSONS] == expected


def test_where_the_reference_is_a_trap_we_differ() -> None:
    """The reference writes exponents, drops values and gives no text; we do not."""
    sources = {
        ("NumberWidget()", "5e-324"): (f"0.{'0' * 323}5", "5e-324"),
        ("NumberWidget()", "1e300"): (f"1{'0' * 300}", "1e+300"),
        ("BooleanWidget()", "1"): ("1", ""),
        ("JSONWidget()", "None"): ("", None),
        ("JSONWidget()", "{}"): ("{}", None),
        ("JSONWidget()", "0"): ("0", None),
        ("JSONWidget()", "'é'"): ('"é"', '"\\u00e9"'),
        ("DurationWidget()", "type('Span', (timedelta,), {})(1)"): ("1 day, 0:00:00", ""),
    }
    cases = [(*source, "UTC") for source in sources]
    assert [rendered(*case) for case in cases] == [ours for ours, _ in sources.values()]
    assert reference_texts(cases) == [theirs for _, theirs in sources.values()]


# Text and native cells


@pytest.mark.parametrize("widget", EVERY_WIDGET, ids=named)
def test_none_is_empty(widget: Widget) -> None:
    """None is an empty text and None as a native cell, whatever the widget."""
    assert widget.render(None) == ""
    assert widget.native(None) is None


@pytest.mark.parametrize("widget", EVERY_WIDGET, ids=named)
def test_the_databases_own_text_passes(widget: Widget) -> None:
    """What Python cannot hold is shown as the database wrote it, and stays marked as such."""
    value = UnrepresentableText("infinity")
    assert widget.render(value) == value
    assert isinstance(widget.render(value), UnrepresentableText)
    assert widget.native(value) is value


BEYOND = (
    (DateTimeWidget(), "-infinity", "-infinity"),
    (DateTimeWidget(), "10000-01-01 00:00:00", "10000-01-01 00:00:00"),
    (DateTimeWidget(), "0044-03-15 23:59:59.12 BC", "0044-03-15 23:59:59 BC"),
    (DateTimeWidget(), "0044-03-15 23:59:59.000001+00 BC", "0044-03-15 23:59:59 BC"),
    (DateTimeWidget(), "294276-12-31 23:59:59+00", "294276-12-31 23:59:59"),
    (DateTimeWidget("iso"), "0044-03-15 23:59:59.12+00 BC", "0044-03-15 23:59:59.12+00 BC"),
    (DateTimeWidget("%Y"), "10000-01-01 00:00:00.5+00", "10000-01-01 00:00:00.5+00"),
    (TimeWidget(), "24:00:00", "24:00:00"),
    (TimeWidget(), "24:00:00-03:30:15", "24:00:00"),
    (TimeWidget("iso"), "24:00:00-03:30:15", "24:00:00-03:30:15"),
    (TimeWidget("%H"), "24:00:00+00", "24:00:00+00"),
)


@pytest.mark.parametrize(("widget", "own", "text"), BEYOND, ids=named)
def test_what_is_not_shown_of_the_databases_own_text(widget: Widget, own: str, text: str) -> None:
    """Without a format fraction and offset are left out, as of values that Python can hold."""
    value = UnrepresentableText(own)
    shown = widget.render(value)
    assert shown == text
    assert isinstance(shown, UnrepresentableText)
    assert ForeignKeyWidget(item=widget).render(value) == text
    assert widget.native(value) is value


@pytest.mark.parametrize("widget", EVERY_WIDGET, ids=named)
def test_keywords_of_the_export_are_accepted(widget: Widget) -> None:
    """The caller's keywords reach every widget and disturb none."""
    assert widget.render(None, tenant=7, sort_json_keys=True) == ""
    assert widget.native(None, tenant=7) is None


CELLS: tuple[tuple[Widget, Any, str, Any], ...] = (
    (Widget(), Loud.YES, "yes", Loud.YES),
    (CharWidget(), Loud.YES, "yes", "yes"),
    (CharWidget(), 7, "7", "7"),
    (CharWidget(), "a", "a", "a"),
    (CharWidget(), bytearray("é".encode()), "é", "é"),
    (NumberWidget(), 7, "7", 7),
    (NumberWidget(), 1e23, "100000000000000000000000", 1e23),
    (NumberWidget(), Ratio(1e-7), "0.0000001", Ratio(1e-7)),
    (NumberWidget(), Fraction(1, 3), "1/3", Fraction(1, 3)),
    (IntegerWidget(), Level.LOW, "1", Level.LOW),
    (DecimalWidget(), Decimal("-Infinity"), "-Infinity", Decimal("-Infinity")),
    (DecimalWidget(), Decimal("1E+30"), f"1{'0' * 30}", Decimal("1E+30")),
    (DecimalWidget(), Decimal("1E-400"), f"0.{'0' * 399}1", Decimal("1E-400")),
    (BooleanWidget(), True, "1", True),
    (BooleanWidget(), 0, "0", False),
    (DateWidget(), date(868, 1, 2), "0868-01-02", date(868, 1, 2)),
    (DateWidget("iso"), date(868, 1, 2), "0868-01-02", date(868, 1, 2)),
    (DateWidget(), datetime(2024, 1, 2, 23, tzinfo=UTC), "2024-01-02", date(2024, 1, 2)),
    (DateWidget(), Moment(2024, 1, 2), "2024-01-02", date(2024, 1, 2)),
    (DateTimeWidget(), Moment(2024, 1, 2, 3), "2024-01-02 03:00:00", Moment(2024, 1, 2, 3)),
    (DateTimeWidget(), naive(868, 1, 2), "0868-01-02 00:00:00", naive(868, 1, 2)),
    (TimeWidget(), time(9, 5, 0, 7), "09:05:00", time(9, 5, 0, 7)),
    (TimeWidget("iso"), time(9, 5, 0, 7, UTC), "09:05:00.000007+00:00", time(9, 5, 0, 7, UTC)),
    (DurationWidget(), Span(1), "1 day, 0:00:00", timedelta(1)),
    (SimpleArrayWidget(), ("a", None), "a,None", ["a", None]),
    (SimpleArrayWidget(item=BinaryWidget()), [[b"a", None], b"b"], "[61, None],62", None),
    (JSONWidget(), {"b": "é", "a": None}, '{"b": "é", "a": null}', {"b": "é", "a": None}),
    (JSONWidget(sort_keys=True), {"b": 1, "a": 2}, '{"a": 2, "b": 1}', {"b": 1, "a": 2}),
    (JSONWidget(), "", '""', ""),
    (ForeignKeyWidget(), 7, "7", 7),
    (ForeignKeyWidget(), 0, "0", 0),
    (ForeignKeyWidget(), (1, "x", None), "1,x,", [1, "x", None]),
    (ForeignKeyWidget("price"), Decimal("1E+1"), "10", Decimal("1E+1")),
    (ForeignKeyWidget("color", item=EnumWidget("name")), Color.RED, "RED", "RED"),
    (ManyToManyWidget("|"), [1, None, "b,c"], "1|None|b,c", [1, None, "b,c"]),
    (ManyToManyWidget(field="at"), [naive(1, 1, 1)], "0001-01-01 00:00:00", None),
    (UUIDWidget(), uuid.UUID(int=1), str(uuid.UUID(int=1)), uuid.UUID(int=1)),
    (EnumWidget(), Color.RED, "r", "r"),
    (EnumWidget(), Level.LOW, "1", 1),
    (EnumWidget("name"), Color.RED, "RED", "RED"),
    (EnumWidget("value", str), Level.LOW, "1", 1),
    (EnumWidget(lookup={Color.RED: "rouge"}), Color.RED, "rouge", "rouge"),
    (EnumWidget(lookup=lambda member: member.name), Color.RED, "RED", "RED"),
    (EnumWidget(lookup={Color.RED: "rouge"}), "vert", "vert", "vert"),
    (BinaryWidget(), b"\x00\xff", "00ff", b"\x00\xff"),
    (BinaryWidget(), memoryview(b"\x00\xff"), "00ff", b"\x00\xff"),
    (BinaryWidget("base64"), bytearray(b"\xff" * 60), "/" * 80, b"\xff" * 60),
    (BitWidget(), AsyncpgBits(), "01011", "01011"),
    (BitWidget(), "01", "01", "01"),
)


@pytest.mark.parametrize(("widget", "value", "text", "native"), CELLS, ids=named)
def test_cells(widget: Widget, value: Any, text: str, native: Any) -> None:
    """Each widget gives these cells; None in the table stands for the value itself."""
    assert widget.render(value) == text
    assert type(widget.render(value)) is str
    cell = widget.native(value)
    assert cell == native if native is not None else cell is not None
    if native is not None:
        assert type(cell) is type(native) or cell is value


@UNHURRIED
@given(st.floats())
def test_floats_read_back(value: float) -> None:
    """The text of a float has no exponent and reads back as the same float."""
    text = FloatWidget().render(value)
    assert "e" not in text
    assert float.hex(float(text)) == float.hex(value)


@UNHURRIED
@given(st.decimals(allow_nan=False))
def test_decimals_read_back(value: Decimal) -> None:
    """The text of a decimal has no exponent, and no digit is lost."""
    text = DecimalWidget().render(value)
    assert "E" not in text
    assert Decimal(text) == value


@UNHURRIED
@given(st.dates())
def test_dates_are_isoformat(value: date) -> None:
    """The default form and its own pattern agree in every year."""
    assert DateWidget().render(value) == DateWidget("%Y-%m-%d").render(value)


@UNHURRIED
@given(st.datetimes())
def test_datetimes_have_four_digit_years(value: datetime) -> None:
    """The default form and its own pattern agree in every year."""
    assert DateTimeWidget().render(value) == DateTimeWidget("%Y-%m-%d %H:%M:%S").render(value)


@UNHURRIED
@given(st.times())
def test_times_drop_the_fraction(value: time) -> None:
    """The default form and its own pattern agree."""
    assert TimeWidget().render(value) == TimeWidget("%H:%M:%S").render(value)


# Time zones

NOON = datetime(2024, 7, 1, 12, 0, 0, 5, tzinfo=UTC)


def test_the_export_zone_fills_a_widget_without_one() -> None:
    """The resource's timezone counts where the widget has none; the original is left alone."""
    widget = DateTimeWidget()
    assert widget.render(NOON) == "2024-07-01 12:00:00"
    assert widget.with_timezone(PARIS).render(NOON) == "2024-07-01 14:00:00"
    assert widget.timezone is None


def test_a_widgets_own_zone_wins() -> None:
    """A zone of the widget, here by name, is not replaced by that of the export."""
    widget = DateTimeWidget(timezone="Asia/Kathmandu").with_timezone(PARIS)
    assert widget.render(NOON) == "2024-07-01 17:45:00"


def test_iso_shows_fraction_and_offset() -> None:
    """ISO on request keeps what the default form leaves out."""
    assert DateTimeWidget("iso", PARIS).render(NOON) == "2024-07-01T14:00:00.000005+02:00"


def test_native_datetimes_are_converted_and_aware() -> None:
    """A native cell is the same instant, in the zone."""
    cell = DateTimeWidget(timezone=PARIS).native(NOON)
    assert cell == NOON
    assert cell.tzinfo is PARIS


class Vague(tzinfo):
    """A zone that does not know its offset, so that its datetimes count as naive."""

    def utcoffset(self, _when: datetime | None) -> None:
        """Return no offset."""

    def dst(self, _when: datetime | None) -> None:
        """Return no offset."""

    def tzname(self, _when: datetime | None) -> None:
        """Return no name."""


@pytest.mark.parametrize("zone", [None, Vague()])
def test_naive_datetimes_stay_as_they_are(zone: tzinfo | None) -> None:
    """No zone is made up for a datetime that has none."""
    value = NOON.replace(tzinfo=zone)
    widget = DateTimeWidget(timezone=PARIS)
    assert widget.render(value) == "2024-07-01 12:00:00"
    assert widget.native(value) is value


@pytest.mark.parametrize(
    "value",
    [
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.min.replace(tzinfo=ZoneInfo("Asia/Tokyo")),
    ],
)
def test_conversion_beyond_the_calendar_is_an_error(value: datetime) -> None:
    """A datetime that the zone cannot show is refused, without its value in the message."""
    with pytest.raises(OverflowError, match=r"^a datetime in year 1 or 9999 .* Europe/Paris$"):
        DateTimeWidget(timezone=PARIS).render(value)


@pytest.mark.parametrize(
    ("widget", "value", "text"),
    [
        (AutoWidget(), NOON, "2024-07-01 14:00:00"),
        (ForeignKeyWidget("created"), NOON, "2024-07-01 14:00:00"),
        (ForeignKeyWidget("created"), (1, NOON), "1,2024-07-01 14:00:00"),
        (ManyToManyWidget(field="created"), [NOON], "2024-07-01 14:00:00"),
        (SimpleArrayWidget(item=DateTimeWidget()), [NOON], "2024-07-01 14:00:00"),
        (SimpleArrayWidget(), [NOON], "2024-07-01 12:00:00.000005+00:00"),
    ],
    ids=named,
)
def test_the_zone_reaches_inner_datetimes(widget: Widget, value: Any, text: str) -> None:
    """Widgets that choose or hold other widgets hand the zone on, and are themselves unchanged."""
    before = widget.render(value)
    assert widget.with_timezone(PARIS).render(value) == text
    assert widget.render(value) == before


@pytest.mark.parametrize(
    "widget", [w for w in EVERY_WIDGET if w.kind not in {Kind.ANY, Kind.DATETIME, Kind.LIST}]
)
def test_without_datetimes_there_is_no_copy(widget: Widget) -> None:
    """Widgets without datetimes inside answer with themselves."""
    assert widget.with_timezone(PARIS) is widget


def test_zones_by_name() -> None:
    """A zone is taken as it is, a name looked up, and UTC known without any database."""
    assert parse_timezone(PARIS) is PARIS
    assert parse_timezone("UTC") is UTC
    assert parse_timezone("Europe/Paris") == PARIS


@pytest.mark.parametrize("name", ["Europe/Pariss", "Europe", "", "../../etc/passwd", "/etc"])
def test_unknown_zones_are_refused(name: str) -> None:
    """A name that is no zone is an error at once, whatever zoneinfo makes of it."""
    with pytest.raises(ConfigurationError, match="unknown timezone"):
        DateTimeWidget(timezone=name)


# Refusals

SECRET = "s3cret"
REFUSED: tuple[tuple[Widget, Any, str], ...] = (
    (NumberWidget(), SECRET, "NumberWidget expected a number, not str"),
    (DecimalWidget(), NOON, "DecimalWidget expected a number, not datetime"),
    (BooleanWidget(), SECRET, "BooleanWidget expected a bool, 0 or 1, not str"),
    (BooleanWidget(), 2, "BooleanWidget expected a bool, 0 or 1, not int"),
    (DateWidget(), SECRET, "DateWidget expected a date, not str"),
    (DateTimeWidget(), date(2024, 1, 1), "DateTimeWidget expected a datetime, not date"),
    (TimeWidget(), NOON, "TimeWidget expected a time, not datetime"),
    (DurationWidget(), 5, "DurationWidget expected a timedelta, not int"),
    (IntervalWidget(), SECRET, "IntervalWidget expected a timedelta, not str"),
    (SimpleArrayWidget(), SECRET, "SimpleArrayWidget expected a list or tuple, not str"),
    (ManyToManyWidget(), {1}, "ManyToManyWidget expected a list or tuple, not set"),
    (UUIDWidget(), SECRET, "UUIDWidget expected a UUID, not str"),
    (EnumWidget(), 5, "EnumWidget expected a member of an enum, not int"),
    (BinaryWidget(), SECRET, "BinaryWidget expected bytes, not str"),
    (BitWidget(), 5, "BitWidget expected a bit string, not int"),
    (RangeWidget(), SECRET, "RangeWidget expected a range or a list of ranges, not str"),
    (RangeWidget(), [5], "RangeWidget expected a range or a list of ranges, not int"),
    (InetWidget(), 5, "InetWidget expected an IP address or network, not int"),
)


@pytest.mark.parametrize(("widget", "value", "message"), REFUSED, ids=named)
def test_wrong_types_are_refused(widget: Widget, value: Any, message: str) -> None:
    """A value of the wrong type is an error in both cells, which names types and no value."""
    for cell in (widget.render, widget.native):
        with pytest.raises(TypeError) as caught:
            cell(value)
        assert str(caught.value) == message


@pytest.mark.parametrize("widget", [Widget(), CharWidget(), AutoWidget(CharWidget())])
def test_bytes_that_are_no_text_are_refused(widget: Widget) -> None:
    """Bytes that are not UTF-8 are an error which names the cure and hides the value."""
    value = bytearray(b"s3cret\xff")
    chosen = Widget() if isinstance(widget, AutoWidget) else widget
    with pytest.raises(ValueError, match="use BinaryWidget") as caught:
        chosen.render(value)
    assert caught.value.__cause__ is None
    assert SECRET not in str(caught.value)


def test_members_without_stored_text_are_refused() -> None:
    """A lookup that does not know a member is an error that hides the member."""
    with pytest.raises(ValueError, match="no stored text for this member of Color"):
        EnumWidget(lookup={Color.RED: "rouge"}).render(Color.BLUE)


def test_json_of_what_json_cannot_hold_is_refused() -> None:
    """A value inside that has no JSON form is an error that names its type."""
    with pytest.raises(TypeError, match="datetime is not JSON serializable"):
        JSONWidget().render({"at": NOON})


async def asynchronous(_value: Any, **_kwargs: Any) -> str:
    """Render as no item may."""
    return ""


BAD_OPTIONS: tuple[Callable[[], Any], ...] = (
    lambda: BinaryWidget("hexa"),  # type: ignore[arg-type]
    lambda: EnumWidget("label"),  # type: ignore[arg-type]
    lambda: SimpleArrayWidget(""),
    lambda: ManyToManyWidget(""),
    lambda: ManyToManyWidget(field=""),
    lambda: ForeignKeyWidget(""),
    lambda: ForeignKeyWidget("name", use_natural_foreign_keys=True),
    lambda: DateWidget(5),  # type: ignore[arg-type]
    lambda: DateTimeWidget(timezone=5),  # type: ignore[arg-type]
    lambda: SimpleArrayWidget(item=ShoutingWidget()),
)


@pytest.mark.parametrize("make", BAD_OPTIONS)
def test_bad_options_are_configuration_errors(make: Callable[[], Any]) -> None:
    """Options that make no sense are found when the widget is made."""
    with pytest.raises(ConfigurationError):
        make()


# Relations


class Author:
    """A related object with a natural key."""

    def natural_key(self) -> tuple[str, int]:
        """Return what identifies it."""
        return ("Émile", 1840)


def test_natural_keys_are_json() -> None:
    """A natural key is shown as a JSON list, unescaped, and is a list as a native cell."""
    widget = ForeignKeyWidget(use_natural_foreign_keys=True)
    assert widget.render(Author()) == '["Émile", 1840]'
    assert widget.native(Author()) == ["Émile", 1840]


def test_a_missing_natural_key_names_the_cure() -> None:
    """An object without natural_key is an error that says what to do."""
    widget = ForeignKeyWidget(use_natural_foreign_keys=True)
    with pytest.raises(TypeError, match=r"SimpleNamespace has no natural_key\(\): add it, or give"):
        widget.render(SimpleNamespace())


def test_an_item_is_filled_in_once() -> None:
    """The plan may give a widget for the values; one that was declared stays."""
    declared = ManyToManyWidget(item=EnumWidget("name"))
    assert declared.with_item(EnumWidget("value")) is declared
    assert ManyToManyWidget().with_item(EnumWidget("name")).render([Color.RED]) == "RED"


def test_sort_json_keys_counts_for_json_wherever_it_is() -> None:
    """The keyword sort_json_keys overrides the option, through other widgets as well."""
    value = {"b": 1, "a": 2}
    for widget in (JSONWidget(), AutoWidget(), ForeignKeyWidget("extra")):
        assert widget.render(value, sort_json_keys=True) == '{"a": 2, "b": 1}'
    assert JSONWidget(sort_keys=True).render(value, sort_json_keys=False) == '{"b": 1, "a": 2}'


# PostgreSQL's own forms, as PostgreSQL 18 wrote them

RANGES: tuple[tuple[Any, str], ...] = (
    (Range(1, 10), "[1,10)"),
    (AsyncpgRange(1, 10), "[1,10)"),
    (Range(None, 5, bounds="[]"), "(,5]"),
    (Range(5, None, bounds="[]"), "[5,)"),
    (Range(None, None), "(,)"),
    (Range(1, 1, empty=True), "empty"),
    (AsyncpgRange(None, None, "[)", empty=True), "empty"),
    (Range(Decimal("1.10"), Decimal("1E+3"), bounds="[]"), "[1.10,1000]"),
    (Range(date(868, 1, 2), date(2024, 1, 6)), "[0868-01-02,2024-01-06)"),
    (
        Range(naive(2024, 1, 1), naive(2024, 2, 1, 0, 0, 0, 500000), bounds="(]"),
        '("2024-01-01 00:00:00","2024-02-01 00:00:00.5"]',
    ),
    (Range(datetime(2024, 1, 1, tzinfo=PARIS), None), '["2023-12-31 23:00:00+00",)'),
    (Range("", 'a"b\\c'), '["","a""b\\\\c")'),
    (Range("(x", "y,z"), '["(x","y,z")'),
    ([Range(1, 2), AsyncpgRange(5, 7)], "{[1,2),[5,7)}"),
    ([Range(naive(2024, 1, 1), None)], '{["2024-01-01 00:00:00",)}'),
    ([], "{}"),
)


@pytest.mark.parametrize(("value", "text"), RANGES, ids=named)
def test_ranges_look_as_postgresql_writes_them(value: Any, text: str) -> None:
    """Ranges and multiranges have PostgreSQL's own text, in both cells."""
    assert RangeWidget().render(value) == text
    assert RangeWidget().native(value) == text


ADDRESSES: tuple[tuple[Any, str], ...] = (
    (ip_address("10.0.0.1"), "10.0.0.1"),
    (ip_interface("10.0.0.1/24"), "10.0.0.1/24"),
    (ip_network("10.0.0.0/24"), "10.0.0.0/24"),
    (ip_address("2001:db8::ffff:1.2.3.4"), "2001:db8::ffff:102:304"),
    (ip_address("::ffff:1.2.3.4"), "::ffff:1.2.3.4"),
    (ip_address("::1.2.3.4"), "::1.2.3.4"),
    (ip_address("::0.1.0.0"), "::0.1.0.0"),
    (ip_address("::ffff:0:0"), "::ffff:0.0.0.0"),
    (ip_address("::5:1:2"), "::5:1:2"),
    (ip_address("::1"), "::1"),
    (ip_address("::"), "::"),
    (ip_interface("::ffff:1.2.3.4/100"), "::ffff:1.2.3.4/100"),
    (ip_network("::ffff:1.2.3.0/120"), "::ffff:1.2.3.0/120"),
    ("10.0.0.1", "10.0.0.1"),
)


@pytest.mark.parametrize(("value", "text"), ADDRESSES, ids=named)
def test_addresses_look_as_postgresql_writes_them(value: Any, text: str) -> None:
    """Addresses have PostgreSQL's own text on every Python, in both cells."""
    assert InetWidget().render(value) == text
    assert InetWidget().native(value) == text


# AutoWidget

SCALARS = st.one_of(st.text(), st.integers(), st.dates(), st.uuids())
TYPED: tuple[tuple[Widget, st.SearchStrategy[Any]], ...] = (
    (CharWidget(), st.text()),
    (NumberWidget(), st.integers() | st.floats(allow_nan=False) | st.decimals(allow_nan=False)),
    (NumberWidget(), st.fractions() | st.sampled_from([Level.LOW])),
    (BooleanWidget(), st.booleans()),
    (DateWidget(), st.dates()),
    (DateTimeWidget(), st.datetimes(timezones=st.none() | st.just(UTC))),
    (TimeWidget(), st.times()),
    (DurationWidget(), st.timedeltas()),
    (UUIDWidget(), st.uuids()),
    (EnumWidget(), st.sampled_from([*Color, *Mood, *Loud, *Level])),
    (
        BinaryWidget(),
        st.binary() | st.binary().map(bytearray) | st.sampled_from([memoryview(b"\x00a")]),
    ),
    (SimpleArrayWidget(), st.lists(SCALARS) | st.lists(SCALARS).map(tuple)),
    (JSONWidget(), st.dictionaries(st.text(), st.integers() | st.none() | st.lists(st.text()))),
    (JSONWidget(), st.lists(st.dictionaries(st.text(), st.integers()), min_size=1)),
    (JSONWidget(), st.lists(st.lists(st.integers()), min_size=1)),
    (InetWidget(), st.ip_addresses().map(lambda a: ip_interface((a, 8))) | st.ip_addresses()),
    (RangeWidget(), st.builds(Range, st.integers(), st.dates() | st.none())),
    (RangeWidget(), st.lists(st.builds(Range, st.integers(), st.none()), min_size=1)),
    (SimpleArrayWidget(item=BinaryWidget()), st.lists(st.binary(), min_size=1)),
    (SimpleArrayWidget(item=EnumWidget()), st.lists(st.sampled_from(Color), min_size=1)),
)


@UNHURRIED
@given(st.data())
@pytest.mark.parametrize(("typed", "values"), TYPED)
def test_auto_equals_the_typed_widget(
    typed: Widget, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    """AutoWidget gives the cells of the widget for the value's type."""
    value = data.draw(values)
    auto = AutoWidget()
    for _ in range(2):
        assert auto.render(value) == typed.render(value)
    if not isinstance(value, Level):
        assert auto.native(value) == typed.native(value)


@pytest.mark.parametrize(
    ("preferred", "value", "text"),
    [
        (IntegerWidget(), 5, "5"),
        (IntegerWidget(), True, "1"),
        (IntegerWidget(), Level.LOW, "1"),
        (IntegerWidget(), "five", "five"),
        (DateWidget("%d.%m.%Y"), date(2024, 1, 2), "02.01.2024"),
        (DateWidget("%d.%m.%Y"), naive(2024, 1, 2), "2024-01-02 00:00:00"),
        (EnumWidget("name"), Mood.FINE, "FINE"),
        (BinaryWidget("base64"), memoryview(b"x"), "eA=="),
        (JSONWidget(), "x", '"x"'),
        (JSONWidget(), [1, None], "[1, null]"),
        (SimpleArrayWidget("|"), [1, 2], "1|2"),
        (CharWidget(), {"a": 1}, '{"a": 1}'),
        (CharWidget(), Fraction(1, 2), "1/2"),
        (CharWidget(), AsyncpgBits(), "01011"),
        (CharWidget(), slice(1), "slice(None, 1, None)"),
    ],
)
def test_a_preferred_widget_gets_what_it_accepts(preferred: Widget, value: Any, text: str) -> None:
    """The preferred widget serves its own types, and the Python type decides about all others."""
    assert AutoWidget(preferred).render(value) == text


class PointWidget(Widget):
    """A user's widget for a type of the user's."""

    accepts = (complex, slice)

    def render(self, value: Any, **kwargs: Any) -> Cell:
        """Return something of its own."""
        return "mine"


def test_a_preferred_widget_may_accept_unknown_types() -> None:
    """A widget of the user's is chosen for the types that it names."""
    assert AutoWidget(PointWidget()).render(slice(1)) == "mine"
    assert AutoWidget(PointWidget()).render(5) == "5"


# Subclasses, repr, kinds


class ShoutingWidget(DateWidget):
    """A user's widget that awaits."""

    async def render(self, value: Any, **kwargs: Any) -> str:
        """Return the date, and who asked."""
        return f"{super().render(value)} for {kwargs['tenant']}!"


async def test_a_subclass_may_render_with_async_def() -> None:
    """An async override passes the type checker and sees the caller's keywords."""
    assert await ShoutingWidget().render(date(2024, 1, 2), tenant=7) == "2024-01-02 for 7!"


@pytest.mark.parametrize(
    ("widget", "text"),
    [
        (DateWidget(), "DateWidget()"),
        (DateWidget("%Y"), "DateWidget(format='%Y')"),
        (JSONWidget(sort_keys=True), "JSONWidget(sort_keys=True)"),
        (ManyToManyWidget("|", "name"), "ManyToManyWidget(separator='|', field='name')"),
        (AutoWidget(IntegerWidget()), "AutoWidget(preferred=IntegerWidget())"),
        (ShoutingWidget("iso"), "ShoutingWidget(format='iso')"),
    ],
)
def test_repr_shows_what_was_chosen(widget: Widget, text: str) -> None:
    """A widget shows its class and the options that are not the default."""
    assert repr(widget) == text


@pytest.mark.parametrize(
    ("widget", "kind"),
    [
        (Widget(), Kind.ANY),
        (IntervalWidget(), Kind.DURATION),
        (RangeWidget(), Kind.TEXT),
        (ManyToManyWidget(), Kind.LIST),
        (EnumWidget(), Kind.ANY),
        (EnumWidget("name"), Kind.TEXT),
        (EnumWidget("value", {}), Kind.ANY),
        (EnumWidget(lookup={}), Kind.TEXT),
    ],
)
def test_logical_types(widget: Widget, kind: Kind) -> None:
    """A widget tells what its native cells are."""
    assert widget.logical_type == LogicalType(kind)


@pytest.mark.parametrize("widget", EVERY_WIDGET, ids=named)
def test_widgets_can_be_pickled(widget: Widget) -> None:
    """A widget survives the way to a worker process."""
    assert repr(pickle.loads(pickle.dumps(widget))) == repr(widget)

"""YAML: tablib's bytes where these are right, values that read back, every refusal."""

from __future__ import annotations

import collections
import copy
import datetime as dt
import enum
import sys
import uuid
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
import tablib
import yaml
from encoded import TEXT, Dataset, columns_of, datasets, encoded
from hypothesis import given, settings
from hypothesis import strategies as st

from async_export.errors import ConfigurationError, EncodeError, MissingDependencyError
from async_export.formats._yaml import YAMLEncoder
from async_export.types import Kind, UnrepresentableText

BREAKS = "\x85\u2028\u2029"
"""What PyYAML does not read back, unless it is in double quotes."""

PIECES = st.sampled_from(
    (
        *("a", " ", "  ", "\n", "- ", ": ", " #", "'", '"', "\\", "[", "{", ",", "&a", "*a", "!!x"),
        *("|", ">", "%", "@", "`", "---", "...", "?", "~", "null", "yes", "1_0", "1:30", "0x1"),
        *("2024-01-31", "<<", "=", ".inf", "1e3", "x" * 50, "\t", "\0", "\ufeff", "\U0001f600"),
    )
)
WORDS = st.text(st.characters(exclude_characters=BREAKS)) | st.lists(PIECES).map("".join)
ZONES = st.none() | st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=-9, minutes=-30))])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False)
    | WORDS
    | st.binary(max_size=100)
    | st.dates()
    | st.datetimes(timezones=ZONES)
)
CELLS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3)
)


def one(cell: Any) -> str:
    """Give what stands for the cell of a record that has no other."""
    text = encoded(YAMLEncoder(), columns_of("a"), [[cell]]).decode()
    return text.removeprefix("- ").removesuffix("\n")


def expected_of(dataset: Dataset) -> str:
    """Give tablib's export of the dataset, of which it is told that no object occurs twice."""
    records = [[copy.deepcopy(cell) for cell in record] for record in dataset.records]
    text: str = tablib.Dataset(*records, headers=dataset.headers).export("yaml")
    return text


@settings(max_examples=100, deadline=None)
@given(datasets(CELLS, WORDS))
def test_bytes_are_those_of_tablib(dataset: Dataset) -> None:
    """Any cells in any batches give the bytes of tablib's export, and read back as they were."""
    made = encoded(YAMLEncoder(), dataset.columns, dataset.records, dataset.cuts)
    assert made == expected_of(dataset).encode()
    read = yaml.safe_load(made)
    assert read == [dict(zip(dataset.headers, record, strict=True)) for record in dataset.records]


@settings(max_examples=100, deadline=None)
@given(datasets(TEXT | st.text(BREAKS + " a'\n"), TEXT | st.text(BREAKS + "a")))
def test_all_text_reads_back(dataset: Dataset) -> None:
    """Also with the line breaks that PyYAML forgets to escape."""
    made = encoded(YAMLEncoder(), dataset.columns, dataset.records, dataset.cuts)
    read = yaml.safe_load(made)
    assert read == [dict(zip(dataset.headers, record, strict=True)) for record in dataset.records]


def test_exact_bytes() -> None:
    """A record of plain cells is on one line, one with others on several."""
    columns = columns_of("id", "Näme")
    assert encoded(YAMLEncoder(), columns, [[1, "é"], [None, True]]).decode() == (
        "- {id: 1, Näme: é}\n- {id: null, Näme: true}\n"
    )
    assert encoded(YAMLEncoder(), columns, [[1, [{"a": "x"}]]]).decode() == (
        "- id: 1\n  Näme:\n  - {a: x}\n"
    )


@pytest.mark.parametrize(("headers", "records"), [(["a"], []), ([], []), ([], [[], []])])
def test_nothing(headers: list[str], records: list[list[Any]]) -> None:
    """Without records, or without columns, it is what tablib writes."""
    expected = tablib.Dataset(*records, headers=headers).export("yaml")
    assert encoded(YAMLEncoder(), columns_of(*headers), records).decode() == expected


def test_no_aliases() -> None:
    """An object that occurs twice, in a record or in two, is written twice."""
    day, numbers = dt.date(2024, 1, 31), [1]
    made = encoded(YAMLEncoder(), columns_of("a", "b"), [[day, day], [numbers, numbers]])
    assert made == b"- {a: 2024-01-31, b: 2024-01-31}\n- a: [1]\n  b: [1]\n"


class Color(enum.Enum):
    """Members of two kinds."""

    RED = 1
    BLUE = "blue"


class Level(int, enum.Enum):
    """Numbers that show something else in ``str()``."""

    HIGH = 3


class Word(str, enum.Enum):  # noqa: UP042 - what older code has
    """Texts that do."""

    YES = "yes"


class Point(NamedTuple):
    """A tuple of a class of its own."""

    x: int
    y: int


class Key(uuid.UUID):
    """A UUID as asyncpg gives them."""


class Moment(dt.datetime):
    """A datetime of a class of its own."""


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (Decimal("1.10"), "{a: '1.10'}"),
        (Decimal("NaN"), "{a: NaN}"),
        (uuid.UUID(int=1), "{a: 00000000-0000-0000-0000-000000000001}"),
        (Key(int=1), "{a: 00000000-0000-0000-0000-000000000001}"),
        (dt.time(1, 2, 3, 4), "{a: '01:02:03.000004'}"),
        (dt.timedelta(days=1, hours=2), "{a: '1 day, 2:00:00'}"),
        (Color.RED, "{a: 1}"),
        (Color.BLUE, "{a: blue}"),
        (Level.HIGH, "{a: 3}"),
        (Word.YES, "{a: 'yes'}"),
        (UnrepresentableText("infinity"), "{a: infinity}"),
        (Point(1, 2), "a: [1, 2]"),
        (collections.OrderedDict(b=1, a=2), "a: {b: 1, a: 2}"),
        (float("nan"), "{a: .nan}"),
        (float("-inf"), "{a: -.inf}"),
        (Moment(2024, 1, 31), "{a: !!timestamp '2024-01-31 00:00:00'}"),
        ({"c", "a", "b"}, "a: !!set {a: null, b: null, c: null}"),
        (bytearray(b"by"), "a: !!binary |\n    Ynk="),
        (memoryview(b"by"), "a: !!binary |\n    Ynk="),
        ([Decimal(1), Color.RED], "a: ['1', 1]"),
        ("\ud800", '{a: "\\uD800"}'),
    ],
)
def test_cells(cell: Any, expected: str) -> None:
    """Values at which tablib fails, or of classes that it does not know, have one form too."""
    assert one(cell) == expected


def test_offsets_with_seconds() -> None:
    """A local mean time is text, since as a timestamp no reader would take it."""
    moment = dt.datetime(1900, 1, 1, tzinfo=ZoneInfo("Europe/Paris"))
    read = yaml.safe_load(encoded(YAMLEncoder(), columns_of("a"), [[moment]]))
    assert read == [{"a": "1900-01-01 00:00:00+00:09:21"}]


def test_duplicate_headers() -> None:
    """Two columns with one header would lose one of them, so ``begin`` names it."""
    with pytest.raises(ConfigurationError, match="'Name', and a YAML mapping"):
        YAMLEncoder().begin(columns_of("Name", "b", "Name"))


class Unspeakable:
    """A value that shows a secret."""

    def __repr__(self) -> str:
        return "secret"


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        (Unspeakable(), "'Unspeakable' has no YAML form"),
        ([{"a": frozenset()}], "'frozenset' has no YAML form"),
    ],
)
def test_cells_without_a_yaml_form(cell: object, named: str) -> None:
    """The error names the column and the type, never the value."""
    with pytest.raises(EncodeError, match=f"column 'b'.*{named}") as caught:
        encoded(YAMLEncoder(), columns_of("a", "b"), [[1, 2], [3, cell]])
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_endless_cells() -> None:
    """A list that contains itself is an error with its column."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(EncodeError, match=r"column 'a'.*nested"):
        encoded(YAMLEncoder(), columns_of("a"), [[endless]])


def test_without_pyyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML is not installed, the error says how to install it."""
    monkeypatch.delitem(sys.modules, "yaml")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(MissingDependencyError, match=r"async_export\[yaml\]"):
        YAMLEncoder()


def test_decimals_and_durations_are_text() -> None:
    """YAML takes native cells, except of the kinds that would be strings without their widget."""
    assert YAMLEncoder.cells == "native"
    assert set(Kind) - YAMLEncoder.natives == {Kind.DECIMAL, Kind.DURATION}


def test_copies_of_one_encoder_do_not_mix() -> None:
    """Two exports at once by copies of one encoder keep apart."""
    encoder = YAMLEncoder()
    first, second = copy.copy(encoder), copy.copy(encoder)
    first.begin(columns_of("a"))
    second.begin(columns_of("b"))
    assert first.encode([[1]]) + first.end() == b"- {a: 1}\n"
    assert second.end() == b"[]\n"

"""JSON and JSON Lines: tablib's bytes, valid JSON always, every refusal."""

from __future__ import annotations

import copy
import datetime as dt
import enum
import itertools
import json
import sys
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import tablib
from hypothesis import given
from hypothesis import strategies as st

from async_export.errors import ConfigurationError, EncodeError, MissingDependencyError
from async_export.formats import Encoder, JSONEncoder, JSONLinesEncoder
from async_export.types import Column, Kind, Record, UnrepresentableText

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.sampled_from(["}, {", '"}, {"', "\n", "[", "]"])
)
NESTED = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)
CELLS = (
    NESTED
    | st.decimals()
    | st.uuids()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC))
    | st.times()
)


class Color(enum.Enum):
    """An enum of numbers, one of them not finite."""

    RED = 1
    NONE = float("nan")


class Letter(str, enum.Enum):  # noqa: UP042 - whose str is not its value
    """Text that is no plain str."""

    A = "a"


ZONES = [
    None,
    dt.UTC,
    ZoneInfo("UTC"),
    ZoneInfo("Asia/Kolkata"),
    dt.timezone(dt.timedelta(seconds=-30)),
    ZoneInfo("Europe/Paris"),
]


@st.composite
def datasets(draw: st.DrawFn) -> tuple[list[str], list[list[Any]], list[int]]:
    """Draw headers, records and the places where the records are cut into batches."""
    headers = draw(st.lists(TEXT, min_size=1, max_size=4, unique=True))
    record = st.lists(CELLS, min_size=len(headers), max_size=len(headers))
    records = draw(st.lists(record, max_size=8))
    return headers, records, sorted(draw(st.lists(st.integers(0, len(records)), max_size=4)))


def export(
    encoder: Encoder, headers: Sequence[str], records: Sequence[Record], cuts: Sequence[int] = ()
) -> bytes:
    """Encode the records in batches that end at the *cuts*."""
    edges = [0, *cuts, len(records)]
    batches = [records[a:b] for a, b in itertools.pairwise(edges)]
    begin = encoder.begin([Column(f"field_{i}", header) for i, header in enumerate(headers)])
    return begin + b"".join(map(encoder.encode, batches)) + encoder.end()


def both(cell: Any, *, ensure_ascii: bool = False) -> str:
    """Return how JSON writes the cell, having made sure that JSON Lines does the same."""
    text = export(JSONEncoder(ensure_ascii=ensure_ascii), ["a"], [[cell]]).decode()
    lines = export(JSONLinesEncoder(ensure_ascii=ensure_ascii), ["a"], [[cell]]).decode()
    assert text == f"[{lines[:-1]}]"
    return text[len('[{"a": ') : -len("}]")]


@given(datasets())
def test_bytes_are_those_of_tablib(dataset: tuple[list[str], list[list[Any]], list[int]]) -> None:
    """Any cells in any batches give the bytes of tablib's export."""
    headers, records, cuts = dataset
    # tablib refuses records that hold no cells, and has no headers then either.
    expected = tablib.Dataset(*records, headers=headers).export("json")
    assert export(JSONEncoder(), headers, records, cuts) == expected.encode()


@given(datasets(), st.booleans())
def test_lines_are_those_of_json(
    dataset: tuple[list[str], list[list[Any]], list[int]], ensure_ascii: bool
) -> None:
    """Each line is what JSON writes for a file of that record alone."""
    headers, records, cuts = dataset
    lines = export(JSONLinesEncoder(ensure_ascii=ensure_ascii), headers, records, cuts)
    single = JSONEncoder(ensure_ascii=ensure_ascii)
    expected = [export(single, headers, [record])[1:-1] + b"\n" for record in records]
    assert lines == b"".join(expected)
    assert all(isinstance(json.loads(line), dict) for line in lines.split(b"\n")[:-1])


def test_exact_bytes() -> None:
    """Objects are keyed by header and separated as by tablib."""
    records: list[Record] = [[1, "é"], [None, True]]
    expected = '[{"id": 1, "Name": "é"}, {"id": null, "Name": true}]'
    assert export(JSONEncoder(), ["id", "Name"], records).decode() == expected
    lines = '{"id": 1, "Name": "é"}\n{"id": null, "Name": true}\n'
    assert export(JSONLinesEncoder(), ["id", "Name"], records).decode() == lines


@pytest.mark.parametrize("options", [{}, {"compact": True}])
def test_a_truncated_file_does_not_open(options: dict[str, bool]) -> None:
    """Wherever a list of objects ends too early, no reader takes it for whole."""
    made = export(JSONEncoder(**options), ["a", "b"], [[1, "x"], [None, "y"]])
    assert len(json.loads(made)) == 2
    for end in range(len(made)):
        with pytest.raises(ValueError):
            json.loads(made[:end])


def test_no_rows() -> None:
    """Without records JSON is an empty list and JSON Lines is empty."""
    assert export(JSONEncoder(), ["a"], []) == b"[]"
    assert export(JSONLinesEncoder(), ["a"], []) == b""


def test_no_columns() -> None:
    """Without columns each record is an empty object."""
    assert export(JSONEncoder(), [], [[], []]) == b"[{}, {}]"
    assert export(JSONLinesEncoder(), [], [[], []]) == b"{}\n{}\n"


def test_empty_header() -> None:
    """A column without a header has an empty key."""
    assert export(JSONLinesEncoder(), [""], [[1]]) == b'{"": 1}\n'


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (10**300, str(10**300)),
        (0.1, "0.1"),
        (Decimal("1.10"), '"1.10"'),
        (Decimal("NaN"), '"NaN"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (dt.date(2020, 1, 2), '"2020-01-02"'),
        (dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.UTC), '"2020-01-02T03:04:05+00:00"'),
        (dt.timedelta(1), '"1 day, 0:00:00"'),
        (Color.RED, "1"),
        (Color.NONE, '"nan"'),
        ([Decimal(1), (1, 2)], '["1", [1, 2]]'),
        (float("nan"), '"nan"'),
        (float("inf"), '"inf"'),
        (float("-inf"), '"-inf"'),
        ([1, [float("nan")]], '[1, ["nan"]]'),
        ({"a": float("inf"), "b": (float("nan"), 1.5)}, '{"a": "inf", "b": ["nan", 1.5]}'),
    ],
)
def test_cells(cell: Any, expected: str) -> None:
    """Each kind of cell has one JSON form, and not a number is text."""
    assert both(cell) == expected


def test_not_a_number_changes_no_other_cell() -> None:
    """A batch with a nan in it is otherwise written like any batch."""
    records: list[Record] = [[1, float("nan")], [Decimal("1.5"), "x"]]
    expected = b'{"a": 1, "b": "nan"}\n{"a": "1.5", "b": "x"}\n'
    assert export(JSONLinesEncoder(), ["a", "b"], records) == expected


def test_ensure_ascii() -> None:
    """With ``ensure_ascii`` there are only ASCII bytes, and lone surrogates pass."""
    assert both("é\ud800", ensure_ascii=True) == '"\\u00e9\\ud800"'


@pytest.mark.parametrize("encoder_class", [JSONEncoder, JSONLinesEncoder])
def test_duplicate_headers_are_refused(encoder_class: type[Encoder]) -> None:
    """Two columns with one header would lose one of them, so ``begin`` names it."""
    with pytest.raises(ConfigurationError, match="'Name'"):
        encoder_class().begin([Column("a", "Name"), Column("b", "B"), Column("c", "Name")])


@pytest.mark.parametrize("encoder_class", [JSONEncoder, JSONLinesEncoder])
@pytest.mark.parametrize(
    ("cell", "named"),
    [
        (b"secret", "bytes"),
        ({1, 2}, "set"),
        ([object()], "object"),
        ({("secret",): 1}, "tuple"),
        ("secret \ud800", "surrogates"),
        ([float("nan"), b"secret"], "bytes"),
    ],
)
def test_cells_without_a_json_form(encoder_class: type[Encoder], cell: object, named: str) -> None:
    """The error names the column and the type or reason, never the value."""
    with pytest.raises(EncodeError, match=f"column 'Second'.*{named}") as caught:
        export(encoder_class(), ["First", "Second"], [[1, 2], [float("nan"), cell]])
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_endless_cells() -> None:
    """A list that contains itself, or very many lists, is an error with its column."""
    endless: list[Any] = []
    endless.append(endless)
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    for cell in (endless, deep):
        with pytest.raises(EncodeError, match=r"column 'a'.*nested"):
            export(JSONEncoder(), ["a"], [[cell]])


def test_header_with_a_surrogate() -> None:
    """A header that UTF-8 cannot hold fails in ``begin``."""
    with pytest.raises(EncodeError, match="surrogates"):
        JSONEncoder().begin([Column("a", "\ud800")])


def test_decimals_and_durations_are_text() -> None:
    """JSON takes native cells, except of the kinds that would be strings anyhow."""
    assert JSONEncoder.cells == JSONLinesEncoder.cells == "native"
    assert set(Kind) - JSONEncoder.natives == {Kind.BINARY, Kind.DECIMAL, Kind.DURATION}


def test_copies_of_one_encoder_do_not_mix() -> None:
    """Two exports at once by copies of one encoder keep apart."""
    encoder = JSONEncoder()
    first, second = copy.copy(encoder), copy.copy(encoder)
    parts = [first.begin([Column("a", "a")]), first.encode([[1]])]
    second.begin([Column("b", "b")])
    parts += [first.encode([[2]]), first.end()]
    assert b"".join(parts) == b'[{"a": 1}, {"a": 2}]'
    assert second.encode([[3]]) + second.end() == b'{"b": 3}]'


SPECIAL = (
    st.floats()
    | st.sampled_from([Color.RED, Color.NONE, Letter.A, UnrepresentableText("infinity")])
    | st.datetimes(timezones=st.sampled_from(ZONES))
    | st.times(timezones=st.sampled_from(ZONES))
    | st.dictionaries(st.integers() | st.floats() | st.booleans() | st.none(), st.floats())
)
HEADERS = TEXT | st.text(st.sampled_from('"\\\x00\n\x1f{}é '), max_size=3)


@st.composite
def typed_datasets(draw: st.DrawFn) -> tuple[list[str], list[list[Any]], list[int]]:
    """Draw as `datasets` does, with cells of one type and None in most columns."""
    headers = draw(st.lists(HEADERS, min_size=1, max_size=4, unique=True))
    kinds = [st.floats(), st.datetimes(timezones=st.just(dt.UTC)), TEXT, st.integers()]
    columns = [draw(st.sampled_from([CELLS | SPECIAL, *kinds])) for _ in headers]
    record = st.tuples(*[st.none() | cells for cells in columns]).map(list)
    records = draw(st.lists(record, max_size=8))
    return headers, records, sorted(draw(st.lists(st.integers(0, len(records)), max_size=4)))


@given(typed_datasets())
def test_compact_values(dataset: tuple[list[str], list[list[Any]], list[int]]) -> None:
    """Compact JSON has the values of the other, no spaces, and the same bytes in any batches."""
    headers, records, cuts = dataset
    compact = export(JSONEncoder(compact=True), headers, records, cuts)
    plain = json.loads(export(JSONEncoder(), headers, records))
    assert json.loads(compact) == plain
    assert list(map(repr, json.loads(compact))) == list(map(repr, plain))
    lines = export(JSONLinesEncoder(compact=True), headers, records, cuts)
    assert compact == b"[" + b",".join(lines.split(b"\n")[:-1]) + b"]"
    assert compact == export(JSONEncoder(compact=True), headers, records)


@given(typed_datasets())
def test_compact_names(dataset: tuple[list[str], list[list[Any]], list[int]]) -> None:
    """A header that msgspec takes for no name changes nothing in the other columns."""
    headers, records, _ = dataset
    longer = [[*record, 1] for record in records]
    lines = export(JSONLinesEncoder(compact=True), headers, records)
    with_quote = export(JSONLinesEncoder(compact=True), [*headers, '"last"'], longer)
    assert with_quote == lines.replace(b"}\n", b',"\\"last\\"":1}\n')


def test_compact_bytes() -> None:
    """Without spaces, and floats in their shortest form."""
    records: list[Record] = [[1, "é", 1e16], [None, True, float("nan")], ["", [1, 2], 0.1]]
    expected = """\
{"id":1,"N":"é","f":1e16}
{"id":null,"N":true,"f":"nan"}
{"id":"","N":[1,2],"f":0.1}
"""
    assert export(JSONLinesEncoder(compact=True), ["id", "N", "f"], records).decode() == expected
    assert export(JSONEncoder(compact=True), ["a"], [[1], [2]], [1]) == b'[{"a":1},{"a":2}]'
    assert export(JSONEncoder(compact=True), ["a"], []) == b"[]"
    assert export(JSONEncoder(compact=True), [], [[], []]) == b"[{},{}]"
    assert export(JSONLinesEncoder(compact=True), [], [[], []]) == b"{}\n{}\n"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (10**300, str(10**300)),
        (Decimal("1.10"), '"1.10"'),
        (Decimal("NaN"), '"NaN"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (dt.datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC), '"2020-01-02T03:04:05.000006+00:00"'),
        (dt.datetime(1800, 1, 2, tzinfo=ZONES[-1]), '"1800-01-02T00:00:00+00:09:21"'),
        (dt.time(1, 2, tzinfo=dt.UTC), '"01:02:00+00:00"'),
        (float("-inf"), '"-inf"'),
        ({"a": [float("inf"), dt.date(1, 2, 3)]}, '{"a":["inf","0001-02-03"]}'),
        (Letter.A, '"a"'),
        (UnrepresentableText("infinity"), '"infinity"'),
    ],
)
def test_compact_cells(cell: Any, expected: str) -> None:
    """Each kind of cell has the value that it has otherwise."""
    line = f'{{"a":{expected}}}\n'
    assert export(JSONLinesEncoder(compact=True), ["a"], [[cell]]).decode() == line
    assert export(JSONLinesEncoder(), ["a"], [[cell]]).decode().replace(" ", "") == line


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        (b"secret", "bytes"),
        ({1, 2}, "set"),
        ([object()], "object"),
        ("secret \ud800", "surrogates"),
        (["secret \ud800"], "surrogates"),
    ],
)
def test_compact_refuses_what_json_refuses(cell: object, named: str) -> None:
    """Of what msgspec could write too, and with the same error."""
    for encoder in (JSONEncoder(compact=True), JSONLinesEncoder(compact=True)):
        with pytest.raises(EncodeError, match=f"column 'Second'.*{named}") as caught:
            export(encoder, ["First", "Second"], [[1, 2], [float("nan"), cell]])
        assert "secret" not in str(caught.value)


def test_compact_options() -> None:
    """Compact JSON is UTF-8, made in Python, needs an extra, and says so."""
    for encoder_class in (JSONEncoder, JSONLinesEncoder):
        assert encoder_class.extra == encoder_class().extra == ""
        assert encoder_class(compact=True).extra == "fast"
        with pytest.raises(ConfigurationError, match="ASCII"):
            encoder_class(compact=True, ensure_ascii=True)
        with pytest.raises(ConfigurationError, match="'A'"):
            encoder_class(compact=True).begin([Column("a", "A"), Column("b", "A")])
        with pytest.raises(EncodeError, match="surrogates"):
            encoder_class(compact=True).begin([Column("a", "\ud800")])
    assert JSONLinesEncoder().copy_form() is not None
    assert JSONLinesEncoder(compact=True).copy_form() is None


def test_compact_without_msgspec(monkeypatch: pytest.MonkeyPatch) -> None:
    """The constructor tells what to install; plain JSON does not need it."""
    monkeypatch.setitem(sys.modules, "msgspec", None)
    for encoder_class in (JSONEncoder, JSONLinesEncoder):
        with pytest.raises(MissingDependencyError, match=r"async_export\[fast\]"):
            encoder_class(compact=True)
        export(encoder_class(), ["a"], [[1]])

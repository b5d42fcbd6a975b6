"""Formulas: what is disarmed and what is not, and that LibreOffice evaluates none of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time as clock
import unicodedata
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payloads import ALL, HARMFUL, KEPT, PREFIXED, WITHIN

from async_export.errors import ConfigurationError, EncodeError
from async_export.formats._csv import CSVEncoder
from async_export.formats._formulas import FormulaGuard, FormulaPolicy, check_policy
from async_export.formats._tsv import TSVEncoder
from async_export.types import Column, Record

HOSTILE = st.lists(
    st.sampled_from([*"=+-@'\"\t\r\n\0,;|{} .:1aA%＝ー\xa0\ufeff\x1e", "-5", " day", "cmd|"])  # noqa: RUF001
).map("".join)


def guarded(texts: Sequence[Any], policy: FormulaPolicy = "escape") -> tuple[list[Any], int]:
    """Return what becomes of the cells of one column, and how many were counted."""
    guard = FormulaGuard(policy)
    guard.begin([Column("a", "A")])
    records = guard.records([[text] for text in texts])
    return [cell for (cell,) in records], guard.escaped


def escape(text: str) -> str:
    """Return what becomes of one cell, whether it is alone or among others."""
    alone, _ = guarded([text])
    among, _ = guarded(["=1", text, None, "-5", "x"])
    header = FormulaGuard("escape").headers([text])
    assert alone[0] == among[1] == header[0]
    result: str = alone[0]
    return result


@pytest.mark.parametrize(("_class", "text"), PREFIXED)
def test_prefixed(_class: int, text: str) -> None:
    """What starts like a formula gets an apostrophe in front."""
    assert escape(text) == f"'{text}"
    assert guarded([text])[1] == 1


@pytest.mark.parametrize(("_class", "text", "expected"), WITHIN)
def test_within(_class: int, text: str, expected: str) -> None:
    """What would start like one for a reader with another delimiter gets one there."""
    assert escape(text) == expected
    assert guarded([text])[1] == 1


@pytest.mark.parametrize(("_class", "text"), KEPT)
def test_kept(_class: int, text: str) -> None:
    """Numbers, durations, addresses and all other text stay as they are."""
    assert escape(text) == text
    assert guarded([text]) == ([text], 0)


def test_there_are_enough_of_them() -> None:
    """The corpus covers every class and holds nothing twice."""
    classes = {number for number, *_ in (*PREFIXED, *WITHIN, *KEPT)}
    assert classes == set(range(1, 14)) - {12}
    assert len(ALL) == len(set(ALL)) >= 80


@given(HOSTILE)
def test_twice_is_once(text: str) -> None:
    """What was disarmed is not changed again."""
    assert escape(escape(text)) == escape(text)


@given(HOSTILE)
def test_only_apostrophes_are_added(text: str) -> None:
    """Nothing is lost: without apostrophes both texts are the same."""
    assert escape(text).replace("'", "") == text.replace("'", "")


@settings(max_examples=300)
@given(HOSTILE, st.sampled_from([",", ";", "\t", "|", ",;", ",;\t|"]))
def test_no_reader_finds_a_sign_first(text: str, delimiters: str) -> None:
    """However the text is split, no part starts with a sign unless it is made of numbers."""
    parts = re.split(f"[\r\n{delimiters}]", escape(text))
    for part in (escape(text), *parts):
        start = part.lstrip(' "\0\xa0\ufeff\x1e')
        if start[:1] in {*"=@＝ー"}:  # noqa: RUF001
            pytest.fail(f"{part!r} starts with a sign")
        if start[:1] in {*"+-"}:
            # Spaces that do not break, and an apostrophe, group digits.
            rest = start[1:].translate(dict.fromkeys((0xA0, 0x202F, 0x2019)))
            assert re.fullmatch(r"[-+\d.:,;|\t\r\n e%'\"\])}]*( days?[\d,:. ]*)?", rest)


@given(st.lists(HOSTILE | st.none() | st.integers() | st.floats(), min_size=1, max_size=8))
def test_each_cell_for_itself(cells: list[Any]) -> None:
    """What becomes of a cell does not depend on those around it, nor does the count."""
    together, count = guarded(cells)
    singly = [guarded([cell]) for cell in cells]
    assert list(map(repr, together)) == [repr(cell) for (cell,), _ in singly]
    assert count == sum(number for _, number in singly)


def test_numbers_are_never_touched() -> None:
    """Typed cells stay the objects that they are, negative ones too."""
    cells = [-5, -5.5, Decimal("-1E+3"), timedelta(-1), date(2024, 1, 31), None, True]
    assert guarded(cells) == (cells, 0)
    among, count = guarded([*cells, "=1"])
    assert among == [*cells, "'=1"]
    assert count == 1


def test_objects_are_looked_at_as_their_text() -> None:
    """What a hook returns is text in the end, and disarmed like it."""

    class Formula:
        def __str__(self) -> str:
            return "=1+1"

    class Broken:
        def __str__(self) -> str:
            raise ValueError

    broken = Broken()
    assert guarded([Formula(), broken, ["=1"]]) == (["'=1+1", broken, ["=1"]], 1)


def test_nothing_to_do_costs_no_copy() -> None:
    """Records without formulas are given back as they came."""
    records: list[Record] = [["a", None, 1, "2024-01-31"], ["-5", "x", -1, "a = b"]]
    guard = FormulaGuard("escape")
    guard.begin([Column(name, name) for name in "abcd"])
    assert guard.records(records) is records
    assert guard.records([]) == []
    assert FormulaGuard("raw").records([["=1"]]) == [["=1"]]
    assert FormulaGuard("raw").headers(("=1",)) == ["=1"]


def test_headers_are_disarmed_and_not_counted() -> None:
    """Headers are text like any; only cells are counted."""
    guard = FormulaGuard("escape")
    guard.begin([Column("a", "=A")])
    assert guard.headers(["=A", "B"]) == ["'=A", "B"]
    assert guard.escaped == 0


def test_begin_counts_anew() -> None:
    """A guard counts the cells of one export."""
    guard = FormulaGuard("escape")
    guard.begin([Column("a", "A")])
    guard.records([["=1"], ["=2\n=3"]])
    assert guard.escaped == 2
    guard.begin([Column("a", "A")])
    assert guard.escaped == 0


@pytest.mark.parametrize("text", HARMFUL)
def test_reject(text: str) -> None:
    """What would be disarmed is refused instead; the column is named, the cell not shown."""
    guard = FormulaGuard("reject")
    guard.begin([Column("a", "First"), Column("b", "Second")])
    assert guard.records([["1", "-5"]]) == [["1", "-5"]]
    with pytest.raises(EncodeError, match="column 'Second'") as caught:
        guard.records([["1", text]])
    assert len(text) < 4 or text not in str(caught.value)
    with pytest.raises(ConfigurationError, match="header"):
        guard.headers(["First", text])


def test_policies() -> None:
    """There are three, and an unknown one is told them."""
    for policy in ("raw", "escape", "reject"):
        check_policy(policy)
    with pytest.raises(ConfigurationError, match=r"'escpae'.*'raw', 'escape', 'reject'"):
        FormulaGuard("escpae")  # type: ignore[arg-type]  # what users do


def test_whatever_cannot_be_seen_hides_no_sign() -> None:
    """All spaces, controls and characters of format that Unicode knows are looked behind."""
    unseen = [
        character
        for character in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(character) in {"Cc", "Cf", "Zs", "Zl", "Zp"}
    ]
    texts, count = guarded([f"{character}=1" for character in unseen])
    assert count == len(unseen) > 200
    assert all("'" in text for text in texts)


@pytest.mark.parametrize(
    "text",
    [
        "-" + "1" * 200_000,
        "-" + "1." * 100_000 + "x",
        "," * 200_000 + "=",
        ",-1" * 70_000 + "x",
        ";-1,-1" * 30_000 + "x",
        ' "' * 100_000 + "=",
        "-1 day " * 30_000,
        "{" * 200_000,
    ],
)
def test_long_text_takes_no_long_time(text: str) -> None:
    """Time grows with the length and not with its square."""
    begin = clock.process_time()
    escape(text)
    assert clock.process_time() - begin < 1


SEPARATORS = {"comma": "44", "semicolon": "59", "tab": "9", "all": "44/59/9/124"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
@pytest.mark.parametrize("separators", SEPARATORS.values(), ids=SEPARATORS)
def test_libreoffice_evaluates_nothing(tmp_path: Path, separators: str) -> None:
    """Whatever the delimiter of file and reader, escaped files hold no formula, and raw ones do."""
    encoders: dict[str, CSVEncoder] = {
        "raw": CSVEncoder(),
        "raw-tsv": TSVEncoder(),
        "escaped": CSVEncoder(formula_policy="escape"),
        "escaped-semicolon": CSVEncoder(formula_policy="escape", delimiter=";"),
        "escaped-tsv": TSVEncoder(formula_policy="escape"),
        "excel": CSVEncoder.excel(),
        "excel-semicolon": CSVEncoder.excel(delimiter=";"),
        "excel-tsv": TSVEncoder.excel(),
    }
    paths = [tmp_path / f"{name}.csv" for name in encoders]
    for path, encoder in zip(paths, encoders.values(), strict=True):
        path.write_bytes(corpus(encoder))
    # Of the options: UTF-8, from line 1, numbers recognised, and formulas evaluated.
    options = f"CSV:{separators},34,76,1,,0,false,true,false,false,false,-1,true"
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    command = ["soffice", profile, "--headless", f"--infilter={options}"]
    subprocess.run(
        [*command, "--convert-to", "fods", "--outdir", tmp_path, *paths],
        check=True,
        capture_output=True,
        timeout=100,
    )
    found = {
        path.stem: re.findall('table:formula="([^"]*)"', path.with_suffix(".fods").read_text())
        for path in paths
    }
    assert found.pop("raw")
    assert found.pop("raw-tsv")
    assert not any(found.values())


def corpus(encoder: CSVEncoder) -> bytes:
    """Return a file of all payloads, in cells, headers, titles and footers."""
    columns = [Column("a", "a"), Column("b", "=1+1"), Column("c", "c\n=2+2")]
    records: list[Record] = [[str(place), text, "x"] for place, text in enumerate(ALL)]
    begin = encoder.begin(columns, [["=3+3"], [None, "=4+4"]])
    return begin + encoder.encode(records) + encoder.end([["=5+5\n=6+6"]])

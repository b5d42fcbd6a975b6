"""Names of sheets, and the text that XML can hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_export.formats._sheet_names import SheetNames
from async_export.formats._xml_text import legal


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["Books", "books", "BOOKS"], ["Books", "books (2)", "BOOKS (3)"]),
        (["a/b", "a:b"], ["a-b", "a-b (2)"]),
        (["", " ", "'"], ["Sheet", "Sheet (2)", "Sheet (3)"]),
        (["History"], ["History (2)"]),
        (["x" * 40, "x" * 50], ["x" * 31, "x" * 27 + " (2)"]),
        (["\N{GRINNING FACE}" * 20], ["\N{GRINNING FACE}" * 15]),
        (["'quoted'", "a\nb\x00"], ["quoted", "a b\ufffd"]),
        (["' 'x", "x' '", "\xa0'x"], ["x", "x (2)", "x (3)"]),
        (["x" * 30 + "'y", "z" * 26 + "' " + "z" * 9], ["x" * 30, "z" * 26 + "' zzz"]),
        (["z" * 26 + "'" + "z" * 9] * 2, ["z" * 26 + "'zzzz", "z" * 26 + " (2)"]),
    ],
)
def test_names_of_sheets(wanted: list[str], names: list[str]) -> None:
    """Names are made as Excel takes them, and differ without regard to case."""
    given_names = SheetNames()
    assert [given_names.add(each) for each in wanted] == names


@given(st.lists(st.text() | st.text("x' \n", max_size=40), max_size=12))
def test_any_name_is_one(wanted: list[str]) -> None:
    """Whatever is wanted, each sheet has a name of its own within the rules."""
    given_names = SheetNames()
    names = [given_names.add(each) for each in wanted]
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        assert 0 < len(name.encode("utf-16-le", "strict")) // 2 <= 31
        assert not set(name) & set("[]:*?/\\\n\r\t")
        assert not {name[0], name[-1]} & set("' ")


@given(st.text())
def test_legal_text_is_xml(text: str) -> None:
    """What XML cannot hold is replaced, one character by one."""
    made = legal(text)
    assert len(made) == len(text)
    assert made.encode().decode() == made
    assert legal(made) == made

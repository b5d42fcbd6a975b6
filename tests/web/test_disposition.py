"""File names: whatever is asked for, the browser gets one that does no harm."""

from __future__ import annotations

import re
import unicodedata
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_export.web._disposition import MAX_BYTES, content_disposition, safe_file_name

KNOWN = ("csv", "json", "csv.gz")


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("books", "books.csv"),
        ("books.csv", "books.csv"),
        ("books.CSV", "books.csv"),
        ("books.json", "books.csv"),
        ("books.csv.gz", "books.csv"),
        ("books.exe", "books.exe.csv"),
        ("v1.2", "v1.2.csv"),
        ("Bücher 2026", "Bücher 2026.csv"),
        ("книги", "книги.csv"),
        ("", "export.csv"),
        ("...", "export.csv"),
        (".htaccess", "htaccess.csv"),
        ("../../etc/passwd", "passwd.csv"),
        ("..\\..\\boot.ini", "boot.ini.csv"),
        ("C:\\Users\\me\\a.csv", "a.csv"),
        ("a/b/", "export.csv"),
        ("a\r\nSet-Cookie: x=1", "aSet-Cookie_ x=1.csv"),
        ('a"; filename="b.exe', "a__ filename=_b.exe.csv"),
        ("a;b", "a_b.csv"),
        ("a\u037eb", "a_b.csv"),
        ("a\0b", "ab.csv"),
        ("gpj\u202evsc.exe", "gpjvsc.exe.csv"),
        ("a\u2066b\u2069\u2028", "ab.csv"),
        ("a\ud800b", "ab.csv"),
        ("a \t\u00a0 b", "a b.csv"),
        ("a.csv:stream", "a.csv_stream.csv"),
        ("what?<*>|", "what_____.csv"),
        ("CON", "_CON.csv"),
        ("nul.tar", "_nul.tar.csv"),
        ("Com1 .x", "_Com1 .x.csv"),
        ("LPT²", "_LPT².csv"),
        ("COM10", "COM10.csv"),
        ("console", "console.csv"),
        ("x" * 200, "x" * 145 + ".csv"),
        ("ж" * 200, "ж" * 72 + ".csv"),
        ("x" * 144 + " y", "x" * 144 + ".csv"),
    ],
)
def test_names(asked: str, given: str) -> None:
    """A name keeps what is harmless, loses the rest, and has the format's extension."""
    assert safe_file_name(asked, "csv", KNOWN) == given


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("books.csv", 'attachment; filename="books.csv"'),
        ("a.csv.csv", 'attachment; filename="a.csv.csv"'),
        ("it's.csv", 'attachment; filename="it\'s.csv"'),
        ("Bücher 2026.csv", "\"Bucher 2026.csv\"; filename*=UTF-8''B%C3%BCcher%202026.csv"),
        ("книги.csv", "\"export.csv\"; filename*=UTF-8''%D0%BA%D0%BD%D0%B8%D0%B3%D0%B8.csv"),
        ("本1.csv", "\"_1.csv\"; filename*=UTF-8''%E6%9C%AC1.csv"),
        ("100%.csv", "\"100_.csv\"; filename*=UTF-8''100%25.csv"),
        ("℅x.csv", "\"c_ox.csv\"; filename*=UTF-8''%E2%84%85x.csv"),
        ("‥1.csv", "\"1.csv\"; filename*=UTF-8''%E2%80%A51.csv"),
        (
            "\uff23\uff2f\uff2e.csv",
            "\"_CON.csv\"; filename*=UTF-8''%EF%BC%A3%EF%BC%AF%EF%BC%AE.csv",
        ),
    ],
)
def test_headers(name: str, header: str) -> None:
    """A name that is not plain ASCII comes in both forms, each of them harmless by itself."""
    start = "attachment; filename="
    assert content_disposition(name, "csv") == start + header.removeprefix(start)


@given(st.text(max_size=300), st.sampled_from(KNOWN))
def test_any_name(asked: str, extension: str) -> None:
    """Whatever is asked for, name and header keep the rules, and the name can be read back."""
    name = safe_file_name(asked, extension, KNOWN)
    header = content_disposition(name, extension)
    message = Message()
    message["Content-Disposition"] = header
    plain = re.fullmatch(r'attachment; filename="([^"\\%/;]+)"(?:; filename\*=\S+)?', header)

    assert message.get_filename() in {name, plain and plain[1]}
    assert ("filename*" in header) == (plain is None or name != plain[1])
    assert header.isascii()
    assert header.isprintable()
    assert len(name.encode()) <= MAX_BYTES
    assert name.endswith(f".{extension}")
    assert not name.startswith((".", " "))
    assert not set(name) & set('"/\\;:<>|?*')
    assert all(unicodedata.category(each) not in {"Cc", "Cf", "Cs"} for each in name)
    assert safe_file_name(name, extension) == name

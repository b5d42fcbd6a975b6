"""Number formats as Excel writes them, in the XML of OpenDocument."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

__all__ = ("UnknownFormatError", "data_style")

_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|\[\$(?P<currency>[^\]-]*)(?:-[^\]]*)?\]'
    r"|(?P<elapsed>\[[hms]+\])|(?P<noon>AM/PM|A/P)|(?P<seconds>s+(?:\.0+)?)|(?P<date>y+|m+|d+|h+)"
    r"|(?P<number>[#0,]*[#0](?:\.[0#]*)?|\.0+)(?P<exponent>E[+-]0+)?|(?P<percent>%)|(?P<text>@)"
    r"|(?P<literal>[ $€£¥()+/:.,'-])",
    re.IGNORECASE,
)
"""What number formats are made of; conditions, colours, fractions and sections are left out."""

_Token = tuple[str, str]

_LONG: Final = ' number:style="long"'


class UnknownFormatError(ValueError):
    """A number format that has no translation."""


def data_style(name: str, code: str) -> str:
    """Give the XML of a data style.

    Args:
        name: What it is called.
        code: The number format, such as ``"#,##0.00"`` or ``"dd.mm.yyyy"``.

    Raises:
        UnknownFormatError: there is no translation.
    """
    tokens = list(_tokens(code))
    kinds = {kind for kind, _ in tokens}
    if kinds & {"date", "seconds", "elapsed", "noon"}:
        return _dated(name, tokens)
    if "text" in kinds:
        return _style("text-style", name, "<number:text-content/>")
    if "number" in kinds:
        return _numeric(name, tokens)
    raise UnknownFormatError(code)


def _tokens(code: str) -> Iterator[_Token]:
    place = 0
    while place < len(code):
        found = _TOKEN.match(code, place)
        if found is None:
            raise UnknownFormatError(code)
        kind = found.lastgroup
        assert kind is not None
        if kind == "exponent":
            yield "number", found["number"] + found["exponent"]
        elif kind in {"quoted", "escaped", "currency", "literal"}:
            yield "literal", found[kind]
        else:
            yield kind, found[kind]
        place = found.end()


def _style(element: str, name: str, inside: str, attributes: str = "") -> str:
    return f'<number:{element} style:name="{name}"{attributes}>{inside}</number:{element}>'


def _literal(text: str) -> str:
    return f"<number:text>{escape(text)}</number:text>" if text else ""


def _numeric(name: str, tokens: Sequence[_Token]) -> str:
    element, inside, numbers = "number-style", [], 0
    for kind, text in tokens:
        if kind == "number":
            numbers += 1
            inside.append(_digits(text))
        elif kind == "percent":
            element = "percentage-style"
            inside.append(_literal("%"))
        else:
            inside.append(_literal(text))
    if numbers != 1:
        raise UnknownFormatError
    return _style(element, name, "".join(inside))


def _digits(text: str) -> str:
    digits, _, exponent = text.upper().partition("E")
    whole, _, part = digits.partition(".")
    least = part.count("0")
    attributes = (
        f' number:decimal-places="{len(part)}" number:min-decimal-places="{least}"'
        f' number:min-integer-digits="{whole.count("0")}"'
    )
    if exponent:
        attributes += f' number:min-exponent-digits="{exponent.count("0")}"'
        return f"<number:scientific-number{attributes}/>"
    if "," in whole:
        attributes += ' number:grouping="true"'
    return f"<number:number{attributes}/>"


def _dated(name: str, tokens: Sequence[_Token]) -> str:
    timed = _minutes(tokens)
    is_date = False
    overflows = False
    inside = []
    for place, (kind, text) in enumerate(tokens):
        if kind == "elapsed":
            overflows = True
            inside.append(_clock(text[1:-1].lower()))
        elif kind == "seconds":
            inside.append(_clock(text.lower()))
        elif kind == "noon":
            inside.append("<number:am-pm/>")
        elif kind == "date" and (place in timed or text[0] in "hH"):
            inside.append(_clock(text.lower()))
        elif kind == "date":
            is_date = True
            inside.append(_calendar(text.lower()))
        elif kind == "literal":
            inside.append(_literal(text))
        else:
            raise UnknownFormatError
    attributes = ' number:truncate-on-overflow="false"' if overflows else ""
    element = "date-style" if is_date else "time-style"
    return _style(element, name, "".join(inside), attributes)


def _minutes(tokens: Sequence[_Token]) -> set[int]:
    """Find where ``m`` means minutes: after hours, or before seconds."""
    parts = [
        (place, kind, text.strip("[]").lower()[0])
        for place, (kind, text) in enumerate(tokens)
        if kind in {"date", "seconds", "elapsed"}
    ]
    found = set()
    for number, (place, _, letter) in enumerate(parts):
        before = parts[number - 1][2] if number else ""
        after = parts[number + 1][2] if number + 1 < len(parts) else ""
        if letter == "m" and (before == "h" or after == "s"):
            found.add(place)
    return found


def _clock(text: str) -> str:
    letters, _, part = text.partition(".")
    element = {"h": "hours", "m": "minutes", "s": "seconds"}[letters[0]]
    attributes = _LONG if len(letters) > 1 else ""
    if part:
        attributes += f' number:decimal-places="{len(part)}"'
    return f"<number:{element}{attributes}/>"


def _calendar(text: str) -> str:
    letter, length = text[0], len(text)
    if letter == "y":
        return f"<number:year{_LONG if length > len('yy') else ''}/>"
    is_long = _LONG if length in {2, 4} else ""
    if letter == "m":
        textual = ' number:textual="true"' if length > len("mm") else ""
        return f"<number:month{is_long}{textual}/>"
    return f"<number:{'day-of-week' if length > len('dd') else 'day'}{is_long}/>"

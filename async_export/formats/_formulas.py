"""Cells that a spreadsheet would take for formulas (CWE-1236)."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Final, Literal, TypeAlias, get_args
from uuid import UUID

from async_export.errors import ConfigurationError, EncodeError
from async_export.formats._texts import SEPARATOR
from async_export.types import Cell, Column, Record

__all__ = ("FormulaGuard", "FormulaPolicy", "check_policy")

FormulaPolicy: TypeAlias = Literal["raw", "escape", "reject"]
"""What to do with text that a spreadsheet would take for a formula: nothing, disarm it, refuse."""


def check_policy(policy: str) -> None:
    """Make sure that there is such a policy.

    Raises:
        ConfigurationError: there is not.
    """
    known = get_args(FormulaPolicy)
    if policy not in known:
        names = ", ".join(map(repr, known))
        raise ConfigurationError(f"unknown formula_policy {policy!r}; known: {names}")


class FormulaGuard:
    r"""Keeps a spreadsheet from taking text for formulas, as OWASP and ASVS 1.2.10 ask.

    Text is disarmed by an apostrophe:

    - before the first character, if the text starts with one of ``= + - @``, with one of those that
      Japanese editions take for them (full-width forms, U+2212, U+30FC), with a tab, CR, LF or
      NUL, or with ``{=``. Spaces, quotes and characters that cannot be seen do not hide them.
    - before each such character, tabs and breaks apart, that follows a line break, tab, comma,
      semicolon or bar within the text, since a reader with another delimiter starts a cell there.

    Numbers and durations stay as they are, alone or in lists, in columns of any type: ``-5``,
    ``+1.5e3``, ``1, -2``, ``-inf``, ``-1 day, 23:00:00``; ``+49 30 123456`` is not one. So do
    ``|`` and ``%`` at the start, by which no spreadsheet knows a formula.

    Cells that are not text are looked at as their ``str``, numbers and dates not at all. A reader
    that splits at spaces is not provided for: there is one before every other sign in plain text.

    Text that was disarmed is not changed a second time. Taking the apostrophes away again gives
    the original, unless that had one in such a place itself: ``=1`` and ``'=1`` both become
    ``'=1``.

    Args:
        policy: ``"escape"`` as told, ``"reject"`` to refuse what would be changed, ``"raw"`` to do
            nothing.

    Attributes:
        separator: What `texts` wants to see between the texts of a column.
        escaped: How many cells of records were changed since `begin`.

    Raises:
        ConfigurationError: there is no such policy.
    """

    def __init__(self, policy: FormulaPolicy) -> None:
        check_policy(policy)
        self.policy = policy
        self.separator = "" if policy == "raw" else SEPARATOR
        self.escaped = 0

    def begin(self, columns: Sequence[Column]) -> None:
        """Start an export with these *columns*; for ``"raw"`` there is no need to."""
        self._headers = [column.header for column in columns]
        self.escaped = 0

    def headers(self, headers: Sequence[str]) -> list[str]:
        """Give the *headers* as they may be written.

        Raises:
            ConfigurationError: the policy is to reject one.
        """
        given = list(headers)
        if self.policy == "raw":
            return given
        guarded = _disarmed(given)
        for old, new in zip(given, guarded, strict=True):
            if self.policy == "reject" and old != new:
                raise ConfigurationError(f"column {old!r}: a header {_REASON}")
        return guarded

    def records(self, records: Sequence[Record]) -> Sequence[Record]:
        """Give the *records* as they may be written; the same object if nothing is to be done.

        Raises:
            EncodeError: the policy is to reject a cell.
        """
        if self.policy == "raw":
            return records
        columns = list(zip(*records, strict=True))
        guarded = [self._cells(place, cells) for place, cells in enumerate(columns)]
        if all(map(operator.is_, columns, guarded)):
            return records
        return list(zip(*guarded, strict=True))

    def texts(self, place: int, texts: Sequence[str], joined: str) -> Sequence[str]:
        """Give the text cells of one column as they may be written.

        Args:
            place: Of the column, from 0.
            texts: Its cells.
            joined: They with `separator` between them.

        Returns:
            The same object if nothing is to be done.

        Raises:
            EncodeError: the policy is to reject a cell.
        """
        if self.policy == "raw" or not _may_hold_formulas(texts, joined):
            return texts
        guarded = _disarmed(texts)
        count = sum(map(operator.ne, texts, guarded))
        if not count:
            return texts
        if self.policy == "reject":
            raise EncodeError(f"column {self._headers[place]!r}: a cell {_REASON}")
        self.escaped += count
        return guarded

    def _cells(self, place: int, cells: Sequence[Cell]) -> Sequence[Cell]:
        texts = cells
        try:
            joined = self.separator.join(texts)
        except TypeError:
            texts = [cell if isinstance(cell, str) else _text(cell) for cell in cells]
            joined = self.separator.join(texts)
        guarded = self.texts(place, texts, joined)
        if guarded is texts:
            return cells
        return [
            cell if old == new else new
            for cell, old, new in zip(cells, texts, guarded, strict=True)
        ]


_REASON: Final = (
    "that a spreadsheet would take for a formula; change it, or have it written with"
    " formula_policy='escape'"
)

_HARMLESS: Final = frozenset(
    {type(None), bool, int, float, Decimal, date, datetime, time, timedelta, UUID}
)
"""Types whose text no spreadsheet takes for a formula."""


def _text(cell: Any) -> str:
    if type(cell) in _HARMLESS:
        return ""
    try:
        return str(cell)
    except Exception:  # noqa: BLE001 - a cell may raise anything; the encoder tells of it
        return ""


_SIGNS: Final = "=+@＝＋－＠−ー-"  # noqa: RUF001 - these and no others
"""By what a formula starts."""

_BREAKS: Final = r"\t\r\n,;|"
"""Where a reader may start another cell."""

_LEADING: Final = "\t\r\n\0"
"""What makes a formula of what follows, or is taken away before it, at the start of a cell."""

_UNSEEN_ASCII: Final = r' "\x00-\x08\x0b\x0c\x0e-\x1d\x1f\x7f'
_UNSEEN: Final = (
    rf"{_UNSEEN_ASCII}\x80-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f"
    r"\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    r"\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd"
    r"\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""What may stand before it: quotes, spaces, and whatever has no shape of its own."""

_FORMULA: Final = rf"(?:[{_SIGNS}]|\{{[{_UNSEEN}]*[=＝])"  # noqa: RUF001 - likewise

_NUMBER: Final = r"[+−-]?\.?\d[\d.'’\xa0\u202f]*(?:[eE][+-]?\d+)?%?"  # noqa: RUF001 - likewise
_NO_NUMBER: Final = r"[+-]?(?i:inf(?:inity)?|nan)"
_CLOCK: Final = r"[+-]?\d+:\d\d(?::\d\d)?(?:\.\d+)?"
_DURATION: Final = (
    rf"[+-]?\d+ (?:years?|mons?|days?)(?: [+-]?\d+ (?:years?|mons?|days?))*(?: {_CLOCK})?"
)
_ITEM: Final = rf"(?:{_DURATION}|{_CLOCK}|{_NUMBER}|{_NO_NUMBER})"
_NUMBERS: Final = rf"{_ITEM}(?: *[{_BREAKS}] *{_ITEM})*? *[\])}}\"]*"
"""Numbers and durations, one or more, also at the end of a list in brackets."""


@cache
def _pattern(end: str) -> re.Pattern[str]:
    """Find what an apostrophe has to follow, in cells that have the separator before them.

    Args:
        end: How a cell ends.
    """
    start = rf"[{_UNSEEN}]*(?:[\t\r\n]|{_FORMULA})|\x00"
    first = rf"(?<={SEPARATOR})(?={start})(?![{_UNSEEN}]*{_NUMBERS}{end})"
    # Another delimiter ends where it comes again, or with the line.
    later = rf"(?<!{SEPARATOR})[{_UNSEEN}]*(?={_FORMULA})(?!{_NUMBERS}(?:\1|[\r\n]|{end}))"
    return re.compile(rf"([{SEPARATOR}{_BREAKS}])(?:{first}|{later})")


def _disarmed(texts: Sequence[str]) -> list[str]:
    """Give the *texts* with apostrophes where they need them."""
    joined = SEPARATOR + SEPARATOR.join(texts)
    if joined.count(SEPARATOR) == len(texts):
        return _pattern(rf"(?:{SEPARATOR}|\Z)").sub(r"\g<0>'", joined).split(SEPARATOR)[1:]
    pattern = _pattern(r"\Z")
    return [pattern.sub(r"\g<0>'", SEPARATOR + text)[1:] for text in texts]


@cache
def _suspect(sign: str, unseen: str, unless: str = "") -> re.Pattern[str]:
    """Find a sign where it may be the first of a cell; it stands first, being fast to find.

    Args:
        sign: One of `_SIGNS` or `_LEADING`.
        unseen: What may stand before it.
        unless: What may not stand behind it.
    """
    before = unseen if sign in _LEADING else rf"{{{_BREAKS}{unseen}"
    literal = re.escape(sign)
    return re.compile(rf"{literal}(?<=[{SEPARATOR}{before}]{literal}){unless}")


def _may_hold_formulas(texts: Sequence[str], joined: str) -> bool:
    """Whether a closer look is needed: most columns are told apart here."""
    unseen = _UNSEEN_ASCII if joined.isascii() else _UNSEEN
    whole = f"{SEPARATOR}{joined}{SEPARATOR}"
    found = [
        sign
        for sign in _SIGNS + _LEADING
        if sign in joined and _suspect(sign, unseen).search(whole)
    ]
    if found in (["-"], ["+"]) and joined.count(SEPARATOR) < len(texts):
        no_number = _suspect(found[0], unseen, rf"(?![0-9][0-9.]*+{SEPARATOR})")
        return no_number.search(whole) is not None
    return bool(found)

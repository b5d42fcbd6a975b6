"""File names that are safe to hand to a browser, and the header that carries them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

__all__ = ("content_disposition", "safe_file_name")

MAX_BYTES: Final = 150
"""Bytes of UTF-8 in a file name: file systems take 255, and browsers add `` (1)`` to a copy."""

FALLBACK: Final = "export"
"""What a file is called when nothing is left of its name."""

_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that a name never holds: controls, bidi marks, surrogates, breaks."""

_UNSAFE: Final = re.compile(r'["<>:|?*;]')
"""What quotes, ends or splits the header's parameter, or has a meaning to Windows."""

_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9 !#$&'()+,.=@\[\]^_`{}~-]")
"""What the plain ASCII name avoids, among it ``%``, which some browsers decode (RFC 6266, D)."""

_RESERVED: Final = re.compile(
    r"CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]", re.IGNORECASE
)
"""Devices of Windows, with or without an extension (learn.microsoft.com, "Naming Files")."""

_ATTR_CHAR: Final = "!#$&+-.^_`|~"
"""What may stand as it is in an extended value, besides letters and digits (RFC 8187, 3.2.1)."""


def safe_file_name(name: str, extension: str, known: Iterable[str] = ()) -> str:
    """Make a file name of *name* that means a file in the current folder, on any system.

    Args:
        name: Any text; of a path, the last part counts.
        extension: What the name ends in, without the dot; appended unless it is there.
        known: Other extensions that it replaces, so that ``books.csv`` becomes ``books.xlsx``.

    Returns:
        At most 150 bytes as UTF-8, without control and bidi characters, quotes, semicolons,
        slashes and what Windows refuses, and not the name of one of its devices.
    """
    # Normalised first: U+037E becomes a semicolon by it.
    base = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    return _safe(_without_extension(_clean(base), [extension, *known]), extension)


def content_disposition(name: str, extension: str) -> str:
    """Make the header's value that has a browser save the response as *name*.

    The value is ASCII. A name that is not comes twice: in the extended form, which counts, and
    transliterated, for what does not know that form.

    Args:
        name: What `safe_file_name` gave.
        extension: The extension in which it ends.

    Source: RFC 6266 section 4 and appendix D; RFC 8187 section 3.2.
    """
    stem = name.removesuffix(f".{extension}")
    plain = _safe(_transliterate(stem), extension)
    value = f'attachment; filename="{plain}"'
    if plain != name:
        value += f"; filename*=UTF-8''{quote(name, safe=_ATTR_CHAR)}"
    return value


def _safe(stem: str, extension: str) -> str:
    limit = MAX_BYTES - len(f"_.{extension}".encode())
    stem = _clean(_clean(stem).encode()[:limit].decode(errors="ignore")) or FALLBACK
    if _RESERVED.fullmatch(stem.partition(".")[0].rstrip()):
        stem = f"_{stem}"
    return f"{stem}.{extension}"


def _clean(text: str) -> str:
    """Take out what a name may not hold; dots and spaces at the ends hide it or get lost."""
    kept = "".join(each for each in text if unicodedata.category(each) not in _DROPPED)
    return " ".join(_UNSAFE.sub("_", kept).split()).strip(". ")


def _without_extension(name: str, extensions: Iterable[str]) -> str:
    for extension in sorted(extensions, key=len, reverse=True):
        if name.lower().endswith(f".{extension.lower()}"):
            return name[: -len(extension) - 1]
    return name


def _transliterate(text: str) -> str:
    """Give *text* in ASCII: letters without their accents, other characters as underscores."""
    letters = unicodedata.normalize("NFKD", text)
    plain = "".join(each for each in letters if not unicodedata.combining(each))
    ascii_text = _NOT_PLAIN.sub("_", plain)
    return ascii_text if re.search("[A-Za-z0-9]", ascii_text) else FALLBACK

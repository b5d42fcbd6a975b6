"""Deflate streams, by the standard library or by a faster one."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Final, Literal, TypeAlias

from async_export.errors import ConfigurationError
from async_export.formats._optional import require
from async_export.formats._zip import Compressor

__all__ = ("DeflateLibrary", "check_level", "deflate")

DeflateLibrary: TypeAlias = Literal["zlib", "isal"]
"""What compresses: the standard library, or isal, several times as fast."""

_MAX_LEVELS: Final = {"zlib": 9, "isal": 3}

_USUAL_LEVELS: Final = {"zlib": 6, "isal": 1}

_WITHOUT_HEADER: Final = -15


def deflate(level: int | None, library: DeflateLibrary, what: str) -> Callable[[], Compressor]:
    """Give what makes raw deflate streams.

    Args:
        level: How hard to try: from 0, with zlib to 9, with isal to 3; None for 6 or 1.
        library: What compresses. Each makes other bytes.
        what: What needs it, for people.

    Raises:
        ConfigurationError: there is no such level or library.
        MissingDependencyError: isal is not installed.
    """
    if library not in _MAX_LEVELS:
        raise ConfigurationError(f"compressor must be 'zlib' or 'isal', not {library!r}")
    if level is None:
        level = _USUAL_LEVELS[library]
    check_level(level, 0, _MAX_LEVELS[library])
    if library == "zlib":
        return partial(zlib.compressobj, level, zlib.DEFLATED, _WITHOUT_HEADER)
    require("isal", f"{what} by isal", "fast")
    return partial(_isal_stream, level)


def check_level(level: int, least: int, most: int) -> None:
    """Make sure that a level of compression exists.

    Raises:
        ConfigurationError: it does not.
    """
    if not isinstance(level, int) or isinstance(level, bool) or not least <= level <= most:
        raise ConfigurationError(f"level must be a number from {least} to {most}, not {level!r}")


def _isal_stream(level: int) -> Compressor:
    from isal import isal_zlib

    return isal_zlib.compressobj(level, isal_zlib.DEFLATED, _WITHOUT_HEADER)

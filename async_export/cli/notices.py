"""What is told on stderr: one line each, without passwords."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ("PROGRAM", "log_shown", "masked", "notice", "show_traceback")

PROGRAM = "async-export"


def notice(message: str) -> None:
    """Tell people something."""
    _print(f"{PROGRAM}: {message}\n")


def show_traceback(error: BaseException) -> None:
    """Tell where *error*, and what caused it, come from."""
    _print("".join(traceback.format_exception(error)))


@contextmanager
def log_shown() -> Iterator[None]:
    """Tell what async_export logs of what it does."""
    logger = logging.getLogger("async_export")
    handler, level = _Handler(), logger.level
    handler.setFormatter(logging.Formatter(f"{PROGRAM}: %(asctime)s %(message)s\n"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


def masked(text: str) -> str:
    """Give *text* without the passwords of URLs, wherever somebody may have put one."""
    return _PASSWORD.sub(r"\1\2***", text)


_PASSWORD = re.compile(r"(://[^\s:/@]*:).*(?=@)|([?&]\w*password=)[^&\s'\"]*", re.IGNORECASE)
"""What stands before a password and what may follow it; too much is better than too little."""


def _print(text: str) -> None:
    print(masked(text), end="", file=sys.stderr)  # noqa: T201 - a command prints


class _Handler(logging.Handler):
    """Writes to whatever stderr is at the time, which the progress bar replaces."""

    def emit(self, record: logging.LogRecord) -> None:
        _print(self.format(record))

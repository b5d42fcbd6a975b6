"""The exit codes: which kind of failure ended a command."""

from __future__ import annotations

from enum import IntEnum

from async_export.errors import (
    ConfigurationError,
    EncodeError,
    LimitError,
    RowError,
    SinkError,
    SourceError,
)

__all__ = ("EXIT_CODES", "ExitCode", "code_of")


class ExitCode(IntEnum):
    """What a command ends with."""

    DONE = 0
    FAILED = 1
    MISUSED = 2
    NOT_WRITTEN = 3
    ROW_FAILED = 4
    NOT_AS_WRITTEN = 5
    BEYOND_LIMIT = 6
    TRY_AGAIN = 75
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_CODES = (
    "Exit codes: 0 done; 1 the source failed, or something unforeseen; 2 usage or configuration; "
    "3 the target could not be written; 4 a row failed; 5 verify found something; 6 a limit was "
    "passed; 75 the source failed, and may not when tried again; 130 interrupted; 143 terminated."
)
"""What they mean, for the help."""


def code_of(error: BaseException) -> ExitCode:
    """Give the code of a command that *error* ended."""
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    is_retryable = isinstance(error, SourceError) and error.is_retryable
    return ExitCode.TRY_AGAIN if is_retryable else ExitCode.FAILED


_CODES = {
    ConfigurationError: ExitCode.MISUSED,
    SinkError: ExitCode.NOT_WRITTEN,
    RowError: ExitCode.ROW_FAILED,
    EncodeError: ExitCode.ROW_FAILED,
    LimitError: ExitCode.BEYOND_LIMIT,
}
"""By class of error, those of whose errors all mean the same."""

"""The errors of async_export, one tree.

```
ExportError
├── ConfigurationError (ValueError)          found before the first row is fetched
│   ├── UnknownNameError (LookupError)         a field, option or format that does not exist
│   └── MissingDependencyError (ImportError)   an extra that is not installed
├── RowError                                 a hook or widget failed: row number, field, key
├── EncodeError (ValueError)                 a cell that the format cannot hold
│   └── FormatLimitError (OverflowError)       more rows or columns than the format can hold
├── LimitError (OverflowError)               more than ``max_rows``, ``max_bytes``, ``deadline`` …
├── SourceError                              the database or iterable failed
│   ├── ConnectionLostError (ConnectionError)  the session, the server or the network is gone
│   ├── SourceTimeoutError (TimeoutError)      a setting ended it, which is named
│   ├── PoolExhaustedError (TimeoutError)      no connection to be had
│   ├── ConflictError                          a lock, a rewritten table, a standby's recovery
│   └── UnrepresentableValueError (ValueError) a value that no type of Python holds
├── SinkError (OSError)                      the target could not be written
│   └── DiskFullError                          no space, no quota, or the file would be too big
└── ExportStateError (RuntimeError)          a stream used twice, or out of order
```

Every error keeps its data as attributes, can be pickled, and has the original exception as its
``__cause__``. Messages hold neither cell values nor passwords.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar

__all__ = (
    "ConfigurationError",
    "ConflictError",
    "ConnectionLostError",
    "DiskFullError",
    "EncodeError",
    "ExportError",
    "ExportStateError",
    "FormatLimitError",
    "LimitError",
    "MissingDependencyError",
    "PoolExhaustedError",
    "RowError",
    "SinkError",
    "SourceError",
    "SourceTimeoutError",
    "UnknownNameError",
    "UnrepresentableValueError",
)


class ExportError(Exception):
    """The root: whatever async_export raises of its own accord."""


class ConfigurationError(ExportError, ValueError):
    """A resource, queryset, bind or option that cannot be exported as it is."""


class UnknownNameError(ConfigurationError, LookupError):
    """A name that does not exist, with the nearest ones that do.

    Args:
        what: The sort of thing that was named, such as ``"field"``.
        name: The name as it was given.
        known: The names that exist.
        where: What was searched, such as ``"BookResource"``.
    """

    def __init__(self, what: str, name: str, known: Iterable[str], where: str = "") -> None:
        self.what = what
        self.name = name
        self.known = tuple(known)
        self.where = where
        super().__init__(what, name, self.known, where)

    def __str__(self) -> str:
        place = f" in {self.where}" if self.where else ""
        message = f"unknown {self.what} {self.name!r}{place}"
        near = difflib.get_close_matches(self.name, self.known, n=3, cutoff=0.5)
        if near:
            return f"{message}; did you mean {' or '.join(map(repr, near))}?"
        if self.known:
            return f"{message}; known: {', '.join(sorted(self.known))}"
        return f"{message}; there are none"


class MissingDependencyError(ConfigurationError, ImportError):
    """An optional library is not installed.

    Args:
        what: What needs it, such as ``"the command line"``.
        extra: The extra of async_export that brings it.
    """

    def __init__(self, what: str, extra: str) -> None:
        self.what = what
        self.extra = extra
        super().__init__(what, extra)

    def __str__(self) -> str:
        return f'{self.what} needs an extra: pip install "async_export[{self.extra}]"'


class RowError(ExportError):
    """A hook, widget or attribute failed for one row; the cause is the original exception.

    Args:
        row_number: Position in the export, from 1.
        field: Name of the field, or of the hook when no field is concerned.
        error: Name of the class of the original exception.
        key: Primary key of the row, when it is known. It is not part of the message.
        hint: What to do about it, when that is known.
    """

    def __init__(
        self, row_number: int, field: str, error: str, key: Any = None, hint: str = ""
    ) -> None:
        self.row_number = row_number
        self.field = field
        self.error = error
        self.key = key
        self.hint = hint
        super().__init__(row_number, field, error, key, hint)

    def __repr__(self) -> str:
        # Without the key, which may be somebody's name.
        return f"<{type(self).__name__}: {self}>"

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        return f"row {self.row_number}, field {self.field!r}: {self.error}{hint}"


class EncodeError(ExportError, ValueError):
    """A cell that has no representation in the format."""


class FormatLimitError(EncodeError, OverflowError):
    """More rows, columns or characters than the format can hold."""


class LimitError(ExportError, OverflowError):
    """The export has more than it was allowed to have.

    Args:
        option: The option that sets the limit, such as ``"max_rows"``.
        limit: Its value.
    """

    def __init__(self, option: str, limit: float) -> None:
        self.option = option
        self.limit = limit
        super().__init__(option, limit)

    def __str__(self) -> str:
        beyond = _BEYOND.get(self.option, "has more than")
        return f"the export {beyond} {self.option}={self.limit}; narrow it or raise the limit"


_BEYOND = {
    "max_rows": "has more rows than",
    "max_bytes": "has more bytes than",
    "max_errors": "has more failing rows than",
    "deadline": "takes more seconds than",
}
"""By option, what an export does that is beyond it."""


class SourceError(ExportError):
    """The rows could not be fetched: the cause tells why.

    Args:
        message: What happened, without values or passwords.
        rows: How many rows had been fetched before.
        sqlstate: The five characters of the database's own error code, when it gave one.
        setting: The setting behind it, such as ``"statement_timeout"``, when there is one.

    Attributes:
        is_retryable: Whether the same export may succeed when it is run again.
    """

    is_retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, rows: int = 0, sqlstate: str | None = None, setting: str | None = None
    ) -> None:
        self.message = message
        self.rows = rows
        self.sqlstate = sqlstate
        self.setting = setting
        super().__init__(message, rows, sqlstate, setting)

    def __str__(self) -> str:
        code = f" (SQLSTATE {self.sqlstate})" if self.sqlstate else ""
        return f"{self.message}{code}; {self.rows} rows had been fetched"


class ConnectionLostError(SourceError, ConnectionError):
    """The session was ended, the server stopped, or the network failed."""

    is_retryable = True


class SourceTimeoutError(SourceError, TimeoutError):
    """A setting of the server, or an option, limits what the export takes longer for."""


class PoolExhaustedError(SourceError, TimeoutError):
    """All connections of the pool, or of the server, are in use."""

    is_retryable = True


class ConflictError(SourceError):
    """Somebody else's lock or change, or the recovery of a standby, is in the way."""

    is_retryable = True


class UnrepresentableValueError(SourceError, ValueError):
    """A value of the database that no type of Python can hold."""


class SinkError(ExportError, OSError):
    """The target could not be opened, written or published; nothing is left under its name."""


class DiskFullError(SinkError):
    """There is no space or quota left, or the file would be larger than a file may be."""


class ExportStateError(ExportError, RuntimeError):
    """A stream was used twice, out of order, or after its end."""

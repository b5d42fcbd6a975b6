"""SQL: the INSERT statements that would make the rows, in standard SQL or for PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from async_export.errors import ConfigurationError
from async_export.formats._by_type import ByType
from async_export.formats._encoder import Encoder
from async_export.formats._headers import check_distinct
from async_export.formats._postgres_literals import literals_of
from async_export.formats._sql_literals import STANDARD_LITERALS
from async_export.formats._sql_names import plain_name, quoted_name, table_name
from async_export.formats._text_columns import TextColumns, TextMaker
from async_export.types import CellForm, Column, Kind, Record

__all__ = ("PostgreSQLEncoder", "SQLEncoder")


class SQLEncoder(Encoder):
    """An INSERT per record; byte for byte tablib's ``sql`` export, but for what is no SQL there.

    =========================  ==========================================================
    cell                       SQL
    =========================  ==========================================================
    None                       ``NULL``
    bool, int, float, Decimal  ``TRUE`` or ``FALSE``, number; not a number: ``NULL``
    date, datetime             ``DATE '…'``, ``TIMESTAMP '…'``
    str, and all others        string: their text
    =========================  ==========================================================

    What differs from tablib:

    - A name that is no plain word, ``[A-Za-z_][A-Za-z0-9_]*``, is quoted, where tablib lets it be
      anything, other statements included.
    - A decimal that is not a number is NULL as a float is, where tablib has a bare ``NaN``.
    - Bytes, lists, dicts and members of enums are the text that they have elsewhere, not Python's
      source.

    What does not, and is wrong for many databases, so that `PostgreSQLEncoder` should be preferred
    for PostgreSQL:

    - Plain words are not quoted: their case may be lost, and a reserved one is a syntax error.
    - A datetime's offset is in the literal of a type that has none; PostgreSQL ignores it.
    - In strings only quotes are doubled, as in standard SQL. MySQL, and PostgreSQL with
      ``standard_conforming_strings = off``, take a backslash for an escape, so that such text
      may break out of its string there: **do not run files with foreign text in these**.

    Args:
        table: Name of the table; a dot stands between schema and table.
        columns: Names of the columns, where they are not the headers; with none of them the
            statements name no columns.
        commit: Whether to end with COMMIT.

    Raises:
        ConfigurationError: a name cannot be one.
    """

    name = "sql"
    extension = "sql"
    content_type = "application/sql"
    cells: CellForm = "native"
    natives = frozenset(Kind) - {Kind.BINARY, Kind.DURATION, Kind.JSON, Kind.LIST}

    def __init__(
        self,
        *,
        table: str = "export_table",
        columns: Sequence[str] | None = None,
        commit: bool = False,
    ) -> None:
        if isinstance(columns, str):
            raise ConfigurationError("columns takes a list of names, not a single text")
        self.table = table
        self.columns = columns
        self.commit = commit
        self._table = table_name(table, plain_name)
        self._names = None if columns is None else _names(columns, plain_name)

    def begin(self, columns: Sequence[Column]) -> bytes:
        names = self._names
        if names is None:
            names = _names([column.header for column in columns], plain_name)
        elif names and len(names) != len(columns):
            message = f"columns has {len(names)} names for {len(columns)} columns"
            raise ConfigurationError(message)
        listed = f" ({','.join(names)})" if names else ""
        self._head = f"INSERT INTO {self._table}{listed} VALUES ("  # noqa: S608 - of quoted names
        self._columns = TextColumns(columns, [_standard_literals()] * len(columns))
        self._is_empty = True
        return b""

    def encode(self, records: Sequence[Record]) -> bytes:
        if not records:
            return b""
        self._is_empty = False
        columns = self._columns.texts(records)
        rows = map(", ".join, zip(*columns, strict=True)) if columns else [""] * len(records)
        statements = f");\n{self._head}".join(rows)
        return self._columns.to_bytes(f"{self._head}{statements});\n", columns)

    def end(self) -> bytes:
        return (b"\n" if self._is_empty else b"") + (b"COMMIT;\n" if self.commit else b"")


class PostgreSQLEncoder(Encoder):
    r"""INSERT statements for PostgreSQL, in one transaction, whatever the settings of the session.

    =========================  ==========================================================
    cell                       SQL
    =========================  ==========================================================
    None                       ``NULL``
    bool, int                  ``TRUE`` or ``FALSE``, number
    float, Decimal             number; ``'NaN'::float8``, ``'Infinity'::numeric``
    str                        ``'…'``, with a backslash ``E'…\\…'``
    bytes                      ``E'\\x6162'::bytea``
    date                       ``DATE '2024-01-31'``
    datetime                   ``TIMESTAMP '…'``, with an offset ``TIMESTAMPTZ '…+00:00'``
    time                       ``TIME '…'``, with an offset ``TIMETZ '…+00:00'``
    timedelta                  ``INTERVAL '-1 days +82800.000000 seconds'``
    UUID                       ``'…'::uuid``
    list                       ``'{"a","b"}'``; in columns of JSON as JSON
    JSON, dict                 ``'{"a": 1}'``
    Enum                       its value
    others                     string: their text
    =========================  ==========================================================

    Strings, arrays and JSON are literals without a type: they take that of the column that they
    are put in, be it ``text``, an enum, ``json``, ``jsonb`` or an array of any of them. What
    PostgreSQL has and Python has not, such as ``'infinity'`` in dates, is one of them, too. Only
    ``hstore`` cannot be made of what is written for it, which is JSON.

    Names are quoted always. The file is in UTF-8.

    Args:
        table: Name of the table; a dot stands between schema and table.
        rows_per_statement: How many records one INSERT has.
        transaction: Whether to write BEGIN and COMMIT around it all.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    name = "postgresql"
    extension = "pgsql"
    content_type = "application/sql"
    cells: CellForm = "native"
    natives = frozenset(Kind)
    limits = "no NUL in text"

    def __init__(
        self,
        *,
        table: str = "export_table",
        rows_per_statement: int = 100,
        transaction: bool = True,
    ) -> None:
        if rows_per_statement < 1:
            message = f"rows_per_statement must be at least 1, not {rows_per_statement}"
            raise ConfigurationError(message)
        self.table = table
        self.rows_per_statement = rows_per_statement
        self.transaction = transaction
        self._table = table_name(table, quoted_name)

    def begin(self, columns: Sequence[Column]) -> bytes:
        if not columns:
            raise ConfigurationError("an INSERT of PostgreSQL has at least one column")
        names = _names([column.header for column in columns], quoted_name)
        self._head = f"INSERT INTO {self._table} ({', '.join(names)}) VALUES\n"
        self._columns = TextColumns(columns, [literals_of(column.type) for column in columns])
        self._rows = 0
        return b"BEGIN;\n" if self.transaction else b""

    def encode(self, records: Sequence[Record]) -> bytes:
        if not records:
            return b""
        columns = self._columns.texts(records)
        rows = enumerate(zip(*columns, strict=True), self._rows)
        self._rows += len(records)
        text = "".join([f"{self._before(place)}({', '.join(row)})" for place, row in rows])
        return self._columns.to_bytes(text, columns)

    def end(self) -> bytes:
        return (b";\n" if self._rows else b"") + (b"COMMIT;\n" if self.transaction else b"")

    def _before(self, place: int) -> str:
        """Give what stands before the row of that *place*, and ends the one before it."""
        if place % self.rows_per_statement:
            return ",\n"
        return f";\n{self._head}" if place else self._head


def _names(headers: Sequence[str], write: Callable[[str], str]) -> list[str]:
    check_distinct(headers, "a table")
    return [write(header) for header in headers]


def _standard_literals() -> TextMaker:
    known = ByType(STANDARD_LITERALS)
    return lambda cells: [known[type(cell)](cell) for cell in cells]

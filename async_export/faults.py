"""What became of the database: the errors of drivers, pools and networks as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from async_export.errors import (
    ConflictError,
    ConnectionLostError,
    PoolExhaustedError,
    SourceError,
    SourceTimeoutError,
)

__all__ = ("DATABASE_ERRORS", "Loss", "source_error")

DATABASE_ERRORS: Final = (
    DBAPIError,
    OSError,
    PoolTimeoutError,
    # SQLAlchemy leaves what a server-side cursor raises as it is.
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    sqlite3.Error,
)
"""What a database, its driver or the network raises."""


class _Fault(NamedTuple):
    """What a state of the database means: which error, why, what to do, which setting."""

    error: type[SourceError]
    advice: str
    setting: str | None = None


_POOLER: Final = (
    "a pooler such as PgBouncer gives each transaction another session: make the engine with "
    "poolclass=NullPool and connect_args={'statement_cache_size': 0, "
    "'prepared_statement_cache_size': 0, 'prepared_statement_name_func': "
    "lambda: f'__asyncpg_{uuid4()}__'}"
)

_FAULTS: Final = {
    "57P01": _Fault(
        ConnectionLostError, "an administrator ended the session, or stopped the server"
    ),
    "57P02": _Fault(ConnectionLostError, "another process of the server crashed"),
    "57P03": _Fault(ConnectionLostError, "the server is starting or stopping; try again later"),
    "57014": _Fault(
        SourceTimeoutError,
        "the query took longer than statement_timeout, which counts the time of a slow reader; "
        "raise it, or pass an engine, whose exports turn it off",
        "statement_timeout",
    ),
    "25P03": _Fault(
        SourceTimeoutError,
        "the reader was slower than idle_in_transaction_session_timeout; raise it, or pass an "
        "engine, whose exports turn it off",
        "idle_in_transaction_session_timeout",
    ),
    "25P04": _Fault(
        SourceTimeoutError,
        "the export took longer than transaction_timeout; raise it, or pass an engine, whose "
        "exports turn it off",
        "transaction_timeout",
    ),
    "57P05": _Fault(
        SourceTimeoutError,
        "the session idled longer than idle_session_timeout; raise it, or let the pool recycle "
        "connections earlier",
        "idle_session_timeout",
    ),
    "53300": _Fault(
        PoolExhaustedError,
        "the server has no connection left; raise max_connections, or use smaller pools",
        "max_connections",
    ),
    "55P03": _Fault(
        ConflictError,
        "somebody else holds a lock on a table, for longer than lock_timeout; try again later",
        "lock_timeout",
    ),
    "40001": _Fault(
        ConflictError,
        "what the export reads was changed or cleaned up meanwhile; run it again; a standby has "
        "hot_standby_feedback and max_standby_streaming_delay against it",
    ),
    "40P01": _Fault(ConflictError, "two sessions waited for each other; run it again"),
    "26000": _Fault(SourceError, _POOLER),
    "42P05": _Fault(SourceError, _POOLER),
}
"""By SQLSTATE, what ends an export."""

_POOLER_FAULTS: Final = {
    "query_wait_timeout": _Fault(
        PoolExhaustedError,
        "all connections of the pooler are in use for longer than its query_wait_timeout; raise "
        "default_pool_size, or run fewer exports at once",
        "query_wait_timeout",
    ),
    "max_client_conn": _Fault(
        PoolExhaustedError,
        "the pooler takes no more clients; raise its max_client_conn, or use smaller pools",
        "max_client_conn",
    ),
    "query timeout": _Fault(
        SourceTimeoutError,
        "the query took longer than the pooler's query_timeout, which counts the time of a slow "
        "reader, and which no client can turn off; raise it",
        "query_timeout",
    ),
    "idle transaction timeout": _Fault(
        SourceTimeoutError,
        "the reader was slower than the pooler's idle_transaction_timeout, which no client can "
        "turn off; raise it",
        "idle_transaction_timeout",
    ),
    "startup parameter": _Fault(
        SourceError,
        "a pooler does not pass the engine's server_settings on; set them with ALTER ROLE … SET",
    ),
    "statement pooling": _Fault(SourceError, "an export is a transaction; use another pool_mode"),
    "prepared statement": _Fault(SourceError, _POOLER),
}
"""By what PgBouncer, or a server behind it, says with the SQLSTATE 08P01."""

_BY_REQUEST: Final = "the query was cancelled by pg_cancel_backend, or by whoever shut the server"

_GONE: Final = (
    "the session was closed from outside: by an administrator, a restart of the server, the "
    "network, a timeout for idle sessions, a pooler, or the recovery of a standby, which has "
    "hot_standby_feedback and max_standby_streaming_delay against it"
)

_POOL: Final = (
    "all connections of the pool are in use for longer than its pool_timeout; raise pool_size or "
    "max_overflow, or run fewer exports at once"
)

_TELLING_SQLITE: Final = (
    "no such ",
    "unable to open",
    "database is locked",
    "attempt to write",
    "near ",
    "not authorized",
)

# These classes of SQLSTATE speak of names, permissions and states, never of values.
_TELLING_CLASSES: Final = ("08", "0A", "25", "28", "3D", "40", "42", "53", "55", "57")


@dataclass(frozen=True, slots=True)
class Loss:
    """How a session of the caller's was used before it was lost.

    What a server says when it closes an idle session, asyncpg does not tell.

    Attributes:
        idle: For how many seconds nothing had been asked of it.
        elapsed: Seconds since the export began.
        timeouts: By name, the seconds after which a setting closes it: that for idle transactions
            counts from the last answer, that for whole ones from when the export began.
    """

    idle: float = 0
    elapsed: float = 0
    timeouts: Mapping[str, float] = field(default_factory=dict)

    @property
    def setting(self) -> str | None:
        """The setting that has closed the session; None if none has."""
        if _IDLE in self.timeouts and 0 < self.timeouts[_IDLE] <= self.idle:
            return _IDLE
        if _WHOLE in self.timeouts and self.timeouts[_WHOLE] <= self.elapsed:
            return _WHOLE
        return None


def source_error(
    error: BaseException,
    rows: int = 0,
    lost: Loss | None = None,
    *,
    handled: BaseException | None = None,
) -> SourceError:
    """Say what became of the database, without values or passwords.

    Args:
        error: What the driver, the pool or the network raised.
        rows: How many rows had been fetched before.
        lost: How the session was used.
        handled: What the caller was handling before: no cause of *error*.
    """
    chain = list(_chain(error, handled))
    cause = _cause(chain)
    sqlstate = _sqlstate(cause)
    fault = _fault(chain, cause, sqlstate)
    if fault is _LOST and lost is not None and lost.setting is not None:
        fault = _FAULTS[_STATES[lost.setting]]
    name, detail = type(cause).__name__, _printable(str(cause).partition("\n")[0])
    message = f"{name}: {detail}" if detail and _is_telling(cause, sqlstate, detail) else name
    if fault.advice:
        message = f"{message}; {fault.advice}"
    return fault.error(message, rows, sqlstate, fault.setting)


def _chain(error: BaseException | None, handled: BaseException | None) -> Iterator[BaseException]:
    """Give *error* and what it came from; cleaning up may have put another error in front."""
    seen: set[int] = {id(handled)}
    waiting = [error]
    while waiting:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [getattr(each, "orig", None), each.__cause__, each.__context__]


def _printable(text: str) -> str:
    """Give *text* without what could forge a line of a log, or move a terminal's cursor."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _cause(chain: list[BaseException]) -> BaseException:
    """Find the error that tells most."""
    told = [each for each in chain if _sqlstate(each)]
    # SQLAlchemy's adapters repeat the code of the driver's own error.
    own = [each for each in told if isinstance(each, asyncpg.PostgresError)]
    # That a connection is lost, asyncpg finds out by itself, after what the server said.
    servers = (each for each in own if not isinstance(each, asyncpg.ConnectionDoesNotExistError))
    return next(servers, (own or told or [_innermost(chain)])[0])


_IDLE: Final = "idle_in_transaction_session_timeout"
_WHOLE: Final = "transaction_timeout"
_STATES: Final = {_IDLE: "25P03", _WHOLE: "25P04"}


def _innermost(chain: list[BaseException]) -> BaseException:
    """Give the driver's own error, where SQLAlchemy wraps it, in one or two of its own."""
    original = getattr(chain[0], "orig", None) or chain[0]
    return getattr(original, "__cause__", None) or original


def _sqlstate(error: BaseException) -> str | None:
    """Give the code of an error of the server's own."""
    state = getattr(error, "sqlstate", None)
    # asyncpg gives codes to what it finds out by itself, too.
    is_servers = not isinstance(error, asyncpg.InterfaceError)
    return state if isinstance(state, str) and is_servers else None


def _fault(chain: list[BaseException], cause: BaseException, sqlstate: str | None) -> _Fault:
    known = _by_code(sqlstate, str(cause))
    if known is not None:
        return known
    if any(isinstance(each, PoolTimeoutError) for each in chain):
        return _Fault(PoolExhaustedError, _POOL, "pool_timeout")
    if any(isinstance(each, asyncpg.ProtocolError) for each in chain):
        # What came back is not what was asked for: the name was that of another statement.
        return _Fault(SourceError, _POOLER)
    if sqlstate is None and any(_is_loss(each) for each in chain):
        return _UNREACHED if isinstance(cause, OSError) else _LOST
    return _Fault(SourceError, "")


def _by_code(sqlstate: str | None, message: str) -> _Fault | None:
    """Give what a code of the server's, or of a pooler's, stands for."""
    if sqlstate is None:
        return None
    if sqlstate == "57014" and "user request" in message:
        return _Fault(SourceError, _BY_REQUEST)
    if sqlstate == "08P01":
        told = (fault for text, fault in _POOLER_FAULTS.items() if text in message)
        return next(told, _Fault(SourceError, ""))
    if sqlstate.startswith("08"):
        return _LOST
    return _FAULTS.get(sqlstate)


_LOST: Final = _Fault(ConnectionLostError, _GONE)

_UNREACHED: Final = _Fault(ConnectionLostError, "")


def _is_loss(error: Any) -> bool:
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error) or "closing" in str(error)
    is_invalid: bool = getattr(error, "connection_invalidated", False)
    # asyncpg is confused by what a server says before it closes an idle session.
    return is_invalid or isinstance(error, OSError | asyncpg.InternalClientError)


def _is_of_statement(error: Any, sqlstate: str) -> bool:
    """Tell whether it is the statement that is at fault, and no value in it.

    Functions may raise any state with any text. Casts to names of relations and the like repeat
    what they cannot find; only what the statement itself names wrongly has a position.
    """
    source = str(getattr(error, "server_source_filename", ""))
    if source.startswith("pl") and not source.startswith("plan"):
        return False
    is_named = sqlstate != "42501" and sqlstate.startswith("42")
    return not is_named or getattr(error, "position", None) is not None


def _is_telling(error: Any, sqlstate: str | None, detail: str) -> bool:
    """Tell whether the text of an error speaks of names and states only, never of values."""
    if sqlstate is not None:
        return sqlstate[:2] in _TELLING_CLASSES and _is_of_statement(error, sqlstate)
    if isinstance(error, sqlite3.Error):
        return detail.startswith(_TELLING_SQLITE)
    return isinstance(error, OSError | PoolTimeoutError | asyncpg.InterfaceError)

"""What is exported: a resource that is written in code, a table, or a query."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

from sqlalchemy import Connection, Inspector, MetaData, Table, TextClause, text
from sqlalchemy import inspect as inspect_database
from sqlalchemy.exc import DBAPIError, SAWarning
from sqlalchemy.ext.asyncio import AsyncEngine

from async_export.cli.totals import Total, TotalMode
from async_export.errors import ConfigurationError, UnknownNameError
from async_export.faults import source_error
from async_export.fields import Field
from async_export.guard import secret_names
from async_export.hooks import maybe_await
from async_export.options import ALL
from async_export.resources import Resource, resource_factory
from async_export.statements import is_statement

__all__ = ("import_resource", "query_resource", "reflect", "table_resource", "watched")

Notice: TypeAlias = Callable[[str], None]
"""Takes a line for people."""

_NOT_LISTED = frozenset({"information_schema", "main", "pg_catalog", "temp"})
"""Schemas that nobody looks for, and SQLite's names for the default one."""


class Watched:
    """What the command line adds to a resource: ``--limit``, and a total for the progress bar.

    Attributes:
        limit: Rows after which the export ends; None for no limit.
        total: Filled in when the export begins; shared by all copies of the resource.
    """

    bind: Any
    session: Any
    limit: int | None = None
    total: Total

    async def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
        """Limit the queryset that the resource's own hook gives, and find its total."""
        own = super().filter_export(queryset, **kwargs)  # type: ignore[misc]
        queryset = await maybe_await(own)
        connection = None
        if is_statement(queryset):
            if self.bind is None:
                raise ConfigurationError("name a database with --db URL, or in DATABASE_URL")
            connection = await self.session.connection()
        if self.limit is not None:
            queryset = _first(queryset, self.limit)
        await self.total.find(queryset, connection)
        return queryset


def watched(
    resource_class: type[Resource],
    engine: AsyncEngine | None,
    options: Mapping[str, Any],
    limit: int | None = None,
    total: TotalMode = TotalMode.NONE,
) -> Any:
    """Make a resource that ends after *limit* rows and finds its total.

    Args:
        resource_class: The class of the resource.
        engine: Its bind.
        options: Options of its constructor.
        limit: Rows after which the export ends.
        total: Where the total comes from.
    """
    names = {"__module__": resource_class.__module__, "__doc__": resource_class.__doc__}
    watched_class = type(resource_class.__name__, (Watched, resource_class), names)
    resource = watched_class(engine, **options)
    resource.limit = limit
    resource.total = Total(total)
    return resource


def _first(queryset: Any, limit: int) -> Any:
    if isinstance(queryset, Sequence):
        return queryset[:limit]
    if isinstance(queryset, AsyncIterable):
        return _first_async(queryset, limit)
    if not is_statement(queryset):
        return islice(queryset, limit)
    # Named privately by SQLAlchemy, and there on every statement that can have a limit.
    limits = ("_limit_clause", "_fetch_clause")
    if all(getattr(queryset, name, queryset) is None for name in limits):
        return queryset.limit(limit)
    raise ConfigurationError("--limit needs a select() without a limit of its own")


async def _first_async(queryset: AsyncIterable[Any], limit: int) -> AsyncIterator[Any]:
    iterator: Any = aiter(queryset)
    try:
        for _ in range(limit):
            yield await anext(iterator)
    except StopAsyncIteration:
        return
    finally:
        if hasattr(iterator, "aclose"):
            await iterator.aclose()


# --- run ------------------------------------------------------------------------------------


def import_resource(target: str) -> type[Resource]:
    """Import the resource class that *target* names, ``package.module:Resource``.

    Modules of the current folder can be imported.

    Raises:
        ConfigurationError: it cannot be imported, or is no resource.
        UnknownNameError: the module has no such class.
    """
    module_name, _, class_name = target.partition(":")
    if not module_name or not class_name:
        raise ConfigurationError(f"{target!r} names no resource; write package.module:Resource")
    folder = os.getcwd()  # noqa: PTH109 - sys.path has strings
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"cannot import {module_name}: {type(error).__name__}: {error}"
        ) from error
    found = vars(module)
    if class_name not in found:
        known = [name for name, value in found.items() if _is_resource(value)]
        raise UnknownNameError("resource", class_name, known, module_name)
    if not _is_resource(found[class_name]):
        raise ConfigurationError(f"{target} is no class of a resource")
    resource: type[Resource] = found[class_name]
    return resource


def _is_resource(value: Any) -> bool:
    own = inspect.isclass(value) and issubclass(value, Resource)
    return own and value.__module__ != Resource.__module__


# --- table ----------------------------------------------------------------------------------


async def reflect(engine: AsyncEngine, name: str) -> Table:
    """Read the columns of the table or view *name*, which may be ``schema.table``.

    Raises:
        UnknownNameError: there is no such table.
        SourceError: the database cannot be reached.
    """
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_reflect, name)
    except (DBAPIError, OSError) as error:
        raise source_error(error) from error


def _reflect(connection: Connection, name: str) -> Table:
    found = inspect_database(connection)
    schema, _, bare = name.rpartition(".")
    for place, table in ((None, name), (schema or None, bare)):
        if found.has_table(table, schema=place):
            with warnings.catch_warnings():
                # Columns of types that SQLAlchemy does not know are exported all the same.
                warnings.simplefilter("ignore", SAWarning)
                return Table(
                    table, MetaData(), schema=place, autoload_with=connection, resolve_fks=False
                )
    raise UnknownNameError("table", name, _table_names(found))


def _table_names(found: Inspector) -> list[str]:
    """Give the tables and views that can be named, those of the default schema without it."""
    default = found.default_schema_name
    schemas = [each for each in found.get_schema_names() if each not in {default, *_NOT_LISTED}]
    names = []
    for schema in (None, *schemas):
        prefix = f"{schema}." if schema else ""
        tables = [*found.get_table_names(schema), *found.get_view_names(schema)]
        names += [f"{prefix}{table}" for table in tables]
    return names


def table_resource(table: Table, fields: Sequence[str] | None, notice: Notice) -> type[Resource]:
    """Make a resource of *table*, without the columns that look secret and are not in *fields*."""
    names = list(table.columns.keys())
    if fields is None:
        names = _without_secrets(names, notice)
    return resource_factory(table, meta_options={"fields": names})


def _without_secrets(names: Iterable[str], notice: Notice) -> list[str]:
    names = list(names)
    secrets = secret_names(names)
    if secrets:
        looks = "looks" if len(secrets) == 1 else "look"
        notice(f"left out {', '.join(secrets)}, which {looks} secret; name it with --fields")
    return [name for name in names if name not in secrets]


# --- query ----------------------------------------------------------------------------------


def query_resource(
    sql: str, fields: Sequence[str] | None, limit: int | None, notice: Notice
) -> type[Resource]:
    """Make a resource of a SELECT, without the columns that look secret and are not in *fields*.

    Args:
        sql: The statement.
        fields: The columns that were asked for; None for all that do not look secret.
        limit: Rows after which the export ends.
        notice: Is told what is left out.
    """
    statement = _statement(sql, limit)

    class QueryResource(Resource):
        """The columns of a query."""

        class Meta:
            fields = ALL
            name = "query"

        def get_queryset(self) -> TextClause:
            return statement

        def adopt_columns(self, names: Sequence[str]) -> None:
            shown = _without_secrets(names, notice) if fields is None else names
            self.fields |= {name: Field(name) for name in shown}

    return QueryResource


def _statement(sql: str, limit: int | None) -> TextClause:
    # The line end closes a comment that the statement may end with.
    sql = _BINDS.sub(r"\\\1", sql.strip().rstrip(";")) + "\n"
    return text(sql if limit is None else f"select * from (\n{sql}) as q limit {limit}")  # noqa: S608 - the user's own SQL


_BINDS = re.compile(r"(\\:[\w$]*(?![:\w$])|(?<![:\w\\]):[\w$]+(?![:\w$]))")
"""What SQLAlchemy takes for a bind or for an escaped one; there are none on the command line."""

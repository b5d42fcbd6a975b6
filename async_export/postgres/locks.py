"""Locks on what an export reads, so that nobody empties it between the snapshot and the reading.

``TRUNCATE`` and an ``ALTER TABLE`` that rewrites do not respect snapshots: a transaction that took
its snapshot before them and reads after them sees an empty table, without an error. ``ACCESS
SHARE``, which every select takes, keeps them away, but only from when it is taken; so it is taken
before the snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

__all__ = ("READ_RELATIONS", "REWRITTEN", "STILL_UNLOCKED", "lock_command")

READ_RELATIONS: Final = text(
    """
    with read as (
      select pg_catalog.to_regclass(pg_catalog.concat_ws(
        '.', pg_catalog.quote_ident(schema), pg_catalog.quote_ident(name))) as oid
      from rows from (pg_catalog.unnest(:schemas), pg_catalog.unnest(:names))
        as named(schema, name)
      union
      select relation from pg_catalog.pg_locks
      where pid = pg_catalog.pg_backend_pid() and locktype = 'relation'
    )
    select pg_catalog.quote_ident(nspname) || '.' || pg_catalog.quote_ident(relname) as name,
      relkind in ('r', 'p', 'v') and pg_catalog.has_table_privilege(c.oid, 'SELECT') as lockable
    from read
    join pg_catalog.pg_class c using (oid)
    join pg_catalog.pg_namespace n on n.oid = relnamespace
    where relkind in ('r', 'p', 'v', 'm', 'f')
      and nspname not in ('pg_catalog', 'pg_toast', 'information_schema')
    order by 1
    """
).bindparams(bindparam("schemas", type_=ARRAY(Text)), bindparam("names", type_=ARRAY(Text)))
"""Finds the relations of some names, and those that the statements of this transaction read.

Of each it tells whether ``LOCK TABLE`` takes it: neither materialized views and foreign tables,
nor what this role may select by column only. A schema may be null, for those of the search path.
"""

STILL_UNLOCKED: Final = text(
    """
    select name from pg_catalog.unnest(:names) as name
    where not exists (
      select from pg_catalog.pg_locks
      where pid = pg_catalog.pg_backend_pid() and relation = pg_catalog.to_regclass(name)
    )
    """
).bindparams(bindparam("names", type_=ARRAY(Text)))
"""Picks those of some relations, whose names are quoted, on which there is no lock."""

REWRITTEN: Final = text(
    """
select pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, relation, 0)
from pg_catalog.pg_locks
left join pg_catalog.pg_class c on c.oid = relation
where pid = pg_catalog.pg_backend_pid() and locktype = 'relation' and relation >= 16384
  and (pg_catalog.pg_identify_object('pg_catalog.pg_class'::regclass, relation, 0)).type
    in ('table', 'materialized view')
  and (c.oid is null
    or relfilenode <> 0 and relfilenode is distinct from pg_catalog.pg_relation_filenode(relation))
order by 1
limit 1
    """
)
"""Finds a relation that this transaction has read and that was rewritten after its snapshot.

The table ``pg_class`` is read in the snapshot; the functions look at the present.
"""


def lock_command(relations: Iterable[str]) -> str:
    """Give the statement that locks *relations*, which are quoted, with what is below them.

    PostgreSQL locks the partitions of a table and the tables of a view by itself.
    """
    return f"LOCK TABLE {', '.join(relations)} IN ACCESS SHARE MODE"

"""Sweeps: the same rows are the same bytes, wherever and however the server and we are set up.

Settings of the server are changed for a role, a database, an engine and in a caller's transaction;
of ours, the time zone, the locale and the clock. Each is compared with an export under defaults.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from library import bytes_of
from sqlalchemy import URL, Float, Interval, LargeBinary, Numeric, Text, event, make_url, select
from sqlalchemy.dialects.postgresql import (
    ARRAY,
    DATERANGE,
    INET,
    JSONB,
    MONEY,
    TIMESTAMP,
    TSTZRANGE,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_export import Field, ModelResource, Resource, SourceError, depends
from async_export.formats import available_formats

TABLE: Final = """
create table sample (
    id int primary key, body text, flag boolean, amount numeric, price money, single real,
    ratio double precision, raw bytea, day date, moment timestamptz, local timestamp,
    clock time, span interval, ident uuid, doc jsonb, address inet, words text[],
    ratios double precision[], moments timestamptz[], spans interval[],
    days daterange, period tstzrange
);
insert into sample values (
    1, E'it''s \\\\ "x" \\u0436, \\n', true, 0.10, 1234.5, 0.1, 0.1::float8 + 0.2, '\\x00275cff',
    '2024-02-03', '2024-10-27 00:30:00.5+00', '2024-10-27 02:30', '04:05:06.7',
    '1 year 2 mons -3 days 04:05:06.789', '0b5e8a2c-2f0c-4f0e-8f0e-0b5e8a2c2f0c',
    '{"b": [1.50, null], "a": "x"}', '10.0.0.1/8', '{a,"b,c",NULL}', '{0.1,1e-7,NaN}',
    '{2024-10-27 00:30:00+00,2024-10-27 01:30:00+00}', '{-1 day,1 mon}',
    '[2024-02-03,2024-03-04)', '[2024-10-27 00:30:00+00,2024-10-27 01:30:00+00)'
), (
    2, '', false, 'NaN', -0.01, '-Infinity', 1/3.0::float8, '', 'infinity',
    '2024-10-27 01:30:00+00', '0044-03-15 00:00 BC', '24:00', '-00:00:01', null, '"1e400"', '::1',
    '{}', '{}', '{infinity}', '{}', 'empty', '(,2024-03-31 01:00:00+00]'
), (
    3, null, null, 1e20, null, 1e-7, -0.0, null, null, '1969-12-31 23:59:59+00', null, null, null,
    null, null, null, null, null, null, null, null, null
)
"""


def _long(value: Any) -> Any:
    """Leave a case to the long set."""
    return pytest.param(value, marks=pytest.mark.faults)


class Base(DeclarativeBase):
    """The registry of these models."""


class Sample(Base):
    """A value of every type whose text depends on settings, and of some more."""

    __tablename__ = "sample"

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str | None] = mapped_column(Text)
    flag: Mapped[bool | None]
    amount: Mapped[Any] = mapped_column(Numeric)
    price: Mapped[Any] = mapped_column(MONEY)
    single: Mapped[float | None] = mapped_column(Float(24))
    ratio: Mapped[float | None] = mapped_column(Float(53))
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    day: Mapped[date | None]
    moment: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    local: Mapped[datetime | None] = mapped_column(TIMESTAMP)
    clock: Mapped[Any] = mapped_column(Text)
    span: Mapped[timedelta | None] = mapped_column(Interval)
    ident: Mapped[uuid.UUID | None]
    doc: Mapped[Any] = mapped_column(JSONB)
    address: Mapped[Any] = mapped_column(INET)
    words: Mapped[Any] = mapped_column(ARRAY(Text))
    ratios: Mapped[Any] = mapped_column(ARRAY(Float(53)))
    moments: Mapped[Any] = mapped_column(ARRAY(TIMESTAMP(timezone=True)))
    spans: Mapped[Any] = mapped_column(ARRAY(Interval))
    days: Mapped[Any] = mapped_column(DATERANGE)
    period: Mapped[Any] = mapped_column(TSTZRANGE)


class SampleResource(ModelResource):
    """Rendered by PostgreSQL where it can be."""

    class Meta:
        """Options."""

        model = Sample
        fields = "__all__"
        timezone = "Europe/Paris"


class HookedResource(SampleResource):
    """The text goes through Python."""

    @depends("body")
    def dehydrate_body(self, row: Any) -> Any:
        """Give the text as it is."""
        return row.body


class CursorResource(HookedResource):
    """The same, without COPY."""

    class Meta:
        """Options."""

        hooks_use_database = True


class InstanceResource(SampleResource):
    """Mapped objects."""

    class Meta:
        """Options."""

        infer_reads = False

    def dehydrate_body(self, sample: Sample) -> Any:
        """Give the text as it is."""
        return sample.body


RESOURCES: Final = (SampleResource, HookedResource, CursorResource, InstanceResource)
FORMATS: Final = ("csv", "jsonl", "xlsx")

SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "TimeZone": ("Asia/Kathmandu", "America/St_Johns", "<+1234>-12:34"),
    "DateStyle": ("SQL, DMY", "German, YMD", "Postgres, MDY"),
    "IntervalStyle": ("sql_standard", "iso_8601", "postgres_verbose"),
    "extra_float_digits": ("-15", "0", "3"),
    "bytea_output": ("escape",),
    "lc_monetary": ("C.utf8", "POSIX"),
    "standard_conforming_strings": ("off",),
    "backslash_quote": ("on", "off"),
    "escape_string_warning": ("off",),
    "array_nulls": ("off",),
    "quote_all_identifiers": ("on",),
    "transform_null_equals": ("on",),
    "search_path": ("absent, {schema}", '"$user", pg_temp, {schema}', "pg_catalog, {schema}"),
    "default_transaction_isolation": ("serializable",),
    "default_transaction_read_only": ("on",),
    "default_transaction_deferrable": ("on",),
    "plan_cache_mode": ("force_generic_plan",),
    "jit": ("off",),
    "enable_seqscan": ("off",),
    "row_security": ("off",),
    "statement_timeout": ("1min",),
    "idle_in_transaction_session_timeout": ("1min",),
}
"""Settings, and values other than their defaults."""

TOGETHER: Final = {name: values[0] for name, values in SETTINGS.items()}
"""All of them at once."""


class Site:
    """A database and a role of its own, whose settings are nobody else's.

    Args:
        url: Of the server, as a superuser.
    """

    schema: Final = "sweep"

    def __init__(self, url: str) -> None:
        self.name = f"sweep_{uuid.uuid4().hex}"
        self._server = url
        self.url: URL = make_url(url).set(database=self.name, drivername="postgresql+asyncpg")

    async def run(self, *statements: str, inside: bool = False) -> None:
        """Run statements, on the server or inside of the database."""
        url = make_url(self._server)
        url = url.set(database=self.name) if inside else url
        connection = await asyncpg.connect(url.render_as_string(hide_password=False))
        try:
            for each in statements:
                await connection.execute(each)
        finally:
            await connection.close()

    async def create(self) -> None:
        """Create both, and the rows."""
        await self.run(f"create database {self.name}", f"create role {self.name} login")
        await self.run(
            f"create schema {self.schema}; set search_path = {self.schema}; {TABLE};"
            f"grant usage on schema {self.schema} to {self.name};"
            f"grant select on all tables in schema {self.schema} to {self.name}",
            inside=True,
        )

    async def drop(self) -> None:
        """Drop both."""
        await self.run(f"drop database {self.name} with (force)", f"drop role {self.name}")

    @asynccontextmanager
    async def settings(self, level: str, values: Mapping[str, str]) -> AsyncIterator[AsyncEngine]:
        """Give an engine for whose sessions settings have *values*, set at a *level*."""
        values = {name: value.format(schema=self.schema) for name, value in values.items()}
        path = {"search_path": self.schema}
        altered = f"alter {level} {self.name}"
        server = (
            {**path, **values} if level == "engine" else {} if "search_path" in values else path
        )
        engine = create_async_engine(
            self.url.set(username=self.name, password="x"),
            pool_size=1,
            max_overflow=0,
            connect_args={"server_settings": server},
        )
        try:
            if level in {"role", "database"}:
                await self.run(*(f"{altered} set {n} = {_value(n, v)}" for n, v in values.items()))
            if level == "session":
                event.listen(engine.sync_engine, "connect", _setter(values))
            yield engine
        finally:
            await engine.dispose()
            if level in {"role", "database"}:
                await self.run(f"{altered} reset all")


def _value(name: str, value: str) -> str:
    """Write a value in SQL; a path is a list of names."""
    return value if name == "search_path" else f"'{value}'"


def _setter(values: Mapping[str, str]) -> Any:
    def set_all(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for name, value in values.items():
            cursor.execute(f"set {name} = {_value(name, value)}")
        cursor.close()
        connection.commit()

    return set_all


@pytest.fixture(scope="module")
def site(postgres_url: str) -> Iterator[Site]:
    """A database and a role to change settings of."""
    site = Site(postgres_url)
    asyncio.run(site.create())
    yield site
    asyncio.run(site.drop())


async def exports(bind: Any) -> dict[str, str]:
    """Export by all strategies in all formats; gives digests."""
    made = {}
    for resource_class in RESOURCES:
        for name in FORMATS:
            content = await bytes_of(resource_class(bind), name=name)
            made[f"{resource_class.__name__}-{name}"] = hashlib.sha256(content).hexdigest()
    return made


@pytest.fixture(scope="module")
def expected(site: Site) -> dict[str, str]:
    """What is exported under defaults."""

    async def export() -> dict[str, str]:
        async with site.settings("engine", {}) as engine:
            return await exports(engine)

    return asyncio.run(export())


async def check(site: Site, level: str, values: Mapping[str, str], expected: Any) -> None:
    """Export with an engine and in a caller's transaction, under settings."""
    async with site.settings(level, values) as engine:
        assert await exports(engine) == expected
        async with engine.connect() as connection:
            name = next(iter(values))
            shown = await connection.exec_driver_sql(f"show {name}")
            before = shown.scalar_one()
            assert await exports(connection) == expected
            shown = await connection.exec_driver_sql(f"show {name}")
            assert shown.scalar_one() == before


def test_strategies_agree(expected: dict[str, str]) -> None:
    """In each format all strategies make the same bytes, to begin with."""
    for name in FORMATS:
        assert len({digest for key, digest in expected.items() if key.endswith(f"-{name}")}) == 1


@pytest.mark.parametrize("level", ["session", *map(_long, ("role", "database", "engine"))])
async def test_all_settings_together(level: str, site: Site, expected: dict[str, str]) -> None:
    """An export pins what it depends on, and leaves a caller's transaction as it was."""
    await check(site, level, TOGETHER, expected)


@pytest.mark.faults
@pytest.mark.parametrize("level", ["role", "session"])
@pytest.mark.parametrize("name", SETTINGS)
async def test_settings_one_by_one(
    name: str, level: str, site: Site, expected: dict[str, str]
) -> None:
    """Nor does any of them make a difference by itself, whichever value it has."""
    for value in SETTINGS[name]:
        await check(site, level, {name: value}, expected)


@pytest.mark.faults
async def test_settings_of_a_transaction(site: Site, expected: dict[str, str]) -> None:
    """What the caller sets for the transaction alone is heeded no more, and stays."""
    async with site.settings("engine", {}) as engine, engine.connect() as connection:
        for name, value in TOGETHER.items():
            if not name.startswith("default_transaction"):
                wanted = _value(name, value.format(schema=site.schema))
                await connection.exec_driver_sql(f"set local {name} = {wanted}")
        assert await exports(connection) == expected
        shown = await connection.exec_driver_sql("show IntervalStyle")
        assert shown.scalar_one() == "sql_standard"


@pytest.mark.parametrize("encoding", [_long("LATIN1"), _long("SQL_ASCII")])
async def test_encodings_of_clients(encoding: str, site: Site, expected: dict[str, str]) -> None:
    """With another encoding the bytes are the same, or the characters that it lacks an error."""
    async with site.settings("session", {"client_encoding": encoding}) as engine:
        for resource_class in RESOURCES:
            for name in FORMATS:
                try:
                    content = await bytes_of(resource_class(engine), name=name)
                except SourceError as error:
                    is_about_it = error.sqlstate == "22P05" or "UnicodeDecodeError" in str(error)
                    assert is_about_it, error  # noqa: PT017 - some succeed
                else:
                    key = f"{resource_class.__name__}-{name}"
                    assert hashlib.sha256(content).hexdigest() == expected[key]


# --- our own process ------------------------------------------------------------------------


ZONES: Final = (
    "Asia/Kathmandu",
    _long("America/New_York"),
    _long("Europe/Dublin"),
    _long("Australia/Lord_Howe"),
    _long("EST5EDT,M3.2.0,M11.1.0"),
)
"""With odd offsets, a fold, a negative daylight saving, half an hour of it, and no name."""


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A time zone of this process."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        assert time.localtime(0).tm_gmtoff
        yield request.param
    time.tzset()


@pytest.mark.faults
async def test_zones_of_the_process(zone: str, site: Site, expected: dict[str, str]) -> None:
    """Where the process believes to be makes no difference."""
    async with site.settings("engine", {}) as engine:
        assert await exports(engine) == expected


FOLD: Final = datetime(2024, 11, 3, 1, 30)  # noqa: DTZ001 - without a zone, as it has to be
"""Half past one, which New York had twice that night."""


class MomentResource(Resource):
    """Moments at hand."""

    naive = Field()
    again = Field()
    aware = Field()

    def get_queryset(self) -> Any:
        """Give the moments around a fold."""
        moments = (datetime(2024, 11, 3, hour, 30, tzinfo=UTC) for hour in (4, 5, 6, 7))
        return [{"naive": FOLD, "again": FOLD.replace(fold=1), "aware": each} for each in moments]


async def test_moments_at_hand(zone: str) -> None:
    """Moments without a zone stay what they are, and the others are written in the one chosen."""
    content = await bytes_of(MomentResource(timezone="America/New_York"))
    assert content.decode().splitlines()[1:] == [
        f"2024-11-03 01:30:00,2024-11-03 01:30:00,2024-11-03 {local}"
        for local in ("00:30:00", "01:30:00", "01:30:00", "02:30:00")
    ]


_PROGRAM = """
import asyncio, hashlib, sys, time
sys.path[:0] = sys.argv[1:]
import test_sweeps
async def main():
    for name in test_sweeps.PLAIN_FORMATS:
        content = await test_sweeps.bytes_of(test_sweeps.PlainResource(), name=name)
        print(name, hashlib.sha256(content).hexdigest())
asyncio.run(main())
"""

PLAIN_FORMATS: Final = ("csv", "tsv", "json", "jsonl", "xlsx", "ods", "html", "markdown", "sql")


class PlainResource(Resource):
    """Values whose text some languages write in another way."""

    number = Field()
    text = Field()
    moment = Field()
    several = Field()

    def get_queryset(self) -> Any:
        """Give some."""
        row = {
            "number": 1234567.5,
            "text": "\u0130i\u0131I \u00df \u0436 \u00e4",
            "several": {"b", "a", "c"},
        }
        return [{**row, "several": sorted(row["several"]), "moment": FOLD}]  # type: ignore[call-overload]


ENVIRONMENTS: Final[Mapping[str, Mapping[str, str]]] = {
    "c": {"LC_ALL": "C", "LANG": "C", "PYTHONHASHSEED": "1"},
    "posix-ascii": {
        "LC_ALL": "POSIX",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
        "PYTHONHASHSEED": "2",
    },
    "turkish": {"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "3"},
    "german": {"LANG": "de_DE.ISO-8859-1", "LC_NUMERIC": "de_DE", "LANGUAGE": "de"},
    "utf8-mode": {"PYTHONUTF8": "1", "TZ": "Asia/Kathmandu", "PYTHONOPTIMIZE": "1"},
}


@pytest.mark.parametrize(
    "name", ["posix-ascii", *map(_long, sorted({*ENVIRONMENTS} - {"posix-ascii"}))]
)
async def test_locales_of_the_process(name: str) -> None:
    """Nor do its language, the encoding of its terminal and the seed of its hashes."""
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), str(here.parent.parent)]
    environment = {**os.environ, **ENVIRONMENTS[name]}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, *paths, env=environment, stdout=subprocess.PIPE
    )
    told, _ = await process.communicate()
    found = dict(line.split() for line in told.decode("ascii").splitlines())
    expected = {}
    for each in PLAIN_FORMATS:
        content = await bytes_of(PlainResource(), name=each)
        expected[each] = hashlib.sha256(content).hexdigest()
    assert found == expected
    assert set(PLAIN_FORMATS) <= {each.name for each in available_formats()}


@pytest.mark.parametrize("jump", [-86_400.0, _long(86_400.0)], ids=["back", "ahead"])
async def test_the_clock_jumps(
    jump: float, site: Site, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times are measured by a clock that cannot be set: nothing lasts a day, or less than none."""
    started = time.perf_counter()
    now = time.time()
    jumps = iter(range(1, 1_000_000))
    monkeypatch.setattr(time, "time", lambda: now + jump * next(jumps))
    monkeypatch.setattr(time, "time_ns", lambda: int((now + jump * next(jumps)) * 1e9))
    seen: list[Any] = []
    options = {"deadline": 60.0, "read_timeout": 60.0, "progress": seen.append, "batch_size": 1}
    async with site.settings("engine", {}) as engine:
        for resource_class in RESOURCES:
            resource = resource_class(engine, **options)
            async with resource.stream("csv", select(Sample)) as stream:
                content = b"".join([chunk async for chunk in stream])
            elapsed = stream.result.elapsed
            assert 0 < elapsed < time.perf_counter() - started
            key = f"{resource_class.__name__}-csv"
            assert hashlib.sha256(content).hexdigest() == expected[key]
    assert all(0 <= each.elapsed < time.perf_counter() - started for each in seen)

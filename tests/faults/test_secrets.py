"""Secrets: passwords, values and hidden columns stay out of messages, logs, manifests and files.

Whatever is secret here has the word ``canary`` in it. An error of another's keeps its own text as
the ``__cause__`` of ours, where who debugs will find it; nothing else may tell it.
"""

# ruff: noqa: ASYNC110 - what the server does is waited for by looking

from __future__ import annotations

import asyncio
import enum
import logging
import sqlite3
import traceback
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
from library import bytes_of, records_of
from sqlalchemy import (
    URL,
    Column,
    Date,
    Enum,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    bindparam,
    insert,
    make_url,
    select,
    text,
    type_coerce,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_export import (
    ConfigurationError,
    ExportError,
    Field,
    ModelResource,
    Resource,
    RowError,
    SinkError,
    SourceError,
    depends,
    resource_factory,
)
from async_export.cli import run
from async_export.formats import make_encoder
from async_export.guard import secret_names
from async_export.urls import engine_from_url
from async_export.web import ExportResponse
from async_export.widgets import Widget

CANARY = "canary_8c12"


def reveals(*told: object) -> bool:
    """Tell whether something secret is in a text, or in what Python shows of an object."""
    return any("canary" in each.lower() for one in told for each in (str(one), repr(one)))


def texts_of(error: BaseException) -> str:
    """Give all that an error tells by itself: notes too, and not the cause."""
    shown = "".join(traceback.format_exception_only(error))
    return "\n".join([str(error), repr(error), shown, *getattr(error, "__notes__", [])])


def logged(record: logging.LogRecord) -> str:
    """Give all that a line of the log tells, with the traceback if it has one."""
    return logging.Formatter("%(name)s %(message)s").format(record)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing secret is logged, however much is."""
    caplog.set_level(logging.DEBUG, "async_export")
    yield
    for when in ("setup", "call"):
        ours = [each for each in caplog.get_records(when) if each.name.startswith("async_export")]
        assert not [each for each in map(logged, ours) if reveals(each)]


@asynccontextmanager
async def refused(expected: type[BaseException] = ExportError) -> AsyncIterator[None]:
    """Expect an error of ours that tells nothing secret."""
    with pytest.raises(expected) as caught:
        yield
    assert isinstance(caught.value, ExportError)
    assert not reveals(texts_of(caught.value)), texts_of(caught.value)


class Status(enum.Enum):
    """Something that a text may fail to be."""

    IN_PRINT = 1


class Picky(TypeDecorator[str]):
    """A type whose Python fails, and tells the value."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Fail."""
        raise ValueError(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Fail."""
        raise ValueError(value)


class Base(DeclarativeBase):
    """The registry of these models."""


class Note(Base):
    """A text that nobody is to know."""

    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str]


class NoteResource(ModelResource):
    """By COPY."""

    class Meta:
        """Options."""

        model = Note
        fields = ("id", "body")


class CursorResource(NoteResource):
    """By a cursor."""

    class Meta:
        """Options."""

        hooks_use_database = True

    @depends("body")
    def dehydrate_body(self, row: Any) -> str:
        """Give the text."""
        return str(row.body)


class InstanceResource(NoteResource):
    """Mapped objects."""

    class Meta:
        """Options."""

        infer_reads = False

    def dehydrate_body(self, note: Note) -> str:
        """Give the text."""
        return note.body


class EverythingResource(Resource):
    """The columns of a queryset."""

    class Meta:
        """Options."""

        fields = "__all__"


@pytest.fixture
async def notes(pg_engine: AsyncEngine) -> AsyncEngine:
    """A database with secret notes, and a function that tells them."""
    async with pg_engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        rows = [{"id": number, "body": f"{CANARY}_{number}"} for number in range(1, 301)]
        await connection.execute(insert(Note), rows)
        await connection.exec_driver_sql(
            """
            create function tell(state text, told text) returns text language plpgsql as $$
            begin
              raise exception 'no % here', told using errcode = state, detail = told, hint = told;
            end $$
            """
        )
    return pg_engine


# --- passwords ------------------------------------------------------------------------------


@pytest.fixture
async def picky_role(pg_connection: asyncpg.Connection) -> AsyncIterator[str]:
    """A role that has to give its password, on a server that trusts everybody else."""
    role = f"picky_{uuid.uuid4().hex}"
    path, old = await pg_connection.fetchrow(
        "select current_setting('hba_file'), pg_read_file(current_setting('hba_file'))"
    )
    rules = f"local all {role} scram-sha-256\nhost all {role} all scram-sha-256\n"

    async def write(content: str) -> None:
        lines = "unnest(string_to_array($tag${}$tag$, E'\\n'))".format(content.rstrip("\n"))
        quoted = "'" + path.replace("'", "''") + "'"
        await pg_connection.execute(f"copy (select {lines}) to {quoted}")
        await pg_connection.execute("select pg_reload_conf()")

    await pg_connection.execute(f"create role {role} login password 'another'")
    await write(rules + old)
    try:
        yield role
    finally:
        await write(old)
        await pg_connection.execute(f"drop role {role}")


async def is_refused(url: URL) -> bool:
    """Tell whether a login without a password is refused."""
    try:
        connection = await asyncpg.connect(url.set(password=None).render_as_string())
    except asyncpg.PostgresError:
        return True
    await connection.close()
    return False


async def test_a_wrong_password(picky_role: str, postgres_url: str) -> None:
    """A refused login is an error of ours that has the role and not the password."""
    url = make_url(postgres_url).set(username=picky_role, password=CANARY)
    async with asyncio.timeout(5):  # the server takes a moment to read its rules again
        while not await is_refused(url):
            await asyncio.sleep(0.01)
    for engine in (
        engine_from_url(url.render_as_string(hide_password=False)),
        create_async_engine(url.set(drivername="postgresql+asyncpg")),
    ):
        with pytest.raises(SourceError, match="password authentication failed") as caught:
            await bytes_of(NoteResource(engine))
        assert caught.value.sqlstate == "28P01"
        assert not reveals(texts_of(caught.value), engine, engine.url)
        await engine.dispose()


URLS = {
    "nobody-there": "postgresql://shop:canary@127.0.0.1:1/x",
    "no-such-host": "postgresql://shop:canary@host.invalid/x",
    "as-a-parameter": "postgresql://shop@127.0.0.1:1/x?password=canary",
    "slash": "postgresql://shop:ca/canary@127.0.0.1:1/x",
    "at": "postgresql://shop:ca@canary@127.0.0.1:1/x",
    "hash": "postgresql://shop:ca#canary@127.0.0.1:1/x",
    "question": "postgresql://shop:ca?canary@127.0.0.1:1/x",
    "percent": "postgresql://shop:ca%canary@127.0.0.1:1/x",
    "bracket": "postgresql://shop:[canary]@127.0.0.1:1/x",
    "colon": "postgresql://shop:ca:canary@127.0.0.1:1/x",
    "backslash": "postgresql://shop:ca\\canary@127.0.0.1:1/x",
    "quote": "postgresql://shop:ca'\"canary@127.0.0.1:1/x",
    "blank": "postgresql://shop:ca canary@127.0.0.1:1/x",
    "break": "postgresql://shop:ca\ncanary@127.0.0.1:1/x",
    "null": "postgresql://shop:ca\0canary@127.0.0.1:1/x",
    "no-user": "postgresql://:canary@127.0.0.1:1/x",
    "no-host": "postgresql://shop:canary@/x",
    "several-hosts": "postgresql://shop:canary@127.0.0.1:1,127.0.0.1:2/x",
    "swapped": "postgresql://127.0.0.1:canary@shop/x",
    "as-a-port": "postgresql://shop@127.0.0.1:canary/x",
    "wrong-option": "postgresql://shop:canary@127.0.0.1:1/x?sslmode=wrong",
    "unknown-option": "postgresql://shop:canary@127.0.0.1:1/x?nonsense=1",
    "no-passfile": "postgresql://shop:canary@127.0.0.1:1/x?passfile=/absent",
    "other-driver": "postgresql+psycopg://shop:canary@127.0.0.1:1/x",
    "synchronous": "postgresql+psycopg2://shop:canary@127.0.0.1:1/x",
    "no-driver": "mysql+asyncmy://shop:canary@127.0.0.1/x",
    "no-dialect": "shop://shop:canary@127.0.0.1/x",
    "sqlite": "sqlite://shop:canary@/x.db",
    "sqlite-parameter": "sqlite:///absent.db?key=canary",
    "no-scheme": "shop:canary@127.0.0.1/x",
}
"""With a password in them, in all the ways in which people get them wrong."""


@pytest.mark.parametrize("name", URLS)
async def test_urls(name: str) -> None:
    """A URL that leads nowhere tells nothing of what is in it."""
    async with refused():
        engine = await anyio.to_thread.run_sync(engine_from_url, URLS[name])
        assert not reveals(engine, engine.url, engine.pool)
        await bytes_of(NoteResource(engine))


@pytest.mark.parametrize("name", ["nobody-there", "slash", "as-a-port", "sqlite", "no-scheme"])
def test_urls_on_the_command_line(
    name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the command line, whether it is an argument or in the environment."""
    assert run(["query", "select 1", "--db", URLS[name]]) in {1, 2, 75}
    monkeypatch.setenv("DATABASE_URL", URLS[name])
    assert run(["table", "note"]) in {1, 2, 75}
    assert run(["run", "--help"]) == 0
    assert not reveals(*capfd.readouterr())


async def test_an_exhausted_pool(postgres_url: str) -> None:
    """Nor does a pool without a free connection."""
    url = make_url(postgres_url).set(drivername="postgresql+asyncpg", password=CANARY)
    engine = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    async with engine.connect(), refused():
        await bytes_of(NoteResource(engine))
    await engine.dispose()


# --- what the database tells ------------------------------------------------------------------

STATES = ["P0001", "08006", "22023", "23505", "25006", "28000", "3D000", "40001", "42501", "53200"]
STATES += ["55000", "57014", "57P01", "58030", "F0000", "XX000"]

FAILING = {
    "cast": "select body::int as a, 1 as b from note",
    "date": "select body::date as a, 1 as b from note",
    "json": "select body::json as a, 1 as b from note",
    "regular-expression": "select 'x' ~ (body || '(') as a, 1 as b from note",
    "relation": "select body::regclass as a, 1 as b from note",
    "sequence": "select nextval(body) as a, 1 as b from note",
    "role": "select body::regrole as a, 1 as b from note",
    "setting": "select current_setting(body) as a, 1 as b from note",
    "privilege": "select has_table_privilege(body, 'select') as a, 1 as b from note",
    "configuration": "select to_tsvector(body::regconfig, 'x') as a, 1 as b from note",
    "encoding": "select convert_from('x', body) as a, 1 as b from note",
    "file": "select pg_read_file(body) as a, 1 as b from note",
}
"""Queries of which the server says what value is wrong."""

RAISING = {each: f"select tell('{each}', body) as a, 1 as b from note" for each in STATES}
"""By the state that they end in, queries whose functions tell a value."""


@pytest.mark.parametrize("queries", [FAILING, RAISING], ids=["of-its-own", "raised-by-functions"])
async def test_what_the_server_tells(queries: dict[str, str], notes: AsyncEngine) -> None:
    """What the server says of a value is not repeated, by whichever transport it comes."""
    for query in queries.values():
        for format_name in ("csv", "json"):
            async with refused():
                await bytes_of(EverythingResource(notes), text(query), format_name)
        async with notes.connect() as connection, refused():
            await bytes_of(EverythingResource(connection), text(query))


@pytest.mark.parametrize("resource_class", [NoteResource, CursorResource, InstanceResource])
async def test_bound_values(resource_class: type[ModelResource], notes: AsyncEngine) -> None:
    """Values that cannot be sent, or that the server refuses, are not repeated either."""
    types: list[Any] = [Integer(), Date(), Enum(Status), Picky()]
    for sqltype in types:
        bound = bindparam("bound", CANARY, type_=sqltype)
        async with refused():
            await bytes_of(resource_class(notes), select(Note).where(Note.body == bound))
    async with refused():
        await bytes_of(resource_class(notes), select(Note).where(Note.id == CANARY))
    with pytest.raises(ExportError) as caught:
        await bytes_of(resource_class(notes), select(Note).where(Note.body == bindparam("absent")))
    assert not reveals(texts_of(caught.value))


async def test_values_that_cannot_be_read(notes: AsyncEngine) -> None:
    """A type of Python's whose decoding fails tells its class, and not the value."""
    for sqltype in (Picky(), Enum(Status)):
        queryset = select(Note.id, type_coerce(Note.body, sqltype).label("body"))
        async with refused():
            await bytes_of(EverythingResource(notes), queryset, "json")


async def test_sqlite_tells_nothing(sqlite_engine: AsyncEngine) -> None:
    """What SQLite and its driver say of a value is not repeated."""
    queries = (
        f"select json_extract('{CANARY}', '$') as a",
        f"select cast(x'{CANARY.encode().hex()}80' as text) as a",
        f"select abs(-9223372036854775808) || '{CANARY}' as a",
    )
    for query in queries:
        async with refused():
            await bytes_of(EverythingResource(sqlite_engine), text(query))


# --- what hooks tell ------------------------------------------------------------------------

ROW = {"id": 1, "body": CANARY}


class Telling(Exception):  # noqa: N818 - what it says is the point
    """An error whose text holds a value."""

    def __init__(self, value: str = CANARY) -> None:
        self.value = value
        super().__init__(value)

    def __repr__(self) -> str:
        return f"Telling({self.value!r})"


def failing(*_: Any, **__: Any) -> Any:
    """Fail."""
    raise Telling


async def failing_later(*_: Any, **__: Any) -> Any:
    """Fail when awaited."""
    await anyio.lowlevel.checkpoint()
    raise Telling


class Telltale(Widget):
    """A widget that fails."""

    def render(self, value: Any, **kwargs: Any) -> Any:
        """Fail."""
        raise ValueError(value)

    native = render


class Sharp:
    """An object whose text is secret, or cannot be made."""

    def __repr__(self) -> str:
        return CANARY

    def __str__(self) -> str:
        raise ValueError(CANARY)


HOOKS: dict[str, dict[str, Any]] = {
    "dehydrate": {"dehydrate_body": failing},
    "dehydrate-later": {"dehydrate_body": failing_later},
    "key-error": {"dehydrate_body": lambda self, row: {}[row["body"]]},
    "attribute-error": {"dehydrate_body": lambda self, row: getattr(row["id"], row["body"])},
    "type-error": {"dehydrate_body": lambda self, row: f"{row['body']:d}"},
    "format": {"dehydrate_body": lambda self, row: f"{row['id']:{row['body']}}"},
    "object": {"dehydrate_body": lambda self, row: Sharp()},
    "exporting": {"export_field": failing},
    "record": {"export_resource": lambda self, *_, **__: [CANARY]},
    "preparing": {"prepare_batch": failing},
    "widget": {"body": Field(widget=Telltale())},
    "own-method": {"body": Field(dehydrate_method=failing)},
    "title": {"title_records": lambda self, **__: [[Sharp()]]},
    "titles": {"title_records": lambda self, **__: CANARY},
    "footer": {"footer_records": lambda self, *_, **__: [{CANARY[7:]: 1}]},
    "filter": {"filter_export": lambda self, *_, **__: CANARY},
    "queryset": {"get_queryset": lambda self: CANARY},
}
"""Hooks that get a value wrong."""


@pytest.mark.parametrize("name", HOOKS)
async def test_hooks(name: str) -> None:
    """An error in a hook is named by its class; what it says may be a value."""
    members = {"id": Field(), "body": Field(), "get_queryset": lambda self: [ROW], **HOOKS[name]}
    resource_class: type[Resource] = type("TellingResource", (Resource,), members)
    for format_name in ("csv", "xlsx"):
        async with refused():
            await bytes_of(resource_class(), name=format_name)
    for options in ({"on_error": "skip", "max_errors": 0}, {"hook_concurrency": 4}):
        with suppress(Telling):
            async with refused():
                await bytes_of(resource_class(**options), name="csv")


@pytest.mark.parametrize("widget_class", Widget.__subclasses__())
def test_widgets(widget_class: type[Widget]) -> None:
    """A widget that is given something else than it expects says what that is, not which."""
    with suppress(TypeError):
        widget = widget_class()
        members = {"body": Field(widget=widget)}
        resource = type("WidgetResource", (Resource,), members)()
        for value in (CANARY, CANARY.encode(), [CANARY], {CANARY: CANARY}, {CANARY}, Sharp()):
            for make in (resource.export, lambda rows: bytes_of(resource, rows, "xlsx")):
                try:
                    anyio.run(make, [{"body": value}])
                except ExportError as error:
                    assert not reveals(texts_of(error)), texts_of(error)  # noqa: PT017 - some are fine


async def test_hooks_in_the_database(notes: AsyncEngine) -> None:
    """A hook whose own query fails is a RowError without the query's values."""

    class Asking(NoteResource):
        class Meta:
            hooks_use_database = True

        @depends("body")
        async def dehydrate_body(self, row: Any) -> Any:
            return await self.session.scalar(select(text(":v ::int")).params(v=row.body))

    async with refused(RowError):
        await bytes_of(Asking(notes))


async def test_the_key_stays_an_attribute() -> None:
    """The key of a failing row is told to programs, and to no reader of messages."""

    class Keyed(ModelResource):
        class Meta:
            model = Table("keyed", MetaData(), Column("word", String, primary_key=True))
            fields = ("word",)

        dehydrate_word = failing

    with pytest.raises(RowError) as caught:
        await Keyed().export([{"word": CANARY}])
    assert not reveals(texts_of(caught.value))


# --- what formats and sinks tell --------------------------------------------------------------

CELLS = {
    "surrogate": f"{CANARY}\ud800",
    "null": f"{CANARY}\0",
    "long": CANARY * 4000,
    "formula": f"={CANARY}",
    "quote": f'{CANARY}","\\',
    "foreign": f"{CANARY} \u0436",
    "bytes": CANARY.encode() + b"\xff",
    "decimal": Decimal("1e999999"),
    "integer": 10**400,
    "year": date(1, 1, 1),
    "moment": datetime.max.replace(tzinfo=UTC),
    "object": Sharp(),
    "nested": {CANARY: {CANARY: Sharp()}},
}
"""What some formats cannot hold."""

ENCODERS: dict[str, dict[str, Any]] = {
    "csv": {"encoding": "ascii"},
    "csv ": {"formula_policy": "reject"},
    "csv  ": {"quoting": 3, "quotechar": None},
    "xlsx": {},
    **{name: {} for name in ("json", "jsonl", "yaml", "html", "markdown", "ods", "tsv", "xls")},
    **{name: {} for name in ("sql", "postgresql", "parquet", "arrow", "dbf", "rst", "latex")},
    **{name: {} for name in ("jira", "cli", "csv-excel", "tsv-excel", "csv.gz", "csv.zip")},
}
"""By format, options that make it picky."""


QUICK = ("csv", "json", "xlsx", "postgresql")


@pytest.mark.parametrize(
    "name",
    [*QUICK, *(pytest.param(n, marks=pytest.mark.faults) for n in ENCODERS if n not in QUICK)],
)
async def test_cells_that_formats_refuse(name: str) -> None:
    """A cell that a format cannot hold is told by its column."""

    class BodyResource(Resource):
        id = Field(type=Integer())
        body = Field(type=String())

    failed = 0
    encoder = make_encoder(name.strip(), **ENCODERS[name])
    for native in (None, True):
        for cell in CELLS.values():
            for rows in ([{"id": 1, "body": cell}], [{"id": CANARY, "body": cell}]):
                try:
                    await bytes_of(BodyResource(native=native), rows, encoder)
                except ExportError as error:
                    assert not reveals(texts_of(error)), texts_of(error)  # noqa: PT017 - some fit
                    failed += 1
    assert failed


@pytest.mark.parametrize("name", ["folder", "directory", "loop", "long"])
async def test_files_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    """An error of the sink is about the file."""
    (tmp_path / "directory.csv").mkdir()
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    names = {"folder": "absent/x.csv", "long": f"{'x' * 300}.csv"}
    async with refused(SinkError):
        await CursorResource().export_to(tmp_path / names.get(name, f"{name}.csv"), queryset=[ROW])


@pytest.mark.parametrize("option", ["max_rows", "max_bytes", "deadline"])
async def test_limits(option: str, notes: AsyncEngine) -> None:
    """A limit tells its own value only."""
    for resource_class in (NoteResource, CursorResource, InstanceResource):
        async with refused():
            await bytes_of(resource_class(notes, **{option: 1e-6 if option == "deadline" else 1}))


# --- what is left ---------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, str]:
    """Give the texts of the files in a folder, by name."""
    return {each.name: each.read_text() for each in folder.iterdir()}


async def test_results_and_manifests(notes: AsyncEngine, tmp_path: Path) -> None:
    """Results, manifests, rejects and what Python shows of all parts have no values."""
    shown: list[Any] = []

    class Picking(NoteResource):
        def before_export(self, queryset: Any, **kwargs: Any) -> None:
            shown.extend([self, self.session, self.options, self.fields, self.bind])

        @depends("body")
        def dehydrate_body(self, row: Any) -> str:
            if row.body.endswith("7"):
                raise Telling
            return str(row.body)

        def after_export(self, queryset: Any, result: Any, **kwargs: Any) -> None:
            shown.append(result)

    async def progress(event: Any) -> None:
        shown.append(event)

    queryset = select(Note).where(Note.body != f"{CANARY} bound").order_by(Note.id)
    resource = Picking(notes, on_error="skip", progress=progress)
    target = tmp_path / "notes.csv"
    result = await resource.export_to(target, None, queryset, manifest=True, tenant=CANARY)
    stream = resource.stream("csv", queryset, tenant=CANARY)
    shown += [result, resource, stream, notes, await resource.explain("csv", queryset)]
    async with stream:
        shown.append(stream)
    assert result.skipped == 30
    beside = contents(tmp_path)
    del beside["notes.csv"]
    assert set(beside) == {"notes.csv.manifest.json", "notes.csv.rejects.csv"}
    assert not reveals(*shown, *beside.values())


async def test_responses(notes: AsyncEngine) -> None:
    """A response that breaks off, or whose client leaves, logs no value."""

    class Failing(NoteResource):
        class Meta:
            chunk_size = 1
            batch_size = 10

        @depends("id", "body")
        def dehydrate_body(self, row: Any) -> str:
            if row.id == 200:
                raise Telling(row.body)
            return str(row.body)

    async def receive() -> dict[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Any) -> None:
        await anyio.lowlevel.checkpoint()

    async def send_to_nobody(message: Any) -> None:
        if message["type"] != "http.response.start":
            raise BrokenPipeError

    for sending in (send, send_to_nobody):
        response = ExportResponse(Failing(notes), "csv", "notes")
        with suppress(RowError):
            await response({"type": "http", "method": "GET"}, receive, sending)
        assert not reveals(response, response.headers)


# --- columns that nobody named ----------------------------------------------------------------

SENSITIVE = [
    "password",
    "passwd",
    "Password",
    "PASSWORD2",
    "userPassword",
    "user_pass",
    "db_pass",
    "encrypted_password",
    "password_digest",
    "password_hash",
    "hashed_password",
    "pwhash",
    "pw",
    "pwd",
    "userpwd",
    "passphrase",
    "passcode",
    "hash",
    "md5hash2",
    "salt",
    "salt1",
    "pin",
    "PINCode",
    "pin_code",
    "cvv",
    "CVVCode",
    "cvc",
    "ssn",
    "social_security_number",
    "secret",
    "client_secret",
    "clientSecret",
    "SECRET_KEY",
    "token",
    "api_token",
    "apiToken",
    "access_token",
    "refreshToken",
    "remember_token",
    "csrf",
    "csrf_token",
    "jwt",
    "otp",
    "otp_secret",
    "totp_seed",
    "api_key",
    "apikey",
    "APIKey",
    "access_key",
    "auth_key",
    "private_key",
    "privateKey",
    "ssh_key",
    "encryption_key",
    "signing_key",
    "master_key",
    "license_key",
    "session_key",
    "session_id",
    "sessionid",
    "session_data",
    "credentials",
    "credential_id",
    "signature",
    "recovery_codes",
    "two_factor_recovery_codes",
    "backup_code",
    "security_answer",
    "credit_card",
    "credit_card_number",
    "cardNumber",
    "activation_key",
    "reset_code",
]

INNOCENT = [
    "id",
    "name",
    "author",
    "authority",
    "key",
    "keys",
    "keyboard",
    "monkey",
    "primary_key",
    "foreign_key",
    "public_key",
    "cache_key",
    "sort_key",
    "shipping",
    "shipping_code",
    "spin",
    "pinned",
    "opinion",
    "pinnacle",
    "assault",
    "salty",
    "basalt",
    "compass",
    "passenger",
    "passport_country",
    "surpass",
    "bypass_warning",
    "hashtag",
    "hashtags",
    "secretary",
    "secretariat_name",
    "assign",
    "design",
    "cotton",
    "hotpot",
    "session_title",
    "sessions",
    "code",
    "country_code",
    "postcode",
    "zip_code",
    "barcode",
    "promo_code",
    "card",
    "cards",
    "scorecard",
    "discard",
    "digest",
    "designation",
    "status",
    "phone",
    "email",
    "crossing",
    "lesson",
    "export",
    "sum",
    "signal",
    "signup_date",
    "resignation",
    "credits",
    "credible",
    "accredited",
]


def model_of(*names: str) -> Any:
    """Make a mapped class with such columns."""
    columns = {name: mapped_column(String, nullable=True) for name in names if name != "id"}
    key = {"__tablename__": "account", "id": mapped_column(Integer, primary_key=True)}
    return type("Account", (type("AccountBase", (DeclarativeBase,), {}),), {**key, **columns})


@pytest.mark.parametrize(
    "options", [{"fields": "__all__"}, {"exclude": ("id",)}], ids=["all", "but"]
)
def test_sensitive_columns_are_refused(options: dict[str, Any]) -> None:
    """A model with such a column is not exported as a whole, be it mapped or a Table."""
    assert len(SENSITIVE) >= 30
    for name in SENSITIVE:
        model = model_of(name)
        for each in (model, model.__table__):
            with pytest.raises(
                ConfigurationError, match=f"would export {name}, which looks secret"
            ):
                resource_factory(each, meta_options=options)
            resource_factory(each, meta_options={"fields": ("id", name)})


def test_innocent_columns_are_exported() -> None:
    """Names that only look like it are exported."""
    assert secret_names(INNOCENT) == []
    assert list(resource_factory(model_of(*INNOCENT), meta_options={"fields": "__all__"})().fields)


def test_commands_leave_sensitive_columns_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without code, they are left out and named, unless they are asked for."""
    names = list({name.lower(): name for name in SENSITIVE}.values())
    columns = ", ".join(f'"{name}" text' for name in names)
    values = ", ".join([f"'{CANARY}'"] * len(names))
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute(
            f"create table account (id integer primary key, {columns}, shipping text)"
        )
        connection.execute(f"insert into account values (1, {values}, 'x')")
    connection.close()
    database = ["--db", f"sqlite:///{tmp_path}/shop.db"]
    for command in (["table", "account"], ["query", "select * from account"]):
        assert run([*command, *database]) == 0
        told = capfd.readouterr()
        assert told.out == "id,shipping\r\n1,x\r\n"
        assert f"left out {', '.join(names)}, which look secret" in told.err
    assert run(["table", "account", "--fields", "id,salt", *database]) == 0
    assert capfd.readouterr().out == f"id,salt\r\n1,{CANARY}\r\n"


async def test_a_column_that_is_added_later(notes: AsyncEngine) -> None:
    """What a table gets after a release is in no export, until somebody names it."""
    whole = resource_factory(Note, meta_options={"fields": "__all__"})
    table = resource_factory(Note.__table__, meta_options={"fields": "__all__"})
    classes: list[Callable[..., Any]] = [
        NoteResource,
        CursorResource,
        InstanceResource,
        whole,
        table,
    ]
    before = [await records_of(each(notes)) for each in classes]
    async with notes.begin() as connection:
        await connection.execute(text("alter table note add column added text default 'canary'"))
    assert before == [await records_of(each(notes)) for each in classes]
    for each in classes:
        assert (await bytes_of(each(notes))).startswith(b"id,body\r\n")


async def test_what_is_not_exported_is_not_selected(notes: AsyncEngine) -> None:
    """A column that a resource does not export does not even leave the database."""

    class Short(NoteResource):
        class Meta:
            fields = ("id",)

    for format_name in ("csv", "json"):
        explained = await Short(notes).explain(format_name)
        assert "body" not in explained.sql

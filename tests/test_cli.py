"""The command line, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import openpyxl
import pytest
from sqlalchemy import Select, func, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import async_export
from async_export import (
    Encoder,
    Field,
    ModelResource,
    Resource,
    available_formats,
    depends,
    register_format,
)
from async_export.cli import run
from async_export.cli.codes import EXIT_CODES, ExitCode, code_of
from async_export.cli.notices import masked
from async_export.cli.output import Output, write
from async_export.cli.totals import Total, TotalMode
from async_export.errors import ConfigurationError
from async_export.formats import _registry

HERE = Path(__file__).parent

SCHEMA = """
create table book (id integer primary key, title text, price numeric(6, 2), password_hash text);
insert into book values (1, 'Solaris', 9.5, 'x'), (2, 'The Dispossessed', 12, 'y'),
    (3, 'Žluťásek', null, 'z');
create table shelf (id integer primary key, title text);
create view cheap as select title, price from book where price < 10;
"""


class Base(DeclarativeBase):
    """The registry of these models."""


class Book(Base):
    """What is exported."""

    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class BookResource(ModelResource):
    """Two columns of all books."""

    class Meta:
        """Named columns."""

        model = Book
        fields = ("id", "title")


class LimitedResource(BookResource):
    """A resource whose queryset has a limit already."""

    def get_queryset(self) -> Any:
        """Give two books."""
        return super().get_queryset().limit(2)


class FailingResource(BookResource):
    """A hook of it fails in the second row."""

    @depends("id")
    async def dehydrate_title(self, row: Any) -> str:
        """Fail."""
        if row.id == 2:
            raise ZeroDivisionError
        return "fine"


class FormulaResource(Resource):
    """Text that a spreadsheet would evaluate."""

    text = Field()

    def get_queryset(self) -> list[dict[str, str]]:
        """Give two rows."""
        return [{"text": "=1+1"}, {"text": "plain"}]


class HalfResource(Resource):
    """Text that no file can hold."""

    text = Field()

    def get_queryset(self) -> list[dict[str, str]]:
        """Give half of a character."""
        return [{"text": "\ud800"}]


class LoggingResource(Resource):
    """It tells its log what it does."""

    text = Field()

    def get_queryset(self) -> list[dict[str, str]]:
        """Give a row."""
        logger = logging.getLogger("async_export.test")
        logger.info("a row of postgresql://user:geheim@host/db")
        logger.debug("nobody reads this")
        return [{"text": "fine"}]


class ListResource(Resource):
    """It needs no database."""

    id = Field()

    def get_queryset(self) -> Any:
        """Give some dicts."""
        return [{"id": number} for number in range(5)]


class AsyncResource(ListResource):
    """Its rows come one by one, and whether they were closed can be seen."""

    closed: ClassVar[list[bool]] = []

    async def get_queryset(self) -> Any:
        """Give an endless iterator."""
        return self.endless()

    async def endless(self) -> AsyncIterator[dict[str, int]]:
        """Count."""
        number = 0
        try:
            while True:
                yield {"id": number}
                number += 1
        finally:
            self.closed.append(True)


class SlowResource(ListResource):
    """An export that does not come to its end."""

    def get_queryset(self) -> Any:
        """Give more rows than there is time for."""
        return self.slowly()

    async def slowly(self) -> AsyncIterator[dict[str, int]]:
        """Write to stderr that it began, and dawdle."""
        os.write(2, b"began\n")
        for number in range(10_000):
            yield {"id": number}
            await asyncio.sleep(0.01)


NoResource = Book


@pytest.fixture(params=["sqlite", "postgres"])
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of each of the databases in turn, with a few books."""
    if request.param == "sqlite":
        return _sqlite(tmp_path_factory.mktemp("sqlite") / "books.db")
    return str(request.getfixturevalue("pg"))


@pytest.fixture
def pg(pg_dsn: str) -> str:
    """The URL of a PostgreSQL, with a few books."""
    asyncio.run(_execute(pg_dsn, SCHEMA))
    return pg_dsn


@pytest.fixture
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a SQLite database, with a few books."""
    return _sqlite(tmp_path_factory.mktemp("sqlite") / "books.db")


def _sqlite(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
    connection.close()
    return f"sqlite:///{path}"


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, without a DATABASE_URL, and forget what is added to sys.path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])


def _child(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "async_export", *arguments], env=_environment(), **options
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}


# --- the three sources ----------------------------------------------------------------------


def test_run_writes_a_resource(db: str, tmp_path: Path) -> None:
    """``run`` exports a resource to a file, in the format that the file's name says."""
    assert run(["run", "test_cli:BookResource", "--db", db, "-o", "books.csv"]) == 0
    expected = "id,title\r\n1,Solaris\r\n2,The Dispossessed\r\n3,Žluťásek\r\n"
    assert (tmp_path / "books.csv").read_bytes() == expected.encode()
    assert [path.name for path in tmp_path.iterdir()] == ["books.csv"]


@pytest.mark.parametrize("name", ["csv", "tsv", "json", "jsonl"])
def test_every_format_can_be_named(sqlite: str, name: str, tmp_path: Path) -> None:
    """``--format`` and the extension choose the same format."""
    command = ["run", "test_cli:BookResource", "--db", sqlite, "-o"]
    assert run([*command, f"books.{name}"]) == 0
    assert run([*command, "books.out", "--format", name.upper()]) == 0
    assert (tmp_path / "books.out").read_bytes() == (tmp_path / f"books.{name}").read_bytes()


def test_fields_and_limit(db: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """``--fields`` chooses and orders columns, ``--limit`` ends after some rows; stdout is csv."""
    command = ["run", "test_cli:BookResource", "--db", db]
    assert run([*command, "--fields", "title, id", "--limit", "2"]) == 0
    assert capfdbinary.readouterr().out == b"title,id\r\nSolaris,1\r\nThe Dispossessed,2\r\n"


@pytest.mark.parametrize(("limit", "rows"), [(0, 0), (2, 2), (5, 5), (9, 5)])
def test_limit_of_a_list(limit: int, rows: int, capfd: pytest.CaptureFixture[str]) -> None:
    """``--limit`` applies to querysets that are no statements."""
    assert run(["run", "test_cli:ListResource", "--limit", str(limit)]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 1 + rows


def test_limit_closes_an_async_iterator(capfd: pytest.CaptureFixture[str]) -> None:
    """The rows after the limit are not fetched, and their iterator is closed."""
    AsyncResource.closed.clear()
    assert run(["run", "test_cli:AsyncResource", "--limit", "2"]) == 0
    assert capfd.readouterr().out.split() == ["id", "0", "1"]
    assert AsyncResource.closed == [True]


def test_options_of_the_resource(sqlite: str, capfd: pytest.CaptureFixture[str]) -> None:
    """``--option`` reaches the constructor."""
    command = ["run", "test_cli:FailingResource", "--db", sqlite, "-f", "jsonl"]
    assert run([*command, "--option", "on_error=skip", "--option", "batch_size=1"]) == 0
    ids = [json.loads(line)["id"] for line in capfd.readouterr().out.splitlines()]
    assert ids == [1, 3]


def test_table_leaves_out_secrets(db: str, capfd: pytest.CaptureFixture[str]) -> None:
    """``table`` exports the columns that do not look secret, and says which others there are."""
    assert run(["table", "book", "--db", db, "--limit", "1"]) == 0
    told = capfd.readouterr()
    assert told.out.splitlines()[0] == "id,title,price"
    assert "left out password_hash, which looks secret" in told.err


def test_table_gives_secrets_that_are_named(db: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A column that ``--fields`` names is exported."""
    assert run(["table", "book", "--db", db, "--fields", "password_hash,id", "--limit", "1"]) == 0
    told = capfd.readouterr()
    assert told.out.split() == ["password_hash,id", "x,1"]
    assert told.err == ""


def test_a_view_is_a_table(db: str, capfd: pytest.CaptureFixture[str]) -> None:
    """``table`` exports views."""
    assert run(["table", "cheap", "--db", db]) == 0
    assert capfd.readouterr().out.splitlines()[0] == "title,price"


def test_a_table_of_a_schema(
    pg: str, pg_schema: str, postgres_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A schema may stand before the name; a wrong name lists what is near in all schemas."""
    assert run(["table", f"{pg_schema}.book", "--db", postgres_url, "--limit", "1"]) == 0
    assert run(["table", f"{pg_schema}.bok", "--db", postgres_url]) == 2
    assert f"did you mean '{pg_schema}.book'" in capfd.readouterr().err


def test_a_column_of_an_unknown_type(pg: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Types that SQLAlchemy does not know are exported, without a warning."""
    asyncio.run(_execute(pg, "create table odd (at point); insert into odd values ('(1,2)')"))
    assert run(["table", "odd", "--db", pg]) == 0
    told = capfd.readouterr()
    assert told.out.splitlines()[0] == "at"
    assert told.err == ""


def test_query_takes_any_select(db: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A semicolon, a comment, colons and percent signs in the SQL do no harm."""
    sql = "select id, ':a ::b 10:30 %' as mark, password_hash from book where id < 3; -- :c"
    sql = sql.replace("; --", " --")
    assert run(["query", sql, "--db", db, "--limit", "1"]) == 0
    assert run(["query", "select title from book where id = 2;", "--db", db]) == 0
    told = capfd.readouterr()
    assert told.out.splitlines() == ["id,mark", "1,:a ::b 10:30 %", "title", "The Dispossessed"]
    assert "left out password_hash" in told.err


def test_query_gives_secrets_that_are_named(db: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A column that ``--fields`` names is exported."""
    sql = "select * from book order by id"
    assert run(["query", sql, "--db", db, "--fields", "password_hash"]) == 0
    told = capfd.readouterr()
    assert told.out.split() == ["password_hash", "x", "y", "z"]
    assert told.err == ""


def test_query_only_reads(db: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A statement that writes fails, and has changed nothing."""
    assert run(["query", "delete from book returning id", "--db", db]) == 1
    assert "read" in capfd.readouterr().err
    assert run(["query", "select count(*) as n from book", "--db", db]) == 0
    assert capfd.readouterr().out.split() == ["n", "3"]


def test_nothing_to_export_is_a_header(db: str, tmp_path: Path) -> None:
    """An empty table gives a file with its header."""
    assert run(["table", "shelf", "--db", db, "-o", "shelf.csv"]) == 0
    assert (tmp_path / "shelf.csv").read_bytes() == b"id,title\r\n"


def test_the_environment_names_the_database(
    db: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """``DATABASE_URL`` stands for ``--db``."""
    monkeypatch.setenv("DATABASE_URL", db)
    assert run(["query", "select 1 as one"]) == 0
    assert capfd.readouterr().out.split() == ["one", "1"]


def test_modules_of_the_current_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A resource in a file of the current folder can be exported."""
    (tmp_path / "shelf_of_mine.py").write_text("from test_cli import ListResource as Shelf\n")
    assert run(["run", "shelf_of_mine:Shelf", "--limit", "1"]) == 0
    assert capfd.readouterr().out.split() == ["id", "0"]


# --- what is told ---------------------------------------------------------------------------


def test_json_tells_the_result(sqlite: str, capfd: pytest.CaptureFixture[str]) -> None:
    """``--json`` prints the result and the memory on stdout."""
    assert run(["run", "test_cli:BookResource", "--db", sqlite, "-o", "b.csv", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["rows"], told["format"], told["columns"]) == (3, "csv", ["id", "title"])
    assert told["bytes"] == Path("b.csv").stat().st_size
    assert told["peak_memory"] > 1024 * 1024


def test_json_leaves_stdout_to_the_export(capfd: pytest.CaptureFixture[str]) -> None:
    """With ``-o -`` the result goes to stderr."""
    assert run(["run", "test_cli:ListResource", "--limit", "1", "--json"]) == 0
    told = capfd.readouterr()
    assert told.out.split() == ["id", "0"]
    assert json.loads(told.err)["rows"] == 1


@pytest.mark.parametrize(
    "source",
    [
        ["test_cli:BookResource"],
        ["--table", "book"],
        ["--query", "select title, 1 as id from book"],
    ],
)
def test_explain(db: str, source: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """``explain`` takes what the three commands take, and shows strategy and SQL."""
    assert run(["explain", *source, "--db", db, "--fields", "title"]) == 0
    told = capfd.readouterr().out
    assert told.startswith("strategy: ")
    assert "title" in told
    assert "from book" in told.lower().replace("\n", " ")


def test_formats_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    """``formats`` names every format."""
    assert run(["formats"]) == 0
    told = capfd.readouterr().out
    assert all(f" {encoder.name} " in told for encoder in available_formats())


def test_the_table_of_formats_is_whole(capfd: pytest.CaptureFixture[str]) -> None:
    """It tells extension, content type, streaming, typed, limits and extra of each."""
    assert run(["formats"]) == 0
    told = capfd.readouterr().out
    for heading in ("name", "extension", "content type", "streaming", "typed", "limits", "extra"):
        assert heading in told.splitlines()[1]
    line = next(line for line in told.splitlines() if " xls " in line)
    assert ".xls " in line
    assert "65,535 rows" in line
    assert "application/vnd.ms-excel" in line
    line = next(line for line in told.splitlines() if " parquet " in line)
    assert [cell.strip() for cell in line.split("│")[4:6]] == ["yes", "yes"]
    assert ".gz" in told.splitlines()[-1]


@pytest.mark.parametrize("command", ["table", "run"])
def test_several_make_one_file(sqlite: str, command: str, tmp_path: Path) -> None:
    """Tables or resources become sheets, or files of an archive."""
    names = ["book", "cheap"] if command == "table" else ["test_cli:BookResource"] * 2
    path = tmp_path / "library.xlsx"
    assert run([command, *names, "--db", sqlite, "-o", str(path), "--limit", "2"]) == 0
    workbook = openpyxl.load_workbook(path)
    expected = names if command == "table" else ["BookResource", "BookResource (2)"]
    assert workbook.sheetnames == expected
    assert [sheet.max_row for sheet in workbook] == ([3, 2] if command == "table" else [3, 3])
    archive = tmp_path / "library.zip"
    assert run([command, *names, "--db", sqlite, "-o", str(archive), "-f", "tsv"]) == 0
    with zipfile.ZipFile(archive) as read:
        assert [name.rpartition(".")[2] for name in read.namelist()] == ["tsv", "tsv"]


@pytest.mark.parametrize("arguments", [["-o", "x.zip"], ["-o", "x.zip", "-f", "csv"]])
def test_an_archive_of_one(sqlite: str, arguments: list[str]) -> None:
    """One table in a zip is a zip, too."""
    assert run(["table", "book", "--db", sqlite, "--fields", "id", *arguments]) == 0
    with zipfile.ZipFile("x.zip") as read:
        assert read.namelist() == ["export.csv"]
        assert read.read("export.csv") == b"id\r\n1\r\n2\r\n3\r\n"


@pytest.mark.parametrize(
    "option", ["sheet=2024", "header=no", "level=fast", "freeze=1", "rollover=yes"]
)
def test_options_of_another_type(
    sqlite: str, option: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A value of another type is told, and no file is made."""
    arguments = ["table", "book", "--db", sqlite, "-o", "x.xlsx", "--format-option", option]
    assert run(arguments) == 2
    name = option.partition("=")[0]
    assert f"error: the option {name} of xlsx takes" in capfd.readouterr().err
    assert not Path("x.xlsx").exists()


def test_several_have_one_result(sqlite: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The result tells of each sheet."""
    arguments = ["table", "book", "cheap", "--db", sqlite, "-o", "-", "-f", "csv", "--json"]
    assert run(arguments) == 0
    told = json.loads(capfd.readouterr().err.splitlines()[-1])
    assert {name: each["rows"] for name, each in told["sheets"].items()} == {"book": 3, "cheap": 1}


def test_several_need_a_file(sqlite: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A workbook does not go to stdout unless that is asked for."""
    assert run(["table", "book", "cheap", "--db", sqlite]) == 2
    assert "several need a file, as in -o library.xlsx" in capfd.readouterr().err


def test_options_of_the_format(sqlite: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Encoders are made with the options that are named."""
    arguments = ["table", "book", "--db", sqlite, "--fields", "id,title"]
    assert run([*arguments, "--format-option", "delimiter=;"]) == 0
    assert capfd.readouterr().out.startswith("id;title\r\n1;")
    assert run([*arguments, "--format-option", "delimitr=;"]) == 2
    assert "unknown option 'delimitr' in the format csv; did you mean" in capfd.readouterr().err
    assert run([*arguments, "--format-option", "delimiter"]) == 2
    assert "--format-option takes name=value" in capfd.readouterr().err


def test_escaped_cells_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    """How many cells were changed because of formulas is said on stderr."""
    assert run(["run", "test_cli:FormulaResource", "-f", "csv-excel"]) == 0
    told = capfd.readouterr()
    assert "1 cells were escaped" in told.err
    assert '"\'=1+1"' in told.out


def test_help_is_shown_without_arguments(capfd: pytest.CaptureFixture[str]) -> None:
    """Without a command there is the help, and the code of a usage error."""
    assert run([]) == 2
    told = capfd.readouterr()
    assert "Commands" in told.out + told.err
    assert "error" not in told.err


def test_skipped_rows_are_told(sqlite: str, capfd: pytest.CaptureFixture[str]) -> None:
    """How many rows failed is said, and where they are listed."""
    command = ["run", "test_cli:FailingResource", "--db", sqlite, "--option", "on_error=skip"]
    assert run([*command, "-o", "x.csv"]) == 0
    told = "1 of 3 rows failed and were skipped; see x.csv.rejects.csv\n"
    assert capfd.readouterr().err == f"async-export: {told}"
    assert Path("x.csv.rejects.csv").read_text().splitlines()[1].startswith("2,")


@pytest.mark.parametrize("names", [["book"], ["book", "cheap"]], ids=["one", "several"])
def test_a_limit_that_stops_is_told(
    sqlite: str, names: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """An export that a limit ended in good order says which one."""
    options = ["--option", "max_rows=1", "--option", "on_limit=stop"]
    assert run(["table", *names, "--db", sqlite, "-o", "x.xlsx", *options]) == 0
    assert "the export ended early, at max_rows; there may be more" in capfd.readouterr().err


def test_the_log_is_shown_on_request(capfd: pytest.CaptureFixture[str]) -> None:
    """``--verbose`` writes what async_export logs to stderr, that once, and no password."""
    logger = logging.getLogger("async_export")
    before = (logger.level, [*logger.handlers])
    assert run(["run", "test_cli:LoggingResource", "-v"]) == 0
    told = capfd.readouterr()
    assert told.out.split() == ["text", "fine"]
    assert "a row of postgresql://user:***@host/db\n" in told.err
    assert all(line.startswith("async-export: ") for line in told.err.splitlines())
    assert "nobody" not in told.err
    assert (logger.level, logger.handlers) == before
    assert run(["run", "test_cli:LoggingResource"]) == 0
    assert capfd.readouterr().err == ""


# --- verify ---------------------------------------------------------------------------------


def test_verify_tells_of_files_that_are_as_written(
    db: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """``--manifest`` writes what ``verify`` compares with."""
    assert run(["table", "book", "--db", db, "-o", "b.csv", "--manifest"]) == 0
    assert run(["query", "select 1 as a", "--db", db, "-o", "q.jsonl", "--manifest"]) == 0
    books = ["run", "test_cli:FailingResource", "--option", "on_error=skip", "--db", db]
    assert run([*books, "-o", "f.xlsx", "--manifest"]) == 0
    stopping = ["--option", "max_rows=1", "--option", "on_limit=stop", "--manifest"]
    assert run(["table", "book", "cheap", "--db", db, "-o", "w.zip", *stopping]) == 0
    capfd.readouterr()
    assert run(["verify", "b.csv", "q.jsonl", "f.xlsx", "w.zip"]) == 0
    told = capfd.readouterr()
    assert told.err == ""
    size = {name: Path(name).stat().st_size for name in ("b.csv", "f.xlsx", "w.zip")}
    assert told.out.splitlines() == [
        f"b.csv: 3 rows, {size['b.csv']} bytes, as written",
        "q.jsonl: 1 rows, 9 bytes, as written",
        f"f.xlsx: 2 rows, 1 skipped, {size['f.xlsx']:,} bytes, as written",
        f"w.zip: 2 rows, {size['w.zip']:,} bytes, as written, where max_rows stopped it",
    ]


def test_verify_tells_of_findings(capfd: pytest.CaptureFixture[str]) -> None:
    """Each finding is a line, and the code says that there is one."""
    for name in ("a.csv", "b.csv"):
        assert run(["run", "test_cli:ListResource", "-o", name, "--manifest"]) == 0
    Path("a.csv").write_text("id\n")
    assert run(["verify", "a.csv", "b.csv", "c.csv"]) == 5
    told = capfd.readouterr()
    assert told.out == "b.csv: 5 rows, 19 bytes, as written\n"
    assert told.err.splitlines() == [
        "async-export: a.csv: truncated: it ends too early, after 3 of 19 bytes",
        "async-export: c.csv: manifest-missing: the manifest is missing",
        "async-export: c.csv: file-missing: the file is missing",
    ]


def test_verify_tells_in_json(capfd: pytest.CaptureFixture[str]) -> None:
    """With ``--json`` there is an object for each file, and nothing on stderr."""
    assert run(["run", "test_cli:ListResource", "-o", "a.csv", "--manifest"]) == 0
    assert run(["verify", "a.csv", "c.csv", "--json"]) == 5
    told = capfd.readouterr()
    well, missing = map(json.loads, told.out.splitlines())
    assert well == {"file": "a.csv", "ok": True, "rows": 5, "bytes": 19, "findings": []}
    assert (missing["file"], missing["ok"], missing["rows"]) == ("c.csv", False, None)
    codes = [each["code"] for each in missing["findings"]]
    assert codes == ["manifest-missing", "file-missing"]
    assert told.err == ""


# --- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nonsense"], 2, "No such command 'nonsense'; see async-export --help"),
        (["run"], 2, "Missing argument 'MODULE:RESOURCE...'; see async-export run --help"),
        (["run", "test_cli:BookResource", "--limit", "-1"], 2, "--limit"),
        (["run", "test_cli:BookResource"], 2, "name a database with --db URL"),
        (["table", "book"], 2, "name a database with --db URL"),
        (["query", "select 1"], 2, "name a database with --db URL"),
        (["run", "test_cli"], 2, "write package.module:Resource"),
        (["run", "test_cli:"], 2, "write package.module:Resource"),
        (["run", "no_such_module:X"], 2, "cannot import no_such_module: ModuleNotFoundError"),
        (["run", "test_cli:BokResource"], 2, "did you mean 'BookResource'"),
        (["run", "test_cli:NoResource"], 2, "is no class of a resource"),
        (["run", "test_cli:ListResource", "-f", "xyz"], 2, "unknown format 'xyz'; known: arrow"),
        (["run", "test_cli:ListResource", "-o", "x.xyz"], 2, "name one with --format"),
        (["run", "test_cli:ListResource", "--fields", "idd"], 2, "did you mean 'id'"),
        (["run", "test_cli:ListResource", "--fields", ","], 2, "no fields to export"),
        (["run", "test_cli:ListResource", "--option", "x"], 2, "--option takes name=value"),
        (["run", "test_cli:ListResource", "--option", "batch=1"], 2, "unknown option 'batch'"),
        (["run", "test_cli:ListResource", "--option", "timezone=x"], 2, "unknown timezone"),
        (
            ["run", "test_cli:ListResource", "--option", "max_rows=2"],
            6,
            "more rows than max_rows=2",
        ),
        (["run", "test_cli:ListResource", "-o", "no/x.csv"], 3, "no/x.csv: the folder does not"),
        (["run", "test_cli:ListResource", "-o", "."], 2, "unknown file extension"),
        (["run", "test_cli:ListResource", "-o", ".", "-f", "csv"], 3, ".: this is a folder"),
        (["run", "test_cli:ListResource", "--manifest"], 2, "--manifest needs a file"),
        (
            ["run", "test_cli:ListResource", "--manifest", "-o", "/dev/null", "-f", "csv"],
            2,
            "needs",
        ),
        (["run", "test_cli:HalfResource", "-f", "json"], 4, "record 1: column"),
        (["verify"], 2, "Missing argument 'FILE...'"),
        (["explain"], 2, "name one of MODULE:RESOURCE, --table and --query"),
        (["explain", "test_cli:ListResource", "--table", "x"], 2, "name one of"),
    ],
)
def test_mistakes(
    arguments: list[str], code: int, message: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A mistake is one line on stderr and an exit code, and leaves nothing behind."""
    assert run(arguments) == code
    told = capfd.readouterr()
    assert message in told.err
    assert told.err.startswith("async-export: error: ")
    assert told.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "test_cli:LimitedResource", "--limit", "1"], 2, "a limit of its own"),
        (["table", "bok"], 2, "unknown table 'bok'; did you mean 'book'?"),
        (["table", "book", "--fields", "titel"], 2, "did you mean 'title'?"),
        (["query", "select titel from book"], 1, "titel"),
        (["query", "select 1 as password"], 2, "no fields to export"),
        (["run", "test_cli:FailingResource", "-o", "x.csv"], 4, "row 2, field 'title'"),
        (["table", "book", "--option", "max_bytes=9", "-o", "x.csv"], 6, "bytes than max_bytes=9"),
        (["query", "select 1 as a", "--option", "deadline=-1"], 2, "deadline takes seconds"),
        (["explain", "--table", "book", "--option", "x=1"], 2, "unknown option 'x'"),
    ],
)
def test_mistakes_with_a_database(
    db: str, arguments: list[str], code: int, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same for mistakes that show only with a database."""
    assert run([*arguments, "--db", db]) == code
    told = capfd.readouterr()
    assert message in told.err
    assert told.err.splitlines()[-1].startswith("async-export: error: ")
    assert list(Path().iterdir()) == []


def test_the_help_has_the_codes(capfd: pytest.CaptureFixture[str]) -> None:
    """Every exit code is explained in the help."""
    assert run(["--help"]) == 0
    told = " ".join(capfd.readouterr().out.split())
    assert EXIT_CODES in told
    assert all(f" {code.value} " in EXIT_CODES for code in ExitCode)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (async_export.RowError(1, "x", "ValueError"), 4),
        (async_export.FormatLimitError("too many"), 4),
        (async_export.LimitError("max_rows", 1), 6),
        (async_export.DiskFullError(28, "full", "x"), 3),
        (async_export.UnknownNameError("field", "x", []), 2),
        (async_export.MissingDependencyError("x", "y"), 2),
        (async_export.SourceError("x"), 1),
        (async_export.SourceTimeoutError("x"), 1),
        (async_export.UnrepresentableValueError("x"), 1),
        (async_export.ConnectionLostError("x"), 75),
        (async_export.PoolExhaustedError("x"), 75),
        (async_export.ConflictError("x"), 75),
        (async_export.ExportStateError("x"), 1),
        (OSError("x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_has_its_code(error: Exception, code: int) -> None:
    """The code tells what sort of failure it was, and whether to try again."""
    assert code_of(error) == code


def test_a_full_disk_has_its_code(sqlite: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A target that takes no more is told as that."""
    assert run(["table", "book", "--db", sqlite, "-o", "/dev/full", "-f", "csv"]) == 3
    assert "error: /dev/full: " in capfd.readouterr().err


def test_a_module_that_fails_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The error of a module that cannot be imported is told."""
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('no luck')\n")
    assert run(["run", "broken_module:X"]) == 2
    assert "cannot import broken_module: RuntimeError: no luck" in capfd.readouterr().err


def test_traceback_is_shown_on_request(capfd: pytest.CaptureFixture[str]) -> None:
    """``--traceback`` shows where an error comes from, besides the line."""
    assert run(["run", "no_such_module:X", "--traceback"]) == 2
    told = capfd.readouterr().err
    assert "Traceback (most recent call last)" in told
    assert told.splitlines()[-1].startswith("async-export: error: ")


def test_no_clobber(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file is replaced, but not with ``--no-clobber``."""
    (tmp_path / "x.csv").write_text("mine")
    command = ["run", "test_cli:ListResource", "-o", "x.csv", "--limit", "0"]
    assert run([*command, "--no-clobber"]) == 3
    assert "x.csv: there is such a file already" in capfd.readouterr().err
    assert (tmp_path / "x.csv").read_text() == "mine"
    assert run(command) == 0
    assert (tmp_path / "x.csv").read_text() == "id\n"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:geheim@127.0.0.1:1/x",
        "postgresql://user:geheim@nowhere.invalid/x",
        "postgresql://user:geheim/x@127.0.0.1/x",
        "postgresql://user:x@geheim@127.0.0.1:1/x",
        "postgresql://user:geheim%zz@127.0.0.1:1/x",
        "postgresql://user:geheim#x@127.0.0.1:1/x",
        "postgresql://user:geheim@127.0.0.1:port/x",
        "postgresql://user:geheim@127.0.0.1:1/x?sslmode=sometimes",
        "postgresql://user@127.0.0.1:1/x?password=geheim",
        "postgresql+psycopg://user:geheim@127.0.0.1:1/x",
        "sqlite://user:geheim@127.0.0.1/x",
        "mysql://user:geheim@127.0.0.1/x",
        "nonsense://user:geheim@127.0.0.1/x",
        "user:geheim@127.0.0.1/x",
    ],
)
@pytest.mark.parametrize("command", [["table", "book"], ["query", "select 1"]])
def test_a_database_that_is_not_there(
    url: str, command: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """A database that cannot be reached is one line, in which the password never shows."""
    assert run([*command, "--db", url]) in {1, 2, 75}
    assert capfd.readouterr().err.count("\n") == 1
    assert run([*command, "--db", url, "--traceback"]) in {1, 2, 75}
    told = capfd.readouterr()
    assert "Traceback" in told.err
    assert "geheim" not in told.err + told.out


def test_a_database_that_does_not_exist(
    postgres_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A server that refuses is told with its reason, and without the password."""
    url = make_url(postgres_url).set(database="nowhere", password="geheim")
    text = url.render_as_string(hide_password=False)
    assert run(["query", "select 1", "--db", text, "--traceback"]) == 1
    told = capfd.readouterr().err
    assert 'database "nowhere" does not exist' in told
    assert "geheim" not in told


URL = "postgresql://user:geheim@host/db"


@pytest.mark.parametrize(
    "arguments",
    [
        [URL],
        ["run", URL],
        ["run", "test_cli:ListResource", URL],
        ["run", "test_cli:ListResource", "-o", URL],
        ["run", "test_cli:ListResource", "-f", URL],
        ["run", "test_cli:ListResource", "--fields", URL],
        ["run", "test_cli:ListResource", "--option", f"db={URL}"],
        ["run", "test_cli:ListResource", "--option", URL],
        ["run", "test_cli:ListResource", "--format-option", f"delimiter={URL}"],
        ["run", "test_cli:ListResource", "--limit", URL],
        ["table", URL, "--db", "SQLITE"],
        ["query", URL, "--db", "SQLITE"],
        ["explain", "--table", URL, "--db", "SQLITE"],
        ["verify", URL],
    ],
    ids=" ".join,
)
def test_a_url_in_the_wrong_place(
    arguments: list[str], sqlite: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A URL that was given as something else is repeated without its password."""
    arguments = [sqlite if each == "SQLITE" else each for each in arguments]
    assert run([*arguments, *(["--traceback"] if len(arguments) > 1 else [])]) != 0
    told = capfd.readouterr()
    assert told.err
    assert "geheim" not in told.out + told.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see a://u:p@h/d now", "see a://u:***@h/d now"),
        ("a://u:p@q@h", "a://u:***@h"),
        ("a://u:p q/r:s@h", "a://u:***@h"),
        ("a://:p@h", "a://:***@h"),
        ("a://h?x=1&password=p&y=2", "a://h?x=1&password=***&y=2"),
        ("a://h?PassWord=p'", "a://h?PassWord=***'"),
        ("a://u@h/d: no", "a://u@h/d: no"),
        ("12:30 a@b", "12:30 a@b"),
    ],
)
def test_passwords_are_masked(text: str, expected: str) -> None:
    """What stands between the colon and the last @ of a URL is never shown."""
    assert masked(text) == expected
    assert masked(f"1\n{text}\n2") == f"1\n{expected}\n2"


def test_binary_formats_do_not_go_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no text is refused where it would be shown."""
    monkeypatch.setattr(_registry, "_FORMATS", dict(_registry._FORMATS))

    @register_format
    class Blob(Encoder):
        name = "blob"
        extension = "blob"
        content_type = "application/octet-stream"

        def begin(self, columns: Sequence[Any]) -> bytes:
            return b""

        def encode(self, records: Sequence[Any]) -> bytes:
            return b""

        def end(self) -> bytes:
            return b""

    def written(path: str, name: str) -> int:
        return write(ListResource().stream(name), Output(path, name), Total(), None).rows

    assert written("-", "blob") == 5
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(ConfigurationError, match="blob is not for a terminal"):
        written("-", "blob")
    assert written("-", "json") == 5
    assert written("x.blob", "blob") == 5


def test_a_device_is_written_to(capfd: pytest.CaptureFixture[str]) -> None:
    """A device or pipe is opened, not replaced by a file."""
    assert run(["run", "test_cli:ListResource", "-o", "/dev/null", "-f", "csv"]) == 0
    assert Path("/dev/null").is_char_device()


# --- as a process ---------------------------------------------------------------------------


def test_a_process_tells_its_code(sqlite: str) -> None:
    """``python -m async_export`` exits with the code, and shows no traceback."""
    child = _child("query", "select nonsense", "--db", sqlite, stderr=subprocess.PIPE)
    _, told = child.communicate()
    assert child.returncode == 1
    assert told.startswith(b"async-export: error: ")
    assert told.count(b"\n") == 1


def test_without_typer_there_is_one_line() -> None:
    """Without the extra, the command says how to install it."""
    program = "import sys; sys.modules['typer'] = None; import async_export.__main__ as m; m.main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        'async-export: error: the command line needs an extra: pip install "async_export[cli]"\n'
    )


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """An interrupted export ends with 130, and neither file nor temporary file is there."""
    command = ("run", "test_cli:SlowResource", "-o", "slow.csv", "--option", "batch_size=1")
    child = _child(*command, stderr=subprocess.PIPE, cwd=tmp_path)
    assert child.stderr is not None
    assert child.stderr.readline() == b"began\n"
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=20)
    assert child.returncode == 130
    assert told == b"async-export: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_sigterm_leaves_nothing_behind(tmp_path: Path) -> None:
    """A terminated export ends with 143 and without a file, even if it is told to twice."""
    command = ("run", "test_cli:SlowResource", "-o", "slow.csv", "--option", "batch_size=1")
    child = _child(*command, stderr=subprocess.PIPE, cwd=tmp_path)
    assert child.stderr is not None
    assert child.stderr.readline() == b"began\n"
    child.terminate()
    child.terminate()
    _, told = child.communicate(timeout=20)
    assert child.returncode == 143
    assert told == b"async-export: terminated\n"
    assert list(tmp_path.iterdir()) == []


def test_signals_are_left_as_they_were(capfd: pytest.CaptureFixture[str]) -> None:
    """A command that is run by a program takes signals only while it runs, and in any thread."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert run(["verify", "x.csv"]) == 5
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run, ["verify", "x.csv"]).result() == 5


def test_sigterm_where_sigint_is_ignored(tmp_path: Path) -> None:
    """In the background of a script, where Ctrl-C is for others, SIGTERM still ends an export."""
    child = subprocess.Popen(
        [
            *(
                "/bin/sh",
                "-c",
                "trap '' INT; exec \"$@\"",
                "sh",
                sys.executable,
                "-m",
                "async_export",
            ),
            *("run", "test_cli:SlowResource", "-o", "slow.csv", "--option", "batch_size=1"),
        ],
        env=_environment(),
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    assert child.stderr is not None
    assert child.stderr.readline() == b"began\n"
    child.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.5)
    child.terminate()
    _, told = child.communicate(timeout=20)
    assert child.returncode == 143
    assert told == b"async-export: terminated\n"
    assert list(tmp_path.iterdir()) == []


async def _sessions(dsn: str, query: str, *, are_there: bool) -> list[int]:
    """Wait until a query runs, or until none does; give the numbers of its sessions."""
    sql = "select pid from pg_stat_activity where query like $1 and pid <> pg_backend_pid()"
    connection = await asyncpg.connect(dsn)
    try:
        for _ in range(400):
            found = [row["pid"] for row in await connection.fetch(sql, f"%{query}%")]
            if bool(found) == are_there:
                return found
            await asyncio.sleep(0.05)
    finally:
        await connection.close()
    pytest.fail(f"the query is {'not' if are_there else 'still'} there")


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [("SIGTERM", 143, "terminated"), ("kill", 75, "administrator")],
    ids=["sigterm", "killed"],
)
def test_a_query_that_is_ended(pg: str, end: str, code: int, message: str) -> None:
    """However a waiting export is ended, no query keeps running, and there is no file."""
    query = f"pg_sleep(60)::text || 'until {end}'"
    command = ("query", f"select {query} as x", "--db", pg, "-o", "x.csv")
    child = _child(*command, stderr=subprocess.PIPE)
    (session,) = asyncio.run(_sessions(pg, query, are_there=True))
    if end == "kill":
        asyncio.run(_execute(pg, f"select pg_terminate_backend({session})"))
    else:
        child.terminate()
    _, told = child.communicate(timeout=20)
    assert child.returncode == code
    assert message in told.decode()
    assert told.count(b"\n") == 1
    asyncio.run(_sessions(pg, query, are_there=False))
    assert list(Path().iterdir()) == []


@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_sigterm_ends_the_demo(tmp_path: Path) -> None:
    """The demo takes its server with it, and leaves no part of a file."""
    with tempfile.TemporaryDirectory(prefix="async-export-tests-") as folder:
        Path(folder).chmod(0o711)  # as root, the server's user must get through
        command = ("demo", "--data", f"{folder}/data", "--cities", "500", "-o", "out")
        child = _child(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
        assert child.stdout is not None
        assert any(b"are loaded" in line for line in child.stdout)
        child.terminate()
        _, told = child.communicate(timeout=60)
        assert child.returncode == 143
        assert told.splitlines()[-1] == b"async-export: terminated"
        assert not any(folder.encode() in line for line in _command_lines())
    assert list((tmp_path / "out").iterdir()) == []


def _command_lines() -> Iterator[bytes]:
    """Give the command lines of all processes."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_bytes()


def test_a_reader_that_goes_away_is_no_noise(sqlite: str) -> None:
    """When nobody reads stdout any more, the export ends without a word."""
    sql = (
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000000) "
        "select i from n"
    )
    child = _child("query", sql, "--db", sqlite, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"i\r\n"
    child.stdout.close()
    assert child.stderr is not None
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait() == 1


# --- progress -------------------------------------------------------------------------------


def _on_a_terminal(*arguments: str, **options: Any) -> tuple[int, str]:
    """Run a command whose stderr is a terminal; give its code, and what was shown."""
    ours, theirs = pty.openpty()
    child = _child(*arguments, stderr=theirs, **options)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65_536):
            shown += piece
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    return child.wait(), shown.decode()


def test_the_bar_shows_a_percentage(pg: str) -> None:
    """On a terminal there are rows, their rate, and the percentage of the total."""
    sql = "select i, pg_sleep(0.001) is null as x from generate_series(1, 400) as i"
    code, shown = _on_a_terminal("query", sql, "--db", pg, "-o", "x.csv", "--total", "exact")
    assert code == 0
    assert "x.csv" in shown
    assert "400 rows" in shown
    assert "rows/s" in shown
    assert "100 %" in shown


def test_the_bar_lives_without_a_total() -> None:
    """An export whose total is not known has a bar without percentage, until it is complete."""
    limit = ("--limit", "30", "--option", "batch_size=1")
    code, shown = _on_a_terminal("run", "test_cli:SlowResource", "-o", "x.csv", *limit)
    assert code == 0
    assert "30 rows" in shown
    assert " % " not in shown


def test_no_bar_without_a_terminal(sqlite: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is written to stderr if that is no terminal."""
    assert run(["table", "shelf", "--db", sqlite, "-o", "x.csv", "--total", "exact"]) == 0
    told = capfd.readouterr()
    assert told.err == told.out == ""


async def _total(engine: AsyncEngine, mode: TotalMode, queryset: Any) -> int | None:
    total = Total(mode)
    async with engine.connect() as connection:
        await total.find(queryset, connection)
        assert await connection.scalar(text("select 1")) == 1
    return total.rows


def _numbers(most: int) -> Select[Any]:
    number = func.generate_series(1, most).column_valued("number")
    return select(number).order_by(number.desc())


@pytest.mark.parametrize("queryset", [_numbers(500), text("select * from generate_series(1,500)")])
@pytest.mark.parametrize("mode", [TotalMode.EXACT, TotalMode.ESTIMATE])
async def test_totals_of_statements(pg_engine: AsyncEngine, mode: TotalMode, queryset: Any) -> None:
    """A total is counted, or estimated by the planner, with and without parameters."""
    assert await _total(pg_engine, mode, queryset) == 500


async def test_no_total_is_asked_for(pg_engine: AsyncEngine) -> None:
    """Without a wish for it there is no total."""
    assert await _total(pg_engine, TotalMode.NONE, text("select 1")) is None


async def test_sqlite_does_not_estimate(sqlite_engine: AsyncEngine) -> None:
    """SQLite has no estimate, but counts."""
    assert await _total(sqlite_engine, TotalMode.ESTIMATE, text("select 1")) is None
    assert await _total(sqlite_engine, TotalMode.EXACT, text("select 1")) == 1


@pytest.mark.parametrize("mode", [TotalMode.EXACT, TotalMode.ESTIMATE])
async def test_a_failing_total_spares_the_transaction(
    pg_engine: AsyncEngine, mode: TotalMode
) -> None:
    """What cannot be counted has no total, and the export's transaction goes on."""
    assert await _total(pg_engine, mode, text("select nonsense from nowhere")) is None


async def test_totals_of_iterables() -> None:
    """Only what has a length has a total."""
    for queryset, rows in (([1, 2, 3], 3), (iter([1, 2, 3]), None)):
        total = Total(TotalMode.ESTIMATE)
        await total.find(queryset, None)
        assert (total.mode, total.rows) == (TotalMode.EXACT, rows)

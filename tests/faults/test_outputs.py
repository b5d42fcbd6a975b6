"""Outputs: no header, path, archive or document does anything because of a text that is in it."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import asyncpg
import pytest
import yaml
from injections import ALL, BY_CLASS, NAMES, TEXTS, WORDS, harmless, is_one_line, rows_of
from library import bytes_of
from wire import skeleton

from async_export import ConfigurationError, Field, Resource, SinkError, stream_workbook
from async_export.cli import run
from async_export.formats import make_encoder
from async_export.types import Column
from async_export.web import ExportResponse

SURROGATES: Final = re.compile("[\ud800-\udfff]")

MAX_BYTES: Final = 255
"""Of a file's name."""

SOME_OR_ALL = pytest.mark.parametrize(
    "step", [12, pytest.param(1, marks=pytest.mark.faults)], ids=["some", "all"]
)
"""Where each one costs a file."""


# --- headers of HTTP ------------------------------------------------------------------------


class NothingResource(Resource):
    """It needs no database."""

    word = Field()

    def get_queryset(self) -> list[dict[str, str]]:
        """Give one row."""
        return [{"word": "x"}]


def sent_headers(response: ExportResponse) -> dict[str, str]:
    """Give the headers of a response, which a server could send."""
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers
    ]
    assert all(is_one_line(each) for header in headers for each in header)
    assert len(dict(headers)) == len(headers)
    return dict(headers)


def file_names(disposition: str) -> list[str]:
    """Give the names that a browser could make of a Content-Disposition."""
    found = re.fullmatch(
        r"attachment; filename=\"([^\"\\%;/]+)\"(?:; filename\*=UTF-8''([\w!#$&+.^`|~%-]+))?",
        disposition,
        re.ASCII,
    )
    assert found, disposition
    return [found[1], *([unquote(found[2])] if found[2] else [])]


@pytest.mark.parametrize("given", ["filename", "name", "format"])
def test_headers_of_responses(given: str) -> None:
    """A file's name makes one header, of one parameter, that names a file in a folder."""
    plain = sent_headers(ExportResponse(NothingResource(), filename="x"))
    for name in ALL:
        if given == "filename":
            response = ExportResponse(NothingResource(), "csv", name)
        elif given == "format":
            response = ExportResponse(NothingResource(), filename=f"{name}.csv")
        else:
            meta = type("Meta", (), {"name": name})
            response = ExportResponse(type("Named", (NothingResource,), {"Meta": meta})())
        headers = sent_headers(response)
        for each in file_names(headers["content-disposition"]):
            assert each.endswith(".csv")
            assert "/" not in each
            assert not each.startswith((".", " "))
            assert not re.match(r"(?i)(con|prn|aux|nul|conin\$|conout\$|com.|lpt.)[. ]", each)
        headers["content-disposition"] = plain["content-disposition"]
        assert headers == plain


def test_more_headers() -> None:
    """What cannot be in a header of the app's own is refused when the response is made."""
    refusals = []
    for name in ALL:
        for headers in ({"X-Note": name}, {name: "x"}):
            try:
                response = ExportResponse(NothingResource(), headers=headers)
            except ConfigurationError as error:
                refusals.append(str(error))
            else:
                raw = b"".join(b"".join(each) for each in response.raw_headers)
                assert not re.search(rb"[\r\n\0]", raw)
    assert refusals
    assert all(map(is_one_line, refusals))


# --- files ----------------------------------------------------------------------------------


def files_in(folder: Path) -> set[bytes]:
    """Give the names of all files below a folder."""
    return {os.fsencode(each.relative_to(folder)) for each in folder.rglob("*")}


def _is_name(text: str) -> bool:
    """Tell whether a file may be called so; some halves of characters stand for bytes."""
    try:
        return "\0" not in text and len(os.fsencode(text)) <= MAX_BYTES
    except UnicodeEncodeError:
        return False


@SOME_OR_ALL
async def test_names_of_files(step: int, tmp_path: Path) -> None:
    """A name without a slash is a file in the folder, of exactly that name; or it is refused."""
    written = set()
    for name in (each for each in ALL[::step] if not re.search(r"^\.{0,2}$|/", each)):
        if _is_name(name):
            await NothingResource().export_to(f"{tmp_path}/{name}", "csv")
            written.add(os.fsencode(name))
        else:
            with pytest.raises((ConfigurationError, SinkError)) as caught:
                await NothingResource().export_to(f"{tmp_path}/{name}", "csv")
            assert is_one_line(str(caught.value))
    assert files_in(tmp_path) == written
    assert len(written) > 300 / step


async def test_names_of_missing_folders(tmp_path: Path) -> None:
    """A slash makes no folder; what leads nowhere is refused, and nothing is written."""
    for name in (each for each in ALL if "/" in each and ".." not in each):
        with pytest.raises((ConfigurationError, SinkError)):
            await NothingResource().export_to(f"{tmp_path}/missing/{name}", "csv")
    assert not files_in(tmp_path)


@SOME_OR_ALL
async def test_clean_names_of_files(step: int, tmp_path: Path) -> None:
    """The names that responses have are those of files in the folder, whatever was asked for."""
    for name in ALL[::step]:
        response = ExportResponse(NothingResource(), "csv", name)
        cleaned = file_names(response.headers["content-disposition"])[-1]
        await NothingResource().export_to(tmp_path / cleaned)
        assert (tmp_path / cleaned).read_bytes() == b"word\r\nx\r\n"
    assert all(b"/" not in each for each in files_in(tmp_path))


@SOME_OR_ALL
async def test_names_in_archives(step: int, tmp_path: Path) -> None:
    """Tables of an archive are files in the folder that it is unpacked in, each one there."""
    tables = ALL[::step]
    stream = stream_workbook({name: NothingResource() for name in tables}, "zip")
    async with stream:
        content = b"".join([chunk async for chunk in stream])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path)
    assert {os.fsencode(name) for name in names} == files_in(tmp_path)
    assert len({name.casefold() for name in names}) == len(tables)
    assert not [each for each in names if re.search(r'[\x00-\x1f<>:"/\\|?*]|^\.|[. ]$', each)]


# --- documents ------------------------------------------------------------------------------


def odd_resource(texts: Sequence[str]) -> Resource:
    """Make a resource that has each text for a header, a cell, a title and a footer."""
    fields = {f"c{place}": Field(column_name=each) for place, each in enumerate(texts)}
    row = {f"c{place}": each for place, each in enumerate(texts)}
    records = [texts]
    members = {
        **fields,
        "get_queryset": lambda self: [row],
        "title_records": lambda self, **kwargs: records,
        "footer_records": lambda self, result, **kwargs: records,
    }
    resource_class: type[Resource] = type("OddResource", (Resource,), members)
    return resource_class()


ENCODABLE = [each for each in ALL if not SURROGATES.search(each)]
"""What a file of text can hold."""

DOCUMENT = [each for each in TEXTS if len(each) < 32_000]
"""What a cell of a spreadsheet can hold."""


class Parsed(HTMLParser):
    """The tags and the texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[Any] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, attrs))
        self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        """Note the end of one."""
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts[-1:] = ["".join([*self.texts[-1:], data])]

    handle_comment = handle_decl = handle_pi = unknown_decl = handle_starttag  # type: ignore[assignment]


async def test_pages() -> None:
    """A page has the tags that it has for harmless words, and the texts are shown."""
    texts = [each for each in DOCUMENT if each.strip()]
    page = Parsed((await bytes_of(odd_resource(texts), name="html")).decode())
    words = Parsed((await bytes_of(odd_resource(WORDS[: len(texts)]), name="html")).decode())
    assert page.tags == words.tags
    assert len(page.texts) == len(words.texts)


async def test_csv_holds_them() -> None:
    """A reader of CSV gets headers, cells, titles and footers back."""
    lines = rows_of(await bytes_of(odd_resource(ENCODABLE)))
    assert lines == [ENCODABLE] * 4


@pytest.mark.parametrize("name", ["json", "jsonl", "yaml"])
async def test_objects_hold_them(name: str) -> None:
    """Keys and values come back, and no more of them than there were."""
    texts = ENCODABLE
    content = await bytes_of(odd_resource(texts), name=name)
    found = yaml.safe_load(content) if name == "yaml" else json.loads(content)
    record = found if name == "jsonl" else found[0]
    assert record == dict(zip(texts, texts, strict=True))


@pytest.mark.parametrize("name", ["xlsx", "ods"])
async def test_spreadsheets(name: str) -> None:
    """Sheets have no formulas and links, and the elements of harmless ones."""

    async def elements(texts: Sequence[str], sheets: Sequence[str]) -> dict[str, list[str]]:
        stream = stream_workbook({each: odd_resource(texts) for each in sheets}, name)
        async with stream:
            content = b"".join([chunk async for chunk in stream])
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [each for each in archive.namelist() if each.endswith(".xml")]
            return {
                each: [e.tag for e in ET.fromstring(archive.read(each)).iter()] for each in names
            }

    odd = await elements(DOCUMENT[::2], ["Sheet"])
    assert not [
        tag for tags in odd.values() for tag in tags if re.search(r"\}(f|hyperlink|a)$", tag)
    ]
    many = await elements(["x"], ALL[::6])
    assert many == await elements(["x"], WORDS[::6])


INSERT: Final = re.compile(
    r"""
    (BEGIN;\n)?
    INSERT[ ]INTO[ ](\.?(""|\w+))+[ ]\((""|word)\)[ ]VALUES\s\(''\);\n
    (COMMIT;\n)?
    """,
    re.VERBOSE,
)
"""The skeleton of a script."""


@pytest.mark.parametrize("name", ["sql", "postgresql"])
def test_tables_of_scripts(name: str) -> None:
    """The table of a script is a name, or refused."""
    refusals = []
    for table in ALL:
        try:
            encoder = make_encoder(name, table=table)
        except ConfigurationError as error:
            refusals.append(str(error))
        else:
            column = Column("word", "word")
            written = (encoder.begin([column]) + encoder.encode([["x"]]) + encoder.end()).decode()
            assert INSERT.fullmatch(skeleton(written)), table
    assert refusals
    assert all(map(is_one_line, refusals))


@pytest.mark.parametrize("name", [pytest.param("sql", marks=pytest.mark.faults), "postgresql"])
async def test_scripts(name: str, pg_connection: asyncpg.Connection) -> None:
    """A script that has them for names and values inserts them, and does nothing else."""
    # The format sql leaves words without quotes, as the reference does, be they reserved ones.
    texts = [each for each in NAMES if each not in harmless(NAMES)]
    record = dict(zip(texts, texts, strict=True))

    async def script(texts: Sequence[str]) -> str:
        content = await bytes_of(odd_resource(texts), name=make_encoder(name, table="odd"))
        return content.decode()

    written = await script(texts)
    assert skeleton(written) == skeleton(await script(harmless(texts)))
    columns = ", ".join('"{}" text'.format(each.replace('"', '""')) for each in texts)
    await pg_connection.execute(f"create table odd ({columns})")
    await pg_connection.execute("create table canary (id int)")
    await pg_connection.execute(written)
    assert await pg_connection.fetch("table canary") == []
    assert dict(await pg_connection.fetchrow("table odd")) == record


# --- the command line -----------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--fields", "--format", "--option", "--format-option", "table"])
def test_the_command_line(option: str, pg_dsn: str, capfd: pytest.CaptureFixture[str]) -> None:
    """What names nothing is a mistake of usage, told in one line."""
    for kind in list(BY_CLASS.values())[::3]:
        name = next(each for each in reversed(kind) if each.strip(", ") and each in TEXTS)
        if option == "table":
            code = run(["table", name, "--db", pg_dsn])
        else:
            value = f"{name}={name}" if option.endswith("option") else name
            code = run(["run", f"{__name__}:NothingResource", f"{option}={value}"])
        told = capfd.readouterr()
        assert code == 2, (name, told.err)
        assert not told.out
        assert is_one_line(told.err.removesuffix("\n")), told.err

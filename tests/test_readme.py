"""The README is true: every example in it runs, and its tables match the code."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from parity.differences import DIFFERENCES
from sqlalchemy import insert, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from async_export import ResourceOptions, available_formats

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [code for language, code in BLOCKS if language == "sh"]
MODELS = next(code for code in PYTHON if code.startswith("# bookshop.py"))

INSTALL_AND_RUN = re.compile(r"^python -m pip install ")
WORKING_ON_IT = "ruff check ."


@pytest.fixture
async def bookshop(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Path]:
    """A folder with the README's modules, and DATABASE_URL of a database with some books."""
    name = f"readme_{os.getpid()}_{tmp_path.name[-6:].replace('-', '_')}".lower()
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f'CREATE DATABASE "{name}"')
    url = make_url(postgres_url).set(database=name, drivername="postgresql+asyncpg")
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    (tmp_path / "bookshop.py").write_text(MODELS)
    (tmp_path / "library.py").write_text(PYTHON[0].split("engine =")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        await _fill(url)
        yield tmp_path
    finally:
        sys.modules.pop("bookshop", None)
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


async def _fill(url: Any) -> None:
    import bookshop as shop  # type: ignore[import-not-found]

    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(shop.Base.metadata.create_all)
        await connection.execute(insert(shop.Author), [{"id": 1, "name": "Ann", "country": "GB"}])
        books = [
            {"id": number, "title": f"Book {number}", "price": Decimal(number), "author_id": 1}
            for number in range(1, 31)
        ]
        await connection.execute(insert(shop.Book), books)
        await connection.execute(insert(shop.Tag), [{"id": 1, "name": "new"}])
        await connection.execute(insert(shop.book_tags), [{"book_id": 1, "tag_id": 1}])
    await engine.dispose()


async def test_python_examples(bookshop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The Python examples run one after the other, as they stand."""
    names: dict[str, Any] = {}
    examples = [PYTHON[0], *(code for code in PYTHON[1:] if code != MODELS)]
    for code in examples:
        tree = compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(tree, names)
        if inspect.isawaitable(result):
            await result
    assert "30 books" in capsys.readouterr().out
    assert (bookshop / "books.pipe").read_text().startswith("id | title | Author | price\n")
    await _use_the_app(names["app"], bookshop)
    await names["engine"].dispose()


async def _use_the_app(app: Any, folder: Path) -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://books") as client:
        download = await client.get("/books.csv")
        assert download.status_code == 200
        assert len(download.text.splitlines()) == 31
        assert len((await client.get("/books")).json()) == 30
        assert (await client.post("/exports")).status_code == 202
    assert (folder / "export.jsonl").exists()


def test_shell_examples(bookshop: Path) -> None:
    """The commands run, as they stand; those that install and test are what CI runs."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    commands = [line for code in SHELL for line in code.splitlines()]
    ours = [line for line in commands if line.startswith("async-export")]
    assert len(ours) >= 5
    for line in ours:
        done = subprocess.run(
            line, shell=True, cwd=bookshop, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, (line, done.stderr.decode())
    assert (bookshop / "books.csv").read_text().startswith("id,title")
    others = [line for line in commands if line not in ours]
    for line in others:
        assert INSTALL_AND_RUN.match(line) or line.startswith(WORKING_ON_IT), line


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """CI runs the README's own command for the tests, word for word."""
    command = next(code.strip() for code in SHELL if "[test]" in code)
    assert command in (ROOT / ".ci" / "run").read_text()


def test_options_table() -> None:
    """The table of options has every option, and no other."""
    section = README.split("\n## Resources\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+`) \| (?:yes)? ?\|", section, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {each.name for each in fields(ResourceOptions)}


def test_formats_are_described() -> None:
    """Every format has its name in the README."""
    own = [each for each in available_formats() if each.__module__.startswith("async_export.")]
    assert len(own) >= 4
    for encoder in own:
        assert f"`{encoder.name}`" in README


def test_differences_table() -> None:
    """The table of differences is the one that the parity tests hold."""
    table = README.split("## Differences from django-import-export")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (?!reference|---)(.+?) \| (.+?) \|$", table, re.MULTILINE)
    assert rows == [(each.reference, each.here) for each in DIFFERENCES]

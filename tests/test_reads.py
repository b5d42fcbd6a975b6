"""What is found of the reads of hooks: each shape of hook, and each kind of attribute.

Every hook whose reads are found is run with a mapped object and with a light row of just these
reads, and must give the same.
"""

from __future__ import annotations

import asyncio
import dis
import enum
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from textwrap import indent
from typing import Any
from unittest import mock

import pytest
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import JSON, ForeignKey, Integer, String, TypeDecorator, and_, event
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    Mapper,
    column_property,
    composite,
    mapped_column,
    reconstructor,
    relationship,
    synonym,
    validates,
)

from async_export import reads
from async_export.reads import infer_reads
from async_export.rows import LightRow, Related, Value, Values, light_row_class


class Base(DeclarativeBase):
    """The base of all of them."""


class Status(enum.Enum):
    """An immutable value with attributes."""

    NEW = 1
    OLD = 2


class Cents(TypeDecorator[Decimal]):
    """Does not say of what type its values are."""

    impl = Integer
    cache_ok = True


class Euros(Cents):
    """Says that its values cannot be changed."""

    cache_ok = True

    @property
    def python_type(self) -> type[Any]:
        """Of what type its values are."""
        return Decimal


class Publisher(Base):
    """Two relations away from a book."""

    __tablename__ = "publisher"
    id: Mapped[int] = mapped_column(primary_key=True)
    city: Mapped[str | None]


class Author(Base):
    """One relation away from a book."""

    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    country: Mapped[str | None]
    publisher_id: Mapped[int | None] = mapped_column(ForeignKey("publisher.id"))
    publisher: Mapped[Publisher | None] = relationship()
    active: Mapped[bool] = mapped_column(default=True)


class Shelf(Base):
    """May be false, although it is there."""

    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[str | None]

    def __len__(self) -> int:
        return 0


class Watched(Base):
    """Runs code of the user's when it is loaded."""

    __tablename__ = "watched"
    id: Mapped[int] = mapped_column(primary_key=True)

    @reconstructor
    def prepare(self) -> None:
        """Do what only a mapped object does."""


class Review(Base):
    """Many for each book, and none in one."""

    __tablename__ = "review"
    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("book.id"))
    stars: Mapped[int]


class Book(Base):
    """What the hooks receive."""

    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[Decimal | None]
    count: Mapped[int] = mapped_column()
    status: Mapped[Status]
    note: Mapped[str | None] = mapped_column(deferred=True)
    euros: Mapped[Decimal] = mapped_column(Euros)
    cents: Mapped[Decimal] = mapped_column(Cents)
    tags: Mapped[Any] = mapped_column(JSON)
    long__name: Mapped[str] = mapped_column(String)
    _hidden: Mapped[str] = mapped_column(String)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    editor_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("shelf.id"))
    watched_id: Mapped[int | None] = mapped_column(ForeignKey("watched.id"))
    author: Mapped[Author | None] = relationship(foreign_keys=author_id)
    editor: Mapped[Author | None] = relationship(foreign_keys=editor_id)
    active: Mapped[Author | None] = relationship(
        primaryjoin=lambda: and_(Book.author_id == Author.id, Author.active), viewonly=True
    )
    shelf: Mapped[Shelf | None] = relationship()
    watched: Mapped[Watched | None] = relationship()
    reviews: Mapped[list[Review]] = relationship()
    review: Mapped[Review | None] = relationship(uselist=False, viewonly=True)
    double = column_property(count * 2)
    other: Mapped[str] = synonym("name")

    @hybrid_property
    def mixed(self) -> str:
        """Code of the user's."""
        return self.name

    @property
    def plain(self) -> str:
        """Code of the user's."""
        return self.name

    @validates("name")
    def check_name(self, key: str, value: str) -> str:
        """Run when it is set, not when it is loaded."""
        return value


MAPPER: Mapper[Any] = sqlalchemy.inspect(Book)

INLINED = sys.version_info >= (3, 12)
"""Whether comprehensions are no functions of their own."""


KNOWN = {"Book": Book, "functools": functools, "sys": sys, "sleep": asyncio.sleep}
"""What the code of hooks may use."""


def books() -> Iterator[Book]:
    """Make books that have, and have not, what is optional."""
    common: dict[str, Any] = {"count": 3, "euros": Decimal(2), "status": Status.OLD}
    publisher = Publisher(id=7, city="Porto")
    author = Author(id=5, name="Ana", country="pt", publisher=publisher)
    shelf = Shelf(id=1, room="A")
    editor = Author(id=6, name="", country=None)
    yield Book(
        id=1, name="One", price=Decimal("1.5"), author=author, editor=author, shelf=shelf, **common
    )
    yield Book(id=2, name="", price=None, author=editor, editor=None, **common)
    yield Book(id=3, name="Three", price=Decimal(0), note="n", author=None, **common)


def light_row(paths: Sequence[str], book: Book) -> LightRow:
    """Make the light row of *book* that has *paths* and the primary key, and nothing else."""
    cells: list[Any] = []

    def values_of(thing: Any, mapper: Mapper[Any], paths: Sequence[str]) -> dict[str, Values]:
        values: dict[str, Values] = {}
        for name in dict.fromkeys(["id", *(path.split(".")[0] for path in paths)]):
            value = None if thing is None else getattr(thing, name)
            start = len(cells)
            if name in mapper.relationships:
                inner = [p.removeprefix(f"{name}.") for p in paths if p.startswith(f"{name}.")]
                related = mapper.relationships[name].mapper
                values[name] = Related(start, values_of(value, related, inner))
            else:
                cells.append(value)
                values[name] = Value(start)
        return values

    return light_row_class(values_of(book, MAPPER, paths), "hook")(cells)


def finish(coroutine: Any) -> Any:
    """Give what a coroutine returns that waits for nothing."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as done:
        return done.value


def outcome(hook: Callable[[Any], Any], row: Any) -> tuple[Any, ...]:
    """Give what a hook gives, or what it raises."""
    try:
        found = hook(row)
        found = finish(found) if inspect.iscoroutine(found) else found
    except Exception as error:  # noqa: BLE001 - whatever it is, the other row must raise it too
        return type(error), str(error)
    return type(found), found


def hook_of(source: str) -> Callable[[Any], Any]:
    """Make the hook of a resource whose class has *source*, or a method with it as body."""
    if "hook" not in source:  # only a body
        source = f"def hook(self, row):\n{indent(source, '    ')}"
    found: dict[str, Any] = {**KNOWN}
    exec(f"class Resource:\n    rate = 2\n{indent(source, '    ')}", found)
    hook: Callable[[Any], Any] = found["Resource"]().hook
    return hook


def assert_same(hook: Callable[[Any], Any], paths: Sequence[str]) -> None:
    """Check that a hook gives the same of mapped objects and of light rows."""
    for book in books():
        assert outcome(hook, light_row(paths, book)) == outcome(hook, book)


ACCEPTED: dict[str, tuple[str, tuple[str, ...]]] = {
    "a column": ("return row.price", ("price",)),
    "the primary key": ("return row.id", ("id",)),
    "a deferred column": ("return row.note", ("note",)),
    "an enum and its attribute": ("return row.status.value", ("status",)),
    "a TypeDecorator with a python_type": ("return row.euros", ("euros",)),
    "nothing of the row": ("return 1", ()),
    "nothing but self": ("return self.rate", ()),
    "in order of appearance, none twice": (
        "x = row.price\nreturn row.name, x, row.price, row.count",
        ("price", "name", "count"),
    ),
    "a path": ("return row.author.country", ("author.country",)),
    "a longer path": ("return row.author.publisher.city", ("author.publisher.city",)),
    "a method of a value": ("return row.name.upper()", ("name",)),
    "a method of a value behind a path": ("return row.author.name.upper()", ("author.name",)),
    "arithmetic": ("return row.count * 2 + row.id", ("count", "id")),
    "a value as an argument": ("return len(row.name) + abs(row.count)", ("name", "count")),
    "a value as a keyword": ("return dict(row=row.name)", ("name",)),
    "a value as a key": ("return {row.id: row.name}[row.id]", ("id", "name")),
    "a value compared": ("return row.name == 'One'", ("name",)),
    "two values compared": ("return 1 < row.id <= row.count", ("id", "count")),
    "a value in a container": ("return row.name in ('One', 'Two')", ("name",)),
    "a value unpacked": ("a, *b = row.name or 'xy'\nreturn a, b", ("name",)),
    "an f-string": ("return f'{row.name!r}: {row.price:>8}'", ("name", "price")),
    "a conditional": ("return row.name if row.price else row.id", ("price", "name", "id")),
    "the row or something else, then an attribute": (
        "x = Book(id=9, name='x')\nreturn (x if self.rate > 3 else row).name",
        ("name",),
    ),
    "a value with `or`": ("return row.name or row.id", ("name", "id")),
    "a value with `and`": ("return row.name and row.id", ("name", "id")),
    "a value that the walrus names": ("return (n := row.name) + n", ("name",)),
    "a value in a variable": ("x = row.name\ny = row.count\nreturn x * y", ("name", "count")),
    "a variable before the row": ("x = 1\nreturn x, row.name", ("name",)),
    "values that are matched": (
        "match row.status.value, row.id:\n    case 2, n: return n\n    case _: return row.name",
        ("status", "id", "name"),
    ),
    "a try": (
        "try: return row.author.name\nexcept AttributeError as e: return row.id, e.name",
        ("author.name", "id"),
    ),
    "a with": (
        "import contextlib\nwith contextlib.suppress(ArithmeticError):\n    return 1 / row.count",
        ("count",),
    ),
    "a loop": (
        "n = 0\nfor c in row.name:\n    n += row.count\nwhile n > row.id: n -= 1\nreturn n",
        ("name", "count", "id"),
    ),
    "a backward test of a relation": (
        "n = 0\nwhile row.author is not None:\n    n += 1\n    if n > 3: return n\nreturn n",
        ("author",),
    ),
    "an assertion": ("assert row.author\nreturn 1", ("author",)),
    "a deleted variable": ("x = row.name\ndel x\nreturn row.id", ("name", "id")),
    "an attribute named as the row": ("self.row = row.id\nreturn self.row", ("id",)),
    "a string that is the name of the row": ("return 'row', row.id, ('row', 'x')", ("id",)),
    "a lambda inside that has its own row": (
        "return (lambda row: row + 1)(row.count)",
        ("count",),
    ),
    "a function inside that captures a value": (
        "rate = row.count\nreturn list(map(lambda n: n * rate, [1]))",
        ("count",),
    ),
    "a generator expression over a value": ("return sum(1 for c in row.name)", ("name",)),
    "a default of a function inside": ("return (lambda x=row.id: x)()", ("id",)),
    "a relation that is None": ("return row.author is None", ("author",)),
    "a relation that is not None": ("return row.author is not None", ("author",)),
    "a branch on a relation that is None": (
        "if row.author is None: return ''\nreturn row.author.name",
        ("author", "author.name"),
    ),
    "a branch on a relation that is not None": (
        "return row.author.name if row.author is not None else 'x'",
        ("author", "author.name"),
    ),
    "a branch on a relation": (
        "return row.author.name if row.author else 'x'",
        ("author", "author.name"),
    ),
    "a branch on no relation": ("if not row.author: return 1", ("author",)),
    "`not` of a relation": ("return not row.author", ("author",)),
    "`and` behind a relation": (
        "return row.author and row.author.name",
        ("author", "author.name"),
    ),
    "`and` behind two relations": (
        "return row.author and row.author.publisher and row.author.publisher.city",
        ("author", "author.publisher", "author.publisher.city"),
    ),
    "`and` behind a relation, in a condition": (
        "return 1 if row.author and row.author.country == 'pt' else 0",
        ("author", "author.country"),
    ),
    "`or` in a condition": ("return 1 if row.editor or row.author else 0", ("editor", "author")),
    "a falsy related object, compared to None": ("return row.shelf is None", ("shelf",)),
    "a column of a falsy related object": ("return row.shelf.room", ("shelf.room",)),
    "async": ("async def hook(self, row):\n    return row.name", ("name",)),
    "await between reads": (
        "async def hook(self, row): return row.id, await sleep(0, row.name), row.id",
        ("id", "name"),
    ),
    "a lambda": ("hook = lambda self, book: book.name", ("name",)),
    "two lambdas on a line": ("other, hook = lambda s, r: r.id, lambda s, r: r.name", ("name",)),
    "a static method": ("@staticmethod\ndef hook(row): return row.name", ("name",)),
    "a class method": ("@classmethod\ndef hook(cls, row): return cls.rate, row.name", ("name",)),
    "a positional-only argument": ("def hook(self, row, /): return row.name", ("name",)),
    "a default for the row": ("def hook(self, row=None): return row.name", ("name",)),
    "another argument with a default": (
        "def hook(self, row, n=2): return row.count * n",
        ("count",),
    ),
    "a keyword with a default": ("def hook(self, row, *, n=2): return row.count * n", ("count",)),
    "a mangled argument": ("def hook(self, __row): return __row.name", ("name",)),
    "annotations": ("def hook(self, row: 'Book') -> 'str': return row.name", ("name",)),
    "a decorator that gives the function back": (
        "@functools.partial(lambda f: f)\ndef hook(self, row): return row.name",
        ("name",),
    ),
}
"""By what they show: the body of a hook or the code of its class, and what it reads."""

REJECTED: dict[str, str] = {
    "it gives the row": "return row",
    "it gives a relation": "return row.author",
    "an alias": "book = row\nreturn book.name",
    "an alias of a relation": "a = row.author\nreturn a.name",
    "two aliases": "a = b = row\nreturn a.name",
    "a tuple": "a, b = row, 1\nreturn a.name",
    "a swap": "x = 1\nx, row = row, x\nreturn x.name",
    "a pair of variables that starts with the row": "x = 1\nreturn self.rate if (row, x) else 2",
    "the walrus names the row": "return (r := row).name",
    "the walrus names a relation": "return (a := row.author) and a.name",
    "the walrus rebinds the row": "return [(row := 1), row]",
    "an assignment to the row": "row = Book(id=9, name='x')\nreturn row.name",
    "an assignment behind the reads": "x = row.name\nrow = None\nreturn x",
    "an augmented assignment to the row": "row += 1\nreturn 2",
    "a store": "row.name = 'x'\nreturn row.name",
    "a store in a related object": "row.author.name = 'x'\nreturn row.name",
    "an augmented assignment": "row.count += 1\nreturn row.count",
    "an augmented assignment in a related object": "row.author.id += 1\nreturn 1",
    "an attribute is deleted": "del row.name",
    "an attribute of a related object is deleted": "del row.author.name",
    "the row is deleted": "x = row.name\ndel row\nreturn x",
    "an annotated store": "row.name: str = 'x'",
    "a loop binds the row": "for row in [1]: pass\nreturn row",
    "a loop over the row": "for x in row: pass",
    "with binds the row": "import contextlib\nwith contextlib.nullcontext(1) as row: pass",
    "with takes the row": "with row: pass",
    "except binds the row": "try: 1 / 0\nexcept ZeroDivisionError as row: pass",
    "import binds the row": "import sys as row\nreturn row.name",
    "a function is named as the row": "def row(): pass\nreturn row.name",
    "a class is named as the row": "class row: name = 1\nreturn row.name",
    "match binds the row": "match 1:\n    case row: return row",
    "match on the class of the row": "match row:\n    case Book(name=n): return n",
    "match on a relation": "match row.author:\n    case None: return 1\n    case a: return a.name",
    "match captures a relation": "match row.author:\n    case a: return a.name",
    "getattr": "return getattr(row, 'name')",
    "hasattr": "return hasattr(row, 'nothing')",
    "setattr": "setattr(row, 'name', 'x')",
    "isinstance": "return isinstance(row, Book)",
    "the type of the row": "return type(row).__name__",
    "the identity of the row": "return id(row)",
    "a helper gets the row": "return self.help(row)",
    "a helper gets a relation": "return self.help(row.author)",
    "a keyword gets the row": "return dict(row=row)",
    "star arguments get the row": "return max(*[row])",
    "the row in a list": "return [row][0].name",
    "the row in a dict": "return {'row': row}['row'].name",
    "an f-string of the row": "return f'{row}'",
    "an f-string of a relation": "return f'{row.author}'",
    "the row beside its own column": "return (row is row.id), self.rate",
    "a helper gets the row and its column": "return self.help(row, row.name)",
    "the row compared": "return row == 1",
    "the row is tested": "return 1 if row else 2",
    "the row is None": "return row is None",
    "the row is indexed": "return row['name']",
    "the row is called": "return row()",
    "a column is called": "return row.name()",
    "a relation is called": "return row.author()",
    "relations compared": "return row.author == row.editor",
    "relations, which are the same": "return row.author is row.editor",
    "a relation compared to None": "return row.author == None",
    "None on the left": "return None is row.author",
    "a relation, or something else": "return row.author or 'x'",
    "a relation behind `and`": "return row.name and row.author",
    "a relation in a condition that may give it": "return row.author if row.name else 1",
    "one relation or the other": "return (row.author or row.editor).name",
    "a relation in bool()": "return bool(row.author)",
    "a relation in a container": "return row.author in [None]",
    "a relation is indexed": "return row.author['name']",
    "a relation is unpacked": "a, b = row.author",
    "a relation is raised": "raise row.author",
    "the truth of an object that may be false": "return 1 if row.shelf else 2",
    "`and` behind an object that may be false": "return row.shelf and row.shelf.room",
    "one read of many is none": "return row.name, row.count, repr(row)",
    "dead ends count": "if self.rate > 3: return row\nreturn row.name",
    "a function inside captures the row": "return (lambda: row.name)()",
    "a def inside captures the row": "def inner(): return row.name\nreturn inner()",
    "a function inside rebinds the row": "def f():\n    nonlocal row\n    row = 1\nreturn row.name",
    "a generator expression captures the row": "return list(row.name for _ in '1')",
    "a lambda in a comprehension captures the row": "return [f() for f in [lambda: row.name]]",
    "a class inside captures the row": "class C: name = row.name\nreturn C.name",
    "a default of a function inside is the row": "return (lambda x=row: x.name)()",
    "a comprehension over the row": "return [x for x in row]",
    "locals": "return locals()['row'].name",
    "vars without argument": "return vars()['row'].name",
    "vars of the row": "return vars(row)['name']",
    "dir": "return dir()",
    "eval": "return eval('row.name')",
    "exec": "exec('row.name')",
    "exec inside": "return (lambda: exec('1'))()",
    "globals": "return globals()",
    "builtins.eval": "import builtins\nreturn builtins.eval('row.name')",
    "map with eval": "return list(map(eval, ['1']))",
    "a frame": "return sys._getframe().f_locals['row'].name",
    "a frame of a function inside": "return (lambda: sys._getframe(1))().f_locals",
    "super": "return super().help(row)",
    "super in a static method": "@staticmethod\ndef hook(row): return super().name",
    "__dict__": "return row.__dict__['name']",
    "__class__": "return row.__class__",
    "a private name": "return row._hidden",
    "a mangled name": "return row.__hidden",
    "SQLAlchemy's state": "return row._sa_instance_state",
    "a name with two underscores, which is a path of its own": "return row.long__name",
    "metadata": "return row.metadata",
    "a generator": "yield row.name",
    "yield from": "yield from row.name",
    "an async generator": "async def hook(self, row): yield row.name",
    "a generator that is a coroutine": (
        "import types\n@types.coroutine\ndef hook(self, row): yield row.name"
    ),
    "star arguments": "def hook(self, *args): return args[0].name",
    "star arguments behind the row": "def hook(self, row, *args): return row.name",
    "keywords": "def hook(self, row, **kwargs): return row.name",
    "a keyword-only row": "def hook(self, *, row): return row.name",
    "a keyword that is missing": "def hook(self, row, *, n): return row.name",
    "an argument that is missing": "def hook(self, row, n): return row.name",
    "no argument": "def hook(self): return 1",
    "no self": "def hook(): return 1",
    "a static method with a self": "@staticmethod\ndef hook(self, row): return row.name",
    "a decorator that wraps": (
        "def wrap(f):\n    @functools.wraps(f)\n    def inner(self, row): return f(self, row)\n"
        "    return inner\n@wrap\ndef hook(self, row): return row.name"
    ),
    "a decorator that wraps anything": (
        "def wrap(f):\n    @functools.wraps(f)\n    def inner(*args): return f(*args)\n"
        "    return inner\n@wrap\ndef hook(self, row): return row.name"
    ),
    "a partial": "hook = staticmethod(functools.partial(lambda row: row.name))",
    "a partial method": "hook = functools.partialmethod(lambda self, row: row.name)",
    "a cached function": "hook = staticmethod(functools.lru_cache(lambda row: row.name))",
    "a single dispatch": "hook = functools.singledispatchmethod(lambda self, row: row.name)",
    "a callable object": ("class C:\n    def __call__(self, row): return row.name\nhook = C()"),
    "a function in C": "hook = str",
    "a class": "class hook:\n    def __init__(self, row): self.name = row.name",
    "a hybrid": "return row.mixed",
    "a property": "return row.plain",
    "a synonym": "return row.other",
    "a column_property": "return row.double",
    "a method of the class": "return row.check_name('a', 'b')",
    "a method of the class, unbound": "return row.check_name",
    "no such attribute": "return row.nothing",
    "no such attribute behind a relation": "return row.author.nothing",
    "values that can be changed": "return row.tags",
    "values that nothing is known of": "return row.cents",
    "a to-many relation": "return row.reviews",
    "a to-many relation is tested": "return 1 if row.reviews else 2",
    "one of many": "return row.review.stars",
    "a relation with a condition": "return row.active.name",
    "a related object that runs code when loaded": "return row.watched.id",
}
"""By the reason: hooks that receive the mapped object."""

BY_VERSION: dict[str, tuple[str, tuple[str, ...]]] = {
    "a comprehension reads the row": ("return [row.count for _ in 'ab']", ("count",)),
    "a comprehension tests a relation": ("return [1 for _ in 'ab' if row.author]", ("author",)),
    "a dict comprehension": ("return {c: row.id for c in row.name}", ("id", "name")),
}
"""Hooks that are accepted from Python 3.12 on, where comprehensions are no functions."""


@pytest.mark.parametrize(("source", "paths"), ACCEPTED.values(), ids=ACCEPTED)
def test_reads_are_found(source: str, paths: tuple[str, ...]) -> None:
    """Hooks of these shapes give the same with light rows."""
    hook = hook_of(source)
    assert infer_reads(hook, MAPPER) == paths
    assert_same(hook, paths)


@pytest.mark.parametrize("source", REJECTED.values(), ids=REJECTED)
def test_doubts(source: str) -> None:
    """Hooks of these shapes may read anything."""
    assert infer_reads(hook_of(source), MAPPER) is None


@pytest.mark.parametrize(("source", "paths"), BY_VERSION.values(), ids=BY_VERSION)
def test_comprehensions(source: str, paths: tuple[str, ...]) -> None:
    """Before 3.12 a comprehension is a function that captures the row."""
    hook = hook_of(source)
    found = infer_reads(hook, MAPPER)
    if not INLINED:
        assert found is None
        return
    assert found is not None
    assert set(found) == set(paths)
    assert_same(hook, found)


def test_a_comprehension_with_a_variable_named_as_the_row() -> None:
    """From 3.12 on it takes the place of the row for a while."""
    hook = hook_of("return [row for row in 'ab']")
    assert infer_reads(hook, MAPPER) == (None if INLINED else ())


def mapper_of(*bases: type, **members: Any) -> Mapper[Any]:
    """Make a mapped class with a column `name`, and give its mapper."""
    base = type("Base", (*bases, DeclarativeBase), {})
    members = {
        "__tablename__": "thing",
        "id": mapped_column(Integer, primary_key=True),
        "name": mapped_column(String),
        **members,
    }
    mapper: Mapper[Any] = sqlalchemy.inspect(type("Thing", (base,), members))
    return mapper


def reads_name(self: Any, row: Any) -> Any:
    """Read one attribute."""
    return row.name


HOOK = reads_name.__get__(object())


class Own:
    """Something mapped that has more than its columns."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Every:
    """Something mapped that is asked for each attribute."""

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, name)


class Rebuilt:
    """Something mapped that does more when it is loaded."""

    @reconstructor
    def prepare(self) -> None:
        """Do more."""


@pytest.mark.parametrize("base", [Own, Every, Rebuilt])
def test_classes_with_code_of_their_own(base: type) -> None:
    """What they do a light row would not do, even if the hook reads nothing."""
    mapper = mapper_of(base)
    assert infer_reads(HOOK, mapper) is None
    assert infer_reads(hook_of("return 1"), mapper) is None


@pytest.mark.parametrize("name", ["load", "refresh"])
def test_listeners(name: str) -> None:
    """They may change what was loaded; those of a base class count, and of all mappers."""

    def listener(*args: Any) -> None:
        pass

    assert infer_reads(HOOK, mapper_of()) == ("name",)
    mapper = mapper_of()
    event.listen(mapper.class_, name, listener)
    assert infer_reads(HOOK, mapper) is None
    mapper = mapper_of()
    event.listen(mapper.class_.__mro__[1], name, listener, propagate=True)
    assert infer_reads(HOOK, mapper) is None
    event.listen(Mapper, name, listener)
    try:
        assert infer_reads(HOOK, mapper_of()) is None
    finally:
        event.remove(Mapper, name, listener)


def test_mutable_values_and_composites_listen() -> None:
    """They are known when the mappers are configured, which is done first."""
    mutable = MutableDict.as_mutable(JSON())
    assert infer_reads(HOOK, mapper_of(extra=mapped_column(mutable))) is None
    composed = composite(complex, mapped_column("x", Integer), mapped_column("y", Integer))
    assert infer_reads(HOOK, mapper_of(at=composed)) is None


def test_attributes_that_the_class_replaces() -> None:
    """The class decides what an object gives, not the mapper."""
    mapper = mapper_of()
    type.__setattr__(mapper.class_, "name", property(lambda self: "x"))
    assert infer_reads(HOOK, mapper) is None


def test_subclasses() -> None:
    """A row may be of a subclass, which may read otherwise."""
    mapper = mapper_of()
    reference = mapped_column(ForeignKey("thing.id"), primary_key=True)
    members = {"__tablename__": "sub", "id": reference, "size": mapped_column(Integer)}
    sub: Mapper[Any] = sqlalchemy.inspect(type("Sub", (mapper.class_,), members))
    assert infer_reads(HOOK, mapper) is None
    assert infer_reads(HOOK, sub) == ("name",)
    assert infer_reads(hook_of("return row.size"), sub) == ("size",)
    assert infer_reads(hook_of("return row.id"), sub) is None, "a column of two tables"


def test_polymorphic_mappers() -> None:
    """Loading fails where the discriminator names no class."""
    arguments = {"polymorphic_on": "name", "polymorphic_identity": "x"}
    assert infer_reads(HOOK, mapper_of(__mapper_args__=arguments)) is None


def test_columns_of_no_table() -> None:
    """A class may be mapped to a subquery."""
    table = sqlalchemy.Table(
        "t",
        sqlalchemy.MetaData(),
        sqlalchemy.Column("id", Integer, primary_key=True),
        sqlalchemy.Column("name", String),
    )
    base = type("Base", (DeclarativeBase,), {})
    members = {"__table__": sqlalchemy.select(table).subquery()}
    mapper: Mapper[Any] = sqlalchemy.inspect(type("Thing", (base,), members))
    assert infer_reads(HOOK, mapper) is None


@pytest.mark.filterwarnings("ignore:.*noload")
def test_a_relation_that_is_never_loaded() -> None:
    """Its objects are None in mapped objects only."""
    parent = mapped_column(ForeignKey("thing.id"))
    for lazy, paths in {"select": ("up.name",), "noload": None}.items():
        up = relationship("Thing", remote_side="Thing.id", lazy=lazy)  # type: ignore[arg-type]
        mapper = mapper_of(parent=parent._copy(), up=up)
        assert infer_reads(hook_of("return row.up.name"), mapper) == paths


def test_dataclasses() -> None:
    """They are classes as others are."""
    mapper = mapper_of(MappedAsDataclass)
    assert infer_reads(HOOK, mapper) == ("name",)


def test_a_method_of_the_mapped_class() -> None:
    """Field(dehydrate_method=Book.method) calls it with the row."""
    assert infer_reads(Book.plain.fget, MAPPER) == ("name",)  # type: ignore[attr-defined]
    assert infer_reads(Book.check_name, MAPPER) is None


@pytest.mark.parametrize("like", [reads_name, HOOK])
def test_what_pretends_to_be_a_function(like: Any) -> None:
    """Not even if it has code."""
    hook = mock.Mock(spec=like, __code__=reads_name.__code__, __func__=reads_name)
    assert isinstance(hook, type(like))
    assert infer_reads(hook, MAPPER) is None


def test_unknown_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows their bytecode."""
    monkeypatch.setattr(reads, "_KNOWN", False)
    assert infer_reads(HOOK, MAPPER) is None


@pytest.mark.parametrize("known", ["LOAD_FAST", "LOAD_ATTR"])
def test_unknown_instructions(known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they do with the row, it is in doubt."""
    found = [
        each._replace(opname=f"{each.opname}_NEW") if each.opname.startswith(known) else each
        for each in dis.get_instructions(reads_name)
    ]
    assert infer_reads(HOOK, MAPPER) == ("name",)
    monkeypatch.setattr(dis, "get_instructions", lambda code: found)
    assert infer_reads(HOOK, MAPPER) is None


READ = ("id", "name", "count", "author", "editor", "shelf", "author.name", "author.country")
ATOMS = (
    *("row", "row.author.publisher", "row.author.publisher.city", "book", "self.rate", "None", "0"),
    *(f"row.{each}" for each in READ),
)
SHAPES = (
    *("{} and {}", "{} or {}", "not {}", "{} is None", "{} is not None", "{} is {}", "{} == {}"),
    *("{} if {} else {}", "{}, {}", "[{}, {}][0]", "{} in ({}, {})", "{} < 3", "'%.2s' % ({},)"),
    *("(book := {})", "{}.name", "{}.id", "str({})[:1]", "(lambda: {})()", "(lambda x: x)({})"),
    *("[{} for _ in 'a']", "[{} for x in 'ab' if {}]"),
)
STATEMENTS = ("book = {}", "if {}: book = 1", "assert {}", "while {}: break", "{}")


def expressions() -> st.SearchStrategy[str]:
    """Make expressions of all kinds, about the row and its values."""

    def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.sampled_from(SHAPES).flatmap(
            lambda shape: st.tuples(*[inner] * shape.count("{}")).map(
                lambda parts: shape.format(*(f"({part})" for part in parts))
            )
        )

    return st.recursive(st.sampled_from(ATOMS), compound, max_leaves=6)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(STATEMENTS), expressions()), max_size=2),
    expressions(),
)
def test_no_code_tells_the_rows_apart(before: list[tuple[str, str]], last: str) -> None:
    """Whatever a hook is made of: if its reads are found, it gives the same of both."""
    lines = ["book = 0", *(shape.format(f"({each})") for shape, each in before), f"return {last}"]
    hook = hook_of("\n".join(lines))
    paths = infer_reads(hook, MAPPER)
    if paths is not None:
        assert_same(hook, paths)

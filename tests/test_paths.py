"""Attribute paths: what each kind of them gives, from columns and from mapped objects alike."""

from __future__ import annotations

import copy
import csv
import io
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from models import (
    Animal,
    Author,
    Base,
    Book,
    Car,
    Cat,
    Cover,
    Dog,
    Shelf,
    Size,
    Status,
    Tag,
    Vehicle,
    create,
    filled_databases,
    library,
    zoo,
)
from sqlalchemy import Select, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column, relationship, selectinload

from async_export import (
    ConfigurationError,
    Field,
    ModelResource,
    RowError,
    UnknownNameError,
    depends,
)
from async_export.widgets import ForeignKeyWidget, ManyToManyWidget, Widget

Makers = dict[str, Callable[[], AsyncEngine]]


def _rows() -> list[Base]:
    animals = [each for each in zoo() if not isinstance(each, Author)]
    books = library()
    anna = next(each.author for each in books if isinstance(each, Book) and each.author)
    for each in animals:
        if isinstance(each, Dog) and each.walker is not None:
            each.walker = anna
    return [*books, *animals]


@pytest.fixture(scope="module")
def makers(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Makers]:
    """Databases that are filled once for the module."""
    with filled_databases(postgres_url, tmp_path_factory.mktemp("paths"), _rows) as makers:
        yield makers


@pytest.fixture(params=["postgres", "sqlite"])
async def engine(request: pytest.FixtureRequest, makers: Makers) -> AsyncIterator[AsyncEngine]:
    """An engine to each of the filled databases in turn."""
    engine = makers[request.param]()
    yield engine
    await engine.dispose()


@pytest.fixture
async def postgres(makers: Makers) -> AsyncIterator[AsyncEngine]:
    """An engine to the filled PostgreSQL."""
    engine = makers["postgres"]()
    yield engine
    await engine.dispose()


def make_resource(
    model: type[Base], fields: Mapping[str, Field] | Sequence[str], **members: Any
) -> type[ModelResource]:
    """Make a resource of these fields."""
    declared = dict(fields) if isinstance(fields, Mapping) else {}
    meta = type("Meta", (), {"model": model, "fields": tuple(fields), **members.pop("meta", {})})
    return type("TestedResource", (ModelResource,), {"Meta": meta, **declared, **members})


class Iterating(ModelResource):
    """Makes mapped objects necessary, by overriding what iterates."""

    def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
        """Iterate as ever."""
        return super().iter_queryset(queryset)


class Hooked(ModelResource):
    """Makes mapped objects necessary, by a hook that says not what it reads."""

    hooked = Field()

    def dehydrate_hooked(self, instance: Any) -> str:
        """Read nothing."""
        return type(instance).__name__


def as_instances(resource: type[ModelResource]) -> list[type[ModelResource]]:
    """Derive resources that export the same from mapped objects."""
    hooked = type(
        "HookedResource",
        (resource, Hooked),
        {"Meta": type("Meta", (), {"fields": (*resource._names, "hooked")})},
    )
    return [type("IteratingResource", (Iterating, resource), {}), hooked]


async def cells(
    resource: type[ModelResource], engine: AsyncEngine, queryset: Any = None, **options: Any
) -> list[list[Any]]:
    """Export, and give the cells."""
    return [list(record) async for record in resource(engine, **options).records(queryset)]


async def text_cells(
    resource: type[ModelResource], engine: AsyncEngine, queryset: Any = None
) -> tuple[str, list[list[str]]]:
    """Export as CSV; give the strategy and the cells."""
    async with resource(engine).stream("csv", queryset) as stream:
        content = b"".join([chunk async for chunk in stream]).decode()
    _, *records = csv.reader(io.StringIO(content, newline=""))
    # Whoever renders, columns were selected.
    return stream.result.strategy.replace("server", "rows"), records


async def columns(
    resource: type[ModelResource], engine: AsyncEngine, queryset: Any = None, strategy: str = "rows"
) -> dict[str, list[str]]:
    """Export from columns and from mapped objects; give what both agree on, by field."""
    chosen, records = await text_cells(resource, engine, queryset)
    assert chosen == strategy
    iterating = type("IteratingResource", (Iterating, resource), {})
    assert await text_cells(iterating, engine, queryset) == ("instances", records)
    return {
        name: [each[position] for each in records] for position, name in enumerate(resource._names)
    }


ISBN = str(uuid.UUID(int=2**100 + 1))

# By path, the cells of the five books.
COLUMN_PATHS: dict[str, list[str]] = {
    "name": ["Zulu", "alpha", "Mike", "mike", ""],
    "price": ["12.50", "0.00", "", "3.00", ""],
    "status": ["IN_PRINT", "OUT_OF_PRINT", "", "", ""],
    "isbn": [ISBN, "", "", "", ""],
    "published": ["2001-02-03", "", "", "", ""],
    "details": [
        '{"dims": {"w": 2.5}, "list": ["x", "y"], "none": null, "pages": 300}',
        "{}",
        '{"pages": "many"}',
        "",
        "",
    ],
    "details.pages": ["300", "", "many", "", ""],
    "details__dims__w": ["2.5", "", "", "", ""],
    "details.dims": ['{"w": 2.5}', "", "", "", ""],
    "details.list": ["x,y", "", "", "", ""],
    "details.list.1": ["y", "", "", "", ""],
    "details.list.7": ["", "", "", "", ""],
    "details.none": ["", "", "", "", ""],
    "details.none.deeper": ["", "", "", "", ""],
    "summary": ["a river of words", "", "", "", ""],
    "title": ["Zulu", "alpha", "Mike", "mike", ""],
    "name_length": ["4", "5", "4", "4", "0"],
    "author": ["1", "2", "1", "3", ""],
    "author_id": ["1", "2", "1", "3", ""],
    "author.name": ["Anna", "Bert", "Anna", "cleo", ""],
    "author__name": ["Anna", "Bert", "Anna", "cleo", ""],
    "author.active": ["1", "0", "1", "1", ""],
    "author.biography": ["long", "", "long", "", ""],
    "author.profile.age": ["40", "", "40", "", ""],
    "author.profile.pets": ["cat", "", "cat", "", ""],
    "author.profile.pets.0": ["cat", "", "cat", "", ""],
    "author.pen_name": ["Anna", "Bert", "Anna", "cleo", ""],
    "author.shout": ["ANNA", "BERT", "ANNA", "CLEO", ""],
    "author.book_count": ["2", "1", "2", "1", ""],
    "author.country": ["FR", "PE", "FR", "", ""],
    "author.country.name": ["France", "Perú", "France", "", ""],
    "author__country__code": ["FR", "PE", "FR", "", ""],
    "author.land": ["FR", "PE", "FR", "", ""],
    "author.land.name": ["France", "Perú", "France", "", ""],
    "author.mentor": ["", "1", "", "2", ""],
    "author.mentor.name": ["", "Anna", "", "Bert", ""],
    "author.mentor.mentor.name": ["", "", "", "Anna", ""],
    "author.mentor.country.name": ["", "France", "", "Perú", ""],
    "author.mentor.profile.age": ["", "40", "", "", ""],
    "writer": ["1", "2", "1", "3", ""],
    "writer.name": ["Anna", "Bert", "Anna", "cleo", ""],
    "author_name": ["Anna", "Bert", "Anna", "cleo", ""],
    "editor": ["2", "1", "", "3", ""],
    "editor.name": ["Bert", "Anna", "", "cleo", ""],
    "editor.country.name": ["Perú", "France", "", "", ""],
    "active_editor.name": ["", "Anna", "", "cleo", ""],
    "shelf": ["a,1", "a,2", "", "", ""],
    "shelf.number": ["1", "2", "", "", ""],
    "shelf.colour": ["red", "blue", "", "", ""],
    "cover": ["11", "10", "", "", ""],
    "cover.colour": ["green", "pink", "", "", ""],
    "cover.book": ["1", "2", "", "", ""],
    "cover.book.name": ["Zulu", "alpha", "", "", ""],
    "cover.book.author.country.name": ["France", "Perú", "", "", ""],
}

# Aggregated in SQL on PostgreSQL, loaded per batch elsewhere.
TO_MANY_PATHS: dict[str, list[str]] = {
    "tags": ["1,2,3,4", "1", "1,4", "", ""],
    "tag_names": ["novel,long,été,None", "novel", "novel,None", "", ""],
    "reviews": ["6,8,7,9", "", "", "", ""],
    "author.books": ["1,3", "2", "1,3", "4", ""],
    "author.pupils": ["2", "3", "2", "", ""],
    "author.mentor.pupils": ["", "2", "", "3", ""],
    "author.mentor.books": ["", "1,3", "", "2", ""],
    "writer.books": ["1,3", "2", "1,3", "4", ""],
    "shelf.books": ["1", "2", "", "", ""],
    "cover.book.tags": ["1,2,3,4", "1", "", "", ""],
}

# Only the mapped object has these.
PYTHON_PATHS: dict[str, list[str]] = {
    "reversed_name": ["uluZ", "ahpla", "ekiM", "ekim", ""],
    "spine": ["Zulu Zulu ", "alpha alpha ", "Mike Mike ", "mike mike ", "  "],
    "author.initial": ["A", "B", "A", "c", ""],
    "author.greeting": ["Dear Anna", "Dear Bert", "Dear Anna", "Dear cleo", ""],
    "author.mentor.initial": ["", "A", "", "B", ""],
    "size.width": ["10", "", "", "", ""],
    "label": ["Zulu (1)", "alpha (2)", "Mike (3)", "mike (4)", " (5)"],
}


@pytest.mark.parametrize("path", COLUMN_PATHS)
async def test_a_path_to_a_column(postgres: AsyncEngine, path: str) -> None:
    """Each kind of column gives the same cells from columns and from mapped objects."""
    found = await columns(make_resource(Book, {"value": Field(path)}), postgres)
    assert found["value"] == COLUMN_PATHS[path]


@pytest.mark.parametrize("path", TO_MANY_PATHS)
async def test_a_path_to_many_objects(postgres: AsyncEngine, path: str) -> None:
    """Keys of related objects are joined, in the relationship's order or that of the keys."""
    found = await columns(make_resource(Book, {"value": Field(path)}), postgres)
    assert found["value"] == TO_MANY_PATHS[path]


@pytest.mark.parametrize("path", PYTHON_PATHS)
async def test_a_path_to_what_only_python_has(engine: AsyncEngine, path: str) -> None:
    """Properties, methods, composites and hybrids without expression are read from objects."""
    resource = make_resource(Book, {"value": Field(path)})
    found = await columns(resource, engine, strategy="instances")
    assert found["value"] == PYTHON_PATHS[path]


async def test_all_columns_at_once(engine: AsyncEngine) -> None:
    """Every database gives the same cells."""
    fields = {f"f{number}": Field(path) for number, path in enumerate(COLUMN_PATHS)}
    found = await columns(make_resource(Book, fields), engine)
    assert dict(zip(COLUMN_PATHS, found.values(), strict=True)) == COLUMN_PATHS


async def test_all_paths_at_once(engine: AsyncEngine) -> None:
    """Many paths, over the same relations too, do not disturb each other."""
    paths = {**COLUMN_PATHS, **TO_MANY_PATHS}
    fields = {f"f{number}": Field(path) for number, path in enumerate(paths)}
    strategy = "rows" if engine.dialect.name == "postgresql" else "instances"
    resource = make_resource(Book, fields)
    found = await columns(resource, engine, strategy=strategy)
    assert dict(zip(paths, found.values(), strict=True)) == paths
    for other in as_instances(resource):
        strategy, records = await text_cells(other, engine)
        assert strategy == "instances"
        assert [list(each)[: len(paths)] for each in records] == [
            list(each) for each in zip(*paths.values(), strict=True)
        ]


async def test_native_cells_are_equal(engine: AsyncEngine) -> None:
    """Native cells have the same values and types from columns and from mapped objects."""
    paths = ("price", "status", "isbn", "details", "author", "shelf", "editor.name", *TO_MANY_PATHS)
    resource = make_resource(Book, {f"f{number}": Field(path) for number, path in enumerate(paths)})
    records = await cells(resource, engine, native=True)
    assert records[0][0] == Decimal("12.50")
    for position, path in enumerate(paths):
        for other in as_instances(resource):
            found = [each[position] for each in await cells(other, engine, native=True)]
            expected = [each[position] for each in records]
            assert (path, found) == (path, expected)
            assert list(map(type, found)) == list(map(type, expected))


async def test_native_cells_of_many_objects(engine: AsyncEngine) -> None:
    """They are lists, empty ones too."""
    resource = make_resource(Book, ("tags", "reviews"))
    assert await cells(resource, engine, native=True) == [
        [[1, 2, 3, 4], [6, 8, 7, 9]],
        [[1], []],
        [[1, 4], []],
        [[], []],
        [[], []],
    ]


async def test_meta_fields_may_be_paths(engine: AsyncEngine) -> None:
    """Paths may be listed in Meta.fields without a Field."""
    resource = make_resource(Book, ("id", "author.name", "author__country__name"))
    assert (await columns(resource, engine))["author__country__name"] == [
        "France",
        "Perú",
        "France",
        "",
        "",
    ]
    assert (await resource(engine).export()).headers == [
        "id",
        "author.name",
        "author__country__name",
    ]


# --- foreign keys ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "joins"),
    [("author", 0), ("shelf", 0), ("author.country", 1), ("author.name", 1), ("cover", 1)],
)
async def test_a_key_costs_no_join(engine: AsyncEngine, path: str, joins: int) -> None:
    """The key of a related object is read from the foreign key where there is one."""
    explained = await make_resource(Book, {"value": Field(path)})(engine).explain()
    assert explained.sql.upper().count("JOIN") == joins


async def test_two_paths_over_one_relation_share_a_join(engine: AsyncEngine) -> None:
    """One relation is joined once, two relations to one table once each."""
    paths = ("author.name", "author.active", "author.country.name", "editor.name")
    explained = await make_resource(Book, paths)(engine).explain()
    assert explained.sql.upper().count("LEFT OUTER JOIN") == 3


async def test_the_key_of_a_relation_with_a_condition(engine: AsyncEngine) -> None:
    """A relation that leaves out inactive authors shows no key for them."""
    resource = make_resource(Book, {"value": Field("active_editor")})
    assert (await columns(resource, engine))["value"] == ["", "1", "", "3", ""]


FOREIGN_KEY_FIELDS = {
    "name": ["Anna", "Bert", "Anna", "cleo", ""],
    "country.name": ["France", "Perú", "France", "", ""],
    "country": ["FR", "PE", "FR", "", ""],
    "mentor__name": ["", "Anna", "", "Bert", ""],
    "profile.age": ["40", "", "40", "", ""],
    "pen_name": ["Anna", "Bert", "Anna", "cleo", ""],
    "book_count": ["2", "1", "2", "1", ""],
    "active": ["1", "0", "1", "1", ""],
}


@pytest.mark.parametrize("field", FOREIGN_KEY_FIELDS)
async def test_a_foreign_key_widget_takes_a_field(engine: AsyncEngine, field: str) -> None:
    """ForeignKeyWidget(field=...) follows a path from the related object."""
    resource = make_resource(Book, {"value": Field("author", widget=ForeignKeyWidget(field=field))})
    assert (await columns(resource, engine))["value"] == FOREIGN_KEY_FIELDS[field]


async def test_a_foreign_key_widget_with_a_property(engine: AsyncEngine) -> None:
    """Its field may be a property, for which the related object is built."""
    widget = ForeignKeyWidget(field="initial")
    resource = make_resource(Book, {"value": Field("author", widget=widget)})
    found = await columns(resource, engine, strategy="instances")
    assert found["value"] == ["A", "B", "A", "c", ""]


async def test_natural_keys(engine: AsyncEngine) -> None:
    """A natural key is written as JSON; without a related object the cell is empty."""
    widget = ForeignKeyWidget(use_natural_foreign_keys=True)
    resource = make_resource(
        Book,
        {"author": Field(widget=widget), "mentor": Field("author.mentor", widget=widget)},
    )
    found = await columns(resource, engine, strategy="instances")
    anna, bert = '["Anna", "FR"]', '["Bert", "PE"]'
    assert found["author"] == [anna, bert, anna, '["cleo", null]', ""]
    assert found["mentor"] == ["", anna, "", bert, ""]


async def test_a_natural_key_that_the_object_lacks(engine: AsyncEngine) -> None:
    """The error names the field; the cause tells that the class has no natural_key."""
    widget = ForeignKeyWidget(use_natural_foreign_keys=True)
    resource = make_resource(Book, {"shelf": Field(widget=widget)})
    with pytest.raises(RowError, match="field 'shelf'") as caught:
        await resource(engine).export()
    assert "natural_key" in str(caught.value.__cause__)


async def test_a_widget_of_ones_own_gets_the_related_object(engine: AsyncEngine) -> None:
    """Any other widget on a relation receives the mapped object."""

    class NameWidget(Widget):
        def render(self, value: Any, **kwargs: Any) -> str:
            return "nobody" if value is None else f"<{value.name}>"

    resource = make_resource(Book, {"author": Field(widget=NameWidget())})
    found = await columns(resource, engine, strategy="instances")
    assert found["author"] == ["<Anna>", "<Bert>", "<Anna>", "<cleo>", "nobody"]


async def test_meta_widgets_change_the_arguments_of_a_relation(engine: AsyncEngine) -> None:
    """Arguments in Meta.widgets reach the widget that a relation has by itself."""
    options = {"widgets": {"author": {"field": "name"}, "tags": {"separator": "|"}}}
    resource = make_resource(Book, ("author", "tags"), meta=options)
    strategy = "rows" if engine.dialect.name == "postgresql" else "instances"
    found = await columns(resource, engine, strategy=strategy)
    assert found == {
        "author": ["Anna", "Bert", "Anna", "cleo", ""],
        "tags": ["1|2|3|4", "1", "1|4", "", ""],
    }


async def test_a_missing_part_of_a_composite_key(pg_engine: AsyncEngine) -> None:
    """A composite foreign key of which one column is null refers to nothing."""
    book = Book(id=1, name="lost", shelf_room="a", shelf_number=None)
    await create(pg_engine, [book])
    found = await columns(make_resource(Book, ("shelf", "shelf.colour")), pg_engine)
    assert found == {"shelf": [""], "shelf.colour": [""]}


# --- many objects ---------------------------------------------------------------------------

MANY_FIELDS: dict[str, tuple[str, list[str]]] = {
    "name": ("tags", ["novel,long,été,None", "novel", "novel,None", "", ""]),
    "status": ("tags", ["IN_PRINT,OUT_OF_PRINT,None,None", "IN_PRINT", "IN_PRINT,None", "", ""]),
    "fee": ("tags", ["1.50,0.05,None,None", "1.50", "1.50,None", "", ""]),
    "guid": (
        "tags",
        [
            f"{uuid.UUID(int=7)},None,None,None",
            f"{uuid.UUID(int=7)}",
            f"{uuid.UUID(int=7)},None",
            "",
            "",
        ],
    ),
    "text": ("reviews", ["superb,great,fine,good", "", "", "", ""]),
    "stars": ("reviews", ["5,5,3,3", "", "", "", ""]),
    "book.name": ("reviews", ["Zulu,Zulu,Zulu,Zulu", "", "", "", ""]),
    "book.author.country.name": ("reviews", ["France,France,France,France", "", "", "", ""]),
    "book.reversed_name": ("reviews", ["uluZ,uluZ,uluZ,uluZ", "", "", "", ""]),
    "book": ("reviews", ["1,1,1,1", "", "", "", ""]),
    "biography": ("author.pupils", ["None", "None", "None", "", ""]),
    "summary": (
        "author.books",
        ["a river of words,None", "None", "a river of words,None", "None", ""],
    ),
}


@pytest.mark.parametrize("field", MANY_FIELDS)
async def test_a_many_to_many_widget_takes_a_field(engine: AsyncEngine, field: str) -> None:
    """ManyToManyWidget(field=...) takes an attribute of each related object, in one order."""
    path, expected = MANY_FIELDS[field]
    resource = make_resource(Book, {"value": Field(path, widget=ManyToManyWidget(field=field))})
    is_column = "." not in field and engine.dialect.name == "postgresql"
    strategy = "rows" if is_column else "instances"
    assert (await columns(resource, engine, strategy=strategy))["value"] == expected


async def test_an_attribute_of_json_in_many_objects(engine: AsyncEngine) -> None:
    """JSON columns of related objects arrive decoded, whole and in part."""
    resource = make_resource(
        Book,
        {
            "whole": Field("tags", widget=ManyToManyWidget(field="notes", separator=";")),
            "part": Field("tags", widget=ManyToManyWidget(field="notes.0")),
        },
    )
    whole = make_resource(
        Book, {"whole": Field("tags", widget=ManyToManyWidget(field="notes", separator=";"))}
    )
    strategy = (await whole(engine).explain()).strategy
    found = await columns(whole, engine, strategy=strategy)
    assert found["whole"][:2] == ['{"a": [1, null]};[1];None;None', '{"a": [1, null]}']
    assert (await resource(engine).explain()).strategy == "instances"


async def test_many_objects_in_the_order_of_an_expression(postgres: AsyncEngine) -> None:
    """An order_by of an expression is kept; what it leaves open goes by key."""
    resource = make_resource(
        Author,
        {
            "id": Field(),
            "books": Field("books_by_name", widget=ManyToManyWidget(field="name")),
        },
    )
    found = await columns(resource, postgres)
    assert found["books"] == ["Mike,Zulu", "alpha", "mike"]


async def test_an_order_of_the_association_table(engine: AsyncEngine) -> None:
    """An order_by of a column of the secondary table is kept."""
    fields = {
        "keys": Field("ranked_tags"),
        "names": Field("ranked_tags", widget=ManyToManyWidget(field="name")),
    }
    found = await columns(make_resource(Book, fields), engine, strategy="instances")
    assert found["keys"] == ["4,3,2,1", "1", "4,1", "", ""]
    assert found["names"] == ["None,été,long,novel", "novel", "None,novel", "", ""]


async def test_an_array_in_many_objects(engine: AsyncEngine) -> None:
    """A column of arrays, which PostgreSQL cannot aggregate, is taken from each object."""
    widget = ManyToManyWidget(field="labels", separator=";")
    resource = make_resource(Book, {"value": Field("tags", widget=widget)})
    strategy = (await text_cells(resource, engine))[0]
    found = await columns(resource, engine, strategy=strategy)
    shown = found["value"][1]
    assert shown in {"x,y", "[x, y]"}
    assert found["value"][0].startswith(f"{shown};")
    assert found["value"][2:] == [f"{shown};None", "", ""]


async def test_many_objects_of_many_objects(engine: AsyncEngine) -> None:
    """A collection of collections is no cell."""
    resource = make_resource(
        Author, {"value": Field("books", widget=ManyToManyWidget(field="tags"))}
    )
    with pytest.raises(ConfigurationError, match="tags"):
        await resource(engine).export()


async def test_back_references_are_paths(engine: AsyncEngine) -> None:
    """What backref adds to the other class works as any relation does."""
    fields = {
        "id": Field(),
        "keys": Field("books"),
        "names": Field("books", widget=ManyToManyWidget(field="name")),
    }
    resource = make_resource(Tag, fields)
    strategy = (await resource(engine).explain()).strategy.replace("server", "rows")
    found = await columns(resource, engine, strategy=strategy)
    assert found["keys"] == ["1,2,3", "1", "1", "1,3"]
    assert found["names"] == ["Zulu,alpha,Mike", "Zulu", "Zulu", "Zulu,Mike"]


async def test_a_composite_key_of_many_objects_needs_a_field() -> None:
    """Objects with composite keys cannot be joined by key; the error says what to write."""

    class Room(Base):
        __tablename__ = "room"
        name: Mapped[str] = mapped_column(primary_key=True)
        shelves: Mapped[list[Shelf]] = relationship(
            primaryjoin="Room.name == foreign(Shelf.room)", viewonly=True
        )

    try:
        with pytest.raises(ConfigurationError, match=r"composite key.*ManyToManyWidget\(field="):
            await make_resource(Room, ("shelves",))(None).export([Room(name="a")])
    finally:
        Base.metadata.remove(Base.metadata.tables["room"])


# --- inheritance ----------------------------------------------------------------------------


async def test_joined_inheritance(engine: AsyncEngine) -> None:
    """Attributes and relations of base and subclass are paths of the subclass."""
    paths = ("id", "name", "breed", "kind", "friend.name", "friend.kind", "walker.name", "walker")
    found = await columns(make_resource(Dog, paths), engine)
    assert found == {
        "id": ["1", "4"],
        "name": ["Rex", "Bob"],
        "breed": ["collie", "pug"],
        "kind": ["dog", "dog"],
        "friend.name": ["", "Rex"],
        "friend.kind": ["", "dog"],
        "walker.name": ["Anna", ""],
        "walker": ["1", ""],
    }


async def test_many_objects_of_a_joined_subclass(engine: AsyncEngine) -> None:
    """A to-many relation of the base gives each object of a subclass its own."""
    fields = {
        "id": Field(),
        "toys": Field(),
        "names": Field("toys", widget=ManyToManyWidget(field="name")),
    }
    strategy = "rows" if engine.dialect.name == "postgresql" else "instances"
    for model, keys in ((Dog, ["1,2", ""]), (Cat, ["3"]), (Animal, ["1,2", "3", "", ""])):
        found = await columns(make_resource(model, fields), engine, strategy=strategy)
        assert found["toys"] == keys, model


async def test_properties_of_a_hierarchy(engine: AsyncEngine) -> None:
    """Each object answers with the property of its own class."""
    found = await columns(make_resource(Animal, ("id", "sound")), engine, strategy="instances")
    assert found["sound"] == ["woof", "?", "?", "woof"]


async def test_single_table_inheritance(engine: AsyncEngine) -> None:
    """A subclass exports only its own rows, the base all of them."""
    found = await columns(make_resource(Car, ("id", "name", "seats", "tows.name")), engine)
    assert found["name"] == ["car", "mini"]
    assert found["tows.name"] == ["", "car"]
    assert (await columns(make_resource(Vehicle, ("name",)), engine))["name"] == [
        "van",
        "car",
        "mini",
    ]


async def test_composite_keys(engine: AsyncEngine) -> None:
    """A model with a composite key is ordered by it, and so are its related objects."""
    fields = {"room": Field(), "number": Field(), "books": Field()}
    strategy = "rows" if engine.dialect.name == "postgresql" else "instances"
    found = await columns(make_resource(Shelf, fields), engine, strategy=strategy)
    assert found == {"room": ["a", "a"], "number": ["1", "2"], "books": ["1", "2"]}


# --- labelled columns -----------------------------------------------------------------------


async def test_labelled_columns_are_attributes(engine: AsyncEngine) -> None:
    """What a queryset selects beside the model is read by its label, whatever makes the cell."""
    reviews = select(func.count()).where(Book.author_id == Author.id).correlate(Author)
    queryset = select(
        Author,
        func.upper(Author.name).label("loud"),
        reviews.scalar_subquery().label("written"),
        Author.profile.label("data"),
    ).order_by(Author.id)

    def both(self: Any, row: Any) -> str:
        return f"{row.loud}/{row.written}/{row.name}"

    resource = make_resource(
        Author,
        {
            "id": Field(),
            "shown": Field("loud"),
            "written": Field(),
            "age": Field("data.age"),
            "both": Field(),
        },
        dehydrate_both=depends("loud", "written", "name")(both),
    )
    found = await columns(resource, engine, queryset)
    assert found["shown"] == ["ANNA", "BERT", "CLEO"]
    assert found["written"] == ["2", "1", "1"]
    assert found["age"] == ["40", "", ""]
    assert found["both"] == ["ANNA/2/Anna", "BERT/1/Bert", "CLEO/1/cleo"]


async def test_a_label_that_hides_an_attribute(engine: AsyncEngine) -> None:
    """A label that is also an attribute of the model is refused when a field wants it."""
    queryset = select(Book, func.upper(Book.name).label("name"))
    with pytest.raises(ConfigurationError, match="choose another label"):
        await make_resource(Book, ("id", "name"))(engine).export(queryset)


# --- rows of @depends -----------------------------------------------------------------------

READS = (
    "name",
    "price",
    "status",
    "isbn",
    "published",
    "details",
    "summary",
    "name_length",
    "title",
    "author_id",
    "author.name",
    "author.profile",
    "author.country.name",
    "author.mentor.mentor.name",
    "author.shout",
    "author.book_count",
    "shelf.colour",
    "cover.colour",
    "writer.name",
    "author_name",
    "details.pages",
    "author__active",
)


def _read(row: Any, path: str) -> Any:
    steps = ["details"] if path == "details.pages" else path.replace("__", ".").split(".")
    for step in steps:
        row = None if row is None else getattr(row, step)
    return row


@pytest.mark.parametrize("path", READS)
async def test_a_declared_read_has_the_instances_value_and_type(
    postgres: AsyncEngine, path: str
) -> None:
    """A row gives what the mapped object would have given, of the same type."""
    await _check_reads(postgres, path)


async def test_many_declared_reads_at_once(engine: AsyncEngine) -> None:
    """Every database gives the same values, and one hook may read all of them."""
    await _check_reads(engine, *READS)


async def _check_reads(engine: AsyncEngine, *paths: str) -> None:
    seen: dict[str, list[Any]] = {}

    def reading(self: Any, row: Any) -> str:
        values = seen.setdefault(type(self).__name__, [])
        values.extend(_read(row, path) for path in paths)
        return repr(values)

    resource = make_resource(Book, {"value": Field()}, dehydrate_value=depends(*paths)(reading))
    await columns(resource, engine)
    rows, iterated = seen.values()
    assert rows == iterated
    assert list(map(type, rows)) == list(map(type, iterated))
    for position in range(len(paths)):
        assert any(value is not None for value in rows[position :: len(paths)])


async def test_types_of_declared_reads(engine: AsyncEngine) -> None:
    """Type decorators, enums, uuids, dates and JSON are Python's own types."""

    def reading(self: Any, row: Any) -> list[Any]:
        return [row.price, row.status, row.isbn, row.published, row.details, row.id]

    reads = depends("price", "status", "isbn", "published", "details")
    resource = make_resource(Book, {"value": Field()}, dehydrate_value=reads(reading))
    [[first], *_] = await cells(resource, engine)
    assert first[:4] == [
        Decimal("12.50"),
        Status.IN_PRINT,
        uuid.UUID(int=2**100 + 1),
        date(2001, 2, 3),
    ]
    assert first[4]["dims"] == {"w": 2.5}
    assert first[5] == 1


async def test_a_row_without_a_related_one(engine: AsyncEngine) -> None:
    """A null foreign key gives None for the relation, on every level and in every strategy."""

    def reading(self: Any, row: Any) -> str:
        if row.author is None:
            return "no author"
        if row.author.country is None:
            return "no country"
        return str(row.author.country.name)

    for reads in (("author.country.name",), ("author.country.name", "author.name", "author")):
        resource = make_resource(Book, {"value": Field()}, dehydrate_value=depends(*reads)(reading))
        found = await columns(resource, engine)
        assert found["value"] == ["France", "Perú", "France", "no country", "no author"]


async def test_a_relation_is_declared_by_its_name(engine: AsyncEngine) -> None:
    """A relation that is declared without an attribute has its key, or is None."""

    def reading(self: Any, row: Any) -> str:
        return "-" if row.shelf is None else f"{row.shelf.room}{row.shelf.number}"

    resource = make_resource(Book, {"value": Field()}, dehydrate_value=depends("shelf")(reading))
    assert (await columns(resource, engine))["value"] == ["a1", "a2", "-", "-", "-"]


UNDECLARED: dict[str, Callable[[Any], Any]] = {
    "price": lambda row: row.price,
    "author": lambda row: row.author,
    "author.biography": lambda row: row.author.biography if row.id == 1 else "",
    "nmae": lambda row: row.nmae,
}


@pytest.mark.parametrize("path", ["price", "author", "nmae"])
async def test_an_undeclared_read_fails(engine: AsyncEngine, path: str) -> None:
    """Reading what is not declared names the field, what was read and the cure."""
    resource = make_resource(
        Book,
        {"value": Field()},
        dehydrate_value=depends("name")(lambda self, row: UNDECLARED[path](row)),
    )
    for each in (resource, *as_instances(resource)):
        with pytest.raises(RowError) as caught:
            await each(engine).export()
        message = str(caught.value)
        assert caught.value.field == "value"
        assert caught.value.row_number == 1
        assert caught.value.key == 1
        assert f"'{path}'" in message
        assert "@depends" in message


async def test_an_undeclared_read_of_a_related_row_fails(engine: AsyncEngine) -> None:
    """The path in the message begins at the model."""
    resource = make_resource(
        Book,
        {"value": Field()},
        dehydrate_value=depends("author.name")(
            lambda self, row: UNDECLARED["author.biography"](row)
        ),
    )
    for each in (resource, *as_instances(resource)):
        with pytest.raises(RowError, match="depends") as caught:
            await each(engine).export()
        assert "biography" in str(caught.value)


async def test_an_undeclared_relation_of_an_instance_fails(engine: AsyncEngine) -> None:
    """A hook without @depends that reads a relation is told to declare it."""
    resource = make_resource(
        Book, {"value": Field()}, dehydrate_value=lambda self, book: book.author.name
    )
    with pytest.raises(RowError) as caught:
        await resource(engine).export()
    assert caught.value.field == "value"
    assert "Book.author" in str(caught.value)
    assert "@depends" in str(caught.value)
    assert "Meta.load" in str(caught.value)


async def test_an_undeclared_deferred_column_of_an_instance_fails(engine: AsyncEngine) -> None:
    """A hook without @depends that reads a deferred column is told what to do."""
    resource = make_resource(
        Book, {"value": Field()}, dehydrate_value=lambda self, book: book.summary
    )
    with pytest.raises(RowError) as caught:
        await resource(engine).export()
    assert "@depends" in str(caught.value)
    assert "undefer" in str(caught.value)


async def test_meta_load_gives_hooks_what_they_read(engine: AsyncEngine) -> None:
    """Loader options of Meta.load are applied to the instances."""
    resource = make_resource(
        Book,
        {"value": Field()},
        dehydrate_value=lambda self, book: [tag.id for tag in book.tags],
        meta={"load": (selectinload(Book.tags),)},
    )
    [[first], *_] = await cells(resource, engine)
    assert sorted(first) == [1, 2, 3, 4]


async def test_rows_are_read_only(engine: AsyncEngine) -> None:
    """A hook cannot set an attribute of a row, in no strategy."""

    def writing(self: Any, row: Any) -> None:
        row.name = "changed"

    resource = make_resource(Book, {"value": Field()}, dehydrate_value=depends("name")(writing))
    for each in (resource, *as_instances(resource)):
        with pytest.raises(RowError, match="AttributeError"):
            await each(engine).export()


async def test_a_row_shows_what_it_has(engine: AsyncEngine) -> None:
    """Its repr names what may be read, and no value."""
    resource = make_resource(
        Book, {"value": Field()}, dehydrate_value=depends("name")(lambda self, row: repr(row))
    )
    [[first], *_] = await cells(resource, engine)
    assert "name" in first
    assert "Zulu" not in first


async def test_a_row_is_no_mapped_object(engine: AsyncEngine) -> None:
    """A hook with @depends never receives the mapped object, whatever the strategy."""
    kinds: set[type] = set()

    def noting(self: Any, row: Any) -> str:
        kinds.add(type(row))
        return str(copy.copy(row.name))

    resource = make_resource(Book, {"value": Field()}, dehydrate_value=depends("name")(noting))
    await columns(resource, engine)
    assert Book not in kinds
    assert all(inspect(kind, raiseerr=False) is None for kind in kinds)


# --- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("pirce", "'price'"),
        ("autor.name", "'author'"),
        ("author.nmae", "'name'"),
        ("author.country.nme", "'name'"),
        ("author__contry__name", "'country'"),
        ("author.initals", "'initial'"),
        ("sumary", "'summary'"),
    ],
)
async def test_an_unknown_attribute(path: str, near: str) -> None:
    """A misspelt path is an error with the nearest names, before anything is fetched."""
    with pytest.raises(UnknownNameError, match="did you mean") as caught:
        make_resource(Book, (path,)).check()
    assert near in str(caught.value)
    assert isinstance(caught.value, LookupError)


async def test_an_unknown_attribute_of_a_declared_field(engine: AsyncEngine) -> None:
    """A declared field's attribute may be a label of a queryset, so it fails with the queryset."""
    resource = make_resource(Book, {"value": Field("pirce")})
    with pytest.raises(UnknownNameError, match="'price'"):
        await resource(engine).export()
    hook = depends("pirce")(lambda self, row: row.pirce)
    resource = make_resource(Book, {"value": Field()}, dehydrate_value=hook)
    with pytest.raises(UnknownNameError, match="'price'"):
        await resource(engine).export()


@pytest.mark.parametrize("path", ["tags.name", "author.books.name", "author__pupils__mentor__id"])
async def test_many_objects_in_the_middle_of_a_path(path: str) -> None:
    """A path through a to-many relation is an error that shows what to write."""
    with pytest.raises(ConfigurationError, match=r"widget=ManyToManyWidget\(field="):
        make_resource(Book, {"value": Field(path)}).check()


async def test_a_path_into_a_plain_column() -> None:
    """A column that is no JSON has nothing inside."""
    with pytest.raises(ConfigurationError, match=r"Book.name is a String column"):
        make_resource(Book, ("name.first",)).check()


@pytest.mark.parametrize("path", [".name", "author.", "author..name"])
async def test_a_path_with_an_empty_step(engine: AsyncEngine, path: str) -> None:
    """A path with an empty step is refused."""
    with pytest.raises(ConfigurationError, match="write it as"):
        await make_resource(Book, {"value": Field(path)})(engine).export()


@pytest.mark.parametrize("path", ["_sa_instance_state", "__class__", "author._sa_instance_state"])
async def test_a_private_attribute(path: str) -> None:
    """What begins with an underscore is no path."""
    with pytest.raises(ConfigurationError):
        make_resource(Book, (path,)).check()


async def test_a_misspelt_field_of_a_relation_widget(engine: AsyncEngine) -> None:
    """The field of a relation's widget is checked as any path."""
    for path, widget in (
        ("author", ForeignKeyWidget(field="nmae")),
        ("tags", ManyToManyWidget(field="nmae")),
    ):
        with pytest.raises(UnknownNameError, match="'name'"):
            await make_resource(Book, {"value": Field(path, widget=widget)})(engine).export()


# --- objects at hand ------------------------------------------------------------------------


async def test_paths_of_dicts() -> None:
    """Dicts and what they hold are read by key; an absent key is empty."""
    resource = make_resource(Book, {"value": Field("meta.deep.1.x"), "other": Field("nothing.at")})
    items = [{"meta": {"deep": [0, {"x": 5}]}}, {"meta": {}}, {"meta": None}, {}]
    dataset = await resource().export(items)
    assert list(dataset) == [("5", ""), ("", ""), ("", ""), ("", "")]


async def test_paths_of_objects() -> None:
    """Objects that are not mapped are read by attribute; a misspelt one fails, None is empty."""
    size = Size(3, None)
    resource = make_resource(Book, {"value": Field("inner.width"), "other": Field("inner.height")})
    holder = type("Holder", (), {"inner": size})()
    assert list(await resource().export([holder])) == [("3", "")]
    with pytest.raises(RowError, match="field 'value': AttributeError"):
        await resource().export([size])


async def test_paths_of_mapped_objects_at_hand(engine: AsyncEngine) -> None:
    """Mapped objects that were loaded before are read without a database."""
    statement: Select[Any] = (
        select(Book)
        .options(selectinload(Book.author), selectinload(Book.tags), selectinload(Book.reviews))
        .order_by(Book.id)
    )
    async with AsyncSession(engine) as session:
        books = list(await session.scalars(statement))
    paths = ("name", "price", "status", "details.pages", "author", "author.name", "title")
    many = ("tags", "tag_names", "reviews")
    fields = {f"f{n}": Field(path) for n, path in enumerate((*paths, *many))}
    dataset = await make_resource(Book, fields)().export(books)
    expected = [{**COLUMN_PATHS, **TO_MANY_PATHS}[path] for path in (*paths, *many)]
    assert list(dataset) == list(zip(*expected, strict=True))


async def test_an_unloaded_relation_of_an_object_at_hand(engine: AsyncEngine) -> None:
    """A relation that was not loaded before the session ended is an error of the row."""
    async with AsyncSession(engine) as session:
        books = list(await session.scalars(select(Book)))
    with pytest.raises(RowError, match="field 'cover'"):
        await make_resource(Book, ("cover",))().export(books)


async def test_an_async_method_is_no_path() -> None:
    """A path that ends in an async method says that a hook is the place to await."""

    class Holder:
        async def later(self) -> int:
            return 1

    with pytest.raises(RowError) as caught:
        await make_resource(Book, {"value": Field("later")})().export([Holder()])
    assert "async" in str(caught.value.__cause__)


async def test_a_reverse_one_to_one(engine: AsyncEngine) -> None:
    """The side that has no foreign key joins the other; the one that has it does not."""
    found = await columns(make_resource(Cover, ("id", "book", "book.name")), engine)
    assert found == {"id": ["10", "11"], "book": ["2", "1"], "book.name": ["alpha", "Zulu"]}

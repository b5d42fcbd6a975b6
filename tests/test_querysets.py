"""Querysets: every shape of select gives the rows of the plain ORM query, in its order."""

from __future__ import annotations

import csv
import io
import warnings
from collections import UserDict, namedtuple
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from models import (
    Animal,
    Author,
    Base,
    Book,
    Car,
    Cat,
    Country,
    Dog,
    Review,
    Tag,
    Vehicle,
    filled_databases,
    library,
    many_books,
    zoo,
)
from sqlalchemy import (
    Integer,
    Select,
    String,
    bindparam,
    column,
    delete,
    event,
    exists,
    func,
    insert,
    literal,
    select,
    text,
    true,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import (
    Session,
    aliased,
    contains_eager,
    defer,
    joinedload,
    load_only,
    selectin_polymorphic,
    selectinload,
    undefer,
    with_loader_criteria,
    with_polymorphic,
)

from async_export import (
    ConfigurationError,
    ExportResult,
    Field,
    LimitError,
    ModelResource,
    Resource,
    RowError,
    SourceError,
    UnknownNameError,
    depends,
)

Makers = dict[str, Callable[[], AsyncEngine]]


def _rows() -> list[Base]:
    animals = [each for each in zoo() if not isinstance(each, Author)]
    for each in animals:
        if isinstance(each, Dog):
            each.walker = None
    return [*library(), *animals]


@pytest.fixture(scope="module")
def makers(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Makers]:
    """Databases that are filled once for the module."""
    with filled_databases(postgres_url, tmp_path_factory.mktemp("querysets"), _rows) as makers:
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


class BookResource(ModelResource):
    """Paths to one object only: rows wherever the queryset allows it."""

    author = Field("author.name")
    country = Field("author.country.name")

    class Meta:
        """The key and those."""

        model = Book
        fields = ("id", "author", "country")


class IteratedBookResource(BookResource):
    """The same from mapped objects."""

    def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
        """Iterate as ever."""
        return super().iter_queryset(queryset)


class TaggedBookResource(BookResource):
    """Many objects too: rows on PostgreSQL, mapped objects elsewhere."""

    of_author = Field("author.books")

    class Meta:
        """Two collections beside them."""

        fields = ("id", "author", "country", "tags", "of_author")


# What each book has, by its key.
FACTS = {
    1: ("1", "Anna", "France", "1,2,3,4", "1,3"),
    2: ("2", "Bert", "Perú", "1", "2"),
    3: ("3", "Anna", "France", "1,4", "1,3"),
    4: ("4", "cleo", "", "", "4"),
    5: ("5", "", "", "", ""),
}

Other = aliased(Book)
Cheap = aliased(Book, select(Book).where(Book.id > 1).subquery())
Either = aliased(
    Book,
    union_all(select(Book).where(Book.id < 3), select(Book).where(Book.id > 3)).subquery(),
)
Limited = aliased(Book, select(Book).order_by(Book.id.desc()).limit(3).subquery())
recent = select(Book.id).where(Book.id != 2).cte("recent")
review_count = (
    select(func.count(Review.id)).where(Review.book_id == Book.id).correlate(Book).scalar_subquery()
)

# Each gives the statement and the strategy of an export that reads to-one paths only.
SHAPES: dict[str, tuple[Callable[[], Any], str]] = {
    "all": (lambda: select(Book).order_by(Book.id), "rows"),
    "where": (lambda: select(Book).where(Book.price > Decimal(1)).order_by(Book.id), "rows"),
    "where none": (lambda: select(Book).where(Book.author_id.is_(None)), "rows"),
    "filter_by": (lambda: select(Book).filter_by(name="mike"), "rows"),
    "in": (lambda: select(Book).where(Book.id.in_([5, 1, 3])).order_by(Book.id), "rows"),
    "in nothing": (lambda: select(Book).where(Book.id.in_([])), "rows"),
    "tuple in": (
        lambda: select(Book).where(tuple_(Book.id, Book.author_id).in_([(1, 1), (2, 1)])),
        "rows",
    ),
    "parameters": (
        lambda: select(Book).where(Book.id == bindparam("wanted")).params(wanted=3),
        "rows",
    ),
    "like": (lambda: select(Book).where(Book.name.like("%ik%")).order_by(Book.id), "rows"),
    "quotes": (lambda: select(Book).where(Book.name != "'; drop table book; --:x%(y)s"), "rows"),
    "order": (lambda: select(Book).order_by(Book.author_id.desc(), Book.id.desc()), "rows"),
    "order by expression": (
        lambda: select(Book).order_by(func.length(Book.name).desc(), Book.id.desc()),
        "rows",
    ),
    "nulls last": (
        lambda: select(Book).order_by(Book.price.desc().nulls_last(), Book.id.desc()),
        "rows",
    ),
    "limit": (lambda: select(Book).order_by(Book.id.desc()).limit(2), "rows"),
    "limit and offset": (lambda: select(Book).order_by(Book.id).limit(2).offset(2), "rows"),
    "join": (lambda: select(Book).join(Book.author).order_by(Author.name, Book.id), "rows"),
    "outer join": (
        lambda: select(Book).outerjoin(Book.author).order_by(Author.name, Book.id),
        "rows",
    ),
    "join twice": (
        lambda: select(Book).join(Book.author).join(Author.country).order_by(Country.name, Book.id),
        "rows",
    ),
    "join of the other side": (
        lambda: select(Book).join(Author, Book.editor_id == Author.id).order_by(Author.id, Book.id),
        "rows",
    ),
    "joined and limited": (
        lambda: select(Book).join(Book.tags).order_by(Tag.id.desc(), Book.id).limit(4).offset(1),
        "rows",
    ),
    "multiplying join": (
        lambda: select(Book).join(Book.tags).order_by(Tag.id, Book.id.desc()),
        "rows",
    ),
    "multiplying join with a label": (
        lambda: select(Book, Tag.name.label("tag")).join(Book.tags).order_by(Tag.id, Book.id),
        "rows",
    ),
    "implicit from": (
        lambda: select(Book).where(Book.author_id == Author.id, Author.active).order_by(Book.id),
        "rows",
    ),
    "select_from": (
        lambda: select(Book).select_from(Author).join(Author.books).order_by(Book.id),
        "rows",
    ),
    "distinct": (lambda: select(Book).join(Book.tags).order_by(Book.id).distinct(), "instances"),
    "group by": (
        lambda: (
            select(Book, func.count(Tag.id).label("tag_count"))
            .outerjoin(Book.tags)
            .group_by(Book.id)
            .order_by(func.count(Tag.id).desc(), Book.id)
        ),
        "instances",
    ),
    "having": (
        lambda: (
            select(Book)
            .join(Book.tags)
            .group_by(Book.id)
            .having(func.count(Tag.id) > 1)
            .order_by(Book.id)
        ),
        "instances",
    ),
    "cte": (
        lambda: select(Book).join(recent, recent.c.id == Book.id).order_by(Book.id.desc()),
        "rows",
    ),
    "in cte": (
        lambda: select(Book).where(Book.id.in_(select(recent.c.id))).order_by(Book.id),
        "rows",
    ),
    "exists": (
        lambda: (
            select(Book)
            .where(exists().where(Author.id == Book.author_id, Author.active))
            .order_by(Book.id)
        ),
        "rows",
    ),
    "any": (lambda: select(Book).where(Book.tags.any(Tag.id == 4)).order_by(Book.id), "rows"),
    "has": (lambda: select(Book).where(Book.author.has(name="Anna")).order_by(Book.id), "rows"),
    "correlated subquery": (
        lambda: select(Book).where(review_count > 2).order_by(Book.id),
        "rows",
    ),
    "alias": (lambda: select(Other).where(Other.id > 1).order_by(Other.id.desc()), "rows"),
    "alias and joined model": (
        lambda: select(Other).join(Book, Book.id == Other.id + 1).order_by(Other.id),
        "rows",
    ),
    "subquery": (lambda: select(Cheap).order_by(Cheap.id), "rows"),
    "union subquery": (lambda: select(Either).order_by(Either.id.desc()), "rows"),
    "limited subquery": (lambda: select(Limited).order_by(Limited.id), "rows"),
    "from text": (
        lambda: select(Book).from_statement(
            text("SELECT * FROM book WHERE id > :least ORDER BY id DESC").bindparams(least=2)
        ),
        "instances",
    ),
    "from union": (
        lambda: select(Book).from_statement(
            union_all(select(Book).where(Book.id == 4), select(Book).where(Book.id == 2)).order_by(
                "id"
            )
        ),
        "instances",
    ),
    "labels": (
        lambda: select(Book, func.upper(Book.name).label("loud"), literal(1).label("one")).order_by(
            Book.id
        ),
        "rows",
    ),
    "order by label": (
        lambda: select(Book, func.length(Book.name).label("size_")).order_by("size_", Book.id),
        "rows",
    ),
    "order by label descending": (
        lambda: select(Book, (-Book.id).label("back")).order_by(text("back")),
        "rows",
    ),
    "window": (
        lambda: select(
            Book, func.row_number().over(order_by=Book.id.desc()).label("place")
        ).order_by("place"),
        "rows",
    ),
    "annotation of a subquery": (
        lambda: select(Book, review_count.label("stars_given")).order_by(
            review_count.desc(), Book.id
        ),
        "rows",
    ),
    "another column": (
        lambda: select(Book, Author.country_code).join(Book.author).order_by(Book.id),
        "rows",
    ),
    "two entities": (
        lambda: select(Book, Author).join(Book.author).order_by(Book.id.desc()),
        "instances",
    ),
    "two entities of one class": (
        lambda: select(Book, Other).join(Other, Other.id == Book.id + 1).order_by(Book.id),
        "instances",
    ),
    "joinedload": (
        lambda: select(Book).options(joinedload(Book.author)).order_by(Book.id),
        "rows",
    ),
    "selectinload": (
        lambda: select(Book).options(selectinload(Book.tags)).order_by(Book.id),
        "rows",
    ),
    "contains_eager": (
        lambda: (
            select(Book)
            .join(Book.author)
            .options(contains_eager(Book.author))
            .order_by(Author.name.desc(), Book.id)
        ),
        "rows",
    ),
    "load_only": (
        lambda: select(Book).options(load_only(Book.name)).order_by(Book.id),
        "rows",
    ),
    "defer": (lambda: select(Book).options(defer(Book.id)).order_by(Book.id), "rows"),
    "undefer": (lambda: select(Book).options(undefer(Book.summary)).order_by(Book.id), "rows"),
    "another loading of a path": (
        lambda: select(Book).options(selectinload(Book.author)).order_by(Book.id),
        "rows",
    ),
    "another join of a path": (
        lambda: (
            select(Book)
            .options(joinedload(Book.author, innerjoin=True).joinedload(Author.mentor))
            .where(Book.author_id.is_not(None))
            .order_by(Book.id)
        ),
        "rows",
    ),
}


async def orm_keys(engine: AsyncEngine, statement: Any) -> list[int]:
    """Run the statement as the ORM does, and give the keys of its first entity."""
    async with AsyncSession(engine) as session:
        return [each.id for each in (await session.execute(statement)).scalars()]


async def cells(resource: Resource, queryset: Any = None) -> list[tuple[Any, ...]]:
    """Export, and give the cells."""
    return [tuple(record) async for record in resource.records(queryset)]


async def text_cells(resource: Resource, queryset: Any = None) -> tuple[str, list[tuple[str, ...]]]:
    """Export as CSV; give the strategy and the cells."""
    async with resource.stream("csv", queryset) as stream:
        content = b"".join([chunk async for chunk in stream]).decode()
    _, *records = csv.reader(io.StringIO(content, newline=""))
    return columns_or_instances(stream.result), [tuple(each) for each in records]


def columns_or_instances(result: ExportResult) -> str:
    """Tell columns, whoever renders and carries them, from mapped objects."""
    return "rows" if result.strategy == "server" else result.strategy


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_select_gives_the_rows_of_the_orm(engine: AsyncEngine, shape: str) -> None:
    """Rows, their number and their order are those of the plain query, in every strategy."""
    make, strategy = SHAPES[shape]
    expected = [FACTS[key] for key in await orm_keys(engine, make())]
    assert expected or shape == "in nothing"
    short = [each[:3] for each in expected]
    assert await text_cells(BookResource(engine, batch_size=1), make()) == (strategy, short)
    if engine.dialect.name == "postgresql":  # elsewhere the next one needs mapped objects anyhow
        assert await text_cells(IteratedBookResource(engine), make()) == ("instances", short)
    assert await cells(TaggedBookResource(engine, batch_size=2), make()) == expected


async def test_batch_sizes(engine: AsyncEngine) -> None:
    """The size of the batches changes nothing."""
    make, _ = SHAPES["multiplying join"]
    expected = [FACTS[key] for key in await orm_keys(engine, make())]
    for size in (1, 2, 7, None):
        for resource_class in (BookResource, IteratedBookResource):
            found = await cells(resource_class(engine, batch_size=size), make())
            assert found == [each[:3] for each in expected]
        assert await cells(TaggedBookResource(engine, batch_size=size), make()) == expected


def _distinct_on_author() -> list[Any]:
    ordered = select(Book).order_by(Book.author_id, Book.id.desc())
    with warnings.catch_warnings():
        # Since SQLAlchemy 2.1 there is a construct of its own, and this one is deprecated.
        warnings.simplefilter("ignore")
        made = [ordered.distinct(Book.author_id)]
    if hasattr(postgresql, "distinct_on"):
        made.append(ordered.ext(postgresql.distinct_on(Book.author_id)))
    return made


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
@pytest.mark.parametrize("with_distinct", _distinct_on_author())
async def test_distinct_on(postgres: AsyncEngine, with_distinct: Any) -> None:
    """DISTINCT ON keeps the row that PostgreSQL keeps, however it is written."""
    expected = [FACTS[key] for key in await orm_keys(postgres, with_distinct)]
    assert [each[0] for each in expected] == ["3", "2", "4", "5"]
    assert (await BookResource(postgres).explain(queryset=with_distinct)).strategy == "instances"
    assert await cells(TaggedBookResource(postgres), with_distinct) == expected


async def test_lateral(postgres: AsyncEngine) -> None:
    """A LATERAL join multiplies rows as it does for the ORM."""
    words = select(Tag.id).where(Tag.id < Book.id).correlate(Book).lateral()
    statement = select(Book).join(words, true()).order_by(Book.id, words.c.id)
    expected = [FACTS[key] for key in await orm_keys(postgres, statement)]
    assert len(expected) == 0 + 1 + 2 + 3 + 4
    assert await cells(TaggedBookResource(postgres), statement) == expected


async def test_labels_of_a_multiplying_join(engine: AsyncEngine) -> None:
    """Rows of one object keep their own labelled column, in every strategy and batch size."""

    class Labelled(ModelResource):
        tag = Field()
        both = Field()

        class Meta:
            model = Book
            fields = ("id", "tag", "both")

        @depends("tag")
        def dehydrate_both(self, row: Any) -> str:
            return f"{row.id}:{row.tag}"

    class Iterated(Labelled):
        def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
            return super().iter_queryset(queryset)

    class Concurrent(Labelled):
        async def dehydrate_both(self, book: Any) -> str:  # type: ignore[override]
            return f"{book.id}:{book.tag}"

    statement = select(Book, Tag.name.label("tag")).join(Book.tags).order_by(Book.id, Tag.id.desc())
    expected = [
        ("1", "", "1:None"),
        ("1", "été", "1:été"),
        ("1", "long", "1:long"),
        ("1", "novel", "1:novel"),
        ("2", "novel", "2:novel"),
        ("3", "", "3:None"),
        ("3", "novel", "3:novel"),
    ]
    for size in (1, 2, None):
        assert await cells(Labelled(engine, batch_size=size), statement) == expected
        assert await cells(Iterated(engine, batch_size=size), statement) == expected
        resource = Concurrent(engine, batch_size=size, hook_concurrency=4)
        assert await cells(resource, statement) == expected


async def test_a_second_entity_is_an_attribute(engine: AsyncEngine) -> None:
    """Paths may begin at the name of a further entity."""

    class Two(ModelResource):
        wrote = Field("Author.name")

        class Meta:
            model = Book
            fields = ("id", "wrote")

    statement = select(Book, Author).join(Book.author).order_by(Book.id)
    assert await cells(Two(engine), statement) == [
        ("1", "Anna"),
        ("2", "Bert"),
        ("3", "Anna"),
        ("4", "cleo"),
    ]


async def test_a_column_without_label(engine: AsyncEngine) -> None:
    """A column of another model is read by its own name."""

    class Coded(ModelResource):
        country_code = Field()

        class Meta:
            model = Book
            fields = ("id", "country_code")

    statement = select(Book, Author.country_code).join(Book.author).order_by(Book.id)
    expected = [("1", "FR"), ("2", "PE"), ("3", "FR"), ("4", "")]
    assert await cells(Coded(engine), statement) == expected


async def test_several_expressions_without_label(engine: AsyncEngine) -> None:
    """Expressions without a name are no hindrance to the other columns."""
    statement = select(Book, Book.id + 1, Book.id + 2, literal(3))
    assert await cells(BookResource(engine), statement.order_by(Book.id)) == [
        each[:3] for each in FACTS.values()
    ]
    resource = IteratedBookResource(engine)
    assert await cells(resource, statement.order_by(Book.id)) == [
        each[:3] for each in FACTS.values()
    ]


async def test_loader_criteria_hold_for_paths(engine: AsyncEngine) -> None:
    """Criteria of the queryset apply to related objects as in the ORM."""
    statement = (
        select(Book).options(with_loader_criteria(Author, Author.name != "Bert")).order_by(Book.id)
    )
    explained = await BookResource(engine).explain(queryset=statement)
    assert explained.strategy == "instances"
    async with AsyncSession(engine) as session:
        loaded = await session.scalars(statement.options(joinedload(Book.author)))
        expected = [book.author.name if book.author else "" for book in loaded]
    assert expected == ["Anna", "", "Anna", "cleo", ""]
    assert [each[1] for each in await cells(BookResource(engine), statement)] == expected


async def test_criteria_of_a_session_hold(engine: AsyncEngine) -> None:
    """What a do_orm_execute listener of the session adds applies to the export."""
    async with AsyncSession(engine) as session:

        @event.listens_for(session.sync_session, "do_orm_execute")
        def _add(state: Any) -> None:
            state.statement = state.statement.options(
                with_loader_criteria(Book, Book.id != 2, include_aliases=True)
            )

        resource = BookResource(session)
        assert (await resource.explain()).strategy == "instances"
        assert [each[0] for each in await cells(resource)] == ["1", "3", "4", "5"]


async def test_a_with_loader_criteria_event_of_the_class(engine: AsyncEngine) -> None:
    """A listener on a Session class of one's own applies too, through a sessionmaker."""

    class OwnSession(Session):
        pass

    @event.listens_for(OwnSession, "do_orm_execute")
    def _add(state: Any) -> None:
        state.statement = state.statement.options(with_loader_criteria(Book, Book.id > 3))

    bind = async_sessionmaker(engine, sync_session_class=OwnSession)
    assert [each[0] for each in await cells(BookResource(bind))] == ["4", "5"]


# --- inheritance ----------------------------------------------------------------------------


def _iterate(self: Any, queryset: Any) -> AsyncIterator[Any]:
    return ModelResource.iter_queryset(self, queryset)


Everything = with_polymorphic(Animal, "*")

HIERARCHIES: dict[str, tuple[type[Base], Callable[[], Any]]] = {
    "joined base": (Animal, lambda: select(Animal).order_by(Animal.id.desc())),
    "joined subclass": (Dog, lambda: select(Dog).order_by(Dog.name)),
    "another subclass": (Cat, lambda: select(Cat).where(Cat.lives > 1)),
    "condition on the base": (Dog, lambda: select(Dog).where(Animal.name == "Bob")),
    "subclass by condition": (Animal, lambda: select(Animal).where(Animal.kind == "cat")),
    "of_type": (
        Animal,
        lambda: (
            select(Animal).join(Animal.friend.of_type(aliased(Dog, flat=True))).order_by(Animal.id)
        ),
    ),
    "with_polymorphic": (
        Animal,
        lambda: select(Everything).order_by(Everything.Dog.breed, Everything.id),
    ),
    "selectin_polymorphic": (
        Animal,
        lambda: (
            select(Animal).options(selectin_polymorphic(Animal, [Dog, Cat])).order_by(Animal.id)
        ),
    ),
    "single base": (Vehicle, lambda: select(Vehicle).order_by(Vehicle.id.desc())),
    "single subclass": (Car, lambda: select(Car).order_by(Car.seats)),
}


@pytest.mark.parametrize("shape", HIERARCHIES)
async def test_hierarchies(engine: AsyncEngine, shape: str) -> None:
    """Each kind of inheritance gives the rows of the ORM, with names of related objects."""
    model, make = HIERARCHIES[shape]
    related = "friend" if issubclass(model, Animal) else "tows"
    names: dict[int, str] = {}
    for each in _rows():
        if isinstance(each, Animal | Vehicle) and isinstance(each, Animal) == (related == "friend"):
            other = getattr(each, related)
            names[each.id] = other.name if other else ""
    meta = type("Meta", (), {"model": model, "fields": ("id", "other")})
    members = {"Meta": meta, "other": Field(f"{related}.name")}
    resource = type("Hierarchy", (ModelResource,), members)
    iterated = type("Iterated", (resource,), {"iter_queryset": _iterate})
    keys = await orm_keys(engine, make())
    expected = [(str(key), names[key]) for key in keys]
    assert expected
    assert await text_cells(resource(engine), make()) == ("rows", expected)
    assert await text_cells(iterated(engine), make()) == ("instances", expected)


async def test_attributes_of_subclasses_in_a_polymorphic_queryset(engine: AsyncEngine) -> None:
    """A hook sees each object as its own class, with its columns."""

    class Zoo(ModelResource):
        extra = Field()

        class Meta:
            model = Animal
            fields = ("id", "extra")

        def dehydrate_extra(self, animal: Any) -> str:
            return str(getattr(animal, "breed", getattr(animal, "lives", "-")))

    statement = select(Everything).order_by(Everything.id)
    assert [each[1] for each in await cells(Zoo(engine), statement)] == ["collie", "9", "-", "pug"]


# --- statements that select columns ---------------------------------------------------------


class Columns(Resource):
    """Whatever columns the queryset has."""

    class Meta:
        """Without a model."""

        fields = "__all__"


class NamedColumns(Resource):
    """Two columns by name."""

    id = Field()
    shown = Field("name", column_name="Name")


countries: Any = Country.__table__

COLUMN_STATEMENTS: dict[str, Callable[[], Any]] = {
    "columns": lambda: select(Book.id, Book.name).order_by(Book.id.desc()),
    "table": lambda: select(countries.c.code.label("id"), countries.c.name).order_by("id"),
    "labels": lambda: select(
        (Book.id * 2).label("id"), func.upper(Book.name).label("name")
    ).order_by(Book.id),
    "union": lambda: (
        select(Book.id, Book.name)
        .where(Book.id < 3)
        .union_all(select(Tag.id, Tag.name))
        .order_by("id", "name")
    ),
    "text": lambda: text("SELECT id, name FROM book ORDER BY id DESC"),
    "text with parameters": lambda: text(
        "SELECT id, name FROM book WHERE id > :least ORDER BY id"
    ).bindparams(least=3),
    "text with columns": lambda: text("SELECT id, name FROM book ORDER BY name, id").columns(
        column("id", Integer), column("name", String)
    ),
    "aggregate": lambda: (
        select(Book.author_id.label("id"), func.count().label("name"))
        .group_by(Book.author_id)
        .having(Book.author_id.is_not(None))
        .order_by("id")
    ),
    "distinct columns": lambda: (
        select(Book.status.label("name"), Book.author_id.label("id"))
        .distinct()
        .where(Book.author_id.is_not(None))
        .order_by("id")
    ),
}


@pytest.mark.parametrize("shape", COLUMN_STATEMENTS)
async def test_statements_of_columns(engine: AsyncEngine, shape: str) -> None:
    """A statement of columns is exported as it is, by name, in batches of any size."""
    make = COLUMN_STATEMENTS[shape]
    async with engine.connect() as connection:
        rows = (await connection.execute(make())).mappings().all()

    def shown(value: Any) -> str:
        return "" if value is None else getattr(value, "name", str(value))

    expected = [(shown(row["id"]), shown(row["name"])) for row in rows]
    assert expected
    for size in (1, 7, None):
        dataset = await NamedColumns(engine, batch_size=size).export(make())
        assert dataset.headers == ["id", "Name"]
        assert list(dataset) == expected
        everything = await Columns(engine, batch_size=size).export(make())
        assert everything.headers == list(rows[0])
    explained = await NamedColumns(engine).explain(queryset=make())
    transport = "copy" if engine.dialect.name == "postgresql" else "stream"
    assert explained.transport == transport
    async with NamedColumns(engine).stream("csv", make()) as stream:
        content = b"".join([chunk async for chunk in stream]).decode()
    assert stream.result.transport == transport
    assert [tuple(each) for each in csv.reader(io.StringIO(content, newline=""))][1:] == expected


async def test_select_of_a_table(engine: AsyncEngine) -> None:
    """A Table serves as model: all its columns, ordered by its key."""

    class Countries(ModelResource):
        class Meta:
            model = countries
            fields = "__all__"

    expected = [("FR", "France"), ("PE", "Perú")]
    assert await cells(Countries(engine)) == expected
    reverse = select(countries).order_by(countries.c.code.desc())
    assert await cells(Countries(engine), reverse) == expected[::-1]


async def test_columns_of_two_models_with_one_name(engine: AsyncEngine) -> None:
    """The second column of a name is found under SQLAlchemy's own name for it."""
    statement = select(Book.id, Author.id).join(Book.author).order_by(Book.id)
    dataset = await Columns(engine).export(statement)
    assert dataset.headers == ["id", "id_1"]
    assert list(dataset) == [("1", "1"), ("2", "2"), ("3", "1"), ("4", "3")]


async def test_types_of_selected_columns(engine: AsyncEngine) -> None:
    """Type decorators and enums of selected columns are rendered as those of the model."""
    statement = select(Book.price, Book.status, Book.isbn).where(Book.id == 1)
    [[price, status, isbn]] = await cells(Columns(engine), statement)
    assert (price, status, isbn) == ("12.50", "IN_PRINT", "00000010-0000-0000-0000-000000000001")
    typed = text("SELECT price FROM book WHERE id = 1").columns(Book.price)
    assert await cells(Columns(engine), typed) == [("12.50",)]


async def test_an_unknown_column(engine: AsyncEngine) -> None:
    """A field that the statement has no column for is an error with the nearest names."""
    for statement in (select(Book.name), text("SELECT name FROM book")):

        class Misspelt(Resource):
            nmae = Field()

        with pytest.raises(UnknownNameError, match="did you mean 'name'"):
            await Misspelt(engine).export(statement)


async def test_hooks_over_columns(engine: AsyncEngine) -> None:
    """A hook receives the row of a statement of columns."""

    class Hooked(Resource):
        name = Field()
        length = Field()

        def dehydrate_length(self, row: Any) -> int:
            return len(row.name)

    assert await cells(Hooked(engine), select(Book.name).order_by(Book.id)) == [
        ("Zulu", 4),
        ("alpha", 5),
        ("Mike", 4),
        ("mike", 4),
        ("", 0),
    ]


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queryset", "message"),
    [
        (select(Book).with_for_update(), "with_for_update"),
        (insert(Book).values(id=9), "not insert"),
        (update(Book).values(name="x"), "not update"),
        (delete(Book), "not delete"),
        (delete(Book).returning(Book.id), "not delete"),
        ("SELECT * FROM book", "not str"),
        ("", "not str"),
        (b"book", "not bytes"),
        (Book, "Book|class|type"),
        ({"id": 1}, "not dict"),
        (7, "not int"),
        (func.now(), "select"),
    ],
)
async def test_what_is_no_queryset(engine: AsyncEngine, queryset: Any, message: str) -> None:
    """Everything that is neither a select nor an iterable of objects is refused by its name."""
    with pytest.raises(ConfigurationError, match=message):
        await BookResource(engine).export(queryset)
    assert await orm_keys(engine, select(Book).order_by(Book.id)) == [1, 2, 3, 4, 5]


async def test_filter_export_must_return_a_queryset(engine: AsyncEngine) -> None:
    """A hook that forgets its return statement is told so."""

    class Forgetful(BookResource):
        def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
            queryset.where(Book.id > 1)

    with pytest.raises(ConfigurationError, match="filter_export"):
        await Forgetful(engine).export()


async def test_sql_that_changes_data(postgres: AsyncEngine) -> None:
    """An export from an engine cannot change data, whatever text it is given."""
    with pytest.raises((SourceError, ConfigurationError)):
        await Columns(postgres).export(text("DELETE FROM review RETURNING id"))
    with pytest.raises((SourceError, ConfigurationError)):
        await Columns(postgres).export(text("DELETE FROM review"))
    assert len(await orm_keys(postgres, select(Review))) == 4


async def test_invalid_sql(engine: AsyncEngine) -> None:
    """SQL that the database refuses is a SourceError with its code, before the first chunk."""
    with pytest.raises(SourceError) as caught:
        async with BookResource(engine).stream("csv", text("SELECT nothing FROM nowhere")):
            pytest.fail("the stream was entered")
    assert caught.value.__cause__ is not None
    if engine.dialect.name == "postgresql":
        assert caught.value.sqlstate == "42P01"


async def test_a_failure_after_some_rows(postgres: AsyncEngine) -> None:
    """A row that the server cannot make ends the export, and says how many rows came before."""
    statement = text("SELECT n, 1 / (250 - n) AS id FROM generate_series(1, 300) AS n")
    seen: list[Any] = []
    with pytest.raises(SourceError, match="rows had been fetched") as caught:
        async with aclosing(Columns(postgres, batch_size=100).records(statement)) as records:
            async for record in records:
                seen.append(record)
    assert len(seen) == 200
    assert caught.value.rows == 200
    assert caught.value.sqlstate == "22012"


async def test_joined_loading_of_collections_cannot_be_streamed(engine: AsyncEngine) -> None:
    """Loader options that need all rows at once are refused with the cure."""
    statement = select(Book).options(joinedload(Book.tags)).order_by(Book.id)
    with pytest.raises(ConfigurationError, match="use selectinload"):
        await IteratedBookResource(engine).export(statement)


async def test_unknown_attribute_in_a_queryset_of_another_model(engine: AsyncEngine) -> None:
    """Paths are those of what the queryset selects."""
    with pytest.raises(UnknownNameError, match="'author' in Tag"):
        await BookResource(engine).export(select(Tag))


# --- order ----------------------------------------------------------------------------------


def _ordered(order_by: Any, model: Any = Book) -> type[ModelResource]:
    meta = type("Meta", (), {"model": model, "fields": ("id",), "order_by": order_by})
    return type("Ordered", (ModelResource,), {"Meta": meta})


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        ("-id", "54321"),
        (("author_id", "-id"), None),
        (("name_length", "id"), "51342"),
        ([Book.name_length.desc(), Book.id], "21345"),
        (Book.id.desc(), "54321"),
    ],
)
async def test_meta_order_by(engine: AsyncEngine, order_by: Any, expected: str | None) -> None:
    """Names, names with a minus and expressions order the default queryset."""
    if expected is None:
        expected = "3124" if engine.dialect.name == "postgresql" else "53124"
        expected += "5" if engine.dialect.name == "postgresql" else ""
    found = await cells(_ordered(order_by)(engine))
    assert "".join(each[0] for each in found) == expected


async def test_the_default_order_is_the_primary_key(engine: AsyncEngine) -> None:
    """Without order_by the key orders, with None nothing does; a typo is told."""
    assert "ORDER BY book.id" in (await _ordered("__all__")(engine).explain()).sql
    assert "ORDER BY book.id" in (await BookResource(engine).explain()).sql
    assert "ORDER BY" not in (await _ordered(None)(engine).explain()).sql
    with pytest.raises(UnknownNameError, match="'name'"):
        await _ordered("-nmae")(engine).export()


async def test_a_queryset_of_the_callers_gets_no_order(engine: AsyncEngine) -> None:
    """A queryset that is passed is neither ordered nor changed."""
    statement = select(Book)
    before = str(statement)
    for resource in (BookResource(engine), IteratedBookResource(engine)):
        assert "ORDER BY" not in (await resource.explain(queryset=statement)).sql
        await resource.export(statement)
    assert str(statement) == before
    assert not statement._with_options


async def test_filter_export_narrows_the_default_queryset(engine: AsyncEngine) -> None:
    """A hook may add conditions; the order of get_queryset stays."""

    class Narrow(BookResource):
        async def filter_export(self, queryset: Select[Any], **kwargs: Any) -> Any:
            return queryset.where(Book.id > kwargs["least"])

    resource = Narrow(engine)
    found = [tuple(each) async for each in resource.records(None, least=3)]
    assert found == [FACTS[4][:3], FACTS[5][:3]]


# --- how many statements --------------------------------------------------------------------


class BigResource(ModelResource):
    """An author, an editor, tags and reviews."""

    author = Field("author.name")
    editor = Field("editor.name")

    class Meta:
        """Two relations, two collections."""

        model = Book
        fields = ("id", "author", "editor", "tags", "reviews")


class IteratedBigResource(BigResource):
    """The same from mapped objects."""

    def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
        """Iterate as ever."""
        return super().iter_queryset(queryset)


class HookedBigResource(BigResource):
    """The same with hooks of declared reads."""

    author = Field()

    @depends("author.name", "editor.country.name")
    def dehydrate_author(self, row: Any) -> str:
        """Read what is declared."""
        assert row.editor.country is None
        return str(row.author.name)


@pytest.fixture(scope="module")
def big_makers(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Makers]:
    """Databases with a thousand books."""
    folder = tmp_path_factory.mktemp("big")
    with filled_databases(postgres_url, folder, lambda: many_books(1000)) as makers:
        yield makers


@pytest.fixture(params=["postgres", "sqlite"])
async def big_engine(
    request: pytest.FixtureRequest, big_makers: Makers
) -> AsyncIterator[AsyncEngine]:
    """An engine to a thousand books."""
    engine = big_makers[request.param]()
    yield engine
    await engine.dispose()


@contextmanager
def statements(engine: AsyncEngine) -> Iterator[list[str]]:
    """Collect what is sent to the database."""
    sent: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


AROUND = 6
"""Statements around the rows on PostgreSQL: what settings there are, what relations, how far the
log is; then the first setting, the snapshot, and at the end whether a table was rewritten."""


def _first(count: int) -> Any:
    return select(Book).where(Book.id <= count).order_by(Book.id)


@pytest.mark.parametrize("resource_class", [BigResource, HookedBigResource])
async def test_statements_do_not_grow_with_the_rows(
    big_engine: AsyncEngine, resource_class: type[ModelResource]
) -> None:
    """A thousand rows with author and tags cost what ten cost: one statement on PostgreSQL."""
    counts = []
    for count in (10, 1000):
        with statements(big_engine) as sent:
            dataset = await resource_class(big_engine, batch_size=1000).export(_first(count))
        assert len(dataset) == count
        counts.append(len(sent))
    if big_engine.dialect.name == "postgresql":
        assert counts == [AROUND + 1, AROUND + 1]
    else:
        # SQLAlchemy loads collections of 500 objects at once.
        assert counts == [1 + 1 + 2, 1 + 1 + 2 * 2]


async def test_one_statement_for_each_batch_and_collection(big_engine: AsyncEngine) -> None:
    """Mapped objects cost one statement, and one for each collection of a batch."""
    counts = []
    for count, size in ((10, 250), (250, 250), (1000, 250)):
        with statements(big_engine) as sent:
            resource = IteratedBigResource(big_engine, batch_size=size)
            assert len(await resource.export(_first(count))) == count
        counts.append(len(sent))
    around = 1 if big_engine.dialect.name == "sqlite" else AROUND  # BEGIN
    assert counts == [around + 1 + 2, around + 1 + 2, around + 1 + 4 * 2]


async def test_statements_of_the_default_batch_size(big_engine: AsyncEngine) -> None:
    """Batches that follow their cost do not multiply the statements."""
    with statements(big_engine) as sent:
        await IteratedBigResource(big_engine).export(_first(1000))
    assert len(sent) <= AROUND + 1 + 2 * 10 + 2


async def test_all_strategies_agree_on_many_rows(big_engine: AsyncEngine) -> None:
    """The file is the same for each strategy and batch size."""

    async def digest(resource: ModelResource) -> str:
        async def sink(_chunk: bytes) -> None:
            pass

        return (await resource.export_to(sink, "csv", _first(300))).sha256

    found = set()
    for resource_class in (BigResource, IteratedBigResource, HookedBigResource):
        for size in (70, None):
            found.add(await digest(resource_class(big_engine, batch_size=size)))
    assert len(found) == 1


async def test_rows_stay_with_the_server(big_engine: AsyncEngine) -> None:
    """The first record leaves before the rest is fetched, in batches of the size that is set."""
    sizes: list[int] = []

    class Counting(BigResource):
        @depends("id")
        def prepare_batch(self, batch: Any, **kwargs: Any) -> None:
            sizes.append(len(batch))

    async with aclosing(Counting(big_engine, batch_size=70).records()) as records:
        await anext(records)
        assert sizes == [70]
        async for _ in records:
            pass
    assert sizes == [70] * 14 + [20]


async def test_max_rows(big_engine: AsyncEngine) -> None:
    """One row more than max_rows is an error that names the option."""
    assert len(await BigResource(big_engine, max_rows=10).export(_first(10))) == 10
    with pytest.raises(LimitError, match="max_rows=10"):
        await BigResource(big_engine, max_rows=10).export(_first(11))


# --- iterables ------------------------------------------------------------------------------

Pair = namedtuple("Pair", ["id", "name"])  # noqa: PYI024 - as people write it


@dataclass
class Point:
    """An object that is not mapped."""

    id: int
    name: str


class PairResource(Resource):
    """Two fields of anything."""

    id = Field()
    name = Field()


def _generated() -> Generator[Pair, None, None]:
    yield from (Pair(1, "a"), Pair(2, "b"))


async def _async_generated() -> AsyncGenerator[Pair, None]:
    for pair in _generated():
        yield pair


class AsyncOnly:
    """An async iterable that is no generator."""

    def __aiter__(self) -> AsyncIterator[Pair]:
        return _async_generated()


class Plain:
    """An old sequence: no __iter__ of a list."""

    def __iter__(self) -> Iterator[Pair]:
        return iter([Pair(1, "a"), Pair(2, "b")])


ITERABLES: dict[str, Callable[[], Any]] = {
    "list": lambda: [Pair(1, "a"), Pair(2, "b")],
    "tuple": lambda: (Pair(1, "a"), Pair(2, "b")),
    "generator": _generated,
    "async generator": _async_generated,
    "async iterable": AsyncOnly,
    "iterable": Plain,
    "dicts": lambda: [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    "mappings": lambda: [
        MappingProxyType({"id": 1, "name": "a"}),
        UserDict({"id": 2, "name": "b"}),
    ],
    "dataclasses": lambda: [Point(1, "a"), Point(2, "b")],
    "values of a dict": {"x": Point(1, "a"), "y": Point(2, "b")}.values,
    "map": lambda: map(Pair, (1, 2), ("a", "b")),
    "mapped objects": lambda: [Tag(id=1, name="a"), Tag(id=2, name="b")],
    "a mixture": lambda: [Tag(id=1, name="a"), {"id": 2, "name": "b"}],
}


@pytest.mark.parametrize("kind", ITERABLES)
async def test_iterables(kind: str) -> None:
    """Every kind of iterable and of object gives the same cells, in batches of any size."""
    for size in (1, 7, None):
        resource = PairResource(batch_size=size)
        assert await cells(resource, ITERABLES[kind]()) == [("1", "a"), ("2", "b")]
    explained = await PairResource().explain(queryset=ITERABLES[kind]())
    assert (explained.transport, explained.sql) == ("iterable", "")


async def test_iterables_need_no_connection(engine: AsyncEngine) -> None:
    """Objects at hand are exported without a connection, whatever the bind."""
    with statements(engine) as sent:
        assert await cells(PairResource(engine), [Pair(1, "a")]) == [("1", "a")]
    assert sent == []


async def test_rows_and_results(engine: AsyncEngine) -> None:
    """Rows of SQLAlchemy's are exported, and its results are iterables of them."""
    statement = select(Tag.id, Tag.name).where(Tag.id < 3).order_by(Tag.id)
    expected = [("1", "novel"), ("2", "long")]
    async with AsyncSession(engine) as session:
        assert await cells(PairResource(), (await session.execute(statement)).all()) == expected
        assert await cells(PairResource(), await session.execute(statement)) == expected
        assert await cells(PairResource(), await session.stream(statement)) == expected
        mappings = (await session.execute(statement)).mappings()
        assert await cells(PairResource(), mappings) == expected
        tags = select(Tag).where(Tag.id < 3).order_by(Tag.id)
        assert await cells(PairResource(), await session.scalars(tags)) == expected
        assert await cells(PairResource(), await session.stream_scalars(tags)) == expected


async def test_rows_of_entities(engine: AsyncEngine) -> None:
    """A result of whole objects is one of rows, each of which holds the object."""

    class Tags(ModelResource):
        loud = Field()

        class Meta:
            model = Tag
            fields = ("id", "name", "loud")

        def dehydrate_loud(self, tag: Any) -> str:
            return str(tag.name.upper())

    statement = select(Tag).where(Tag.id < 3).order_by(Tag.id)
    expected = [("1", "novel", "NOVEL"), ("2", "long", "LONG")]
    async with AsyncSession(engine) as session:
        assert await cells(Tags(), await session.execute(statement)) == expected
        assert await cells(Tags(), await session.stream(statement)) == expected


async def test_a_json_mapping_row(engine: AsyncEngine) -> None:
    """Paths go through rows into JSON."""

    class Pages(Resource):
        pages = Field("details.pages")

    async with engine.connect() as connection:
        statement = select(Book.details).where(Book.id.in_([1, 4])).order_by(Book.id)
        rows = (await connection.execute(statement)).all()
    assert await cells(Pages(), rows) == [("300",), ("",)]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_generator_is_closed_on_early_stop(*, is_async: bool) -> None:
    """Whoever leaves early closes the caller's generator, at once."""
    closed: list[bool] = []
    produced: list[int] = []

    def plain() -> Generator[Pair, None, None]:
        try:
            for number in range(100):
                produced.append(number)
                yield Pair(number, "x")
        finally:
            closed.append(True)

    async def asynchronous() -> AsyncGenerator[Pair, None]:
        async with aclosing(_wrapped(plain())) as pairs:
            async for pair in pairs:
                yield pair

    queryset = asynchronous() if is_async else plain()
    async with aclosing(PairResource(batch_size=3).records(queryset)) as records:
        await anext(records)
        assert closed == []
    assert closed == [True]
    assert len(produced) == 3


async def _wrapped(pairs: Generator[Pair, None, None]) -> AsyncGenerator[Pair, None]:
    try:
        for pair in pairs:
            yield pair
    finally:
        pairs.close()


async def test_a_generator_is_closed_after_an_error() -> None:
    """An error of a hook closes the caller's generator."""
    closed: list[bool] = []

    def plain() -> Generator[Any, None, None]:
        try:
            yield Pair(1, "x")
            yield object()
        finally:
            closed.append(True)

    with pytest.raises(RowError) as caught:
        await PairResource(batch_size=1).export(plain())
    assert closed == [True]
    assert caught.value.row_number == 2


async def test_an_error_of_the_iterable() -> None:
    """What the caller's own iterable raises arrives as itself or as the cause."""

    def broken() -> Generator[Pair, None, None]:
        yield Pair(1, "x")
        raise ZeroDivisionError

    with pytest.raises((ZeroDivisionError, SourceError)) as caught:
        await PairResource().export(broken())
    assert ZeroDivisionError in {type(caught.value), type(caught.value.__cause__)}


@pytest.mark.parametrize("queryset", [[], (), iter(()), _generated])
async def test_an_empty_iterable_gives_the_header(queryset: Any) -> None:
    """Without objects there is the header, and nothing else."""
    if callable(queryset):
        queryset = (each for each in _generated() if each.id > 2)
    dataset = await PairResource().export(queryset)
    assert dataset.headers == ["id", "name"]
    assert len(dataset) == 0


async def test_an_empty_queryset_gives_the_header(engine: AsyncEngine) -> None:
    """Without rows there is the header, in every strategy and for columns too."""
    for resource in (BookResource(engine), IteratedBookResource(engine)):
        async with resource.stream("csv", select(Book).where(Book.id < 0)) as stream:
            assert b"".join([chunk async for chunk in stream]) == b"id,author,country\r\n"
        assert stream.result.rows == 0
    async with Columns(engine).stream("csv", select(Book.id).where(Book.id < 0)) as stream:
        assert b"".join([chunk async for chunk in stream]) == b"id\r\n"


async def test_no_queryset_and_no_model() -> None:
    """A resource without a model says that it needs a queryset."""
    with pytest.raises(ConfigurationError, match="pass a queryset"):
        await PairResource().export()

"""What a class declares: fields and Meta along the MRO, checks of names and paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from library import Author, Base, Book, BookResource, bytes_of, fill, records_of
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    configure_mappers,
    declarative_base,
    mapped_column,
    relationship,
)

from async_export import (
    ConfigurationError,
    Field,
    ModelResource,
    Resource,
    UnknownNameError,
    depends,
    resource_factory,
)
from async_export.guard import secret_names
from async_export.widgets import CharWidget


@pytest.fixture
async def library(sqlite_engine: AsyncEngine) -> AsyncEngine:
    """The library; which database does not matter."""
    return await fill(sqlite_engine)


# --- fields along the MRO -------------------------------------------------------------------


def headers_of(resource_class: type[Resource]) -> list[str]:
    """Give the headers of a resource."""
    headers: list[str] = resource_class().get_export_headers()
    return headers


def test_fields_are_inherited() -> None:
    """A subclass has the fields of its bases, theirs first."""

    class Parent(Resource):
        a = Field()
        b = Field()

    class Child(Parent):
        c = Field()

    assert headers_of(Child) == ["a", "b", "c"]
    assert headers_of(Parent) == ["a", "b"]


def test_a_declaration_again_keeps_its_place() -> None:
    """A field that is declared again is replaced where it stood."""

    class Parent(Resource):
        a = Field(column_name="old")
        b = Field()

    class Child(Parent):
        a = Field(column_name="new")

    assert headers_of(Child) == ["new", "b"]
    assert headers_of(Parent) == ["old", "b"]


def test_the_nearest_base_wins() -> None:
    """Of two bases the first one decides, as for any attribute."""

    class Left(Resource):
        a = Field(column_name="left")

    class Right(Resource):
        a = Field(column_name="right")
        b = Field()

    class Both(Left, Right):
        pass

    assert sorted(headers_of(Both)) == ["b", "left"]


def test_a_diamond() -> None:
    """In a diamond the overriding branch wins over the common base."""

    class Top(Resource):
        a = Field(column_name="top")

    class Left(Top):
        pass

    class Right(Top):
        a = Field(column_name="right")

    class Bottom(Left, Right):
        pass

    assert headers_of(Bottom) == ["right"]


def test_plain_mixins_count() -> None:
    """Fields and hooks of a mixin that is no resource are the resource's."""

    class Mixin:
        extra = Field()

        def dehydrate_extra(self, row: Any) -> str:
            return "mixed in"

    class Mixed(Mixin, Resource):
        own = Field()

    assert sorted(headers_of(Mixed)) == ["extra", "own"]


async def test_hooks_of_mixins_run() -> None:
    """A dehydrate method and a Meta of a mixin work."""

    class Mixin:
        extra = Field()

        class Meta:
            max_rows = 3

        def dehydrate_extra(self, row: Any) -> str:
            return "mixed in"

    class Mixed(Mixin, Resource):
        pass

    assert await records_of(Mixed(), [{}]) == [["mixed in"]]
    assert Mixed().options.max_rows == 3


def test_none_removes_an_inherited_field() -> None:
    """``name = None`` removes a field; a later class may declare it anew."""

    class Parent(Resource):
        a = Field()
        b = Field()

    class Without(Parent):
        a = None  # type: ignore[assignment]

    class Again(Without):
        a = Field(column_name="again")  # type: ignore[assignment]

    assert headers_of(Without) == ["b"]
    assert sorted(headers_of(Again)) == ["again", "b"]


def test_none_in_a_mixin_removes_a_field() -> None:
    """A mixin before the resource may remove its fields."""

    class Parent(Resource):
        a = Field()
        b = Field()

    class Without:
        a = None

    class Child(Without, Parent):  # type: ignore[misc]
        pass

    assert headers_of(Child) == ["b"]


def test_none_removes_a_field_that_meta_lists() -> None:
    """A removed field that is still listed in an inherited Meta.fields is not exported."""

    class Parent(BookResource):
        class Meta:
            fields = ("id", "title", "extra")

        extra = Field("author.name")

    with pytest.raises(UnknownNameError, match="'extra'"):

        class Removed(Parent):
            extra = None  # type: ignore[assignment]


def test_objects_have_fields_of_their_own() -> None:
    """Changing the fields of one object changes neither the class nor other objects."""
    first, second = BookResource(), BookResource()
    first.fields["title"].column_name = "changed"
    del first.fields["id"]
    assert second.get_export_headers() == ["id", "title"]
    assert BookResource().get_export_headers() == ["id", "title"]


def test_a_field_of_two_names_is_two_fields() -> None:
    """One Field object that is declared twice does not mix the two names up."""
    shared = Field("title")

    class Twice(Resource):
        a = shared
        b = shared

    assert headers_of(Twice) == ["a", "b"]


# --- Meta -----------------------------------------------------------------------------------


def test_meta_is_merged_over_many_levels() -> None:
    """Each level's Meta adds to and overrides those above, over five levels."""

    class One(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "title")
            batch_size = 1

    class Two(One):
        class Meta:
            chunk_size = 2

    class Three(Two):
        class Meta:
            batch_size = 3

    class Four(Three):
        pass

    class Five(Four):
        class Meta:
            max_rows = 5

    options = Five().options
    assert (options.model, options.fields) == (Book, ("id", "title"))
    assert (options.batch_size, options.chunk_size, options.max_rows) == (3, 2, 5)
    assert One().options.batch_size == 1


def test_meta_may_inherit_a_plain_class() -> None:
    """A Meta with bases of its own has their options, the nearest first."""

    class Shared:
        batch_size = 7
        chunk_size = 7

    class Own(BookResource):
        class Meta(Shared):
            chunk_size = 8

    assert (Own().options.batch_size, Own().options.chunk_size) == (7, 8)


def test_the_nearest_meta_wins() -> None:
    """Of two bases' Metas the first one decides, option by option."""

    class Left(Resource):
        class Meta:
            batch_size = 1

    class Right(Resource):
        class Meta:
            batch_size = 2
            max_rows = 2

    class Both(Left, Right):  # type: ignore[misc]
        pass

    assert (Both().options.batch_size, Both().options.max_rows) == (1, 2)


def test_a_child_may_narrow_and_widen_fields() -> None:
    """Meta.fields of a child replaces the parent's."""

    class Narrow(BookResource):
        class Meta:
            fields = ("title",)

    class Wide(BookResource):
        class Meta:
            fields = ("price", "title", "author.name")

    assert headers_of(Narrow) == ["title"]
    assert headers_of(Wide) == ["price", "title", "author.name"]


def test_a_child_may_exclude() -> None:
    """Meta.exclude of a child takes away what the parent lists or declares."""

    class Parent(BookResource):
        class Meta:
            fields = ("id", "title", "by")

        by = Field("author.name")

    class Child(Parent):
        class Meta:
            exclude = ("by", "id")

    assert headers_of(Child) == ["title"]


def test_order_of_fields() -> None:
    """export_order comes first, then the order of Meta.fields."""

    class Ordered(BookResource):
        class Meta:
            fields = ("id", "title", "price", "published")
            export_order = ("published", "title")

    assert headers_of(Ordered) == ["published", "title", "id", "price"]


def test_fields_and_order_are_checked() -> None:
    """A name in export_order or widgets that is not exported is an error."""
    options: list[dict[str, Any]] = [{"export_order": ("titel",)}, {"widgets": {"titel": {}}}]
    for option in options:
        with pytest.raises(UnknownNameError, match=r"Wrong\.Meta; did you mean 'title'"):
            type("Wrong", (BookResource,), {"Meta": type("Meta", (), option)})


def test_a_model_needs_fields_or_exclude() -> None:
    """Nobody exports every column by saying nothing."""
    with pytest.raises(ConfigurationError, match=r"Silent\.Meta needs fields or exclude"):

        class Silent(ModelResource):
            class Meta:
                model = Book


def test_all_columns() -> None:
    """``"__all__"`` are the columns in the model's order, then the declared fields."""

    class Everything(ModelResource):
        class Meta:
            model = Book
            fields = "__all__"

        by = Field("author.name")
        title = Field(column_name="Title")

    columns = [column.key for column in Book.__table__.columns]
    assert list(Everything().fields) == [*columns, "by"]
    assert headers_of(Everything)[1] == "Title"


def test_exclude_alone_means_all_but_these() -> None:
    """With exclude and no fields, the other columns are exported."""

    class Some(ModelResource):
        class Meta:
            model = Author
            exclude = ("country",)

    assert headers_of(Some) == ["id", "name"]


def test_exclude_is_checked() -> None:
    """A misspelt name in exclude is an error: the column would leak."""
    with pytest.raises(UnknownNameError, match="did you mean 'country'"):

        class Some(ModelResource):
            class Meta:
                model = Author
                exclude = ("contry",)


def test_excluding_everything_is_an_error() -> None:
    """A resource without fields cannot be exported."""

    class Nothing(ModelResource):
        class Meta:
            model = Author
            exclude = ("id", "name", "country")

    with pytest.raises(ConfigurationError, match="no fields to export"):
        Nothing().get_export_fields()


def test_a_declared_field_that_is_not_listed() -> None:
    """A field that the class declares and does not list is an error, not silently dropped."""
    with pytest.raises(ConfigurationError, match=r"declares the field 'by', but Meta\.fields"):

        class Forgotten(BookResource):
            by = Field("author.name")


@pytest.mark.parametrize("model", [7, "Book", object, Base])
def test_what_is_no_model(model: Any) -> None:
    """Meta.model takes a mapped class or a Table."""
    with pytest.raises(ConfigurationError, match="mapped class or a Table"):
        type("Wrong", (ModelResource,), {"Meta": type("Meta", (), {"model": model, "fields": ()})})


async def test_a_table_is_a_model(library: AsyncEngine) -> None:
    """A Table serves as a model, ordered by its key."""

    class TableResource(ModelResource):
        class Meta:
            model = Book.__table__
            fields = ("id", "title")

    out = await bytes_of(TableResource(library))
    assert out == await bytes_of(BookResource(library))


# --- secrets --------------------------------------------------------------------------------


class Account(Base):
    """Has what nobody should export by accident."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    shipping: Mapped[str]
    password_hash: Mapped[str]


@pytest.mark.parametrize("options", [{"fields": "__all__"}, {"exclude": ("id",)}])
def test_secrets_are_refused(options: dict[str, Any]) -> None:
    """Columns that look secret are refused unless they are named."""
    with pytest.raises(ConfigurationError, match="would export password_hash, which looks secret"):
        type("Leak", (ModelResource,), {"Meta": type("Meta", (), {"model": Account, **options})})


def test_named_secrets_are_exported() -> None:
    """Who names a secret column, or declares it, means it; who excludes it too."""
    for options, fields in (
        ({"fields": ("password_hash",)}, {}),
        ({"fields": "__all__"}, {"password_hash": Field()}),
    ):
        meta = type("Meta", (), {"model": Account, **options})
        made: Any = type("Meant", (ModelResource,), {"Meta": meta, **fields})
        assert "password_hash" in headers_of(made)

    class Without(ModelResource):
        class Meta:
            model = Account
            fields = "__all__"
            exclude = ("password_hash",)

    assert headers_of(Without) == ["id", "shipping"]


@pytest.mark.parametrize(
    "name", ["password", "apiToken", "api_key", "PASSWORD_HASH", "clientSecret", "salt", "otp"]
)
def test_secret_names(name: str) -> None:
    """Names in any style are seen to be secret."""
    assert secret_names([name]) == [name]


@pytest.mark.parametrize("name", ["shipping", "assault", "hashtag", "pinned", "author", "key"])
def test_innocent_names(name: str) -> None:
    """Words that merely contain a short secret word are innocent."""
    assert secret_names([name]) == []


# --- misspelt names -------------------------------------------------------------------------


def test_a_misspelt_field_names_the_nearest() -> None:
    """A name in Meta.fields that nothing has is an error when the class is made."""
    with pytest.raises(UnknownNameError, match="'titel' in Misspelt; did you mean 'title'"):

        class Misspelt(ModelResource):
            class Meta:
                model = Book
                fields = ("id", "titel")


@pytest.mark.parametrize("hook", ["dehydrate_titel", "dehydrate_author__nmae"])
def test_a_misspelt_dehydrate_names_the_nearest(hook: str) -> None:
    """A dehydrate method of no field is an error when the class is made."""
    with pytest.raises(UnknownNameError, match=f"in Misspelt.{hook}"):
        type(
            "Misspelt",
            (BookResource,),
            {
                "Meta": type("Meta", (), {"fields": ("id", "title", "author__name")}),
                hook: lambda self, row: "",
            },
        )


async def test_dehydrate_of_a_path(library: AsyncEngine) -> None:
    """The hook of the field ``author__name`` is ``dehydrate_author__name``."""

    class ByPath(BookResource):
        class Meta:
            fields = ("author__name",)

        @depends("id")
        def dehydrate_author__name(self, row: Any) -> str:
            return f"author of {row.id}"

    assert (await ByPath(library).export())["author__name"][0] == "author of 1"


async def test_dehydrate_of_a_dotted_path(library: AsyncEngine) -> None:
    """A hook that looks like that of ``author.name`` is called, or refused; never ignored."""
    try:

        class ByPath(BookResource):
            class Meta:
                fields = ("author.name",)

            @depends("id")
            def dehydrate_author__name(self, row: Any) -> str:
                return f"author of {row.id}"

    except ConfigurationError:
        return
    assert (await ByPath(library).export())["author.name"][0] == "author of 1"


def test_a_misspelt_dehydrate_method_names_the_nearest() -> None:
    """dehydrate_method="…" of no method is an error when the class is made."""
    with pytest.raises(UnknownNameError, match=r"unknown method 'shuot'.*did you mean 'shout'"):

        class Misspelt(BookResource):
            title = Field(dehydrate_method="shuot")

            def shout(self, book: Book) -> str:
                return book.title.upper()


def test_hooks_of_excluded_fields_are_allowed() -> None:
    """A subclass that leaves a field out may keep its inherited hook."""

    class Parent(BookResource):
        def dehydrate_title(self, book: Book) -> str:
            return book.title

    class Child(Parent):
        class Meta:
            exclude = ("title",)

    assert headers_of(Child) == ["id"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("author.nmae", "unknown attribute 'nmae' in Author; did you mean 'name'"),
        ("author__nmae", "unknown attribute 'nmae' in Author; did you mean 'name'"),
        ("tags.name", "has many objects.*ManyToManyWidget"),
        ("title.length", "has no 'length' inside"),
    ],
)
def test_paths_are_checked(path: str, message: str) -> None:
    """A path that leads nowhere is an error that says where, and names the class."""
    for members in (
        {"Meta": type("Meta", (), {"fields": ("id", path)})},
        {"Meta": type("Meta", (), {"fields": ("id", "x")}), "x": Field(path)},
    ):
        with pytest.raises(ConfigurationError, match=message) as caught:
            type("Wrong", (BookResource,), members)
        assert any("Wrong" in note for note in caught.value.__notes__)


def test_paths_of_depends_are_checked() -> None:
    """A path in @depends that leads nowhere is an error when the class is made, as in Field."""
    with pytest.raises(UnknownNameError, match="did you mean 'name'"):

        class Wrong(BookResource):
            @depends("author.nmae")
            def dehydrate_title(self, row: Any) -> str:
                return str(row.author.nmae)


async def test_names_of_depends_are_checked_by_the_export(library: AsyncEngine) -> None:
    """A name that the model lacks could be a labelled column; the export tells that it is none."""

    class Wrong(BookResource):
        @depends("prise")
        def dehydrate_title(self, row: Any) -> str:
            return str(row.prise)

    with pytest.raises(UnknownNameError, match="did you mean 'price'"):
        await Wrong(library).explain()


def test_depends_takes_names() -> None:
    """@depends without parentheses is an error that shows how to write it."""
    with pytest.raises(ConfigurationError, match=r'@depends\("price"'):
        depends(lambda self, row: "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attribute": 7}, "Field\\(attribute=...\\) takes a str, not int"),
        ({"widget": CharWidget}, "takes a Widget, not the class CharWidget"),
        ({"type": 7}, "takes a SQLAlchemy type"),
        ({"column_name": 7}, "takes a str"),
    ],
)
def test_arguments_of_fields_are_checked(arguments: dict[str, Any], message: str) -> None:
    """A Field refuses arguments of the wrong type at once."""
    with pytest.raises(ConfigurationError, match=message):
        Field(**arguments)


@pytest.mark.parametrize("path", [".a", "a.", "a..b"])
async def test_paths_have_steps(path: str) -> None:
    """An attribute path without a step is refused before the first row."""
    with pytest.raises(ConfigurationError, match="attribute path"):
        resource_class: Any = type("Wrong", (Resource,), {"x": Field(path)})
        await resource_class().export([{}])


# --- forward references ---------------------------------------------------------------------


@pytest.fixture
def fresh() -> Iterator[Any]:
    """A declarative base whose models are forgotten after the test."""
    base = declarative_base()
    yield base
    base.registry.dispose()


def test_a_relationship_to_a_class_that_comes_later(fresh: Any) -> None:
    """A resource may be declared before the class that its model's relation names."""

    class Early(fresh):  # type: ignore[misc]
        __tablename__ = "early"
        id: Mapped[int] = mapped_column(primary_key=True)
        late_id: Mapped[int] = mapped_column(ForeignKey("late.id"))
        late: Mapped[Any] = relationship("Late")

    class EarlyResource(ModelResource):
        class Meta:
            model = Early
            fields = ("id", "late.name")

    class Late(fresh):  # type: ignore[misc]
        __tablename__ = "late"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

    configure_mappers()
    EarlyResource.check()
    assert headers_of(EarlyResource) == ["id", "late.name"]
    BookResource.check()


def test_an_error_behind_a_forward_reference_comes_with_the_mappers(fresh: Any) -> None:
    """A path that cannot be checked yet is checked when the mappers are configured."""

    class Early(fresh):  # type: ignore[misc]
        __tablename__ = "early"
        id: Mapped[int] = mapped_column(primary_key=True)
        late_id: Mapped[int] = mapped_column(ForeignKey("late.id"))
        late: Mapped[Any] = relationship("Late")

    class EarlyResource(ModelResource):
        class Meta:
            model = Early
            fields = ("id", "late.nmae")

    class Late(fresh):  # type: ignore[misc]
        __tablename__ = "late"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

    with pytest.raises(UnknownNameError, match="did you mean 'name'"):
        configure_mappers()
    with pytest.raises(UnknownNameError, match="did you mean 'name'"):
        EarlyResource.check()
    configure_mappers()


def test_a_back_reference_that_comes_later(fresh: Any) -> None:
    """A resource may name a back reference that a later class creates."""

    class Early(fresh):  # type: ignore[misc]
        __tablename__ = "early"
        id = Column(Integer, primary_key=True)

    with pytest.raises(UnknownNameError, match="'late'"):

        class TooEarlyResource(ModelResource):
            class Meta:
                model = Early
                fields = ("id", "late.name")

    class Late(fresh):  # type: ignore[misc]
        __tablename__ = "late"
        id = Column(Integer, primary_key=True)
        name = Column(String)
        early_id: Any = Column(ForeignKey("early.id"), unique=True)
        early = relationship("Early", backref="late", uselist=False)

    class EarlyResource(ModelResource):
        class Meta:
            model = Early
            fields = ("id", "late")

    EarlyResource.check()


# --- resource_factory -----------------------------------------------------------------------


async def test_resource_factory(library: AsyncEngine) -> None:
    """The factory makes what the class statement would."""
    made = resource_factory(
        Book,
        meta_options={"fields": ("id", "title", "by"), "batch_size": 2},
        custom_fields={"by": Field("author.name", column_name="Author")},
        dehydrate_methods={"title": lambda book: book.title.upper()},
    )
    assert made.__name__ == "BookResource"
    dataset = await made(library).export()
    assert dataset.headers == ["id", "title", "Author"]
    assert dataset[2] == ("3", "CYBERIADA", "Stanisław Lem")
    assert made().options.batch_size == 2


async def test_resource_factory_derives(library: AsyncEngine) -> None:
    """The factory's class has what its base has."""

    class Shouting(ModelResource):
        class Meta:
            max_rows = 9

        def export_field(self, field: Field, instance: Any, **kwargs: Any) -> Any:
            return str(super().export_field(field, instance, **kwargs)).upper()

    made = resource_factory(Book, resource_class=Shouting, meta_options={"fields": ("title",)})
    assert issubclass(made, Shouting)
    assert made().options.max_rows == 9
    assert (await made(library).export(select(Book).where(Book.id == 3)))[0] == ("CYBERIADA",)


async def test_resource_factory_takes_tables(library: AsyncEngine) -> None:
    """A Table has a resource as well."""
    made = resource_factory(Author.__table__, meta_options={"fields": ("name",)})
    assert (await made(library).export())["name"][0] == "Ursula K. Le Guin"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs fields or exclude"),
        ({"meta_options": {"feilds": ()}}, "did you mean 'fields'"),
        ({"meta_options": {"fields": ("titel",)}}, "did you mean 'title'"),
        ({"custom_fields": {"by": "author.name"}}, r"custom_fields\['by'\] cannot be a str"),
        ({"dehydrate_methods": {"title": 7}}, r"dehydrate_methods\['title'\] cannot be a int"),
        (
            {"meta_options": {"fields": ("title",)}, "dehydrate_methods": {"titel": str}},
            "did you mean 'title'",
        ),
    ],
)
def test_resource_factory_checks(arguments: dict[str, Any], message: str) -> None:
    """The factory refuses what the class statement would, and says what is wrong."""
    with pytest.raises(ConfigurationError, match=message):
        resource_factory(Book, **arguments)


def test_a_table_without_key() -> None:
    """A table without primary key is exported in no order."""
    plain = Table("plain", MetaData(), Column("a", Integer))
    made = resource_factory(plain, meta_options={"fields": ("a",)})
    assert "ORDER BY" not in str(made().get_queryset())


def test_many_registries() -> None:
    """Resources of many registries are checked, each when its own has been configured."""
    classes: list[Any] = []
    for number in range(200):
        base: Any = type(f"Base{number}", (DeclarativeBase,), {})
        columns = {"id": mapped_column(Integer, primary_key=True)}
        model = type(f"Model{number}", (base,), {"__tablename__": "thing", **columns})
        classes.append(resource_factory(model, meta_options={"fields": ("id",)}))
    mappers = [each._meta.model.__mapper__ for each in classes]
    assert len(mappers[0].attrs) == 1  # which configures it
    assert [each.configured for each in mappers] == [True, *[False] * 199]
    configure_mappers()
    assert all(each.configured for each in mappers)

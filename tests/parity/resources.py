"""The definitions, written for async_export."""

# ruff: noqa: RUF012 - Meta is written as users write it

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import aliased, joinedload

from async_export import Field, ModelResource, Resource, depends, maybe_await, resource_factory
from async_export.widgets import (
    CharWidget,
    DateWidget,
    ForeignKeyWidget,
    IntegerWidget,
    JSONWidget,
    ManyToManyWidget,
    Widget,
)
from parity.models import Author, Book, Note, Profile, Scalar
from parity.plain import PLAIN_DICTS, PLAIN_OBJECTS

__all__ = ("Export", "definitions")


class Export(NamedTuple):
    """One export, which can be run several times.

    Attributes:
        resource: What exports.
        queryset: Gives what is exported.
        arguments: The keywords of the call.
    """

    resource: Resource
    queryset: Callable[[], Any] = lambda: None
    arguments: Mapping[str, Any] = MappingProxyType({})


definitions: dict[str, Callable[[AsyncEngine], Export]] = {}


def _definition(make: Callable[[AsyncEngine], Export]) -> Callable[[AsyncEngine], Export]:
    definitions[make.__name__] = make
    return make


class ScalarResource(ModelResource):
    class Meta:
        model = Scalar
        exclude = ("raw",)
        # Not escaping is a row of the differences.
        widgets: Any = {"payload": {"ensure_ascii": True}}


@_definition
def scalars(engine: AsyncEngine) -> Export:
    return Export(ScalarResource(engine))


@_definition
def scalars_selected(engine: AsyncEngine) -> Export:
    return Export(ScalarResource(engine), arguments={"export_fields": ["id", "price", "payload"]})


@_definition
def declared_order(engine: AsyncEngine) -> Export:
    class Selected(ModelResource):
        class Meta:
            model = Scalar
            fields = ("uid", "flag", "id", "span", "address")

    return Export(Selected(engine))


class NoteResource(ModelResource):
    class Meta:
        model = Note
        fields = ("key", "title", "body", "position")
        order_by = "position"


@_definition
def hostile_text(engine: AsyncEngine) -> Export:
    return Export(NoteResource(engine))


@_definition
def lone_column(engine: AsyncEngine) -> Export:
    return Export(NoteResource(engine), arguments={"fields": ["body"]})


@_definition
def empty_queryset(engine: AsyncEngine) -> Export:
    return Export(NoteResource(engine), lambda: select(Note).where(Note.position < 0))


@_definition
def foreign_keys(engine: AsyncEngine) -> Export:
    class Keys(ModelResource):
        class Meta:
            model = Author
            fields = ("id", "country", "mentor")

    return Export(Keys(engine))


@_definition
def one_to_one(engine: AsyncEngine) -> Export:
    class Profiles(ModelResource):
        class Meta:
            model = Profile
            fields = ("id", "bio", "verified", "author")

    return Export(Profiles(engine))


@_definition
def whole_books(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = (
                "id",
                "name",
                "author",
                "sequel_of",
                "price",
                "published",
                "added",
                "available",
                "pages",
                "categories",
                "keywords",
            )

    return Export(Books(engine))


@_definition
def implied_paths(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = (
                "id",
                "author__name",
                "author__country__name",
                "author__country",
                "author__born",
                "sequel_of__author__name",
                "sequel_of__sequel_of__name",
            )

    return Export(Books(engine))


@_definition
def declared_paths(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        writer = Field("author.name", "Writer")
        born = Field("author__born", "Writer's birth", DateWidget("%d/%m/%Y"))
        country = Field("author.country.name")
        mentor = Field("author.mentor.mentor.name", "Mentor's mentor")
        previous = Field("sequel_of__name")

        class Meta:
            model = Book
            fields = ("name", "writer", "born", "country", "mentor", "previous")

    return Export(Books(engine), lambda: select(Book).order_by(Book.id.desc()))


@depends("price")
def _price_text(book: Any) -> str:
    return f"{book.price or 0:.1f} kr"


@_definition
def dehydrated(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        title = Field()
        price = Field(dehydrate_method=_price_text)
        cost = Field(dehydrate_method="half_price")
        nothing = Field()
        number = Field()
        writer = Field("author.name")

        class Meta:
            model = Book
            fields = ("id", "title", "price", "cost", "nothing", "number", "writer", "published")

        @depends("name", "author.name")
        async def dehydrate_title(self, book: Any) -> str:
            return f"{book.name} by {book.author.name if book.author else '?'}"

        @depends("price")
        def half_price(self, book: Any) -> Decimal:
            return Decimal(0) if book.price is None else book.price / 2

        def dehydrate_nothing(self, book: Book) -> None:
            return None

        async def dehydrate_number(self, book: Book) -> int:
            return book.id * 3

        def dehydrate_published(self, book: Book) -> int | str:
            return book.published.year if book.published else "never"

    return Export(Books(engine))


@_definition
def dehydrated_types(engine: AsyncEngine) -> Export:
    class Scalars(ModelResource):
        seen = Field()
        texts = Field()

        class Meta:
            model = Scalar
            fields = ("id", "seen", "texts")

        @depends("big", "ratio", "amount", "flag", "day", "uid")
        def dehydrate_seen(self, each: Any) -> str:
            values = [each.big, each.ratio, each.amount, each.flag, each.day, each.uid]
            return " ".join(f"{type(value).__name__}={value}" for value in values)

        async def dehydrate_texts(self, each: Scalar) -> str:
            return f"{each.span} {each.clock} {each.moment} {each.payload} {each.words} {each.code}"

    return Export(Scalars(engine))


@_definition
def export_order(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        extra = Field("pages", "Extra", IntegerWidget())

        class Meta:
            model = Book
            fields = ("id", "name", "price", "pages", "extra")
            export_order = ("price", "extra", "id")

    return Export(Books(engine))


@_definition
def excluded(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        class Meta:
            model = Book
            exclude = ("author_id", "sequel_of_id", "added")
            export_order = ("name",)

    return Export(Books(engine))


@_definition
def widget_options(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "author", "published", "added", "categories", "keywords")
            widgets: Any = {
                "author": {"field": "name"},
                "published": {"format": "%d.%m.%Y (%j) %%"},
                "added": {"format": "%Y/%m/%d %H-%M"},
                "categories": {"separator": " | ", "field": "name"},
                "keywords": {"separator": ";"},
            }

    return Export(Books(engine))


@_definition
def array_and_time_options(engine: AsyncEngine) -> Export:
    class Scalars(ModelResource):
        class Meta:
            model = Scalar
            fields = ("id", "words", "numbers", "clock", "day", "moment")
            widgets: Any = {
                "words": {"separator": "|"},
                "numbers": {"separator": ", "},
                "clock": {"format": "%H.%M.%S,%f"},
                "day": {"format": "%Y"},
                "moment": {"format": "%d %m %Y %H:%M:%S.%f"},
            }

    return Export(Scalars(engine))


@_definition
def declared_widgets(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        author = Field("author", "Author", ForeignKeyWidget("country__name"))
        categories = Field("categories", "Kinds", ManyToManyWidget("\n", "name"))
        since = Field("categories", "Since", ManyToManyWidget("/", "since"))
        words = Field("keywords", "Words", ManyToManyWidget(field="name"))
        available = Field("available", widget=CharWidget())

        class Meta:
            model = Book
            fields = ("id", "author", "categories", "since", "words", "available")

    return Export(Books(engine))


@_definition
def natural_keys(engine: AsyncEngine) -> Export:
    class Authors(ModelResource):
        country = Field("country", widget=ForeignKeyWidget(use_natural_foreign_keys=True))

        class Meta:
            model = Author
            fields = ("id", "country")

    ascii_only = Author.country_code.is_distinct_from("CI")
    return Export(Authors(engine), lambda: select(Author).where(ascii_only).order_by(Author.id))


@_definition
def column_names(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        name = Field("name", 'The "title", of it')
        price = Field("price", "Prix (€)\tHT", IntegerWidget())
        pages = Field("pages", "line\nbreak")
        published = Field("published", "=SUM(A1)")

        class Meta:
            model = Book
            fields = ("id", "name", "price", "pages", "published")

    chosen = ["id", "name", "Prix (€)\tHT", "pages", "=SUM(A1)"]
    return Export(Books(engine), arguments={"fields": chosen})


@_definition
def before_export_changes_fields(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "name", "price")

        async def before_export(self, queryset: Any, **kwargs: Any) -> None:
            del self.fields["price"]
            self.fields["pages"] = Field("pages", kwargs["header"])
            self.fields["name"].column_name = "Title"

    return Export(Books(engine), arguments={"header": "Pages"})


@_definition
def filtered(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "name")
            order_by = "-name"

        def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
            return queryset.where(Book.author_id == kwargs["author"])

    return Export(Books(engine), arguments={"author": 1})


@_definition
def values_rows(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "name", "price", "published")

    rows = select(Book.id, Book.name, Book.price, Book.published).order_by(Book.price, Book.id)
    return Export(Books(engine), lambda: rows)


@_definition
def labelled_columns(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        title = Field("title")
        writer = Field("writer", "By")

        class Meta:
            model = Book
            fields = ("id", "title", "writer")

    author = aliased(Author)
    rows = (
        select(Book.id, Book.name.label("title"), author.name.label("writer"))
        .outerjoin(Book.author.of_type(author))
        .order_by(Book.id)
    )
    return Export(Books(engine), lambda: rows)


@_definition
def annotated(engine: AsyncEngine) -> Export:
    class Authors(ModelResource):
        count = Field("book_count", "Books")

        class Meta:
            model = Author
            fields = ("id", "name", "count")

    count = func.count(Book.id).label("book_count")
    rows = (
        select(Author, count)
        .outerjoin(Author.books)
        .group_by(Author.id)
        .order_by(count.desc(), Author.id)
    )
    return Export(Authors(engine), lambda: rows)


@_definition
def json_paths(engine: AsyncEngine) -> Export:
    class Authors(ModelResource):
        color = Field("settings__theme__color", "Color")
        size = Field("settings.theme.size")
        ratio = Field("settings__ratio")
        entries = Field("settings.items")
        missing = Field("settings__theme__nothing__below")

        class Meta:
            model = Author
            fields = ("id", "color", "size", "ratio", "entries", "missing")

    return Export(Authors(engine))


@_definition
def reverse_one_to_one(engine: AsyncEngine) -> Export:
    class Authors(ModelResource):
        bio = Field("profile__bio", "Bio")
        number = Field("profile.id")

        class Meta:
            model = Author
            fields = ("id", "bio", "number")

    return Export(Authors(engine))


@_definition
def python_attributes(engine: AsyncEngine) -> Export:
    class Authors(ModelResource):
        initials = Field("initials")
        age = Field("age_in_2000", "Age")
        mentor = Field("mentor.initials")
        shout = Field()

        class Meta:
            model = Author
            fields = ("id", "initials", "age", "mentor", "shout")

        # A path into a text column is refused.
        @depends("name")
        def dehydrate_shout(self, author: Any) -> Any:
            return author.name.upper()

    return Export(Authors(engine))


class PlainResource(Resource):
    name = Field("name", "Name")
    number = Field("number")
    price = Field("price", widget=IntegerWidget())
    day = Field("day", widget=DateWidget())
    city = Field("address.city")

    async def dehydrate_number(self, each: Any) -> int:
        number: int = each["number"] if isinstance(each, dict) else each.number
        return number * 2


@_definition
def plain_dicts(engine: AsyncEngine) -> Export:
    return Export(PlainResource(), lambda: PLAIN_DICTS)


@_definition
def plain_objects(engine: AsyncEngine) -> Export:
    return Export(PlainResource(), lambda: iter(PLAIN_OBJECTS))


@_definition
def instances(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "name", "author__name", "price")

    async def books() -> AsyncIterator[Book]:
        async with AsyncSession(engine) as session:
            statement = select(Book).options(joinedload(Book.author)).order_by(Book.id.desc())
            for book in await session.scalars(statement):
                yield book

    return Export(Books(), books)


@_definition
def inherited(engine: AsyncEngine) -> Export:
    class Named(Resource):
        name = Field("name", "Name")
        twice = Field()

        def dehydrate_twice(self, each: Any) -> str:
            return str(each.name * 2)

    class Books(Named, ModelResource):
        class Meta:
            model = Book
            fields = ("id", "name", "twice", "price")

    class Renamed(Books):
        name = Field("name", "Title")

        class Meta:
            export_order = ("price",)

        def dehydrate_twice(self, each: Any) -> str:
            return super().dehydrate_twice(each) + "!"

    return Export(Renamed(engine))


@_definition
def factory(engine: AsyncEngine) -> Export:
    made = resource_factory(
        Book,
        meta_options={"fields": ("id", "name", "shout", "price"), "export_order": ("shout",)},
        custom_fields={"shout": Field(column_name="SHOUT")},
        dehydrate_methods={"shout": lambda book: book.name.upper()},
    )
    return Export(made(engine))


@_definition
def row_hooks(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "name", "author__name", "pages")

        async def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
            async for book in super().iter_queryset(queryset):
                if book.pages is not None:
                    yield book

        def export_field(self, field: Field, instance: Any, **kwargs: Any) -> Any:
            cell = super().export_field(field, instance, **kwargs)
            return f"<{cell}{kwargs['mark']}>"

        async def export_resource(
            self, instance: Any, selected_fields: Sequence[str] | None = None, **kwargs: Any
        ) -> Any:
            cells = await maybe_await(super().export_resource(instance, selected_fields, **kwargs))
            return cells[::-1]

        def get_export_headers(self, selected_fields: Sequence[str] | None = None) -> Any:
            return super().get_export_headers(selected_fields)[::-1]

    return Export(Books(engine), arguments={"mark": "*"})


class StarWidget(Widget):
    def render(self, value: Any, **kwargs: Any) -> Any:
        return "" if value is None else "*" * (value % 7) + kwargs.get("end", "")


@_definition
def custom_widget(engine: AsyncEngine) -> Export:
    class Books(ModelResource):
        stars = Field("pages", "Stars", StarWidget())
        upper = Field("author.id", widget=StarWidget())

        class Meta:
            model = Book
            fields = ("id", "stars", "upper")

    return Export(Books(engine), arguments={"end": "."})


# Not inside the function: a zone is read from the disk, which tests refuse in the event loop.
class KathmanduResource(ModelResource):
    class Meta:
        model = Scalar
        fields = ("id", "moment", "moments", "clock")
        timezone = "Asia/Kathmandu"


@_definition
def timezones(engine: AsyncEngine) -> Export:
    early = select(Scalar).where(Scalar.id < 5).order_by(Scalar.id)
    return Export(KathmanduResource(engine), lambda: early)


@_definition
def native_cells(engine: AsyncEngine) -> Export:
    class Scalars(ModelResource):
        class Meta:
            model = Scalar
            fields = ("id", "small", "price", "amount", "flag", "day", "clock", "span")

    return Export(Scalars(engine, native=True))


@_definition
def base_widgets(engine: AsyncEngine) -> Export:
    class Scalars(ModelResource):
        ratio = Field("ratio", widget=Widget())
        amount = Field("amount", widget=Widget())
        flag = Field("flag", widget=Widget())
        day = Field("day", widget=Widget())
        moment = Field("moment", widget=Widget())
        clock = Field("clock", widget=CharWidget())
        span = Field("span", widget=CharWidget())
        uid = Field("uid", widget=CharWidget())
        payload = Field("payload", widget=Widget())
        words = Field("words", widget=Widget())

        class Meta:
            model = Scalar
            fields = (
                "id",
                "ratio",
                "amount",
                "flag",
                "day",
                "moment",
                "clock",
                "span",
                "uid",
                "payload",
                "words",
            )

    return Export(Scalars(engine))


@_definition
def unlike_widgets(engine: AsyncEngine) -> Export:
    class Scalars(ModelResource):
        flag = Field("flag", widget=IntegerWidget())
        moment = Field("moment", widget=DateWidget("%d.%m.%y"))
        numbers = Field("numbers", widget=JSONWidget())

        class Meta:
            model = Scalar
            fields = ("id", "flag", "moment", "numbers")

    full = Scalar.numbers.is_distinct_from([])
    return Export(Scalars(engine), lambda: select(Scalar).where(full).order_by(Scalar.id))


@_definition
def reverse_foreign_key(engine: AsyncEngine) -> Export:
    class Authors(ModelResource):
        books = Field("books", widget=ManyToManyWidget("|", "name"))
        siblings = Field("mentor.books", "Mentor's", ManyToManyWidget())

        class Meta:
            model = Author
            fields = ("id", "books", "siblings", "profile__verified")

    return Export(Authors(engine))

# mypy: allow-subclassing-any, allow-untyped-calls
"""The definitions, written for django-import-export; for the subprocess."""

# ruff: noqa: RUF012 - Meta is written as the documentation shows it

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import tablib
from django.db.models import Count, F
from django.utils import timezone
from import_export.fields import Field
from import_export.resources import ModelResource, Resource, modelresource_factory
from import_export.widgets import (
    CharWidget,
    DateWidget,
    ForeignKeyWidget,
    IntegerWidget,
    JSONWidget,
    ManyToManyWidget,
    Widget,
)

from parity.library.models import Author, Book, Category, Country, Keyword, Note, Profile, Scalar
from parity.plain import PLAIN_DICTS, PLAIN_OBJECTS

__all__ = ("definitions",)

definitions: dict[str, Callable[[], tablib.Dataset]] = {}


def _definition(make: Callable[[], tablib.Dataset]) -> Callable[[], tablib.Dataset]:
    definitions[make.__name__] = make
    return make


class ScalarResource(ModelResource):
    class Meta:
        model = Scalar
        exclude = ("raw",)


@_definition
def scalars() -> tablib.Dataset:
    return ScalarResource().export()


@_definition
def scalars_selected() -> tablib.Dataset:
    return ScalarResource().export(export_fields=["id", "price", "payload"])


@_definition
def declared_order() -> tablib.Dataset:
    class Selected(ModelResource):
        class Meta:
            model = Scalar
            fields = ("uid", "flag", "id", "span", "address")

    return Selected().export()


class NoteResource(ModelResource):
    class Meta:
        model = Note
        fields = ("key", "title", "body", "position")


@_definition
def hostile_text() -> tablib.Dataset:
    return NoteResource().export()


@_definition
def lone_column() -> tablib.Dataset:
    return NoteResource().export(export_fields=["body"])


@_definition
def empty_queryset() -> tablib.Dataset:
    return NoteResource().export(queryset=Note.objects.none())


@_definition
def foreign_keys() -> tablib.Dataset:
    class Keys(ModelResource):
        class Meta:
            model = Author
            fields = ("id", "country", "mentor")

    # The key 0 is a row of the differences.
    return Keys().export(queryset=Author.objects.order_by("id"))


@_definition
def one_to_one() -> tablib.Dataset:
    class Profiles(ModelResource):
        class Meta:
            model = Profile
            fields = ("id", "bio", "verified", "author")

    return Profiles().export()


@_definition
def whole_books() -> tablib.Dataset:
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

    return Books().export()


@_definition
def implied_paths() -> tablib.Dataset:
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

    return Books().export()


@_definition
def declared_paths() -> tablib.Dataset:
    class Books(ModelResource):
        writer = Field("author__name", "Writer")
        born = Field("author__born", "Writer's birth", DateWidget("%d/%m/%Y"))
        country = Field("author__country__name")
        mentor = Field("author__mentor__mentor__name", "Mentor's mentor")
        previous = Field("sequel_of__name")

        class Meta:
            model = Book
            fields = ("name", "writer", "born", "country", "mentor", "previous")

    return Books().export(queryset=Book.objects.order_by("-id"))


def _price_text(book: Any) -> str:
    return f"{book.price or 0:.1f} kr"


@_definition
def dehydrated() -> tablib.Dataset:
    class Books(ModelResource):
        title = Field()
        price = Field(dehydrate_method=_price_text)
        cost = Field(dehydrate_method="half_price")
        nothing = Field()
        number = Field()
        writer = Field("author__name")

        class Meta:
            model = Book
            fields = ("id", "title", "price", "cost", "nothing", "number", "writer", "published")

        def dehydrate_title(self, book: Any) -> Any:
            return f"{book.name} by {book.author.name if book.author else '?'}"

        def half_price(self, book: Any) -> Any:
            return Decimal(0) if book.price is None else book.price / 2

        def dehydrate_nothing(self, book: Any) -> Any:
            return None

        def dehydrate_number(self, book: Any) -> Any:
            return book.id * 3

        def dehydrate_published(self, book: Any) -> Any:
            return book.published.year if book.published else "never"

    return Books().export()


@_definition
def dehydrated_types() -> tablib.Dataset:
    class Scalars(ModelResource):
        seen = Field()
        texts = Field()

        class Meta:
            model = Scalar
            fields = ("id", "seen", "texts")

        def dehydrate_seen(self, each: Any) -> Any:
            values = [each.big, each.ratio, each.amount, each.flag, each.day, each.uid]
            return " ".join(f"{type(value).__name__}={value}" for value in values)

        def dehydrate_texts(self, each: Any) -> Any:
            return f"{each.span} {each.clock} {each.moment} {each.payload} {each.words} {each.code}"

    return Scalars().export()


@_definition
def export_order() -> tablib.Dataset:
    class Books(ModelResource):
        extra = Field("pages", "Extra", IntegerWidget())

        class Meta:
            model = Book
            fields = ("id", "name", "price", "pages", "extra")
            export_order = ("price", "extra", "id")

    return Books().export()


@_definition
def excluded() -> tablib.Dataset:
    class Books(ModelResource):
        class Meta:
            model = Book
            exclude = ("author", "sequel_of", "categories", "keywords", "added")
            export_order = ("name",)

    return Books().export()


@_definition
def widget_options() -> tablib.Dataset:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "author", "published", "added", "categories", "keywords")
            widgets = {
                "author": {"field": "name"},
                "published": {"format": "%d.%m.%Y (%j) %%"},
                "added": {"format": "%Y/%m/%d %H-%M"},
                "categories": {"separator": " | ", "field": "name"},
                "keywords": {"separator": ";"},
            }

    return Books().export()


@_definition
def array_and_time_options() -> tablib.Dataset:
    class Scalars(ModelResource):
        class Meta:
            model = Scalar
            fields = ("id", "words", "numbers", "clock", "day", "moment")
            widgets = {
                "words": {"separator": "|"},
                "numbers": {"separator": ", "},
                "clock": {"format": "%H.%M.%S,%f"},
                "day": {"format": "%Y"},
                "moment": {"format": "%d %m %Y %H:%M:%S.%f"},
            }

    return Scalars().export()


@_definition
def declared_widgets() -> tablib.Dataset:
    class Books(ModelResource):
        author = Field("author", "Author", ForeignKeyWidget(Author, "country__name"))
        categories = Field("categories", "Kinds", ManyToManyWidget(Category, "\n", "name"))
        since = Field("categories", "Since", ManyToManyWidget(Category, "/", "since"))
        words = Field("keywords", "Words", ManyToManyWidget(Keyword, field="name"))
        available = Field("available", widget=CharWidget())

        class Meta:
            model = Book
            fields = ("id", "author", "categories", "since", "words", "available")

    return Books().export(queryset=Book.objects.prefetch_related("categories").order_by("id"))


@_definition
def natural_keys() -> tablib.Dataset:
    class Authors(ModelResource):
        country = Field("country", widget=ForeignKeyWidget(Country, use_natural_foreign_keys=True))

        class Meta:
            model = Author
            fields = ("id", "country")

    # What is not ASCII is a row of the differences.
    return Authors().export(queryset=Author.objects.exclude(country="CI"))


@_definition
def column_names() -> tablib.Dataset:
    class Books(ModelResource):
        name = Field("name", 'The "title", of it')
        price = Field("price", "Prix (€)\tHT", IntegerWidget())
        pages = Field("pages", "line\nbreak", IntegerWidget())
        published = Field("published", "=SUM(A1)", DateWidget())

        class Meta:
            model = Book
            fields = ("id", "name", "price", "pages", "published")

    return Books().export(export_fields=["id", "name", "price", "pages", "published"])


@_definition
def before_export_changes_fields() -> tablib.Dataset:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "name", "price")

        def before_export(self, queryset: Any, **kwargs: Any) -> Any:
            del self.fields["price"]
            self.fields["pages"] = Field("pages", kwargs["header"], IntegerWidget())
            self.fields["name"].column_name = "Title"

    return Books().export(header="Pages")


@_definition
def filtered() -> tablib.Dataset:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "name")

        def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
            return queryset.filter(author_id=kwargs["author"]).order_by("-name")

    return Books().export(author=1)


@_definition
def values_rows() -> tablib.Dataset:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "name", "price", "published")

    rows = Book.objects.order_by("price", "id").values("id", "name", "price", "published")
    return Books().export(queryset=rows)


@_definition
def labelled_columns() -> tablib.Dataset:
    class Books(ModelResource):
        title = Field("title")
        writer = Field("writer", "By")

        class Meta:
            model = Book
            fields = ("id", "title", "writer")

    rows = Book.objects.order_by("id").values("id", title=F("name"), writer=F("author__name"))
    return Books().export(queryset=rows)


@_definition
def annotated() -> tablib.Dataset:
    class Authors(ModelResource):
        count = Field("book_count", "Books")

        class Meta:
            model = Author
            fields = ("id", "name", "count")

    rows = Author.objects.annotate(book_count=Count("books")).order_by("-book_count", "id")
    return Authors().export(queryset=rows)


@_definition
def json_paths() -> tablib.Dataset:
    class Authors(ModelResource):
        color = Field("settings__theme__color", "Color")
        size = Field("settings__theme__size")
        ratio = Field("settings__ratio")
        entries = Field("settings__items")
        missing = Field("settings__theme__nothing__below")

        class Meta:
            model = Author
            fields = ("id", "color", "size", "ratio", "entries", "missing")

    return Authors().export()


@_definition
def reverse_one_to_one() -> tablib.Dataset:
    class Authors(ModelResource):
        bio = Field("profile__bio", "Bio")
        number = Field("profile__id")

        class Meta:
            model = Author
            fields = ("id", "bio", "number")

    return Authors().export()


@_definition
def python_attributes() -> tablib.Dataset:
    class Authors(ModelResource):
        initials = Field("initials")
        age = Field("age_in_2000", "Age")
        mentor = Field("mentor__initials")
        shout = Field("name__upper")

        class Meta:
            model = Author
            fields = ("id", "initials", "age", "mentor", "shout")

    return Authors().export()


class PlainResource(Resource):
    name = Field("name", "Name")
    number = Field("number")
    price = Field("price", widget=IntegerWidget())
    day = Field("day", widget=DateWidget())
    city = Field("address__city")

    def dehydrate_number(self, each: Any) -> Any:
        number = each["number"] if isinstance(each, dict) else each.number
        return number * 2


@_definition
def plain_dicts() -> tablib.Dataset:
    return PlainResource().export(queryset=PLAIN_DICTS)


@_definition
def plain_objects() -> tablib.Dataset:
    return PlainResource().export(queryset=iter(PLAIN_OBJECTS))


@_definition
def instances() -> tablib.Dataset:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "name", "author__name", "price")

    return Books().export(queryset=list(Book.objects.select_related("author").order_by("-id")))


@_definition
def inherited() -> tablib.Dataset:
    class Named(ModelResource):
        name = Field("name", "Name")
        twice = Field()

        def dehydrate_twice(self, each: Any) -> Any:
            return each.name * 2

    class Books(Named):
        class Meta:
            model = Book
            fields = ("id", "name", "twice", "price")

    class Renamed(Books):
        name = Field("name", "Title")

        class Meta:
            export_order = ("price",)

        def dehydrate_twice(self, each: Any) -> Any:
            return super().dehydrate_twice(each) + "!"

    return Renamed().export()


@_definition
def factory() -> tablib.Dataset:
    made = modelresource_factory(
        Book,
        meta_options={"fields": ("id", "name", "shout", "price"), "export_order": ("shout",)},
        custom_fields={"shout": Field(column_name="SHOUT")},
        dehydrate_methods={"shout": lambda book: book.name.upper()},
    )
    return made().export()


@_definition
def row_hooks() -> tablib.Dataset:
    class Books(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "name", "author__name", "pages")

        def iter_queryset(self, queryset: Any) -> Any:
            for book in super().iter_queryset(queryset):
                if book.pages is not None:
                    yield book

        def export_field(self, field: Any, instance: Any, **kwargs: Any) -> Any:
            cell = super().export_field(field, instance, **kwargs)
            return f"<{cell}{kwargs['mark']}>"

        def export_resource(self, instance: Any, selected_fields: Any = None, **kwargs: Any) -> Any:
            return super().export_resource(instance, selected_fields, **kwargs)[::-1]

        def get_export_headers(self, selected_fields: Any = None) -> Any:
            return super().get_export_headers(selected_fields)[::-1]

    return Books().export(mark="*")


class StarWidget(Widget):
    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> Any:
        return "" if value is None else "*" * (value % 7) + kwargs.get("end", "")


@_definition
def custom_widget() -> tablib.Dataset:
    class Books(ModelResource):
        stars = Field("pages", "Stars", StarWidget())
        upper = Field("author__id", widget=StarWidget())

        class Meta:
            model = Book
            fields = ("id", "stars", "upper")

    return Books().export(end=".")


@_definition
def timezones() -> tablib.Dataset:
    class Scalars(ModelResource):
        class Meta:
            model = Scalar
            fields = ("id", "moment", "moments", "clock")

    early = Scalar.objects.filter(id__lt=5)
    with timezone.override("Asia/Kathmandu"):
        return Scalars().export(queryset=early)


@_definition
def native_cells() -> tablib.Dataset:
    class Scalars(ModelResource):
        class Meta:
            model = Scalar
            fields = ("id", "small", "price", "amount", "flag", "day", "clock", "span")

    return Scalars().export(force_native_type=True)


@_definition
def base_widgets() -> tablib.Dataset:
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

    return Scalars().export()


@_definition
def unlike_widgets() -> tablib.Dataset:
    class Scalars(ModelResource):
        flag = Field("flag", widget=IntegerWidget())
        moment = Field("moment", widget=DateWidget("%d.%m.%y"))
        numbers = Field("numbers", widget=JSONWidget())

        class Meta:
            model = Scalar
            fields = ("id", "flag", "moment", "numbers")

    return Scalars().export(queryset=Scalar.objects.exclude(numbers=[]))


@_definition
def reverse_foreign_key() -> tablib.Dataset:
    class Authors(ModelResource):
        books = Field("books", widget=ManyToManyWidget(Book, "|", "name"))
        siblings = Field("mentor__books", "Mentor's", ManyToManyWidget(Book))

        class Meta:
            model = Author
            fields = ("id", "books", "siblings", "profile__verified")

    return Authors().export()

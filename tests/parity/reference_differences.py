# mypy: allow-subclassing-any, allow-untyped-calls
"""What django-import-export does where async_export does something else; for the subprocess.

Each function is named after a row of `parity.differences`; what it returns, or the name of the
exception that it raises, is compared in ``test_differences.py``.
"""

# ruff: noqa: RUF012 - Meta is written as the documentation shows it

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import tablib
from django.test.utils import override_settings
from django.utils import timezone, translation
from import_export.fields import Field
from import_export.resources import ModelResource, Resource
from import_export.widgets import (
    BooleanWidget,
    DateTimeWidget,
    DecimalWidget,
    ForeignKeyWidget,
    IntegerWidget,
    ManyToManyWidget,
)

from parity.library.models import (
    Author,
    Book,
    Category,
    Country,
    Extreme,
    Scalar,
    Unordered,
)
from parity.plain import Color, broken_property

__all__ = ("differences",)

differences: dict[str, Callable[[], Any]] = {}


def _difference(make: Callable[[], Any]) -> Callable[[], Any]:
    differences[make.__name__] = make
    return make


def _resource(**members: Any) -> Any:
    """Make a resource, of books by default, with *members*; ``meta`` are its options."""
    meta = {"model": Book, **members.pop("meta", {})}
    return type(ModelResource)(
        "Made", (ModelResource,), {"Meta": type("Meta", (), meta), **members}
    )


def _column(dataset: tablib.Dataset, header: str) -> list[Any]:
    return list(dataset[header])


def _extremes(name: str) -> list[Any]:
    made = _resource(meta={"model": Extreme, "fields": (name,)})
    return _column(made().export(Extreme.objects.filter(id__lt=100)), name)


def _plain(field: Field, *objects: Any) -> list[Any]:
    made = type(Resource)("Plain", (Resource,), {"field": field})
    return _column(made().export(queryset=list(objects)), "field")


# --- what is exported ------------------------------------------------------------------------


@_difference
def fields_required() -> Any:
    class Countries(ModelResource):
        class Meta:
            model = Country

    return Countries().export().headers


@_difference
def secret_columns() -> Any:
    made = _resource(meta={"model": Extreme})
    return "api_token" in made().export(Extreme.objects.none()).headers


@_difference
def whole_model() -> Any:
    made = _resource(
        meta={"exclude": ("name", "price", "published", "added", "available", "pages")}
    )
    return made().export(Book.objects.filter(id=1)).headers


@_difference
def fields_as_string() -> Any:
    return list(_resource(meta={"fields": "id name"})().export(Book.objects.filter(id=1)).headers)


@_difference
def unlisted_field() -> Any:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = _resource(extra=Field("pages"), meta={"fields": ("id",)})
    return made().export().headers, [str(each.message) for each in caught]


@_difference
def exclude_with_fields() -> Any:
    meta = {"fields": ("id", "name"), "exclude": ("name",)}
    return _resource(name=Field("name"), meta=meta)().export().headers


@_difference
def header_in_meta_fields() -> Any:
    return (
        _resource(title=Field("name", "Title"), meta={"fields": ("id", "Title")})().export().headers
    )


@_difference
def unknown_field() -> Any:
    return _resource(meta={"fields": ("id", "nmae")})().export().headers


@_difference
def unknown_attribute() -> Any:
    return _column(_resource(x=Field("nmae"), meta={"fields": ("x",)})().export(), "x")


@_difference
def unknown_dehydrate() -> Any:
    made = _resource(
        x=Field("name", dehydrate_method="misspelt"),
        dehydrate_nmae=lambda self, book: "never called",
        meta={"fields": ("x", "name")},
    )
    return list(made().export(Book.objects.filter(id=1))[0])


@_difference
def unknown_option() -> Any:
    made = _resource(meta={"fields": ("id",), "nonsense": 1})
    return made(whatever=2)._meta.nonsense


@_difference
def model_as_string() -> Any:
    return len(_resource(meta={"model": "library.Book", "fields": ("id",)})().export())


@_difference
def natural_keys_option() -> Any:
    meta = {"model": Author, "fields": ("country",), "use_natural_foreign_keys": True}
    return _column(_resource(meta=meta)().export(Author.objects.filter(id=1)), "country")


@_difference
def unknown_selection() -> Any:
    made = _resource(meta={"fields": ("id", "name")})
    return made().export(export_fields=["id", "nmae"]).headers


@_difference
def empty_selection() -> Any:
    return _resource(meta={"fields": ("id", "name")})().export(export_fields=[]).headers


@_difference
def selection_order() -> Any:
    made = _resource(meta={"fields": ("id", "name", "price")})
    return made().export(export_fields=["price", "id"]).headers


@_difference
def selection_by_header() -> Any:
    made = _resource(name=Field("name", "Title"), meta={"fields": ("id", "name")})
    return made().export(export_fields=["id", "Title"]).headers


@_difference
def selection_in_kwargs() -> Any:
    seen: list[Any] = []

    def before_export(self: Any, queryset: Any, **kwargs: Any) -> Any:
        seen.append(sorted(kwargs))

    made = _resource(before_export=before_export, meta={"fields": ("id",)})
    made().export(export_fields=["id"], tenant=7)
    return seen[0]


@_difference
def header_of_added_field() -> Any:
    def before_export(self: Any, queryset: Any, **kwargs: Any) -> Any:
        self.fields["pages"] = Field("pages")

    return _resource(before_export=before_export, meta={"fields": ("id",)})().export().headers


@_difference
def duplicate_headers() -> Any:
    made = _resource(one=Field("id", "X"), two=Field("pages", "X"), meta={"fields": ("one", "two")})
    return made().export(Book.objects.filter(id=1)).export("json")


# --- classes ---------------------------------------------------------------------------------


@_difference
def order_of_bases() -> Any:
    class First(Resource):
        name = Field("first")

    class Second(Resource):
        name = Field("second")

    class Both(First, Second):
        pass

    return Both.fields["name"].attribute


@_difference
def plain_mixins() -> Any:
    class Mixin:
        name = Field("name")

    class Plain(Mixin, Resource):
        number = Field("number")

    return list(Plain.fields)


@_difference
def field_removed_by_none() -> Any:
    class Parent(Resource):
        name = Field("name")
        number = Field("number")

    class Child(Parent):
        name = None

    return list(Child.fields)


@_difference
def inherited_meta() -> Any:
    class One(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "published")
            widgets = {"published": {"format": "%Y"}}

    class Two(One):
        class Meta:
            name = "two"

    class Three(Two):
        class Meta:
            name = "three"

    class Four(Three):
        class Meta:
            name = "four"

    return [each._meta.widgets is not None for each in (One, Two, Three, Four)]


@_difference
def inherited_fields_and_meta() -> Any:
    class Parent(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "name", "published")

    class Excluding(Parent):
        class Meta:
            exclude = ("name",)

    class Formatting(Parent):
        class Meta:
            widgets = {"published": {"format": "%Y"}}

    book = Book.objects.filter(id=1)
    return sorted(Excluding().export(book).headers), _column(Formatting().export(book), "published")


# --- values ----------------------------------------------------------------------------------


@_difference
def field_without_attribute() -> Any:
    return _column(
        _resource(name=Field(column_name="Title"), meta={"fields": ("name",)})().export(), "Title"
    )


@_difference
def declared_field_widget() -> Any:
    made = _resource(
        available=Field("available"),
        added=Field("added"),
        meta={"fields": ("available", "added")},
    )
    return list(made().export(Book.objects.filter(id=1))[0])


@_difference
def foreign_key_cells() -> Any:
    made = _resource(meta={"fields": ("id", "author")})
    return list(made().export(Book.objects.filter(id=1))[0])


@_difference
def foreign_key_zero() -> Any:
    return [ForeignKeyWidget(Author, key_is_id=True).render(0)]


@_difference
def none_in_text() -> Any:
    made = _resource(
        country=Field("author", widget=ForeignKeyWidget(Author, "country__name")),
        meta={"fields": ("country",)},
    )
    return _column(made().export(Book.objects.filter(id=4)), "country"), _extremes("payload")[-1]


@_difference
def none_in_native() -> Any:
    made = _resource(meta={"model": Scalar, "fields": ("whole", "short", "moment", "uid")})
    return list(made().export(Scalar.objects.filter(id=1), force_native_type=True)[0])


@_difference
def native_cells() -> Any:
    made = _resource(meta={"fields": ("id", "author", "price", "available")})
    return made().export(Book.objects.filter(id=1)).export("json")


@_difference
def force_native_type() -> Any:
    made = _resource(meta={"fields": ("id", "published")})
    return list(made().export(Book.objects.filter(id=1), force_native_type=True)[0])


@_difference
def native_datetimes() -> Any:
    made = _resource(meta={"fields": ("added",)})
    return list(made().export(Book.objects.filter(id=1), force_native_type=True)[0])


@_difference
def coerce_to_string() -> Any:
    return [IntegerWidget(coerce_to_string=False).render(7)]


@_difference
def json_ascii() -> Any:
    return _column(
        _resource(meta={"model": Author, "fields": ("settings",)})().export(
            Author.objects.filter(id=1)
        ),
        "settings",
    )


@_difference
def json_empty() -> Any:
    return _extremes("payload")


@_difference
def json_sorting() -> Any:
    made = _resource(meta={"model": Scalar, "fields": ("payload",)})
    return _column(made().export(Scalar.objects.filter(id=2), sort_json_keys=True), "payload")


@_difference
def natural_keys_ascii() -> Any:
    class Authors(ModelResource):
        country = Field("country", widget=ForeignKeyWidget(Country, use_natural_foreign_keys=True))

        class Meta:
            model = Author
            fields = ("country",)

    return _column(Authors().export(Author.objects.filter(id=0)), "country")


@_difference
def wrong_type() -> Any:
    return [
        *_plain(Field("value", widget=DecimalWidget()), SimpleNamespace(value="no number")),
        *_plain(Field("value", widget=DateTimeWidget()), SimpleNamespace(value=date(2024, 1, 31))),
    ]


@_difference
def integers_as_booleans() -> Any:
    return _plain(Field("value", widget=BooleanWidget()), {"value": 1}, {"value": 0})


@_difference
def failing_property() -> Any:
    return _plain(Field("value"), broken_property)


@_difference
def failing_row() -> Any:
    def dehydrate_price(self: Any, book: Any) -> Any:
        return 1 / book.pages

    made = _resource(dehydrate_price=dehydrate_price, meta={"fields": ("id", "price")})
    return len(made().export(Book.objects.filter(id__lte=2)))


@_difference
def enums() -> Any:
    return _plain(Field("value"), {"value": Color.RED})


@_difference
def binary() -> Any:
    made = _resource(meta={"model": Extreme, "fields": ("raw",)})
    good = _column(made().export(Extreme.objects.filter(id=2)), "raw")
    try:
        made().export(Extreme.objects.filter(id=1))
    except UnicodeDecodeError:
        return [*good, "UnicodeDecodeError"]
    return good


@_difference
def ranges() -> Any:
    return _extremes("span")[0]


@_difference
def decimal_nan() -> Any:
    return _extremes("amount")


@_difference
def long_numbers() -> Any:
    return _extremes("ratio")[:2]


@_difference
def naive_datetimes() -> Any:
    return _extremes("local")


@_difference
def infinite_dates() -> Any:
    made = _resource(meta={"model": Extreme, "fields": ("day", "moment")})
    return list(made().export(Extreme.objects.filter(id=100))[0])


@_difference
def json_nan() -> Any:
    ratio = Field("ratio", dehydrate_method=lambda row: row["ratio"])
    made = type(Resource)("Plain", (Resource,), {"ratio": ratio})
    return made().export([{"ratio": float("nan")}]).export("json")


@_difference
def locale() -> Any:
    prices = _resource(meta={"fields": ("price",)})
    with translation.override("fr"), override_settings(USE_THOUSAND_SEPARATOR=True):
        return _column(prices().export(Book.objects.filter(id=5)), "price")


@_difference
def current_timezone() -> Any:
    added = _resource(meta={"fields": ("added",)})
    with timezone.override("Asia/Kathmandu"):
        return _column(added().export(Book.objects.filter(id=1)), "added")


@_difference
def iso_dates() -> Any:
    made = _resource(meta={"fields": ("added",), "widgets": {"added": {"format": "iso"}}})
    return _column(made().export(Book.objects.filter(id=1)), "added")


@_difference
def values_of_objects() -> Any:
    values: list[Any] = [
        True,
        1e16,
        datetime(2024, 1, 31, 9, 5, 0, 7),  # noqa: DTZ001 - naive, as many objects are
        Decimal("1E+3"),
        {"a": None},
        [1, "a", None],
    ]
    return _plain(Field("value"), *({"value": value} for value in values))


# --- relations and paths -----------------------------------------------------------------------


@_difference
def path_through_many() -> Any:
    return _column(_resource(x=Field("categories__name"), meta={"fields": ("x",)})().export(), "x")


@_difference
def many_to_many_path() -> Any:
    books = Field("books", widget=ManyToManyWidget(Book, field="sequel_of__name"))
    meta = {"model": Author, "fields": ("books",)}
    return _column(_resource(books=books, meta=meta)().export(), "books")


@_difference
def many_to_many_order() -> Any:
    made = _resource(meta={"model": Unordered, "fields": ("id", "parts")})
    return _column(made().export(Unordered.objects.filter(id=1)), "parts")


@_difference
def default_order() -> Any:
    return _column(_resource(meta={"model": Unordered, "fields": ("id",)})().export(), "id")


@_difference
def list_index() -> Any:
    meta = {"model": Author, "fields": ("x",)}
    return _column(
        _resource(x=Field("settings__tags__0"), meta=meta)().export(Author.objects.filter(id=1)),
        "x",
    )


@_difference
def path_into_text() -> Any:
    meta = {"fields": ("x",)}
    return _column(
        _resource(x=Field("name__upper"), meta=meta)().export(Book.objects.filter(id=1)), "x"
    )


@_difference
def tuples() -> Any:
    made = _resource(meta={"fields": ("id", "name")})
    return list(made().export(Book.objects.filter(id=1).values_list("id", "name"))[0])


@_difference
def foreign_key_of_values() -> Any:
    made = _resource(meta={"fields": ("id", "author")})
    return list(made().export(Book.objects.filter(id=1).values("id", "author"))[0])


@_difference
def classes_as_values() -> Any:
    return _plain(Field("value"), {"value": SimpleNamespace})


@_difference
def widgets_name_the_model() -> Any:
    return [ForeignKeyWidget(Author, "name").field, ManyToManyWidget(Category, "|").separator]


@_difference
def after_export_result() -> Any:
    seen: list[Any] = []

    def after_export(self: Any, queryset: Any, dataset: Any, **kwargs: Any) -> Any:
        seen.append(type(dataset).__name__)

    _resource(after_export=after_export, meta={"fields": ("id",)})().export()
    return seen


@_difference
def shared_field() -> Any:
    shared = Field("name")
    return _resource(one=shared, two=shared, meta={"fields": ("one", "two")})().export().headers


@_difference
def chunk_size() -> Any:
    return _resource(meta={"fields": ("id",), "chunk_size": 3})().get_chunk_size()


@_difference
def import_only_arguments() -> Any:
    return Field("name", readonly=True, default="x", saves_null_values=False).readonly

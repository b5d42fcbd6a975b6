"""Each row of `DIFFERENCES`: what django-import-export gives, and what async_export does instead.

The fixture `there` is the outcome of the function of the same name in
`parity.reference_differences`.
"""

# ruff: noqa: RUF012 - Meta is written as users write it

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import configure_mappers

from async_export import (
    ConfigurationError,
    Field,
    ModelResource,
    Resource,
    RowError,
    UnknownNameError,
)
from async_export.widgets import (
    BinaryWidget,
    BooleanWidget,
    DateTimeWidget,
    DateWidget,
    DecimalWidget,
    ForeignKeyWidget,
    IntegerWidget,
    JSONWidget,
    ManyToManyWidget,
)
from parity.differences import DIFFERENCES
from parity.models import Author, Binding, Book, Country, Extreme, Scalar, Unordered
from parity.plain import Color, broken_property


@pytest.fixture
def there(request: pytest.FixtureRequest, reference: Mapping[str, Any]) -> Any:
    """What django-import-export gives in the test's case."""
    return reference["differences"][request.node.name.removeprefix("test_")]


def resource(**members: Any) -> type[ModelResource]:
    """Make a resource, of books by default, with *members*; ``meta`` are its options."""
    meta = {"model": Book, **members.pop("meta", {})}
    return type("Made", (ModelResource,), {"Meta": type("Meta", (), meta), **members})


def plain(field: Field) -> Resource:
    """Make a resource of objects at hand with one field."""
    made: type[Resource] = type("Plain", (Resource,), {"field": field})
    return made()


async def plain_cells(field: Field, *objects: Any) -> list[Any]:
    """Export one field of *objects*."""
    return list((await plain(field).export(objects))["field"])


async def headers(exporter: Resource, **arguments: Any) -> list[str]:
    """Export, and give the headers."""
    return list((await exporter.export(**arguments)).headers)


async def first(exporter: Resource, queryset: Any = None, **arguments: Any) -> list[Any]:
    """Export, and give the first row."""
    return list((await exporter.export(queryset, **arguments))[0])


async def column(exporter: Resource, header: str, queryset: Any = None) -> list[Any]:
    """Export, and give one column."""
    return list((await exporter.export(queryset))[header])


async def content(exporter: Resource, format_name: str, queryset: Any = None) -> str:
    """Export to a text."""
    async with exporter.stream(format_name, queryset) as stream:
        return b"".join([chunk async for chunk in stream]).decode()


async def extremes(engine: AsyncEngine, name: str) -> list[Any]:
    """Export one column of that table, without the row of infinite dates."""
    made = resource(meta={"model": Extreme, "fields": (name,)})
    finite = select(Extreme).where(Extreme.id < 100).order_by(Extreme.id)
    return await column(made(engine), name, finite)


def book(number: int = 1) -> Any:
    """Select one book."""
    return select(Book).where(Book.id == number)


def test_every_difference_has_a_test() -> None:
    """Rows and tests belong together one by one."""
    tests = [name for name in globals() if name.startswith("test_")]
    tests.remove("test_every_difference_has_a_test")
    assert [f"test_{each.id}" for each in DIFFERENCES] == tests


# --- what is exported ------------------------------------------------------------------------


async def test_fields_required(there: Any, parity_engine: AsyncEngine) -> None:
    """Nothing is exported that nobody asked for."""
    assert there == ["code", "name"]
    with pytest.raises(ConfigurationError, match="needs fields or exclude"):
        resource(meta={"model": Country})
    every = resource(meta={"model": Country, "fields": "__all__"})
    assert await headers(every(parity_engine)) == ["code", "name"]


async def test_secret_columns(there: Any, parity_engine: AsyncEngine) -> None:
    """A column that looks secret must be named."""
    assert there is True
    with pytest.raises(ConfigurationError, match="api_token, which looks secret"):
        resource(meta={"model": Extreme, "fields": "__all__"})
    named = resource(meta={"model": Extreme, "fields": ("id", "api_token")})
    assert await headers(named(parity_engine)) == ["id", "api_token"]


async def test_whole_model(there: Any, parity_engine: AsyncEngine) -> None:
    """The columns of the table, under the names that they have on the model."""
    assert there == ["id", "author", "sequel_of", "categories", "keywords"]
    exclude = ("name", "price", "published", "added", "available", "pages")
    made = resource(meta={"exclude": exclude})
    assert await headers(made(parity_engine)) == ["id", "author_id", "sequel_of_id"]


def test_fields_as_string(there: Any) -> None:
    """A string is no sequence of names."""
    assert there == ["id", "name"]
    with pytest.raises(ConfigurationError, match="fields takes a sequence of names"):
        resource(meta={"fields": "id name"})


def test_unlisted_field(there: Any) -> None:
    """A field that is declared but not listed is an oversight."""
    assert there == [
        ["id"],
        ["Made: ignoring field 'extra' because not declared in 'fields' whitelist"],
    ]
    with pytest.raises(ConfigurationError, match="declares the field 'extra', but Meta"):
        resource(extra=Field("pages"), meta={"fields": ("id",)})


async def test_exclude_with_fields(there: Any, parity_engine: AsyncEngine) -> None:
    """What is excluded is not exported, whatever else is said."""
    assert there == ["id", "name"]
    made = resource(name=Field("name"), meta={"fields": ("id", "name"), "exclude": ("name",)})
    assert await headers(made(parity_engine)) == ["id"]


def test_header_in_meta_fields(there: Any) -> None:
    """A header is not the name of a field."""
    assert there == ["id"]
    with pytest.raises(UnknownNameError, match="'Title'"):
        resource(title=Field("name", "Title"), meta={"fields": ("id", "Title")})


def test_unknown_field(there: Any) -> None:
    """A misspelt name is refused wherever Meta has names."""
    assert there == ["id"]
    for misspelt in (
        {"fields": ("id", "nmae")},
        {"fields": ("id", "name"), "exclude": ("nmae",)},
        {"fields": ("id", "name"), "export_order": ("nmae",)},
        {"fields": ("id", "name"), "widgets": {"nmae": {}}},
    ):
        with pytest.raises(UnknownNameError, match=r"'nmae'.*did you mean 'name'"):
            resource(meta=misspelt)


async def test_unknown_attribute(there: Any, parity_engine: AsyncEngine) -> None:
    """A misspelt attribute is refused, at the latest when an export begins."""
    assert there == ["", "", "", "", ""]
    with pytest.raises(UnknownNameError, match=r"'nmae'.*did you mean 'name'"):
        await resource(x=Field("nmae"), meta={"fields": ("x",)})(parity_engine).export()
    with pytest.raises(UnknownNameError, match=r"'nmae'.*did you mean 'name'"):
        resource(x=Field("author.nmae"), meta={"fields": ("x",)})


def test_unknown_dehydrate(there: Any) -> None:
    """A hook that no field has, and a method that no resource has, are refused."""
    assert there == ["Kristin Lavransdatter", "Kristin Lavransdatter"]
    with pytest.raises(UnknownNameError, match="'nmae'"):
        resource(dehydrate_nmae=lambda self, book: "", meta={"fields": ("name",)})
    with pytest.raises(UnknownNameError, match="'misspelt'"):
        resource(x=Field("name", dehydrate_method="misspelt"), meta={"fields": ("x",)})


def test_unknown_option(there: Any) -> None:
    """Options that do not exist are refused, in Meta and in the constructor."""
    assert there == 1
    with pytest.raises(UnknownNameError, match="'nonsense'"):
        resource(meta={"fields": ("id",), "nonsense": 1})
    with pytest.raises(UnknownNameError, match="'whatever'"):
        resource(meta={"fields": ("id",)})(None, whatever=2)


def test_model_as_string(there: Any) -> None:
    """There is no registry of applications to look a name up in."""
    assert there == 5
    with pytest.raises(ConfigurationError, match="takes a mapped class or a Table"):
        resource(meta={"model": "library.Book", "fields": ("id",)})


async def test_natural_keys_option(there: Any, parity_engine: AsyncEngine) -> None:
    """The widget says whether natural keys are shown."""
    assert there == ['["NO", "Norge"]']
    with pytest.raises(UnknownNameError, match="'use_natural_foreign_keys'"):
        resource(meta={"fields": ("author",), "use_natural_foreign_keys": True})
    widgets = {"country": {"use_natural_foreign_keys": True}}
    made = resource(meta={"model": Author, "fields": ("country",), "widgets": widgets})
    cells = await column(made(parity_engine), "country", select(Author).where(Author.id == 1))
    assert cells == ['["NO", "Norge"]']


async def test_unknown_selection(there: Any, parity_engine: AsyncEngine) -> None:
    """A selection of what does not exist is refused."""
    assert there == ["id"]
    made = resource(meta={"fields": ("id", "name")})
    with pytest.raises(UnknownNameError, match=r"'nmae'.*did you mean 'name'"):
        await made(parity_engine).export(export_fields=["id", "nmae"])


async def test_empty_selection(there: Any, parity_engine: AsyncEngine) -> None:
    """A selection of nothing is not a selection of everything."""
    assert there == ["id", "name"]
    made = resource(meta={"fields": ("id", "name")})
    with pytest.raises(ConfigurationError, match="no fields to export"):
        await made(parity_engine).export(export_fields=[])


async def test_selection_order(there: Any, parity_engine: AsyncEngine) -> None:
    """The order of a selection is the order of the output."""
    assert there == ["id", "price"]
    made = resource(meta={"fields": ("id", "name", "price")})
    assert await headers(made(parity_engine), export_fields=["price", "id"]) == ["price", "id"]


async def test_selection_by_header(there: Any, parity_engine: AsyncEngine) -> None:
    """What people see in the file may be selected."""
    assert there == ["id"]
    made = resource(name=Field("name", "Title"), meta={"fields": ("id", "name")})
    assert await headers(made(parity_engine), export_fields=["id", "Title"]) == ["id", "Title"]


async def test_selection_in_kwargs(there: Any, parity_engine: AsyncEngine) -> None:
    """Hooks see what the caller passes to them, not what async_export takes."""
    assert there == ["export_fields", "tenant"]
    seen: list[Any] = []

    def before_export(_self: Any, _queryset: Any, **kwargs: Any) -> None:
        seen.append(sorted(kwargs))

    made = resource(before_export=before_export, meta={"fields": ("id",)})
    await made(parity_engine).export(export_fields=["id"], tenant=7)
    assert seen == [["tenant"]]


async def test_header_of_added_field(there: Any, parity_engine: AsyncEngine) -> None:
    """A field that a hook adds is a field like any other."""
    assert there == ["id", "None"]

    def before_export(self: Any, _queryset: Any, **_kwargs: Any) -> None:
        self.fields["pages"] = Field("pages")

    made = resource(before_export=before_export, meta={"fields": ("id",)})
    assert await headers(made(parity_engine)) == ["id", "pages"]


async def test_shared_field(there: Any, parity_engine: AsyncEngine) -> None:
    """Every name gets a field of its own."""
    assert there == ["one", "one"]
    shared = Field("name")
    made = resource(one=shared, two=shared, meta={"fields": ("one", "two")})
    assert await headers(made(parity_engine)) == ["one", "two"]


async def test_duplicate_headers(there: Any, parity_engine: AsyncEngine) -> None:
    """No column disappears."""
    assert json.loads(there) == [{"X": "1200"}]
    made = resource(one=Field("id", "X"), two=Field("pages", "X"), meta={"fields": ("one", "two")})
    with pytest.raises(ConfigurationError, match="two columns have the header 'X'"):
        await content(made(parity_engine), "json", book())
    assert await content(made(parity_engine), "csv", book()) == "X,X\r\n1,1200\r\n"


# --- classes ---------------------------------------------------------------------------------


def test_order_of_bases(there: Any) -> None:
    """The first base wins, as for any attribute of Python."""
    assert there == "second"

    class First(Resource):
        name = Field("first")

    class Second(Resource):
        name = Field("second")

    class Both(First, Second):
        pass

    assert Both().fields["name"].attribute == "first"


def test_plain_mixins(there: Any) -> None:
    """Fields of classes that are no resources count."""
    assert there == ["number"]

    class Mixin:
        name = Field("name")

    class Plain(Mixin, Resource):
        number = Field("number")

    assert list(Plain().fields) == ["name", "number"]


def test_field_removed_by_none(there: Any) -> None:
    """A child may do without a field of its parent."""
    assert there == ["name", "number"]

    class Parent(Resource):
        name: Field | None = Field("name")
        number = Field("number")

    class Child(Parent):
        name = None

    assert list(Child().fields) == ["number"]


def test_inherited_meta(there: Any) -> None:
    """Each level overrides the options that it names, and keeps the others."""
    assert there == [True, True, True, False]

    class One(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "published")
            widgets: Any = {"published": {"format": "%Y"}}

    class Two(One):
        class Meta:
            name = "two"

    class Three(Two):
        class Meta:
            name = "three"

    class Four(Three):
        class Meta:
            name = "four"

    assert Four().options.widgets == {"published": {"format": "%Y"}}
    assert Four.get_display_name() == "four"


async def test_inherited_fields_and_meta(there: Any, parity_engine: AsyncEngine) -> None:
    """What a child says in Meta holds for all its fields."""
    assert there == [["id", "name", "published"], ["1920-01-02"]]

    class Parent(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "name", "published")

    class Excluding(Parent):
        class Meta:
            exclude = ("name",)

    class Formatting(Parent):
        class Meta:
            widgets: Any = {"published": {"format": "%Y"}}

    assert await headers(Excluding(parity_engine)) == ["id", "published"]
    assert await column(Formatting(parity_engine), "published", book()) == ["1920"]


# --- values ----------------------------------------------------------------------------------


async def test_field_without_attribute(there: Any, parity_engine: AsyncEngine) -> None:
    """A field that only says its header shows the column of its name."""
    assert there == ["", "", "", "", ""]
    made = resource(name=Field(column_name="Title"), meta={"fields": ("name",)})
    cells = await column(made(parity_engine), "Title", book())
    assert cells == ["Kristin Lavransdatter"]


async def test_declared_field_widget(there: Any, parity_engine: AsyncEngine) -> None:
    """Declaring a field does not change how it looks."""
    assert there == ["True", "2024-03-31 01:30:15.250000+00:00"]
    fields = {"available": Field("available"), "added": Field("added")}
    declared = resource(**fields, meta={"fields": tuple(fields)})
    implied = resource(meta={"fields": tuple(fields)})
    for made in (declared, implied):
        assert await first(made(parity_engine), book()) == ["1", "2024-03-31 01:30:15"]


async def test_values_of_objects(there: Any) -> None:
    """A value looks the same whether a column or an object has it."""
    naive = datetime(2024, 1, 31, 9, 5, 0, 7)  # noqa: DTZ001 - as many objects have
    values = [True, 1e16, naive, Decimal("1E+3"), {"a": None}, [1, "a", None]]
    assert there == [str(value) for value in values]
    cells = await plain_cells(Field("value"), *({"value": value} for value in values))
    shown = ["1", "10000000000000000", "2024-01-31 09:05:00", "1000", '{"a": null}', "1,a,None"]
    assert cells == shown


async def test_foreign_key_cells(there: Any, parity_engine: AsyncEngine) -> None:
    """A foreign key is text like the key it points to."""
    assert there == ["1", 1]
    made = resource(meta={"fields": ("id", "author")})
    assert await first(made(parity_engine), book()) == ["1", "1"]


async def test_foreign_key_zero(there: Any) -> None:
    """Zero is a key."""
    assert there == [""]
    assert ForeignKeyWidget().render(0) == "0"


async def test_none_in_text(there: Any, parity_engine: AsyncEngine) -> None:
    """None is empty text, whichever widget."""
    assert there == [[None], None]
    country = Field("author", widget=ForeignKeyWidget("country__name"))
    made = resource(country=country, meta={"fields": ("country",)})
    assert await column(made(parity_engine), "country", book(4)) == [""]
    assert (await extremes(parity_engine, "payload"))[-1] == ""


async def test_none_in_native(there: Any, parity_engine: AsyncEngine) -> None:
    """None is None in typed formats, whichever widget."""
    assert there == [None, "", "", ""]
    made = resource(meta={"model": Scalar, "fields": ("whole", "short", "moment", "uid")})
    empty = select(Scalar).where(Scalar.id == 1)
    assert await first(made(parity_engine, native=True), empty) == [None, None, None, None]


async def test_native_cells(there: Any, parity_engine: AsyncEngine) -> None:
    """The format decides which cells it gets."""
    text_cells = {"id": "1", "author": 1, "price": "19.90", "available": "1"}
    assert json.loads(there) == [text_cells]
    made = resource(meta={"fields": ("id", "author", "price", "available")})
    native_cells = {"id": 1, "author": 1, "price": "19.90", "available": True}
    assert json.loads(await content(made(parity_engine), "json", book())) == [native_cells]
    texts = {"id": "1", "author": "1", "price": "19.90", "available": "1"}
    assert json.loads(await content(made(parity_engine, native=False), "json", book())) == [texts]


async def test_force_native_type(there: Any, parity_engine: AsyncEngine) -> None:
    """Native cells are an option of the resource."""
    assert there == [1, {"type": "date", "text": "1920-01-02"}]
    made = resource(meta={"fields": ("id", "published")})
    as_keyword = await first(made(parity_engine), book(), force_native_type=True)
    assert as_keyword == ["1", "1920-01-02"]
    as_option = await first(made(parity_engine, native=True), book())
    assert as_option == [1, date(1920, 1, 2)]


async def test_native_datetimes(there: Any, parity_engine: AsyncEngine) -> None:
    """An instant stays one; formats that know no offset say what they do about it."""
    assert there == [{"type": "datetime", "text": "2024-03-31 01:30:15.250000"}]
    made = resource(meta={"fields": ("added",)})
    cells = await first(made(parity_engine, native=True), book())
    assert cells == [datetime(2024, 3, 31, 1, 30, 15, 250000, tzinfo=UTC)]


def test_coerce_to_string(there: Any) -> None:
    """Widgets give both cells, and the format takes the one it needs."""
    assert there == [7]
    with pytest.raises(TypeError, match="argument"):
        IntegerWidget(coerce_to_string=False)  # type: ignore[call-arg]
    assert (IntegerWidget().native(7), IntegerWidget().render(7)) == (7, "7")


async def test_json_ascii(there: Any, parity_engine: AsyncEngine) -> None:
    """JSON is as readable as text."""
    ours = resource(meta={"model": Author, "fields": ("settings",)})
    rows = select(Author).where(Author.id == 1)
    cells = await column(ours(parity_engine), "settings", rows)
    assert '"bl\\u00e5b\\u00e6r"' in there[0]
    assert '"blåbær"' in cells[0]
    assert json.loads(cells[0]) == json.loads(there[0])
    assert JSONWidget(ensure_ascii=True).render("å") == '"\\u00e5"'


async def test_json_empty(there: Any, parity_engine: AsyncEngine) -> None:
    """What is false in Python is a value in JSON."""
    assert there == [None] * 7
    cells = await extremes(parity_engine, "payload")
    assert cells == ["[]", "false", "0", '""', "{}", "", ""]


async def test_json_sorting(there: Any, parity_engine: AsyncEngine) -> None:
    """Keys can be sorted, which the reference can only in its next release."""
    assert list(json.loads(there[0])) == ["b", "c", "aa"]
    made = resource(meta={"model": Scalar, "fields": ("payload",)})
    rows = select(Scalar).where(Scalar.id == 2)
    cells = await first(made(parity_engine), rows, sort_json_keys=True)
    assert list(json.loads(cells[0])) == ["aa", "b", "c"]


async def test_natural_keys_ascii(there: Any, parity_engine: AsyncEngine) -> None:
    """Natural keys are as readable as text."""
    assert there == ['["CI", "C\\u00f4te d\'Ivoire"]']
    country = Field("country", widget=ForeignKeyWidget(use_natural_foreign_keys=True))
    made = resource(country=country, meta={"model": Author, "fields": ("country",)})
    cells = await column(made(parity_engine), "country", select(Author).where(Author.id == 0))
    assert cells == ['["CI", "Côte d\'Ivoire"]']


async def test_wrong_type(there: Any) -> None:
    """A value is never dropped."""
    assert there == ["", ""]
    with pytest.raises(RowError, match="row 1, field 'field': TypeError"):
        await plain_cells(Field("value", widget=DecimalWidget()), SimpleNamespace(value="text"))
    with pytest.raises(RowError, match="row 1, field 'field': TypeError"):
        day = SimpleNamespace(value=date(2024, 1, 31))
        await plain_cells(Field("value", widget=DateTimeWidget()), day)


async def test_integers_as_booleans(there: Any) -> None:
    """Databases without a boolean type have integers."""
    assert there == ["", ""]
    field = Field("value", widget=BooleanWidget())
    assert await plain_cells(field, {"value": 1}, {"value": 0}) == ["1", "0"]


async def test_failing_property(there: Any) -> None:
    """An error inside a property is an error."""
    assert there == [""]
    with pytest.raises(RowError, match="AttributeError"):
        await plain_cells(Field("value"), broken_property)


async def test_failing_row(there: Any, parity_engine: AsyncEngine) -> None:
    """A failing row may be skipped, and is counted."""
    assert there["error"] == "ZeroDivisionError"

    def dehydrate_price(_self: Any, each: Any) -> Any:
        return 1 / each.pages

    made = resource(dehydrate_price=dehydrate_price, meta={"fields": ("id", "price")})
    rows = select(Book).where(Book.id <= 2).order_by(Book.id)
    with pytest.raises(RowError, match="row 2, field 'price': ZeroDivisionError"):
        await made(parity_engine).export(rows)
    async with made(parity_engine, on_error="skip").stream("csv", rows) as stream:
        async for _ in stream:
            pass
    assert (stream.result.rows, stream.result.skipped) == (1, 1)


async def test_enums(there: Any, parity_engine: AsyncEngine) -> None:
    """An enum shows data, not Python source."""
    assert there == ["Color.RED"]
    assert await plain_cells(Field("value"), {"value": Color.RED}) == ["red"]
    made = resource(meta={"model": Scalar, "fields": ("binding",)})
    hard = select(Scalar).where(Scalar.binding == Binding.HARD)
    assert await column(made(parity_engine), "binding", hard) == ["HARD"]


async def test_binary(there: Any, parity_engine: AsyncEngine) -> None:
    """Bytes are shown as bytes."""
    assert there == ["é", "UnicodeDecodeError"]
    assert (await extremes(parity_engine, "raw"))[:3] == ["00ff", "c3a9", ""]
    assert BinaryWidget("base64").render("é".encode()) == "w6k="


async def test_ranges(there: Any, parity_engine: AsyncEngine) -> None:
    """Ranges are shown as PostgreSQL writes them, and reads them back."""
    assert there == "[1, 10)"
    assert (await extremes(parity_engine, "span"))[0] == "[1,10)"


async def test_decimal_nan(there: Any, parity_engine: AsyncEngine) -> None:
    """NaN is a value that a decimal column may hold."""
    assert there["error"] == "TypeError"
    assert (await extremes(parity_engine, "amount"))[0] == "NaN"


async def test_long_numbers(there: Any, parity_engine: AsyncEngine) -> None:
    """A number has all its digits, however many."""
    assert there == ["5e-324", "1e+300"]
    cells = await extremes(parity_engine, "ratio")
    assert cells[:2] == [f"0.{'0' * 323}5", f"1{'0' * 300}"]


async def test_naive_datetimes(there: Any, parity_engine: AsyncEngine) -> None:
    """A timestamp without time zone has none to convert from."""
    assert there["error"] == "ValueError"
    assert (await extremes(parity_engine, "local"))[0] == "2024-01-31 09:05:00"


async def test_infinite_dates(there: Any, parity_engine: AsyncEngine) -> None:
    """What Python cannot hold is shown as PostgreSQL shows it."""
    assert there["error"] == "DataError"
    made = resource(meta={"model": Extreme, "fields": ("day", "moment")})
    rows = select(Extreme).where(Extreme.id == 100)
    assert await first(made(parity_engine), rows) == ["infinity", "-infinity"]
    nulled = made(parity_engine, on_unrepresentable="null")
    assert await first(nulled, rows) == ["", ""]


async def test_json_nan(there: Any) -> None:
    """What is written as JSON can be read as JSON."""
    assert there == '[{"ratio": NaN}]'
    exporter = plain(Field("ratio", "ratio"))
    assert await content(exporter, "json", [{"ratio": float("nan")}]) == '[{"ratio": "nan"}]'


async def test_locale(there: Any, parity_engine: AsyncEngine) -> None:
    """Numbers are data."""
    assert there == ["99\xa0999\xa0999,99"]
    made = resource(meta={"fields": ("price",)})
    assert await column(made(parity_engine), "price", book(5)) == ["99999999.99"]


async def test_current_timezone(there: Any, parity_engine: AsyncEngine) -> None:
    """Only the export's own timezone counts."""
    assert there == ["2024-03-31 07:15:15"]
    made = resource(meta={"fields": ("added",)})
    assert await column(made(parity_engine), "added", book()) == ["2024-03-31 01:30:15"]


async def test_iso_dates(there: Any, parity_engine: AsyncEngine) -> None:
    """ISO 8601 keeps what the short form leaves out."""
    assert there == ["iso"]
    made = resource(meta={"fields": ("added",), "widgets": {"added": {"format": "iso"}}})
    cells = await column(made(parity_engine), "added", book())
    assert cells == ["2024-03-31T01:30:15.250000+00:00"]
    assert DateWidget("iso").render(date(868, 5, 11)) == "0868-05-11"


# --- relations and paths -----------------------------------------------------------------------


def test_path_through_many(there: Any) -> None:
    """Many values need a widget that joins them."""
    assert there == ["", "", "", "", ""]
    configure_mappers()
    with pytest.raises(ConfigurationError, match="ManyToManyWidget\\(field='name'\\)"):
        resource(x=Field("categories__name"), meta={"fields": ("x",)})


async def test_many_to_many_path(there: Any, parity_engine: AsyncEngine) -> None:
    """What is shown of many objects may be behind a relation of theirs."""
    assert there["error"] == "AttributeError"
    books = Field("books", widget=ManyToManyWidget(field="sequel_of__name"))
    made = resource(books=books, meta={"model": Author, "fields": ("books",)})
    cells = await column(made(parity_engine), "books", select(Author).where(Author.id == 1))
    assert cells == ["None,Kristin Lavransdatter"]


async def test_many_to_many_order(there: Any, parity_engine: AsyncEngine) -> None:
    """The same data give the same bytes."""
    assert sorted(there[0]) == sorted("1,2,3")
    made = resource(meta={"model": Unordered, "fields": ("id", "parts")})
    cells = await column(made(parity_engine), "parts", select(Unordered).where(Unordered.id == 1))
    assert cells == ["1,2,3"]


async def test_default_order(there: Any, parity_engine: AsyncEngine) -> None:
    """Rows are in the order of the primary key, or as Meta says."""
    assert sorted(there) == ["1", "2", "3"]
    made = resource(meta={"model": Unordered, "fields": ("id",)})
    assert await column(made(parity_engine), "id") == ["1", "2", "3"]
    reverse = resource(meta={"model": Unordered, "fields": ("id",), "order_by": "-id"})
    assert await column(reverse(parity_engine), "id") == ["3", "2", "1"]


async def test_list_index(there: Any, parity_engine: AsyncEngine) -> None:
    """A step that is a number picks from a list."""
    assert there == [""]
    made = resource(x=Field("settings.tags.0"), meta={"model": Author, "fields": ("x",)})
    rows = select(Author).where(Author.id.in_([1, 2])).order_by(Author.id)
    assert await column(made(parity_engine), "x", rows) == ["x", ""]


def test_path_into_text(there: Any) -> None:
    """A path that cannot be checked is refused."""
    assert there == ["KRISTIN LAVRANSDATTER"]
    with pytest.raises(ConfigurationError, match="has no 'upper' inside"):
        resource(x=Field("name__upper"), meta={"fields": ("x",)})


async def test_tuples(there: Any, parity_engine: AsyncEngine) -> None:
    """Columns are found by name, also those of a textual statement."""
    assert there == ["", ""]
    made = resource(meta={"fields": ("id", "name")})
    for rows in (
        select(Book.id, Book.name).where(Book.id == 1),
        text("SELECT id, name FROM book WHERE id = 1").columns(Book.id, Book.name),
    ):
        assert await first(made(parity_engine), rows) == ["1", "Kristin Lavransdatter"]


async def test_foreign_key_of_values(there: Any, parity_engine: AsyncEngine) -> None:
    """A column may be labelled as the field is called."""
    assert there == ["1", ""]
    made = resource(meta={"fields": ("id", "author")})
    rows = select(Book.id, Book.author_id.label("author")).where(Book.id == 1)
    assert await first(made(parity_engine), rows) == ["1", "1"]


async def test_classes_as_values(there: Any) -> None:
    """Methods are called, classes are not."""
    assert there == ["namespace()"]
    cells = await plain_cells(Field("value"), {"value": SimpleNamespace})
    assert cells == ["<class 'types.SimpleNamespace'>"]


# --- API ---------------------------------------------------------------------------------------


def test_widgets_name_the_model(there: Any) -> None:
    """Widgets of relations take what they show, and no model."""
    assert there == ["name", "|"]
    assert ForeignKeyWidget("name").field == "name"
    assert ManyToManyWidget("|").separator == "|"


async def test_after_export_result(there: Any, parity_engine: AsyncEngine) -> None:
    """A stream has no Dataset to pass on."""
    assert there == ["Dataset"]
    seen: list[str] = []

    def after_export(_self: Any, _queryset: Any, result: Any, **_kwargs: Any) -> None:
        seen.append(type(result).__name__)

    made = resource(after_export=after_export, meta={"fields": ("id",)})
    await made(parity_engine).export()
    await content(made(parity_engine), "csv")
    assert seen == ["Dataset", "ExportResult"]


async def test_chunk_size(there: Any, parity_engine: AsyncEngine) -> None:
    """Rows and bytes have options of their own."""
    assert there == 3
    made = resource(meta={"fields": ("id",), "chunk_size": 3, "batch_size": 1})
    async with made(parity_engine).stream("csv") as stream:
        chunks = [chunk async for chunk in stream]
    assert chunks[1:] == [b"2\r\n", b"3\r\n", b"4\r\n", b"5\r\n"]


def test_import_only_arguments(there: Any) -> None:
    """Arguments that have no meaning are not accepted."""
    assert there is True
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        Field("name", readonly=True)  # type: ignore[call-arg]

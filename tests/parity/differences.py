"""Where async_export does something else than django-import-export, on purpose.

Each row has a test of the same name in ``test_differences.py``, which shows both.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ("DIFFERENCES", "Difference")


class Difference(NamedTuple):
    """One row of the README's table.

    Attributes:
        id: Name of the test, without ``test_``.
        reference: What django-import-export 4.4 does.
        here: What async_export does.
    """

    id: str
    reference: str
    here: str


DIFFERENCES = (
    # What is exported
    Difference(
        "fields_required",
        "no `fields` exports every column",
        '`fields` or `exclude` is required; `fields = "__all__"` is every column',
    ),
    Difference(
        "secret_columns",
        "exports whatever the table has",
        "columns that look secret (password, token, hash, …) are refused unless they are named",
    ),
    Difference(
        "whole_model",
        "without `fields`, foreign keys are named after the relation, and many-to-many relations "
        "are exported too",
        "without `fields`, columns under their own names (`author_id`); relations where they are "
        "named",
    ),
    Difference(
        "fields_as_string",
        '`fields = "id name"` picks whatever names it contains',
        "error: `fields` takes a sequence of names",
    ),
    Difference(
        "unlisted_field",
        "a declared field that `fields` does not list is dropped, with a warning",
        "error",
    ),
    Difference(
        "exclude_with_fields",
        "`exclude` does not remove a declared field that `fields` lists",
        "`exclude` always removes",
    ),
    Difference(
        "header_in_meta_fields",
        "a header in `Meta.fields` is accepted, and its column missing",
        "error: `Meta.fields` takes names of fields",
    ),
    Difference(
        "unknown_field",
        "a misspelt name in `fields`, `exclude`, `export_order` or `widgets` is ignored",
        "error with the nearest names",
    ),
    Difference(
        "unknown_attribute",
        "a misspelt attribute gives an empty column",
        "error with the nearest names",
    ),
    Difference(
        "unknown_dehydrate",
        "a misspelt `dehydrate_…` or `dehydrate_method` is never called",
        "error with the nearest names",
    ),
    Difference(
        "unknown_option",
        "unknown options of Meta and of the constructor are accepted",
        "error with the nearest names",
    ),
    Difference(
        "model_as_string",
        '`model = "app.Model"`',
        "`model` is the class, or a `Table`",
    ),
    Difference(
        "natural_keys_option",
        "`Meta.use_natural_foreign_keys`",
        "`ForeignKeyWidget(use_natural_foreign_keys=True)`, or `widgets` of Meta",
    ),
    Difference(
        "unknown_selection",
        "unknown names in a selection are ignored",
        "error with the nearest names",
    ),
    Difference("empty_selection", "an empty selection means all fields", "error"),
    Difference(
        "selection_order",
        "a selection keeps the order of the fields",
        "a selection decides the order",
    ),
    Difference(
        "selection_by_header",
        "headers in a selection are ignored",
        "a selection takes names or headers",
    ),
    Difference(
        "selection_in_kwargs",
        "hooks and widgets receive `export_fields` among the caller's keywords",
        "they receive the caller's own keywords only",
    ),
    Difference(
        "header_of_added_field",
        "a field that a hook adds without `column_name` has the header `None`",
        "its name is its header, as for any field",
    ),
    Difference(
        "shared_field",
        "one `Field` under two names has the first name's header twice",
        "each name has its own header",
    ),
    Difference(
        "duplicate_headers",
        "in JSON the last of two columns with one header wins",
        "error for json and jsonl; csv and tsv write both",
    ),
    # Classes
    Difference(
        "order_of_bases",
        "of two bases the later one's field wins",
        "Python's order: the first one's",
    ),
    Difference("plain_mixins", "fields of plain mixins are ignored", "they count"),
    Difference(
        "field_removed_by_none",
        "`name = None` changes nothing",
        "`name = None` removes an inherited field",
    ),
    Difference(
        "inherited_meta",
        "options of Meta are lost at the fourth level of inheritance",
        "they are inherited at any level, one by one",
    ),
    Difference(
        "inherited_fields_and_meta",
        "a child's `exclude` and `widgets` do not affect the parent's fields",
        "they do",
    ),
    # Values
    Difference(
        "field_without_attribute",
        "a field without `attribute` is empty",
        "it reads the attribute of its own name",
    ),
    Difference(
        "declared_field_widget",
        "a declared field without a widget shows `str(value)`: `True`, "
        "`2024-03-31 01:30:15.250000+00:00`",
        "it has its column's widget, like an undeclared one: `1`, `2024-03-31 01:30:15`",
    ),
    Difference(
        "values_of_objects",
        "values of plain objects are shown as `str(value)`",
        "they are shown as a column of their type is: `1`, all digits, `a,b`, JSON",
    ),
    Difference(
        "foreign_key_cells",
        "cells of foreign keys keep their type in text exports",
        "text is text",
    ),
    Difference("foreign_key_zero", "the foreign key 0 is empty", "`0`"),
    Difference(
        "none_in_text",
        'None from JSON and through a `ForeignKeyWidget` stays None, elsewhere it is `""`',
        '`""` in every text cell, but for what a dehydrate hook returns',
    ),
    Difference(
        "none_in_native",
        'native cells of text, datetimes and uuids have `""` for None',
        "None in every native cell",
    ),
    Difference(
        "native_cells",
        "`export()` gives text for every format; the admin knows three typed ones",
        "the format decides: json and jsonl get native cells; `native=` overrides",
    ),
    Difference(
        "force_native_type",
        "`export(force_native_type=True)`",
        "the option `native=True`; the keyword is like any other of the caller's",
    ),
    Difference(
        "native_datetimes",
        "native datetimes lose their offset",
        "they keep it, in the export's timezone",
    ),
    Difference(
        "coerce_to_string",
        "widgets take `coerce_to_string`",
        "they don't: see `native=`",
    ),
    Difference(
        "json_ascii",
        "JSON cells are escaped beyond ASCII",
        "they are not; `ensure_ascii` is an option of the widget",
    ),
    Difference(
        "json_empty",
        'JSON cells of `[]`, `{}`, `0`, `false` and `""` are empty',
        "they are JSON; only null is empty",
    ),
    Difference(
        "json_sorting",
        "no way to sort the keys of JSON",
        "the keyword `sort_json_keys`, and `sort_keys` of the widget",
    ),
    Difference(
        "natural_keys_ascii",
        "natural keys are escaped beyond ASCII",
        "they are not",
    ),
    Difference(
        "wrong_type",
        "a value of another type than the widget's is empty",
        "error; `on_error` decides what becomes of the row",
    ),
    Difference(
        "integers_as_booleans",
        "the integers 1 and 0 are empty as booleans",
        "`1` and `0`, as SQLite has them",
    ),
    Difference(
        "failing_property",
        "an AttributeError or ValueError inside a property gives an empty cell",
        "error",
    ),
    Difference(
        "failing_row",
        "one failing row ends the export",
        '`on_error`: `"raise"`, `"skip"` or a function; counted in the result',
    ),
    Difference(
        "enums",
        "members of an enum are shown as `Color.RED`",
        "columns show what the database stores, other enums their value",
    ),
    Difference(
        "binary",
        "bytes are decoded as UTF-8, which may fail",
        "hexadecimal or base64",
    ),
    Difference("ranges", "Python's text, `[1, 10)`", "PostgreSQL's text, `[1,10)`"),
    Difference("decimal_nan", "the decimal NaN ends the export", "`NaN`"),
    Difference(
        "long_numbers",
        "numbers of more than 200 digits have an exponent",
        "no number has one",
    ),
    Difference(
        "naive_datetimes",
        "timestamps without time zone end the export when `USE_TZ` is set",
        "they are shown as they are",
    ),
    Difference(
        "infinite_dates",
        "infinite dates end the export",
        "PostgreSQL's text, `infinity`; `on_unrepresentable` decides",
    ),
    Difference(
        "json_nan",
        "NaN and infinity make invalid JSON",
        "they are strings in JSON",
    ),
    Difference(
        "locale",
        "numbers follow the language of the request",
        "never localized",
    ),
    Difference(
        "current_timezone",
        "datetimes follow the time zone of the request or the settings",
        "the option `timezone`, UTC by default",
    ),
    Difference(
        "iso_dates",
        "fractions and offsets are lost, unless the format spells them",
        'the same by default; `format="iso"` shows ISO 8601 with both',
    ),
    # Relations and paths
    Difference(
        "path_through_many",
        "a path through a to-many relation is an empty column",
        "error that says how to write it",
    ),
    Difference(
        "many_to_many_path",
        "`ManyToManyWidget(field=…)` takes no path",
        "it takes a path",
    ),
    Difference(
        "many_to_many_order",
        "to-many relations are in no certain order",
        "the relationship's `order_by`, else the primary key",
    ),
    Difference(
        "default_order",
        "rows are in no certain order, unless the model has one",
        "ordered by primary key, or `Meta.order_by`",
    ),
    Difference(
        "list_index",
        "lists in JSON cannot be indexed",
        "`settings.tags.0`",
    ),
    Difference(
        "path_into_text",
        "a path goes on into any Python value: `name__upper`",
        "a path into a column that has nothing inside is an error; use a dehydrate hook",
    ),
    Difference(
        "tuples",
        "rows of a `values_list()` are empty",
        "columns are found by name, whatever the select",
    ),
    Difference(
        "foreign_key_of_values",
        "a foreign key among `values()` is empty",
        "a column under the name of the field is exported",
    ),
    Difference(
        "classes_as_values",
        "a value that is a class is instantiated",
        "it is a value",
    ),
    # API
    Difference(
        "widgets_name_the_model",
        "`ForeignKeyWidget(Author, …)`, `ManyToManyWidget(Category, …)`",
        "`ForeignKeyWidget(…)`, `ManyToManyWidget(…)`: the relationship knows its model",
    ),
    Difference(
        "after_export_result",
        "`after_export` receives the Dataset",
        "the Dataset from `export()`, an `ExportResult` from `stream()` and `export_to()`",
    ),
    Difference(
        "chunk_size",
        "`Meta.chunk_size` counts rows",
        "`batch_size` counts rows, `chunk_size` bytes",
    ),
    Difference(
        "import_only_arguments",
        "`Field(default=…, readonly=…, saves_null_values=…, m2m_add=…)`",
        "there is no import",
    ),
)

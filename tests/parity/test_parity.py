"""The same bytes as django-import-export, from the same tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from async_export import Resource
from parity.cells import as_json
from parity.differences import DIFFERENCES
from parity.resources import definitions


class Native(NamedTuple):
    """A column in whose Dataset cells the two may differ.

    Attributes:
        difference: The row of `DIFFERENCES` that decides it.
        types: What the reference's own cells are, all of them.
    """

    difference: str
    types: tuple[type, ...]


_KEY = Native("foreign_key_cells", (int, str))
_NONE = Native("none_in_text", (str, type(None)))

NATIVE: dict[str, dict[str, Native]] = {
    # definition: {header: what differs}. Where nothing is listed, every cell is the same.
    "scalars": {"payload": _NONE},
    "scalars_selected": {"payload": _NONE},
    "foreign_keys": {"mentor": _KEY},
    "one_to_one": {"author": _KEY},
    "whole_books": {"author": _KEY, "sequel_of": _KEY},
    "declared_widgets": {"Author": _NONE},
    "unlike_widgets": {"numbers": _NONE},
}
"""The only columns that are not compared as they are."""


def _from_instances(base: type[Resource]) -> type[Resource]:
    def iter_batches(self: Resource, queryset: Any) -> Any:
        return base.iter_batches(self, queryset)

    return type(base.__name__, (base,), {"iter_batches": iter_batches})


async def _text(definition: str, engine: AsyncEngine, format: str) -> str:  # noqa: A002
    export = definitions[definition](engine)
    stream = export.resource.stream(format, export.queryset(), **export.arguments)
    async with stream:
        chunks = [chunk async for chunk in stream]
    return b"".join(chunks).decode()


def test_both_sides_have_the_same_definitions(reference: Mapping[str, Any]) -> None:
    """No definition is missing on either side."""
    assert list(reference["definitions"]) == list(definitions)


@pytest.mark.parametrize("format_name", ["csv", "tsv"])
@pytest.mark.parametrize("definition", definitions)
async def test_same_bytes(
    definition: str, format_name: str, reference: Mapping[str, Any], parity_engine: AsyncEngine
) -> None:
    """The csv and tsv files are the reference's, byte for byte."""
    ours = await _text(definition, parity_engine, format_name)
    assert ours == reference["definitions"][definition][format_name]


@pytest.mark.parametrize("definition", definitions)
async def test_same_bytes_from_instances(
    definition: str, reference: Mapping[str, Any], parity_engine: AsyncEngine
) -> None:
    """Mapped objects, which an overridden hook asks for, give the same csv file."""
    export = definitions[definition](parity_engine)
    exporter = export.resource
    exporter.__class__ = _from_instances(type(exporter))
    stream = exporter.stream("csv", export.queryset(), **export.arguments)
    async with stream:
        ours = b"".join([chunk async for chunk in stream]).decode()
    # Of columns alone no mapped object can be made.
    selects_columns = definition in {"values_rows", "labelled_columns"}
    assert stream.result.strategy == ("rows" if selects_columns else "instances")
    assert ours == reference["definitions"][definition]["csv"]


@pytest.mark.parametrize("definition", definitions)
async def test_same_dataset(
    definition: str, reference: Mapping[str, Any], parity_engine: AsyncEngine
) -> None:
    """The Dataset has the reference's headers, rows and types, but for the columns in NATIVE."""
    export = definitions[definition](parity_engine)
    dataset = await export.resource.export(export.queryset(), **export.arguments)
    headers, rows = reference["definitions"][definition]["dataset"]
    assert dataset.headers == headers
    native = NATIVE.get(definition, {})
    expected = [
        [_as_text(cell, native.get(header)) for header, cell in zip(headers, row, strict=True)]
        for row in rows
    ]
    assert [as_json(row) for row in dataset] == expected


@pytest.mark.parametrize("definition", NATIVE)
def test_native_columns_differ(definition: str, reference: Mapping[str, Any]) -> None:
    """Every exception in NATIVE is needed, and comes from a difference that is written down."""
    headers, rows = reference["definitions"][definition]["dataset"]
    for header, native in NATIVE[definition].items():
        cells = [row[headers.index(header)] for row in rows]
        assert native.difference in {difference.id for difference in DIFFERENCES}
        assert any(not isinstance(cell, str) for cell in cells)


def _as_text(cell: Any, native: Native | None) -> Any:
    """Give the text of the reference's cell, if its column may differ."""
    if native is None:
        return cell
    assert isinstance(cell, native.types)
    return "" if cell is None else str(cell)

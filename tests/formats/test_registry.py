"""The registry: built-in formats, formats of third parties, encoders made from either."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from async_export import formats
from async_export.errors import ConfigurationError, UnknownNameError
from async_export.formats import (
    CSVEncoder,
    Encoder,
    GzipEncoder,
    JSONEncoder,
    JSONLinesEncoder,
    MarkdownEncoder,
    TSVEncoder,
    YAMLEncoder,
    _registry,
    available_formats,
    format_for_path,
    get_format,
    make_encoder,
    register_format,
)
from async_export.types import Column, Record


class PipeEncoder(Encoder):
    """A third party's format."""

    name = "Pipe"
    extension = "pipe"
    content_type = "text/plain"

    def begin(self, columns: Sequence[Column]) -> bytes:
        """Write nothing."""
        return b""

    def encode(self, records: Sequence[Record]) -> bytes:
        """Join cells with pipes."""
        return b"".join(b"|".join(str(c).encode() for c in record) + b"\n" for record in records)

    def end(self) -> bytes:
        """Write nothing."""
        return b""


class NeedyEncoder(PipeEncoder):
    """A format that needs an option."""

    name = "needy"

    def __init__(self, *, key: str) -> None:
        self.key = key


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a registry of its own."""
    monkeypatch.setattr(_registry, "_FORMATS", dict(_registry._FORMATS))


def test_built_in_formats() -> None:
    """The formats are listed in a fixed order."""
    assert available_formats()[:4] == (CSVEncoder, TSVEncoder, JSONEncoder, JSONLinesEncoder)


@pytest.mark.parametrize("wrong", [{"limits": 3}, {"extra": None}, {"with_titles": "yes"}])
def test_optional_attributes_are_checked(wrong: dict[str, object]) -> None:
    """What a class may leave out has to be right where it is there."""
    with pytest.raises(ConfigurationError, match=f"Wrong.{next(iter(wrong))} must be"):
        register_format(type("Wrong", (PipeEncoder,), {"name": "wrong", **wrong}))


def test_options_by_name() -> None:
    """Options go to the format, or to what packs it; others, and of other types, are told."""
    packed = make_encoder("csv.gz", delimiter=";", level=9)
    assert isinstance(packed, GzipEncoder)
    assert (packed.level, getattr(packed.inner, "delimiter", "")) == (9, ";")
    for options in ({"inner": 3}, {"delimitr": ";"}):
        with pytest.raises(UnknownNameError, match="unknown option"):
            make_encoder("csv.gz", **options)
    with pytest.raises(ConfigurationError, match="level of gz takes a whole number, not 'x'"):
        make_encoder("csv.gz", level="x")
    with pytest.raises(ConfigurationError, match="GzipEncoder packs an encoder"):
        GzipEncoder("csv")  # type: ignore[arg-type]  # what users do


def test_names_ignore_case() -> None:
    """A format is found however its name is written."""
    assert get_format("csv") is get_format("CSV") is CSVEncoder
    assert get_format("md") is get_format("Markdown") is MarkdownEncoder
    assert get_format("yml") is YAMLEncoder


def test_unknown_name() -> None:
    """An unknown name tells the near ones."""
    with pytest.raises(UnknownNameError, match=r"unknown format 'jsno'.*'json'"):
        get_format("jsno")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("books.csv", CSVEncoder),
        ("out/Books.2024.JSON", JSONEncoder),
        (Path("a.tsv"), TSVEncoder),
        ("x.jsonl", JSONLinesEncoder),
        ("x.md", MarkdownEncoder),
        ("x.markdown", MarkdownEncoder),
        ("x.yml", YAMLEncoder),
        ("x.ndjson", JSONLinesEncoder),
    ],
)
def test_format_by_extension(path: str | Path, expected: type[Encoder]) -> None:
    """The extension decides, whatever its case and the dots before it."""
    assert format_for_path(path) is expected


def test_longest_extension_wins() -> None:
    """Of ``gz`` and ``csv.gz`` the longer one is meant."""

    class Gz(PipeEncoder):
        name = extension = "gz"

    class CsvGz(PipeEncoder):
        name = extension = "csv.gz"

    register_format(CsvGz)
    register_format(Gz)
    assert format_for_path("books.CSV.gz") is CsvGz
    assert format_for_path("books.gz") is Gz


@pytest.mark.parametrize("path", ["books.xyz", "csv", "folder.csv/books", ""])
def test_unknown_extension(path: str) -> None:
    """A path without a known extension is an error that lists those that are known."""
    with pytest.raises(UnknownNameError) as caught:
        format_for_path(path)
    assert caught.value.known[:5] == ("csv", "tsv", "json", "jsonl", "xlsx")


def test_first_format_of_an_extension_wins() -> None:
    """A second format with an extension does not take it from the first."""

    @register_format
    class OtherCSV(PipeEncoder):
        name = "other"
        extension = "csv"

    assert format_for_path("a.csv") is CSVEncoder
    assert get_format("other") is OtherCSV


def test_third_party_format() -> None:
    """A registered class is found by name and extension, and encodes."""
    assert register_format(PipeEncoder) is PipeEncoder
    assert get_format("pipe") is format_for_path("a.PIPE") is PipeEncoder
    encoder = make_encoder("PIPE")
    assert encoder.begin([]) + encoder.encode([[1, 2]]) + encoder.end() == b"1|2\n"
    assert (encoder.cells, encoder.streaming, encoder.max_rows) == ("text", True, None)


def test_class_that_is_no_subclass() -> None:
    """A class with all the members needs no base class."""
    members = {name: getattr(PipeEncoder, name) for name in _registry._ATTRIBUTES}
    methods = {name: getattr(PipeEncoder, name) for name in ("begin", "encode", "end")}
    structural = type("Structural", (), {**members, **methods})
    assert register_format(structural) is structural


def test_taken_name() -> None:
    """A name is given once, unless ``replace`` says otherwise."""

    class Mine(PipeEncoder):
        name = "CSV"

    with pytest.raises(ConfigurationError, match="replace=True"):
        register_format(Mine)
    register_format(Mine, replace=True)
    assert get_format("csv") is Mine
    register_format(Mine)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("name", ""),
        ("name", None),
        ("extension", ".csv"),
        ("extension", "a/b"),
        ("content_type", " "),
        ("cells", "both"),
        ("natives", {"text"}),
        ("natives", frozenset({"text?"})),
        ("streaming", 1),
        ("max_rows", 0),
        ("concatenable", None),
        ("offload", "no"),
        ("begin", None),
    ],
)
def test_wrong_attribute(attribute: str, value: object) -> None:
    """A wrong attribute is named when the class is registered."""
    wrong = type("Wrong", (PipeEncoder,), {attribute: value})
    with pytest.raises(ConfigurationError, match=f"Wrong.*{attribute}"):
        register_format(wrong)


def test_incomplete_class() -> None:
    """A class without the methods or attributes is refused."""
    with pytest.raises(ConfigurationError, match="begin, encode, end"):
        register_format(type("Abstract", (Encoder,), {"name": "abstract"}))
    methods = {name: getattr(PipeEncoder, name) for name in ("begin", "encode", "end")}
    with pytest.raises(ConfigurationError, match=r"Nameless.name is missing"):
        register_format(type("Nameless", (), methods))
    with pytest.raises(ConfigurationError, match="encoder class"):
        register_format(PipeEncoder())  # type: ignore[type-var]  # what users do


def test_encoder_from_name_class_and_instance() -> None:
    """All three ways give an encoder of one's own; an instance hands on its options."""
    configured = CSVEncoder(delimiter=";")
    made = make_encoder(configured)
    assert made is not configured
    assert isinstance(made, CSVEncoder)
    assert made.delimiter == ";"
    assert isinstance(make_encoder("json"), JSONEncoder)
    assert isinstance(make_encoder(TSVEncoder), TSVEncoder)


def test_encoder_that_needs_options() -> None:
    """A class with a required option cannot be made by its name alone."""
    register_format(NeedyEncoder)
    with pytest.raises(ConfigurationError, match="key"):
        make_encoder("needy")
    assert isinstance(make_encoder(NeedyEncoder(key="x")), NeedyEncoder)


def test_encoder_from_something_else() -> None:
    """An object that is no encoder is refused with its type."""
    with pytest.raises(ConfigurationError, match="'int'"):
        make_encoder(1)  # type: ignore[arg-type]  # what users do


def test_public_names() -> None:
    """Everything in ``__all__`` exists."""
    assert all(hasattr(formats, name) for name in formats.__all__)

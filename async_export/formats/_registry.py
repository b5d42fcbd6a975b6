"""Formats by name and by file extension."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from async_export.errors import ConfigurationError, UnknownNameError
from async_export.formats._encoder import Encoder
from async_export.formats._gzip import GzipEncoder
from async_export.formats._zip_archive import ZipEncoder
from async_export.formats._zstd import ZstdEncoder
from async_export.types import Kind

__all__ = (
    "PACKINGS",
    "available_formats",
    "format_for_path",
    "get_format",
    "make_encoder",
    "register_format",
)

_ALIASES = {
    "feather": "arrow",
    "htm": "html",
    "ndjson": "jsonl",
    "pq": "parquet",
    "yml": "yaml",
}
"""Other endings of files, and names, of formats."""

EncoderClass = TypeVar("EncoderClass", bound=type[Encoder])

Packing: TypeAlias = type[GzipEncoder] | type[ZipEncoder] | type[ZstdEncoder]

PACKINGS: Mapping[str, Packing] = {
    "gz": GzipEncoder,
    "gzip": GzipEncoder,
    "zip": ZipEncoder,
    "zst": ZstdEncoder,
    "zstd": ZstdEncoder,
}
"""By ending of a format's name or of a file's, what packs the format before it."""

_FORMATS: dict[str, type[Encoder]] = {}
"""Encoder classes by their names in lower case, in the order of their registration."""


def available_formats() -> tuple[type[Encoder], ...]:
    """Return the encoder classes that are registered, in the order of their registration."""
    return tuple(_FORMATS.values())


def get_format(name: str) -> type[Encoder]:
    """Return the encoder class that is called *name*, without regard to case.

    The extension of its files serves as well: ``md`` for ``markdown``.

    Raises:
        UnknownNameError: there is no such format.
    """
    key = name.lower()
    key = _ALIASES.get(key, key)
    found = _FORMATS.get(key)
    if found is None:
        classes = _FORMATS.values()
        found = next((each for each in classes if each.extension.lower() == key), None)
    if found is None:
        raise UnknownNameError("format", name, _FORMATS)
    return found


def format_for_path(path: str | os.PathLike[str]) -> type[Encoder] | Encoder:
    """Return the format of a file of that name, by the longest extension that fits.

    Of two formats with the same extension it is the one registered first. ``books.csv.gz``,
    ``.zst`` and ``.zip`` are packed files of the format before.

    Returns:
        An encoder class, or for packed files an encoder.

    Raises:
        UnknownNameError: no format has such an extension.
    """
    file_name = os.path.basename(os.fsdecode(path)).lower()  # noqa: PTH119 - any PathLike
    fitting = [
        encoder_class
        for encoder_class in _FORMATS.values()
        if file_name.endswith(f".{encoder_class.extension.lower()}")
    ]
    if fitting:
        return max(fitting, key=lambda encoder_class: len(encoder_class.extension))
    stem, _, ending = file_name.rpartition(".")
    named = _FORMATS.get(_ALIASES.get(ending, ending))
    if named is not None and stem:
        return named
    if "." in stem and ending in PACKINGS:
        return _packed(ending, make_encoder(format_for_path(stem)), {})
    known = dict.fromkeys(encoder_class.extension for encoder_class in _FORMATS.values())
    error = UnknownNameError("file extension", file_name.partition(".")[2], known)
    if ending in PACKINGS and stem:
        error.add_note(f"say what is packed, as in {stem}.csv.{ending}")
    raise error


def make_encoder(encoder: str | type[Encoder] | Encoder, /, **options: Any) -> Encoder:
    """Return an encoder that is ready for ``begin`` and shared with no other export.

    Args:
        encoder: Name of a format, such as ``"csv"`` or ``"csv.gz"``, an encoder class, or an
            instance with options, which is copied.
        **options: Of the encoder's constructor; not for an instance, which has its own. Those
            that a packing does not know go to the format that it packs.

    Raises:
        UnknownNameError: there is no format of that name, or no such option.
        ConfigurationError: it is none of the three, or the class needs other options.
        MissingDependencyError: the format needs a library that is not installed.
    """
    if isinstance(encoder, str):
        return _named(encoder, options)
    if isinstance(encoder, type):
        return _with_options(encoder, options)
    if options:
        raise ConfigurationError("an encoder has its options already; pass the name of a format")
    if not all(callable(getattr(encoder, method, None)) for method in _METHODS):
        message = (
            f"an object of type {type(encoder).__name__!r} is no format; expected the name of one, "
            "an encoder class or an encoder"
        )
        raise ConfigurationError(message)
    return copy.copy(encoder)


def register_format(encoder_class: EncoderClass, *, replace: bool = False) -> EncoderClass:
    """Make a format known by its name and extension; also a class decorator.

    Args:
        encoder_class: A subclass of :class:`Encoder`, or any class with all of its members.
        replace: Whether it may take the place of another format with the same name.

    Returns:
        The class itself.

    Raises:
        ConfigurationError: a member is missing or wrong, or the name is taken.
    """
    _check_encoder_class(encoder_class)
    key = encoder_class.name.lower()
    if not replace and _FORMATS.get(key, encoder_class) is not encoder_class:
        message = (
            f"there is a format {encoder_class.name!r} already; "
            "register_format(…, replace=True) replaces it"
        )
        raise ConfigurationError(message)
    _FORMATS[key] = encoder_class
    return encoder_class


_METHODS = ("begin", "encode", "end")


def _named(name: str, options: Mapping[str, Any]) -> Encoder:
    stem, _, ending = name.lower().rpartition(".")
    if name.lower() in _FORMATS or not stem or ending not in PACKINGS:
        return _with_options(get_format(name), options)
    known = {*inspect.signature(PACKINGS[ending]).parameters} - {"inner"}
    own = {key: value for key, value in options.items() if key in known}
    inner = {key: value for key, value in options.items() if key not in known}
    return _packed(ending, make_encoder(stem, **inner), own)


def _packed(ending: str, inner: Encoder, options: Mapping[str, Any]) -> Encoder:
    signature = inspect.signature(PACKINGS[ending])
    for option, value in options.items():
        _check_type(ending, signature, option, value)
    return PACKINGS[ending](inner, **options)


def _with_options(encoder_class: type[Encoder], options: Mapping[str, Any]) -> Encoder:
    signature = inspect.signature(encoder_class)
    takes_any = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())
    for option in options:
        if option not in signature.parameters and not takes_any:
            known = signature.parameters
            raise UnknownNameError("option", option, known, f"the format {encoder_class.name}")
        _check_type(encoder_class.name, signature, option, options[option])
    try:
        signature.bind(**options)
    except TypeError as error:
        message = f"{encoder_class.__name__} cannot be made without options: {error}"
        raise ConfigurationError(message) from error
    return encoder_class(**options)


def _check_type(name: str, signature: inspect.Signature, option: str, value: Any) -> None:
    """Refuse a value of another type where the constructor names a plain one.

    The command line reads ``header=no`` as text, and text is true.
    """
    if option not in signature.parameters:
        return
    kinds = str(signature.parameters[option].annotation).split(" | ")
    types = tuple(_PLAIN_TYPES[kind] for kind in kinds if kind in _PLAIN_TYPES)
    # True is a whole number to Python, and not to people.
    if len(types) < len(kinds) or type(value) in types:
        return
    expected = " or ".join(_TYPE_WORDS[each] for each in types)
    raise ConfigurationError(f"the option {option} of {name} takes {expected}, not {value!r}")


_PLAIN_TYPES = {"bool": bool, "int": int, "str": str, "None": type(None)}
_TYPE_WORDS = {bool: "true or false", int: "a whole number", str: "text", type(None): "null"}


def _check_encoder_class(encoder_class: Any) -> None:
    if not isinstance(encoder_class, type):
        raise ConfigurationError(f"an encoder class is expected, not {encoder_class!r}")
    where = encoder_class.__name__
    if inspect.isabstract(encoder_class):
        raise ConfigurationError(f"{where} must define {', '.join(_METHODS)}")
    for method in _METHODS:
        if not callable(getattr(encoder_class, method, None)):
            raise ConfigurationError(f"{where} must have a method {method}")
    for attribute, (fits, expected) in _ATTRIBUTES.items():
        if not hasattr(encoder_class, attribute):
            message = f"{where}.{attribute} is missing; it must be {expected}"
            raise ConfigurationError(message)
        if not fits(getattr(encoder_class, attribute)):
            raise ConfigurationError(f"{where}.{attribute} must be {expected}")
    for attribute, (fits, expected) in _OPTIONAL_ATTRIBUTES.items():
        if not fits(getattr(encoder_class, attribute, getattr(Encoder, attribute))):
            raise ConfigurationError(f"{where}.{attribute} must be {expected}")


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_extension(value: Any) -> bool:
    return _is_word(value) and not value.startswith(".") and "/" not in value


def _are_kinds(value: Any) -> bool:
    return isinstance(value, frozenset) and all(isinstance(kind, Kind) for kind in value)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_limit(value: Any) -> bool:
    return value is None or (isinstance(value, int) and value > 0)


_ATTRIBUTES = {
    "name": (_is_word, "a name such as 'csv'"),
    "extension": (_is_extension, "a file extension without its dot, such as 'csv'"),
    "content_type": (_is_word, "a media type such as 'text/csv'"),
    "cells": (("text", "native").__contains__, "'text' or 'native'"),
    "natives": (_are_kinds, "a frozenset of Kind"),
    "streaming": (_is_bool, "True or False"),
    "max_rows": (_is_limit, "a number of rows above zero, or None"),
    "concatenable": (_is_bool, "True or False"),
    "offload": (_is_bool, "True or False"),
}
"""The attributes of an encoder class: what to check, and how to say it."""

_OPTIONAL_ATTRIBUTES = {
    "limits": (_is_text, "words for people, or an empty text"),
    "extra": (_is_text, "the name of an extra, or an empty text"),
    "with_titles": (_is_bool, "True or False"),
}
"""Attributes that a class which is no subclass of Encoder may leave out."""

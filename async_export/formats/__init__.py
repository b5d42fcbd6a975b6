"""The formats: one encoder per file, and a registry that third parties can add to."""

from __future__ import annotations

from async_export.formats._copy_form import CopyForm
from async_export.formats._csv import CSVEncoder
from async_export.formats._encoder import Encoder
from async_export.formats._framing import pieces_of
from async_export.formats._json import JSONEncoder
from async_export.formats._jsonl import JSONLinesEncoder
from async_export.formats._registry import (
    available_formats,
    format_for_path,
    get_format,
    make_encoder,
    register_format,
)
from async_export.formats._splicing import Splice
from async_export.formats._tsv import TSVEncoder

__all__ = (
    "CSVEncoder",
    "CopyForm",
    "Encoder",
    "JSONEncoder",
    "JSONLinesEncoder",
    "Splice",
    "TSVEncoder",
    "available_formats",
    "format_for_path",
    "get_format",
    "make_encoder",
    "pieces_of",
    "register_format",
)

for _encoder_class in (CSVEncoder, TSVEncoder, JSONEncoder, JSONLinesEncoder):
    register_format(_encoder_class)

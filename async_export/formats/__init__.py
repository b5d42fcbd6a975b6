"""The formats: one encoder per file, and a registry that third parties can add to."""

from __future__ import annotations

from async_export.formats._arrow import ArrowEncoder, ArrowStreamEncoder
from async_export.formats._arrow_cells import UUIDForm
from async_export.formats._cli import CLIEncoder
from async_export.formats._copy_form import CopyForm
from async_export.formats._csv import CSVEncoder
from async_export.formats._dbf import DBFEncoder
from async_export.formats._deflate import DeflateLibrary
from async_export.formats._encoder import Encoder, SheetEncoder, TitledEncoder
from async_export.formats._excel import ExcelCSVEncoder, ExcelTSVEncoder
from async_export.formats._formulas import FormulaGuard, FormulaPolicy
from async_export.formats._framing import pieces_of
from async_export.formats._gzip import GzipEncoder
from async_export.formats._html import HTMLEncoder
from async_export.formats._jira import JiraEncoder
from async_export.formats._json import JSONEncoder
from async_export.formats._jsonl import JSONLinesEncoder
from async_export.formats._latex import LaTeXEncoder
from async_export.formats._markdown import MarkdownEncoder
from async_export.formats._ods import ODSEncoder
from async_export.formats._packing import PackingEncoder
from async_export.formats._parquet import ParquetEncoder
from async_export.formats._registry import (
    PACKINGS,
    available_formats,
    format_for_path,
    get_format,
    make_encoder,
    register_format,
)
from async_export.formats._rst import ReSTEncoder
from async_export.formats._splicing import Splice
from async_export.formats._sql import PostgreSQLEncoder, SQLEncoder
from async_export.formats._tsv import TSVEncoder
from async_export.formats._xls import XLSEncoder
from async_export.formats._xlsx import XLSXEncoder
from async_export.formats._xlsx_cells import LongText
from async_export.formats._yaml import YAMLEncoder
from async_export.formats._zip_archive import ZipEncoder
from async_export.formats._zstd import ZstdEncoder

__all__ = (
    "PACKINGS",
    "ArrowEncoder",
    "ArrowStreamEncoder",
    "CLIEncoder",
    "CSVEncoder",
    "CopyForm",
    "DBFEncoder",
    "DeflateLibrary",
    "Encoder",
    "ExcelCSVEncoder",
    "ExcelTSVEncoder",
    "FormulaGuard",
    "FormulaPolicy",
    "GzipEncoder",
    "HTMLEncoder",
    "JSONEncoder",
    "JSONLinesEncoder",
    "JiraEncoder",
    "LaTeXEncoder",
    "LongText",
    "MarkdownEncoder",
    "ODSEncoder",
    "PackingEncoder",
    "ParquetEncoder",
    "PostgreSQLEncoder",
    "ReSTEncoder",
    "SQLEncoder",
    "SheetEncoder",
    "Splice",
    "TSVEncoder",
    "TitledEncoder",
    "UUIDForm",
    "XLSEncoder",
    "XLSXEncoder",
    "YAMLEncoder",
    "ZipEncoder",
    "ZstdEncoder",
    "available_formats",
    "format_for_path",
    "get_format",
    "make_encoder",
    "pieces_of",
    "register_format",
)

for _encoder_class in (
    CSVEncoder,
    TSVEncoder,
    JSONEncoder,
    JSONLinesEncoder,
    XLSXEncoder,
    ODSEncoder,
    HTMLEncoder,
    MarkdownEncoder,
    YAMLEncoder,
    SQLEncoder,
    PostgreSQLEncoder,
    ParquetEncoder,
    ArrowEncoder,
    ArrowStreamEncoder,
    ExcelCSVEncoder,
    ExcelTSVEncoder,
    XLSEncoder,
    ReSTEncoder,
    LaTeXEncoder,
    JiraEncoder,
    CLIEncoder,
    DBFEncoder,
):
    register_format(_encoder_class)

"""CSV and TSV for Excel: with a byte order mark, all cells quoted, formulas disarmed."""

from __future__ import annotations

import csv

from async_export.formats._csv import CSVEncoder
from async_export.formats._formulas import FormulaPolicy
from async_export.formats._tsv import TSVEncoder

__all__ = ("ExcelCSVEncoder", "ExcelTSVEncoder")


class ExcelCSVEncoder(CSVEncoder):
    """CSV that Excel and LibreOffice open well, and that is safe there: `CSVEncoder.excel`.

    Args:
        delimiter: What stands between cells; Excel expects a semicolon in most of Europe.
        quotechar: As for CSV, like all that follow.
        quoting: When to quote.
        lineterminator: What ends a line.
        encoding: Name of a text codec.
        bom: Whether to start with a byte order mark.
        header: Whether to write the line of headers.
        formula_policy: What to do with text that a spreadsheet would take for a formula.

    Raises:
        ConfigurationError: an option has no meaning, or the encoding cannot write it.
    """

    name = "csv-excel"

    def __init__(
        self,
        *,
        delimiter: str = ",",
        quotechar: str | None = '"',
        quoting: int = csv.QUOTE_ALL,
        lineterminator: str = "\r\n",
        encoding: str = "utf-8",
        bom: bool = True,
        header: bool = True,
        formula_policy: FormulaPolicy = "escape",
    ) -> None:
        super().__init__(
            delimiter=delimiter,
            quotechar=quotechar,
            quoting=quoting,
            lineterminator=lineterminator,
            encoding=encoding,
            bom=bom,
            header=header,
            formula_policy=formula_policy,
        )


class ExcelTSVEncoder(TSVEncoder):
    """TSV that Excel and LibreOffice open well, and that is safe there: `TSVEncoder.excel`.

    Args:
        delimiter: What stands between cells.
        quotechar: As for CSV, like all that follow.
        quoting: When to quote.
        lineterminator: What ends a line.
        encoding: Name of a text codec.
        bom: Whether to start with a byte order mark.
        header: Whether to write the line of headers.
        formula_policy: What to do with text that a spreadsheet would take for a formula.

    Raises:
        ConfigurationError: an option has no meaning, or the encoding cannot write it.
    """

    name = "tsv-excel"

    def __init__(
        self,
        *,
        delimiter: str = "\t",
        quotechar: str | None = '"',
        quoting: int = csv.QUOTE_ALL,
        lineterminator: str = "\r\n",
        encoding: str = "utf-8",
        bom: bool = True,
        header: bool = True,
        formula_policy: FormulaPolicy = "escape",
    ) -> None:
        super().__init__(
            delimiter=delimiter,
            quotechar=quotechar,
            quoting=quoting,
            lineterminator=lineterminator,
            encoding=encoding,
            bom=bom,
            header=header,
            formula_policy=formula_policy,
        )

"""TSV: CSV with tabs."""

from __future__ import annotations

import csv

from async_export.formats._csv import CSVEncoder
from async_export.formats._formulas import FormulaPolicy

__all__ = ("TSVEncoder",)


class TSVEncoder(CSVEncoder):
    """Tab-separated values; with the default options, byte for byte tablib's ``tsv`` export.

    Cells with tabs or line breaks are quoted as in CSV, not escaped with backslashes.

    Args:
        delimiter: What stands between cells, one character.
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

    name = "tsv"
    extension = "tsv"
    content_type = "text/tab-separated-values; charset=utf-8"

    def __init__(
        self,
        *,
        delimiter: str = "\t",
        quotechar: str | None = '"',
        quoting: int = csv.QUOTE_MINIMAL,
        lineterminator: str = "\r\n",
        encoding: str = "utf-8",
        bom: bool = False,
        header: bool = True,
        formula_policy: FormulaPolicy = "raw",
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

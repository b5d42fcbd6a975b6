"""The styles of a workbook: number formats, bold, and lines that wrap."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import quoteattr

from async_export.formats._xml_text import legal

__all__ = ("Styles",)

_FIRST_OWN_FORMAT: Final = 164
"""Number formats below are Excel's own."""

_NAMESPACE: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


class Styles:
    """Gives every style a number, and makes the part of the workbook that defines them."""

    def __init__(self) -> None:
        self._formats: dict[str, int] = {}
        self._styles: dict[tuple[int, bool, bool], int] = {(0, False, False): 0}

    def add(self, number_format: str | None, *, bold: bool, wrap: bool) -> int:
        """Give the number of a style; 0 is the default one.

        Args:
            number_format: Number format, such as ``"0.00"``; None for the general one.
            bold: Whether the font is bold.
            wrap: Whether lines break.
        """
        number = 0
        if number_format is not None:
            number = self._formats.setdefault(
                legal(number_format), _FIRST_OWN_FORMAT + len(self._formats)
            )
        return self._styles.setdefault((number, bold, wrap), len(self._styles))

    def xml(self) -> str:
        """Give the part ``xl/styles.xml``."""
        formats = "".join(
            f'<numFmt numFmtId="{number}" formatCode={quoteattr(code)}/>'
            for code, number in self._formats.items()
        )
        if formats:
            formats = f'<numFmts count="{len(self._formats)}">{formats}</numFmts>'
        styles = "".join(_style(*each) for each in self._styles)
        font = '<sz val="11"/><name val="Calibri"/><family val="2"/>'
        return (
            '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
            f'<styleSheet xmlns="{_NAMESPACE}">{formats}'
            f'<fonts count="2"><font>{font}</font><font><b/>{font}</font></fonts>'
            '<fills count="2"><fill><patternFill patternType="none"/></fill>'
            '<fill><patternFill patternType="gray125"/></fill></fills>'
            '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border>'
            "</borders>"
            '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/>'
            "</cellStyleXfs>"
            f'<cellXfs count="{len(self._styles)}">{styles}</cellXfs>'
            '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
            "</styleSheet>"
        )


def _style(number_format: int, bold: bool, wrap: bool) -> str:
    applied = ' applyNumberFormat="1"' if number_format else ""
    applied += ' applyFont="1"' if bold else ""
    applied += ' applyAlignment="1"' if wrap else ""
    inside = '><alignment vertical="top" wrapText="1"/></xf>' if wrap else "/>"
    return (
        f'<xf numFmtId="{number_format}" fontId="{int(bold)}" fillId="0" borderId="0" xfId="0"'
        f"{applied}{inside}"
    )

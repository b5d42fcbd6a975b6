"""An explanation on a terminal, in colours; elsewhere as plain text."""

from __future__ import annotations

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from async_export.explain import Explanation

__all__ = ("print_explanation",)

_STYLES = {"server": "green", "rows": "yellow", "instances": "red"}
"""The cheaper the strategy, the greener."""


def print_explanation(explained: Explanation, console: Console | None = None) -> None:
    """Print *explained*.

    Args:
        explained: What to print.
        console: Where to; by default stdout.
    """
    console = console or Console()
    if not console.is_terminal:
        console.print(str(explained), markup=False, highlight=False, soft_wrap=True)
        return
    style = _STYLES.get(explained.strategy, "")
    console.print(Text("strategy:  ").append(explained.strategy, style))
    console.print(Text("transport: ").append(explained.transport, style))
    for reason in explained.reasons:
        console.print(Text(f"because:   {reason}", "dim"))
    for cure in explained.cures:
        console.print(Text("cure:      ").append(cure, "cyan"))
    for name in explained.unlocked:
        console.print(Text(f"unlocked:  {name}", "yellow"))
    table = Table("field", "header", "rendered by", "why", "reads")
    for each in explained.fields:
        by = Text(each.rendered_by, "green" if each.rendered_by == "PostgreSQL" else "yellow")
        table.add_row(Text(each.name), Text(each.header), by, each.why, ", ".join(each.reads))
    console.print(table)
    if explained.sql:
        console.print(Syntax(explained.sql, "sql", word_wrap=True, background_color="default"))
    if explained.analysis:
        console.print(Text(explained.analysis, "dim"))

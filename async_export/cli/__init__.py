"""The command line: ``async-export run``, ``table``, ``query``, ``explain``, ``formats``, ``demo``.

Exit codes: 0 success, 1 the export failed, 2 usage or configuration, 130 interrupted.
"""

from __future__ import annotations

from async_export.cli.app import run

__all__ = ("run",)

"""The command line: ``async-export run``, ``table``, ``query``, ``explain``, ``verify`` and others.

What it exits with is told in :mod:`async_export.cli.codes`, and by ``async-export --help``.
"""

from __future__ import annotations

from async_export.cli.app import run

__all__ = ("run",)

"""Exports over HTTP, for Starlette, FastAPI and whatever else is built on Starlette."""

from __future__ import annotations

from async_export.errors import MissingDependencyError

try:
    from async_export.web._response import ExportResponse
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "starlette":
        raise
    raise MissingDependencyError("ExportResponse", "web") from error

__all__ = ("ExportResponse",)

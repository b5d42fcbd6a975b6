"""Declarative, streaming exports of SQLAlchemy models for async Python."""

from __future__ import annotations

from async_export.errors import (
    ConfigurationError,
    ConflictError,
    ConnectionLostError,
    DiskFullError,
    EncodeError,
    ExportError,
    ExportStateError,
    FormatLimitError,
    LimitError,
    MissingDependencyError,
    PoolExhaustedError,
    RowError,
    SinkError,
    SourceError,
    SourceTimeoutError,
    UnknownNameError,
    UnrepresentableValueError,
)
from async_export.explain import Explanation
from async_export.fields import Field, depends
from async_export.formats import Encoder, available_formats, get_format, register_format
from async_export.hooks import maybe_await
from async_export.options import ResourceOptions
from async_export.resources import ModelResource, Resource, resource_factory
from async_export.results import ExportResult, Progress, WorkbookResult
from async_export.streams import ExportStream
from async_export.verify import Finding, Verification, verify_export
from async_export.version import VERSION
from async_export.workbooks import WorkbookStream, export_workbook, stream_workbook

__all__ = (
    "ConfigurationError",
    "ConflictError",
    "ConnectionLostError",
    "DiskFullError",
    "EncodeError",
    "Encoder",
    "Explanation",
    "ExportError",
    "ExportResult",
    "ExportStateError",
    "ExportStream",
    "Field",
    "Finding",
    "FormatLimitError",
    "LimitError",
    "MissingDependencyError",
    "ModelResource",
    "PoolExhaustedError",
    "Progress",
    "Resource",
    "ResourceOptions",
    "RowError",
    "SinkError",
    "SourceError",
    "SourceTimeoutError",
    "UnknownNameError",
    "UnrepresentableValueError",
    "Verification",
    "WorkbookResult",
    "WorkbookStream",
    "available_formats",
    "depends",
    "export_workbook",
    "get_format",
    "maybe_await",
    "register_format",
    "resource_factory",
    "stream_workbook",
    "verify_export",
)

__version__ = VERSION

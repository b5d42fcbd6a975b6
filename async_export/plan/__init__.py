"""The plan: resource, queryset and format, compiled once for one export."""

from __future__ import annotations

from async_export.plan._compile import compile_plan
from async_export.plan._plan import CellSpec, Plan, PlannedField

__all__ = ("CellSpec", "Plan", "PlannedField", "compile_plan")

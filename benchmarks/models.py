"""The items as SQLAlchemy's mapped classes."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Double,
    Integer,
    Numeric,
    String,
    Text,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeEngine

from benchmarks.tables import COLUMNS, column_names, plain_name

__all__ = ("item_model",)

_TYPES: dict[str, TypeEngine[Any]] = {
    "name": Text(),
    "category": String(20),
    "price": Numeric(12, 2),
    "ratio": Double(),
    "active": Boolean(),
    "born": Date(),
    "created": DateTime(timezone=True),
    "code": Uuid(),
    "quantity": Integer(),
    "note": Text(),
}


@cache
def item_model(columns: int = COLUMNS) -> Any:
    """Map the first *columns* columns of the items."""

    class Base(DeclarativeBase):
        """A registry for this one class."""

    members: dict[str, Any] = {
        name: mapped_column(_TYPES[plain_name(name)]) for name in column_names(columns)[1:]
    }
    members["id"] = mapped_column(BigInteger, primary_key=True, autoincrement=False, sort_order=-1)
    return type("Item", (Base,), {"__tablename__": "items", **members})

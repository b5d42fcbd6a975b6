"""What a hook reads of its row, found in its bytecode.

CPython reads an argument by pushing it on the stack: ``row.author.name`` is LOAD_FAST row,
LOAD_ATTR author, LOAD_ATTR name, and LOAD_ATTR puts the attribute in the place of the object.
Neither loading a local variable nor reading an attribute jumps, so what comes next in the code
is what happens next to the object. If after every mention of the row comes the reading of an
attribute, and so on until the value of a column, then the hook never holds a row: all that it
has are values of columns. Where jumps lead cannot matter.
"""

from __future__ import annotations

import dis
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from types import CodeType, FunctionType, MethodType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, Table
from sqlalchemy.orm import (
    ColumnProperty,
    InstrumentedAttribute,
    Mapper,
    MapperProperty,
    RelationshipProperty,
)
from sqlalchemy.types import TypeEngine

__all__ = ("infer_reads", "suggest_reads")

_KNOWN: Final = sys.implementation.name == "cpython" and sys.version_info < (3, 15)
"""Whether this is an interpreter whose bytecode was looked at."""

_LOADS: Final = {
    "LOAD_FAST",
    "LOAD_FAST_LOAD_FAST",
    "STORE_FAST_LOAD_FAST",
    "LOAD_FAST_BORROW",
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW",
}
"""Instructions that leave the last variable that they name on top of the stack."""

_NONE_TEST: Final = re.compile(
    r"POP_JUMP_(FORWARD_|BACKWARD_)?IF_(NOT_)?NONE\b|LOAD_CONST None IS_OP\b"
)
_TRUTH_TEST: Final = re.compile(
    r"(TO_BOOL )?(POP_JUMP_(FORWARD_|BACKWARD_)?IF_(TRUE|FALSE)|UNARY_NOT)\b"
    # `row.author and ...`: what stays on the stack is false, hence None.
    r"|JUMP_IF_FALSE_OR_POP\b|COPY 1 (TO_BOOL )?POP_JUMP_IF_FALSE (NOT_TAKEN )?POP_TOP\b"
)
"""What may come after a relation: tests that drop it."""

_UNFIT: Final = (
    inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
)
"""Flags of functions that may read more of their arguments, or later."""

_FRAME_READERS: Final = {
    "locals",
    "vars",
    "dir",
    "eval",
    "exec",
    "globals",
    "super",
    "breakpoint",
    "f_locals",
    "_getframe",
    "currentframe",
}
"""Names of what reads the variables of a function without naming them in its bytecode."""

_IMMUTABLE: Final = (str, bytes, int, float, Decimal, date, time, timedelta, UUID, Enum)
"""Types of values that a hook cannot change for others that read the same object."""


def infer_reads(hook: Callable[..., Any], mapper: Mapper[Any]) -> tuple[str, ...] | None:
    """Give the attribute paths that *hook* reads of its one argument.

    A relation that is only tested (``if row.author``) counts as a path of its own.

    Args:
        hook: What is called with a row: a function or a bound method.
        mapper: Mapper of the rows.

    Returns:
        The paths in order of appearance, none twice; None if the hook, or what is mapped, leaves
        any doubt that a light row with these paths gives the same as the mapped object.
    """
    is_method = type(hook) is MethodType
    function: Any = hook.__func__ if is_method else hook  # type: ignore[attr-defined]
    # Not isinstance: an object may pretend to be a function.
    if not _KNOWN or type(function) is not FunctionType:
        return None
    mapper.registry.configure(cascade=True)
    row = _argument(function, position=int(is_method))
    if row is None or not _is_plain(mapper) or _FRAME_READERS & set(_names(function.__code__)):
        return None
    instructions = list(dis.get_instructions(function.__code__))
    paths: list[str] = []
    for position, each in enumerate(instructions, start=1):
        if not _mentions(each, row):
            continue
        path = _path(instructions[position:], mapper) if _is_load(each, row) else None
        if path is None:
            return None
        paths.append(path)
    return tuple(dict.fromkeys(paths))


def _argument(function: FunctionType, position: int) -> str | None:
    """Name the argument at *position*; None if it is not the only one that a call must give."""
    code = function.__code__
    optional = len(function.__defaults__ or ())
    keywords = len(function.__kwdefaults__ or ())
    fits = code.co_argcount - optional <= position + 1 <= code.co_argcount
    if not fits or code.co_flags & _UNFIT or keywords != code.co_kwonlyargcount:
        return None
    return code.co_varnames[position]


def _names(code: CodeType) -> Iterator[str]:
    """Give the names of globals and attributes in *code* and the functions inside it."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)


def _mentions(each: dis.Instruction, row: str) -> bool:
    """Tell whether an instruction, known or not, has to do with the variable *row*.

    If a function inside captures it, MAKE_CELL does.
    """
    if each.opcode in dis.hasname or each.opcode in dis.hasconst:
        return False  # a global, an attribute or a string that is called the same
    return row == each.argval or (isinstance(each.argval, tuple) and row in each.argval)


def _is_load(each: dis.Instruction, row: str) -> bool:
    """Tell whether an instruction puts *row* on top of the stack, and nowhere else."""
    *others, last = each.argval if isinstance(each.argval, tuple) else (each.argval,)
    return each.opname in _LOADS and last == row and row not in others


def _path(following: Sequence[dis.Instruction], mapper: Mapper[Any]) -> str | None:
    """Give the path that is read of the object on top of the stack."""
    steps: list[str] = []
    for position, each in enumerate(following, start=1):
        # Where LOAD_ATTR gets a method to call, it is shown with more than the name.
        if each.opname != "LOAD_ATTR" or each.argrepr != each.argval:
            return None
        steps.append(each.argval)
        found = _property(mapper, each.argval)
        if isinstance(found, ColumnProperty):
            return ".".join(steps) if _is_plain_column(found) else None
        if not isinstance(found, RelationshipProperty) or not _is_plain_relation(found):
            return None
        mapper = found.mapper
        if _is_test(following[position:], mapper.class_):
            return ".".join(steps)
    return None


def _is_test(following: Sequence[dis.Instruction], related: type) -> bool:
    shown = " ".join(
        f"{each.opname} {each.argrepr or each.arg}"
        if each.opname in {"LOAD_CONST", "COPY"}
        else each.opname
        for each in following[:5]
    )
    # A light row is always true.
    is_true = not hasattr(related, "__bool__") and not hasattr(related, "__len__")
    return bool(_NONE_TEST.match(shown) or (is_true and _TRUTH_TEST.match(shown)))


def suggest_reads(hook: Callable[..., Any], mapper: Mapper[Any]) -> tuple[str, ...]:
    """Guess the paths that *hook* reads, by the names in its code; for people to check.

    Args:
        hook: A hook of which `infer_reads` is in doubt.
        mapper: Mapper of what it receives.
    """
    code = getattr(hook, "__code__", None)
    names = [] if code is None else list(dict.fromkeys(_names(code)))
    paths: list[str] = []
    for name in names:
        found = mapper.attrs.get(name)
        if isinstance(found, ColumnProperty):
            paths.append(name)
        elif isinstance(found, RelationshipProperty) and not found.uselist:
            columns = found.mapper.column_attrs.keys()
            paths += [f"{name}.{each}" for each in names if each in columns and each != "id"]
    return tuple(paths)


def _property(mapper: Mapper[Any], name: str) -> MapperProperty[Any] | None:
    """Give what is mapped under *name*, unless the class reads it in a way of its own."""
    own = inspect.getattr_static(mapper.class_, name, None)
    # As a path `a__b` would mean `a.b`.
    if name.startswith("_") or "__" in name or type(own) is not InstrumentedAttribute:
        return None
    found: MapperProperty[Any] | None = mapper.attrs.get(name)
    return found


def _is_plain_column(found: ColumnProperty[Any]) -> bool:
    """Tell whether an attribute is a column of a table whose values nobody can change."""
    column = found.columns[0]
    if len(found.columns) > 1 or not isinstance(column, Column):
        return False
    return isinstance(column.table, Table) and _is_immutable(column.type)


def _is_immutable(sqltype: TypeEngine[Any]) -> bool:
    try:
        return issubclass(sqltype.python_type, _IMMUTABLE)
    except NotImplementedError:
        return False


def _is_plain_relation(found: RelationshipProperty[Any]) -> bool:
    """Tell whether a relation leads to the row with a primary key, under no other condition."""
    # The name is private; where it is missing, the relation leaves a doubt.
    by_key = getattr(found, "_use_get", False) and found.lazy != "noload"
    return by_key and not found.uselist and _is_plain(found.mapper)


def _is_plain(mapper: Mapper[Any]) -> bool:
    """Tell whether loading and reading an object runs no code of the user's."""
    cls: Any = mapper.class_
    events = mapper.class_manager.dispatch
    is_polymorphic = mapper.polymorphic_on is not None or len(list(mapper.self_and_descendants)) > 1
    is_own = cls.__getattribute__ is not object.__getattribute__ or hasattr(cls, "__getattr__")
    return not (is_polymorphic or is_own or events.load or events.refresh)

"""Faults of a disk: system calls of a file's publishing that fail, wait or kill the process."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import Integer, String

from async_export import Field, Resource, hidden_files

__all__ = ("FORMATS", "ROWS", "ThingResource", "descriptors", "failing_with", "system_calls")

NAMES = (
    *("open", "write", "close", "dup", "fsync", "fstat", "fchmod", "fchown"),
    *("stat", "listdir", "link", "replace", "unlink"),
)
"""The functions of ``os`` that can fail while a file is published."""

Fault: TypeAlias = Callable[[str, Callable[[], Any]], Any]
"""What happens instead of a call: gets its name, and a function that makes it."""

FORMATS = ("csv", "xlsx", "parquet")

ROWS = [{"id": number, "title": f"title {number:x}"} for number in range(400)]


class ThingResource(Resource):
    """An export without a database, in several chunks."""

    id = Field(type=Integer())
    title = Field(type=String())

    class Meta:
        """Its options."""

        chunk_size = 2048


class Calls(list[str]):
    """The names of the calls that were made, of which one may have met the fault.

    Attributes:
        hit: The name of the call that did; None if there were not so many calls.
    """

    hit: str | None = None


@contextmanager
def system_calls(
    number: int = 0, fault: Fault | None = None, only: str | None = None
) -> Iterator[Calls]:
    """Count what the module that publishes files asks of the system, and let one call meet a fault.

    Calls of any other module are left alone.

    Args:
        number: Which call, from 1; by default none.
        fault: What happens instead.
        only: The name of the only function to count.
    """
    calls = Calls()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if not _is_ours() or only not in {None, name}:
                return function(*arguments, **options)
            calls.append(name)
            if fault is None or len(calls) != number:
                return function(*arguments, **options)
            calls.hit = name
            return fault(name, lambda: function(*arguments, **options))

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.setattr(os, name, counted(name, getattr(os, name)))
        patch.setattr(fcntl, "flock", counted("flock", fcntl.flock))
        yield calls


def _is_ours() -> bool:
    """Tell whether the module that publishes files makes the call, be it by way of a Path."""
    frame = sys._getframe(2)
    while frame.f_back is not None and "pathlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return frame.f_code.co_filename == hidden_files.__file__


def failing_with(error: OSError) -> Fault:
    """Make the fault that a call fails with *error*."""

    def fail(name: str, call: Callable[[], Any]) -> Any:
        if name == "close":
            call()  # it is closed all the same, as Linux has it
        raise error

    return fail


def descriptors() -> int:
    """Count the files that this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())

"""Libraries that only some installations have."""

from __future__ import annotations

from importlib.util import find_spec

from async_export.errors import MissingDependencyError

__all__ = ("require",)


def require(library: str, what: str, extra: str) -> None:
    """Make sure that a library is installed.

    It is not imported here, in the event loop, but where it is first used: that may take long.

    Args:
        library: Name of the package to import.
        what: What needs it, for people.
        extra: The extra of async_export that brings it.

    Raises:
        MissingDependencyError: it is not installed.
    """
    if find_spec(library) is None:
        raise MissingDependencyError(what, extra)

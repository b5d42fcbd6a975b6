"""``python -m async_export``, and the command ``async-export``."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from async_export.errors import MissingDependencyError

__all__ = ("main",)


def main() -> None:
    """Run the command line, and exit with its code."""
    if not all(map(find_spec, ("typer", "rich"))):
        error = MissingDependencyError("the command line", "cli")
        print(f"async-export: error: {error}", file=sys.stderr)  # noqa: T201 - a command prints
        sys.exit(2)
    try:
        from async_export.cli import run

        sys.exit(run())
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

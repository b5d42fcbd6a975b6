"""A program that exports in child processes, one at a time, for tests that send them signals.

It imports everything once, for a fork takes a hundredth of the time of a new interpreter. Each line
that it reads is a JSON object: how to export, and what. It answers with the number of the child,
and then with its exit code, negative for the signal that killed it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys

import anyio._backends._asyncio  # noqa: F401 - once, before the forks
from sqlalchemy import text

import async_export.cli  # noqa: F401 - once, before the forks
from async_export import Resource
from async_export.__main__ import main
from async_export.urls import engine_from_url


class QueryResource(Resource):
    """Exports a query."""

    class Meta:
        """Its options."""

        fields = "__all__"


def command(url: str, sql: str, path: str) -> None:
    """Export as the command line does."""
    sys.argv = ["async-export", "query", sql, "--db", url, "-o", path]
    main()


def script(url: str, sql: str, path: str) -> None:
    """Export as a script does that knows nothing of signals."""

    async def export() -> None:
        engine = engine_from_url(url)
        await QueryResource(engine).export_to(path, queryset=text(sql))
        await engine.dispose()

    asyncio.run(export())


def serve() -> None:
    """Start a child for each line."""
    gc.freeze()  # or each child would copy all modules when it collects
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            # Python ignores what a signal raises while it puts a child in order.
            print(os.getpid(), flush=True)  # noqa: T201 - the answer
            break
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer
    else:
        return
    # The child leaves through the end of the program, as any program does.
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.dup2(0, 2)
    {"command": command, "script": script}[asked.pop("how")](**asked)


if __name__ == "__main__":
    serve()

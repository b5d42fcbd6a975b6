"""``python -m benchmarks.worker JOB PATH``: run one case in this process, and tell as JSON.

Imports, connecting and the export of a few rows come first; they are not measured.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from benchmarks.case import Case, Job, Ready, Told
from benchmarks.counting import count_records
from benchmarks.measure import Stopwatch, Ticker, memory, quantile

__all__ = ("find_case", "run")

_WARM_ROWS: Final = 100

QUANTILES: Final = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}


def find_case(key: str) -> Case:
    """Find a case, and import nothing that it does not need: that would count as its memory."""
    for name in ("peers", "writer_peers", "writers", "cases"):
        cases: Mapping[str, Case] = import_module(f"benchmarks.{name}").CASES
        if key in cases:
            return cases[key]
    raise KeyError(key)


def run(job: Job, path: Path) -> dict[str, Any]:
    """Run a case once, and give what was measured."""
    case = find_case(job.case)
    for name in case.modules:
        import_module(name)
    imported = memory().now
    opened = case.open(job)
    if isinstance(opened, AbstractAsyncContextManager):
        measured = asyncio.run(_run_async(opened, job, path))
    else:
        measured = _run_sync(opened, job, path)
    # Another process that does the work has a base of its own.
    base = measured.pop("base", imported)
    if base is not None and measured["peak"] is not None:
        measured["above"] = measured["peak"] - base
    if path.exists():
        measured["bytes"] = path.stat().st_size
        with path.open("rb") as file:
            measured["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        if case.file == "own":
            measured["counted"] = count_records(path, case.format or "csv")
    return measured


def _run_sync(opened: AbstractContextManager[Ready], job: Job, path: Path) -> dict[str, Any]:
    with opened as ready:
        ready.export(_WARM_ROWS, path)
        base = {} if ready.pid is None else {"base": memory(ready.pid).now}
        with Stopwatch(ready.pid) as watch:
            told = ready.export(job.limit, path)
            _sync(path)
        return _measured(watch, told, ready) | base


async def _run_async(
    opened: AbstractAsyncContextManager[Ready], job: Job, path: Path
) -> dict[str, Any]:
    async with opened as ready:
        await ready.export(_WARM_ROWS, path)
        more: dict[str, Any] = {}
        ticker = Ticker()
        if job.suite == "watch" and ready.first is not None:
            more["first"] = await ready.first()
        if job.suite == "watch":
            async with ticker:
                watch, told = await _export(ready, job, path)
            delays = sorted(ticker.delays)
            more |= {name: quantile(delays, share) for name, share in QUANTILES.items()}
        else:
            watch, told = await _export(ready, job, path)
        return _measured(watch, told, ready) | more


async def _export(ready: Ready, job: Job, path: Path) -> tuple[Stopwatch, Told]:
    with Stopwatch() as watch:
        told: Told = await ready.export(job.limit, path)
        await asyncio.to_thread(_sync, path)
    return watch, told


def _sync(path: Path) -> None:
    """Bring the file to the disk: ours are there when the export ends, so the others' must be."""
    if path.exists():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _measured(watch: Stopwatch, told: Told, ready: Ready) -> dict[str, Any]:
    return {
        "seconds": watch.seconds,
        "cpu": watch.cpu,
        "rows": told.rows,
        "how": told.how,
        "first_share": told.first_share,
        "peak": memory(ready.pid).peak,
    }


if __name__ == "__main__":
    print(json.dumps(run(Job(**json.loads(sys.argv[1])), Path(sys.argv[2]))))

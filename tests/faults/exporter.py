"""A program that exports in child processes, for tests that kill these.

It imports everything once; forking takes a hundredth of the time of a new interpreter. Each
line that it reads is a JSON object, the keywords of `export`. It answers with two: the number of
the child; then, when that has ended, what it told and the number of the signal that killed it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Self

from disk import FORMATS, ROWS, ThingResource, system_calls

import async_export
from async_export import SinkError, hidden_files, sinks

__all__ = ("Exporter",)


class Exporter:
    """The program, seen from the test."""

    def __enter__(self) -> Self:
        self._program = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(async_export.__path__[0]).parent)},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._program.communicate(timeout=10)

    def start(self, target: Path, **options: Any) -> int:
        """Start an export in a child process, and give its number."""
        assert self._program.stdin is not None
        print(json.dumps({"target": str(target), **options}), file=self._program.stdin, flush=True)
        number: int = self._answer()
        return number

    def end(self) -> tuple[Any, int]:
        """Wait for its end; give what it told, None if nothing, and the signal that killed it."""
        told, killed_by = self._answer()
        return told, killed_by

    def run(self, target: Path, **options: Any) -> tuple[Any, int]:
        """Do both."""
        self.start(target, **options)
        return self.end()

    def _answer(self) -> Any:
        assert self._program.stdout is not None
        return json.loads(self._program.stdout.readline())


async def export(
    target: str,
    *,
    overwrite: bool = True,
    is_named: bool = False,
    kill_at: int | None = None,
    file_limit: int | None = None,
    is_endless: bool = False,
) -> dict[str, Any]:
    """Export, and tell what happened.

    Args:
        target: The file.
        overwrite: Whether to replace one that is there.
        is_named: Whether to do without files that have no name.
        kill_at: The system call instead of which the process is killed.
        file_limit: How many bytes this process may write to a file.
        is_endless: Whether to remove the file and export again, until somebody kills the process.
    """
    sinks.WRITE_BYTES = 2048
    if is_named:
        hidden_files.O_TMPFILE = 0
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, resource.RLIM_INFINITY))
    told: dict[str, Any] = {"error": None, "errno": None}
    with system_calls(kill_at or 0, lambda *_: os.kill(os.getpid(), signal.SIGKILL)):
        for _ in itertools.count() if is_endless else range(1):
            if is_endless:
                Path(target).unlink(missing_ok=True)  # noqa: ASYNC240 - nothing else runs
            try:
                await ThingResource().export_to(target, queryset=ROWS, overwrite=overwrite)
            except SinkError as error:
                told = {"error": type(error).__name__, "errno": error.errno}
    return told


def main() -> None:
    """Serve the tests until they close stdin."""
    _import_all()
    for line in sys.stdin:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(writer, json.dumps(asyncio.run(export(**json.loads(line)))).encode())
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                os._exit(0)
        os.close(writer)
        _tell(child)
        with os.fdopen(reader) as pipe:
            told = pipe.read()
        _, status = os.waitpid(child, 0)
        _tell([json.loads(told or "null"), os.WTERMSIG(status)])


def _import_all() -> None:
    """Export once in each format, as some modules are imported then; leave no thread behind."""
    for name in FORMATS:
        asyncio.run(ThingResource().export_to([].append, name, ROWS))
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()


def _tell(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
    os._exit(0)  # without waiting for libraries to tidy up

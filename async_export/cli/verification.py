"""What ``verify`` finds and prints."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from async_export.cli.notices import notice
from async_export.manifests import Manifest
from async_export.verify import Verification, verify_export

__all__ = ("verify_files",)


def verify_files(paths: Sequence[str], *, as_json: bool) -> bool:
    """Verify files, print a line of each, and tell whether all are as they were written.

    Args:
        paths: The files.
        as_json: Whether the lines are JSON objects, also of files with findings; these have a
            line on stderr for each finding otherwise.
    """
    is_all_well = True
    for path in paths:
        verified = asyncio.run(verify_export(path))
        is_all_well = is_all_well and verified.ok
        if as_json:
            print(json.dumps(_told(verified)))  # noqa: T201 - a command prints
        else:
            _print(verified)
    return is_all_well


def _print(verified: Verification) -> None:
    for finding in verified.findings:
        notice(f"{verified.path}: {finding.code}: {finding.message}")
    if verified.ok and verified.manifest is not None:
        line = f"{verified.path}: {_described(verified.manifest)}"
        encoding = sys.stdout.encoding or "utf-8"
        # A file's name may hold what is no character there.
        shown = line.encode(encoding, "backslashreplace").decode(encoding)
        print(shown)  # noqa: T201 - a command prints


def _described(manifest: Manifest) -> str:
    stopped = f", where {manifest.stopped} stopped it" if manifest.stopped else ""
    skipped = f", {manifest.skipped:,} skipped" if manifest.skipped else ""
    return f"{manifest.rows:,} rows{skipped}, {manifest.bytes:,} bytes, as written{stopped}"


def _told(verified: Verification) -> dict[str, Any]:
    manifest = verified.manifest
    return {
        "file": verified.path,
        "ok": verified.ok,
        "rows": manifest and manifest.rows,
        "bytes": manifest and manifest.bytes,
        "findings": [asdict(each) for each in verified.findings],
    }

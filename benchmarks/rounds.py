"""Rounds: every job in turn, each in a process of its own, then all of them again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.case import Job
from benchmarks.results import CASES, Sample
from benchmarks.tables import ROOT

__all__ = ("run_rounds",)

_SECONDS: Final = 900
"""What hangs is given up after that."""


def run_rounds(jobs: Sequence[Job], rounds: int, folder: Path) -> list[Sample]:
    """Run all jobs, as often as each is to run.

    A job that fails is not tried again.

    Args:
        jobs: What to run, in this order.
        rounds: How often.
        folder: Where the files are written; each is removed again.
    """
    samples: list[Sample] = []
    failed: set[Job] = set()
    for number in range(rounds):
        for job in jobs:
            if job in failed or number >= (CASES[job.case].most_rounds or rounds):
                continue
            sample = _run(job, number, folder / f"{job.case}.out")
            samples.append(sample)
            if sample.error:
                failed.add(job)
            told = sample.error or f"{sample.seconds:.3f} s"
            name = f"{CASES[job.case].name}, {job.rows:,} rows"
            print(f"round {number + 1} of {rounds}: {name}: {told}", file=sys.stderr)
    return samples


def _run(job: Job, number: int, path: Path) -> Sample:
    command = [sys.executable, "-m", "benchmarks.worker", json.dumps(asdict(job)), str(path)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return Sample(job=job, round=number, error=f"gave up after {_SECONDS} s")
    finally:
        path.unlink(missing_ok=True)
    if done.returncode:
        reason = next(reversed(done.stderr.strip().splitlines()), "")
        return Sample(job=job, round=number, error=f"exit code {done.returncode}: {reason}")
    return Sample(job=job, round=number, **json.loads(done.stdout.splitlines()[-1]))

"""What was measured, and what can be asked about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal, TypeAlias

from benchmarks.case import Case, FileKey, Job
from benchmarks.cases import CASES as EXPORTS
from benchmarks.peers import CASES as PEERS
from benchmarks.writer_peers import CASES as WRITER_PEERS
from benchmarks.writers import CASES as WRITERS

__all__ = ("CASES", "FORMATS", "Results", "Sample", "is_ours")

_OURS: Mapping[str, Case] = {**EXPORTS, **WRITERS}

CASES: Mapping[str, Case] = {**_OURS, **PEERS, **WRITER_PEERS}
"""All cases by key."""

FORMATS: Sequence[str] = tuple(
    dict.fromkeys(["", *(case.format for case in (*WRITERS.values(), *EXPORTS.values()))])
)
"""The formats that are compared, in the order in which they are told of; "" is for none."""

Quantity: TypeAlias = Literal[
    "seconds",
    "cpu",
    "peak",
    "above",
    "bytes",
    "first",
    "first_share",
    "p50",
    "p99",
    "p999",
    "max",
]


def is_ours(case: str) -> bool:
    """Tell whether it is a case of async_export's."""
    return case in _OURS


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of one job.

    Attributes:
        job: What was to be done.
        round: In which round.
        error: Why it failed; empty if it did not.
        rows: Rows that it told of.
        counted: Records that were found in a file of an unknown form.
        how: Strategy and transport.
        seconds: What the export took.
        cpu: Seconds of the client's processor.
        peak: The most bytes that the process had.
        above: Those of them that were not there after the imports.
        bytes: Length of the file.
        sha256: Digest of the file.
        first: Seconds until the first chunk.
        first_share: The share of the processor's time after which the first byte was written.
        p50: Seconds for which the event loop was held, half of the time,
        p99: … 99 % of the time,
        p999: … 99.9 % of the time,
        max: … and at most.
    """

    job: Job
    round: int
    error: str = ""
    rows: int = 0
    counted: int | None = None
    how: str = ""
    seconds: float | None = None
    cpu: float | None = None
    peak: int | None = None
    above: int | None = None
    bytes: int = 0
    sha256: str = ""
    first: float | None = None
    first_share: float | None = None
    p50: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """The samples of a whole run.

    Attributes:
        samples: All of them.
        expected: The digests that files must have, as far as they are known.
    """

    samples: Sequence[Sample]
    expected: Mapping[FileKey, str] = field(default_factory=dict)

    def jobs(self, **wanted: Any) -> list[Job]:
        """Give the jobs that have certain attributes, in the order in which they ran."""
        return list(
            dict.fromkeys(
                sample.job
                for sample in self.samples
                if all(getattr(sample.job, name) == value for name, value in wanted.items())
            )
        )

    def of(self, job: Job) -> list[Sample]:
        """Give the samples of a job, without those that failed."""
        return [sample for sample in self.samples if sample.job == job and not sample.error]

    def error(self, job: Job) -> str:
        """Say why a job failed; empty if it did not."""
        return next((each.error for each in self.samples if each.job == job and each.error), "")

    def median(self, job: Job, quantity: Quantity) -> float | None:
        """Give the median of a quantity over the rounds; None if it was not measured."""
        found = [getattr(sample, quantity) for sample in self.of(job)]
        known = [value for value in found if value is not None]
        return median(known) if known else None

    def ratio(self, job: Job, yardstick: Job) -> float | None:
        """Give how many times as long as *yardstick* a job takes for each of its rows.

        It is the median over the rounds in which both ran. Of cases with a base it is the time of
        the processor that counts, without the base's.
        """
        theirs = self._paces(yardstick)
        ratios = [
            pace / theirs[number]
            for number, pace in self._paces(job).items()
            if theirs.get(number, 0) > 0
        ]
        return median(ratios) if ratios else None

    def cpu(self, job: Job) -> float | None:
        """Give the median of the processor's seconds, in each round without those of the base."""
        found = self._cpu(job).values()
        return median(found) if found else None

    def _paces(self, job: Job) -> dict[int, float]:
        """Give what each row takes, by round."""
        if CASES[job.case].base:
            return {number: seconds / job.rows for number, seconds in self._cpu(job).items()}
        return {sample.round: _pace(sample) for sample in self.of(job)}

    def _cpu(self, job: Job) -> dict[int, float]:
        seconds = {each.round: each.cpu for each in self.of(job) if each.cpu is not None}
        if not (base := CASES[job.case].base):
            return seconds
        bases = self.jobs(suite=job.suite, case=base, size=job.size)
        taken = {each.round: each.cpu for other in bases for each in self.of(other)}
        return {
            number: found - spent
            for number, found in seconds.items()
            if (spent := taken.get(number)) is not None
        }

    def times(self, job: Job) -> float | None:
        """Give the ratio of a job to its yardstick; None if there is none."""
        yardstick = self.yardstick(job)
        return None if yardstick is None else self.ratio(job, yardstick)

    def yardstick(self, job: Job) -> Job | None:
        """Find the job that this one is compared with, on the same rows."""
        against = CASES[job.case].against
        found = self.jobs(suite=job.suite, case=against, columns=job.columns, size=job.size)
        return next(iter(found), None)

    def fault(self, job: Job) -> str:
        """Say what is wrong with the file of a job; empty if it is as it should be."""
        return next((fault for sample in self.of(job) if (fault := self._fault(sample))), "")

    def faults(self) -> Iterator[tuple[Job, str]]:
        """Give the jobs whose files are not as they should be."""
        for job in self.jobs():
            if fault := self.fault(job):
                yield job, fault

    def _fault(self, sample: Sample) -> str:
        job, kind = sample.job, CASES[sample.job.case].file
        # How many cities there are depends on the release of their package.
        if sample.rows != job.rows and job.source != "cities":
            return f"{sample.rows:,} rows"
        if sample.counted not in {None, sample.rows}:
            return f"{sample.counted:,} records in the file"
        wanted = self.wanted(job, kind)
        if wanted and sample.sha256 != wanted:
            return "another file"
        return ""

    def wanted(self, job: Job, kind: str) -> str:
        """Give the digest that the file of a job must have; empty if nobody knows it."""
        if kind in {"copy", "same"}:
            yardstick = self.yardstick(job)
            return next((each.sha256 for each in self.of(yardstick)), "") if yardstick else ""
        return self.expected.get(job.file_key(kind), "")


def _pace(sample: Sample) -> float:
    assert sample.seconds is not None
    return sample.seconds / max(sample.rows, 1)

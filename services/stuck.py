"""Pure: how long a job may show no sign of life before the provider is asked, and before it is ended.

A sign is any change in what the provider shows: a queue position, a log line, another state. Only time in which
somebody looked counts: a process that was stopped for an hour has not seen an hour of silence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from models.errors import ProviderError
from services.ports import Queued, Running

QUEUED = timedelta(hours=2)
TALKING = timedelta(minutes=30)  # the log of a training has a line every few seconds, its set-up one every few minutes
GENERATING = timedelta(minutes=10)
UNANSWERED = timedelta(hours=24)
GONE_LOOKS = 3  # in a row: a single "unknown" may be a mistake
LONGEST_LOOK = timedelta(minutes=2)  # between two looks; of a longer pause only this much counts

Sign = tuple[str, int, str]


class GivenUp(ProviderError):
    """The image provider was given up: {reason}"""

    retryable = True


class Verdict(StrEnum):
    """What to do about a silence."""

    WAIT = "WAIT"
    ASK = "ASK"
    END = "END"


@dataclass(frozen=True, kw_only=True)
class Silence:
    """What a follower has seen so far. It is not stored: after a restart the silence is measured anew."""

    looked_at: datetime
    sign: Sign | None = None
    silent: timedelta = timedelta()
    unanswered: timedelta = timedelta()
    bound: timedelta = TALKING
    asked: bool = False
    gone: int = 0

    @classmethod
    def begin(cls, now: datetime) -> Self:
        """Nothing was seen yet."""
        return cls(looked_at=now)

    def heard(self, sign: Sign, now: datetime, *, bound: timedelta) -> Self:
        """The provider answered with this sign, the same as before or another; `bound` is how long it may last."""
        if sign != self.sign:
            return replace(self.begin(now), sign=sign, bound=bound)
        silent = self.silent + self._pause(now)
        return replace(self, looked_at=now, silent=silent, unanswered=timedelta(), bound=bound, gone=0)

    def refused(self, now: datetime, *, gone: bool = False) -> Self:
        """The provider did not say how the job stands, so the job's own silence stays as it is.

        `gone`: it said that it does not know the job.
        """
        looks = self.gone + 1 if gone else 0
        return replace(self, looked_at=now, unanswered=self.unanswered + self._pause(now), gone=looks)

    @property
    def is_gone(self) -> bool:
        """Whether the provider has said so often enough that it does not know the job."""
        return self.gone >= GONE_LOOKS

    @property
    def verdict(self) -> Verdict:
        """END after twice the bound, or a day without an answer; ASK once after the bound."""
        if self.silent >= 2 * self.bound or self.unanswered >= UNANSWERED:
            return Verdict.END
        return Verdict.ASK if self.silent >= self.bound and not self.asked else Verdict.WAIT

    @property
    def reason(self) -> str:
        """What ended the wait, for people."""
        if self.unanswered >= UNANSWERED:
            return f"it has not answered for {duration(self.unanswered)}."
        return f"its job showed no sign of life for {duration(self.silent)}."

    @property
    def question(self) -> str:
        """What to tell those who watch before the provider is asked."""
        return f"No sign of life for {duration(self.silent)}; asking the provider"

    def _pause(self, now: datetime) -> timedelta:
        return min(max(now - self.looked_at, timedelta()), LONGEST_LOOK)


def sign_of(status: Queued | Running) -> Sign:
    """What the provider shows, in a form that differs when it does."""
    if isinstance(status, Queued):
        return "queued", -1 if status.position is None else status.position, ""
    return "running", len(status.logs), _last(status.logs)


def training_bound(status: Queued | Running, *, expected_seconds: float) -> timedelta:
    """How long a training may be silent: in the queue 2 hours, with a log 30 minutes.

    Some trainers log nothing: then silence proves nothing before twice the time that the steps should take.
    """
    if isinstance(status, Queued):
        return QUEUED
    return TALKING if status.logs else max(TALKING, timedelta(seconds=2 * expected_seconds))


def generation_bound(status: Queued | Running) -> timedelta:
    """How long a generation, which takes seconds, may be silent: in the queue 2 hours, running 10 minutes."""
    return QUEUED if isinstance(status, Queued) else GENERATING


def duration(time: timedelta) -> str:
    """`30 minutes`, `1 hour`, `2 hours`, for people; seconds are left out."""
    minutes = int(time.total_seconds() // 60)
    if minutes % 60:
        return f"{minutes} minutes"
    return "1 hour" if minutes == 60 else f"{minutes // 60} hours"


def _last(logs: Sequence[str]) -> str:
    return logs[-1] if logs else ""

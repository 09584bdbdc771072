"""The life of a request as a pure function of what was submitted and the time: nothing needs to run for it to go on.

At speed 1 a training of 1000 steps takes six minutes and about twenty seconds of queue and set-up, in proportion to its
steps; a generation takes about four seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from likeness.sandbox.schemas import Endpoint, Work

SECONDS_PER_STEP = 0.36
DOWNLOAD_SECONDS = 3.0
CAPTION_SECONDS = 4.0
LOADING_SECONDS = 5.0
SETUP_SECONDS = DOWNLOAD_SECONDS + CAPTION_SECONDS + LOADING_SECONDS
UPLOAD_SECONDS = 4.0
TRAINING_QUEUE_SECONDS = 4.0
GENERATION_QUEUE_SECONDS = 1.0
GENERATION_SECONDS = 3.0
REFUSAL_SECONDS = 2.0
CANCEL_SECONDS = 1.0
FAILS_AT = 0.4
RESULT_SECONDS = 3600.0

FAIL_WORD = "[fail]"
POLICY_WORD = "[policy]"
NSFW_WORD = "[nsfw]"
TALKING_FIELDS = ("prompt", "trigger_word", "trigger_phrase", "default_caption")


class Failure(StrEnum):
    """How a request is known to end badly when it is submitted."""

    INVALID = "invalid"  # 422 with the result
    POLICY = "policy"  # 422 content_policy_violation with the result
    INTERNAL = "internal"  # COMPLETED with an error, 500 with the result


class State(StrEnum):
    """The queue's three words; fal has no FAILED."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long a request takes at speed 1, in seconds, and what its log tells."""

    queue_seconds: float
    run_seconds: float
    steps: int = 0
    images: int = 0
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """A submitted request; times are Unix seconds."""

    request_id: str
    gateway_request_id: str
    endpoint: str
    submitted_at: float
    speed: float
    plan: Plan
    webhook_url: str | None = None
    output_seconds: int | None = None
    cancelled_at: float | None = None

    @property
    def started_at(self) -> float:
        return self.submitted_at + self.plan.queue_seconds / self.speed

    @property
    def planned_end(self) -> float:
        return self.started_at + self.plan.run_seconds / self.speed

    @property
    def ended_at(self) -> float:
        """A queued request ends with its cancel, a running one a second later unless it is done before."""
        if self.cancelled_at is None:
            return self.planned_end
        if self.cancelled_at < self.started_at:
            return self.cancelled_at
        return min(self.planned_end, self.cancelled_at + CANCEL_SECONDS / self.speed)

    @property
    def is_cancelled(self) -> bool:
        return self.ended_at < self.planned_end


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Where a request stands: its queue position from 0, or the seconds it has run at speed 1."""

    state: State
    position: int = 0
    elapsed: float = 0.0


def plan(endpoint: Endpoint, body: Any, *, valid: bool, images: int | None) -> Plan:
    """How a request will go; `images` is the number of pictures in its archive, None when that cannot be read."""
    failure = _failure(body, valid=valid)
    if endpoint.work is not Work.TRAINING:
        seconds = REFUSAL_SECONDS if failure else GENERATION_SECONDS
        return Plan(queue_seconds=GENERATION_QUEUE_SECONDS, run_seconds=seconds, failure=failure)
    steps = int(body.get("steps") or endpoint.default_steps) if valid else 0
    seconds = SETUP_SECONDS + steps * SECONDS_PER_STEP + UPLOAD_SECONDS
    if failure is Failure.INTERNAL:
        seconds = SETUP_SECONDS + steps * SECONDS_PER_STEP * FAILS_AT
    elif failure or images is None:
        seconds = REFUSAL_SECONDS
    return Plan(
        queue_seconds=TRAINING_QUEUE_SECONDS, run_seconds=seconds, steps=steps, images=images or 0, failure=failure
    )


def phase(request: Request, now: float) -> Phase:
    """Where `request` stands at `now` (Unix seconds)."""
    if now >= request.ended_at:
        elapsed = (request.ended_at - request.started_at) * request.speed
        return Phase(state=State.COMPLETED, elapsed=max(elapsed, 0.0))
    if now < request.started_at:
        left = (request.started_at - now) * request.speed / request.plan.queue_seconds
        return Phase(state=State.IN_QUEUE, position=min(int(left * 3), 2))
    return Phase(state=State.IN_PROGRESS, elapsed=(now - request.started_at) * request.speed)


def _failure(body: Any, *, valid: bool) -> Failure | None:
    if not valid:
        return Failure.INVALID
    said = _said(body)
    if FAIL_WORD in said:
        return Failure.INTERNAL
    return Failure.POLICY if POLICY_WORD in said else None


def _said(body: Mapping[str, Any]) -> str:
    return "\n".join(str(body.get(name) or "") for name in TALKING_FIELDS).lower()

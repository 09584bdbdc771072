"""The promises behind which every outside thing stands; one conformance suite runs over every implementation."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from services.asset_store import AssetKind, AssetMissing, AssetStore, StoreKeyRefused, StoreRefused, StoreUnavailable

__all__ = ["AssetKind", "AssetMissing", "AssetStore", "StoreKeyRefused", "StoreRefused", "StoreUnavailable"]


class Clock(Protocol):
    """Time, so that rules can be tested without waiting."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class WebhookVerifier(Protocol):
    """Checks that a webhook was sent by the provider, and just now."""

    async def verify(self, headers: Mapping[str, str], body: bytes) -> str:
        """The provider's request id of a sound delivery. Raises `models.errors.ForgedWebhook`."""


class TokenVerifier(Protocol):
    """Checks one kind of credential."""

    async def verify(self, token: str) -> str:
        """The subject (`jwt:<sub>`, `tg:<id>`) of a sound token. Raises `models.errors.NotSignedIn`."""


# ---- events ----

Message = Mapping[str, Any]


class Listener(Protocol):
    """One subscription to a topic, bounded: when full, the oldest messages are dropped."""

    async def get(self, wait_seconds: float) -> Message | None:
        """The next message, or None when `wait_seconds` pass without one."""


class EventBus(Protocol):
    """Wakes listeners in every process and carries a copy. It may lose messages: the rows are the truth."""

    @property
    def reread_seconds(self) -> float:
        """After how long without a message a listener should read the rows again."""

    async def publish(self, topic: str, message: Message) -> None:
        """Send a JSON-able message to whoever listens now; never raises because nobody hears it."""

    def listen(self, topic: str) -> AbstractAsyncContextManager[Listener]:
        """Subscribe; once entered, every later publish is delivered or dropped as the oldest."""

    async def watched(self, topic: str) -> bool:
        """Whether anybody, in any process, listens to the topic."""


# ---- durable runs ----

Step = Callable[[UUID], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A durable run: steps in order, each of which may be executed twice, and what to do when one cannot succeed."""

    steps: Sequence[Step]
    give_up: Callable[[UUID, Exception], Awaitable[None]]


class Jobs(Protocol):
    """Runs that survive the death of their process."""

    async def start(self, runs: Mapping[str, Run]) -> None:
        """Begin working; runs that a crash interrupted are taken up again."""

    async def stop(self) -> None:
        """Stop working; what is unfinished stays durable."""

    async def enqueue(self, kind: str, id: UUID) -> None:
        """Run `kind` for `id` once; asking again for the same pair changes nothing."""

    async def take_over(self, executor_id: str) -> int:
        """Put the unfinished runs of a dead process back in the queue and return how many there were."""

    async def forget(self, *, before: datetime) -> int:
        """Delete the records of runs that ended before a time and return how many there were."""


# ---- provider ----


@dataclass(frozen=True, kw_only=True)
class ProviderJob:
    """A job the provider has accepted; its own URLs are followed and never rebuilt."""

    request_id: str
    status_url: str
    response_url: str
    cancel_url: str


@dataclass(frozen=True, kw_only=True)
class Queued:
    """Waiting at the provider; `position` counts from 0, and is None when the provider does not tell it."""

    position: int | None


@dataclass(frozen=True, kw_only=True)
class Running:
    """Working; `logs` is the whole log so far."""

    logs: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Over; `error` is set when the provider says so already (a refusal shows only on the result)."""

    logs: Sequence[str] = ()
    error: str | None = None


ProviderStatus = Queued | Running | Ended


class CancelOutcome(StrEnum):
    """The provider's answer to a cancel."""

    CANCELLED = "CANCELLED"  # removed before it ran
    REQUESTED = "REQUESTED"  # told to stop; it may still complete
    TOO_LATE = "TOO_LATE"  # already over
    UNKNOWN = "UNKNOWN"  # no such job


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file fetched from the provider."""

    path: Path
    bytes: int
    sha256: str
    content_type: str


class Provider(Protocol):
    """The image provider (fal.ai, or the sandbox that speaks its protocol)."""

    @property
    def simulated(self) -> bool:
        """Whether results are made up by the sandbox."""

    async def upload(self, path: Path, *, content_type: str, expires_in: timedelta) -> str:
        """Put a file where the provider can read it and where it dies by itself; return its URL. May be repeated."""

    async def submit(
        self, endpoint: str, arguments: Mapping[str, Any], *, webhook_url: str | None = None
    ) -> ProviderJob:
        """Submit a paid job with exactly one POST.

        Raises `ProviderUnavailable` when it was surely not accepted (refused connection, 429, 5xx answer),
        `ProviderRejected`/`ProviderKeyRefused`/`ProviderBalanceExhausted`/`MissingFalKey` when it never will be,
        `SubmitUnknown` when the request was sent and the answer was lost.
        """

    async def status(self, job: ProviderJob, *, logs: bool = False) -> ProviderStatus:
        """Where the job stands. Raises `ProviderUnavailable`, `ProviderJobGone`, `ProviderKeyRefused`."""

    async def result(self, job: ProviderJob) -> Mapping[str, Any]:
        """The output of an ended job. Raises `ProviderRejected` for the model's own error (422 and the like)."""

    async def cancel(self, job: ProviderJob) -> CancelOutcome:
        """Ask the provider to stop a job."""

    async def find(
        self, endpoint: str, needle: str, *, arguments: Mapping[str, Any], since: datetime
    ) -> Sequence[ProviderJob]:
        """Look in the provider's recent requests for those whose arguments or webhook contain `needle`.

        Only one that has each of `arguments` (it may have more: defaults of the model) and was not sent before `since`
        counts. The newest comes first. Raises `ProviderUnavailable` when the list cannot be read.
        """

    async def download(self, url: str, to: Path, *, limit: int) -> Download:
        """Fetch an output: https, the provider's own hosts, no redirect elsewhere, at most `limit` bytes.

        Raises `ProviderUnavailable` when it may work later, `ProviderJobGone` when the file is gone,
        `ProviderRejected` for an address or size that is not allowed.
        """

    def known_job(self, endpoint: str, request_id: str) -> ProviderJob:
        """The job with this request id, for when the provider tells nothing but the id."""

    async def healthy(self) -> bool:
        """Whether the provider answers now."""

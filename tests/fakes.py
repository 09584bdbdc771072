"""Stand-ins for the outside world that keep the promises of services/ports.py in memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from models.status import ImageFormat
from services.ports import (
    AssetKind,
    AssetMissing,
    CancelOutcome,
    Download,
    Ended,
    Message,
    ProviderJob,
    ProviderStatus,
    Run,
    StoreUnavailable,
)

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@dataclass
class FixedClock:
    """Time that passes only when told, or when somebody sleeps."""

    time: datetime = NOON

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@dataclass
class MemoryStore:
    """Files in a dictionary; a location is `<kind>/<name>`."""

    files: dict[str, bytes] = field(default_factory=dict)
    works: bool = True

    async def put(self, source: Path, *, kind: AssetKind, name: str, content_type: str) -> str:
        if not self.works:
            raise StoreUnavailable("away")
        location = f"{kind}/{name}"
        self.files[location] = source.read_bytes()
        return location

    def url(self, location: str) -> str:
        return f"https://assets.example/{location}"

    def variant(self, location: str, *, width: int | None, height: int | None, format: ImageFormat | None) -> str:
        return f"https://assets.example/{location}?{width}x{height}.{format}"

    async def exists(self, location: str) -> bool:
        if not self.works:
            raise StoreUnavailable("away")
        return location in self.files

    async def tidy(self) -> int:
        return 0

    async def fetch(self, location: str, to: Path) -> None:
        if location not in self.files:
            raise AssetMissing(location)
        to.write_bytes(self.files[location])

    async def delete(self, location: str) -> None:
        self.files.pop(location, None)

    async def forget(self, kind: AssetKind, name: str) -> None:
        if not self.works:
            raise StoreUnavailable("away")
        await self.delete(f"{kind}/{name}")

    async def healthy(self) -> bool:
        return self.works


class QueueListener:
    """A listener on a queue of its own."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Message] = asyncio.Queue()

    async def get(self, wait_seconds: float) -> Message | None:
        try:
            async with asyncio.timeout(wait_seconds):
                return await self.queue.get()
        except TimeoutError:
            return None


@dataclass
class FakeBus:
    """A bus within one test; `listeners` shows who listens to what."""

    reread_seconds: float = 0.02
    listeners: dict[str, list[QueueListener]] = field(default_factory=dict)

    async def publish(self, topic: str, message: Message) -> None:
        for listener in self.listeners.get(topic, []):
            listener.queue.put_nowait(message)

    @asynccontextmanager
    async def listen(self, topic: str) -> AsyncIterator[QueueListener]:
        listener = QueueListener()
        self.listeners.setdefault(topic, []).append(listener)
        try:
            yield listener
        finally:
            self.listeners[topic].remove(listener)
            if not self.listeners[topic]:
                del self.listeners[topic]

    async def watched(self, topic: str) -> bool:
        return topic in self.listeners


class TimedBus(FakeBus):
    """A bus on which nobody speaks, and on which waiting takes no time but moves the clock."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__()
        self.clock = clock

    @asynccontextmanager
    async def listen(self, topic: str) -> AsyncIterator[Any]:
        yield self

    async def get(self, wait_seconds: float) -> None:
        await self.clock.sleep(wait_seconds)


@dataclass
class FakeJobs:
    """Notes what was asked for and runs nothing."""

    enqueued: list[tuple[str, UUID]] = field(default_factory=list)

    async def start(self, runs: Mapping[str, Run]) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def enqueue(self, kind: str, id: UUID) -> None:
        self.enqueued.append((kind, id))


@dataclass
class FakeProvider:
    """Takes every job; `answers` holds the result by request id and `files` what can be downloaded."""

    simulated: bool = True
    works: bool = True
    submitted: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    answers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    async def upload(self, path: Path, *, content_type: str, expires_in: timedelta) -> str:
        content = path.read_bytes()
        url = f"https://provider.example/{hashlib.sha256(content).hexdigest()}"
        self.files[url] = content
        return url

    async def submit(
        self, endpoint: str, arguments: Mapping[str, Any], *, webhook_url: str | None = None
    ) -> ProviderJob:
        self.submitted.append((endpoint, arguments))
        return self._job(f"request-{len(self.submitted)}")

    async def status(self, job: ProviderJob, *, logs: bool = False) -> ProviderStatus:
        return Ended()

    async def result(self, job: ProviderJob) -> Mapping[str, Any]:
        return self.answers[job.request_id]

    async def cancel(self, job: ProviderJob) -> CancelOutcome:
        return CancelOutcome.TOO_LATE

    async def find(
        self, endpoint: str, needle: str, *, arguments: Mapping[str, Any], since: datetime
    ) -> Sequence[ProviderJob]:
        found = [
            self._job(f"request-{number}")
            for number, (other, sent) in enumerate(self.submitted, start=1)
            if other == endpoint and needle in str(sent) and arguments.items() <= sent.items()
        ]
        return found[::-1]

    async def download(self, url: str, to: Path, *, limit: int) -> Download:
        content = self.files[url]
        to.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        return Download(path=to, bytes=len(content), sha256=sha256, content_type="application/octet-stream")

    async def healthy(self) -> bool:
        return self.works

    def known_job(self, endpoint: str, request_id: str) -> ProviderJob:
        return self._job(request_id)

    def _job(self, request_id: str) -> ProviderJob:
        at = f"https://provider.example/requests/{request_id}"
        return ProviderJob(request_id=request_id, status_url=f"{at}/status", response_url=at, cancel_url=f"{at}/cancel")

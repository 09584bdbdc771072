"""The faulty asset store and the faulty bus."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from models.errors import ForgedWebhook
from services import unit_of_work
from services.asset_store import AssetKind, AssetMissing, StoreUnavailable
from services.ports import Message
from tests.simulation.faults import Faults
from tests.simulation.processes import touch
from tests.simulation.saving import check_saved

MOST_FAILURES = 3  # in a row, of one file: fewer than the rules' patience


class FaultyStore:
    """Keeps bytes; may be away, and may keep a file and lose the answer."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.files: dict[str, bytes] = {}
        self._failures: dict[str, int] = {}

    async def put(self, source: Path, *, kind: AssetKind, name: str, content_type: str) -> str:
        check_saved("")
        await touch()
        location, content = f"{kind}/{name}", source.read_bytes()
        self._maybe_fail("store_down", location)
        self.files[location] = content
        await touch()
        self._maybe_fail("store_answer_lost", location)
        return location

    async def fetch(self, location: str, to: Path) -> None:
        await touch()
        self._maybe_fail("store_down", location)
        if location not in self.files:
            raise AssetMissing(location)
        to.write_bytes(self.files[location])

    async def delete(self, location: str) -> None:
        self.files.pop(location, None)

    async def forget(self, kind: AssetKind, name: str) -> None:
        await touch()
        await self.delete(f"{kind}/{name}")

    def url(self, location: str) -> str:
        return f"https://assets.example/{location}"

    async def healthy(self) -> bool:
        return True

    def _maybe_fail(self, kind: str, location: str) -> None:
        if self._failures.get(location, 0) < MOST_FAILURES and self.faults.happens(kind):
            self._failures[location] = self._failures.get(location, 0) + 1
            raise StoreUnavailable(kind)


class FaultyListener:
    """A listener with a short backlog of its own."""

    def __init__(self) -> None:
        self._backlog: deque[Message] = deque(maxlen=8)
        self._arrived = asyncio.Event()

    def push(self, message: Message) -> None:
        self._backlog.append(message)
        self._arrived.set()

    async def get(self, wait_seconds: float) -> Message | None:
        check_saved("")
        if not self._backlog:
            self._arrived.clear()
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._arrived.wait()
            except TimeoutError:
                pass
        await touch()
        return self._backlog.popleft() if self._backlog else None


class FaultyBus:
    """Loses, doubles and delays messages."""

    reread_seconds = 5.0

    def __init__(self, faults: Faults, on_problem: Callable[[str], None]) -> None:
        self.faults = faults
        self.on_problem = on_problem
        self.listeners: dict[str, list[FaultyListener]] = {}

    async def publish(self, topic: str, message: Message) -> None:
        check_saved("")
        if unit_of_work._hooks.get() is not None:
            self.on_problem(f"{topic} was published to before the commit")
        await touch()
        for listener in self.listeners.get(topic, ()):
            if self.faults.happens("bus_lost"):
                continue
            self._give(listener, message)
            if self.faults.happens("bus_duplicate"):
                self._give(listener, message)

    @asynccontextmanager
    async def listen(self, topic: str) -> AsyncIterator[FaultyListener]:
        await touch()
        listener = FaultyListener()
        self.listeners.setdefault(topic, []).append(listener)
        try:
            yield listener
        finally:
            self.listeners[topic].remove(listener)
            if not self.listeners[topic]:
                del self.listeners[topic]

    async def watched(self, topic: str) -> bool:
        await touch()
        return topic in self.listeners

    def _give(self, listener: FaultyListener, message: Message) -> None:
        if self.faults.happens("bus_late"):
            seconds = self.faults.seconds(0, 8)
            asyncio.get_running_loop().call_later(seconds, listener.push, dict(message))
        else:
            listener.push(dict(message))


class SignedByProvider:
    """A verifier that believes the header `request`, unless the delivery was forged."""

    async def verify(self, headers: Any, body: bytes) -> str:
        if "forged" in headers:
            raise ForgedWebhook
        return str(headers["request"])

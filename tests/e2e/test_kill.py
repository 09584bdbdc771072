"""kill -9 in the middle: the training completes, is paid for once, and its watchers miss nothing."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from gql.transport.exceptions import TransportError

from likeness.client.api import Client
from tests.e2e import main_job
from tests.e2e.conftest import Server


async def test_kill_and_resume(server: Callable[..., Server], photos: list[Path]) -> None:
    """One submit for one training, and seq 1..n without gap or double over the restart."""
    running = server(SANDBOX_SPEED=40)
    async with main_job.session(running.url) as http:
        training = await main_job.start(http, photos)
    follower = asyncio.create_task(followed(running.url, training["id"]))
    seen = await watch_and_kill(running, training["id"])
    running.start()
    after = seen[-1]["seq"]
    seen += [e async for e in main_job.events(running.url, main_job.PROGRESS, id=training["id"], after=after)]
    assert list(range(1, len(seen) + 1)) == [event["seq"] for event in seen]
    assert ("COMPLETED", 100) == (seen[-1]["status"], seen[-1]["percent"])
    assert [event["seq"] for event in seen] == [event["seq"] for event in await follower]
    assert ["fal-ai/flux-lora-fast-training"] == submitted(running.data_dir)
    async with main_job.session(running.url) as http:
        assert 20 == (await main_job.ask(http, main_job.QUOTA))["dailyUsed"]


async def watch_and_kill(running: Server, training: str) -> list[dict[str, object]]:
    """The events up to the first step of the training itself; then the server is dead."""
    seen = []
    try:
        async for event in main_job.events(running.url, main_job.PROGRESS, id=training, after=0):
            seen.append(event)
            if event["step"]:
                running.kill()
    except TransportError:
        return seen
    raise AssertionError("the websocket outlived its server")


async def followed(url: str, training: str) -> list[dict[str, object]]:
    """What the project's own client sees, which reconnects by itself."""
    async with Client(url) as client:
        return [event async for event in client.follow_training(training, after_seq=0)]


def submitted(data_dir: Path) -> list[str]:
    """The endpoints of the requests that the sandbox accepted."""
    return [json.loads(path.read_text())["endpoint"] for path in data_dir.glob("sandbox/requests/*.json")]

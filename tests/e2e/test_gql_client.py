"""The main job by a Python client that is not ours: `gql`, over HTTP and graphql-transport-ws."""

from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import httpx
from dirty_equals import IsPartialDict, IsStr
from PIL import Image

from models.status import TrainingStage
from tests.e2e import main_job
from tests.e2e.conftest import Server


async def test_the_main_job(server: Callable[..., Server], photos: list[Path]) -> None:
    """Photos in, every progress event once and in order, a model and a kept picture out, 22 credits spent."""
    url = server().url
    async with main_job.session(url) as http:
        before = await main_job.ask(http, main_job.QUOTA)
        started = await main_job.start(http, photos, gender="WOMAN")
        assert (True, "PENDING") == (started["simulated"], started["status"])
        assert_told_in_order(
            [event async for event in main_job.events(url, main_job.PROGRESS, id=started["id"], after=0)]
        )
        trained = await main_job.ask(http, main_job.TRAINING, id=started["id"])
        assert IsPartialDict(status="COMPLETED", progress=100, simulated=True, creditsSpent=20, error=None) == trained
        assert IsStr(regex="MY_PORTRAIT_2025_[0-9A-F]{4}") == trained["triggerWord"]
        picture = await draw(http, url, model=started["model"]["id"], trigger=trained["triggerWord"])
        assert (1024, 1024) == picture.size
        after = await main_job.ask(http, main_job.QUOTA)
    assert (22, 22) == (after["dailyUsed"] - before["dailyUsed"], before["remaining"] - after["remaining"])


def assert_told_in_order(events: list[dict[str, object]]) -> None:
    """seq 1..n, percent never back and 100 only at the end, seed 004's stages in their order."""
    assert list(range(1, len(events) + 1)) == [event["seq"] for event in events]
    percents = [event["percent"] for event in events]
    assert sorted(percents) == percents
    assert [("COMPLETED", 100)] == [(e["status"], e["percent"]) for e in events if e["percent"] >= 100]
    assert "COMPLETED" == events[-1]["status"]
    order = [stage.value for stage in TrainingStage]
    stages = [event["stage"] for event in events if event["stage"] is not None]
    assert order == list(dict.fromkeys(stages))
    assert all(order.index(one) <= order.index(next) for one, next in pairwise(stages))
    steps = [event["step"] for event in events if event["step"] is not None]
    assert steps
    assert sorted(steps) == steps


async def draw(http: object, url: str, *, model: str, trigger: str) -> Image.Image:
    """Generate a picture, follow it to its end and fetch it from its permanent address."""
    wanted = {"modelId": model, "prompt": "portrait in a sunlit garden", "imageSize": "square_hd"}
    payload = await main_job.ask(http, main_job.GENERATE, input=wanted)
    assert [] == payload["userErrors"]
    (generation,) = payload["generations"]
    events = [event async for event in main_job.events(url, main_job.GENERATION_PROGRESS, id=generation["id"])]
    assert list(range(1, len(events) + 1)) == [event["seq"] for event in events]
    done = await main_job.ask(http, main_job.GENERATION, id=generation["id"])
    assert IsPartialDict(status="COMPLETED", permanent=True, simulated=True, error=None) == done
    assert done["finalPrompt"].startswith(trigger)
    assert done["imageUrl"].startswith(url)
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(done["imageUrl"])
    assert 200 == response.status_code
    picture = Image.open(BytesIO(response.content), formats=["PNG", "JPEG", "WEBP"])
    picture.load()
    return picture

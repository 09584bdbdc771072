"""Run ids that several requests use at the same time: each user gets images, and is charged once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from likeness.db import connected
from models.generation import Generation
from models.user import User
from services import generation_intake
from services.presets import seed_presets
from tests.api.schema_stage import GENERATE, Stage

PACK = "mutation($input: GeneratePackInput!) { generatePack(input: $input) { generations { id } userErrors { code } } }"
REQUESTS = {
    "generateImage": (GENERATE, {"runId": "run-1", "prompt": "a cat", "numImages": 4}),
    "generatePack": (PACK, {"runId": "run-1", "pack": "professional"}),
}
PAID = 8  # for four images


@pytest.fixture
async def postgres_stage(postgres_database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """The schema on PostgreSQL, where transactions overlap."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        async with connected(postgres_database_url):
            yield await Stage(folder=tmp_path, workers=workers).open()


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two requests both find their names free before either takes them."""
    barrier, free_names, calls = asyncio.Barrier(2), generation_intake._free_names, 0

    async def waiting(*args: Any) -> list[str]:
        nonlocal calls
        calls += 1
        names = await free_names(*args)
        if calls <= barrier.parties:
            await barrier.wait()
        return names

    monkeypatch.setattr(generation_intake, "_free_names", waiting)


async def start(stage: Stage, mutation: str, users: Sequence[User]) -> list[list[str]]:
    """The ids that each of the users is given for the same request, all asked at the same time."""
    await seed_presets(now=stage.clock.now())
    document, input = REQUESTS[mutation]
    asked = [stage.ask(document, viewer=user, input=input) for user in users]
    payloads = [answer[mutation] for answer in await asyncio.gather(*asked)]
    assert [[]] * len(users) == [payload["userErrors"] for payload in payloads]
    return [[generation["id"] for generation in payload["generations"]] for payload in payloads]


async def spent(stage: Stage) -> list[int]:
    """What each of the two users has spent."""
    return [(await stage.credits.quota(user.id)).daily_used for user in (stage.me, stage.stranger)]


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("mutation", REQUESTS)
async def test_two_users(postgres_stage: Stage, mutation: str) -> None:
    """Both are served, and no file's name is used twice."""
    stage = postgres_stage
    mine, theirs = await start(stage, mutation, [stage.me, stage.stranger])
    names = await Generation.all().values_list("asset_name", flat=True)
    assert [4, 4, 8, 8] == [len(mine), len(theirs), len({*mine, *theirs}), len(set(names))]
    assert [PAID, PAID] == await spent(stage)


@pytest.mark.parametrize("mutation", REQUESTS)
async def test_two_users_with_three_requests_each(stage_on_each: Stage, mutation: str) -> None:
    """Each user is given the same images each time, and pays for them once."""
    stage = stage_on_each
    answers = await start(stage, mutation, [stage.me, stage.stranger] * 3)
    assert answers[:2] * 2 == answers[2:]
    assert [PAID, PAID] == await spent(stage)
    assert 8 == await Generation.all().count()

"""Query.health while PostgreSQL is away: it is what tells of it."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from likeness.app import Server
from tests.api.schema_stage import Stage
from tests.lost_wire import LosingWire

HEALTH = "{ health { ok database storage provider brokenLinks } }"
REST = {"storage": True, "provider": True, "brokenLinks": 0}


pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
async def client(wire: LosingWire, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody on this machine, at the application as it is served."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        everything = (await Stage(folder=tmp_path, workers=workers).open()).assembly
        server = Server(everything.settings)
        server._wired = everything
        app = Starlette(routes=server.routes(), middleware=server.middleware())
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as opened:
            yield opened


async def ask(client: httpx.AsyncClient, query: str) -> dict[str, Any]:
    """The whole answer."""
    answer: dict[str, Any] = (await client.post("/graphql", json={"query": query})).json()
    return answer


async def test_it_is_away_and_comes_back(client: httpx.AsyncClient, wire: LosingWire) -> None:
    """`database` is false and the other parts are asked all the same."""
    assert {"data": {"health": {"ok": True, "database": True} | REST}} == await ask(client, HEALTH)
    await wire.cut()
    assert {"data": {"health": {"ok": False, "database": False} | REST}} == await ask(client, HEALTH)
    await wire.mend()
    assert {"data": {"health": {"ok": True, "database": True} | REST}} == await ask(client, HEALTH)


async def test_what_needs_to_know_who_asks(client: httpx.AsyncClient, wire: LosingWire) -> None:
    """A coded error beside what works; the same for several such fields at once."""
    await wire.cut()
    answers = await asyncio.gather(*(ask(client, "{ viewer { id } quota { remaining } }") for _ in range(3)))
    assert [None] * 3 == [answer["data"] for answer in answers]
    codes = {error["extensions"]["code"] for answer in answers for error in answer["errors"]}
    assert {"INTERNAL_SERVER_ERROR"} == codes

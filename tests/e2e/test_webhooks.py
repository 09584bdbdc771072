"""Webhooks over real HTTP: the sandbox signs and posts them to the server it runs in, and polling is out of the way."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e import main_job
from tests.e2e.conftest import Server, foreign_environ, free_port
from tests.e2e.test_kill import submitted

POLL_SECONDS = 60


@pytest.fixture
def hooked(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """`hooked(**environ)` starts a server that knows its own address and looks for news once a minute."""
    started: list[Server] = []

    def start(**environ: Any) -> Server:
        port, data_dir = free_port(), tmp_path / "data"
        facts = {
            "DATA_DIR": data_dir, "PORT": port, "PUBLIC_URL": f"http://127.0.0.1:{port}", "FAL_MODE": "sandbox",
            "SANDBOX_SPEED": 60, "FAL_POLL_SECONDS": POLL_SECONDS, "FAL_WEBHOOK_USER_ID": "sandbox-user",
        }  # fmt: skip
        variables = foreign_environ() | {name: str(value) for name, value in (facts | environ).items()}
        server = Server(data_dir=data_dir, environ=variables, port=port, log=tmp_path / "server.log")
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()
        print(f"--- log of the server ---\n{server.log.read_text(errors='replace')}")  # noqa: T201


def inbox(server: Server) -> list[tuple[str, bool]]:
    """The kept deliveries: request id, and whether it was worked."""
    with closing(sqlite3.connect(f"file:{server.data_dir}/likeness.sqlite?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT external_id, handled_at IS NOT NULL FROM inbox_messages").fetchall()
    return [(request, bool(handled)) for request, handled in rows]


async def test_a_training_ends_with_its_webhook(hooked: Callable[..., Server], photos: list[Path]) -> None:
    """A minute lies between two looks, and the training ends within seconds of the provider's end."""
    server = hooked()
    async with main_job.session(server.url) as http:
        began = time.monotonic()
        training = await main_job.start(http, photos, steps=500)
        [last] = [event async for event in ended(server.url, training["id"])]
        took = time.monotonic() - began
        row = await main_job.ask(http, main_job.TRAINING, id=training["id"])
    assert ("COMPLETED", "COMPLETED", 20) == (last["status"], row["status"], row["creditsSpent"])
    assert took < POLL_SECONDS / 2
    assert ["fal-ai/flux-lora-fast-training"] == submitted(server.data_dir)
    async with asyncio.timeout(10):
        while inbox(server) != [(row["falRequestId"], True)]:
            await asyncio.sleep(0.1)


async def ended(url: str, training: str) -> Any:
    """The last event of a training."""
    async for event in main_job.events(url, main_job.PROGRESS, id=training, after=0):
        if event["status"] in {"COMPLETED", "FAILED"}:
            yield event


async def test_strangers_are_refused(hooked: Callable[..., Server]) -> None:
    """Over the wire: no signature 401, a giant 413 whether it says so or not, GET 405; and nothing is kept."""
    server = hooked()
    giant = b"x" * (1024**2 + 1)

    async def chunks() -> Any:
        yield giant

    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=20) as http:
        answers = [
            await http.post("/webhooks/fal", json={"request_id": "r", "status": "OK"}),
            await http.post("/webhooks/fal", content=giant),
            await http.post("/webhooks/fal", content=chunks()),
            await http.get("/webhooks/fal"),
        ]
    assert [401, 413, 413, 405] == [answer.status_code for answer in answers]
    assert [] == inbox(server)


async def test_without_a_public_address_there_is_no_route(hooked: Callable[..., Server]) -> None:
    """Off unless PUBLIC_URL says how fal reaches us."""
    server = hooked(PUBLIC_URL="")
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        assert [404, 404] == [(await http.request(verb, "/webhooks/fal")).status_code for verb in ("GET", "POST")]

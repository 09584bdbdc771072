"""A transfer that takes minutes is tried again like a short one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import tenacity

from models.training import Training
from services.ports import StoreUnavailable
from tests.service.process import Process, on_sqlite

MINUTES = 20 * 60.0


@pytest.fixture
async def process(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    """A process of its own."""
    async with on_sqlite(sqlite_database_url, tmp_path) as process:
        yield process


async def test_a_photo_that_came_slowly_and_broke_off(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store broke off once, after a long while; the next time the photo is there."""
    passed, fetch, sleep = [0.0], process.store.fetch, asyncio.sleep

    async def slow(location: str, to: Path) -> None:
        passed[0] += MINUTES
        if passed[0] == MINUTES:
            raise StoreUnavailable("reset")
        await fetch(location, to)

    training = await process.training(await process.user())
    monkeypatch.setattr(process.store, "fetch", slow)
    monkeypatch.setattr(tenacity, "time", SimpleNamespace(monotonic=lambda: passed[0]))
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: sleep(0))
    await process.assembly.training_run.hand_over(training.id)
    assert (await Training.get(id=training.id)).archive_sha256

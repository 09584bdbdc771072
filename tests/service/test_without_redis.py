"""Several processes on one PostgreSQL and no Redis: events come a few seconds late, and it is said."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from likeness.app import working
from likeness.assembly import Assembly
from likeness.cli import doctor
from likeness.db import connected
from likeness.settings import Settings
from likeness.wiring import _bus
from models.executor import Executor
from services.presence import DEAD_AFTER, Presence
from tests.api.schema_stage import Stage
from tests.fakes import NOON, FakeJobs, FixedClock

REDIS = "redis://127.0.0.1:6379/0"


@pytest.mark.parametrize(("database_url", "seconds"), [("sqlite", 60), ("postgres", 5)], indirect=["database_url"])
async def test_rows_are_read_again(database_url: str, tmp_path: Path, seconds: float) -> None:
    """Soon where other processes can write them."""
    settings = Settings.model_validate({"database_url": database_url, "data_dir": tmp_path})
    async with AsyncExitStack() as stack:
        assert seconds == (await _bus(settings, stack)).reread_seconds


async def test_others_that_live(database: str) -> None:
    """Not this process, and not those that are silent or have left."""
    await Executor.create(id="me", beat_at=NOON)
    await Executor.create(id="other", beat_at=NOON - DEAD_AFTER / 2)
    await Executor.create(id="dead", beat_at=NOON - DEAD_AFTER - timedelta(seconds=1))
    leaver = Presence(clock=FixedClock(), jobs=FakeJobs(), executor="leaver")
    await Executor.create(id="leaver", beat_at=NOON)
    await leaver.leave()
    assert 1 == await Presence(clock=FixedClock(), jobs=FakeJobs(), executor="me").others()


@pytest.mark.parametrize(
    ("others", "given", "warnings"), [(0, {}, 0), (1, {}, 1), (1, {"redis_url": REDIS}, 0)], ids=["alone", "two", "bus"]
)
async def test_a_process_that_starts(
    postgres_database_url: str, tmp_path: Path, others: int, given: dict[str, Any], warnings: int
) -> None:
    """It warns when another is there and no bus between them."""
    async with connected(postgres_database_url):
        with ThreadPoolExecutor(max_workers=1) as workers:
            gateways = (await Stage(folder=tmp_path, workers=workers).open()).assembly.gateways
            settings = Settings.model_validate({"database_url": postgres_database_url, "data_dir": tmp_path} | given)
            for number in range(others):
                await Executor.create(id=f"other {number}", beat_at=NOON)
            with capture_logs() as logs:
                async with working(Assembly(settings, gateways)):
                    pass
    assert warnings == [entry["event"] for entry in logs].count("bus.redis_missing")


@pytest.mark.parametrize("processes", [1, 2])
def test_the_doctor(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, processes: int) -> None:
    """It counts those that serve."""
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert 0 == CliRunner().invoke(doctor.command).exit_code
    asyncio.run(alive(postgres_url, processes))
    done = CliRunner().invoke(doctor.command)
    assert (processes > 1) == ("2 processes share this database" in done.output)


async def alive(url: str, processes: int) -> None:
    """So many processes have just said that they live."""
    async with connected(url):
        for number in range(processes):
            await Executor.create(id=f"process {number}", beat_at=datetime.now(UTC))

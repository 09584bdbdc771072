"""A stage for the tests of the schema."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tortoise.backends.base.executor import EXECUTOR_CACHE

from likeness.db import connected
from tests.api.schema_stage import Stage
from tests.lost_wire import wire

__all__ = ["wire"]


@pytest.fixture
def quiet() -> Iterator[None]:
    """What is logged of lost connections and full disks is long."""
    with capture_logs():
        yield


@pytest.fixture
async def stage(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """The schema on a fresh SQLite database."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        async with connected(sqlite_database_url):
            yield await Stage(folder=tmp_path, workers=workers).open()


@pytest.fixture
async def stage_on_each(database: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """The schema on a fresh database of each kind, for what depends on its SQL."""
    # Tortoise keeps the text of its statements per connection name, whatever kind of database has the name.
    EXECUTOR_CACHE.clear()
    with ThreadPoolExecutor(max_workers=1) as workers:
        yield await Stage(folder=tmp_path, workers=workers).open()
    EXECUTOR_CACHE.clear()

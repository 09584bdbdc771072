"""A migrated database and a stage for the tests of the schema."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from likeness.db import connected, migrate
from tests.api.schema_stage import Stage


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database in the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("database") / "migrated.db"
    asyncio.run(migrate(f"sqlite://{path}"))
    return path


@pytest.fixture
async def stage(migrated: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    """The schema on a fresh database."""
    path = tmp_path / "stage.db"
    shutil.copy(migrated, path)
    with ThreadPoolExecutor(max_workers=1) as workers:
        async with connected(f"sqlite://{path}"):
            yield await Stage(folder=tmp_path, workers=workers).open()

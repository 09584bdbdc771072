"""What works now."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from tortoise.connection import get_connection

from services.database import DATABASE_ERRORS
from services.links import broken_links
from services.ports import AssetStore, Provider

PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class HealthReport:
    """One yes or no per part."""

    database: bool
    storage: bool
    provider: bool
    simulated: bool
    broken_links: int

    @property
    def ok(self) -> bool:
        return self.database and self.storage and self.provider


@dataclass(frozen=True, kw_only=True)
class HealthService:
    """Asks the outside things whether they work, for at most 5 seconds each."""

    store: AssetStore
    provider: Provider

    async def report(self) -> HealthReport:
        """Ask all of them at once."""
        database, storage, provider = await asyncio.gather(
            database_works(), _within(self.store.healthy()), _within(self.provider.healthy())
        )
        return HealthReport(
            database=database,
            storage=storage,
            provider=provider,
            simulated=self.provider.simulated,
            broken_links=await broken_links() if database else 0,
        )


async def database_works() -> bool:
    """Whether a query comes back."""
    return await _within(_query())


async def _query() -> bool:
    try:
        await get_connection("default").execute_query("SELECT 1")
    except DATABASE_ERRORS:
        return False
    return True


async def _within(question: Coroutine[Any, Any, bool]) -> bool:
    task = asyncio.create_task(question)
    try:
        await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        return task.done() and task.result()
    finally:
        task.cancel()  # and not awaited: a connection to a database that is silent takes long to be given back

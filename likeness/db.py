"""The database: one configuration for SQLite and PostgreSQL, and its migrations."""

import asyncio
import contextlib
import fcntl
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from tortoise import Tortoise
from tortoise.context import TortoiseContext
from tortoise.exceptions import BaseORMException
from tortoise.migrations.api.migrate import migrate as run_migrations

from services.presets import seed_presets

MODEL_MODULES = [
    "models.user",
    "models.photo",
    "models.lora",
    "models.training",
    "models.generation",
    "models.preset",
    "models.submission",
    "models.ledger",
    "models.inbox",
    "models.executor",
    "models.link",
]
MIGRATION_LOCK = 7_105_931  # any constant: pg_advisory_lock serialises processes that migrate at once
SQLITE_OPTIONS = "journal_mode=WAL&synchronous=NORMAL&busy_timeout=30000"


def tortoise_config(url: str, *, migrating: bool = False) -> dict[str, Any]:
    """Tortoise's configuration for `sqlite://<path>` or `postgres://...`.

    While migrating, SQLite's foreign keys are off: a rebuilt table would otherwise take its children's rows with it.
    """
    if url.startswith("sqlite"):
        url = f"{url}?{SQLITE_OPTIONS}&foreign_keys={'OFF' if migrating else 'ON'}"
    else:
        url = url.replace("postgresql://", "postgres://", 1)
    return {
        "connections": {"default": url},
        "apps": {"models": {"models": MODEL_MODULES, "migrations": "models.migrations"}},
        "use_tz": True,
        "timezone": "UTC",
    }


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[TortoiseContext]:
    """Open the database for this process; every task of it may query until the block ends."""
    context = await Tortoise.init(config=tortoise_config(url), _enable_global_fallback=True)
    try:
        yield context
    finally:
        await context.close_connections()


class DatabaseUnusable(Exception):
    """The database cannot be opened or brought to the newest schema."""


async def migrate(url: str) -> None:
    """Bring the database to the newest schema; safe to run anywhere, any number of times, and by many at once.

    Raises `DatabaseUnusable` with the reason.
    """
    try:
        await _migrate(url)
    except (BaseORMException, asyncpg.PostgresError, sqlite3.Error, OSError) as error:  # type: ignore[attr-defined]
        raise DatabaseUnusable(str(error) or type(error).__name__) from error


async def _migrate(url: str) -> None:
    if url.startswith("sqlite"):
        file = Path(url.removeprefix("sqlite://"))
        await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(_check_sqlite, file)
        with file.with_name(f"{file.name}.migrating").open("w") as lock_file:
            await asyncio.to_thread(fcntl.flock, lock_file, fcntl.LOCK_EX)
            await _apply(url)
        return
    lock = await asyncpg.connect(url)  # type: ignore[no-untyped-call]
    try:
        await lock.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        await _apply(url)
    finally:
        await lock.close()


def _check_sqlite(file: Path) -> None:
    """Read the file once: aiosqlite's thread outlives a connection that fails, and the process would never end."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA schema_version").fetchone()


async def _apply(url: str) -> None:
    try:
        await run_migrations(config=tortoise_config(url, migrating=True))
    finally:
        await Tortoise.close_connections()
    async with connected(url):
        await seed_presets(now=datetime.now(UTC))

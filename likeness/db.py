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
from asyncpg.exceptions import InterfaceError, PostgresError
from tortoise import Tortoise
from tortoise.context import TortoiseContext
from tortoise.exceptions import BaseORMException
from tortoise.migrations.api.migrate import migrate as run_migrations

from likeness.database_url import sqlite_file, tortoise_connection
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
# A server that has gone silent, as after a lost network, sends no error: the driver gives up by itself.
CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 15.0


def tortoise_config(url: str, *, migrating: bool = False) -> dict[str, Any]:
    """Tortoise's configuration for `sqlite://<path>` or `postgres://...`.

    While migrating, SQLite's foreign keys are off: a rebuilt table would otherwise take its children's rows with it.
    On PostgreSQL a statement may take 15 seconds, and one of a migration as long as it needs.
    """
    connection = tortoise_connection(url, foreign_keys=not migrating)
    if not (migrating or url.startswith("sqlite")):
        connection["credentials"] |= {"timeout": CONNECT_SECONDS, "command_timeout": STATEMENT_SECONDS}
    return {
        "connections": {"default": connection},
        "apps": {"models": {"models": MODEL_MODULES, "migrations": "models.migrations"}},
        "use_tz": True,
        "timezone": "UTC",
    }


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[TortoiseContext]:
    """Open the database for this process; every task of it may query until the block ends."""
    context = await Tortoise.init(config=tortoise_config(url), _enable_global_fallback=True)
    try:
        if url.startswith("sqlite"):
            async with context.db().acquire_connection() as connection:
                await connection.create_function("UPPER", 1, _upper, deterministic=True)
        yield context
    finally:
        await context.close_connections()


def _upper(text: str | None) -> str | None:
    """SQLite's own UPPER knows only ASCII letters."""
    return None if text is None else text.upper()


class DatabaseUnusable(Exception):
    """The database cannot be opened or brought to the newest schema."""


async def migrate(url: str) -> None:
    """Bring the database to the newest schema; safe to run anywhere, any number of times, and by many at once.

    Raises `DatabaseUnusable` with the reason.
    """
    try:
        await _migrate(url)
    except (BaseORMException, PostgresError, InterfaceError, sqlite3.Error, OSError) as error:
        raise DatabaseUnusable(" ".join(str(error).split()) or type(error).__name__) from error


async def _migrate(url: str) -> None:
    if file := sqlite_file(url):
        await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(check_sqlite, file)
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


def check_sqlite(file: Path) -> None:
    """Read the file once. Raises `sqlite3.Error`.

    aiosqlite's thread outlives a connection that fails, and the process would never end.
    """
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA schema_version").fetchone()


async def _apply(url: str) -> None:
    try:
        await run_migrations(config=tortoise_config(url, migrating=True))
    finally:
        await Tortoise.close_connections()
    async with connected(url):
        await seed_presets(now=datetime.now(UTC))

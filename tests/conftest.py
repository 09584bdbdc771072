"""What every test stands on: a clean environment, no network but this machine, and both kinds of database."""

import asyncio
import gc
import os
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from tortoise.backends.base.executor import EXECUTOR_CACHE

from likeness.db import connected, migrate
from likeness.settings import Settings
from tests.services_for_tests import (  # before our settings leave the environment: it reads two of them
    DATABASE_URL,
    REDIS_URL,
    create_database,
    drop_database,
    postgres_server,
    postgres_template,
    postgres_url,
    redis_url,
)

__all__ = ["postgres_server", "postgres_template", "postgres_url", "redis_url"]

OURS = {name.upper() for name in Settings.model_fields} | {"FAL_API_KEY", "CLOUDINARY_UPLOAD_PREFIX"}
for _name in [name for name in os.environ if name.upper() in OURS]:
    del os.environ[_name]

SERVICES = {urlsplit(url).hostname for url in (DATABASE_URL, REDIS_URL) if url}
E2E = Path(__file__).parent / "e2e"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that wait for processes or have a time limit of their own come first, and short ones fill the end."""
    items.sort(key=lambda item: not (item.path.is_relative_to(E2E) or item.get_closest_marker("timeout")))


def pytest_collection_finish() -> None:
    """What is collected stays to the end: looking through it again and again costs a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


class NetworkRefused(BaseException):
    """A test reached for the network; no `except Exception` on the way may hide it."""


@pytest.fixture(autouse=True)
def _this_machine_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to anywhere but this machine and the services that the environment names."""
    if request.path.is_relative_to(E2E):
        return
    for method in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, method, _guarded(getattr(socket.socket, method)))


@pytest.fixture(autouse=True)
def _forget_sql() -> None:
    """Tortoise keeps each model's INSERT for the life of the process: one made for SQLite is wrong on PostgreSQL."""
    EXECUTOR_CACHE.clear()


def _guarded(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family != socket.AF_UNIX and not _is_allowed(str(address[0])):
            raise NetworkRefused(f"a test tried to connect to {address}")
        return connect(self, address)

    return guarded


def _is_allowed(host: str) -> bool:
    if host.startswith("127.") or host in {"::1", "localhost"}:
        return True
    return any(host in {info[4][0] for info in socket.getaddrinfo(name, None)} for name in SERVICES if name)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file in the newest schema, to be copied."""
    EXECUTOR_CACHE.clear()  # migrating writes rows
    path = tmp_path_factory.mktemp("migrated") / "template.sqlite"
    asyncio.run(migrate(f"sqlite://{path}"))
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> Iterator[str]:
    """The address of a PostgreSQL database in the newest schema."""
    EXECUTOR_CACHE.clear()
    url = create_database(postgres_server)
    asyncio.run(migrate(url))
    yield url
    drop_database(postgres_server, url=url)


@pytest.fixture
def sqlite_database_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """The address of a fresh SQLite file in the newest schema."""
    path = tmp_path / "likeness.sqlite"
    shutil.copy(migrated_sqlite, path)
    return f"sqlite://{path}"


@pytest.fixture
def postgres_database_url(migrated_postgres: str) -> str:
    """The address of an empty PostgreSQL database in the newest schema.

    It is emptied before each test: a copy of its own would cost every test a third of a second.
    """
    with psycopg.connect(migrated_postgres, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        _empty(connection)
    return migrated_postgres


def _empty(connection: psycopg.Connection[Any]) -> None:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'tortoise_migrations'"
    tables = [sql.Identifier(name) for (name,) in connection.execute(query)]
    try:
        connection.execute("SET session_replication_role = replica")  # without foreign keys the order does not matter
    except psycopg.errors.InsufficientPrivilege:
        connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(tables)))
    else:
        for table in tables:
            connection.execute(sql.SQL("DELETE FROM {}").format(table))


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a fresh, migrated database of each kind."""
    return str(request.getfixturevalue(f"{request.param}_database_url"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[str]:
    """A fresh, migrated and connected database of each kind; its address."""
    async with connected(database_url):
        yield database_url

"""`sslmode` in DATABASE_URL does what it says, for every driver that is given the address."""

from pathlib import Path

import pytest
from tortoise import connections

from likeness.db import DatabaseUnusable, connected, migrate


async def encrypted(url: str) -> bool:
    """Whether our connection to this database is encrypted."""
    async with connected(url):
        query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        [row] = await connections.get("default").execute_query_dict(query)
        return bool(row["ssl"])


async def test_disable_encrypts_nothing(postgres_database_url: str) -> None:
    """Migrations and rows."""
    url = f"{postgres_database_url}?sslmode=disable"
    await migrate(url)
    assert not await encrypted(url)


async def test_prefer_takes_what_the_server_has(postgres_database_url: str) -> None:
    """Both the server with encryption and the one without."""
    url = f"{postgres_database_url}?sslmode=prefer"
    await migrate(url)
    assert await server_encrypts(postgres_database_url) == await encrypted(url)


async def test_require_is_encrypted_or_nothing(postgres_database_url: str) -> None:
    """A server without encryption is refused with one line."""
    url = f"{postgres_database_url}?sslmode=require"
    if await server_encrypts(postgres_database_url):
        assert await encrypted(url)
        return
    with pytest.raises(DatabaseUnusable, match="rejected SSL upgrade"):
        await migrate(url)
    with pytest.raises(ConnectionError, match="rejected SSL upgrade"):
        await encrypted(url)


async def test_a_certificate_that_is_not_there(
    postgres_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is one line."""
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DatabaseUnusable, match="root certificate") as unusable:
        await migrate(f"{postgres_database_url}?sslmode=verify-full")
    assert 1 == len(str(unusable.value).splitlines())


async def server_encrypts(url: str) -> bool:
    """Whether the server has encryption at all."""
    async with connected(url):
        [row] = await connections.get("default").execute_query_dict("SHOW ssl")
        return bool(row["ssl"] == "on")

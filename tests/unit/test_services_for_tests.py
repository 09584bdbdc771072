"""The services that tests start themselves: they start, they are private, and nothing of them stays."""

import os
from pathlib import Path

import psycopg
import pytest
import redis

from tests import services_for_tests as services


def test_private_postgres_starts_and_is_gone_afterwards() -> None:
    """The wheel's PostgreSQL runs as whoever runs the tests, root too, and leaves neither a process nor a file."""
    with services.private_postgres() as base:
        with psycopg.connect(base) as connection:
            folder = Path(connection.execute("SHOW data_directory").fetchone()[0]).parent
            owner = folder.stat().st_uid
        assert os.geteuid() or services.NOBODY == owner
        assert services.answers_postgres(base)
    assert not services.answers_postgres(base)
    assert not folder.exists()


def test_private_redis_starts_and_is_gone_afterwards() -> None:
    """The wheel's Valkey answers, and only while the block runs."""
    with services.private_redis() as url:
        assert services.answers_redis(url)
    assert not services.answers_redis(url)


def test_databases_are_separate_and_copied_from_the_template(postgres_server: str) -> None:
    """A copy holds what its template held, and what happens in it stays in it."""
    template = services.create_database(postgres_server)
    with psycopg.connect(template) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    copy = services.create_database(postgres_server, template=template.rpartition("/")[2])
    try:
        with psycopg.connect(copy) as connection:
            assert (7,) == connection.execute("DELETE FROM kept RETURNING seven").fetchone()
        with psycopg.connect(template) as connection:
            assert (1,) == connection.execute("SELECT count(*) FROM kept").fetchone()
    finally:
        for url in (copy, template):
            services.drop_database(postgres_server, url=url)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(copy)


def test_a_fresh_database_is_dropped_under_a_connection(postgres_server: str) -> None:
    """A test that leaks a connection does not leak its database."""
    url = services.create_database(postgres_server)
    with psycopg.connect(url) as connection:
        services.drop_database(postgres_server, url=url)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_the_fixtures_give_working_addresses(postgres_url: str, redis_url: str) -> None:
    """Whatever this machine offers, both fixtures end in services that answer."""
    with psycopg.connect(postgres_url) as connection:
        assert (1,) == connection.execute("SELECT 1").fetchone()
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()


@pytest.mark.parametrize("ci", ["true", ""])
def test_a_missing_service_is_loud(monkeypatch: pytest.MonkeyPatch, *, ci: str) -> None:
    """In CI it fails; elsewhere it skips and says why."""
    monkeypatch.setenv("CI", ci)
    expected = RuntimeError if ci else pytest.skip.Exception
    with pytest.raises(expected, match="PostgreSQL is not there and could not be started: no wheel"):
        services.missing("PostgreSQL", reason="no wheel")


def test_a_wrong_database_url_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a database means that one."""
    monkeypatch.setattr(services, "DATABASE_URL", f"postgres://nobody@127.0.0.1:{services.free_port()}/none")
    with pytest.raises(ValueError, match="DATABASE_URL"), services.running_postgres():
        pass


def test_without_services_on_the_machine_private_ones_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last resort is reached by the same calls that the fixtures make."""
    nowhere = f"127.0.0.1:{services.free_port()}"
    monkeypatch.setattr(services, "DATABASE_URL", "")
    monkeypatch.setattr(services, "REDIS_URL", "")
    monkeypatch.setattr(services, "LOCAL_POSTGRES", f"postgres://postgres@{nowhere}/postgres")
    monkeypatch.setattr(services, "LOCAL_REDIS", f"redis://{nowhere}/0")
    with services.running_postgres() as base, services.running_redis() as bus:
        assert nowhere not in base
        assert nowhere not in bus
        assert services.answers_postgres(base)
        assert services.answers_redis(bus)

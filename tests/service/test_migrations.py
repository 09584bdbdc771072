"""The schema: the same on SQLite and PostgreSQL, repeatable, and with every constraint in force."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tortoise import Tortoise
from tortoise.exceptions import IntegrityError
from tortoise.migrations.autodetector import MigrationAutodetector

from likeness.db import connected, migrate, tortoise_config
from models.ids import new_id
from models.ledger import LedgerEntry, PostingKind
from models.lora import LoraModel
from models.training import Training
from models.user import User
from tests.service import rows
from tests.service.schema import Schema, read_schema
from tests.services_for_tests import create_database, drop_database

ROOT = Path(__file__).parents[2]
MIGRATE = "import asyncio, sys; from likeness.db import migrate; asyncio.run(migrate(sys.argv[1]))"


async def schema_at(url: str) -> Schema:
    """The schema of a database."""
    async with connected(url):
        return await read_schema()


async def test_both_databases_have_the_same_schema(sqlite_database_url: str, postgres_database_url: str) -> None:
    """Tables, columns, uniqueness, indexes, checks and foreign keys are those of one list of migrations."""
    small, large = await schema_at(sqlite_database_url), await schema_at(postgres_database_url)
    assert small.tables == large.tables
    assert small.columns == large.columns
    assert small.unique == large.unique
    assert small.indexes == large.indexes
    assert small.checks == large.checks
    assert small.foreign_keys == large.foreign_keys
    assert len(small.foreign_keys) > 15
    assert len(small.checks) > 10


async def test_the_migrations_make_what_the_models_say(database: str) -> None:
    """Every column of every model is there, nullable or not as declared, and every key refuses to lose its children."""
    schema = await read_schema()
    declared = {
        (model._meta.db_table, name, model._meta.fields_map[field].null)
        for model in Tortoise.apps["models"].values()
        for field, name in model._meta.fields_db_projection.items()
    }
    assert declared == {row for row in schema.columns if row[0] != "tortoise_migrations"}
    assert {"RESTRICT"} == {action for *_, action in schema.foreign_keys}
    keys = {
        (model._meta.db_table, f"{field}_id")
        for model in Tortoise.apps["models"].values()
        for field in model._meta.fk_fields | model._meta.o2o_fields
    }
    assert keys == {(table, column) for table, column, *_ in schema.foreign_keys}


async def test_no_model_has_changed_without_a_migration() -> None:
    """Tortoise would add, change or remove no table and no column.

    It does not know of constraints made by SQL and would drop them, and it would note docstrings: both are left out.
    """
    config = tortoise_config("sqlite://:memory:")
    context = await Tortoise.init(config=config)
    writers = await MigrationAutodetector(context.apps, config["apps"]).changes()
    await context.close_connections()
    kinds = [type(operation).__name__ for writer in writers for operation in writer.operations]
    assert [] == [kind for kind in kinds if kind not in {"AlterModelOptions", "RemoveConstraint"}]


async def test_migrating_again_keeps_every_row(database_url: str) -> None:
    """A second and third run change neither the rows nor the schema."""
    async with connected(database_url):
        owner = await rows.user()
        training = await rows.training(owner.id)
        await rows.training_event(training.id)
        before = await read_schema()
    for _ in range(2):
        await migrate(database_url)
    async with connected(database_url):
        assert [training.id] == await Training.all().values_list("id", flat=True)
        assert before == await read_schema()


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
async def test_four_processes_migrate_at_once(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_server: str, *, kind: str
) -> None:
    """All of them succeed, and the result is the schema that one alone makes."""
    url = f"sqlite://{tmp_path}/new/four.sqlite" if kind == "sqlite" else create_database(postgres_server)
    try:
        assert [0] * 4 == await asyncio.gather(*(_migrate_in_a_process(url, tmp_path) for _ in range(4)))
        assert await schema_at(request.getfixturevalue(f"{kind}_database_url")) == await schema_at(url)
    finally:
        if kind == "postgres":
            drop_database(postgres_server, url=url)


async def _migrate_in_a_process(url: str, folder: Path) -> int | None:
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATE, url, env=environ, cwd=folder)
    try:
        async with asyncio.timeout(60):
            return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_four_tasks_migrate_postgres_one_after_the_other(postgres_url: str) -> None:
    """The lock also holds between connections of one process."""
    for _ in range(2):
        await asyncio.gather(migrate(postgres_url), *(_migrate_elsewhere(postgres_url) for _ in range(3)))
    assert "users" in (await schema_at(postgres_url)).tables


async def _migrate_elsewhere(url: str) -> None:
    """In a thread with a loop of its own: Tortoise keeps its connections per context."""
    await asyncio.to_thread(lambda: asyncio.run(migrate(url)))


def test_sqlite_does_not_enforce_foreign_keys_by_itself(sqlite_database_url: str) -> None:
    """The next test would prove nothing if the file alone refused the row."""
    with sqlite3.connect(sqlite_database_url.removeprefix("sqlite://")) as connection:
        assert (0,) == connection.execute("PRAGMA foreign_keys").fetchone()
    connection.close()


async def test_foreign_keys_are_enforced(database: str) -> None:
    """A row of nobody, and the loss of a row that others point to, are both refused."""
    with pytest.raises(IntegrityError):
        await rows.model(new_id())
    owner = await rows.user()
    await rows.model(owner.id)
    with pytest.raises(IntegrityError):
        await User.filter(id=owner.id).delete()


class World:
    """One sound row of everything, to break rules against."""

    async def build(self) -> "World":
        self.owner = (await rows.user(subject="jwt:me")).id
        self.photo = await rows.photo(self.owner, source_sha256="aa" * 32)
        self.archive = await rows.archive(self.owner, content_key="same")
        self.training = await rows.training(self.owner, idempotency_key="key")
        self.training_photo = await rows.training_photo(self.training.id, self.photo.id, position=0)
        self.training_event = await rows.training_event(self.training.id, seq=1)
        self.generation = await rows.generation(self.owner, run_id="run", asset_name="a.png")
        self.lora = await rows.generation_lora(self.generation.id, self.training.model_id, position=0, scale=4)
        self.generation_event = await rows.generation_event(self.generation.id, seq=1)
        self.submission = await rows.submission(self.training.id, attempt=0, request_id="request")
        self.account = await rows.account(self.owner, key="BALANCE:x")
        self.posting = await rows.posting(self.owner, seq=1)
        self.open = await rows.posting(
            self.owner, seq=2, kind=PostingKind.RESERVE, job_id=self.training.id, slot="open"
        )
        self.close = await rows.posting(
            self.owner, seq=3, kind=PostingKind.COMMIT, job_id=self.training.id, slot="close"
        )
        self.entry = await LedgerEntry.create(posting_id=self.open.id, account_id=self.account.id, amount=0)
        return self


Break = Callable[[World], Awaitable[object]]
BREAKS: dict[str, Break] = {
    "a balance below zero": lambda w: type(w.account).filter(id=w.account.id).update(balance=-1),
    "a new account below zero": lambda w: rows.account(w.owner, balance=-1, kind="SPENT"),
    "a job without a slot": lambda w: rows.posting(w.owner, seq=4, job_id=new_id()),
    "a slot without a job": lambda w: rows.posting(w.owner, seq=4, slot="open"),
    "a second reserve": lambda w: rows.posting(w.owner, seq=4, kind="RESERVE", job_id=w.training.id, slot="open"),
    "a second settlement": lambda w: rows.posting(w.owner, seq=4, kind="REFUND", job_id=w.training.id, slot="close"),
    "two postings with one number": lambda w: rows.posting(w.owner, seq=3),
    "two accounts with one key": lambda w: rows.account(w.owner, key="BALANCE:x"),
    "an entry of no posting": lambda w: LedgerEntry.create(posting_id=new_id(), account_id=w.account.id, amount=0),
    "an entry of no account": lambda w: LedgerEntry.create(posting_id=w.open.id, account_id=new_id(), amount=0),
    "100 % before the end": lambda w: Training.filter(id=w.training.id).update(percent=100.0),
    "100 % of a failure": lambda w: Training.filter(id=w.training.id).update(percent=100.0, status="FAILED"),
    "more than 100 %": lambda w: Training.filter(id=w.training.id).update(percent=100.1, status="COMPLETED"),
    "less than 0 %": lambda w: Training.filter(id=w.training.id).update(percent=-0.1),
    "no steps": lambda w: rows.training(w.owner, steps=0),
    "too many steps": lambda w: rows.training(w.owner, steps=10001),
    "a training that pays": lambda w: rows.training(w.owner, credits=-1),
    "a training that pays back": lambda w: rows.training(w.owner, credits_spent=-1),
    "two trainings under one key": lambda w: rows.training(w.owner, idempotency_key="key"),
    "two trainings of one model": lambda w: rows.training(w.owner, model_id=w.training.model_id),
    "two photos in one place": lambda w: _another_photo(w, position=0),
    "a photo used twice": lambda w: rows.training_photo(w.training.id, w.photo.id, position=1),
    "a photo kept twice": lambda w: rows.photo(w.owner, source_sha256="aa" * 32),
    "an archive kept twice": lambda w: rows.archive(w.owner, content_key="same"),
    "two training events with one number": lambda w: rows.training_event(w.training.id, seq=1),
    "a training event 0": lambda w: rows.training_event(w.training.id, seq=0),
    "a generation that pays": lambda w: rows.generation(w.owner, credits=-1),
    "a generation that pays back": lambda w: rows.generation(w.owner, credits_spent=-1),
    "a completed generation without its file": lambda w: rows.generation(w.owner, status="COMPLETED"),
    "two generations in one place": lambda w: rows.generation(w.owner, run_id="run"),
    "two generations with one file": lambda w: rows.generation(w.owner, asset_name="a.png"),
    "two generation events with one number": lambda w: rows.generation_event(w.generation.id, seq=1),
    "a generation event 0": lambda w: rows.generation_event(w.generation.id, seq=0),
    "two models in one place": lambda w: rows.generation_lora(w.generation.id, w.training.model_id, position=0),
    "a scale above 4": lambda w: rows.generation_lora(w.generation.id, w.training.model_id, position=1, scale=4.01),
    "a scale below 0": lambda w: rows.generation_lora(w.generation.id, w.training.model_id, position=1, scale=-0.01),
    "two calls of one attempt": lambda w: rows.submission(w.training.id, attempt=0),
    "two calls with one request": lambda w: rows.submission(w.training.id, attempt=1, request_id="request"),
    "two users with one subject": lambda w: rows.user(subject="jwt:me"),
    "a user with photos deleted": lambda w: User.filter(id=w.owner).delete(),
    "a photo in a training deleted": lambda w: w.photo.delete(),
    "a model in use deleted": lambda w: LoraModel.filter(id=w.training.model_id).delete(),
    "a training with events deleted": lambda w: w.training.delete(),
    "a generation with events deleted": lambda w: w.generation.delete(),
    "a posting with entries deleted": lambda w: w.open.delete(),
    "an account with entries deleted": lambda w: w.account.delete(),
}


async def _another_photo(world: World, *, position: int) -> None:
    other = await rows.photo(world.owner)
    await rows.training_photo(world.training.id, other.id, position=position)


async def test_what_is_allowed_stays_allowed(database: str) -> None:
    """The rows that the next test breaks are sound, and so are the values next to the limits."""
    world = await World().build()
    await rows.training(world.owner, steps=10000, idempotency_key=None)
    await rows.training(world.owner, steps=1, idempotency_key=None, percent=100.0, status="COMPLETED")
    await rows.training((await rows.user()).id, idempotency_key="key")
    await rows.photo((await rows.user()).id, source_sha256="aa" * 32)
    await rows.account(world.owner, kind="ISSUED", balance=-5)
    await rows.generation(world.owner, status="COMPLETED", location="image/a.png", run_id="run", position=1)
    await rows.submission(world.training.id, attempt=1, request_id=None)
    await rows.submission(world.training.id, attempt=2, request_id=None)


@pytest.mark.parametrize("rule", BREAKS)
async def test_the_database_refuses(database: str, *, rule: str) -> None:
    """Each rule is a constraint of the database itself, not a check in Python."""
    world = await World().build()
    with pytest.raises(IntegrityError):
        await BREAKS[rule](world)

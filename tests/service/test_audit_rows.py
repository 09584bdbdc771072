"""The audit of rows that no model can read, and of columns outside the hashes: all are found, and nothing stops it."""

import asyncio
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from tortoise import connections

from likeness.cli.admin import credits as command
from likeness.db import connected
from models.ids import new_id
from models.user import User
from services import audit as module
from services.audit import Audit, audit, audit_all
from services.credits import Credits
from tests.fakes import FixedClock
from tests.service.conftest import new_user

ENTRIES = 8  # of GRANT, ALLOWANCE, RESERVE and COMMIT


async def fill(owner: User) -> None:
    """Four postings to all five accounts."""
    credits, job = Credits(clock=FixedClock(), daily_credits=30), new_id()
    await credits.grant(owner.id, 10, note="welcome")
    await credits.reserve(owner.id, job, 20)
    await credits.commit(job)


@pytest.fixture
async def filled(owner: User) -> User:
    """An owner with credits that came and went."""
    await fill(owner)
    return owner


async def change(sql: str) -> None:
    """Change rows behind the ledger's back."""
    await connections.get("default").execute_script(sql)


NEW_ACCOUNT = """
    INSERT INTO ledger_accounts (id, key, owner_id, kind, granted, balance)
    SELECT id, 'FOO:' || owner_id, owner_id, 'FOO', 0, 0 FROM ledger_postings WHERE seq = 1
"""
NEW_POSTING = """
    INSERT INTO ledger_postings (id, owner_id, seq, kind, note, at, previous_hash, hash)
    SELECT owner_id, owner_id, 0, kind, note, at, previous_hash, hash FROM ledger_postings WHERE seq = 1
"""
STRAY_ENTRY = """
    PRAGMA foreign_keys = OFF;
    INSERT INTO ledger_entries (id, posting_id, account_id, amount)
    SELECT 'x', 'x', id, 9000000000000000000 FROM ledger_accounts WHERE kind = 'BALANCE';
    UPDATE ledger_accounts SET balance = balance + 9000000000000000000 WHERE kind = 'BALANCE'
"""
IN_ANY_DATABASE = {
    "an unknown kind of posting": ("UPDATE ledger_postings SET kind = 'HACK' WHERE seq = 2", 2),
    "an unknown kind of account": ("UPDATE ledger_accounts SET kind = 'FOO' WHERE kind = 'ALLOWANCE'", None),
    "an unknown kind of a new account": (NEW_ACCOUNT, None),
    "another kind of account": ("UPDATE ledger_accounts SET kind = 'SPENT' WHERE kind = 'ALLOWANCE'", None),
    "another day": ("UPDATE ledger_accounts SET day = '2026-01-30' WHERE kind = 'ALLOWANCE'", None),
    "no day": ("UPDATE ledger_accounts SET day = NULL WHERE kind = 'ALLOWANCE'", None),
    "a day of the balance": ("UPDATE ledger_accounts SET day = '2026-01-31' WHERE kind = 'BALANCE'", None),
    "an allowance forgotten": ("UPDATE ledger_accounts SET granted = 0 WHERE kind = 'ALLOWANCE'", None),
    "an allowance raised": ("UPDATE ledger_accounts SET granted = 40 WHERE kind = 'ALLOWANCE'", None),
    "an allowance of the balance": ("UPDATE ledger_accounts SET granted = 10 WHERE kind = 'BALANCE'", None),
    "a key": ("UPDATE ledger_accounts SET key = 'x' WHERE kind = 'ALLOWANCE'", 2),
    "a number below one": (NEW_POSTING, 0),
    "a head below zero": ("UPDATE ledger_chains SET seq = -1", 1),
}
IN_SQLITE = {
    "a time": ("UPDATE ledger_postings SET at = 'yesterday' WHERE seq = 2", 2),
    "a time without a zone": ("UPDATE ledger_postings SET at = '2026-01-31 12:00:00' WHERE seq = 2", 2),
    "a note of bytes": ("UPDATE ledger_postings SET note = x'ff' WHERE seq = 3", 3),
    "a note in no encoding": ("UPDATE ledger_postings SET note = CAST(x'ff' AS TEXT) WHERE seq = 3", 3),
    "a number": ("UPDATE ledger_postings SET seq = 'x' WHERE seq = 3", 3),
    "half a number": ("UPDATE ledger_postings SET seq = 2.5 WHERE seq = 3", 3),
    "an id of a posting": ("PRAGMA foreign_keys = OFF; UPDATE ledger_postings SET id = 'x' WHERE seq = 3", 3),
    "an owner": ("PRAGMA foreign_keys = OFF; UPDATE ledger_postings SET owner_id = 'x' WHERE seq = 3", 3),
    "an amount": ("UPDATE ledger_entries SET amount = 'x' WHERE amount = 10", 1),
    "half an amount": ("UPDATE ledger_entries SET amount = 10.5 WHERE amount = 10", 1),
    "an account that is gone": ("PRAGMA foreign_keys = OFF; DELETE FROM ledger_accounts WHERE kind = 'RESERVED'", 3),
    "an account of nobody": ("PRAGMA foreign_keys = OFF; UPDATE ledger_accounts SET owner_id = 'x'", 1),
    "a key in no encoding": ("UPDATE ledger_accounts SET key = CAST(x'ff' AS TEXT) WHERE kind = 'RESERVED'", 3),
    "a day": ("UPDATE ledger_accounts SET day = 'yesterday' WHERE kind = 'ALLOWANCE'", None),
    "a day in no encoding": ("UPDATE ledger_accounts SET day = CAST(x'ff' AS TEXT) WHERE kind = 'ALLOWANCE'", None),
    "a balance": ("UPDATE ledger_accounts SET balance = 'x' WHERE kind = 'BALANCE'", None),
    "an allowance": ("UPDATE ledger_accounts SET granted = 'x' WHERE kind = 'ALLOWANCE'", None),
    "an entry of no posting": (STRAY_ENTRY, None),
    "a head": ("UPDATE ledger_chains SET seq = 'x'", 1),
    "a head in no encoding": ("UPDATE ledger_chains SET hash = CAST(x'ff' AS TEXT)", 1),
}


async def assert_found(owner: User, sql: str, broken_at: int | None) -> None:
    """The change is found at its place, and the next user is checked all the same."""
    await change(sql)
    found = await audit(owner.id)
    assert (False, broken_at) == (found.balanced, found.broken_at)
    other = await new_user(FixedClock())
    await fill(other)
    assert {owner.subject: False, other.subject: True} == {
        subject: result.balanced async for subject, result in audit_all()
    }


@pytest.mark.parametrize("name", IN_ANY_DATABASE)
async def test_a_change_is_found(filled: User, *, name: str) -> None:
    """What another database would keep is found too."""
    await assert_found(filled, *IN_ANY_DATABASE[name])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", IN_SQLITE)
async def test_what_cannot_be_read_is_broken(filled: User, *, name: str) -> None:
    """SQLite keeps any value in any column; it is a broken ledger and no fault of the audit."""
    await assert_found(filled, *IN_SQLITE[name])


@pytest.mark.parametrize("size", [1, 500])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_user_that_cannot_be_read(filled: User, monkeypatch: pytest.MonkeyPatch, *, size: int) -> None:
    """It is counted as broken, without a name, and the others are checked."""
    monkeypatch.setattr(module, "PAGE", size)
    unreadable, other = [await new_user(FixedClock()) for _ in range(2)]
    await change(f"UPDATE users SET subject = CAST(x'ff' AS TEXT) WHERE id = '{unreadable.id}'")
    await change(f"UPDATE users SET created_at = 'once' WHERE id = '{other.id}'")
    sound = Audit(balanced=True, entries=0, broken_at=None)
    expected = {
        filled.subject: Audit(balanced=True, entries=ENTRIES, broken_at=None),
        "": Audit(balanced=False, entries=0, broken_at=None),
        other.subject: sound,
    }
    assert expected == {subject: found async for subject, found in audit_all()}


def test_the_command(migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each broken ledger, whatever lies in its rows, and exit code 1."""
    shutil.copy(migrated_sqlite, tmp_path / "likeness.sqlite")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    async def prepare() -> list[str]:
        async with connected(f"sqlite://{tmp_path / 'likeness.sqlite'}"):
            users = [await new_user(FixedClock()) for _ in range(3)]
            for user in users:
                await fill(user)
            await change(f"UPDATE ledger_postings SET kind = 'HACK' WHERE seq = 2 AND owner_id = '{users[0].id}'")
            await change(f"UPDATE ledger_accounts SET granted = 0 WHERE owner_id = '{users[1].id}'")
        return [user.subject for user in users]

    subjects = asyncio.run(prepare())
    done = CliRunner().invoke(command, ["audit"])
    expected = [
        f"{subjects[0]}: posting 2 was changed or is missing.",
        f"{subjects[1]}: an account is not what its entries say.",
        f"3 users, {2 + 2 * ENTRIES} entries, 2 broken.",
    ]
    assert (1, expected) == (done.exit_code, done.output.splitlines())

"""`likeness credits grant` and `likeness token`: only what names somebody is taken."""

import asyncio
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from likeness.cli.main import cli
from likeness.db import connected
from models.ledger import LedgerPosting
from models.user import User

SECRET = "s" * 32


@pytest.fixture(autouse=True)
def _data_dir(migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of its own."""
    shutil.copy(migrated_sqlite, tmp_path / "likeness.sqlite")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    """A command with its output."""
    return CliRunner().invoke(cli, arguments)


def rows(folder: Path) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Subject and Telegram id of every user, and every note."""

    async def read() -> tuple[list[tuple[str, str | None]], list[str]]:
        async with connected(f"sqlite://{folder / 'likeness.sqlite'}"):
            users = [(user.subject, user.telegram_id) for user in await User.all()]
            return users, [posting.note for posting in await LedgerPosting.all()]

    return asyncio.run(read())


@pytest.mark.parametrize(("subject", "telegram_id"), [("local", None), ("jwt:ann", None), ("tg:42", "42")])
def test_grant(tmp_path: Path, *, subject: str, telegram_id: str | None) -> None:
    """Each form of a subject is a user, the same as after a sign-in."""
    done = run("credits", "grant", subject, "5", "--note", "welcome ☕")
    assert (0, f"{subject} now has a balance of 5 credits.\n") == (done.exit_code, done.output)
    assert ([(subject, telegram_id)], ["welcome ☕"]) == rows(tmp_path)


NOBODY = [
    "nobody", "", " ", "Local", "local ", "jwt:", "jwt: ", "JWT:ann", "jwt:a\nb", "jwt:\udcff", "jwt:" + "x" * 296,
    "tg:", "tg:abc", "tg:4 2", "tg:-1", "tg:٤٢", "tg:" + "1" * 21, "tg:42\n",
]  # fmt: skip


@pytest.mark.parametrize("subject", NOBODY, ids=ascii)
def test_a_grant_to_nobody(tmp_path: Path, *, subject: str) -> None:
    """One sentence and exit code 2; no user is made."""
    done = run("credits", "grant", subject, "5")
    assert 2 == done.exit_code
    assert "Invalid value for 'SUBJECT': must be `local`, `jwt:<sub>` or `tg:<id>`.\n" in done.output
    assert ([], []) == rows(tmp_path)


@pytest.mark.parametrize("note", ["\udcff", "two\nlines", "\x1b[2J", " ", "x" * 201], ids=ascii)
def test_a_note_that_cannot_be_kept(tmp_path: Path, *, note: str) -> None:
    """One sentence and exit code 2; nothing is granted."""
    done = run("credits", "grant", "local", "5", "--note", note)
    assert 2 == done.exit_code
    assert "Invalid value for '--note': must have 1 to 200 characters, something visible" in done.output
    assert ([], []) == rows(tmp_path)


@pytest.mark.parametrize("subject", ["", " ", "a\nb", "\udcff", "x" * 247], ids=ascii)
def test_a_token_for_nobody(*, subject: str) -> None:
    """A token that no server would take is not signed: one sentence and exit code 2."""
    done = run("token", subject)
    assert 2 == done.exit_code
    assert (
        "Invalid value for 'SUBJECT': must have 1 to 246 characters, something visible and no control characters.\n"
        in done.output
    )


def test_the_longest_token() -> None:
    """It is signed."""
    done = run("token", "x" * 246)
    assert (0, 3) == (done.exit_code, len(done.output.split(".")))

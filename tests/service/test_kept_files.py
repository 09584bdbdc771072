"""A start without CLOUDINARY_URL is refused while kept files lie at Cloudinary."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from likeness.cli import doctor
from likeness.cli.serve import prepare_database
from likeness.db import connected
from likeness.settings import Settings, SettingsError
from tests.fakes import NOON
from tests.service import rows

REMOTE = "image|upload|stefna/generated/a|png|https://res.cloudinary.com/demo/image/upload/v1/stefna/generated/a.png"
LOCAL = "images/100%.png"
SENTENCE = "CLOUDINARY_URL must be set again: kept files lie at Cloudinary."


def settings(url: str, folder: Path, **more: Any) -> Settings:
    return Settings.model_validate({"database_url": url, "data_dir": folder, **more})


def written(url: str, row: str, **columns: Any) -> None:
    """A row of a user, in the database."""

    async def write() -> None:
        async with connected(url):
            await getattr(rows, row)((await rows.user()).id, **columns)

    asyncio.run(write())


KEPT = [("photo", "location"), ("model", "weights_location"), ("model", "config_location"), ("generation", "location")]


@pytest.mark.parametrize(("row", "column"), KEPT)
def test_without_its_settings(database_url: str, tmp_path: Path, row: str, column: str) -> None:
    """One file of any kind is enough; with the settings the start goes on."""
    written(database_url, row, **{column: REMOTE})
    with pytest.raises(SettingsError, match=SENTENCE):
        prepare_database(settings(database_url, tmp_path))
    prepare_database(settings(database_url, tmp_path, cloudinary_url="cloudinary://k:s@demo"))


def test_a_deleted_file_that_was_not_removed(database_url: str, tmp_path: Path) -> None:
    """It can only be removed with the settings."""
    written(database_url, "photo", location=REMOTE, deleted_at=NOON)
    with pytest.raises(SettingsError, match=SENTENCE):
        prepare_database(settings(database_url, tmp_path))


def test_nothing_lies_there(database_url: str, tmp_path: Path) -> None:
    """Local files and removed ones do not stop the start."""
    written(database_url, "photo", location=REMOTE, deleted_at=NOON, removed_at=NOON)
    written(database_url, "generation", location=LOCAL)
    prepare_database(settings(database_url, tmp_path))


def test_the_doctor(sqlite_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor says the same, after its answers."""
    written(sqlite_database_url, "photo", location=REMOTE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", sqlite_database_url)
    done = CliRunner().invoke(doctor.command)
    assert SENTENCE == str(done.exception)
    assert "asset store: answers" in done.output

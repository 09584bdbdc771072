"""DATA_DIR: its folders and its file of durable runs, tried before anything works in them."""

import sqlite3
import tempfile
from pathlib import Path

from likeness.db import check_sqlite
from likeness.settings import Settings, SettingsError


def prepare_data_dir(settings: Settings) -> None:
    """Make DATA_DIR and its folders. Raises `SettingsError` when they cannot be made or written to."""
    try:
        str(settings.data_dir.absolute()).encode()  # it becomes a part of an address
        for name in ["tmp", "assets", *(["sandbox"] if settings.simulated else [])]:
            (settings.data_dir / name).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.data_dir):
            pass
    except (OSError, UnicodeEncodeError) as error:
        raise SettingsError(f"DATA_DIR: the folder cannot be used ({error}).") from None


def runs_file(settings: Settings) -> Path:
    """Where the durable runs are while the database is SQLite."""
    return settings.data_dir.absolute() / "runs.sqlite"


def check_runs_file(settings: Settings) -> None:
    """Raise `SettingsError` when the durable runs cannot be read; nobody else may be using them."""
    if settings.is_sqlite:
        try:
            check_sqlite(runs_file(settings))
        except sqlite3.Error as error:
            raise SettingsError(f"DATA_DIR: its runs.sqlite cannot be used ({error}).") from None

"""SQLite belongs to one process at a time: two that read and then write lose half of their writes."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from likeness.settings import Settings, SettingsError


@contextmanager
def only_process(settings: Settings) -> Iterator[None]:
    """Hold DATA_DIR for this process while its database is SQLite. Raises `SettingsError` when another has it."""
    if not settings.is_sqlite:
        yield
        return
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with (settings.data_dir / "process.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reason = f"Another process uses {settings.data_dir} with SQLite; several need DATABASE_URL=postgres://..."
            raise SettingsError(reason) from None
        yield

"""SQLite belongs to one process at a time: two that read and then write lose half of their writes."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from likeness.settings import Settings, SettingsError


@contextmanager
def only_process(settings: Settings) -> Iterator[None]:
    """Hold DATA_DIR and the database's file for this process while the database is SQLite.

    Raises `SettingsError` when another process has one of them, or when they cannot be locked.
    """
    with ExitStack() as stack:
        if settings.sqlite_file is not None:
            stack.enter_context(_held(settings.data_dir, settings.data_dir / "process.lock", name="DATA_DIR"))
            # The file that links lead to: several folders may name the same database.
            file = settings.sqlite_file.resolve()
            stack.enter_context(_held(file, file.with_name(f"{file.name}.lock"), name=settings.database_setting))
        yield


@contextmanager
def _held(what: Path, file: Path, *, name: str) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(file.open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reason = f"Another process uses {what} with SQLite; several need DATABASE_URL=postgres://..."
            raise SettingsError(reason) from None
        except OSError as error:
            raise SettingsError(f"{name}: {what} cannot be used ({error}).") from None
        yield

"""The real schema in an SQLite memory that answers in the same thread, so that a run can be repeated exactly."""

import asyncio
import contextlib
import functools
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tortoise import Tortoise, connections

from likeness.db import migrate, tortoise_config
from tests.simulation.faults import Faults
from tests.simulation.processes import ProcessDead, current
from tests.simulation.saving import SAVING, check_saved


@functools.cache
def template() -> bytes:
    """The newest schema, made once by the real migrations."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.sqlite"
        asyncio.run(migrate(f"sqlite://{path}"))
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
            return connection.serialize()


class Memory:
    """What Tortoise wants of an aiosqlite connection. Each statement is a point at which a process may die."""

    def __init__(self, schema: bytes, *, without: Iterable[str] = ()) -> None:
        self._conn = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
        self._conn.deserialize(schema)
        self._conn.row_factory = sqlite3.Row
        for guard in without:
            self._drop(guard)
        names = self._conn.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        self._tables = [row["name"] for row in names if row["name"] != "tortoise_migrations"]
        self._conn.execute("PRAGMA foreign_keys=ON")
        self.faults: Faults | None = None

    @property
    def total_changes(self) -> int:
        return self._conn.total_changes

    def reset(self, faults: Faults) -> None:
        """Empty every table."""
        self.faults = faults
        if self._conn.in_transaction:
            self._conn.rollback()
        self._conn.execute("PRAGMA foreign_keys=OFF")
        for table in self._tables:
            self._conn.execute(f"DELETE FROM {table}")
        self._conn.execute("PRAGMA foreign_keys=ON")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Read at once, for the harness."""
        return self._conn.execute(query, values).fetchall()

    async def execute(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        # Raising at BEGIN would leave Tortoise's lock taken for ever; the next statement is early enough.
        await (asyncio.sleep(0) if query == "BEGIN" else self._point(query))
        return self._conn.execute(query, values)

    async def execute_fetchall(self, query: str, values: Sequence[Any] | None = None) -> list[sqlite3.Row]:
        await self._point(query)
        return self._conn.execute(query, values or ()).fetchall()

    async def execute_insert(self, query: str, values: Sequence[Any]) -> tuple[int | None]:
        await self._point(query)
        return (self._conn.execute(query, values).lastrowid,)

    async def executemany(self, query: str, values: Iterable[Sequence[Any]]) -> None:
        await self._point(query)
        self._conn.executemany(query, values)

    async def commit(self) -> None:
        """Commit; a process may die before it, which undoes everything, or right after it."""
        if not self._conn.in_transaction:
            return
        try:
            await self._point("COMMIT")
        except ProcessDead:
            self._conn.rollback()
            raise
        self._conn.commit()
        if (process := current.get()) is not None:
            process.count()

    async def rollback(self) -> None:
        if self._conn.in_transaction:
            self._conn.rollback()

    async def close(self) -> None:
        self._conn.close()

    def _drop(self, guard: str) -> None:
        """Take a unique index away, or the uniqueness of a column (`table.column`)."""
        table, _, column = guard.partition(".")
        if not column:
            self._conn.execute(f"DROP INDEX {guard}")
            return
        made = [row["sql"] for row in self._conn.execute("SELECT sql FROM sqlite_master WHERE tbl_name = ?", (table,))]
        self._conn.execute(f"DROP TABLE {table}")
        for sql in filter(None, made):
            self._conn.execute(re.sub(rf'("{column}" \w+\(\d+\))\s+UNIQUE', r"\1", sql))

    async def _point(self, query: str) -> None:
        process = current.get()
        if process is None:
            return
        check_saved(query)
        if query.startswith(SAVING):
            process.changes_call()
        if self._conn.in_transaction:
            process.count()
        else:
            await process.point()
        await asyncio.sleep(self.faults.latency() if self.faults else 0)
        process.check()


@contextmanager
def tortoise(loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """Tortoise's client for this process, which is given a `Memory` with `attach`."""
    config = tortoise_config("sqlite://:memory:")
    context = loop.run_until_complete(Tortoise.init(config=config, _enable_global_fallback=True))
    client: Any = connections.get("default")
    try:
        yield client
    finally:
        client._connection = None
        loop.run_until_complete(context.close_connections())


def attach(client: Any, memory: Memory) -> None:
    """Let Tortoise use this memory from now on, with a lock of this loop."""
    client._connection, client._lock = memory, asyncio.Lock()

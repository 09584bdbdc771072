"""The schema of the connected database in words that SQLite and PostgreSQL share."""

import re
from dataclasses import dataclass
from typing import Any

from tortoise import connections

Columns = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Schema:
    """`columns` are (table, column, nullable); `foreign_keys` are (table, column, other table, on delete)."""

    tables: frozenset[str]
    columns: frozenset[tuple[str, str, bool]]
    unique: frozenset[tuple[str, Columns]]
    indexes: frozenset[tuple[str, Columns]]
    checks: frozenset[tuple[str, str]]
    foreign_keys: frozenset[tuple[str, str, str, str]]


async def read_schema() -> Schema:
    """Read it from the database's own catalogue."""
    kind = connections.get("default").capabilities.dialect
    return await (_sqlite() if kind == "sqlite" else _postgres())


async def _rows(query: str) -> list[dict[str, Any]]:
    return [dict(row) for row in await connections.get("default").execute_query_dict(query)]


async def _sqlite() -> Schema:
    tables = await _rows("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    columns, unique, indexes, keys = set(), set(), set(), set()
    for table in [table["name"] for table in tables]:
        primary = []
        for column in await _rows(f"PRAGMA table_info({table})"):
            columns.add((table, column["name"], not column["notnull"] and not column["pk"]))
            primary += [column["name"]] if column["pk"] else []
        unique.add((table, tuple(primary)))
        for index in await _rows(f"PRAGMA index_list({table})"):
            parts = [row["name"] for row in await _rows(f"PRAGMA index_info('{index['name']}')")]
            (unique if index["unique"] else indexes).add((table, tuple(parts)))
        for key in await _rows(f"PRAGMA foreign_key_list({table})"):
            keys.add((table, key["from"], key["table"], key["on_delete"]))
    return Schema(
        tables=frozenset(table["name"] for table in tables),
        columns=frozenset(columns),
        unique=frozenset(unique),
        indexes=frozenset(indexes),
        checks=frozenset(
            (table["name"], name)
            for table in tables
            for name in re.findall(r'CONSTRAINT "?(\w+)"? CHECK', table["sql"], re.IGNORECASE)
        ),
        foreign_keys=frozenset(keys),
    )


async def _postgres() -> Schema:
    columns = await _rows(
        "SELECT table_name, column_name, is_nullable FROM information_schema.columns WHERE table_schema = 'public'"
    )
    indexes = await _rows(
        "SELECT c.relname AS name, i.indisunique AS is_unique, array_to_string(ARRAY("
        "SELECT a.attname FROM unnest(i.indkey) WITH ORDINALITY k(n, o) JOIN pg_attribute a"
        " ON a.attrelid = i.indrelid AND a.attnum = k.n ORDER BY k.o), ',') AS parts"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
        " JOIN pg_namespace s ON s.oid = c.relnamespace WHERE s.nspname = 'public'"
    )
    checks = await _rows(
        "SELECT r.relname AS name, c.conname AS rule FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid"
        " JOIN pg_namespace s ON s.oid = r.relnamespace WHERE c.contype = 'c' AND s.nspname = 'public'"
    )
    keys = await _rows(
        "SELECT r.relname AS name, a.attname AS part, o.relname AS other,"
        " CASE c.confdeltype WHEN 'r' THEN 'RESTRICT' WHEN 'a' THEN 'NO ACTION' WHEN 'c' THEN 'CASCADE'"
        " ELSE 'SET' END AS action"
        " FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_class o ON o.oid = c.confrelid"
        " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] WHERE c.contype = 'f'"
    )
    return Schema(
        tables=frozenset(row["table_name"] for row in columns),
        columns=frozenset((row["table_name"], row["column_name"], row["is_nullable"] == "YES") for row in columns),
        unique=frozenset((row["name"], tuple(row["parts"].split(","))) for row in indexes if row["is_unique"]),
        indexes=frozenset((row["name"], tuple(row["parts"].split(","))) for row in indexes if not row["is_unique"]),
        checks=frozenset((row["name"], row["rule"]) for row in checks),
        foreign_keys=frozenset((row["name"], row["part"], row["other"], row["action"]) for row in keys),
    )

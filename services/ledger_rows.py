"""The ledger's rows as they lie in the database: plain values, for whoever must not trust them.

SQLite stores any value in any column, and a row that was changed by hand may hold what no model can read.
"""

from collections import defaultdict
from typing import Any

from tortoise.connection import get_connection
from tortoise.exceptions import OperationalError

Row = dict[str, Any]

USERS = "SELECT id, subject FROM users ORDER BY id LIMIT $1 OFFSET $2"
HEAD = "SELECT seq, hash FROM ledger_chains WHERE owner_id = $1"
POSTINGS = "SELECT * FROM ledger_postings WHERE owner_id = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq LIMIT $4"
ENTRIES = """
    SELECT p.seq, e.amount, a.key, a.owner_id
    FROM ledger_postings p
    JOIN ledger_entries e ON e.posting_id = p.id
    LEFT JOIN ledger_accounts a ON a.id = e.account_id
    WHERE p.owner_id = $1 AND p.seq BETWEEN $2 AND $3
"""
# The head is read in the same statement, as it may have moved on.
OUTSIDE = """
    SELECT seq FROM ledger_postings
    WHERE owner_id = $1
    AND (seq < 1 OR seq > COALESCE((SELECT seq FROM ledger_chains WHERE owner_id = $1), 0))
    ORDER BY seq LIMIT 1
"""
ACCOUNTS = """
    SELECT a.key, a.kind, a.day, a.granted, a.balance,
        COALESCE(SUM(CASE WHEN p.owner_id = a.owner_id THEN e.amount END), 0) AS total,
        COALESCE(SUM(CASE WHEN p.owner_id = a.owner_id AND p.kind = 'ALLOWANCE' THEN e.amount END), 0) AS allowed,
        COUNT(e.id) - COUNT(CASE WHEN p.owner_id = a.owner_id THEN e.id END) AS strays
    FROM (SELECT * FROM ledger_accounts WHERE owner_id = $1 ORDER BY id LIMIT $2 OFFSET $3) a
    LEFT JOIN ledger_entries e ON e.account_id = a.id
    LEFT JOIN ledger_postings p ON p.id = e.posting_id
    GROUP BY a.id, a.key, a.kind, a.day, a.granted, a.balance
"""


class Unreadable(Exception):
    """A text of a row is no text."""


async def users(limit: int, offset: int) -> list[Row]:
    """Id and subject of users, in order. Raises `Unreadable`."""
    return await _read(USERS, limit, offset)


async def head(owner: str) -> Row | None:
    """Number and hash of an owner's newest posting. Raises `Unreadable`."""
    found = await _read(HEAD, owner)
    return found[0] if found else None


async def postings(owner: str, first: int, last: int, *, limit: int) -> list[Row]:
    """An owner's postings from one number to another, in order. Raises `Unreadable`."""
    return await _read(POSTINGS, owner, first, last, limit)


async def entries(owner: str, first: int, last: int) -> dict[int, list[Row]]:
    """The entries of an owner's postings by number, with key and owner of the account. Raises `Unreadable`."""
    found: dict[int, list[Row]] = defaultdict(list)
    for row in await _read(ENTRIES, owner, first, last):
        found[row["seq"]].append(row)
    return found


async def outside(owner: str) -> Row | None:
    """An owner's first posting whose number is below 1 or beyond the head."""
    found = await _read(OUTSIDE, owner)
    return found[0] if found else None


async def accounts(owner: str, limit: int, offset: int) -> list[Row]:
    """An owner's accounts, each with its entries in one statement. Raises `Unreadable`.

    `total` is the sum of the entries, `allowed` that of ALLOWANCE postings, and `strays` the number of entries whose
    posting is not the owner's, which are in neither.
    """
    return await _read(ACCOUNTS, owner, limit, offset)


async def _read(query: str, *values: str | int) -> list[Row]:
    connection = get_connection("default")
    if connection.capabilities.dialect == "sqlite":
        query = query.replace("$", "?")
    try:
        return await connection.execute_query_dict(query, list(values))
    except OperationalError as error:
        if "Could not decode" in str(error):
            raise Unreadable from error
        raise

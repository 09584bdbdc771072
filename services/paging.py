"""Keyset pages, newest first: ids sort by time, so a cursor is the last id seen and inserts never shift a page."""

import base64
import binascii
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from tortoise.models import Model
from tortoise.queryset import QuerySet

from models.errors import InvalidInput

Row = TypeVar("Row", bound=Model)
DEFAULT_PAGE, LARGEST_PAGE = 20, 100


@dataclass(frozen=True, kw_only=True)
class Page(Generic[Row]):
    """One page of rows and the cursor of each; the whole list is counted only when somebody asks."""

    rows: list[Row]
    cursors: list[str]
    has_next: bool
    has_previous: bool
    count: Callable[[], Coroutine[Any, Any, int]]


async def page(query: QuerySet[Row], *, list_name: str, first: int | None, after: str | None) -> Page[Row]:
    """The `first` rows (1 to 100, 20 when absent) after a cursor of the same list. Raises `InvalidInput`."""
    size = DEFAULT_PAGE if first is None else first
    if not 1 <= size <= LARGEST_PAGE:
        raise InvalidInput(reason=f"first must be from 1 to {LARGEST_PAGE}.", path=("first",))
    rest = query if after is None else query.filter(id__lt=_read_cursor(after, list_name))
    rows = await rest.order_by("-id").limit(size + 1)
    return Page(
        rows=rows[:size],
        cursors=[_cursor(row, list_name) for row in rows[:size]],
        has_next=len(rows) > size,
        has_previous=after is not None,
        count=lambda: _counted(query),
    )


async def _counted(query: QuerySet[Any]) -> int:
    return await query.count()


def _cursor(row: Model, list_name: str) -> str:
    return base64.urlsafe_b64encode(f"{list_name}:{row.pk}".encode()).decode()


def _read_cursor(cursor: str, list_name: str) -> UUID:
    try:
        name, _, id = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
        if name == list_name:
            return UUID(id)
    except (binascii.Error, ValueError):
        pass
    raise InvalidInput(reason="after is not a cursor of this list.", path=("after",))

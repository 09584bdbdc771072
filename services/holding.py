"""A job that begins and a deletion of what it needs cannot both succeed."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from models.errors import NotFound


async def hold(model: type[Any], ids: Collection[UUID], *, what: str, path: tuple[str, ...]) -> None:
    """Lock rows until the transaction ends, so that a deletion waits. Raises `NotFound` when one is deleted already."""
    wanted = set(ids)
    if wanted and len(await model.filter(id__in=wanted, deleted_at=None).order_by("id").select_for_update()) < len(
        wanted
    ):
        raise NotFound(what=what, path=path)

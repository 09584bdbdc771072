"""The link checker: walks slowly over everything that is kept, repairs what it can, and remembers what it cannot."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from models.errors import LikenessError
from models.generation import Generation
from models.ids import new_id
from models.link import BrokenLink, LinkCursor, LinkKind
from models.lora import LoraModel
from models.photo import Photo
from services.keeping import Keeping
from services.ports import AssetKind, AssetStore, Clock, Provider, StoreKeyRefused, StoreRefused, StoreUnavailable
from services.removal import remove_again
from services.training_finish import LARGEST_CONFIG, LARGEST_WEIGHTS, check_safetensors, config_name, weights_name

BATCH = 25  # files of each kind
PAUSE = timedelta(seconds=55)  # a batch a minute, whichever process comes first

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where rows of one kind name their file, and the provider's original of it."""

    model: type[Any]
    location: str
    original: str | None = None


PLACES: Mapping[LinkKind, Place] = {
    LinkKind.GENERATION: Place(model=Generation, location="location", original="original_fal_url"),
    LinkKind.WEIGHTS: Place(model=LoraModel, location="weights_location", original="provider_weights_url"),
    LinkKind.CONFIG: Place(model=LoraModel, location="config_location", original="provider_config_url"),
    LinkKind.PHOTO: Place(model=Photo, location="location"),
}


@dataclass(frozen=True, kw_only=True)
class Links:
    """Checks a batch of every kind at a time; the place in the walk is a row, so that a restart goes on from there."""

    store: AssetStore
    provider: Provider
    clock: Clock
    temp_dir: Path
    keeping: Keeping

    async def check_some(self) -> int:
        """Look at the next files, and again at those known to be gone; how many are broken now.

        Nothing is concluded while the store does not answer, nor of a file that it refuses to look for.
        """
        try:
            for kind in LinkKind:
                if await self._is_due(kind):
                    await self._check_broken(kind)
                    await self._check_next(kind)
        except (StoreUnavailable, StoreKeyRefused) as error:
            _log.warning("links.store_unavailable", reason=str(error))
        return await broken_links()

    async def _is_due(self, kind: LinkKind) -> bool:
        cursor = await LinkCursor.get_or_none(id=kind)
        return cursor is None or cursor.checked_at is None or self.clock.now() - cursor.checked_at >= PAUSE

    async def _check_next(self, kind: LinkKind) -> None:
        place, cursor = PLACES[kind], await LinkCursor.get_or_none(id=kind)
        rows = place.model.filter(deleted_at=None, **{f"{place.location}__isnull": False}).order_by("id")
        if cursor is not None and cursor.last_id is not None:
            rows = rows.filter(id__gt=cursor.last_id)
        batch, last = await rows.limit(BATCH), None
        try:
            for row in batch:
                last = row.id
                await self._check(kind, row)
            last = last if len(batch) == BATCH else None
        finally:
            await self._go_on_behind(kind, last)

    async def _go_on_behind(self, kind: LinkKind, last: UUID | None) -> None:
        """Note the last row that was looked at, even one whose check failed: no row stops the walk."""
        if not await LinkCursor.filter(id=kind).update(last_id=last, checked_at=self.clock.now()):
            await LinkCursor.bulk_create(
                [LinkCursor(id=kind, last_id=last, checked_at=self.clock.now())], ignore_conflicts=True
            )

    async def _check_broken(self, kind: LinkKind) -> None:
        """Look again at the links found broken, the one not looked at for longest first."""
        links = await BrokenLink.filter(kind=kind).order_by("found_at", "id").limit(BATCH)
        await BrokenLink.filter(id__in=[link.id for link in links]).update(found_at=self.clock.now())
        for link in links:
            row = await PLACES[kind].model.get_or_none(id=link.row_id, deleted_at=None)
            if row is None:
                await link.delete()
            else:
                await self._check(kind, row)

    async def _check(self, kind: LinkKind, row: Any) -> None:
        location = getattr(row, PLACES[kind].location)
        try:
            sound = await self.store.exists(location) or await self._repaired(kind, row)
        except StoreKeyRefused:
            raise
        except StoreRefused as error:
            _log.warning("links.not_checked", kind=kind, row=str(row.id), reason=str(error))
            return
        if sound:
            await BrokenLink.filter(kind=kind, row_id=row.id).delete()
        elif not await BrokenLink.filter(kind=kind, row_id=row.id).exists():
            _log.error("links.broken", kind=kind, row=str(row.id), location=location)
            facts = {"location": location, "reason": "the file is gone", "found_at": self.clock.now()}
            link = BrokenLink(id=new_id(), kind=kind, row_id=row.id, **facts)
            await BrokenLink.bulk_create([link], ignore_conflicts=True)

    async def _repaired(self, kind: LinkKind, row: Any) -> bool:
        """Whether the file is back, from the provider's original, or is no longer missed."""
        original = PLACES[kind].original
        if original is None or getattr(row, original) is None:
            return False
        try:
            columns = await (self._picture(row) if kind is LinkKind.GENERATION else self._file(kind, row))
        except StoreKeyRefused:
            raise
        except (LikenessError, StoreRefused, OSError) as error:
            _log.warning("links.not_repaired", kind=kind, row=str(row.id), reason=str(error))
            return False
        if not await PLACES[kind].model.filter(id=row.id, deleted_at=None).update(**columns):
            # Deleted meanwhile: the file goes again, by the sweep should the store be away.
            await remove_again(PLACES[kind].model, row.id)
            await self.store.delete(columns[PLACES[kind].location])
            return True
        _log.info("links.repaired", kind=kind, row=str(row.id))
        return True

    async def _picture(self, row: Generation) -> dict[str, Any]:
        location, picture = await self.keeping.restore(row)
        return {"location": location, "content_sha256": picture.sha256}

    async def _file(self, kind: LinkKind, row: LoraModel) -> dict[str, Any]:
        """Weights must be the very file that was kept; they have a hash."""
        weights = kind is LinkKind.WEIGHTS
        url, limit = getattr(row, PLACES[kind].original or ""), LARGEST_WEIGHTS if weights else LARGEST_CONFIG
        async with self._folder(row.id) as folder:
            file = await self.provider.download(url, folder / "file", limit=limit)
            if weights:
                await asyncio.to_thread(check_safetensors, file.path)
                if row.weights_sha256 not in {None, file.sha256}:
                    raise OSError("the provider's file is another one")
            name = weights_name(row.id) if weights else config_name(row.id)
            location = await self.store.put(
                file.path, kind=AssetKind.WEIGHTS, name=name, content_type=file.content_type
            )
        return {PLACES[kind].location: location}

    @asynccontextmanager
    async def _folder(self, id: UUID) -> AsyncIterator[Path]:
        folder = self.temp_dir / f"link-{id}"
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        try:
            yield folder
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def broken_links() -> int:
    """How many kept files are known to be gone."""
    return await BrokenLink.all().count()

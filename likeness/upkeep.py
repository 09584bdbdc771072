"""What keeps the asset store in order: deletions, unfinished uploads, smaller copies, links."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property

import structlog

from likeness.gateways import Gateways
from services.generation_journal import GenerationJournal
from services.keeping import Keeping
from services.links import Links
from services.removal import Removal
from services.unfinished_photos import UnfinishedPhotos

_log = structlog.get_logger()


class Upkeep:
    """Slower work than the sweeps of housekeeping, because it waits for the asset store."""

    def __init__(self, gateways: Gateways, journal: GenerationJournal) -> None:
        self._gateways = gateways
        self._journal = journal

    @property
    def works(self) -> Mapping[str, Callable[[], Awaitable[int]]]:
        """What is done, by name; each returns how many things it found."""
        return {
            "files_removed": self.removal.remove_forgotten,
            "unfinished_photos_removed": self.unfinished_photos.remove,
            "variants_removed": self._gateways.store.tidy,
            "links_broken": self.links.check_some,
        }

    async def round(self) -> None:
        """Do all of it; one that fails does not stop the others."""
        for name, work in self.works.items():
            try:
                if found := await work():
                    _log.info("upkeep", **{name: found})
            except Exception:
                _log.exception("upkeep.failed", work=name)

    @cached_property
    def removal(self) -> Removal:
        return Removal(store=self._gateways.store, clock=self._gateways.clock, jobs=self._gateways.jobs)

    @cached_property
    def unfinished_photos(self) -> UnfinishedPhotos:
        return UnfinishedPhotos(
            store=self._gateways.store, clock=self._gateways.clock, temp_dir=self._gateways.temp_dir
        )

    @cached_property
    def links(self) -> Links:
        keeping = Keeping(
            store=self._gateways.store,
            provider=self._gateways.provider,
            workers=self._gateways.workers,
            temp_dir=self._gateways.temp_dir,
            journal=self._journal,
        )
        return Links(
            store=self._gateways.store,
            provider=self._gateways.provider,
            clock=self._gateways.clock,
            temp_dir=self._gateways.temp_dir,
            keeping=keeping,
        )

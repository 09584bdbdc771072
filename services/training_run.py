"""The durable run of a training: pack, hand over, submit, follow, finish. Every step may be executed twice."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from models.errors import Internal, LikenessError, ProviderUnavailable, StorageDown
from models.photo import Photo, TrainingArchive
from models.status import TrainingStage, TrainingStatus
from models.submission import Submission
from models.training import Training, TrainingPhoto
from services.cancelling import Canceller
from services.packing import Packed, PackPhoto, archive_key, pack
from services.patience import while_unpaid
from services.ports import AssetStore, Clock, Provider, Run, StoreUnavailable
from services.submissions import Submissions, leave_findable
from services.trainers import trainer_for
from services.training_finish import TrainingFinish
from services.training_follow import TrainingFollow
from services.training_journal import TrainingJournal
from services.unit_of_work import transactional

EXTENSIONS = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """Carries one training from PENDING to its end; what is done already is recognised by the rows it left."""

    store: AssetStore
    provider: Provider
    clock: Clock
    workers: Executor
    temp_dir: Path
    archive_life: timedelta
    journal: TrainingJournal
    submissions: Submissions
    follow: TrainingFollow
    finish: TrainingFinish
    canceller: Canceller

    @property
    def run(self) -> Run:
        """The steps in order."""
        return Run(steps=(self.hand_over, self.submit, self.watch, self.settle), give_up=self.give_up)

    async def hand_over(self, id: UUID) -> None:
        """Pack the photos and put the ZIP where the provider reads it and where it dies by itself."""
        training = await Training.get(id=id)
        if training.status.is_final or training.archive_url:
            return
        if training.images_data_url:
            await Training.filter(id=id).update(archive_url=training.images_data_url)
            return
        photos = await _photos(id)
        key = archive_key([photo.sha256 for photo in photos])
        archive = await TrainingArchive.get_or_none(owner_id=training.owner_id, content_key=key)
        if archive is None or archive.expires_at - self.archive_life / 2 < self.clock.now():
            async with self._folder(id) as folder:
                archive = await self._upload(training, photos, key, folder)
        await Training.filter(id=id).update(archive_url=archive.url, archive_sha256=archive.sha256)

    async def submit(self, id: UUID) -> None:
        """Make the one paid call; a training cancelled meanwhile is cancelled at the provider too."""
        training = await Training.get(id=id)
        message = "Getting training data URL..."
        if await self.journal.progress(id, stage=TrainingStage.ARCHIVE_URL, message=message):
            await while_unpaid(ProviderUnavailable, self._submit, training)
        training = await Training.get(id=id)
        if training.status is TrainingStatus.CANCELLED:
            await self.canceller.stop_at_provider(id)

    async def watch(self, id: UUID) -> None:
        """Follow the provider until it has ended."""
        await self.follow.until_ended(id)

    async def settle(self, id: UUID) -> None:
        """Keep the weights and complete; there are none when it ended before the paid call."""
        if await Submission.exists(job_id=id):
            await self.finish.complete(id)

    async def give_up(self, id: UUID, error: Exception) -> None:
        """End a training that cannot go on, with its reason and a refund."""
        if not isinstance(error, LikenessError):
            _log.error("training.gave_up", training=str(id), exc_info=error)
        await leave_findable(id, error)
        await self.journal.fail(id, error if isinstance(error, LikenessError) else Internal())

    async def _submit(self, training: Training) -> None:
        """Submit, while its owner still wants it."""
        if (await Training.get(id=training.id)).status.is_final:
            return
        trainer, url = trainer_for(training.base_model), training.archive_url or ""
        arguments = trainer.arguments(
            archive_url=url, trigger=training.trigger_word, caption=training.instance_prompt, steps=training.steps,
            create_masks=training.create_masks, is_style=training.is_style, preprocessed=False,
            learning_rate=training.learning_rate,
        )  # fmt: skip
        await self.submissions.submit(
            training.id, endpoint=trainer.endpoint, model=trainer.key, arguments=arguments, needle=url
        )

    async def _upload(self, training: Training, photos: list[Photo], key: str, folder: Path) -> TrainingArchive:
        files = await self._gather(training.id, photos, folder)
        packed = await self._pack(training.id, files, folder / "training.zip")
        megabytes = packed.bytes / 1e6
        ready = f"Training archive ready ({len(files)} photos, {megabytes:.1f} MB)"
        await self._say(training.id, TrainingStage.ARCHIVE_READY, ready)
        await self._say(training.id, TrainingStage.UPLOADING_ARCHIVE, "Uploading training data...")
        now = self.clock.now()
        url = await while_unpaid(
            ProviderUnavailable, self.provider.upload, packed.path, content_type="application/zip",
            expires_in=self.archive_life,
        )  # fmt: skip
        life = {"created_at": now, "expires_at": now + self.archive_life}
        facts = {"sha256": packed.sha256, "bytes": packed.bytes, "url": url}
        return await _save_archive(training.owner_id, key, facts | life)

    async def _gather(self, id: UUID, photos: list[Photo], folder: Path) -> list[PackPhoto]:
        """Fetch the photos from the asset store, one by one."""
        files = []
        for number, photo in enumerate(photos):
            message = f"Downloading training images... {number + 1}/{len(photos)}"
            await self._say(id, TrainingStage.DOWNLOADING_IMAGES, message, number / len(photos))
            extension = EXTENSIONS[photo.content_type]
            to = folder / f"{number:03}{extension}"
            await while_unpaid(StorageDown, self._fetch, photo.location, to)
            files.append(PackPhoto(path=to, extension=extension, caption=None))
        return files

    async def _fetch(self, location: str, to: Path) -> None:
        try:
            await self.store.fetch(location, to)
        except StoreUnavailable as error:
            raise StorageDown from error

    async def _pack(self, id: UUID, files: list[PackPhoto], to: Path) -> Packed:
        """Pack on a worker thread, reporting each photo as it goes in."""
        loop, packed_so_far = asyncio.get_running_loop(), asyncio.Queue[int | None]()

        def report(count: int | None, _total: int = 0) -> None:
            loop.call_soon_threadsafe(packed_so_far.put_nowait, count)

        work = loop.run_in_executor(self.workers, partial(pack, files, to, on_photo=report))
        work.add_done_callback(lambda _: packed_so_far.put_nowait(None))
        while (count := await packed_so_far.get()) is not None:
            message = f"Packaging image {count}/{len(files)}..."
            await self._say(id, TrainingStage.PACKAGING, message, count / len(files))
        packed = await work
        await self._say(id, TrainingStage.CREATING_ARCHIVE, "Creating training archive...")
        return packed

    async def _say(self, id: UUID, stage: TrainingStage, message: str, fraction: float = 0.0) -> None:
        await self.journal.progress(id, stage=stage, message=message, fraction=fraction)

    @asynccontextmanager
    async def _folder(self, id: UUID) -> AsyncIterator[Path]:
        """A temporary folder that is gone afterwards; a crashed run's leftovers are replaced."""
        folder = self.temp_dir / f"training-{id}"
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        await asyncio.to_thread(folder.mkdir, parents=True)
        try:
            yield folder
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _photos(id: UUID) -> list[Photo]:
    rows = await TrainingPhoto.filter(training_id=id).order_by("position").select_related("photo")
    return [row.photo for row in rows]


@transactional
async def _save_archive(owner: UUID, key: str, facts: dict[str, Any]) -> TrainingArchive:
    archive, _ = await TrainingArchive.update_or_create(facts, owner_id=owner, content_key=key)
    return archive

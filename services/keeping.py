"""The end of a generation: its picture is fetched, checked and kept, and only then is it COMPLETED (design 3)."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import stamina
import structlog

from models.errors import (
    ProviderJobGone,
    ProviderRejected,
    ProviderUnavailable,
    ResultUnusable,
    StorageDown,
    StorageRefused,
)
from models.generation import Generation
from models.status import GenerationStatus
from models.submission import Submission, SubmissionState
from services.generation_journal import GenerationJournal
from services.patience import LONGEST_WAIT, once_paid
from services.pictures import Picture, finish_picture
from services.ports import (
    AssetKind,
    AssetStore,
    Provider,
    ProviderJob,
    StoreKeyRefused,
    StoreRefused,
    StoreUnavailable,
)
from services.provenance import Provenance
from services.submissions import accepted_job, close

LARGEST_IMAGE = 50 * 1024**2  # bytes
SEED = re.compile(r"[0-9]{1,20}")  # as its column
SHOWN_MEANWHILE = "The storage does not take the image yet; it is shown from the provider until it does"

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """Makes the provider's picture ours, however long the asset store is away.

    Meanwhile the generation shows the provider's address with `permanent: false`. The run that calls this is durable:
    after a crash it comes here again, fetches the same picture, and puts it under the same name.
    """

    store: AssetStore
    provider: Provider
    workers: Executor
    temp_dir: Path
    journal: GenerationJournal

    async def keep(
        self,
        generation: Generation,
        *,
        model: str,
        job: ProviderJob,
        result: Mapping[str, Any],
        picture_url: Callable[[Mapping[str, Any]], str],
    ) -> None:
        """Keep the picture of `result` that `model` made; a source that is gone is looked up in the result once more.

        Of a cancelled generation nothing is kept, and of a completed one nothing again.
        Raises `ResultUnusable`, `ProviderJobGone` when there is no source any more, `ProviderUnavailable`, and
        `StorageRefused` when the store takes no such file.
        """
        known: dict[str, Any] = {"fal_job_id": job.request_id, "model": model, "original_fal_url": picture_url(result)}
        known |= _seed(result)
        await self.journal.progress(generation.id, message="Keeping the image", **known)
        if (await Generation.get(id=generation.id)).status in {GenerationStatus.COMPLETED, GenerationStatus.CANCELLED}:
            return
        facts = provenance(generation, model=model, seed=known.get("seed"))
        async with self._folder(generation.id) as folder:
            try:
                picture = await self._fetch(known["original_fal_url"], folder / "picture", facts)
            except ProviderJobGone:
                known["original_fal_url"] = picture_url(await once_paid(ProviderUnavailable, self.provider.result, job))
                await self.journal.progress(generation.id, message="Looking for the image once more", **known)
                picture = await self._fetch(known["original_fal_url"], folder / "picture", facts)
            await self._complete(generation, picture, known)

    async def resume(self, generation: Generation, *, picture_url: Callable[[Mapping[str, Any]], str]) -> bool:
        """Go on where a process that died had a picture already: the provider forgets results before files.

        False when there was none, or when it is of no use.
        """
        call = await Submission.get_or_none(request_id=generation.fal_job_id, state=SubmissionState.ACCEPTED)
        job = accepted_job(call) if call and call.job_id == generation.id else None
        if call is None or job is None or generation.original_fal_url is None:
            return False
        result = {"images": [{"url": generation.original_fal_url}]}
        try:
            await self.keep(generation, model=call.model, job=job, result=result, picture_url=picture_url)
        except (ProviderRejected, ResultUnusable):
            return False
        await close(generation.id, SubmissionState.DONE, attempt=call.attempt)
        return True

    async def restore(self, generation: Generation) -> tuple[str, Picture]:
        """Put a picture that the store has lost back, from the provider's address, and return its location.

        Raises `LikenessError` when that no longer works.
        """
        facts = provenance(generation, model=generation.model or "", seed=generation.seed)
        async with self._folder(generation.id) as folder:
            file = folder / "picture"
            await self.provider.download(generation.original_fal_url or "", file, limit=LARGEST_IMAGE)
            picture = await self._finish(file, facts)
            return await self._put_once(generation, picture), picture

    async def _fetch(self, url: str, to: Path, facts: Provenance) -> Picture:
        await once_paid(ProviderUnavailable, self.provider.download, url, to, limit=LARGEST_IMAGE)
        return await self._finish(to, facts)

    async def _finish(self, file: Path, facts: Provenance) -> Picture:
        work = partial(finish_picture, file, facts)
        return await asyncio.get_running_loop().run_in_executor(self.workers, work)

    async def _complete(self, generation: Generation, picture: Picture, known: Mapping[str, Any]) -> None:
        location = await self._put(generation, picture)
        completed = await self.journal.complete(
            generation.id, location=location, width=picture.width, height=picture.height,
            content_sha256=picture.sha256, placeholder=picture.placeholder, **known,
        )  # fmt: skip
        if completed is None:
            await self._remove(generation.id, location)

    async def _remove(self, id: UUID, location: str) -> None:
        """Remove what was kept of a cancelled generation; one that another execution has completed keeps its file."""
        if await Generation.exists(id=id, status=GenerationStatus.CANCELLED):
            await once_paid(StoreUnavailable, self.store.delete, location)

    async def _put(self, generation: Generation, picture: Picture) -> str:
        """Try until the store takes it."""
        retry = stamina.retry_context(
            on=StorageDown, attempts=None, timeout=None, wait_initial=1.0, wait_max=LONGEST_WAIT
        )
        async for attempt in retry:
            with attempt:
                if attempt.num == 2:
                    await self.journal.progress(generation.id, message=SHOWN_MEANWHILE)
                # The sweep of temporary files must not take it for forgotten.
                await asyncio.to_thread(picture.path.touch)
                return await self._put_once(generation, picture)
        raise AssertionError("the retries never end")

    async def _put_once(self, generation: Generation, picture: Picture) -> str:
        name = f"{generation.asset_name}{picture.extension}"
        try:
            return await self.store.put(
                picture.path, kind=AssetKind.IMAGE, name=name, content_type=picture.content_type
            )
        except (StoreUnavailable, StoreKeyRefused) as error:
            _log.warning("generation.not_kept_yet", generation=str(generation.id), reason=str(error))
            raise StorageDown from error
        except StoreRefused as error:
            raise StorageRefused from error

    @asynccontextmanager
    async def _folder(self, id: UUID) -> AsyncIterator[Path]:
        folder = self.temp_dir / f"generation-{id}"
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        try:
            yield folder
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _seed(result: Mapping[str, Any]) -> dict[str, str]:
    """The seed that the model says it used, when it is one."""
    seed = str(result.get("seed"))
    return {"seed": seed} if SEED.fullmatch(seed) else {}


def provenance(generation: Generation, *, model: str, seed: str | None) -> Provenance:
    """What the kept file says of itself: the owner's own prompt, without the trigger words that name a person."""
    return Provenance(
        prompt=generation.prompt or "",
        seed=seed or generation.seed or "",
        model=model,
        run_id=generation.run_id,
        simulated=generation.simulated,
    )

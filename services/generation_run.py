"""The durable run of a generation: try the chain, follow, keep the picture. Every step may be executed twice."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import stamina
import structlog

from models.errors import Internal, LikenessError, ProviderRejected, ProviderUnavailable, ResultUnusable, StorageDown
from models.generation import Generation, GenerationLora
from models.lora import LoraModel
from models.submission import Submission, SubmissionState
from services.cancelling import Canceller
from services.generation_journal import GenerationJournal
from services.generators import GENERATORS, TEXT_CHAIN, Generator
from services.pictures import Picture, check_picture
from services.ports import (
    AssetKind,
    AssetStore,
    Ended,
    EventBus,
    Provider,
    ProviderJob,
    Queued,
    Run,
    StoreUnavailable,
)
from services.submissions import Submissions, accepted_job, close
from services.trainers import TRAINERS
from services.training_follow import wake_topic
from services.weights import Weights, weights_are_gone

LARGEST_IMAGE = 50 * 1024**2  # bytes

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class GenerationRun:
    """Carries one generation from PENDING to its end."""

    bus: EventBus
    store: AssetStore
    provider: Provider
    workers: Executor
    temp_dir: Path
    journal: GenerationJournal
    submissions: Submissions
    canceller: Canceller
    poll_seconds: float

    @property
    def run(self) -> Run:
        """One step: the rows tell a second execution how far the first came."""
        return Run(steps=(self.generate,), give_up=self.give_up)

    async def generate(self, id: UUID) -> None:
        """Try the models of the chain in turn; the next one only after a known failure.

        When the provider has lost the weights, it is given ours, and the same model is tried once more.
        """
        generation = await Generation.get(id=id)
        loras = await GenerationLora.filter(generation_id=id).order_by("position").select_related("model")
        generators = chain([lora.model for lora in loras])
        for attempt in count():
            if (await Generation.get(id=id)).status.is_final:
                return
            try:
                await self._attempt(generation, generators[0], attempt, loras)
            except ProviderRejected as failure:
                await close(id, SubmissionState.FAILED, attempt=attempt, error=failure.message)
                if attempt == 0 and loras and weights_are_gone(failure):
                    await self._hand_over(generation, loras)
                elif len(generators) > 1:
                    del generators[0]
                else:
                    raise
            else:
                return

    async def finish_late(self, id: UUID) -> None:
        """Keep the picture of a generation that was failed before its provider delivered."""
        generation = await Generation.get(id=id)
        for row in await Submission.filter(job_id=id).order_by("-attempt"):
            if job := accepted_job(row):
                result = await self._patiently(partial(self.provider.result, job))
                await self._keep(generation, GENERATORS[row.model], job, result)
                return

    async def _hand_over(self, generation: Generation, loras: Sequence[GenerationLora]) -> None:
        await self.journal.progress(generation.id, message="Giving the model's weights to the provider again")
        failed = await Submission.get(job_id=generation.id, attempt=0)
        weights = Weights(store=self.store, provider=self.provider, temp_dir=self.temp_dir)
        for lora in loras:
            await weights.hand_over(lora.model, instead_of=str(failed.arguments.get("loras")))

    async def give_up(self, id: UUID, error: Exception) -> None:
        """End a generation that cannot go on, with its reason and a refund."""
        if not isinstance(error, LikenessError):
            _log.error("generation.gave_up", generation=str(id), exc_info=error)
        await self.journal.fail(id, error if isinstance(error, LikenessError) else Internal())

    async def _attempt(
        self, generation: Generation, generator: Generator, attempt: int, loras: Sequence[GenerationLora]
    ) -> None:
        await self.journal.progress(generation.id, message=f"Asking {generator.name}")
        seed = int(generation.seed or 0)
        arguments = generator.arguments(
            prompt=generation.final_prompt or "",
            size=generation.image_size,
            seed=seed,
            loras=[(lora.model.provider_weights_url or "", lora.scale) for lora in loras],
        )
        job = await self._submit(generation, generator, attempt, arguments)
        if not await self._ended(generation.id, job):
            await self.canceller.stop_at_provider(generation.id)
            return
        result = await self._patiently(partial(self.provider.result, job))
        await self._keep(generation, generator, job, result)
        await close(generation.id, SubmissionState.DONE, attempt=attempt)

    @stamina.retry(on=ProviderUnavailable, attempts=8, timeout=600, wait_max=60)
    async def _submit(
        self, generation: Generation, generator: Generator, attempt: int, arguments: Mapping[str, Any]
    ) -> ProviderJob:
        return await self.submissions.submit(
            generation.id,
            endpoint=generator.endpoint,
            model=generator.name,
            arguments=arguments,
            needle=json.dumps(generation.final_prompt, ensure_ascii=False),
            attempt=attempt,
        )

    async def _ended(self, id: UUID, job: ProviderJob) -> bool:
        """Follow until the provider has ended (True) or the generation has otherwise (False)."""
        said = None
        # Listening before asking: a wake-up that comes while the provider answers is not lost.
        async with self.bus.listen(wake_topic(id)) as wake:
            while not (await Generation.get(id=id)).status.is_final:
                try:
                    status = await self.provider.status(job)
                except ProviderUnavailable as error:
                    _log.warning("generation.status_unavailable", generation=str(id), reason=error.message)
                else:
                    if isinstance(status, Ended):
                        return True
                    queue = status.position if isinstance(status, Queued) else None
                    message = "Drawing" if queue is None else f"Waiting at the provider, position {queue + 1}"
                    if message != said:
                        await self.journal.progress(
                            id, message=message, queue_position=queue, fal_job_id=job.request_id
                        )
                        said = message
                await wake.get(self.poll_seconds)
        return False

    async def _keep(
        self, generation: Generation, generator: Generator, job: ProviderJob, result: Mapping[str, Any]
    ) -> None:
        """Fetch the picture, check it, keep it, and only then complete."""
        url = picture_url(result)
        known: dict[str, Any] = {"original_fal_url": url, "fal_job_id": job.request_id, "model": generator.name}
        if result.get("seed") is not None:
            known["seed"] = str(result["seed"])
        await self.journal.progress(generation.id, message="Keeping the image", **known)
        async with self._folder(generation.id) as folder:
            fetch = partial(self.provider.download, url, folder / "picture", limit=LARGEST_IMAGE)
            file = await self._patiently(fetch)
            picture = await asyncio.get_running_loop().run_in_executor(self.workers, check_picture, file.path)
            location = await self._put(generation, picture)
        await self.journal.complete(
            generation.id, location=location, width=picture.width, height=picture.height,
            content_sha256=file.sha256, **known,
        )  # fmt: skip

    @stamina.retry(on=ProviderUnavailable, attempts=8, timeout=600, wait_max=60)
    async def _patiently(self, call: "partial[Any]") -> Any:
        return await call()

    @stamina.retry(on=StorageDown, attempts=20, timeout=3600, wait_max=60)
    async def _put(self, generation: Generation, picture: Picture) -> str:
        name = f"{generation.asset_name}{picture.extension}"
        try:
            return await self.store.put(
                picture.path, kind=AssetKind.IMAGE, name=name, content_type=picture.content_type
            )
        except StoreUnavailable as error:
            raise StorageDown from error

    @asynccontextmanager
    async def _folder(self, id: UUID) -> AsyncIterator[Path]:
        folder = self.temp_dir / f"generation-{id}"
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        try:
            yield folder
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def chain(models: Sequence[LoraModel]) -> list[Generator]:
    """The generators to try: the one that fits the models' family, else the text models (seed 003)."""
    names = [TRAINERS[models[0].base_model].generator] if models else TEXT_CHAIN
    return [GENERATORS[name] for name in names]


def picture_url(result: Mapping[str, Any]) -> str:
    """The address of the only picture, in `images[]` or `image`. Raises `ResultUnusable` when blocked or missing."""
    if any(result.get("has_nsfw_concepts") or ()):
        raise ResultUnusable(reason="the provider's safety checker blocked the image.")
    images = result.get("images") or [result.get("image")]
    first = images[0] if isinstance(images, list) and images else None
    url = first.get("url") if isinstance(first, Mapping) else None
    if not isinstance(url, str) or not url:
        raise ResultUnusable(reason="it names no image.")
    return url

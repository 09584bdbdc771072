"""The durable run of a generation: try the chain, follow, keep the picture. Every step may be executed twice."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from models.errors import ImageBlocked, Internal, LikenessError, ProviderRejected, ProviderUnavailable, ResultUnusable
from models.generation import Generation, GenerationLora
from models.lora import LoraModel
from models.status import GenerationStatus
from models.submission import Submission, SubmissionState
from services import chains
from services.cancelling import Canceller
from services.chains import Next, Request, Step
from services.generation_follow import GenerationFollow
from services.generation_journal import GenerationJournal
from services.generators import wire_name
from services.keeping import Keeping
from services.patience import once_paid, while_unpaid
from services.ports import AssetStore, Provider, ProviderJob, Run
from services.source_photo import SourcePhotos
from services.submissions import Submissions, accepted_job, close, leave_findable
from services.trainers import TRAINERS
from services.weights import Weights, weights_are_gone

LONGEST_URL = 2000  # characters, as many as the column holds

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class GenerationRun:
    """Carries one generation from PENDING to its end."""

    store: AssetStore
    provider: Provider
    workers: Executor
    temp_dir: Path
    journal: GenerationJournal
    submissions: Submissions
    canceller: Canceller
    follow: GenerationFollow
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def run(self) -> Run:
        """One step: the rows tell a second execution how far the first came."""
        return Run(steps=(self.generate,), give_up=self.give_up)

    @property
    def _keeping(self) -> Keeping:
        return Keeping(
            store=self.store, provider=self.provider, workers=self.workers, temp_dir=self.temp_dir,
            journal=self.journal,
        )  # fmt: skip

    async def generate(self, id: UUID) -> None:
        """Keep the picture that was there before a crash, or else have one made."""
        generation = await Generation.get(id=id)
        if generation.status.is_final or not await self._keeping.resume(generation, picture_url=picture_url):
            await self._try_chain(generation)

    async def _try_chain(self, generation: Generation) -> None:
        """Try the models of the chain in turn; the next one only after a known failure.

        A model that cannot honour the request is noted as skipped, with the reason. When the provider has lost weights
        or photo, it is given ours, and the same model is tried once more.
        """
        id = generation.id
        loras = await GenerationLora.filter(generation_id=id).order_by("position").select_related("model")
        steps, given_again, failure = planned(generation, [lora.model for lora in loras]), False, LikenessError()
        for attempt in count():
            if (await Generation.get(id=id)).status.is_final:
                return
            if not steps:
                raise failure
            if steps[0].skip is not None:
                await self._skip(generation, steps.pop(0), attempt)
                continue
            try:
                await self._attempt(generation, steps[0], attempt, loras)
            except (ProviderRejected, ResultUnusable) as error:
                failure = error
                match await self._follow_up(generation, error, attempt, loras, given_again=given_again):
                    case Next.STOP:
                        raise
                    case Next.SAME:
                        given_again = True
                    case Next.NEXT:
                        del steps[0]
            else:
                return

    async def _follow_up(
        self,
        generation: Generation,
        failure: LikenessError,
        attempt: int,
        loras: Sequence[GenerationLora],
        *,
        given_again: bool,
    ) -> Next:
        """Note a failed attempt and decide what follows; lost weights are handed over again."""
        await close(generation.id, SubmissionState.FAILED, attempt=attempt, failure=failure)
        await _forget_picture(generation.id, attempt)
        lost_weights = bool(loras) and isinstance(failure, ProviderRejected) and weights_are_gone(failure)
        lost = lost_weights or photo_is_gone(failure, generation)
        verdict = chains.after(failure, files_lost=lost, given_again=given_again)
        if verdict is Next.SAME and lost_weights:
            await self._hand_over(generation, attempt, loras)
        return verdict

    async def finish_late(self, id: UUID) -> None:
        """Keep the picture of a generation that was failed before its provider delivered."""
        generation = await Generation.get(id=id)
        for row in await Submission.filter(job_id=id).order_by("-attempt"):
            if job := accepted_job(row):
                result = await once_paid(ProviderUnavailable, self.provider.result, job)
                await self._keep(generation, row.model, job, result)
                return

    async def _hand_over(self, generation: Generation, attempt: int, loras: Sequence[GenerationLora]) -> None:
        """Weights of ours in place of those that were lost; a photo is uploaded anew by every attempt."""
        await self.journal.progress(generation.id, message="Giving the model's weights to the provider again")
        failed = await Submission.get(job_id=generation.id, attempt=attempt)
        weights = Weights(store=self.store, provider=self.provider, temp_dir=self.temp_dir)
        for lora in loras:
            await weights.hand_over(lora.model, instead_of=str(failed.arguments.get("loras")))

    async def _skip(self, generation: Generation, step: Step, attempt: int) -> None:
        endpoint = step.generator.endpoint(photo=generation.source_photo_id is not None) or step.generator.only_endpoint
        path, reason = wire_name(endpoint, self.aliases), f"Skipped: {step.skip}."
        await self.submissions.skip(generation.id, attempt=attempt, endpoint=path, model=step.name, reason=reason)

    async def give_up(self, id: UUID, error: Exception) -> None:
        """End a generation that cannot go on, with its reason and a refund."""
        if not isinstance(error, LikenessError):
            _log.error("generation.gave_up", generation=str(id), exc_info=error)
        await leave_findable(id, error)
        await self.journal.fail(id, chains.told(error) if isinstance(error, LikenessError) else Internal())

    async def _attempt(self, generation: Generation, step: Step, attempt: int, loras: Sequence[GenerationLora]) -> None:
        await self.journal.progress(generation.id, message=f"Asking {step.name}")
        arguments = await self._arguments(generation, step, attempt, loras)
        job = await while_unpaid(ProviderUnavailable, self._submit, generation, step, attempt, arguments)
        if job is None or not await self.follow.until_ended(generation.id, job):
            await self.canceller.stop_at_provider(generation.id)
            return
        result = await once_paid(ProviderUnavailable, self.provider.result, job)
        await self._keep(generation, step.name, job, result)
        await close(generation.id, SubmissionState.DONE, attempt=attempt)

    async def _arguments(
        self, generation: Generation, step: Step, attempt: int, loras: Sequence[GenerationLora]
    ) -> Mapping[str, Any]:
        """The model's input; an attempt that was begun before keeps its own, and its photo is not uploaded again."""
        if begun := await Submission.get_or_none(job_id=generation.id, attempt=attempt):
            return begun.arguments
        photo_url = None
        if generation.source_photo_id is not None:
            photos = SourcePhotos(store=self.store, provider=self.provider, temp_dir=self.temp_dir)
            photo_url = await photos.hand_over(generation.source_photo_id)
        return step.generator.arguments(
            prompt=generation.final_prompt or "",
            size=generation.image_size,
            seed=int(generation.seed or 0),
            loras=[(lora.model.provider_weights_url or "", lora.scale) for lora in loras],
            photo_url=photo_url,
            **{"strength": generation.type.kind.strength} | (generation.parameters or {}),
        )

    async def _submit(
        self, generation: Generation, step: Step, attempt: int, arguments: Mapping[str, Any]
    ) -> ProviderJob | None:
        """The provider's job; None when the generation has ended meanwhile (a cancel)."""
        if (await Generation.get(id=generation.id)).status.is_final:
            return None
        endpoint = step.generator.endpoint(photo=generation.source_photo_id is not None)
        assert endpoint is not None, "a model without this endpoint is skipped"
        return await self.submissions.submit(
            generation.id,
            endpoint=wire_name(endpoint, self.aliases),
            model=step.name,
            arguments=arguments,
            # An uploaded photo's address is found in no other request.
            needle=json.dumps(arguments.get("image_url") or generation.final_prompt, ensure_ascii=False),
            attempt=attempt,
        )

    async def _keep(self, generation: Generation, model: str, job: ProviderJob, result: Mapping[str, Any]) -> None:
        """Fetch the picture, check it, keep it, and only then complete."""
        await self._keeping.keep(generation, model=model, job=job, result=result, picture_url=picture_url)


def planned(generation: Generation, loras: Sequence[LoraModel]) -> list[Step]:
    """The models of its chain, as they were when it was accepted."""
    family = TRAINERS[loras[0].base_model].generator if loras else None
    names = generation.models or chains.models_for(generation.type.kind.models, family)
    numbers = {name: value for name, value in (generation.parameters or {}).items() if name != "negative_prompt"}
    photo, words = generation.source_photo_id is not None, bool(generation.prompt)
    return chains.plan(names, Request(photo=photo, words=words, family=family, parameters=numbers))


async def _forget_picture(id: UUID, attempt: int) -> None:
    """Clear what is shown of a failed attempt's picture; one that another execution has kept, or keeps now, stays."""
    call = await Submission.get_or_none(job_id=id, attempt=attempt)
    if call and call.request_id:
        shown = Generation.filter(id=id, status=GenerationStatus.PROCESSING, fal_job_id=call.request_id)
        await shown.update(original_fal_url=None, fal_job_id=None)


def photo_is_gone(failure: LikenessError, generation: Generation) -> bool:
    """Whether the provider could not fetch the photo it was given (fal.ai/docs/errors: `file_download_error`)."""
    return generation.source_photo_id is not None and failure.facts.get("type") == "file_download_error"


def picture_url(result: Mapping[str, Any]) -> str:
    """The address of the only picture, in `images[]` or `image`. Raises `ResultUnusable` when blocked or missing."""
    blocked = result.get("has_nsfw_concepts")
    if any(blocked) if isinstance(blocked, list) else blocked is True:
        raise ImageBlocked
    images = result.get("images") or [result.get("image")]
    first = images[0] if isinstance(images, list) and images else None
    url = first.get("url") if isinstance(first, Mapping) else None
    if not isinstance(url, str) or not url:
        raise ResultUnusable(reason="it names no image.")
    if len(url) > LONGEST_URL or not url.isprintable():
        raise ResultUnusable(reason="its image has no usable address.")
    return url

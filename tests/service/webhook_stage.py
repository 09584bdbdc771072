"""The services over fakes, with webhooks on: paid calls whose answers get lost, and deliveries about them."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

from likeness.assembly import Assembly, Gateways
from likeness.sandbox.safetensors import Tensor, encode
from likeness.sandbox.signing import USER_ID, Signer
from likeness.settings import Settings
from models.errors import ProviderError, SubmitUnknown
from models.generation import Generation
from models.ids import new_id
from models.ledger import LedgerEntry
from models.lora import LoraModel
from models.submission import Submission
from models.training import Training
from models.user import User
from services.gateways.fal_signature import FalSignature
from services.generation_input import GenerationInput, LoraChoice
from services.ports import ProviderJob
from tests.fakes import FakeBus, FakeJobs, FakeProvider, FixedClock, MemoryStore
from tests.photos import jpeg_bytes

WEIGHTS = encode({"lora": Tensor(shape=(4,), values=[1.0, 2.0, 3.0, 4.0])}, metadata={})
WEIGHTS_URL, PICTURE_URL = "https://provider.example/weights.safetensors", "https://provider.example/picture.jpg"
TRAINED = {"diffusers_lora_file": {"url": WEIGHTS_URL}}
DRAWN = {"images": [{"url": PICTURE_URL}], "seed": 7, "has_nsfw_concepts": [False]}


@dataclass
class LosingProvider(FakeProvider):
    """Takes every job; with `loses` its answers do not arrive, and its list shows nothing. `held` keeps one waiting."""

    loses: bool = False
    held: asyncio.Event | None = None
    webhooks: list[str | None] = field(default_factory=list)
    errors: dict[str, ProviderError] = field(default_factory=dict)

    async def submit(
        self, endpoint: str, arguments: Mapping[str, Any], *, webhook_url: str | None = None
    ) -> ProviderJob:
        self.webhooks.append(webhook_url)
        job = await super().submit(endpoint, arguments, webhook_url=webhook_url)
        if self.held is not None:
            await self.held.wait()
        if self.loses:
            raise SubmitUnknown(reason="the connection was cut.")
        return job

    async def find(
        self, endpoint: str, needle: str, *, arguments: Mapping[str, Any], since: datetime
    ) -> Sequence[ProviderJob]:
        return []

    async def result(self, job: ProviderJob) -> Mapping[str, Any]:
        if job.request_id in self.errors:
            raise self.errors[job.request_id]
        return await super().result(job)


@dataclass
class Stage:
    """One owner with 60 credits a day; a minute lies between two looks at a training.

    Runs are worked off when a test says so, as the engine would.
    """

    folder: Path
    workers: Executor
    owner: User
    clock: FixedClock = field(default_factory=FixedClock)
    bus: FakeBus = field(default_factory=FakeBus)
    store: MemoryStore = field(default_factory=MemoryStore)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    provider: LosingProvider = field(default_factory=LosingProvider)
    worked: set[tuple[str, UUID]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.provider.files = {WEIGHTS_URL: WEIGHTS, PICTURE_URL: jpeg_bytes()}

    @cached_property
    def signer(self) -> Signer:
        return Signer(path=self.folder / "key.pem")

    @cached_property
    def assembly(self) -> Assembly:
        async def jwks() -> Mapping[str, Any]:
            return self.signer.jwks()

        url = "https://likeness.example"
        settings = Settings(_env_file=None, data_dir=self.folder, public_url=url, daily_credits=60, fal_poll_seconds=60)
        verifier = FalSignature(jwks=jwks, clock=self.clock, expected_user=USER_ID)
        gateways = Gateways(
            clock=self.clock, store=self.store, bus=self.bus, jobs=self.jobs, provider=self.provider,
            workers=self.workers, temp_dir=self.folder, verifiers={}, webhook_verifier=verifier,
            may_read=lambda path, params: False, executor="test",
        )  # fmt: skip
        return Assembly(settings, gateways)

    async def training(self) -> Training:
        """A training that was just accepted, of photos that lie at an address."""
        now, price = self.clock.now(), 20
        model = LoraModel(
            id=new_id(), owner_id=self.owner.id, name="Me", trigger_word="ME_0001",
            base_model="flux-lora-fast-training", created_at=now,
        )  # fmt: skip
        training = Training(
            id=new_id(), owner_id=self.owner.id, model_id=model.id, base_model=model.base_model, steps=1000,
            trigger_word="ME_0001", instance_prompt="photo of ME_0001 person", input_hash="ab" * 32, credits=price,
            credits_spent=price, images_data_url="https://x.example/photos.zip", created_at=now,
        )  # fmt: skip
        await self.assembly.trainings.accept(training, model)
        await self.jobs.enqueue("training", training.id)
        return training

    async def generation(self, *models: LoraModel) -> Generation:
        """A generation that was just accepted."""
        loras = tuple(LoraChoice(model=model.id) for model in models)
        wanted = GenerationInput(prompt="a portrait", seed=7, loras=loras)
        [generation] = await self.assembly.generation.start(self.owner.id, wanted)
        return generation

    async def trained(self) -> LoraModel:
        """A model that can be used; its training was request-1."""
        self.provider.answers["request-1"] = TRAINED
        training = await self.training()
        await self.work()
        return await LoraModel.get(id=training.model_id)

    async def deliver(self, request: str, *, status: str = "OK", seconds: int = 0, **changes: Any) -> None:
        """A signed delivery about a request, as the sandbox makes it; `job` names our submission in its address."""
        job = changes.pop("job", None)
        body = json.dumps({"request_id": request, "status": status, "error": None, "payload": {}} | changes).encode()
        moment = int(self.clock.now().timestamp()) + seconds
        headers = self.signer.headers(request, body=body, timestamp=moment)
        await self.assembly.webhooks.receive(headers, body, submission=job)

    async def work(self) -> list[str]:
        """Work off what was asked for, each run once; the kinds, in order."""
        kinds = []
        while waiting := [pair for pair in self.jobs.enqueued if pair not in self.worked]:
            kind, id = waiting[0]
            self.worked.add((kind, id))
            await self.run(kind, id)
            kinds.append(kind)
        return kinds

    async def run(self, kind: str, id: UUID) -> None:
        """The steps of a run, and its end when one fails."""
        run = self.assembly.runs[kind]
        try:
            for step in run.steps:
                await step(id)
        except Exception as error:
            await run.give_up(id, error)

    async def submission(self, job: UUID) -> Submission:
        """The one paid call of a job."""
        return await Submission.get(job_id=job)

    async def ledger(self) -> list[tuple[UUID, int]]:
        """Every entry."""
        return [(entry.posting_id, entry.amount) for entry in await LedgerEntry.all().order_by("id")]

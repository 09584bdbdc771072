"""The schema on services with fakes behind them, and what tests do with it."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import strawberry

from likeness.assembly import Assembly, Gateways
from likeness.settings import Settings
from models.generation import Generation
from models.ids import new_id
from models.lora import LoraModel
from models.photo import Photo
from models.training import Training
from models.user import User
from schema.context import Context
from schema.root import build_schema
from schema.types.node import global_id
from services.container import Services
from services.credits import Credits
from services.generation_journal import GenerationJournal
from services.training_journal import TrainingJournal
from services.uploads import UploadedFile
from tests.fakes import FakeBus, FakeJobs, FakeProvider, FixedClock, MemoryStore

START = """mutation($input: StartTrainingInput!) {
  startTraining(input: $input) { training { id status } userErrors { __typename code message path } }
}"""
GENERATE = """mutation($input: GenerateImageInput!) {
  generateImage(input: $input) { generations { id seed runId } userErrors { __typename code message path } }
}"""


@dataclass
class Stage:
    """One viewer (`me`), a `stranger`, and the fakes that the services stand on."""

    folder: Path
    workers: ThreadPoolExecutor
    clock: FixedClock = field(default_factory=FixedClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    bus: FakeBus = field(default_factory=FakeBus)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    provider: FakeProvider = field(default_factory=FakeProvider)
    schema: strawberry.Schema = field(default_factory=build_schema)
    daily_credits: int = 60
    me: User = field(init=False)
    stranger: User = field(init=False)

    async def open(self) -> "Stage":
        self.me = await self.services.identity.user("jwt:me")
        self.stranger = await self.services.identity.user("tg:777")
        return self

    @property
    def assembly(self) -> Assembly:
        """The services as a process has them, over the fakes."""
        settings = Settings.model_validate(
            {
                "data_dir": self.folder, "daily_credits": self.daily_credits, "min_photos": 2, "max_photos": 6,
                "max_photo_bytes": 1_000_000, "min_photo_side": 512, "fal_mode": "sandbox",
            }
        )  # fmt: skip
        gateways = Gateways(
            clock=self.clock, store=self.store, bus=self.bus, jobs=self.jobs, provider=self.provider,
            workers=self.workers, temp_dir=self.folder, verifiers={}, webhook_verifier=None,
            may_read=lambda path, params: False, executor="local",
        )  # fmt: skip
        return Assembly(settings, gateways)

    @property
    def credits(self) -> Credits:
        return self.assembly.credits

    @property
    def trainings(self) -> TrainingJournal:
        return self.assembly.trainings

    @property
    def generations(self) -> GenerationJournal:
        return self.assembly.generations

    @property
    def services(self) -> Services:
        return self.assembly.services

    def context(self, viewer: User | None = None) -> Context:
        return Context.build(self.services, viewer or self.me, "request-1")

    async def ask(self, document: str, *, viewer: User | None = None, **variables: Any) -> dict[str, Any]:
        """The data of an operation that must have no top-level error."""
        result = await self.schema.execute(document, variables, context_value=self.context(viewer))
        assert result.errors is None
        assert result.data is not None
        return result.data

    async def refusal(self, document: str, **variables: Any) -> tuple[str, Any, Any]:
        """Message, code and input path of the one top-level error of an operation."""
        result = await self.schema.execute(document, variables, context_value=self.context())
        return _refusal(result)

    @asynccontextmanager
    async def following(self, document: str, *, viewer: User | None = None, **variables: Any) -> AsyncIterator[Any]:
        """The results of a subscription, one by one."""
        results = await self.schema.subscribe(document, variables, context_value=self.context(viewer))
        try:
            yield results
        finally:
            await results.aclose()

    async def refused_stream(self, document: str, **variables: Any) -> tuple[str, Any, Any]:
        """Message, code and input path of a subscription that is refused."""
        async with self.following(document, **variables) as results:
            [result] = [result async for result in results]
        return _refusal(result)

    def file(self, content: bytes, filename: str = "me.jpg") -> UploadedFile:
        """A received file."""
        path = self.folder / str(new_id())
        path.write_bytes(content)
        return UploadedFile(path=path, filename=filename, content_type="image/jpeg", bytes=len(content))

    async def photo(self, owner: User | None = None) -> Photo:
        """A kept photo."""
        id = new_id()
        return await Photo.create(
            id=id, owner_id=(owner or self.me).id, filename="me.jpg", content_type="image/jpeg",
            location=f"photo/{id}.jpg", bytes=1234, width=640, height=800, sha256="ab" * 32,
            source_sha256=f"{id.hex:0>64}", created_at=self.clock.now(),
        )  # fmt: skip

    async def photo_ids(self, count: int = 2, owner: User | None = None) -> list[str]:
        """The ids of new photos."""
        return [global_id("Photo", (await self.photo(owner)).id) for _ in range(count)]

    async def training(self, owner: User | None = None, **input: Any) -> Training:
        """A training that was just accepted."""
        owner = owner or self.me
        input = {"modelName": "My Portrait 2025", "photoIds": await self.photo_ids(owner=owner)} | input
        payload = (await self.ask(START, viewer=owner, input=input))["startTraining"]
        assert payload["userErrors"] == []
        return await _newest(Training, owner)

    async def ready_model(self, owner: User | None = None) -> LoraModel:
        """A model whose training is COMPLETED."""
        training = await self.training(owner)
        await self.trainings.progress(training.id, stage="TRAINING", message="Training step 1/1000")
        columns = {"weights_location": "weights/a.safetensors", "config_location": "weights/a.json"}
        await self.trainings.complete(training.id, model=columns)
        return await LoraModel.get(id=training.model_id)

    async def generation(self, owner: User | None = None, **input: Any) -> Generation:
        """A generation that was just accepted."""
        owner = owner or self.me
        payload = (await self.ask(GENERATE, viewer=owner, input={"prompt": "a portrait"} | input))["generateImage"]
        assert payload["userErrors"] == []
        return await _newest(Generation, owner)


def unknown_ids(type_name: str, stranger_id: UUID) -> list[str]:
    """Ids that all mean the same to the viewer: nothing is there."""
    return [
        global_id(type_name, new_id()),
        global_id(type_name, stranger_id),
        global_id("Viewer", stranger_id),
        str(stranger_id),
        "",
        "not an id",
        "VHJhaW5pbmc",
        global_id(type_name, "42"),
        global_id(type_name, f"{{{stranger_id}}}"),
    ]


async def _newest(model: Any, owner: User) -> Any:
    return await model.filter(owner_id=owner.id).order_by("-id").first()


def _refusal(result: Any) -> tuple[str, Any, Any]:
    [error] = result.errors
    return error.message, (error.extensions or {}).get("code"), (error.extensions or {}).get("path")

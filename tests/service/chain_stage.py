"""A process whose provider fails by endpoint, the way a test says."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from models.generation import Generation
from models.lora import LoraModel
from models.status import TrainingStatus
from models.submission import Submission
from models.user import User
from services.generation_input import GenerationInput, LoraChoice
from services.ports import ProviderJob
from tests.photos import jpeg_bytes
from tests.service import rows
from tests.service.process import Process, TestedProvider

PICTURE_URL = "https://provider.example/picture.jpg"
IMAGES = {"images": [{"url": PICTURE_URL}], "has_nsfw_concepts": [False]}
IMAGE = {"image": {"url": PICTURE_URL}}  # ghiblify's form
BLOCKED = IMAGES | {"has_nsfw_concepts": [True]}


@dataclass
class ChainProvider(TestedProvider):
    """`results` and `posts` hold what an endpoint answers to each of its requests in turn; else it draws."""

    __test__ = False

    results: dict[str, list[Mapping[str, Any] | Exception]] = field(default_factory=dict)
    posts: dict[str, list[Exception]] = field(default_factory=dict)
    outcomes: dict[str, Mapping[str, Any] | Exception] = field(default_factory=dict)

    async def submit(
        self, endpoint: str, arguments: Mapping[str, Any], *, webhook_url: str | None = None
    ) -> ProviderJob:
        if self.posts.get(endpoint):
            raise self.posts[endpoint].pop(0)
        return await super().submit(endpoint, arguments, webhook_url=webhook_url)

    async def result(self, job: ProviderJob) -> Mapping[str, Any]:
        if job.request_id not in self.outcomes:
            endpoint, _ = self.submitted[int(job.request_id.removeprefix("request-")) - 1]
            answers = self.results.get(endpoint)
            drawn = IMAGE if "ghiblify" in endpoint else IMAGES
            self.outcomes[job.request_id] = answers.pop(0) if answers else drawn
        outcome = self.outcomes[job.request_id]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def find(
        self, endpoint: str, needle: str, *, arguments: Mapping[str, Any], since: datetime
    ) -> Sequence[ProviderJob]:
        """As the provider's list shows it: the arguments as JSON."""
        return [
            self.known_job(endpoint, f"request-{number}")
            for number, (other, sent) in enumerate(self.submitted, start=1)
            if other == endpoint and needle in json.dumps(sent, ensure_ascii=False) and dict(arguments) == sent
        ]


@dataclass
class ChainStage(Process):
    """A process over a `ChainProvider`."""

    provider: ChainProvider = field(default_factory=ChainProvider)

    def __post_init__(self) -> None:
        self.provider.files[PICTURE_URL] = jpeg_bytes()

    async def model(self, owner: User, **columns: Any) -> LoraModel:
        """A model that can be used."""
        facts = {"status": TrainingStatus.COMPLETED, "provider_weights_url": "https://provider.example/w.safetensors"}
        return await rows.model(owner.id, **facts | columns)

    async def drawn(self, owner: User, *models: LoraModel, **wanted: Any) -> list[Generation]:
        """What became of a request."""
        loras = tuple(LoraChoice(model=model.id) for model in models)
        begun = await self.assembly.generation.start(owner.id, GenerationInput(loras=loras, **wanted))
        await self.run_all()
        return [await Generation.get(id=row.id) for row in begun]


@asynccontextmanager
async def stage_in(folder: Path) -> AsyncIterator[ChainStage]:
    """A stage on the connected database."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        yield ChainStage(folder=folder, workers=workers)


async def attempts(row: Generation) -> list[tuple[str, str]]:
    """Endpoint and state of every attempt, in order."""
    calls = await Submission.filter(job_id=row.id).order_by("attempt")
    return [(call.endpoint, call.state.value) for call in calls]

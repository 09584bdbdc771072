"""A whole process over fakes, whose durable runs go on only when a test says so."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

from likeness.assembly import Assembly, Gateways
from likeness.db import connected
from likeness.settings import Settings
from models.generation import Generation
from models.ledger import LedgerPosting, PostingKind
from models.photo import Photo
from models.status import TrainingStage
from models.training import Training, TrainingEvent
from models.user import User
from services.generation_input import GenerationInput
from services.ports import CancelOutcome, Ended, ProviderJob, ProviderStatus
from services.training_input import TrainingInput
from tests.fakes import FakeBus, FakeJobs, FakeProvider, FixedClock, MemoryStore
from tests.service import rows

PRICE, IMAGE_PRICE, DAILY = 20, 2, 50
Moment = Callable[[], Awaitable[Any]]


@dataclass
class TestedProvider(FakeProvider):
    """Notes uploads and cancels; `standing` is what it answers next, and `during` what happens within a call."""

    __test__ = False

    uploads: int = 0
    cancelled: list[str] = field(default_factory=list)
    outcome: CancelOutcome = CancelOutcome.REQUESTED
    standing: list[ProviderStatus | Exception] = field(default_factory=list)
    during: dict[str, Moment] = field(default_factory=dict)

    async def upload(self, path: Path, *, content_type: str, expires_in: timedelta) -> str:
        self.uploads += 1
        await self._happen("upload")
        return await super().upload(path, content_type=content_type, expires_in=expires_in)

    async def submit(
        self, endpoint: str, arguments: Mapping[str, Any], *, webhook_url: str | None = None
    ) -> ProviderJob:
        job = await super().submit(endpoint, arguments, webhook_url=webhook_url)
        await self._happen("submit")
        return job

    async def status(self, job: ProviderJob, *, logs: bool = False) -> ProviderStatus:
        await self._happen("status")
        if not self.standing:
            return Ended()
        now = self.standing.pop(0) if len(self.standing) > 1 else self.standing[0]
        if isinstance(now, Exception):
            raise now
        return now

    async def cancel(self, job: ProviderJob) -> CancelOutcome:
        self.cancelled.append(job.request_id)
        return self.outcome

    async def _happen(self, call: str) -> None:
        if moment := self.during.pop(call, None):
            await moment()


@dataclass
class TestedJobs(FakeJobs):
    """Notes what was asked for; `broken` makes the next enqueue fail."""

    __test__ = False

    broken: bool = False
    forgotten_before: list[datetime] = field(default_factory=list)

    async def enqueue(self, kind: str, id: UUID) -> None:
        if self.broken:
            raise OSError("the process died here")
        await super().enqueue(kind, id)

    async def take_over(self, executor_id: str) -> int:
        return 0

    async def forget(self, *, before: datetime) -> int:
        self.forgotten_before.append(before)
        return 3


@dataclass
class Process:
    """An assembly, and what tests do with it."""

    folder: Path
    workers: ThreadPoolExecutor
    clock: FixedClock = field(default_factory=FixedClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    bus: FakeBus = field(default_factory=FakeBus)
    jobs: TestedJobs = field(default_factory=TestedJobs)
    provider: TestedProvider = field(default_factory=TestedProvider)
    poll_seconds: float = 0.2

    @cached_property
    def assembly(self) -> Assembly:
        facts = {"data_dir": self.folder, "daily_credits": DAILY, "min_photos": 1, "fal_mode": "sandbox"}
        facts |= {"credits_per_training": PRICE, "credits_per_generation": IMAGE_PRICE}
        facts |= {"fal_poll_seconds": self.poll_seconds}
        gateways = Gateways(
            clock=self.clock, store=self.store, bus=self.bus, jobs=self.jobs, provider=self.provider,
            workers=self.workers, temp_dir=self.folder, verifiers={}, webhook_verifier=None,
            may_read=lambda path, params: False, executor="local",
        )  # fmt: skip
        return Assembly(Settings.model_validate(facts), gateways)

    async def user(self) -> User:
        return await rows.user()

    async def photo(self, owner: User, content: bytes = b"pixels") -> Photo:
        """A kept photo whose file is in the store."""
        photo = await rows.photo(owner.id)
        location, sha256 = f"photo/{photo.id}.jpg", photo.id.hex * 2
        self.store.files[location] = content
        await Photo.filter(id=photo.id).update(location=location, sha256=sha256)
        return await Photo.get(id=photo.id)

    async def training(self, owner: User, **wanted: Any) -> Training:
        """A training that was just accepted; of two photos, unless told otherwise."""
        if "images_data_url" not in wanted:
            wanted.setdefault("photo_ids", tuple([(await self.photo(owner)).id for _ in range(2)]))
        return await self.assembly.training.start(owner.id, TrainingInput(model_name="Me", **wanted))

    async def submitted(self, owner: User) -> Training:
        """A training that the provider has taken."""
        training = await self.training(owner)
        await self.assembly.training_run.hand_over(training.id)
        await self.assembly.training_run.submit(training.id)
        return await Training.get(id=training.id)

    async def failed(self, owner: User, **wanted: Any) -> Training:
        """A training that has failed."""
        training = await self.training(owner, **wanted)
        await self.assembly.training_run.give_up(training.id, RuntimeError("broken"))
        return await Training.get(id=training.id)

    async def completed(self, owner: User) -> Training:
        """A training that has completed."""
        training = await self.training(owner)
        await self.assembly.trainings.progress(training.id, stage=TrainingStage.FINALIZING, message="Finalizing")
        await self.assembly.trainings.complete(training.id, model={})
        return await Training.get(id=training.id)

    async def generation(self, owner: User) -> Generation:
        """A generation that was just accepted."""
        [row] = await self.assembly.generation.start(owner.id, GenerationInput(prompt="a portrait"))
        return row

    async def spendable(self, owner: User) -> int:
        quota = await self.assembly.credits.quota(owner.id)
        return quota.remaining + quota.current_balance

    async def run_all(self) -> None:
        """Do what was enqueued, each kind and id once, as the durable engine does."""
        for kind, id in dict.fromkeys(self.jobs.enqueued):
            run = self.assembly.runs[kind]
            try:
                for step in run.steps:
                    await step(id)
            except Exception as error:
                await run.give_up(id, error)


@asynccontextmanager
async def on_sqlite(url: str, folder: Path) -> AsyncIterator[Process]:
    """A process on the SQLite database at `url`."""
    async with connected(url):
        with ThreadPoolExecutor(max_workers=1) as workers:
            yield Process(folder=folder, workers=workers)


async def told(training: UUID) -> list[tuple[int, str]]:
    """Number and status of each of a training's events."""
    events = await TrainingEvent.filter(training_id=training).order_by("seq")
    return [(event.seq, event.status.value) for event in events]


async def postings(job: UUID) -> list[PostingKind]:
    """What the ledger says of a job, in order."""
    return [posting.kind for posting in await LedgerPosting.filter(job_id=job).order_by("seq")]

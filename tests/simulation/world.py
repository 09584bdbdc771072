"""One seed: the real services over faulty surroundings, driven until nothing is left to do."""

import asyncio
import hashlib
import os
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from likeness.assembly import Assembly, Gateways
from likeness.settings import Settings
from models.ids import new_id
from models.lora import LoraModel
from models.photo import Photo
from models.status import TrainingStatus
from models.user import User
from services.ports import ProviderJob
from services.submissions import Submissions
from tests.simulation.database import Memory
from tests.simulation.engine import Engine
from tests.simulation.faults import Faults
from tests.simulation.files import PHOTO, weights
from tests.simulation.post import Post
from tests.simulation.processes import Process, ProcessDead
from tests.simulation.provider import FaultyProvider, calling
from tests.simulation.surroundings import FaultyBus, FaultyStore, SignedByProvider
from tests.simulation.users import END, Users
from tests.simulation.virtual_time import MIDDAY, VirtualClock, VirtualLoop

GRACE = timedelta(minutes=3)  # shorter than in service: the wait is a loop
CALM_AFTER, LONGEST = 1200.0, 8 * 3600.0  # seconds until the faults stop, and until every job must have ended
DEFAULTS = Settings(_env_file=None)  # reading them for each seed would cost a sixth of its time
LOST_WEIGHTS = "https://files.example/old/weights"


class NamedCalls(Submissions):
    """Tells the provider's counter which of our calls it is asked for."""

    async def submit(self, job: UUID, *, attempt: int = 0, **call: Any) -> ProviderJob:
        token = calling.set((job, attempt))
        try:
            return await super().submit(job, attempt=attempt, **call)
        finally:
            calling.reset(token)


class SimulatedAssembly(Assembly):
    """The services of likeness, with a shorter grace time."""

    @cached_property
    def submissions(self) -> Submissions:
        real = Assembly.submissions.func(self)
        return NamedCalls(**(vars(real) | {"grace": GRACE}))


class World:
    """Everything of one seed. `problems` are what went wrong while it ran."""

    def __init__(self, seed: int, *, loop: VirtualLoop, memory: Memory, temp_dir: Path) -> None:
        self.loop, self.memory, self.temp_dir = loop, memory, temp_dir
        self.faults = faults = Faults(seed)
        self.problems: list[str] = []
        self.harness: set[asyncio.Task[Any]] = set()
        self.lives: list[Process] = []
        self.kills = faults.dice.choice([0, 0, 1, 1, 2, 3])
        self.stops = faults.dice.choice([0, 0, 0, 1, 2])
        self.cancels = faults.dice.choice([0, 0, 0, 0, 1])
        self.doubts = faults.dice.choice([0, 0, 0, 1, 2])
        self.processes = [self._born("a"), self._born("b")]
        late = timedelta(hours=11, minutes=55) if faults.chance(0.2) else timedelta()
        self.clock = VirtualClock(loop, begin=MIDDAY + late)
        self.provider = FaultyProvider(faults)
        self.store, self.bus = FaultyStore(faults), FaultyBus(faults, self.problems.append)
        self.engine = Engine(faults, self.choose, self._done)
        self.settings = self._settings()
        self.assembly = self._assembly()
        self.users: Users | None = None

    async def run(self) -> None:
        """Live through it, until the end of every job and a day and an hour more."""
        await self.engine.start(self.assembly.runs)
        users = self.users = await self._people()
        post = Post(self.assembly.webhooks, self.faults, self.choose, self.spawn)
        self.provider.on_accepted = post.expect
        self.loop.call_later(CALM_AFTER, self._calm)
        for _ in range(self.doubts):
            self.loop.call_later(self.faults.seconds(0, 600), lambda: self.engine.doubt(self.choose()))
        living = self.spawn(users.live())
        while not self.problems and self.loop.time() < LONGEST:
            await asyncio.sleep(60 - self.loop.time() % 60)
            if int(self.loop.time()) % 300 == 0:
                await self._sweep()
            if living.done() and self._quiet():
                await self._sweep()
                await asyncio.sleep(30)
                if self._quiet():
                    break
        self._calm()
        await self._last_sweeps()

    def choose(self) -> Process:
        """A process that answers; one that stands still may be chosen too."""
        return self.faults.dice.choice(self.processes)

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run a task of the harness, whose failure is a problem."""
        task = self.loop.create_task(work, context=Context())
        self.harness.add(task)
        task.add_done_callback(self._done)
        return task

    def status(self, job: UUID) -> str:
        """The stored status of a job."""
        query = "SELECT status FROM trainings WHERE id = ? UNION SELECT status FROM generations WHERE id = ?"
        return str(self.memory.rows(query, (str(job), str(job)))[0][0])

    def trace(self) -> str:
        """A hash of all that happened, which is the same whenever the seed is run again."""
        facts: list[Any] = [tuple(row) for row in self.memory.rows("SELECT * FROM training_events ORDER BY id")]
        facts += [tuple(row) for row in self.memory.rows("SELECT * FROM generation_events ORDER BY id")]
        facts += [tuple(row) for row in self.memory.rows("SELECT * FROM ledger_postings ORDER BY id")]
        facts += [sorted(self.provider.posts.items()), [life.points for life in self.lives], self.loop.time()]
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def _quiet(self) -> bool:
        rows = self.memory.rows("SELECT status FROM trainings UNION SELECT status FROM generations")
        awake = all(life.stopped_until <= self.loop.time() for life in self.processes)
        return awake and not self.harness and not self.engine.busy and all(row[0] in END for row in rows)

    def _calm(self) -> None:
        self.faults.active = False
        for life in self.lives:
            life.kill_at, life.kill_near, life.cancel_at, life.stop_at = frozenset(), (0, 0), frozenset(), {}

    def _born(self, name: str) -> Process:
        dice, kill, near, stop, cancel = self.faults.dice, [], (0, 0), {}, []
        if self.faults.active and self.kills and dice.random() < 0.7:
            self.kills -= 1
            if dice.random() < 0.6:
                kill = [dice.randint(1, 250)]
            else:
                near = (dice.randint(1, 4), dice.randint(1, 9))
        if self.stops and dice.random() < 0.5:
            self.stops -= 1
            stop = {dice.randint(1, 250): dice.choice([5.0, 25.0, 60.0, 400.0])}
        if self.cancels and dice.random() < 0.5:
            self.cancels -= 1
            cancel = [dice.randint(1, 250)]
        life = Process(
            name, self._died, self._stopped, lambda life: self.engine.cancel(life),
            kill_at=frozenset(kill), kill_near=near, stop_at=stop, cancel_at=frozenset(cancel),
        )  # fmt: skip
        self.lives.append(life)
        return life

    def _died(self, process: Process) -> None:
        self.processes[self.processes.index(process)] = self._born(process.name)
        self.engine.died(process)

    def _stopped(self, process: Process) -> None:
        """Others take over what a process does that has not been heard of for half a minute."""
        if process.stopped_until - self.loop.time() > 20:
            self.loop.call_later(25, self.engine.doubt, process)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self.harness.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ProcessDead):
            self.problems.append(f"{type(error).__name__}: {error}")

    async def _sweep(self) -> None:
        try:
            await self.choose().spawn(self.assembly.housekeeping.sweep())
        except ProcessDead:
            return

    async def _last_sweeps(self) -> None:
        """What the last fault kept a sweep from is done by the next; a day later what serves its time is removed."""
        if self.problems:
            return
        await self._sweep()
        await asyncio.sleep(25 * 3600)
        for entry in self.temp_dir.rglob("*"):
            os.utime(entry, (0, 0))  # the files' own time is not the simulation's
        await self._sweep()
        await asyncio.sleep(600)

    def _settings(self) -> Settings:
        dice = self.faults.dice
        chosen = {
            "public_url": dice.choice([None, "https://likeness.example", "https://likeness.example"]),
            "fal_poll_seconds": dice.choice([10, 20, 60]), "min_photos": 1,
            "daily_credits": dice.choice([0, 20, 30, 60]),
        }  # fmt: skip
        return DEFAULTS.model_copy(update=chosen)

    def _assembly(self) -> Assembly:
        gateways = Gateways(
            clock=self.clock, store=self.store, bus=self.bus, jobs=self.engine, provider=self.provider,
            workers=cast("ThreadPoolExecutor", None), temp_dir=self.temp_dir, verifiers={},
            webhook_verifier=SignedByProvider() if self.settings.public_url else None,
            may_read=lambda *_: False, executor="simulated",
        )  # fmt: skip
        return SimulatedAssembly(self.settings, gateways)

    async def _people(self) -> Users:
        """One user with credits, a photo and a model that was trained before."""
        now = self.clock.now()
        owner = await User.create(id=new_id(), subject="jwt:ada", created_at=now)
        if granted := self.faults.dice.choice([0, 25, 100]):
            await self.assembly.credits.grant(owner.id, granted)
        self.store.files["photo/1.jpg"] = PHOTO
        sha256 = hashlib.sha256(PHOTO).hexdigest()
        photo = await Photo.create(
            id=new_id(), owner_id=owner.id, filename="1.jpg", content_type="image/jpeg", location="photo/1.jpg",
            bytes=len(PHOTO), width=8, height=8, sha256=sha256, source_sha256=sha256, created_at=now,
        )  # fmt: skip
        content = weights("old")
        self.store.files["weights/old.safetensors"] = content
        model = await LoraModel.create(
            id=new_id(), owner_id=owner.id, name="Old", trigger_word="OLD", base_model="flux-lora-fast-training",
            status=TrainingStatus.COMPLETED, weights_location="weights/old.safetensors", weights_bytes=len(content),
            weights_sha256=hashlib.sha256(content).hexdigest(), provider_weights_url=LOST_WEIGHTS, created_at=now,
        )  # fmt: skip
        if self.faults.happens("weights_lost"):
            self.provider.gone.add(LOST_WEIGHTS)
        return Users(
            owner=owner.id, services=self.assembly.services, faults=self.faults, choose=self.choose,
            status=self.status, photos=[photo.id], model=model.id, spawn=self.spawn,
        )  # fmt: skip

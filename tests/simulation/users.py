"""Users who start, double-click, watch, lose their connection, cancel and try again, at random moments."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from models.errors import LikenessError
from services.container import Services
from services.events import missed_before
from services.generation_input import GenerationInput, LoraChoice
from services.training_input import TrainingInput
from tests.simulation.faults import Faults
from tests.simulation.processes import Process, ProcessDead

T = TypeVar("T")
Ask = Callable[[Callable[[], Coroutine[Any, Any, T]]], Awaitable[T]]
END = {"COMPLETED", "FAILED", "CANCELLED"}


@dataclass(eq=False)
class Watcher:
    """One follower of a job's events, over as many connections as it needs; `first` is its first `afterSeq`."""

    job: UUID
    kind: str
    first: int | None
    seen: list[Any] = field(default_factory=list)
    missed: list[int] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return bool(self.seen) and self.seen[-1].status in END

    @property
    def cursor(self) -> int | None:
        return self.seen[-1].seq if self.seen else self.first


@dataclass(eq=False)
class Users:
    """What the users of one seed do. `cancelled` are the jobs whose cancel was confirmed to them."""

    owner: UUID
    services: Services
    faults: Faults
    choose: Callable[[], Process]
    status: Callable[[UUID], str]
    photos: list[UUID]
    model: UUID
    spawn: Callable[[Coroutine[Any, Any, None]], Any]
    started: dict[str, set[UUID]] = field(default_factory=dict)
    jobs: dict[UUID, str] = field(default_factory=dict)
    cancelled: set[UUID] = field(default_factory=set)
    watchers: list[Watcher] = field(default_factory=list)

    async def live(self) -> None:
        """One story, sometimes two, sometimes two that ask for almost the same at the same time."""
        twins = self.faults.chance(0.1)
        keys = ["key-0", "other-1"] if twins or self.faults.chance(0.2) else ["key-0"]
        await asyncio.gather(*(self._story(key, twin=twins) for key in keys))

    async def ask(self, action: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """Ask until some process answers; None when the answer was an error for the user."""
        while True:
            try:
                return await self.choose().spawn(action())
            except LikenessError:
                return None
            except ProcessDead:
                await asyncio.sleep(self.faults.seconds(0, 10))

    async def _story(self, key: str, *, twin: bool) -> None:
        await asyncio.sleep(self.faults.seconds(0, 2 if twin else 60))
        kind, start = self._wish_for_picture(key) if twin or self.faults.chance(0.4) else self._wish_for_training(key)
        times = 1 + self.faults.chance(0.3) + self.faults.chance(0.1)
        answers = await asyncio.gather(*(self._start(start, pause) for pause in range(times)))
        ids = {id for answer in answers for id in answer}
        if not ids:
            return
        self.started[key] = ids
        for id in ids:
            self._watch(kind, id)
        await asyncio.gather(*(self._change(kind, id) for id in ids))

    async def _start(self, start: Callable[[], Coroutine[Any, Any, Any]], pause: int) -> list[UUID]:
        await asyncio.sleep(pause * self.faults.seconds(0, 20))
        answer = await self.ask(start)
        rows = answer if isinstance(answer, list) else [answer] if answer else []
        return [row.id for row in rows]

    def _wish_for_training(self, key: str) -> tuple[str, Callable[[], Coroutine[Any, Any, Any]]]:
        photos = {"photo_ids": tuple(self.photos)} if self.faults.chance(0.25) else {}
        url = None if photos else f"https://photos.example/{key}.zip"
        wanted = TrainingInput(model_name="Ada", steps=4, idempotency_key=key, images_data_url=url, **photos)
        return "training", lambda: self.services.training.start(self.owner, wanted)

    def _wish_for_picture(self, key: str) -> tuple[str, Callable[[], Coroutine[Any, Any, Any]]]:
        loras = (LoraChoice(model=self.model),) if self.faults.chance(0.4) else ()
        wanted = GenerationInput(prompt="a lighthouse", run_id=key, seed=len(key), loras=loras)
        return "generation", lambda: self.services.generation.start(self.owner, wanted)

    async def _change(self, kind: str, id: UUID) -> None:
        changes = self.services.training_changes if kind == "training" else self.services.generation_changes
        if self.faults.chance(0.25):
            await asyncio.sleep(self.faults.seconds(0, 250))
            for _ in range(1 + self.faults.chance(0.3)):
                if await self.ask(lambda: changes.cancel(self.owner, id)):
                    self.cancelled.add(id)
        if kind == "training" and self.faults.chance(0.5):
            await self._retry(id)

    async def _retry(self, id: UUID) -> None:
        while self.status(id) not in END:
            await asyncio.sleep(30)
        await asyncio.sleep(self.faults.seconds(0, 60))
        twice = 1 + self.faults.chance(0.5)
        retry = [self.ask(lambda: self.services.training_changes.retry(self.owner, id)) for _ in range(twice)]
        for again in {training.id for training in await asyncio.gather(*retry) if training}:
            self._watch("training", again)

    def _watch(self, kind: str, id: UUID) -> None:
        self.jobs[id] = kind
        for _ in range(self.faults.chance(0.6) + self.faults.chance(0.3)):
            watcher = Watcher(job=id, kind=kind, first=0 if self.faults.chance(0.7) else None)
            self.watchers.append(watcher)
            self.spawn(self._follow(watcher))

    async def _follow(self, watcher: Watcher) -> None:
        await asyncio.sleep(self.faults.seconds(0, 100))
        while not watcher.ended:
            try:
                await self.choose().spawn(self._connect(watcher))
            except ProcessDead:
                await asyncio.sleep(self.faults.seconds(0, 3))

    async def _connect(self, watcher: Watcher) -> None:
        service = self.services.training if watcher.kind == "training" else self.services.generation
        patience = int(self.faults.seconds(1, 30)) if self.faults.chance(0.4) else 10**6
        slow = 20 if self.faults.chance(0.2) else 0
        async with aclosing(service.follow(self.owner, watcher.job, after_seq=watcher.cursor)) as events:
            async for event in events:
                watcher.seen.append(event)
                watcher.missed.append(missed_before(event))
                patience -= 1
                if not patience:
                    return
                if slow:
                    await asyncio.sleep(self.faults.seconds(0, slow))

"""The sweep: for every crash point a job whose process dies there, and what came of it."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e import main_job
from tests.e2e.crashing.caller import AUDIT, GENERATION_PROGRESS, Caller, draw_photos, until
from tests.e2e.crashing.points import CRASH_POINTS, arm, disarm, is_armed
from tests.e2e.crashing.process import Process, running, serving

TRAINING_PRICE, GENERATION_PRICE = 20, 2
JOB_SECONDS, STRIKE_SECONDS = 60, 10


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a job came to whose process died at `point`; `spent` are the day's credits that it cost."""

    point: str
    status: str
    seconds: float
    deaths: int = 0
    submits: int = 0
    seqs: list[int] = field(default_factory=list)
    final_events: int = 0
    spent: int = 0
    balanced: bool = False
    file_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One server and one user, and job after job of theirs."""

    folder: Path
    server: Process
    caller: Caller

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    async def run(self, names: Sequence[str]) -> list[Outcome]:
        """One job for each point."""
        async with running(self.server):
            reviving = asyncio.create_task(self.server.revive())
            try:
                return [await self._outcome(name, number) for number, name in enumerate(names)]
            finally:
                reviving.cancel()
                with suppress(asyncio.CancelledError):
                    await reviving

    async def _outcome(self, name: str, number: int) -> Outcome:
        """What came of one; a job that does not end is an outcome too, and the next one has its turn."""
        begin = time.monotonic()
        try:
            async with asyncio.timeout(JOB_SECONDS):
                return await self._die(name, number)
        except Exception as error:
            disarm(self.data_dir)
            return Outcome(point=name, status=repr(error), seconds=time.monotonic() - begin)

    async def _die(self, name: str, number: int) -> Outcome:
        begin, starts = time.monotonic(), self.server.starts
        spent, submits = await self._spent(), self._submits()
        trains = is_training(name)
        photos = await self.caller.upload(draw_photos(self.folder, number)) if trains else []
        arm(self.data_dir, name)
        if trains:
            id, document = await self.caller.train(photos, f"key {number}"), main_job.PROGRESS
        else:
            id, document = await self.caller.draw(f"portrait {number}", f"run {number}"), GENERATION_PROGRESS
        await self.caller.follow(document, id)
        # It may have died after the end that was told, and then it is worth another look.
        await until(self._has_died, seconds=STRIKE_SECONDS)
        await until(lambda: self._is_back(starts), seconds=STRIKE_SECONDS)
        await self.caller.reachable()
        events = await self.caller.follow(document, id)
        return Outcome(
            point=name,
            deaths=self.server.starts - starts,
            status=events[-1]["status"],
            submits=self._submits() - submits,
            seqs=[event["seq"] for event in events],
            final_events=sum(event["status"] in {"COMPLETED", "FAILED"} for event in events),
            spent=await self._spent() - spent,
            balanced=(await self.caller.ask(AUDIT))["balanced"],
            file_bytes=await self._file(trains, id),
            seconds=time.monotonic() - begin,
        )

    async def _has_died(self) -> bool:
        return not is_armed(self.data_dir)

    async def _is_back(self, starts: int) -> bool:
        return self.server.starts > starts

    async def _spent(self) -> int:
        return int((await self.caller.ask(main_job.QUOTA))["dailyUsed"])

    def _submits(self) -> int:
        return len(submitted(self.data_dir))

    async def _file(self, trains: bool, id: str) -> int:
        """The size of the weights or the picture, as anybody gets it."""
        if trains:
            url = ((await self.caller.ask(main_job.TRAINING, id=id))["model"] or {})["modelUrl"]
        else:
            url = (await self.caller.ask(main_job.GENERATION, id=id))["imageUrl"]
        return len(await self.caller.bytes_at(url)) if url else 0


async def sweep(folder: Path, names: Sequence[str], *, lanes: int = 2) -> list[Outcome]:
    """Every named point, shared among servers that work beside each other."""
    shares = [lane(folder / f"lane{number}").run(names[number::lanes]) for number in range(lanes)]
    return [outcome for share in await asyncio.gather(*shares) for outcome in share]


def lane(folder: Path) -> Lane:
    """A lane whose server is not started yet."""
    folder.mkdir(parents=True)
    server = serving(folder, "tests.e2e.crashing", "--grace", "3", "serve")
    return Lane(folder=folder, server=server, caller=Caller(url=server.url))


def is_training(name: str) -> bool:
    """Whether it is a training that comes to this point."""
    return name.startswith(("training.", "archive.", "weights."))


def expected(name: str) -> tuple[str, int, int]:
    """Status, paid submits and credits of a job whose process died at a point."""
    if CRASH_POINTS[name].unsent:
        return "FAILED", 0, 0
    return "COMPLETED", 1, TRAINING_PRICE if is_training(name) else GENERATION_PRICE


def submitted(data_dir: Path) -> list[dict[str, Any]]:
    """The requests that the sandbox accepted."""
    return [json.loads(path.read_text()) for path in (data_dir / "sandbox" / "requests").glob("*.json")]

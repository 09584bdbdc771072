"""Runs that note what they do in a file, and a process to kill while it does them.

`python -m tests.contract.dbos_worker ORDER`, with a JSON object of url, executor, journal, kind, id and hang,
starts, enqueues one run and works until it is killed; the step named by `hang` never ends, and with "enqueue" the
process dies as soon as the run is written.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from models.errors import InsufficientCredits
from services.gateways.jobs_dbos import DbosJobs, Patience
from services.ports import Run

QUICK = Patience(attempts=3, first_wait_seconds=0.01, growth=1.0, give_up_attempts=3)


def jobs_at(url: str, *, executor: str = "local") -> DbosJobs:
    """Jobs that lose no time."""
    return DbosJobs(url, executor_id=executor, application_version="1", patience=QUICK, polling_seconds=0.05)


class Journal:
    """Words in a file, written before the next thing happens even when the process is killed."""

    def __init__(self, path: Path, *, hang: str = "") -> None:
        self._path = path
        self._hang = hang

    async def note(self, word: str) -> None:
        """Write a word, and never return when it is the one to hang at."""
        with self._path.open("a") as file:
            file.write(f"{word}\n")
            file.flush()
            os.fsync(file.fileno())
        if word == self._hang:
            await asyncio.Event().wait()

    def words(self) -> list[str]:
        """What was noted so far, by all processes."""
        return self._path.read_text().split("\n")[:-1] if self._path.exists() else []

    def runs(self) -> Mapping[str, Run]:
        """A run of three steps, and one that cannot be paid."""

        async def first(id: UUID) -> None:
            await self.note("first")

        async def second(id: UUID) -> None:
            await self.note("second")

        async def third(id: UUID) -> None:
            await self.note("third")

        async def unpaid(id: UUID) -> None:
            await self.note("unpaid")
            raise InsufficientCredits(required=20, available=3)

        async def give_up(id: UUID, error: Exception) -> None:
            await self.note(f"{type(error).__name__} {vars(error).get('required')} {error}")
            await self.note("give_up")

        return {
            "steady": Run(steps=[first, second, third], give_up=give_up),
            "unpaid": Run(steps=[first, unpaid, third], give_up=give_up),
        }


async def work(order: Mapping[str, Any]) -> None:
    """Do what the order says until killed."""
    jobs = jobs_at(order["url"], executor=order["executor"])
    await jobs.start(Journal(Path(order["journal"]), hang=order["hang"]).runs())
    await jobs.enqueue(order["kind"], UUID(order["id"]))
    if order["hang"] == "enqueue":
        os._exit(0)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(work(json.loads(sys.argv[1])))

"""Which processes are alive: a heartbeat each, and the runs of a process without one are taken over."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog

from models.executor import Executor
from services.database import DATABASE_ERRORS
from services.ports import Clock, Jobs
from services.unit_of_work import transactional

BEAT_SECONDS = 3.0
DEAD_AFTER = timedelta(seconds=15)

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Presence:
    """This process among the others of one database; `executor` is the id under which it works on runs."""

    clock: Clock
    jobs: Jobs
    executor: str

    async def beat_forever(self) -> None:
        """Say that we live, every 3 seconds; its own task, so that a slow take-over never looks like our death."""
        while True:
            try:
                async with asyncio.timeout(DEAD_AFTER.total_seconds()):
                    await self._beat()
            except DATABASE_ERRORS as error:
                _log.warning("presence.beat_failed", reason=str(error))
            await self.clock.sleep(BEAT_SECONDS)

    @transactional
    async def _beat(self) -> None:
        await Executor.update_or_create({"beat_at": self.clock.now()}, id=self.executor)

    async def watch_forever(self) -> None:
        """Take over the runs of the dead."""
        while True:
            await self.clock.sleep(BEAT_SECONDS)
            try:
                await self.take_over_dead()
            except Exception:
                _log.exception("presence.take_over_failed")

    async def take_over_dead(self) -> int:
        """Take over the runs of every process silent for 15 seconds; returns how many runs there were.

        The row goes only after its runs are back in the queue, so a death in between leaves the work to the next.
        Doing it twice is harmless: a run is owned by whoever took it last.
        """
        taken = 0
        for dead in await Executor.filter(beat_at__lt=self.clock.now() - DEAD_AFTER).exclude(id=self.executor):
            runs = await self.jobs.take_over(dead.id)
            await Executor.filter(id=dead.id, beat_at=dead.beat_at).delete()
            _log.warning("presence.took_over", executor=dead.id, runs=runs)
            taken += runs
        return taken

    async def others(self) -> int:
        """How many other processes live now; one that was killed counts for 15 seconds."""
        alive = Executor.filter(beat_at__gte=self.clock.now() - DEAD_AFTER)
        return await alive.exclude(id=self.executor).count()

    async def leave(self) -> None:
        """Mark ourselves as gone, so that the others need not wait for our silence."""
        await Executor.filter(id=self.executor).update(beat_at=self.clock.now() - 2 * DEAD_AFTER)

"""Sweeps: what a crash left undone is found again."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from models.generation import Generation
from models.status import GenerationStatus, TrainingStatus
from models.training import Training
from services import generation, training
from services.ports import Clock, Jobs

FORGOTTEN_AFTER = timedelta(seconds=10)
BATCH = 400

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Housekeeping:
    """Repairs, each harmless when repeated."""

    clock: Clock
    jobs: Jobs

    async def enqueue_forgotten(self) -> int:
        """Enqueue jobs whose process died between the commit and the enqueue; returns how many."""
        before = self.clock.now() - FORGOTTEN_AFTER
        trainings = Training.filter(status=TrainingStatus.PENDING, created_at__lt=before).limit(BATCH)
        generations = Generation.filter(status=GenerationStatus.PENDING, created_at__lt=before).limit(BATCH)
        forgotten = [(training.RUN, row.id) for row in await trainings]
        forgotten += [(generation.RUN, row.id) for row in await generations]
        for kind, id in forgotten:
            await self.jobs.enqueue(kind, id)
        if forgotten:
            _log.info("sweep.enqueued", jobs=len(forgotten))
        return len(forgotten)

"""Sweeps: what a crash left undone is found again, and what has served its time is removed. Each may run twice."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from models.generation import Generation
from models.inbox import InboxMessage
from models.ledger import LedgerPosting, PostingKind
from models.photo import TrainingArchive
from models.status import GenerationStatus, TrainingStatus
from models.submission import Submission, SubmissionState
from models.training import Training
from services import generation, rescue, training
from services.credits import CLOSE, OPEN, Credits
from services.ports import Clock, Jobs
from services.submissions import Submissions

FORGOTTEN_AFTER = timedelta(seconds=10)
LOST_FOR = timedelta(hours=24)
TEMPORARY_FOR = timedelta(hours=6)
INBOX_FOR = timedelta(days=8)  # longer than the provider goes on repeating itself
RUNS_FOR = timedelta(days=30)
BATCH = 400
ENDED = {TrainingStatus.FAILED, TrainingStatus.CANCELLED, GenerationStatus.FAILED, GenerationStatus.CANCELLED}

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Housekeeping:
    """Repairs and clean-ups."""

    clock: Clock
    jobs: Jobs
    credits: Credits
    submissions: Submissions
    temp_dir: Path

    @property
    def sweeps(self) -> Mapping[str, Callable[[], Awaitable[int]]]:
        """What is swept, by name; each returns how many things it found."""
        return {
            "jobs_enqueued": self.enqueue_forgotten,
            "lost_jobs_found": self.find_lost,
            "reserves_refunded": self.refund_forgotten,
            "archives_forgotten": self.forget_archives,
            "inbox_forgotten": self.forget_inbox,
            "temporary_removed": self.remove_temporary,
            "runs_forgotten": self.forget_runs,
        }

    async def sweep(self) -> None:
        """Do all of them; one that fails does not stop the others."""
        for name, work in self.sweeps.items():
            try:
                if found := await work():
                    _log.info("sweep", **{name: found})
            except Exception:
                _log.exception("sweep.failed", sweep=name)

    async def enqueue_forgotten(self) -> int:
        """Enqueue jobs whose process died between the commit and the enqueue."""
        before = self.clock.now() - FORGOTTEN_AFTER
        trainings = Training.filter(status=TrainingStatus.PENDING, created_at__lt=before).limit(BATCH)
        generations = Generation.filter(status=GenerationStatus.PENDING, created_at__lt=before).limit(BATCH)
        forgotten = [(training.RUN, row.id) for row in await trainings]
        forgotten += [(generation.RUN, row.id) for row in await generations]
        for kind, id in forgotten:
            await self.jobs.enqueue(kind, id)
        return len(forgotten)

    async def find_lost(self) -> int:
        """Look in the provider's list for calls given up as lost; what is found is finished and free."""
        since = self.clock.now() - LOST_FOR
        rows = Submission.filter(state=SubmissionState.FAILED, request_id=None, lost=True, created_at__gt=since)
        found = 0
        for row in await rows.limit(BATCH):
            if await self.submissions.find(row):
                await self.jobs.enqueue(rescue.RUN, row.job_id)
                found += 1
        return found

    async def refund_forgotten(self) -> int:
        """Refund open reserves of jobs that have failed or were never made."""
        settled = LedgerPosting.filter(slot=CLOSE).values_list("job_id", flat=True)
        old = self.clock.now() - FORGOTTEN_AFTER
        opened = LedgerPosting.filter(kind=PostingKind.RESERVE, slot=OPEN, at__lt=old)
        refunded = 0
        for posting in await opened.exclude(job_id__in=settled).limit(BATCH):
            assert posting.job_id is not None, "a check of the table says so"
            job = await Training.get_or_none(id=posting.job_id) or await Generation.get_or_none(id=posting.job_id)
            if job is None or job.status in ENDED:
                await self.credits.refund(posting.job_id)
                refunded += 1
        return refunded

    async def forget_archives(self) -> int:
        """Forget training ZIPs whose life at the provider is over; it has deleted them by itself."""
        return await TrainingArchive.filter(expires_at__lt=self.clock.now()).delete()

    async def forget_inbox(self) -> int:
        """Remove deliveries that cannot be repeated any more."""
        return await InboxMessage.filter(received_at__lt=self.clock.now() - INBOX_FOR).delete()

    async def forget_runs(self) -> int:
        """Remove the engine's records of old runs."""
        return await self.jobs.forget(before=self.clock.now() - RUNS_FOR)

    async def remove_temporary(self) -> int:
        """Remove temporary files that no living request or run can still use."""
        return await asyncio.to_thread(_remove_older, self.temp_dir, self.clock.now() - TEMPORARY_FOR)


def _remove_older(folder: Path, before: datetime) -> int:
    old = [entry for entry in folder.iterdir() if entry.stat().st_mtime < before.timestamp()]
    for entry in old:
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    return len(old)

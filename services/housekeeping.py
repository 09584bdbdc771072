"""Sweeps: what a crash left undone is found again, and what has served its time is removed. Each may run twice."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from tortoise.expressions import Subquery
from tortoise.queryset import QuerySet

from models.generation import Generation
from models.inbox import InboxMessage
from models.ledger import LedgerPosting, PostingKind
from models.photo import TrainingArchive
from models.status import GenerationStatus, TrainingStatus
from models.submission import Submission, SubmissionState
from models.training import Training
from services import cancelling, generation, rescue, training
from services.credits import CLOSE, OPEN, Credits
from services.ports import Clock, Jobs
from services.submissions import Submissions
from services.unfinished_photos import is_unfinished

FORGOTTEN_AFTER = timedelta(seconds=10)
CANCELLED_FOR = timedelta(hours=1)
LOST_FOR = timedelta(hours=24)
TEMPORARY_FOR = timedelta(hours=6)
INBOX_FOR = timedelta(days=8)  # longer than the provider goes on repeating itself
RUNS_FOR = timedelta(days=30)
BATCH = 400
LIVING = [TrainingStatus.PENDING, TrainingStatus.TRAINING]
UNSETTLED = [SubmissionState.INTENDED, SubmissionState.ACCEPTED]
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
            "cancels_enqueued": self.enqueue_cancels,
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
        trainings = Training.filter(status=TrainingStatus.PENDING, created_at__lt=before)
        generations = Generation.filter(status=GenerationStatus.PENDING, created_at__lt=before)
        forgotten = [(training.RUN, id) async for id in _ids(trainings)]
        forgotten += [(generation.RUN, id) async for id in _ids(generations)]
        return await self._enqueue(forgotten)

    async def enqueue_cancels(self) -> int:
        """Tell the provider of cancels whose process died between the commit and the enqueue."""
        now = self.clock.now()
        recently = {"completed_at__lt": now - FORGOTTEN_AFTER, "completed_at__gt": now - CANCELLED_FOR}
        called = Subquery(Submission.filter(state__in=UNSETTLED).values("job_id"))
        trainings = Training.filter(status=TrainingStatus.CANCELLED, id__in=called, **recently)
        generations = Generation.filter(status=GenerationStatus.CANCELLED, id__in=called, **recently)
        forgotten = [(cancelling.RUN, id) async for id in _ids(trainings)]
        forgotten += [(cancelling.RUN, id) async for id in _ids(generations)]
        return await self._enqueue(forgotten)

    async def find_lost(self) -> int:
        """Look in the provider's list for calls given up as lost; what is known by now is finished and free."""
        since = self.clock.now() - LOST_FOR
        states = [SubmissionState.FAILED, SubmissionState.ACCEPTED]
        found = 0
        for row in await Submission.filter(state__in=states, lost=True, created_at__gt=since).limit(BATCH):
            known = row.request_id is not None or await self.submissions.find(row) is not None
            if known and await rescue.was_failed(row.job_id):
                await self.jobs.enqueue(rescue.RUN, row.job_id)
                found += 1
        return found

    async def refund_forgotten(self) -> int:
        """Refund open reserves of jobs that have failed or were never made; those of living jobs stay."""
        settled = Subquery(LedgerPosting.filter(slot=CLOSE).values("job_id"))
        old = self.clock.now() - FORGOTTEN_AFTER
        opened = LedgerPosting.filter(kind=PostingKind.RESERVE, slot=OPEN, at__lt=old).exclude(job_id__in=settled)
        for kept in (Training, Generation):
            opened = opened.exclude(job_id__in=Subquery(kept.exclude(status__in=ENDED).values("id")))
        jobs = [posting.job_id for posting in await opened.limit(BATCH) if posting.job_id]
        for job in jobs:
            await self.credits.refund(job)
        return len(jobs)

    async def forget_archives(self) -> int:
        """Forget training ZIPs whose life at the provider is over (it has deleted them by itself), but no living job's.

        A living training was handed its ZIP when it began, so the row says what it works on.
        """
        at_work = Training.filter(status__in=LIVING, archive_url__isnull=False)
        old = TrainingArchive.filter(expires_at__lt=self.clock.now())
        return await old.exclude(url__in=Subquery(at_work.values("archive_url"))).delete()

    async def forget_inbox(self) -> int:
        """Remove deliveries that cannot be repeated any more."""
        return await InboxMessage.filter(received_at__lt=self.clock.now() - INBOX_FOR).delete()

    async def forget_runs(self) -> int:
        """Remove the engine's records of old runs."""
        return await self.jobs.forget(before=self.clock.now() - RUNS_FOR)

    async def _enqueue(self, jobs: Sequence[tuple[str, UUID]]) -> int:
        for kind, id in jobs:
            await self.jobs.enqueue(kind, id)
        return len(jobs)

    async def remove_temporary(self) -> int:
        """Remove temporary files that no living request or run can still use: nothing in them changed for 6 hours.

        Unfinished photos have a sweep of their own, which needs their files.
        """
        return await asyncio.to_thread(_remove_older, self.temp_dir, self.clock.now() - TEMPORARY_FOR)


async def _ids(query: "QuerySet[Any]") -> AsyncIterator[UUID]:
    """The ids of all rows, a page at a time."""
    last: UUID | None = None
    while True:
        rest = query if last is None else query.filter(id__gt=last)
        page: list[UUID] = await rest.order_by("id").limit(BATCH).values_list("id", flat=True)  # type: ignore[assignment]
        for id in page:
            yield id
        if len(page) < BATCH:
            return
        last = page[-1]


def _remove_older(folder: Path, before: datetime) -> int:
    swept = [entry for entry in folder.iterdir() if not is_unfinished(entry)]
    old = [entry for entry in swept if _changed_at(entry) < before.timestamp()]
    for entry in old:
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    return len(old)


def _changed_at(entry: Path) -> float:
    """The last change of a file, or of anything in a folder; a run's folder is as young as its newest file.

    What vanishes meanwhile belongs to somebody who is still at work on it.
    """
    try:
        return max(path.stat().st_mtime for path in [entry, *entry.rglob("*")])
    except FileNotFoundError:
        return float("inf")

"""Paid calls to the provider: an intent first, then one POST that nothing repeats, then the request id (design 2.4)."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from tortoise.exceptions import IntegrityError

from models.errors import (
    LikenessError,
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    ResultUnusable,
    SubmitUnknown,
)
from models.submission import Submission, SubmissionState
from services.call_failures import failure_columns, failure_of
from services.ports import Clock, Provider, ProviderJob
from services.stuck import LONGEST_LOOK
from services.unit_of_work import transactional

GRACE = timedelta(minutes=10)
LONGEST_GRACE = timedelta(hours=24)  # while the provider's list cannot be read
ANSWERED_WITHIN = timedelta(seconds=180)  # a POST is over by then, answered or not
CLOCK_SKEW = timedelta(minutes=5)  # between the provider's clock and ours
STALE = timedelta(seconds=30)  # an intent older than this is not sent any more
LOOK_AGAIN_SECONDS = 10.0

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Submissions:
    """Submits at most once per job and attempt, whatever crashes in between."""

    provider: Provider
    clock: Clock
    public_url: str | None
    grace: timedelta = GRACE

    async def submit(
        self, job: UUID, *, endpoint: str, model: str, arguments: Mapping[str, Any], needle: str, attempt: int = 0
    ) -> ProviderJob:
        """The provider's job for this job and attempt: the one accepted before, or a new one from a single POST.

        `needle` is a part of the arguments by which the provider's request list can be searched.
        Raises `ProviderUnavailable` when it was surely not accepted (call again later), another `ProviderError` when
        it never will be, or when nobody knows after the grace time, and what a call that has failed failed with.
        """
        now = self.clock.now()
        columns = {"endpoint": endpoint, "model": model, "arguments": dict(arguments), "needle": needle}
        row, fresh = await _intend(job, attempt, columns | {"created_at": now})
        if row.state is SubmissionState.REFUSED:
            fresh = bool(await _change(row, SubmissionState.REFUSED, SubmissionState.INTENDED, created_at=now))
        if fresh:
            return await self._post(row)
        return await self._recover(row, waited=now - row.created_at)

    async def _post(self, row: Submission) -> ProviderJob:
        if (waited := self.clock.now() - row.created_at) > STALE:
            # This process was stopped in between, and another may have given the intent up.
            return await self._recover(row, waited=waited)
        try:
            job = await self.provider.submit(row.endpoint, row.arguments, webhook_url=self._webhook(row))
        except SubmitUnknown as error:
            _log.warning("submit.unknown", submission=str(row.id), reason=error.message)
            return await self._recover(row, waited=timedelta())
        except ProviderError as error:
            to = SubmissionState.REFUSED if isinstance(error, ProviderUnavailable) else SubmissionState.FAILED
            await _change(row, SubmissionState.INTENDED, to, **failure_columns(error))
            raise
        await self.adopt(row, job)
        return job

    async def skip(self, job: UUID, *, attempt: int, endpoint: str, model: str, reason: str) -> None:
        """Note a call that is never made, because the model cannot honour the request."""
        columns: dict[str, Any] = {"endpoint": endpoint, "model": model, "arguments": {}, "needle": "", "error": reason}
        columns |= {"state": SubmissionState.SKIPPED, "created_at": self.clock.now()}
        await _intend(job, attempt, columns)

    async def adopt(self, row: Submission, job: ProviderJob) -> None:
        """Save the request id of an accepted job, also of one that was given up too early."""
        await Submission.filter(id=row.id, request_id=None).update(
            state=SubmissionState.ACCEPTED,
            request_id=job.request_id,
            status_url=job.status_url,
            response_url=job.response_url,
            cancel_url=job.cancel_url,
            accepted_at=self.clock.now(),
        )
        await row.refresh_from_db()

    async def find(self, row: Submission) -> ProviderJob | None:
        """Look once in the provider's list for a job whose answer was lost, and adopt it.

        A webhook's address names the row. By its arguments alone, all of which must be the same, a job is taken only
        while no other call of ours with the same ones may still be waiting for its answer, and only when it was not
        sent before the row was written. Raises `ProviderUnavailable` when the list cannot be read.
        """
        look = partial(self.provider.find, row.endpoint, since=row.created_at - CLOCK_SKEW)
        named = await look(str(row.id), arguments={}) if self.public_url else ()
        alike = () if named or await self._has_twin(row) else await look(row.needle, arguments=row.arguments)
        for job in (*named, *alike):
            if not await Submission.filter(request_id=job.request_id).exists():
                with suppress(IntegrityError):  # another call has just saved this id
                    await self.adopt(row, job)
                    return accepted_job(row)
        return None

    async def _recover(self, row: Submission, *, waited: timedelta) -> ProviderJob:
        """Find a job whose answer was lost, in our rows (a webhook may have told) or the provider's list.

        `waited` is how long it is lost already. A clock that jumps neither ends the wait nor makes it longer.
        """
        waited = max(waited, timedelta())
        while True:
            began = self.clock.now()
            await row.refresh_from_db()
            if failure := failure_of(row):
                raise failure
            if job := accepted_job(row):
                return job
            looked = False
            try:
                if job := await self.find(row):
                    return job
                looked = True
            except ProviderError as error:
                _log.warning("submit.lookup_failed", submission=str(row.id), reason=error.message)
            if waited > (self.grace if looked else LONGEST_GRACE):
                lost = SubmitUnknown(reason="its answer was lost, and no trace of the job was found.")
                given_up = failure_columns(lost) | {"lost": True}
                if await _change(row, SubmissionState.INTENDED, SubmissionState.FAILED, **given_up):
                    raise lost
                continue  # a webhook told of it in this very moment
            await self.clock.sleep(LOOK_AGAIN_SECONDS)
            waited += min(max(self.clock.now() - began, timedelta()), LONGEST_LOOK)

    async def _has_twin(self, row: Submission) -> bool:
        """Whether a job found by its arguments may be another call's: one of the same arguments that is under way."""
        since = self.clock.now() - ANSWERED_WITHIN
        alike = Submission.filter(needle=row.needle, state=SubmissionState.INTENDED, created_at__gt=since)
        return any(twin.arguments == row.arguments for twin in await alike.exclude(id=row.id))

    def _webhook(self, row: Submission) -> str | None:
        return f"{self.public_url}/webhooks/fal?job={row.id}" if self.public_url else None


def accepted_job(row: Submission) -> ProviderJob | None:
    """The provider's job of a row whose request id is known."""
    if row.request_id is None or row.status_url is None or row.response_url is None or row.cancel_url is None:
        return None
    return ProviderJob(
        request_id=row.request_id,
        status_url=row.status_url,
        response_url=row.response_url,
        cancel_url=row.cancel_url,
    )


async def close(job: UUID, to: SubmissionState, *, attempt: int = 0, failure: LikenessError | None = None) -> None:
    """Note how a call ended; one whose result was used stays so, whoever fails with it later."""
    columns = failure_columns(failure) | {"lost": False} if failure else {"error": None, "error_type": None}
    calls = Submission.filter(job_id=job, attempt=attempt).exclude(state=SubmissionState.DONE)
    await calls.update(state=to, **columns)


async def leave_findable(job: UUID, error: Exception) -> None:
    """Have the sweep for lost calls go on with the provider's job of a job that we end, and keep a late success.

    Not when `error` is the provider's own verdict: then there is nothing to come.
    """
    if not isinstance(error, ProviderRejected | ResultUnusable):
        await Submission.filter(job_id=job, state=SubmissionState.ACCEPTED).update(lost=True)


@transactional
async def _intend(job: UUID, attempt: int, columns: dict[str, Any]) -> tuple[Submission, bool]:
    """The row of this call, and whether it is new; shielded, because `get_or_create` opens a transaction."""
    return await Submission.get_or_create(columns, job_id=job, attempt=attempt)


async def _change(row: Submission, old: SubmissionState, new: SubmissionState, **columns: Any) -> int:
    """Move a row unless another writer was faster; returns how many rows moved."""
    moved = await Submission.filter(id=row.id, state=old).update(state=new, **columns)
    await row.refresh_from_db()
    return moved

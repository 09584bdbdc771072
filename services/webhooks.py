"""Webhooks of the provider: verified, kept once, answered at once, worked later by a durable run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from models.errors import ForgedWebhook
from models.ids import new_id
from models.inbox import InboxMessage
from models.submission import Submission
from services.ports import Clock, EventBus, Jobs, Provider, Run, WebhookVerifier
from services.rescue import RUN as RESCUE
from services.rescue import was_failed
from services.submissions import Submissions
from services.training_follow import wake_topic
from services.unit_of_work import transactional

RUN = "webhook"
SOURCE = "fal"
LARGEST_BODY = 1024**2  # bytes

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class WebhookService:
    """Takes deliveries in; `verifier` is None while webhooks are off (no PUBLIC_URL)."""

    clock: Clock
    bus: EventBus
    jobs: Jobs
    provider: Provider
    submissions: Submissions
    verifier: WebhookVerifier | None

    @property
    def run(self) -> Run:
        """The durable run `webhook`, whose id is the inbox message's."""
        return Run(steps=(self.work,), give_up=self.give_up)

    async def receive(self, headers: Mapping[str, str], body: bytes, *, submission: UUID | None) -> None:
        """Keep a delivery once; a repeated one, or one of a job that is not ours, changes nothing.

        Raises `ForgedWebhook` for a delivery that the provider did not sign, or whose body names another request.
        Any other error means that it may not be kept: it must be sent again, which is harmless.
        """
        if self.verifier is None:
            raise ForgedWebhook("webhooks are off")
        request_id = await self.verifier.verify(headers, body)
        message = _message(body)
        if message.get("request_id") != request_id:
            raise ForgedWebhook("its body is about another request")
        row = await _submission(submission, request_id)
        if row is None or row.request_id not in {None, request_id}:
            _log.warning("webhook.unknown_job", request_id=request_id)
            return
        kept = await self._keep(row.id, request_id, succeeded=message.get("status") == "OK")
        if kept.handled_at is None:
            # After the commit, and again for a repeated delivery: a crash in between loses nothing.
            await self.jobs.enqueue(RUN, kept.id)

    async def work(self, id: UUID) -> None:
        """Adopt a job whose answer was lost, wake its follower, or rescue what was failed too early."""
        message = await InboxMessage.get(id=id)
        row = await _submission(message.submission_id, message.external_id)
        if message.handled_at is not None or row is None:
            return
        if row.request_id is None:
            await self.submissions.adopt(row, self.provider.known_job(row.endpoint, message.external_id))
        if row.request_id == message.external_id:
            if message.body["succeeded"] and await was_failed(row.job_id):
                await self.jobs.enqueue(RESCUE, row.job_id)
            await self.bus.publish(wake_topic(row.job_id), {"webhook": message.external_id})
        await InboxMessage.filter(id=id).update(handled_at=self.clock.now())

    async def give_up(self, id: UUID, error: Exception) -> None:
        """Polling carries the job on; the delivery stays in the inbox, unhandled."""
        _log.error("webhook.gave_up", message=str(id), exc_info=error)

    @transactional
    async def _keep(self, submission: UUID, request_id: str, *, succeeded: bool) -> InboxMessage:
        """The row of a delivery: the one that is there, or a new one."""
        row = InboxMessage(
            id=new_id(), source=SOURCE, external_id=request_id, submission_id=submission,
            body={"succeeded": succeeded}, received_at=self.clock.now(),
        )  # fmt: skip
        await InboxMessage.bulk_create([row], ignore_conflicts=True)
        return await InboxMessage.get(source=SOURCE, external_id=request_id)


def _message(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ForgedWebhook("its body is not JSON") from error
    return message if isinstance(message, dict) else {}


async def _submission(id: UUID | None, request_id: str) -> Submission | None:
    """The call that a delivery speaks of: the one whose id was in its address, else the one with the request id."""
    if id is not None and (row := await Submission.get_or_none(id=id)):
        return row
    return await Submission.get_or_none(request_id=request_id)

"""Rules made wrong on purpose: each must be noticed, or the simulation proves nothing.

Several rules are guarded twice, by the code and by a constraint or a sweep. Such a mutant takes both away, because with
one of them left nothing goes wrong: `without` names the unique indexes that are dropped.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from models.errors import ProviderError, ResultUnusable, SubmitUnknown
from models.ids import new_id
from models.inbox import InboxMessage
from models.ledger import LedgerPosting
from models.submission import SubmissionState
from models.training import Training
from services import submissions as rules
from services.asset_store import AssetKind
from services.credits import OPEN, Credits
from services.events import Feed, _from_message
from services.submissions import Submissions, accepted_job

CLOSE_INDEX = "uq_ledger_postings_job_id_slot"


@dataclass(frozen=True)
class Mutant:
    """Replacements by dotted name, and the unique indexes that would refuse what they do."""

    patches: tuple[tuple[str, Any], ...] = ()
    without: tuple[str, ...] = ()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The rules are wrong until the block ends."""
        with ExitStack() as stack:
            for name, replacement in self.patches:
                stack.enter_context(mock.patch(name, replacement, create=name.endswith(".max")))
            yield


async def _post_again(self: Submissions, row: Any) -> Any:
    """A lost answer is answered with a second POST."""
    send = (row.endpoint, row.arguments)
    try:
        job = await self.provider.submit(*send, webhook_url=self._webhook(row))
    except SubmitUnknown:
        job = await self.provider.submit(*send, webhook_url=self._webhook(row))
    await self.adopt(row, job)
    return job


_real_intend, _real_adopt = rules._intend, Submissions.adopt


async def _intend_anew(job: Any, attempt: int, columns: Any) -> Any:
    """A found intent is posted like a new one."""
    row, _ = await _real_intend(job, attempt, columns)
    return row, row.state is SubmissionState.INTENDED


async def _adopt_later(self: Submissions, row: Any, job: Any) -> None:
    """Something else is awaited before the request id is saved."""
    await self.clock.sleep(1)
    await _real_adopt(self, row, job)


async def _find_any(self: Submissions, row: Any) -> Any:
    """The first job of the list is adopted, whoever has it already."""
    try:
        candidates = await self.provider.find(row.endpoint, row.needle, arguments={}, since=row.created_at)
    except ProviderError:
        return None
    if not candidates:
        return None
    await self.adopt(row, candidates[0])
    return accepted_job(row)


async def _reserve_of(job: Any) -> Any:
    """Whether a job was settled before is not looked at."""
    return await LedgerPosting.get_or_none(job_id=job, slot=OPEN)


_real_refund, _real_commit = Credits.refund, Credits.commit


async def _refund_twice(self: Credits, job: Any) -> None:
    await _real_refund(self, job)
    await _real_refund(self, job)


async def _trust_messages(self: Feed[Any], job: Any, cursor: int, message: Any, **rest: Any) -> Any:
    """A gap between two live messages is not filled from the rows."""
    if message is not None:
        return [_from_message(self.model, message)] if message["seq"] > cursor else []
    return await _real_next(self, job, cursor, message, **rest)


_real_next = Feed._next


def _at_once(call: Callable[..., Any], *args: Any) -> None:
    """What should follow the commit comes before it."""
    asyncio.get_running_loop().create_task(call(*args))


async def _put_somehow(self: Any, file: Any, name: str) -> str:
    """A store that is away is not waited for."""
    location = f"{AssetKind.WEIGHTS}/{name}"
    try:
        await self.store.put(file.path, kind=AssetKind.WEIGHTS, name=name, content_type=file.content_type)
    except Exception:
        return location
    return location


async def _nothing(*_: Any, **__: Any) -> int:
    return 0


async def _never(*_: Any) -> None:
    return None


async def _itself(row: Training) -> Training:
    return row


def _cancel_without_refund(kind: str) -> Any:
    async def cancel(self: Any, id: Any) -> Any:
        """The owner's cancel gives nothing back."""
        with mock.patch.object(Credits, "refund", _never):
            return await _real_cancels[kind](self, id)

    return cancel


def _real(name: str) -> Any:
    module, _, rest = name.rpartition(".")
    owner, _, cls = module.rpartition(".")
    return getattr(getattr(__import__(owner, fromlist=[cls]), cls), rest)


_real_cancels = {
    kind: _real(f"services.{kind}_journal.{kind.title()}Journal.cancel") for kind in ("training", "generation")
}


async def _keep_each(self: Any, submission: Any, request_id: str, *, succeeded: bool) -> Any:
    """A repeated delivery is kept once more."""
    return await InboxMessage.create(
        id=new_id(), source="fal", external_id=request_id, submission_id=submission,
        body={"succeeded": succeeded}, received_at=self.clock.now(),
    )  # fmt: skip


async def _only_wake(self: Any, id: Any) -> None:
    """A delivery adopts nothing and rescues nothing."""
    await InboxMessage.filter(id=id).update(handled_at=self.clock.now())


async def _impatient(self: Any, id: Any) -> None:
    """A provider that does not answer once ends the training."""
    try:
        await self.provider.status(await self._job(id))
    except ProviderError as error:
        raise ResultUnusable(reason=error.message) from error
    await _real_until_ended(self, id)


_real_until_ended = _real("services.training_follow.TrainingFollow.until_ended")

_NO_SWEEP = ("services.housekeeping.Housekeeping.refund_forgotten", _nothing)
_SETTLED_UNSEEN = ("services.credits._lock_reserve", _reserve_of)

MUTANTS: dict[str, Mutant] = {
    "post_again_after_lost_answer": Mutant((("services.submissions.Submissions._post", _post_again),)),
    "post_found_intent": Mutant((("services.submissions._intend", _intend_anew),)),
    "request_id_saved_late": Mutant((("services.submissions.Submissions.adopt", _adopt_later),)),
    "adopt_known_request": Mutant((("services.submissions.Submissions.find", _find_any),), ("submissions.request_id",)),
    "refund_twice": Mutant((("services.credits.Credits.refund", _refund_twice), _SETTLED_UNSEEN), (CLOSE_INDEX,)),
    "commit_on_failure": Mutant((("services.credits.Credits.refund", _real_commit),)),
    "no_refund_on_failure": Mutant((("services.credits.Credits.refund", _never),)),
    "cancel_without_refund": Mutant(
        (
            ("services.training_journal.TrainingJournal.cancel", _cancel_without_refund("training")),
            ("services.generation_journal.GenerationJournal.cancel", _cancel_without_refund("generation")),
            _NO_SWEEP,
        )
    ),
    "rescue_charges": Mutant((_SETTLED_UNSEEN,), (CLOSE_INDEX,)),
    "rescue_forgotten": Mutant((("services.rescue.Rescue.finish_late", _never),)),
    "skip_backfill": Mutant((("services.events.Feed._next", _trust_messages),)),
    "publish_before_commit": Mutant((("services.journal.after_commit", _at_once),)),
    "percent_may_fall": Mutant((("services.training_journal.max", lambda _, new: new),)),
    "completed_without_copy": Mutant((("services.training_finish.TrainingFinish._put", _put_somehow),)),
    "weights_unchecked": Mutant((("services.training_finish.check_safetensors", lambda _: None),)),
    "idempotency_key_ignored": Mutant(
        (("services.training._earlier", _never),), ("uq_trainings_owner_id_idempotency_key",)
    ),
    "retry_makes_two": Mutant((("services.training_changes._newest_attempt", _itself),), ("uq_trainings_retry_of",)),
    "delivery_kept_twice": Mutant(
        (("services.webhooks.WebhookService._keep", _keep_each),), ("uq_inbox_messages_source_external_id",)
    ),
    "delivery_not_adopted": Mutant((("services.webhooks.WebhookService.work", _only_wake),)),
    "silence_ends_training": Mutant((("services.training_follow.TrainingFollow.until_ended", _impatient),)),
    "forgotten_not_enqueued": Mutant((("services.housekeeping.Housekeeping.enqueue_forgotten", _nothing),)),
    "temporary_files_left": Mutant(
        (
            ("services.training_finish.shutil", mock.Mock()),
            ("services.housekeeping.Housekeeping.remove_temporary", _nothing),
        )
    ),
}

"""Deliveries: repeated, early, late, forged and strange ones each do the right thing."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from models.errors import ForgedWebhook, ProviderUnavailable
from models.ids import new_id
from models.inbox import InboxMessage
from models.status import TrainingStatus
from models.submission import Submission, SubmissionState
from models.training import Training
from models.user import User
from services.ports import Ended, ProviderJob, ProviderStatus, Running
from services.training_follow import wake_topic
from tests.fakes import FixedClock
from tests.service.ledger import assert_sound, slots
from tests.service.webhook_stage import TRAINED, Stage


@pytest.fixture
async def stage(owner: User, clock: FixedClock, tmp_path: Path) -> AsyncIterator[Stage]:
    """The services on each kind of database."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        yield Stage(folder=tmp_path, workers=workers, owner=owner, clock=clock)


async def nothing_happened(stage: Stage, training: Training) -> bool:
    """Whether no delivery left a trace."""
    row = await Training.get(id=training.id)
    return (row.status, row.seq) == (training.status, training.seq) and not await InboxMessage.exists()


async def test_the_provider_is_told_where_to_deliver(stage: Stage) -> None:
    """The address carries the id of the intent, which is known before the provider knows anything."""
    stage.provider.answers["request-1"] = TRAINED
    training = await stage.training()
    await stage.work()
    row = await stage.submission(training.id)
    assert [f"https://likeness.example/webhooks/fal?job={row.id}"] == stage.provider.webhooks


async def test_repeated_deliveries_are_one(stage: Stage) -> None:
    """Ten deliveries of one request, some at once: one row, one run, and a later one changes nothing."""
    await stage.trained()
    [row] = await Submission.all()
    await asyncio.gather(*(stage.deliver("request-1", job=row.id) for _ in range(8)))
    await stage.deliver("request-1")
    [message] = await InboxMessage.all()
    assert {("webhook", message.id)} == {pair for pair in stage.jobs.enqueued if pair[0] == "webhook"}
    assert ["webhook"] == await stage.work()
    [message] = await InboxMessage.all()
    assert stage.clock.now() == message.handled_at
    asked = len(stage.jobs.enqueued)
    await stage.deliver("request-1", job=row.id)
    assert (1, asked, []) == (await InboxMessage.all().count(), len(stage.jobs.enqueued), await stage.work())


@pytest.mark.parametrize("loses", [False, True])
async def test_a_delivery_before_the_answer_is_adopted(stage: Stage, *, loses: bool) -> None:
    """The answer is on its way, or gets lost: the delivery tells the request id, and nothing is sent twice."""
    stage.provider.held, stage.provider.loses = asyncio.Event(), loses
    stage.provider.answers["request-1"] = TRAINED
    training = await stage.training()
    running = asyncio.create_task(stage.work())
    while not stage.provider.submitted:
        await asyncio.sleep(0)
    row = await stage.submission(training.id)
    assert (SubmissionState.INTENDED, None) == (row.state, row.request_id)
    await stage.deliver("request-1", job=row.id)
    await stage.run("webhook", (await InboxMessage.get()).id)
    row = await stage.submission(training.id)
    assert (SubmissionState.ACCEPTED, "request-1") == (row.state, row.request_id)
    stage.provider.held.set()
    await running
    assert TrainingStatus.COMPLETED is (await Training.get(id=training.id)).status
    assert (1, ["open", "close"]) == (len(stage.provider.submitted), await slots(training.id))


async def test_a_delivery_about_a_lost_answer_is_adopted(stage: Stage) -> None:
    """The answer never comes and the list shows nothing: while the run waits, the delivery tells."""
    stage.provider.loses = True
    stage.provider.answers["request-1"] = TRAINED
    training = await stage.training()
    running = asyncio.create_task(stage.work())
    while not stage.provider.submitted:
        await asyncio.sleep(0)
    await stage.deliver("request-1", job=(await stage.submission(training.id)).id)
    await stage.run("webhook", (await InboxMessage.get()).id)
    await running
    row = await Training.get(id=training.id)
    assert (TrainingStatus.COMPLETED, 20, 1) == (row.status, row.credits_spent, len(stage.provider.submitted))


async def test_a_late_failure_is_ignored(stage: Stage) -> None:
    """What is COMPLETED stays so: the row is noted and nothing else moves."""
    await stage.trained()
    before, ledger = await Training.get(), await stage.ledger()
    await stage.deliver("request-1", status="ERROR", error="Invalid status code: 500")
    assert ["webhook"] == await stage.work()
    after = await Training.get()
    assert (TrainingStatus.COMPLETED, before.seq, ledger) == (after.status, after.seq, await stage.ledger())


async def test_a_success_after_a_cancel_is_ignored(stage: Stage) -> None:
    """The owner did not want it any more, and has the credits back."""
    training = await stage.training()
    await stage.assembly.trainings.cancel(training.id)
    await Submission.create(
        job_id=training.id, endpoint="e", model="m", needle="n", arguments={}, request_id="request-1",
        state=SubmissionState.ACCEPTED, created_at=stage.clock.now(),
    )  # fmt: skip
    stage.worked.add(("training", training.id))
    await stage.deliver("request-1")
    assert ["webhook"] == await stage.work()
    row = await Training.get(id=training.id)
    assert (TrainingStatus.CANCELLED, 0) == (row.status, row.credits_spent)
    await assert_sound(stage.owner.id)


@pytest.mark.parametrize(
    "delivery", [{"seconds": -301}, {"seconds": 301}, {"request_id": "request-2"}, {"request_id": None}]
)
async def test_stale_and_mismatched_deliveries_are_refused(stage: Stage, delivery: dict[str, Any]) -> None:
    """Older than five minutes, from the future, or with a body about another request than the signed header's."""
    training = await stage.training()
    row = await _intent(stage, training)
    with pytest.raises(ForgedWebhook):
        await stage.deliver("request-1", job=row.id, **delivery)
    assert await nothing_happened(stage, training)


@pytest.mark.parametrize("body", [b"", b"[]", b'"request-1"', b"{", b"\xff", b"[" * 100_000])
async def test_signed_nonsense_is_refused(stage: Stage, body: bytes) -> None:
    """A good signature over something that is no delivery."""
    training = await stage.training()
    row = await _intent(stage, training)
    headers = stage.signer.headers("request-1", body=body, timestamp=int(stage.clock.now().timestamp()))
    with pytest.raises(ForgedWebhook):
        await stage.assembly.webhooks.receive(headers, body, submission=row.id)
    assert await nothing_happened(stage, training)


async def test_another_users_delivery_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """fal signs for everybody: a delivery about a stranger's job, sent to our address, is not about ours."""
    training = await stage.training()
    row = await _intent(stage, training)
    monkeypatch.setattr("likeness.sandbox.signing.USER_ID", "a-stranger")
    with pytest.raises(ForgedWebhook):
        await stage.deliver("request-1", job=row.id)
    assert await nothing_happened(stage, training)


async def test_unknown_jobs_leave_nothing(stage: Stage) -> None:
    """No such intent, or one whose request is known to be another: acknowledged, and forgotten."""
    training = await stage.training()
    row = await _intent(stage, training, request_id="request-1", state=SubmissionState.ACCEPTED)
    await stage.deliver("request-9", job=new_id())
    await stage.deliver("request-9", job=row.id)
    await stage.deliver("request-9")
    assert await nothing_happened(stage, training)
    assert "request-1" == (await stage.submission(training.id)).request_id


async def test_a_delivery_that_could_not_be_queued_comes_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is kept, but the engine was away: the sender is not told that all is well, and its repeat is queued."""
    await stage.trained()
    with monkeypatch.context() as patch:

        async def broken(kind: str, id: Any) -> None:
            raise TimeoutError

        patch.setattr(stage.jobs, "enqueue", broken)
        with pytest.raises(TimeoutError):
            await stage.deliver("request-1")
    assert (1, []) == (await InboxMessage.all().count(), await stage.work())
    await stage.deliver("request-1")
    assert (1, ["webhook"]) == (await InboxMessage.all().count(), await stage.work())


async def test_without_keys_a_delivery_comes_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is judged and nothing is kept while the provider's keys are away."""
    await stage.trained()

    async def away() -> Any:
        raise ProviderUnavailable(reason="no keys")

    monkeypatch.setattr(stage.assembly.webhooks.verifier, "jwks", away)
    with pytest.raises(ProviderUnavailable):
        await stage.deliver("request-1")
    assert not await InboxMessage.exists()


async def test_a_follower_wakes_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a minute between two looks, a training ends as soon as its delivery was worked."""
    stage.provider.answers["request-1"] = TRAINED
    standing: list[ProviderStatus] = [Running(), Ended()]

    async def status(job: ProviderJob, *, logs: bool = False) -> ProviderStatus:
        return standing.pop(0)

    monkeypatch.setattr(stage.provider, "status", status)
    training = await stage.training()
    running = asyncio.create_task(stage.work())
    async with asyncio.timeout(20):
        while not await stage.bus.watched(wake_topic(training.id)) or len(standing) == 2:
            await asyncio.sleep(0.01)
        await stage.deliver("request-1")
        await stage.run("webhook", (await InboxMessage.get()).id)
        await running
    assert TrainingStatus.COMPLETED is (await Training.get(id=training.id)).status


async def _intent(stage: Stage, training: Training, **columns: Any) -> Submission:
    facts = {"endpoint": "e", "model": "m", "needle": "n", "arguments": {}, "created_at": stage.clock.now()}
    return await Submission.create(job_id=training.id, **facts | columns)

"""Paid calls: one POST per job and attempt, whatever is lost, refused, repeated or killed in between."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from models.errors import (
    ImageBlocked,
    LikenessError,
    MissingFalKey,
    ProviderBalanceExhausted,
    ProviderError,
    ProviderKeyRefused,
    ProviderRejected,
    ProviderUnavailable,
    ResultUnusable,
    SubmitUnknown,
)
from models.ids import new_id
from models.submission import Submission, SubmissionState
from services.ports import ProviderJob
from services.submissions import GRACE, STALE, Submissions, accepted_job, close
from tests.fakes import FakeProvider, FixedClock
from tests.service import rows

CALL: dict[str, Any] = {"endpoint": "fal-ai/fast", "model": "fast", "arguments": {"zip": "https://x.example/1.zip"}}
NEEDLE = "https://x.example/1.zip"


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Scripted(FakeProvider):
    """`before` goes wrong before a call is taken, `after` when its answer is on the way; None goes well."""

    before: deque[BaseException | None] = field(default_factory=deque)
    after: deque[BaseException | None] = field(default_factory=deque)
    posts: int = 0
    webhooks: list[str | None] = field(default_factory=list)
    hidden: int = 0  # how many looks into the list still show nothing
    list_error: ProviderError | None = None
    looks: list[str] = field(default_factory=list)
    lookup: Any = None
    held: asyncio.Event | None = None

    async def submit(
        self, endpoint: str, arguments: Mapping[str, Any], *, webhook_url: str | None = None
    ) -> ProviderJob:
        self.posts += 1
        await (self.held.wait() if self.held else asyncio.sleep(0))
        if self.before and (error := self.before.popleft()):
            raise error
        job = await super().submit(endpoint, arguments, webhook_url=webhook_url)
        self.webhooks.append(webhook_url)
        if self.after and (error := self.after.popleft()):
            raise error
        return job

    async def find(
        self, endpoint: str, needle: str, *, arguments: Mapping[str, Any], since: datetime
    ) -> Sequence[ProviderJob]:
        self.looks.append(needle)
        if self.lookup:
            await self.lookup()
        if self.list_error:
            raise self.list_error
        if self.hidden:
            self.hidden -= 1
            return []
        return await super().find(endpoint, needle, arguments=arguments, since=since)


@pytest.fixture
def provider() -> Scripted:
    """A provider that takes everything, until told otherwise."""
    return Scripted()


@pytest.fixture
def submissions(database: str, provider: Scripted, clock: FixedClock) -> Submissions:
    """Submissions without webhooks."""
    return Submissions(provider=provider, clock=clock, public_url=None)


async def submit(submissions: Submissions, job: UUID, **changes: Any) -> ProviderJob:
    """The call of all tests."""
    return await submissions.submit(job, **{"needle": NEEDLE, **CALL, **changes})


async def test_a_call_is_made_once(submissions: Submissions, provider: Scripted, clock: FixedClock) -> None:
    """Asking again gives the same provider's job, and the row says everything of it."""
    job = new_id()
    first, second = await submit(submissions, job), await submit(submissions, job)
    row = await Submission.get(job_id=job)
    assert (1, first) == (provider.posts, second)
    assert [("fal-ai/fast", CALL["arguments"])] == provider.submitted
    assert (SubmissionState.ACCEPTED, "request-1", 0) == (row.state, row.request_id, row.attempt)
    assert (clock.now(), clock.now()) == (row.created_at, row.accepted_at)
    assert first == accepted_job(row)


async def test_every_job_and_attempt_has_its_own_call(submissions: Submissions, provider: Scripted) -> None:
    """Two jobs and two attempts of one are three calls."""
    job = new_id()
    calls = [await submit(submissions, job), await submit(submissions, new_id())]
    calls.append(await submit(submissions, job, attempt=1, endpoint="fal-ai/other"))
    assert ["request-1", "request-2", "request-3"] == [call.request_id for call in calls]
    assert 3 == provider.posts


@pytest.mark.parametrize("public_url", [None, "https://likeness.example"])
async def test_the_webhook_names_the_row(
    database: str, provider: Scripted, clock: FixedClock, *, public_url: str | None
) -> None:
    """With a public address the provider can tell which call it took even when its answer is lost."""
    job = new_id()
    await submit(Submissions(provider=provider, clock=clock, public_url=public_url), job)
    row = await Submission.get(job_id=job)
    expected = f"https://likeness.example/webhooks/fal?job={row.id}" if public_url else None
    assert [expected] == provider.webhooks


async def test_two_calls_at_once_post_once(submissions: Submissions, provider: Scripted) -> None:
    """The second waits for the first one's answer instead of asking the provider too."""
    job = new_id()
    calls = await asyncio.gather(*(submit(submissions, job) for _ in range(5)))
    assert (1, {"request-1"}) == (provider.posts, {call.request_id for call in calls})


async def test_what_a_crash_left_behind_is_adopted(submissions: Submissions, provider: Scripted) -> None:
    """Killed after the POST and before its answer: the provider's list is asked at once, by the archive."""
    job = new_id()
    provider.after.append(Killed())
    with pytest.raises(Killed):
        await submit(submissions, job)
    assert SubmissionState.INTENDED is (await Submission.get(job_id=job)).state
    found = await submit(submissions, job)
    row = await Submission.get(job_id=job)
    assert ("request-1", SubmissionState.ACCEPTED, "request-1") == (found.request_id, row.state, row.request_id)
    assert (1, [NEEDLE]) == (provider.posts, provider.looks)


async def test_a_call_that_was_never_made_is_not_made_later(
    submissions: Submissions, provider: Scripted, clock: FixedClock
) -> None:
    """Killed between intent and POST: nobody can know, so it fails after the grace time, without a POST."""
    job, began = new_id(), clock.now()
    await rows.submission(job, endpoint="fal-ai/fast", needle=NEEDLE)
    with pytest.raises(SubmitUnknown):
        await submit(submissions, job)
    row = await Submission.get(job_id=job)
    assert (0, SubmissionState.FAILED, True) == (provider.posts, row.state, row.lost)
    assert GRACE < clock.now() - began < GRACE + timedelta(minutes=1)


async def test_a_lost_answer_is_found_by_looking_again(
    submissions: Submissions, provider: Scripted, clock: FixedClock
) -> None:
    """The list may show a running job late; it is asked until it does."""
    began = clock.now()
    provider.after.append(SubmitUnknown(reason="the connection broke"))
    provider.hidden = 5
    found = await submit(submissions, new_id())
    assert ("request-1", 1, 6) == (found.request_id, provider.posts, len(provider.looks))
    assert timedelta(seconds=50) == clock.now() - began


async def test_a_lost_answer_without_a_trace_fails(submissions: Submissions, provider: Scripted) -> None:
    """After the grace time it is over for good: asking again neither posts nor waits."""
    job = new_id()
    provider.before.append(SubmitUnknown(reason="the connection broke"))
    with pytest.raises(SubmitUnknown, match="no trace"):
        await submit(submissions, job)
    looks = len(provider.looks)
    with pytest.raises(ProviderError):
        await submit(submissions, job)
    assert (1, looks) == (provider.posts, len(provider.looks))


async def test_a_list_that_cannot_be_read_is_asked_again(submissions: Submissions, provider: Scripted) -> None:
    """Its failure is not an answer."""
    provider.after.append(SubmitUnknown(reason="the connection broke"))
    provider.list_error = ProviderUnavailable(reason="503")

    async def heal() -> None:
        if len(provider.looks) == 3:
            provider.list_error = None

    provider.lookup = heal
    assert "request-1" == (await submit(submissions, new_id())).request_id
    assert (1, 3) == (provider.posts, len(provider.looks))


async def test_a_webhook_may_tell_first(submissions: Submissions, provider: Scripted) -> None:
    """What the webhook wrote into the row is found before the list shows anything."""
    job = new_id()
    provider.after.append(SubmitUnknown(reason="the connection broke"))
    provider.hidden = 1000

    async def deliver() -> None:
        if len(provider.looks) == 2:
            row = await Submission.get(job_id=job)
            await submissions.adopt(row, provider.known_job("fal-ai/fast", "request-1"))

    provider.lookup = deliver
    assert "request-1" == (await submit(submissions, job)).request_id
    assert 2 == len(provider.looks)


async def test_a_request_of_another_row_is_not_adopted(submissions: Submissions, provider: Scripted) -> None:
    """Two trainings of the same photos have the same archive: the first one's job is not the second one's."""
    await submit(submissions, new_id())
    provider.before.append(SubmitUnknown(reason="the connection broke"))
    with pytest.raises(SubmitUnknown):
        await submit(submissions, new_id())
    assert ["request-1", None] == [row.request_id for row in await Submission.all().order_by("id")]


async def test_of_two_searchers_each_gets_its_own(submissions: Submissions, provider: Scripted) -> None:
    """Two lost answers with the same needle: both jobs are adopted, none twice."""
    jobs = [new_id(), new_id()]
    provider.after.extend([SubmitUnknown(reason="lost"), SubmitUnknown(reason="lost")])
    found = await asyncio.gather(*(submit(submissions, job) for job in jobs))
    assert ({"request-1", "request-2"}, 2) == ({job.request_id for job in found}, provider.posts)


async def test_a_twin_whose_answer_is_under_way_is_waited_for(
    submissions: Submissions, provider: Scripted, clock: FixedClock
) -> None:
    """The list shows one job, and two calls have the same arguments: nobody takes what may be the other's."""
    twin = await rows.submission(new_id(), endpoint="fal-ai/fast", needle=NEEDLE, created_at=clock.now())
    mine = await rows.submission(new_id(), endpoint="fal-ai/fast", needle=NEEDLE, created_at=clock.now())
    await provider.submit("fal-ai/fast", CALL["arguments"])
    assert None is await submissions.find(mine)
    clock.time += timedelta(minutes=4)
    assert "request-1" == (await submissions.find(mine) or pytest.fail("not found")).request_id
    assert None is await submissions.find(twin)


async def test_lost_calls_of_one_archive_are_told_apart(submissions: Submissions, provider: Scripted) -> None:
    """Several trainings of the same photos in a process that was killed: each finds its own, at once."""
    jobs = {new_id(): CALL["arguments"] | {"seed": seed} for seed in range(4)}
    provider.after.extend([Killed()] * len(jobs))
    for job, arguments in jobs.items():
        with pytest.raises(Killed):
            await submit(submissions, job, arguments=arguments)
    found = [await submit(submissions, job, arguments=arguments) for job, arguments in jobs.items()]
    assert [f"request-{number}" for number in range(1, 5)] == [job.request_id for job in found]
    assert (4, 4) == (provider.posts, len(provider.looks))


async def test_a_webhook_address_finds_its_own_call(database: str, provider: Scripted, clock: FixedClock) -> None:
    """With a public address the list is asked for the row's own id first, twins or not."""
    public = Submissions(provider=provider, clock=clock, public_url="https://likeness.example")
    await rows.submission(new_id(), endpoint="fal-ai/fast", needle=NEEDLE, created_at=clock.now())
    mine = await rows.submission(new_id(), endpoint="fal-ai/fast", needle=NEEDLE, created_at=clock.now())
    await provider.submit("fal-ai/fast", {"mentions": str(mine.id)})
    assert "request-1" == (await public.find(mine) or pytest.fail("not found")).request_id
    assert [str(mine.id)] == provider.looks


async def test_what_was_surely_not_taken_is_sent_again(
    submissions: Submissions, provider: Scripted, clock: FixedClock
) -> None:
    """A refused connection is noted, told, and on the next call posted anew with a new grace time."""
    job = new_id()
    provider.before.extend([ProviderUnavailable(reason="429"), SubmitUnknown(reason="lost"), None])
    with pytest.raises(ProviderUnavailable):
        await submit(submissions, job)
    row = await Submission.get(job_id=job)
    assert (SubmissionState.REFUSED, "429") == (row.state, row.error)
    clock.time += 2 * GRACE
    began = clock.now()
    with pytest.raises(SubmitUnknown):
        await submit(submissions, job)
    assert clock.now() - began > GRACE
    assert 2 == provider.posts


async def test_a_second_caller_hears_of_the_refusal(submissions: Submissions, provider: Scripted) -> None:
    """Who waited for another's POST is told to come back, and does not fail the job after the grace time."""
    job = new_id()
    provider.before.append(ProviderUnavailable(reason="429"))
    provider.held = asyncio.Event()

    async def let_go() -> None:
        provider.held.set()
        while (await Submission.get(job_id=job)).state is SubmissionState.INTENDED:
            await asyncio.sleep(0)

    provider.lookup = let_go
    results = await asyncio.gather(submit(submissions, job), submit(submissions, job), return_exceptions=True)
    assert [ProviderUnavailable] * 2 == [type(result) for result in results]
    assert "request-1" == (await submit(submissions, job)).request_id
    assert 2 == provider.posts


@pytest.mark.parametrize(
    "error", [ProviderRejected, ProviderKeyRefused, ProviderBalanceExhausted], ids=lambda error: error.__name__
)
async def test_a_refusal_is_for_good(
    submissions: Submissions, provider: Scripted, *, error: type[ProviderError]
) -> None:
    """The same input would be refused again: nothing is posted any more, and asked again the answer is the same."""
    job = new_id()
    provider.before.append(error(reason="no such model"))
    with pytest.raises(error) as first:
        await submit(submissions, job)
    with pytest.raises(error) as again:
        await submit(submissions, job)
    assert first.value.message == again.value.message
    row = await Submission.get(job_id=job)
    assert (1, SubmissionState.FAILED, "no such model") == (provider.posts, row.state, row.error)


async def test_an_old_intent_is_not_sent_any_more(
    submissions: Submissions, provider: Scripted, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that slept between intent and POST must not pay for what another one has given up."""
    now = clock.now
    times = iter([now(), now() + STALE + timedelta(seconds=1)])
    monkeypatch.setattr(clock, "now", lambda: next(times, now() + 2 * GRACE))
    with pytest.raises(SubmitUnknown):
        await submit(submissions, new_id())
    assert 0 == provider.posts


async def test_a_job_given_up_too_early_can_still_be_found(submissions: Submissions, provider: Scripted) -> None:
    """A webhook or a later look brings the request id into a row that had failed."""
    job = new_id()
    provider.after.append(SubmitUnknown(reason="lost"))
    provider.hidden = 1000
    with pytest.raises(SubmitUnknown):
        await submit(submissions, job)
    provider.hidden = 0
    row = await Submission.get(job_id=job)
    found = await submissions.find(row)
    assert found is not None
    assert ("request-1", SubmissionState.ACCEPTED) == (found.request_id, (await Submission.get(job_id=job)).state)


async def test_an_ended_call_says_how(submissions: Submissions) -> None:
    """Closing notes the state of one attempt and leaves the others."""
    job = new_id()
    await submit(submissions, job)
    await submit(submissions, job, attempt=1)
    await close(job, SubmissionState.FAILED, failure=ResultUnusable(reason="it was black."))
    await close(job, SubmissionState.DONE, attempt=1)
    states = [(row.state, row.error) for row in await Submission.filter(job_id=job).order_by("attempt")]
    assert [(SubmissionState.FAILED, "it was black."), (SubmissionState.DONE, None)] == states


@pytest.mark.parametrize(
    "failure",
    [
        ProviderRejected(reason="no faces", type="face_detection_error"),
        ProviderRejected(reason="no faces"),
        ResultUnusable(reason="it names no image."),
        ImageBlocked(),
        MissingFalKey(),
    ],
    ids=repr,
)
async def test_a_known_failure_is_heard_from_the_row(
    submissions: Submissions, provider: Scripted, *, failure: LikenessError
) -> None:
    """The same error with the same words, however often; the provider is not asked."""
    job = new_id()
    await submit(submissions, job)
    for _ in range(2):
        await close(job, SubmissionState.FAILED, failure=failure)
        with pytest.raises(type(failure)) as again:
            await submit(submissions, job)
        assert (type(failure), failure.message) == (type(again.value), again.value.message)
        assert failure.facts.get("type") == again.value.facts.get("type")
    assert (1, []) == (provider.posts, provider.looks)


async def test_what_was_used_stays_used(submissions: Submissions) -> None:
    """A second execution that fails later, when its file is gone, does not undo the first one's end."""
    job = new_id()
    await submit(submissions, job)
    await close(job, SubmissionState.DONE)
    await close(job, SubmissionState.FAILED, failure=ResultUnusable(reason="its file is gone."))
    row = await Submission.get(job_id=job)
    assert (SubmissionState.DONE, None) == (row.state, row.error)


@pytest.mark.parametrize("rescued", [False, True])
async def test_a_lost_answer_stays_unknown(submissions: Submissions, provider: Scripted, *, rescued: bool) -> None:
    """Asked again, also when nobody looks for it any more, it is never a refusal that another model may follow."""
    job = new_id()
    provider.before.append(SubmitUnknown(reason="the connection broke"))
    with pytest.raises(SubmitUnknown) as lost:
        await submit(submissions, job)
    await Submission.filter(job_id=job).update(lost=not rescued)
    with pytest.raises(SubmitUnknown) as again:
        await submit(submissions, job)
    assert lost.value.message == again.value.message


async def test_a_strangers_job_is_not_adopted(submissions: Submissions, provider: Scripted) -> None:
    """It mentions the same address, but one of our arguments has another value there."""
    ours = CALL["arguments"] | {"seed": 1}
    await provider.submit("fal-ai/fast", CALL["arguments"] | {"seed": 2})
    await provider.submit("fal-ai/fast", CALL["arguments"])
    provider.before.append(SubmitUnknown(reason="the connection broke"))
    with pytest.raises(SubmitUnknown):
        await submit(submissions, new_id(), arguments=ours)


async def test_an_older_job_is_not_asked_for(
    submissions: Submissions, provider: Scripted, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is searched from the moment of the intent, less what two clocks may differ."""
    began, since = clock.now(), []
    find = provider.find

    async def noted(*args: Any, **wanted: Any) -> Sequence[ProviderJob]:
        since.append(wanted["since"])
        return await find(*args, **wanted)

    monkeypatch.setattr(provider, "find", noted)
    provider.after.append(SubmitUnknown(reason="the connection broke"))
    provider.hidden = 3
    await submit(submissions, new_id())
    assert [began - timedelta(minutes=5)] * 4 == since


async def test_hundreds_of_cancelled_callers_pay_at_most_once_each(
    submissions: Submissions, provider: Scripted
) -> None:
    """Cancelled anywhere, no job is posted twice and the database still works."""
    chance = random.Random(4)
    jobs = [new_id() for _ in range(300)]
    callers = []

    def call(job: UUID) -> Any:
        return submit(submissions, job, needle=str(job), arguments={"job": str(job)})

    for job in jobs:
        callers.append(asyncio.create_task(call(job)))
        for _ in range(chance.randrange(8)):
            await asyncio.sleep(0)
        if chance.random() < 0.7:
            callers[chance.randrange(max(0, len(callers) - 9), len(callers))].cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    async with asyncio.timeout(60):
        for job in jobs[:20]:
            with suppress(SubmitUnknown):
                await call(job)
        await submit(submissions, new_id())
    posts = Counter(arguments.get("job") for _, arguments in provider.submitted)
    assert {1} == set(posts.values())
    assert 100 < len(posts)

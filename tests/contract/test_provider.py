"""What every provider promises: over the sandbox and over a scripted fal."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from likeness.sandbox.app import create_sandbox
from models.errors import (
    ProviderJobGone,
    ProviderRejected,
    ProviderUnavailable,
)
from services.gateways.fal import FalProvider
from services.ports import CancelOutcome, Ended, ProviderJob, Queued, Running
from tests.fake_fal import (
    DAY,
    IMAGE,
    LIMIT,
    PROMPT,
    TRAINING,
    UNKNOWN_JOB,
    FakeFal,
    no_waiting,
)

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class World:
    """A provider and a way to let its jobs end."""

    provider: FalProvider
    end_jobs: Any


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Repeats come at once."""
    with no_waiting():
        yield


@pytest.fixture(params=["sandbox", "fake"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """Each implementation in turn."""
    if request.param == "fake":
        fal = FakeFal()
        provider = FalProvider.sandbox(fal.app)

        def end_jobs() -> None:
            for job in fal.jobs.values():
                job.over = True

        yield World(provider, end_jobs)
    else:
        time = [1_800_000_000.0]
        app = create_sandbox(tmp_path / "sandbox", now=lambda: time[0])
        provider = FalProvider.sandbox(app)
        async with app.router.lifespan_context(app):
            yield World(provider, lambda: time.__setitem__(0, time[0] + 1800))
    await provider.close()


async def ended(world: World, endpoint: str, arguments: dict[str, Any]) -> ProviderJob:
    job = await world.provider.submit(endpoint, arguments)
    world.end_jobs()
    return job


async def test_a_job_goes_from_waiting_to_its_output(world: World, tmp_path: Path) -> None:
    """A submitted job is queued or running, then ended, and its output can be fetched."""
    job = await world.provider.submit(IMAGE, PROMPT)
    assert isinstance(await world.provider.status(job), Queued | Running)
    world.end_jobs()
    status = await world.provider.status(job, logs=True)
    assert isinstance(status, Ended)
    assert status.error is None
    assert all(isinstance(line, str) for line in status.logs)
    image = (await world.provider.result(job))["images"][0]
    kept = await world.provider.download(image["url"], tmp_path / "out", limit=LIMIT)
    data = kept.path.read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (kept.bytes, kept.sha256)
    assert kept.content_type == image["content_type"]


async def test_logs_are_left_out_unless_asked_for(world: World) -> None:
    """A status without logs has an empty log, not None."""
    job = await ended(world, IMAGE, PROMPT)
    assert await world.provider.status(job) == Ended()


async def test_result_before_the_end_can_be_asked_again(world: World) -> None:
    """An unfinished job is not a refused one."""
    job = await world.provider.submit(IMAGE, PROMPT)
    with pytest.raises(ProviderUnavailable):
        await world.provider.result(job)


async def test_refusal_of_the_model_is_readable(world: World) -> None:
    """The queue takes anything; the 422 of the result becomes one sentence with the field's name."""
    job = await ended(world, TRAINING, {"images_data_url": ["https://a/1.jpg"]})
    assert isinstance(await world.provider.status(job), Ended)
    with pytest.raises(ProviderRejected) as refused:
        await world.provider.result(job)
    assert "images_data_url: str type expected" in refused.value.message
    assert (refused.value.facts["type"], refused.value.retryable) == ("type_error.str", False)


async def test_content_policy_is_told_by_type(world: World) -> None:
    """The provider's name of the error is kept for programs."""
    job = await ended(world, IMAGE, {"prompt": "[policy] a portrait"})
    with pytest.raises(ProviderRejected) as refused:
        await world.provider.result(job)
    assert refused.value.facts["type"] == "content_policy_violation"


async def test_internal_error_of_the_model_may_pass(world: World) -> None:
    """fal has no FAILED: the job is over with an error, and the result says whether a new one may work."""
    job = await ended(world, IMAGE, {"prompt": "[fail] a portrait"})
    status = await world.provider.status(job)
    assert isinstance(status, Ended)
    assert status.error
    with pytest.raises(ProviderRejected) as failed:
        await world.provider.result(job)
    assert failed.value.retryable


async def test_unknown_endpoint_is_refused(world: World) -> None:
    """An endpoint that does not exist is for good."""
    with pytest.raises(ProviderRejected):
        await world.provider.submit("fal-ai/nothing", PROMPT)


async def test_unknown_job_is_gone(world: World) -> None:
    """A job the provider does not know is gone, for status, result and cancel."""
    with pytest.raises(ProviderJobGone):
        await world.provider.status(UNKNOWN_JOB)
    with pytest.raises(ProviderJobGone):
        await world.provider.result(UNKNOWN_JOB)
    assert await world.provider.cancel(UNKNOWN_JOB) is CancelOutcome.UNKNOWN


async def test_cancel_says_whether_it_came_in_time(world: World) -> None:
    """A live job is cancelled or told to stop; an ended one is too late."""
    job = await world.provider.submit(IMAGE, PROMPT)
    assert await world.provider.cancel(job) in {CancelOutcome.CANCELLED, CancelOutcome.REQUESTED}
    world.end_jobs()
    assert await world.provider.cancel(job) is CancelOutcome.TOO_LATE


async def test_find_knows_jobs_by_their_arguments(world: World) -> None:
    """A lost job is found by a needle in its arguments, newest first, and can be followed."""
    arguments = {"images_data_url": "https://a/needle.zip"}
    first = await world.provider.submit(TRAINING, arguments)
    await world.provider.submit(TRAINING, {"images_data_url": "https://a/other.zip"})
    world.end_jobs()
    second = await world.provider.submit(TRAINING, arguments)
    found = await world.provider.find(TRAINING, "needle.zip", arguments=arguments, since=LONG_AGO)
    assert [second, first] == list(found)
    assert isinstance(await world.provider.status(found[1]), Ended)
    for nothing in ("nothing like it", ""):
        assert [] == list(await world.provider.find(TRAINING, nothing, arguments={}, since=LONG_AGO))


async def test_find_leaves_out_what_was_asked_for_otherwise(world: World) -> None:
    """Another value of one argument is another request; fields that we did not send are defaults."""
    job = await world.provider.submit(IMAGE, PROMPT | {"seed": 1, "num_images": 1})
    find = partial(world.provider.find, IMAGE, str(PROMPT["prompt"]), since=LONG_AGO)
    assert [job] == list(await find(arguments=PROMPT | {"seed": 1}))
    for other in ({"seed": 2}, {"seed": 1, "image_size": "square"}):
        assert [] == list(await find(arguments=PROMPT | other))


async def test_find_leaves_out_what_was_sent_before(world: World) -> None:
    """A request that is older than the question cannot be meant."""
    await world.provider.submit(IMAGE, PROMPT)
    later = datetime(2030, 1, 1, tzinfo=UTC)
    assert [] == list(await world.provider.find(IMAGE, str(PROMPT["prompt"]), arguments=PROMPT, since=later))


async def test_upload_gives_an_address(world: World, tmp_path: Path) -> None:
    """A small file goes up in one piece and can be read at its address."""
    (tmp_path / "a.zip").write_bytes(b"PK" * 500)
    url = await world.provider.upload(tmp_path / "a.zip", content_type="application/zip", expires_in=DAY)
    await world.provider.download(url, tmp_path / "b.zip", limit=LIMIT)
    assert (tmp_path / "b.zip").read_bytes() == b"PK" * 500


async def test_provider_is_healthy_and_simulated(world: World) -> None:
    """An app in process is the sandbox, and any answer is a sign of health."""
    assert (await world.provider.healthy(), world.provider.simulated) == (True, True)

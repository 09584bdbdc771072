"""Status, result, cancel and the list of requests under every fault a network can have."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from models.errors import (
    ProviderError,
    ProviderJobGone,
    ProviderKeyRefused,
    ProviderRejected,
    ProviderUnavailable,
)
from services.gateways.fal import FalProvider
from services.ports import CancelOutcome, Ended, Queued, Running
from tests.fake_fal import (
    IMAGE,
    PROMPT,
    STALL,
    FakeFal,
    quick_provider,
    unprocessable,
)

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def fal() -> FakeFal:
    """A scripted fal."""
    return FakeFal()


@pytest.fixture
async def provider(fal: FakeFal) -> AsyncIterator[FalProvider]:
    """The gateway before it."""
    async with quick_provider(fal) as provider:
        yield provider


STATUSES: dict[str, tuple[Any, type[ProviderError]]] = {
    "silence": (STALL, ProviderUnavailable),
    "reset": (httpx.ReadError(""), ProviderUnavailable),
    "html": (PlainTextResponse("<html>"), ProviderUnavailable),
    "a list": (JSONResponse([]), ProviderUnavailable),
    "unknown word": (JSONResponse({"status": "ASLEEP"}), ProviderUnavailable),
    "down": (Response(status_code=503), ProviderUnavailable),
    "bad key": (JSONResponse({"detail": "no"}, 401), ProviderKeyRefused),
    "gone": (JSONResponse({"status": "NOT_FOUND"}, 404), ProviderJobGone),
}


@pytest.mark.parametrize("case", STATUSES)
async def test_status_faults(case: str, fal: FakeFal, provider: FalProvider) -> None:
    """Whatever a status answers, the error is one of ours and comes in time."""
    job = await provider.submit(IMAGE, PROMPT)
    step, expected = STATUSES[case]
    fal.will("status", step)
    with pytest.raises(ProviderError) as failed:
        await provider.status(job)
    assert expected is type(failed.value)


async def test_status_without_optional_fields(fal: FakeFal, provider: FalProvider) -> None:
    """A status that lacks logs or a position is still understood."""
    job = await provider.submit(IMAGE, PROMPT)
    fal.will("status", *(JSONResponse({"status": word}) for word in ("IN_QUEUE", "IN_PROGRESS", "COMPLETED")))
    assert [Queued(position=None), Running(), Ended()] == [await provider.status(job) for _ in range(3)]


@pytest.mark.parametrize(
    ("told", "position"),
    [
        (3, 3),
        (0, 0),
        (2**31 - 1, 2**31 - 1),
        (2**31, None),
        (-1, None),
        (None, None),
        ("3", None),
        (True, None),
        (1.5, None),
    ],
)
async def test_a_queue_position_is_a_number_that_fits(
    told: Any, position: int | None, fal: FakeFal, provider: FalProvider
) -> None:
    """Whatever else stands in its place is not known."""
    job = await provider.submit(IMAGE, PROMPT)
    fal.will("status", JSONResponse({"status": "IN_QUEUE", "queue_position": told}))
    assert Queued(position=position) == await provider.status(job)


async def test_logs_are_plain_strings(fal: FakeFal, provider: FalProvider) -> None:
    """Entries of the log become their messages."""
    job = await provider.submit(IMAGE, PROMPT)
    assert await provider.status(job, logs=True) == Running(logs=("step 1/2", ""))


async def test_result_is_read_again_after_a_fault(fal: FakeFal, provider: FalProvider) -> None:
    """A result is free to read, so lost answers are repeated."""
    job = await provider.submit(IMAGE, PROMPT)
    fal.jobs[job.request_id].over = True
    fal.will("result", httpx.ReadError(""), Response(status_code=502), None)
    assert "images" in await provider.result(job)
    assert (fal.calls["result"], fal.calls["submit"]) == (3, 1)


RESULTS: dict[str, tuple[Any, type[ProviderError], bool]] = {
    "down": (PlainTextResponse("nginx", 502), ProviderUnavailable, True),
    "truncated": (Response('{"images": ['), ProviderUnavailable, True),
    "timeout of the model": (
        JSONResponse({"detail": "too slow", "error_type": "request_timeout"}, 504),
        ProviderRejected,
        True,
    ),
    "told not to repeat": (
        JSONResponse({"detail": "x", "error_type": "internal_error"}, 500, {"X-Fal-Retryable": "false"}),
        ProviderRejected,
        False,
    ),
    "photo unreadable": (
        unprocessable("image_url", msg="could not load", type="image_load_error"),
        ProviderRejected,
        False,
    ),
    "400 of the model": (JSONResponse({"detail": "bad size"}, 400), ProviderRejected, False),
    "expired": (Response(status_code=410), ProviderJobGone, False),
    "bad key": (Response(status_code=401), ProviderKeyRefused, False),
}


@pytest.mark.parametrize("case", RESULTS)
async def test_result_faults(case: str, fal: FakeFal, provider: FalProvider) -> None:
    """A model's error is a refusal, the network's is not, and each knows whether it may pass."""
    job = await provider.submit(IMAGE, PROMPT)
    step, expected, retryable = RESULTS[case]
    fal.will("result", step)
    with pytest.raises(ProviderError) as failed:
        await provider.result(job)
    assert (expected, retryable) == (type(failed.value), failed.value.retryable)


async def test_refusals_do_not_change_their_class(fal: FakeFal, provider: FalProvider) -> None:
    """That one refusal may pass says nothing about the next."""
    job = await provider.submit(IMAGE, PROMPT)
    fal.will("result", JSONResponse({"detail": "x", "error_type": "generation_timeout"}, 504))
    with pytest.raises(ProviderRejected) as failed:
        await provider.result(job)
    assert (failed.value.retryable, ProviderRejected.retryable) == (True, False)


@pytest.mark.parametrize(
    ("msg", "type", "reason", "kept_type"),
    [
        (r"bad \ud83d zip", "x", "bad \ufffd zip", "x"),
        (r"bad \u0000 zip", r"a\u0000b", "bad \ufffd zip", "a\ufffdb"),
        ("no\u0301 " * 200, "t" * 300, ("no\u0301 " * 75)[:300], "t" * 100),
    ],
    ids=["surrogate", "NUL", "long"],
)
async def test_words_that_can_be_kept(
    msg: str, type: str, reason: str, kept_type: str, fal: FakeFal, provider: FalProvider
) -> None:
    """Reason and type of a refusal fit every database, whatever the answer holds; accents stay."""
    job = await provider.submit(IMAGE, PROMPT)
    text = f'{{"detail": [{{"loc": ["body"], "msg": "{msg}", "type": "{type}"}}]}}'
    fal.will("result", Response(text.encode(), 422, media_type="application/json"))
    with pytest.raises(ProviderRejected) as failed:
        await provider.result(job)
    assert {"reason": reason, "type": kept_type, "status": 422} == failed.value.facts


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (JSONResponse({"status": "OK"}), CancelOutcome.CANCELLED),
        (JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202), CancelOutcome.REQUESTED),
        (Response(status_code=204), CancelOutcome.REQUESTED),
        (JSONResponse({"status": "ALREADY_COMPLETED"}, 400), CancelOutcome.TOO_LATE),
        (JSONResponse({"status": "NOT_FOUND"}, 404), CancelOutcome.UNKNOWN),
    ],
)
async def test_cancel_outcomes(step: Response, expected: CancelOutcome, fal: FakeFal, provider: FalProvider) -> None:
    """Each documented answer to a cancel has its meaning."""
    job = await provider.submit(IMAGE, PROMPT)
    fal.will("cancel", step)
    assert await provider.cancel(job) is expected


async def test_cancel_that_fails_says_so(fal: FakeFal, provider: FalProvider) -> None:
    """A cancel that reached nobody is not an outcome."""
    job = await provider.submit(IMAGE, PROMPT)
    fal.will("cancel", httpx.ConnectError(""))
    with pytest.raises(ProviderUnavailable):
        await provider.cancel(job)


@pytest.mark.parametrize("shape", ["items", "requests", "data", None])
async def test_find_reads_any_list(shape: str | None, fal: FakeFal, provider: FalProvider) -> None:
    """The list is understood under every name it was seen with; outputs do not count as a match."""
    entries = [
        {"id": "old", "input": {"url": "https://a/needle.zip"}, "started_at": "2026-01-01T00:00:01Z"},
        {"request_id": "echo", "json_output": {"prompt": "needle"}},
        {"request_id": "new", "webhook_url": "https://us/needle", "sent_at": "2026-01-01T00:00:02Z"},
        "nonsense",
    ]
    fal.will("list", JSONResponse({shape: entries} if shape else entries))
    assert [job.request_id for job in await provider.find(IMAGE, "needle", arguments={}, since=LONG_AGO)] == [
        "new",
        "old",
    ]


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"sent_at": "2026-01-01T00:00:00Z"}, True),
        ({"sent_at": "2025-12-31T23:59:59.9Z"}, False),
        ({"sent_at": "2026-01-01T00:00:00+01:00"}, False),
        ({"started_at": "2025-12-31T23:59:59"}, False),
        ({"sent_at": "yesterday"}, True),
        ({}, True),
        ({"input": "a needle"}, False),
        ({"input": {"prompt": "a needle", "seed": 2}}, False),
        ({"input": {"prompt": "a needle"}}, False),
    ],
    ids=str,
)
async def test_find_takes_only_what_may_be_meant(
    *, entry: dict[str, Any], found: bool, fal: FakeFal, provider: FalProvider
) -> None:
    """Each argument is there with its value, and it was not sent before; an unreadable time rules nothing out."""
    wanted = {"prompt": "a needle", "seed": 1}
    fal.will("list", JSONResponse([{"id": "a", "input": wanted | {"num_images": 1}} | entry]))
    jobs = await provider.find(IMAGE, "needle", arguments=wanted, since=LONG_AGO)
    assert found == bool(jobs)


async def test_find_turns_pages(fal: FakeFal, provider: FalProvider) -> None:
    """The cursor is followed, to an end."""
    page = {"items": [{"request_id": "a", "json_input": "needle"}], "has_more": True, "next_cursor": "Mg=="}
    fal.will("list", JSONResponse(page))
    assert [job.request_id for job in await provider.find(IMAGE, "needle", arguments={}, since=LONG_AGO)] == ["a"]
    assert [query.get("cursor") for query in fal.queries] == [None, "Mg==", "Mg==", "Mg==", "Mg=="]


async def test_unreadable_list_is_an_error(fal: FakeFal, provider: FalProvider) -> None:
    """Nothing found and nothing read are different."""
    fal.will("list", Response(status_code=500))
    with pytest.raises(ProviderUnavailable):
        await provider.find(IMAGE, "needle", arguments={}, since=LONG_AGO)


async def test_health_needs_an_answer(fal: FakeFal) -> None:
    """A provider that answers nothing is not healthy."""

    async def broken(*_: Any) -> None:
        raise httpx.ConnectError("")

    provider = FalProvider.sandbox(broken)
    assert await provider.healthy() is False
    await provider.close()

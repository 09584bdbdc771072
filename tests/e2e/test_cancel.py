"""Cancel and retry against a whole server and the sandbox: what is paid for, what comes back, and that streams end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import main_job
from tests.e2e.conftest import Server

CANCEL = """
mutation ($input: CancelTrainingInput!) {
  cancelTraining(input: $input) { training { id status creditsSpent } userErrors { code message path } }
}
"""
RETRY = """
mutation ($input: RetryTrainingInput!) {
  retryTraining(input: $input) { training { id status photos { id } } userErrors { code message path } }
}
"""
CANCEL_GENERATION = """
mutation ($input: CancelGenerationInput!) {
  cancelGeneration(input: $input) { generation { id status creditsSpent } userErrors { code message path } }
}
"""
AUDIT = "{ auditLedger { balanced entries brokenAt } }"
LEDGER = "{ ledger { nodes { kind amount jobId } } }"
IN_QUEUE = {"SANDBOX_SPEED": 1}  # four seconds of queue
AT_WORK = {"SANDBOX_SPEED": 5}  # the first step after three seconds, the last after more than a minute


def kept(data_dir: Path, folder: str) -> list[dict[str, Any]]:
    """What the sandbox keeps of requests or cancels."""
    return [json.loads(path.read_text()) for path in data_dir.glob(f"sandbox/{folder}/*.json")]


def archives(data_dir: Path) -> list[Path]:
    """The ZIPs that were uploaded to the sandbox."""
    files = [path for path in (data_dir / "sandbox" / "files").rglob("*") if path.is_file()]
    return [path for path in files if path.read_bytes()[:4] == b"PK\x03\x04"]


async def payload(http: Any, document: str, id: str) -> dict[str, Any]:
    """The payload of a mutation that takes an id."""
    answer: dict[str, Any] = await main_job.ask(http, document, input={"id": id})
    return answer


async def until(stream: AsyncIterator[dict[str, Any]], seen: list[dict[str, Any]], wanted: str) -> None:
    """Read events up to one whose message begins so."""
    async for event in stream:
        seen.append(event)
        if event["message"].startswith(wanted):
            return
    raise AssertionError(f"the stream ended before {wanted!r}: {seen}")


async def assert_refunded(http: Any, before: dict[str, Any]) -> None:
    """The quota is what it was, and the ledger is balanced."""
    assert before == await main_job.ask(http, main_job.QUOTA)
    audit = await main_job.ask(http, AUDIT)
    assert (True, None) == (audit["balanced"], audit["brokenAt"])


async def cancelled_at_provider(data_dir: Path, count: int) -> None:
    """Soon the provider knows of this many cancels."""
    async with asyncio.timeout(20):
        while len(kept(data_dir, "cancels")) < count:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("pace", "moment"),
    [(IN_QUEUE, "Waiting at the provider"), (AT_WORK, "Training step")],
    ids=["queued", "running"],
)
async def test_cancel_at_the_provider(
    server: Callable[..., Server], photos: list[Path], *, pace: dict[str, int], moment: str
) -> None:
    """CANCELLED at once, everything back, one submit, one cancel, the stream ends; and the sandbox stops for real."""
    running = server(**pace)
    async with main_job.session(running.url) as http:
        before = await main_job.ask(http, main_job.QUOTA)
        training = await main_job.start(http, photos)
        seen: list[dict[str, Any]] = []
        stream = main_job.events(running.url, main_job.PROGRESS, id=training["id"], after=0)
        await until(stream, seen, moment)
        answers = [await payload(http, CANCEL, training["id"]) for _ in range(2)]
        async with asyncio.timeout(10):
            seen += [event async for event in stream]
        ended = {"id": training["id"], "status": "CANCELLED", "creditsSpent": 0}
        assert [{"training": ended, "userErrors": []}] * 2 == answers
        assert list(range(1, len(seen) + 1)) == [event["seq"] for event in seen]
        assert ["CANCELLED"] == [event["status"] for event in seen if event["status"] not in {"PENDING", "TRAINING"}]
        await assert_refunded(http, before)
        await cancelled_at_provider(running.data_dir, 1)
        assert (1, 1) == (len(kept(running.data_dir, "requests")), len(kept(running.data_dir, "cancels")))
        shown = await main_job.ask(http, main_job.TRAINING, id=training["id"])
    assert ("CANCELLED", None) == (shown["status"], shown["error"])
    assert shown["progress"] < 100


async def test_cancel_before_the_provider(server: Callable[..., Server], photos: list[Path]) -> None:
    """In the middle of packing: nothing is submitted, then or later."""
    running = server(**IN_QUEUE)
    async with main_job.session(running.url) as http:
        before = await main_job.ask(http, main_job.QUOTA)
        training = await main_job.start(http, photos)
        answer = await payload(http, CANCEL, training["id"])
        assert "CANCELLED" == answer["training"]["status"]
        events = [e async for e in main_job.events(running.url, main_job.PROGRESS, id=training["id"], after=0)]
        assert "CANCELLED" == events[-1]["status"]
        await assert_refunded(http, before)
        # A second training shows that the run of the first is over: both are worked on in the same process.
        second = await main_job.start(http, photos)
        stream = main_job.events(running.url, main_job.PROGRESS, id=second["id"], after=0)
        await until(stream, [], "Waiting at the provider")
        await payload(http, CANCEL, second["id"])
    assert 1 == len(kept(running.data_dir, "requests"))


async def test_retry_reuses_the_zip(server: Callable[..., Server], photos: list[Path]) -> None:
    """Cancelled while running and tried again: the same photos, one upload, a second submit, and a model at the end."""
    running = server(SANDBOX_SPEED=40)
    async with main_job.session(running.url) as http:
        training = await main_job.start(http, photos, steps=1000)
        stream = main_job.events(running.url, main_job.PROGRESS, id=training["id"], after=0)
        await until(stream, [], "Training step")
        await payload(http, CANCEL, training["id"])
        answers = [await payload(http, RETRY, training["id"]) for _ in range(2)]
        assert [[], []] == [answer["userErrors"] for answer in answers]
        again = answers[0]["training"]
        assert {again["id"]} == {answer["training"]["id"] for answer in answers}
        assert again["id"] != training["id"]
        assert len(photos) == len(again["photos"])
        events = [e async for e in main_job.events(running.url, main_job.PROGRESS, id=again["id"], after=0)]
        assert "COMPLETED" == events[-1]["status"]
        postings = (await main_job.ask(http, LEDGER))["nodes"]
        kinds = [posting["kind"] for posting in reversed(postings)]
        assert ["ALLOWANCE", "RESERVE", "REFUND", "RESERVE", "COMMIT"] == kinds
        assert 20 == (await main_job.ask(http, main_job.QUOTA))["dailyUsed"]
        assert (await main_job.ask(http, AUDIT))["balanced"]
    assert (2, 1) == (len(kept(running.data_dir, "requests")), len(archives(running.data_dir)))


async def test_retry_after_a_failure(server: Callable[..., Server]) -> None:
    """A ZIP that the provider cannot read: FAILED and refunded after one submit; the new attempt is one more."""
    running = server()
    wanted = {"modelName": "Me", "imagesDataUrl": "https://nowhere.example/photos.zip"}
    async with main_job.session(running.url) as http:
        before = await main_job.ask(http, main_job.QUOTA)
        id = (await main_job.ask(http, main_job.START, input=wanted))["training"]["id"]
        events = [e async for e in main_job.events(running.url, main_job.PROGRESS, id=id, after=0)]
        assert "FAILED" == events[-1]["status"]
        await assert_refunded(http, before)
        [error] = (await payload(http, CANCEL, id))["userErrors"]
        assert ("ALREADY_FINISHED", ["input", "id"]) == (error["code"], error["path"])
        attempts = [(await payload(http, RETRY, id))["training"]["id"] for _ in range(2)]
        assert 1 == len(set(attempts))
        events = [e async for e in main_job.events(running.url, main_job.PROGRESS, id=attempts[0], after=0)]
        assert "FAILED" == events[-1]["status"]
        await assert_refunded(http, before)
    assert 2 == len(kept(running.data_dir, "requests"))


async def test_cancel_a_generation(server: Callable[..., Server]) -> None:
    """While the provider has it: CANCELLED at once, its credits back, one submit, the stream ends."""
    running = server(SANDBOX_SPEED=0.5)
    async with main_job.session(running.url) as http:
        before = await main_job.ask(http, main_job.QUOTA)
        answer = await main_job.ask(http, main_job.GENERATE, input={"prompt": "a portrait"})
        [generation] = answer["generations"]
        seen: list[dict[str, Any]] = []
        stream = main_job.events(running.url, main_job.GENERATION_PROGRESS, id=generation["id"])
        await until(stream, seen, "Waiting at the provider")
        cancelled = await payload(http, CANCEL_GENERATION, generation["id"])
        ended = {"id": generation["id"], "status": "CANCELLED", "creditsSpent": 0}
        assert {"generation": ended, "userErrors": []} == cancelled
        async with asyncio.timeout(10):
            seen += [event async for event in stream]
        assert "CANCELLED" == seen[-1]["status"]
        await assert_refunded(http, before)
        await cancelled_at_provider(running.data_dir, 1)
    assert 1 == len(kept(running.data_dir, "requests"))

"""POST /webhooks/fal."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs
from tortoise.exceptions import OperationalError

from likeness.app import create_app
from likeness.http.limits import HttpLimits
from likeness.http.webhooks import webhook_route
from likeness.sandbox.signing import Signer
from likeness.settings import Settings
from models.errors import ForgedWebhook, ProviderUnavailable
from models.ids import new_id
from models.inbox import InboxMessage
from services import webhooks
from services.gateways.fal_signature import FalSignature
from services.submissions import Submissions
from services.webhooks import LARGEST_BODY, WebhookService
from tests.api.schema_stage import Stage
from tests.fakes import NOON
from tests.service import rows

PATH = "/webhooks/fal"
SECRET = b"the payload of a person"


@dataclass
class Receiver:
    """Notes what the route passes on, and fails when told to."""

    error: Exception | None = None
    taken: list[tuple[str | None, bytes, UUID | None]] = field(default_factory=list)

    async def __call__(self, headers: Mapping[str, str], body: bytes, *, submission: UUID | None) -> None:
        self.taken.append((headers.get("X-Fal-Webhook-Request-Id"), body, submission))
        if self.error is not None:
            raise self.error


@pytest.fixture
def receiver() -> Receiver:
    """Takes everything."""
    return Receiver()


@pytest.fixture
async def client(receiver: Receiver, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The route alone, in process."""
    app = Starlette(routes=[webhook_route(receiver, limits=HttpLimits(temp_dir=tmp_path, drain_seconds=0.1))])
    async with in_process(app) as opened:
        yield opened


def in_process(app: Starlette) -> httpx.AsyncClient:
    """A client of an application without a network."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


async def test_raw_bytes_and_the_job_are_passed_on(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """The bytes are those that were signed; the job of the address comes along."""
    id = new_id()
    answer = await client.post(f"{PATH}?job={id}", content=b'{"a":\n1}', headers={"X-Fal-Webhook-Request-Id": "r-1"})
    assert (200, {"ok": True}) == (answer.status_code, answer.json())
    assert [("r-1", b'{"a":\n1}', id)] == receiver.taken


@pytest.mark.parametrize("query", ["", "?job=", "?job=nonsense", "?job=%00", "?other=1"])
async def test_an_address_without_a_job(client: httpx.AsyncClient, receiver: Receiver, query: str) -> None:
    """The signed request id may still tell which job it is."""
    assert 200 == (await client.post(f"{PATH}{query}", content=b"{}")).status_code
    assert [(None, b"{}", None)] == receiver.taken


async def test_a_forged_delivery_is_unauthorised(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """401 in JSON, which says no more than a stranger may know; the log says why."""
    receiver.error = ForgedWebhook("no published key verifies it")
    with capture_logs() as log:
        answer = await client.post(PATH, content=SECRET)
    assert (401, ["no published key verifies it"]) == (answer.status_code, [entry["reason"] for entry in log])
    assert {"ok": False, "error": "The delivery has no valid signature, or an old one."} == answer.json()


@pytest.mark.parametrize(
    "error", [ProviderUnavailable(reason="no keys"), OperationalError(SECRET.decode()), OSError(), TimeoutError()]
)
async def test_what_cannot_be_kept_comes_again(client: httpx.AsyncClient, receiver: Receiver, error: Exception) -> None:
    """The database or the keys are away: 503, after which fal sends it again; the log does not repeat the body."""
    receiver.error = error
    with capture_logs() as log:
        answer = await client.post(PATH, content=SECRET)
    assert (503, False) == (answer.status_code, answer.json()["ok"])
    assert [("webhook.not_kept", type(error).__name__)] == [(entry["event"], entry["reason"]) for entry in log]
    assert SECRET.decode() not in str(log) + answer.text


@pytest.mark.parametrize(("size", "status"), [(LARGEST_BODY, 200), (LARGEST_BODY + 1, 413)])
async def test_a_body_has_at_most_a_mebibyte(
    client: httpx.AsyncClient, receiver: Receiver, *, size: int, status: int
) -> None:
    """One byte more is refused, whether its length was declared or it just kept coming."""

    async def trickle() -> AsyncIterator[bytes]:
        for start in range(0, size, 65536):
            yield b"x" * min(65536, size - start)

    answers = [await client.post(PATH, content=b"x" * size), await client.post(PATH, content=trickle())]
    assert [status, status] == [answer.status_code for answer in answers]
    assert [status == 200] * 2 == [answer.json()["ok"] for answer in answers]
    assert (2 if status == 200 else 0) == len(receiver.taken)


async def test_a_declared_giant_is_refused_unread(receiver: Receiver, tmp_path: Path) -> None:
    """Of a body that declares too much, no more than the bound for polite refusals is read."""
    limits = HttpLimits(temp_dir=tmp_path, drain_bytes=100)
    answer, read = [], 0

    async def receive() -> Any:
        nonlocal read
        read += 64
        return {"type": "http.request", "body": b"x" * 64, "more_body": True}

    async def send(message: Any) -> None:
        answer.append(message)

    scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "root_path": ""}
    scope["headers"] = [(b"content-length", str(LARGEST_BODY + 1).encode())]
    await Starlette(routes=[webhook_route(receiver, limits=limits)])(scope, receive, send)
    assert (413, True, []) == (answer[0]["status"], read < 300, receiver.taken)


async def test_a_client_that_goes_away_leaves_nothing(receiver: Receiver, tmp_path: Path) -> None:
    """Half a delivery is none."""
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    route = webhook_route(receiver, limits=HttpLimits(temp_dir=tmp_path))
    scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "root_path": "", "headers": []}
    await Starlette(routes=[route])(scope, receive, send)
    assert (400, []) == (sent[0]["status"], receiver.taken)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_only_post(client: httpx.AsyncClient, receiver: Receiver, method: str) -> None:
    """Other methods are not for this address."""
    answer = await client.request(method, PATH)
    assert (405, "POST", []) == (answer.status_code, answer.headers["allow"], receiver.taken)


@pytest.mark.parametrize(("public_url", "status"), [(None, 404), ("https://likeness.example", 405)])
async def test_the_route_needs_an_address_of_ours(tmp_path: Path, *, public_url: str | None, status: int) -> None:
    """Without PUBLIC_URL there is no such route; with it, it is there and wants a POST."""
    settings = Settings(_env_file=None, data_dir=tmp_path, public_url=public_url)
    async with in_process(create_app(settings)) as client:
        assert status == (await client.get(PATH)).status_code


@pytest.fixture
async def whole(stage: Stage, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The route on the real service and verifier, with a key in `key.pem`."""
    signer = Signer(path=tmp_path / "key.pem")

    async def jwks() -> Mapping[str, Any]:
        return signer.jwks()

    service = WebhookService(
        clock=stage.clock, bus=stage.bus, jobs=stage.jobs, provider=stage.provider,
        submissions=Submissions(provider=stage.provider, clock=stage.clock, public_url="https://likeness.example"),
        verifier=FalSignature(jwks=jwks, clock=stage.clock, expected_user="sandbox-user"),
    )  # fmt: skip
    route = webhook_route(service.receive, limits=HttpLimits(temp_dir=tmp_path))
    async with in_process(Starlette(routes=[route])) as opened:
        yield opened


def delivery(tmp_path: Path, *, request: str = "r-1", seconds: int = 0) -> dict[str, Any]:
    """A signed delivery: content and headers."""
    body = json.dumps({"request_id": request, "status": "OK", "payload": {}}).encode()
    moment = int(NOON.timestamp()) + seconds
    headers = Signer(path=tmp_path / "key.pem").headers(request, body=body, timestamp=moment)
    return {"content": body, "headers": headers}


async def test_a_delivery_is_kept_and_queued(whole: httpx.AsyncClient, stage: Stage, tmp_path: Path) -> None:
    """The answer comes when the row is there; the work is left to a durable run."""
    row = await rows.submission(new_id(), request_id="r-1")
    answers = [await whole.post(f"{PATH}?job={row.id}", **delivery(tmp_path)) for _ in range(3)]
    assert [200, 200, 200] == [answer.status_code for answer in answers]
    [message] = await InboxMessage.all()
    assert ("r-1", row.id, None) == (message.external_id, message.submission_id, message.handled_at)
    assert {(webhooks.RUN, message.id)} == set(stage.jobs.enqueued)


async def test_forged_and_stale_deliveries_leave_nothing(
    whole: httpx.AsyncClient, stage: Stage, tmp_path: Path
) -> None:
    """Unsigned, signed by a stranger, or signed 301 s ago: 401 and no row."""
    row = await rows.submission(new_id(), request_id="r-1")
    sound = delivery(tmp_path)
    bad = [
        {"content": sound["content"]},
        sound | {"content": sound["content"] + b" "},
        delivery(tmp_path, seconds=-301),
        delivery(tmp_path, seconds=301),
    ]
    assert [401] * 4 == [(await whole.post(f"{PATH}?job={row.id}", **one)).status_code for one in bad]
    assert ([], []) == (await InboxMessage.all(), stage.jobs.enqueued)


async def test_a_job_that_is_not_ours_is_acknowledged(whole: httpx.AsyncClient, stage: Stage, tmp_path: Path) -> None:
    """fal need not repeat what means nothing to us."""
    assert 200 == (await whole.post(f"{PATH}?job={new_id()}", **delivery(tmp_path))).status_code
    assert ([], []) == (await InboxMessage.all(), stage.jobs.enqueued)

"""graphql-transport-ws: the protocol table of PROTOCOL.md, and one context per operation."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from likeness.http.masking import MASKED_MESSAGE
from likeness.http.request_id import RequestIdMiddleware
from tests.api.http_stage import CLOSED, opened, stage

COUNT = "subscription($to: Int!) { count(to: $to) }"


# ---- connecting ----


async def test_the_protocol_is_chosen(tmp_path: Path) -> None:
    """The client's offer is accepted when graphql-transport-ws is in it."""
    async with opened(stage(tmp_path), protocols=("graphql-ws", "graphql-transport-ws")) as peer:
        event = await peer.event()
    assert (event["type"], event["subprotocol"]) == ("websocket.accept", "graphql-transport-ws")


@pytest.mark.parametrize("protocols", [(), ("graphql-ws",), ("chat",)])
async def test_other_protocols_are_not_taken(tmp_path: Path, protocols: tuple[str, ...]) -> None:
    """Without graphql-transport-ws the socket closes with 4406, the legacy protocol included."""
    async with opened(stage(tmp_path), protocols=protocols) as peer:
        assert (await peer.event())["type"] == "websocket.accept"
        assert await peer.close_code() == 4406


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({}, True),
        ({"origin": "http://localhost"}, True),
        ({"origin": "https://app.example"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://localhost:9999"}, False),
    ],
)
async def test_the_origin_decides(tmp_path: Path, headers: dict[str, str], accepted: bool) -> None:
    """Our own origin, listed ones and programs may connect; pages of others are refused at the handshake."""
    subject = stage(tmp_path, allowed_origins=("https://app.example",))
    async with opened(subject, headers=headers) as peer:
        event = await peer.event()
    assert ("websocket.accept" if accepted else "websocket.close") == event["type"]
    assert subject.connections == []


async def test_connection_init_must_come_in_time(tmp_path: Path) -> None:
    """Silence closes the socket with 4408."""
    async with opened(stage(tmp_path, socket_init_seconds=0.05)) as peer:
        await peer.event()
        assert await peer.close_code() == 4408


async def test_messages_after_the_timeout_do_no_harm(tmp_path: Path) -> None:
    """A client that speaks while it is being closed gets nothing more."""
    async with opened(stage(tmp_path, socket_init_seconds=0.05)) as peer:
        await peer.event()
        assert await peer.close_code() == 4408
        await peer.send({"type": "subscribe", "id": "1", "payload": {"query": "{ hello }"}})
        await peer.send({"type": "connection_init"})
    assert peer.outgoing.empty()


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {}}, {"payload": {"authorization": "me"}}])
async def test_connection_init_is_acknowledged(tmp_path: Path, payload: dict[str, Any]) -> None:
    """No payload, null and an object are all fine, and reach the sign-in as parameters."""
    subject = stage(tmp_path)
    async with opened(subject) as peer:
        await peer.event()
        await peer.send({"type": "connection_init", **payload})
        assert await peer.message() == {"type": "connection_ack"}
    assert [payload.get("payload") or {}] == [connection.params for connection in subject.connections]


async def test_a_second_connection_init(tmp_path: Path) -> None:
    """It closes the socket with 4429."""
    async with opened(stage(tmp_path)) as peer:
        await peer.event()
        await peer.init()
        await peer.send({"type": "connection_init"})
        assert await peer.close_code() == 4429


@pytest.mark.parametrize(("token", "code"), [("bad", 4403), ("banned", 4403), ("explode", 4500)])
async def test_a_failed_sign_in(tmp_path: Path, token: str, code: int) -> None:
    """Refused credentials close with 4403, a failure of ours with 4500."""
    async with opened(stage(tmp_path)) as peer:
        await peer.event()
        await peer.send({"type": "connection_init", "payload": {"authorization": token}})
        assert code == await peer.close_code()


async def test_headers_can_sign_in_too(tmp_path: Path) -> None:
    """The handshake's own headers are part of the connection."""
    async with opened(stage(tmp_path), headers={"Authorization": "bad"}) as peer:
        await peer.event()
        await peer.send({"type": "connection_init"})
        assert await peer.close_code() == 4403


async def test_subscribe_before_the_acknowledgement(tmp_path: Path) -> None:
    """It closes the socket with 4401."""
    async with opened(stage(tmp_path)) as peer:
        await peer.event()
        await peer.subscribe("1", "{ hello }")
        assert await peer.close_code() == 4401


# ---- messages ----

SUBSCRIBE = {"type": "subscribe", "id": "1", "payload": {"query": "{ hello }"}}
INVALID: dict[str, object] = {
    "list": [],
    "string": "x",
    "null": None,
    "number": 42,
    "true": True,
    "no type": {},
    "type null": {"type": None},
    "type number": {"type": 1},
    "type list": {"type": ["subscribe"]},
    "unknown type": {"type": "start"},
    "server's type": {"type": "connection_ack"},
    "server's next": {"type": "next", "id": "1", "payload": {}},
    "init payload a string": {"type": "connection_init", "payload": "x"},
    "init payload a list": {"type": "connection_init", "payload": []},
    "ping payload a string": {"type": "ping", "payload": "x"},
    "pong payload a list": {"type": "pong", "payload": []},
    "no id": {"type": "subscribe", "payload": {"query": "{ hello }"}},
    "id number": {**SUBSCRIBE, "id": 1},
    "id empty": {**SUBSCRIBE, "id": ""},
    "id list": {**SUBSCRIBE, "id": []},
    "id too long": {**SUBSCRIBE, "id": "x" * 129},
    "no payload": {"type": "subscribe", "id": "1"},
    "payload null": {**SUBSCRIBE, "payload": None},
    "payload a string": {**SUBSCRIBE, "payload": "x"},
    "payload a list": {**SUBSCRIBE, "payload": []},
    "no query": {**SUBSCRIBE, "payload": {}},
    "query number": {**SUBSCRIBE, "payload": {"query": 1}},
    "query null": {**SUBSCRIBE, "payload": {"query": None}},
    "variables a list": {**SUBSCRIBE, "payload": {"query": "{ hello }", "variables": []}},
    "variables a string": {**SUBSCRIBE, "payload": {"query": "{ hello }", "variables": "x"}},
    "operationName number": {**SUBSCRIBE, "payload": {"query": "{ hello }", "operationName": 1}},
    "extensions a string": {**SUBSCRIBE, "payload": {"query": "{ hello }", "extensions": "x"}},
    "complete without id": {"type": "complete"},
    "complete id number": {"type": "complete", "id": 1},
}


@pytest.mark.parametrize("message", INVALID.values(), ids=INVALID.keys())
@pytest.mark.parametrize("acknowledged", [True, False])
async def test_invalid_messages(tmp_path: Path, message: object, acknowledged: bool) -> None:
    """Anything malformed closes with 4400 and a reason, never with a broken connection."""
    async with opened(stage(tmp_path)) as peer:
        await peer.event()
        if acknowledged:
            await peer.init()
        await peer.send(message)
        assert await peer.close_code() == 4400


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, '{"type":"ping","payload":{"a":NaN}}', '{"type":"a","type":"ping"}']
)
async def test_text_that_is_no_json(tmp_path: Path, text: str) -> None:
    """Broken, deep and ambiguous JSON closes with 4400."""
    async with opened(stage(tmp_path)) as peer:
        await peer.event()
        await peer.send_text(text)
        assert await peer.close_code() == 4400


async def test_binary_frames(tmp_path: Path) -> None:
    """The protocol is text: a binary frame closes with 4400, in either form a server may hand it over."""
    for extra in ({}, {"text": None}):
        async with opened(stage(tmp_path)) as peer:
            await peer.event()
            await peer.incoming.put({"type": "websocket.receive", "bytes": b"{}", **extra})
            assert await peer.close_code() == 4400


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {"at": 5}}])
async def test_ping(tmp_path: Path, payload: dict[str, Any]) -> None:
    """A ping is answered with its own payload, even before the acknowledgement; a pong is taken silently."""
    expected = {"type": "pong", **({} if payload.get("payload") is None else payload)}
    async with opened(stage(tmp_path)) as peer:
        await peer.event()
        await peer.send({"type": "pong", **payload})
        await peer.send({"type": "ping", **payload})
        assert expected == await peer.message()


# ---- operations ----


async def test_a_subscription_runs_to_its_end(tmp_path: Path) -> None:
    """next for every value, then complete; afterwards the id is free again."""
    async with opened(stage(tmp_path)) as peer:
        await peer.event()
        await peer.init()
        for _ in range(2):
            await peer.subscribe("1", COUNT, variables={"to": 2}, operationName=None, extensions=None)
            values = [await peer.message() for _ in range(3)]
            assert values == [
                {"id": "1", "type": "next", "payload": {"data": {"count": 1}}},
                {"id": "1", "type": "next", "payload": {"data": {"count": 2}}},
                {"id": "1", "type": "complete"},
            ]


@pytest.mark.parametrize("query", ["{ hello }", "mutation { touch }"])
async def test_queries_and_mutations_run_too(tmp_path: Path, query: str) -> None:
    """A single result, then complete."""
    async with opened(stage(tmp_path)) as peer:
        await peer.event()
        await peer.init()
        await peer.subscribe("q", query)
        assert [(await peer.message())["type"] for _ in range(2)] == ["next", "complete"]


BAD_DOCUMENTS = {
    "syntax": ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
    "validation": ({"query": "{ nope }"}, "GRAPHQL_VALIDATION_FAILED"),
    "coercion": ({"query": COUNT, "variables": {"to": "x"}}, "BAD_USER_INPUT"),
    "unknown operation": ({"query": "query a { hello }", "operationName": "b"}, "BAD_USER_INPUT"),
    "several operations": ({"query": "query a { hello } query b { hello }"}, "BAD_USER_INPUT"),
    "empty query": ({"query": ""}, "BAD_USER_INPUT"),
    "over a limit": ({"query": "{" + " hello" * 21 + "}"}, "GRAPHQL_VALIDATION_FAILED"),
}


@pytest.mark.parametrize(("payload", "code"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
async def test_a_bad_document_ends_only_its_operation(tmp_path: Path, payload: dict[str, Any], code: str) -> None:
    """The error goes to the operation; the socket and its other operations live on."""
    async with opened(stage(tmp_path)) as peer:
        await peer.event()
        await peer.init()
        await peer.subscribe("other", "subscription { forever }")
        assert (await peer.message())["type"] == "next"
        await peer.send({"type": "subscribe", "id": "bad", "payload": payload})
        error = await peer.message()
        assert ("error", "bad", code) == (error["type"], error["id"], error["payload"][0]["extensions"]["code"])
        await peer.subscribe("bad", "{ hello }")
        assert (await peer.message())["payload"] == {"data": {"hello": "hello world"}}


async def test_a_crash_in_a_subscription_is_masked(tmp_path: Path) -> None:
    """What came before arrives; the exception becomes a masked error with the request id, logged once."""
    with capture_logs() as logs:
        async with opened(stage(tmp_path)) as peer:
            await peer.event()
            await peer.init()
            await peer.subscribe("1", "subscription Private { crash }")
            first, second, third = [await peer.message() for _ in range(3)]
    assert first["payload"] == {"data": {"crash": 1}}
    (error,) = second["payload"]["errors"]
    assert (error["message"], error["extensions"]["code"]) == (MASKED_MESSAGE, "INTERNAL_SERVER_ERROR")
    assert third["type"] == "complete"
    assert [error["extensions"]["requestId"]] == [line["request_id"] for line in logs]
    assert "Private" not in str(logs)


async def test_every_operation_has_its_own_context(tmp_path: Path) -> None:
    """One context for signing in, and a fresh one for each operation on the same socket."""
    subject = stage(tmp_path)
    async with opened(subject) as peer:
        await peer.event()
        await peer.init({"authorization": "me"})
        numbers = []
        for id in ("a", "b"):
            await peer.subscribe(id, "{ contextNumber }")
            numbers.append((await peer.message())["payload"]["data"]["contextNumber"])
            await peer.message()
    assert numbers == [2, 3]
    assert [connection.params for connection in subject.connections] == [{"authorization": "me"}] * 3


async def test_a_sign_in_that_lapses(tmp_path: Path) -> None:
    """Credentials are judged again for each operation; refusal and failure end that operation only."""
    subject = stage(tmp_path)
    real = subject.app.make_context
    tokens = iter(["", "bad", "explode", ""])

    async def make_context(connection: Any) -> Any:
        connection.params["authorization"] = next(tokens)
        return await real(connection)

    subject.app.make_context = make_context
    async with opened(subject) as peer:
        await peer.event()
        await peer.init({"authorization": ""})
        answers = []
        for id in ("a", "b", "c"):
            await peer.subscribe(id, "{ hello }")
            answers.append(await peer.message())
    assert [answer["type"] for answer in answers] == ["error", "error", "next"]
    codes = [answer["payload"][0]["extensions"]["code"] for answer in answers[:2]]
    assert codes == ["UNAUTHENTICATED", "INTERNAL_SERVER_ERROR"]


async def test_an_id_in_use(tmp_path: Path) -> None:
    """Using it again closes the socket with 4409."""
    async with opened(stage(tmp_path)) as peer:
        await peer.event()
        await peer.init()
        await peer.subscribe("1", "subscription { forever }")
        await peer.message()
        await peer.subscribe("1", "{ hello }")
        assert await peer.close_code() == 4409


async def test_operations_per_socket_are_bounded(tmp_path: Path) -> None:
    """One over the limit is refused with an error; the others go on, and a freed place can be used."""
    async with opened(stage(tmp_path, operations_per_socket=3)) as peer:
        await peer.event()
        await peer.init()
        for number in range(4):
            await peer.subscribe(str(number), "subscription { forever }")
        messages = [await peer.message() for _ in range(4)]
        refused = [message for message in messages if message["type"] == "error"]
        assert [message["id"] for message in refused] == ["3"]
        await peer.send({"type": "complete", "id": "0"})
        await peer.subscribe("3", "{ hello }")
        assert (await peer.message())["type"] == "next"


async def test_the_default_bound_is_fifty(tmp_path: Path) -> None:
    """The application's own default, as documented."""
    subject = stage(tmp_path)
    assert subject.app.max_subscriptions_per_connection == 50
    assert subject.app.connection_init_wait_timeout.total_seconds() == 5


async def test_generators_are_closed(tmp_path: Path) -> None:
    """complete, and a client that goes away, both end the resolver and leave no task behind."""
    CLOSED.clear()
    before = len(asyncio.all_tasks())
    async with opened(stage(tmp_path)) as peer:
        await peer.event()
        await peer.init()
        for id in ("1", "2"):
            await peer.subscribe(id, "subscription { forever }")
            await peer.message()
        await peer.send({"type": "complete", "id": "1"})
        await peer.send({"type": "complete", "id": "unknown"})
        await peer.send({"type": "ping"})
        assert (await peer.message())["type"] == "pong"
        async with asyncio.timeout(5):
            while not CLOSED:
                await asyncio.sleep(0)
        assert CLOSED == [2]
    assert CLOSED == [2, 3]
    assert before == len(asyncio.all_tasks())


async def test_operations_interleave(tmp_path: Path) -> None:
    """A waiting subscription does not hold up another."""
    async with opened(stage(tmp_path)) as peer:
        await peer.event()
        await peer.init()
        await peer.subscribe("slow", "subscription { forever }")
        await peer.message()
        await peer.subscribe("fast", COUNT, variables={"to": 1})
        assert [(await peer.message())["id"] for _ in range(2)] == ["fast", "fast"]


async def test_the_request_id_of_a_socket(tmp_path: Path) -> None:
    """The handshake is answered with an id, which its errors carry."""
    subject = stage(tmp_path)
    subject.app = RequestIdMiddleware(subject.app)  # type: ignore[assignment]
    with capture_logs():
        async with opened(subject, headers={"x-request-id": "socket-1"}) as peer:
            accepted = await peer.event()
            await peer.init()
            await peer.subscribe("1", "{ boom }")
            error = (await peer.message())["payload"]["errors"][0]
    assert (b"x-request-id", b"socket-1") in accepted["headers"]
    assert error["extensions"]["requestId"] == "socket-1"

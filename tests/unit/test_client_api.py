"""The client against an HTTP server that lives in memory."""

import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from dirty_equals import IsPartialDict

from likeness.client.api import Client
from likeness.client.errors import ClientError, PhotosRejected, ServerUnreachable

URL = "http://127.0.0.1:3001"


class FakeServer(httpx.AsyncBaseTransport):
    """Answers each operation with what `answers` holds for its name, and keeps what was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.requests: list[httpx.Request] = []
        self.variables: list[dict[str, Any]] = []
        self.largest_chunk = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        body = await self._body(request)
        if request.method == "GET":
            return self._reply(self.answers["GET"])
        operations = re.search(rb'name="operations"\r\n\r\n(.*?)\r\n--', body, re.DOTALL)
        asked = json.loads(operations[1] if operations else body)
        self.variables.append(asked["variables"])
        return self._reply(self.answers[re.search(r"(?:query|mutation) (\w+)", asked["query"])[1]])

    async def _body(self, request: httpx.Request) -> bytes:
        body = b""
        assert isinstance(request.stream, httpx.AsyncByteStream)
        async for chunk in request.stream:
            self.largest_chunk = max(self.largest_chunk, len(chunk))
            body += chunk
        return body

    def _reply(self, answer: Any) -> httpx.Response:
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json={"data": answer})


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Any]]:
    """`await connect(server)`: a client of a fake server, closed at the end."""
    clients: list[Client] = []

    async def open_client(server: FakeServer, token: str | None = None) -> Client:
        clients.append(await Client(URL, token, http=server).__aenter__())
        return clients[-1]

    yield open_client
    for client in clients:
        await client.__aexit__(None, None, None)


def some_files(folder: Path, count: int) -> list[Path]:
    """Files of one byte."""
    paths = [folder / f"photo_{index}.jpg" for index in range(count)]
    for path in paths:
        path.write_bytes(b"x")
    return paths


def uploaded(*ids: str, errors: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """An answer of uploadPhotos."""
    return {"uploadPhotos": {"photos": [{"id": id} for id in ids], "userErrors": errors or []}}


def rejection(index: int, code: str, message: str) -> dict[str, Any]:
    """A PhotoRejectedError."""
    return {"__typename": "PhotoRejectedError", "index": index, "code": code, "message": message, "filename": "x"}


async def test_upload_in_batches(connect: Callable[..., Any], tmp_path: Path) -> None:
    """At most 20 files a request; the photos come back in one list."""
    server = FakeServer(UploadPhotos=[uploaded("a"), uploaded("b")])
    photos = await (await connect(server)).upload_photos(some_files(tmp_path, 23))
    assert [{"id": "a"}, {"id": "b"}] == photos
    assert [20, 3] == [len(asked["input"]["photos"]) for asked in server.variables]


async def test_upload_is_streamed(connect: Callable[..., Any], tmp_path: Path) -> None:
    """A file of 5 MB passes in small pieces, with the header that uploads need and the token."""
    photo = tmp_path / "large.jpg"
    photo.write_bytes(b"x" * 5_000_000)
    server = FakeServer(UploadPhotos=uploaded("a"))
    await (await connect(server, "secret")).upload_photos([photo])
    assert server.largest_chunk <= 65536
    headers = {"graphql-require-preflight": "1", "authorization": "Bearer secret"}
    assert IsPartialDict(headers) == dict(server.requests[0].headers)
    assert int(server.requests[0].headers["content-length"]) > 5_000_000


async def test_rejected_photos(connect: Callable[..., Any], tmp_path: Path) -> None:
    """Every refused file is named with its reason, also those of a second request; the kept ones are handed over."""
    paths = some_files(tmp_path, 22)
    first = uploaded("a", errors=[rejection(3, "IMAGE_TOO_SMALL", "It is 100 pixels wide.")])
    second = uploaded("b", errors=[rejection(1, "IMAGE_UNREADABLE", "It ends too early.")])
    client = await connect(FakeServer(UploadPhotos=[first, second]))
    with pytest.raises(PhotosRejected) as caught:
        await client.upload_photos(paths)
    assert [
        "2 of 4 photos were refused:",
        f"  {paths[3]}: It is 100 pixels wide. (IMAGE_TOO_SMALL)",
        f"  {paths[21]}: It ends too early. (IMAGE_UNREADABLE)",
    ] == caught.value.message.splitlines()
    assert ([{"id": "a"}, {"id": "b"}], "IMAGE_TOO_SMALL") == (caught.value.photos, caught.value.code)


async def test_a_missing_file(connect: Callable[..., Any], tmp_path: Path) -> None:
    """Nothing is sent when one of the files is not there."""
    server = FakeServer()
    client = await connect(server)
    with pytest.raises(ClientError, match=r"missing\.jpg is not a file"):
        await client.upload_photos([*some_files(tmp_path, 1), tmp_path / "missing.jpg"])
    assert [] == server.requests


async def test_start_training(connect: Callable[..., Any]) -> None:
    """Options become camelCase, and what is not given is not sent."""
    training = {"id": "t1", "status": "PENDING"}
    server = FakeServer(StartTraining={"startTraining": {"training": training, "userErrors": []}})
    client = await connect(server)
    assert training == await client.start_training("Me", ["a"], trigger_word="ME", steps=None, gender="MAN")
    assert [{"input": {"modelName": "Me", "photoIds": ["a"], "triggerWord": "ME", "gender": "MAN"}}] == server.variables


async def test_user_errors(connect: Callable[..., Any]) -> None:
    """The first userError is the sentence and the code."""
    errors = [{"__typename": "InsufficientCreditsError", "code": "INSUFFICIENT_CREDITS", "message": "Too dear."}]
    server = FakeServer(StartTraining={"startTraining": {"training": None, "userErrors": errors}})
    client = await connect(server)
    with pytest.raises(ClientError) as caught:
        await client.start_training("Me", ["a"])
    assert ("Too dear.", "INSUFFICIENT_CREDITS") == (caught.value.message, caught.value.code)


@pytest.mark.parametrize(
    ("answer", "code", "sentence"),
    [
        (
            httpx.Response(400, json={"errors": [{"message": "Sign in.", "extensions": {"code": "UNAUTHENTICATED"}}]}),
            "UNAUTHENTICATED",
            "Sign in.",
        ),
        (httpx.Response(502, text="Bad gateway"), "HTTP_502", f"{URL} answered with HTTP status 502."),
        (httpx.Response(200, text="<html>"), "PROTOCOL_ERROR", f"What answers at {URL} does not speak GraphQL."),
        (httpx.ConnectError("refused"), "SERVER_UNREACHABLE", f"Nothing answers at {URL}."),
        (httpx.ReadError("reset"), "CONNECTION_LOST", f"The connection to {URL} broke: ReadError."),
        ({"training": None}, "NOT_FOUND", "There is no training with this id."),
    ],
)
async def test_failures(connect: Callable[..., Any], answer: Any, code: str, sentence: str) -> None:
    """Each way an answer can fail has its code and one sentence."""
    client = await connect(FakeServer(Training=answer))
    with pytest.raises(ClientError) as caught:
        await client.training("t1")
    assert (code, sentence) == (caught.value.code, caught.value.message)
    assert (code == "SERVER_UNREACHABLE") == isinstance(caught.value, ServerUnreachable)


def model(id: str, name: str, status: str = "COMPLETED") -> dict[str, Any]:
    """A model."""
    return {"id": id, "name": name, "status": status}


def page(*nodes: dict[str, Any], end: str | None = None) -> dict[str, Any]:
    """A page of models; `end` is its cursor when another follows."""
    return {"models": {"nodes": list(nodes), "pageInfo": {"hasNextPage": end is not None, "endCursor": end}}}


@pytest.mark.parametrize(("wanted", "found"), [("Me", "m2"), ("m1", "m1"), ("You", "m4")])
async def test_find_model(connect: Callable[..., Any], wanted: str, found: str) -> None:
    """By id, or the newest completed one of a name, over all pages."""
    first = page(model("m1", "Me", "FAILED"), model("m2", "Me"), model("m3", "Me"), end="c")
    server = FakeServer(Models=[first, page(model("m4", "You"))])
    assert found == (await (await connect(server)).find_model(wanted))["id"]


async def test_find_no_model(connect: Callable[..., Any]) -> None:
    """A name without a completed model is said so."""
    client = await connect(FakeServer(Models=page(model("m1", "Me", "FAILED"))))
    with pytest.raises(ClientError, match="no completed model called Me"):
        await client.find_model("Me")


async def test_download(connect: Callable[..., Any], tmp_path: Path) -> None:
    """The file lies where it should, in a folder made for it, and the token was not sent along."""
    server = FakeServer(GET=httpx.Response(200, content=b"picture"))
    to = tmp_path / "new" / "a.png"
    client = await connect(server, "secret")
    assert to == await client.download("/media/a.png", to)
    assert (b"picture", ["a.png"]) == (to.read_bytes(), [path.name for path in to.parent.iterdir()])
    assert f"{URL}/media/a.png" == str(server.requests[0].url)
    assert "authorization" not in server.requests[0].headers


async def test_failed_download(connect: Callable[..., Any], tmp_path: Path) -> None:
    """Nothing is left of a download that failed."""
    client = await connect(FakeServer(GET=httpx.Response(404)))
    with pytest.raises(ClientError, match="HTTP status 404"):
        await client.download(f"{URL}/media/a.png", tmp_path / "a.png")
    assert [] == list(tmp_path.iterdir())

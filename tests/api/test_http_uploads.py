"""Uploads by the GraphQL multipart request specification: what arrives, what is refused, and what stays on disk."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from likeness.http.form import clean_filename
from tests.api.http_stage import GRAPHQL_JSON, PREFLIGHT, Stage, code_of, stage

INFO = "{ filename contentType size tooLarge onDisk text }"
UPLOAD = f"mutation($files: [Upload!]!) {{ upload(files: $files) {INFO} }}"
TYPE = {"content-type": "multipart/form-data; boundary=B"}


def part(name: str, value: str | bytes, *, filename: str | None = None, headers: str = "") -> bytes:
    """One part of a multipart body with boundary B."""
    tail = f'; filename="{filename}"' if filename is not None else ""
    data = value if isinstance(value, bytes) else value.encode()
    head = f'--B\r\nContent-Disposition: form-data; name="{name}"{tail}\r\n{headers}\r\n'
    return head.encode() + data + b"\r\n"


def operations(count: int = 1, query: str = UPLOAD) -> str:
    """The `operations` of an upload with room for `count` files."""
    return json.dumps({"query": query, "variables": {"files": [None] * count}})


def file_map(count: int = 1) -> str:
    """A `map` that names files 0, 1, ... for the places of `operations`."""
    return json.dumps({str(index): [f"variables.files.{index}"] for index in range(count)})


def body(*files: bytes, query: str = UPLOAD) -> bytes:
    """A whole request with these file contents."""
    parts = [part(str(index), data, filename=f"{index}.jpg") for index, data in enumerate(files)]
    head = part("operations", operations(len(files), query)) + part("map", file_map(len(files)))
    return head + b"".join(parts) + b"--B--\r\n"


async def send(subject: Stage, content: Any, **headers: str) -> httpx.Response:
    """POST a multipart body and check that nothing of it is left on disk."""
    all_headers = {**TYPE, **PREFLIGHT, "accept": GRAPHQL_JSON, **headers}
    async with subject.client() as client:
        response = await client.post("/graphql", content=content, headers=all_headers)
    assert list(subject.temp_dir.iterdir()) == []
    return response


async def test_files_reach_the_resolver(tmp_path: Path) -> None:
    """Two files of one list arrive in order, with name, type, size and content, and are gone afterwards."""
    content = (
        part("operations", operations(2))
        + part("map", '{"a": ["variables.files.1"], "b": ["variables.files.0"]}')
        + part("a", b"second", filename="two.png", headers="Content-Type: image/PNG\r\n")
        + part("b", b"first", filename="été.jpg")
        + b"--B--\r\n"
    )
    response = await send(stage(tmp_path), content)
    first = {"filename": "été.jpg", "contentType": None, "size": 5, "tooLarge": False, "onDisk": 5, "text": "first"}
    second = {"filename": "two.png", "contentType": "image/png", "size": 6, "tooLarge": False, "onDisk": 6}
    assert [first, {**second, "text": "second"}] == response.json()["data"]["upload"]


async def test_a_client_library_upload(tmp_path: Path) -> None:
    """The form that httpx builds (as other clients do) is understood, and an empty file is a file."""
    files = {
        "operations": (None, operations(2)),
        "map": (None, file_map(2)),
        "0": ("a.jpg", b"x", "image/jpeg"),
        "1": ("b.jpg", b""),
    }
    async with stage(tmp_path).client() as client:
        response = await client.post("/graphql", files=files, headers=PREFLIGHT)
    assert [file["onDisk"] for file in response.json()["data"]["upload"]] == [1, 0]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
async def test_pieces_of_any_size(tmp_path: Path, size: int) -> None:
    """How the network cuts the body makes no difference, also within boundaries and look-alikes of them."""
    tricky = b"\r\n--B\r\n-"[:-2] + b"x\r\n--\r\n-B--" * 3

    async def pieces() -> AsyncIterator[bytes]:
        whole = body(tricky, b"\r\n--")
        for start in range(0, len(whole), size):
            yield whole[start : start + size]

    response = await send(stage(tmp_path), pieces())
    uploaded = response.json()["data"]["upload"]
    assert [len(tricky), 4] == [file["size"] for file in uploaded]
    assert [len(tricky), 4] == [file["onDisk"] for file in uploaded]


async def test_a_file_over_the_limit_is_told_to_the_resolver(tmp_path: Path) -> None:
    """One large file does not fail the others: it is flagged, counted to its end, and not kept."""
    subject = stage(tmp_path, max_file_bytes=1000)
    response = await send(subject, body(b"a" * 1000, b"b" * 1001, b"c" * 600_000, b"d"))
    uploaded = response.json()["data"]["upload"]
    assert [file["size"] for file in uploaded] == [1000, 1001, 600_000, 1]
    assert [file["tooLarge"] for file in uploaded] == [False, True, True, False]
    assert [file["onDisk"] for file in uploaded] == [1000, 0, 0, 1]


async def test_a_file_that_outgrows_the_limit_after_being_written(tmp_path: Path) -> None:
    """What was already on disk is taken back."""
    sizes: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        whole = body(b"x" * 2_000_000)
        for start in range(0, len(whole), 65536):
            yield whole[start : start + 65536]
            sizes.append(sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()))

    response = await send(stage(tmp_path, max_file_bytes=1_000_000), pieces())
    (uploaded,) = response.json()["data"]["upload"]
    assert (uploaded["size"], uploaded["tooLarge"], uploaded["onDisk"]) == (2_000_000, True, 0)
    assert 500_000 < max(sizes) <= 1_000_000


@pytest.mark.parametrize("declared", [True, False])
async def test_the_total_is_capped(tmp_path: Path, declared: bool) -> None:
    """Over the total: 413 as a GraphQL error, with no more than the slack read beyond it."""
    sent: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield body(b"")[: -len(b"\r\n--B--\r\n")]
        for _ in range(1000):
            sent.append(65536)
            yield b"x" * 65536

    subject = stage(tmp_path, max_upload_bytes=3_000_000, drain_bytes=500_000)
    headers = {"content-length": str(70_000_000)} if declared else {}
    response = await send(subject, pieces(), **headers)
    assert (response.status_code, code_of(response)) == (413, "PAYLOAD_TOO_LARGE")
    assert sum(sent) <= (600_000 if declared else 3_700_000)


async def _never_read() -> AsyncIterator[bytes]:
    raise AssertionError("the body was read")
    yield b""


REFUSED_UNREAD = {
    "no preflight header": ({"apollo-require-preflight": ""}, 403, "FORBIDDEN"),
    "charset punycode": ({"content-type": "multipart/form-data; boundary=B; charset=punycode"}, 415, "BAD_USER_INPUT"),
    "charset utf-16": ({"content-type": "multipart/form-data; boundary=B; charset=utf-16"}, 415, "BAD_USER_INPUT"),
    "no boundary": ({"content-type": "multipart/form-data"}, 400, "BAD_USER_INPUT"),
    "compressed": ({"content-encoding": "gzip"}, 415, "BAD_USER_INPUT"),
    "stranger": ({"authorization": "bad"}, 401, "UNAUTHENTICATED"),
    "stranger, too large": ({"authorization": "bad", "content-length": "999999999999"}, 401, "UNAUTHENTICATED"),
    "banned": ({"authorization": "banned"}, 403, "FORBIDDEN"),
}


@pytest.mark.parametrize(("headers", "status", "code"), REFUSED_UNREAD.values(), ids=REFUSED_UNREAD.keys())
async def test_what_is_refused_unread(tmp_path: Path, headers: dict[str, str], status: int, code: str) -> None:
    """Preflight, charset and sign-in are judged with 0 bytes of the body read."""
    response = await send(stage(tmp_path), _never_read(), **headers)
    assert (status, code) == (response.status_code, code_of(response))


@pytest.mark.parametrize(
    "name", ["apollo-require-preflight", "x-apollo-operation-name", "graphql-require-preflight", "x-requested-with"]
)
async def test_any_preflight_header_will_do(tmp_path: Path, name: str) -> None:
    """Each of the usual headers proves that a browser has asked first."""
    async with stage(tmp_path).client() as client:
        response = await client.post("/graphql", content=body(b"x"), headers={**TYPE, name: "upload"})
    assert response.status_code == 200


ONE = part("0", b"x", filename="x")
END = b"--B--\r\n"
OPS = part("operations", operations())
MAP = part("map", file_map())
MALFORMED = {
    "empty": b"",
    "only the end": END,
    "no boundary in the body": b"hello",
    "operations alone": OPS + END,
    "no file": OPS + MAP + END,
    "cut in a file": (OPS + MAP + ONE)[:-4],
    "cut before the end": OPS + MAP + ONE,
    "no end": OPS + MAP,
    "map first": MAP + OPS + ONE + END,
    "file first": ONE + OPS + MAP + END,
    "file before map": OPS + ONE + MAP + END,
    "unknown file": OPS + MAP + part("9", b"x", filename="x") + END,
    "file twice": OPS + MAP + ONE + ONE + END,
    "extra field": OPS + MAP + ONE + part("extra", b"x") + END,
    "part without a name": OPS + MAP + b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END,
    "part without headers": b"--B\r\n\r\nx\r\n" + END,
    "operations a string": part("operations", '"x"') + MAP + ONE + END,
    "operations null": part("operations", "null") + MAP + ONE + END,
    "operations broken": part("operations", "{") + MAP + ONE + END,
    "operations deep": part("operations", "[" * 100_000) + MAP + ONE + END,
    "operations not utf-8": part("operations", b'{"query": "\xff"}') + MAP + ONE + END,
    "operations a batch": part("operations", f"[{operations()}]")
    + part("map", '{"0": ["0.variables.files.0"]}')
    + ONE
    + END,
    "operations without variables": part("operations", '{"query": "{hello}"}') + MAP + ONE + END,
    "operations without query": part("operations", '{"variables": {"files": [null]}}') + MAP + ONE + END,
    "operations too large": part("operations", json.dumps({"query": "x" * 1_100_000})) + MAP + ONE + END,
    "map too large": OPS + part("map", json.dumps({"0": ["x" * 70_000]})) + ONE + END,
    **{
        f"map {text}": OPS + part("map", text) + ONE + END
        for text in (
            "[]",
            "null",
            "{}",
            "1",
            '"x"',
            '{"0": 1}',
            '{"0": [1]}',
            '{"0": []}',
            '{"0": null}',
            '{"0": "variables.files.0"}',
            '{"0": ["variables.files.0", "variables.files.0"]}',
            '{"0": ["variables.files.0"], "1": ["variables.files.0"]}',
            '{"0": ["variables.files.1"]}',
            '{"0": ["variables.files.-1"]}',
            '{"0": ["variables.files.00"]}',
            '{"0": ["variables.files.x"]}',
            '{"0": ["variables.files"]}',
            '{"0": ["variables.nope"]}',
            '{"0": ["variables"]}',
            '{"0": ["query"]}',
            '{"0": ["extensions.x"]}',
            '{"0": [""]}',
            '{"0": ["variables.files.0.x"]}',
        )
    },
    "a very long header": OPS + MAP + part("0", b"x", headers="X-A: " + "a" * 100_000 + "\r\n") + END,
    "many headers": OPS + MAP + part("0", b"x", headers="X-A: a\r\n" * 1000) + END,
    "10,000 fields": part("a", b"x") * 10_000 + END,
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_requests(tmp_path: Path, content: bytes) -> None:
    """Every way to break the form gives 400 and a code, and leaves nothing behind."""
    response = await send(stage(tmp_path), content)
    assert (response.status_code, code_of(response)) == (400, "BAD_USER_INPUT")


async def test_an_overlong_boundary(tmp_path: Path) -> None:
    """A hostile boundary is refused like any malformed body."""
    response = await send(stage(tmp_path), b"x", **{"content-type": "multipart/form-data; boundary=" + "B" * 10_000})
    assert (response.status_code, code_of(response)) == (400, "BAD_USER_INPUT")


async def test_too_many_files(tmp_path: Path) -> None:
    """The number of files is bounded before the first is received."""
    response = await send(stage(tmp_path, max_files=3), body(b"", b"", b"", b""))
    assert (response.status_code, code_of(response)) == (413, "PAYLOAD_TOO_LARGE")
    assert (await send(stage(tmp_path, max_files=3), body(b"", b"", b""))).status_code == 200


async def test_files_go_when_the_resolver_crashes(tmp_path: Path) -> None:
    """The folder is removed whatever happens in the operation."""
    response = await send(
        stage(tmp_path), body(b"x", query="mutation($files: [Upload!]!) { uploadAndCrash(files: $files) }")
    )
    assert code_of(response) == "INTERNAL_SERVER_ERROR"


async def test_a_file_is_no_string(tmp_path: Path) -> None:
    """A file mapped into another scalar is the client's error, and our path for it is not told."""
    query = "mutation($files: [Upload!]!, $note: String!) { upload(files: $files, note: $note) { size } }"
    content = (
        part("operations", json.dumps({"query": query, "variables": {"files": [], "note": None}}))
        + part("map", '{"0": ["variables.note"]}')
        + ONE
        + END
    )
    response = await send(stage(tmp_path), content)
    assert (response.status_code, code_of(response)) == (400, "BAD_USER_INPUT")
    assert str(tmp_path) not in response.text


@pytest.mark.parametrize("ending", ["disconnect", "cancel"])
async def test_an_abandoned_upload_leaves_nothing(tmp_path: Path, ending: str) -> None:
    """Closing the connection, or the server stopping, in the middle of a file removes what has arrived."""
    subject = stage(tmp_path)
    head = body(b"x" * 900_000)[:700_000]
    gate = asyncio.Event()
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": head[start : start + 65536], "more_body": True}
        for start in range(0, len(head), 65536)
    ]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        gate.set()
        if ending == "cancel":
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def ignore(message: Any) -> None:
        return None

    headers = [(name.encode(), value.encode()) for name, value in {**TYPE, **PREFLIGHT}.items()]
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": headers}
    served = asyncio.ensure_future(subject.app(scope, receive, ignore))
    await asyncio.wait_for(gate.wait(), 5)
    assert ending == "disconnect" or list(tmp_path.iterdir()) != []
    if ending == "cancel":
        served.cancel()
    await asyncio.wait({served}, timeout=5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a.jpg", "a.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a b.jpg", "a b.jpg"),
        ("/tmp/", None),
        ("..", None),
        (".", None),
        ("", None),
        ("a\x00\x1b[31m\nb.jpg", "a[31mb.jpg"),
        ("\u202egpj.exe", "gpj.exe"),
        ("x" * 300, "x" * 255),
        ("фото.jpg", "фото.jpg"),
    ],
)
def test_file_names(given: str, expected: str | None) -> None:
    """A client's name loses folders and control characters (also those that reverse text) and is cut."""
    assert expected == clean_filename(given)

"""Requests that are refused as such: always a GraphQL error in JSON, never a 500."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.http_stage import code_of, stage


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_other_methods(tmp_path: Path, method: str) -> None:
    """Only GET and POST are taken, and `Allow` says so."""
    async with stage(tmp_path).client() as client:
        response = await client.request(method, "/graphql")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    assert response.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/graphql"},
        {"content-type": "application/jsonp"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/json; charset=punycode"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/json", "content-encoding": "br"},
    ],
)
async def test_other_body_types(tmp_path: Path, headers: dict[str, str]) -> None:
    """A body that is not plain UTF-8 JSON (or multipart) is 415, also for forms that need no preflight."""
    async with stage(tmp_path).client() as client:
        response = await client.post("/graphql", content=b'{"query":"{hello}"}', headers=headers)
    assert (response.status_code, code_of(response)) == (415, "BAD_USER_INPUT")


BODIES = {
    "empty": b"",
    "null": b"null",
    "number": b"1",
    "string": b'"x"',
    "list": b"[]",
    "batch": b'[{"query":"{hello}"}]',
    "broken": b'{"query"',
    "bad utf-8": b'{"query":"\xff"}',
    "utf-16": '{"query":"{hello}"}'.encode("utf-16"),
    "nan": b'{"query":"{hello}","variables":{"a":NaN}}',
    "infinity": b'{"query":"{hello}","variables":{"a":-Infinity}}',
    "huge float": b'{"query":"{hello}","variables":{"a":1e999}}',
    "long number": b'{"query":"{hello}","variables":{"a":' + b"9" * 5000 + b"}}",
    "nul": b'{"query":"{hello}","variables":{"a":"\\u0000"}}',
    "lone surrogate": b'{"query":"{hello}","variables":{"a":"\\ud800"}}',
    "lone surrogate key": b'{"query":"{hello}","variables":{"\\ud800":1}}',
    "key twice": b'{"query":"{hello}","query":"{boom}"}',
    "100,000 brackets": b"[" * 100_000,
    "33 levels": b'{"query":"{hello}","variables":{"a":' + b"[" * 31 + b"]" * 31 + b"}}",
    "too many values": b'{"query":"{hello}","variables":{"a":[' + b"0," * 20_000 + b"0]}}",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_junk_bodies(tmp_path: Path, body: bytes) -> None:
    """Malformed and ambiguous JSON is 400 with a code."""
    async with stage(tmp_path).client() as client:
        response = await client.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert (response.status_code, code_of(response)) == (400, "BAD_USER_INPUT")


async def test_32_levels_are_taken(tmp_path: Path) -> None:
    """The nesting limit is exact."""
    body = b'{"query":"{hello}","variables":{"a":' + b"[" * 30 + b"]" * 30 + b"}}"
    async with stage(tmp_path).client() as client:
        response = await client.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 200


async def _pieces(size: int, sent: list[int]) -> AsyncIterator[bytes]:
    for _ in range(size // 65536):
        sent.append(65536)
        yield b" " * 65536


@pytest.mark.parametrize("declared", [True, False])
async def test_a_large_json_body_is_cut(tmp_path: Path, declared: bool) -> None:
    """Over 1 MiB: 413, and no more than the slack is read of what follows."""
    sent: list[int] = []
    headers = {"content-type": "application/json"}
    size = 64 * 1024 * 1024
    if declared:
        headers["content-length"] = str(size)
    async with stage(tmp_path).client() as client:
        response = await client.post("/graphql", content=_pieces(size, sent), headers=headers)
    assert (response.status_code, code_of(response)) == (413, "PAYLOAD_TOO_LARGE")
    assert "connection" not in response.headers
    assert sum(sent) <= 3 * 1024 * 1024


async def test_a_slow_body_is_given_up(tmp_path: Path) -> None:
    """A body that does not arrive in time is 408."""

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    subject = stage(tmp_path, body_grace_seconds=0.05)
    async with subject.client() as client:
        response = await client.post("/graphql", content=slow(), headers={"content-type": "application/json"})
    assert (response.status_code, code_of(response)) == (408, "BAD_USER_INPUT")


@pytest.mark.parametrize(("token", "status", "code"), [("bad", 401, "UNAUTHENTICATED"), ("banned", 403, "FORBIDDEN")])
async def test_a_refused_sign_in(tmp_path: Path, token: str, status: int, code: str) -> None:
    """The status is honest for every client, and 401 names a way to sign in."""
    subject = stage(tmp_path)
    async with subject.client() as client:
        headers = {"authorization": token, "accept": "application/json"}
        response = await client.post("/graphql", json={"query": "{ hello }"}, headers=headers)
    assert (status, code) == (response.status_code, code_of(response))
    assert (status == 401) == (response.headers.get("www-authenticate") == "Bearer")


async def test_answers_are_never_cached(tmp_path: Path) -> None:
    """Answers belong to one person."""
    async with stage(tmp_path).client() as client:
        response = await client.post(
            "/graphql",
            content=json.dumps({"query": "{hello}"}),
            headers={"content-type": "application/json; charset=UTF-8"},
        )
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")

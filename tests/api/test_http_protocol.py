"""GraphQL over HTTP: what the public audit suite (graphql-http serverAudits) and the draft of the specification ask."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.http_stage import GRAPHQL_JSON, code_of, post, stage

JSON = "application/json"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (f"{GRAPHQL_JSON},{JSON};q=0.9", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};q=0.5, {JSON};q=0.9", JSON),
        (f"{JSON}, {GRAPHQL_JSON}", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};q=0, {JSON}", JSON),
        (f"{GRAPHQL_JSON}; charset=utf-8", GRAPHQL_JSON),
        ("application/graphql-response+json, application/json, text/event-stream, multipart/mixed", GRAPHQL_JSON),
        ("text/event-stream", JSON),
    ],
)
async def test_the_response_type_follows_accept(tmp_path: Path, accept: str | None, expected: str) -> None:
    """The client's weights decide, wildcards and silence mean application/json."""
    subject = stage(tmp_path)
    async with subject.client() as client:
        client.headers.pop("accept")
        headers = {"accept": accept} if accept else {}
        response = await client.post("/graphql", json={"query": "{ hello }"}, headers=headers)
    assert f"{expected}; charset=utf-8" == response.headers["content-type"]
    assert "Accept" in response.headers["vary"]
    assert response.json() == {"data": {"hello": "hello world"}}


FAILING = {
    "parse": ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
    "too many tokens": ({"query": "{" + "hello " * 1001 + "}"}, "GRAPHQL_PARSE_FAILED"),
    "too long": ({"query": "#" + "x" * 15_000 + "\n{hello}"}, "GRAPHQL_PARSE_FAILED"),
    "validation": ({"query": "{ nope }"}, "GRAPHQL_VALIDATION_FAILED"),
    "coercion": (
        {"query": "query($n: Int!) { double(number: $n) }", "variables": {"n": "x"}},
        "BAD_USER_INPUT",
    ),
    "missing variable": ({"query": "query($n: Int!) { double(number: $n) }"}, "BAD_USER_INPUT"),
    "several operations": ({"query": "query a { hello } query b { hello }"}, "BAD_USER_INPUT"),
    "unknown operation": ({"query": "query a { hello }", "operationName": "z"}, "BAD_USER_INPUT"),
}


@pytest.mark.parametrize(("body", "code"), FAILING.values(), ids=FAILING.keys())
@pytest.mark.parametrize(("accept", "status"), [(GRAPHQL_JSON, 400), (JSON, 200)])
async def test_a_request_error_has_no_data(
    tmp_path: Path, body: dict[str, Any], code: str, accept: str, status: int
) -> None:
    """Errors before execution: a code, no `data`, and 400 unless the client takes only application/json."""
    response = await post(stage(tmp_path), accept=accept, **body)
    assert (status, code) == (response.status_code, code_of(response))
    assert "data" not in response.json()


async def test_the_named_operation_runs(tmp_path: Path) -> None:
    """`operationName` chooses among several operations; an empty one counts as absent."""
    document = "query a { x: hello } query b { y: hello }"
    response = await post(stage(tmp_path), document, operationName="b")
    assert response.json() == {"data": {"y": "hello world"}}
    response = await post(stage(tmp_path), "query a { x: hello }", operationName="")
    assert response.json() == {"data": {"x": "hello world"}}


@pytest.mark.parametrize("name", ["variables", "operationName", "extensions"])
async def test_null_parameters_count_as_absent(tmp_path: Path, name: str) -> None:
    """`null` is allowed for every optional parameter."""
    response = await post(stage(tmp_path), "{ hello }", **{name: None})
    assert response.json() == {"data": {"hello": "hello world"}}


@pytest.mark.parametrize(
    ("name", "value"),
    [("query", 1), ("query", None), ("query", ""), ("query", ["{hello}"]), ("operationName", 1), ("operationName", {})]
    + [("variables", value) for value in ("x", 1, [1])]
    + [("extensions", value) for value in ("x", 1, [1])],
)
@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
async def test_parameters_of_a_wrong_type_are_refused(tmp_path: Path, name: str, value: Any, accept: str) -> None:
    """Invalid parameters give 400 and a GraphQL error whatever the client accepts."""
    response = await post(stage(tmp_path), **{"query": "{ hello }", name: value}, accept=accept)
    assert (response.status_code, code_of(response)) == (400, "BAD_USER_INPUT")


async def test_a_query_by_get(tmp_path: Path) -> None:
    """GET takes JSON-encoded variables, and empty parameters count as absent."""
    subject = stage(tmp_path)
    params = {"query": "query($n: String!) { hello(name: $n) }", "variables": json.dumps({"n": "é"})}
    async with subject.client() as client:
        full = await client.get("/graphql", params=params)
        empty = {"query": "{ hello }", "variables": "", "operationName": "", "extensions": ""}
        sparse = await client.get("/graphql", params=empty)
        broken = await client.get("/graphql", params={"query": "{ hello }", "variables": "{"})
        listed = await client.get("/graphql", params={"query": "{ hello }", "variables": "[]"})
    assert full.json() == {"data": {"hello": "hello é"}}
    assert sparse.json() == {"data": {"hello": "hello world"}}
    assert [broken.status_code, listed.status_code] == [400, 400]


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
async def test_a_mutation_by_get_is_not_run(tmp_path: Path, accept: str) -> None:
    """A link must change nothing: 405, and `Allow` says how."""
    async with stage(tmp_path).client() as client:
        params = {"query": "mutation { touch }"}
        response = await client.get("/graphql", params=params, headers={"accept": accept})
    assert (response.status_code, response.headers["allow"], code_of(response)) == (405, "POST", "BAD_USER_INPUT")


async def test_a_mutation_hidden_behind_a_query_is_not_run_by_get(tmp_path: Path) -> None:
    """The chosen operation decides, not the first in the document."""
    async with stage(tmp_path).client() as client:
        params = {"query": "query a { hello } mutation b { touch }", "operationName": "b"}
        response = await client.get("/graphql", params=params)
    assert response.status_code == 405


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_subscription_over_http_is_refused_with_a_hint(tmp_path: Path, method: str) -> None:
    """Subscriptions need the websocket."""
    query = "subscription { count(to: 2) }"
    async with stage(tmp_path).client() as client:
        if method == "GET":
            response = await client.get("/graphql", params={"query": query})
        else:
            response = await client.post("/graphql", json={"query": query})
    assert response.status_code == 400
    assert "graphql-transport-ws" in response.json()["errors"][0]["message"]


async def test_the_page_for_browsers(tmp_path: Path) -> None:
    """A browser that opens the address gets GraphiQL, before any sign-in; other clients get an error."""
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    subject = stage(tmp_path)
    async with subject.client() as client:
        page = await client.get("/graphql", headers={"accept": browser, "authorization": "bad"})
        anything = await client.get("/graphql", headers={"accept": "*/*"})
        both = await client.get("/graphql", headers={"accept": "application/json, text/html;q=0.1"})
        query = await client.get("/graphql", params={"query": "{hello}"}, headers={"accept": browser})
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "graphiql" in page.text.lower()
    assert [anything.status_code, both.status_code] == [400, 400]
    assert query.json() == {"data": {"hello": "hello world"}}


async def test_every_operation_has_its_own_context(tmp_path: Path) -> None:
    """Two requests never share a context."""
    subject = stage(tmp_path)
    answers = [(await post(subject, "{ contextNumber }")).json()["data"]["contextNumber"] for _ in range(2)]
    assert answers == [1, 2]
    assert subject.connections[0].params == {}
    assert subject.connections[0].client_host == "127.0.0.1"


async def test_data_with_field_errors_is_a_success(tmp_path: Path) -> None:
    """A failed field leaves the rest: 200 with data and errors."""
    response = await post(stage(tmp_path), "{ hello refused }")
    assert response.status_code == 200
    assert response.json()["data"] == {"hello": "hello world", "refused": None}
    assert code_of(response) == "FORBIDDEN"

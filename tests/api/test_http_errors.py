"""Masking: clients see coded errors, operators see the rest in the log, and the log never holds the document."""

import json
import logging
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from likeness.http.masking import MASKED_MESSAGE
from likeness.http.request_id import RequestIdMiddleware
from tests.api.http_stage import code_of, post, stage


@pytest.mark.parametrize("field", ["boom", "badId", "colour"])
async def test_an_unexpected_error_is_masked(tmp_path: Path, field: str) -> None:
    """Exceptions, ValueErrors and values that cannot be written alike: a fixed message, a code, the request id."""
    with capture_logs() as logs:
        query = f"query Secret($s: String!) {{ x: hello(name: $s) y: {field} }}"
        response = await post(stage(tmp_path), query, variables={"s": "a private prompt"})
    error = response.json()["errors"][0]
    assert (error["message"], error["extensions"]["code"]) == (MASKED_MESSAGE, "INTERNAL_SERVER_ERROR")
    assert error["path"] == ["y"]
    assert "hunter2" not in response.text
    assert "secret blue" not in response.text
    (line,) = [line for line in logs if line["event"] == "request.unexpected_error"]
    assert error["extensions"]["requestId"] == line["request_id"]
    assert line["path"] == ["y"]
    assert "private prompt" not in str(logs)
    assert "Secret(" not in str(logs)


async def test_a_coded_error_is_shown(tmp_path: Path) -> None:
    """What a resolver refuses on purpose keeps its message and is not logged as a failure."""
    with capture_logs() as logs:
        response = await post(stage(tmp_path), "{ refused }")
    assert (response.json()["errors"][0]["message"], code_of(response)) == ("not yours", "FORBIDDEN")
    assert logs == []


async def test_a_null_for_a_required_argument_is_the_clients_error(tmp_path: Path) -> None:
    """graphql-core finds this one only while executing: still BAD_USER_INPUT, not a failure of ours."""
    query = "query($n: Int = 1) { double(number: $n) }"
    response = await post(stage(tmp_path), query, variables={"n": None})
    assert code_of(response) == "BAD_USER_INPUT"


async def test_a_broken_sign_in_is_a_masked_500(tmp_path: Path) -> None:
    """A failure before execution is JSON too."""
    subject = stage(tmp_path)
    with capture_logs() as logs:
        async with subject.client() as client:
            headers = {"authorization": "explode"}
            response = await client.post("/graphql", json={"query": "{ hello }"}, headers=headers)
    assert (response.status_code, code_of(response)) == (500, "INTERNAL_SERVER_ERROR")
    assert "database" not in response.text
    assert len(logs) == 1


async def test_the_request_id_is_the_same_everywhere(tmp_path: Path) -> None:
    """Header, error and log line of one request carry one id, the client's when it is sane."""
    subject = stage(tmp_path)
    subject.app = RequestIdMiddleware(subject.app)  # type: ignore[assignment]
    with capture_logs() as logs:
        async with subject.client() as client:
            headers = {"x-request-id": "trace-7"}
            response = await client.post("/graphql", json={"query": "{ boom }"}, headers=headers)
    assert response.headers["x-request-id"] == "trace-7"
    assert response.json()["errors"][0]["extensions"]["requestId"] == "trace-7"
    assert [line["request_id"] for line in logs] == ["trace-7"]
    assert subject.connections[0].request_id == "trace-7"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\tb", "<script>", "-x"])
async def test_an_odd_request_id_is_replaced(tmp_path: Path, given: str) -> None:
    """Ids that could forge a log line are not taken over."""
    subject = stage(tmp_path)
    subject.app = RequestIdMiddleware(subject.app)  # type: ignore[assignment]
    async with subject.client() as client:
        response = await client.post("/graphql", json={"query": "{ hello }"}, headers={"x-request-id": given})
    assert len(response.headers["x-request-id"]) == 32


async def test_a_flood_of_bad_fields_gives_five_short_errors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One request can cause thousands of errors; few are answered and none fills the log."""
    long = "x" * 300
    query = "{ tree {" + " ".join(f"{long}{number}" for number in range(40)) + "} }"
    with capture_logs() as logs:
        response = await post(stage(tmp_path), query)
    errors = response.json()["errors"]
    assert len(errors) == 5
    assert max(len(error["message"]) for error in errors) <= 200
    assert len(json.dumps(logs) + caplog.text) < 4096
    assert code_of(response) == "GRAPHQL_VALIDATION_FAILED"


async def test_many_failures_fill_no_log(tmp_path: Path) -> None:
    """Three failures of one request are logged in full, the others counted; the client gets each."""
    with capture_logs() as logs:
        response = await post(stage(tmp_path), "{" + " ".join(f"a{number}: boom" for number in range(10)) + "}")
    assert len(response.json()["errors"]) == 10
    assert [line["event"] for line in logs] == ["request.unexpected_error"] * 3 + ["request.more_unexpected_errors"]
    assert logs[-1]["count"] == 7


async def test_strawberry_does_not_log_the_document(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its own error log quotes the query; it stays silent also after a server has set logging up."""
    subject = stage(tmp_path)
    logging.getLogger("strawberry.execution").disabled = False
    with capture_logs():
        for query in ("{ privatePrompt", "query PrivatePrompt { boom nope }", "query PrivatePrompt { boom }"):
            await post(subject, query)
    assert "rivatePrompt" not in caplog.text

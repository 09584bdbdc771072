"""GraphQL responses over HTTP: status, media type and body (GraphQL over HTTP, section 6)."""

import json
from collections.abc import Mapping
from typing import Any, Final

from graphql import GraphQLError
from starlette.responses import Response
from strawberry.types import ExecutionResult

from likeness.http.errors import Code, RequestRefused
from likeness.http.masking import client_errors
from likeness.http.negotiation import GRAPHQL_JSON, response_type

_HEADERS: Final = {"vary": "Accept", "cache-control": "no-store", "x-content-type-options": "nosniff"}


def result_response(result: ExecutionResult, *, accept: str | None) -> Response:
    """The answer to an operation.

    One that failed before execution has no `data`, and status 400, or 200 for a client that takes only
    application/json: such a client reads other statuses as a failed transport.
    """
    errors = client_errors(result.errors or ())
    body: dict[str, Any] = {"errors": [error.formatted for error in errors]} if errors else {}
    began = result.data is not None or any(error.path is not None for error in errors)
    if began or not errors:
        body["data"] = result.data
    if result.extensions:
        body["extensions"] = result.extensions
    return _json(body, status=200 if "data" in body else _failed_status(errors, accept), accept=accept)


def refusal_response(refusal: RequestRefused, *, accept: str | None) -> Response:
    """The answer to a request that was refused as such."""
    return _json({"errors": [refusal.formatted]}, status=refusal.status, accept=accept, headers=refusal.headers)


def failure_response(error: GraphQLError, *, accept: str | None) -> Response:
    """The answer when serving the request failed on our side."""
    return _json({"errors": [error.formatted]}, status=500, accept=accept)


def _failed_status(errors: list[GraphQLError], accept: str | None) -> int:
    if any((error.extensions or {}).get("code") == Code.INTERNAL for error in errors):
        return 500
    return 400 if response_type(accept) == GRAPHQL_JSON else 200


def _json(body: object, *, status: int, accept: str | None, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    kind = f"{response_type(accept)}; charset=utf-8"
    return Response(text.encode(), status_code=status, headers={**_HEADERS, **(headers or {})}, media_type=kind)

"""The GraphQL operation that a request asks for, checked for form (GraphQL over HTTP, request parameters)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from likeness.http.errors import BadInput
from likeness.http.strict_json import strict_loads

# The name is quoted in errors.
MAX_NAME: Final = 128


@dataclass(frozen=True, kw_only=True)
class OperationRequest:
    """One operation as the client sent it."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None
    extensions: dict[str, Any] | None


def operation_from_params(params: Mapping[str, str]) -> OperationRequest:
    """Read the parameters of a GET; an empty one counts as absent. Raises `BadInput`."""
    given: dict[str, Any] = {name: value for name, value in params.items() if value != ""}
    for name in ("variables", "extensions"):
        if name in given:
            given[name] = parsed_json(given[name], what=f"`{name}`")
    return operation_from_json(given)


def operation_from_json(body: Any) -> OperationRequest:
    """Read a decoded JSON body. Raises `BadInput`."""
    if isinstance(body, list):
        raise BadInput("Batches are not taken: send one operation per request.")
    if not isinstance(body, dict):
        raise BadInput("The body must be a JSON object with a `query`.")
    query = body.get("query")
    if not isinstance(query, str) or not query.strip():
        raise BadInput("`query` must be a string that holds a GraphQL document.")
    return OperationRequest(
        query=query,
        variables=_object_or_none(body, "variables"),
        operation_name=_name(body.get("operationName")),
        extensions=_object_or_none(body, "extensions"),
    )


def parsed_json(data: str | bytes, *, what: str) -> Any:
    """Decode strict JSON. Raises `BadInput` that names `what`."""
    try:
        return strict_loads(data)
    except json.JSONDecodeError as error:
        raise BadInput(f"{what} is not valid JSON: {error.msg}.") from None


def _object_or_none(body: dict[str, Any], name: str) -> dict[str, Any] | None:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadInput(f"`{name}` must be an object.")
    return value


def _name(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and len(value) <= MAX_NAME):
        raise BadInput(f"`operationName` must be a string of at most {MAX_NAME} characters.")
    return value or None

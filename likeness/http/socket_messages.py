"""The form of a client's graphql-transport-ws messages (PROTOCOL.md of graphql-ws), checked first."""

from typing import Any, Final

MAX_ID: Final = 128

_WITH_PAYLOAD: Final = ("connection_init", "ping", "pong")
_WITH_ID: Final = ("subscribe", "complete")


def message_problem(message: object) -> str | None:
    """Why a decoded message is invalid, short enough for a close reason (123 bytes); None when it is well-formed."""
    if not isinstance(message, dict):
        return "A message must be an object"
    kind = message.get("type")
    if kind in _WITH_PAYLOAD:
        return _object_problem(message, "payload")
    if kind not in _WITH_ID:
        return "Unknown message type"
    return _id_problem(message.get("id")) or (_subscribe_problem(message) if kind == "subscribe" else None)


def _id_problem(id: object) -> str | None:
    if not isinstance(id, str) or not 0 < len(id) <= MAX_ID:
        return f"`id` must be a string of 1 to {MAX_ID} characters"
    return None


def _subscribe_problem(message: dict[str, Any]) -> str | None:
    payload = message.get("payload")
    if not isinstance(payload, dict):
        return "`payload` must be an object"
    if not isinstance(payload.get("query"), str):
        return "`query` must be a string"
    name = payload.get("operationName")
    if name is not None and not isinstance(name, str):
        return "`operationName` must be a string"
    return _object_problem(payload, "variables") or _object_problem(payload, "extensions")


def _object_problem(container: dict[str, Any], key: str) -> str | None:
    value = container.get(key)
    return None if value is None or isinstance(value, dict) else f"`{key}` must be an object"

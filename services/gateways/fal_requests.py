"""fal's list of recent requests, read defensively (fal.ai/docs/platform-apis/v1/models/requests/by-endpoint)."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

LIST_URL = "https://api.fal.ai/v1/models/requests/by-endpoint"
PAGE_ENTRIES = 100
MAX_PAGES = 5


def query(endpoint: str, *, cursor: str | None) -> dict[str, str | int]:
    """The parameters of one page; without a start time fal looks back 24 hours."""
    wanted: dict[str, str | int] = {"endpoint_id": endpoint, "expand": "payloads", "limit": PAGE_ENTRIES}
    return wanted | ({"cursor": cursor} if cursor else {})


def next_cursor(page: Any) -> str | None:
    """Where the next page begins, or None."""
    cursor = page.get("next_cursor") if isinstance(page, dict) and page.get("has_more") else None
    return cursor if isinstance(cursor, str) else None


def matching(page: Any, needle: str, *, arguments: Mapping[str, Any], since: datetime) -> Iterator[tuple[str, str]]:
    """When (sortable text) and the request id of each entry whose input or webhook address contains the needle.

    Its input must have each of `arguments`, and it must not have been sent before `since`.
    """
    for entry in _entries(page):
        id = entry.get("request_id") or entry.get("id")
        sent = str(entry.get("sent_at") or entry.get("started_at") or entry.get("created_at") or "")
        if isinstance(id, str) and _mentions(entry, needle) and _has(entry, arguments) and not _before(sent, since):
            yield sent, id


def _entries(page: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(page, dict):
        page = next((page[name] for name in ("items", "requests", "data") if isinstance(page.get(name), list)), [])
    return (entry for entry in page if isinstance(entry, dict)) if isinstance(page, list) else iter(())


def _mentions(entry: Mapping[str, Any], needle: str) -> bool:
    """What the model answered does not count: it may quote another request."""
    asked = {name: value for name, value in entry.items() if "output" not in name and "response" not in name}
    text = json.dumps(asked, ensure_ascii=False, default=str)
    return bool(needle) and needle in text


def _has(entry: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    """Whether the input has each argument; it may have more, such as the model's defaults."""
    given = entry.get("json_input") or entry.get("input")
    asked = given if isinstance(given, dict) else {}
    return all(asked.get(name) == value for name, value in arguments.items())


def _before(sent: str, since: datetime) -> bool:
    """Whether it was sent earlier; a time that cannot be read rules nothing out."""
    try:
        moment = datetime.fromisoformat(sent)
    except ValueError:
        return False
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) < since

"""fal's list of recent requests, read defensively (fal.ai/docs/platform-apis/v1/models/requests/by-endpoint)."""

import json
from collections.abc import Iterator, Mapping, Sequence
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


def matching(page: Any, needles: Sequence[str]) -> Iterator[tuple[str, str]]:
    """When (sortable text) and the request id of each entry whose input or webhook address contains a needle."""
    for entry in _entries(page):
        id = entry.get("request_id") or entry.get("id")
        if isinstance(id, str) and _mentions(entry, needles):
            yield str(entry.get("sent_at") or entry.get("started_at") or entry.get("created_at") or ""), id


def _entries(page: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(page, dict):
        page = next((page[name] for name in ("items", "requests", "data") if isinstance(page.get(name), list)), [])
    return (entry for entry in page if isinstance(entry, dict)) if isinstance(page, list) else iter(())


def _mentions(entry: Mapping[str, Any], needles: Sequence[str]) -> bool:
    """What the model answered does not count: it may quote another request."""
    asked = {name: value for name, value in entry.items() if "output" not in name and "response" not in name}
    text = json.dumps(asked, ensure_ascii=False, default=str)
    return any(needle in text for needle in needles if needle)

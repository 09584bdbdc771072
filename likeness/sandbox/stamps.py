"""Times as fal writes them."""

from datetime import UTC, datetime


def stamp(seconds: float) -> str:
    """Unix seconds as ISO 8601 in UTC with microseconds and a Z."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

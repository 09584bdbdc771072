"""What every call needs: a key or token, and headers that say how long a file shall live."""

import json

from starlette.exceptions import HTTPException
from starlette.requests import Request

_LIFE_HEADERS = ("x-fal-object-lifecycle", "x-fal-object-lifecycle-preference")


def require_key(request: Request, *, schemes: tuple[str, ...] = ("key",)) -> None:
    """Raises HTTPException 401 without `Authorization: Key ...`; any key that is not empty is good."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in schemes or not secret.strip():
        raise HTTPException(401, "Authentication is required")


def life_seconds(request: Request) -> int | None:
    """The `expiration_duration_seconds` a caller wants for its files; None is for ever."""
    for header in _LIFE_HEADERS:
        try:
            wish = json.loads(request.headers.get(header, "null"))
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, f"{header} is not JSON") from error
        seconds = wish.get("expiration_duration_seconds") if isinstance(wish, dict) else None
        if isinstance(seconds, int) and seconds > 0:
            return seconds
    return None

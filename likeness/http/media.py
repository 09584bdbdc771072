"""GET /media: the files of the local asset store."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from services.ports import StoreRefused

# Anything else is offered as a download, so that a file can never act as a page of ours.
_TYPES: Final = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".zip": "application/zip",
    ".json": "application/json",
}
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "cross-origin",
}
# A public name is deterministic and its content final; a signed address may expire soon and is for one person.
_PUBLIC: Final = "public, max-age=31536000, immutable"
_PRIVATE: Final = "private, max-age=60"


async def _nothing(path: str) -> None:
    """Every file is there already."""


def media_route(
    root: Path,
    verify: Callable[[str, Mapping[str, str]], bool],
    prepare: Callable[[str], Awaitable[None]] = _nothing,
) -> Route:
    """The route /media/{path}.

    `verify(path, query parameters)` says whether the address is good: 403 when not. `prepare(path)` makes files that
    are made when first asked for. 404 when the file is gone, or cannot be made.
    Ranges and conditional requests are answered by Starlette.
    """

    async def serve(request: Request) -> Response:
        path = request.path_params["path"]
        if not verify(path, dict(request.query_params)):
            return _refusal(403, "FORBIDDEN", "This address is not valid, or no longer.")
        try:
            await prepare(path)
        except StoreRefused:
            return _refusal(404, "NOT_FOUND", "There is no such file.")
        file = await to_thread.run_sync(_file_below, root, path)
        if file is None:
            return _refusal(404, "NOT_FOUND", "There is no such file.")
        caching = _PRIVATE if request.query_params else _PUBLIC
        kind = _TYPES.get(file.suffix.lower(), "application/octet-stream")
        return FileResponse(file, media_type=kind, headers={**_HEADERS, "cache-control": caching})

    return Route("/media/{path:path}", serve, methods=["GET"])


def _file_below(root: Path, path: str) -> Path | None:
    parts = path.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        return None
    base = root.resolve()
    try:
        file = base.joinpath(*parts).resolve()
        return file if file.is_relative_to(base) and file.is_file() else None
    except OSError:
        # A name that is too long for the file system.
        return None


def _refusal(status: int, code: str, message: str) -> Response:
    body = {"errors": [{"message": message, "extensions": {"code": code}}]}
    return JSONResponse(body, status_code=status, headers={**_HEADERS, "cache-control": "no-store"})

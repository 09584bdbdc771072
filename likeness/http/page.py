"""GraphiQL, which a browser gets at the address of the API, and the files that it loads: all of them are ours."""

import hashlib
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

FOLDER: Final = Path(__file__).parent / "graphiql"
TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

_NOSNIFF: Final = {"x-content-type-options": "nosniff"}
_PAGE_HEADERS: Final = {
    **_NOSNIFF,
    "cache-control": "no-cache",
    "vary": "Accept",
    "x-frame-options": "DENY",
    # GraphiQL's editor sets inline styles, and its fonts lie inside its style sheet.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


def page_response() -> Response:
    """The page itself."""
    return HTMLResponse(_PAGE, headers=_PAGE_HEADERS)


def page_files_route() -> Route:
    """The route /graphql/assets/{digest}/{name}.

    The digest is that of all files together, so that what is at an address never changes; anything else is 404.
    """

    async def serve(request: Request) -> Response:
        file = _FILES.get(request.path_params["name"])
        if file is None or request.path_params["digest"] != _DIGEST:
            body = {"errors": [{"message": "There is no such file.", "extensions": {"code": "NOT_FOUND"}}]}
            return JSONResponse(body, status_code=404, headers={**_NOSNIFF, "cache-control": "no-store"})
        headers = {**_NOSNIFF, "cache-control": "public, max-age=31536000, immutable"}
        return FileResponse(file, media_type=TYPES[file.suffix], headers=headers)

    return Route("/graphql/assets/{digest}/{name}", serve, methods=["GET"])


def _digest(files: dict[str, Path]) -> str:
    whole = hashlib.sha256()
    for name, file in files.items():
        whole.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()[:16]


_FILES: Final = {file.name: file for file in sorted(FOLDER.iterdir()) if file.suffix in TYPES}
_DIGEST: Final = _digest(_FILES)
_PAGE: Final = (FOLDER / "index.html").read_text("utf-8").replace("{digest}", _DIGEST)

"""The storage as fal-client speaks to it: token, single upload, multipart upload, promised upload, and the files."""

import asyncio
import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from likeness.sandbox.answers import Answer
from likeness.sandbox.bodies import read_json_body, read_to
from likeness.sandbox.guards import life_seconds, require_key
from likeness.sandbox.sandbox import Sandbox
from likeness.sandbox.stamps import stamp
from likeness.sandbox.storage import FILE_LIMIT, NoSuchUpload, TooLarge, Upload

TOKEN_SECONDS = 3600
PART_BYTES = 64 << 20
PART_COUNT = 10_000
SMALL_JSON = 1 << 20
DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class StorageRoutes:
    """Handlers over one sandbox."""

    sandbox: Sandbox

    def routes(self) -> list[Route]:
        """The routes; a multipart upload lives under its file's address, as at fal."""
        part = "/files/sandbox/{id}/{name}/multipart/{upload}/{number:int}"
        done = "/files/sandbox/{id}/{name}/multipart/{upload}/complete"
        return [
            Route("/storage/auth/token", self.token, methods=["POST"]),
            Route("/storage/upload/initiate", self.initiate, methods=["POST"]),
            Route("/files/upload", self.upload, methods=["POST"]),
            Route("/files/upload/multipart", self.begin, methods=["POST"]),
            Route("/files/promised/{upload}", self.fulfil, methods=["PUT"]),
            Route(part, self.part, methods=["PUT"]),
            Route(done, self.complete, methods=["POST"]),
            Route("/files/sandbox/{id}/{name}", self.file, methods=["GET"]),
            Route("/files/{rest:path}", self.nothing, methods=["GET", "POST", "PUT"]),
        ]

    async def token(self, request: Request) -> Response:
        """A token for uploads; the sandbox takes any."""
        require_key(request)
        return Answer(
            {
                "token": secrets.token_urlsafe(24),
                "token_type": "Bearer",
                "base_url": self.sandbox.media_base,
                "expires_at": stamp(self.sandbox.now() + TOKEN_SECONDS).replace("Z", "+00:00"),
            }
        )

    async def upload(self, request: Request) -> Response:
        """Keep the raw body as a file."""
        require_key(request, schemes=("bearer", "key"))
        storage = self.sandbox.storage
        draft = await asyncio.to_thread(storage.draft)
        await read_to(request, draft, limit=FILE_LIMIT)
        keep = partial(storage.keep, draft, life_seconds=life_seconds(request), **_named(request))
        file = await asyncio.to_thread(keep)
        return Answer({"access_url": storage.url(file)})

    async def initiate(self, request: Request) -> Response:
        """Promise a file whose bytes come with a PUT to the address given out."""
        require_key(request)
        body = await read_json_body(request, limit=SMALL_JSON)
        if not isinstance(body, dict):
            raise HTTPException(422, "file_name and content_type are required")
        begin = partial(
            self.sandbox.storage.begin,
            name=str(body.get("file_name") or "upload.bin"),
            content_type=_type(str(body.get("content_type") or DEFAULT_TYPE)),
            life_seconds=life_seconds(request),
        )
        upload = await asyncio.to_thread(begin)
        address = f"{self.sandbox.media_base}/files/promised/{upload.id}"
        return Answer({"upload_url": address, "file_url": self.sandbox.storage.url(upload)})

    async def fulfil(self, request: Request) -> Response:
        """Keep the bytes of a promised file; the address itself is the permission."""
        storage, upload = self.sandbox.storage, await self._upload(request)
        draft = await asyncio.to_thread(storage.draft)
        await read_to(request, draft, limit=FILE_LIMIT)
        await asyncio.to_thread(storage.finish, upload, draft)
        return Response(status_code=200)

    async def begin(self, request: Request) -> Response:
        """Begin a multipart upload."""
        require_key(request, schemes=("bearer", "key"))
        storage = self.sandbox.storage
        begin = partial(storage.begin, life_seconds=life_seconds(request), **_named(request))
        upload = await asyncio.to_thread(begin)
        return Answer({"access_url": storage.url(upload), "uploadId": upload.id})

    async def part(self, request: Request) -> Response:
        """Keep one part; its ETag is asked for again at the end."""
        require_key(request, schemes=("bearer", "key"))
        storage, upload, number = self.sandbox.storage, await self._upload(request), request.path_params["number"]
        if not 1 <= number <= PART_COUNT:
            raise HTTPException(400, f"The part number must be 1 to {PART_COUNT}")
        draft = await asyncio.to_thread(storage.draft)
        await read_to(request, draft, limit=PART_BYTES)
        try:
            etag = await self.sandbox.heavy(partial(storage.keep_part, upload, draft, number=number))
        except TooLarge as error:
            raise HTTPException(413, "File too large") from error
        return Response(status_code=200, headers={"ETag": etag})

    async def complete(self, request: Request) -> Response:
        """Join the parts."""
        require_key(request, schemes=("bearer", "key"))
        storage, upload = self.sandbox.storage, await self._upload(request)
        parts = _parts(await read_json_body(request, limit=SMALL_JSON))
        try:
            file = await self.sandbox.heavy(partial(storage.complete, upload, parts))
        except NoSuchUpload as error:
            raise HTTPException(400, "A part is missing or has another ETag") from error
        return Answer({"access_url": storage.url(file)})

    async def file(self, request: Request) -> Response:
        """The bytes of a file, to anybody who knows its address."""
        id, name = request.path_params["id"], request.path_params["name"]
        file = await asyncio.to_thread(self.sandbox.storage.find, id, name)
        if file is None:
            raise HTTPException(404, "File not found")
        # What strangers uploaded must not run as a page of this host.
        headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}
        return FileResponse(file.path, media_type=file.content_type, headers=headers)

    async def nothing(self, request: Request) -> Response:
        """Any other address of the storage."""
        raise HTTPException(404, "File not found")

    async def _upload(self, request: Request) -> Upload:
        try:
            upload = await asyncio.to_thread(self.sandbox.storage.upload, request.path_params["upload"])
        except NoSuchUpload as error:
            raise HTTPException(404, "Upload not found") from error
        if request.path_params.get("id", upload.file_id) != upload.file_id:
            raise HTTPException(404, "Upload not found")
        return upload


def _named(request: Request) -> dict[str, str]:
    name = request.headers.get("x-fal-file-name") or "upload.bin"
    return {"name": name, "content_type": _type(request.headers.get("content-type") or DEFAULT_TYPE)}


def _type(text: str) -> str:
    plain = text.isascii() and text.isprintable() and "/" in text and len(text) <= 100
    return text if plain else DEFAULT_TYPE


def _parts(body: Any) -> list[tuple[int, str]]:
    try:
        parts = [(int(part["partNumber"]), str(part["etag"])) for part in body["parts"]]
    except (KeyError, TypeError, ValueError) as error:
        raise HTTPException(400, "parts must be a list of {partNumber, etag}") from error
    if not parts or len(dict(parts)) != len(parts):
        raise HTTPException(400, "parts must name every part once")
    return parts

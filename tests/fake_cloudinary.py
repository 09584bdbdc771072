"""A Cloudinary on 127.0.0.1 for tests: checks signatures, keeps files, delivers them, and fails when told to."""

import asyncio
import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

CLOUD, KEY, SECRET = "demo", "123456789012345", "s3cret-of-the-cloud"
UNSIGNED = {"file", "api_key", "resource_type", "cloud_name", "signature"}
Place = tuple[str, str, str]  # resource type, type, public id


@dataclass
class FakeCloudinary:
    """`will` sets the next answers of upload, destroy, ping or read; the last of them stays."""

    base: str = ""
    files: dict[Place, bytes] = field(default_factory=dict)
    formats: dict[Place, str] = field(default_factory=dict)
    uploads: list[dict[str, str]] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _chunks: dict[str, bytes] = field(default_factory=lambda: defaultdict(bytes))
    _script: dict[str, list[Any]] = field(default_factory=dict)

    def will(self, operation: str, *steps: Any) -> None:
        """A step is a Response, a number of seconds to be silent, or None for the good answer."""
        self._script[operation] = list(steps)

    @property
    def app(self) -> Starlette:
        """The upload API, the admin API and the delivery in one."""
        api = f"/v1_1/{CLOUD}"
        return Starlette(
            routes=[
                Route(api + "/ping", self._played("ping", self._ping), methods=["GET"]),
                Route(api + "/{resource_type}/upload", self._played("upload", self._upload), methods=["POST"]),
                Route(api + "/{resource_type}/destroy", self._played("destroy", self._destroy), methods=["POST"]),
                Route(api + "/{resource_type}/download", self._played("download", self._download), methods=["GET"]),
                Route(f"/{CLOUD}" + "/{path:path}", self._played("read", self._read), methods=["GET"]),
            ]
        )

    def _played(self, operation: str, good: Any) -> Any:
        async def handler(request: Request) -> Response:
            self.calls[operation] += 1
            steps = self._script.get(operation) or [None]
            step = steps.pop(0) if len(steps) > 1 else steps[0]
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif step is not None:
                return step
            return await good(request)

        return handler

    async def _ping(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"}) if "authorization" in request.headers else refused(401, "no key")

    async def _upload(self, request: Request) -> Response:
        async with request.form(max_part_size=64 << 20) as form:
            data = await form["file"].read()  # type: ignore[union-attr]
            sent = {name: value for name, value in form.items() if isinstance(value, str)}
        if not _genuine(sent):
            return refused(401, f"Invalid Signature. String to sign - '{_to_sign(sent)}' for {sent.get('api_key')}.")
        self.uploads.append(sent)
        id = "/".join(part for part in (sent.get("folder"), sent["public_id"]) if part)
        place = (request.path_params["resource_type"], sent.get("type") or "upload", id)
        if (span := request.headers.get("content-range")) is not None:
            upload = request.headers["x-unique-upload-id"]
            data = self._chunks[upload] = self._chunks[upload] + data
            last, total = span.removeprefix("bytes ").partition("-")[2].split("/")
            if int(last) + 1 < int(total):
                return JSONResponse({"done": False, "public_id": id})
        self.files[place], self.formats[place] = data, "" if place[0] == "raw" else "png"
        return JSONResponse(self._answer(place))

    def _answer(self, place: Place) -> dict[str, Any]:
        resource_type, type, id = place
        name = f"{id}.{self.formats[place]}" if self.formats[place] else id
        signed = "" if type == "upload" else f"s--{_url_signature(name)}--/"
        address = f"{self.base}/{CLOUD}/{resource_type}/{type}/{signed}v{time.time_ns()}/{name}"
        known = {"format": self.formats[place]} if self.formats[place] else {}
        return {"public_id": id, "secure_url": address, "api_key": KEY, "type": type, **known}

    async def _destroy(self, request: Request) -> Response:
        async with request.form() as form:
            sent = {name: str(value) for name, value in form.items()}
        if not _genuine(sent):
            return refused(401, "Invalid Signature")
        place = (request.path_params["resource_type"], sent.get("type") or "upload", sent["public_id"])
        return JSONResponse({"result": "ok" if self.files.pop(place, None) is not None else "not found"})

    async def _download(self, request: Request) -> Response:
        sent = dict(request.query_params)
        if not _genuine(sent) or int(sent.get("expires_at", 0)) < time.time():
            return refused(401, "Invalid Signature")
        data = self.files.get((request.path_params["resource_type"], sent["type"], sent["public_id"]))
        return Response(status_code=404) if data is None else Response(data)

    async def _read(self, request: Request) -> Response:
        resource_type, type, *rest = request.path_params["path"].split("/")
        signature = rest.pop(0) if type == "authenticated" else None
        name = "/".join(rest[1:])
        if signature is not None and signature != f"s--{_url_signature(name)}--":
            return Response(status_code=401)
        id = name if resource_type == "raw" else name.rpartition(".")[0]
        data = self.files.get((resource_type, type, id))
        return Response(status_code=404) if data is None else Response(data)


def refused(status: int, message: str) -> Response:
    """An error as Cloudinary writes it."""
    return JSONResponse({"error": {"message": message}}, status)


def page(status: int) -> Response:
    """An error of a proxy before Cloudinary."""
    return PlainTextResponse("<html>nginx</html>", status)


def _to_sign(sent: dict[str, str]) -> str:
    """cloudinary.com/documentation/authentication_signatures: sorted pairs, `&` escaped in values."""
    pairs = sorted(f"{name}={value}" for name, value in sent.items() if name not in UNSIGNED and value)
    return "&".join(pair.replace("&", "%26") for pair in pairs)


def _genuine(sent: dict[str, str]) -> bool:
    wanted = hashlib.sha1((_to_sign(sent) + SECRET).encode()).hexdigest()
    return sent.get("api_key") == KEY and sent.get("signature") == wanted


def _url_signature(name: str) -> str:
    return hashlib.sha1((name + SECRET).encode()).hexdigest()[:8]


@contextmanager
def running_cloudinary() -> Iterator[FakeCloudinary]:
    """Served in a thread until the block ends; `base` is its address."""
    fake = FakeCloudinary()
    server = uvicorn.Server(uvicorn.Config(fake.app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        fake.base = f"http://127.0.0.1:{port}"
        yield fake
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join()

"""A scripted fal for tests: well-behaved until a test tells an operation how to fail, and it counts what it is sent."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import fal_client.client
import pytest
import stamina
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.gateways.fal import FalProvider, FalTimeouts
from services.ports import ProviderJob

QUEUE = "https://queue.fal.run"
MEDIA = "https://v3.fal.media"
STALL = object()
PICTURE = bytes(range(256)) * 2048
IMAGE = "fal-ai/flux-lora"
TRAINING = "fal-ai/flux-lora-fast-training"
PROMPT = {"prompt": "a portrait"}
DAY = timedelta(days=1)
LIMIT = 64 << 20
_NOBODY = f"{QUEUE}/{IMAGE}/requests/00000000-0000-0000-0000-000000000000"
UNKNOWN_JOB = ProviderJob(
    request_id=_NOBODY.rpartition("/")[2],
    status_url=f"{_NOBODY}/status",
    response_url=_NOBODY,
    cancel_url=f"{_NOBODY}/cancel",
)


@dataclass
class Job:
    """An accepted, paid request."""

    id: str
    endpoint: str
    arguments: dict[str, Any]
    webhook: str | None
    headers: dict[str, str]
    over: bool = False

    @property
    def urls(self) -> dict[str, str]:
        base = f"{QUEUE}/{'/'.join(self.endpoint.split('/')[:2])}/requests/{self.id}"
        return {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}


@dataclass
class FakeFal:
    """Steps given to `will` are played one by one; the last is played for ever.

    A step is a Response, an exception to raise (what httpx raises when a connection fails), or STALL.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    files: dict[str, bytes] = field(default_factory=dict)
    upload_headers: list[dict[str, str]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    file_headers: list[dict[str, str]] = field(default_factory=list)
    _script: dict[str, list[Any]] = field(default_factory=dict)

    def will(self, operation: str, *steps: Any) -> None:
        """Tell submit, status, result, cancel, list, token, upload or file what to do next."""
        self._script[operation] = list(steps)

    @property
    def app(self) -> Starlette:
        """The ASGI app; the path says what a call is."""
        job = "/{owner}/{alias}/requests/{id}"
        return Starlette(
            routes=[
                Route("/v1/models/requests/by-endpoint", self._played("list", self._list), methods=["GET"]),
                Route("/storage/auth/token", self._played("token", self._token), methods=["POST"]),
                Route("/storage/upload/initiate", self._played("initiate", self._initiate), methods=["POST"]),
                Route("/files/upload", self._played("upload", self._upload), methods=["POST"]),
                Route("/files/upload/multipart", self._played("multipart", self._begin), methods=["POST"]),
                Route("/files/big/multipart/1/complete", self._complete, methods=["POST"]),
                Route("/files/big/multipart/1/{part:int}", self._played("part", self._part), methods=["PUT"]),
                Route("/files/{name}", self._played("file", self._file), methods=["GET"]),
                Route(f"{job}/status", self._played("status", self._status), methods=["GET"]),
                Route(f"{job}/cancel", self._played("cancel", self._cancel), methods=["PUT"]),
                Route(job, self._played("result", self._result), methods=["GET"]),
                Route("/{endpoint:path}", self._played("submit", self._submit), methods=["POST"]),
            ]
        )

    def _played(self, operation: str, good: Any) -> Any:
        async def handler(request: Request) -> Response:
            self.calls[operation] += 1
            answer = await good(request)
            steps = self._script.get(operation)
            if not steps:
                return answer
            step = steps.pop(0) if len(steps) > 1 else steps[0]
            if step is STALL:
                await asyncio.Event().wait()
            if isinstance(step, Exception):
                raise step
            return step or answer

        return handler

    async def _submit(self, request: Request) -> Response:
        endpoint = request.path_params["endpoint"]
        if endpoint.endswith("/nothing"):
            return JSONResponse({"detail": "Application 'nothing' not found"}, 404)
        id = f"request-{len(self.jobs) + 1}"
        webhook = request.query_params.get("fal_webhook")
        self.jobs[id] = Job(id, endpoint, await request.json(), webhook, dict(request.headers))
        return JSONResponse({"request_id": id, "status": "IN_QUEUE", "queue_position": 0, **self.jobs[id].urls})

    async def _status(self, request: Request) -> Response:
        job = self.jobs.get(request.path_params["id"])
        if job is None:
            return JSONResponse({"status": "NOT_FOUND"}, 404)
        wants = request.query_params["logs"] == "true"
        logs = [{"message": "step 1/2", "level": "INFO"}, {"message": None}] if wants else None
        if not job.over:
            return JSONResponse({"status": "IN_PROGRESS", "logs": logs}, 202)
        failed = {"error": "Internal server error"} if "[fail]" in str(job.arguments) else {}
        return JSONResponse({"status": "COMPLETED", "logs": logs, "metrics": {}, **failed})

    async def _result(self, request: Request) -> Response:
        job = self.jobs.get(request.path_params["id"])
        if job is None:
            return JSONResponse({"status": "NOT_FOUND"}, 404)
        if not job.over:
            return JSONResponse({"detail": "Request is still in progress"}, 400)
        if "[fail]" in str(job.arguments):
            return JSONResponse({"detail": "Internal server error", "error_type": "internal_error"}, 500)
        if "[policy]" in str(job.arguments):
            return unprocessable("prompt", msg="flagged", type="content_policy_violation")
        if isinstance(job.arguments.get("images_data_url"), list):
            return unprocessable("images_data_url", msg="str type expected", type="type_error.str")
        self.files["out.png"] = PICTURE
        image = {"url": f"{MEDIA}/files/out.png", "content_type": "image/png"}
        return JSONResponse({"images": [image]})

    async def _cancel(self, request: Request) -> Response:
        job = self.jobs.get(request.path_params["id"])
        if job is None:
            return JSONResponse({"status": "NOT_FOUND"}, 404)
        if job.over:
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)

    async def _list(self, request: Request) -> Response:
        self.queries.append(dict(request.query_params))
        wanted = [job for job in self.jobs.values() if job.endpoint == request.query_params["endpoint_id"]]
        items = [
            {"request_id": job.id, "json_input": job.arguments, "sent_at": f"2026-01-01T00:00:{n:02}Z"}
            for n, job in enumerate(wanted)
        ]
        return JSONResponse({"items": items, "next_cursor": None, "has_more": False})

    async def _token(self, _: Request) -> Response:
        expires = "2099-01-01T00:00:00+00:00"
        return JSONResponse({"token": "t", "token_type": "Bearer", "base_url": MEDIA, "expires_at": expires})

    async def _initiate(self, _: Request) -> Response:
        return JSONResponse({"detail": "down"}, 500)

    async def _upload(self, request: Request) -> Response:
        self.upload_headers.append(dict(request.headers))
        self.files["small"] = await request.body()
        return JSONResponse({"access_url": f"{MEDIA}/files/small"})

    async def _begin(self, request: Request) -> Response:
        self.upload_headers.append(dict(request.headers))
        return JSONResponse({"access_url": f"{MEDIA}/files/big", "uploadId": "1"})

    async def _part(self, request: Request) -> Response:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
        return Response(headers={"ETag": f'"{size}"'})

    async def _complete(self, request: Request) -> Response:
        parts = (await request.json())["parts"]
        self.files["big-size"] = json.dumps(sum(int(part["etag"].strip('"')) for part in parts)).encode()
        return JSONResponse({})

    async def _file(self, request: Request) -> Response:
        self.file_headers.append(dict(request.headers))
        data = self.files.get(request.path_params["name"])
        return Response(status_code=404) if data is None else Response(data, media_type="image/png")


def unprocessable(loc: str, *, msg: str, type: str) -> Response:
    """A model's 422."""
    return JSONResponse({"detail": [{"loc": ["body", loc], "msg": msg, "type": type}]}, 422)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Repeats come at once, and fal's own client repeats once."""
    with pytest.MonkeyPatch.context() as patch, stamina.set_testing(True, attempts=3, cap=True):
        patch.setattr(fal_client.client, "MAX_ATTEMPTS", 2)
        yield


@asynccontextmanager
async def quick_provider(fal: FakeFal) -> AsyncIterator[FalProvider]:
    """The gateway before a scripted fal, with short time limits and no waits."""
    provider = FalProvider.sandbox(fal.app, timeouts=FalTimeouts(submit=0.2, poll=0.3, upload=20.0, download=0.5))
    with no_waiting():
        yield provider
    await provider.close()

"""The queue as fal-client speaks to it: submit, status, its stream, result, cancel, and the list of requests."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from likeness.sandbox import answers
from likeness.sandbox.answers import Answer
from likeness.sandbox.bodies import read_json_body
from likeness.sandbox.guards import life_seconds, require_key
from likeness.sandbox.life import Request as Job
from likeness.sandbox.life import State, phase
from likeness.sandbox.sandbox import Sandbox
from likeness.sandbox.schemas import ENDPOINTS

STREAM_SECONDS = 1.0
STREAM_SECONDS_LEAST = 0.05
LIST_SECONDS = 24 * 3600.0
LIST_LIMIT = 100


@dataclass(frozen=True, kw_only=True)
class QueueRoutes:
    """Handlers over one sandbox."""

    sandbox: Sandbox

    def routes(self) -> list[Route]:
        """The routes; the submit is last because it takes any path."""
        job = "/{owner}/{alias}/requests/{id}"
        return [
            Route("/.well-known/jwks.json", self.jwks, methods=["GET"]),
            Route("/v1/models/requests/by-endpoint", self.listing, methods=["GET"]),
            Route(f"{job}/status", self.status, methods=["GET"]),
            Route(f"{job}/status/stream", self.stream, methods=["GET"]),
            Route(f"{job}/cancel", self.cancel, methods=["PUT"]),
            Route(job, self.result, methods=["GET"]),
            Route("/{endpoint:path}", self.submit, methods=["POST"]),
        ]

    async def submit(self, request: Request) -> Response:
        """Accept a job; it is on disk before the answer leaves."""
        require_key(request)
        endpoint = ENDPOINTS.get(request.path_params["endpoint"])
        if endpoint is None:
            name = request.path_params["endpoint"].split("/")
            raise HTTPException(404, f"Application '{name[-1]}' not found")
        body = await read_json_body(request)
        submit = partial(
            self.sandbox.queue.submit,
            endpoint,
            body,
            webhook_url=request.query_params.get("fal_webhook") or None,
            output_seconds=life_seconds(request),
        )
        job = await asyncio.to_thread(submit)
        self.sandbox.wake()
        position = phase(job, job.submitted_at).position
        headers = {"X-Fal-Request-Id": job.request_id}
        return Answer(answers.submitted(job, base=self.sandbox.queue_base, position=position), headers=headers)

    async def status(self, request: Request) -> Response:
        """Where a job stands: 202 until it is over, then 200."""
        job = await self._job(request)
        document = await asyncio.to_thread(self._status, job, with_logs=_wants_logs(request))
        return Answer(document, status_code=200 if document["status"] == State.COMPLETED else 202)

    async def stream(self, request: Request) -> Response:
        """The status as server-sent events until the job is over."""
        job = await self._job(request)
        events = self._events(job, with_logs=_wants_logs(request))
        return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def result(self, request: Request) -> Response:
        """The model's own answer, for an hour after the end."""
        job = await self._job(request)
        if phase(job, self.sandbox.now()).state is not State.COMPLETED:
            raise HTTPException(400, "Request is still in progress")
        if self.sandbox.queue.expired(job):
            raise _not_found()
        outcome = await self.sandbox.settle(job)
        headers = {"X-Fal-Request-Id": job.request_id}
        if outcome.error_type:
            headers["X-Fal-Error-Type"] = outcome.error_type
        return Answer(outcome.body, status_code=outcome.status, headers=headers)

    async def cancel(self, request: Request) -> Response:
        """Ask a job to stop; a running one may still complete."""
        job = await self._job(request)
        if await asyncio.to_thread(self.sandbox.queue.cancel, job):
            self.sandbox.wake()
            return Answer({"status": "CANCELLATION_REQUESTED"}, status_code=202)
        return Answer({"status": "ALREADY_COMPLETED"}, status_code=400)

    async def listing(self, request: Request) -> Response:
        """The requests of one endpoint, newest first, running ones too."""
        require_key(request)
        query = request.query_params
        endpoint = query.get("endpoint_id")
        if not endpoint:
            raise HTTPException(422, "endpoint_id is required")
        limit, page = _whole(query.get("limit"), default=50, most=LIST_LIMIT), _page(query.get("cursor"))
        since = _moment(query.get("start"), default=self.sandbox.now() - LIST_SECONDS)
        payloads = "payloads" in ",".join(query.getlist("expand")).split(",")
        find = partial(self._listed, endpoint, since=since, first=(page - 1) * limit, limit=limit, payloads=payloads)
        items, more = await asyncio.to_thread(find)
        cursor = base64.b64encode(str(page + 1).encode()).decode() if more else None
        return Answer({"items": items, "next_cursor": cursor, "has_more": more})

    async def jwks(self, request: Request) -> Response:
        """The key that webhooks are signed with."""
        return Answer(await asyncio.to_thread(self.sandbox.signer.jwks))

    def _status(self, job: Job, *, with_logs: bool) -> dict[str, Any]:
        return answers.status(job, base=self.sandbox.queue_base, now=self.sandbox.now(), with_logs=with_logs)

    async def _events(self, job: Job, *, with_logs: bool) -> AsyncIterator[str]:
        pause = max(STREAM_SECONDS / self.sandbox.speed, STREAM_SECONDS_LEAST)
        before: dict[str, Any] = {}
        while before.get("status") != State.COMPLETED:
            fresh = await asyncio.to_thread(self.sandbox.queue.find, job.request_id)
            document = await asyncio.to_thread(self._status, fresh or job, with_logs=with_logs)
            if document != before:
                yield f"data: {json.dumps(document)}\n\n"
                before = document
            await asyncio.sleep(pause)

    def _listed(
        self, endpoint: str, *, since: float, first: int, limit: int, payloads: bool
    ) -> tuple[list[dict[str, Any]], bool]:
        queue = self.sandbox.queue
        found = queue.recent(endpoint, since=since)
        page = found[first : first + limit]
        entries = [answers.listed(job, queue=queue, outcome=queue.outcome(job), payloads=payloads) for job in page]
        return entries, len(found) > first + limit

    async def _job(self, request: Request) -> Job:
        require_key(request)
        job = await asyncio.to_thread(self.sandbox.queue.find, request.path_params["id"])
        if job is None or job.endpoint.split("/")[:2] != [request.path_params[k] for k in ("owner", "alias")]:
            raise _not_found()
        return job


def _not_found() -> HTTPException:
    return HTTPException(404, "NOT_FOUND")


def _wants_logs(request: Request) -> bool:
    return request.query_params.get("logs", "").lower() in {"1", "true", "yes"}


def _whole(text: str | None, *, default: int, most: int) -> int:
    number = int(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else default
    return min(max(number, 1), most)


def _page(cursor: str | None) -> int:
    try:
        text = base64.b64decode(cursor or "", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    return _whole(text, default=1, most=99_999)


def _moment(text: str | None, *, default: float) -> float:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise HTTPException(422, "start must be an ISO 8601 date") from error
    if moment is None:
        return default
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

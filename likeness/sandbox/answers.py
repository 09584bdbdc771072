"""The JSON documents of the queue protocol."""

import json
from typing import Any

from starlette.responses import JSONResponse

from likeness.sandbox.life import Request, State, phase
from likeness.sandbox.logs import log_entries
from likeness.sandbox.queue import Outcome, Queue, ended_with
from likeness.sandbox.stamps import stamp


class Answer(JSONResponse):
    """JSON in ASCII: a lone surrogate that came in with a prompt can be sent back too."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def addresses(request: Request, *, base: str) -> dict[str, str]:
    """The addresses to follow; like fal's they name owner and alias and drop the sub-path."""
    owner, alias = request.endpoint.split("/")[:2]
    url = f"{base}/{owner}/{alias}/requests/{request.request_id}"
    return {"response_url": url, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel"}


def submitted(request: Request, *, base: str, position: int) -> dict[str, Any]:
    """The answer to a submit."""
    return {
        "status": State.IN_QUEUE,
        "request_id": request.request_id,
        "gateway_request_id": request.gateway_request_id,
        **addresses(request, base=base),
        "logs": None,
        "metrics": {},
        "queue_position": position,
    }


def status(request: Request, *, base: str, now: float, with_logs: bool) -> dict[str, Any]:
    """The answer to a status call."""
    where = phase(request, now)
    common = {"status": where.state, "request_id": request.request_id, **addresses(request, base=base)}
    logs = log_entries(request, phase=where) if with_logs else None
    if where.state is State.IN_QUEUE:
        return common | {"queue_position": where.position}
    if where.state is State.IN_PROGRESS:
        return common | {"logs": logs}
    seconds = max(request.ended_at - request.started_at, 0.0)
    error = ended_with(request)
    told = {"error": error[0], "error_type": error[1]} if error else {}
    return common | {"logs": logs, "metrics": {"inference_time": round(seconds, 3)}} | told


def listed(request: Request, *, queue: Queue, outcome: Outcome | None, payloads: bool) -> dict[str, Any]:
    """One entry of the request list (fal.ai/docs, platform APIs, requests by endpoint)."""
    now = queue.now()
    ended = now >= request.ended_at
    entry: dict[str, Any] = {
        "request_id": request.request_id,
        "endpoint_id": request.endpoint,
        "sent_at": stamp(request.submitted_at),
        "started_at": stamp(request.started_at) if now >= request.started_at else None,
        "ended_at": stamp(request.ended_at) if ended else None,
        "status_code": outcome.status if outcome else None,
        "duration": round(max(request.ended_at - request.started_at, 0.0), 3) if ended else None,
    }
    if payloads:
        entry |= {"json_input": queue.payload(request), "json_output": outcome.body if outcome else None}
    return entry

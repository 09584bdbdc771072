"""The queue as files, so that it survives a kill -9 and several processes can share it.

`requests/<id>.json` is written once, before the submit is answered; what happens later is a file of its own that is
created once by whoever is first (`cancels/`, `outcomes/`), so no process can undo what another wrote.
Everything here blocks: call it from a worker thread.
"""

import logging
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from likeness.sandbox.archive import count_pictures
from likeness.sandbox.errors import ModelError, refusal
from likeness.sandbox.generator import generate
from likeness.sandbox.json_files import create_json, read_json, write_json
from likeness.sandbox.judge import judge
from likeness.sandbox.life import RESULT_SECONDS, Failure, Plan, Request, plan
from likeness.sandbox.schemas import ENDPOINTS, Endpoint, Work
from likeness.sandbox.storage import Storage
from likeness.sandbox.trainer import train

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ERROR_TYPES = {499: "client_cancelled", 500: "internal_server_error"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the result GET answers."""

    status: int
    body: Any
    error_type: str | None = None


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The requests under `root`."""

    root: Path
    storage: Storage
    speed: float
    now: Callable[[], float]

    def submit(self, endpoint: Endpoint, body: Any, *, webhook_url: str | None, output_seconds: int | None) -> Request:
        """Accept any body and write the request down."""
        valid = not judge(endpoint, body)
        request = Request(
            request_id=str(uuid.uuid4()),
            gateway_request_id=str(uuid.uuid4()),
            endpoint=endpoint.id,
            submitted_at=self.now(),
            speed=self.speed,
            plan=plan(endpoint, body, valid=valid, images=self._pictures(endpoint, body) if valid else None),
            webhook_url=webhook_url,
            output_seconds=output_seconds,
        )
        write_json(self._path("inputs", request.request_id), body)
        if webhook_url:
            write_json(self._path("webhooks", request.request_id), {"attempts": 0, "due_at": 0.0})
        write_json(self._path("requests", request.request_id), asdict(request))
        return request

    def find(self, id: str) -> Request | None:
        """The request with this id, or None."""
        record = read_json(self._path("requests", id)) if _ID.fullmatch(id) else None
        if record is None:
            return None
        cancelled = read_json(self._path("cancels", id)) or {}
        request = Request(**record | {"plan": _plan(record["plan"])})
        return replace(request, cancelled_at=cancelled.get("cancelled_at"))

    def cancel(self, request: Request) -> bool:
        """Ask a request to stop; whether it was still going."""
        now = self.now()
        if now >= request.ended_at:
            return False
        create_json(self._path("cancels", request.request_id), {"cancelled_at": now})
        return True

    def expired(self, request: Request) -> bool:
        """Whether the result is no longer kept: an hour after the end."""
        return self.now() >= request.ended_at + RESULT_SECONDS

    def outcome(self, request: Request) -> Outcome | None:
        """What an ended request came to, when somebody asked already."""
        record = read_json(self._path("outcomes", request.request_id))
        return None if record is None else Outcome(**record)

    def settle(self, request: Request) -> Outcome:
        """What an ended request came to, computed now if nobody asked before. Heavy: one at a time."""
        kept = self.outcome(request)
        if kept is None:
            create_json(self._path("outcomes", request.request_id), asdict(self._work(request)))
            kept = self.outcome(request)
        assert kept is not None
        return kept

    def payload(self, request: Request) -> Any:
        """The body of a request."""
        return read_json(self._path("inputs", request.request_id))

    def recent(self, endpoint_id: str, *, since: float) -> list[Request]:
        """The requests of an endpoint submitted at `since` (Unix seconds) or later, newest first."""
        found = (self.find(path.stem) for path in self.root.glob("requests/*.json"))
        listed = [r for r in found if r and r.endpoint == endpoint_id and r.submitted_at >= since]
        return sorted(listed, key=lambda request: request.submitted_at, reverse=True)

    def undelivered(self) -> Mapping[str, dict[str, Any]]:
        """The webhooks still to be sent: request id to {attempts, due_at}."""
        files = {path.stem: read_json(path) for path in self.root.glob("webhooks/*.json")}
        return {id: state for id, state in files.items() if state is not None}

    def delivery(self, id: str, state: dict[str, Any] | None) -> None:
        """Note how far the webhook of a request is; None when it is done with."""
        path = self._path("webhooks", id)
        if state is None:
            path.unlink(missing_ok=True)
        else:
            write_json(path, state)

    def _work(self, request: Request) -> Outcome:
        try:
            return Outcome(status=200, body=self._run(request))
        except ModelError as error:
            body: dict[str, Any] = {"detail": error.detail}
            kind = error.error_type or _ERROR_TYPES.get(error.status)
            return Outcome(status=error.status, body=body | ({"error_type": kind} if kind else {}), error_type=kind)
        except Exception:
            logging.getLogger(__name__).exception("The pretended model broke on request %s", request.request_id)
            kind = _ERROR_TYPES[500]
            return Outcome(status=500, body={"detail": "Internal server error", "error_type": kind}, error_type=kind)

    def _run(self, request: Request) -> dict[str, Any]:
        error = ended_with(request)
        if error:
            raise ModelError(499 if request.is_cancelled else 500, detail=error[0], error_type=error[1])
        endpoint, body = ENDPOINTS[request.endpoint], self.payload(request)
        wrong = judge(endpoint, body)
        if wrong:
            raise ModelError(422, detail=wrong)
        if request.plan.failure is Failure.POLICY:
            msg = "The content could not be processed because it contained material flagged by a content checker."
            loc = "prompt" if "prompt" in body else endpoint.archive
            raise ModelError(422, detail=[refusal((loc,), msg=msg, type="content_policy_violation")])
        if endpoint.work is Work.TRAINING:
            return train(request, body, endpoint=endpoint, storage=self.storage)
        return generate(request, body, endpoint=endpoint, storage=self.storage)

    def _pictures(self, endpoint: Endpoint, body: dict[str, Any]) -> int | None:
        if endpoint.work is not Work.TRAINING:
            return None
        file = self.storage.find_url(body[endpoint.archive])
        return count_pictures(file.path) if file else None

    def _path(self, folder: str, id: str) -> Path:
        return self.root / folder / f"{id}.json"


def ended_with(request: Request) -> tuple[str, str] | None:
    """The error and error type the status of an ended request tells; a 422 is told by the result only."""
    if request.is_cancelled:
        return "Request was cancelled", "client_cancelled"
    if request.plan.failure is Failure.INTERNAL:
        return "Internal server error", "internal_server_error"
    return None


def _plan(record: dict[str, Any]) -> Plan:
    failure = record["failure"]
    return Plan(**record | {"failure": Failure(failure) if failure else None})

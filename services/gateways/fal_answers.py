"""fal's answers to submit, status and cancel in the words of `services.ports`."""

from typing import Any

import fal_client
import httpx

from models.errors import SubmitUnknown
from services.gateways.fal_errors import refusal, sentence, submit_error
from services.ports import CancelOutcome, Ended, ProviderJob, ProviderStatus, Queued, Running

LARGEST_POSITION = 2**31 - 1  # the column holds 32 bits


class Handle(fal_client.AsyncRequestHandle):
    """fal's handle, forgiving a status without the fields that its parser insists on."""

    def _parse_status(self, data: dict[str, Any]) -> fal_client.Status:
        return super()._parse_status({"queue_position": None, "logs": None, **data})


def accepted(answer: httpx.Response) -> ProviderJob:
    if not answer.is_success:
        raise submit_error(answer)
    try:
        body = answer.json()
        fields = {name: body[name] for name in ProviderJob.__dataclass_fields__}
    except (ValueError, LookupError, TypeError) as error:
        raise SubmitUnknown(reason="its answer could not be read.") from error
    if not all(isinstance(value, str) and value for value in fields.values()):
        raise SubmitUnknown(reason="its answer lacks the request's id or addresses.")
    return ProviderJob(**fields)


def standing(status: fal_client.Status) -> ProviderStatus:
    if isinstance(status, fal_client.Queued):
        return Queued(position=_position(status.position))
    if isinstance(status, fal_client.Completed):
        error = status.error or status.error_type
        return Ended(logs=_lines(status.logs), error=str(error) if error else None)
    assert isinstance(status, fal_client.InProgress)
    return Running(logs=_lines(status.logs))


def _position(told: Any) -> int | None:
    is_number = isinstance(told, int) and not isinstance(told, bool)
    return told if is_number and 0 <= told <= LARGEST_POSITION else None


def _lines(entries: Any) -> tuple[str, ...]:
    if not isinstance(entries, list):
        return ()
    return tuple(str(e.get("message") or "") if isinstance(e, dict) else str(e) for e in entries)


def outcome(answer: httpx.Response) -> CancelOutcome:
    """fal.ai/docs/inference-api/queue/cancel: 202 may still complete, 400 comes too late, 404 is unknown."""
    if answer.is_success:
        gone = any(f'"{word}"' in answer.text for word in ("OK", "CANCELLED"))
        return CancelOutcome.CANCELLED if gone else CancelOutcome.REQUESTED
    if answer.status_code in {404, 410}:
        return CancelOutcome.UNKNOWN
    if answer.status_code in {400, 409} and ("ALREADY" in answer.text or "already" in sentence(answer)):
        return CancelOutcome.TOO_LATE
    raise refusal(answer)


def rebuilt(endpoint: str, id: str) -> ProviderJob:
    """The request list and webhooks hold no addresses, so here alone they are built as fal builds them."""
    unused: Any = None  # the handle keeps its client only for calls of its own
    handle = fal_client.AsyncRequestHandle.from_request_id(unused, endpoint, id)
    return ProviderJob(
        request_id=id,
        status_url=handle.status_url,
        response_url=handle.response_url,
        cancel_url=handle.cancel_url,
    )

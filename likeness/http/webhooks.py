"""POST /webhooks/fal: the raw body and the headers of a delivery, answered at once and worked later."""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from likeness.http.body import Body, ClientGone
from likeness.http.errors import RequestRefused
from likeness.http.limits import HttpLimits
from models.errors import ForgedWebhook
from services.webhooks import LARGEST_BODY

PATH = "/webhooks/fal"

_log = structlog.get_logger()


class Receive(Protocol):
    """Keeps a delivery; raises `ForgedWebhook`, and anything else when it must be sent again."""

    async def __call__(self, headers: Mapping[str, str], body: bytes, *, submission: UUID | None) -> None: ...


def webhook_route(receive: Receive, *, limits: HttpLimits) -> Route:
    """The route, which answers 200 once a delivery is kept, 401 for one that the provider did not sign, or long ago.

    Whatever else goes wrong is a 503, so that the provider sends the delivery again. Bodies are never logged.
    """

    async def deliver(request: Request) -> Response:
        try:
            body = await _body(request, limits).read()
            await receive(request.headers, body, submission=_submission(request))
        except RequestRefused as refusal:
            return _answer(refusal.status, refusal.message)
        except ClientGone:
            return _answer(400, "The delivery was cut off.")
        except ForgedWebhook as error:
            _log.warning("webhook.forged", reason=str(error))
            return _answer(401, "The delivery has no valid signature, or an old one.")
        except Exception as error:
            # The type alone: the text of a database's error can hold the row, and with it a part of the body.
            _log.error("webhook.not_kept", reason=type(error).__name__)
            return _answer(503, "The delivery could not be kept; please send it again.")
        return JSONResponse({"ok": True})

    return Route(PATH, deliver, methods=["POST"])


def _body(request: Request, limits: HttpLimits) -> Body:
    declared = request.headers.get("content-length")
    return Body(request.receive, declared=declared, limit=LARGEST_BODY, limits=limits)


def _submission(request: Request) -> UUID | None:
    try:
        return UUID(request.query_params.get("job", ""))
    except ValueError:
        return None


def _answer(status: int, reason: str) -> Response:
    return JSONResponse({"ok": False, "error": reason}, status_code=status)

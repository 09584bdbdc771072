"""fal's answers and lost connections as our errors (fal.ai/docs/errors and .../request-errors).

A reason is built from the fields fal documents, cut to a line, and never holds the key: neither a whole body nor an
exception of the HTTP library is shown, because both may carry more than a user should read.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fal_client import FalClientHTTPError

from models.errors import (
    ProviderBalanceExhausted,
    ProviderError,
    ProviderJobGone,
    ProviderKeyRefused,
    ProviderRejected,
    ProviderUnavailable,
    SubmitUnknown,
)
from services.text import storable

REASON_CHARACTERS, TYPE_CHARACTERS = 300, 100
TRY_LATER = frozenset({408, 409, 425, 429})  # fal's own client repeats 408, 409 and 429
# An ingress answers 502 and 504 after it has passed the request on, so the queue may have taken it.
MAYBE_TAKEN = frozenset({408, 502, 504})
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
PASSING_TYPES = re.compile(
    r"generation_timeout|request_timeout|startup_timeout|internal(_server)?_error|downstream_service_\w+|runner_\w+"
)
_LOCKED = re.compile(r"\blocked\b|balance|exhausted", re.IGNORECASE)
_UNFINISHED = re.compile(r"in[ _](progress|queue)", re.IGNORECASE)


@asynccontextmanager
async def translated(seconds: float, *, job: bool = False) -> AsyncIterator[None]:
    """Bound a repeatable call to `seconds` and raise our errors instead of the HTTP library's.

    With `job`, 404 and 410 mean that fal no longer knows the job. Raises `ProviderUnavailable` when it may work later.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except (FalClientHTTPError, httpx.HTTPStatusError) as error:
        raise refusal(error.response, job=job) from None
    except (httpx.HTTPError, TimeoutError, ConnectionError, ssl.SSLError) as error:
        raise ProviderUnavailable(reason=lost(error)) from error
    except (ValueError, LookupError, TypeError) as error:
        raise ProviderUnavailable(reason="its answer could not be read.") from error


def lost(error: Exception) -> str:
    """What to say about a connection that failed."""
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return "no answer in time."
    return f"the connection failed ({type(error).__name__})."


def refusal(answer: httpx.Response, *, job: bool = False) -> ProviderError:
    """The error for an answer that is not a success; what it means does not depend on the model."""
    code, reason = answer.status_code, sentence(answer)
    if code == 401:
        return ProviderKeyRefused(reason=reason)
    if code == 402 or (code == 403 and _LOCKED.search(reason)):
        return ProviderBalanceExhausted(reason=reason)
    if code == 403:
        return ProviderKeyRefused(reason=reason)
    if job and code in {404, 410}:
        return ProviderJobGone(reason=reason)
    if code in TRY_LATER or code >= 500 or code < 400:
        return ProviderUnavailable(reason=reason)
    return _rejected(answer)


def submit_error(answer: httpx.Response) -> ProviderError:
    """The error for a submit that was not accepted, or perhaps was."""
    if answer.status_code < 400 or answer.status_code in MAYBE_TAKEN:
        return SubmitUnknown(reason=f"it answered with {answer.status_code}.")
    return refusal(answer)


def model_error(answer: httpx.Response) -> ProviderError:
    """The error for a result: the model's own status and body come back as the answer."""
    body = _fields(answer)
    if answer.status_code < 300 or (answer.status_code == 400 and _UNFINISHED.search(sentence(answer))):
        return ProviderUnavailable(reason="the job has not ended yet.")
    if isinstance(body.get("detail"), list):
        return _rejected(answer)
    if answer.status_code >= 500 and (error_type(answer) or (answer.status_code == 500 and "detail" in body)):
        return _rejected(answer)
    return refusal(answer, job=True)


def error_type(answer: httpx.Response) -> str | None:
    """fal's name for the error: of the first entry of a 422, of the body, or of the header."""
    body = _fields(answer)
    detail = body.get("detail")
    first = detail[0] if isinstance(detail, list) and detail else None
    named = first.get("type") if isinstance(first, dict) else None
    kind = named or body.get("error_type") or answer.headers.get("x-fal-error-type")
    return storable(str(kind), longest=TYPE_CHARACTERS) if kind else None


def sentence(answer: httpx.Response) -> str:
    """The reason in one line, such as `images_data_url: str type expected`."""
    body = _fields(answer)
    detail = body.get("detail")
    if isinstance(detail, list):
        said = "; ".join(_entry(entry) for entry in detail[:5])
    else:
        said = next((v for v in (detail, body.get("error"), body.get("message")) if isinstance(v, str)), "")
    key = answer.request.headers.get("authorization", "").rpartition(" ")[2]
    plain = " ".join((said.replace(key, "***") if key else said).split())
    return storable(plain, longest=REASON_CHARACTERS) or f"HTTP {answer.status_code}"


def _entry(entry: Any) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    loc = entry.get("loc")
    where = ".".join(str(part) for part in loc if part != "body") if isinstance(loc, list) else ""
    said = str(entry.get("msg") or entry.get("type") or "refused")
    return f"{where}: {said}" if where else said


def _rejected(answer: httpx.Response) -> ProviderRejected:
    kind = error_type(answer)
    error = ProviderRejected(reason=sentence(answer), type=kind, status=answer.status_code)
    told = answer.headers.get("x-fal-retryable") or answer.headers.get("x-fal-needs-retry")
    passing = bool(PASSING_TYPES.fullmatch(kind)) if kind else answer.status_code >= 500
    # Only the instance knows: most refusals are for good, a few kinds are the provider's own trouble.
    error.retryable = told.lower() in {"true", "1"} if told else passing  # type: ignore[misc]
    return error


def _fields(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}

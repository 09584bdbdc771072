"""A paid submit is one POST whatever happens to it, and every outcome has its name."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from models.errors import (
    MissingFalKey,
    ProviderBalanceExhausted,
    ProviderError,
    ProviderKeyRefused,
    ProviderRejected,
    ProviderUnavailable,
    SubmitUnknown,
)
from services.gateways.fal import FalProvider
from tests.fake_fal import (
    DAY,
    IMAGE,
    PROMPT,
    STALL,
    TRAINING,
    UNKNOWN_JOB,
    FakeFal,
    quick_provider,
    unprocessable,
)
from tests.fakes import NOON

SUBMITS: dict[str, tuple[Any, type[ProviderError]]] = {
    "answer lost": (httpx.RemoteProtocolError("Server disconnected"), SubmitUnknown),
    "reset": (httpx.ReadError(""), SubmitUnknown),
    "half sent": (httpx.WriteError(""), SubmitUnknown),
    "read timeout": (httpx.ReadTimeout(""), SubmitUnknown),
    "silence": (STALL, SubmitUnknown),
    "truncated": (Response('{"request_id": "a1', media_type="application/json"), SubmitUnknown),
    "no addresses": (JSONResponse({"request_id": "a1"}), SubmitUnknown),
    "null address": (
        JSONResponse({"request_id": "a", "status_url": None, "response_url": "b", "cancel_url": "c"}),
        SubmitUnknown,
    ),
    "a list": (JSONResponse([]), SubmitUnknown),
    "redirect": (Response(status_code=302, headers={"Location": "https://elsewhere.example/"}), SubmitUnknown),
    "bad gateway": (PlainTextResponse("<center>nginx</center>", 502), SubmitUnknown),
    "gateway timeout": (PlainTextResponse("<center>nginx</center>", 504), SubmitUnknown),
    "request timeout": (Response(status_code=408), SubmitUnknown),
    "refused connection": (httpx.ConnectError(""), ProviderUnavailable),
    "connect timeout": (httpx.ConnectTimeout(""), ProviderUnavailable),
    "proxy": (httpx.ProxyError("403 Forbidden"), ProviderUnavailable),
    "internal error": (JSONResponse({"detail": "oops"}, 500), ProviderUnavailable),
    "unavailable": (PlainTextResponse("nginx", 503), ProviderUnavailable),
    "too many": (JSONResponse({"detail": "slow down"}, 429), ProviderUnavailable),
    "conflict": (JSONResponse({"detail": "busy"}, 409), ProviderUnavailable),
    "bad key": (JSONResponse({"detail": "Invalid key sandbox"}, 401), ProviderKeyRefused),
    "forbidden": (JSONResponse({"detail": "Access denied"}, 403), ProviderKeyRefused),
    "locked": (
        JSONResponse({"detail": "User is locked. Reason: Exhausted balance."}, 403),
        ProviderBalanceExhausted,
    ),
    "payment": (JSONResponse({"detail": "Payment required"}, 402), ProviderBalanceExhausted),
    "not found": (JSONResponse({"detail": "Application not found"}, 404), ProviderRejected),
    "invalid": (unprocessable("prompt", msg="field required", type="value_error.missing"), ProviderRejected),
}


@pytest.fixture
def fal() -> FakeFal:
    """A scripted fal."""
    return FakeFal()


@pytest.fixture
async def provider(fal: FakeFal) -> AsyncIterator[FalProvider]:
    """The gateway before it."""
    async with quick_provider(fal) as provider:
        yield provider


@pytest.mark.parametrize("case", SUBMITS)
async def test_submit_sends_one_post(case: str, fal: FakeFal, provider: FalProvider) -> None:
    """Every failure is named, none is repeated, and the message holds neither key nor body."""
    step, expected = SUBMITS[case]
    fal.will("submit", step)
    with pytest.raises(ProviderError) as failed:
        await provider.submit(IMAGE, PROMPT)
    assert (expected, 1) == (type(failed.value), fal.calls["submit"])
    assert "sandbox" not in failed.value.message
    assert "nginx" not in failed.value.message


async def test_submit_carries_webhook_and_keeps_outputs(fal: FakeFal, provider: FalProvider) -> None:
    """The webhook address survives its quoting, the body is the arguments, and outputs must not expire."""
    hook = "https://us.example/webhooks/fal?job=1&sig=a+b/c%20d"
    job = await provider.submit(f"{IMAGE}/image-to-image", PROMPT, webhook_url=hook)
    sent = fal.jobs[job.request_id]
    assert (f"{IMAGE}/image-to-image", PROMPT, hook) == (sent.endpoint, sent.arguments, sent.webhook)
    assert sent.headers["authorization"] == "Key sandbox"
    assert sent.headers["x-fal-object-lifecycle-preference"] == '{"expiration_duration_seconds": null}'


async def test_submit_reasons_name_the_field(fal: FakeFal, provider: FalProvider) -> None:
    """A 422 at once reads like one in the result."""
    fal.will("submit", unprocessable("images_data_url", msg="str type expected", type="type_error.str"))
    with pytest.raises(ProviderRejected) as refused:
        await provider.submit(TRAINING, {})
    assert refused.value.facts["reason"] == "images_data_url: str type expected"


async def test_cancelled_caller_does_not_submit_again(fal: FakeFal, provider: FalProvider) -> None:
    """A caller that gives up leaves one POST behind."""
    fal.will("submit", STALL)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(provider.submit(IMAGE, PROMPT), 0.05)
    assert fal.calls["submit"] == 1


async def test_without_a_key_every_call_says_so(tmp_path: Path) -> None:
    """No key: no call leaves, and no login of fal's own command line is looked for."""
    provider = FalProvider.real(None)
    for call in (
        provider.submit(IMAGE, PROMPT),
        provider.status(UNKNOWN_JOB),
        provider.result(UNKNOWN_JOB),
        provider.cancel(UNKNOWN_JOB),
        provider.find(IMAGE, "a", arguments={}, since=NOON),
    ):
        with pytest.raises(MissingFalKey):
            await call
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(MissingFalKey):
        await provider.upload(tmp_path / "a.zip", content_type="application/zip", expires_in=DAY)
    assert (await provider.healthy(), provider.simulated) == (False, False)
    await provider.close()


async def test_unused_provider_closes(fal: FakeFal) -> None:
    """Closing needs no connection to have been made."""
    await FalProvider.sandbox(fal.app).close()
    await FalProvider.real("key:secret").close()

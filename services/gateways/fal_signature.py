"""fal's signature on webhooks: Ed25519 under one of the keys that fal publishes (fal.ai/docs/model-endpoints/webhooks).

The keys are fal's, not an account's: a sound signature alone says only that fal sent it, on behalf of anybody.
"""

import asyncio
import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from models.errors import ForgedWebhook, ProviderUnavailable
from services.gateways.fal_in_process import AsgiApp
from services.ports import Clock

JWKS_URL = "https://rest.fal.ai/.well-known/jwks.json"
JWKS_SECONDS = 10.0
LEEWAY_SECONDS = 300
KEYS_LIVE = timedelta(hours=24)
LOOK_AGAIN = timedelta(minutes=1)
TRY_AGAIN = timedelta(seconds=5)  # while there is no key at all, and every delivery has to be sent again
LONG_AGO = timedelta(days=36500)

_HEADERS = {
    "x-fal-webhook-request-id": re.compile(r"[\x20-\x7e]{1,100}"),
    "x-fal-webhook-user-id": re.compile(r"[\x20-\x7e]{1,200}"),
    "x-fal-webhook-timestamp": re.compile(r"[0-9]{1,12}"),
    "x-fal-webhook-signature": re.compile(r"[0-9a-fA-F]{128}"),
}

Jwks = Callable[[], Awaitable[Mapping[str, Any]]]


@dataclass(kw_only=True)
class FalSignature:
    """Verifies deliveries; `jwks` fetches fal's keys and raises `ProviderUnavailable` when it cannot.

    `expected_user` is the fal user whose jobs we run: a delivery about anybody else's is refused. None takes all.
    """

    jwks: Jwks
    clock: Clock
    expected_user: str | None
    _keys: tuple[Ed25519PublicKey, ...] = ()
    _fetched: datetime | None = None
    _asked: datetime | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def verify(self, headers: Mapping[str, str], body: bytes) -> str:
        """See `WebhookVerifier`. Raises `ProviderUnavailable` when there is no key to verify with."""
        request, user, moment, signature = _checked(headers)
        if abs(self.clock.now().timestamp() - int(moment)) > LEEWAY_SECONDS:
            raise ForgedWebhook("its time is not within five minutes")
        if self.expected_user is not None and user != self.expected_user:
            raise ForgedWebhook("it is about another user's job than FAL_WEBHOOK_USER_ID")
        digest = hashlib.sha256(body).hexdigest()
        signed = f"{request}\n{user}\n{moment}\n{digest}".encode()
        if not await self._is_signed(bytes.fromhex(signature), signed):
            raise ForgedWebhook("no published key verifies it")
        return request

    async def _is_signed(self, signature: bytes, signed: bytes) -> bool:
        # Not under the lock: a forged delivery that has the keys fetched again must not hold up sound ones.
        if self._is_fresh() and _verifies(self._keys, signature, signed):
            return True
        async with self._lock:
            if not self._is_fresh():
                await self._first_keys()
            if _verifies(self._keys, signature, signed):
                return True
            if self._age(self._asked) < LOOK_AGAIN:
                return False
            try:
                await self._fetch()
            except ProviderUnavailable:
                return False
            return _verifies(self._keys, signature, signed)

    async def _first_keys(self) -> None:
        if self._age(self._asked) < TRY_AGAIN:
            raise ProviderUnavailable(reason="the keys of its webhooks could not be fetched.")
        await self._fetch()

    async def _fetch(self) -> None:
        self._asked = self.clock.now()
        keys = _public_keys(await self.jwks())
        if not keys:
            raise ProviderUnavailable(reason="its list of webhook keys holds none.")
        self._keys, self._fetched = keys, self._asked

    def _is_fresh(self) -> bool:
        return self._age(self._fetched) < KEYS_LIVE

    def _age(self, moment: datetime | None) -> timedelta:
        return LONG_AGO if moment is None else self.clock.now() - moment


def published_keys(app: AsgiApp | None = None) -> Jwks:
    """A fetcher of fal's published keys: through the environment's proxies, or from `app` in process."""

    async def fetch() -> Mapping[str, Any]:
        transport = httpx.ASGITransport(app) if app is not None else None
        try:
            async with asyncio.timeout(JWKS_SECONDS), httpx.AsyncClient(transport=transport) as client:
                document = (await client.get(JWKS_URL)).raise_for_status().json()
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise ProviderUnavailable(reason="the keys of its webhooks could not be fetched.") from error
        return document if isinstance(document, dict) else {}

    return fetch


def _checked(headers: Mapping[str, str]) -> list[str]:
    """The four headers in the order of `_HEADERS`, each of the right form."""
    given = {name.lower(): value for name, value in headers.items()}
    for name, form in _HEADERS.items():
        if not form.fullmatch(given.get(name, "")):
            raise ForgedWebhook("its headers are incomplete")
    return [given[name] for name in _HEADERS]


def _public_keys(document: Mapping[str, Any]) -> tuple[Ed25519PublicKey, ...]:
    """The Ed25519 keys of a key set (RFC 8037); what cannot be read as one is left out."""
    listed = document.get("keys")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    raw = [_raw(entry.get("x")) for entry in entries if entry.get("crv", "Ed25519") == "Ed25519"]
    return tuple(Ed25519PublicKey.from_public_bytes(key) for key in raw if len(key) == 32)


def _raw(x: object) -> bytes:
    """base64url with padding, which fal's page expects, and without, as RFC 7515 writes it."""
    bare = x.rstrip("=") if isinstance(x, str) else ""
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""


def _verifies(keys: tuple[Ed25519PublicKey, ...], signature: bytes, signed: bytes) -> bool:
    return any(_verifies_under(key, signature, signed) for key in keys)


def _verifies_under(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True

"""Bearer tokens: HS256 with a shared secret, or any asymmetric algorithm of a JWKS (RFC 7519, RFC 7517)."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt

from models.errors import NotSignedIn

LEEWAY_SECONDS = 30
ASYMMETRIC = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "EdDSA"]
KEYS_SECONDS, REFETCH_SECONDS, PATIENCE_SECONDS = 3600.0, 60.0, 10.0


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a token must say."""

    issuer: str | None
    audience: str | None

    def subject(self, token: str, key: Any, algorithms: list[str]) -> str:
        """Verify and return `jwt:<sub>`. Raises `NotSignedIn`."""
        options: Any = {"require": ["sub", "exp"], "verify_aud": self.audience is not None}
        try:
            claims = jwt.decode(
                token, key, algorithms=algorithms, issuer=self.issuer, audience=self.audience,
                leeway=LEEWAY_SECONDS, options=options,
            )  # fmt: skip
        except jwt.ExpiredSignatureError:
            raise NotSignedIn(reason="The token has expired.") from None
        except jwt.PyJWTError:
            raise NotSignedIn(reason="The token is not valid.") from None
        if not claims["sub"].strip():
            raise NotSignedIn(reason="The token names nobody.")
        return f"jwt:{claims['sub']}"


@dataclass(frozen=True, kw_only=True)
class SecretTokens:
    """Tokens signed with a secret both sides know."""

    secret: str
    expected: Expected

    async def verify(self, token: str) -> str:
        """See `TokenVerifier`."""
        return self.expected.subject(token, self.secret, ["HS256"])


@dataclass(kw_only=True)
class JwksTokens:
    """Tokens signed by an identity provider, whose keys are fetched and kept for an hour."""

    url: str
    expected: Expected
    _keys: jwt.PyJWKSet | None = None
    _fetched: float = 0.0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def verify(self, token: str) -> str:
        """See `TokenVerifier`. An unknown key id refetches the keys, at most once a minute."""
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except jwt.PyJWTError:
            raise NotSignedIn(reason="The token is not valid.") from None
        key = await self._key(key_id)
        return self.expected.subject(token, key, [key.algorithm_name] if key.algorithm_name in ASYMMETRIC else [])

    async def _key(self, key_id: str | None) -> jwt.PyJWK:
        async with self._lock:
            age = time.monotonic() - self._fetched
            if self._keys is None or age > KEYS_SECONDS or (self._find(key_id) is None and age > REFETCH_SECONDS):
                await self._fetch()
        if (key := self._find(key_id)) is None:
            raise NotSignedIn(reason="The token's key is not known.")
        return key

    def _find(self, key_id: str | None) -> jwt.PyJWK | None:
        keys = self._keys.keys if self._keys else []
        return next((key for key in keys if key_id is None or key.key_id == key_id), None)

    async def _fetch(self) -> None:
        self._fetched = time.monotonic()
        try:
            async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
                answer = (await client.get(self.url)).raise_for_status()
            self._keys = jwt.PyJWKSet.from_dict(answer.json())
        except (httpx.HTTPError, ValueError, AttributeError, jwt.PyJWTError):  # AttributeError: JSON, but no object
            if self._keys is None:
                self._fetched = 0.0
                raise NotSignedIn(reason="The sign-in service cannot be reached.") from None

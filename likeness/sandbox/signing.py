"""Signs webhooks the way fal does: Ed25519 over request id, user id, time and the SHA-256 of the body.

Source: docs.fal.ai/model-endpoints/webhooks.
"""

import base64
import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

USER_ID = "sandbox-user"


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Holds the sandbox's private key, which is made once and kept in `path`, readable by its owner only."""

    path: Path

    def headers(self, request_id: str, *, body: bytes, timestamp: int) -> Mapping[str, str]:
        """The four signature headers of a webhook; `timestamp` is in Unix seconds."""
        digest = hashlib.sha256(body).hexdigest()
        message = "\n".join((request_id, USER_ID, str(timestamp), digest)).encode()
        return {
            "X-Fal-Webhook-Request-Id": request_id,
            "X-Fal-Webhook-User-Id": USER_ID,
            "X-Fal-Webhook-Timestamp": str(timestamp),
            "X-Fal-Webhook-Signature": self._key().sign(message).hex(),
        }

    def jwks(self) -> dict[str, Any]:
        """The public key as a JSON web key set (RFC 8037), `x` without padding."""
        raw = self._key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        kid = hashlib.sha256(raw).hexdigest()[:16]
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"}]}

    def _key(self) -> Ed25519PrivateKey:
        if not self.path.exists():
            self._make()
        key = load_pem_private_key(self.path.read_bytes(), password=None)
        assert isinstance(key, Ed25519PrivateKey)
        return key

    def _make(self) -> None:
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(6)}.tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        try:
            os.link(draft, self.path)
        except FileExistsError:
            pass  # another process was first: its key is the one
        finally:
            draft.unlink()

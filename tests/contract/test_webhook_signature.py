"""fal's signature on webhooks, as its page describes it, over keys of our own and over the sandbox's."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from likeness.sandbox.app import create_sandbox
from likeness.sandbox.signing import USER_ID, Signer
from models.errors import ForgedWebhook, ProviderUnavailable
from services.gateways.fal_signature import JWKS_URL, FalSignature, published_keys
from tests.fakes import NOON, FixedClock

BODY = b'{"error": null, "request_id": "r-1", "status": "OK"}'
NOW = int(NOON.timestamp())
REQUEST, USER = "X-Fal-Webhook-Request-Id", "X-Fal-Webhook-User-Id"
MOMENT, SIGNATURE = "X-Fal-Webhook-Timestamp", "X-Fal-Webhook-Signature"


@dataclass
class Fal:
    """fal's side: private keys, the set it publishes, and how often that was fetched."""

    keys: list[Ed25519PrivateKey] = field(default_factory=lambda: [Ed25519PrivateKey.generate()])
    padded: bool = False
    works: bool = True
    others: list[Any] = field(default_factory=list)
    fetched: int = 0

    async def jwks(self) -> Mapping[str, Any]:
        self.fetched += 1
        if not self.works:
            raise ProviderUnavailable(reason="down")
        return {"keys": [*self.others, *(self.published(key) for key in self.keys)]}

    def published(self, key: Ed25519PrivateKey) -> dict[str, str]:
        x = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode()
        return {"kty": "OKP", "crv": "Ed25519", "x": x if self.padded else x.rstrip("=")}

    def signed(self, *, key: int = 0, user: str = "user-1", moment: str = str(NOW), request: str = "r-1") -> Any:
        """The four headers, put together as the page says and not as our code does."""
        lines = [request, user, moment, hashlib.sha256(BODY).hexdigest()]
        signature = self.keys[key].sign("\n".join(lines).encode("utf-8")).hex()
        return {REQUEST: request, USER: user, MOMENT: moment, SIGNATURE: signature}


@pytest.fixture
def fal() -> Fal:
    """fal with one key."""
    return Fal()


@pytest.fixture
def clock() -> FixedClock:
    """Noon of 2026-01-31, UTC."""
    return FixedClock()


@pytest.fixture
def verifier(fal: Fal, clock: FixedClock) -> FalSignature:
    """A verifier that takes deliveries about any user's jobs."""
    return FalSignature(jwks=fal.jwks, clock=clock, expected_user=None)


async def is_refused(verifier: FalSignature, headers: Mapping[str, str], body: bytes = BODY) -> bool:
    """Whether a delivery counts as forged."""
    try:
        await verifier.verify(headers, body)
    except ForgedWebhook:
        return True
    return False


@pytest.mark.parametrize("padded", [True, False])
async def test_a_sound_delivery_gives_its_request_id(verifier: FalSignature, fal: Fal, *, padded: bool) -> None:
    """The construction of fal's page, with keys in both ways of writing base64url."""
    fal.padded = padded
    assert "r-1" == await verifier.verify(fal.signed(), BODY)


async def test_names_of_headers_have_no_case(verifier: FalSignature, fal: Fal) -> None:
    """Starlette gives them in lower case, fal's page writes capitals; the signature's hex may have either."""
    headers = {name.lower(): value for name, value in fal.signed().items()}
    headers[SIGNATURE.lower()] = headers[SIGNATURE.lower()].upper()
    assert "r-1" == await verifier.verify(headers, BODY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in (REQUEST, USER, MOMENT, SIGNATURE)),
        *((name, "") for name in (REQUEST, USER, MOMENT, SIGNATURE)),
        (REQUEST, "r" * 101),
        (REQUEST, "r\n1"),
        (MOMENT, f"{NOW}.0"),
        (MOMENT, f"-{NOW}"),
        (MOMENT, f" {NOW}"),
        (MOMENT, f"{NOW:_}"),
        (MOMENT, "١٧"),
        (MOMENT, "9" * 5000),
        (SIGNATURE, "ab" * 63),
        (SIGNATURE, "zz" * 64),
        (SIGNATURE, "ab " * 64),
    ],
)
async def test_malformed_headers_cost_nothing(verifier: FalSignature, fal: Fal, name: str, value: str | None) -> None:
    """All four must be there and have the right form, or the keys are not even fetched."""
    headers = fal.signed() | {name: value}
    assert await is_refused(verifier, {name: value for name, value in headers.items() if value is not None})
    assert 0 == fal.fetched


@pytest.mark.parametrize(("seconds", "refused"), [(-301, True), (-300, False), (300, False), (301, True)])
async def test_five_minutes_either_way(verifier: FalSignature, fal: Fal, *, seconds: int, refused: bool) -> None:
    """A delivery from 300 s ago or ahead is taken; one second more is stale, and no key is fetched for it."""
    headers = fal.signed(moment=str(NOW + seconds))
    assert (refused, 0 if refused else 1) == (await is_refused(verifier, headers), fal.fetched)


@pytest.mark.parametrize("name", [REQUEST, USER, MOMENT, SIGNATURE, "body"])
async def test_everything_is_signed(verifier: FalSignature, fal: Fal, name: str) -> None:
    """A change in any of the signed parts is noticed."""
    changes = {REQUEST: "r-2", USER: "user-2", MOMENT: str(NOW + 1), SIGNATURE: "ab" * 64}
    headers = fal.signed() | {name: changes[name] for name in changes.keys() & {name}}
    assert await is_refused(verifier, headers, BODY + b" " if name == "body" else BODY)


async def test_any_published_key_will_do(verifier: FalSignature, fal: Fal) -> None:
    """The second of two keys verifies, and entries that are no Ed25519 keys are passed over."""
    fal.keys.append(Ed25519PrivateKey.generate())
    fal.others = [
        7,
        {},
        {"x": 7},
        {"x": "ä"},
        {"x": "a+/="},
        {"x": "AAAA"},
        fal.published(fal.keys[0]) | {"crv": "X25519"},
    ]
    assert "r-1" == await verifier.verify(fal.signed(key=1), BODY)


async def test_a_user_can_be_expected(fal: Fal, clock: FixedClock) -> None:
    """The key is fal's and everybody's, so a sound delivery about another user's job is refused."""
    verifier = FalSignature(jwks=fal.jwks, clock=clock, expected_user="user-1")
    assert "r-1" == await verifier.verify(fal.signed(), BODY)
    assert await is_refused(verifier, fal.signed(user="user-2"))


async def test_keys_are_kept_for_a_day(verifier: FalSignature, fal: Fal, clock: FixedClock) -> None:
    """One fetch serves all deliveries of 24 hours, and not of one second more."""
    for hours in (0, 12, 11.99):
        clock.time += timedelta(hours=hours)
        await verifier.verify(fal.signed(moment=str(int(clock.time.timestamp()))), BODY)
    assert 1 == fal.fetched
    clock.time = NOON + timedelta(hours=24)
    await verifier.verify(fal.signed(moment=str(int(clock.time.timestamp()))), BODY)
    assert 2 == fal.fetched


async def test_a_new_key_is_found_within_a_minute(verifier: FalSignature, fal: Fal, clock: FixedClock) -> None:
    """A delivery that no kept key verifies has them fetched again, at most once a minute."""
    await verifier.verify(fal.signed(), BODY)
    fal.keys = [Ed25519PrivateKey.generate()]
    clock.time += timedelta(seconds=59)
    assert ([True, True], 1) == ([await is_refused(verifier, fal.signed()) for _ in range(2)], fal.fetched)
    clock.time += timedelta(seconds=1)
    assert "r-1" == await verifier.verify(fal.signed(), BODY)
    stranger = Fal().signed()
    assert ([True, True], 2) == ([await is_refused(verifier, stranger) for _ in range(2)], fal.fetched)


async def test_a_failed_look_keeps_the_old_keys(verifier: FalSignature, fal: Fal, clock: FixedClock) -> None:
    """While the key set is away, what the kept keys do not verify is forged, and what they verify is sound."""
    await verifier.verify(fal.signed(), BODY)
    fal.works = False
    clock.time += timedelta(seconds=61)
    assert ([True, True], 2) == ([await is_refused(verifier, Fal().signed()) for _ in range(2)], fal.fetched)
    assert "r-1" == await verifier.verify(fal.signed(), BODY)


async def test_without_any_key_nothing_is_judged(verifier: FalSignature, fal: Fal, clock: FixedClock) -> None:
    """Neither sound nor forged: the delivery has to come again; fal is asked every five seconds at most."""
    fal.works = False
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            await verifier.verify(fal.signed(), BODY)
    assert 1 == fal.fetched
    fal.works = True
    clock.time += timedelta(seconds=5)
    assert "r-1" == await verifier.verify(fal.signed(), BODY)


@pytest.mark.parametrize("breaks", ["works", "keys"])
async def test_keys_older_than_a_day_are_not_used(
    verifier: FalSignature, fal: Fal, clock: FixedClock, breaks: str
) -> None:
    """fal's page forbids it, so when the set is away or empty the delivery has to come again."""
    await verifier.verify(fal.signed(), BODY)
    clock.time += timedelta(hours=24)
    later = fal.signed(moment=str(int(clock.time.timestamp())))
    setattr(fal, breaks, [] if breaks == "keys" else False)
    with pytest.raises(ProviderUnavailable):
        await verifier.verify(later, BODY)


async def test_the_sandbox_signs_as_fal_does(clock: FixedClock, tmp_path: Path) -> None:
    """Its deliveries verify under the key that its app publishes, in process and for its own user."""
    verifier = FalSignature(jwks=published_keys(create_sandbox(tmp_path)), clock=clock, expected_user=USER_ID)
    headers = Signer(path=tmp_path / "webhook_key.pem").headers("r-1", body=BODY, timestamp=NOW)
    assert "r-1" == await verifier.verify(headers, BODY)
    other = Signer(path=tmp_path / "other.pem").headers("r-1", body=BODY, timestamp=NOW)
    assert await is_refused(verifier, other)


@respx.mock
async def test_keys_come_from_fal(fal: Fal) -> None:
    """The set is fetched from the address that fal publishes."""
    document = await fal.jwks()
    respx.get("https://rest.fal.ai/.well-known/jwks.json").respond(json=document)
    assert document == await published_keys()()


@pytest.mark.parametrize(
    "answer",
    [
        {"return_value": httpx.Response(500)},
        {"return_value": httpx.Response(302, headers={"location": "https://x.example/"})},
        {"return_value": httpx.Response(200, text="<html>")},
        {"side_effect": httpx.ConnectError("no")},
        {"side_effect": httpx.ReadTimeout("no")},
    ],
)
@respx.mock
async def test_keys_that_cannot_be_fetched(answer: dict[str, Any]) -> None:
    """Whatever goes wrong on the way is one error, after which the delivery may come again."""
    respx.get(JWKS_URL).mock(**answer)
    with pytest.raises(ProviderUnavailable):
        await published_keys()()


@respx.mock
async def test_a_list_is_no_key_set(clock: FixedClock, fal: Fal) -> None:
    """JSON of another form holds no keys."""
    respx.get(JWKS_URL).respond(json=[1])
    with pytest.raises(ProviderUnavailable):
        await FalSignature(jwks=published_keys(), clock=clock, expected_user=None).verify(fal.signed(), BODY)

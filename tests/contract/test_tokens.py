"""What every verifier of tokens promises: the subject of a sound one, and `NotSignedIn` for anything else."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import jwt
import pytest
import respx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from init_data_py import sign
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from models.errors import NotSignedIn
from services.gateways import tokens_jwt
from services.gateways.tokens_jwt import Expected, JwksTokens, SecretTokens
from services.gateways.tokens_telegram import TelegramInitData
from tests.fakes import FixedClock

SECRET = "a secret of more than thirty-two bytes"
URL = "https://sign-in.example/jwks.json"
BOT = "123456:the-bot-s-token"
ANYONE = Expected(issuer=None, audience=None)
NOT_VALID, EXPIRED = r"The token is not valid\.", r"The token has expired\."


def claims(**changes: Any) -> dict[str, Any]:
    """A sound token's claims; None leaves one out."""
    now = int(time.time())
    facts = {"sub": "ann", "iat": now, "exp": now + 300} | changes
    return {name: value for name, value in facts.items() if value is not None}


def hs256(key: str = SECRET, **changes: Any) -> str:
    """A token signed with the shared secret."""
    return jwt.encode(claims(**changes), key, algorithm="HS256")


def raw(header: dict[str, Any], payload: dict[str, Any], key: bytes | None = None) -> str:
    """A token that a library would not make."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    text = ".".join(part(json.dumps(data).encode()) for data in (header, payload))
    return f"{text}.{part(hmac.digest(key, text.encode(), hashlib.sha256)) if key else ''}"


async def refused(verifier: Any, token: str, *, match: str = "Sign in") -> None:
    """The token signs nobody in."""
    with pytest.raises(NotSignedIn, match=match):
        await verifier.verify(token)


# ---- a shared secret ----


async def test_a_sound_token_gives_its_subject() -> None:
    """Prefixed, so that no token can name a Telegram user or the local one."""
    tokens = SecretTokens(secret=SECRET, expected=ANYONE)
    assert ["jwt:ann", "jwt:tg:42"] == [await tokens.verify(hs256()), await tokens.verify(hs256(sub="tg:42"))]


WRONG_CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"exp": int(time.time()) - 60}, EXPIRED),
    "without end": ({"exp": None}, NOT_VALID),
    "without subject": ({"sub": None}, NOT_VALID),
    "subject of another type": ({"sub": 42}, NOT_VALID),
    "empty subject": ({"sub": ""}, "names nobody"),
    "blank subject": ({"sub": " "}, "names nobody"),
    "not yet": ({"nbf": int(time.time()) + 3600}, NOT_VALID),
    "issued in the future": ({"iat": int(time.time()) + 3600}, NOT_VALID),
    "end that is no number": ({"exp": "soon"}, NOT_VALID),
}


@pytest.mark.parametrize("case", WRONG_CLAIMS)
async def test_wrong_claims_are_refused(*, case: str) -> None:
    """Each claim is checked, and the reason says no more than the caller may know."""
    changes, reason = WRONG_CLAIMS[case]
    await refused(SecretTokens(secret=SECRET, expected=ANYONE), hs256(**changes), match=reason)


async def test_clocks_may_differ_by_half_a_minute() -> None:
    """A token that ended 10 s ago, or begins in 10 s, is taken."""
    tokens, now = SecretTokens(secret=SECRET, expected=ANYONE), int(time.time())
    assert "jwt:ann" == await tokens.verify(hs256(exp=now - 10))
    assert "jwt:ann" == await tokens.verify(hs256(nbf=now + 10))


@pytest.mark.parametrize(
    "make",
    [
        lambda: hs256("another secret of more than thirty-two bytes"),
        lambda: raw({"alg": "none", "typ": "JWT"}, claims()),
        lambda: raw({"alg": "None", "typ": "JWT"}, claims()),
        lambda: raw({"typ": "JWT"}, claims(), SECRET.encode()),
        lambda: raw({"alg": "HS512", "typ": "JWT"}, claims(), SECRET.encode()),
        lambda: jwt.encode(claims(), SECRET * 2, algorithm="HS512"),
        lambda: hs256()[:-3],
        lambda: hs256().replace(".", "..", 1),
        lambda: hs256() + ".x",
        lambda: "",
        lambda: "x",
        lambda: "ä.ö.ü",
        lambda: "." * 1000,
    ],
)
async def test_forged_tokens_are_refused(*, make: Callable[[], str]) -> None:
    """Another key, no signature, another algorithm, or no token at all."""
    await refused(SecretTokens(secret=SECRET, expected=ANYONE), make(), match=NOT_VALID)


@pytest.mark.parametrize(
    ("changes", "is_sound"),
    [
        ({"iss": "us", "aud": "likeness"}, True),
        ({"iss": "us", "aud": ["other", "likeness"]}, True),
        ({"iss": "us", "aud": "other"}, False),
        ({"iss": "us", "aud": []}, False),
        ({"iss": "us"}, False),
        ({"iss": "them", "aud": "likeness"}, False),
        ({"aud": "likeness"}, False),
    ],
    ids=str,
)
async def test_issuer_and_audience_are_required_when_set(*, changes: dict[str, Any], is_sound: bool) -> None:
    """A token for another service of the same issuer is not one for us."""
    tokens = SecretTokens(secret=SECRET, expected=Expected(issuer="us", audience="likeness"))
    if is_sound:
        assert "jwt:ann" == await tokens.verify(hs256(**changes))
    else:
        await refused(tokens, hs256(**changes), match=NOT_VALID)


async def test_an_audience_nobody_asked_for_is_not_in_the_way() -> None:
    """Without JWT_AUDIENCE any will do."""
    assert "jwt:ann" == await SecretTokens(secret=SECRET, expected=ANYONE).verify(hs256(aud="anything"))


# ---- keys of an identity provider ----


@dataclass
class Provider:
    """An identity provider with one key of each kind."""

    keys: dict[str, Any]

    def jwks(self, *names: str) -> dict[str, Any]:
        """What it publishes."""
        return {"keys": [self.jwk(name) for name in names or self.keys]}

    def jwk(self, name: str) -> dict[str, Any]:
        """One public key."""
        key = self.keys[name].public_key()
        algorithm = {"r": RSAAlgorithm, "e": ECAlgorithm, "o": OKPAlgorithm}[name[0]]
        return algorithm.to_jwk(key, as_dict=True) | {"kid": name}

    def token(self, name: str, algorithm: str, **changes: Any) -> str:
        """A token signed with one of its keys."""
        return jwt.encode(claims(**changes), self.keys[name], algorithm=algorithm, headers={"kid": name})


@pytest.fixture(scope="module")
def provider() -> Provider:
    """Two RSA keys, one of elliptic curves, one of Edwards curves."""
    rsa_keys = {f"r{number}": rsa.generate_private_key(public_exponent=65537, key_size=2048) for number in (1, 2)}
    return Provider(
        rsa_keys | {"e1": ec.generate_private_key(ec.SECP256R1()), "o1": ed25519.Ed25519PrivateKey.generate()}
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock that the age of keys is measured with, in seconds."""
    clock = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(tokens_jwt, "time", SimpleNamespace(monotonic=lambda: clock.seconds))
    return clock


@pytest.fixture
def tokens(clock: SimpleNamespace) -> JwksTokens:
    """Nothing fetched yet."""
    return JwksTokens(url=URL, expected=ANYONE)


@pytest.mark.parametrize(("name", "algorithm"), [("r1", "RS256"), ("r2", "RS256"), ("e1", "ES256"), ("o1", "EdDSA")])
async def test_tokens_of_every_kind_of_key(
    respx_mock: respx.MockRouter, provider: Provider, tokens: JwksTokens, *, name: str, algorithm: str
) -> None:
    """The key is chosen by its id, and fetched once for many tokens."""
    route = respx_mock.get(URL).respond(json=provider.jwks())
    for _ in range(3):
        assert "jwt:ann" == await tokens.verify(provider.token(name, algorithm))
    assert 1 == route.call_count


async def test_a_public_key_is_no_secret(respx_mock: respx.MockRouter, provider: Provider, tokens: JwksTokens) -> None:
    """A token "signed" with the published key as an HS256 secret is refused, in every spelling of that key."""
    respx_mock.get(URL).respond(json=provider.jwks())
    public = provider.keys["r1"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for key in (pem, pem.strip(), der, json.dumps(provider.jwk("r1")).encode()):
        await refused(tokens, raw({"alg": "HS256", "kid": "r1"}, claims(), key), match=NOT_VALID)
    await refused(tokens, raw({"alg": "none", "kid": "r1"}, claims()), match=NOT_VALID)


async def test_a_published_shared_secret_is_not_used(respx_mock: respx.MockRouter, tokens: JwksTokens) -> None:
    """A symmetric key that lies open for everybody proves nothing."""
    key = base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("=")
    respx_mock.get(URL).respond(json={"keys": [{"kty": "oct", "k": key, "kid": "s1", "alg": "HS256"}]})
    token = jwt.encode(claims(), SECRET, algorithm="HS256", headers={"kid": "s1"})
    await refused(tokens, token, match=NOT_VALID)


async def test_another_provider_s_key_of_the_same_name_is_refused(
    respx_mock: respx.MockRouter, provider: Provider, tokens: JwksTokens
) -> None:
    """The id only chooses; the signature decides."""
    respx_mock.get(URL).respond(json=provider.jwks("r1"))
    forged = jwt.encode(claims(), provider.keys["r2"], algorithm="RS256", headers={"kid": "r1"})
    await refused(tokens, forged, match=NOT_VALID)


async def test_claims_are_checked_as_with_a_secret(
    respx_mock: respx.MockRouter, provider: Provider, clock: SimpleNamespace
) -> None:
    """Times, issuer and audience hold for every kind of token."""
    respx_mock.get(URL).respond(json=provider.jwks())
    tokens = JwksTokens(url=URL, expected=Expected(issuer="us", audience="likeness"))
    assert "jwt:ann" == await tokens.verify(provider.token("r1", "RS256", iss="us", aud="likeness"))
    await refused(tokens, provider.token("r1", "RS256", iss="us", aud="other"), match=NOT_VALID)
    await refused(tokens, provider.token("r1", "RS256", iss="us", aud="likeness", exp=1), match=EXPIRED)


async def test_a_new_key_is_fetched_at_most_once_a_minute(
    respx_mock: respx.MockRouter, provider: Provider, tokens: JwksTokens, clock: SimpleNamespace
) -> None:
    """Tokens with invented key ids must not make us a hammer on the provider."""
    route = respx_mock.get(URL).respond(json=provider.jwks("r1"))
    await tokens.verify(provider.token("r1", "RS256"))
    for _ in range(20):
        await refused(tokens, provider.token("r2", "RS256"), match=r"The token's key is not known\.")
    assert 1 == route.call_count
    route.respond(json=provider.jwks("r1", "r2"))
    clock.seconds += 61
    assert "jwt:ann" == await tokens.verify(provider.token("r2", "RS256"))
    assert 2 == route.call_count
    for _ in range(20):
        await refused(tokens, provider.token("e1", "ES256"), match="not known")
    assert 2 == route.call_count


async def test_withdrawn_keys_are_forgotten_within_an_hour(
    respx_mock: respx.MockRouter, provider: Provider, tokens: JwksTokens, clock: SimpleNamespace
) -> None:
    """A key that the provider no longer publishes signs nobody in any more."""
    route = respx_mock.get(URL).respond(json=provider.jwks("r1", "r2"))
    await tokens.verify(provider.token("r1", "RS256"))
    route.respond(json=provider.jwks("r2"))
    clock.seconds += 3601
    await refused(tokens, provider.token("r1", "RS256"), match="not known")


BROKEN: dict[str, Any] = {
    "away": httpx.ConnectError("refused"),
    "slow": httpx.ReadTimeout("slow"),
    "error": httpx.Response(503),
    "redirect": httpx.Response(302, headers={"location": "https://elsewhere.example/"}),
    "not JSON": httpx.Response(200, text="<html>"),
    "list": httpx.Response(200, json=[]),
    "text": httpx.Response(200, json="keys"),
    "no keys": httpx.Response(200, json={}),
    "empty": httpx.Response(200, json={"keys": []}),
    "keys of another type": httpx.Response(200, json={"keys": {"a": 1}}),
    "key of another type": httpx.Response(200, json={"keys": [5]}),
    "key without anything": httpx.Response(200, json={"keys": [{}]}),
    "broken key": httpx.Response(200, json={"keys": [{"kty": "RSA", "n": "!", "e": 5, "kid": "r1"}]}),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_provider_signs_nobody_in(
    respx_mock: respx.MockRouter, provider: Provider, tokens: JwksTokens, *, case: str
) -> None:
    """It is no error of ours; once it is whole again, its tokens work at once."""
    route = respx_mock.get(URL)
    route.side_effect = [BROKEN[case], httpx.Response(200, json=provider.jwks())]
    await refused(tokens, provider.token("r1", "RS256"), match="sign-in service cannot be reached")
    assert "jwt:ann" == await tokens.verify(provider.token("r1", "RS256"))


@pytest.mark.parametrize("case", BROKEN)
async def test_known_keys_outlive_a_broken_provider(
    respx_mock: respx.MockRouter, provider: Provider, tokens: JwksTokens, clock: SimpleNamespace, *, case: str
) -> None:
    """Who is signed in stays so while the provider is away."""
    respx_mock.get(URL).side_effect = [httpx.Response(200, json=provider.jwks()), BROKEN[case]]
    await tokens.verify(provider.token("r1", "RS256"))
    clock.seconds += 3601
    assert "jwt:ann" == await tokens.verify(provider.token("r1", "RS256"))


# ---- Telegram ----


@pytest.fixture
def telegram() -> TelegramInitData:
    """The bot at noon."""
    return TelegramInitData(bot_token=BOT, clock=FixedClock())


def init_data(*, age: timedelta = timedelta(0), bot: str = BOT, user: Any = None, **more: str) -> str:
    """Data that Telegram would sign."""
    user = json.dumps({"id": 42, "first_name": "Ann"}) if user is None else user
    fields = {"query_id": "q", "user": user} | more
    return sign({name: value for name, value in fields.items() if value}, bot, auth_date=FixedClock().now() - age)


async def test_signed_init_data_gives_the_telegram_user(telegram: TelegramInitData) -> None:
    """Its subject is the numeric id."""
    assert "tg:42" == await telegram.verify(init_data())


@pytest.mark.parametrize(
    ("age", "is_sound"),
    [
        (timedelta(hours=23, minutes=59), True),
        (timedelta(hours=24, seconds=1), False),
        (timedelta(days=400), False),
        (timedelta(seconds=-59), True),
        (timedelta(seconds=-61), False),
        (timedelta(days=-400), False),
    ],
    ids=str,
)
async def test_init_data_lives_for_a_day(telegram: TelegramInitData, *, age: timedelta, is_sound: bool) -> None:
    """Older is refused, and so is what comes from the future by more than a minute."""
    if is_sound:
        assert "tg:42" == await telegram.verify(init_data(age=age))
    else:
        await refused(telegram, init_data(age=age), match="Telegram data is not valid")


@pytest.mark.parametrize(
    "make",
    [
        lambda: init_data(bot="123456:another-bot-s-token"),
        lambda: init_data().replace("Ann", "Eve"),
        lambda: init_data().replace("42", "43", 1),
        lambda: init_data() + "&user=" + init_data().partition("user=")[2],
        lambda: init_data().partition("&hash")[0],
        lambda: init_data()[:-1] + ("0" if init_data()[-1] != "0" else "1"),
        lambda: init_data() + "&extra=1",
        lambda: init_data(user=""),
        lambda: init_data(user="[]"),
        lambda: init_data(user='{"id": "x"}'),
        lambda: init_data(user='{"first_name": "Ann"}'),
        lambda: "",
        lambda: "hash=" + "0" * 64,
        lambda: "auth_date=99999999999999999999&hash=" + "0" * 64,
        lambda: "auth_date=9999999999999999999&hash=" + "0" * 64,
        lambda: "\ud800",
        lambda: init_data(more="x" * 9000),
    ],
)
async def test_forged_init_data_is_refused(telegram: TelegramInitData, *, make: Callable[[], str]) -> None:
    """Another bot's, changed, doubled, cut, without a user, or no init data at all."""
    await refused(telegram, make(), match="Telegram data is")


# ---- all of them ----


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    token=st.one_of(
        st.text(),
        st.from_regex(r"[\w.=-]{0,60}\.[\w=-]{0,60}\.[\w=-]{0,20}", fullmatch=True),
        st.dictionaries(st.sampled_from(["user", "auth_date", "hash", "x"]), st.text()).map(
            lambda pairs: "&".join(f"{name}={value}" for name, value in pairs.items())
        ),
    )
)
def test_no_text_breaks_a_verifier(token: str) -> None:
    """Whatever is sent, the answer is that nobody is signed in."""
    for verifier in (
        SecretTokens(secret=SECRET, expected=ANYONE),
        JwksTokens(url=URL, expected=ANYONE, _keys=jwt.PyJWKSet([{"kty": "oct", "k": "YQ", "kid": "a"}]), _fetched=2e9),
        TelegramInitData(bot_token=BOT, clock=FixedClock()),
    ):
        work = verifier.verify(token)
        with pytest.raises(NotSignedIn):
            work.send(None)

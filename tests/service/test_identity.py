"""Who is asking: the local user on this machine only, a token's subject everywhere else."""

import asyncio
from dataclasses import dataclass, field

import pytest

from models.errors import NotSignedIn
from models.ids import new_id
from models.user import User
from services.identity import IdentityService
from tests.fakes import FixedClock


@dataclass
class Tokens:
    """Knows some tokens and notes what it was shown."""

    subjects: dict[str, str]
    shown: list[str] = field(default_factory=list)

    async def verify(self, token: str) -> str:
        self.shown.append(token)
        if token not in self.subjects:
            raise NotSignedIn(reason="The token is not valid.")
        return self.subjects[token]


@pytest.fixture
def local(database: str, clock: FixedClock) -> IdentityService:
    """Development mode."""
    return IdentityService(clock=clock, verifiers={})


@pytest.fixture
def tokens() -> Tokens:
    """Two people, and two whose subjects cannot be used."""
    return Tokens(subjects={"ann": "jwt:ann", "bob": "tg:42", "long": "jwt:" + "x" * 247, "odd": "jwt:a\x00b"})


@pytest.fixture
def signed(database: str, clock: FixedClock, tokens: Tokens) -> IdentityService:
    """With sign-in by bearer tokens."""
    return IdentityService(clock=clock, verifiers={"bearer": tokens, "tma": tokens})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost", None])
async def test_this_machine_is_the_local_user(local: IdentityService, *, host: str | None) -> None:
    """Without sign-in there is one user, the same every time, and a token is not looked at."""
    first = await local.authenticate(authorization=None, client_host=host)
    second = await local.authenticate(authorization="Bearer x", client_host=host)
    assert ("local", None, first.id) == (first.subject, first.telegram_id, second.id)


@pytest.mark.parametrize("host", ["10.0.0.1", "2001:db8::1", "0.0.0.0", "example.com", "", "127.0.0.1.x"])
@pytest.mark.parametrize("telegram_id", [None, "42"])
async def test_other_machines_are_nobody(local: IdentityService, *, host: str, telegram_id: str | None) -> None:
    """Development mode answers to nobody else, whatever header they send, and makes no user for them."""
    with pytest.raises(NotSignedIn, match="this machine only"):
        await local.authenticate(authorization=None, telegram_id=telegram_id, client_host=host)
    assert 0 == await User.all().count()


async def test_the_telegram_header_names_a_user(local: IdentityService) -> None:
    """In development mode `x-telegram-user-id` stands for the sign-in of that user."""
    first = await local.authenticate(authorization=None, telegram_id="42", client_host="127.0.0.1")
    second = await local.authenticate(authorization=None, telegram_id="43", client_host="127.0.0.1")
    assert [("tg:42", "42"), ("tg:43", "43")] == [(user.subject, user.telegram_id) for user in (first, second)]


@pytest.mark.parametrize("header", ["", "x", "-1", "4 2", "٤٢", "4.2", "1" * 21, "42\n"])
async def test_a_telegram_header_that_is_no_number_is_refused(local: IdentityService, *, header: str) -> None:
    """It is not quietly somebody else."""
    with pytest.raises(NotSignedIn, match="must be a number"):
        await local.authenticate(authorization=None, telegram_id=header, client_host="127.0.0.1")


@pytest.mark.parametrize("header", ["Bearer ann", "bearer ann", "BEARER  ann ", " Bearer ann"])
async def test_a_sound_token_signs_in(signed: IdentityService, tokens: Tokens, *, header: str) -> None:
    """From anywhere; the scheme's case and blanks around the token do not matter."""
    user = await signed.authenticate(authorization=header, client_host="10.0.0.1")
    assert ("jwt:ann", None, ["ann"]) == (user.subject, user.telegram_id, tokens.shown)


async def test_a_telegram_subject_brings_its_id(signed: IdentityService) -> None:
    """It is the same user as in development mode."""
    user = await signed.authenticate(authorization="tma bob")
    assert ("tg:42", "42") == (user.subject, user.telegram_id)


@pytest.mark.parametrize(
    "header", [None, "", " ", "Bearer", "Bearer ", "ann", "Basic ann", "Bearer eve", "Bearer \ud800", "Bearer a\x00"]
)
async def test_anything_else_is_refused(signed: IdentityService, *, header: str | None) -> None:
    """Also on this machine and with the header of the development mode."""
    with pytest.raises(NotSignedIn, match=r"^Sign in: send `Authorization: Bearer <JWT>`\."):
        await signed.authenticate(authorization=header, telegram_id="42", client_host="127.0.0.1")
    assert 0 == await User.all().count()


@pytest.mark.parametrize("token", ["long", "odd"])
async def test_subjects_that_no_column_holds_are_refused(signed: IdentityService, *, token: str) -> None:
    """Too long, or with characters that PostgreSQL does not store."""
    with pytest.raises(NotSignedIn, match="subject is not usable"):
        await signed.authenticate(authorization=f"Bearer {token}")


async def test_a_user_is_made_once(signed: IdentityService, clock: FixedClock) -> None:
    """Twenty first requests at once, and one a year later, are one user."""
    users = await asyncio.gather(*(signed.authenticate(authorization="Bearer ann") for _ in range(20)))
    made = clock.now()
    clock.time = clock.time.replace(year=2027)
    users.append(await signed.authenticate(authorization="Bearer ann"))
    assert 1 == len({user.id for user in users}) == await User.all().count()
    assert made == (await signed.get(users[0].id)).created_at


async def test_a_failure_to_write_is_not_taken_for_a_known_user(signed: IdentityService) -> None:
    """Another user with another subject does not stand in the way."""
    await User.create(id=new_id(), subject="jwt:someone", created_at=signed.clock.now())
    assert "jwt:ann" == (await signed.authenticate(authorization="Bearer ann")).subject

"""Who is asking: a bearer token, or the one local user while no sign-in is configured."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from tortoise.exceptions import IntegrityError

from models.errors import NotSignedIn
from models.ids import new_id
from models.user import User
from services.ports import Clock, TokenVerifier

LONGEST_SUBJECT = 250
LOCAL, TOKEN, TELEGRAM = "local", "jwt:", "tg:"
TELEGRAM_ID = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True, kw_only=True)
class IdentityService:
    """Turns credentials into a user, made on first sight.

    `verifiers` maps an authorization scheme in lower case (`bearer`, `tma`) to who checks it; with none at all the
    server is in development mode, which answers to this machine only.
    """

    clock: Clock
    verifiers: Mapping[str, TokenVerifier]

    async def authenticate(
        self, *, authorization: str | None, telegram_id: str | None = None, client_host: str | None = None
    ) -> User:
        """The user behind a request. Raises `NotSignedIn`."""
        if not self.verifiers:
            return await self._local(telegram_id, client_host)
        scheme, _, token = (authorization or "").strip().partition(" ")
        verifier = self.verifiers.get(scheme.lower())
        if verifier is None or not token.strip():
            raise NotSignedIn
        if not token.isprintable():  # a websocket's JSON can hold what UTF-8 cannot
            raise NotSignedIn(reason="The token is not valid.")
        return await self.user(await verifier.verify(token.strip()))

    async def user(self, subject: str) -> User:
        """The user of a subject, made on first sight. Raises `NotSignedIn` for what is no subject."""
        if not is_subject(subject):
            raise NotSignedIn(reason="The token's subject is not usable.")
        if known := await User.get_or_none(subject=subject):
            return known
        telegram_id = subject.removeprefix(TELEGRAM) if subject.startswith(TELEGRAM) else None
        try:
            return await User.create(id=new_id(), subject=subject, telegram_id=telegram_id, created_at=self.clock.now())
        except IntegrityError:
            return await User.get(subject=subject)

    async def get(self, id: UUID) -> User:
        """A user by id."""
        return await User.get(id=id)

    async def _local(self, telegram_id: str | None, client_host: str | None) -> User:
        if client_host is not None and not _is_loopback(client_host):
            raise NotSignedIn(reason="Development mode answers to this machine only.")
        if telegram_id is None:
            return await self.user(LOCAL)
        if not is_subject(f"{TELEGRAM}{telegram_id}"):
            raise NotSignedIn(reason="x-telegram-user-id must be a number.")
        return await self.user(f"{TELEGRAM}{telegram_id}")


def is_subject(text: str) -> bool:
    """Whether a text is the subject of a user: `local`, `jwt:<sub>` or `tg:<id>`."""
    if text.startswith(TELEGRAM):
        return bool(TELEGRAM_ID.fullmatch(text.removeprefix(TELEGRAM)))
    if len(text) > LONGEST_SUBJECT or not text.isprintable():
        return False
    return text == LOCAL or (text.startswith(TOKEN) and bool(text.removeprefix(TOKEN).strip()))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

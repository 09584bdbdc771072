"""Who is asking: a bearer token, or the one local user while no sign-in is configured."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from tortoise.exceptions import IntegrityError

from models.errors import NotSignedIn
from models.ids import new_id
from models.user import User
from services.ports import Clock, TokenVerifier

LONGEST_SUBJECT = 250


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
        subject = await verifier.verify(token.strip())
        telegram = subject.removeprefix("tg:") if subject.startswith("tg:") else None
        return await self.user(subject, telegram_id=telegram)

    async def user(self, subject: str, *, telegram_id: str | None = None) -> User:
        """The user of a subject, made on first sight."""
        if len(subject) > LONGEST_SUBJECT or not subject.isprintable():
            raise NotSignedIn(reason="The token's subject is not usable.")
        if known := await User.get_or_none(subject=subject):
            return known
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
            return await self.user("local")
        if not telegram_id.isascii() or not telegram_id.isdigit() or len(telegram_id) > 20:
            raise NotSignedIn(reason="x-telegram-user-id must be a number.")
        return await self.user(f"tg:{telegram_id}", telegram_id=telegram_id)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

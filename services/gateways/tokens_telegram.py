"""Telegram Mini App initData (https://core.telegram.org/bots/webapps#validating-data-received-via-the-mini-app)."""

from dataclasses import dataclass
from datetime import timedelta

from init_data_py import validate_by_hash
from init_data_py.errors import InvalidInitDataError

from models.errors import NotSignedIn
from services.ports import Clock

LIFETIME = timedelta(days=1)
AHEAD = timedelta(seconds=60)
LONGEST = 8192


@dataclass(frozen=True, kw_only=True)
class TelegramInitData:
    """Data that Telegram signed with the bot's token; valid for a day, with a minute of clock difference."""

    bot_token: str
    clock: Clock

    async def verify(self, token: str) -> str:
        """See `TokenVerifier`."""
        if len(token) > LONGEST:
            raise NotSignedIn(reason="The Telegram data is too long.")
        now = self.clock.now()
        try:
            data = validate_by_hash(token, self.bot_token, expires_in=LIFETIME, now=now)
        except InvalidInitDataError:
            raise NotSignedIn(reason="The Telegram data is not valid.") from None
        if data.user is None or data.issued_at > now + AHEAD:
            raise NotSignedIn(reason="The Telegram data is not valid.")
        return f"tg:{data.user.id}"

"""The provider's webhooks: early, late, lost, doubled and forged, and repeated until they are answered."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from models.errors import ForgedWebhook
from services.webhooks import WebhookService
from tests.simulation.faults import Faults
from tests.simulation.processes import Process, ProcessDead
from tests.simulation.provider import RemoteJob

REPEATS = 8


class Believed(AssertionError):
    """A forged webhook was taken for a real one."""


@dataclass(eq=False)
class Post:
    """Delivers to whichever process answers."""

    webhooks: WebhookService
    faults: Faults
    choose: Callable[[], Process]
    spawn: Callable[[Coroutine[Any, Any, None]], Any]

    def expect(self, remote: RemoteJob) -> None:
        """A job was accepted that will be reported when it ends."""
        if remote.webhook is not None:
            self.spawn(self._report(remote))

    async def _report(self, remote: RemoteJob) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, remote.ends_at - loop.time()))
        if self.faults.happens("webhook_forged"):
            await self._forge(remote)
        if self.faults.happens("webhook_lost"):
            return
        if self.faults.happens("webhook_late"):
            await asyncio.sleep(self.faults.seconds(0, 400))
        copies = 1 + self.faults.happens("webhook_duplicate")
        await asyncio.gather(*(self._repeat(remote, number) for number in range(copies)))

    async def _repeat(self, remote: RemoteJob, number: int) -> None:
        await asyncio.sleep(number * self.faults.seconds(0, 60))
        body = {"request_id": remote.id, "status": "OK" if remote.succeeds else "ERROR"}
        for attempt in range(REPEATS):
            try:
                await self._send(remote, {"request": remote.id}, body)
            except (Exception, ProcessDead) as error:
                if isinstance(error, AssertionError):
                    raise
                await asyncio.sleep(15 * 2**attempt)
            else:
                remote.delivered_at = remote.delivered_at or asyncio.get_running_loop().time()
                return

    async def _forge(self, remote: RemoteJob) -> None:
        body = {"request_id": remote.id, "status": "OK"}
        for headers in ({"forged": "1", "request": remote.id}, {"request": "request-of-another"}):
            try:
                await self._send(remote, headers, body)
            except (ForgedWebhook, ProcessDead):
                continue
            raise Believed(str(headers))

    async def _send(self, remote: RemoteJob, headers: dict[str, str], body: dict[str, str]) -> None:
        assert remote.webhook is not None
        job = UUID(parse_qs(urlsplit(remote.webhook).query)["job"][0])
        await self.choose().spawn(self.webhooks.receive(headers, json.dumps(body).encode(), submission=job))

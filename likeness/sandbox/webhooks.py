"""Sends the webhook of every ended request that asked for one: signed, repeated on failure, also after a restart."""

import asyncio
import fcntl
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from likeness.sandbox.life import Request
from likeness.sandbox.queue import Outcome, Queue, ended_with
from likeness.sandbox.signing import Signer

TIMEOUT_SECONDS = 15.0
AT_ONCE = 8
# Ten repetitions within two hours, as fal documents.
WAITS = tuple(7.0 * 2**n for n in range(10))
IDLE_SECONDS = 1.0
SOONEST_SECONDS = 0.02

Settle = Callable[[Request], Awaitable[Outcome]]


@dataclass(frozen=True, kw_only=True)
class Webhooks:
    """Delivers what is due; `settle` computes an outcome away from the event loop."""

    queue: Queue
    signer: Signer
    client: httpx.AsyncClient
    settle: Settle

    async def run(self, woken: asyncio.Event) -> None:
        """Deliver for ever; setting `woken` makes it look at once."""
        while True:
            woken.clear()
            try:
                wait = await self.deliver_due()
            except OSError:
                logging.getLogger(__name__).exception("The webhooks cannot be read or noted; trying again")
                wait = IDLE_SECONDS
            try:
                await asyncio.wait_for(woken.wait(), wait)
            except TimeoutError:
                continue

    async def deliver_due(self) -> float:
        """Try every webhook that is due once; the seconds until it is worth looking again."""
        with self._alone() as alone:
            if not alone:
                return IDLE_SECONDS
            due, wait = await asyncio.to_thread(self._due)
            gate = asyncio.Semaphore(AT_ONCE)
            await asyncio.gather(*(self._try(request, state, gate=gate) for request, state in due))
            return SOONEST_SECONDS if due else wait

    def _due(self) -> tuple[list[tuple[Request, dict[str, Any]]], float]:
        now, due, wait = self.queue.now(), [], IDLE_SECONDS
        for id, state in self.queue.undelivered().items():
            request = self.queue.find(id)
            if request is None:
                continue  # its submit is being written, or died before it was answered
            moment = max(request.ended_at, state["due_at"])
            if moment <= now:
                due.append((request, state))
            wait = min(wait, max(moment - now, SOONEST_SECONDS))
        return due, wait

    async def _try(self, request: Request, state: dict[str, Any], *, gate: asyncio.Semaphore) -> None:
        async with gate:
            delivered = await self._post(request)
        attempts = state["attempts"] + 1
        if delivered or attempts > len(WAITS):
            await asyncio.to_thread(self.queue.delivery, request.request_id, None)
        else:
            state = {"attempts": attempts, "due_at": self.queue.now() + WAITS[attempts - 1]}
            await asyncio.to_thread(self.queue.delivery, request.request_id, state)

    async def _post(self, request: Request) -> bool:
        body = json.dumps(message(request, await self.settle(request)), sort_keys=True).encode()
        moment = int(self.queue.now())
        headers = await asyncio.to_thread(self.signer.headers, request.request_id, body=body, timestamp=moment)
        try:
            answer = await self.client.post(
                request.webhook_url or "",
                content=body,
                headers={**headers, "Content-Type": "application/json"},
                timeout=TIMEOUT_SECONDS,
                follow_redirects=False,
            )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return False
        return answer.is_success

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        # Several processes may share the folder: one of them delivers at a time, the lock dies with its process.
        self.queue.root.mkdir(parents=True, exist_ok=True)
        with (self.queue.root / "webhooks.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def message(request: Request, outcome: Outcome) -> dict[str, Any]:
    """The body of a webhook."""
    good = outcome.status == 200
    told = ended_with(request)
    error = None if good else (told[0] if told else f"Invalid status code: {outcome.status}")
    return {
        "request_id": request.request_id,
        "gateway_request_id": request.gateway_request_id,
        "status": "OK" if good else "ERROR",
        "error": error,
        "payload": outcome.body,
    }

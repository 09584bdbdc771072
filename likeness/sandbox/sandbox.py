"""The sandbox as one object: its queue, storage and webhooks, and the one worker that does its heavy work."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx

from likeness.sandbox.life import Request
from likeness.sandbox.queue import Outcome, Queue
from likeness.sandbox.signing import Signer
from likeness.sandbox.storage import Storage
from likeness.sandbox.webhooks import Webhooks

SWEEP_SECONDS = 60.0
T = TypeVar("T")


class Sandbox:
    """Answers work without `start`; webhooks and the removal of expired files need it."""

    def __init__(self, data_dir: Path, *, speed: float, public_base: str | None, now: Callable[[], float]) -> None:
        if speed <= 0:
            raise ValueError("the sandbox's speed must be above 0")
        base = public_base.rstrip("/") if public_base else None
        self.now = now
        self.speed = speed
        self.queue_base = base or "https://queue.fal.run"
        self.media_base = base or "https://v3.fal.media"
        self.storage = Storage(root=data_dir, base=self.media_base, now=now)
        self.queue = Queue(root=data_dir, storage=self.storage, speed=speed, now=now)
        self.signer = Signer(path=data_dir / "webhook_key.pem")
        self._worker: ThreadPoolExecutor | None = None
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None

    async def start(self, client: httpx.AsyncClient | None = None) -> None:
        """Begin to deliver webhooks through `client`, which is closed by `stop`. Starting twice changes nothing."""
        if self._tasks:
            return
        self._client = client or httpx.AsyncClient(trust_env=False)
        hooks = Webhooks(queue=self.queue, signer=self.signer, client=self._client, settle=self.settle)
        self._tasks = [asyncio.create_task(hooks.run(self._woken)), asyncio.create_task(self._sweep())]

    async def stop(self) -> None:
        """Stop delivering; what is undelivered stays on disk for the next start."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        if self._worker is not None:
            worker, self._worker = self._worker, None
            await asyncio.to_thread(worker.shutdown)

    def wake(self) -> None:
        """Say that there may be a new webhook."""
        self._woken.set()

    async def settle(self, request: Request) -> Outcome:
        """What an ended request came to; computed once, by the one worker."""
        kept = await asyncio.to_thread(self.queue.outcome, request)
        if kept is not None:
            return kept
        return await self.heavy(partial(self.queue.settle, request))

    async def heavy(self, work: Callable[[], T]) -> T:
        """Do heavy work in the one worker thread, so that its memory is bounded."""
        if self._worker is None:
            self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox")
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    async def _sweep(self) -> None:
        while True:
            await asyncio.to_thread(self.storage.sweep)
            await asyncio.sleep(SWEEP_SECONDS)

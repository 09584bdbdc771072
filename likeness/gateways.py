"""The outside world, as this process reaches it."""

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from services.ports import AssetStore, Clock, EventBus, Jobs, Provider, TokenVerifier, WebhookVerifier

MayRead = Callable[[str, Mapping[str, str]], bool]
Prepare = Callable[[str], Awaitable[None]]


async def nothing(path: str) -> None:
    """For stores without files that are made when asked for."""


@dataclass(frozen=True, kw_only=True)
class Gateways:
    """One of each kind, chosen by `likeness.wiring`."""

    clock: Clock
    store: AssetStore
    bus: EventBus
    jobs: Jobs
    provider: Provider
    workers: ThreadPoolExecutor
    temp_dir: Path
    verifiers: Mapping[str, TokenVerifier]
    webhook_verifier: WebhookVerifier | None
    may_read: MayRead
    executor: str
    prepare: Prepare = nothing

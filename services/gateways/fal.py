"""fal.ai through its official client, except that a submit is one POST which nothing repeats.

fal_client 1.0.3 sends a submit up to ten times when its answer is lost, and each time a paid job starts. So the POST
goes straight through the client's authorised httpx client, whose transport repeats nothing but a connect that failed.
Every other call is free and repeatable, and is repeated a few times.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import fal_client
import httpx
import stamina
from fal_client.client import QUEUE_URL_FORMAT

from models.errors import MissingFalKey, ProviderError, ProviderUnavailable, SubmitUnknown
from services.gateways import fal_requests
from services.gateways.fal_answers import Handle, accepted, outcome, rebuilt, standing
from services.gateways.fal_download import TRUSTED_HOSTS, fetch
from services.gateways.fal_errors import NEVER_SENT, lost, model_error, refusal, translated
from services.gateways.fal_in_process import AsgiApp, InProcessClient
from services.gateways.fal_upload import send_in_parts
from services.gateways.public_addresses import guard
from services.ports import CancelOutcome, Download, ProviderJob, ProviderStatus

T = TypeVar("T")

# fal's pages disagree on how long outputs live by default (seven days or for ever), so each submit asks for ever.
KEEP_OUTPUTS = {"X-Fal-Object-Lifecycle-Preference": json.dumps({"expiration_duration_seconds": None})}
WHOLE_BYTES = 8 << 20  # a file up to this size is sent in one piece, from memory
HEALTH_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class FalTimeouts:
    """How long one try may take as a whole, in seconds."""

    connect: float = 10.0
    submit: float = 120.0
    poll: float = 30.0
    upload: float = 900.0
    download: float = 900.0


class FalProvider:
    """The provider behind `services.ports.Provider`. One per event loop, to which its connections belong."""

    def __init__(
        self,
        client: fal_client.AsyncClient | None,
        *,
        app: AsgiApp | None = None,
        timeouts: FalTimeouts,
        private_addresses: bool = False,
    ) -> None:
        self._fal = client
        self._app = app
        self._timeouts = timeouts
        self._private_addresses = private_addresses

    @classmethod
    def real(
        cls, key: str | None, *, timeouts: FalTimeouts | None = None, private_addresses: bool = False
    ) -> "FalProvider":
        """fal.ai with this key; without one every call raises `MissingFalKey`.

        Outputs are fetched from public addresses only, unless `private_addresses`. Proxies (HTTPS_PROXY),
        SSL_CERT_FILE, FAL_RUN_HOST and FAL_QUEUE_RUN_HOST of the environment are honoured.
        """
        client = fal_client.AsyncClient(key=key) if key else None
        return cls(client, timeouts=timeouts or FalTimeouts(), private_addresses=private_addresses)

    @classmethod
    def sandbox(cls, app: AsgiApp, *, timeouts: FalTimeouts | None = None) -> "FalProvider":
        """An ASGI app that speaks fal's protocol, reached in process."""
        return cls(InProcessClient(app), app=app, timeouts=timeouts or FalTimeouts())

    @property
    def simulated(self) -> bool:
        return self._app is not None

    async def submit(
        self, endpoint: str, arguments: Mapping[str, Any], *, webhook_url: str | None = None
    ) -> ProviderJob:
        client = await self._authorised()
        url = QUEUE_URL_FORMAT + endpoint + (f"?{urlencode({'fal_webhook': webhook_url})}" if webhook_url else "")
        limits = httpx.Timeout(self._timeouts.submit, connect=self._timeouts.connect)
        try:
            async with asyncio.timeout(self._timeouts.submit):
                answer = await client.post(url, json=dict(arguments), headers=KEEP_OUTPUTS, timeout=limits)
        except NEVER_SENT as error:
            raise ProviderUnavailable(reason=lost(error)) from error
        except (httpx.HTTPError, OSError) as error:
            raise SubmitUnknown(reason=lost(error)) from error
        return accepted(answer)

    async def status(self, job: ProviderJob, *, logs: bool = False) -> ProviderStatus:
        handle = Handle(**asdict(job), client=await self._authorised())
        async with translated(self._timeouts.poll, job=True):
            return standing(await handle.status(with_logs=logs))

    async def result(self, job: ProviderJob) -> Mapping[str, Any]:
        client = await self._authorised()

        async def read() -> Mapping[str, Any]:
            async with translated(self._timeouts.poll, job=True):
                answer = await client.get(job.response_url, timeout=self._timeouts.poll)
                if answer.status_code != 200:
                    raise model_error(answer)
                return dict(answer.json())

        return await _patiently(read)

    async def cancel(self, job: ProviderJob) -> CancelOutcome:
        client = await self._authorised()

        async def ask() -> CancelOutcome:
            async with translated(self._timeouts.poll):
                return outcome(await client.put(job.cancel_url, timeout=self._timeouts.poll))

        return await _patiently(ask)

    def known_job(self, endpoint: str, request_id: str) -> ProviderJob:
        return rebuilt(endpoint, request_id)

    async def find(
        self, endpoint: str, needle: str, *, arguments: Mapping[str, Any], since: datetime
    ) -> Sequence[ProviderJob]:
        cursor, found = None, dict[str, str]()
        for _ in range(fal_requests.MAX_PAGES):
            page = await self._list(fal_requests.query(endpoint, cursor=cursor))
            found |= {id: sent for sent, id in fal_requests.matching(page, needle, arguments=arguments, since=since)}
            cursor = fal_requests.next_cursor(page)
            if cursor is None:
                break
        newest_first = sorted(found, key=found.__getitem__, reverse=True)
        return [rebuilt(endpoint, id) for id in newest_first]

    async def upload(self, path: Path, *, content_type: str, expires_in: timedelta) -> str:
        seconds = max(int(expires_in.total_seconds()), 1)

        async def put() -> str:
            async with translated(self._timeouts.upload):
                return await self._send(path, content_type, seconds)

        return await _patiently(put)

    async def download(self, url: str, to: Path, *, limit: int) -> Download:
        return await _patiently(
            lambda: fetch(self._anonymous, url, to, limit=limit, seconds=self._timeouts.download),
        )

    async def healthy(self) -> bool:
        """Whether the queue answers at all; False without a key."""
        if self._fal is None:
            return False
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                await self._anonymous.head(QUEUE_URL_FORMAT)
        except (httpx.HTTPError, OSError):
            return False
        return True

    async def close(self) -> None:
        """Close the connections; the provider cannot be used afterwards."""
        if self._fal is not None and "_client" in vars(self._fal):
            await (await self._fal._client).aclose()
        if "_anonymous" in vars(self):
            await self._anonymous.aclose()

    async def _authorised(self) -> httpx.AsyncClient:
        return await self._keyed()._client

    def _keyed(self) -> fal_client.AsyncClient:
        # Without a key fal_client would look for a login of its own in the home directory.
        if self._fal is None:
            raise MissingFalKey
        return self._fal

    @cached_property
    def _anonymous(self) -> httpx.AsyncClient:
        """Outputs are public and lie on other hosts, which must not see the key."""
        transport = httpx.ASGITransport(self._app) if self._app else None
        client = httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(60.0, connect=self._timeouts.connect))
        return client if transport else guard(client, trusted=TRUSTED_HOSTS, private=self._private_addresses)

    async def _list(self, parameters: Mapping[str, str | int]) -> Any:
        client = await self._authorised()

        async def read() -> Any:
            async with translated(self._timeouts.poll):
                answer = await client.get(fal_requests.LIST_URL, params=parameters, timeout=self._timeouts.poll)
                if answer.status_code != 200:
                    raise refusal(answer)
                return answer.json()

        return await _patiently(read)

    async def _send(self, path: Path, content_type: str, seconds: int) -> str:
        fal, size = self._keyed(), (await asyncio.to_thread(path.stat)).st_size
        if size > WHOLE_BYTES:
            return await send_in_parts(fal, path, size=size, content_type=content_type, life_seconds=seconds)
        data = await asyncio.to_thread(path.read_bytes)
        life = fal_client.StorageSettings(expires_in=seconds)
        return await fal.upload(data, content_type, path.name, lifecycle=life)


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat what may work later; never used around a submit."""

    def worth_it(error: Exception) -> bool:
        return isinstance(error, ProviderError) and error.retryable

    return await stamina.AsyncRetryingCaller(attempts=3, timeout=None, wait_initial=0.3, wait_max=3.0)(worth_it, call)

"""The one place that picks gateways from settings."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette

from likeness.assembly import Assembly
from likeness.data_dir import prepare_data_dir, runs_file
from likeness.db import connected
from likeness.gateways import Gateways
from likeness.sandbox.app import create_sandbox
from likeness.settings import Settings, SettingsError
from services.gateways.bus_memory import MemoryBus
from services.gateways.clock import SystemClock
from services.gateways.cloudinary_asset import SEPARATOR
from services.gateways.fal import FalProvider
from services.gateways.fal_signature import FalSignature, published_keys
from services.gateways.jobs_dbos import DbosJobs
from services.gateways.store_local import LocalStore
from services.gateways.tokens_jwt import Expected, JwksTokens, SecretTokens
from services.gateways.tokens_telegram import TelegramInitData
from services.kept_files import any_location_contains
from services.ports import AssetStore, Clock, EventBus, Jobs, Provider, TokenVerifier, WebhookVerifier

RUN_VERSION = "1"  # change it with the steps of the durable runs
SHARED_SECONDS = 5.0  # with PostgreSQL there may be other processes, whose events only the rows tell without Redis


@asynccontextmanager
async def wired(settings: Settings) -> AsyncIterator[Assembly]:
    """Open everything in order and close it in reverse."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(connected(settings.database))
        yield Assembly(settings, await open_gateways(settings, stack))


async def open_gateways(settings: Settings, stack: AsyncExitStack) -> Gateways:
    """The gateways that the settings name, closed with the stack."""
    temp_dir = settings.data_dir.absolute() / "tmp"
    await asyncio.to_thread(prepare_data_dir, settings)
    workers = ThreadPoolExecutor(1, thread_name_prefix="images")  # one decoded photo in memory at a time
    stack.callback(workers.shutdown, wait=False, cancel_futures=True)
    clock, local, executor = SystemClock(), await _local_store(settings), _executor(settings)
    sandbox = await _sandbox(settings, stack) if settings.simulated else None
    return Gateways(
        clock=clock,
        store=_asset_store(settings, local),
        bus=await _bus(settings, stack),
        jobs=_jobs(settings, executor),
        executor=executor,
        provider=_provider(settings, sandbox, stack),
        workers=workers,
        temp_dir=temp_dir,
        verifiers=_verifiers(settings, clock),
        webhook_verifier=_webhook_verifier(settings, sandbox, clock),
        may_read=local.verify,
        prepare=local.prepare,
    )


async def check_kept_files(settings: Settings) -> None:
    """Raise `SettingsError` when kept files lie at Cloudinary and its settings are gone; the database is connected."""
    if settings.cloudinary is None and await any_location_contains(SEPARATOR):
        raise SettingsError("CLOUDINARY_URL must be set again: kept files lie at Cloudinary.")


def _asset_store(settings: Settings, local: LocalStore) -> AssetStore:
    """The local folder; with Cloudinary configured, new files go there and the folder keeps what it has."""
    if settings.cloudinary is None:
        return local
    # Imported here because the SDK reads CLOUDINARY_URL when it is imported, and a malformed one stops it.
    from services.gateways.store_cloudinary import CloudinaryStore
    from services.gateways.store_moved import MovedStore

    return MovedStore(CloudinaryStore(**settings.cloudinary, folder=settings.cloudinary_folder), local)


async def _local_store(settings: Settings) -> LocalStore:
    secret = await asyncio.to_thread(_url_secret, settings.data_dir / "url-secret")
    return LocalStore(media_root(settings), base_url=settings.base_url, secret=secret)


def media_root(settings: Settings) -> Path:
    """Where the local asset store keeps its files."""
    return settings.data_dir.absolute() / "assets"


def _url_secret(file: Path) -> bytes:
    """The key that signs private addresses, made once and readable by us alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
            new.write(secrets.token_bytes(32))
    except FileExistsError:
        pass
    return file.read_bytes()


async def _bus(settings: Settings, stack: AsyncExitStack) -> EventBus:
    if settings.redis_url is None:
        return MemoryBus() if settings.is_sqlite else MemoryBus(reread_seconds=SHARED_SECONDS)
    # Imported here because the client costs 19 MB, which a server without Redis can do without.
    from services.gateways.bus_redis import RedisBus

    bus = RedisBus(settings.redis_url)
    await bus.start()
    stack.push_async_callback(bus.close)
    return bus


def _executor(settings: Settings) -> str:
    """The name under which this process works on runs: always the same with SQLite, so that a restart resumes."""
    return "local" if settings.is_sqlite else f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def _jobs(settings: Settings, executor: str) -> Jobs:
    url = f"sqlite:///{quote(str(runs_file(settings)))}" if settings.is_sqlite else settings.database
    return DbosJobs(url, executor_id=executor, application_version=RUN_VERSION)


async def _sandbox(settings: Settings, stack: AsyncExitStack) -> Starlette:
    app = create_sandbox(settings.data_dir.absolute() / "sandbox", speed=settings.sandbox_speed)
    await app.state.sandbox.start()
    stack.push_async_callback(app.state.sandbox.stop)
    return app


def _provider(settings: Settings, sandbox: Starlette | None, stack: AsyncExitStack) -> Provider:
    if sandbox is None:
        key = settings.fal_key.get_secret_value() if settings.fal_key else None
        provider = FalProvider.real(key, private_addresses=settings.fal_private_addresses)
    else:
        provider = FalProvider.sandbox(sandbox)
    stack.push_async_callback(provider.close)
    return provider


def _webhook_verifier(settings: Settings, sandbox: Starlette | None, clock: Clock) -> WebhookVerifier | None:
    """None without PUBLIC_URL: nobody could reach us, and the provider is given no address."""
    if settings.public_url is None:
        return None
    return FalSignature(jwks=published_keys(sandbox), clock=clock, expected_user=settings.fal_webhook_user_id)


def _verifiers(settings: Settings, clock: Clock) -> dict[str, TokenVerifier]:
    verifiers: dict[str, TokenVerifier] = {}
    expected = Expected(issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    if settings.jwt_secret:
        verifiers["bearer"] = SecretTokens(secret=settings.jwt_secret.get_secret_value(), expected=expected)
    if settings.jwt_jwks_url:
        verifiers["bearer"] = JwksTokens(url=settings.jwt_jwks_url, expected=expected)
    if settings.telegram_bot_token:
        token = settings.telegram_bot_token.get_secret_value()
        verifiers["tma"] = TelegramInitData(bot_token=token, clock=clock)
    return verifiers

"""The one place that picks gateways from settings and builds the services."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from likeness.db import connected
from likeness.sandbox.app import create_sandbox
from likeness.settings import Settings
from models.generation import GenerationEvent
from models.training import TrainingEvent
from services import generation, training
from services.container import Services
from services.credits import Credits
from services.events import Feed
from services.gateways.bus_memory import MemoryBus
from services.gateways.bus_redis import RedisBus
from services.gateways.clock import SystemClock
from services.gateways.fal import FalProvider
from services.gateways.jobs_dbos import DbosJobs
from services.gateways.store_cloudinary import CloudinaryStore
from services.gateways.store_local import LocalStore
from services.gateways.tokens_jwt import Expected, JwksTokens, SecretTokens
from services.gateways.tokens_telegram import TelegramInitData
from services.generation import GenerationService
from services.generation_journal import GenerationJournal
from services.generation_run import GenerationRun
from services.health import HealthService
from services.housekeeping import Housekeeping
from services.identity import IdentityService
from services.images import PhotoRules
from services.journal import Journal
from services.photos import PhotoService
from services.ports import AssetStore, Clock, EventBus, Jobs, Provider, Run, TokenVerifier
from services.submissions import Submissions
from services.training import TrainingService
from services.training_finish import TrainingFinish
from services.training_follow import TrainingFollow
from services.training_journal import TrainingJournal
from services.training_run import TrainingRun

RUN_VERSION = "1"  # change it with the steps of the durable runs


@dataclass(frozen=True, kw_only=True)
class Gateways:
    """The outside world, as this process reaches it."""

    clock: Clock
    store: AssetStore
    bus: EventBus
    jobs: Jobs
    provider: Provider
    workers: ThreadPoolExecutor
    temp_dir: Path


@dataclass(frozen=True, kw_only=True)
class Wired:
    """A process's services, durable runs and sweeps."""

    services: Services
    runs: dict[str, Run]
    jobs: Jobs
    housekeeping: Housekeeping


@asynccontextmanager
async def wired(settings: Settings) -> AsyncIterator[Wired]:
    """Open everything in order and close it in reverse."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(connected(settings.database))
        yield build(settings, await open_gateways(settings, stack))


async def open_gateways(settings: Settings, stack: AsyncExitStack) -> Gateways:
    """The gateways that the settings name, closed with the stack."""
    temp_dir = settings.data_dir.absolute() / "tmp"
    await asyncio.to_thread(temp_dir.mkdir, parents=True, exist_ok=True)
    workers = ThreadPoolExecutor(1, thread_name_prefix="images")  # one decoded photo in memory at a time
    stack.callback(workers.shutdown, wait=False, cancel_futures=True)
    return Gateways(
        clock=SystemClock(),
        store=await asset_store(settings),
        bus=await _bus(settings, stack),
        jobs=_jobs(settings),
        provider=await _provider(settings, stack),
        workers=workers,
        temp_dir=temp_dir,
    )


def build(settings: Settings, gateways: Gateways) -> Wired:
    """The services over given gateways."""
    clock, bus, jobs = gateways.clock, gateways.bus, gateways.jobs
    credits = Credits(clock=clock, daily_credits=settings.daily_credits)
    journal = Journal(bus=bus, clock=clock)
    trainings = TrainingJournal(journal=journal, credits=credits)
    generations = GenerationJournal(journal=journal, credits=credits)
    photos = _photos(settings, gateways)
    services = Services(
        identity=IdentityService(clock=clock, verifiers=_verifiers(settings, clock)),
        photos=photos,
        training=TrainingService(
            clock=clock,
            jobs=jobs,
            photos=photos,
            journal=trainings,
            feed=Feed(bus=bus, model=TrainingEvent, job_column="training_id"),
            price=settings.credits_per_training,
            min_photos=settings.min_photos,
            max_photos=settings.max_photos,
            simulated=gateways.provider.simulated,
        ),
        generation=GenerationService(
            clock=clock,
            jobs=jobs,
            journal=generations,
            feed=Feed(bus=bus, model=GenerationEvent, job_column="generation_id"),
            price=settings.credits_per_generation,
            simulated=gateways.provider.simulated,
        ),
        credits=credits,
        health=HealthService(store=gateways.store, provider=gateways.provider),
        store=gateways.store,
    )
    runs = {
        training.RUN: _training_run(settings, gateways, trainings).run,
        generation.RUN: _generation_run(settings, gateways, generations).run,
    }
    return Wired(services=services, runs=runs, jobs=jobs, housekeeping=Housekeeping(clock=clock, jobs=jobs))


def _photos(settings: Settings, gateways: Gateways) -> PhotoService:
    return PhotoService(
        store=gateways.store,
        clock=gateways.clock,
        workers=gateways.workers,
        rules=PhotoRules(max_bytes=settings.max_photo_bytes, min_side=settings.min_photo_side),
        max_photos=settings.max_photos,
        temp_dir=gateways.temp_dir,
    )


def _training_run(settings: Settings, gateways: Gateways, journal: TrainingJournal) -> TrainingRun:
    provider, clock, store = gateways.provider, gateways.clock, gateways.store
    workers, temp_dir = gateways.workers, gateways.temp_dir
    return TrainingRun(
        store=store,
        provider=provider,
        clock=clock,
        workers=workers,
        temp_dir=temp_dir,
        archive_life=timedelta(hours=settings.archive_ttl_hours),
        journal=journal,
        submissions=Submissions(provider=provider, clock=clock, public_url=None),
        follow=TrainingFollow(
            bus=gateways.bus, provider=provider, clock=clock, journal=journal, poll_seconds=settings.fal_poll_seconds
        ),
        finish=TrainingFinish(store=store, provider=provider, workers=workers, temp_dir=temp_dir, journal=journal),
    )


def _generation_run(settings: Settings, gateways: Gateways, journal: GenerationJournal) -> GenerationRun:
    return GenerationRun(
        bus=gateways.bus,
        store=gateways.store,
        provider=gateways.provider,
        workers=gateways.workers,
        temp_dir=gateways.temp_dir,
        journal=journal,
        submissions=Submissions(provider=gateways.provider, clock=gateways.clock, public_url=None),
        poll_seconds=min(settings.fal_poll_seconds, 2.0),
    )


async def asset_store(settings: Settings) -> AssetStore:
    """Cloudinary when configured, else a local folder."""
    if settings.cloudinary is not None:
        return CloudinaryStore(**settings.cloudinary, folder=settings.cloudinary_folder)
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
        return MemoryBus()
    bus = RedisBus(settings.redis_url)
    await bus.start()
    stack.push_async_callback(bus.close)
    return bus


def _jobs(settings: Settings) -> Jobs:
    if settings.is_sqlite:
        file = settings.data_dir.absolute() / "runs.sqlite"
        return DbosJobs(f"sqlite:///{file}", executor_id="local", application_version=RUN_VERSION)
    executor = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    return DbosJobs(settings.database, executor_id=executor, application_version=RUN_VERSION)


async def _provider(settings: Settings, stack: AsyncExitStack) -> Provider:
    if not settings.simulated:
        provider = FalProvider.real(settings.fal_key.get_secret_value() if settings.fal_key else None)
    else:
        app = create_sandbox(settings.data_dir.absolute() / "sandbox", speed=settings.sandbox_speed)
        await app.state.sandbox.start()
        stack.push_async_callback(app.state.sandbox.stop)
        provider = FalProvider.sandbox(app)
    stack.push_async_callback(provider.close)
    return provider


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

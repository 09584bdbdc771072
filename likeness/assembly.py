"""The services of a process, put together over given gateways."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from likeness.settings import Settings
from models.generation import GenerationEvent
from models.training import TrainingEvent
from services import generation, training
from services.container import Services
from services.credits import Credits
from services.events import Feed
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

MayRead = Callable[[str, Mapping[str, str]], bool]


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
    verifiers: Mapping[str, TokenVerifier]
    may_read: MayRead


@dataclass(frozen=True, kw_only=True)
class Wired:
    """A process's services, durable runs and sweeps."""

    services: Services
    runs: dict[str, Run]
    jobs: Jobs
    housekeeping: Housekeeping
    may_read: MayRead


def build(settings: Settings, gateways: Gateways) -> Wired:
    """The services over given gateways."""
    clock, bus, jobs = gateways.clock, gateways.bus, gateways.jobs
    credits = Credits(clock=clock, daily_credits=settings.daily_credits)
    journal = Journal(bus=bus, clock=clock)
    trainings = TrainingJournal(journal=journal, credits=credits)
    generations = GenerationJournal(journal=journal, credits=credits)
    photos = _photos(settings, gateways)
    services = Services(
        identity=IdentityService(clock=clock, verifiers=gateways.verifiers),
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
    return Wired(
        services=services,
        runs=runs,
        jobs=jobs,
        housekeeping=Housekeeping(clock=clock, jobs=jobs),
        may_read=gateways.may_read,
    )


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

"""The services of a process, put together over given gateways."""

from datetime import timedelta
from functools import cached_property

from likeness.gateways import Gateways
from likeness.settings import Settings
from likeness.upkeep import Upkeep
from models.generation import GenerationEvent
from models.training import TrainingEvent
from services import cancelling, generation, removal, rescue, training, webhooks
from services.cancelling import Canceller
from services.container import Services
from services.credits import Credits
from services.events import Feed
from services.generation import GenerationService
from services.generation_changes import GenerationChanges
from services.generation_follow import GenerationFollow
from services.generation_intake import GenerationIntake
from services.generation_journal import GenerationJournal
from services.generation_run import GenerationRun
from services.health import HealthService
from services.housekeeping import Housekeeping
from services.identity import IdentityService
from services.images import PhotoRules
from services.journal import Journal
from services.photos import PhotoService
from services.ports import Run
from services.presence import Presence
from services.presets import PresetService
from services.rescue import Rescue
from services.sharing import Sharing
from services.submissions import Submissions
from services.training import TrainingService
from services.training_changes import TrainingChanges
from services.training_finish import TrainingFinish
from services.training_follow import TrainingFollow
from services.training_journal import TrainingJournal
from services.training_run import TrainingRun
from services.webhooks import WebhookService


class Assembly:
    """Each part of a process once, made when it is first asked for."""

    def __init__(self, settings: Settings, gateways: Gateways) -> None:
        self.settings = settings
        self.gateways = gateways

    @cached_property
    def services(self) -> Services:
        """What a resolver is given."""
        return Services(
            identity=IdentityService(clock=self.gateways.clock, verifiers=self.gateways.verifiers),
            photos=self.photos,
            training=self.training,
            training_changes=TrainingChanges(
                clock=self.gateways.clock,
                jobs=self.gateways.jobs,
                journal=self.trainings,
                price=self.settings.credits_per_training,
                simulated=self.gateways.provider.simulated,
            ),
            generation=self.generation,
            presets=self.presets,
            generation_changes=GenerationChanges(jobs=self.gateways.jobs, journal=self.generations),
            webhooks=self.webhooks,
            credits=self.credits,
            health=HealthService(store=self.gateways.store, provider=self.gateways.provider),
            removal=self.upkeep.removal,
            sharing=Sharing(clock=self.gateways.clock),
            store=self.gateways.store,
        )

    @cached_property
    def runs(self) -> dict[str, Run]:
        """The durable runs by kind."""
        return {
            training.RUN: self.training_run.run,
            generation.RUN: self.generation_run.run,
            cancelling.RUN: self.canceller.run,
            webhooks.RUN: self.webhooks.run,
            removal.RUN: self.upkeep.removal.run,
            rescue.RUN: Rescue(
                provider=self.gateways.provider,
                clock=self.gateways.clock,
                finish=self.training_run.finish,
                generations=self.generation_run,
            ).run,
        }

    @cached_property
    def housekeeping(self) -> Housekeeping:
        """The sweeps."""
        return Housekeeping(
            clock=self.gateways.clock,
            jobs=self.gateways.jobs,
            credits=self.credits,
            submissions=self.submissions,
            temp_dir=self.gateways.temp_dir,
        )

    @cached_property
    def upkeep(self) -> Upkeep:
        """What keeps the asset store in order."""
        return Upkeep(self.gateways, self.generations)

    @cached_property
    def presence(self) -> Presence | None:
        """This process among others; None with SQLite, which has one process only."""
        if self.settings.is_sqlite:
            return None
        return Presence(clock=self.gateways.clock, jobs=self.gateways.jobs, executor=self.gateways.executor)

    @cached_property
    def credits(self) -> Credits:
        return Credits(clock=self.gateways.clock, daily_credits=self.settings.daily_credits)

    @cached_property
    def journal(self) -> Journal:
        return Journal(bus=self.gateways.bus, clock=self.gateways.clock)

    @cached_property
    def trainings(self) -> TrainingJournal:
        return TrainingJournal(journal=self.journal, credits=self.credits)

    @cached_property
    def generations(self) -> GenerationJournal:
        return GenerationJournal(journal=self.journal, credits=self.credits)

    @cached_property
    def submissions(self) -> Submissions:
        public_url = self.settings.public_url if self.gateways.webhook_verifier else None
        return Submissions(provider=self.gateways.provider, clock=self.gateways.clock, public_url=public_url)

    @cached_property
    def canceller(self) -> Canceller:
        return Canceller(provider=self.gateways.provider, submissions=self.submissions)

    @cached_property
    def photos(self) -> PhotoService:
        return PhotoService(
            store=self.gateways.store,
            clock=self.gateways.clock,
            workers=self.gateways.workers,
            rules=PhotoRules(max_bytes=self.settings.max_photo_bytes, min_side=self.settings.min_photo_side),
            max_photos=self.settings.max_photos,
            temp_dir=self.gateways.temp_dir,
        )

    @cached_property
    def training(self) -> TrainingService:
        return TrainingService(
            clock=self.gateways.clock,
            jobs=self.gateways.jobs,
            photos=self.photos,
            journal=self.trainings,
            feed=Feed(bus=self.gateways.bus, model=TrainingEvent, job_column="training_id"),
            price=self.settings.credits_per_training,
            min_photos=self.settings.min_photos,
            max_photos=self.settings.max_photos,
            simulated=self.gateways.provider.simulated,
        )

    @cached_property
    def generation(self) -> GenerationService:
        return GenerationService(
            intake=GenerationIntake(
                clock=self.gateways.clock,
                jobs=self.gateways.jobs,
                journal=self.generations,
                presets=self.presets,
                price=self.settings.credits_per_generation,
                simulated=self.gateways.provider.simulated,
            ),
            feed=Feed(bus=self.gateways.bus, model=GenerationEvent, job_column="generation_id"),
        )

    @cached_property
    def presets(self) -> PresetService:
        return PresetService(clock=self.gateways.clock)

    @cached_property
    def webhooks(self) -> WebhookService:
        return WebhookService(
            clock=self.gateways.clock,
            bus=self.gateways.bus,
            jobs=self.gateways.jobs,
            provider=self.gateways.provider,
            submissions=self.submissions,
            verifier=self.gateways.webhook_verifier,
        )

    @cached_property
    def training_run(self) -> TrainingRun:
        return TrainingRun(
            store=self.gateways.store,
            provider=self.gateways.provider,
            clock=self.gateways.clock,
            workers=self.gateways.workers,
            temp_dir=self.gateways.temp_dir,
            archive_life=timedelta(hours=self.settings.archive_ttl_hours),
            journal=self.trainings,
            submissions=self.submissions,
            follow=TrainingFollow(
                bus=self.gateways.bus,
                provider=self.gateways.provider,
                clock=self.gateways.clock,
                journal=self.trainings,
                poll_seconds=self.settings.fal_poll_seconds,
            ),
            finish=TrainingFinish(
                store=self.gateways.store,
                provider=self.gateways.provider,
                workers=self.gateways.workers,
                temp_dir=self.gateways.temp_dir,
                journal=self.trainings,
            ),
            canceller=self.canceller,
        )

    @cached_property
    def generation_run(self) -> GenerationRun:
        return GenerationRun(
            store=self.gateways.store,
            provider=self.gateways.provider,
            workers=self.gateways.workers,
            temp_dir=self.gateways.temp_dir,
            journal=self.generations,
            submissions=self.submissions,
            canceller=self.canceller,
            follow=GenerationFollow(
                bus=self.gateways.bus,
                provider=self.gateways.provider,
                clock=self.gateways.clock,
                journal=self.generations,
                poll_seconds=min(self.settings.fal_poll_seconds, 2.0),
            ),
            aliases=self.settings.fal_model_aliases,
        )

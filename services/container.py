"""Everything the outside may ask for, in one frozen bundle."""

from dataclasses import dataclass

from services.credits import Credits
from services.generation import GenerationService
from services.generation_changes import GenerationChanges
from services.health import HealthService
from services.identity import IdentityService
from services.photos import PhotoService
from services.ports import AssetStore
from services.presets import PresetService
from services.removal import Removal
from services.sharing import Sharing
from services.training import TrainingService
from services.training_changes import TrainingChanges
from services.webhooks import WebhookService


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services a resolver is given."""

    identity: IdentityService
    photos: PhotoService
    training: TrainingService
    training_changes: TrainingChanges
    generation: GenerationService
    presets: PresetService
    generation_changes: GenerationChanges
    webhooks: WebhookService
    credits: Credits
    health: HealthService
    removal: Removal
    sharing: Sharing
    store: AssetStore

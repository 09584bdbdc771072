"""Everything the outside may ask for, in one frozen bundle."""

from dataclasses import dataclass

from services.credits import Credits
from services.generation import GenerationService
from services.health import HealthService
from services.identity import IdentityService
from services.photos import PhotoService
from services.ports import AssetStore
from services.training import TrainingService


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services a resolver is given."""

    identity: IdentityService
    photos: PhotoService
    training: TrainingService
    generation: GenerationService
    credits: Credits
    health: HealthService
    store: AssetStore

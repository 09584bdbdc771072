"""What a resolver is given: the services, who asks, and the batch loads of this one operation."""

from dataclasses import dataclass
from typing import Self, TypeAlias
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader

from models.generation import Generation, GenerationLora
from models.lora import LoraModel
from models.photo import Photo
from models.preset import Preset
from models.submission import Submission
from models.training import Training, TrainingEvent
from models.user import User
from services import ledger_history, lookups
from services.container import Services


@dataclass(frozen=True, kw_only=True)
class Loaders:
    """Reads of one level of the answer, gathered into one query each.

    Nothing is remembered between levels: a subscription's operation lasts for minutes, and a mutation's answer must
    show what it has just changed.
    """

    model: DataLoader[UUID, LoraModel]
    training_of_model: DataLoader[UUID, Training | None]
    photos_of_training: DataLoader[UUID, list[Photo]]
    photo_hashes_of_training: DataLoader[UUID, list[str]]
    photo_hash: DataLoader[UUID, str]
    latest_event: DataLoader[UUID, TrainingEvent | None]
    submissions: DataLoader[UUID, list[Submission]]
    models_of_generation: DataLoader[UUID, list[LoraModel]]
    loras_of_generation: DataLoader[UUID, list[GenerationLora]]
    change_of_posting: DataLoader[UUID, int]
    training: DataLoader[UUID, Training | None]
    generation: DataLoader[UUID, Generation | None]
    preset: DataLoader[str, Preset | None]

    @classmethod
    def fresh(cls) -> Self:
        """Loaders for one operation."""
        return cls(
            model=DataLoader(lookups.models, cache=False),
            training_of_model=DataLoader(lookups.trainings_of_models, cache=False),
            photos_of_training=DataLoader(lookups.photos_of_trainings, cache=False),
            photo_hashes_of_training=DataLoader(lookups.photo_hashes_of_trainings, cache=False),
            photo_hash=DataLoader(lookups.photo_hashes, cache=False),
            latest_event=DataLoader(lookups.latest_events, cache=False),
            submissions=DataLoader(lookups.submissions_of_jobs, cache=False),
            models_of_generation=DataLoader(lookups.models_of_generations, cache=False),
            loras_of_generation=DataLoader(lookups.loras_of_generations, cache=False),
            change_of_posting=DataLoader(ledger_history.changes, cache=False),
            training=DataLoader(ledger_history.trainings, cache=False),
            generation=DataLoader(ledger_history.generations, cache=False),
            preset=DataLoader(lookups.presets, cache=False),
        )


@dataclass(frozen=True, kw_only=True)
class Context:
    """One operation of one signed-in user."""

    services: Services
    signed_in: User | Exception
    loaders: Loaders
    request_id: str

    @classmethod
    def build(cls, services: Services, signed_in: User | Exception, request_id: str) -> Self:
        """The context of a new operation; `signed_in` is an error when the user's row could not be read."""
        return cls(services=services, signed_in=signed_in, loaders=Loaders.fresh(), request_id=request_id)

    @property
    def viewer(self) -> User:
        """Who asks. Raises the error of reading their row: only what needs nobody works without a database."""
        if isinstance(self.signed_in, Exception):
            raise self.signed_in
        return self.signed_in


Info: TypeAlias = strawberry.Info[Context, None]

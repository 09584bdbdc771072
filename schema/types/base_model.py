"""The models that can be trained on."""

from typing import Self

import strawberry

from schema.types.fields import computed
from schema.types.node import Node, global_id
from services.trainers import Trainer


@strawberry.type(description="A base model that can be trained, with the generator that draws with the result.")
class BaseModel(Node):
    row: strawberry.Private[Trainer]
    name: str = strawberry.field(description="Its name, for people.")
    generator: str = strawberry.field(description="The provider's model that draws with the result.")
    parameters: list[str] = strawberry.field(description="The parameters that are sent to the trainer.")
    trainer: str = strawberry.field(description="The provider's model that trains it.")

    @computed("The object's id, for `node`, `baseModelId` and caches; opaque.")
    def id(self) -> strawberry.ID:
        return global_id("BaseModel", self.row.key)

    @classmethod
    def of_trainer(cls, trainer: Trainer) -> Self:
        """Show a trainer."""
        return cls.of(trainer, trainer=trainer.endpoint)

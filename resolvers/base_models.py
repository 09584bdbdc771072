"""Base models: list."""

from schema.context import Info
from schema.types.base_model import BaseModel
from schema.types.node import read_key
from services.trainers import TRAINERS


async def browse() -> list[BaseModel]:
    """All of them, the default first."""
    return [BaseModel.of_trainer(trainer) for trainer in TRAINERS.values()]


async def get(info: Info, id: str) -> BaseModel | None:
    """One of them."""
    trainer = TRAINERS.get(read_key(id, "BaseModel"))
    return BaseModel.of_trainer(trainer) if trainer else None

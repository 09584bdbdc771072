"""Presets and packs: ready-made kinds of picture."""

from typing import Self

import strawberry

from models.preset import Preset as PresetRow
from schema.types.fields import computed
from schema.types.node import Node, global_id
from schema.types.status import GenerationType
from services.preset_data import Pack as PackData


@strawberry.type(description="A ready-made kind of picture.")
class Preset(Node):
    row: strawberry.Private[PresetRow]
    key: str = strawberry.field(description="Its short name, for programs; it never changes.")
    name: str = strawberry.field(description="Its name, for people.")
    type: GenerationType = strawberry.field(description="The kind of generation it makes.")
    models: list[str] = strawberry.field(
        description="The provider's models that are tried, in order; with trained models their own generator instead."
    )
    needs_photo: bool = strawberry.field(description="Whether `sourcePhotoId` must be given.")
    description: str = strawberry.field(description="What it looks like, in one sentence.")

    @computed("The object's id, for `node`, `presetId` and caches; opaque.")
    def id(self) -> strawberry.ID:
        return global_id("Preset", self.row.key)


@strawberry.type(description="A named set of presets that are run together.")
class Pack:
    key: str = strawberry.field(description="Its short name, for `generatePack`.")
    name: str = strawberry.field(description="Its name, for people.")
    description: str = strawberry.field(description="What it makes, in one sentence.")
    needs_photo: bool = strawberry.field(description="Whether `sourcePhotoId` must be given.")
    presets: list[Preset] = strawberry.field(description="Its presets, in order; each makes one generation.")

    @classmethod
    def of_data(cls, pack: PackData, presets: list[PresetRow]) -> Self:
        """Show a pack with those of its presets that are offered."""
        return cls(
            key=pack.key,
            name=pack.name,
            description=pack.description,
            needs_photo=any(preset.needs_photo for preset in presets),
            presets=[Preset.of(preset) for preset in presets],
        )

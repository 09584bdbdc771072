"""Presets: ready-made kinds of picture."""

import strawberry

from schema.types.node import Node
from schema.types.status import GenerationType


@strawberry.type(description="A ready-made kind of picture.")
class Preset(Node):
    key: str = strawberry.field(description="Its short name, for programs.")
    name: str = strawberry.field(description="Its name, for people.")
    type: GenerationType = strawberry.field(description="The kind of generation it makes.")
    models: list[str] = strawberry.field(description="The provider's models that are tried, in order.")
    needs_photo: bool = strawberry.field(description="Whether `sourcePhotoId` must be given.")

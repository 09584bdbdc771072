"""Photos, models and generations: delete."""

from resolvers.problems import user_errors
from schema.context import Info
from schema.types.arguments import Wanted
from schema.types.node import read_id
from schema.types.removal import (
    DeleteGenerationInput,
    DeleteGenerationPayload,
    DeleteModelInput,
    DeleteModelPayload,
    DeletePhotoInput,
    DeletePhotoPayload,
)


@user_errors(DeletePhotoPayload)
async def photo(info: Info, input: Wanted[DeletePhotoInput]) -> DeletePhotoPayload:
    """Delete a photo."""
    context = info.context
    await context.services.removal.delete_photo(context.viewer.id, read_id(input.id, "Photo"))
    return DeletePhotoPayload(deleted_id=input.id)


@user_errors(DeleteModelPayload)
async def model(info: Info, input: Wanted[DeleteModelInput]) -> DeleteModelPayload:
    """Delete a model."""
    context = info.context
    await context.services.removal.delete_model(context.viewer.id, read_id(input.id, "LoraModel"))
    return DeleteModelPayload(deleted_id=input.id)


@user_errors(DeleteGenerationPayload)
async def generation(info: Info, input: Wanted[DeleteGenerationInput]) -> DeleteGenerationPayload:
    """Delete a generation."""
    context = info.context
    await context.services.removal.delete_generation(context.viewer.id, read_id(input.id, "Generation"))
    return DeleteGenerationPayload(deleted_id=input.id)

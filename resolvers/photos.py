"""Photos: upload and list."""

from resolvers.problems import bad_input, user_errors
from schema.context import Info
from schema.types import problem
from schema.types.arguments import Wanted
from schema.types.node import read_id
from schema.types.paging import After, Connection, First
from schema.types.photo import (
    Photo,
    UploadPhotosInput,
    UploadPhotosPayload,
    UploadTrainingArchiveInput,
    UploadTrainingArchivePayload,
)


@user_errors(UploadPhotosPayload)
async def upload(info: Info, input: Wanted[UploadPhotosInput]) -> UploadPhotosPayload:
    """Keep photos; each refused one is an error of its own."""
    context = info.context
    intake = await context.services.photos.upload(context.viewer.id, input.photos)
    return UploadPhotosPayload(
        photos=[Photo.of(row) for row in intake.photos], user_errors=[problem.of(error) for error in intake.rejected]
    )


@user_errors(UploadTrainingArchivePayload)
async def upload_archive(info: Info, input: Wanted[UploadTrainingArchiveInput]) -> UploadTrainingArchivePayload:
    """Keep the photos of a ZIP; each refused one is an error of its own."""
    context = info.context
    intake = await context.services.photos.upload_archive(context.viewer.id, input.archive)
    return UploadTrainingArchivePayload(
        photos=[Photo.of(row) for row in intake.photos], user_errors=[problem.of(error) for error in intake.rejected]
    )


@bad_input
async def browse(info: Info, first: First = None, after: After = None) -> Connection[Photo]:
    """The viewer's photos."""
    context = info.context
    page = await context.services.photos.browse(context.viewer.id, first=first, after=after)
    return Connection[Photo].of(page, Photo.of)


async def get(info: Info, id: str) -> Photo | None:
    """One of the viewer's photos."""
    return Photo.of_maybe(await info.context.services.photos.get(info.context.viewer.id, read_id(id, "Photo")))

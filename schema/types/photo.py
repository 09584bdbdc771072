"""Photos and their uploads."""

from datetime import datetime

import strawberry

from models.photo import Photo as PhotoRow
from schema.context import Info
from schema.types.fields import computed
from schema.types.node import Node
from schema.types.problem import UserError
from schema.types.scalars import Upload


@strawberry.type(description="An uploaded photo, kept upright and without metadata.")
class Photo(Node):
    row: strawberry.Private[PhotoRow]
    filename: str = strawberry.field(description="What the client called the file.")
    content_type: str = strawberry.field(description="The media type of the kept file, decided by its content.")
    bytes: int = strawberry.field(description="The size of the kept file, in bytes.")
    width: int = strawberry.field(description="The width, in pixels.")
    height: int = strawberry.field(description="The height, in pixels.")
    sha256: str = strawberry.field(description="The SHA-256 of the kept file, in hexadecimal digits.")
    created_at: datetime = strawberry.field(description="When it was uploaded.")

    @computed("Where the photo can be seen for a while; ask again for a new address.")
    def url(self, info: Info) -> str:
        return info.context.services.photos.url(self.row)


@strawberry.input(description="Photos to keep.")
class UploadPhotosInput:
    photos: list[Upload] = strawberry.field(description="JPEG, PNG or WebP files, told apart by their content.")


@strawberry.type(description="What became of an upload: good photos are kept when others are refused.")
class UploadPhotosPayload:
    photos: list[Photo] = strawberry.field(
        default_factory=list,
        description="The photos kept, in the order of the files; a file uploaded before gives the photo it gave then.",
    )
    user_errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why files, or the whole upload, were refused."
    )


@strawberry.input(description="Photos to keep, in a ZIP.")
class UploadTrainingArchiveInput:
    archive: Upload = strawberry.field(description="A ZIP of photos; folders and hidden files in it are left out.")


@strawberry.type(description="What became of an archive: good photos are kept when others are refused.")
class UploadTrainingArchivePayload:
    photos: list[Photo] = strawberry.field(
        default_factory=list, description="The photos kept, in the archive's order; use their ids in `startTraining`."
    )
    user_errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why photos, or the whole archive, were refused."
    )

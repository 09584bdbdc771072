"""Deleting, renaming and sharing."""

import strawberry

from schema.types.problem import UserError
from schema.types.training import LoraModel

DELETED = "The id that was given, once nothing is left of it for its owner; null when it was not deleted."
WHY = "Why it was not deleted: NOT_FOUND, or CONFLICT while a job that has not ended needs it."


@strawberry.input(description="A photo to delete.")
class DeletePhotoInput:
    id: strawberry.ID = strawberry.field(description="One of the viewer's photos; one that was deleted already too.")


@strawberry.type(description="What became of a deletion.")
class DeletePhotoPayload:
    deleted_id: strawberry.ID | None = strawberry.field(default=None, description=DELETED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=WHY)


@strawberry.input(description="A trained model to delete.")
class DeleteModelInput:
    id: strawberry.ID = strawberry.field(description="One of the viewer's models; one that was deleted already too.")


@strawberry.type(description="What became of a deletion.")
class DeleteModelPayload:
    deleted_id: strawberry.ID | None = strawberry.field(default=None, description=DELETED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=WHY)


@strawberry.input(description="A generated picture to delete.")
class DeleteGenerationInput:
    id: strawberry.ID = strawberry.field(
        description="One of the viewer's generations that has ended; one that was deleted already too."
    )


@strawberry.type(description="What became of a deletion.")
class DeleteGenerationPayload:
    deleted_id: strawberry.ID | None = strawberry.field(default=None, description=DELETED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=WHY)


@strawberry.input(description="Another name for a trained model.")
class RenameModelInput:
    id: strawberry.ID = strawberry.field(description="One of the viewer's models.")
    name: str = strawberry.field(description="1 to 100 characters; the trigger word stays what it is.")


@strawberry.type(description="The model that was renamed.")
class RenameModelPayload:
    model: LoraModel | None = strawberry.field(
        default=None, description="The model with its new name; null when it was not renamed."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was not renamed.")


@strawberry.input(description="Whether others may draw with a trained model.")
class ShareModelInput:
    id: strawberry.ID = strawberry.field(description="One of the viewer's models.")
    shared: bool = strawberry.field(
        description="True: every user who is told its id may draw with it, see its name and its trigger word, and "
        "nothing of its training, photos or weights. False: from now on its owner alone may."
    )


@strawberry.type(description="The model that was shared, or is no longer.")
class ShareModelPayload:
    model: LoraModel | None = strawberry.field(
        default=None, description="The model as it is now; null when nothing was changed."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was changed.")

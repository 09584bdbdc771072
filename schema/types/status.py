"""The enums of the schema: the states and kinds of models/, described for clients."""

from enum import Enum

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

from models.errors import ErrorCode
from models.ledger import PostingKind
from models.status import (
    GenerationStatus,
    GenerationType,
    ImageFormat,
    SubjectGender,
    TrainingQuality,
    TrainingStage,
    TrainingStatus,
)

__all__ = [
    "ErrorCode",
    "GenerationStatus",
    "GenerationType",
    "ImageFormat",
    "PostingKind",
    "SubjectGender",
    "TrainingQuality",
    "TrainingStage",
    "TrainingStatus",
]


def _describe(enum: type[Enum], description: str, *, name: str | None = None, **values: str) -> None:
    """Make an enum part of the schema; each of its values needs a description."""
    strawberry.enum(enum, name=name, description=description)
    definition: StrawberryEnumDefinition = enum.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values[value.name]


_describe(
    TrainingStatus,
    "Where a training stands.",
    PENDING="Accepted and paid for; the work has not begun.",
    TRAINING="Being worked on; `stage` says how far it is.",
    COMPLETED="Done: the model can be used.",
    FAILED="Ended without a model; `error` says why, and the credits were given back.",
    CANCELLED="Ended at the user's wish; the credits were given back.",
)
_describe(
    TrainingStage,
    "What a training is doing. Each stage is a part of the overall percent.",
    DOWNLOADING_IMAGES="The photos are being fetched (30 to 35 %).",
    PACKAGING="The photos are being packed (35 to 45 %).",
    CREATING_ARCHIVE="The archive is being written (45 to 48 %).",
    ARCHIVE_READY="The archive is complete (48 to 52 %).",
    UPLOADING_ARCHIVE="The archive is on its way to the provider (52 to 58 %).",
    ARCHIVE_URL="The provider is being asked to train (58 to 60 %).",
    TRAINING="The provider is training (60 to 90 %).",
    FINALIZING="The weights are being fetched, checked and kept (90 to 100 %).",
)
_describe(
    TrainingQuality,
    "How thoroughly to train.",
    ECONOMY="500 steps: faster and cheaper.",
    QUALITY="1000 steps: the default.",
)
_describe(
    SubjectGender,
    "Who the photos show; it chooses the noun in the prompts.",
    PERSON="A person; the default.",
    WOMAN="A woman.",
    MAN="A man.",
)
_describe(
    GenerationStatus,
    "Where a generation stands.",
    PENDING="Accepted and paid for; the work has not begun.",
    PROCESSING="Being drawn or kept.",
    COMPLETED="Done: our own copy of the image is kept.",
    FAILED="Ended without an image; `error` says why, and the credits were given back.",
    CANCELLED="Ended at the user's wish; the credits were given back.",
)
_describe(
    GenerationType,
    "The kinds of picture.",
    **{type.name: type.kind.description for type in GenerationType},
)
_describe(
    ImageFormat,
    "The file formats of pictures.",
    PNG="Lossless and large.",
    JPEG="Small and known everywhere; what is transparent becomes white.",
    WEBP="Smaller still.",
)
_describe(
    PostingKind,
    "Why credits moved.",
    name="LedgerPostingKind",
    ALLOWANCE="A day's allowance was given.",
    GRANT="The operator added credits to the balance.",
    RESERVE="A job was accepted: its price was set aside.",
    COMMIT="A job has COMPLETED: what was set aside is spent.",
    REFUND="A job has FAILED or was CANCELLED: what was set aside was given back.",
)
_describe(
    ErrorCode,
    "What went wrong, for programs; the message is for people.",
    name="UserErrorCode",
    INVALID_INPUT="A field is out of its bounds, or does not go with another.",
    NOT_FOUND="There is no such object, or it belongs to somebody else.",
    CONFLICT="The idempotency key or run id was used before with another input, or the object's state forbids this.",
    ALREADY_FINISHED="The job has ended already, or its result is being kept.",
    TOO_MANY_FILES="More files than one upload may have; none was kept.",
    FILE_TOO_LARGE="The file has too many bytes.",
    UNSUPPORTED_MEDIA_TYPE="The file is of a kind that is not taken.",
    IMAGE_UNREADABLE="The image is damaged or incomplete.",
    IMAGE_TOO_SMALL="The image has too few pixels.",
    ARCHIVE_REJECTED="The archive is damaged, unsafe or too large.",
    NOT_ENOUGH_PHOTOS="Fewer different photos than a training needs.",
    TOO_MANY_PHOTOS="More photos than a training takes.",
    INSUFFICIENT_CREDITS="Allowance and balance together do not pay for this.",
    QUOTA_EXCEEDED="The day's allowance is used up.",
    MODEL_NOT_READY="The model's training is not COMPLETED.",
    PROVIDER_REJECTED="The image provider refused the request.",
    PROVIDER_UNAVAILABLE="A service behind ours cannot be reached; trying again later may help.",
    MISSING_FAL_KEY="The server has no key for the image provider.",
    CONTENT_REFUSED="The provider's content rules refused the prompt, the photo or the image: change them.",
    PROVIDER_TIMEOUT="The image provider took too long; trying again may help.",
)

"""Every failure a user can be told about: the class docstring is the message, its fields are the facts.

LikenessError
├── InvalidInput, NotFound, Conflict, AlreadyFinished
├── PhotoRejected (per photo), ArchiveRejected, NotEnoughPhotos, TooManyPhotos, TooManyFiles
├── InsufficientCredits, ModelNotReady
└── ProviderError: ProviderRejected, ProviderUnavailable, MissingFalKey, ResultUnknown
"""

from enum import StrEnum
from typing import Any, ClassVar


class ErrorCode(StrEnum):
    """What went wrong, for programs."""

    INVALID_INPUT = "INVALID_INPUT"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    ALREADY_FINISHED = "ALREADY_FINISHED"
    TOO_MANY_FILES = "TOO_MANY_FILES"
    FILE_TOO_LARGE = "FILE_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    IMAGE_UNREADABLE = "IMAGE_UNREADABLE"
    IMAGE_TOO_SMALL = "IMAGE_TOO_SMALL"
    ARCHIVE_REJECTED = "ARCHIVE_REJECTED"
    NOT_ENOUGH_PHOTOS = "NOT_ENOUGH_PHOTOS"
    TOO_MANY_PHOTOS = "TOO_MANY_PHOTOS"
    INSUFFICIENT_CREDITS = "INSUFFICIENT_CREDITS"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    MODEL_NOT_READY = "MODEL_NOT_READY"
    PROVIDER_REJECTED = "PROVIDER_REJECTED"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    MISSING_FAL_KEY = "MISSING_FAL_KEY"
    CONTENT_REFUSED = "CONTENT_REFUSED"
    PROVIDER_TIMEOUT = "PROVIDER_TIMEOUT"


class LikenessError(Exception):
    """Something went wrong."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID_INPUT
    retryable: ClassVar[bool] = False

    def __init__(self, *, path: tuple[str, ...] = (), **facts: Any) -> None:
        self.path = path
        self.facts = facts
        self.message = (type(self).__doc__ or "").format(**facts)
        super().__init__(self.message)


class InvalidInput(LikenessError):
    """{reason}"""


class NotFound(LikenessError):
    """There is no {what} with this id."""

    code = ErrorCode.NOT_FOUND


class Conflict(LikenessError):
    """{reason}"""

    code = ErrorCode.CONFLICT


class AlreadyFinished(LikenessError):
    """This {what} has already ended ({status})."""

    code = ErrorCode.ALREADY_FINISHED


class PhotoRejected(LikenessError):
    """{reason}"""

    # The code differs per reason, so it is an instance attribute here.
    code: ErrorCode  # type: ignore[misc]

    def __init__(self, *, code: ErrorCode, reason: str, index: int = 0, filename: str | None = None) -> None:
        super().__init__(reason=reason, path=("input", "photos", str(index)))
        self.code = code
        self.reason = reason
        self.index = index
        self.filename = filename


class TooManyFiles(LikenessError):
    """{have} files were sent; at most {limit} are taken at once."""

    code = ErrorCode.TOO_MANY_FILES


class ArchiveRejected(LikenessError):
    """The archive was refused: {reason}"""

    code = ErrorCode.ARCHIVE_REJECTED


class NotEnoughPhotos(LikenessError):
    """{have} photos were given; a training needs at least {need}."""

    code = ErrorCode.NOT_ENOUGH_PHOTOS


class TooManyPhotos(LikenessError):
    """{have} photos were given; a training takes at most {limit}."""

    code = ErrorCode.TOO_MANY_PHOTOS


class InsufficientCredits(LikenessError):
    """This costs {required} credits and {available} are available."""

    code = ErrorCode.INSUFFICIENT_CREDITS

    def __init__(self, *, required: int, available: int) -> None:
        super().__init__(required=required, available=available)
        self.required = required
        self.available = available


class ModelNotReady(LikenessError):
    """The model is {status}; it can be used once its training is COMPLETED."""

    code = ErrorCode.MODEL_NOT_READY


class ProviderError(LikenessError):
    """The image provider failed: {reason}"""

    code = ErrorCode.PROVIDER_UNAVAILABLE


class ProviderRejected(ProviderError):
    """The image provider refused the request: {reason}"""

    code = ErrorCode.PROVIDER_REJECTED


class ContentRefused(ProviderRejected):
    """The content rules refused the prompt or the photo: {reason}"""

    code = ErrorCode.CONTENT_REFUSED


class PhotoUnreadable(ProviderRejected):
    """The image provider cannot use this photo: {reason}"""

    code = ErrorCode.IMAGE_UNREADABLE


class ProviderFileLost(ProviderRejected):
    """The image provider could not fetch a file it was given: {reason}"""

    code = ErrorCode.PROVIDER_UNAVAILABLE
    retryable = True


class ProviderTimeout(ProviderRejected):
    """The image provider took too long: {reason}"""

    code = ErrorCode.PROVIDER_TIMEOUT
    retryable = True


class ProviderUnavailable(ProviderError):
    """The image provider cannot be reached: {reason}"""

    retryable = True


class ProviderKeyRefused(ProviderError):
    """The image provider refused our key: {reason}"""


class ProviderBalanceExhausted(ProviderError):
    """The image provider's account is locked: {reason}"""


class MissingFalKey(ProviderError):
    """No key for the image provider is configured: set FAL_KEY."""

    code = ErrorCode.MISSING_FAL_KEY


class SubmitUnknown(ProviderError):
    """The image provider may or may not have taken the job: {reason}"""


class ProviderJobGone(ProviderError):
    """The image provider no longer knows the job: {reason}"""


class IllegalMove(Exception):
    """A status change that the table of moves forbids, or that another writer overtook."""


class StorageDown(LikenessError):
    """The file storage does not work now; please try again."""

    code = ErrorCode.PROVIDER_UNAVAILABLE
    retryable = True


class StorageRefused(LikenessError):
    """The file storage refused the file."""

    code = ErrorCode.PROVIDER_UNAVAILABLE


class ResultUnusable(LikenessError):
    """The result could not be used: {reason}"""

    code = ErrorCode.PROVIDER_REJECTED


class ImageBlocked(ResultUnusable):
    """The image was blocked by the provider's safety checker; this costs nothing. Change the prompt, or try again."""

    code = ErrorCode.CONTENT_REFUSED
    retryable = True


class WeightsIncomplete(ResultUnusable):
    """The result could not be used: {reason}"""


class Internal(LikenessError):
    """Something went wrong on our side; the credits were given back."""

    code = ErrorCode.PROVIDER_UNAVAILABLE
    retryable = True


class ForgedWebhook(Exception):
    """A webhook without a sound signature of the provider, or an old one."""


class NotSignedIn(Exception):
    """Sign in: send `Authorization: Bearer <JWT>`. {reason}"""

    def __init__(self, reason: str = "") -> None:
        super().__init__((type(self).__doc__ or "").format(reason=reason).strip())

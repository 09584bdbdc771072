"""What can go wrong: the typed errors in `userErrors`, and the error of a job."""

from datetime import datetime
from typing import Self

import strawberry
from graphql import GraphQLError

from models.errors import InsufficientCredits, LikenessError, NotFound, PhotoRejected
from models.generation import Generation
from models.training import Training
from schema.types.status import ErrorCode

__all__ = ["ErrorCode", "LikenessError"]


@strawberry.interface(description="An expected failure of a mutation.")
class UserError:
    code: ErrorCode = strawberry.field(description="What went wrong, for programs.")
    message: str = strawberry.field(description="What went wrong, for people, in one sentence.")
    path: list[str] | None = strawberry.field(
        description="The field of the input it is about, from `input` down; null when it is about none."
    )


@strawberry.type(description="The input cannot be accepted, or the request cannot be carried out.")
class InvalidInputError(UserError):
    pass


@strawberry.type(description="An id names nothing of the viewer's.")
class NotFoundError(UserError):
    pass


@strawberry.type(description="One file was refused; the other files of the upload are not affected.")
class PhotoRejectedError(UserError):
    index: int = strawberry.field(description="The file's place in the upload, from 0.")
    filename: str | None = strawberry.field(description="What the client called the file.")


@strawberry.type(description="Allowance and balance together do not pay for this.")
class InsufficientCreditsError(UserError):
    required: int = strawberry.field(description="The price, in credits.")
    available: int = strawberry.field(description="What can be spent now, in credits.")


@strawberry.type(description="The day's allowance is used up.")
class QuotaExceededError(UserError):
    resets_at: datetime = strawberry.field(description="When the next allowance begins.")


ERROR_TYPES = [InvalidInputError, NotFoundError, PhotoRejectedError, InsufficientCreditsError, QuotaExceededError]


def of(error: LikenessError) -> UserError:
    """Show an expected failure: the type that has its facts, else `InvalidInputError` with the failure's own code."""
    code, message, path = error.code, error.message, list(error.path) or None
    if isinstance(error, PhotoRejected):
        return PhotoRejectedError(code=code, message=message, path=path, index=error.index, filename=error.filename)
    if isinstance(error, InsufficientCredits):
        return InsufficientCreditsError(
            code=code, message=message, path=path, required=error.required, available=error.available
        )
    if isinstance(error, NotFound):
        return NotFoundError(code=code, message=message, path=path)
    return InvalidInputError(code=code, message=message, path=path)


def bad_input(error: LikenessError) -> GraphQLError:
    """An expected failure of a query or subscription, with its path in `extensions`."""
    return GraphQLError(error.message, extensions={"code": "BAD_USER_INPUT", "path": list(error.path)})


@strawberry.type(description="Why a job ended without a result.")
class JobError:
    code: str = strawberry.field(description="The kind of failure, for programs; a `UserErrorCode` where one fits.")
    message: str = strawberry.field(description="What happened, for people.")
    retryable: bool = strawberry.field(description="Whether the same request may work later.")

    @classmethod
    def of_job(cls, row: Training | Generation) -> Self | None:
        """Show why a job failed; None when it did not."""
        if row.error_code is None:
            return None
        return cls(code=row.error_code, message=row.error_message or "", retryable=row.error_retryable)

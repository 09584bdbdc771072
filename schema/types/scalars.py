"""How values that JSON does not have are written and read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from services.uploads import UploadedFile

Upload = NewType("Upload", UploadedFile)


def _written_time(value: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as JavaScript's `toISOString` writes it."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read_time(value: object) -> datetime:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise GraphQLError("A DateTime is an RFC 3339 string with an offset, such as 2026-01-31T12:00:00.000Z.")
    return time.astimezone(UTC)


def _read_upload(value: object) -> UploadedFile:
    if not isinstance(value, UploadedFile):
        raise GraphQLError("An Upload is a file of a multipart request.")
    return value


SCALARS: Mapping[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment, in UTC with milliseconds: `2026-01-31T12:00:00.000Z` (RFC 3339).",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=_written_time,
        parse_value=_read_time,
    ),
    Upload: strawberry.scalar(
        name="Upload",
        description="A file, sent in a multipart request; its variable is null in `operations` and named in `map`.",
        specified_by_url="https://github.com/jaydenseric/graphql-multipart-request-spec",
        parse_value=_read_upload,
    ),
}

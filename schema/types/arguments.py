"""Arguments that several fields take."""

from typing import Annotated, TypeAlias, TypeVar

import strawberry

T = TypeVar("T")

GlobalId: TypeAlias = Annotated[strawberry.ID, strawberry.argument(description="The object's id.")]
Wanted: TypeAlias = Annotated[T, strawberry.argument(description="What is wanted.")]
AfterSeq: TypeAlias = Annotated[
    int | None,
    strawberry.argument(
        description="The number of the last event already seen: the stream begins with the next one, and gives every "
        "one that is stored. 0 gives all of them; when absent the stream begins with the newest. A negative number, "
        "or one beyond the last event, is refused (BAD_USER_INPUT). Of a job that has ended the stream gives the "
        "events after it, none after the last, and completes."
    ),
]

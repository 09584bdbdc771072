"""Pages of lists, after Relay's Cursor Connections."""

from collections.abc import Callable
from typing import Annotated, Any, Generic, Self, TypeAlias, TypeVar

import strawberry

from schema.types.fields import computed
from services.paging import Page

T = TypeVar("T")

First: TypeAlias = Annotated[
    int | None, strawberry.argument(description="How many at most, from 1 to 100; 20 when absent.")
]
After: TypeAlias = Annotated[
    str | None, strawberry.argument(description="Only what comes after this cursor of the same list.")
]


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there is more after `endCursor`.")
    has_previous_page: bool = strawberry.field(description="Whether the page was asked for with `after`.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first object; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="What to give as `after` for the next page.")


@strawberry.type(description="One object of a page, with its place in the list.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="The object's place in the list, for `after`.")
    node: T = strawberry.field(description="The object.")


@strawberry.type(description="One page of a list, newest first.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The page's objects with their cursors.")
    nodes: list[T] = strawberry.field(description="The page's objects without their cursors.")
    page_info: PageInfo = strawberry.field(description="How to get the next page.")
    page: strawberry.Private[Page[Any]]

    @computed("How many objects the whole list has.")
    async def total_count(self) -> int:
        return await self.page.count()

    @classmethod
    def of(cls, page: Page[Any], show: Callable[[Any], T]) -> Self:
        """Show a page of rows."""
        nodes = [show(row) for row in page.rows]
        cursors = page.cursors
        return cls(
            edges=[Edge(cursor=cursor, node=node) for cursor, node in zip(cursors, nodes, strict=True)],
            nodes=nodes,
            page_info=PageInfo(
                has_next_page=page.has_next,
                has_previous_page=page.has_previous,
                start_cursor=cursors[0] if cursors else None,
                end_cursor=cursors[-1] if cursors else None,
            ),
            page=page,
        )

"""Fields that are worked out, as opposed to those that show a column."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

F = TypeVar("F", bound=Callable[..., Any])


def computed(description: str) -> Callable[[F], F]:
    """Make a method a field; the same as `strawberry.field`, which mypy takes for untyped."""
    return cast("Callable[[F], F]", strawberry.field(description=description))

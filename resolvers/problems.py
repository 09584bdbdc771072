"""How an expected failure reaches a client: in `userErrors` of a mutation, else as a top-level BAD_USER_INPUT."""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import ParamSpec, Protocol, TypeVar, cast

from schema.types import problem
from schema.types.problem import LikenessError, UserError

P = ParamSpec("P")
E = TypeVar("E")
T = TypeVar("T")


class _Payload(Protocol):
    def __init__(self, *, user_errors: list[UserError]) -> None: ...


Payload = TypeVar("Payload", bound=_Payload)


def user_errors(
    payload: type[Payload],
) -> Callable[[Callable[P, Awaitable[Payload]]], Callable[P, Awaitable[Payload]]]:
    """For mutations: a `LikenessError` becomes the only error of an otherwise empty payload."""

    def decorate(resolver: Callable[P, Awaitable[Payload]]) -> Callable[P, Awaitable[Payload]]:
        @functools.wraps(resolver)
        async def wrapper(*args: P.args, **kwargs: P.kwargs) -> Payload:
            try:
                return await resolver(*args, **kwargs)
            except LikenessError as error:
                return payload(user_errors=[problem.of(error)])

        return wrapper

    return decorate


def bad_input(resolver: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """For queries and subscriptions: a `LikenessError` becomes a `GraphQLError` with its path in `extensions`."""

    @functools.wraps(resolver)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await resolver(*args, **kwargs)
        except LikenessError as error:
            raise problem.bad_input(error) from error

    return wrapper


async def begun(events: AsyncIterator[E], show: Callable[[E], T]) -> AsyncGenerator[T, None]:
    """Show events, the first one read already: what is refused is refused before the stream begins."""
    try:
        first = [await anext(events)]
    except StopAsyncIteration:
        first = []
    return _continued(first, events, show)


async def _continued(first: list[E], events: AsyncIterator[E], show: Callable[[E], T]) -> AsyncGenerator[T, None]:
    """Closing this closes `events`: a client that goes away leaves no listener behind."""
    async with aclosing(cast("AsyncGenerator[E, None]", events)):
        for event in first:
            yield show(event)
        async for event in events:
            yield show(event)

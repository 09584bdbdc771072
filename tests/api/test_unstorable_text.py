"""Text that no database can hold, wherever a client can put it: an answer of its own, never an internal error."""

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, get_named_type, is_list_type, is_required_argument
from graphql.type import get_nullable_type

from schema.root import build_schema
from schema.types.node import global_id
from services.presets import seed_presets
from tests.api.schema_stage import Stage

SCHEMA: Any = build_schema()._schema
ROOTS = {"query": SCHEMA.query_type, "mutation": SCHEMA.mutation_type, "subscription": SCHEMA.subscription_type}
TEXTS = {"NUL": "a\u0000", "half a surrogate pair": "a\ud83d"}
# What makes a request good enough to reach the database with one bad text.
GIVEN = {"prompt": "a cat", "modelName": "Me", "pack": "professional", "name": "Me", "shared": True}


def places() -> Iterator[str]:
    """Every argument and every field of an input that takes text, as `root.field.argument.field`."""
    for root, type in ROOTS.items():
        for name, field in type.fields.items():
            for argument, taken in field.args.items():
                for path in texts(taken.type):
                    yield ".".join([root, name, argument, *path])


def texts(type: Any) -> Iterator[list[str]]:
    named = get_named_type(type)
    if named.name in {"String", "ID"}:
        yield []
    if isinstance(named, GraphQLInputObjectType):
        for name, field in named.fields.items():
            yield from ([name, *path] for path in texts(field.type))


def value(type: Any, path: list[str], text: str, given: dict[str, Any]) -> Any:
    """An input with the text at the path, and else what is good."""
    if is_list_type(get_nullable_type(type)):
        return [value(get_nullable_type(type).of_type, path, text, given)]
    if not path:
        return text
    fields = get_named_type(type).fields
    rest = {name: given[name] for name in fields if name in given}
    return rest | {path[0]: value(fields[path[0]].type, path[1:], text, given)}


async def codes(stage: Stage, place: str, text: str, given: dict[str, Any]) -> list[Any]:
    """The code of each error of an operation with the text at the place; None for one that was not foreseen."""
    root, name, argument, *path = place.split(".")
    field = ROOTS[root].fields[name]
    needed = [key for key, taken in field.args.items() if key == argument or is_required_argument(taken)]
    variables = {key: given[key] for key in needed if key != argument}
    variables[argument] = value(field.args[argument].type, path, text, given)
    heads = ", ".join(f"${key}: {field.args[key].type}" for key in needed)
    document = f"{root}({heads}) {{ {name}({', '.join(f'{key}: ${key}' for key in needed)}) {{ __typename }} }}"
    if root == "subscription":
        async with stage.following(document, **variables) as results:
            answers = [result async for result in results]
    else:
        answers = [await stage.schema.execute(document, variables, context_value=stage.context())]
    return [(error.extensions or {}).get("code") for answer in answers for error in answer.errors or ()]


@pytest.mark.parametrize("text", TEXTS)
async def test_it_is_answered(stage_on_each: Stage, text: str) -> None:
    """As if it named nothing, or as input that is not valid."""
    stage = stage_on_each
    stage.daily_credits = 10_000
    await seed_presets(now=stage.clock.now())
    photos, model = await stage.photo_ids(), await stage.ready_model()
    given = GIVEN | {"id": global_id("LoraModel", model.id), "photoIds": photos}
    answers = {place: await codes(stage, place, TEXTS[text], given) for place in places()}
    assert [] == [place for place, found in answers.items() if None in found]
    assert ["BAD_USER_INPUT"] == answers["subscription.batchProgress.runId"]

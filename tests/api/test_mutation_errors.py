"""What all mutations have in common: the shape of a refusal."""

from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

from schema.root import build_schema
from tests.api.schema_stage import Stage, unknown_ids

REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "uploadPhotos": ("photos { id }", {"photos": []}),
    "uploadTrainingArchive": ("photos { id }", {}),
    "startTraining": ("training { id }", {"modelName": ""}),
    "cancelTraining": ("training { id }", {"id": "x"}),
    "retryTraining": ("training { id }", {"id": "x"}),
    "generateImage": ("generations { id }", {"numImages": 0}),
    "generatePack": ("generations { id }", {"pack": "x"}),
    "cancelGeneration": ("generation { id }", {"id": "x"}),
    "renameModel": ("model { id }", {"id": "x", "name": "Me"}),
    "shareModel": ("model { id }", {"id": "x", "shared": True}),
    "deletePhoto": ("deletedId", {"id": "x"}),
    "deleteModel": ("deletedId", {"id": "x"}),
    "deleteGeneration": ("deletedId", {"id": "x"}),
}


def mutations() -> dict[str, Any]:
    """The mutations of the schema."""
    root = build_schema()._schema.mutation_type
    assert isinstance(root, GraphQLObjectType)
    return root.fields


def document(name: str) -> str:
    """A mutation with everything an error has."""
    errors = "userErrors { __typename code message path }"
    kind = name[0].upper() + name[1:]
    return f"mutation($input: {kind}Input!) {{ {name}(input: $input) {{ {REFUSED[name][0]} {errors} }} }}"


@pytest.mark.parametrize("name", mutations())
async def test_the_shape_of_a_refusal(stage: Stage, name: str) -> None:
    """Lists are empty, objects null; an error has a type, a code, a sentence and a path from `input` down."""
    input = REFUSED[name][1] or {"archive": stage.file(b"no zip")}
    payload = (await stage.ask(document(name), input=input))[name]
    [error] = payload.pop("userErrors")
    assert [True] == [value in (None, []) for value in payload.values()]
    assert {"__typename", "code", "message", "path"} == set(error)
    assert "input" == error["path"][0]
    assert error["message"].endswith(".")


@pytest.mark.parametrize("name", mutations())
def test_the_shape_of_a_mutation(name: str) -> None:
    """One `input`; a payload that may be null, with `userErrors` that may not."""
    field = mutations()[name]
    payload = get_named_type(field.type)
    kind = name[0].upper() + name[1:]
    assert (["input"], f"{kind}Payload") == (list(field.args), str(field.type))
    assert (f"{kind}Input!", "[UserError!]!") == (str(field.args["input"].type), str(payload.fields["userErrors"].type))


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("name", ["cancelTraining", "retryTraining", "cancelGeneration"])
async def test_unknown_ids(stage: Stage, name: str, number: int) -> None:
    """Malformed, unknown and a stranger's are all NOT_FOUND."""
    what = "generation" if name == "cancelGeneration" else "training"
    theirs = await (stage.generation(stage.stranger) if what == "generation" else stage.training(stage.stranger))
    payload = (await stage.ask(document(name), input={"id": unknown_ids(what.title(), theirs.id)[number]}))[name]
    error = {
        "__typename": "NotFoundError", "code": "NOT_FOUND", "path": ["input", "id"],
        "message": f"There is no {what} with this id.",
    }  # fmt: skip
    assert {what: None, "userErrors": [error]} == payload

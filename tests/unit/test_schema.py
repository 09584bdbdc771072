"""The schema as a document: committed, described, and the same to every reader."""

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
from graphql import (
    GraphQLError,
    build_client_schema,
    get_introspection_query,
    is_specified_scalar_type,
    lexicographic_sort_schema,
    parse,
    print_schema,
    validate,
)
from graphql import (
    build_schema as schema_of,
)

from models.status import GenerationStatus, TrainingStage
from schema.root import build_schema, sdl
from schema.types.health import VERSION
from schema.types.node import global_id, read_id, read_key, split_id
from schema.types.scalars import SCALARS
from schema.types.status import ErrorCode
from services.ports import AssetKind

ROOT = Path(__file__).parents[2]
ID = UUID("018f3f3e-0000-7000-8000-000000000001")


def undescribed() -> Iterator[str]:
    """Every type, field, argument, enum value and input field that has no description."""
    for type in build_schema()._schema.type_map.values():
        if type.name.startswith("__") or is_specified_scalar_type(type):
            continue
        if not type.description:
            yield type.name
        for name, member in {**getattr(type, "fields", {}), **getattr(type, "values", {})}.items():
            if not member.description:
                yield f"{type.name}.{name}"
            yield from (
                f"{type.name}.{name}({argument}:)"
                for argument, facts in getattr(member, "args", {}).items()
                if not facts.description
            )


def test_everything_is_described() -> None:
    """Frontend developers read the schema first, and often nothing else."""
    assert [] == list(undescribed())


def test_descriptions_are_sentences() -> None:
    """A description ends like a sentence."""
    types = build_schema()._schema.type_map.values()
    ours = [type for type in types if not type.name.startswith("__") and not is_specified_scalar_type(type)]
    assert [] == [type.name for type in ours if not (type.description or "").endswith(".")]


def test_the_committed_schema() -> None:
    """schema/schema.graphql is what the server answers; after a change write it anew with `sdl()`."""
    assert sdl() == (ROOT / "schema" / "schema.graphql").read_text()


def test_introspection_agrees_with_the_committed_schema() -> None:
    """Clients that ask and clients that read the file get the same schema."""
    answer = build_schema().execute_sync(get_introspection_query(specified_by_url=True, input_value_deprecation=True))
    assert answer.data is not None
    asked = build_client_schema(answer.data)
    read = schema_of((ROOT / "schema" / "schema.graphql").read_text())
    assert print_schema(lexicographic_sort_schema(read)) == print_schema(lexicographic_sort_schema(asked))


def test_no_argument_has_a_default() -> None:
    """Absent and null mean the same, so a default would only be noise."""
    assert " = " not in "".join(line for line in sdl().splitlines() if '"""' not in line and "@" not in line)


def test_the_version() -> None:
    """`health.version` is that of pyproject.toml."""
    assert VERSION == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize("enum", [ErrorCode, TrainingStage, GenerationStatus])
def test_enums_are_whole(enum: type) -> None:
    """Each value of an enum of the rules is in the schema."""
    name = "UserErrorCode" if enum is ErrorCode else enum.__name__
    assert [value.name for value in enum] == list(build_schema()._schema.type_map[name].values)


def test_enums_of_other_rooms_are_left_alone() -> None:
    """Only what clients see is part of the schema."""
    assert not hasattr(AssetKind, "__strawberry_definition__")


def test_ids_are_opaque_and_lead_back() -> None:
    """Base64 of type and key, as Relay writes it."""
    assert "VHJhaW5pbmc6MDE4ZjNmM2UtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAx" == global_id("Training", ID)
    assert ("Training", str(ID)) == split_id(global_id("Training", ID))
    assert ID == read_id(global_id("Training", ID), "Training")
    assert "a:b" == read_key(global_id("BaseModel", "a:b"), "BaseModel")


@pytest.mark.parametrize(
    "id", ["", "x", "é", "\ud800", "VHJhaW5pbmc6", global_id("Photo", ID), f" {global_id('Training', ID)}"]
)
def test_other_texts_are_unknown_ids(id: str) -> None:
    """They give a UUID that no row has, always the same for the same text."""
    assert (5, read_id(id, "Training")) == (read_id(id, "Training").version, read_id(id, "Training"))


def test_different_malformed_ids_stay_different() -> None:
    """Two wrong ids count as two."""
    assert read_id("a", "Photo") != read_id("b", "Photo")


def test_times_are_written_in_utc() -> None:
    """Whatever the zone, milliseconds and a Z."""
    moment = datetime(2026, 1, 31, 14, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    assert "2026-01-31T12:00:00.123Z" == SCALARS[datetime].serialize(moment)


def test_times_are_read_with_their_offset() -> None:
    """An offset is turned into UTC."""
    assert datetime(2026, 1, 31, 12, tzinfo=UTC) == SCALARS[datetime].parse_value("2026-01-31T14:00:00+02:00")


@pytest.mark.parametrize("value", ["2026-01-31T12:00:00", "yesterday", 5, None])
def test_other_times_are_refused(value: object) -> None:
    """A time without an offset says nothing."""
    with pytest.raises(GraphQLError):
        SCALARS[datetime].parse_value(value)


def test_an_upload_cannot_be_written_inline() -> None:
    """Text in the document is no file."""
    document = parse('mutation { uploadPhotos(input: {photos: ["a"]}) { photos { id } } }')
    [error] = validate(build_schema()._schema, document)
    assert error.message.endswith("An Upload is a file of a multipart request.")

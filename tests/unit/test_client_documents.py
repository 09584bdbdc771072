"""The documents of the client fit the committed schema."""

from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from likeness.client import documents

SCHEMA = Path(__file__).parents[2] / "schema" / "schema.graphql"
DOCUMENTS = {name: value for name, value in vars(documents).items() if name.isupper() and not name.startswith("_")}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_is_valid(name: str) -> None:
    """graphql-core finds nothing to say against it."""
    assert [] == validate(build_schema(SCHEMA.read_text()), parse(DOCUMENTS[name]))


def test_all_documents_are_seen() -> None:
    """The test above would pass for an empty list."""
    assert {"UPLOAD_PHOTOS", "START_TRAINING", "TRAINING_PROGRESS", "GENERATE_IMAGE"} <= set(DOCUMENTS)

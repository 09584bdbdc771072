"""Query.photos."""

from schema.types.node import global_id
from tests.api.schema_stage import Stage

DOCUMENT = "{ photos { nodes { id url filename contentType bytes width height sha256 createdAt } } }"


async def test_all_fields(stage: Stage) -> None:
    """A photo, field by field."""
    row = await stage.photo()
    expected = {
        "id": global_id("Photo", row.id), "url": f"https://assets.example/photo/{row.id}.jpg", "filename": "me.jpg",
        "contentType": "image/jpeg", "bytes": 1234, "width": 640, "height": 800, "sha256": "ab" * 32,
        "createdAt": "2026-01-31T12:00:00.000Z",
    }  # fmt: skip
    assert {"photos": {"nodes": [expected]}} == await stage.ask(DOCUMENT)

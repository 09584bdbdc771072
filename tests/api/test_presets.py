"""Query.presets."""

from tests.api.schema_stage import Stage


async def test_none_is_offered_yet(stage: Stage) -> None:
    """The list is there, and empty."""
    assert {"presets": []} == await stage.ask("{ presets { id key name type models needsPhoto } }")

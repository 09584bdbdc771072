"""Query.viewer."""

from schema.types.node import global_id
from tests.api.schema_stage import Stage


async def test_it_is_who_asks(stage: Stage) -> None:
    """Id, Telegram id and quota are of the person who is signed in."""
    document = "{ viewer { id telegramId quota { remaining } } }"
    expected = {
        "viewer": {"id": global_id("Viewer", stage.stranger.id), "telegramId": "777", "quota": {"remaining": 60}}
    }
    assert expected == await stage.ask(document, viewer=stage.stranger)

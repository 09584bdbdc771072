"""Query.presets and Query.packs."""

from schema.types.node import global_id
from services.preset_data import PACKS, PRESETS
from tests.api.schema_stage import Stage, unknown_ids

FIELDS = "id key name type models needsPhoto description"


async def test_all_fields(stage: Stage) -> None:
    """Our presets in their order; an id is made of the key and never changes."""
    shown = (await stage.ask(f"{{ presets {{ {FIELDS} }} }}"))["presets"]
    expected = [
        {
            "id": global_id("Preset", seed.key), "key": seed.key, "name": seed.name, "type": seed.type.value,
            "models": list(seed.models), "needsPhoto": seed.needs_photo, "description": seed.description,
        }
        for seed in PRESETS
    ]  # fmt: skip
    assert expected == shown


async def test_what_is_switched_off_is_not_shown(stage: Stage) -> None:
    """Neither in the list nor in packs; by its id it is still there."""
    await stage.services.presets.switch("ghibli_shock", on=False)
    shown = await stage.ask("{ presets { key } packs { key presets { key } } }")
    assert "ghibli_shock" not in {preset["key"] for preset in shown["presets"]}
    pack = next(pack for pack in shown["packs"] if pack["key"] == "ghibli_reactions")
    assert ["ghibli_tears", "ghibli_sparkle"] == [preset["key"] for preset in pack["presets"]]
    document = "query($id: ID!) { node(id: $id) { ... on Preset { key } } }"
    assert {"node": {"key": "ghibli_shock"}} == await stage.ask(document, id=global_id("Preset", "ghibli_shock"))


async def test_unknown_ids(stage: Stage) -> None:
    """Null, whatever the text."""
    document = "query($id: ID!) { node(id: $id) { id } }"
    for id in [*unknown_ids("Preset", stage.me.id), global_id("Preset", "nothing")]:
        assert "Viewer" in str(id) or {"node": None} == await stage.ask(document, id=id)


async def test_packs(stage: Stage) -> None:
    """Name, sentence, and whether a photo is needed."""
    shown = (await stage.ask("{ packs { key name description needsPhoto presets { key needsPhoto } } }"))["packs"]
    assert [(pack.key, pack.name, pack.description) for pack in PACKS] == [
        (pack["key"], pack["name"], pack["description"]) for pack in shown
    ]
    assert {"ghibli_reactions": True, "six_emotions": True, "glitch_set": True, "professional": False,
            "seasons_and_places": False} == {pack["key"]: pack["needsPhoto"] for pack in shown}  # fmt: skip

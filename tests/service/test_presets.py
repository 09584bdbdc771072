"""Presets in the database: seeded as often as you like, added and switched off by operators."""

from typing import Any

import pytest

from likeness.db import connected
from models.errors import Conflict, InvalidInput, NotFound
from models.generation_types import GenerationType
from models.preset import Preset
from services.preset_data import PRESETS
from services.presets import PresetService, seed_presets
from tests.fakes import NOON, FixedClock

FACTS: dict[str, Any] = {
    "name": "Pop", "type": GenerationType.PRESET, "models": ["fal-ai/fast-sdxl"], "needs_photo": False,
    "prompt": "{trigger}, pop art", "negative_prompt": None, "description": "Pop.",
}  # fmt: skip


@pytest.fixture
async def service(database: str) -> PresetService:
    """Presets of a fresh database of each kind, seeded."""
    await seed_presets(now=NOON)
    return PresetService(clock=FixedClock())


async def test_migrating_seeds(sqlite_database_url: str) -> None:
    """A migrated database offers every preset of ours."""
    async with connected(sqlite_database_url):
        assert len(PRESETS) == await Preset.filter(enabled=True).count()


async def test_seeding_again_changes_nothing(service: PresetService) -> None:
    """Ids, times and rows stay."""
    before = [dict(row) for row in await service.every()]
    await seed_presets(now=NOON.replace(year=2027))
    assert before == [dict(row) for row in await service.every()]
    assert [preset.key for preset in PRESETS] == [row["key"] for row in before]


async def test_seeding_brings_new_words_and_keeps_the_switch(service: PresetService) -> None:
    """Our list says what a preset is, the operator whether it is offered."""
    await service.switch("ghibli_tears", on=False)
    await Preset.filter(key="ghibli_tears").update(prompt="old words", models=["fal-ai/fast-sdxl"])
    await seed_presets(now=NOON)
    row = await Preset.get(key="ghibli_tears")
    assert (PRESETS[0].prompt, list(PRESETS[0].models), False) == (row.prompt, row.models, row.enabled)


async def test_an_operators_preset(service: PresetService) -> None:
    """It comes after ours, and seeding leaves it alone."""
    await service.add("my_pop", **FACTS)
    await seed_presets(now=NOON)
    assert "my_pop" == (await service.browse())[-1].key
    assert "pop art" in (await service.choose("my_pop")).prompt


async def test_switched_off_is_not_offered(service: PresetService) -> None:
    """It is not listed and cannot be chosen, but is still there for the pictures made after it."""
    await service.switch("portrait_film", on=False)
    assert "portrait_film" not in {row.key for row in await service.browse()}
    with pytest.raises(NotFound) as refused:
        await service.choose("portrait_film")
    assert ("input", "presetId") == refused.value.path
    assert await service.get("portrait_film") is not None
    await service.switch("portrait_film", on=True)
    assert "portrait_film" == (await service.choose("portrait_film")).key


async def test_unknown_keys(service: PresetService) -> None:
    """A typing error does not pass in silence."""
    with pytest.raises(NotFound):
        await service.switch("nothing", on=False)


async def test_a_key_is_never_given_again(service: PresetService) -> None:
    """Clients know what it means."""
    with pytest.raises(Conflict):
        await service.add("ghibli_tears", **FACTS)


@pytest.mark.parametrize(
    "change",
    [
        {"key": "My Pop"}, {"key": ""}, {"key": "x" * 61}, {"name": ""}, {"name": "x" * 101}, {"prompt": ""},
        {"prompt": "x" * 2001}, {"negative_prompt": "x" * 2001}, {"description": ""}, {"models": []},
        {"models": ["fal-ai/unknown"]}, {"type": GenerationType.LORA}, {"type": GenerationType.CUSTOM_PROMPT},
        {"type": GenerationType.NEO_GLITCH}, {"models": ["fal-ai/ghiblify"]},
        {"models": ["fal-ai/realistic-vision-v5"], "needs_photo": True}, {"models": ["fal-ai/fast-sdxl"] * 2},
        {"prompt": "{prompt}"}, {"prompt": "{trigger}, {prompt}."}, {"prompt": " \n"}, {"prompt": "a\x00b"},
        {"name": " "}, {"name": "two\nlines"}, {"name": "\udcff\udcfe"}, {"name": "\u200b"}, {"description": "\t"},
        {"description": "a\x1b[2J"}, {"negative_prompt": " "}, {"negative_prompt": "a\x07"},
    ],
    ids=ascii,
)  # fmt: skip
async def test_what_cannot_be_drawn_is_not_added(service: PresetService, *, change: dict[str, Any]) -> None:
    """Each rule is a sentence; no row is written."""
    facts = {"key": "my_pop"} | FACTS | change
    with pytest.raises(InvalidInput, match=r"\.$"):
        await service.add(facts.pop("key"), **facts)
    assert len(PRESETS) == await Preset.all().count()


@pytest.mark.parametrize(
    "change",
    [{"prompt": "{prompt} on a poster"}, {"prompt": "pop art,\n\tcolourful"}, {"negative_prompt": "blurry\nugly"},
     {"negative_prompt": ""}, {"models": ["fal-ai/fast-sdxl", "fal-ai/flux-lora"]}],
    ids=ascii,
)  # fmt: skip
async def test_what_can_be_drawn_is_added(service: PresetService, *, change: dict[str, Any]) -> None:
    """Words may have lines and stand around those of the user; what must not be drawn may be left out."""
    facts = FACTS | change
    row = await service.add("my_pop", **facts)
    assert facts == {name: getattr(row, name) for name in facts}


@pytest.mark.parametrize("type", [GenerationType.LORA, GenerationType.CUSTOM_PROMPT])
async def test_a_type_without_presets(service: PresetService, *, type: GenerationType) -> None:
    """It is told as such, also when the type has no models of its own."""
    with pytest.raises(InvalidInput, match=f"^{type} takes no preset.$"):
        await service.add("my_pop", **FACTS | {"type": type, "models": list(type.kind.models)})

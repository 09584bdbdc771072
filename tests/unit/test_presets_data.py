"""Our presets and packs: frozen keys, good words, models that can do it."""

from collections import Counter

import pytest

from models.generation_types import GenerationType
from services.chains import Request, check
from services.preset_data import PACKS, PRESETS, PresetSeed

FROZEN = {
    "ghibli_tears", "ghibli_shock", "ghibli_sparkle",
    "emotion_joy", "emotion_sorrow", "emotion_anger", "emotion_fear", "emotion_surprise", "emotion_serenity",
    "emotion_pride",
    "neo_glitch_chroma", "neo_glitch_datamosh", "neo_glitch_neon", "neo_glitch_vhs", "neo_glitch_ascii",
    "portrait_business", "portrait_studio", "portrait_outdoor", "portrait_film", "portrait_noir", "portrait_editorial",
    "portrait_street", "portrait_mountain", "portrait_beach", "portrait_cafe", "portrait_winter",
    "portrait_astronaut", "portrait_oil", "portrait_cyberpunk",
}  # fmt: skip
FIRST = {"GHIBLI_REACTION": {"fal-ai/ghiblify"}, "EMOTION_MASK": {"fal-ai/ghiblify"},
         "NEO_GLITCH": {"fal-ai/fast-sdxl"},
         "PRESET": {"fal-ai/realistic-vision-v5", "fal-ai/fast-sdxl"}}  # fmt: skip


def test_no_key_is_ever_lost() -> None:
    """Clients and stored pictures name them; new ones may be added."""
    keys = [preset.key for preset in PRESETS]
    assert FROZEN <= set(keys)
    assert len(keys) == len(set(keys))


def test_there_is_a_useful_choice() -> None:
    """The seed's three reactions, six emotions, four glitches and twelve portraits at least."""
    counts = Counter(preset.type.value for preset in PRESETS)
    assert counts["GHIBLI_REACTION"] == 3
    assert counts["EMOTION_MASK"] >= 6
    assert counts["NEO_GLITCH"] >= 4
    assert counts["PRESET"] >= 12


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.key)
def test_each_can_be_drawn(preset: PresetSeed) -> None:
    """The first model is the one its seed names, and one of the chain honours what the preset needs."""
    assert preset.models[0] in FIRST[preset.type]
    assert preset.needs_photo == preset.type.kind.needs_photo
    check(preset.models, Request(photo=preset.needs_photo))
    if preset.type is GenerationType.PRESET:
        assert preset.prompt.startswith("{trigger}, ")
        assert not preset.needs_photo


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.key)
def test_each_is_described(preset: PresetSeed) -> None:
    """One sentence, within the table's bounds."""
    assert preset.description.endswith(".")
    assert len(preset.description) <= 300
    assert len(preset.key) <= 60
    assert len(preset.name) <= 100


def test_packs_name_presets_that_go_together() -> None:
    """Known ones, each once, all with a photo or all without."""
    known = {preset.key: preset for preset in PRESETS}
    for pack in PACKS:
        assert set(pack.presets) <= set(known)
        assert len(pack.presets) == len(set(pack.presets)) >= 2
        assert 1 == len({known[key].needs_photo for key in pack.presets})
        assert pack.description.endswith(".")
    assert len(PACKS) == len({pack.key for pack in PACKS})

"""Our own presets and packs. Keys are frozen: clients and stored pictures name them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.generation_types import REACTION_CHAIN, GenerationType

REALISTIC = ("fal-ai/realistic-vision-v5", "fal-ai/fast-sdxl")
HIGH_QUALITY = ("fal-ai/fast-sdxl", "fal-ai/realistic-vision-v5")
GLITCH = ("fal-ai/fast-sdxl", "fal-ai/flux-lora")
UNWANTED = "blurry, deformed face, extra fingers, bad hands, plastic skin, text, watermark, low quality"


@dataclass(frozen=True, kw_only=True)
class PresetSeed:
    """One preset; `prompt` may hold `{trigger}`, where the trained models' words go, or "a person" without models."""

    key: str
    name: str
    type: GenerationType
    models: tuple[str, ...]
    prompt: str
    description: str
    needs_photo: bool = False
    negative_prompt: str | None = UNWANTED

    @property
    def columns(self) -> dict[str, Any]:
        """The row's columns besides its key."""
        names = ("name", "type", "prompt", "description", "needs_photo", "negative_prompt")
        return {name: getattr(self, name) for name in names} | {"models": list(self.models)}


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A named set of presets that are run together."""

    key: str
    name: str
    description: str
    presets: tuple[str, ...]


def _ghibli(key: str, name: str, prompt: str, description: str) -> PresetSeed:
    prompt = f"hand-painted animated film still in the style of Studio Ghibli, {prompt}, soft light, gentle colours"
    return PresetSeed(
        key=key, name=name, type=GenerationType.GHIBLI_REACTION, models=REACTION_CHAIN, prompt=prompt,
        description=description, needs_photo=True,
    )  # fmt: skip


def _emotion(key: str, name: str, prompt: str, description: str) -> PresetSeed:
    prompt = f"expressive portrait of the same person, {prompt}, natural skin, cinematic close-up"
    return PresetSeed(
        key=key, name=name, type=GenerationType.EMOTION_MASK, models=REACTION_CHAIN, prompt=prompt,
        description=description, needs_photo=True,
    )  # fmt: skip


def _glitch(key: str, name: str, prompt: str, description: str) -> PresetSeed:
    return PresetSeed(
        key=key, name=name, type=GenerationType.NEO_GLITCH, models=GLITCH, prompt=f"portrait, {prompt}",
        description=description, needs_photo=True,
    )  # fmt: skip


def _portrait(key: str, name: str, prompt: str, description: str, *, models: tuple[str, ...] = REALISTIC) -> PresetSeed:
    return PresetSeed(
        key=key, name=name, type=GenerationType.PRESET, models=models, prompt=f"{{trigger}}, {prompt}",
        description=description,
    )  # fmt: skip


PRESETS: Sequence[PresetSeed] = (
    _ghibli(
        "ghibli_tears", "Ghibli tears", "large glistening tears rolling down the cheeks, trembling lips",
        "Big round tears of an animated film, moved to the heart.",
    ),
    _ghibli(
        "ghibli_shock", "Ghibli shock", "wide shocked eyes, open mouth, hair standing up",
        "Eyes wide and mouth open, as if the forest spirit had just appeared.",
    ),
    _ghibli(
        "ghibli_sparkle", "Ghibli sparkle", "sparkling eyes full of stars, rosy cheeks, delighted smile",
        "Stars in the eyes and rosy cheeks, pure delight.",
    ),
    _emotion(
        "emotion_joy", "Joy", "bright open smile that reaches the eyes, laughter lines",
        "An open, honest smile that reaches the eyes.",
    ),
    _emotion(
        "emotion_sorrow", "Sorrow", "downcast wet eyes, quiet grief, a single tear, muted colours",
        "Quiet grief: lowered eyes and a single tear.",
    ),
    _emotion(
        "emotion_anger", "Anger", "furrowed brows, clenched jaw, burning stare, hard side light",
        "A burning stare under furrowed brows.",
    ),
    _emotion(
        "emotion_fear", "Fear", "raised brows, widened eyes, parted lips, cold light from below",
        "Widened eyes in cold light from below.",
    ),
    _emotion(
        "emotion_surprise", "Surprise", "raised brows, open mouth, astonished eyes, sudden flash of light",
        "Astonished, in a sudden flash of light.",
    ),
    _emotion(
        "emotion_serenity", "Serenity", "calm half-closed eyes, faint smile, golden morning light",
        "Calm and at rest in golden morning light.",
    ),
    _emotion(
        "emotion_pride", "Pride", "chin raised, confident half smile, strong light from above",
        "Chin raised, sure of what was done.",
    ),
    _glitch(
        "neo_glitch_chroma", "Chroma split", "chromatic aberration, split red and cyan channels, scan lines, dark room",
        "Red and cyan drift apart along the edges of the face.",
    ),
    _glitch(
        "neo_glitch_datamosh", "Datamosh", "datamosh, smeared pixel blocks, broken video compression, vivid colours",
        "The picture tears into smeared blocks like a broken video.",
    ),
    _glitch(
        "neo_glitch_neon", "Neon grid", "neon wireframe grid over the face, magenta and teal glow, cyberpunk night",
        "A glowing grid of magenta and teal over the face.",
    ),
    _glitch(
        "neo_glitch_vhs", "VHS night", "worn VHS tape, tracking noise, colour bleed, date stamp glow, 1980s home video",
        "A worn tape from a night in the eighties.",
    ),
    _glitch(
        "neo_glitch_ascii", "Terminal", "green phosphor terminal characters forming the face, black background, glow",
        "The face made of green letters on a black terminal.",
    ),
    _portrait(
        "portrait_business", "Business", "business headshot, tailored dark suit, soft office background out of focus, "
        "confident friendly look, 85mm lens, even light",
        "A headshot for a company page or a CV.",
    ),
    _portrait(
        "portrait_studio", "Studio", "studio portrait, seamless grey backdrop, softbox from the left, sharp eyes, "
        "fine skin texture, medium format",
        "A clean studio portrait on grey paper.", models=HIGH_QUALITY,
    ),
    _portrait(
        "portrait_outdoor", "Outdoors", "outdoor portrait in a sunlit park, golden hour, leaves out of focus, relaxed "
        "smile, natural light",
        "Golden hour in the park, relaxed and warm.",
    ),
    _portrait(
        "portrait_film", "Film", "portrait on 35mm colour film, Kodak Portra tones, fine grain, window light, candid",
        "The colours and grain of 35 mm film.",
    ),
    _portrait(
        "portrait_noir", "Film noir", "black and white film noir portrait, shadow of blinds across the face, smoke, "
        "1940s coat",
        "Black and white, with the shadow of blinds across the face.",
    ),
    _portrait(
        "portrait_editorial", "Editorial", "fashion editorial portrait, bold couture, strong pose, coloured paper "
        "background, magazine cover light",
        "Bold clothes and bold light, like a magazine cover.", models=HIGH_QUALITY,
    ),
    _portrait(
        "portrait_street", "Street", "street portrait in a busy city at dusk, wet asphalt, shop lights out of focus, "
        "35mm lens",
        "A city at dusk with shop lights behind.",
    ),
    _portrait(
        "portrait_mountain", "Mountains", "adventure portrait on a mountain ridge, wind in the hair, outdoor jacket, "
        "clouds below, wide view",
        "High above the clouds, with the wind in the hair.",
    ),
    _portrait(
        "portrait_beach", "Beach", "summer portrait on a sandy beach, sea out of focus, linen shirt, low warm sun",
        "Linen, sand and low warm sun.",
    ),
    _portrait(
        "portrait_cafe", "Café", "candid portrait at a café table, cup of coffee, window light, cosy interior",
        "By the window of a café, as a friend would see you.",
    ),
    _portrait(
        "portrait_winter", "Winter", "winter portrait in falling snow, wool scarf, cold breath, fairy lights",
        "Falling snow, a wool scarf and lights behind.",
    ),
    _portrait(
        "portrait_astronaut", "Astronaut", "portrait in a detailed white space suit, helmet in hand, Earth behind, "
        "cinematic light",
        "In a space suit, with the Earth behind.", models=HIGH_QUALITY,
    ),
    _portrait(
        "portrait_oil", "Oil painting", "classical oil painting portrait, visible brush strokes, candle light, dark "
        "background, museum piece",
        "Painted in oil by candle light.", models=HIGH_QUALITY,
    ),
    _portrait(
        "portrait_cyberpunk", "Cyberpunk", "cyberpunk portrait, neon rain, reflective jacket, holograms, night city, "
        "teal and magenta",
        "Neon rain in a city of tomorrow.", models=HIGH_QUALITY,
    ),
)  # fmt: skip

PACKS: Sequence[Pack] = (
    Pack(
        key="ghibli_reactions", name="Ghibli reactions", description="All three reactions from one photo.",
        presets=("ghibli_tears", "ghibli_shock", "ghibli_sparkle"),
    ),
    Pack(
        key="six_emotions", name="Six emotions", description="One photo in six moods.",
        presets=(
            "emotion_joy", "emotion_sorrow", "emotion_anger", "emotion_fear", "emotion_surprise", "emotion_serenity",
        ),
    ),
    Pack(
        key="glitch_set", name="Glitch set", description="Four broken signals from one photo.",
        presets=("neo_glitch_chroma", "neo_glitch_datamosh", "neo_glitch_neon", "neo_glitch_vhs"),
    ),
    Pack(
        key="professional", name="Professional", description="What a CV, a company page and a talk need.",
        presets=("portrait_business", "portrait_studio", "portrait_editorial", "portrait_cafe"),
    ),
    Pack(
        key="seasons_and_places", name="Seasons and places", description="Six outings of one trained model.",
        presets=(
            "portrait_outdoor", "portrait_beach", "portrait_winter", "portrait_mountain", "portrait_street",
            "portrait_cafe",
        ),
    ),
)  # fmt: skip

"""Presets in the database: seeded from our own list, listed, added and switched off by operators."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.errors import Conflict, InvalidInput, NotFound
from models.generation_types import GenerationType
from models.ids import new_id
from models.preset import Preset
from services.generators import GENERATORS
from services.ports import Clock
from services.preset_data import PRESETS
from services.text import is_plain
from services.unit_of_work import transactional

KEY = re.compile(r"[a-z][a-z0-9_]{0,59}")
PLACEHOLDER, WORD = re.compile(r"\{(prompt|trigger)\}"), re.compile(r"[^\W_]")
LONGEST_NAME, LONGEST_PROMPT, LONGEST_DESCRIPTION = 100, 2000, 300


@dataclass(frozen=True, kw_only=True)
class PresetService:
    """Lists presets, and changes them for operators."""

    clock: Clock

    async def browse(self) -> list[Preset]:
        """Those that are switched on, in their order."""
        return await Preset.filter(enabled=True).order_by("position", "key")

    async def every(self) -> list[Preset]:
        """All of them, those that are switched off too."""
        return await Preset.all().order_by("position", "key")

    async def get(self, key: str) -> Preset | None:
        """One of them, also one that is switched off: pictures made after it still show it."""
        return await Preset.get_or_none(key=key) if KEY.fullmatch(key) else None

    async def choose(self, key: str) -> Preset:
        """One that may be used. Raises `NotFound` at `presetId`."""
        preset = await self.get(key)
        if preset is None or not preset.enabled:
            raise NotFound(what="preset", path=("input", "presetId"))
        return preset

    async def add(self, key: str, **columns: Any) -> Preset:
        """Make a new preset. Raises `InvalidInput`, and `Conflict` when the key is taken."""
        _check(key, **columns)
        if await Preset.exists(key=key):
            raise Conflict(reason=f"There is a preset {key} already; keys never change their meaning.")
        facts: dict[str, Any] = {"position": 1000, "enabled": True, "created_at": self.clock.now()}
        return await Preset.create(id=new_id(), key=key, **facts | columns)

    async def switch(self, key: str, *, on: bool) -> None:
        """Offer a preset, or no longer. Raises `NotFound`."""
        if await self.get(key) is None:
            raise NotFound(what="preset", path=("key",))
        await Preset.filter(key=key).update(enabled=on)


@transactional
async def seed_presets(*, now: datetime) -> None:
    """Bring our own presets to what our list says; operators' ones, and what they switched off, stay.

    Safe to run any number of times.
    """
    known = {preset.key: preset for preset in await Preset.filter(key__in=[seed.key for seed in PRESETS])}
    for position, seed in enumerate(PRESETS):
        facts = seed.columns | {"position": position}
        if seed.key not in known:
            await Preset.create(id=new_id(), key=seed.key, created_at=now, **facts)
        elif any(getattr(known[seed.key], name) != value for name, value in facts.items()):
            await Preset.filter(key=seed.key).update(**facts)


def _check(
    key: str,
    *,
    name: str,
    type: GenerationType,
    models: Sequence[str],
    needs_photo: bool,
    prompt: str,
    negative_prompt: str | None,
    description: str,
) -> None:
    """Raise `InvalidInput` for a preset that could not be used."""
    _demand(bool(KEY.fullmatch(key)), "key must have 1 to 60 small letters, digits and underscores.")
    _check_text("name", name, longest=LONGEST_NAME)
    _check_text("prompt", prompt, longest=LONGEST_PROMPT, lines=True)
    if negative_prompt:
        _check_text("negative prompt", negative_prompt, longest=LONGEST_PROMPT, lines=True)
    _check_text("description", description, longest=LONGEST_DESCRIPTION)
    takes_presets = not type.kind.needs_loras and (type.kind.needs_preset or not type.kind.needs_prompt)
    _demand(takes_presets, f"{type} takes no preset.")
    _demand(needs_photo or not type.kind.needs_photo, f"{type} needs a photo.")
    says_something = bool(WORD.search(PLACEHOLDER.sub("", prompt)))
    _demand(says_something or type.kind.needs_prompt, "prompt must have words besides {prompt} and {trigger}.")
    _check_models(models, photo=needs_photo)


def _check_text(name: str, text: str, *, longest: int, lines: bool = False) -> None:
    rule = f"{name} must have 1 to {longest} characters, something visible and no control characters."
    _demand(is_plain(text, longest=longest, lines=lines), rule)


def _check_models(models: Sequence[str], *, photo: bool) -> None:
    among = bool(models) and set(models) <= set(GENERATORS)
    _demand(among, f"models must be among {', '.join(GENERATORS)}.")
    _demand(len(set(models)) == len(models), "models must be named once each.")
    able = any(GENERATORS[name].endpoint(photo=photo) for name in models)
    _demand(able, "none of the models can do this.")


def _demand(holds: bool, rule: str) -> None:
    if not holds:
        raise InvalidInput(reason=rule)

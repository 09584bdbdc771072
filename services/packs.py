"""Packs: a named set of presets that are run together."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from models.errors import NotFound
from models.preset import Preset
from services.generation_input import GenerationInput, LoraChoice
from services.preset_data import PACKS, Pack


@dataclass(frozen=True, kw_only=True)
class PackInput:
    """A request for a pack; None means: not given."""

    pack: str
    model: UUID | None = None
    source_photo: UUID | None = None
    run_id: str | None = None

    @property
    def hash(self) -> str:
        """Recognises the same input under the same run id."""
        facts = {name: value for name, value in asdict(self).items() if name != "run_id"}
        return hashlib.sha256(json.dumps(facts, default=str, sort_keys=True).encode()).hexdigest()

    def images(self, presets: Sequence[Preset]) -> list[GenerationInput]:
        """One image for each of the pack's presets that is offered.

        Raises `NotFound` for an unknown pack, or one without any preset left.
        """
        chosen = next((presets for pack, presets in offered(presets) if pack.key == self.pack), [])
        if not chosen:
            raise NotFound(what="pack", path=("input", "pack"))
        loras = () if self.model is None else (LoraChoice(model=self.model),)
        return [GenerationInput(preset=preset.key, loras=loras, source_photo=self.source_photo) for preset in chosen]


def offered(presets: Sequence[Preset]) -> list[tuple[Pack, list[Preset]]]:
    """The packs, each with those of its presets that are among these; a pack without any is left out."""
    known = {preset.key: preset for preset in presets}
    packs = [(pack, [known[key] for key in pack.presets if key in known]) for pack in PACKS]
    return [(pack, found) for pack, found in packs if found]

"""What a generation is asked to be, checked field by field before anything is spent."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from models.errors import InvalidInput
from models.preset import Preset
from models.status import GenerationType
from services.generators import DEFAULT_SIZE, FORMATS, IMAGE_SIZES, SCALE, SIDE, STRENGTH
from services.text import is_plain
from services.trainers import Number

LONGEST_PROMPT, LONGEST_RUN_ID, MOST_IMAGES, MOST_LORAS, LARGEST_SEED = 2000, 255, 4, 4, 2**31 - 1
FREE_SIZE = re.compile(r"(\d{3,4})x(\d{3,4})")
# Of the widest model; each model has narrower ones.
PARAMETERS = {
    "strength": STRENGTH,
    "steps": Number(minimum=1, maximum=250),
    "guidance": Number(minimum=0, maximum=35),
}


@dataclass(frozen=True, kw_only=True)
class LoraChoice:
    """A model to draw with, and how strongly (0 to 4); `path` is where the input names it."""

    model: UUID
    scale: float = 1.0
    path: tuple[str, ...] = ("input", "modelId")


@dataclass(frozen=True, kw_only=True)
class GenerationInput:
    """A request for 1 to 4 images; None means: not given."""

    type: GenerationType | None = None
    prompt: str | None = None
    preset: str | None = None
    loras: tuple[LoraChoice, ...] = ()
    source_photo: UUID | None = None
    num_images: int = 1
    image_size: str = DEFAULT_SIZE
    seed: int | None = None
    run_id: str | None = None
    strength: float | None = None
    steps: int | None = None
    guidance: float | None = None
    format: str | None = None

    @property
    def chosen_type(self) -> GenerationType:
        """Without a preset: LORA when a model is named, else CUSTOM_PROMPT."""
        return self.type or (GenerationType.LORA if self.loras else GenerationType.CUSTOM_PROMPT)

    @property
    def parameters(self) -> dict[str, Any]:
        """Strength, steps, guidance and format as far as they were given."""
        return {name: getattr(self, name) for name in (*PARAMETERS, "format") if getattr(self, name) is not None}

    @property
    def hash(self) -> str:
        """Recognises the same input under the same run id; a parameter that is not given does not count."""
        left_out = {"run_id"} | {name for name in (*PARAMETERS, "format") if getattr(self, name) is None}
        facts = {name: value for name, value in asdict(self).items() if name not in left_out}
        return hashlib.sha256(json.dumps(facts, default=str, sort_keys=True).encode()).hexdigest()

    def type_with(self, preset: Preset | None) -> GenerationType:
        """The preset's type, if there is a preset. Raises `InvalidInput` when another type was named."""
        if preset is None:
            return self.chosen_type
        if self.type not in {None, preset.type}:
            raise _invalid("type", f"must be {preset.type} for the preset {preset.key}, or absent.")
        return preset.type

    def check(self, preset: Preset | None = None) -> None:
        """Raise the first `InvalidInput` found; each names its field."""
        self._check_needs(preset)
        if not 1 <= self.num_images <= MOST_IMAGES:
            raise _invalid("numImages", f"must be from 1 to {MOST_IMAGES}.")
        if self.seed is not None and not 0 <= self.seed <= LARGEST_SEED:
            raise _invalid("seed", f"must be from 0 to {LARGEST_SEED}.")
        check_run_id(self.run_id)
        self._check_size()
        self._check_loras()
        self._check_parameters()

    def _check_needs(self, preset: Preset | None) -> None:
        """What the kind of picture and the preset need and take."""
        type = self.type_with(preset)
        if type.kind.needs_preset and preset is None:
            raise _invalid("presetId", f"must name a preset for {type}.")
        if type.kind.needs_loras and not self.loras:
            raise _invalid("modelId", f"or loras must name a model for {type}.")
        if self.loras and not type.kind.takes_loras:
            raise _invalid("modelId", f"is not used by {type}; choose LORA, or PRESET with a preset.")
        if self.source_photo is None and (type.kind.needs_photo or (preset is not None and preset.needs_photo)):
            raise _invalid("sourcePhotoId", f"must name a photo for {preset.key if preset else type}.")
        words = self.prompt if self.prompt is not None or not type.kind.needs_prompt else ""
        if words is not None and not is_plain(words, longest=LONGEST_PROMPT, lines=True):
            raise _invalid("prompt", f"must have 1 to {LONGEST_PROMPT} characters and no control characters.")

    def _check_size(self) -> None:
        match = FREE_SIZE.fullmatch(self.image_size)
        free = match and all(SIDE.minimum <= int(side) <= SIDE.maximum for side in match.groups())
        if self.image_size not in IMAGE_SIZES and not free:
            names = ", ".join(IMAGE_SIZES)
            raise _invalid("imageSize", f"must be one of {names}, or <width>x<height> of 256 to 1536 pixels a side.")

    def _check_loras(self) -> None:
        if len(self.loras) > MOST_LORAS:
            raise _invalid("loras", f"may name at most {MOST_LORAS} models.")
        if len({lora.model for lora in self.loras}) < len(self.loras):
            raise _invalid("loras", "must name each model once.")
        for index, lora in enumerate(self.loras):
            if not SCALE.minimum <= lora.scale <= SCALE.maximum:
                reason = "scale must be from 0 to 4."
                raise InvalidInput(reason=reason, path=("input", "loras", str(index), "scale"))

    def _check_parameters(self) -> None:
        if self.strength is not None and self.source_photo is None:
            raise _invalid("strength", "is only used with sourcePhotoId.")
        for name, bounds in PARAMETERS.items():
            value = getattr(self, name)
            if value is not None and not bounds.minimum <= value <= bounds.maximum:
                raise _invalid(name, f"must be from {bounds.minimum:g} to {bounds.maximum:g}.")
        if self.format is not None and self.format not in FORMATS:
            raise _invalid("format", f"must be one of {', '.join(FORMATS)}.")


def check_run_id(run_id: str | None) -> None:
    """Raise `InvalidInput` for a run id that no database should be asked for."""
    if run_id is not None and not is_plain(run_id, longest=LONGEST_RUN_ID):
        raise _invalid("runId", f"must have 1 to {LONGEST_RUN_ID} characters and no control characters.")


def _invalid(field: str, rule: str) -> InvalidInput:
    return InvalidInput(reason=f"{field} {rule}", path=("input", field))

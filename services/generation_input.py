"""What a generation is asked to be, checked field by field before anything is spent."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from uuid import UUID

from models.errors import InvalidInput
from models.status import GenerationType
from services.generators import DEFAULT_SIZE, IMAGE_SIZES, SCALE, SIDE
from services.text import is_plain

LONGEST_PROMPT, LONGEST_RUN_ID, MOST_IMAGES, MOST_LORAS, LARGEST_SEED = 2000, 255, 4, 4, 2**31 - 1
FREE_SIZE = re.compile(r"(\d{3,4})x(\d{3,4})")
OFFERED = (GenerationType.LORA, GenerationType.CUSTOM_PROMPT)


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

    @property
    def chosen_type(self) -> GenerationType:
        """LORA when a model is named, else CUSTOM_PROMPT."""
        return self.type or (GenerationType.LORA if self.loras else GenerationType.CUSTOM_PROMPT)

    @property
    def hash(self) -> str:
        """Recognises the same input under the same run id."""
        facts = {name: value for name, value in asdict(self).items() if name != "run_id"}
        return hashlib.sha256(json.dumps(facts, default=str, sort_keys=True).encode()).hexdigest()

    def check(self) -> None:
        """Raise the first `InvalidInput` found; each names its field."""
        self._check_type()
        if not is_plain(self.prompt or "", longest=LONGEST_PROMPT, lines=True):
            raise _invalid("prompt", f"must have 1 to {LONGEST_PROMPT} characters and no control characters.")
        if not 1 <= self.num_images <= MOST_IMAGES:
            raise _invalid("numImages", f"must be from 1 to {MOST_IMAGES}.")
        if self.seed is not None and not 0 <= self.seed <= LARGEST_SEED:
            raise _invalid("seed", f"must be from 0 to {LARGEST_SEED}.")
        if self.run_id is not None and not is_plain(self.run_id, longest=LONGEST_RUN_ID):
            raise _invalid("runId", f"must have 1 to {LONGEST_RUN_ID} characters and no control characters.")
        self._check_size()
        self._check_loras()

    def _check_type(self) -> None:
        if self.chosen_type not in OFFERED:
            raise _invalid("type", f"{self.chosen_type} is not offered yet; LORA and CUSTOM_PROMPT are.")
        if self.preset is not None:
            raise _invalid("presetId", "is not offered yet.")
        if self.source_photo is not None:
            raise _invalid("sourcePhotoId", f"is not used by {self.chosen_type}.")
        if self.chosen_type is GenerationType.LORA and not self.loras:
            raise _invalid("modelId", "or loras must name a model for LORA.")
        if self.chosen_type is GenerationType.CUSTOM_PROMPT and self.loras:
            raise _invalid("modelId", "is not used by CUSTOM_PROMPT; choose LORA.")

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


def _invalid(field: str, rule: str) -> InvalidInput:
    return InvalidInput(reason=f"{field} {rule}", path=("input", field))

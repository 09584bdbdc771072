"""Trainers as data: endpoint, parameter names and limits of fal's models, and the generator that fits each.

Limits are those of fal's OpenAPI documents of the models (January 2026).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.errors import InvalidInput, NotFound


@dataclass(frozen=True, kw_only=True)
class Number:
    """A numeric parameter and its inclusive range."""

    minimum: float
    maximum: float


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """One trainable base model.

    `archive` names the parameter of the ZIP's URL, `trigger` the one that takes the trigger word (or a caption with
    it), `options` maps our names to the provider's, `weights` names the output.
    """

    key: str
    name: str
    endpoint: str
    generator: str
    archive: str
    trigger: str
    steps: Number
    usd_per_1000_steps: float
    options: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, Number] = field(default_factory=dict)
    weights: str = "diffusers_lora_file"
    trigger_is_caption: bool = False

    @property
    def parameters(self) -> list[str]:
        """The provider's parameter names this trainer takes."""
        return [self.archive, self.trigger, "steps", *self.options.values()]

    def arguments(self, *, archive_url: str, trigger: str, caption: str, steps: int, **given: Any) -> dict[str, Any]:
        """The provider's input: only parameters it names. Raises `InvalidInput` outside a parameter's range."""
        self.check("steps", steps, self.steps)
        arguments: dict[str, Any] = {
            self.archive: archive_url,
            self.trigger: caption if self.trigger_is_caption else trigger,
            "steps": steps,
        }
        for ours, theirs in self.options.items():
            if given.get(ours) is not None:
                if ours in self.limits:
                    self.check(ours, given[ours], self.limits[ours])
                arguments[theirs] = given[ours]
        return arguments

    def check(self, name: str, value: float, bounds: Number) -> None:
        """Raise `InvalidInput` when a value is outside its range."""
        if not bounds.minimum <= value <= bounds.maximum:
            first, *rest = name.split("_")
            field_name = first + "".join(part.title() for part in rest)
            reason = f"{field_name} must be from {bounds.minimum:g} to {bounds.maximum:g} for {self.name}."
            raise InvalidInput(reason=reason, path=("input", field_name))


FAST_OPTIONS = {
    "create_masks": "create_masks",
    "is_style": "is_style",
    "preprocessed": "is_input_format_already_preprocessed",
}

TRAINERS: Mapping[str, Trainer] = {
    trainer.key: trainer
    for trainer in (
        Trainer(
            key="flux-lora-fast-training",
            name="FLUX.1 dev, fast training",
            endpoint="fal-ai/flux-lora-fast-training",
            generator="fal-ai/flux-lora",
            archive="images_data_url",
            trigger="trigger_word",
            steps=Number(minimum=1, maximum=10000),
            usd_per_1000_steps=2.0,
            options=FAST_OPTIONS,
        ),
        Trainer(
            key="flux-lora-portrait-trainer",
            name="FLUX.1 dev, portraits",
            endpoint="fal-ai/flux-lora-portrait-trainer",
            generator="fal-ai/flux-lora",
            archive="images_data_url",
            trigger="trigger_phrase",
            steps=Number(minimum=1, maximum=10000),
            usd_per_1000_steps=2.4,
            options={"create_masks": "create_masks", "learning_rate": "learning_rate"},
            limits={"learning_rate": Number(minimum=1e-6, maximum=1e-3)},
        ),
        Trainer(
            key="flux-krea-trainer",
            name="FLUX.1 Krea",
            endpoint="fal-ai/flux-krea-trainer",
            generator="fal-ai/flux-krea-lora",
            archive="images_data_url",
            trigger="trigger_word",
            steps=Number(minimum=1, maximum=10000),
            usd_per_1000_steps=2.0,
            options=FAST_OPTIONS,
        ),
        Trainer(
            key="flux-2-trainer",
            name="FLUX.2",
            endpoint="fal-ai/flux-2-trainer",
            generator="fal-ai/flux-2/lora",
            archive="image_data_url",
            trigger="default_caption",
            trigger_is_caption=True,
            steps=Number(minimum=100, maximum=10000),
            usd_per_1000_steps=6.4,
            options={"learning_rate": "learning_rate"},
            limits={"learning_rate": Number(minimum=1e-6, maximum=1e-2)},
        ),
        Trainer(
            key="qwen-image-trainer",
            name="Qwen Image",
            endpoint="fal-ai/qwen-image-trainer",
            generator="fal-ai/qwen-image",
            archive="image_data_url",
            trigger="trigger_phrase",
            steps=Number(minimum=1, maximum=8000),
            usd_per_1000_steps=1.5,
            options={"learning_rate": "learning_rate"},
            limits={"learning_rate": Number(minimum=1e-6, maximum=1e-2)},
            weights="lora_file",
        ),
        Trainer(
            key="z-image-trainer",
            name="Z-Image",
            endpoint="fal-ai/z-image-trainer",
            generator="fal-ai/z-image/turbo/lora",
            archive="image_data_url",
            trigger="default_caption",
            trigger_is_caption=True,
            steps=Number(minimum=100, maximum=10000),
            usd_per_1000_steps=2.0,
            options={"learning_rate": "learning_rate"},
            limits={"learning_rate": Number(minimum=1e-6, maximum=1e-2)},
        ),
    )
}
DEFAULT_TRAINER = "flux-lora-fast-training"
PRICES_AS_OF = "2026-01"


def trainer_for(key: str) -> Trainer:
    """The trainer with this key. Raises `NotFound`."""
    if key not in TRAINERS:
        raise NotFound(what="base model", path=("input", "baseModelId"))
    return TRAINERS[key]

"""Trainers as data: only parameters that the provider names, within its limits."""

import pytest

from models.errors import InvalidInput, NotFound
from services.generators import GENERATORS
from services.trainers import DEFAULT_TRAINER, TRAINERS, Trainer, trainer_for

URL = "https://x.example/1.zip"
EVERYTHING = {"create_masks": True, "is_style": False, "preprocessed": False, "learning_rate": 1e-4}
EACH = pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda trainer: trainer.key)


def arguments(trainer: Trainer, **changes: object) -> dict[str, object]:
    """The provider's input for a plain training."""
    facts = {"archive_url": URL, "trigger": "ME_0001", "caption": "photo of ME_0001 person", "steps": 1000}
    return trainer.arguments(**facts | changes)  # type: ignore[arg-type]


def test_the_default_is_the_one_of_the_seed() -> None:
    """Its arguments are exactly those the seed sends."""
    expected = {
        "images_data_url": URL, "trigger_word": "ME_0001", "steps": 1000, "create_masks": True, "is_style": False,
        "is_input_format_already_preprocessed": False,
    }  # fmt: skip
    assert "flux-lora-fast-training" == DEFAULT_TRAINER
    assert expected == arguments(trainer_for(DEFAULT_TRAINER), **EVERYTHING)


@EACH
def test_only_named_parameters_are_sent(trainer: Trainer) -> None:
    """What a trainer does not know is left out, and nothing is invented."""
    sent = arguments(trainer, **EVERYTHING, batch_size=4, lora_rank=16)
    assert set(sent) <= set(trainer.parameters)
    assert {trainer.archive, trainer.trigger, "steps"} <= set(sent)
    assert URL == sent[trainer.archive]


@EACH
def test_what_is_not_given_is_not_sent(trainer: Trainer) -> None:
    """The provider's own defaults hold; False is given, None is not."""
    assert {trainer.archive, trainer.trigger, "steps"} == set(arguments(trainer, create_masks=None, learning_rate=None))
    if "create_masks" in trainer.options:
        assert arguments(trainer, create_masks=False)["create_masks"] is False


@EACH
def test_the_trigger_goes_where_the_trainer_takes_it(trainer: Trainer) -> None:
    """As the bare word, or within a caption where there is no parameter for the word."""
    expected = "photo of ME_0001 person" if trainer.trigger == "default_caption" else "ME_0001"
    assert expected == arguments(trainer)[trainer.trigger]


@EACH
def test_steps_have_limits(trainer: Trainer) -> None:
    """Both ends are legal, what lies outside is refused and named."""
    low, high = int(trainer.steps.minimum), int(trainer.steps.maximum)
    assert [low, high] == [arguments(trainer, steps=steps)["steps"] for steps in (low, high)]
    for steps in (low - 1, high + 1):
        with pytest.raises(InvalidInput, match=rf"^steps must be from {low} to {high} for ") as refused:
            arguments(trainer, steps=steps)
        assert ("input", "steps") == refused.value.path


@EACH
def test_learning_rates_have_limits(trainer: Trainer) -> None:
    """Where the trainer takes one; the field is named as the client wrote it."""
    if "learning_rate" not in trainer.options:
        assert "learning_rate" not in arguments(trainer, learning_rate=99.0)
        return
    bounds = trainer.limits["learning_rate"]
    assert bounds.maximum == arguments(trainer, learning_rate=bounds.maximum)["learning_rate"]
    for rate in (bounds.maximum * 1.01, bounds.minimum / 1.01, float("nan"), -1.0):
        with pytest.raises(InvalidInput, match=r"^learningRate must be from") as refused:
            arguments(trainer, learning_rate=rate)
        assert ("input", "learningRate") == refused.value.path


@EACH
def test_each_trainer_has_a_generator_that_takes_its_weights(trainer: Trainer) -> None:
    """A model is never used with one of another family."""
    assert GENERATORS[trainer.generator].takes_loras
    assert trainer.endpoint.startswith("fal-ai/")
    assert TRAINERS[trainer.key] is trainer_for(trainer.key)


@pytest.mark.parametrize("key", ["", "nothing", "FLUX-LORA-FAST-TRAINING", "fal-ai/flux-lora-fast-training"])
def test_an_unknown_base_model_is_not_found(key: str) -> None:
    """And the field is named."""
    with pytest.raises(NotFound, match="no base model") as refused:
        trainer_for(key)
    assert ("input", "baseModelId") == refused.value.path

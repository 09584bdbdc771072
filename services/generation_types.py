"""Pure: what follows from a kind's entry in the registry (models/generation_types.py): prompts, names, needs."""

import hashlib
import re
from collections.abc import Sequence

from models.generation_types import GenerationType
from services.trigger_words import distinct, with_trigger_words

LONGEST_SLUG = 80
NOBODY = "a person"  # stands for the trained models' words when there is none


def final_prompt(template: str, *, prompt: str | None, triggers: Sequence[str]) -> str:
    """The words that are sent: the template with the user's own words in it, trigger words first and not doubled.

    `{trigger}` becomes the trigger words. A template without `{prompt}` takes the user's words at its end.
    """
    whole = template if "{prompt}" in template else f"{template}, {{prompt}}"
    filled = whole.replace("{trigger}", ", ".join(distinct(triggers)) or NOBODY)
    # The user's words go in last: a brace in them stays a brace.
    filled = filled.replace("{prompt}", prompt) if prompt else re.sub(r"(, )?\{prompt\}", "", filled)
    return with_trigger_words(filled, triggers)


def slug(run_id: str) -> str:
    """A run id in characters that any store takes; a mark is added when it was changed."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", run_id)[:LONGEST_SLUG]
    return plain if plain == run_id else f"{plain}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def asset_name(type: GenerationType, slug: str, position: int) -> str:
    """The file's name in the asset store: `{type}_{runId}_{index}`, `ghibli_{runId}` for Ghibli's first (seed 003)."""
    stem = f"{type.kind.prefix or type.lower()}_{slug}"
    return stem if type.kind.bare_first and position == 0 else f"{stem}_{position}"

"""Pure: trigger words and the prompts around them (seeds 001 and 002)."""

import re
import secrets
from collections.abc import Sequence

from anyascii import anyascii

from models.status import SubjectGender

NOUNS = {SubjectGender.PERSON: "person", SubjectGender.WOMAN: "woman", SubjectGender.MAN: "man"}
LONGEST_STEM = 40


def suggest_trigger_word(name: str) -> str:
    """Make a trigger word from a model's name: `My Portrait 2025` gives `MY_PORTRAIT_2025_` and 4 hex digits.

    Other scripts are spelled in Latin letters; a name without any letter or digit gives `SUBJECT_` and 4 hex digits.
    """
    stem = re.sub(r"[^A-Z0-9]+", "_", anyascii(name).upper()).strip("_")[:LONGEST_STEM].strip("_")
    return f"{stem or 'SUBJECT'}_{secrets.token_hex(2).upper()}"


def instance_prompt(trigger: str, gender: SubjectGender | None, *, is_style: bool) -> str:
    """The caption of a training photo: who (or which style) it shows."""
    if is_style:
        return f"in the style of {trigger}"
    return f"photo of {trigger} {NOUNS[gender or SubjectGender.PERSON]}"


def class_prompt(gender: SubjectGender | None, *, is_style: bool) -> str | None:
    """What the subject is one of; a style has no class."""
    return None if is_style else f"photo of a {NOUNS[gender or SubjectGender.PERSON]}"


def distinct(triggers: Sequence[str]) -> list[str]:
    """Each trigger word once, in any case, as it came first."""
    found: dict[str, str] = {}
    for word in triggers:
        found.setdefault(word.casefold(), word)
    return list(found.values())


def with_trigger_words(prompt: str, triggers: Sequence[str]) -> str:
    """Put the trigger words first, as in `MY_PORTRAIT_2025_A3F2, portrait photo`; one already there is not doubled."""
    words = distinct(triggers)
    missing = [word for word in words if not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", prompt, re.IGNORECASE)]
    return ", ".join([*missing, prompt]) if prompt else ", ".join(missing)

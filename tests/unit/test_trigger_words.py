"""Trigger words and the prompts around them, in the words of the seeds."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.status import SubjectGender
from services.training_input import LONGEST_TRIGGER, TRIGGER
from services.trigger_words import class_prompt, instance_prompt, suggest_trigger_word, with_trigger_words


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("My Portrait 2025", "MY_PORTRAIT_2025"),
        ("  ann  ", "ANN"),
        ("Ann-Marie O'Neill", "ANN_MARIE_O_NEILL"),
        ("Jürgen Größe", "JURGEN_GROSSE"),
        ("Łukasz", "LUKASZ"),
        ("!!!", "SUBJECT"),
        ("", "SUBJECT"),
        ("x" * 100, "X" * 40),
        ("a" * 39 + " b", "A" * 39),
    ],
)
def test_a_word_is_made_from_the_name(name: str, stem: str) -> None:
    """In capitals, with underscores, and four hex digits at its end."""
    assert re.fullmatch(rf"{stem}_[0-9A-F]{{4}}", suggest_trigger_word(name))


@pytest.mark.parametrize("name", ["Анна", "小明", "محمد", "Ελένη", "さくら"])
def test_other_scripts_are_spelled_in_latin_letters(name: str) -> None:
    """The name is still to be seen in it."""
    word = suggest_trigger_word(name)
    assert re.fullmatch(r"[A-Z][A-Z0-9_]*_[0-9A-F]{4}", word)
    assert not word.startswith("SUBJECT")


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(name=st.text())
def test_a_suggested_word_may_be_used(name: str) -> None:
    """Whatever the name, the word passes the check of a training's input."""
    word = suggest_trigger_word(name)
    assert TRIGGER.fullmatch(word)
    assert len(word) <= LONGEST_TRIGGER
    assert word.isascii()


def test_two_models_of_one_name_have_two_words() -> None:
    """The digits are random."""
    assert 1 < len({suggest_trigger_word("Ann") for _ in range(20)})


@pytest.mark.parametrize(
    ("gender", "is_style", "instance", "of_class"),
    [
        (None, False, "photo of ME person", "photo of a person"),
        (SubjectGender.PERSON, False, "photo of ME person", "photo of a person"),
        (SubjectGender.WOMAN, False, "photo of ME woman", "photo of a woman"),
        (SubjectGender.MAN, False, "photo of ME man", "photo of a man"),
        (None, True, "in the style of ME", None),
        (SubjectGender.MAN, True, "in the style of ME", None),
    ],
)
def test_training_prompts(gender: SubjectGender | None, *, is_style: bool, instance: str, of_class: str | None) -> None:
    """Who a photo shows and what that is one of; a style is nobody."""
    assert instance == instance_prompt("ME", gender, is_style=is_style)
    assert of_class == class_prompt(gender, is_style=is_style)


@pytest.mark.parametrize(
    ("prompt", "words", "expected"),
    [
        ("portrait photo", ["MY_PORTRAIT_2025_A3F2"], "MY_PORTRAIT_2025_A3F2, portrait photo"),
        ("portrait of ANN", ["ANN"], "portrait of ANN"),
        ("portrait of ann", ["ANN"], "portrait of ann"),
        ("ANN", ["ANN"], "ANN"),
        ("HANNAH at sea", ["ANN"], "ANN, HANNAH at sea"),
        ("ANN_2 at sea", ["ANN"], "ANN, ANN_2 at sea"),
        ("with ANN, at sea", ["BOB", "ANN", "EVE"], "BOB, EVE, with ANN, at sea"),
        ("at sea", ["TOK", "tok", "ZED", "TOK"], "TOK, ZED, at sea"),
        ("at sea", [], "at sea"),
        ("", ["ANN", "BOB"], "ANN, BOB"),
        ("a (b) c", ["(b"], "a (b) c"),
        ("a b", ["a.b"], "a.b, a b"),
    ],
)
def test_trigger_words_come_first_and_once(prompt: str, words: list[str], expected: str) -> None:
    """Those that the prompt already holds as a whole word are not doubled."""
    assert expected == with_trigger_words(prompt, words)
    assert expected == with_trigger_words(with_trigger_words(prompt, words), words)

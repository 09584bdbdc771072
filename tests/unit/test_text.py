"""What a person may write."""

import pytest

from services.text import is_plain


@pytest.mark.parametrize("text", ["a", " a ", "\u200ba", "\u05d0\u200f", "\U0001f469\u200d\U0001f680", "茶", "."])
def test_something_to_see(text: str) -> None:
    """Spaces, joiners and marks of direction may stand beside something visible."""
    assert is_plain(text, longest=10)


@pytest.mark.parametrize(
    "text", ["", " ", "\u00a0\u3000", "\u200b", "\u200b\u200d \ufeff", "\u202e\u202c", "\u2028\u2029", "\u00ad", "\t\n"]
)
def test_nothing_to_see(text: str) -> None:
    """Spaces, joiners and marks of direction alone are no text."""
    assert not is_plain(text, longest=10)
    assert not is_plain(text, longest=10, lines=True)


@pytest.mark.parametrize("text", ["a\u0000", "a\u0007", "a\u0085", "a\u007f", "a\ud800", "abcdefghijk"])
def test_what_is_never_taken(text: str) -> None:
    """Control characters, half a surrogate pair, and more than the most."""
    assert not is_plain(text, longest=10, lines=True)


def test_lines() -> None:
    """Line ends and tabs only where they are welcome."""
    assert (True, False) == (is_plain("a\n\tb", longest=10, lines=True), is_plain("a\nb", longest=10))

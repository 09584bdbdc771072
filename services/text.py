"""Pure: what a person may write."""

import unicodedata

REFUSED = {"Cc", "Cs"}  # control characters and lone surrogates; joiners of scripts and emoji are welcome
UNSEEN = REFUSED | {"Cf", "Zs", "Zl", "Zp"}  # and those that show nothing by themselves
LINE_ENDS = str.maketrans("", "", "\n\r\t")


def is_plain(text: str, *, longest: int, lines: bool = False) -> bool:
    """Whether a text has 1 to `longest` characters, something visible and no control characters.

    With `lines`, line ends and tabs are allowed.
    """
    checked = text.translate(LINE_ENDS) if lines else text
    visible = any(unicodedata.category(letter) not in UNSEEN for letter in text)
    return visible and len(text) <= longest and not has_control(checked)


def has_control(text: str) -> bool:
    """Whether a text has control characters or lone surrogates: no database should be asked for it."""
    return any(unicodedata.category(letter) in REFUSED for letter in text)


def storable(text: str, *, longest: int) -> str:
    """The first `longest` characters, with U+FFFD for each that not every database can hold; line ends stay."""
    return "".join("\ufffd" if has_control(letter.translate(LINE_ENDS)) else letter for letter in text[:longest])

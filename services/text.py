"""Pure: what a person may write."""

import unicodedata

REFUSED = {"Cc", "Cs"}  # control characters and lone surrogates; joiners of scripts and emoji are welcome
LINE_ENDS = str.maketrans("", "", "\n\r\t")


def is_plain(text: str, *, longest: int, lines: bool = False) -> bool:
    """Whether a text has 1 to `longest` characters, something visible and no control characters.

    With `lines`, line ends and tabs are allowed.
    """
    checked = text.translate(LINE_ENDS) if lines else text
    visible = bool(text.strip()) and len(text) <= longest
    return visible and not any(unicodedata.category(letter) in REFUSED for letter in checked)

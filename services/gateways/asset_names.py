"""One rule for the names of kept files, so that no store is asked for a path outside its folders."""

import re

from services.ports import StoreRefused

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,180}\.[A-Za-z0-9]{1,18}")


def checked_name(name: str) -> str:
    """The name itself: letters, digits, dot, dash and underscore, with an extension. Raises `StoreRefused`."""
    if not _NAME.fullmatch(name):
        raise StoreRefused("A file's name needs an extension and no folder.")
    return name

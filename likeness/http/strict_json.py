"""JSON from strangers: refused when it is deep, huge in parts, ambiguous, or no JSON by RFC 8259."""

import json
from typing import Any, Final, NoReturn

MAX_NESTING: Final = 32
MAX_NODES: Final = 20_000
MAX_DIGITS: Final = 20


def strict_loads(data: str | bytes) -> Any:
    """Decode JSON text (UTF-8 when bytes).

    Raises `json.JSONDecodeError` for bad UTF-8, NaN and Infinity, a key given twice, a NUL or lone surrogate in a
    string, integers over 20 digits, more than 32 levels or 20,000 values.
    """
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        value = json.loads(
            text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_int=_int, parse_float=_float
        )
        _check_tree(value)
    except RecursionError:
        raise _problem("nested too deeply") from None
    except UnicodeDecodeError:
        raise _problem("not UTF-8") from None
    except TypeError:
        # A websocket frame without text reaches this as None.
        raise _problem("not text") from None
    return value


def _problem(reason: str) -> json.JSONDecodeError:
    return json.JSONDecodeError(reason, "", 0)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _problem("a key is given twice")
    for key in found:
        _check_text(key)
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise _problem(f"{name} is not JSON")


def _int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise _problem("a number is too long")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _problem("a number is too large")
    return value


def _check_text(text: str) -> None:
    if "\0" in text:
        raise _problem("a string holds NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _problem("a string holds half a character") from None


def _check_tree(root: Any) -> None:
    level, depth, nodes = [root], 0, 0
    while level:
        nodes += len(level)
        if nodes > MAX_NODES:
            raise _problem("too many values")
        containers = [value for value in level if isinstance(value, (dict, list))]
        depth += 1
        if containers and depth > MAX_NESTING:
            raise _problem("nested too deeply")
        for value in level:
            if isinstance(value, str):
                _check_text(value)
        level = [child for container in containers for child in _children(container)]


def _children(container: dict[str, Any] | list[Any]) -> list[Any]:
    return list(container.values()) if isinstance(container, dict) else container

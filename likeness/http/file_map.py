"""The `map` of a GraphQL multipart request: which file belongs where among the variables.

Source: the GraphQL multipart request specification (jaydenseric), with one rule more: each file has exactly one place.
"""

from typing import Any, Final

from likeness.http.errors import BadInput, PayloadTooLarge

# Canonical digits only: int() would also take "+1", "0_1" and the digits of other scripts.
_INDEXES: Final = frozenset(str(index) for index in range(1000))


def read_file_map(value: Any, *, operations: Any, max_files: int) -> dict[str, str]:
    """Check a decoded `map` against the decoded `operations`; field name -> path.

    Every path must lead to an existing null below `variables`, and no two files may share one.
    Raises `BadInput`, or `PayloadTooLarge` for too many files.
    """
    if not isinstance(value, dict) or not value:
        raise BadInput("`map` must be an object that names each file's place.")
    if len(value) > max_files:
        raise PayloadTooLarge(f"At most {max_files} files are taken in one request.")
    paths = {name: _only_path(places) for name, places in value.items()}
    if len(set(paths.values())) != len(paths):
        raise BadInput("`map` gives two files the same place.")
    for path in paths.values():
        container, key = _place(operations, path)
        if container[key] is not None:
            raise BadInput("`map` must point at variables that are null.")
    return paths


def put_file(operations: Any, path: str, file: object) -> None:
    """Put a received file where a checked path points."""
    container, key = _place(operations, path)
    container[key] = file


def _only_path(places: Any) -> str:
    if not isinstance(places, list) or len(places) != 1 or not isinstance(places[0], str):
        raise BadInput("`map` must give each file a list of exactly one place.")
    return places[0]


def _place(operations: Any, path: str) -> tuple[Any, Any]:
    *parents, last = path.split(".")
    if not parents or parents[0] != "variables":
        raise BadInput("`map` must point below `variables`.")
    container = operations
    for part in parents:
        container = container[_key(container, part)]
    return container, _key(container, last)


def _key(container: Any, part: str) -> str | int:
    if isinstance(container, dict) and part in container:
        return part
    if isinstance(container, list) and part in _INDEXES and int(part) < len(container):
        return int(part)
    raise BadInput("`map` points at a variable that does not exist.")

"""Objects with an identity: global ids, and how a type is made from the row it shows."""

import base64
import binascii
from dataclasses import fields
from typing import Any, Self
from uuid import NAMESPACE_URL, UUID, uuid5

import strawberry

from schema.types.fields import computed


def global_id(type_name: str, key: object) -> strawberry.ID:
    """The opaque id of an object: base64 of `TypeName:key` (Relay's Object Identification)."""
    return strawberry.ID(base64.b64encode(f"{type_name}:{key}".encode()).decode())


def split_id(id: str) -> tuple[str, str]:
    """The type and the key in a global id; two empty strings when it is none."""
    try:
        type_name, _, key = base64.b64decode(id, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return (type_name, key) if id == global_id(type_name, key) else ("", "")


def read_key(id: str, type_name: str) -> str:
    """The key in an id of this type; empty, which no object has, for any other text."""
    found, key = split_id(id)
    return key if found == type_name else ""


def read_id(id: str, type_name: str) -> UUID:
    """The UUID in an id of this type.

    Any other text gives a UUID of version 5, which no row has: what is malformed is then unknown like any unknown id,
    with the same answer, and two different ones stay different.
    """
    key = read_key(id, type_name)
    try:
        if str(found := UUID(key)) == key:
            return found
    except ValueError:
        pass
    # A client can send half a surrogate pair, which has no UTF-8.
    return uuid5(NAMESPACE_URL, ascii(id))


class OfRow:
    """A type that shows a row, which it holds as `row`."""

    @classmethod
    def of(cls, row: Any, **others: Any) -> Self:
        """Show a row: a field without a resolver is the column of the same name, or one of `others`."""
        names = [field.name for field in fields(cls) if field.init]  # type: ignore[arg-type]
        columns = {name: getattr(row, name) for name in names if hasattr(row, name)}
        return cls(row=row, **columns | others)  # type: ignore[call-arg]

    @classmethod
    def of_maybe(cls, row: Any) -> Self | None:
        """Show a row that may not be there."""
        return cls.of(row) if row else None


@strawberry.interface(description="An object with an id that is unique over all types and never changes.")
class Node(OfRow):
    row: strawberry.Private[Any]

    @computed("The object's id, for `node` and for caches; opaque.")
    def id(self) -> strawberry.ID:
        return global_id(type(self).__name__, self.row.id)

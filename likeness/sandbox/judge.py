"""Judges a model input the way fal does: what is wrong becomes the list of a 422."""

from collections.abc import Iterator, Sequence
from typing import Any

from likeness.sandbox.errors import refusal
from likeness.sandbox.schemas import LONGEST_SIDE, SIZES, Endpoint, Field, Kind

Loc = Sequence[str | int]
Refusal = dict[str, Any]
_TYPE_WORDS = {
    Kind.TEXT: ("str type expected", "type_error.str"),
    Kind.INTEGER: ("value is not a valid integer", "type_error.integer"),
    Kind.NUMBER: ("value is not a valid float", "type_error.float"),
    Kind.FLAG: ("value could not be parsed to a boolean", "type_error.bool"),
}


def judge(endpoint: Endpoint, body: Any) -> list[Refusal]:
    """Everything wrong with `body` in pydantic 1 wording, empty when the model takes it; unknown fields are ignored."""
    if not isinstance(body, dict):
        return [refusal((), msg="value is not a valid dict", type="type_error.dict")]
    return [wrong for field in endpoint.fields for wrong in _field(field, body)]


def _field(field: Field, body: dict[str, Any]) -> Iterator[Refusal]:
    value = body.get(field.name)
    if value is not None:
        yield from _value(field, value)
    elif field.required and field.name in body:
        yield refusal((field.name,), msg="none is not an allowed value", type="type_error.none.not_allowed")
    elif field.required:
        yield refusal((field.name,), msg="field required", type="value_error.missing")


def _value(field: Field, value: Any) -> Iterator[Refusal]:
    if field.kind is Kind.SIZE:
        yield from _size((field.name,), value)
    elif field.kind is Kind.LORAS:
        yield from _loras(field, value)
    elif not _fits(field.kind, value):
        msg, type = _TYPE_WORDS[field.kind]
        yield refusal((field.name,), msg=msg, type=type)
    elif field.choices and value not in field.choices:
        yield _not_in((field.name,), field.choices)
    elif field.kind in {Kind.INTEGER, Kind.NUMBER}:
        yield from _range((field.name,), value, low=field.low, high=field.high)


def _fits(kind: Kind, value: Any) -> bool:
    if kind is Kind.TEXT:
        return isinstance(value, str)
    if kind is Kind.FLAG:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and (kind is Kind.NUMBER or value.is_integer()))


def _range(loc: Loc, value: float, *, low: float | None, high: float | None) -> Iterator[Refusal]:
    if low is not None and value < low:
        msg = f"ensure this value is greater than or equal to {low:g}"
        yield refusal(loc, msg=msg, type="value_error.number.not_ge", limit_value=low)
    if high is not None and value > high:
        msg = f"ensure this value is less than or equal to {high:g}"
        yield refusal(loc, msg=msg, type="value_error.number.not_le", limit_value=high)


def _not_in(loc: Loc, choices: Sequence[str]) -> Refusal:
    listed = ", ".join(f"'{choice}'" for choice in choices)
    msg = f"value is not a valid enumeration member; permitted: {listed}"
    return refusal(loc, msg=msg, type="type_error.enum", enum_values=list(choices))


def _size(loc: Loc, value: Any) -> Iterator[Refusal]:
    if not isinstance(value, dict):
        if not (isinstance(value, str) and value in SIZES):
            yield _not_in(loc, tuple(SIZES))
        return
    for side in ("width", "height"):
        length = value.get(side, 512)
        if _fits(Kind.INTEGER, length):
            yield from _range((*loc, side), length, low=1, high=LONGEST_SIDE)
        else:
            yield refusal((*loc, side), msg=_TYPE_WORDS[Kind.INTEGER][0], type=_TYPE_WORDS[Kind.INTEGER][1])


def _loras(field: Field, value: Any) -> Iterator[Refusal]:
    if not isinstance(value, list):
        yield refusal((field.name,), msg="value is not a valid list", type="type_error.list")
        return
    parts = (Field(name="path", required=True), Field(name="scale", kind=Kind.NUMBER, low=0, high=field.high))
    for index, item in enumerate(value):
        loc: Loc = (field.name, index)
        if not isinstance(item, dict):
            yield refusal(loc, msg="value is not a valid dict", type="type_error.dict")
            continue
        for part in parts:
            for wrong in _field(part, item):
                yield wrong | {"loc": ["body", *loc, *wrong["loc"][1:]]}

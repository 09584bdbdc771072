"""How a model refuses: the status and body the result answers with (fal.ai/docs/errors)."""

from collections.abc import Sequence
from typing import Any


class ModelError(Exception):
    """The model ended with an error: HTTP status, JSON `detail` and fal's error type."""

    def __init__(self, status: int, *, detail: Any, error_type: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.error_type = error_type


def refusal(loc: Sequence[str | int], *, msg: str, type: str, **ctx: Any) -> dict[str, Any]:
    """One entry of a 422 `detail`, in the pydantic 1 form; `loc` is given without the leading "body"."""
    entry: dict[str, Any] = {"loc": ["body", *loc], "msg": msg, "type": type}
    return entry | {"ctx": ctx} if ctx else entry


def unprocessable(loc: Sequence[str | int], *, msg: str, type: str) -> ModelError:
    """A 422 with a single entry."""
    return ModelError(422, detail=[refusal(loc, msg=msg, type=type)])

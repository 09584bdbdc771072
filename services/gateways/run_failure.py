"""Why a run could not go on, in a form that the engine can keep."""

import pickle
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An exception in a form that survives pickling: its own `__init__` may want what pickle does not keep."""

    type: type[Exception]
    args: tuple[Any, ...]
    facts: dict[str, Any]

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        failure = cls(type=type(error), args=error.args, facts=dict(vars(error)))
        try:
            pickle.loads(pickle.dumps(failure))  # noqa: S301 (our own bytes)
        except Exception:
            return cls(type=RuntimeError, args=(f"{type(error).__name__}: {error}",), facts={})
        return failure

    def error(self) -> Exception:
        """The exception again, without its traceback."""
        error = self.type.__new__(self.type, *self.args)
        vars(error).update(self.facts)
        return error

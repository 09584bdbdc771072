"""The rule that the request id is saved before anything else is awaited, checked in the task that was given it."""

from contextvars import ContextVar

SAVING = 'UPDATE "submissions"'


class NotSavedFirst(AssertionError):
    """A paid job was accepted, and something else was awaited before its request id was saved."""


_unsaved: ContextVar[list[str] | None] = ContextVar("unsaved", default=None)


def given(request_id: str) -> None:
    """This task has just been told the id of a paid job."""
    _unsaved.set([request_id])


def check_saved(statement: str) -> None:
    """Call with every statement, and with "" whenever anything else is awaited. Raises `NotSavedFirst`."""
    if unsaved := _unsaved.get():
        request_id = unsaved.pop()
        if not statement.startswith(SAVING):
            raise NotSavedFirst(f"{request_id} was not saved before: {statement[:60]}")

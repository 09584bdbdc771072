"""What of an error a client may see: coded errors as they are, request errors with a code, everything else masked."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import structlog
from graphql import FieldNode, GraphQLError, GraphQLSyntaxError
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import MaskErrors
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError

from likeness.http.errors import Code
from likeness.http.request_id import current_request_id
from models.errors import InvalidInput

MASKED_MESSAGE: Final = "Something went wrong on our side."
MAX_REQUEST_ERRORS: Final = 5
MAX_REQUEST_MESSAGE: Final = 200
MAX_LOGGED: Final = 3

_REQUEST_EXCEPTIONS: Final = (MissingQueryError, CannotGetOperationTypeError, InvalidOperationTypeError, InvalidInput)

_log = structlog.get_logger()


def client_errors(errors: Iterable[GraphQLError]) -> list[GraphQLError]:
    """The errors as a client may see them; applying it twice changes nothing.

    Every error leaves with `extensions.code`. An unexpected one is logged (without query and variables) and leaves
    with a fixed message, INTERNAL_SERVER_ERROR and `requestId`. Errors of the document itself are cut to the first
    five, 200 characters each, because one request can cause thousands; for the same reason the first three unexpected
    ones are logged in full and the others counted.
    """
    all_errors = list(errors)
    if all(error.path is None for error in all_errors):
        all_errors = all_errors[:MAX_REQUEST_ERRORS]
    unexpected = [error for error in all_errors if _is_unexpected(error)]
    for error in unexpected[:MAX_LOGGED]:
        _log_unexpected(error.original_error or error, path=error.path)
    if len(unexpected) > MAX_LOGGED:
        count = len(unexpected) - MAX_LOGGED
        _log.error("request.more_unexpected_errors", request_id=current_request_id(), count=count)
    return [_client_error(error) for error in all_errors]


def tagged(errors: Iterable[GraphQLError], code: Code) -> list[GraphQLError]:
    """The errors, each with `code` unless it already carries one."""
    return [error if _is_coded(error) else _with_code(error, code) for error in errors]


def masked_error(error: Exception) -> GraphQLError:
    """Log an unexpected exception and return what the client is told instead."""
    _log_unexpected(error, path=None)
    return GraphQLError(MASKED_MESSAGE, extensions=_internal())


def _log_unexpected(error: Exception, *, path: Sequence[str | int] | None) -> None:
    # The text of a GraphQLError quotes the document, so only its message is logged.
    detail: dict[str, Any] = {"reason": error.message} if isinstance(error, GraphQLError) else {"exc_info": error}
    _log.error("request.unexpected_error", request_id=current_request_id(), path=list(path or ()), **detail)


def _internal() -> dict[str, Any]:
    return {"code": Code.INTERNAL.value, "requestId": current_request_id()}


def _is_unexpected(error: GraphQLError) -> bool:
    return not (_is_coded(error) or isinstance(error, GraphQLSyntaxError) or _blames_the_request(error))


def _is_coded(error: GraphQLError) -> bool:
    return "code" in (error.extensions or {})


def _client_error(error: GraphQLError) -> GraphQLError:
    if _is_coded(error):
        return error
    if isinstance(error, GraphQLSyntaxError):
        return _with_code(error, Code.PARSE)
    if _blames_the_request(error):
        return _with_code(error, Code.INPUT)
    return GraphQLError(MASKED_MESSAGE, error.nodes, error.source, error.positions, error.path, None, _internal())


def _blames_the_request(error: GraphQLError) -> bool:
    """Variable and argument errors come from graphql-core uncoded; so do bugs, such as an enum that cannot be written.

    The two differ in what they point at: an argument's value, or the field as a whole.
    """
    original = error.original_error
    if original is not None and not isinstance(original, GraphQLError):
        return isinstance(original, _REQUEST_EXCEPTIONS)
    return error.path is None or not all(isinstance(node, FieldNode) for node in error.nodes or ())


def _with_code(error: GraphQLError, code: Code) -> GraphQLError:
    message = error.message
    if error.path is None and len(message) > MAX_REQUEST_MESSAGE:
        message = message[: MAX_REQUEST_MESSAGE - 1] + "…"
    extensions = {**(error.extensions or {}), "code": code.value}
    return GraphQLError(message, error.nodes, error.source, error.positions, error.path, None, extensions)


class MaskUnexpected(MaskErrors):
    """Schema extension: `client_errors` on every result, streamed ones included."""

    def __init__(self) -> None:
        super().__init__(error_message=MASKED_MESSAGE)

    def _process_errors(self, errors: list[GraphQLError]) -> list[GraphQLError]:
        return client_errors(errors)

    def on_validate(self) -> Iterator[None]:
        """Tag what validation found: later, variable errors look the same."""
        yield
        if found := self.execution_context.pre_execution_errors:
            # In place: by now the list is also in the result.
            found[:] = tagged(found, Code.VALIDATION)

"""POST, GET and websocket /graphql, by GraphQL over HTTP, the multipart request spec and graphql-transport-ws."""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

import strawberry
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType
from strawberry.types.unset import UNSET, UnsetType
from structlog.contextvars import bound_contextvars

from likeness.http.answers import failure_response, refusal_response, result_response
from likeness.http.body import Body, ClientGone
from likeness.http.connection import Connection, connection_of
from likeness.http.errors import BadInput, MethodNotAllowed, RequestRefused
from likeness.http.gate import RequestKind, checked_kind, multipart_boundary
from likeness.http.limits import HttpLimits
from likeness.http.masking import masked_error
from likeness.http.negotiation import wants_page
from likeness.http.operation import OperationRequest, operation_from_json, operation_from_params, parsed_json
from likeness.http.page import page_response
from likeness.http.request_id import current_request_id
from likeness.http.strict_json import strict_loads
from likeness.http.uploads import received_upload
from likeness.http.websocket import Socket, SocketHandler, rejected

C = TypeVar("C")

_ALLOWED: Final = {
    "GET": {OperationType.QUERY},
    "POST": {OperationType.QUERY, OperationType.MUTATION},
}


class GraphQLApp(GraphQL[C, None]):
    """The GraphQL endpoint as an ASGI application.

    `make_context` signs the caller in and makes the context of ONE operation, over HTTP and websocket alike; it may
    raise `Unauthenticated` or `Forbidden`. `allowed_origins` are the other origins whose pages may open a websocket.
    The schema needs `schema_extensions()` for the limits on documents.
    """

    websocket_adapter_class = Socket
    graphql_transport_ws_handler_class = SocketHandler

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        make_context: Callable[[Connection], Awaitable[C]],
        limits: HttpLimits,
        allowed_origins: Sequence[str] = (),
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=timedelta(seconds=limits.socket_init_seconds),
            max_subscriptions_per_connection=limits.operations_per_socket,
            allowed_origins=allowed_origins,
        )
        self.make_context = make_context
        self._limits = limits
        # Strawberry logs every error with the text of the query, which can hold prompts; ours are logged by masking.
        # A filter, because uvicorn's logging set-up switches disabled loggers on again.
        logging.getLogger("strawberry.execution").addFilter(_never)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with bound_contextvars(request_id=current_request_id()):
            if scope["type"] == "http":
                response = await self._serve(Request(scope, receive))
                await response(scope, receive, send)
            else:
                await super().__call__(scope, receive, send)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> C:
        """For Strawberry's websocket handler only: the connection, from which each operation's context is made."""
        return connection_of(request.scope)  # type: ignore[return-value]

    async def on_ws_connect(self, context: Any) -> UnsetType | dict[str, object] | None:
        """Sign in at connection_init; the context made here is not kept."""
        try:
            await self.make_context(context)
        except RequestRefused as refusal:
            raise rejected(refusal) from refusal
        unset: UnsetType = UNSET
        return unset

    def decode_json(self, data: str | bytes) -> object:
        """Decode a websocket message."""
        return strict_loads(data)

    async def _serve(self, request: Request) -> Response:
        accept = request.headers.get("accept")
        try:
            return await self._answer(request, accept)
        except RequestRefused as refusal:
            return refusal_response(refusal, accept=accept)
        except ClientGone:
            return Response(status_code=400)
        except Exception as error:
            return failure_response(masked_error(error), accept=accept)

    async def _answer(self, request: Request, accept: str | None) -> Response:
        kind = checked_kind(request)
        if kind is RequestKind.PARAMS and "query" not in request.query_params and wants_page(accept):
            return page_response()
        # Signing in comes before the body: a stranger's upload is not read.
        context = await self.make_context(connection_of(request.scope))
        async with self._operation(request, kind) as operation:
            result = await self._execute(operation, request.method, context)
        return result_response(result, accept=accept)

    @contextlib.asynccontextmanager
    async def _operation(self, request: Request, kind: RequestKind) -> AsyncIterator[OperationRequest]:
        """The operation; files that came with it last as long as the block."""
        if kind is RequestKind.PARAMS:
            yield operation_from_params(request.query_params)
        elif kind is RequestKind.JSON:
            body = self._body(request, self._limits.max_json_bytes)
            yield operation_from_json(parsed_json(await body.read(), what="The body"))
        else:
            body = self._body(request, self._limits.max_upload_bytes)
            upload = received_upload(body, boundary=multipart_boundary(request), limits=self._limits)
            async with upload as operations:
                yield operation_from_json(operations)

    def _body(self, request: Request, limit: int) -> Body:
        declared = request.headers.get("content-length")
        return Body(request.receive, declared=declared, limit=limit, limits=self._limits)

    async def _execute(self, operation: OperationRequest, method: str, context: C) -> ExecutionResult:
        try:
            return await self.schema.execute(
                operation.query,
                variable_values=operation.variables,
                context_value=context,
                operation_name=operation.operation_name,
                operation_extensions=operation.extensions,
                allowed_operation_types=_ALLOWED[method],
            )
        except InvalidOperationTypeError as error:
            raise _wrong_transport(error) from error
        except CannotGetOperationTypeError as error:
            return ExecutionResult(data=None, errors=[BadInput(error.as_http_error_reason())])
        except MissingQueryError as error:
            raise BadInput(str(error)) from error


def _never(record: logging.LogRecord) -> bool:
    return False


def _wrong_transport(error: InvalidOperationTypeError) -> RequestRefused:
    if error.operation_type is OperationType.SUBSCRIPTION:
        return BadInput("Subscriptions run over a websocket to this address, with graphql-transport-ws.")
    return MethodNotAllowed("Mutations are sent with POST.", headers={"allow": "POST"})

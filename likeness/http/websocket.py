"""graphql-transport-ws on top of Strawberry's handler: strict messages, and a fresh context for every operation.

Close codes of the protocol: 4400 invalid message, 4401 not acknowledged, 4403 sign-in refused, 4408 no connection_init
in time, 4409 id in use, 4429 second connection_init, 4500 our failure.
"""

from dataclasses import replace
from typing import Any

import structlog
from graphql import GraphQLError
from starlette.websockets import WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    CompleteMessage,
    ConnectionInitMessage,
    Message,
    PingMessage,
)
from strawberry.types.execution import PreExecutionError
from strawberry.utils.aio import aclosing

from likeness.http.connection import Connection
from likeness.http.errors import RequestRefused
from likeness.http.masking import client_errors, masked_error
from likeness.http.socket_messages import message_problem

_log = structlog.get_logger()


class Socket(ASGIWebSocketAdapter):
    """A websocket that may be closed twice, and tells senders when it is closed.

    An operation can produce a result, and the init timer can fire, while the socket is being closed.
    """

    async def send_json(self, message: Any) -> None:
        """Send one message. Raises `WebSocketDisconnected`."""
        if self._closed():
            raise WebSocketDisconnected
        await super().send_json(message)

    async def close(self, code: int, reason: str) -> None:
        """Close with a protocol code."""
        if not self._closed():
            await super().close(code, reason)

    def _closed(self) -> bool:
        gone = WebSocketState.DISCONNECTED
        return self.ws.application_state == gone or self.ws.client_state == gone


class SocketHandler(BaseGraphQLTransportWSHandler[Any, None]):
    """Serves one websocket. Strawberry's `context` is our `Connection` here; operations never see it."""

    context: Connection

    async def handle_message(self, message: Message) -> None:
        """Check the form, then act. Anything malformed closes the socket with 4400."""
        if problem := message_problem(message):
            await self.handle_invalid_message(problem)
        else:
            await super().handle_message(message)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Sign in with the payload: 4403 when refused, 4500 when signing in fails on our side."""
        params = message.get("payload") or {}
        if not self.connection_init_received:
            self.context = replace(self.context, params=params)
        try:
            await super().handle_connection_init({"type": "connection_init", "payload": params})
        except WebSocketDisconnected:
            raise
        except Exception as error:
            _log.error("websocket.sign_in_failed", request_id=self.context.request_id, exc_info=error)
            await self.websocket.close(4500, "Internal server error")

    async def handle_ping(self, message: PingMessage) -> None:
        """Answer with the ping's own payload."""
        payload = message.get("payload")
        await self.send_message({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})

    async def run_operation(self, operation: Operation[Any, None]) -> None:
        """Run one operation to its end; whatever goes wrong ends this operation only, never the socket."""
        try:
            await self._run(operation)
        except WebSocketDisconnected:
            self.operations.pop(operation.id, None)
        except RequestRefused as refusal:
            await self._fail(operation, refusal)
        except Exception as error:
            await self._fail(operation, masked_error(error))

    async def _run(self, operation: Operation[Any, None]) -> None:
        context = await self.view.make_context(self.context)  # type: ignore[attr-defined]
        results = await self.schema.stream(
            operation.query,
            variable_values=operation.variables,
            context_value=context,
            operation_name=operation.operation_name or None,
        )
        async with aclosing(results):
            async for result in results:
                # Errors of hooks pass the masking extension by, so it is done once more; that changes nothing else.
                result.errors = client_errors(result.errors or ()) or None  # type: ignore[union-attr]
                if isinstance(result, PreExecutionError):
                    await operation.send_initial_errors(result.errors or [])
                    return
                await operation.send_next(result)  # type: ignore[arg-type]
        await operation.send_operation_message(CompleteMessage(id=operation.id, type="complete"))

    async def _fail(self, operation: Operation[Any, None], error: GraphQLError) -> None:
        try:
            await operation.send_initial_errors([error])
        except WebSocketDisconnected:
            self.operations.pop(operation.id, None)


def rejected(refusal: RequestRefused) -> ConnectionRejectionError:
    """What Strawberry's handler closes with 4403 for."""
    return ConnectionRejectionError({"code": refusal.code.value})

"""GraphQL over WebSocket: the graphql-transport-ws protocol, any number of operations per socket.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import structlog
from graphql import OperationType
from starlette.types import Receive, Scope, Send

from gateway.callers import Callers
from gateway.observability.logging import REQUEST_ID
from gateway.transports.connection import ClientGone
from gateway.transports.decoding import Malformed, check_values, request_from_json
from gateway.transports.exchange import headers_of, request_id_of
from gateway.transports.expiry import TokenWatch
from gateway.transports.faults import error_entry, internal_error
from gateway.transports.messages import (
    ACKNOWLEDGED,
    Close,
    SocketClosed,
    complete_message,
    error_message,
    next_frame,
    next_message,
    ping,
    pong,
    token_notice,
)
from gateway.transports.negotiation import foreign_origin
from gateway.transports.operations import Operations
from gateway.transports.wire import ABNORMAL, Wire
from resolvers.core.clock import Clock
from resolvers.core.errors import ErpError, ErrorCode
from resolvers.core.metrics import Metrics
from resolvers.core.principal import Principal, same_rights
from resolvers.operations.rules import StreamTransport
from schema.core.execution import ContextFactory, GraphQLRequest, Prepared, Refused
from schema.core.live import Delivery, Subscriber
from schema.core.scalars import serialize_instant

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Bounds of sockets: waits in seconds, nesting in levels, operations and sockets in number."""

    init_timeout_seconds: float
    send_timeout_seconds: float
    json_depth: int
    operations: int
    sockets_per_caller: int
    token_notice_seconds: float


class SocketTransport:
    """Serves the WebSocket connections to the endpoint."""

    def __init__(
        self,
        operations: Operations,
        callers: Callers,
        limits: SocketLimits,
        *,
        allowed_origins: frozenset[bytes],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.operations = operations
        self.callers = callers
        self.limits = limits
        self.clock = clock
        self.metrics = metrics
        self._allowed_origins = allowed_origins
        self._sockets: Counter[str] = Counter()
        """Open sockets by the credential of their caller."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection from its handshake to its end."""
        headers = headers_of(scope["headers"])
        await receive()
        if foreign_origin(headers, self._allowed_origins):
            # A close before the handshake is answered with 403.
            await send({"type": "websocket.close"})
            return
        timeout = self.limits.send_timeout_seconds
        wire = Wire(scope, receive, send, send_timeout_seconds=timeout)
        self.metrics.socket_opened()
        code = ABNORMAL
        try:
            code = await Socket(self, wire, headers).serve()
        finally:
            self.metrics.socket_closed(code)

    async def enter(
        self, socket: "Socket", payload: Mapping[str, Any], headers: Mapping[bytes, bytes]
    ) -> Principal:
        """Let in who introduces itself by a payload, or by the headers of the handshake.

        Raises:
            SocketClosed: the credential does not hold, or the caller has too many sockets.

        """
        given = {name.lower(): value for name, value in payload.items()}
        authorization = given.get("authorization", _text(headers, b"authorization"))
        company = given.get("x-company", _text(headers, b"x-company"))
        if not isinstance(authorization, str | None) or not isinstance(company, str | None):
            raise SocketClosed(Close.FORBIDDEN, "Authorization and X-Company must be strings")
        try:
            principal = await self.callers.enter(socket, authorization, company)
        except ErpError as error:
            raise _closed(error) from None
        if self._sockets[principal.actor] >= self.limits.sockets_per_caller:
            self.callers.leave(socket)
            raise SocketClosed(Close.TRY_AGAIN_LATER, "Too many sockets of this caller")
        self._sockets[principal.actor] += 1
        return principal

    def leave(self, socket: "Socket", principal: Principal) -> None:
        """Take back `enter`."""
        self.callers.leave(socket)
        self._sockets[principal.actor] -= 1
        if not self._sockets[principal.actor]:
            del self._sockets[principal.actor]


class Socket:
    """One connection: its caller, and the operations that run on it.

    The connection's task reads messages, one after the other. Every operation is a task of its own,
    which sends what it has and asks for its next event only after that.
    """

    def __init__(self, transport: SocketTransport, wire: Wire, headers: dict[bytes, bytes]) -> None:
        self._transport = transport
        self._wire = wire
        self._headers = headers
        self._request_id = request_id_of(headers)
        self._principal: Principal | None = None
        self._started = 0
        self._active: dict[str, asyncio.Task[None]] = {}
        """The operations whose end the client has not seen, by the ids it gave them."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._streams: set[asyncio.Task[None]] = set()
        self._subscribers: dict[Subscriber, str] = {}
        """The running subscriptions, and the id of each's request."""
        self._reader: asyncio.Task[Any] | None = None
        self._ending: SocketClosed | None = None
        self._token = TokenWatch(transport.clock, transport.limits.token_notice_seconds)

    async def serve(self) -> int:
        """Serve the connection until either side ends it; return the code it was closed with."""
        REQUEST_ID.set(self._request_id)
        self._reader = asyncio.current_task()
        self._stop_with_server()
        try:
            await self._converse()
        except SocketClosed as closed:
            return await self._close(closed)
        except ClientGone as gone:
            code: int = gone.args[0]
            return code
        except asyncio.CancelledError:
            if self._ending is None:
                raise
            return await self._close(self._ending)
        except Exception:
            log.exception("socket failed")
            return await self._close(SocketClosed(Close.INTERNAL_ERROR, "Internal error"))
        finally:
            await self._clean_up()

    # The conversation

    async def _converse(self) -> NoReturn:
        await self._wire.accept(self._request_id)
        await self._introduce()
        while True:
            await self._handle(*await self._wire.receive())

    async def _introduce(self) -> None:
        """Wait for ``connection_init`` and let the caller in."""
        try:
            async with asyncio.timeout(self._transport.limits.init_timeout_seconds):
                kind, message = await self._wire.receive()
                while kind != "connection_init":
                    await self._handle(kind, message)
                    kind, message = await self._wire.receive()
        except TimeoutError:
            reason = "Connection initialisation timeout"
            raise SocketClosed(Close.INITIALISATION_TIMEOUT, reason) from None
        payload = message.get("payload") or {}
        self._principal = await self._transport.enter(self, payload, self._headers)
        self._token.watch(self._principal, self._announce, self._expire)
        await self._wire.send(ACKNOWLEDGED)

    async def _handle(self, kind: str, message: dict[str, Any]) -> None:
        match kind:
            case "ping":
                await self._wire.send(pong(await self._renewed(message.get("payload"))))
            case "subscribe":
                await self._subscribe(message["id"], message.get("payload"))
            case "complete":
                task = self._active.pop(message["id"], None)
                if task is not None:
                    task.cancel()
            case "connection_init":
                reason = "Too many initialisation requests"
                raise SocketClosed(Close.TOO_MANY_INITIALISATIONS, reason)

    async def _subscribe(self, operation_id: str, payload: Any) -> None:
        """Start an operation, or answer why it does not start."""
        try:
            request = request_from_json(payload)
        except Malformed as problem:
            raise SocketClosed(Close.BAD_REQUEST, f"Invalid message: {problem}") from None
        if self._principal is None:
            raise SocketClosed(Close.UNAUTHORIZED, "Unauthorized")
        if operation_id in self._active:
            reason = f"Subscriber for {operation_id} already exists"
            raise SocketClosed(Close.SUBSCRIBER_EXISTS, reason)
        refusal = self._refusal(payload)
        if refusal is not None:
            await self._wire.send(error_message(operation_id, [refusal]))
            return
        self._started += 1
        request_id = f"{self._request_id}-{self._started}"
        running = self._run(operation_id, request, request_id)
        task = self._active[operation_id] = asyncio.create_task(running)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _refusal(self, payload: Any) -> dict[str, Any] | None:
        """Return the error of an operation that may not start."""
        limits = self._transport.limits
        if len(self._tasks) >= limits.operations:
            message = f"A socket may run {limits.operations} operations at a time."
            details = {"limit": "operations per socket", "maximum": limits.operations}
            return error_entry(message, ErrorCode.LIMIT_EXCEEDED, details)
        try:
            check_values(payload, max_depth=limits.json_depth)
        except Malformed as problem:
            return error_entry(str(problem), ErrorCode.VALIDATION)
        return None

    # Operations

    async def _run(self, operation_id: str, request: GraphQLRequest, request_id: str) -> None:
        """Run one operation to its end, and tell the client of the end."""
        operations, principal = self._transport.operations, self._principal
        assert principal is not None, "nothing runs before the caller is known"
        contexts = operations.contexts(principal, request_id, "ws")
        try:
            prepared = operations.prepare(request, principal)
            if prepared.operation_type is OperationType.SUBSCRIPTION:
                await self._stream(operation_id, prepared, contexts, request_id)
            else:
                answer = await operations.execute(prepared, contexts)
                await self._wire.send(next_message(operation_id, answer.body()))
            last = complete_message(operation_id)
        except Refused as refused:
            last = error_message(operation_id, refused.errors)
        except ClientGone:
            return
        except Exception:
            log.exception("operation failed")
            last = error_message(operation_id, [internal_error(request_id)])
        await self._finish(operation_id, last)

    async def _stream(
        self, operation_id: str, prepared: Prepared, contexts: ContextFactory, request_id: str
    ) -> None:
        """Send the answers of a subscription; the next is asked for when the last was sent."""
        operations, metrics = self._transport.operations, self._transport.metrics
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        metrics.subscription_started("ws")
        before, after = next_frame(operation_id)
        push = self._wire.push

        def send_now(answer: Delivery) -> bool:
            if not push(before + answer.body + after):
                return False
            metrics.event_sent("ws")
            return True

        answers = operations.subscribe(prepared, contexts, StreamTransport.WEBSOCKET)
        self._subscribers[answers] = request_id
        try:
            async with aclosing(answers):
                answers.push = send_now
                async for answer in answers:
                    await self._wire.send((before + answer.body + after).decode())
                    metrics.event_sent("ws")
        finally:
            del self._subscribers[answers]
            self._streams.discard(task)
            del task  # else it holds itself by what canceled it
            metrics.subscription_ended("ws")

    async def _finish(self, operation_id: str, last: str) -> None:
        """Send the last message of an operation, unless the client has ended it."""
        if self._active.get(operation_id) is not asyncio.current_task():
            return
        # Once it has read the message, the client may use the id again.
        del self._active[operation_id]
        with suppress(ClientGone):
            await self._wire.send(last)

    # What happens to the caller

    def changed(self, principal: Principal) -> None:
        """Go on as the same caller with other rights."""
        before, self._principal = self._principal, principal
        if before is None or same_rights(before, principal):
            return
        for subscriber, request_id in self._subscribers.items():
            subscriber.move(self._transport.operations.contexts_of(principal, request_id))

    def refused(self, error: ErpError) -> None:
        """Tell the caller nothing more, and close the connection."""
        self._wire.silent = True
        self._end(_closed(error))

    def _expire(self) -> None:
        self._end(SocketClosed(Close.FORBIDDEN, "The token has expired"))

    async def _announce(self, expires_at: str) -> None:
        """Tell the client when its token ends, so that it can present another one."""
        with suppress(ClientGone):
            await self._wire.send(ping(token_notice(expires_at)))

    async def _renewed(self, payload: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Return the answer to a ping; one with a credential is to go on with that.

        Raises:
            SocketClosed: the credential does not hold, or is another caller's.

        """
        principal = self._principal
        if payload is None or principal is None:
            return payload
        given = {name.lower(): value for name, value in payload.items()}
        if "authorization" not in given:
            return payload
        authorization, metrics = given["authorization"], self._transport.metrics
        if not isinstance(authorization, str):
            raise SocketClosed(Close.FORBIDDEN, "Authorization must be a string")
        error: str | None = None
        try:
            renewed = await self._transport.callers.renew(self, principal, authorization)
        except ErpError as problem:
            closed = _closed(problem)
            if closed.code is Close.FORBIDDEN:
                metrics.token_renewed("refused")
                raise closed from None
            # the caller is still known by the credential it has, and may try again
            metrics.token_renewed("failed")
            error = problem.message
        else:
            metrics.token_renewed("renewed")
            self.changed(renewed)
            self._token.watch(renewed, self._announce, self._expire)
            principal = renewed
        ends = principal.expires_at
        return token_notice(None if ends is None else serialize_instant(ends), error)

    # The end

    def _stop_with_server(self) -> None:
        connection = self._wire.connection
        if connection is not None:
            connection.on_shutdown = self._stop
            if connection.stopping:
                self._stop()

    def _stop(self) -> None:
        self._end(SocketClosed(Close.GOING_AWAY, "The server is shutting down"))

    def _end(self, ending: SocketClosed) -> None:
        """Stop reading, and close the connection as ``ending`` says."""
        if self._ending is None and self._reader is not None:
            self._ending = ending
            self._reader.cancel()

    async def _close(self, closed: SocketClosed) -> int:
        """Close the connection; at the server's stop only after what was asked for is answered."""
        if closed.code is Close.GOING_AWAY:
            for task in self._streams:
                task.cancel()
            # The server cancels this wait when its own time is over.
            with suppress(asyncio.CancelledError):
                await self._ended(self._tasks)
        for task in self._tasks:
            task.cancel()
        return await self._wire.close(closed)

    async def _clean_up(self) -> None:
        """End the operations that still run, wait until they are gone, and let the caller go."""
        self._token.close()
        if self._wire.connection is not None:
            self._wire.connection.on_shutdown = None
        for task in self._tasks:
            task.cancel()
        await self._ended(self._tasks)
        # canceled tasks hold what they were doing, and with it this
        self._active.clear()
        self._reader = None
        if self._principal is not None:
            self._transport.leave(self, self._principal)

    async def _ended(self, tasks: set[asyncio.Task[None]]) -> None:
        if tasks:
            await asyncio.wait(tasks)


def _closed(error: ErpError) -> SocketClosed:
    """Return how the socket of a caller who is not let in is closed."""
    refused = error.code in (ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN)
    return SocketClosed(Close.FORBIDDEN if refused else Close.TRY_AGAIN_LATER, error.message)


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")

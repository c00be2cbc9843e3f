"""GraphQL over server-sent events: the responses that are streams.

In distinct connections mode a response answers one operation; `shared_stream` has the other mode.
https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final

import orjson

from gateway.transports.connection import ClientGone, UntilGone
from gateway.transports.exchange import Exchange
from gateway.transports.expiry import TokenWatch
from gateway.transports.faults import error_entry
from gateway.transports.negotiation import EVENT_STREAM
from gateway.transports.operations import Operations
from gateway.transports.statuses import ANSWERED
from resolvers.core.clock import Clock
from resolvers.core.errors import ErpError
from resolvers.core.metrics import Metrics
from resolvers.core.principal import Principal, same_rights
from schema.core.live import Delivery, Subscriber

HEARTBEAT_SECONDS: Final = 10.0
"""Proxies keep the stream open, and TCP finds out about dead clients, because something is sent."""

_COMMENT: Final = b":\n\n"
_COMPLETE: Final = b"event: complete\ndata:\n\n"
_HEADERS: Final = (
    (b"content-type", EVENT_STREAM),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class EventStream:
    """The response that carries answers as events.

    A stream that ends without its ``complete`` event was cut short, by the end of the caller's
    token or of the server; clients then subscribe anew. Whoever is let in no more is told so in a
    last result, and the stream completes.
    """

    def __init__(
        self,
        exchange: Exchange,
        operations: Operations,
        *,
        send_timeout_seconds: float,
        token_notice_seconds: float,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._exchange = exchange
        self._operations = operations
        self._connection = exchange.connection
        self._send_timeout_seconds = send_timeout_seconds
        self._token = TokenWatch(clock, token_notice_seconds)
        self._metrics = metrics
        self._task: asyncio.Task[Any] | None = None
        self._answers: Subscriber | None = None
        self._principal: Principal | None = None
        self._cut_short = False
        self._last = b""
        """What is still sent when the stream is cut short."""

    async def send_one(self, body: dict[str, Any]) -> None:
        """Send one result, or the errors that refuse the operation, and complete."""
        events = _next(orjson.dumps(body)) + _COMPLETE
        await self._exchange.start(ANSWERED, _HEADERS)
        await self._send(events, more=False)

    async def send_all(self, answers: Subscriber, principal: Principal) -> None:
        """Send every answer as it comes; the next is asked for only when the last was sent.

        Raises:
            ClientGone: the client left, or stopped reading.

        """
        self._answers, self._principal = answers, principal
        async with self._open(principal):
            self._metrics.subscription_started("sse")
            try:
                async with aclosing(answers):
                    answers.push = self._send_now
                    with UntilGone(self._connection):
                        async for answer in answers:
                            await self.send(_next(answer.body, answer.cursor))
                            self._metrics.event_sent("sse")
                        await self.send(_COMPLETE)
            finally:
                self._answers = None  # else both hold each other
                self._metrics.subscription_ended("sse")

    async def stay_open(self, principal: Principal) -> None:
        """Let others send, until the client leaves or the stream is cut short.

        Raises:
            ClientGone: the client left, or stopped reading.

        """
        async with self._open(principal):
            with UntilGone(self._connection):
                await asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def _open(self, principal: Principal) -> AsyncIterator[None]:
        """Begin the response, keep it alive while the block runs, and end it."""
        await self._exchange.start(ANSWERED, _HEADERS)
        await self._send(_COMMENT, more=True)
        self._task = asyncio.current_task()
        if self._cut_short:  # while it began
            self.cut(self._last)
        self._stop_with_server()
        self._token.watch(principal, self._announce, self.cut)
        heart = asyncio.create_task(self._beat())
        try:
            yield
        except (asyncio.CancelledError, ClientGone):
            if not self._cut_short:
                raise
        finally:
            heart.cancel()
            self._token.close()
            if self._connection is not None:
                self._connection.on_shutdown = None
        await self._send(self._last, more=False)

    # What happens to the caller of the one operation

    def changed(self, principal: Principal) -> None:
        """Go on as the same caller with other rights."""
        before, self._principal = self._principal, principal
        if self._answers is not None and before is not None and not same_rights(before, principal):
            request_id = self._exchange.request_id
            self._answers.move(self._operations.contexts_of(principal, request_id))

    def refused(self, error: ErpError) -> None:
        """Tell the caller nothing more than why, and complete."""
        entry = error_entry(error.message, error.code)
        self.cut(_next(orjson.dumps({"errors": [entry]})) + _COMPLETE)

    def _stop_with_server(self) -> None:
        """Cut the stream short when the server stops."""
        if self._connection is not None:
            self._connection.on_shutdown = self.cut
            if self._connection.stopping:
                self.cut()

    async def _announce(self, expires_at: str) -> None:
        """Tell when the token ends, in a comment: the client may connect anew with another one."""
        with suppress(ClientGone):
            await self.send(b": token expires at %b\n\n" % expires_at.encode())

    def cut(self, last: bytes = b"") -> None:
        """Cut the stream short: from now on nothing is sent but ``last``."""
        self._cut_short = True
        self._last = last
        if self._task is not None:
            self._task.cancel()

    async def _beat(self) -> None:
        try:
            while True:
                await asyncio.sleep(HEARTBEAT_SECONDS)
                await self.send(_COMMENT)
        except ClientGone:
            return

    def _send_now(self, answer: Delivery) -> bool:
        """Send an answer at once, where the client is not behind."""
        if not self.push(_next(answer.body, answer.cursor)):
            return False
        self._metrics.event_sent("sse")
        return True

    def push(self, event: bytes) -> bool:
        """Send an event at once; False where it would have to wait."""
        connection = self._connection
        return connection is not None and not self._cut_short and connection.push(event)

    async def send(self, event: bytes) -> None:
        """Send an event.

        Raises:
            ClientGone: the client left, or stopped reading, or is not to be told anything.

        """
        if self._cut_short:
            raise ClientGone
        await self._send(event, more=True)

    async def _send(self, data: bytes, *, more: bool) -> None:
        try:
            async with asyncio.timeout(self._send_timeout_seconds):
                await self._exchange.send_body(data, more=more)
        except TimeoutError:
            if self._connection is not None:
                self._connection.abort()
            raise ClientGone from None


def _next(body: bytes, cursor: str | None = None) -> bytes:
    # orjson writes no line breaks, so that one data line always holds all of it.
    place = b"" if cursor is None else b"id: %b\n" % cursor.encode()
    return b"event: next\n" + place + b"data: " + body + b"\n\n"

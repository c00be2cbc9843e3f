"""GraphQL over server-sent events: the responses that are streams.

In distinct connections mode a response answers one operation; `shared_stream` has the other mode.
https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

import orjson

from gateway.transports.connection import ClientGone, UntilGone, connection_of
from gateway.transports.exchange import Exchange
from gateway.transports.negotiation import EVENT_STREAM
from gateway.transports.statuses import ANSWERED
from resolvers.core.clock import Clock
from resolvers.core.metrics import Metrics
from resolvers.core.principal import Principal
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
    token or of the server; clients then subscribe anew.
    """

    def __init__(
        self, exchange: Exchange, *, send_timeout_seconds: float, clock: Clock, metrics: Metrics
    ) -> None:
        self._exchange = exchange
        self._connection = connection_of(exchange.scope)
        self._send_timeout_seconds = send_timeout_seconds
        self._clock = clock
        self._metrics = metrics
        self._task: asyncio.Task[Any] | None = None
        self._cut_short = False

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
        await self.send(_COMMENT)
        self._task = asyncio.current_task()
        ends = self._end_with(principal)
        heart = asyncio.create_task(self._beat())
        try:
            yield
        except asyncio.CancelledError:
            if not self._cut_short:
                raise
        finally:
            heart.cancel()
            if ends is not None:
                ends.cancel()
            if self._connection is not None:
                self._connection.on_shutdown = None
        await self._send(b"", more=False)

    def _end_with(self, principal: Principal) -> asyncio.TimerHandle | None:
        """Cut the stream short when the server stops, or when the caller's token ends."""
        if self._connection is not None:
            self._connection.on_shutdown = self._cut
            if self._connection.stopping:
                self._cut()
        if principal.expires_at is None:
            return None
        seconds = (principal.expires_at - self._clock()).total_seconds()
        return asyncio.get_running_loop().call_later(max(seconds, 0), self._cut)

    def _cut(self) -> None:
        self._cut_short = True
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
        return self._connection is not None and self._connection.push(event)

    async def send(self, event: bytes) -> None:
        """Send an event.

        Raises:
            ClientGone: the client left, or stopped reading.

        """
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

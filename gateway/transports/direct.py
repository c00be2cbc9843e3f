"""Requests that are answered without ASGI: small ones, which came whole.

ASGI has a request brought in pieces and taken away in pieces, each by a call that may wait. For a
small operation that, with the server's bookkeeping around it, is more than half of the work. So
`gateway.transports.http_protocol` hands a request that came whole to the endpoint as it is, and
takes the answer as one piece. An answer that is a stream goes the way of ASGI from there on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import orjson
from starlette.types import Message, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.transports.connection import Connection
from gateway.transports.exchange import Exchange, new_request_id, request_id_of
from gateway.transports.faults import Headers
from gateway.transports.negotiation import Accepted, MediaType

PATH: Final = b"/graphql"
"""Where requests are answered so; other addresses have routes."""
_REQUEST_ID: Final = b"x-request-id"

Answer = Callable[[Exchange], Awaitable[None]]
"""Answers a request, whatever goes wrong."""


class Below(Connection, Protocol):
    """What a direct request asks of its connection."""

    @property
    def behind(self) -> bool:
        """Whether the client has to read before more is sent."""
        ...

    async def drain(self) -> None:
        """Return when the client is not behind."""
        ...

    def finish(self, exchange: "DirectExchange", status: int, lines: bytes, body: bytes) -> None:
        """Write the whole response."""
        ...

    def give_way(self, exchange: "DirectExchange") -> Send:
        """Let the response to a request go the way of ASGI from now on."""
        ...


class _NobodyWaits:
    """Stands for the event that tells an ASGI application of more body, or of the client's end."""

    def set(self) -> None:
        """Tell nobody."""


class DirectExchange(Exchange):
    """A small request with its whole body; also what uvicorn's connection keeps in mind of it."""

    __slots__ = (
        "_below",
        "cycle",
        "disconnected",
        "keep_alive",
        "response_complete",
        "response_started",
    )

    message_event: Final = _NobodyWaits()

    def __init__(
        self,
        below: Below,
        headers: dict[bytes, bytes],
        whole: bytes = b"",
        usual: Accepted | None = None,
    ) -> None:
        # all that the base class sets, from what is there: there is no scope
        self._below = self.connection = below
        self.method = "POST"
        self.query_string = b""
        self.headers = headers
        self.request_id = request_id_of(headers) if _REQUEST_ID in headers else new_request_id()
        self.started: int | None = None
        self.task: asyncio.Task[Any] | None = None
        self.whole = whole
        """What has come of the body."""
        self.usual = usual
        self.response_started = False
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = True
        self.cycle: RequestResponseCycle | None = None
        """What it gave way to."""

    @property
    def over(self) -> bool:
        """Whether the response is complete."""
        return self.response_complete or (self.cycle is not None and self.cycle.response_complete)

    async def body(self, limit: int) -> bytes:
        """Return the body, which is smaller than any limit."""
        del limit
        return self.whole

    async def respond(
        self, status: int, media_type: MediaType, body: dict[str, Any], headers: Headers = ()
    ) -> None:
        """Send the whole response."""
        below = self._below
        if below.behind:
            await below.drain()
        payload = orjson.dumps(body)
        lines = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n" % (
            media_type._value_,
            len(payload),
            self.request_id.encode(),
        )
        if headers:
            lines += b"".join([b"%b: %b\r\n" % header for header in headers])
        self.started = status
        below.finish(self, status, lines, payload)

    async def _send(self, event: Message) -> None:
        if event["type"] == "http.response.start":
            self.send = self._below.give_way(self)
        await super()._send(event)

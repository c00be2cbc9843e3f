"""One HTTP request and its response, on plain ASGI messages or without them."""

import asyncio
import itertools
import re
import secrets
from collections.abc import Sequence
from typing import Any, Final

import orjson
from starlette.types import Message, Receive, Scope, Send

from gateway.transports.connection import ClientGone, connection_of
from gateway.transports.faults import Headers, HttpFault
from gateway.transports.negotiation import Accepted, MediaType
from gateway.transports.statuses import Fault

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._~-]{1,128}")
_PREFIX: Final = secrets.token_hex(6)
_COUNT: Final = itertools.count(1)
_NEVER_STORED: Final[Headers] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


def request_id_of(headers: dict[bytes, bytes]) -> str:
    """Return the client's ``X-Request-Id``, if it is well formed, else a new id."""
    given = headers.get(b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return new_request_id()


def new_request_id() -> str:
    """Return an id that no other request has, of this process or another."""
    return f"{_PREFIX}-{next(_COUNT):x}"


def headers_of(listed: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the headers of a request by name; those given more than once joined by commas."""
    headers = dict(listed)
    if len(headers) != len(listed):
        joined: dict[bytes, list[bytes]] = {}
        for name, value in listed:
            joined.setdefault(name, []).append(value)
        headers = {name: b", ".join(values) for name, values in joined.items()}
    return headers


class Exchange:
    """One HTTP request, and the one response to it."""

    __slots__ = (
        "connection",
        "headers",
        "method",
        "query_string",
        "receive",
        "request_id",
        "scope",
        "send",
        "started",
        "task",
        "usual",
        "whole",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.method: str = scope["method"]
        self.query_string: bytes = scope["query_string"]
        self.headers = headers_of(scope["headers"])
        self.request_id = request_id_of(self.headers)
        self.connection = connection_of(scope)
        self.whole = b""
        """The body, where all of it is here already."""
        self.task: asyncio.Task[Any] | None = None
        """The task that answers it, where that is known."""
        self.started: int | None = None
        """Status of the response, once it was begun."""
        self.usual: Accepted | None = None
        """What the client takes, where the head is known to ask for an operation and no more."""

    def text(self, name: bytes) -> str | None:
        """Return a header as text."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self, limit: int) -> bytes:
        """Return the body, read to its end.

        Raises:
            HttpFault: it is larger than ``limit`` bytes.
            ClientGone: the client left before its end.

        """
        announced = self.headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit:
            raise _too_large(limit)
        event = await self.receive()
        if event["type"] == "http.request" and not event.get("more_body"):
            whole: bytes = event.get("body", b"")
            if len(whole) > limit:
                raise _too_large(limit)
            return whole
        chunks = bytearray()
        while event["type"] == "http.request":
            chunks += event.get("body", b"")
            if len(chunks) > limit:
                raise _too_large(limit)
            if not event.get("more_body"):
                return bytes(chunks)
            event = await self.receive()
        raise ClientGone

    async def respond(
        self, status: int, media_type: MediaType, body: dict[str, Any], headers: Headers = ()
    ) -> None:
        """Send the whole response."""
        payload = orjson.dumps(body)
        if self.method == "GET":
            headers = (*headers, *_NEVER_STORED)
        headers = (
            (b"content-type", media_type.value),
            (b"content-length", b"%d" % len(payload)),
            *headers,
        )
        connection = self.connection
        # an origin may want headers of its own, which the middleware for it adds on the way
        if connection is not None and b"origin" not in self.headers:
            told = (*headers, (b"x-request-id", self.request_id.encode()))
            if connection.respond(self.scope, status, told, payload):
                self.started = status
                return
        await self.start(status, headers)
        await self.send_body(payload, more=False)

    async def answer(self, status: int, text: bytes = b"", headers: Headers = ()) -> None:
        """Send a response that is no GraphQL result: a text, or nothing."""
        length = (b"content-length", b"%d" % len(text))
        await self.start(status, (length, *headers, *_NEVER_STORED))
        await self.send_body(text, more=False)

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head of a response."""
        self.started = status
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [*headers, (b"x-request-id", self.request_id.encode())],
            }
        )

    async def send_body(self, data: bytes, *, more: bool) -> None:
        """Send a piece of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def _send(self, event: Message) -> None:
        try:
            await self.send(event)
        except (OSError, RuntimeError):
            # Between the loss of a connection and the news of it, uvloop refuses to write.
            if self.connection is not None and self.connection.lost:
                raise ClientGone from None
            raise


def _too_large(limit: int) -> HttpFault:
    return HttpFault(
        Fault.BODY_SIZE,
        f"The body is larger than {limit:,} bytes.",
        details={"limit": "body", "maximum": limit},
    )

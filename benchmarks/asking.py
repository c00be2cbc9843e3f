"""A client that takes little: requests one after another on connections that stay open.

A client that takes as long as the server does would be most of what is measured.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import httptools

OK = 200


class Failed(Exception):
    """The server answered with another status than 200, or went away."""


class _Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._body: list[bytes] = []
        self._answered: asyncio.Future[bytes] | None = None

    async def ask(self, request: bytes) -> bytes:
        """Send a request as it goes over the wire; return the body of its answer.

        Raises:
            Failed: it was answered with another status than 200, or not at all.

        """
        assert self._transport is not None
        self._body = []
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail who waits for an answer."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or Failed("The server closed the connection."))

    # httptools

    def on_body(self, body: bytes) -> None:
        """Keep a part of the answer."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Hand the answer to who waits for it."""
        assert self._answered is not None
        status, body = self._parser.get_status_code(), b"".join(self._body)
        if status == OK:
            self._answered.set_result(body)
        else:
            self._answered.set_exception(Failed(f"status {status}: {body[:500]!r}"))


class Client:
    """Asks a GraphQL endpoint on as many connections as there are requests under way."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._head = (
            f"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {token}\r\n"
            "content-type: application/json\r\naccept: application/json\r\ncontent-length: "
        ).encode()
        self._idle: list[_Connection] = []

    async def ask(self, body: bytes) -> bytes:
        """Post a body and return that of the answer; raises as a connection does."""
        connection = self._idle.pop() if self._idle else await self._open()
        answer = await connection.ask(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        self._idle.append(connection)
        return answer

    async def _open(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, "127.0.0.1", self._port)
        return connection

    def close(self) -> None:
        """Close every connection."""
        for connection in self._idle:
            connection.close()


@asynccontextmanager
async def client(port: int, token: str) -> AsyncIterator[Client]:
    """Open a client for as long as the block lasts."""
    made = Client(port, token)
    try:
        yield made
    finally:
        made.close()
        await asyncio.sleep(0)

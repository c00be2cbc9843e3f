"""Clients of the transports that hide nothing: messages and events as they are on the wire."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.fixtures.servers import Address
from tests.gateway.transports.probing import GRACE

PROTOCOL = Subprotocol("graphql-transport-ws")
STREAM = {"accept": "text/event-stream"}


class Client:
    """A client that sends and expects messages literally."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: Any) -> None:
        """Send a message as JSON, or text and bytes as they are."""
        raw = isinstance(message, str | bytes)
        await self.connection.send(message if raw else json.dumps(message))

    async def receive(self) -> Any:
        """Return the next message."""
        text = await asyncio.wait_for(self.connection.recv(), GRACE)
        assert isinstance(text, str)
        return json.loads(text)

    async def subscribe(self, operation_id: str, query: str, **payload: Any) -> None:
        """Start an operation."""
        message = {"id": operation_id, "type": "subscribe", "payload": {"query": query, **payload}}
        await self.send(message)

    async def closed(self) -> tuple[int, str]:
        """Wait for the server to close, passing over what it still sends."""
        with pytest.raises(ConnectionClosed) as caught:
            await self._drain()
        received = caught.value.rcvd
        assert received is not None
        return received.code, received.reason

    async def _drain(self) -> None:
        async with asyncio.timeout(3 * GRACE):
            while True:
                await self.connection.recv()


@asynccontextmanager
async def opened(address: Address, **options: Any) -> AsyncIterator[Client]:
    """Open a socket that has not introduced itself."""
    options = {"subprotocols": [PROTOCOL], "ping_interval": None, "max_size": None} | options
    async with connect(address.socket, **options) as connection:
        yield Client(connection)


@asynccontextmanager
async def entered(address: Address, token: str = "sales", **options: Any) -> AsyncIterator[Client]:
    """Open a socket and introduce its caller."""
    async with opened(address, **options) as client:
        payload = {"Authorization": f"Bearer {token}"}
        await client.send({"type": "connection_init", "payload": payload})
        assert await client.receive() == {"type": "connection_ack"}
        yield client


@asynccontextmanager
async def bare(
    address: Address, *, receive_buffer: int = 65_536
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a WebSocket connection that answers nothing by itself, and introduce its caller."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    plain.setblocking(False)  # noqa: FBT003 - takes no keyword
    await asyncio.get_running_loop().sock_connect(plain, (address.host, address.port))
    reader, writer = await asyncio.open_connection(sock=plain)
    writer.write(
        b"GET /graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: graphql-transport-ws\r\nAuthorization: Bearer sales\r\n\r\n"
    )
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), GRACE)
    writer.write(message_frame({"type": "connection_init"}))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def frame(first: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """Return a masked frame: its first byte, and its payload, of which it may announce more."""
    announced = len(payload) if length is None else length
    if announced < 126:
        head = struct.pack("!BB", first, 0x80 | announced)
    elif announced < 1 << 16:
        head = struct.pack("!BBH", first, 0x80 | 126, announced)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, announced)
    return head + b"\0\0\0\0" + payload


def message_frame(message: Any) -> bytes:
    """Return a message as a text frame."""
    return frame(0x81, json.dumps(message).encode())


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return the opcode and the payload of the server's next frame."""
    async with asyncio.timeout(GRACE):
        first, length = await reader.readexactly(2)
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2))
        elif length == 127:
            length = int.from_bytes(await reader.readexactly(8))
        return first & 15, await reader.readexactly(length)


async def events(response: httpx2.Response) -> AsyncIterator[tuple[str, Any]]:
    """Read the stream as the HTML standard says: event and data, comments as ``:``."""
    name, data = "", []
    async for line in response.aiter_lines():
        if line.startswith(":"):
            yield ":", None
        elif line:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            name = value if field == "event" else name
            data += [value] if field == "data" else []
        elif data:
            text = "\n".join(data)
            yield name, json.loads(text) if text else None
            name, data = "", []

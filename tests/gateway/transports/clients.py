"""Clients of the transports that hide nothing: messages and events as they are on the wire."""

import asyncio
import json
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

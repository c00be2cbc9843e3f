"""A WebSocket connection with bounded sends: one that does not take what is sent is dropped."""

import asyncio
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from gateway.transports.connection import ClientGone, connection_of
from gateway.transports.messages import SUBPROTOCOL, Close, SocketClosed, read_message

_NO_STATUS: Final = 1005
ABNORMAL: Final = 1006
"""Code of a connection that ended without a closing handshake (RFC 6455 section 7.1.5)."""


class Wire:
    """Messages in and out.

    Everything that sends or receives raises `ClientGone` once the client has left; its argument is
    the code the connection was closed with.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, send_timeout_seconds: float
    ) -> None:
        self.connection = connection_of(scope)
        self._offered: list[str] = scope["subprotocols"]
        self._receive = receive
        self._send = send
        self._send_timeout_seconds = send_timeout_seconds
        self.silent = False
        """Whether nothing more is to be told but the end."""

    async def accept(self, request_id: str) -> None:
        """Finish the handshake.

        Raises:
            SocketClosed: the client does not speak the protocol.

        """
        spoken = SUBPROTOCOL in self._offered
        await self._bounded(
            {
                "type": "websocket.accept",
                "subprotocol": SUBPROTOCOL if spoken else None,
                "headers": [(b"x-request-id", request_id.encode())],
            }
        )
        if not spoken:
            raise SocketClosed(Close.SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable")

    async def receive(self) -> tuple[str, dict[str, Any]]:
        """Return the next message and its type.

        Raises:
            SocketClosed: it is no message of the protocol.

        """
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            raise ClientGone(event.get("code", _NO_STATUS))
        return read_message(event.get("text"))

    def push(self, message: bytes) -> bool:
        """Send a message at once; False where it would have to wait, or another server serves."""
        connection = self.connection
        return connection is not None and not self.silent and connection.push(message)

    async def send(self, message: str) -> None:
        """Send a message."""
        if self.silent:
            raise ClientGone(ABNORMAL)
        await self._bounded({"type": "websocket.send", "text": message})

    async def close(self, closed: SocketClosed) -> int:
        """Close the connection; return the code it was closed with."""
        code = int(closed.code)
        try:
            event = {"type": "websocket.close", "code": code, "reason": closed.reason}
            await self._bounded(event)
        except ClientGone:
            return ABNORMAL
        return code

    async def _bounded(self, event: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(self._send_timeout_seconds):
                await self._send(event)
        except TimeoutError:
            if self.connection is not None:
                self.connection.abort()
            raise ClientGone(ABNORMAL) from None
        except (OSError, RuntimeError):
            # By ASGI an OSError; uvicorn has a RuntimeError for a connection it is closing itself.
            raise ClientGone(ABNORMAL) from None

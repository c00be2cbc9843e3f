"""uvicorn's WebSocket protocol, which lets the application close its connections at a stop.

uvicorn closes them itself, in the middle of whatever the application sends; and a handshake that
the WebSocket library cannot read it never answers.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import State

from gateway.transports.connection import EXTENSION
from gateway.transports.faults import Headers
from gateway.transports.http_protocol import plain_response
from gateway.transports.statuses import Fault
from resolvers.core.principal import Principal

_MEDIUM: Final = 126
"""Bytes from which the length of a message takes two bytes more (RFC 6455 section 5.2)."""
_LARGE: Final = 65_536
"""Bytes from which it takes eight."""
_MOST_PIECES: Final = 1_024
"""Most frames of one message: their bytes are bounded, but empty ones have none."""
CLOSE_SECONDS: Final = 5.0
"""How long a peer may take to answer the closing of its connection."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection, which the application itself closes when the server stops."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._lost = False
        self._served = False
        self.stopping = False
        self.shown: tuple[bytes | None, bytes | None] | None = None
        self.recall: Callable[[], Principal | None] = lambda: None
        self.on_lost: Callable[[], object] | None = None
        self.on_shutdown: Callable[[], object] | None = None
        self.close_timeout = CLOSE_SECONDS

    def data_received(self, data: bytes) -> None:
        """Read frames, or the handshake; one that cannot be read is refused."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            # uvicorn leaves such a connection open, and its client without an answer.
            message = "The WebSocket handshake is not valid, or it is too large."
            self.transport.write(plain_response(Fault.MALFORMED, message))
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        """Run the application; it finds this connection in its scope."""
        super().handle_connect(event)
        if not self.close_sent:
            extensions: Any = self.scope["extensions"]
            extensions[EXTENSION] = self

    def handle_cont(self, event: Frame) -> None:
        """Take another piece of a message, while there are not too many."""
        if self.close_sent:
            return
        if len(self.frames) >= _MOST_PIECES:
            self.frames = []
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many frames")
            self.handle_parser_exception()
        else:
            super().handle_cont(event)

    def pause_writing(self) -> None:
        """Read nothing from a peer that does not read: what answers its pings would pile up."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again."""
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next message; what comes after it is read only from a peer that reads."""
        event = await super().receive()
        if not self.writable.is_set():
            self.transport.pause_reading()
        return event

    def keepalive_timeout(self) -> None:
        """Drop a peer that answers no ping, with what it never took."""
        super().keepalive_timeout()
        if not self.writable.is_set():
            self.transport.abort()

    def send_receive_event_to_app(self) -> None:
        """Hand over a message; text that is not UTF-8 closes the connection."""
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(self.frames):
            # uvicorn does the same, and logs an error with a stack for it.
            self.frames = []
            if self.conn.close_sent is None:
                self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def push(self, message: bytes) -> bool:
        """Send a text message at once, unless the client is behind with what was sent before.

        uvicorn has the library encode each message, and waits; a frame of the server is a header of
        a few bytes and the message (RFC 6455 section 5.2), since there are no extensions here.
        """
        if not self.writable.is_set() or self.close_sent or self.conn.state is not State.OPEN:
            return False
        transport = self.transport
        if transport.is_closing():
            return False
        size = len(message)
        if size < _MEDIUM:
            header = b"\x81%c" % size
        elif size < _LARGE:
            header = b"\x81\x7e" + size.to_bytes(2, "big")
        else:
            header = b"\x81\x7f" + size.to_bytes(8, "big")
        transport.write(header + message)
        return True

    def respond(self, scope: Any, status: int, headers: Headers, body: bytes) -> bool:
        """Answer nothing: a socket is no request."""
        del scope, status, headers, body
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever works for the client that it left."""
        super().connection_lost(exc)
        self._lost = True
        if self.on_lost is not None:
            self.on_lost()
        self._let_go()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Let go of what refers to itself once the application has ended.

        The collector looks for such things seldom, so connections that came and went would pile up.
        """
        super().on_task_complete(task)
        extensions: Any = self.scope["extensions"]
        extensions.clear()
        self._served = True
        self._let_go()

    def _let_go(self) -> None:
        """End the parser, which refers to itself, once nothing more is read and nobody serves."""
        if self._lost and self._served:
            self.conn.parser.close()

    def shutdown(self) -> None:
        """Let the application close the connection, if it wants to."""
        self.stopping = True
        if self.transport.is_closing():
            return
        if self.on_shutdown is not None and not self.close_sent:
            self.on_shutdown()
        else:
            super().shutdown()

    @property
    def lost(self) -> bool:
        """Whether nothing more can be sent."""
        return self._lost or self.transport.is_closing()

    def abort(self) -> None:
        """Drop the connection at once."""
        self.transport.abort()


def _is_utf8(frames: list[bytes]) -> bool:
    whole = b"".join(frames)
    if whole.isascii():
        return True
    try:
        whole.decode()
    except UnicodeDecodeError:
        return False
    return True

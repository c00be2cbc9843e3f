"""uvicorn's HTTP protocol with bounds on what a request may be and on the time to send it.

With httptools, uvicorn takes a header of any size, and waits for ever for the rest of a request.
Here, what is too large or too slow is answered before any application sees it.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import httptools
import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from gateway.settings import Settings
from gateway.transports.connection import EXTENSION
from gateway.transports.exchange import new_request_id
from gateway.transports.faults import Headers, error_entry
from gateway.transports.statuses import CODES, STATUSES, Fault

LINGER_SECONDS: Final = 2.0
"""How long a refused peer that still sends may take to read why, before the connection is cut."""

_AROUND_HEADER: Final = len(b": \r\n")
_HEADER: Final = "header"
_BODY: Final = "body"
_NOTHING: Final = (0, "")


class LimitedConfig(uvicorn.Config):
    """uvicorn's configuration, with the settings that it has no names for."""

    settings: Settings


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection, with bounds on what a request may be and on the time to send it."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config, LimitedConfig)
        settings = config.settings
        self._lost = False
        self.stopping = False
        self.on_lost: Callable[[], object] | None = None
        self.on_shutdown: Callable[[], object] | None = None
        self._extensions: Any = {EXTENSION: self}
        self._url_limit = settings.max_url_bytes
        self._header_limit = settings.max_header_bytes
        self._header_seconds = settings.header_timeout_seconds
        self._body_seconds = settings.body_timeout_seconds
        self._defaults: list[tuple[bytes, bytes]] = []
        """Headers of every response, as uvicorn keeps them."""
        self._default_lines = b""
        self._refused = False
        self._running: RequestResponseCycle | None = None
        """The request being answered; later ones that the client has sent already wait for it."""
        self._header_bytes = 0
        self._hosts = 0
        self._received = 0
        """Bytes received since the last header or piece of a body was complete."""
        self._requests = 0
        """Requests begun on this connection."""
        self._reading = ""
        """The part of the current request that is not complete: header, body, or none."""
        self._timed = _NOTHING
        """The request and the part of it that the timer stands for."""
        self._timer: asyncio.TimerHandle | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._header_seconds, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever works for the client that it left."""
        self._stop_timer()
        super().connection_lost(exc)
        self._lose()
        self._tell_lost()
        self._let_go()

    def _let_go(self) -> None:
        """Forget what refers back to this: the collector looks for such circles seldom."""
        self._running = None
        self.cycle = None  # type: ignore[assignment]
        self.scope = {}  # type: ignore[typeddict-item]
        self._extensions = {}

    def data_received(self, data: bytes) -> None:
        """Parse what came; bound how much and how long it takes."""
        if self._refused:
            return
        self._received += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
                # nobody tells this object when the connection goes
                self.parser = None  # type: ignore[assignment]
                self._let_go()
                return
        except httptools.HttpParserError:
            self._refuse(Fault.MALFORMED, "The request is not valid HTTP.")
            return
        if self._reading and self._unfinished > self._header_limit:
            self._refuse_header()
        elif self._reading or (self._timer is not None and self._requests):
            self._watch_time()

    def shutdown(self) -> None:
        """Close when the running request is answered; end what would not end by itself."""
        self.stopping = True
        super().shutdown()
        if self.on_shutdown is not None:
            self.on_shutdown()

    def respond(self, scope: Any, status: int, headers: Headers, body: bytes) -> bool:
        """Write a whole response to the request of ``scope`` at once, where nothing is in the way.

        uvicorn checks each header and writes head and body apart, which a tiny answer feels. This
        does the rest of what its cycle does, for headers that are known to be well formed.
        """
        cycle = self._running
        if (
            cycle is None
            or cycle.scope is not scope
            or cycle.response_started
            or self.lost
            or not cycle.keep_alive
            or self.flow.write_paused
            or scope["method"] == "HEAD"
        ):
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        if cycle.default_headers is not self._defaults:
            # uvicorn makes the list anew every second, for the date
            self._defaults = cycle.default_headers
            self._default_lines = _lines(self._defaults)
        lines = (STATUS_LINE[status], self._default_lines, _lines(headers), b"\r\n", body)
        self.transport.write(b"".join(lines))
        cycle.message_event.set()
        cycle.on_response()
        return True

    def push(self, message: bytes) -> bool:
        """Send a piece of the running response at once, unless the client is behind."""
        cycle = self._running
        if (
            cycle is None
            or not cycle.response_started
            or cycle.response_complete
            or not cycle.chunked_encoding
            or self.flow.write_paused
            or self.lost
        ):
            return False
        self.transport.write(b"%x\r\n%b\r\n" % (len(message), message))
        return True

    @property
    def lost(self) -> bool:
        """Whether nothing more can be sent."""
        return self._lost or self.transport.is_closing()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._lose()
        self.transport.abort()

    # Parser callbacks

    def on_message_begin(self) -> None:
        """Start a request; line breaks before it do not, and prolong nothing."""
        self._unset_keepalive_if_required()
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
        self._header_bytes = 0
        self._hosts = 0
        self._requests += 1
        self._reading = _HEADER

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address, while it is not too long."""
        self.url += url
        if len(self.url) > self._url_limit:
            raise self._refuse(
                Fault.URL_SIZE, f"The address is longer than {self._url_limit:,} bytes."
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, while there are not too many; trailers of a body come here too."""
        self._header_bytes += len(name) + len(value) + _AROUND_HEADER
        if self._header_bytes > self._header_limit:
            raise self._refuse_header()
        # What the overridden method does; calling it for every header would be felt.
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Run the application; the body is still to come."""
        if self._hosts != 1 and self.parser.get_http_version() == "1.1":
            # RFC 9112 section 3.2.
            raise self._refuse(Fault.MALFORMED, "The request needs one Host header.")
        self._received = 0
        self._reading = _BODY
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._received = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        self._received = 0
        self._reading = ""
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; the WebSocket library stumbles over some headers."""
        self._stop_timer()
        read = (b"connection", b"upgrade", b"sec-websocket-")
        if all(value.isascii() for name, value in self.headers if name.startswith(read)):
            super().handle_websocket_upgrade()
        else:
            self._refuse(Fault.MALFORMED, "The WebSocket handshake is not valid.")

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    # Limits

    @property
    def _unfinished(self) -> int:
        """Bytes received of the line that is not complete, or little more."""
        told = self._header_bytes + len(self.url) if self._reading == _HEADER else 0
        return self._received - told

    def _watch_time(self) -> None:
        """Time what is being read, unless that is what the timer stands for already."""
        reading = (self._requests, self._reading)
        if self._reading and reading == self._timed:
            return
        self._stop_timer()
        if self._reading:
            self._timed = reading
            self._start_timer()

    def _start_timer(self) -> None:
        seconds = self._body_seconds if self._reading == _BODY else self._header_seconds
        self._timer = self.loop.call_later(seconds, self._too_slow)

    def _stop_timer(self) -> None:
        self._timed = _NOTHING
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        """Refuse a request that did not come in time, unless the delay is our own."""
        self._timer = None
        if not self._reading or (self._reading == _BODY and not self._answering):
            # Nothing was asked, or it was answered before the end of its body.
            self.transport.close()
        elif self.flow.read_paused or (self._reading == _HEADER and self._answering):
            self._start_timer()
        else:
            self._refuse(Fault.SLOW_REQUEST, f"The {self._reading} took too long to arrive.")

    @property
    def _answering(self) -> bool:
        """Whether the response to the last request is not complete."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _refuse_header(self) -> Exception:
        return self._refuse(
            Fault.HEADER_SIZE, f"The header is larger than {self._header_limit:,} bytes."
        )

    def _refuse(self, fault: Fault, message: str) -> Exception:
        """Answer ``fault`` from here and read nothing more; return what ends the parsing."""
        if not self._refused:
            self._refused = True
            self._stop_timer()
            self._tell_refused(fault, message)
        return httptools.HttpParserError(message)

    def _tell_refused(self, fault: Fault, message: str) -> None:
        self._lose()
        self._tell_lost()
        running = self._running
        if running is not None and running.response_started and not running.response_complete:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(plain_response(fault, message))
            # Closing while the peer still sends would make its kernel throw the answer away.
            self.transport.write_eof()
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _lose(self) -> None:
        """Let nothing more be sent."""
        self._lost = True
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()

    def _tell_lost(self) -> None:
        if self.on_lost is not None:
            self.on_lost()


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def plain_response(fault: Fault, message: str) -> bytes:
    """Return a whole response of an endpoint that was never reached."""
    status, _ = STATUSES[fault]
    body = orjson.dumps({"errors": [error_entry(message, CODES[fault])]})
    return b"".join(
        [
            STATUS_LINE[status],
            b"content-type: application/json; charset=utf-8\r\n",
            b"content-length: %d\r\n" % len(body),
            b"x-request-id: %s\r\n" % new_request_id().encode(),
            b"connection: close\r\n\r\n",
            body,
        ]
    )

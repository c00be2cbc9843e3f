"""uvicorn's HTTP protocol with bounds on what a request may be and on the time to send it.

With httptools, uvicorn takes a header of any size, and waits for ever for the rest of a request.
Here, what is too large or too slow is answered before any application sees it. Small requests to
the endpoint are answered without ASGI, see `gateway.transports.direct`.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import httptools
import orjson
import structlog
import uvicorn
from starlette.types import Send
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from gateway.settings import Settings
from gateway.transports.connection import EXTENSION
from gateway.transports.direct import PATH, Answer, DirectExchange
from gateway.transports.exchange import headers_of, new_request_id
from gateway.transports.faults import Headers, error_entry
from gateway.transports.statuses import CODES, STATUSES, Fault
from resolvers.core.principal import Principal

LINGER_SECONDS: Final = 2.0
"""How long a refused peer that still sends may take to read why, before the connection is cut."""

log = structlog.get_logger(__name__)

_AROUND_HEADER: Final = len(b": \r\n")
_TELLING: Final = frozenset(
    (
        b"host",
        b"content-length",
        b"origin",
        b"connection",
        b"expect",
        b"transfer-encoding",
        b"upgrade",
        b"x-graphql-event-stream-token",
    )
)
"""Headers that decide how a request is answered."""
_HEADER: Final = "header"
_BODY: Final = "body"
_NOTHING: Final = (0, "")


class LimitedConfig(uvicorn.Config):
    """uvicorn's configuration, with the settings that it has no names for."""

    settings: Settings


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection, with bounds on what a request may be and on the time to send it."""

    _length = -1
    """Announced length of the body of the request that is read."""
    _simple = True
    """Whether none of its headers asks for more than a small answer."""

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
        self.shown: tuple[bytes | None, bytes | None] | None = None
        self.recall: Callable[[], Principal | None] = lambda: None
        self.on_lost: Callable[[], object] | None = None
        self.on_shutdown: Callable[[], object] | None = None
        self._extensions: Any = {EXTENSION: self}
        self._url_limit, self._header_limit = settings.max_url_bytes, settings.max_header_bytes
        self._seconds = {
            _HEADER: settings.header_timeout_seconds,
            _BODY: settings.body_timeout_seconds,
        }
        """How long each part of a request may take."""
        self._defaults: list[tuple[bytes, bytes]] = []
        """Headers of every response, as uvicorn keeps them."""
        self._default_lines = b""
        self._refused = False
        self._direct: Answer | None = getattr(self.app, "direct", None)
        """Answers small requests to the endpoint."""
        self._direct_limit = min(settings.max_body_bytes, HIGH_WATER_LIMIT)
        self._takes_origins = not settings.allowed_origins
        """Whether what pages ask is answered like the rest: no header is to be added for them."""
        self._whole: DirectExchange | None = None
        """The small request being read."""
        self._head = b""
        """Head of the last request, if that was small and came alone: most clients repeat it."""
        self._last: DirectExchange | None = None
        """The request that it was of."""
        self._worker: asyncio.Task[None] | None = None
        """Answers small requests one after the other: a task for each would be felt."""
        self._next: asyncio.Future[DirectExchange] | None = None
        """What the worker waits for."""
        self._idle_since = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | DirectExchange | None = None
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
        self._timer = self.loop.call_later(self._seconds[_HEADER], self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever works for the client that it left."""
        self._stop_timer()
        super().connection_lost(exc)
        self._lose()
        self._tell_lost()
        self._let_go()

    def _let_go(self) -> None:
        """Forget what refers back to this: the collector looks for such circles seldom."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if self._next is not None:
            self._next.cancel()
        self._running = self._whole = self._last = self._direct = None
        self.cycle = None  # type: ignore[assignment]
        self.scope = {}  # type: ignore[typeddict-item]
        self._extensions = {}

    def data_received(self, data: bytes) -> None:
        """Parse what came; bound how much and how long it takes."""
        if self._refused or (self._last is not None and self._is_repeated(self._last, data)):
            return
        self._received += len(data)
        alone, requests = not self._reading, self._requests
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
        if self._whole is not None:
            self._begin_without_rest(self._whole)
        elif self._last is not None:
            alone = alone and not self._reading and self._requests == requests + 1
            self._keep_head(self._last, data, alone=alone)
        if self._reading and self._unfinished > self._header_limit:
            self._refuse_header()
        elif self._reading or (self._timer is not None and self._requests):
            self._watch_time()

    def _keep_head(self, last: DirectExchange, data: bytes, *, alone: bool) -> None:
        """Keep the head of the small request in ``data``, which is there alone or not.

        Line breaks may follow a body, and it may begin with some: only what ends with the first
        empty line, and has just the body after it, is a head.
        """
        head, end, rest = data.partition(b"\r\n\r\n")
        if alone and end and rest == last.whole:
            self._head = head + end
        else:
            self._head, self._last = b"", None

    def _is_repeated(self, last: DirectExchange, data: bytes) -> bool:
        """Begin the request in ``data`` if its head is that of the last one, to the byte.

        It then means the same, and its body has the same length: there is nothing to parse.
        """
        head = self._head
        if (
            len(data) != len(head) + self._length
            or not data.startswith(head)
            or not last.over
            or self._answering
            or self._reading
            or self._timer is not None
        ):
            return False
        self._requests += 1
        exchange = DirectExchange(self, last.headers, data[len(head) :], last.usual)
        self._running = self.cycle = self._last = exchange  # type: ignore[assignment]
        self._begin(exchange)
        return True

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
            not isinstance(cycle, RequestResponseCycle)
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
        self.write_whole(status, _lines(headers), body)
        cycle.message_event.set()
        cycle.on_response()
        return True

    def write_whole(self, status: int, lines: bytes, body: bytes) -> None:
        """Write a response: its status, its own header lines, its body."""
        if self.server_state.default_headers is not self._defaults:
            # uvicorn makes the list anew every second, for the date
            self._defaults = self.server_state.default_headers
            self._default_lines = _lines(self._defaults)
        parts = (STATUS_LINE[status], self._default_lines, lines, b"\r\n", body)
        self.transport.write(b"".join(parts))

    def push(self, message: bytes) -> bool:
        """Send a piece of the running response at once, unless the client is behind."""
        cycle = self._running
        if (
            not isinstance(cycle, RequestResponseCycle)
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
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._length = -1
        self._simple = True
        self._last = None
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
        if name in _TELLING:
            self._look_at(name, value)
        self.headers.append((name, value))

    def _look_at(self, name: bytes, value: bytes) -> None:
        """Note what a header says about its request."""
        if name == b"host":
            self._hosts += 1
        elif name == b"content-length":
            self._length = int(value) if value.isdigit() else -1
        elif name == b"origin":
            self._simple = self._simple and self._takes_origins
        elif name == b"connection":
            self._simple = self._simple and value.lower() == b"keep-alive"
        else:
            self._simple = False
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        """Run the application; the body is still to come."""
        if self._hosts != 1 and self.parser.get_http_version() == "1.1":
            # RFC 9112 section 3.2.
            raise self._refuse(Fault.MALFORMED, "The request needs one Host header.")
        self._received = 0
        self._reading = _BODY
        if self._is_direct():
            self._whole = DirectExchange(self, headers_of(self.headers))
            self._running = self.cycle = self._whole  # type: ignore[assignment]
            return
        self.scope = self._scope(self.headers)
        super().on_headers_complete()

    def _begin_without_rest(self, exchange: DirectExchange) -> None:
        """Let the application begin, which may refuse a request before the rest of it comes."""
        self._whole = self._running = self.cycle = None  # type: ignore[assignment]
        self.scope = self._scope(self.headers)
        super().on_headers_complete()
        if exchange.whole:
            super().on_body(exchange.whole)

    def _is_direct(self) -> bool:
        """Tell whether the request is small, of the usual form, and the only one there is."""
        return (
            self.url == PATH
            and self._simple
            and 0 <= self._length <= self._direct_limit
            and self._direct is not None
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and not self._answering
        )

    def _scope(self, headers: list[tuple[bytes, bytes]]) -> Any:
        """Return what ASGI is told of a request; the rest comes with the end of its header."""
        read = self.url, self.headers, self.expect_100_continue, self.scope
        super().on_message_begin()
        made: dict[str, Any] = {**self.scope, "headers": headers, "extensions": self._extensions}
        self.url, self.headers, self.expect_100_continue, self.scope = read
        return made

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._received = 0
        if self._whole is not None:
            self._whole.whole += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        self._received = 0
        self._reading = ""
        whole, self._whole = self._whole, None
        if whole is None:
            super().on_message_complete()
            if not self._answering:  # answered before its end, which may have come late
                self._begin_to_idle()
            return
        self._last = whole
        self._begin(whole)

    # Requests that are answered without ASGI

    def _begin(self, exchange: DirectExchange) -> None:
        waiting = self._next
        if waiting is not None and not waiting.done():
            waiting.set_result(exchange)
        else:
            self._worker = self.loop.create_task(self._work(exchange))

    async def _work(self, exchange: DirectExchange) -> None:
        """Answer small requests, one after the other; uvicorn waits for it while it does."""
        worker = asyncio.current_task()
        assert worker is not None
        try:
            while True:
                self.tasks.add(worker)
                exchange.task = worker
                if self._direct is not None:
                    await self._direct(exchange)
                if not exchange.over:
                    self.transport.close()
                if worker.cancelling() or self.transport.is_closing():
                    return
                self.tasks.discard(worker)
                self._next = self.loop.create_future()
                exchange = await self._next
        except Exception:
            log.exception("request failed")
            self.transport.close()
        finally:
            self._next = None
            self.tasks.discard(worker)

    @property
    def behind(self) -> bool:
        """Whether the client has to read before more is sent."""
        return self.flow.write_paused

    async def drain(self) -> None:
        """Return when the client is not behind."""
        await self.flow.drain()

    def finish(self, exchange: DirectExchange, status: int, lines: bytes, body: bytes) -> None:
        """Write the whole response to a direct request."""
        exchange.response_started = exchange.response_complete = True
        exchange.whole = b""
        if self.lost:
            return
        if not exchange.keep_alive:
            lines += b"connection: close\r\n"
        self.write_whole(status, lines, body)
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def give_way(self, exchange: DirectExchange) -> Send:
        """Let the response to a direct request go the way of ASGI from now on."""
        scope = self._scope(list(exchange.headers.items()))
        path = {"path": PATH.decode(), "raw_path": PATH, "query_string": b""}
        cycle = RequestResponseCycle(
            scope=scope | {"method": exchange.method} | path,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=exchange.keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.disconnected = exchange.disconnected
        last: Any = self.cycle
        self._running = exchange.cycle = cycle
        if last is exchange:  # else another request came, which waits for this one
            self.cycle = cycle
        return cast("Send", cycle.send)

    def on_response_complete(self) -> None:
        """Begin the next request that came already, else wait for one; not for ever.

        As uvicorn does it, but for its timer for each response.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._idle_timer is None:
            self._begin_to_idle()
        else:
            self._idle_since = self.loop.time()

    def _begin_to_idle(self) -> None:
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._close_idle)

    def _close_idle(self) -> None:
        """Close a connection on which nothing was asked for long."""
        self._idle_timer = None
        if self._reading or self._answering:
            return  # whose end sets the timer anew
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._close_idle)
        else:
            self.transport.close()

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
        self._timer = self.loop.call_later(self._seconds[self._reading], self._too_slow)

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
        cycle: Any = self.cycle
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

"""The HTTP server: uvicorn with our limits, on a socket that drops dead peers."""

import errno
import math
import socket
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from gateway.settings import Settings
from gateway.transports.http_protocol import HttpProtocol, LimitedConfig
from gateway.transports.socket_protocol import SocketProtocol

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the minute after which load balancers close idle connections themselves."""
UNACKNOWLEDGED_SECONDS: Final = 20
"""Longest the peer may leave what was sent to it unacknowledged; with pings, it is gone in 30."""

App = ASGIApp | Callable[[], ASGIApp] | str
"""An application, or a function that makes it, or the import name of such a function."""

_BACKLOG: Final = 2_048


class ListenError(Exception):
    """The server cannot listen where the settings say; the text says why and what to do."""


class ServerConfig(LimitedConfig):
    """uvicorn's configuration, from our settings."""

    def __init__(
        self, app: App, settings: Settings, *, factory: bool = False, lifespan: bool = True
    ) -> None:
        super().__init__(
            app,
            factory=factory,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            http=HttpProtocol,
            ws=SocketProtocol,
            ws_max_size=settings.ws_max_message_bytes,
            ws_ping_interval=settings.ws_ping_seconds,
            ws_ping_timeout=settings.ws_ping_seconds,
            ws_per_message_deflate=False,
            lifespan="on" if lifespan else "off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
        )
        self.settings = settings


class Server(uvicorn.Server):
    """uvicorn's server, which returns after a signal, so that its caller can clean up."""

    stopped_by: int | None = None
    """The signal that ended it."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully; at the second SIGINT at once."""
        super().handle_exit(sig, frame)
        self.stopped_by = sig
        # uvicorn would raise what is captured here again, once it has stopped.
        self._captured_signals.clear()


def bind(settings: Settings) -> socket.socket:
    """Return the socket to serve on, already listening, so that nothing else can take the port.

    Raises:
        ListenError: the port is taken, or the address is not one of this machine.

    """
    try:
        found = socket.getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise ListenError(
            f"GATEWAY_HOST {settings.host!r} is no address of this machine: {error.strerror}."
        ) from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Accepted connections inherit it.
            milliseconds = UNACKNOWLEDGED_SECONDS * 1000
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ListenError(_why_not(error, settings)) from None
    listener.setblocking(False)  # noqa: FBT003 - takes no keyword
    listener.set_inheritable(True)
    return listener


def _why_not(error: OSError, settings: Settings) -> str:
    where = f"{settings.host}:{settings.port}"
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{where} is already in use: stop the program that listens there, "
                "or set GATEWAY_PORT to another port."
            )
        case errno.EACCES:
            return f"{where} may not be used by this user: set GATEWAY_PORT to 1024 or more."
        case errno.EADDRNOTAVAIL:
            return f"GATEWAY_HOST {settings.host!r} is no address of this machine."
    return f"Cannot listen on {where}: {error.strerror}."


def serve(
    app: App,
    settings: Settings,
    sockets: Sequence[socket.socket] | None = None,
    *,
    factory: bool = False,
) -> int | None:
    """Serve ``app`` until a signal stops the process, finishing what was asked for before that.

    Returns the signal, or None where several workers were served.

    With ``factory``, ``app`` is a function that makes the application, or its import name. Several
    workers need one that can be pickled: each is a process of its own and calls it there.
    ``sockets`` come from `bind`.

    Raises:
        ListenError: without ``sockets``, as `bind` does.
        SystemExit: the application did not start.

    """
    assert factory or settings.workers == 1, "several workers need a factory"
    listening = list(sockets or [bind(settings)])
    config = ServerConfig(app, settings, factory=factory)
    if settings.workers > 1:
        Multiprocess(config, listening).run()
        return None
    server = Server(config)
    server.run(listening)
    if not server.started:
        raise SystemExit(STARTUP_FAILURE)
    return server.stopped_by

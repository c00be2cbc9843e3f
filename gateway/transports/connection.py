"""What the transports ask of the connection below them, beyond ASGI.

ASGI tells that a client left only to whoever waits in ``receive()``, which would cost a task per
request, and it tells nothing of a server that wants to stop. So our server (`gateway.server`) puts
itself into the scope's extensions. Under any other server the transports work without it: then
nothing cancels an operation whose client left.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Protocol, Self

from gateway.transports.faults import Headers
from resolvers.core.principal import Principal

EXTENSION: Final = "gateway.connection"
"""Key of the `Connection` in ``scope["extensions"]``."""


class Connection(Protocol):
    """One client's TCP connection, as the server knows it."""

    on_lost: Callable[[], object] | None
    """Called when the connection goes."""
    on_shutdown: Callable[[], object] | None
    """Called when the server stops: end what would not end by itself."""
    stopping: bool
    """True once the server stops."""
    shown: tuple[bytes | None, bytes | None] | None
    """Credential and company that its last request showed, if they are known."""
    recall: Callable[[], Principal | None]
    """Tells who showed them; the transport's own."""

    @property
    def lost(self) -> bool:
        """Whether nothing more can be sent."""
        ...

    def abort(self) -> None:
        """Drop the connection at once, with whatever was not sent yet."""
        ...

    def push(self, message: bytes) -> bool:
        """Send a text message, or a piece of the running response, at once.

        False where it would have to wait, or is not possible: then it has to go the way of ASGI.
        """
        ...

    def respond(self, scope: Any, status: int, headers: Headers, body: bytes) -> bool:
        """Write a whole response at once; False where it has to go the way of ASGI."""
        ...


class ClientGone(Exception):
    """The client hung up: nobody is left to answer."""


class UntilGone:
    """Cancels the task that runs in this context when the client leaves.

    Raises:
        ClientGone: it left.

    """

    __slots__ = ("_connection", "_task")

    def __init__(
        self, connection: Connection | None, task: "asyncio.Task[Any] | None" = None
    ) -> None:
        self._connection = connection
        self._task = task
        """The task that runs in the context, where that is known."""

    def __enter__(self) -> Self:
        connection = self._connection
        if connection is not None:
            if connection.lost:
                raise ClientGone
            task = self._task or asyncio.current_task()
            assert task is not None
            connection.on_lost = task.cancel
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection = self._connection
        if connection is None:
            return
        connection.on_lost = None
        if kind is asyncio.CancelledError and connection.lost:
            raise ClientGone from None


def connection_of(scope: Any) -> Connection | None:
    """Return the connection that an ASGI ``scope`` came over, if our server serves it."""
    extensions = scope.get("extensions")
    return extensions.get(EXTENSION) if extensions else None

"""The ``/graphql`` endpoint: the ASGI application behind which all transports stand."""

from starlette.types import Receive, Scope, Send

from gateway.callers import Callers
from gateway.settings import Settings
from gateway.transports.cors import with_cors
from gateway.transports.direct import Answer
from gateway.transports.http import GraphiqlPage, HttpLimits, HttpTransport
from gateway.transports.operations import Authenticator, OpenContext, Operations
from gateway.transports.shared_stream import StreamLimits
from gateway.transports.websocket import SocketLimits, SocketTransport
from resolvers.core.clock import Clock, system_clock
from resolvers.core.metrics import Metrics
from schema.core.execution import Executor


class GraphQLEndpoint:
    """Serves one schema over HTTP, WebSocket (graphql-transport-ws) and server-sent events.

    ``graphiql_page`` answers browsers that open the address; without it they get an error. Run it
    on `gateway.server`, which also lets it cancel what a client that left had asked for. Whoever
    hears of changes of access tells ``callers``; without it nobody tells those who are connected.
    """

    def __init__(
        self,
        executor: Executor,
        authenticator: Authenticator,
        open_context: OpenContext,
        settings: Settings,
        graphiql_page: GraphiqlPage | None = None,
        *,
        metrics: Metrics | None = None,
        clock: Clock = system_clock,
        callers: Callers | None = None,
    ) -> None:
        metrics = metrics or Metrics()
        callers = callers or Callers(authenticator, metrics)
        operations = Operations(executor, open_context, metrics)
        allowed_origins = frozenset(
            origin.rstrip("/").lower().encode() for origin in settings.allowed_origins
        )
        http = HttpTransport(
            operations,
            authenticator,
            HttpLimits(
                body=settings.max_body_bytes,
                json_depth=settings.max_json_depth,
                send_timeout_seconds=settings.send_timeout_seconds,
                streams=StreamLimits(
                    streams_per_caller=settings.ws_max_sockets_per_caller,
                    operations=settings.ws_max_operations,
                ),
                token_notice_seconds=settings.token_notice_seconds,
            ),
            callers=callers,
            anonymous_introspection=settings.anonymous_introspection,
            allowed_origins=allowed_origins,
            graphiql_page=graphiql_page,
            clock=clock,
            metrics=metrics,
        )
        self._http = with_cors(http.handle, settings)
        self.direct: Answer = http.answer
        """Answers a request that our server read whole, without ASGI."""
        self._sockets = SocketTransport(
            operations,
            callers,
            SocketLimits(
                init_timeout_seconds=settings.ws_init_timeout_seconds,
                send_timeout_seconds=settings.send_timeout_seconds,
                json_depth=settings.max_json_depth,
                operations=settings.ws_max_operations,
                sockets_per_caller=settings.ws_max_sockets_per_caller,
                token_notice_seconds=settings.token_notice_seconds,
            ),
            allowed_origins=allowed_origins,
            clock=clock,
            metrics=metrics,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or one WebSocket connection."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._sockets.handle(scope, receive, send)

"""The ASGI application: routes in the order a request meets them."""

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.board import make_board
from gateway.graphiql import make_graphiql
from gateway.lifespan import Runtime
from gateway.observability.exposition import metrics_endpoint
from gateway.observability.logging import Logs
from gateway.pages import static_files
from gateway.settings import Settings
from gateway.transports import GraphQLEndpoint
from gateway.transports.cors import with_cors
from gateway.transports.downloads import Downloads
from resolvers.core.errors import ErpError


class Application:
    """The gateway as an ASGI application.

    GraphQL requests go straight to their endpoint: a router in between would cost more than
    answering a small one.
    """

    def __init__(self, runtime: Runtime, endpoint: GraphQLEndpoint, pages: ASGIApp) -> None:
        self.runtime = runtime
        self.direct = endpoint.direct
        """Answers small requests to the endpoint, for a server that need not be asked by ASGI."""
        self._endpoint = endpoint
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the lifespan."""
        if scope["type"] != "lifespan" and scope["path"] == "/graphql":
            await self._endpoint(scope, receive, send)
        else:
            await self._pages(scope, receive, send)


def create_app(
    settings: Settings,
    *,
    demo_tokens: Mapping[str, str] | None = None,
    logs: Logs | None = None,
    runtime: Runtime | None = None,
) -> Application:
    """Make the application; it opens its database pools when the server starts it.

    ``demo_tokens`` maps demo accounts to tokens that the pages offer; never in production.
    """
    runtime = runtime or Runtime(settings, logs=logs)
    endpoint = GraphQLEndpoint(
        runtime.executor,
        runtime.authenticator,
        runtime.open_context,
        settings,
        graphiql_page=make_graphiql(settings, demo_tokens or {}),
        metrics=runtime.metrics,
        clock=runtime.clock,
        callers=runtime.callers,
    )

    public = settings.environment != "production" or settings.anonymous_introspection

    async def schema_text(request: Request) -> Response:
        if not public:
            try:
                await runtime.authenticator.authenticate(request.headers.get("authorization"), None)
            except ErpError as error:
                return PlainTextResponse(
                    error.message, status_code=401, headers={"www-authenticate": "Bearer"}
                )
        return PlainTextResponse(runtime.sdl, media_type="application/graphql")

    downloads = Downloads(
        runtime.authenticator,
        runtime.open_reads,
        runtime.links,
        send_timeout_seconds=settings.send_timeout_seconds,
        metrics=runtime.metrics,
    )
    routes = [
        Route("/", make_board(settings, demo_tokens or {})),
        Route("/schema.graphql", schema_text),
        Route(
            "/downloads/{id:path}",
            with_cors(downloads, settings, "Content-Disposition", "ETag"),
        ),
        Route("/metrics", metrics_endpoint(runtime.metrics.registry)),
        *runtime.health.routes(),
        static_files(),
    ]
    pages = Starlette(routes=routes, lifespan=lambda _app: runtime.running())
    return Application(runtime, endpoint, pages)

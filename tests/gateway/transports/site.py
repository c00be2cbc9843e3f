"""A small application behind the transports: a real schema, the real executor, no database.

Run as a script it serves on a free port, as production does, and prints the port.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, cast

import strawberry
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from gateway.server import bind, serve
from gateway.settings import Settings
from gateway.transports import GraphQLEndpoint
from resolvers.core.clock import system_clock
from resolvers.core.context import Context, OperationStats
from resolvers.core.errors import Forbidden, Overloaded, Unauthenticated
from resolvers.core.metrics import Metrics
from resolvers.core.principal import CompanyAccess, Principal
from schema.core.execution import Executor
from schema.core.limits import Limits
from tests.fixtures.servers import Address, running_server

Info = strawberry.Info[Context, None]

SALES = {"Authorization": "Bearer sales"}


class Counts:
    """What runs now, and what was cut off."""

    def __init__(self) -> None:
        self.sleeping = 0
        self.canceled = 0
        self.live = 0
        self.made = 0


COUNTS = Counts()


@strawberry.type
class Numbers:
    """What the tests ask the running server."""

    sleeping: int
    canceled: int
    live: int


async def sleep(seconds: float) -> None:
    """Sleep, and count being canceled."""
    COUNTS.sleeping += 1
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        COUNTS.canceled += 1
        raise
    finally:
        COUNTS.sleeping -= 1


@strawberry.type
class Query:
    """Fields that behave in every way a field can."""

    @strawberry.field
    def hello(self, info: Info, name: str = "you") -> str:
        """Greet."""
        return f"{info.context.principal.actor} greets {name}"

    @strawberry.field
    def request_id(self, info: Info) -> str:
        """Tell the request's id."""
        return info.context.request_id

    @strawberry.field
    def process(self) -> int:
        """Tell the process that answers."""
        return os.getpid()

    @strawberry.field
    async def sleep(self, seconds: float) -> bool:
        """Sleep."""
        await sleep(seconds)
        return True

    @strawberry.field
    def large(self, size: int) -> str:
        """Answer much."""
        return "x" * size

    @strawberry.field
    def denied(self) -> str | None:
        """Fail as expected."""
        raise Forbidden("Not for you.")

    @strawberry.field
    def crash(self) -> str:
        """Fail unexpectedly, and null the root."""
        raise ZeroDivisionError("secret of the database")

    @strawberry.field
    def counts(self) -> Numbers:
        """Count."""
        return Numbers(sleeping=COUNTS.sleeping, canceled=COUNTS.canceled, live=COUNTS.live)


@strawberry.type
class Mutation:
    """One mutation."""

    @strawberry.mutation
    async def save(self, text: str, seconds: float = 0) -> str:
        """Take a while and answer."""
        await sleep(seconds)
        return text


@strawberry.type
class Subscription:
    """Streams of every temper."""

    @strawberry.subscription
    async def ticks(
        self, count: int = 1_000_000, pause: float = 0.01, size: int = 0
    ) -> AsyncGenerator[str, None]:
        """Count up."""
        COUNTS.live += 1
        try:
            for number in range(count):
                COUNTS.made += 1
                yield f"{number}{'x' * size}"
                await asyncio.sleep(pause)
        finally:
            COUNTS.live -= 1

    @strawberry.subscription
    async def breaks(self) -> AsyncGenerator[int, None]:
        """Yield one event and fail."""
        yield 1
        raise ZeroDivisionError("secret of the database")


def person(token: str) -> Principal:
    """Return who a token stands for; ``until:2.5`` ends in so many seconds."""
    name, _, seconds = token.partition("until:")
    expires_at = system_clock() + timedelta(seconds=float(seconds)) if seconds else None
    access = CompanyAccess(1, "ACME", frozenset())
    return Principal(
        kind="user",
        actor=f"user:{name or token}",
        name=token,
        access=access,
        companies=(access,),
        credential=token,
        expires_at=expires_at,
    )


class Door:
    """Knows every token but a few."""

    def recall(self, authorization: str | None, company: str | None) -> None:
        """Remember nobody."""

    async def authenticate(self, authorization: str | None, company: str | None) -> Principal:
        """Let in, or not."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme != "Bearer" or not token or " " in token:
            raise Unauthenticated("Authentication is required.")
        match token:
            case "forged":
                raise Unauthenticated("The token or API key is not valid.")
            case "crowd":
                raise Overloaded("No connection became free.")
            case "bug":
                raise ZeroDivisionError("secret of the database")
        if company not in (None, "ACME"):
            raise Forbidden("X-Company names none of your companies.", details={"companies": []})
        return person(token)


@asynccontextmanager
async def open_context(principal: Principal, request_id: str) -> AsyncIterator[Context]:
    """Open a context over nothing."""
    nothing = cast("Any", None)
    yield Context(
        principal=principal,
        request_id=request_id,
        clock=system_clock,
        reads=nothing,
        writes=nothing,
        broker=nothing,
        log=nothing,
        wake_relay=nothing,
        stats=OperationStats(),
    )


class Silence:
    """A log nobody reads."""

    def error(self, event: str, **values: Any) -> None:
        """Write nothing."""

    warning = error


async def page(request: Request) -> Response:
    """Stand for GraphiQL."""
    return HTMLResponse(f"<h1>{request.url.path}</h1>")


def make_site(
    settings: Settings, *, with_page: bool = True, metrics: Metrics | None = None
) -> GraphQLEndpoint:
    """Make the application."""
    schema = strawberry.Schema(Query, Mutation, Subscription)
    limits = Limits(
        tokens=settings.max_tokens,
        seconds=settings.operation_timeout_seconds,
        anonymous_introspection=settings.anonymous_introspection,
    )
    return GraphQLEndpoint(
        Executor(schema, limits, logger=Silence()),
        Door(),
        open_context,
        settings,
        page if with_page else None,
        metrics=metrics,
    )


def site_settings(**changes: Any) -> Settings:
    """Return settings whose waits are short enough to test."""
    values: dict[str, Any] = {
        "environment": "test",
        "max_body_bytes": 20_000,
        "max_header_bytes": 8_192,
        "max_url_bytes": 4_096,
        "header_timeout_seconds": 0.6,
        "body_timeout_seconds": 0.6,
        "send_timeout_seconds": 1.0,
        "operation_timeout_seconds": 5.0,
        "ws_init_timeout_seconds": 0.6,
        "ws_max_message_bytes": 20_000,
        "ws_max_operations": 5,
        "ws_max_sockets_per_caller": 3,
        "shutdown_seconds": 3.0,
        "allowed_origins": ("https://shop.example",),
        **changes,
    }
    return Settings(**values)


@asynccontextmanager
async def site_with(**changes: Any) -> AsyncIterator[Address]:
    """Serve the application in this process, with other settings."""
    settings = site_settings(**changes)
    async with running_server(make_site(settings), settings, lifespan=False) as address:
        yield address


class SiteApplication:
    """The application with a lifespan, as a server wants it."""

    def __init__(self, settings: Settings) -> None:
        self._endpoint = make_site(settings)
        self.direct = self._endpoint.direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] != "lifespan":
            await self._endpoint(scope, receive, send)
            return
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})


def main() -> None:
    """Serve, with settings given as JSON."""
    settings = site_settings(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
    listener = bind(settings.model_copy(update={"port": 0}))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    serve(partial(SiteApplication, settings), settings, [listener], factory=True)


if __name__ == "__main__":
    main()

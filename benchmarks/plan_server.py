"""The plans behind the barest HTTP server: what an answer costs without a gateway.

The same uvicorn, uvloop and httptools, the same pool size, role and row security as the gateway's.
It takes the gateway's own requests and reads of them the operation's name and its variables.
``python -m benchmarks.plan_server CORE COMPANY_ID``; the rest are the gateway's settings.
"""

import gc
import sys
from functools import partial
from typing import Any

import asyncpg
import orjson
import uvicorn
from starlette.types import Receive, Scope, Send

from benchmarks.plans import PLANS, encode, prepare
from benchmarks.serving import announce, pin
from gateway.server import bind
from gateway.settings import Settings
from resolvers.core.principal import STAFF_ROLE


class UnresetConnection(asyncpg.Connection):
    """A connection the pool does not reset, as in the gateway: reads leave nothing behind."""

    def get_reset_query(self) -> str:
        """Return nothing to run."""
        return ""


async def open_pool(url: str, size: int, company_id: int) -> "asyncpg.Pool[Any]":
    """Open connections that are set to the rows of one company for good."""
    return await asyncpg.create_pool(
        url,
        min_size=size,
        max_size=size,
        connection_class=UnresetConnection,
        init=prepare,
        server_settings={
            "role": STAFF_ROLE,
            "app.company_id": str(company_id),
            "app.partner_id": "",
            "jit": "off",
            "timezone": "UTC",
        },
    )


def spare_the_collector() -> None:
    """Leave what was made at the start out of collections, and collect young objects in peace.

    Answers are trees: counting references frees them, and the collector finds nothing. With its
    usual thresholds it takes a third of the CPU of the larger shapes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


class PlanServer:
    """An ASGI application that runs the plan a request names."""

    def __init__(self, url: str, pool_size: int, company_id: int) -> None:
        self._open = partial(open_pool, url, pool_size, company_id)
        self._pool: asyncpg.Pool[Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message["body"]
            more = message.get("more_body", False)
        request = orjson.loads(body)
        assert self._pool is not None
        connection = await self._pool.acquire()
        try:
            data = await PLANS[request["operationName"]](connection, request["variables"])
        finally:
            await self._pool.release(connection)
        answer = encode(data)
        headers = [
            (b"content-type", b"application/graphql-response+json"),
            (b"content-length", b"%d" % len(answer)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._pool = await self._open()
        spare_the_collector()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})


def main(core: int, company_id: int) -> None:
    """Serve until stopped."""
    pin(core)
    settings = Settings()
    assert settings.serving_database_url is not None
    url = settings.serving_database_url.get_secret_value()
    listener = bind(settings)
    announce(listener)
    config = uvicorn.Config(
        PlanServer(url, settings.read_pool_size, company_id),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

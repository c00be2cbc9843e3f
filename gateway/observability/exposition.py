"""The metrics of this process as Prometheus or OpenMetrics text."""

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response

Endpoint = Callable[[Request], Awaitable[Response]]


def metrics_endpoint(registry: CollectorRegistry) -> Endpoint:
    """Return the handler of ``/metrics``.

    Several server processes on one port answer for themselves alone, so a scrape meets any of
    them: give each process its own port, or scrape often and aggregate by ``process_*`` series.
    """

    async def exposition(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        # A hundred operation names are a megabyte of text: too long for the event loop.
        body = await asyncio.to_thread(encode, registry)
        return Response(body, headers={"content-type": content_type, "cache-control": "no-store"})

    return exposition

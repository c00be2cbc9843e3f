"""What the transports count."""

import httpx2

from resolvers.core.metrics import Metrics
from tests.fixtures.servers import running_server
from tests.gateway.transports.clients import STREAM, entered
from tests.gateway.transports.site import SALES, make_site, site_settings


async def test_requests_sockets_and_subscriptions_are_counted() -> None:
    """Each counts once, under its status, reason, code or transport."""
    settings, metrics = site_settings(), Metrics()
    ticks = "subscription { ticks(count: 2) }"

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    async with (
        running_server(make_site(settings, metrics=metrics), settings, lifespan=False) as address,
        httpx2.AsyncClient(headers=SALES) as client,
    ):
        for body in ({"query": "{ hello }"}, {"query": "{"}, {}):
            await client.post(address.graphql, json=body)
        await client.patch(address.graphql)
        await client.post(address.graphql, json={"query": ticks}, headers=STREAM)
        async with entered(address) as socket:
            assert value("gateway_websockets_open") == 1
            await socket.subscribe("s", ticks)
            assert value("gateway_subscriptions_live", transport="sse") == 0
            await socket.receive()
            assert value("gateway_subscriptions_live", transport="ws") == 1
            for _ in range(2):
                await socket.receive()
            await socket.send("nonsense")
            await socket.closed()
    assert value("gateway_http_responses_total", status="200") == 3
    assert value("gateway_http_responses_total", status="400") == 1
    assert value("gateway_http_responses_total", status="405") == 1
    assert value("gateway_requests_refused_total", reason="syntax") == 1
    assert value("gateway_requests_refused_total", reason="malformed") == 1
    assert value("gateway_requests_refused_total", reason="method") == 1
    assert value("gateway_websockets_open") == 0
    assert value("gateway_websocket_closes_total", code="4400") == 1
    assert value("gateway_subscriptions_live", transport="ws") == 0
    assert value("gateway_subscription_events_total", transport="ws") == 2
    assert value("gateway_subscription_events_total", transport="sse") == 2

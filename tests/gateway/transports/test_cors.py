"""Pages of the allowed origins may call the endpoint; those of others may not even ask."""

import httpx2
import pytest

from tests.fixtures.servers import running_server
from tests.gateway.transports.site import make_site, site_settings

ASKS = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-company,x-request-id",
}


async def test_an_allowed_origin_may_ask_and_read(client: httpx2.AsyncClient) -> None:
    """Its preflight is answered, and its answers carry the header that browsers look for."""
    origin = {"origin": "https://shop.example"}
    preflight = await client.options("/graphql", headers=origin | ASKS)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
    answer = await client.post("/graphql", json={"query": "{ hello }"}, headers=origin)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-expose-headers"] == "X-Request-Id"


@pytest.mark.parametrize("origin", ["https://evil.example", "http://shop.example", "null"])
async def test_other_origins_may_not_ask(client: httpx2.AsyncClient, origin: str) -> None:
    """Their preflight fails, and no answer can be read by their pages."""
    preflight = await client.options("/graphql", headers={"origin": origin} | ASKS)
    assert preflight.status_code == 400
    assert "access-control-allow-origin" not in preflight.headers
    answer = await client.post("/graphql", json={"query": "{ hello }"}, headers={"origin": origin})
    assert "access-control-allow-origin" not in answer.headers


async def test_without_allowed_origins_there_is_no_cors() -> None:
    """A preflight is then a method like any other that is not allowed."""
    settings = site_settings(allowed_origins=())
    async with (
        running_server(make_site(settings), settings, lifespan=False) as address,
        httpx2.AsyncClient() as client,
    ):
        headers = {"origin": "https://shop.example"} | ASKS
        assert (await client.options(address.graphql, headers=headers)).status_code == 405

"""Whoever leaves takes their SQL along: the real gateway, PostgreSQL, and clients that hang up."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from gateway.transports import GraphQLEndpoint
from tests.fixtures.gateway import Gateway, open_gateway
from tests.fixtures.servers import Address, running_server
from tests.gateway.transports.clients import STREAM, entered
from tests.gateway.transports.probing import GRACE
from tests.gateway.transports.site import SALES, Door

SLOW = "{ conformance { slow(seconds: 30) } }"
SLEEPING = """
select count(*) from pg_stat_activity
where datname = current_database() and state = 'active' and query ilike '%pg_sleep(%'
  and pid <> pg_backend_pid()
"""


class Served:
    """A gateway, and where it is served."""

    def __init__(self, gateway: Gateway, address: Address) -> None:
        self.gateway = gateway
        self.address = address

    async def until_sleeping(self, expected: int) -> None:
        """Wait until so many statements sleep in the database, and as many connections are out."""
        started = time.monotonic()
        while await self.gateway.owner.fetchval(SLEEPING) != expected:
            assert time.monotonic() - started < GRACE
            await asyncio.sleep(0.01)
        while self.gateway.runtime.reads.state().in_use != expected:
            assert time.monotonic() - started < GRACE
            await asyncio.sleep(0.01)


@pytest_asyncio.fixture(scope="module")
async def served(database_url: str) -> AsyncIterator[Served]:
    """Yield the gateway with the fields for conformance tools."""
    async with open_gateway(database_url, conformance_fields=True) as gateway:
        runtime = gateway.runtime
        settings = runtime.settings
        app = GraphQLEndpoint(runtime.executor, Door(), runtime.open_context, settings)
        async with running_server(app, settings, lifespan=False) as address:
            yield Served(gateway, address)


async def test_a_query_ends_with_its_client(served: Served) -> None:
    """Each hang-up cancels its statement and gives its connection back."""
    async with httpx2.AsyncClient(headers=SALES) as client:
        running = [
            asyncio.create_task(client.post(served.address.graphql, json={"query": SLOW}))
            for _ in range(5)
        ]
        await served.until_sleeping(5)
        for task in running:
            task.cancel()
        await served.until_sleeping(0)


async def test_a_query_ends_with_its_socket_or_its_complete(served: Served) -> None:
    """On a socket an operation can be ended alone, or together with the socket."""
    async with entered(served.address) as client:
        await client.subscribe("1", SLOW)
        await client.subscribe("2", SLOW)
        await served.until_sleeping(2)
        await client.send({"id": "1", "type": "complete"})
        await served.until_sleeping(1)
    await served.until_sleeping(0)


async def test_a_query_ends_with_its_event_stream(served: Served) -> None:
    """A query asked for as a stream is ended like any other."""
    async with httpx2.AsyncClient(headers=SALES) as client:
        request = client.post(served.address.graphql, json={"query": SLOW}, headers=STREAM)
        running = asyncio.create_task(request)
        await served.until_sleeping(1)
        running.cancel()
        await served.until_sleeping(0)


async def test_the_gauge_of_the_conformance_fields_counts_subscriptions(served: Served) -> None:
    """What tools look at to see whether a subscription has ended."""
    gauge = "{ conformance { liveSubscriptions partialFailure { fine broken } } }"
    async with entered(served.address) as client:
        await client.subscribe("s", "subscription { conformanceFirehose(count: 20, pause: 0.1) }")
        first = (await client.receive())["payload"]["data"]["conformanceFirehose"]
        assert first == f"1:{'x' * 10}"
        await client.subscribe("q", gauge)
        while (message := await client.receive())["id"] != "q":
            pass
        found = message["payload"]
        assert found["data"]["conformance"]["liveSubscriptions"] == 1
        assert found["data"]["conformance"]["partialFailure"] == {"fine": "fine", "broken": None}
        assert found["errors"][0]["extensions"]["code"] == "INTERNAL"
        while (await client.receive()) != {"id": "q", "type": "complete"}:
            pass
        await client.send({"id": "s", "type": "complete"})
        for attempt in range(60):
            await client.subscribe(f"r{attempt}", gauge)
            while (message := await client.receive()).get("payload") is None or (
                message["id"] != f"r{attempt}"
            ):
                pass
            if message["payload"]["data"]["conformance"]["liveSubscriptions"] == 0:
                return
        pytest.fail("a subscription that was completed still counts")

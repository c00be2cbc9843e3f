"""Fixtures of tests on the medium data set: 100,000 orders, which no test may change."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.postgres import EmbeddedPostgres
from tests.fixtures.gateway import Gateway, open_gateway
from tests.fixtures.paths import BothPaths
from tests.fixtures.server import make_database


@pytest.fixture(scope="session")
def database_url(server: EmbeddedPostgres) -> str:
    """Return the owner's URL of the medium data set, which all workers share."""
    asyncio.run(make_database(server, "erp_medium", "medium"))
    return server.url("erp_medium")


@pytest_asyncio.fixture(scope="session")
async def gateway(database_url: str) -> AsyncIterator[Gateway]:
    """Yield a gateway over it."""
    async with open_gateway(database_url, relay=False) as running:
        yield running


@pytest_asyncio.fixture(scope="session")
async def reader(gateway: Gateway, database_url: str) -> AsyncIterator[BothPaths]:
    """Yield both paths over it."""
    async with open_gateway(database_url, compile_queries=False, relay=False) as ordinary:
        yield BothPaths(gateway, ordinary)

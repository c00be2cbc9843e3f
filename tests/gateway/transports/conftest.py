"""Servers for the tests of the transports."""

from collections.abc import AsyncIterator

import httpx2
import pytest_asyncio

from tests.fixtures.servers import Address, ServerProcess, running_server, server_process
from tests.gateway.transports import site


@pytest_asyncio.fixture(scope="session")
async def served() -> AsyncIterator[Address]:
    """Yield the small application, served in this process."""
    settings = site.site_settings()
    async with running_server(site.make_site(settings), settings, lifespan=False) as address:
        yield address


@pytest_asyncio.fixture(scope="session")
async def client(served: Address) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield an HTTP client of the small application, signed in."""
    async with httpx2.AsyncClient(base_url=served.url, headers=site.SALES) as client:
        yield client


@pytest_asyncio.fixture(scope="session")
async def process() -> AsyncIterator[ServerProcess]:
    """Yield the small application as a process of its own, on uvloop as in production."""
    async with server_process(site.__file__) as running:
        yield running

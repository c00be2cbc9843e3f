"""Documents by id, over every transport: automatic persisted queries and ``documentId``."""

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.fixtures.servers import Address, running_server
from tests.gateway.transports.clients import STREAM, entered, events
from tests.gateway.transports.site import SALES, SiteApplication, site_settings

HELLO = "query Hello($name: String!) { hello(name: $name) }"
MODERN = {"Accept": "application/graphql-response+json"}


def extension(text: str) -> dict[str, Any]:
    """Return the extension by which a document is asked for by its hash."""
    digest = sha256(text.encode()).hexdigest()
    return {"persistedQuery": {"version": 1, "sha256Hash": digest}}


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Address]:
    """Yield the small application, which knows no document yet."""
    settings = site_settings()
    async with running_server(SiteApplication(settings), settings, lifespan=False) as address:
        yield address


async def test_as_apollo_client_does(site: Address) -> None:
    """First the hash by GET, then hash and document by POST, then the hash alone again."""
    variables = json.dumps({"name": "Bo"})
    asked = {"extensions": json.dumps(extension(HELLO)), "variables": variables}
    async with httpx2.AsyncClient(headers=SALES) as client:
        legacy = await client.get(site.graphql, params=asked)
        assert legacy.status_code == 200
        [error] = legacy.json()["errors"]
        assert error["message"] == "PersistedQueryNotFound"
        assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
        modern = await client.get(site.graphql, params=asked, headers=MODERN)
        assert modern.status_code == 400
        whole = {"query": HELLO, "variables": {"name": "Bo"}, "extensions": extension(HELLO)}
        registered = await client.post(site.graphql, json=whole)
        again = await client.get(site.graphql, params=asked)
    assert registered.json() == again.json()
    assert "Bo" in again.json()["data"]["hello"]


async def test_document_id(site: Address) -> None:
    """The id of the appendix on persisted documents, with its prefix, in a body and an address."""
    body: dict[str, Any] = {"query": HELLO, "variables": {"name": "Bo"}}
    digest = sha256(HELLO.encode()).hexdigest()
    async with httpx2.AsyncClient(headers=SALES) as client:
        first = await client.post(site.graphql, json={**body, "extensions": extension(HELLO)})
        del body["query"]
        body["documentId"] = f"sha256:{digest}"
        second = await client.post(site.graphql, json=body)
        address = {"documentId": f"sha256:{digest}", "variables": json.dumps({"name": "Bo"})}
        third = await client.get(site.graphql, params=address)
        unknown = await client.post(site.graphql, json={"documentId": "x-1"}, headers=MODERN)
    assert first.json() == second.json() == third.json()
    assert unknown.status_code == 400


async def test_on_a_socket_and_as_a_stream(site: Address) -> None:
    """Subscriptions and event streams take documents by id as well."""
    ticks = "subscription Ticks { ticks(count: 1) }"
    known = {"query": ticks, "extensions": extension(ticks)}
    short = {"extensions": extension(ticks)}
    async with entered(site) as client:
        await client.send({"id": "1", "type": "subscribe", "payload": short})
        refused = await client.receive()
        assert (refused["type"], refused["id"]) == ("error", "1")
        assert refused["payload"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
        await client.send({"id": "2", "type": "subscribe", "payload": known})
        assert (await client.receive())["type"] == "next"
        assert (await client.receive())["type"] == "complete"
        await client.send({"id": "3", "type": "subscribe", "payload": short})
        assert (await client.receive())["type"] == "next"
    async with (
        httpx2.AsyncClient(headers=SALES) as web,
        web.stream("POST", site.graphql, json=short, headers=STREAM) as response,
    ):
        names = [name async for name, _ in events(response) if name != ":"]
    assert names == ["next", "complete"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"documentId": 5}, '"documentId" must be a string'),
        ({"documentId": ""}, '"documentId" must be a string'),
        ({"documentId": "x-1", "query": "{ hello }"}, 'either "query" or "documentId"'),
        ({"extensions": {"persistedQuery": 1}}, "must have the version 1"),
        ({"extensions": {"persistedQuery": {"version": 2}}}, "must have the version 1"),
        (
            {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ABC"}}},
            "64 hexadecimal digits",
        ),
        ({"documentId": "x-1", "extensions": extension(HELLO)}, "Send either"),
        ({"extensions": {}}, '"query" is missing'),
    ],
)
async def test_malformed(site: Address, body: dict[str, Any], told: str) -> None:
    """The error names the entry and says what would be right."""
    async with httpx2.AsyncClient(headers=SALES) as client:
        response = await client.post(site.graphql, json=body)
    assert response.status_code == 400
    assert told in response.json()["errors"][0]["message"]

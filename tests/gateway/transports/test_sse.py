"""GraphQL over server-sent events, in distinct connections mode."""

import asyncio
import json
import time
from typing import Any

import httpx2
import pytest

from gateway.transports import sse
from tests.fixtures.servers import Address, ServerProcess, running_server
from tests.gateway.transports.clients import STREAM, events
from tests.gateway.transports.probing import GRACE, until, until_held_back
from tests.gateway.transports.site import COUNTS, SALES, make_site, site_settings


async def ask(client: httpx2.AsyncClient, query: str, **headers: str) -> list[tuple[str, Any]]:
    """Run an operation to its end and return the events, without comments."""
    async with client.stream(
        "POST", "/graphql", json={"query": query}, headers=STREAM | headers
    ) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache, no-transform"
        assert response.headers["x-accel-buffering"] == "no"
        assert response.headers["x-request-id"]
        return [event async for event in events(response) if event[0] != ":"]


async def test_a_subscription_streams_its_events(client: httpx2.AsyncClient) -> None:
    """One next per event, then complete, then the end of the response."""
    found = await ask(client, "subscription { ticks(count: 2) }")
    assert found == [
        ("next", {"data": {"ticks": "0"}}),
        ("next", {"data": {"ticks": "1"}}),
        ("complete", None),
    ]
    assert COUNTS.live == 0


async def test_a_query_or_mutation_streams_its_answer(client: httpx2.AsyncClient) -> None:
    """They work over the stream too: one next, then complete."""
    found = await ask(client, "{ hello }")
    assert found == [("next", {"data": {"hello": "user:sales greets you"}}), ("complete", None)]
    found = await ask(client, 'mutation { save(text: "a") }')
    assert found == [("next", {"data": {"save": "a"}}), ("complete", None)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "OPERATION_RESOLUTION_FAILURE"),
        ("query($n: String!) { hello(name: $n) }", "VALIDATION"),
    ],
)
async def test_what_is_refused_before_it_runs_is_an_event(
    client: httpx2.AsyncClient, query: str, expected: str
) -> None:
    """Browsers show no body of a failed request, so the errors come with 200 as a next event."""
    (name, body), last = await ask(client, query)
    assert (name, last) == ("next", ("complete", None))
    assert set(body) == {"errors"}
    assert body["errors"][0]["extensions"]["code"] == expected


async def test_what_is_no_request_is_not_an_event(client: httpx2.AsyncClient) -> None:
    """What is wrong with the HTTP request has its HTTP status."""
    for content, headers, status in (
        (b"nonsense", {}, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {"authorization": "Bearer forged"}, 401),
    ):
        sent = {"content-type": "application/json", **STREAM, **headers}
        response = await client.post("/graphql", content=content, headers=sent)
        assert response.status_code == status
        assert response.headers["content-type"].startswith("application/json")
    parameters = {"query": 'mutation { save(text: "a") }'}
    assert (await client.get("/graphql", params=parameters, headers=STREAM)).status_code == 405


async def test_a_stream_may_be_asked_for_in_the_address(client: httpx2.AsyncClient) -> None:
    """GET, as browsers' EventSource does it, from our own pages only."""
    parameters = {"query": "subscription { ticks(count: 1) }"}
    headers = STREAM | {"sec-fetch-site": "same-origin"}
    async with client.stream("GET", "/graphql", params=parameters, headers=headers) as response:
        found = [event async for event in events(response) if event[0] != ":"]
    assert found == [("next", {"data": {"ticks": "0"}}), ("complete", None)]
    headers = STREAM | {"sec-fetch-site": "cross-site"}
    refused = await client.get("/graphql", params=parameters, headers=headers)
    assert refused.status_code == 403


async def test_a_client_that_takes_both_gets_a_stream_where_it_needs_one(
    client: httpx2.AsyncClient,
) -> None:
    """Single results stay single results, subscriptions stream."""
    accept = "application/graphql-response+json, application/json, text/event-stream"
    single = await client.post("/graphql", json={"query": "{ hello }"}, headers={"accept": accept})
    assert single.headers["content-type"].startswith("application/graphql-response+json")
    assert len(await ask(client, "subscription { ticks(count: 1) }", accept=accept)) == 2


async def test_a_broken_stream_tells_of_it_and_completes(client: httpx2.AsyncClient) -> None:
    """The last next has the error, masked."""
    first, broken, last = await ask(client, "subscription { breaks }")
    assert first == ("next", {"data": {"breaks": 1}})
    assert (broken[1]["data"], broken[1]["errors"][0]["message"]) == (None, "Internal error")
    assert last == ("complete", None)


async def test_the_stream_begins_at_once_and_keeps_beating(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comment opens it, before any event, and comments follow while nothing happens."""
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.1)
    body = {"query": "subscription { ticks(pause: 30) }"}
    async with client.stream("POST", "/graphql", json=body, headers=STREAM) as response:
        found = events(response)
        names = [(await asyncio.wait_for(anext(found), GRACE))[0] for _ in range(5)]
        assert names == [":", "next", ":", ":", ":"]


async def test_a_client_that_leaves_ends_its_subscription(process: ServerProcess) -> None:
    """The source stream ends when the connection does, though nothing is being sent."""
    async with httpx2.AsyncClient(base_url=process.url, headers=SALES) as client:
        body = {"query": "subscription { ticks(pause: 30) }"}
        async with client.stream("POST", "/graphql", json=body, headers=STREAM) as response:
            found = events(response)
            while (await asyncio.wait_for(anext(found), GRACE))[0] != "next":
                pass
            await until(process, lambda counts: counts["live"] == 1)
        await until(process, lambda counts: counts["live"] == 0)


async def test_a_client_that_stops_reading_is_dropped(process: ServerProcess) -> None:
    """A send that takes longer than allowed ends the subscription and the connection."""
    body = json.dumps({"query": "subscription { ticks(pause: 0, size: 10000) }"}).encode()
    _, writer = await process.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sales\r\n"
        b"Accept: text/event-stream\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    await until(process, lambda counts: counts["live"] == 1)
    await until(process, lambda counts: counts["live"] == 0, within=4 * GRACE)
    writer.transport.abort()


async def test_a_stream_ends_with_its_token(client: httpx2.AsyncClient) -> None:
    """Without complete, so that the client asks anew and is told why not."""
    started = time.monotonic()
    found = await ask(client, "subscription { ticks }", authorization="Bearer until:0.4")
    assert 0.2 < time.monotonic() - started < GRACE
    assert {name for name, _ in found} == {"next"}
    assert COUNTS.live == 0


async def test_a_slow_reader_holds_back_its_own_stream_only(served: Address) -> None:
    """The next event is taken when the last was sent."""
    settings = site_settings(send_timeout_seconds=30.0)
    async with (
        running_server(make_site(settings), settings, lifespan=False) as address,
        httpx2.AsyncClient(base_url=address.url, headers=SALES) as client,
    ):
        body = {"query": "subscription { ticks(pause: 0, size: 100000) }"}
        made = COUNTS.made
        async with client.stream("POST", "/graphql", json=body, headers=STREAM):
            await asyncio.sleep(0.3)
            await until_held_back(lambda: COUNTS.made)
            assert COUNTS.made > made
            other = await client.post(served.graphql, json={"query": "{ hello }"})
            assert other.status_code == 200

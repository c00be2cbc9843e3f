"""GraphQL over server-sent events, in single connection mode."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from gateway.transports import shared_stream
from tests.fixtures.servers import Address, ServerProcess
from tests.gateway.transports.clients import STREAM, events
from tests.gateway.transports.probing import GRACE, until
from tests.gateway.transports.site import COUNTS, SALES, site_with

TOKEN = "X-GraphQL-Event-Stream-Token"
NAMES = itertools.count(1)


@pytest_asyncio.fixture
async def client(served: Address) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield an HTTP client of a caller of its own, whose streams nobody else counts."""
    headers = {"Authorization": f"Bearer streamer{next(NAMES)}"}
    async with httpx2.AsyncClient(base_url=served.url, headers=headers) as client:
        yield client


class Shared:
    """A stream, and the requests that belong to it."""

    def __init__(self, client: httpx2.AsyncClient, token: str) -> None:
        self.client = client
        self.token = {TOKEN: token}
        self._events: AsyncIterator[tuple[str, Any]] | None = None

    async def start(self, operation_id: Any, query: str, **given: Any) -> httpx2.Response:
        """Start an operation."""
        body = {"query": query, "extensions": {"operationId": operation_id}, **given}
        return await self.client.post("/graphql", json=body, headers=self.token)

    async def stop(self, operation_id: str) -> httpx2.Response:
        """End an operation."""
        given = {"operationId": operation_id}
        return await self.client.delete("/graphql", params=given, headers=self.token)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the stream for as long as the block lasts."""
        headers = STREAM | self.token
        async with self.client.stream("GET", "/graphql", headers=headers) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            self._events = events(response)
            yield

    async def next(self) -> tuple[str, Any]:
        """Return the next event."""
        assert self._events is not None
        while (event := await asyncio.wait_for(anext(self._events), GRACE))[0] == ":":
            pass
        return event


async def reserve(client: httpx2.AsyncClient) -> Shared:
    """Reserve a stream."""
    response = await client.put("/graphql")
    assert response.status_code == 201
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    return Shared(client, response.text)


async def test_answers_of_many_requests_come_on_one_stream(client: httpx2.AsyncClient) -> None:
    """Each with the id of its operation, which ends with its complete."""
    shared = await reserve(client)
    async with shared.opened():
        accepted = await shared.start("q", "{ hello }")
        assert (accepted.status_code, accepted.content) == (202, b"")
        name, event = await shared.next()
        assert (name, event["id"]) == ("next", "q")
        assert event["payload"]["data"]["hello"].endswith("greets you")
        assert await shared.next() == ("complete", {"id": "q"})
        await shared.start("s", "subscription { ticks(count: 2) }")
        for tick in ("0", "1"):
            payload = {"data": {"ticks": tick}}
            assert await shared.next() == ("next", {"id": "s", "payload": payload})
        assert await shared.next() == ("complete", {"id": "s"})
        await shared.start("m", 'mutation { save(text: "x") }')
        assert (await shared.next())[1]["payload"] == {"data": {"save": "x"}}
    assert COUNTS.live == 0


async def test_operations_may_be_started_before_the_stream_is_open(
    client: httpx2.AsyncClient,
) -> None:
    """They run once it is."""
    shared = await reserve(client)
    assert (await shared.start("q", "{ hello }")).status_code == 202
    async with shared.opened():
        assert (await shared.next())[1]["id"] == "q"


async def test_an_operation_is_ended_by_its_id(client: httpx2.AsyncClient) -> None:
    """Nothing more of it comes, the others go on, and the id may be used again."""
    shared = await reserve(client)
    async with shared.opened():
        await shared.start("s", "subscription { ticks }")
        await shared.next()
        assert (await shared.stop("s")).status_code == 200
        assert (await shared.stop("s")).status_code == 200
        await shared.start("q", "{ hello }")
        while (await shared.next())[1] != {"id": "q"}:
            pass
        assert COUNTS.live == 0
        await shared.start("s", "{ hello }")
        assert "greets you" in (await shared.next())[1]["payload"]["data"]["hello"]


async def test_a_stream_fulfills_a_reservation_once(client: httpx2.AsyncClient) -> None:
    """409 for a second one at a time; when it has ended its token opens nothing."""
    shared = await reserve(client)
    headers = STREAM | shared.token
    async with shared.opened():
        assert (await client.get("/graphql", headers=headers)).status_code == 409
    async with asyncio.timeout(GRACE):
        while (await shared.stop("s")).status_code != 404:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    assert (await client.get("/graphql", headers=headers)).status_code == 404
    assert (await shared.start("q", "{ hello }")).status_code == 404


async def test_a_token_is_of_its_caller(served: Address, client: httpx2.AsyncClient) -> None:
    """Another caller, who learned of it, starts nothing, ends nothing and opens nothing."""
    shared = await reserve(client)
    async with httpx2.AsyncClient(
        base_url=served.url, headers={"Authorization": "Bearer other"}
    ) as another:
        thief = Shared(another, shared.token[TOKEN])
        assert (await thief.start("q", "{ hello }")).status_code == 404
        assert (await thief.stop("q")).status_code == 404
        headers = STREAM | shared.token
        assert (await another.get("/graphql", headers=headers)).status_code == 404
    async with httpx2.AsyncClient(base_url=served.url) as nobody:
        assert (await nobody.put("/graphql")).status_code == 401
        stranger = Shared(nobody, shared.token[TOKEN])
        assert (await stranger.start("q", "{ hello }")).status_code == 401
        unknown = Shared(nobody, "x" * 43)
        headers = STREAM | unknown.token
        assert (await nobody.get("/graphql", headers=headers)).status_code == 404


async def test_a_browser_opens_with_the_token_in_the_address(
    served: Address, client: httpx2.AsyncClient
) -> None:
    """An EventSource sends no headers: the token is its ticket."""
    shared = await reserve(client)
    await shared.start("q", "{ hello }")
    headers = STREAM | {"sec-fetch-site": "same-origin"}
    async with (
        httpx2.AsyncClient(base_url=served.url) as browser,
        browser.stream(
            "GET", "/graphql", params={"token": shared.token[TOKEN]}, headers=headers
        ) as response,
    ):
        found = events(response)
        assert (await anext(found))[0] == ":"
        assert (await anext(found))[1]["id"] == "q"


@pytest.mark.parametrize(
    ("query", "operation_id", "status"),
    [
        ("{", "q", 400),
        ("{ nothing }", "q", 400),
        ("query($n: String!) { hello(name: $n) }", "q", 400),
        ("{ hello }", None, 400),
        ("{ hello }", "", 400),
        ("{ hello }", 5, 400),
        ("{ hello }", "x" * 201, 400),
        ("{ hello }", "used", 409),
    ],
)
async def test_what_does_not_start_is_answered_to_its_request(
    client: httpx2.AsyncClient, query: str, operation_id: Any, status: int
) -> None:
    """With an error and a status, and nothing of it on the stream."""
    shared = await reserve(client)
    async with shared.opened():
        await shared.start("used", "subscription { ticks(pause: 30) }")
        response = await shared.start(operation_id, query)
        assert response.status_code == status
        assert response.json()["errors"][0]["message"]
        assert (await shared.next())[1]["id"] == "used"
        response = await client.delete("/graphql", headers=shared.token)
        assert response.status_code == 400
    assert (await client.delete("/graphql")).status_code == 405


async def test_a_stream_and_a_caller_have_bounds() -> None:
    """So many operations a stream, so many streams a caller; what ends makes room."""
    async with (
        site_with() as address,
        httpx2.AsyncClient(base_url=address.url, headers=SALES) as client,
    ):
        shared, *_ = [await reserve(client) for _ in range(3)]
        assert (await client.put("/graphql")).status_code == 429
        for number in range(5):
            await shared.start(f"{number}", "{ sleep(seconds: 30) }")
        assert (await shared.start("more", "{ hello }")).status_code == 429
        async with shared.opened():
            assert (await shared.stop("0")).status_code == 200
            async with asyncio.timeout(GRACE):  # the one that was ended may still be ending
                while (await shared.start("more", "{ hello }")).status_code != 202:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert (await shared.next())[1]["id"] == "more"
        async with asyncio.timeout(GRACE):
            while (await client.put("/graphql")).status_code != 201:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)


async def test_a_reservation_that_nobody_opens_is_given_up(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was to answer on it never runs."""
    monkeypatch.setattr(shared_stream, "RESERVED_SECONDS", 0.2)
    shared = await reserve(client)
    await shared.start("q", "{ sleep(seconds: 30) }")
    await asyncio.sleep(0.4)
    assert (await shared.start("q", "{ hello }")).status_code == 404
    assert COUNTS.sleeping == 0


async def test_a_client_that_leaves_ends_its_operations(process: ServerProcess) -> None:
    """All that answered on the stream."""
    async with httpx2.AsyncClient(base_url=process.url, headers=SALES) as client:
        shared = await reserve(client)
        async with shared.opened():
            await shared.start("s", "subscription { ticks(pause: 30) }")
            await shared.start("q", "{ sleep(seconds: 30) }")
            await until(process, lambda found: (found["live"], found["sleeping"]) == (1, 1))
        await until(process, lambda found: (found["live"], found["sleeping"]) == (0, 0))


async def test_a_stream_ends_with_its_token(served: Address) -> None:
    """The caller's: and with it what ran on it."""
    headers = {"Authorization": "Bearer until:0.5"}
    async with httpx2.AsyncClient(base_url=served.url, headers=headers) as client:
        shared = await reserve(client)
        async with shared.opened():
            await shared.start("s", "subscription { ticks(pause: 30) }")
            assert (await shared.next())[1]["id"] == "s"
            with pytest.raises(StopAsyncIteration):
                await shared.next()
    assert COUNTS.live == 0

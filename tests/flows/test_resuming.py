"""Subscriptions that go on where they were: over real sockets, at gateways that come and go."""

import asyncio
import json
import random
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import httpx2
import pytest
import pytest_asyncio
from websockets.exceptions import WebSocketException

from gateway.partitions import drop_days
from gateway.tokens import issue_user_token
from resolvers.core.clock import system_clock
from schema.core.execution import GraphQLRequest
from schema.core.ids import encode_id
from tests.fixtures.deliveries import hearing
from tests.fixtures.gateway import Gateway, principal, settings_for
from tests.fixtures.relays import no_relay
from tests.fixtures.servers import ServerProcess, server_process
from tests.flows import gateway_process
from tests.gateway.transports.clients import opened

WATCH = """
subscription Watch($after: String, $snapshot: Boolean! = false) {
  stockChanged(after: $after, snapshot: $snapshot) {
    ... on StockChange { seq available level { id } }
    ... on StockSnapshot { seq reason levels { id } }
  }
}
"""
LOG = (
    "select pub_seq::text from outbox_event where company_id = $1 and topic = 'stock.changed'"
    " and pub_seq > $2 order by outbox_event.pub_seq"
)
CHANGES = """
subscription Changes($after: String, $snapshot: Boolean! = false) {
  changes(of: [STOCK], after: $after, snapshot: $snapshot) {
    seq
    ... on ChangeGap { stockLevels(first: 1) { nodes { id } } }
  }
}
"""
AGE = "update outbox_event set published_at = published_at - $1::interval where pub_seq <= $2"
WRITERS, EACH = 4, 100
CLIENTS = 4
"""Clients of each transport."""


@dataclass
class Site:
    """Gateways over one database."""

    owner: "asyncpg.Connection[Any]"
    url: str
    headers: dict[str, str]
    stack: AsyncExitStack
    environment: dict[str, str]
    gateways: list[ServerProcess] = field(default_factory=list)

    async def open(self) -> None:
        """Start another gateway."""
        process = server_process(gateway_process.__file__, environment=self.environment)
        self.gateways.append(await self.stack.enter_async_context(process))

    async def any(self) -> ServerProcess:
        """Return one of the gateways; a slow machine may start them slower than they are killed."""
        while not self.gateways:  # noqa: ASYNC110 - nobody says when
            await asyncio.sleep(0.05)
        return random.choice(self.gateways)

    async def write(self, number: int = 1, company: int = 1) -> None:
        """Change as many levels of a company, by plain SQL, in one transaction."""
        await self.owner.execute(
            "update stock_level set on_hand = on_hand + 1 where id in"
            " (select id from stock_level where company_id = $1 order by id limit $2)",
            *(company, number),
        )

    async def published(self, company: int = 1, after: int = 0) -> list[str]:
        """Return the places of all changes of a company, once there is none without."""
        missing = "select count(*) from outbox_event where pub_seq is null"
        async with asyncio.timeout(30):
            while await self.owner.fetchval(missing):  # noqa: ASYNC110 - a relay somewhere
                await asyncio.sleep(0.02)
        return [row[0] for row in await self.owner.fetch(LOG, company, after)]


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[Site]:
    """Serve a database with one gateway."""
    settings = settings_for(url)
    assert settings.jwt_secret is not None
    token = issue_user_token(settings, "admin@demo", timedelta(hours=1), system_clock)
    environment = {
        "GATEWAY_ENVIRONMENT": "test",
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "GATEWAY_LOG_LEVEL": "error",
    }
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(url)
        stack.push_async_callback(owner.close)
        company = await owner.fetchval("select code from company where id = 1")
        headers = {"Authorization": f"Bearer {token}", "X-Company": company}
        running = Site(owner, url, headers, stack, environment)
        await running.open()
        yield running


@pytest_asyncio.fixture
async def site(own_database_url: str) -> AsyncIterator[Site]:
    """Serve a database of its own with one gateway."""
    async with serving(own_database_url) as running:
        yield running


async def by_websocket(
    site: Site,
    gateway: ServerProcess,
    after: str | None,
    *,
    snapshot: bool = False,
    document: str = WATCH,
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the answers of a subscription until the socket ends; then drop it without a word."""
    async with opened(gateway) as client:
        await client.send({"type": "connection_init", "payload": site.headers})
        assert (await client.receive())["type"] == "connection_ack"
        variables = {"after": after, "snapshot": snapshot}
        await client.subscribe("1", document, variables=variables)
        try:
            while True:
                message = await client.receive()
                if message["type"] != "next":
                    return
                yield message["payload"]
        finally:
            client.connection.transport.abort()


async def by_sse(
    site: Site, gateway: ServerProcess, after: str | None, *, snapshot: bool = False
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the answers of a stream, each with its id, until it ends."""
    headers = {**site.headers, "Accept": "text/event-stream"}
    if after is not None:
        headers["Last-Event-ID"] = after
    variables = {"snapshot": snapshot}
    asked: dict[str, Any] = {"json": {"query": WATCH, "variables": variables}, "headers": headers}
    async with (
        httpx2.AsyncClient(timeout=30) as client,
        client.stream("POST", gateway.graphql, **asked) as response,
    ):
        id_ = None
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                id_ = value
            elif name == "data" and value:
                yield {**json.loads(value), "id": id_}


TRANSPORTS = pytest.mark.parametrize("connect", [by_websocket, by_sse])


async def follow(site: Site, connect: Any, told: list[str], until: asyncio.Event) -> int:
    """Connect again and again, read a few changes each time; return how often it was cut off."""
    cuts = 0
    while not until.is_set() or told[-1:] != (await site.published())[-1:]:
        with suppress(OSError, EOFError, WebSocketException, httpx2.HTTPError, TimeoutError):
            stream = connect(site, await site.any(), told[-1] if told else "0")
            async with aclosing(stream) as answers, asyncio.timeout(2):
                few = random.randint(1, 60)
                async for answer in answers:
                    assert "errors" not in answer, answer
                    seq = answer["data"]["stockChanged"]["seq"]
                    assert answer.get("id", seq) == seq
                    told.append(seq)
                    few -= 1
                    if not few:
                        break
        cuts += 1
    return cuts


async def writes(site: Site, number: int) -> None:
    """Change levels one by one, from a connection of its own."""
    dice = random.Random(number)
    connection = await asyncpg.connect(site.url)
    try:
        levels = await connection.fetch("select id from stock_level where company_id in (1, 2)")
        for _ in range(EACH):
            await connection.execute(
                "update stock_level set on_hand = on_hand + 1 where id = $1",
                dice.choice(levels)[0],
            )
            await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def test_nothing_is_lost_or_doubled_however_often_one_resumes(site: Site) -> None:
    """Eight clients drop their connections while four write and gateways are killed."""
    await site.open()
    told: list[list[str]] = [[] for _ in range(2 * CLIENTS)]
    done = asyncio.Event()
    lock = asyncio.Lock()
    owner = site.owner
    site.published = alone(site.published, lock)  # type: ignore[method-assign]
    clients = [
        asyncio.create_task(follow(site, by_sse if n % 2 else by_websocket, told[n], done))
        for n in range(2 * CLIENTS)
    ]

    async def kill() -> None:
        for _ in range(2):
            await asyncio.sleep(1)
            victim = (await site.any(), site.gateways.pop(0))[1]
            assert await victim.stop(signal.SIGKILL) == -signal.SIGKILL
            await site.open()

    await asyncio.gather(kill(), *(writes(site, n) for n in range(WRITERS)))
    done.set()
    async with asyncio.timeout(60):
        cuts = await asyncio.gather(*clients)
    expected = [row[0] for row in await owner.fetch(LOG, 1, 0)]
    assert len(expected) > WRITERS * EACH / 4
    assert all(one == expected for one in told)
    assert min(cuts) >= 2


def alone(call: Any, lock: asyncio.Lock) -> Any:
    """Return ``call`` for many tasks over one connection: one at a time."""

    async def locked(*arguments: Any) -> Any:
        async with lock:
            return await call(*arguments)

    return locked


@TRANSPORTS
async def test_at_the_head_nothing_was_missed(site: Site, connect: Any) -> None:
    """With the last cursor one hears of the next change, and of none before."""
    await site.write(3)
    [*_, head] = await site.published()
    async with aclosing(connect(site, site.gateways[0], head)) as answers:
        first = asyncio.ensure_future(anext(answers))
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await asyncio.shield(first)
        assert not first.done()
        await site.write()
        answer = await asyncio.wait_for(first, 10)
    [*_, last] = await site.published()
    assert answer["data"]["stockChanged"]["seq"] == last


@TRANSPORTS
async def test_what_is_not_kept_any_more_is_told_once(site: Site, connect: Any) -> None:
    """One message has the state and the place to go on from; there the stream goes on."""
    await site.write(20)
    seqs = await site.published()
    await site.owner.execute("delete from outbox_event where pub_seq <= $1", int(seqs[9]))
    async with aclosing(connect(site, site.gateways[0], seqs[8])) as answers:
        answer = await anext(answers)
        await site.write()
        change = (await anext(answers))["data"]["stockChanged"]
    assert "errors" not in answer
    state = answer["data"]["stockChanged"]
    assert (state["reason"], state["seq"]) == ("TOO_OLD", seqs[-1])
    assert len(state["levels"]) == await site.owner.fetchval(
        "select count(*) from stock_level where company_id = 1"
    )
    [*_, last] = await site.published()
    assert change["seq"] == last
    async with aclosing(connect(site, site.gateways[0], seqs[9])) as stream:
        told = [(await anext(stream))["data"]["stockChanged"]["seq"] for _ in seqs[10:]]
    assert told == seqs[10:]


async def test_what_a_state_shows_is_told_to_nobody_who_resumes(site: Site) -> None:
    """Who breaks off right after it, or a change later, resumes at what that answer said."""
    rows = await site.owner.fetch("select id from stock_level where company_id = 1 limit 4")
    early, *shown, late = [row["id"] for row in rows]
    change = "update stock_level set on_hand = on_hand + 1 where id = $1"
    [gateway] = site.gateways
    await site.write()
    [*_, head] = await site.published()
    left: list[tuple[Any, dict[str, Any], list[int]]] = []
    async with AsyncExitStack() as streams:
        staying = {}
        async with no_relay(site.url):
            writer = await asyncpg.connect(site.url)
            streams.push_async_callback(writer.close)
            async with writer.transaction():  # written before the others, and committed after them
                await writer.execute(change, early)
                for level in shown:
                    await site.owner.execute(change, level)
                for connect in (by_websocket, by_sse):
                    stays, leaves = (connect(site, gateway, None, snapshot=True) for _ in "12")
                    staying[connect] = await streams.enter_async_context(aclosing(stays))
                    states = [await anext(stays), await anext(leaves)]
                    await leaves.aclose()
                    for state in states:
                        assert state["extensions"]["seq"].startswith(f"{head}~")
                        assert state["data"]["stockChanged"]["seq"] == head
                        assert state.get("id") in (None, state["extensions"]["seq"])
                    left.append((connect, state, [early, late]))
        left += [(connect, await anext(stays), [late]) for connect, stays in staying.items()]
    await site.owner.execute(change, late)
    await site.published()
    for connect, answer, expected in left:
        cursor = answer["extensions"]["seq"]
        assert "~" in cursor
        async with aclosing(connect(site, gateway, cursor)) as answers:
            told = [await anext(answers) for _ in expected]
            coming = asyncio.ensure_future(anext(answers))
            await asyncio.wait([coming], timeout=0.1)
            assert not coming.done()
            coming.cancel()
            await asyncio.wait([coming])
        levels = [one["data"]["stockChanged"]["level"]["id"] for one in told]
        assert levels == [encode_id("StockLevel", level) for level in expected]
        assert told[-1]["extensions"]["caughtUp"] == {"replayed": len(expected)}


async def test_a_quiet_time_makes_nothing_too_old(site: Site) -> None:
    """What a state showed last is missed by nobody, though it was kept for long enough.

    A new process tells that from what came before it, which is gone.
    """
    by_changes = partial(by_websocket, document=CHANGES)
    connections = (by_websocket, by_sse, by_changes)
    await site.write(2)
    [*_, before, head] = await site.published()
    cursors = {}
    async with no_relay(site.url):
        await site.write(3)
        for connect in connections:
            async with aclosing(connect(site, site.gateways[0], None, snapshot=True)) as answers:
                cursors[connect] = (await anext(answers))["extensions"]["seq"]
    assert all(cursor.startswith(f"{head}~") for cursor in cursors.values())
    [*_, last] = await site.published()
    assert await site.gateways.pop().stop() == 0
    await site.owner.execute(AGE, timedelta(days=5), int(head))
    await site.owner.execute(AGE, timedelta(days=3), int(last))
    await drop_days(site.owner, timedelta(hours=1))
    await site.open()
    [gateway] = site.gateways
    for connect in connections:
        async with aclosing(connect(site, gateway, before)) as answers:
            state = await anext(answers)
        assert state["extensions"]["snapshot"] == {"reason": "TOO_OLD"}
    async with AsyncExitStack() as streams:
        resumed = [
            await streams.enter_async_context(aclosing(connect(site, gateway, after)))
            for connect, cursor in cursors.items()
            for after in (cursor, last)
        ]
        coming = [asyncio.ensure_future(anext(answers)) for answers in resumed]
        await site.write()
        [*_, next_] = await site.published()
        for told in await asyncio.gather(*coming):  # missed or not: some may come after it
            assert told["extensions"].pop("caughtUp")["replayed"] in (0, 1)
            assert told["extensions"] == {"seq": next_}


@TRANSPORTS
async def test_what_is_no_cursor_is_refused(site: Site, connect: Any) -> None:
    """The error names the argument, or the header that stands for it."""
    for cursor in ("1000", "-1", "abc", "1e3", "9" * 19, "9" * 40, "U3RvY2s6MQ", "0~1"):
        [answer] = [answer async for answer in connect(site, site.gateways[0], cursor)]
        [error] = answer["errors"]
        assert error["extensions"]["code"] == "VALIDATION"
        assert error["extensions"]["inputPath"] == ["after"]
        assert answer["data"] is None


@TRANSPORTS
async def test_companies_share_places_and_nothing_else(site: Site, connect: Any) -> None:
    """A cursor got while acting for another company tells of nothing but the caller's changes."""
    for company in (2, 1, 2, 1, 1):
        await site.write(2, company)
    cursor = (await site.published(company=2))[0]
    expected = await site.published(1, int(cursor))
    async with aclosing(connect(site, site.gateways[0], cursor)) as stream:
        told = [(await anext(stream))["data"]["stockChanged"]["seq"] for _ in expected]
    assert told == expected


@asynccontextmanager
async def subscribed(gateway: Gateway, after: str | None) -> AsyncIterator[Any]:
    """Subscribe without a transport, which would read ahead."""
    executor = gateway.runtime.executor
    request = GraphQLRequest(WATCH, None, {"after": after})
    prepared = executor.prepare(request, known_caller=True)
    stream = executor.subscribe(
        prepared, lambda: gateway.runtime.open_context(principal(), "watch")
    )
    async with aclosing(hearing(stream)) as answers:
        yield answers


async def test_who_reads_too_slowly_goes_on_from_the_log(own_gateway: Gateway) -> None:
    """What does not fit into a subscriber's queue is read again: nothing is lost, nothing ends."""
    change = "update stock_level set on_hand = on_hand + 1 where company_id = 1"
    broker = own_gateway.runtime.broker
    await own_gateway.owner.execute(change)
    async with subscribed(own_gateway, "0") as answers, asyncio.timeout(100):
        told = [seq_of(await anext(answers))]
        while own_gateway.runtime.executor.live.lagged == 0:
            await own_gateway.owner.execute(change)
            await asyncio.sleep(0.1)
        written = await own_gateway.owner.fetchval("select count(*) from outbox_event")
        while broker.position < written:  # noqa: ASYNC110 - a broker tells nobody
            await asyncio.sleep(0.05)
        expected = [row[0] for row in await own_gateway.owner.fetch(LOG, 1, 0)]
        told += [seq_of(await anext(answers)) for _ in expected[1:]]
    assert len(told) > 256
    assert told == expected
    assert broker.listeners == 0


def seq_of(answer: Any) -> str:
    """Return the place of the change that an answer tells of."""
    assert not answer.errors
    return str(answer.data["stockChanged"]["seq"])

"""Live subscriptions are known to every process, and ended from any of them."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest_asyncio

from gateway.postgres import EmbeddedPostgres
from resolvers.core.principal import CompanyAccess, Principal
from resolvers.operations.rules import StreamTransport
from schema.core.execution import GraphQLRequest
from schema.core.ids import encode_id
from schema.core.live import Subscriber
from tests.fixtures.gateway import Gateway, open_gateway, principal
from tests.flows.test_live_identity import Site, by_sse, by_websocket, site, watching
from tests.gateway.transports.clients import opened

__all__ = ["site"]

LISTED = """{ liveSubscriptions {
  subscriptionId operationName field transport actor own beganAt delivered } }"""
END = """mutation ($key: String!, $id: ID!, $dry: Boolean! = false) {
  endSubscription(idempotencyKey: $key, id: $id, dryRun: $dry) {
    subscriptionId userErrors { code path } } }"""
WATCH = (
    "subscription Watch { ...What } fragment What on Subscription { stockChanged { __typename } }"
)
WAIT = 10.0


async def over_http(site: Site, gateway: int, token: str, query: str, **variables: Any) -> Any:
    """Run an operation at a gateway, and return its data."""
    asked = {"query": query, "variables": variables}
    headers = {**site.headers(token), "Accept": "application/json"}
    answer = await site.client.post(site.gateways[gateway].graphql, json=asked, headers=headers)
    told = answer.json()
    assert "errors" not in told, told
    return told["data"]


async def until(number: int, ask: Any) -> list[dict[str, Any]]:
    """Ask for live subscriptions until there are so many."""
    async with asyncio.timeout(WAIT):
        while True:
            found: list[dict[str, Any]] = (await ask())["liveSubscriptions"]
            if len(found) == number:
                return found
            await asyncio.sleep(0.02)


async def test_listed_and_ended_from_another_process(site: Site) -> None:
    """Each shows at both gateways with how it is connected; ended at the one, the other stops."""
    token = site.token(await site.user("availability.read"))
    ways = ((by_websocket, 0), (by_sse, 0))
    async with watching(site, token, *ways) as (socket, stream):
        listed = await until(2, lambda: over_http(site, 1, token, LISTED))
        assert all(one["own"] for one in listed)
        by_transport = {one["transport"]: one for one in listed}
        assert set(by_transport) == {"WEBSOCKET", "SSE"}
        assert {(one["field"], one["operationName"]) for one in listed} == {
            ("stockChanged", "Watch")
        }
        assert listed == sorted(listed, key=lambda one: one["beganAt"], reverse=True)
        for transport, watcher in (("WEBSOCKET", socket), ("SSE", stream)):
            id_ = by_transport[transport]["subscriptionId"]
            told = (await over_http(site, 1, token, END, key=transport, id=id_))["endSubscription"]
            assert told == {"subscriptionId": id_, "userErrors": []}
            async with asyncio.timeout(WAIT):
                while watcher.ended_at is None:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.005)
            assert watcher.end == "complete"
            last = watcher.told[-1]
            assert last["errors"][0]["extensions"]["code"] == "SUBSCRIPTION_ENDED"


async def test_the_socket_stays(site: Site) -> None:
    """Another operation of the same socket goes on, and the id can be used again."""
    token = site.token(await site.user("availability.read"))
    async with opened(site.gateways[0]) as client:
        await client.send({"type": "connection_init", "payload": site.headers(token)})
        assert (await client.receive())["type"] == "connection_ack"
        for name in ("1", "2"):
            await client.subscribe(
                name, f"subscription S{name} {{ stockChanged {{ __typename }} }}"
            )
        listed = await until(2, lambda: over_http(site, 1, token, LISTED))
        [first] = [one["subscriptionId"] for one in listed if one["operationName"] == "S1"]
        await over_http(site, 1, token, END, key="first", id=first)
        assert (await client.receive())["type"] == "next"
        assert await client.receive() == {"id": "1", "type": "complete"}
        await client.subscribe("1", "subscription S1 { stockChanged { __typename } }")
        await site.touch()
        told = {(one := await client.receive())["id"] for _ in range(2)}
        assert told == {"1", "2"}, one


@pytest_asyncio.fixture(scope="module")
async def pair(server: EmbeddedPostgres, template: str) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Yield two gateways without a network over a database of their own."""
    name = f"erp_live_{uuid4().hex[:12]}"
    await asyncio.to_thread(server.create_database, name, template)
    url = server.url(name)
    async with open_gateway(url) as one, open_gateway(url) as other:
        yield one, other
    await asyncio.to_thread(server.drop_database, name)


def caller(actor: str, *permissions: str, partner_id: int | None = None) -> Principal:
    """Return a caller of its own in the first company."""
    whole = frozenset({"availability.read", *permissions})
    made = principal(permissions=whole, partner_id=partner_id)
    return Principal(
        kind=made.kind,
        actor=actor,
        name=actor,
        access=made.access,
        companies=made.companies,
        credential=actor,
        partner_id=partner_id,
    )


@asynccontextmanager
async def subscribed(
    gateway: Gateway, who: Principal, number: int = 1
) -> AsyncIterator[list[tuple[Subscriber, "asyncio.Task[Any]"]]]:
    """Run subscriptions for a caller; yield each with the task of its next answer."""
    runtime = gateway.runtime
    ready = runtime.executor.prepare(GraphQLRequest(WATCH, None, {}), known_caller=True)
    await runtime.follower.started()
    async with AsyncExitStack() as stack:
        running = []
        for _ in range(number):
            one = runtime.executor.subscribe(
                ready,
                lambda: runtime.open_context(who, "test"),
                transport=StreamTransport.WEBSOCKET,
            )
            stack.push_async_callback(one.aclose)
            running.append((one, asyncio.ensure_future(anext(one))))
        try:
            yield running
        finally:
            for _, task in running:
                task.cancel()
            await asyncio.gather(*(task for _, task in running), return_exceptions=True)


def asking(gateway: Gateway, who: Principal) -> Any:
    """Return what lists the live subscriptions that a caller sees."""
    return lambda: gateway.data(LISTED, caller=who)


async def ending(gateway: Gateway, who: Principal, id_: str, *, dry: bool = False) -> list[str]:
    """End a subscription; return the codes of the refusal."""
    given = {"key": str(uuid4()), "id": id_, "dry": dry}
    told = (await gateway.data(END, given, caller=who))["endSubscription"]
    assert (told["subscriptionId"] is None) == bool(told["userErrors"])
    return [error["code"] for error in told["userErrors"]]


async def test_own_only(pair: tuple[Gateway, Gateway]) -> None:
    """One sees and ends one's own; an operator sees all, an administrator ends all of the company.

    A partner's client never another's.
    """
    here, there = pair
    root = caller("user:74", "subscriptions.end")
    ada, bob, boss = caller("user:71"), caller("user:72"), caller("user:73", "operations.read")
    partner_id = await here.owner.fetchval("select min(id) from partner")
    shop = caller("client:71", "operations.read", partner_id=partner_id)
    twin = caller("client:72", "operations.read", partner_id=partner_id)
    async with (
        subscribed(here, ada) as [(of_ada, told_ada)],
        subscribed(here, shop) as [(_, told_shop)],
    ):
        [one] = await until(1, asking(there, ada))
        assert (one["actor"], one["own"]) == ("user:71", True)
        [own] = await until(1, asking(there, shop))
        assert await asking(there, bob)() == {"liveSubscriptions": []}
        assert await asking(there, twin)() == {"liveSubscriptions": []}
        seen = (await asking(there, boss)())["liveSubscriptions"]
        assert {(one["actor"], one["own"]) for one in seen} == {
            ("user:71", False),
            ("client:71", False),
        }
        greedy = caller("client:72", "subscriptions.end", partner_id=partner_id)
        elsewhere = replace(
            root, access=CompanyAccess(2, "PL01", frozenset({"subscriptions.end"})), companies=()
        )
        for stranger in (bob, boss, shop, twin, greedy, elsewhere):
            assert await ending(there, stranger, one["subscriptionId"]) == ["NOT_FOUND"]
        unknown = encode_id("LiveSubscription", of_ada.id ^ 1)
        assert await ending(there, ada, unknown) == ["NOT_FOUND"]
        assert await ending(there, ada, one["subscriptionId"], dry=True) == []
        assert not told_ada.done()
        assert await ending(there, shop, own["subscriptionId"]) == []
        assert await ending(there, root, one["subscriptionId"]) == []
        for task in (told_ada, told_shop):
            last = json.loads((await asyncio.wait_for(task, WAIT)).body)
            assert last["errors"][0]["extensions"]["code"] == "SUBSCRIPTION_ENDED"
    trail = await here.owner.fetch(
        "select actor, diff from audit_log where operation = 'endSubscription' and entity_id = $1",
        of_ada.id,
    )
    assert [(row["actor"], json.loads(row["diff"])) for row in trail] == [
        ("user:74", {"actor": "user:71", "field": "stockChanged", "transport": "WEBSOCKET"})
    ]


async def test_a_lost_notification_costs_a_second(pair: tuple[Gateway, Gateway]) -> None:
    """The mark alone ends it, with the next statement."""
    here, there = pair
    who = caller("user:77")
    async with subscribed(here, who) as [(one, told)]:
        await until(1, asking(there, who))
        await here.owner.execute(
            "update live_subscription set end_requested_at = now() where id = $1", one.id
        )
        last = json.loads((await asyncio.wait_for(told, WAIT)).body)
        assert last["errors"][0]["extensions"]["code"] == "SUBSCRIPTION_ENDED"


async def test_dead_processes_vanish(pair: tuple[Gateway, Gateway]) -> None:
    """Rows nobody has confirmed for ten seconds are not shown, cannot be ended, and are deleted."""
    here, there = pair
    who = caller("user:75")
    await here.owner.execute(
        "insert into live_subscription (id, company_id, actor, process, field, transport, seen_at)"
        " values (75, 1, 'user:75', gen_random_uuid(), 'stockChanged', 'SSE',"
        " now() - interval '11 seconds')"
    )
    assert await asking(there, who)() == {"liveSubscriptions": []}
    assert await ending(there, who, encode_id("LiveSubscription", 75)) == ["NOT_FOUND"]
    async with subscribed(here, who), asyncio.timeout(WAIT):
        there_is = "select exists (select from live_subscription where id = 75)"
        while await here.owner.fetchval(there_is):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def test_one_statement_for_a_thousand_and_none_for_none(
    pair: tuple[Gateway, Gateway],
) -> None:
    """A process writes once a second whatever it serves, and nothing while it serves nobody."""
    here, there = pair
    who = caller("user:76", "operations.read")
    await until(0, asking(there, who))
    await here.owner.execute(
        """
        create table written (at timestamptz);
        create function count_written() returns trigger language plpgsql as
        $$ begin insert into written values (clock_timestamp()); return null; end $$;
        create trigger written after insert on live_subscription
          for each statement execute function count_written()
        """
    )
    try:
        await asyncio.sleep(1.2)  # a round and more: nothing is to be waited for
        assert await here.owner.fetchval("select count(*) from written") == 0
        async with subscribed(here, who, 1_000):
            count = "select count(*) from live_subscription where actor = 'user:76'"
            async with asyncio.timeout(WAIT):
                while await here.owner.fetchval(count) != 1_000:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert len((await asking(there, who)())["liveSubscriptions"]) == 1_000
        async with asyncio.timeout(WAIT):
            while await here.owner.fetchval(count):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        times = [row["at"] for row in await here.owner.fetch("select at from written order by 1")]
        gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(times)]
        assert min(gaps) > 0.9
    finally:
        await here.owner.execute(
            "drop trigger written on live_subscription; drop function count_written();"
            " drop table written"
        )

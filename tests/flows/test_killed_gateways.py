"""Gateways killed in the midst of work: what was told is there once, the rest can be asked."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
import httpx2
import pytest_asyncio

from gateway.tokens import issue_user_token
from gateway.verify import verify
from resolvers.core.clock import system_clock
from schema.core.ids import encode_id
from tests.fixtures.gateway import settings_for
from tests.fixtures.servers import ServerProcess, server_process
from tests.flows import gateway_process

GATEWAYS = 3
CLIENTS = 16
KILLED_AFTER = (15, 40, 70, 110)
"""Numbers of answers after which a gateway is killed with SIGKILL and another one is started."""

VERBS = {
    "confirm": "confirmSalesOrder(idempotencyKey: $key, id: $id) { order { id } E }",
    "ship": "shipOrder(idempotencyKey: $key, orderId: $id) { shipment { number } moves { id } E }",
    "cancel": "cancelSalesOrder(idempotencyKey: $key, id: $id) { order { id } E }",
    "receive": "receiveGoods(idempotencyKey: $key, orderId: $id, lines: $lines)"
    " { receipt { number } moves { id } E }",
}


@dataclass(frozen=True)
class Command:
    """What is asked for: a verb, on a document, under a key of its own."""

    verb: str
    key: str
    variables: dict[str, Any]

    @property
    def request(self) -> dict[str, Any]:
        """Return the body of the request."""
        more = ", $lines: [ReceiveLineInput!]!" if self.verb == "receive" else ""
        fields = VERBS[self.verb].replace(" E }", " userErrors { code } }")
        return {
            "query": f"mutation($key: String!, $id: ID!{more}) {{ told: {fields} }}",
            "variables": {"key": self.key, **self.variables},
        }


@dataclass
class Shop:
    """Several gateways over one database, of which some die, and those who ask them."""

    url: str
    owner: "asyncpg.Connection[Any]"
    client: httpx2.AsyncClient
    stack: AsyncExitStack
    environment: dict[str, str]
    gateways: list[ServerProcess] = field(default_factory=list)
    killed: int = 0
    told: dict[str, Any] = field(default_factory=dict)

    async def open(self) -> None:
        """Start another gateway."""
        process = server_process(gateway_process.__file__, environment=self.environment)
        self.gateways.append(await self.stack.enter_async_context(process))

    async def running(self) -> list[ServerProcess]:
        """Return the gateways; a slow machine may start them slower than they are killed."""
        while not self.gateways:  # noqa: ASYNC110 - nobody says when
            await asyncio.sleep(0.05)
        return self.gateways

    async def kill(self) -> None:
        """Kill a gateway, whatever it does, and start another one."""
        victim = (await self.running()).pop(0)
        self.killed += 1
        assert await victim.stop(signal.SIGKILL) == -signal.SIGKILL
        await self.open()

    async def ask(self, command: Command) -> Any:
        """Return what a gateway answers, or None if it does not."""
        gateway = random.choice(await self.running())
        try:
            answer = await self.client.post(gateway.graphql, json=command.request)
        except httpx2.TransportError:
            return None
        body = answer.json()
        if any(e["extensions"]["code"] == "OVERLOADED" for e in body.get("errors", ())):
            return None
        assert "errors" not in body, body
        return body["data"]["told"]

    async def run(self, commands: list[Command]) -> list[Command]:
        """Ask for everything once, by many clients at once; return what nobody answered."""
        left, unanswered = list(reversed(commands)), []
        kills: set[asyncio.Task[None]] = set()

        async def client() -> None:
            while left:
                command = left.pop()
                told = await self.ask(command)
                if told is None:
                    unanswered.append(command)
                    continue
                self.told[command.key] = told
                if len(self.told) in KILLED_AFTER:
                    kills.add(asyncio.create_task(self.kill()))

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        await asyncio.gather(*kills)
        return unanswered


@pytest_asyncio.fixture
async def shop(own_database_url: str) -> AsyncIterator[Shop]:
    """Open a shop over a database of its own."""
    settings = settings_for(own_database_url)
    assert settings.jwt_secret is not None
    token = issue_user_token(settings, "admin@demo", timedelta(hours=1), system_clock)
    environment = {
        "GATEWAY_ENVIRONMENT": "test",
        "GATEWAY_DATABASE_URL": own_database_url,
        "GATEWAY_JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "GATEWAY_LOG_LEVEL": "error",
    }
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(own_database_url)
        stack.push_async_callback(owner.close)
        company = await owner.fetchval("select code from company where id = 1")
        headers = {"Authorization": f"Bearer {token}", "X-Company": company}
        client = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=30))
        running = Shop(own_database_url, owner, client, stack, environment)
        for _ in range(GATEWAYS):
            await running.open()
        yield running


async def commands(owner: "asyncpg.Connection[Any]") -> list[Command]:
    """Return a day's work, in no order: orders taken, shipped and given up, deliveries."""
    await owner.execute("update partner_company set credit_limit = null")
    orders = await owner.fetch(
        """select id from sales_order where company_id = 1 and hold is null
           and state in ('DRAFT', 'QUOTED', 'PLACED', 'CONFIRMED') order by id"""
    )
    lines = await owner.fetch(
        """select l.order_id, l.id from purchase_order_line l
           join purchase_order o on o.id = l.order_id join product p on p.id = l.product_id
           where o.company_id = 1 and o.state = 'CONFIRMED' and p.tracking = 'NONE'
             and l.quantity - l.received - l.canceled >= 3 order by l.id limit 20"""
    )
    work = []
    for row in orders:
        order = {"id": encode_id("SalesOrder", row["id"])}
        work += [
            Command(verb, f"{verb} {row['id']} {turn}", order)
            for verb, turns in (("confirm", 1), ("ship", 2), ("cancel", row["id"] % 3 == 0))
            for turn in range(turns)
        ]
    for row in lines:
        came = {
            "purchaseOrderLineId": encode_id("PurchaseOrderLine", row["id"]),
            "qty": "1",
        }
        order = {"id": encode_id("PurchaseOrder", row["order_id"])}
        work += [
            Command("receive", f"receive {row['id']} {turn}", {**order, "lines": [came]})
            for turn in range(3)
        ]
    random.Random(7).shuffle(work)
    return work


async def test_what_was_told_is_there_once(shop: Shop) -> None:
    """Nothing told is lost, nothing is done twice, nothing half; the rest is asked for again."""
    work = await commands(shop.owner)
    assert len(work) > KILLED_AFTER[-1] + 30
    unanswered = await shop.run(work)
    assert shop.killed == len(KILLED_AFTER)
    first = dict(shop.told)
    for _ in range(5):
        if not unanswered:
            break
        unanswered = await shop.run(unanswered)
    assert not unanswered
    done = {key: told for key, told in shop.told.items() if not told["userErrors"]}
    refused = {e["code"] for told in shop.told.values() for e in told["userErrors"]}
    assert refused <= {"INVALID_TRANSITION", "INSUFFICIENT_STOCK", "OVER_RECEIPT"}
    assert {key.split()[0] for key in done} == set(VERBS)
    again = [c for c in work if c.key in first and c.key in done]
    for command in again[::7]:
        assert await shop.ask(command) == first[command.key], "the same key, the same answer"
    # what was done is in the ledger, under its key, and nothing else is
    rows = await shop.owner.fetch(
        """select split_part(idempotency, ':', 3) as key, array_agg(id order by id) as ids
           from stock_move where idempotency ~ ':(ship|receive) ' group by 1"""
    )
    moved = {row["key"]: [encode_id("StockMove", id_) for id_ in row["ids"]] for row in rows}
    told = {k: [move["id"] for move in t["moves"]] for k, t in done.items() if "moves" in t}
    assert {k: sorted(ids) for k, ids in moved.items()} == {
        k: sorted(ids) for k, ids in told.items()
    }
    keys = await shop.owner.fetchval("select count(*) from idempotency_key where response is null")
    assert keys == 0
    assert not [result for result in await verify(shop.url) if not result.holds]

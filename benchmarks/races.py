"""Races: ``python -m benchmarks.races``. Buyers want more of a few products than there is.

Several gateway processes serve them over real sockets, and clients ask for everything in no
order: baskets with several lines of one product, orders shipped and canceled at once, deliveries
and returns in between. In the second round a gateway is killed with SIGKILL every second,
PostgreSQL crashes and is restarted, and clients ask again, with the same key, until they are told.
What is measured is not time but whether it was right: what there was is sold and no more, what was
told is there once.
"""

import argparse
import asyncio
import os
import random
import signal
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from time import monotonic
from typing import Any, Final, Self

import asyncpg
import httpx2
import orjson
from pydantic import SecretStr

from benchmarks.database import TODAY, USER
from gateway.migrate import migrate
from gateway.postgres import EmbeddedPostgres
from gateway.postgres.cluster import Cluster
from gateway.seed import seed
from gateway.settings import Settings
from gateway.steps import Steps
from gateway.tokens import issue_user_token
from gateway.verify import verify
from resolvers.core.clock import system_clock
from schema.core.ids import decode_id, encode_id

PUBLISHED: Final = Path(__file__).parent / "RACES.md"
ROOT: Final = Path(__file__).parents[1]
SECRET: Final = "signs the tokens of a race, and nothing else"  # noqa: S105
HOT: Final = 5
"""Products that everybody wants."""
CUSTOMERS: Final = 20
CLEAN: Final = frozenset({"INSUFFICIENT_STOCK", "INVALID_TRANSITION", "OVER_RECEIPT", "VALIDATION"})
"""Refusals that a race may end in: somebody else was quicker."""
RETRYABLE: Final = frozenset({"OVERLOADED", "TIMEOUT"})
"""Codes after which a client asks again with the same key."""
LOOK_SECONDS: Final = 0.01
"""How often it is looked whether a gateway serves."""
LONGEST: Final = 3_600.0
"""Seconds after which clients that were not told are an error."""

DOCUMENTS: Final = {
    "place": "mutation($key: String!, $input: PlaceSalesOrderInput!) { told: placeSalesOrder("
    "idempotencyKey: $key, input: $input) { order { id number }"
    " shortages { sku requested available } E } }",
    "confirm": "mutation($key: String!, $id: ID!) { told: confirmSalesOrder("
    "idempotencyKey: $key, id: $id) { order { id } shortages { sku requested available } E } }",
    "reserve": "mutation($key: String!, $id: ID!, $all: Boolean!) { told: reserveOrder("
    "idempotencyKey: $key, id: $id, allOrNothing: $all) { order { id }"
    " shortages { sku requested available } E } }",
    "ship": "mutation($key: String!, $id: ID!, $lines: [ShipLineInput!]) { told: shipOrder("
    "idempotencyKey: $key, orderId: $id, lines: $lines) {"
    " shipment { number } moves { id qty product { sku } } E } }",
    "cancel": "mutation($key: String!, $id: ID!) { told: cancelSalesOrder("
    "idempotencyKey: $key, id: $id) { order { id } E } }",
    "return": "mutation($key: String!, $id: ID!, $lines: [ReturnLineInput!]!) { told: returnGoods("
    'idempotencyKey: $key, orderId: $id, lines: $lines, reason: "Race") {'
    " goodsReturn { number } moves { id qty product { sku } } reservedOrders { id } E } }",
    "receive": "mutation($key: String!, $id: ID!, $lines: [ReceiveLineInput!]!) { told:"
    " receiveGoods(idempotencyKey: $key, orderId: $id, lines: $lines) {"
    " receipt { number } moves { id qty product { sku } } reservedOrders { id } E } }",
    "adjust": "mutation($key: String!, $lines: [StockAdjustmentInput!]!) { told: adjustStock("
    "idempotencyKey: $key, lines: $lines) { moves { id } E } }",
    "buy": "mutation($key: String!, $supplier: ID!, $warehouse: ID!, $lines:"
    " [PurchaseLineInput!]!) { told: createPurchaseOrder(idempotencyKey: $key,"
    " supplierId: $supplier, warehouseId: $warehouse, lines: $lines) { order { id } E } }",
    "send": "mutation($key: String!, $id: ID!) { told: sendPurchaseOrder("
    "idempotencyKey: $key, id: $id) { order { id } E } }",
    "accept": "mutation($key: String!, $id: ID!) { told: confirmPurchaseOrder("
    "idempotencyKey: $key, id: $id) { order { id } E } }",
}
DOCUMENTS_SENT: Final = {
    verb: text.replace(" E }", " userErrors { code message } }") for verb, text in DOCUMENTS.items()
}


class RaceLost(Exception):
    """Something was not as promised; the text says what."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much happens."""

    buyers: int = 2_000
    connections: int = 16
    gateways: int = 4
    stock: int = 600
    """Opening stock of each product."""
    deliveries: int = 40
    """Deliveries of 5 units of each product."""
    replays: int = 500
    """Answers that are asked for again afterwards, at most."""
    kill_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Command:
    """What is asked for: a verb under a key of its own."""

    verb: str
    key: str
    variables: Mapping[str, Any]

    @property
    def body(self) -> bytes:
        """The request's body."""
        return orjson.dumps(
            {
                "query": DOCUMENTS_SENT[self.verb],
                "variables": {"key": self.key, **self.variables},
            }
        )


@dataclass(slots=True)
class Tally:
    """What clients saw."""

    told: dict[str, tuple[Command, bytes]] = field(default_factory=dict)
    """By key: what was asked, and the answer, of all that was done."""
    refused: Counter[str] = field(default_factory=Counter)
    """By code: clean refusals."""
    retried: Counter[str] = field(default_factory=Counter)
    """By reason: answers after which a client asked again."""
    dirty: list[str] = field(default_factory=list)
    """Answers that no client should ever see."""
    killed_at: list[float] = field(default_factory=list)
    """When gateways were killed, in seconds of any clock."""
    restarts: int = 0
    replayed: int = 0

    @property
    def killed(self) -> int:
        """How many gateways were killed."""
        return len(self.killed_at)

    @property
    def between_kills(self) -> list[float]:
        """Seconds from each kill to the next."""
        return [after - before for before, after in pairwise(self.killed_at)]


class Gateways:
    """Processes on ports of their own, each started again whenever it ends."""

    def __init__(self, count: int, environment: Mapping[str, str], log: Path) -> None:
        self._environment = {
            **{name: v for name, v in os.environ.items() if not name.startswith("GATEWAY_")},
            **environment,
        }
        self._log = log
        self.ports = [_free_port() for _ in range(count)]
        self.pids: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._nursery: asyncio.subprocess.Process | None = None
        self._asking = httpx2.AsyncClient(timeout=5)
        self.serving: dict[int, float] = {}
        """Since when each port that answers has done so."""

    async def __aenter__(self) -> Self:
        with self._log.open("ab") as log:
            self._nursery = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.nursery"),
                cwd=ROOT,
                env=self._environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        self._do(self._listen(self._nursery))
        for port in self.ports:
            self._start(port)
        await self.all_serve()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._asking.aclose()
        assert self._nursery is not None
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        await self._nursery.wait()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _start(self, port: int) -> None:
        assert self._nursery is not None
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(f"{port}\n".encode())

    async def _listen(self, nursery: asyncio.subprocess.Process) -> None:
        """Hear which processes began and ended, and start another one for each that did."""
        assert nursery.stdout is not None
        while line := (await nursery.stdout.readline()).decode():
            what, port, *pid = line.split()
            self.serving.pop(int(port), None)
            if what == "began":
                self.pids[int(port)] = int(pid[0])
                self._do(self._await(int(port), int(pid[0])))
            else:
                self.pids.pop(int(port), None)
                self._start(int(port))

    async def _await(self, port: int, pid: int) -> None:
        """Find out when a process serves."""
        while self.pids.get(port) == pid:
            try:
                answer = await self._asking.get(f"http://127.0.0.1:{port}/healthz")
                if answer.status_code == httpx2.codes.OK and self.pids.get(port) == pid:
                    self.serving[port] = monotonic()
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(LOOK_SECONDS)

    async def all_serve(self) -> None:
        """Wait until every process answers."""
        started = monotonic()
        while len(self.serving) < len(self.ports):
            if monotonic() - started > 180:
                raise RaceLost("The gateways did not start.")
            await asyncio.sleep(0.1)

    def kill_one(self) -> bool:
        """Kill the process that has served longest, whatever it does; tell whether there was one.

        Where none serves, as none can while the database is away, it is the one that began first.
        """
        if not self.pids:
            return False
        self.kill(min(self.serving or self.pids, key=lambda port: self.serving.get(port, 0)))
        return True

    def kill(self, port: int) -> None:
        """Kill the process that serves a port; another one is started for it."""
        self.serving.pop(port, None)
        os.kill(self.pids.pop(port), signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass(slots=True)
class Shop:
    """What is sold and to whom, how to ask for it, and what clients were told."""

    url: str
    owner: "asyncpg.Connection[Any]"
    headers: Mapping[str, str]
    gateways: Gateways
    scale: Scale
    chance: random.Random
    name: str
    tally: Tally = field(default_factory=Tally)
    skus: list[str] = field(default_factory=list)
    products: dict[int, str] = field(default_factory=dict)
    warehouse: int = 1
    customers: list[int] = field(default_factory=list)
    deadline: float = 0.0

    # --- asking

    async def ask(self, client: httpx2.AsyncClient, command: Command) -> Any:
        """Ask until somebody tells; return the payload."""
        body = command.body
        while True:
            if monotonic() > self.deadline:
                raise RaceLost(f"{command.verb} {command.key} was never answered.")
            ports = list(self.gateways.serving)
            if not ports:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            port = self.chance.choice(ports)
            try:
                answer = await client.post(f"http://127.0.0.1:{port}/graphql", content=body)
            except httpx2.TransportError as error:
                self.tally.retried[type(error).__name__] += 1
                await asyncio.sleep(LOOK_SECONDS)
                continue
            reason = self._reason_to_retry(answer)
            if reason is not None:
                self.tally.retried[reason] += 1
                await asyncio.sleep(self.chance.uniform(0.02, 0.1))
                continue
            return self._judge(command, answer)

    @staticmethod
    def _reason_to_retry(answer: Any) -> str | None:
        told = orjson.loads(answer.content)
        codes = {error["extensions"]["code"] for error in told.get("errors", ())}
        return ", ".join(sorted(codes)) if codes and codes <= RETRYABLE else None

    def _judge(self, command: Command, answer: Any) -> Any:
        """Write an answer down; it is what was asked for, or a clean refusal."""
        text = answer.content.decode()
        told = orjson.loads(answer.content)
        if "errors" in told or answer.status_code != httpx2.codes.OK:
            self.tally.dirty.append(f"{command.verb} {answer.status_code}: {text[:300]}")
            return None
        payload = told["data"]["told"]
        codes = {error["code"] for error in payload["userErrors"]}
        if "deadlock" in text or not codes <= CLEAN:
            self.tally.dirty.append(f"{command.verb}: {text[:300]}")
        if codes:
            self.tally.refused.update(codes)
            return None
        self.tally.told[command.key] = (command, answer.content)
        return payload

    # --- what there is

    async def open(self, client: httpx2.AsyncClient) -> list[Command]:
        """Make the products and their stock, and purchases to be delivered; return deliveries."""
        rows = await self.owner.fetch(
            """insert into product (sku, name, category_id, uom_id, list_price, list_currency)
               select $1 || '-' || n, $1 || '-' || n, (select min(id) from product_category),
                      (select id from unit_of_measure where code = 'PCE'), 1, 'EUR'
               from generate_series(1, $2::int) n returning id, sku""",
            f"RACE-{self.name}",
            HOT,
        )
        self.products = {row["id"]: row["sku"] for row in rows}
        self.skus = list(self.products.values())
        place = await self.owner.fetchval(
            """select min(id) from stock_location where warehouse_id = $1 and sellable
               and kind = 'INTERNAL' and archived_at is null""",
            self.warehouse,
        )
        self.customers = [
            row["partner_id"]
            for row in await self.owner.fetch(
                """select o.partner_id from sales_order o join partner p on p.id = o.partner_id
                   where o.company_id = 1 and p.archived_at is null and p.is_customer
                   group by 1 order by count(*) desc, 1 limit $1""",
                CUSTOMERS,
            )
        ]
        supplier = await self.owner.fetchval(
            """select o.partner_id from purchase_order o join partner p on p.id = o.partner_id
               where o.company_id = 1 and p.archived_at is null group by 1 order by 1 limit 1"""
        )
        await self.owner.execute(
            "update partner_company set credit_limit = null, blocked_at = null"
        )
        await self.owner.execute("update company set purchase_approval_from = null")
        opening = [
            {
                "sku": sku,
                "locationId": encode_id("StockLocation", place),
                "delta": str(self.scale.stock),
                "reason": "Opening",
            }
            for sku in self.skus
        ]
        await self.ask(client, Command("adjust", f"{self.name} opening", {"lines": opening}))
        deliveries = []
        for number in range(-(-self.scale.deliveries // 10)):
            bought = await self.ask(
                client,
                Command(
                    "buy",
                    f"{self.name} buy {number}",
                    {
                        "supplier": encode_id("Partner", supplier),
                        "warehouse": encode_id("Warehouse", self.warehouse),
                        "lines": [
                            {"sku": sku, "qty": "50", "unitPrice": "1"}
                            for sku in self.chance.sample(self.skus, HOT)
                        ],
                    },
                ),
            )
            id_ = bought["order"]["id"]
            for verb in ("send", "accept"):
                await self.ask(client, Command(verb, f"{self.name} {verb} {number}", {"id": id_}))
            lines = await self.owner.fetch(
                "select id from purchase_order_line where order_id = $1",
                decode_id(id_, "PurchaseOrder"),
            )
            # one more than there is to come: it is refused
            for turn in range(11):
                came = [
                    {"purchaseOrderLineId": encode_id("PurchaseOrderLine", row["id"]), "qty": "5"}
                    for row in self.chance.sample(lines, len(lines))
                ]
                deliveries.append(
                    Command(
                        "receive",
                        f"{self.name} receive {number} {turn}",
                        {"id": id_, "lines": came},
                    )
                )
        return deliveries

    def basket(self, number: int) -> Command:
        """Return what a buyer orders: unsorted lines, often several of one product."""
        lines = [
            {"sku": self.chance.choice(self.skus), "qty": str(self.chance.randint(1, 3))}
            for _ in range(self.chance.randint(1, 4))
        ]
        if self.chance.random() < 0.3:
            lines.append(dict(self.chance.choice(lines)))
        return Command(
            "place",
            f"{self.name} place {number}",
            {
                "input": {
                    "partnerId": encode_id("Partner", self.chance.choice(self.customers)),
                    "warehouseId": encode_id("Warehouse", self.warehouse),
                    "customerRef": f"{self.name} {number}",
                    "confirm": number % 4 != 0,
                    "lines": lines,
                }
            },
        )

    async def next_of(self, command: Command, payload: Any) -> list[Command]:
        """Return what is asked for next, by whoever comes first, perhaps at the same time."""
        key = command.key.replace(command.verb, "{}", 1)
        if command.verb == "place":
            id_ = payload["order"]["id"]
            number = int(command.key.rpartition(" ")[2])
            after = ["confirm", "confirm"] if not command.variables["input"]["confirm"] else []
            after += {
                0: ["ship", "cancel"],
                1: ["ship"],
                2: ["cancel"],
                3: ["reserve", "ship"],
                4: ["ship", "ship", "reserve"],
            }.get(number % 10, [])
            return [
                Command(
                    verb,
                    f"{key.format(verb)} {turn}",
                    {"id": id_, **({"all": number % 2 == 0} if verb == "reserve" else {})},
                )
                for turn, verb in enumerate(after)
            ]
        if command.verb == "ship" and self.chance.random() < 0.3:
            order_id = decode_id(command.variables["id"], "SalesOrder")
            line = await self.owner_fetchrow(
                "select id from sales_order_line where order_id = $1 and shipped > 0 limit 1",
                order_id,
            )
            back = {
                "salesOrderLineId": encode_id("SalesOrderLine", line["id"]),
                "qty": "1",
                "disposition": self.chance.choice(["RESTOCK", "INSPECT", "SCRAP"]),
            }
            given = {"id": command.variables["id"], "lines": [back]}
            # twice at once: of one unit the second may not come back
            return [Command("return", f"{key.format('return')} {n}", given) for n in range(2)]
        return []

    async def owner_fetchrow(self, sql: str, *arguments: Any) -> Any:
        """Look into the database on a connection of the moment: it may have been restarted."""
        while True:
            try:
                connection = await asyncpg.connect(self.url)
                try:
                    return await connection.fetchrow(sql, *arguments)
                finally:
                    await connection.close()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if monotonic() > self.deadline:
                    raise
                await asyncio.sleep(0.2)

    async def run(self, commands: Sequence[Command]) -> None:
        """Ask for everything and what follows from it, over so many connections at once."""
        waiting = list(commands)
        busy = 0

        async def one() -> None:
            nonlocal busy
            limits = httpx2.Limits(max_connections=1)
            async with httpx2.AsyncClient(
                headers=self.headers, timeout=60, limits=limits
            ) as client:
                while waiting or busy:
                    if not waiting:
                        await asyncio.sleep(0.01)
                        continue
                    command = waiting.pop()
                    busy += 1
                    try:
                        payload = await self.ask(client, command)
                        if payload is not None:
                            for follow in await self.next_of(command, payload):
                                waiting.insert(self.chance.randint(0, len(waiting)), follow)
                                # near the end of the list, that is soon
                                if self.chance.random() < 0.5:
                                    waiting.append(waiting.pop(waiting.index(follow)))
                    finally:
                        busy -= 1

        async with asyncio.TaskGroup() as group:
            for _ in range(self.scale.connections):
                group.create_task(one())

    # --- was it right

    async def sell_the_rest(self) -> None:
        """Promise what canceled orders left to those that still wait, until nothing is left."""
        for turn in range(5):
            rows = await self.owner.fetch(
                """select distinct l.order_id from sales_order_line l
                   join sales_order o on o.id = l.order_id
                   join stock_level s on s.product_id = l.product_id
                    and s.warehouse_id = o.warehouse_id
                   where l.product_id = any($1) and o.state = 'CONFIRMED' and o.hold is null
                     and l.quantity - l.shipped - l.canceled - l.reserved > 0
                     and s.on_hand > s.reserved order by 1""",
                list(self.products),
            )
            if not rows:
                return
            await self.run(
                [
                    Command(
                        "reserve",
                        f"{self.name} rest {turn} {row['order_id']}",
                        {"id": encode_id("SalesOrder", row["order_id"]), "all": False},
                    )
                    for row in rows
                ]
            )

    async def ask_again(self) -> None:
        """Ask for what was done once more: each answer is what it was, byte for byte."""
        kept = list(self.tally.told.values())
        asked = self.chance.sample(kept, min(len(kept), self.scale.replays))
        async with httpx2.AsyncClient(headers=self.headers, timeout=60) as client:
            for command, before in asked:
                answer = await client.post(
                    f"http://127.0.0.1:{self.chance.choice(list(self.gateways.serving))}/graphql",
                    content=command.body,
                )
                if answer.content != before:
                    self.tally.dirty.append(
                        f"{command.key}: {before[:200]!r}, asked again: {answer.content[:200]!r}"
                    )
                self.tally.replayed += 1

    async def sold(self) -> list[tuple[str, Decimal, Decimal, Decimal]]:
        """Return of each product what there was, what was sold, and what is left and wanted."""
        rows = await self.owner.fetch(
            """with moved as (
                 select m.product_id,
                   coalesce(sum(m.quantity) filter (where t.warehouse_id = $2 and t.sellable), 0)
                     as came,
                   coalesce(sum(m.quantity) filter (where m.kind = 'SHIPMENT'), 0) as shipped
                 from stock_move m join stock_location t on t.id = m.to_location_id
                 where m.product_id = any($1) group by 1),
               wanted as (
                 select l.product_id, sum(l.reserved) as reserved, sum(l.shipped) as shipped,
                   coalesce(sum(l.quantity - l.shipped - l.canceled - l.reserved)
                     filter (where o.state = 'CONFIRMED'), 0) as waiting
                 from sales_order_line l join sales_order o on o.id = l.order_id
                 where l.product_id = any($1) group by 1)
               select p.sku, m.came, w.reserved + w.shipped as sold, m.shipped as moved,
                      w.shipped, s.on_hand - s.reserved as free, w.waiting
               from product p join moved m on m.product_id = p.id
               join wanted w on w.product_id = p.id
               join stock_level s on s.product_id = p.id and s.warehouse_id = $2 order by 1""",
            list(self.products),
            self.warehouse,
        )
        found = []
        for row in rows:
            if row["came"] - row["sold"] != row["free"] or row["moved"] != row["shipped"]:
                self.tally.dirty.append(f"{row['sku']}: {dict(row)}")
            if row["free"] < 0 or (row["free"] > 0 and row["waiting"] > 0):
                self.tally.dirty.append(f"{row['sku']} is not sold as it should be: {dict(row)}")
            found.append((row["sku"], row["came"], row["sold"], row["free"]))
        return found

    async def once(self) -> None:
        """Check that what was told is there exactly once, and nothing else is."""
        start = f"{self.name} "
        rows = await self.owner.fetch(
            "select key, response is null as unanswered from idempotency_key"
            " where starts_with(key, $1)",
            start,
        )
        kept = {row["key"] for row in rows}
        if kept != set(self.tally.told) or any(row["unanswered"] for row in rows):
            odd = sorted(kept ^ set(self.tally.told))
            self.tally.dirty.append(
                f"keys that were told and are not there, or not told: {odd[:9]}"
            )
        orders = await self.owner.fetch(
            "select customer_ref, count(*) from sales_order where starts_with(customer_ref, $1)"
            " group by 1",
            start,
        )
        told = sum(command.verb == "place" for command, _ in self.tally.told.values())
        if len(orders) != told or any(row["count"] != 1 for row in orders):
            self.tally.dirty.append(f"{told} orders were told, {len(orders)} are there")
        rows = await self.owner.fetch(
            "select regexp_replace(idempotency, '^[^:]+:[^:]+:(.*):[0-9]+$', '\\1') as key,"
            " array_agg(id order by id) as ids from stock_move where product_id = any($1)"
            " group by 1",
            list(self.products),
        )
        moved = {row["key"]: [encode_id("StockMove", id_) for id_ in row["ids"]] for row in rows}
        said = {}
        for key, (_, answer) in self.tally.told.items():
            payload = orjson.loads(answer)["data"]["told"]
            if payload.get("moves"):
                said[key] = payload["moves"]
        if {k: sorted(ids) for k, ids in moved.items()} != {
            k: sorted(move["id"] for move in moves) for k, moves in said.items()
        }:
            self.tally.dirty.append("the ledger has other moves than were told")


@dataclass(frozen=True, slots=True)
class Finish:
    """How a race ended."""

    name: str
    scale: Scale
    tally: Tally
    products: list[tuple[str, Decimal, Decimal, Decimal]]
    deadlocks: int
    """Deadlocks that PostgreSQL broke, and the gateway began again."""
    invariants: int
    broken: list[str]
    seconds: float

    @property
    def wrong(self) -> list[str]:
        """What was not as promised."""
        return [*self.tally.dirty, *(f"{name} does not hold" for name in self.broken)]


async def race(
    url: str,
    name: str,
    scale: Scale,
    *,
    log: Path,
    serving_url: str | None = None,
    kills: bool = False,
    restarts: Sequence[Callable[[], Awaitable[None]]] = (),
    seed_number: int = 7,
) -> Finish:
    """Let buyers race for a few products of a database; return how it ended.

    With ``kills`` a gateway is killed every second; each of ``restarts`` is called once, when a
    third of the commands are done, and two thirds.
    """
    started = monotonic()
    environment = {
        "GATEWAY_ENVIRONMENT": "test",
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_SERVING_DATABASE_URL": serving_url or url,
        "GATEWAY_JWT_SECRET": SECRET,
        "GATEWAY_LOG_LEVEL": "error",
        "GATEWAY_READ_POOL_SIZE": "6",
        "GATEWAY_WRITE_POOL_SIZE": "6",
    }
    token = issue_user_token(
        Settings(jwt_secret=SecretStr(SECRET)), USER, timedelta(hours=2), system_clock
    )
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(url)
        code = await owner.fetchval("select code from company where id = 1")
        headers = {
            "authorization": f"Bearer {token}",
            "x-company": code,
            "content-type": "application/json",
        }
        gateways = await stack.enter_async_context(Gateways(scale.gateways, environment, log))
        shop = Shop(url, owner, headers, gateways, scale, random.Random(seed_number), name)
        shop.deadline = monotonic() + LONGEST
        async with httpx2.AsyncClient(headers=headers, timeout=60) as client:
            commands = await shop.open(client)
        await owner.close()  # it would not survive a restart
        commands += [shop.basket(number) for number in range(scale.buyers)]
        shop.chance.shuffle(commands)
        trouble = asyncio.create_task(_trouble(shop, len(commands), kills=kills, restarts=restarts))
        try:
            await shop.run(commands)
        finally:
            trouble.cancel()
            with suppress(asyncio.CancelledError):
                await trouble
        await gateways.all_serve()
        shop.owner = await asyncpg.connect(url)
        stack.push_async_callback(shop.owner.close)
        await shop.sell_the_rest()
        await shop.ask_again()
        products = await shop.sold()
        await shop.once()
        deadlocks = await shop.owner.fetchval(
            "select deadlocks from pg_stat_database where datname = current_database()"
        )
    results = await verify(url)
    broken = [result.invariant.name for result in results if not result.holds]
    return Finish(
        name,
        scale,
        shop.tally,
        products,
        deadlocks,
        len(results),
        broken,
        monotonic() - started,
    )


async def _trouble(
    shop: Shop, commands: int, *, kills: bool, restarts: Sequence[Callable[[], Awaitable[None]]]
) -> None:
    """Kill and restart, for as long as the race lasts."""

    async def kill() -> None:
        due = monotonic()
        while True:
            due = max(due + shop.scale.kill_seconds, monotonic())
            await asyncio.sleep(due - monotonic())
            while not shop.gateways.kill_one():  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)
            shop.tally.killed_at.append(monotonic())

    async def restart() -> None:
        for number, one in enumerate(restarts, 1):
            while len(shop.tally.told) < commands * number / (len(restarts) + 1):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await one()
            shop.tally.restarts += 1

    async with asyncio.TaskGroup() as group:
        if kills:
            group.create_task(kill())
        group.create_task(restart())


# --- the whole thing


def page(finishes: Sequence[Finish]) -> str:
    """Return what happened as Markdown."""
    scale = finishes[0].scale
    rows: list[tuple[str, Callable[[Finish], str]]] = [
        ("Buyers", lambda f: f"{f.scale.buyers:,}"),
        ("Gateways killed with SIGKILL", lambda f: f"{f.tally.killed:,}"),
        (
            "Seconds from the first kill to the last",
            lambda f: _of(f.tally.between_kills, sum, ",.0f"),
        ),
        (
            "Seconds from a kill to the next, on average",
            lambda f: _of(f.tally.between_kills, fmean),
        ),
        ("Seconds from a kill to the next, at most", lambda f: _of(f.tally.between_kills, max)),
        ("PostgreSQL restarted", lambda f: f"{f.tally.restarts:,}"),
        ("Commands acknowledged", lambda f: f"{len(f.tally.told):,}"),
        ("Refused, cleanly", lambda f: f"{f.tally.refused.total():,}"),
        ("Asked again with the same key", lambda f: f"{f.tally.retried.total():,}"),
        ("There was to sell", lambda f: f"{sum(p[1] for p in f.products):,.0f}"),
        ("Sold", lambda f: f"{sum(p[2] for p in f.products):,.0f}"),
        ("Left, which nobody waits for", lambda f: f"{sum(p[3] for p in f.products):,.0f}"),
        ("Deadlocks seen by clients", lambda f: f"{sum('deadlock' in d for d in f.tally.dirty)}"),
        ("Deadlocks broken by PostgreSQL", lambda f: f"{f.deadlocks:,}"),
        ("Answers asked for again, equal byte for byte", lambda f: f"{f.tally.replayed:,}"),
        ("Invariants that hold", lambda f: f"{f.invariants - len(f.broken)} of {f.invariants}"),
        ("Anything not as promised", lambda f: f"{len(f.wrong)}"),
        ("Seconds", lambda f: f"{f.seconds:,.0f}"),
    ]
    lines = [
        "# Races for stock",
        "",
        "Written by `python -m benchmarks.races --publish`, which says how it is done.",
        "",
        f"Over {scale.connections} connections and {scale.gateways} gateways, for {HOT} products.",
        "Unsorted baskets with several lines of one product; orders are placed, confirmed,",
        "reserved, shipped, canceled and returned while deliveries come in, some of it at once.",
        "Each second the gateway is killed that has served longest, whatever it does. Where none",
        "serves, as none can start while PostgreSQL is away, it is the one that began first.",
        "",
        f"| | {' | '.join(f.name for f in finishes)} |",
        f"| --- | {' | '.join('---:' for _ in finishes)} |",
        *(f"| {what} | {' | '.join(tell(f) for f in finishes)} |" for what, tell in rows),
        "",
        "Refusals by code, and why clients asked again:",
        "",
        *(
            f"- {finish.name}: {_told(finish.tally.refused)}; asked again: "
            f"{_told(finish.tally.retried)}"
            for finish in finishes
        ),
        "",
    ]
    return "\n".join(lines)


def _of(
    seconds: Sequence[float], what: Callable[[Sequence[float]], float], how: str = ".2f"
) -> str:
    return format(what(seconds), how) if seconds else ""


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"


async def prepare(url: str) -> None:
    """Migrate and fill a database."""
    await migrate(url)
    await seed(url, "small", today=TODAY)


def scale_of(buyers: int) -> Scale:
    """Return a race in which so many buyers want more than there is."""
    share = buyers / Scale().buyers
    return Scale(buyers=buyers, stock=int(600 * share), deliveries=max(10, int(40 * share)))


async def run(
    server: EmbeddedPostgres, data_dir: Path, in_peace: Scale, in_trouble: Scale, say: Any
) -> list[Finish]:
    """Race once in peace, and once while gateways are killed and PostgreSQL is restarted."""
    cluster = Cluster.in_data_dir(data_dir)
    database = f"races_{os.getpid()}"
    await asyncio.to_thread(server.create_database, database)
    url = server.url(database)
    await prepare(url)

    async def crash() -> None:
        say("PostgreSQL crashes")
        pid = cluster.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)  # its keeper starts it again
        await asyncio.sleep(1)
        await answers(url)

    async def restart() -> None:
        say("PostgreSQL is restarted")
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(1)
        await asyncio.to_thread(server.start)

    log = data_dir / "gateways.log"
    try:
        finishes = []
        for name, scale, troubles in (
            ("In peace", in_peace, {}),
            ("With kills", in_trouble, {"kills": True, "restarts": [crash, restart]}),
        ):
            say(name)
            finishes.append(await race(url, name, scale, log=log, **troubles))  # type: ignore[arg-type]
        return finishes
    finally:
        await asyncio.to_thread(server.drop_database, database)


async def answers(url: str) -> None:
    """Wait until the database answers.

    Raises:
        RaceLost: it did not come back.

    """
    for _ in range(600):
        try:
            await (await asyncpg.connect(url)).close()
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.1)
        else:
            return
    raise RaceLost("PostgreSQL did not come back.")


def main(arguments: Sequence[str]) -> int:
    """Race and print; with ``--publish`` write the page. Return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.races")
    parser.add_argument("--buyers", type=int, default=Scale().buyers)
    parser.add_argument("--buyers-with-kills", type=int, help="in the second round; else as many")
    parser.add_argument("--data-dir", type=Path, default=Path(".data/bench-races"))
    parser.add_argument("--publish", action="store_true", help="replace benchmarks/RACES.md")
    options = parser.parse_args(arguments)
    in_peace = scale_of(options.buyers)
    in_trouble = scale_of(options.buyers_with_kills or options.buyers)
    steps = Steps()
    with EmbeddedPostgres(options.data_dir, progress=steps.say) as server:
        work = run(server, options.data_dir, in_peace, in_trouble, steps.say)
        finishes = asyncio.run(work)
    text = page(finishes)
    print(text)
    wrong = [one for finish in finishes for one in finish.wrong]
    for one in wrong[:50]:
        print(f"wrong: {one}", file=sys.stderr)
    if options.publish:
        PUBLISHED.write_text(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Writes: ``python -m benchmarks.writes``. The gateway over HTTP beside SQL by hand.

Products by tens of thousands beside COPY and an upsert; reservations, each with its key, its trail
and its events, beside the database function called by hand; orders taken. The gateway is one
process; PostgreSQL and the clients share the machine with it.
"""

import argparse
import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final, get_args

import asyncpg
import httpx2
import orjson
import uvloop
from pydantic import SecretStr

from benchmarks.asking import Client, client
from benchmarks.database import USER, Database, copy_of, open_database
from gateway.importing import Imported, import_file
from gateway.postgres import EmbeddedPostgresError
from gateway.seeding.sizes import SizeName
from gateway.settings import Settings
from gateway.steps import Steps
from gateway.tokens import issue_user_token
from resolvers.core.bulk import OnError
from resolvers.core.clock import system_clock
from resolvers.core.principal import STAFF_ROLE
from schema.core.ids import encode_id

PUBLISHED: Final = Path(__file__).parent / "WRITES.md"
SECRET: Final = "signs the tokens of a benchmark, and nothing else"  # noqa: S105
PRODUCTS: Final = 50_000
AT_ONCE: Final = 1_000
MOST_BYTES: Final = 32 * 1024 * 1024
"""What the gateway lets one request be, so that all products fit in."""
IN_FLIGHT: Final = 2
"""Requests with products that are on their way at once."""
CLIENTS: Final = 16
LINES: Final = 3
"""Lines of an order that reserves."""
HOT: Final = 5
"""Products that all hot orders are of."""
ORDERS: Final = 1_500
ROUNDS: Final = 3

UPSERT = """
mutation Upsert($key: String!, $rows: [ProductUpsertInput!]!,
                $onError: OnError! = REJECT_EVERYTHING) {
  upsertProducts(idempotencyKey: $key, rows: $rows, onError: $onError) {
    accepted userErrors { message }
  }
}
"""
RESERVE = """
mutation Reserve($key: String!, $id: ID!) {
  reserveOrder(idempotencyKey: $key, id: $id) { order { version } userErrors { message } }
}
"""
PLACE = """
mutation Place($key: String!, $input: PlaceSalesOrderInput!) {
  placeSalesOrder(idempotencyKey: $key, input: $input) { order { number } userErrors { message } }
}
"""
BY_HAND = """
insert into product as p (sku, name, category_id, uom_id, list_price, list_currency)
select s.sku, s.name, c.id, u.id, s.price, 'EUR'
from hand s join product_category c on c.code = s.category join unit_of_measure u on u.code = s.uom
on conflict (sku) where archived_at is null do update set name = excluded.name,
  category_id = excluded.category_id, uom_id = excluded.uom_id, list_price = excluded.list_price,
  version = p.version + 1, updated_at = now()
where (p.name, p.category_id, p.uom_id, p.list_price)
  is distinct from (excluded.name, excluded.category_id, excluded.uom_id, excluded.list_price)
"""
MADE_ORDERS = """
with made as (
  insert into sales_order (company_id, number, state, partner_id, warehouse_id, currency, placed_on,
                           confirmed_at)
  select 1, 'BENCH-' || $1 || '-' || n, 'CONFIRMED',
         (select min(partner_id) from sales_order where company_id = 1), 1, 'EUR', current_date,
         now()
  from generate_series(1, $2) n returning id, partner_id, placed_on,
    split_part(number, '-', 3)::int as n)
insert into sales_order_line (company_id, partner_id, order_id, position, product_id, description,
                              uom_id, currency, quantity, unit_price, net, placed_on, warehouse_id)
select 1, m.partner_id, m.id, x.position, x.product_id, 'Bench', 1, 'EUR', 1, 0, 0, m.placed_on, 1
from made m join unnest($3::int[], $4::int[], $5::bigint[]) as x (n, position, product_id) using (n)
returning order_id
"""
LAST_JOB = "select state from job where kind = 'upsert-products' order by id desc limit 1"
PROVEN = """
insert into job (company_id, kind, created_by, state, started_at, finished_at)
values (1, 'verify', 'benchmark', 'SUCCEEDED', now(), now())
"""
"""So that the worker does not prove the invariants while it is measured."""
PLENTY = """
update stock_level set on_hand = on_hand + 1000000 where warehouse_id = 1;
update stock_balance b set on_hand = b.on_hand + 1000000 from (
  select distinct on (b.product_id) b.id from stock_balance b
  join stock_location l on l.id = b.location_id
  where l.warehouse_id = 1 and l.sellable and b.lot_id is null order by b.product_id, b.id) x
where b.id = x.id;
"""


class WrongAnswer(Exception):
    """The gateway did not do what it was asked for."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway, and how to ask it."""

    client: Client

    async def ask(self, body: bytes) -> Any:
        """Ask, and return the payload of the one field.

        Raises:
            WrongAnswer: it was refused, or failed.

        """
        told = orjson.loads(await self.client.ask(body))
        if "errors" in told:
            raise WrongAnswer(str(told["errors"])[:500])
        [payload] = told["data"].values()
        if payload["userErrors"]:
            raise WrongAnswer(str(payload["userErrors"])[:500])
        return payload


@contextmanager
def running(database: Database, *arguments: str) -> Iterator[None]:
    """Run a command of the gateway on a database for as long as the block lasts."""
    environment = {name: v for name, v in os.environ.items() if not name.startswith("GATEWAY_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments],
        env={
            **environment,
            "GATEWAY_ENVIRONMENT": "test",
            "GATEWAY_DATABASE_URL": database.owner_url,
            "GATEWAY_SERVING_DATABASE_URL": database.serving_url,
            "GATEWAY_JWT_SECRET": SECRET,
            "GATEWAY_LOG_LEVEL": "error",
            "GATEWAY_MAX_BODY_BYTES": str(MOST_BYTES),
        },
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@asynccontextmanager
async def running_gateway(database: Database) -> AsyncIterator[Gateway]:
    """Serve a database with one process for as long as the block lasts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = issue_user_token(
        Settings(jwt_secret=SecretStr(SECRET)), USER, timedelta(hours=2), system_clock
    )
    with running(database, "serve", "--port", str(port)):
        async with httpx2.AsyncClient() as looking:
            for _ in range(200):
                try:
                    answer = await looking.get(f"http://127.0.0.1:{port}/readyz")
                    if answer.status_code == httpx2.codes.OK:
                        break
                except httpx2.TransportError:
                    pass
                await asyncio.sleep(0.1)
        async with client(port, token) as asking:
            yield Gateway(asking)


async def seconds_of(run: Callable[[], Awaitable[Any]]) -> float:
    """Return how long something takes."""
    started = perf_counter()
    await run()
    return perf_counter() - started


async def in_flight(count: int, work: Sequence[Callable[[], Awaitable[Any]]]) -> None:
    """Do all of ``work``, so many at once."""
    left = list(reversed(work))

    async def one() -> None:
        while left:
            await left.pop()()

    await asyncio.gather(*(one() for _ in range(count)))


def _asks(gateway: Gateway, document: str, variables: Sequence[Any]) -> list[Any]:
    bodies = [orjson.dumps({"query": document, "variables": one}) for one in variables]
    return [lambda body=body: gateway.ask(body) for body in bodies]


Rows = list[dict[str, str]]
Way = Callable[[str, Rows], Awaitable[None]]
"""Writes rows in one of the ways there are; the text is another one each time."""


def product_rows(start: str, count: int, category: str, price: str) -> Rows:
    """Return rows as the API takes them, with SKUs that begin with ``start``."""
    return [
        {
            "sku": f"{start}-{n:06}",
            "name": f"Product {n}",
            "categoryCode": category,
            "uom": "PCE",
            "listPrice": price,
        }
        for n in range(count)
    ]


def by_requests(gateway: Gateway) -> Way:
    """Return the way of many requests."""

    async def write(key: str, rows: Rows) -> None:
        parts = [(n, rows[n : n + AT_ONCE]) for n in range(0, len(rows), AT_ONCE)]
        variables = [{"key": f"{key} {first}", "rows": part} for first, part in parts]
        await in_flight(IN_FLIGHT, _asks(gateway, UPSERT, variables))

    return write


def by_job(gateway: Gateway, owner: Any, on_error: OnError) -> Way:
    """Return the way of one request, until the worker has done it."""

    async def write(key: str, rows: Rows) -> None:
        [ask] = _asks(gateway, UPSERT, [{"key": key, "rows": rows, "onError": on_error}])
        await ask()
        state = "QUEUED"
        while state in {"QUEUED", "RUNNING"}:
            await asyncio.sleep(0.01)
            state = await owner.fetchval(LAST_JOB)
        if state != "SUCCEEDED":
            raise WrongAnswer(f"The job is {state}.")

    return write


def by_import(database: Database, company: str, folder: Path) -> Way:
    """Return the way of a file, read in this process."""
    settings = Settings(
        database_url=SecretStr(database.owner_url),
        serving_database_url=SecretStr(database.serving_url),
    )

    async def write(key: str, rows: Rows) -> None:
        file = folder / f"{key}.jsonl"
        file.write_bytes(b"\n".join(map(orjson.dumps, rows)))
        report = await import_file(
            settings, Imported.PRODUCTS, file, company=company, on_error=OnError.REJECT_EVERYTHING
        )
        if report.accepted != len(rows):
            raise WrongAnswer(f"{report.refused} rows were refused.")

    return write


def by_hand(connection: Any) -> Way:
    """Return the way of somebody who knows SQL."""

    async def write(key: str, rows: Rows) -> None:
        del key
        names = ("sku", "name", "categoryCode", "uom")
        records = [(*(row[name] for name in names), Decimal(row["listPrice"])) for row in rows]
        async with connection.transaction():
            await connection.execute(
                "create temp table hand (sku text, name text, category text, uom text,"
                " price numeric) on commit drop"
            )
            await connection.copy_records_to_table("hand", records=records)
            await connection.execute(BY_HAND)

    return write


async def upserts(
    database: Database, owner: Any, gateway: Gateway, category: str
) -> list[tuple[str, ...]]:
    """Measure products that are new, unchanged and changed: in every way there is, and by hand."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(
        database.serving_url,
        server_settings={"role": STAFF_ROLE, "app.company_id": str(database.company_id)},
    )
    company = await owner.fetchval("select code from company where id = $1", database.company_id)
    hand = by_hand(connection)
    await owner.execute(PROVEN)
    table = []
    with TemporaryDirectory() as folder, running(database, "worker"):
        job = by_job(gateway, owner, OnError.REJECT_EVERYTHING)
        partly = by_job(gateway, owner, OnError.REJECT_FAILED_ROWS)
        await job("warm", product_rows("WARM", AT_ONCE + 1, category, "1"))
        for way, ours in (
            ("", by_requests(gateway)),
            (", one job", job),
            (", one job of the good ones", partly),
            (", one file", by_import(database, company, Path(folder))),
        ):
            for what, price in (("new", "1.5"), ("unchanged", "1.5"), ("changed", "2.5")):
                seconds = []
                for side, write in (("OURS", ours), ("HAND", hand)):
                    rows = product_rows(f"{side}{way}", PRODUCTS, category, price)
                    key = f"{what}{way}"
                    seconds.append(await seconds_of(lambda w=write, k=key, r=rows: w(k, r)))
                here, there = seconds
                name = f"{PRODUCTS:,} products, {what}{way}"
                table.append((name, f"{here:.1f} s", f"{there:.1f} s", f"{here / there:.2f} x"))
    await connection.close()
    return table


async def baskets(owner: Any, kind: str) -> list[list[int]]:
    """Return the products of orders: of a few that all want, or of many, some wanted more."""
    found = await owner.fetch(
        """select l.product_id from stock_level l join product p on p.id = l.product_id
           where l.warehouse_id = 1 and p.archived_at is null and p.tracking = 'NONE'
           order by l.product_id"""
    )
    products = [row["product_id"] for row in found]
    rng = random.Random(7)
    if kind == "hot":
        return [rng.sample(products[:HOT], LINES) for _ in range(ORDERS)]
    weights = [1 / (rank + 1) ** 1.05 for rank in range(len(products))]
    made = []
    for _ in range(ORDERS):
        basket: dict[int, None] = {}
        while len(basket) < LINES:
            basket.update(dict.fromkeys(rng.choices(products, weights, k=1)))
        made.append(list(basket))
    return made


async def reservations(
    database: Database, owner: Any, gateway: Gateway, kind: str
) -> tuple[str, ...]:
    """Measure reservations per second, here and by the function called by hand, in turns."""
    # no pool, which would reset each connection after each call
    lent: asyncio.Queue[asyncpg.Connection[Any]] = asyncio.Queue()
    for _ in range(CLIENTS):
        scope = {"role": STAFF_ROLE, "app.company_id": "1"}
        lent.put_nowait(await asyncpg.connect(database.serving_url, server_settings=scope))
    wanted = await baskets(owner, kind)
    ours, theirs = [], []
    for number in range(ROUNDS):
        columns = [
            (n, position, product)
            for n, basket in enumerate(wanted, start=1)
            for position, product in enumerate(basket, start=1)
        ]
        made = await owner.fetch(
            MADE_ORDERS, f"{kind}{number}", len(wanted), *map(list, zip(*columns, strict=True))
        )
        ids = sorted({row["order_id"] for row in made})
        variables = [
            {"key": f"{kind} {number} {id_}", "id": encode_id("SalesOrder", id_)} for id_ in ids
        ]
        asks = _asks(gateway, RESERVE, variables)
        levels = {
            row["product_id"]: row["id"]
            for row in await owner.fetch(
                "select id, product_id from stock_level where warehouse_id = 1"
            )
        }

        def call(place: int, basket: list[int], number: int = number, levels: Any = levels) -> Any:
            async def run() -> None:
                connection = lent.get_nowait()
                await connection.fetch(
                    "select * from reserve_stock($1::bigint[], $2::numeric[], 'CART',"
                    " $3::bigint[], true)",
                    [levels[product] for product in basket],
                    [Decimal(1)] * LINES,
                    [number * 10**7 + place * 10 + n for n in range(LINES)],
                )
                lent.put_nowait(connection)

            return run

        calls = [call(place, basket) for place, basket in enumerate(wanted)]
        for work, kept in ((asks, ours), (calls, theirs))[:: 1 if number % 2 else -1]:
            kept.append(len(work) / await seconds_of(lambda work=work: in_flight(CLIENTS, work)))
    while not lent.empty():
        await lent.get_nowait().close()
    ratio = median(one / other for one, other in zip(ours, theirs, strict=True))
    return (
        f"Reservations of {LINES} lines, {kind}",
        f"{median(ours):,.0f} / s",
        f"{median(theirs):,.0f} / s",
        f"{ratio:.2f} x",
    )


async def orders(owner: Any, gateway: Gateway) -> tuple[str, ...]:
    """Measure orders that are placed and confirmed, per second."""
    partner = await owner.fetchval(
        """select o.partner_id from sales_order o join partner p on p.id = o.partner_id
           where o.company_id = 1 and p.archived_at is null and o.partner_id not in (
             select partner_id from partner_company where blocked_at is not null)
           group by 1 order by count(*) desc limit 1"""
    )
    await owner.execute("update partner_company set credit_limit = null")
    skus = dict(await owner.fetch("select id, sku from product"))
    variables = [
        {
            "key": f"place {number}",
            "input": {
                "partnerId": encode_id("Partner", partner),
                "warehouseId": encode_id("Warehouse", 1),
                "confirm": True,
                "lines": [{"sku": skus[product], "qty": "1"} for product in basket],
            },
        }
        for number, basket in enumerate(await baskets(owner, "Zipf"))
    ]
    asks = _asks(gateway, PLACE, variables)
    taken = len(asks) / await seconds_of(lambda: in_flight(CLIENTS, asks))
    return (f"Orders of {LINES} lines, placed and reserved", f"{taken:,.0f} / s", "", "")


async def measure(database: Database, say: Callable[[str], None]) -> list[tuple[str, ...]]:
    """Return a row for each kind of write: the gateway, by hand, and the ratio."""
    await database.prepare(PLENTY)
    owner: asyncpg.Connection[Any] = await asyncpg.connect(database.owner_url)
    try:
        category = await owner.fetchval("select min(code) from product_category")
        async with running_gateway(database) as gateway:
            say("orders")
            table = [await orders(owner, gateway)]
            for kind in ("hot", "Zipf"):
                say(f"reservations, {kind}")
                table.append(await reservations(database, owner, gateway, kind))
            say("products")
            table += await upserts(database, owner, gateway, category)
    finally:
        await owner.close()
    return table


async def measure_copy(kept: Database, say: Callable[[str], None]) -> list[tuple[str, ...]]:
    """Measure on a copy of a database, so that there is another one for the next run."""
    async with copy_of(kept, "writes") as database:
        return await measure(database, say)


def page(size: str, table: Sequence[Sequence[str]], load: float) -> str:
    """Return the table as Markdown; ``load`` is that of the machine before."""
    lines = [
        "# What writes take",
        "",
        "Written by `python -m benchmarks.writes --publish`. One gateway process over HTTP, with",
        "its clients and PostgreSQL on the same cores, beside SQL on connections of its own.",
        "",
        f"- Data: `{size}`; {ORDERS:,} orders per round, {CLIENTS} clients, {ROUNDS} rounds",
        f"- Products: {AT_ONCE:,} per request, {IN_FLIGHT} requests at once; or all in one",
        "  request, until a worker has done the job; or from a file of JSON lines. By hand one",
        "  COPY and one statement, without keys, verdicts and audit",
        "- Reservations: each with its key, order, audit trail and events, and the order is read",
        "  back; by hand `reserve_stock` alone, called on a connection for each client",
        f"- Load of the machine when it began: {load:.1f}, on {os.cpu_count()} cores. Others on it",
        "  slow both sides down, if not by the same",
        "",
        "| what | gateway | by hand | ratio |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {' | '.join(row)} |" for row in table),
        "",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; with ``--publish`` write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.writes")
    parser.add_argument("--size", choices=get_args(SizeName), default="small")
    parser.add_argument("--data-dir", type=Path, default=Path(".data/bench-writes"))
    parser.add_argument("--publish", action="store_true", help="replace benchmarks/WRITES.md")
    options = parser.parse_args(arguments)
    steps = Steps()
    try:
        with open_database(options.data_dir, options.size, steps) as kept:
            load = os.getloadavg()[0]
            with steps.step("Measuring"):
                table = uvloop.run(measure_copy(kept, steps.say))
            text = page(options.size, table, load)
    except (EmbeddedPostgresError, WrongAnswer) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.publish:
        PUBLISHED.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

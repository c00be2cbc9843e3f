"""The demo data: the same every time, all or nothing, believable, and free of contradictions."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from gateway.migrate import migrate
from gateway.postgres import EmbeddedPostgres
from gateway.seed import SeedError, seed
from gateway.seeding.amounts import HUNDRED_PERCENT, SCALE, amount_text, half_up, line_net
from gateway.seeding.assortment import categories
from gateway.seeding.catalog import SERIES, ean13, gtin14
from gateway.seeding.companies import CLIENT_CODE, CLIENT_PERMISSIONS, ROLES
from gateway.seeding.rows import Sheet
from gateway.seeding.sizes import SIZES
from gateway.verify import verify
from resolvers.core.install import CORE
from resolvers.modules import data_modules
from tests.fixtures.server import TODAY

TABLES = [table.name for module in (*data_modules(), CORE) for table in module.tables]
RECENT = TODAY - timedelta(days=30)
MIDNIGHT = datetime.combine(TODAY, time(), UTC)
"""When the history is over."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Open a connection for as long as the block lasts."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest_asyncio.fixture(scope="module")
async def store(database_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Yield a connection to the seeded database; for reading only."""
    async with connected(database_url) as connection:
        yield connection


@pytest.fixture
def empty_url(server: EmbeddedPostgres) -> Iterator[str]:
    """Yield the owner's URL of a database without tables."""
    name = f"erp_empty_{uuid4().hex[:12]}"
    server.create_database(name)
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture(scope="module")
def blank(server: EmbeddedPostgres) -> Iterator[str]:
    """Yield the name of a migrated database without rows, to be copied."""
    name = f"erp_blank_{uuid4().hex[:12]}"
    server.create_database(name)
    asyncio.run(migrate(server.url(name)))
    yield name
    server.drop_database(name)


@pytest.fixture
def migrated_url(server: EmbeddedPostgres, blank: str) -> Iterator[str]:
    """Yield the owner's URL of a migrated database without rows."""
    name = f"erp_migrated_{uuid4().hex[:12]}"
    server.create_database(name, template=blank)
    yield server.url(name)
    server.drop_database(name)


async def fingerprints(url: str) -> Mapping[str, str]:
    """Return a hash of all rows of every table."""
    async with connected(url) as connection:
        return {
            name: await connection.fetchval(
                f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {name} t"
            )
            for name in TABLES
        }


# The same every time


async def test_same_seed_same_rows(database_url: str, migrated_url: str) -> None:
    """The same size, seed and day give the same rows in every table, to the last digit."""
    await seed(migrated_url, "small", today=TODAY)
    assert await fingerprints(migrated_url) == await fingerprints(database_url)


_HASH_OF_PORTIONS = """
import hashlib, sys
from datetime import date
from gateway.seeding.demo import Demo

digest = hashlib.sha256()
for portion in Demo("small", int(sys.argv[1]), date(2026, 6, 30), ["b", "a"]).portions():
    for copy in portion.copies:
        digest.update(copy.data)
print(digest.hexdigest())
"""


def hash_of_portions(number: int, hash_seed: int) -> str:
    """Return a hash of all rows that a fresh process makes."""
    return subprocess.run(
        [sys.executable, "-c", _HASH_OF_PORTIONS, str(number)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": "."},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_no_order_is_left_to_chance() -> None:
    """Rows depend on the seed alone, not on the order in which a process hashes its sets."""
    first = hash_of_portions(7, hash_seed=1)
    assert hash_of_portions(7, hash_seed=2) == first
    assert hash_of_portions(8, hash_seed=1) != first


# All or nothing


async def test_seeds_once(own_database_url: str) -> None:
    """A database that has companies stays as it is."""
    before = await fingerprints(own_database_url)
    report = await seed(own_database_url, "small", seed=8, today=TODAY)
    assert not report.seeded
    assert not report.rows
    assert await fingerprints(own_database_url) == before


async def test_two_seeds_at_once_make_one(migrated_url: str) -> None:
    """Of two processes that seed the same database one does it, and the other sees it done."""
    reports = await asyncio.gather(
        seed(migrated_url, "small", today=TODAY), seed(migrated_url, "small", today=TODAY)
    )
    assert sorted(report.seeded for report in reports) == [False, True]


async def test_interrupted_seed_leaves_nothing(migrated_url: str) -> None:
    """A seeding that is canceled half-way leaves an empty database, which can be seeded again."""
    steps: list[str] = []

    def cancel_at_history(step: str, _done: int, _total: int) -> None:
        steps.append(step)
        if step == "days":
            running.cancel()

    running = asyncio.create_task(
        seed(migrated_url, "small", today=TODAY, progress=cancel_at_history)
    )
    with pytest.raises(asyncio.CancelledError):
        await running
    assert {"products", "partners", "days"} <= set(steps)
    async with connected(migrated_url) as connection:
        assert await connection.fetchval("select count(*) from company") == 0
        assert await connection.fetchval("select count(*) from product") == 0
    assert (await seed(migrated_url, "small", today=TODAY)).seeded


async def test_refuses_a_database_in_use(migrated_url: str) -> None:
    """Demo data does not mix with rows that somebody else wrote."""
    async with connected(migrated_url) as connection:
        await connection.execute("insert into app_user (email, display_name) values ('a@b', 'A')")
    with pytest.raises(SeedError, match="rows in app_user"):
        await seed(migrated_url, "small", today=TODAY)


async def test_refuses_a_database_without_tables(empty_url: str) -> None:
    """The message says what to do first."""
    with pytest.raises(SeedError, match="python -m gateway migrate"):
        await seed(empty_url, "small", today=TODAY)


async def test_new_rows_come_after_the_seeded_ones(own_database_url: str) -> None:
    """Sequences go on where the demo data ends."""
    async with connected(own_database_url) as connection:
        last = await connection.fetchval("select max(id) from partner")
        new = await connection.fetchval(
            "insert into partner (code, name, kind) values ('N', 'New', 'PERSON') returning id"
        )
    assert new == last + 1


async def test_seeding_writes_no_events(store: "asyncpg.Connection[Any]") -> None:
    """Nobody is told of stock that was there from the beginning, and triggers work afterwards."""
    assert await store.fetchval("select count(*) from outbox_event") == 0
    sleeping = "select count(*) from pg_trigger where tgenabled <> 'O'"
    assert await store.fetchval(sleeping) == 0


_GIVE_EVERYTHING_AWAY = """
do $$
declare name text;
begin
  for name in select tablename from pg_tables where schemaname = 'public' loop
    execute format('alter table public.%I owner to plain_owner', name);
  end loop;
  grant create on schema public to plain_owner;
end $$
"""


async def test_an_ordinary_owner_can_seed(server: EmbeddedPostgres, migrated_url: str) -> None:
    """Without a superuser's rights every reference is checked, and still there are no events."""
    async with connected(migrated_url) as connection:
        await connection.execute(
            "do $$ begin create role plain_owner login;"
            " exception when duplicate_object then null; end $$"
        )
        await connection.execute(_GIVE_EVERYTHING_AWAY)
        database = await connection.fetchval("select current_database()")
    url = server.url(database, user="plain_owner")
    assert (await seed(url, "small", today=TODAY)).seeded
    assert all(result.holds for result in await verify(url))
    async with connected(url) as connection:
        assert await connection.fetchval("select count(*) from outbox_event") == 0
        sleeping = "select count(*) from pg_trigger where tgenabled <> 'O'"
        assert await connection.fetchval(sleeping) == 0


# Free of contradictions


async def test_every_invariant_holds(database_url: str) -> None:
    """Nothing in the demo contradicts itself."""
    broken = [result for result in await verify(database_url) if not result.holds]
    assert not broken


async def test_lines_shipped_what_their_moves_say(store: "asyncpg.Connection[Any]") -> None:
    """What a line has shipped is what left the warehouse for it, and what reservations gave up."""
    differing = await store.fetch(
        """
        select l.id, l.shipped, m.moved, r.consumed from sales_order_line l
        left join (select source_id, sum(quantity) moved from stock_move
                   where kind = 'SHIPMENT' and source = 'SALES_ORDER_LINE' group by 1) m
          on m.source_id = l.id
        left join (select source_id, sum(consumed) consumed from stock_reservation
                   where source = 'SALES_ORDER_LINE' group by 1) r on r.source_id = l.id
        where l.shipped <> coalesce(m.moved, 0) or l.shipped <> coalesce(r.consumed, 0)
        """
    )
    assert not differing


async def test_only_confirmed_orders_hold_or_move_stock(store: "asyncpg.Connection[Any]") -> None:
    """What nobody confirmed has nothing reserved and shipped; what is done has nothing open."""
    assert not await store.fetchval(
        """
        select count(*) from sales_order o join sales_order_line l on l.order_id = o.id
        where o.state in ('DRAFT', 'QUOTED', 'PLACED') and l.reserved + l.shipped + l.canceled > 0
           or o.state = 'CANCELED' and (l.canceled <> l.quantity or l.reserved + l.shipped > 0)
           or o.state = 'FULFILLED' and (l.shipped + l.canceled <> l.quantity or l.reserved > 0)
           or o.state = 'CONFIRMED' and o.confirmed_at is null
        """
    )


async def test_nothing_happens_before_its_time(store: "asyncpg.Connection[Any]") -> None:
    """Moves follow each other in time; orders ship after they were confirmed, and none tomorrow."""
    assert not await store.fetchval(
        """
        select count(*) from stock_move m join sales_order_line l on l.id = m.source_id
        join sales_order o on o.id = l.order_id
        where m.kind = 'SHIPMENT' and m.posted_at <= o.confirmed_at
        """
    )
    assert not await store.fetchval(
        """
        select count(*) from (select effective_on, lag(effective_on) over (order by id) as before
                              from stock_move) m where effective_on < before
        """
    )
    assert await store.fetchval("select max(created_at) from sales_order") < MIDNIGHT
    assert await store.fetchval("select max(posted_at) from stock_move") < MIDNIGHT
    assert not await store.fetchval(
        """
        select count(*) from sales_order o join partner p on p.id = o.partner_id
        where o.created_at < p.created_at or o.created_at > p.archived_at
        """
    )
    assert not await store.fetchval(
        """
        select count(*) from sales_order_line l join sales_order o on o.id = l.order_id
        join product p on p.id = l.product_id
        where o.created_at < p.created_at or o.created_at > p.archived_at
        """
    )


async def test_goods_arrive_after_they_were_ordered(store: "asyncpg.Connection[Any]") -> None:
    """Receipts follow confirmations, in the order of their numbers, and none is of tomorrow."""
    assert not await store.fetchval(
        """
        select count(*) from goods_receipt r join purchase_order o on o.id = r.order_id
        where o.confirmed_at is null or r.posted_at <= o.confirmed_at
           or r.received_on <> (r.posted_at at time zone 'UTC')::date
        """
    )
    assert not await store.fetchval(
        """
        select count(*) from (select posted_at, lag(posted_at) over (
                                partition by company_id order by number) as before
                              from goods_receipt) r where posted_at < before
        """
    )
    assert not await store.fetchval(
        """
        select count(*) from stock_move m join goods_receipt_line l on l.id = m.source_id
        join goods_receipt r on r.id = l.receipt_id
        where m.source = 'GOODS_RECEIPT_LINE' and (m.posted_at, m.kind) <> (r.posted_at, 'RECEIPT')
        """
    )
    receipts = "select count(*) from stock_move where kind = 'RECEIPT' and source is null"
    assert not await store.fetchval(receipts)
    for column in ("created_at", "confirmed_at"):
        assert await store.fetchval(f"select max({column}) from purchase_order") < MIDNIGHT
    assert await store.fetchval("select max(posted_at) from goods_receipt") < MIDNIGHT


# Believable


async def test_size_is_as_announced(store: "asyncpg.Connection[Any]") -> None:
    """The small demo has the companies, goods, partners and orders it is said to have."""
    size = SIZES["small"]
    companies = await store.fetch("select code, country, currency from company order by id")
    assert [tuple(row) for row in companies] == [("DE01", "DE", "EUR"), ("US01", "US", "USD")]
    assert await store.fetchval("select count(*) from product") == size.products == 500
    assert await store.fetchval("select count(*) from partner") == size.partners == 300
    suppliers = "select count(*) from partner where is_supplier"
    assert await store.fetchval(suppliers) == size.suppliers == 30
    assert await store.fetchval("select count(*) from sales_order") == size.orders == 1_000
    assert 3_000 < await store.fetchval("select count(*) from sales_order_line") < 4_500
    assert 4_000 < await store.fetchval("select count(*) from stock_move") < 7_500
    assert await store.fetchval("select count(*) from product_category") > 40
    first = await store.fetchval("select min(placed_on) from sales_order")
    last = await store.fetchval("select max(placed_on) from sales_order")
    assert TODAY - timedelta(days=365) <= first < TODAY - timedelta(days=355)
    assert TODAY - timedelta(days=4) <= last < TODAY


async def test_warehouses_have_zones_and_a_quarantine(store: "asyncpg.Connection[Any]") -> None:
    """Every warehouse has two to four zones to sell from and one quarantine."""
    zones = await store.fetch(
        """
        select w.code, count(*) filter (where l.sellable) as zones,
               count(*) filter (where not l.sellable) as quarantines
        from warehouse w join stock_location l on l.warehouse_id = w.id group by w.id
        """
    )
    assert len(zones) == 3
    assert all(2 <= row["zones"] <= 4 and row["quarantines"] == 1 for row in zones)
    virtual = await store.fetch(
        "select company_id, array_agg(kind order by kind) from stock_location"
        " where warehouse_id is null group by 1"
    )
    kinds = ["CUSTOMER", "LOSS", "SCRAP", "SUPPLIER", "TRANSIT"]
    assert [row["array_agg"] for row in virtual] == [kinds, kinds]


async def test_last_days_are_unfinished(store: "asyncpg.Connection[Any]") -> None:
    """Screens show work: quotes, open, partly shipped, backordered and held orders."""
    recent = "select count(*) from sales_order o where placed_on >= $1 and "
    for condition in (
        "state = 'DRAFT'",
        "state = 'QUOTED'",
        "state = 'PLACED'",
        "state = 'CONFIRMED' and reservation_status = 'FULL'",
        "state = 'CONFIRMED' and reservation_status = 'PARTIAL'",
        "state = 'CONFIRMED' and shipment_status = 'PARTIAL'",
        "state = 'CONFIRMED' and hold is not null",
        "state = 'FULFILLED'",
    ):
        assert await store.fetchval(recent + condition, RECENT) > 0, condition
    undone = "select count(*) from sales_order where state in ('DRAFT', 'QUOTED', 'PLACED')"
    assert await store.fetchval(f"{undone} and placed_on < $1", RECENT) == 0
    out_of_stock = "select count(*) from stock_level where on_hand - reserved <= 0"
    assert await store.fetchval(out_of_stock) > 10


async def test_purchases_show_work(store: "asyncpg.Connection[Any]") -> None:
    """Screens of buyers are not empty: drafts, open, late and partly delivered orders, offers."""
    for condition in (
        "state = 'DRAFT'",
        "state = 'SENT'",
        "state = 'TO_APPROVE'",
        "state = 'CONFIRMED' and receipt_status = 'NONE'",
        "state = 'CONFIRMED' and receipt_status = 'PARTIAL'",
        "state = 'FULFILLED'",
        "state = 'CANCELED'",
        "bill_status = 'PARTIAL'",
        "bill_status = 'BILLED' and receipt_status = 'RECEIVED'",
    ):
        found = f"select count(*) from purchase_order where {condition}"
        assert await store.fetchval(found) > 0, condition
    undone = "select count(*) from purchase_order where state in ('DRAFT', 'SENT', 'TO_APPROVE')"
    assert await store.fetchval(f"{undone} and ordered_on < $1", RECENT) == 0
    for condition in (
        "received > quantity",
        "canceled > 0 and received > 0",
        "received > 0 and received < quantity - canceled",
        "tax > 0",
        "tax = 0",
        "expected_on > (select expected_on from purchase_order where id = order_id)",
    ):
        found = f"select count(*) from purchase_order_line where {condition}"
        assert await store.fetchval(found) > 0, condition
    assert await store.fetchval("select count(*) from goods_receipt_line where rejected > 0") > 0
    late = "select count(*) from incoming_stock where expected_on < $1"
    assert await store.fetchval(late, TODAY) > 0
    assert await store.fetchval(late.replace("<", ">="), TODAY) > 0


async def test_suppliers_are_reliable_mostly(store: "asyncpg.Connection[Any]") -> None:
    """Until the last weeks one delivery in ten is late or so, and few are short."""
    shares = await store.fetchrow(
        """
        select avg((r.received_on > o.expected_on)::int) as late,
               avg((exists (select from purchase_order_line l where l.order_id = o.id
                            and l.canceled > 0))::int) as short
        from purchase_order o join lateral (
          select min(received_on) as received_on from goods_receipt where order_id = o.id) r on true
        where o.state = 'FULFILLED' and o.expected_on < $1
        """,
        RECENT - timedelta(days=30),
    )
    assert shares is not None
    assert 0.03 < shares["late"] < 0.15
    assert 0.01 < shares["short"] < 0.1


async def test_purchases_cost_what_was_offered(store: "asyncpg.Connection[Any]") -> None:
    """Every product has one to three suppliers, and lines have the price for their quantity."""
    suppliers = await store.fetch(
        """
        select p.id, p.kind, count(distinct o.partner_id) as suppliers
        from product p left join supplier_offer o on o.product_id = p.id and o.company_id = 1
        group by p.id
        """
    )
    for row in suppliers:
        assert 1 <= row["suppliers"] <= 3 if row["kind"] == "GOODS" else row["suppliers"] == 0
    assert len({row["suppliers"] for row in suppliers if row["kind"] == "GOODS"}) == 3
    assert not await store.fetch(
        """
        select l.id, l.unit_price, l.currency, best.*
        from purchase_order_line l
        left join lateral (
          select f.price, f.currency as asked from supplier_offer f
          where (f.company_id, f.product_id, f.partner_id)
              = (l.company_id, l.product_id, l.partner_id) and f.min_quantity <= l.quantity
          order by f.min_quantity desc limit 1) best on true
        where (l.unit_price, l.currency) is distinct from (best.price, best.asked)
        """
    )
    rates = await store.fetch(
        """
        select count(distinct fx_rate) from (
          select company_id, currency, to_char(placed_on, 'YYYY-MM') as month, fx_rate
          from sales_order union all
          select company_id, currency, to_char(ordered_on, 'YYYY-MM'), fx_rate from purchase_order
        ) documents group by company_id, currency, month having count(distinct fx_rate) > 1
        """
    )
    assert not rates, "documents of a month are converted by one rate"


async def test_shares_are_those_of_a_real_company(store: "asyncpg.Connection[Any]") -> None:
    """Few customers and products make most of the business; some is abroad, some is canceled."""
    shares = await store.fetchrow(
        """
        select avg((state = 'CANCELED')::int) as canceled,
               avg((o.currency <> c.currency)::int) as abroad
        from sales_order o join company c on c.id = o.company_id
        """
    )
    assert shares is not None
    assert 0.01 < shares["canceled"] < 0.04
    assert 0.10 < shares["abroad"] < 0.22
    top = """
        select sum(n) filter (where rank <= total * 0.2) / sum(n)
        from (select count(o.id) as n, row_number() over (order by count(o.id) desc) as rank,
                     count(*) over () as total from {} group by x.id) ranked
    """
    by_customer = top.format("partner x left join sales_order o on o.partner_id = x.id")
    by_product = top.format("product x left join sales_order_line o on o.product_id = x.id")
    assert 0.5 < await store.fetchval(by_customer) < 0.95
    assert 0.5 < await store.fetchval(by_product) < 0.95
    weekend = "count(*) filter (where extract(isodow from placed_on) > 5)"
    busy = await store.fetchval(f"select {weekend} / count(*)::float from sales_order")
    assert 0.02 < busy < 0.2


async def test_edge_pack_is_there(store: "asyncpg.Connection[Any]") -> None:
    """What breaks careless code is in the demo: odd digits, odd names, gifts, a very long order."""
    digits = dict(await store.fetch("select code, digits from currency"))
    assert (digits["JPY"], digits["KWD"], digits["EUR"]) == (0, 3, 2)
    yen = "select count(*) from sales_order where currency = 'JPY' and total = trunc(total)"
    assert await store.fetchval(yen) > 0
    assert await store.fetchval(yen) == await store.fetchval(
        "select count(*) from sales_order where currency = 'JPY'"
    )
    assert await store.fetchval(
        "select count(*) from sales_order where currency = 'KWD' and total <> round(total, 2)"
    )
    lines = "select count(*) from sales_order_line"
    assert await store.fetchval(f"{lines} where unit_price = 0 and net = 0")
    assert await store.fetchval(f"{lines} where discount_percent = 100 and unit_price > 0")
    assert await store.fetchval(f"{lines} group by order_id order by 1 desc limit 1") == 400
    assert (
        await store.fetchval(f"{lines} group by order_id, product_id order by 1 desc limit 1") == 2
    )
    assert await store.fetchval(
        """
        select count(*) from sales_order o join partner_company pc using (partner_id, company_id)
        where pc.blocked_at < o.created_at and o.hold = 'CREDIT' and o.state = 'PLACED'
        """
    )
    names = await store.fetch("select name from product union all select name from partner")
    text = "".join(name for (name,) in names)
    assert all(letter in text for letter in "'\"%\\„“Łøß商")
    assert max(len(name) for (name,) in names) > 150
    assert min(len(name) for (name,) in names) == 1


async def test_archived_is_still_referred_to(store: "asyncpg.Connection[Any]") -> None:
    """Archived partners and products have history, no open work and no stock."""
    for table, line in (("partner", "o.partner_id"), ("product", "l.product_id")):
        share = f"select avg((archived_at is not null)::int) from {table}"
        assert 0.01 < await store.fetchval(share) < 0.06
        referred = f"""
            select count(distinct x.id) from {table} x
            join (sales_order_line l join sales_order o on o.id = l.order_id) on {line} = x.id
            where x.archived_at is not null
            """
        assert await store.fetchval(referred) > 0
    assert not await store.fetchval(
        """
        select count(*) from product p join stock_balance b on b.product_id = p.id
        join stock_location l on l.id = b.location_id
        where p.archived_at is not null and l.kind = 'INTERNAL' and b.on_hand <> 0
        """
    )
    assert not await store.fetchval(
        """
        select count(*) from sales_order o join partner p on p.id = o.partner_id
        where p.archived_at is not null and o.state in ('PLACED', 'CONFIRMED')
        """
    )


async def test_people_may_do_what_their_roles_say(store: "asyncpg.Connection[Any]") -> None:
    """Permissions of roles exist; the administrator has all of them, in every company."""
    known = {permission for module in data_modules() for permission in module.permissions}
    access = "select company_code, permissions from user_access($1)"
    admin = await store.fetch(access, "admin@demo")
    assert [row["company_code"] for row in admin] == ["DE01", "US01"]
    assert all(set(row["permissions"]) == known for row in admin)
    for role in ROLES[1:]:
        (first, *_) = await store.fetch(access, f"{role.code}@demo")
        assert first["company_code"] == "DE01"
        assert set(first["permissions"]) == set(role.permissions or ()) <= known


async def test_api_client_is_a_good_customer(store: "asyncpg.Connection[Any]") -> None:
    """The partner's program is of one with many orders and own prices, and has no key yet."""
    client = await store.fetchrow("select * from api_client where code = $1", CLIENT_CODE)
    assert client is not None
    assert tuple(client["permissions"]) == CLIENT_PERMISSIONS
    assert client["key_hash"] == bytes(32)
    orders = "select count(*), count(external_ref) from sales_order where partner_id = $1"
    numbers = await store.fetchrow(orders, client["partner_id"])
    assert numbers is not None
    assert numbers[0] >= 20
    assert numbers[1] > 0
    own_list = await store.fetchrow(
        """
        select l.*, (select count(*) from partner_company o where o.price_list_id = l.id) as users,
               (select count(*) from price_list_item i where i.price_list_id = l.id) as items
        from partner_company pc join price_list l on l.id = pc.price_list_id
        where pc.partner_id = $1 and pc.company_id = $2
        """,
        client["partner_id"],
        client["company_id"],
    )
    assert own_list is not None
    assert own_list["company_id"] == client["company_id"]
    assert own_list["users"] == 1
    assert own_list["items"] > 50


async def test_prices_on_orders_are_those_of_the_lists(store: "asyncpg.Connection[Any]") -> None:
    """A line costs what the most specific rule of the customer's list says on that day."""
    differing = await store.fetch(
        """
        select o.number, l.position, l.unit_price, l.discount_percent, best.*
        from sales_order o join sales_order_line l on l.order_id = o.id
        join product p on p.id = l.product_id
        left join lateral (
            select i.scope, i.fixed_price, i.discount_percent as percent from price_list_item i
            where i.price_list_id = o.price_list_id and i.min_quantity <= l.quantity
              and i.valid_from <= o.placed_on and o.placed_on < i.valid_to
              and (i.product_id = p.id or i.category_id = p.category_id or i.scope = 'ALL')
            order by array_position(array['PRODUCT', 'CATEGORY', 'ALL'], i.scope),
                     i.min_quantity desc, i.valid_from desc limit 1
        ) best on true
        where l.unit_price <> coalesce(best.fixed_price, p.list_price)
           or l.discount_percent <> coalesce(best.percent, 0)
        """
    )
    gifts = [row for row in differing if row["unit_price"] == 0 or row["discount_percent"] == 100]
    assert len(gifts) == 2
    assert differing == gifts


def test_catalogs_of_every_size_have_names_for_all_products() -> None:
    """No category runs out of names, in the largest demo either."""
    leaves = [node.leaf for node in categories() if node.leaf]
    breadth = sum(leaf.breadth for leaf in leaves)
    for leaf in leaves:
        most = SIZES["large"].products * leaf.breadth // breadth + 1
        assert len(leaf.variants) * len(leaf.brands) * len(SERIES) >= most, leaf.prefix
        assert all(v.kind and v.size and v.finish for v in leaf.variants)


async def test_names_are_unique(store: "asyncpg.Connection[Any]") -> None:
    """No two products have the same name or barcode."""
    for column in ("name", "barcode", "sku"):
        twice = f"select count({column}) - count(distinct {column}) from product"
        assert await store.fetchval(twice) == 0, column


# Arithmetic and rows


amounts = st.integers(min_value=0, max_value=10**12)


@given(amounts, amounts, st.integers(0, HUNDRED_PERCENT), st.integers(0, 4))
def test_net_is_what_decimal_says(quantity: int, price: int, discount: int, digits: int) -> None:
    """Integer arithmetic rounds as Decimal does: once, half away from zero."""
    exact = (
        (Decimal(quantity) / SCALE)
        * (Decimal(price) / SCALE)
        * (100 - Decimal(discount) / SCALE)
        / 100
    )
    expected = exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    assert Decimal(amount_text(line_net(quantity, price, discount, digits))) == expected


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_amounts_are_written_exactly(amount: int) -> None:
    """An amount reads back as the same number of ten-thousandths."""
    assert Decimal(amount_text(amount)) * SCALE == amount


def test_halves_round_up() -> None:
    """2.5 becomes 3, as PostgreSQL's round() has it."""
    assert [half_up(n, 2) for n in (0, 1, 2, 3, 5)] == [0, 1, 1, 2, 3]


async def test_goods_come_in_packs(store: "asyncpg.Connection[Any]") -> None:
    """In whole numbers; a pack's barcode is that of the product with a level and a check digit."""
    rows = await store.fetch(
        """select u.code, u.factor, u.barcode, p.barcode as own, p.kind, m.code as stocked_in
           from product_unit u join product p on p.id = u.product_id
           join unit_of_measure m on m.id = p.uom_id"""
    )
    assert {row["code"] for row in rows} == {"BOX", "PAL", "BAG", "ROL"}
    assert {row["kind"] for row in rows} == {"GOODS"}
    assert {row["stocked_in"] for row in rows if row["code"] in {"BOX", "PAL"}} == {"PCE"}
    for row in rows:
        assert row["factor"] % 1 == 0
        assert row["barcode"][1:13] == row["own"][:12]
        weighted = sum(
            int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(row["barcode"])
        )
        assert weighted % 10 == 0
    assert gtin14(1, "0614141000418") == "10614141000415", "the example of GS1"


def test_barcodes_have_their_check_digit() -> None:
    """The weighted sum of an EAN-13 is a multiple of ten (GS1 General Specifications, 7.9)."""
    for number in (1, 77, 123_456):
        code = ean13(number)
        assert len(code) == 13
        assert sum(int(d) * (1, 3)[i % 2] for i, d in enumerate(code)) % 10 == 0


async def test_rows_survive_the_copy_format(own_database_url: str) -> None:
    """Text that looks like the format's own signs arrives as it was."""
    texts = ["a\tb", "c\nd", "e\\f", "\\N", "\\.", "g\r\nh", "plain", "日本 ½ „x“"]
    sheet = Sheet("odd_text", "id", "value", "nothing")
    for number, text in enumerate(texts):
        sheet.add(number, text, None)
    copy = sheet.take()
    assert (copy.rows, len(sheet)) == (len(texts), 0)

    async def pieces() -> AsyncIterator[bytes]:
        yield copy.data

    async with connected(own_database_url) as connection:
        await connection.execute("create table odd_text (id int, value text, nothing text)")
        await connection.copy_to_table(
            copy.table, source=pieces(), columns=list(copy.columns), format="text", null=""
        )
        rows = await connection.fetch("select value, nothing from odd_text order by id")
    assert [tuple(row) for row in rows] == [(text, None) for text in texts]


def test_rows_with_a_wrong_number_of_values_are_refused() -> None:
    """A row that does not fit its columns is found where it is made."""
    with pytest.raises(ValueError, match="takes 2 values, not 3"):
        Sheet("t", "a", "b").add(1, 2, 3)

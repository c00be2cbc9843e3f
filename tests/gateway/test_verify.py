"""Verification: finds every kind of broken data, hides nothing, and says what to do."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from io import StringIO
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from rich.console import Console

from gateway.postgres import EmbeddedPostgres
from gateway.verify import (
    MOST_ROWS,
    TABLES,
    InvariantResult,
    VerifyError,
    _run,
    invariants,
    print_rebuilt,
    print_results,
    rebuild,
    verify,
)
from resolvers.core.module import Invariant
from resolvers.modules import data_modules
from tests.fixtures.gateway import Gateway
from tests.fixtures.replay import balances, replayed
from tests.flows.test_commands import ADJUST
from tests.flows.test_live_stock import a_line, a_place

# What breaks each invariant, written past every guard the database has.
SABOTAGE: Mapping[str, str] = {
    "webhook_in_log": "update webhook set seq = 1000000 where id = 1",
    "webhook_delivery_of_webhook": "update webhook_delivery set partner_id = 1 where id = 1",
    "shipped_left_in_shipments": (
        "update shipment set state = 'CANCELED', delivered_on = null where id = 31"
    ),
    "planned_is_reserved": (
        "update shipment set state = 'PLANNED', delivered_on = null where id = 32"
    ),
    "shipment_of_its_order": "update shipment set order_id = order_id + 1 where id = 33",
    "packed_is_picked": "update shipment_line set picked = 0 where id = 34",
    "shipped_as_moved": "update shipment_line set lot_id = null, location_id = null where id = 35",
    "returned_came_back": "update sales_order_line set returned = returned + 1 where returned > 0",
    "return_of_its_order": "update goods_return set order_id = order_id + 1 where id = 1",
    "return_moved": "update goods_return_line set quantity = quantity + 1 where id = 1",
    "in_transit_is_in_transfers": (
        "update stock_balance set on_hand = on_hand + 1 where location_id in"
        " (select id from stock_location where kind = 'TRANSIT')"
    ),
    "in_transit_is_incoming": (
        "update incoming_stock set quantity = quantity + 1 where source = 'STOCK_TRANSFER_LINE'"
    ),
    "transfer_state": "update stock_transfer set state = 'CANCELED' where state = 'RECEIVED'",
    "transfer_moved": "update stock_transfer_line set received = received + 1 where id = 1",
    "count_moved": "update stock_count_line set counted = counted + 1 where counted is not null",
    "steps_of_done_orders": "update fulfillment_step set state = 'PENDING', finished_at = null",
    "entry_balances": "update journal_line set debit = debit + 1 where id = 21",
    "entry_in_period": "update journal_entry set posted_on = '2001-01-01' where id = 22",
    "kept_balances": "update account_balance set debit = debit + 1 where ends_on < '2026-01-01'",
    "invoice_total": "update invoice_line set net = net + 1 where id = 23",
    "invoice_residual": "update payment_allocation set amount = amount / 2 where id = 24",
    "line_shipped_was_reserved": (
        "update stock_reservation set consumed = 0"
        " where id = (select min(id) from stock_reservation where consumed > 0)"
    ),
    "invoice_numbers": (
        "update invoice set number = 'INV-2026-999999'"
        " where id = (select max(id) from invoice where kind = 'CUSTOMER_INVOICE')"
    ),
    "invoice_posted": "update journal_entry set source_id = -source_id where source = 'INVOICE'",
    "invoiced_was_shipped": (
        "update invoice_line set quantity = quantity + 1 where sales_order_line_id is not null"
    ),
    "payment_allocated": "update payment set amount = amount + 1 where id = 25",
    "ledger_agrees_with_invoices": "update invoice set residual_base = 0 where residual > 0",
    "document_is_its_content": (
        "update document_content set content = content || '!' where document_id = 18"
    ),
    "accepted_has_bill": "update extraction set invoice_id = null where state = 'ACCEPTED'",
    "failures_are_counted": "update sync_run set failed = failed + 1, fetched = fetched + 1",
    "job_times": "update job set started_at = null where id = 1",
    "audit_of_companies": "update audit_log set company_id = 99 where id = 1",
    "archived_without_stock": "update product set archived_at = now()",
    "archived_without_sales_lines": "update partner set archived_at = now()",
    "archived_without_purchase_lines": "update partner set archived_at = now()",
    "balance_is_sum_of_moves": "update stock_balance set on_hand = on_hand + 1 where id = 1",
    "level_is_sum_of_balances": "update stock_level set on_hand = on_hand + 1 where id = 2",
    "level_reserved_is_sum_of_reservations": (
        "update stock_level set reserved = 0.5 where reserved = 0 and on_hand > 1"
    ),
    "never_oversold": (
        "update stock_level set reserved = on_hand + 1 where id = 4 and not allow_negative"
    ),
    "goods_neither_appear_nor_vanish": (
        "update stock_balance set on_hand = on_hand + 7 where id = 5"
    ),
    "tracked_goods_have_lots": "update stock_move set lot_id = null where lot_id = 1",
    "serial_in_one_place": (
        "update stock_balance set is_serial = false where id ="
        " (select min(id) from stock_balance where is_serial)"
    ),
    "level_negative_flag": "update stock_level set allow_negative = true where id = 6",
    "pack_holds_something": "update product_unit set factor = 0 where id = 1",
    "order_totals": (
        "update sales_order set subtotal = subtotal + 1, total = total + 1 where id = 7"
    ),
    "order_shipment_status": (
        "update sales_order set shipment_status = 'PARTIAL' where state = 'FULFILLED' and id < 99"
    ),
    "order_reservation_status": (
        "update sales_order set reservation_status = 'FULL' where state = 'FULFILLED' and id < 99"
    ),
    "order_invoice_status": (
        "update sales_order set invoice_status = 'NONE', payment_status = 'NOT_PAID'"
        " where state = 'FULFILLED' and id < 99"
    ),
    "sales_line_invoiced": "update sales_order_line set invoiced = 0 where id = 26",
    "sales_payment_status": (
        "update sales_order set payment_status = 'PARTIAL' where payment_status = 'PAID'"
    ),
    "reserved_where_it_leaves": "update sales_order_line set warehouse_id = 3 - warehouse_id",
    "all_or_nothing": (
        "update sales_order set fulfillment_policy = 'ALL_OR_NOTHING'"
        " where shipment_status = 'PARTIAL'"
    ),
    "reserved_for_hold": "update stock_reservation set state = 'ACTIVE' where source = 'CART'",
    "hold_is_reserved": (
        "update stock_hold set state = 'HELD', expires_at = now() + interval '1 hour' where id = 1"
    ),
    "line_reserved": ("update sales_order_line set reserved = reserved / 2 where reserved > 0"),
    "line_tax": "update sales_order_line set tax = tax + 0.01 where id = 21",
    "line_as_entered": (
        "update sales_order_line set entered_quantity = quantity, entered_uom = 'BOX',"
        " entered_factor = 12, stock_factor = 1 where id = 12"
    ),
    "line_net": "update sales_order_line set net = net + 0.01 where id = 11",
    "projection_outgoing": "update stock_projection set outgoing = outgoing + 1",
    "projection_incoming": "update stock_projection set incoming = incoming + 1",
    "purchase_totals": (
        "update purchase_order set subtotal = subtotal + 1, total = total + 1 where id = 12"
    ),
    "purchase_line_net": "update purchase_order_line set net = net + 1 where id = 13",
    "purchase_line_as_entered": (
        "update purchase_order_line set entered_quantity = quantity where id = 19"
    ),
    "purchase_receipt_status": (
        "update purchase_order set receipt_status = 'PARTIAL' where state = 'FULFILLED' and id < 99"
    ),
    "purchase_bill_status": "update purchase_order set bill_status = 'BILLED' where id < 99",
    "purchase_line_billed": "update purchase_order_line set billed = billed + 1 where id = 17",
    "purchase_state": "update purchase_order set state = 'FULFILLED' where state = 'CONFIRMED'",
    "purchase_line_received": "update goods_receipt_line set quantity = quantity + 1 where id = 14",
    "purchase_not_over_received": (
        "update purchase_order_line set over_receipt_percent = 0, received = quantity + 0.0001"
        " where id = 15"
    ),
    "receipt_of_its_order": "update goods_receipt set order_id = order_id + 1 where id = 16",
    "receipt_is_sum_of_moves": (
        "update stock_move set quantity = quantity + 1 where source = 'GOODS_RECEIPT_LINE'"
    ),
    "inventory_agrees_with_value": (
        "update journal_line set debit = debit + 1 where id = (select min(l.id) from journal_line l"
        " join account a on a.id = l.account_id where a.role = 'INVENTORY' and l.debit > 0)"
    ),
    "received_is_billed_or_open": (
        "update purchase_order_line set unit_price = unit_price + 1 where received > billed"
    ),
    "value_is_sum_of_entries": "update valuation_entry set amount = amount + 1 where id = 1",
    "value_is_sum_of_layers": "update cost_layer set value = value + 1 where id = 1",
    "layers_of_lots": "update cost_layer set remaining = remaining + 1 where lot_id is not null",
    "valued_is_on_hand": "update product_cost set quantity = quantity + 1 where product_id = 1",
    "moves_are_valued": "update valuation_entry set move_id = null where id = 2",
    "incoming_is_outstanding": "update incoming_stock set expected_on = expected_on + 1",
}


@asynccontextmanager
async def unguarded(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Open a connection past triggers, references and checks."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("set session_replication_role = replica")
        checks = await connection.fetch(
            "select conrelid::regclass::text as name, conname from pg_constraint"
            " where contype = 'c' and connamespace = 'public'::regnamespace"
            " and coninhcount = 0"  # those of partitions go with their table's
        )
        for check in checks:
            await connection.execute(
                f'alter table {check["name"]} drop constraint "{check["conname"]}"'
            )
        yield connection
    finally:
        await connection.close()


async def broken_in(url: str) -> dict[str, InvariantResult]:
    """Return what does not hold, by the invariant's name."""
    results = await verify(url)
    return {result.invariant.name: result for result in results if not result.holds}


async def test_seeded_data_holds(database_url: str) -> None:
    """Nothing is wrong with the demo data, and everything that can be was looked at."""
    seen: list[str] = []
    results = await verify(database_url, progress=lambda name, _done, _total: seen.append(name))
    assert [r.invariant.name for r in results if not r.holds] == []
    assert seen == [invariant.name for _, invariant in invariants()]
    assert len(seen) == len(set(seen))


def test_every_invariant_has_a_sabotage() -> None:
    """An invariant without a way to break it here might be one that never finds anything."""
    names = {invariant.name for module in data_modules() for invariant in module.invariants}
    assert names == set(SABOTAGE)


@pytest_asyncio.fixture(scope="module")
async def breakable(
    server: EmbeddedPostgres, template: str
) -> "AsyncIterator[asyncpg.Connection[Any]]":
    """Yield a connection past all guards, to break things in transactions that are undone."""
    name = f"erp_broken_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    async with unguarded(server.url(name)) as connection:
        yield connection
    server.drop_database(name)


@pytest.mark.parametrize("name", SABOTAGE)
async def test_invariant_finds_what_breaks_it(
    name: str, breakable: "asyncpg.Connection[Any]"
) -> None:
    """Each invariant of a module finds the rows that break it, and none before."""
    [found] = [(module, known) for module, known in invariants() if known.name == name]
    broken = breakable.transaction()
    await broken.start()
    try:
        assert (await _run(breakable, *found)).holds
        status = await breakable.execute(SABOTAGE[name])
        assert status != "UPDATE 0"
        result = await _run(breakable, *found)
    finally:
        await broken.rollback()
    assert result.violations > 0
    assert result.rows


SUMS = (
    """select product_id, location_id, lot_id, on_hand from stock_balance where on_hand <> 0
       order by 1, 2, 3""",
    """select product_id, warehouse_id, on_hand, reserved from stock_level
       where on_hand <> 0 or reserved <> 0 order by 1, 2""",
    """select product_id, warehouse_id, incoming, outgoing from stock_projection
       where incoming <> 0 or outgoing <> 0 order by 1, 2""",
    "select company_id, product_id, quantity, value from product_cost order by 1, 2",
)
"""What is kept, but for zeros: there may be a row for nothing, or none."""
SPOILED = (
    "update stock_balance set on_hand = on_hand + 3 where id % 7 = 0 and not is_serial",
    # every serial number is where it came from
    "update stock_balance set on_hand = 0 where is_serial and on_hand = 1",
    """update stock_balance set on_hand = 1 where id in
       (select min(id) from stock_balance where is_serial and on_hand = -1 group by lot_id)""",
    "delete from stock_balance where id % 11 = 0",
    "update stock_level set on_hand = reserved where id % 5 = 0",
    "update stock_level set reserved = 0, on_hand = on_hand + 1 where id % 3 = 0",
    "delete from stock_projection where product_id % 4 = 0",
    "update stock_projection set incoming = incoming + 1, outgoing = 0 where product_id % 3 = 0",
    "update product_cost set quantity = quantity + 1, value = value - 1 where product_id % 5 = 0",
)


async def test_balances_are_the_ledger_replayed(own_gateway: Gateway) -> None:
    """From nothing, in the order they were posted, the moves lead to every balance, of lots too."""
    assert await balances(own_gateway.owner) == await replayed(own_gateway.owner)


async def test_sums_are_rebuilt_as_they_were(own_database_url: str) -> None:
    """Whatever was spoiled of balances, levels and projections is as it was before, and told."""
    async with unguarded(own_database_url) as connection:
        before = [await connection.fetch(sql) for sql in SUMS]
        assert await rebuild(own_database_url) == [], "there is nothing to rebuild"
        for sql in SPOILED:
            status = await connection.execute(sql)
            assert not status.endswith(" 0")
        told = {one.invariant.name for one in await rebuild(own_database_url)}
        assert told == {
            "balance_is_sum_of_moves",
            "level_is_sum_of_balances",
            "projection_incoming",
            "projection_outgoing",
            "value_is_sum_of_entries",
        }
        assert [await connection.fetch(sql) for sql in SUMS] == before
        assert not await broken_in(own_database_url)
        assert await balances(connection) == await replayed(connection)


WHAT_LEFT = """select x.shipment_id, x.order_line_id, x.location_id, x.lot_id, sum(x.quantity)
    from shipment_line x join shipment s on s.id = x.shipment_id
    where s.state in ('SHIPPED', 'DELIVERED') group by 1, 2, 3, 4 order by 1, 2, 3, 4"""
AS_BEFORE = (
    """update shipment_line x set location_id = null, lot_id = null, quantity = t.quantity,
         picked = t.quantity
       from (select x.shipment_id, x.order_line_id, sum(x.quantity) as quantity
             from shipment_line x join shipment s on s.id = x.shipment_id
             where s.state in ('SHIPPED', 'DELIVERED') group by 1, 2) t
       where t.shipment_id = x.shipment_id and t.order_line_id = x.order_line_id""",
    """delete from shipment_line x using shipment_line y where y.shipment_id = x.shipment_id
       and y.order_line_id = x.order_line_id and y.id < x.id and x.location_id is null""",
)
"""As lines of shipments were before they said what left: one for each line of the order."""


async def test_what_left_is_filled_in_from_the_ledger(own_database_url: str) -> None:
    """Lines that say nothing get their lots and places, as the migration gives them, in parts."""
    async with unguarded(own_database_url) as connection:
        before = await connection.fetch(WHAT_LEFT)
        for sql in AS_BEFORE:
            status = await connection.execute(sql)
            assert not status.endswith(" 0")
        assert {one.invariant.name for one in await rebuild(own_database_url)} == {
            "shipped_as_moved"
        }
        assert await connection.fetch(WHAT_LEFT) == before
    assert not await broken_in(own_database_url)


async def test_commands_and_rebuilding_meet(own_gateway: Gateway, own_database_url: str) -> None:
    """What is changed while sums are rebuilt is in them afterwards, and nothing is lost."""
    owner = own_gateway.owner
    place = await a_place(own_gateway)
    lines = [a_line(place, delta="1")]
    changes = [
        own_gateway.data(ADJUST, {"key": f"k{n}", "dry": False, "lines": lines}) for n in range(20)
    ]
    await owner.execute("update stock_level set on_hand = on_hand + 5")
    told, *_ = await asyncio.gather(rebuild(own_database_url), *changes)
    assert told
    assert not await broken_in(own_database_url)
    assert await balances(owner) == await replayed(owner)
    level = await owner.fetchval("select on_hand from stock_level where id = $1", place["level_id"])
    assert level == place["level"] + 20


async def test_nothing_is_rebuilt_that_would_be_oversold(own_database_url: str) -> None:
    """Where the moves left less than is promised somebody has to decide; nothing is written."""
    async with unguarded(own_database_url) as connection:
        await connection.execute("delete from stock_move")
    connection = await asyncpg.connect(own_database_url)
    try:
        await connection.execute(
            "alter table stock_level add constraint never_oversold"
            " check (allow_negative or (on_hand >= 0 and reserved <= on_hand))"
        )
        before = [await connection.fetch(sql) for sql in SUMS]
        with pytest.raises(VerifyError, match="Nothing was changed"):
            await rebuild(own_database_url)
        assert [await connection.fetch(sql) for sql in SUMS] == before
    finally:
        await connection.close()


async def test_lost_rows_are_found_by_what_refers_to_them(own_database_url: str) -> None:
    """A row that vanished past the guards leaves references that find nothing."""
    async with unguarded(own_database_url) as connection:
        partner, order = await connection.fetchrow(  # type: ignore[misc]
            "select partner_id, id from sales_order where id = 1"
        )
        await connection.execute("delete from partner where id = $1", partner)
        await connection.execute("delete from sales_order where id = $1", order)
    broken = await broken_in(own_database_url)
    assert "refers: sales_order(partner_id)" in broken
    lines = broken[
        "refers: sales_order_line(order_id, company_id, partner_id, currency, placed_on)"
    ]
    assert {row["order_id"] for row in lines.rows} == {order}


async def test_rows_of_another_company_are_found(own_database_url: str) -> None:
    """An order from another company's warehouse is found; a shared price list is fine."""
    async with unguarded(own_database_url) as connection:
        await connection.execute(
            "update sales_order set warehouse_id = 3 where id = (select min(id) from sales_order"
            " where company_id = 1)"
        )
        shared = await connection.fetchval(
            "select count(*) from sales_order o join price_list l on l.id = o.price_list_id"
            " where l.company_id is null"
        )
    broken = await broken_in(own_database_url)
    assert set(broken) - {"projection_outgoing"} == {"same company: sales_order(warehouse_id)"}
    assert shared > 0


async def test_all_rows_are_counted_and_the_first_shown(own_database_url: str) -> None:
    """However much is broken, the answer stays short."""
    async with unguarded(own_database_url) as connection:
        await connection.execute("update stock_level set allow_negative = true")
        count = await connection.fetchval("select count(*) from stock_level")
    found = (await broken_in(own_database_url))["level_negative_flag"]
    assert (found.violations, len(found.rows)) == (count, MOST_ROWS)


async def test_a_login_that_sees_less_proves_nothing(
    server: EmbeddedPostgres, database_url: str
) -> None:
    """To a login under row security broken data looks fine, so it gets a refusal, not a proof."""
    name = database_url.partition("@/")[2].partition("?")[0]
    with pytest.raises(VerifyError, match="owns the tables"):
        await verify(server.url(name, user="erp_app"))


@pytest.fixture
def empty_url(server: EmbeddedPostgres) -> Iterator[str]:
    """Yield the owner's URL of a database without tables."""
    name = f"erp_empty_{uuid4().hex[:12]}"
    server.create_database(name)
    yield server.url(name)
    server.drop_database(name)


async def test_a_database_without_tables_is_refused(empty_url: str) -> None:
    """The message says what to do first."""
    with pytest.raises(VerifyError, match="python -m gateway migrate"):
        await verify(empty_url)


def printed(*results: InvariantResult) -> str:
    """Return what is printed of results."""
    screen = StringIO()
    print_results(results, Console(file=screen, width=120))
    return screen.getvalue()


def result_of(module: str, name: str, violations: int, /, **row: object) -> InvariantResult:
    """Return a result as `verify` would."""
    invariant = Invariant(name, "select 1", f"What to do about {name}.")
    return InvariantResult(module, invariant, violations, (row,) if violations else (), 0.25)


def test_print_says_what_holds() -> None:
    """One line per invariant, one for all sound references, and a sum."""
    text = printed(
        result_of("sales", "order_totals", 0),
        result_of(TABLES, "refers: a(b)", 0),
        result_of(TABLES, "refers: c(d)", 0),
    )
    assert "order_totals" in text
    assert "2 references between tables" in text
    assert "refers: a(b)" not in text
    assert "3 of 3 invariants hold (0.8 s)" in text


def test_print_shows_rows_and_the_hint_of_what_does_not_hold() -> None:
    """What is broken comes with its first rows, as they are, and with what to do."""
    text = printed(
        result_of("sales", "order_totals", 21, number="SO-1", name="[red]O'Hara[/]"),
        result_of(TABLES, "refers: a(b)", 1, id=5),
    )
    assert "What to do about order_totals." in text
    assert "[red]O'Hara[/]" in text
    assert "... and 20 more" in text
    assert "refers: a(b)" in text
    assert "0 of 2 invariants hold" in text


def test_print_shows_what_was_rebuilt() -> None:
    """What was wrong is shown beside what it is now, and counted."""
    screen = StringIO()
    found = [result_of("inventory", "balance_is_sum_of_moves", 21, balance=5, moved=3)]
    print_rebuilt(found, Console(file=screen, width=120))
    text = screen.getvalue()
    assert "balance_is_sum_of_moves" in text
    assert "... and 20 more" in text
    assert "21 sums rebuilt" in text

"""What the tables of accounting do by themselves: bills are noted on the orders they are for."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
import pytest_asyncio

from resolvers.core.principal import STAFF_ROLE, RowScope
from tests.fixtures.row_scopes import rolled_back, take_on

ORDER = """
with made as (
  insert into purchase_order (company_id, number, state, partner_id, warehouse_id, currency,
                              ordered_on, expected_on)
  values (1, 'LAW', 'CONFIRMED', 1, 1, 'EUR', '2026-06-01', '2026-06-20') returning id
)
insert into purchase_order_line (company_id, partner_id, order_id, position, product_id,
                                 description, uom_id, currency, quantity, canceled, unit_price,
                                 net, expected_on)
select 1, 1, id, n, n, 'Law', 1, 'EUR', 10 * n, n - 1, 1, 10 * n, '2026-06-20'
from made, generate_series(1, 2) n returning order_id, id
"""
INVOICE = """
insert into invoice (company_id, kind, number, partner_id, currency, invoiced_on, due_on)
values ($1, $2, $3, 1, 'EUR', '2026-06-21', '2026-07-21') returning id
"""
LINES = """
insert into invoice_line (company_id, partner_id, invoice_id, position, purchase_order_line_id,
                          product_id, description, currency, quantity, unit_price, net, tax)
select $1, 1, $2, row_number() over (order by line), line, 1, 'Law', 'EUR', quantity, 1, quantity, 0
from unnest($3::bigint[], $4::numeric[]) as given(line, quantity)
"""


@dataclass
class Order:
    """An order of two lines, of 10 pieces and of 20 of which one is canceled, at version 1."""

    owner: "asyncpg.Connection[Any]"
    id: int
    lines: tuple[int, int]

    async def bill(self, *quantities: str, **other: Any) -> None:
        """Enter a bill, or an invoice of another company or kind, for so much of each line."""
        connection = other.get("connection", self.owner)
        company, kind = other.get("company", 1), other.get("kind", "VENDOR_BILL")
        number = f"LAW-{company}-{'-'.join(quantities)}"
        id_ = await connection.fetchval(INVOICE, company, kind, number)
        given: Mapping[int, Decimal] = dict(zip(self.lines, map(Decimal, quantities), strict=False))
        await connection.execute(LINES, company, id_, list(given), list(given.values()))

    async def billed(self) -> tuple[str, int, list[str]]:
        """Return the status of the order, its version, and what was billed of each line."""
        order = await self.owner.fetchrow(
            "select bill_status, version from purchase_order where id = $1", self.id
        )
        assert order is not None
        lines = await self.owner.fetch(
            "select billed::text from purchase_order_line where order_id = $1 order by position",
            self.id,
        )
        return order["bill_status"], order["version"], [line["billed"] for line in lines]


@pytest_asyncio.fixture
async def order(own_database_url: str) -> AsyncIterator[Order]:
    """Yield an order in a database of this test alone."""
    connection = await asyncpg.connect(own_database_url)
    (id_, first), (_, second) = await connection.fetch(ORDER)
    yield Order(connection, id_, (first, second))
    await connection.close()


async def test_bills_are_noted_on_the_lines_they_are_for(order: Order) -> None:
    """The order is billed when nothing is left to bill; what is canceled never is."""
    assert await order.billed() == ("NONE", 1, ["0.0000", "0.0000"])
    await order.bill("10.5", "0.25")
    assert await order.billed() == ("PARTIAL", 2, ["10.5000", "0.2500"])
    await order.bill("2", "18.7499")
    assert await order.billed() == ("PARTIAL", 3, ["12.5000", "18.9999"])
    await order.bill("0.0001", "0.0001")
    assert await order.billed() == ("BILLED", 4, ["12.5001", "19.0000"])


async def test_only_bills_of_the_orders_company_count(order: Order) -> None:
    """An invoice to a customer is no bill, and a bill of another company changes nothing here."""
    await order.bill("3", company=2)
    assert await order.billed() == ("NONE", 1, ["0.0000", "0.0000"])
    await order.bill("3", kind="CUSTOMER_INVOICE")
    assert (await order.billed())[::2] == ("NONE", ["0.0000", "0.0000"])


async def test_staff_enters_bills(order: Order) -> None:
    """What the serving role enters is noted too."""
    async with rolled_back(order.owner):
        await take_on(order.owner, RowScope(STAFF_ROLE, 1))
        await order.bill("4")
        assert await order.billed() == ("PARTIAL", 2, ["4.0000", "0.0000"])


async def test_bills_entered_at_once_are_both_noted(order: Order, own_database_url: str) -> None:
    """The second waits for the first, and adds to what that left behind."""
    other = await asyncpg.connect(own_database_url)
    try:
        transaction = order.owner.transaction()
        await transaction.start()
        await order.bill("10")
        waiting = asyncio.create_task(order.bill("1", "19", connection=other))
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        await transaction.commit()
        await waiting
    finally:
        await other.close()
    assert await order.billed() == ("BILLED", 3, ["11.0000", "19.0000"])

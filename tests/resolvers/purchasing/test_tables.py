"""What the tables of purchasing do by themselves: stock on its way follows the lines of orders."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from resolvers.core.principal import STAFF_ROLE, RowScope
from tests.fixtures.row_scopes import rolled_back, take_on

NEW_ORDER = """
insert into purchase_order (company_id, number, state, partner_id, warehouse_id, currency,
                            ordered_on, expected_on)
values (1, $1, $2, 1, 1, 'EUR', '2026-06-01', '2026-06-20') returning id
"""
NEW_LINES = """
insert into purchase_order_line (company_id, partner_id, order_id, position, product_id,
                                 description, uom_id, currency, quantity, unit_price, net,
                                 expected_on, over_receipt_percent)
select 1, 1, $1, n, n, 'Law', 1, 'EUR', 10 * n, 1, 10 * n, date '2026-06-20' + n, 5
from generate_series(1, 3) n returning id
"""
COMES = """
select i.source_id - $1 + 1, i.quantity, i.expected_on, i.warehouse_id
from incoming_stock i join purchase_order_line l on l.id = i.source_id
where l.order_id = $2 order by 1
"""


@dataclass
class Order:
    """An order of three lines: 10, 20 and 30 pieces, expected on 21, 22 and 23 June."""

    owner: "asyncpg.Connection[Any]"
    id: int
    first_line: int

    async def comes(self) -> list[tuple[int, int, int, int]]:
        """Return what is on its way: position, quantity, day of June and warehouse."""
        rows = await self.owner.fetch(COMES, self.first_line, self.id)
        return [(line, int(quantity), on.day, at) for line, quantity, on, at in rows]

    async def set(self, table: str, change: str, which: str = "true") -> None:
        """Change the order or some of its lines."""
        of = "id" if table == "purchase_order" else "order_id"
        await self.owner.execute(f"update {table} set {change} where {of} = {self.id} and {which}")


ALL = [(1, 10, 21, 1), (2, 20, 22, 1), (3, 30, 23, 1)]


async def make_order(owner: "asyncpg.Connection[Any]", state: str) -> Order:
    """Make an order in a state."""
    order_id = await owner.fetchval(NEW_ORDER, f"LAW-{state}", state)
    lines = await owner.fetch(NEW_LINES, order_id)
    return Order(owner, order_id, lines[0]["id"])


@pytest_asyncio.fixture
async def owner(own_database_url: str) -> "AsyncIterator[asyncpg.Connection[Any]]":
    """Yield the owner's connection to a database of this test alone."""
    connection = await asyncpg.connect(own_database_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize("state", ["DRAFT", "SENT", "TO_APPROVE", "FULFILLED", "CANCELED"])
async def test_only_confirmed_orders_bring_something(
    owner: "asyncpg.Connection[Any]", state: str
) -> None:
    """Lines count from the moment their order is confirmed until it is no more."""
    order = await make_order(owner, state)
    assert await order.comes() == []
    await order.set("purchase_order", "state = 'CONFIRMED'")
    assert await order.comes() == ALL
    await order.set("purchase_order", f"state = '{state}'")
    assert await order.comes() == []


async def test_what_comes_follows_the_lines(owner: "asyncpg.Connection[Any]") -> None:
    """Receipts, cancellations, new dates and another warehouse show at once, line by line."""
    order = await make_order(owner, "CONFIRMED")
    assert await order.comes() == ALL
    await order.set("purchase_order_line", "received = 4", "position = 1")
    await order.set(
        "purchase_order_line", "canceled = 5, expected_on = '2026-06-28'", "position = 2"
    )
    assert await order.comes() == [(1, 6, 21, 1), (2, 15, 28, 1), (3, 30, 23, 1)]
    await order.set("purchase_order_line", "received = 10", "position = 1")
    await order.set("purchase_order_line", "received = 31", "position = 3")
    assert await order.comes() == [(2, 15, 28, 1)]
    await order.set("purchase_order_line", "received = 9", "position = 1")
    assert await order.comes() == [(1, 1, 21, 1), (2, 15, 28, 1)]
    await order.set("purchase_order", "warehouse_id = 2")
    assert await order.comes() == [(1, 1, 21, 2), (2, 15, 28, 2)]


async def test_other_changes_leave_the_rows_alone(owner: "asyncpg.Connection[Any]") -> None:
    """A change that says nothing of what comes writes no row."""
    order = await make_order(owner, "CONFIRMED")
    where_they_are = "select array_agg(ctid::text order by id) from incoming_stock"
    before = await owner.fetchval(where_they_are)
    await order.set("purchase_order", "supplier_ref = 'X', version = version + 1")
    await order.set("purchase_order_line", "unit_price = 2, net = quantity * 2")
    assert await owner.fetchval(where_they_are) == before


async def test_staff_changes_orders_and_cannot_write_what_comes(
    owner: "asyncpg.Connection[Any]",
) -> None:
    """The serving role may not write what comes; its changes of lines arrive there all the same."""
    order = await make_order(owner, "CONFIRMED")
    async with rolled_back(owner):
        await take_on(owner, RowScope(STAFF_ROLE, 1))
        await order.set("purchase_order_line", "received = 10", "position = 1")
        assert await order.comes() == ALL[1:]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute("update incoming_stock set quantity = 1")


@pytest.mark.parametrize("line_first", [True, False])
async def test_a_line_and_its_order_changed_at_once(
    own_database_url: str,
    owner: "asyncpg.Connection[Any]",
    line_first: bool,  # noqa: FBT001
) -> None:
    """Whoever commits last, what comes is what both have left behind."""
    order = await make_order(owner, "DRAFT")
    other = await asyncpg.connect(own_database_url)
    line = f"update purchase_order_line set quantity = 50 where id = {order.first_line}"
    confirm = f"update purchase_order set state = 'CONFIRMED' where id = {order.id}"
    first, second = (line, confirm) if line_first else (confirm, line)
    try:
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute(first)
        waiting = asyncio.create_task(other.execute(second))
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        await transaction.commit()
        await waiting
    finally:
        await other.close()
    assert await order.comes() == [(1, 50, 21, 1), *ALL[1:]]


@pytest.mark.parametrize(
    ("received", "canceled", "percent", "fits"),
    [
        ("10", "0", "0", True),
        ("10.0001", "0", "0", False),
        ("10.5", "0", "5", True),
        ("10.5001", "0", "5", False),
        ("4.2", "6", "5", True),
        ("4.2001", "6", "5", False),
        ("10.0001", "0", "0.001", True),
        ("10.0002", "0", "0.001", False),
    ],
)
async def test_the_tolerance_is_exact(
    owner: "asyncpg.Connection[Any]",
    received: str,
    canceled: str,
    percent: str,
    fits: bool,  # noqa: FBT001
) -> None:
    """More than ordered is accepted up to the tolerance of the line, to the last digit."""
    order = await make_order(owner, "CONFIRMED")
    change = f"received = {received}, canceled = {canceled}, over_receipt_percent = {percent}"
    if fits:
        await order.set("purchase_order_line", change, "position = 1")
        assert [line for line, *_ in await order.comes()] == [2, 3]
    else:
        with pytest.raises(asyncpg.CheckViolationError, match="not_over_received"):
            await order.set("purchase_order_line", change, "position = 1")


async def test_a_receipt_is_of_its_orders_supplier_and_product(
    owner: "asyncpg.Connection[Any]",
) -> None:
    """Neither a receipt nor a line of it can be of another partner, company or product."""
    order = await make_order(owner, "CONFIRMED")
    receipt = """
      insert into goods_receipt (company_id, number, order_id, partner_id, warehouse_id,
                                 received_on, posted_by)
      values ($1, 'LAW', $2, $3, $4, $5, 'user:1') returning id"""
    today = date(2026, 6, 30)
    for company, partner, warehouse in ((2, 1, 3), (1, 2, 1)):
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="fk_goods_receipt_order"):
            await owner.execute(receipt, company, order.id, partner, warehouse, today)
    receipt_id = await owner.fetchval(receipt, 1, order.id, 1, 1, today)
    line = """
      insert into goods_receipt_line (company_id, partner_id, receipt_id, position, order_line_id,
                                      product_id, quantity)
      values (1, 1, $1, 1, $2, $3, $4)"""
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="order_line"):
        await owner.execute(line, receipt_id, order.first_line, 2, Decimal(1))
    await owner.execute(line, receipt_id, order.first_line, 1, Decimal(1))

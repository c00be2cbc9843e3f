"""How far sales orders are invoiced and paid: derived, whoever writes invoices or cancels lines."""

import asyncio
from decimal import Decimal
from typing import Any

import asyncpg

from resolvers.core.principal import STAFF_ROLE, RowScope
from schema.core.ids import encode_id
from tests.fixtures.gateway import Gateway
from tests.fixtures.row_scopes import rolled_back, take_on

ORDER = """
query Order($id: ID!) {
  salesOrder(id: $id) { invoiceStatus paymentStatus version lines { qtyInvoiced } }
}
"""
LISTED = """
query Listed($invoiced: [InvoiceStatus!], $paid: [OrderPaymentStatus!]) {
  salesOrders(filter: {invoiceStatus: $invoiced, paymentStatus: $paid}) { totalCount }
}
"""
CANCEL = """
mutation Cancel($id: ID!) {
  cancelSalesOrder(idempotencyKey: "cancel", id: $id) {
    order { state version invoiceStatus paymentStatus }
    userErrors { code }
  }
}
"""
INVOICE = """
insert into invoice (company_id, kind, number, partner_id, sales_order_id, currency, invoiced_on,
                     due_on, subtotal, total, residual, total_base, residual_base)
select company_id, $3, $2, partner_id, id, currency, '2026-06-30', '2026-06-30', 10, 10, 10, 10, 10
from sales_order where id = $1 returning id
"""
LINES = """
insert into invoice_line (company_id, partner_id, invoice_id, position, sales_order_line_id,
                          product_id, description, currency, quantity, unit_price, net, tax)
select company_id, partner_id, $1, row_number() over (order by id), id, product_id, 'law', currency,
       ($3::numeric[])[array_position($2::bigint[], id)], 1, 5, 0
from sales_order_line where id = any($2)
"""


async def half_shipped(gateway: Gateway) -> tuple[int, list[int]]:
    """Return an order that nothing is invoiced of, half of its two lines shipped, and these."""
    owner = gateway.owner
    order_id = await owner.fetchval(
        """select o.id from sales_order o join sales_order_line l on l.order_id = o.id
           where o.company_id = 1 and o.state = 'CONFIRMED' and o.hold is null
             and o.shipment_status = 'NONE'
           group by o.id having count(*) = 2 order by o.id limit 1"""
    )
    await owner.execute("set session_replication_role = replica")
    await owner.execute(
        "update sales_order_line set quantity = 10, shipped = 5, reserved = 0 where order_id = $1",
        order_id,
    )
    await owner.execute(
        "update stock_reservation set state = 'RELEASED' where source_id in"
        " (select id from sales_order_line where order_id = $1)",
        order_id,
    )
    await owner.execute(
        "update sales_order set shipment_status = 'PARTIAL', reservation_status = 'NONE'"
        " where id = $1",
        order_id,
    )
    await owner.execute("set session_replication_role = origin")
    lines = await owner.fetch("select id from sales_order_line where order_id = $1", order_id)
    return order_id, sorted(line["id"] for line in lines)


async def invoice(
    connection: "asyncpg.Connection[Any]",
    order_id: int,
    lines: list[int],
    *quantities: str,
    kind: str = "CUSTOMER_INVOICE",
) -> int:
    """Enter an invoice of 10 for so much of each line, and return its id."""
    number = f"LAW-{kind}-{'-'.join(quantities)}"
    id_: int = await connection.fetchval(INVOICE, order_id, number, kind)
    await connection.execute(LINES, id_, lines, [Decimal(quantity) for quantity in quantities])
    return id_


async def pay(connection: "asyncpg.Connection[Any]", invoice_id: int, amount: int) -> None:
    """Leave so much less to pay of an invoice."""
    await connection.execute(
        "update invoice set residual = residual - $2 where id = $1", invoice_id, amount
    )


async def axes(gateway: Gateway, order_id: int) -> tuple[str, str, list[str]]:
    """Return how far an order is invoiced and paid, and what is invoiced of its lines."""
    data = await gateway.data(ORDER, {"id": encode_id("SalesOrder", order_id)})
    order = data["salesOrder"]
    invoiced = [line["qtyInvoiced"] for line in order["lines"]]
    return order["invoiceStatus"], order["paymentStatus"], invoiced


async def test_an_order_is_invoiced_and_paid_step_by_step(own_gateway: Gateway) -> None:
    """In part until nothing is left to invoice, what is canceled left out; paid after that."""
    owner = own_gateway.owner
    order_id, lines = await half_shipped(own_gateway)
    assert await axes(own_gateway, order_id) == ("NONE", "NOT_PAID", ["0.0000", "0.0000"])
    first = await invoice(owner, order_id, lines, "2", "5")
    assert await axes(own_gateway, order_id) == ("PARTIAL", "NOT_PAID", ["2.0000", "5.0000"])
    await pay(owner, first, 10)
    assert (await axes(own_gateway, order_id))[:2] == ("PARTIAL", "PARTIAL")
    second = await invoice(owner, order_id, lines[:1], "3")
    assert (await axes(own_gateway, order_id))[:2] == ("PARTIAL", "PARTIAL")
    canceled = await own_gateway.data(CANCEL, {"id": encode_id("SalesOrder", order_id)})
    order = canceled["cancelSalesOrder"]["order"]
    assert (order["state"], order["invoiceStatus"], order["paymentStatus"]) == (
        "FULFILLED",
        "INVOICED",
        "PARTIAL",
    )
    await pay(owner, second, 4)
    assert (await axes(own_gateway, order_id))[1] == "PARTIAL"
    await pay(owner, second, 6)
    assert await axes(own_gateway, order_id) == ("INVOICED", "PAID", ["5.0000", "5.0000"])
    await pay(owner, second, -1)
    assert (await axes(own_gateway, order_id))[1] == "PARTIAL", "a payment that came back"


async def test_the_version_counts_what_was_edited(own_gateway: Gateway) -> None:
    """Whoever read an order can still edit it after it was invoiced."""
    order_id, lines = await half_shipped(own_gateway)
    version = await own_gateway.owner.fetchval(
        "select version from sales_order where id = $1", order_id
    )
    await invoice(own_gateway.owner, order_id, lines, "1", "1")
    data = await own_gateway.data(ORDER, {"id": encode_id("SalesOrder", order_id)})
    assert data["salesOrder"]["version"] == version
    canceled = await own_gateway.data(CANCEL, {"id": encode_id("SalesOrder", order_id)})
    assert canceled["cancelSalesOrder"]["order"]["version"] == version + 1
    trail = await own_gateway.owner.fetchval(
        "select max(version) from audit_log where entity = 'SalesOrder' and entity_id = $1",
        order_id,
    )
    assert trail == version + 1


async def test_bills_of_suppliers_are_no_invoices(own_gateway: Gateway) -> None:
    """Of the lines that invoices name, those of invoices to customers count."""
    order_id, lines = await half_shipped(own_gateway)
    await invoice(own_gateway.owner, order_id, lines, "2", "2", kind="VENDOR_BILL")
    assert await axes(own_gateway, order_id) == ("NONE", "NOT_PAID", ["0.0000", "0.0000"])


async def test_staff_enters_invoices(own_gateway: Gateway) -> None:
    """What the serving role enters counts too."""
    order_id, lines = await half_shipped(own_gateway)
    async with rolled_back(own_gateway.owner):
        await take_on(own_gateway.owner, RowScope(STAFF_ROLE, 1))
        paid = await invoice(own_gateway.owner, order_id, lines, "10", "10")
        await pay(own_gateway.owner, paid, 10)
        row = await own_gateway.owner.fetchrow(
            "select invoice_status, payment_status from sales_order where id = $1", order_id
        )
        assert tuple(row or ()) == ("INVOICED", "PAID")


async def test_invoices_and_payments_at_once_all_count(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """Whoever comes second waits, and adds to what the first left behind."""
    order_id, lines = await half_shipped(own_gateway)
    first = await invoice(own_gateway.owner, order_id, lines, "0.25", "0.25")

    async def one(quantity: int) -> None:
        connection = await asyncpg.connect(own_database_url)
        try:
            await invoice(connection, order_id, lines, f"0.{quantity}", f"0.{quantity}")
            await pay(connection, first, 1)
        finally:
            await connection.close()

    await asyncio.gather(*(one(quantity) for quantity in range(1, 9)))
    assert await axes(own_gateway, order_id) == ("PARTIAL", "PARTIAL", ["3.8500", "3.8500"])
    await pay(own_gateway.owner, first, 2)
    for row in await own_gateway.owner.fetch(
        "select id from invoice where sales_order_id = $1 and residual > 0", order_id
    ):
        await pay(own_gateway.owner, row["id"], 10)
    await invoice(own_gateway.owner, order_id, lines, "6.15", "6.15")
    assert (await axes(own_gateway, order_id))[:2] == ("INVOICED", "PARTIAL")


async def test_orders_are_listed_by_how_far_they_are(gateway: Gateway) -> None:
    """The demo has orders of each kind, and the list finds them."""
    for invoiced, paid in (
        ("NONE", "NOT_PAID"),
        ("PARTIAL", "PARTIAL"),
        ("INVOICED", "PARTIAL"),
        ("INVOICED", "NOT_PAID"),
        ("INVOICED", "PAID"),
    ):
        listed = await gateway.data(LISTED, {"invoiced": [invoiced], "paid": [paid]})
        counted = await gateway.owner.fetchval(
            "select count(*) from sales_order where company_id = 1 and invoice_status = $1"
            " and payment_status = $2",
            invoiced,
            paid,
        )
        assert listed["salesOrders"]["totalCount"] == counted > 0

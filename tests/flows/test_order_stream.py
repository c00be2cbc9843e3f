"""How far orders are, told to those who may know, whoever changes it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from resolvers.core.principal import Principal
from schema.core.execution import GraphQLRequest
from schema.core.ids import encode_id
from tests.fixtures.deliveries import Heard, hearing
from tests.fixtures.gateway import Gateway, principal
from tests.flows.test_selling import RESERVED, act, order_that, ship, unlimited

WATCH = """
subscription Orders($orders: [ID!], $partners: [ID!], $axes: [OrderAxisName!], $after: String) {
  orderStatusChanged(orderIds: $orders, partnerIds: $partners, axes: $axes, after: $after) {
    seq cause axis from to
    ... on OrderStatusChange {
      previousState state previousHold hold previousReservationStatus reservationStatus
      previousShipmentStatus shipmentStatus previousInvoiceStatus invoiceStatus
      previousPaymentStatus paymentStatus
    }
    order { id state partner { id } }
  }
}
"""
FIRST = "select id from sales_order where company_id = 1 and state = 'CONFIRMED' order by id"
SOON = 20


def stream(
    gateway: Gateway, caller: Principal | None = None, **variables: Any
) -> AsyncGenerator[Heard, None]:
    """Subscribe to orders."""
    executor, who = gateway.runtime.executor, caller or principal()
    request = GraphQLRequest(WATCH, None, {"after": "0", **variables})
    prepared = executor.prepare(request, known_caller=True)
    return hearing(executor.subscribe(prepared, lambda: gateway.runtime.open_context(who, "watch")))


async def told(stream: AsyncGenerator[Heard, None]) -> Any:
    """Return the next change."""
    answer = await asyncio.wait_for(anext(stream), SOON)
    assert not answer.errors, answer.errors
    assert answer.data is not None
    return answer.data["orderStatusChanged"]


@asynccontextmanager
async def watching(gateway: Gateway, **variables: Any) -> AsyncIterator[AsyncGenerator[Heard]]:
    """Subscribe for as long as the block lasts."""
    async with aclosing(stream(gateway, **variables)) as answers:
        yield answers


async def test_an_order_tells_of_every_step(own_gateway: Gateway) -> None:
    """Held, released and shipped: each with what was before, and with its cause."""
    await unlimited(own_gateway)
    order_id = await order_that(own_gateway, RESERVED)
    await act(own_gateway, "holdSalesOrder", order_id)
    await act(own_gateway, "releaseHold", order_id)
    assert (await ship(own_gateway, order_id))["userErrors"] == []
    async with watching(own_gateway, orders=[encode_id("SalesOrder", order_id)]) as answers:
        held, released = [await told(answers) for _ in range(2)]
        shipped = [await told(answers) for _ in range(3)]
    assert (held["axis"], held["cause"]) == ("HOLD", "HOLD")
    assert (held["previousHold"], held["hold"]) == (None, "MANUAL")
    assert (released["previousHold"], released["hold"]) == ("MANUAL", None)
    assert {change["axis"] for change in shipped} == {"LIFECYCLE", "RESERVATION", "SHIPMENT"}
    assert shipped[0]["cause"] == "SHIPMENT"
    assert shipped[-1]["shipmentStatus"] == "SHIPPED"
    assert shipped[-1]["order"]["state"] == "FULFILLED"
    places = [int(change["seq"]) for change in (held, released, *shipped)]
    assert places == sorted(set(places))


async def test_plain_sql_tells_of_itself(own_gateway: Gateway) -> None:
    """One event per order that changed, and none of those that only got a new version."""
    rows = await own_gateway.owner.fetch(f"{FIRST} limit 3")
    keys = [row["id"] for row in rows]
    await own_gateway.owner.execute(
        "update sales_order set customer_ref = 'x' where id = any($1)", keys
    )
    await own_gateway.owner.execute(
        "update sales_order set payment_status = case payment_status when 'PAID' then 'PARTIAL'"
        " else 'PAID' end where id = any($1)",
        keys,
    )
    async with watching(own_gateway) as answers:
        changes = [await told(answers) for _ in keys]
    assert [change["order"]["id"] for change in changes] == [
        encode_id("SalesOrder", key) for key in keys
    ]
    assert {(change["axis"], change["cause"]) for change in changes} == {("PAYMENT", "EXTERNAL")}


async def test_filters_choose_what_is_told(own_gateway: Gateway) -> None:
    """Orders, customers and axes; all conditions must hold."""
    owner = own_gateway.owner
    rows = await owner.fetch(
        "select distinct on (partner_id) id, partner_id from sales_order where company_id = 1"
        " and state = 'CONFIRMED' and hold is null order by partner_id, id limit 3"
    )
    for row in rows:
        await owner.execute("update sales_order set hold = 'ADDRESS' where id = $1", row["id"])
        await owner.execute("update sales_order set hold = null where id = $1", row["id"])
    last = rows[-1]
    order = [encode_id("SalesOrder", last["id"])]
    partner = [encode_id("Partner", last["partner_id"])]
    for variables in (
        {"orders": order},
        {"partners": partner},
        {"orders": order, "partners": partner, "axes": ["lifecycle", "HOLD"]},
    ):
        async with watching(own_gateway, **variables) as answers:
            held, released = [await told(answers) for _ in range(2)]
        assert (held["hold"], released["hold"]) == ("ADDRESS", None)
        assert held["order"]["id"] == released["order"]["id"] == order[0]
    await owner.execute(
        "update sales_order set payment_status = case payment_status when 'PAID' then 'PARTIAL'"
        " else 'PAID' end where id = $1",
        rows[0]["id"],
    )
    async with watching(own_gateway, axes=["PAYMENT"]) as answers:
        assert (await told(answers))["axis"] == "PAYMENT"


async def test_a_partner_hears_of_its_own_orders(own_gateway: Gateway) -> None:
    """Whatever it asks for, live or from the log, a bound client is told of no other's."""
    owner = own_gateway.owner
    mine, other = await owner.fetch(
        "select distinct on (partner_id) id, partner_id from sales_order where company_id = 1"
        " and state = 'CONFIRMED' and hold is null order by partner_id, id limit 2"
    )
    turns = "update sales_order set hold = $2 where id = $1"
    for row in (other, mine):
        await owner.execute(turns, row["id"], "ADDRESS")
    caller = principal(partner_id=mine["partner_id"])
    everybody = [encode_id("Partner", row["partner_id"]) for row in (mine, other)]
    async with aclosing(stream(own_gateway, caller, partners=everybody)) as answers:
        from_log = await told(answers)
        live = asyncio.ensure_future(told(answers))
        for row in (other, mine):
            await owner.execute(turns, row["id"], None)
        from_broker = await live
    for change in (from_log, from_broker):
        assert change["order"]["id"] == encode_id("SalesOrder", mine["id"])
        assert change["order"]["partner"]["id"] == everybody[0]
    no_one = principal(permissions=frozenset({"stock.read", "availability.read"}))
    [answer] = [answer async for answer in stream(own_gateway, no_one)]
    assert answer.errors[0]["extensions"]["code"] == "FORBIDDEN"


async def test_another_company_hears_nothing(own_gateway: Gateway) -> None:
    """An event goes to the subscribers of its company."""
    owner = own_gateway.owner
    turns = "update sales_order set hold = 'ADDRESS' where id = $1"
    other = await owner.fetchval(
        "select id from sales_order where company_id = 2 and hold is null order by id limit 1"
    )
    mine = await owner.fetchval(f"{FIRST.replace('order by', 'and hold is null order by')} limit 1")
    await owner.execute(turns, other)
    await owner.execute(turns, mine)
    async with watching(own_gateway) as answers:
        assert (await told(answers))["order"]["id"] == encode_id("SalesOrder", mine)


async def test_a_new_order_is_told(own_gateway: Gateway) -> None:
    """It has a state, and nothing before."""
    await own_gateway.owner.execute(
        """insert into sales_order (company_id, number, state, partner_id, warehouse_id, currency,
                                    placed_on)
           select company_id, 'NEW-1', 'PLACED', partner_id, warehouse_id, currency, placed_on
           from sales_order where company_id = 1 order by id limit 1"""
    )
    async with watching(own_gateway) as answers:
        change = await told(answers)
    assert (change["axis"], change["from"], change["to"]) == ("LIFECYCLE", None, "PLACED")
    assert (change["previousState"], change["state"]) == (None, "PLACED")
    assert (change["previousPaymentStatus"], change["paymentStatus"]) == (None, "NOT_PAID")

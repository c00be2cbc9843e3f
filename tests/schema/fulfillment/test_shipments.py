"""Shipments and steps as clients see them, against SQL written by hand."""

import json
from decimal import Decimal

from tests.fixtures.gateway import principal
from tests.fixtures.paths import BothPaths

ORDER_LIST = """
query OrderList($after: String) {
  salesOrders(
    first: 50, after: $after, orderBy: { field: PLACED_ON, direction: DESC },
    filter: {
      states: [CONFIRMED], shipmentStatus: [NONE, PARTIAL], placedOn: { from: "2026-01-01" }
    }
  ) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      number placedOn hold reservationStatus shipmentStatus availableActions
      total { amount currency }
      partner { name terms { paymentTerm { code } } }
      warehouse { code }
      lines { qty qtyShipped qtyBackordered product { sku name } }
      shipments { number state trackingNo }
    }
  }
}
"""

ORDERS = """
select json_agg(x.body order by x.placed_on desc, x.id desc) from (
  select o.id, o.placed_on, json_build_object(
    'number', o.number, 'placedOn', o.placed_on::text, 'total', o.total::text,
    'partner', p.name, 'warehouse', w.code,
    'lines', (select json_agg(json_build_array(l.quantity::text, l.shipped::text, pr.sku)
                              order by l.position)
              from sales_order_line l join product pr on pr.id = l.product_id
              where l.order_id = o.id),
    'shipments', (select json_agg(json_build_array(s.number, s.state, s.tracking_no) order by s.id)
                  from shipment s where s.order_id = o.id)) as body
  from sales_order o join partner p on p.id = o.partner_id
  join warehouse w on w.id = o.warehouse_id
  where o.company_id = 1 and o.state = 'CONFIRMED' and o.shipment_status in ('NONE', 'PARTIAL')
    and o.placed_on >= '2026-01-01'
  order by o.placed_on desc, o.id desc limit 50
) x
"""


async def test_order_list(reader: BothPaths) -> None:
    """Fifty open orders with lines and shipments take nine statements, and are what SQL finds."""
    found = (await reader.data(ORDER_LIST, {"after": None}))["salesOrders"]
    assert reader.statements == 9
    expected = json.loads(await reader.owner.fetchval(ORDERS))
    assert [
        {
            "number": order["number"],
            "placedOn": order["placedOn"],
            "total": order["total"]["amount"],
            "partner": order["partner"]["name"],
            "warehouse": order["warehouse"]["code"],
            "lines": [
                [line["qty"], line["qtyShipped"], line["product"]["sku"]] for line in order["lines"]
            ],
            "shipments": [
                [one["number"], one["state"], one["trackingNo"]] for one in order["shipments"]
            ]
            or None,
        }
        for order in found["nodes"]
    ] == expected
    assert any(order["shipments"] for order in found["nodes"])
    for order in found["nodes"]:
        if order["hold"] is not None:
            assert "SHIP" not in order["availableActions"]


MY_ORDERS = """
query MyOrders {
  salesOrders(first: 50) {
    nodes {
      number externalRef customerRef state shipmentStatus promisedOn
      total { amount currency }
      lines { seq qty qtyShipped qtyBackordered promisedOn product { sku } }
      shipments { state trackingNo carrier shippedAt packages { trackingNo } }
      invoices { number dueOn residual { amount } }
    }
  }
}
"""


async def test_my_orders(reader: BothPaths) -> None:
    """A customer's program sees its orders with parcels and invoices in six statements."""
    row = await reader.owner.fetchrow(
        "select partner_id, permissions from api_client where code = 'partner-demo'"
    )
    assert row is not None
    caller = principal(partner_id=row["partner_id"], permissions=frozenset(row["permissions"]))
    orders = (await reader.data(MY_ORDERS, caller=caller))["salesOrders"]["nodes"]
    assert reader.statements == 6
    rows = await reader.owner.fetch(
        "select o.number, (select count(*) from shipment s where s.order_id = o.id),"
        " (select count(*) from package k join shipment s on s.id = k.shipment_id"
        "  where s.order_id = o.id), (select count(*) from invoice i"
        "  where i.sales_order_id = o.id) from sales_order o"
        " where o.company_id = 1 and o.partner_id = $1 order by placed_on desc, id desc limit 50",
        row["partner_id"],
    )
    assert [
        (
            order["number"],
            len(order["shipments"]),
            sum(len(one["packages"]) for one in order["shipments"]),
            len(order["invoices"]),
        )
        for order in orders
    ] == [tuple(row) for row in rows]
    assert sum(len(order["shipments"]) for order in orders) > 10


async def test_work_of_a_warehouse(reader: BothPaths) -> None:
    """The work board lists what is to be picked and packed, with what can be done next."""
    query = """{ warehouses { nodes { code shipments(
        first: 50, filter: { states: [PLANNED, PICKING, PACKED] }) { totalCount nodes {
      number state plannedOn availableActions carrier order { number partner { name } }
      lines { qty picked product { sku } orderLine { qtyReserved } } packages { seq } } } } } }"""
    houses = (await reader.data(query))["warehouses"]["nodes"]
    assert reader.statements == 9
    first = {"PLANNED": "START_PICKING", "PICKING": "PACK", "PACKED": "SHIP"}
    seen = 0
    for house in houses:
        expected = await reader.owner.fetchval(
            "select count(*) from shipment s join warehouse w on w.id = s.warehouse_id"
            " where w.code = $1 and w.company_id = 1"
            " and s.state in ('PLANNED', 'PICKING', 'PACKED')",
            house["code"],
        )
        assert house["shipments"]["totalCount"] == expected
        for shipment in house["shipments"]["nodes"]:
            seen += 1
            assert shipment["availableActions"] == [first[shipment["state"]], "CANCEL"]
            for line in shipment["lines"]:
                assert Decimal(line["qty"]) <= Decimal(line["orderLine"]["qtyReserved"])
                picked = shipment["state"] == "PACKED"
                assert (line["picked"] == line["qty"]) or not picked
            assert bool(shipment["packages"]) is (shipment["state"] == "PACKED")
    assert seen > 10


async def test_steps_of_orders(reader: BothPaths) -> None:
    """They come in their order as long as there is work; a label that failed says why."""
    query = """{ salesOrders(first: 200) { nodes { state shipmentStatus
      fulfillmentSteps { step state attempts lastError finishedAt } } } }"""
    orders = (await reader.data(query))["salesOrders"]["nodes"]
    assert reader.statements == 2
    worked = [order for order in orders if order["fulfillmentSteps"]]
    assert len(worked) > 20
    for order in orders:
        if order["state"] == "CONFIRMED" and order["shipmentStatus"] != "SHIPPED":
            assert order in worked
    for order in worked:
        steps = order["fulfillmentSteps"]
        assert [one["step"] for one in steps] == ["RESERVE", "PICK", "PACK", "LABEL", "SHIP"]
        if order["state"] == "FULFILLED":
            assert {one["state"] for one in steps} == {"DONE"}
        for one in steps:
            done = one["state"] == "DONE"
            assert done or not one["finishedAt"]
            assert one["finishedAt"] or not done or one["step"] == "RESERVE"
            assert (one["lastError"] is not None) is (one["state"] == "FAILED")


async def test_one_shipment(reader: BothPaths) -> None:
    """By its number or its id; not by both."""
    [number] = await reader.ids("select number from shipment where company_id = 1 and id = 3")
    query = (
        "query($number: String) { shipment(number: $number) { id number state order { number } } }"
    )
    found = (await reader.data(query, {"number": number}))["shipment"]
    assert found["number"] == number
    again = await reader.data(f'{{ shipment(id: "{found["id"]}") {{ number }} }}')
    assert again == {"shipment": {"number": number}}
    assert (await reader.data(query, {"number": "none"})) == {"shipment": None}
    error = await reader.refusal("{ shipment { id } }")
    assert error["message"] == "Give either id or number."

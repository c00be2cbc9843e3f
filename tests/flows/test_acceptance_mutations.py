"""What shops, warehouses and integrators send, word for word, answered with data throughout."""

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import pytest_asyncio

from gateway.postgres import EmbeddedPostgres
from gateway.verify import verify
from schema.core.ids import encode_id
from tests.fixtures.gateway import open_gateway
from tests.fixtures.paths import BothPaths

# as partners wrote them: what is changed here has to be asked of them
F4: Final = """
mutation F4_PlaceOrder($key: String!, $input: PlaceSalesOrderInput!) {
  placeSalesOrder(idempotencyKey: $key, input: $input) { userErrors { code message path details }
    shortages { sku requested available nextIncomingOn nextIncomingQty }
    order { id number state hold reservationStatus paymentStatus version total { amount currency } lines { seq qtyReserved qtyBackordered } fulfillmentSteps { step state } } } }
"""  # noqa: E501
F5: Final = """
mutation F5_ShipPartial($key: String!, $order: ID!, $lines: [ShipLineInput!]!) {
  shipOrder(idempotencyKey: $key, orderId: $order, lines: $lines, carrier: "DHL") { userErrors { code message path }
    shipment { number state packages { seq trackingNo } lines { qty lot { number expiresOn } product { sku } } }
    moves { id qty kind fromLocation { code } toLocation { code } } order { shipmentStatus lines { seq qty qtyShipped qtyBackordered } } } }
"""  # noqa: E501
P5: Final = """
mutation P5_BulkProducts($key: String!, $rows: [ProductUpsertInput!]!) { upsertProducts(idempotencyKey: $key, rows: $rows, onError: REJECT_FAILED_ROWS) { accepted rejected rows { index key errors { code message path } } job { id state } userErrors { code message } } }
"""  # noqa: E501
STEPS: Final = ("RESERVE", "PICK", "PACK", "LABEL", "SHIP")


@pytest_asyncio.fixture(scope="module")
async def shop(server: EmbeddedPostgres, template: str) -> AsyncIterator[BothPaths]:
    """Yield both paths over a database of this module; in the end every invariant holds."""
    name = f"erp_own_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    url = server.url(name)
    async with (
        open_gateway(url) as compiled,
        open_gateway(url, compile_queries=False, relay=False) as ordinary,
    ):
        yield BothPaths(compiled, ordinary)
    assert not [result for result in await verify(url) if not result.holds]
    server.drop_database(name)


def steps(order: Any) -> dict[str, str]:
    """Return how far the steps of an order are, which are told in their order."""
    assert tuple(one["step"] for one in order["fulfillmentSteps"]) == STEPS
    return {one["step"]: one["state"] for one in order["fulfillmentSteps"]}


async def a_customer(shop: BothPaths) -> int:
    """Return a customer who may owe as much as they like."""
    return int(
        await shop.owner.fetchval(
            """with free as (update partner_company set credit_limit = null, blocked_at = null)
               select o.partner_id from sales_order o join partner p on p.id = o.partner_id
               where o.company_id = 1 and p.archived_at is null order by o.id limit 1"""
        )
    )


async def test_place_and_confirm_in_one_call(shop: BothPaths) -> None:
    """More than there is comes back as shortages, with what is coming and when."""
    partner = await a_customer(shop)
    coming: Any = await shop.owner.fetchrow(
        """select p.sku, i.expected_on, i.quantity, l.on_hand - l.reserved as free
           from incoming_stock i join product p on p.id = i.product_id
           join stock_level l on l.product_id = p.id and l.warehouse_id = i.warehouse_id
           where i.warehouse_id = 1 and p.archived_at is null and l.on_hand - l.reserved > 1
           order by i.expected_on, i.id limit 1"""
    )
    asked = {
        "partnerId": encode_id("Partner", partner),
        "warehouseId": encode_id("Warehouse", 1),
        "confirm": True,
    }
    there = {"lines": [{"sku": coming["sku"], "qty": "1"}]}
    payload = (await shop.data(F4, {"key": "one", "input": asked | there}))["placeSalesOrder"]
    assert (payload["userErrors"], payload["shortages"]) == ([], [])
    assert payload["order"]["reservationStatus"] == "FULL"
    assert steps(payload["order"]) == dict.fromkeys(STEPS, "PENDING") | {"RESERVE": "DONE"}
    more = {"lines": [{"sku": coming["sku"], "qty": str(coming["free"] + 5)}]}
    payload = (await shop.data(F4, {"key": "more", "input": asked | more}))["placeSalesOrder"]
    assert payload["userErrors"] == []
    order = payload["order"]
    assert (order["state"], order["hold"]) == ("CONFIRMED", None)
    assert (order["reservationStatus"], order["paymentStatus"]) == ("PARTIAL", "NOT_PAID")
    assert order["lines"] == [
        {"seq": 1, "qtyReserved": f"{coming['free'] - 1:f}", "qtyBackordered": "6.0000"}
    ]
    assert steps(order) == dict.fromkeys(STEPS, "PENDING")
    assert payload["shortages"] == [
        {
            "sku": coming["sku"],
            "requested": f"{coming['free'] + 5}",
            "available": f"{coming['free'] - 1:f}",
            "nextIncomingOn": coming["expected_on"].isoformat(),
            "nextIncomingQty": str(coming["quantity"]),
        }
    ]


async def test_what_is_refused_says_why(shop: BothPaths) -> None:
    """Details are texts by their names, and empty where there is nothing to say."""
    partner = await a_customer(shop)
    await shop.owner.execute(
        "update partner_company set blocked_at = now(), block_reason = 'Owes too much'"
    )
    asked = {"partnerId": encode_id("Partner", partner), "confirm": True}
    lines = {"lines": [{"sku": "NONE", "qty": "1"}]}
    payload = (await shop.data(F4, {"key": "no", "input": asked | lines}))["placeSalesOrder"]
    assert payload == {
        "userErrors": [
            {
                "code": "INVALID_TRANSITION",
                "message": "The customer is blocked.",
                "path": ["input", "partnerId"],
                "details": {"reason": "Owes too much"},
            }
        ],
        "shortages": [],
        "order": None,
    }
    await a_customer(shop)
    payload = (await shop.data(F4, {"key": "no", "input": asked | lines}))["placeSalesOrder"]
    [error] = payload["userErrors"]
    assert (error["code"], error["details"]) == ("NOT_FOUND", {})


async def test_ship_a_part_with_its_lots(shop: BothPaths) -> None:
    """What leaves is told lot by lot; the rest stays on the order."""
    line: Any = await shop.owner.fetchrow(
        """update shipment s set state = 'CANCELED' from sales_order_line l
           join sales_order o on o.id = l.order_id join product p on p.id = l.product_id
           where s.order_id = o.id and s.state in ('PLANNED', 'PICKING', 'PACKED')
             and o.company_id = 1 and o.state = 'CONFIRMED' and o.hold is null
             and l.reserved >= 2 and p.tracking = 'LOT'
           returning l.id, l.order_id, p.sku"""
    )
    payload = (
        await shop.data(
            F5,
            {
                "key": "ship",
                "order": encode_id("SalesOrder", line["order_id"]),
                "lines": [
                    {"salesOrderLineId": encode_id("SalesOrderLine", line["id"]), "qty": "1"}
                ],
            },
        )
    )["shipOrder"]
    assert payload["userErrors"] == []
    assert payload["shipment"]["state"] == "SHIPPED"
    [move] = payload["moves"]
    assert (move["qty"], move["kind"]) == ("1.0000", "SHIPMENT")
    [shipped] = payload["shipment"]["lines"]
    assert (shipped["qty"], shipped["product"]) == ("1.0000", {"sku": line["sku"]})
    assert shipped["lot"]["number"]
    assert payload["order"]["shipmentStatus"] == "PARTIAL"
    left = await shop.data(
        "query($id: ID!) { salesOrder(id: $id) { fulfillmentSteps { step state } } }",
        {"id": encode_id("SalesOrder", line["order_id"])},
    )
    assert steps(left["salesOrder"])["SHIP"] == "PENDING", "they are those of what is left"


async def test_upsert_products_with_failures_as_data(shop: BothPaths) -> None:
    """Each row has a verdict; those that are wrong do not keep the others out."""
    category = await shop.owner.fetchval("select min(code) from product_category")
    rows = [
        {
            "sku": f"P5-{n}",
            "name": f"Product {n}",
            "categoryCode": category if n % 10 else "NONE",
            "uom": "PCE",
            "listPrice": "9.99",
        }
        for n in range(50)
    ]
    payload = (await shop.data(P5, {"key": "p5", "rows": rows}))["upsertProducts"]
    wrong = list(range(0, 50, 10))
    assert (payload["accepted"], payload["rejected"]) == (45, 5)
    assert [row["index"] for row in payload["rows"] if row["errors"]] == wrong
    assert payload["rows"][10]["errors"][0]["path"] == ["rows", "10", "categoryCode"]
    assert (payload["job"], payload["userErrors"]) == (None, [])

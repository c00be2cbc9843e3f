"""What shops, warehouses and integrators send: whole documents, answered with data throughout."""

from typing import Any

import pytest

from gateway.verify import verify
from schema.core.ids import encode_id
from tests.fixtures.gateway import Gateway
from tests.fixtures.paths import BothPaths

PLACE = """
mutation PlaceOrder($key: String!, $input: PlaceSalesOrderInput!) {
  placeSalesOrder(idempotencyKey: $key, input: $input) {
    userErrors { code message path details }
    shortages { sku requested available nextIncomingOn nextIncomingQty }
    order {
      id number state hold reservationStatus paymentStatus version
      total { amount currency }
      lines { seq qtyReserved qtyBackordered }
      fulfillmentSteps { step state }
    }
  }
}
"""
SHIP = """
mutation ShipPartial($key: String!, $order: ID!, $lines: [ShipLineInput!]!) {
  shipOrder(idempotencyKey: $key, orderId: $order, lines: $lines, carrier: "DHL") {
    userErrors { code message path }
    shipment {
      number state
      packages { seq trackingNo }
      lines { qty lot { number expiresOn } product { sku } }
    }
    moves { id qty kind lot { number expiresOn } fromLocation { code } toLocation { code } }
    order { shipmentStatus lines { seq qty qtyShipped qtyBackordered } }
  }
}
"""
UPSERT = """
mutation BulkProducts($key: String!, $rows: [ProductUpsertInput!]!) {
  upsertProducts(idempotencyKey: $key, rows: $rows, onError: REJECT_FAILED_ROWS) {
    accepted rejected
    rows { index key errors { code message path } }
    job { id state }
    userErrors { code message }
  }
}
"""


async def sound(url: str) -> None:
    """Check every invariant."""
    broken = [result for result in await verify(url) if not result.holds]
    assert not broken


async def test_place_and_confirm_in_one_call(own_reader: BothPaths, own_database_url: str) -> None:
    """More than there is comes back as shortages, with what is coming and when."""
    gateway = own_reader.compiled
    await gateway.owner.execute("update partner_company set credit_limit = null, blocked_at = null")
    coming: Any = await gateway.owner.fetchrow(
        """select p.sku, i.expected_on, i.quantity, l.on_hand - l.reserved as free
           from incoming_stock i join product p on p.id = i.product_id
           join stock_level l on l.product_id = p.id and l.warehouse_id = i.warehouse_id
           where i.warehouse_id = 1 and p.archived_at is null and l.on_hand > l.reserved
           order by i.expected_on, i.id limit 1"""
    )
    partner = await gateway.owner.fetchval(
        """select o.partner_id from sales_order o join partner p on p.id = o.partner_id
           where o.company_id = 1 and p.archived_at is null order by o.id limit 1"""
    )
    told = await own_reader.data(
        PLACE,
        {
            "key": "order",
            "input": {
                "partnerId": encode_id("Partner", partner),
                "warehouseId": encode_id("Warehouse", 1),
                "confirm": True,
                "lines": [{"sku": coming["sku"], "qty": str(coming["free"] + 5)}],
            },
        },
    )
    payload = told["placeSalesOrder"]
    assert payload["userErrors"] == []
    assert (payload["order"]["state"], payload["order"]["hold"]) == ("CONFIRMED", None)
    assert payload["order"]["reservationStatus"] == "PARTIAL"
    assert payload["order"]["paymentStatus"] == "NOT_PAID"
    assert payload["order"]["lines"] == [
        {"seq": 1, "qtyReserved": str(coming["free"]), "qtyBackordered": "5.0000"}
    ]
    assert payload["shortages"] == [
        {
            "sku": coming["sku"],
            "requested": f"{coming['free'] + 5}",
            "available": str(coming["free"]),
            "nextIncomingOn": coming["expected_on"].isoformat(),
            "nextIncomingQty": str(coming["quantity"]),
        }
    ]
    await sound(own_database_url)


async def test_ship_a_part_with_its_lots(own_gateway: Gateway, own_database_url: str) -> None:
    """What leaves is told lot by lot; the rest stays on the order."""
    line: Any = await own_gateway.owner.fetchrow(
        """select l.id, l.order_id, l.reserved from sales_order_line l
           join sales_order o on o.id = l.order_id join product p on p.id = l.product_id
           where o.company_id = 1 and o.state = 'CONFIRMED' and o.hold is null
             and l.reserved >= 2 and p.tracking = 'LOT'
             and not exists (select from shipment s where s.order_id = o.id
                             and s.state in ('PLANNED', 'PICKING', 'PACKED'))
           order by l.id limit 1"""
    )
    if line is None:
        # one that is being prepared otherwise
        line = await own_gateway.owner.fetchrow(
            """update shipment s set state = 'CANCELED' from sales_order_line l
               join sales_order o on o.id = l.order_id join product p on p.id = l.product_id
               where s.order_id = o.id and s.state in ('PLANNED', 'PICKING', 'PACKED')
                 and o.company_id = 1 and o.state = 'CONFIRMED' and o.hold is null
                 and l.reserved >= 2 and p.tracking = 'LOT'
               returning l.id, l.order_id, l.reserved"""
        )
    told = await own_gateway.data(
        SHIP,
        {
            "key": "ship",
            "order": encode_id("SalesOrder", line["order_id"]),
            "lines": [{"salesOrderLineId": encode_id("SalesOrderLine", line["id"]), "qty": "1"}],
        },
    )
    payload = told["shipOrder"]
    assert payload["userErrors"] == []
    assert payload["shipment"]["state"] == "SHIPPED"
    assert [(move["qty"], move["kind"]) for move in payload["moves"]] == [("1.0000", "SHIPMENT")]
    assert payload["moves"][0]["lot"]["number"]
    assert [line["lot"] for line in payload["shipment"]["lines"]] == [payload["moves"][0]["lot"]]
    assert payload["order"]["shipmentStatus"] == "PARTIAL"
    await sound(own_database_url)


@pytest.mark.parametrize("count", [1, 200])
async def test_upsert_products_with_failures_as_data(own_gateway: Gateway, count: int) -> None:
    """Each row has a verdict; those that are wrong do not keep the others out."""
    category = await own_gateway.owner.fetchval("select min(code) from product_category")
    rows = [
        {
            "sku": f"P5-{n}",
            "name": f"Product {n}",
            "categoryCode": category if n % 10 else "NONE",
            "uom": "PCE",
            "listPrice": "9.99",
        }
        for n in range(count)
    ]
    payload = (await own_gateway.data(UPSERT, {"key": "p5", "rows": rows}))["upsertProducts"]
    wrong = [n for n in range(count) if n % 10 == 0]
    assert (payload["accepted"], payload["rejected"]) == (count - len(wrong), len(wrong))
    assert [row["index"] for row in payload["rows"] if row["errors"]] == wrong
    assert payload["job"] is None

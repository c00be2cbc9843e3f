"""Serial numbers: each stands for one whole unit, which is in one place, or lost, or found."""

from typing import Any

import pytest
import pytest_asyncio

from gateway.verify import verify
from schema.core.ids import encode_id
from tests.fixtures.gateway import Gateway

ADJUST = """
mutation Adjust($key: String!, $lines: [StockAdjustmentInput!]!) {
  told: adjustStock(idempotencyKey: $key, lines: $lines) { userErrors { code path } }
}
"""


class Units:
    """A product with serial numbers, at two places of a warehouse."""

    def __init__(self, gateway: Gateway, product_id: int, places: list[int]) -> None:
        self.gateway = gateway
        self.owner = gateway.owner
        self.product_id = product_id
        self.places = places
        self.commands = 0

    async def told(self, document: str, **variables: Any) -> Any:
        """Run a command whose field is called told, and return what it tells."""
        self.commands += 1
        return (await self.gateway.data(document, {"key": f"k{self.commands}", **variables}))[
            "told"
        ]

    async def adjust(self, *lines: tuple[int, str, str]) -> list[str]:
        """Correct stock of serial numbers at places, and return the codes of refusals."""
        asked = [
            {
                "sku": "SERIALS",
                "locationId": encode_id("StockLocation", self.places[place]),
                "delta": delta,
                "lotNumber": number,
                "reason": "Test",
            }
            for place, number, delta in lines
        ]
        told = await self.told(ADJUST, lines=asked)
        return [error["code"] for error in told["userErrors"]]

    async def order(self, quantity: str) -> tuple[str, str]:
        """Confirm an order, and return its id and that of its line."""
        partner = await self.owner.fetchval(
            "select min(partner_id) from sales_order where company_id = 1 and partner_id not in"
            " (select partner_id from partner_company where blocked_at is not null)"
        )
        told = await self.told(
            """mutation($key: String!, $input: PlaceSalesOrderInput!) {
              told: placeSalesOrder(idempotencyKey: $key, input: $input)
              { order { id lines { id qtyReserved } } userErrors { code } } }""",
            input={
                "partnerId": encode_id("Partner", partner),
                "warehouseId": encode_id("Warehouse", 1),
                "confirm": True,
                "lines": [{"sku": "SERIALS", "qty": quantity}],
            },
        )
        assert told["order"]["lines"][0]["qtyReserved"] == f"{float(quantity):.4f}"
        return told["order"]["id"], told["order"]["lines"][0]["id"]


@pytest_asyncio.fixture
async def units(own_gateway: Gateway) -> Units:
    """Return a product without stock."""
    owner = own_gateway.owner
    await owner.execute("update partner_company set credit_limit = null")
    product_id = await owner.fetchval(
        """insert into product (sku, name, tracking, category_id, uom_id, list_currency)
           select 'SERIALS', 'Serials', 'SERIAL', min(c.id), min(u.id), 'EUR'
           from product_category c, unit_of_measure u where u.code = 'PCE' returning id"""
    )
    places = await owner.fetch(
        """select id from stock_location where warehouse_id = 1 and sellable
           and archived_at is null order by id limit 2"""
    )
    return Units(own_gateway, product_id, [row["id"] for row in places])


async def test_what_was_lost_can_be_found_again(units: Units, own_database_url: str) -> None:
    """A number that was corrected away is nowhere, so it may turn up, at any place."""
    assert await units.adjust((0, "A", "1")) == []
    assert await units.adjust((1, "A", "1")) == ["VALIDATION"], "it is at the first place"
    assert await units.adjust((0, "A", "-1")) == []
    assert await units.adjust((1, "A", "1")) == []
    assert not [one for one in await verify(own_database_url) if not one.holds]


async def test_one_unit_is_not_found_twice_at_once(units: Units) -> None:
    """Two lines of one correction cannot put one number at two places."""
    assert await units.adjust((0, "A", "1"), (1, "A", "1")) == ["VALIDATION"]
    assert await units.adjust((0, "A", "1"), (1, "B", "1")) == []


async def test_halves_do_not_leave(units: Units) -> None:
    """Of an order for one and a half, one leaves; no half of a unit is shipped or comes back."""
    assert await units.adjust((0, "A", "1"), (0, "B", "1")) == []
    order, line = await units.order("1.5")
    ship = """mutation($key: String!, $id: ID!, $lines: [ShipLineInput!]) {
      told: shipOrder(idempotencyKey: $key, orderId: $id, lines: $lines)
      { moves { qty } userErrors { code } } }"""
    for lines in (None, [{"salesOrderLineId": line, "qty": "0.5"}]):
        told = await units.told(ship, id=order, lines=lines)
        assert [error["code"] for error in told["userErrors"]] == ["INSUFFICIENT_STOCK"]
    told = await units.told(ship, id=order, lines=[{"salesOrderLineId": line, "qty": "1"}])
    assert [move["qty"] for move in told["moves"]] == ["1.0000"]
    back = """mutation($key: String!, $id: ID!, $lines: [ReturnLineInput!]!) {
      told: returnGoods(idempotencyKey: $key, orderId: $id, lines: $lines, reason: "Test")
      { userErrors { code path } } }"""
    left = {"salesOrderLineId": line, "qty": "0.5", "lotNumber": "A"}
    told = await units.told(back, id=order, lines=[left])
    assert told["userErrors"] == [{"code": "VALIDATION", "path": ["lines", "0", "qty"]}]


async def test_halves_are_not_carried(units: Units) -> None:
    """A transfer takes whole units, and takes them in whole."""
    assert await units.adjust((0, "A", "1")) == []
    carry = """mutation($key: String!, $from: ID!, $to: ID!, $lines: [TransferLineInput!]!) {
      told: transferStock(idempotencyKey: $key, fromWarehouseId: $from, toWarehouseId: $to,
                          lines: $lines) { transfer { id lines { id } } userErrors { code } } }"""
    ends = {"from": encode_id("Warehouse", 1), "to": encode_id("Warehouse", 2)}
    told = await units.told(carry, **ends, lines=[{"sku": "SERIALS", "qty": "0.5"}])
    assert [error["code"] for error in told["userErrors"]] == ["INSUFFICIENT_STOCK"]
    told = await units.told(carry, **ends, lines=[{"sku": "SERIALS", "qty": "1"}])
    transfer = told["transfer"]
    told = await units.told(
        """mutation($key: String!, $id: ID!, $lines: [TransferReceiptInput!]) {
          told: receiveTransfer(idempotencyKey: $key, id: $id, lines: $lines)
          { userErrors { code path } } }""",
        id=transfer["id"],
        lines=[{"transferLineId": transfer["lines"][0]["id"], "qty": "0.5"}],
    )
    assert told["userErrors"] == [{"code": "VALIDATION", "path": ["lines", "0", "qty"]}]


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ([("A", "0"), ("A", "0")], ["lines", "1", "lotNumber"]),
        ([("A", "0.5")], ["lines", "0", "qtyRejected"]),
    ],
)
async def test_deliveries_bring_whole_units_once(
    units: Units, lines: list[tuple[str, str]], path: list[str]
) -> None:
    """One delivery cannot bring a number twice, nor put half of a unit aside."""
    supplier = await units.owner.fetchval(
        "select min(partner_id) from purchase_order where company_id = 1"
    )
    told = await units.told(
        """mutation($key: String!, $supplier: ID!, $warehouse: ID!, $lines: [PurchaseLineInput!]!) {
          told: createPurchaseOrder(idempotencyKey: $key, supplierId: $supplier,
            warehouseId: $warehouse, lines: $lines) { order { id lines { id } } } }""",
        supplier=encode_id("Partner", supplier),
        warehouse=encode_id("Warehouse", 1),
        lines=[{"sku": "SERIALS", "qty": "5", "unitPrice": "1"}],
    )
    order = told["order"]
    for verb in ("send", "confirm"):
        await units.told(
            f"""mutation($key: String!, $id: ID!) {{ told: {verb}PurchaseOrder(
                idempotencyKey: $key, id: $id) {{ userErrors {{ code }} }} }}""",
            id=order["id"],
        )
    came = [
        {
            "purchaseOrderLineId": order["lines"][0]["id"],
            "qty": "1",
            "qtyRejected": rejected,
            "lotNumber": number,
        }
        for number, rejected in lines
    ]
    told = await units.told(
        """mutation($key: String!, $id: ID!, $lines: [ReceiveLineInput!]!) {
          told: receiveGoods(idempotencyKey: $key, orderId: $id, lines: $lines)
          { userErrors { code path } } }""",
        id=order["id"],
        lines=came,
    )
    assert told["userErrors"] == [{"code": "VALIDATION", "path": path}]


async def test_what_never_came_is_promised_where_stock_may_be_negative(units: Units) -> None:
    """An order gets all of a product there, also the first of all orders."""
    await units.owner.execute("update warehouse set negative_stock = true where id = 1")
    await units.order("2")
    level = await units.owner.fetchrow(
        "select on_hand, reserved, allow_negative from stock_level where product_id = $1",
        units.product_id,
    )
    assert tuple(level or ()) == (0, 2, True)

"""Picking: lines of a shipment say where to go and which lot to take, and then what left."""

from typing import Any

import pytest_asyncio

from gateway.verify import verify
from schema.core.ids import decode_id, encode_id
from tests.fixtures.gateway import Gateway, principal

LINES = "lines { id seq qty picked product { sku } location { code } lot { number expiresOn } }"


class Shelves:
    """A product in lots, at two places of a warehouse."""

    def __init__(self, gateway: Gateway, places: list[tuple[int, str]]) -> None:
        self.gateway = gateway
        self.owner = gateway.owner
        self.ids = {code: id_ for id_, code in places}
        self.first, self.second = (code for _, code in places)
        self.commands = 0

    async def told(self, document: str, **variables: Any) -> Any:
        """Run a command whose field is called told, and return what it tells."""
        self.commands += 1
        data = await self.gateway.data(document, {"key": f"k{self.commands}", **variables})
        return data["told"]

    async def adjust(self, *lines: tuple[str, str, str]) -> None:
        """Correct stock of lots at places."""
        told = await self.told(
            """mutation($key: String!, $lines: [StockAdjustmentInput!]!) {
              told: adjustStock(idempotencyKey: $key, lines: $lines) { userErrors { code } } }""",
            lines=[
                {
                    "sku": "LOTS",
                    "locationId": encode_id("StockLocation", self.ids[code]),
                    "delta": delta,
                    "lotNumber": lot,
                    "reason": "Test",
                }
                for code, lot, delta in lines
            ],
        )
        assert told["userErrors"] == []

    async def plan(self, quantity: str) -> str:
        """Confirm an order and have a shipment of all of it planned; return that one's id."""
        partner = await self.owner.fetchval(
            "select min(partner_id) from sales_order where company_id = 1 and partner_id not in"
            " (select partner_id from partner_company where blocked_at is not null)"
        )
        told = await self.told(
            """mutation($key: String!, $input: PlaceSalesOrderInput!) {
              told: placeSalesOrder(idempotencyKey: $key, input: $input)
              { order { id } userErrors { code } } }""",
            input={
                "partnerId": encode_id("Partner", partner),
                "warehouseId": encode_id("Warehouse", 1),
                "confirm": True,
                "lines": [{"sku": "LOTS", "qty": quantity}],
            },
        )
        planned = await self.told(
            """mutation($key: String!, $id: ID!) {
              told: planShipment(idempotencyKey: $key, orderId: $id) {
                shipment { id lines { qty } } shipments { id } userErrors { code } } }""",
            id=told["order"]["id"],
        )
        assert planned["shipments"] == [{"id": planned["shipment"]["id"]}]
        assert planned["shipment"]["lines"] == [{"qty": f"{quantity}.0000"}]
        return str(planned["shipment"]["id"])

    async def work(self, verb: str, shipment: str, more: str = "", **variables: Any) -> Any:
        """Go on with a shipment; return what is told of it."""
        moves = "moves { qty lot { number } fromLocation { code } }" * (verb == "shipShipment")
        steps = "order { fulfillmentSteps { step state attempts finishedAt } }"
        lines = ", $lines: [PickedLineInput!]" * bool(more)
        return await self.told(
            f"""mutation($key: String!, $id: ID!{lines}) {{
              told: {verb}(idempotencyKey: $key, id: $id {more}) {{ {moves}
                shipment {{ state {steps} {LINES} }} userErrors {{ code path }} }} }}""",
            id=shipment,
            **variables,
        )

    async def pack(self, shipment: str, *lines: tuple[Any, str, str | None, str | None]) -> Any:
        """Pack a shipment, and say of lines what was picked from elsewhere."""
        picked = [
            {
                "shipmentLineId": line["id"],
                "qty": qty,
                "lotNumber": lot,
                "locationId": code and encode_id("StockLocation", self.ids[code]),
            }
            for line, qty, lot, code in lines
        ]
        return await self.work("packShipment", shipment, ", lines: $lines", lines=picked or None)


@pytest_asyncio.fixture
async def shelves(own_gateway: Gateway) -> Shelves:
    """Return a product of which there are two lots at the first place, one at the second."""
    owner = own_gateway.owner
    await owner.execute("update partner_company set credit_limit = null")
    await owner.execute(
        """insert into product (sku, name, tracking, category_id, uom_id, list_price, list_currency)
           select 'LOTS', 'Lots', 'LOT', min(c.id), min(u.id), 1, 'EUR'
           from product_category c, unit_of_measure u where u.code = 'PCE'"""
    )
    places = await owner.fetch(
        """select id, code from stock_location where warehouse_id = 1 and sellable
           and archived_at is null order by code limit 2"""
    )
    shelves = Shelves(own_gateway, [tuple(row) for row in places])
    first, second = shelves.first, shelves.second
    await shelves.adjust((first, "B", "4"), (first, "A", "3"), (second, "A", "3"))
    await owner.execute("update lot set expires_on = '2031-01-01' where number = 'A'")
    await owner.execute("update lot set expires_on = '2032-01-01' where number = 'B'")
    return shelves


def places_of(told: Any) -> list[tuple[str, str | None, str | None]]:
    """Return quantity, place and lot of the lines of a shipment that is told."""
    assert told["userErrors"] == []
    return [
        (
            line["qty"].removesuffix(".0000"),
            line["location"] and line["location"]["code"],
            line["lot"] and line["lot"]["number"],
        )
        for line in told["shipment"]["lines"]
    ]


def done(told: Any) -> str:
    """Return the first letters of the steps that are done of an order whose shipment is told."""
    steps = told["shipment"]["order"]["fulfillmentSteps"]
    assert [step["step"] for step in steps] == ["RESERVE", "PICK", "PACK", "LABEL", "SHIP"]
    assert all((step["state"] == "DONE") == bool(step["finishedAt"]) for step in steps)
    return "".join(step["step"][0] for step in steps if step["state"] == "DONE")


async def test_nobody_is_sent_for_what_another_fetches(
    shelves: Shelves, own_database_url: str
) -> None:
    """First what expires first, by turns; what is gone when it leaves is found elsewhere."""
    first, second = shelves.first, shelves.second
    one, two = await shelves.plan("5"), await shelves.plan("3")
    events = """select count(*) from outbox_event where topic = 'shipment.work_changed'
                and entity_id = $1"""
    number = decode_id(one, "Shipment")
    before = await shelves.owner.fetchval(events, number)
    picking = await shelves.work("startPicking", one)
    assert places_of(picking) == [("3", first, "A"), ("2", second, "A")]
    assert [line["seq"] for line in picking["shipment"]["lines"]] == [1, 2]
    assert await shelves.owner.fetchval(events, number) == before + 2, "its lines, and its state"
    assert places_of(await shelves.work("startPicking", two)) == [
        ("1", second, "A"),
        ("2", first, "B"),
    ]
    # what one was sent for at the first place is gone: it was broken
    await shelves.adjust((first, "A", "-2"))
    packed = await shelves.pack(one)
    assert packed["userErrors"] == []
    left = await shelves.work("shipShipment", one)
    assert [done(told) for told in (picking, packed, left)] == ["R", "RPP", "RPPLS"]
    assert places_of(left) == [("1", first, "A"), ("2", second, "A"), ("2", first, "B")]
    assert sorted(
        (move["qty"], move["fromLocation"]["code"], move["lot"]["number"]) for move in left["moves"]
    ) == sorted((f"{qty}.0000", place, lot) for qty, place, lot in places_of(left))
    assert all(line["picked"] == line["qty"] for line in left["shipment"]["lines"])
    await shelves.pack(two)
    assert places_of(await shelves.work("shipShipment", two)) == [
        ("1", second, "A"),
        ("2", first, "B"),
    ]
    assert not [one for one in await verify(own_database_url) if not one.holds]


async def test_another_lot_may_be_picked(shelves: Shelves, own_database_url: str) -> None:
    """A line may be picked from elsewhere, in parts, if these add up and are there."""
    first, second = shelves.first, shelves.second
    shipment = await shelves.plan("5")
    line, _ = (await shelves.work("startPicking", shipment))["shipment"]["lines"]
    for qty, lot, place, code, name in (
        ("2", "B", None, "VALIDATION", "qty"),
        ("3", "B", second, "INSUFFICIENT_STOCK", "lotNumber"),
        ("3", "C", None, "INSUFFICIENT_STOCK", "lotNumber"),
        ("0", "B", None, "VALIDATION", "qty"),
    ):
        [error] = (await shelves.pack(shipment, (line, qty, lot, place)))["userErrors"]
        assert (error["code"], error["path"]) == (code, ["lines", "0", name])
    stranger = {"id": encode_id("ShipmentLine", 1)}
    [error] = (await shelves.pack(shipment, (stranger, "1", None, None)))["userErrors"]
    assert (error["code"], error["path"]) == ("NOT_FOUND", ["lines", "0", "shipmentLineId"])
    packed = await shelves.pack(shipment, (line, "2", "B", None), (line, "1", None, second))
    assert done(packed) == "RPP"
    assert places_of(packed) == [("2", first, "B"), ("2", second, "A"), ("1", second, "A")]
    assert all(line["picked"] == line["qty"] for line in packed["shipment"]["lines"])
    assert places_of(await shelves.work("shipShipment", shipment)) == places_of(packed)
    customer = await shelves.gateway.data(
        f"query($id: ID!) {{ shipment(id: $id) {{ {LINES} }} }}",
        {"id": shipment},
        caller=principal(
            partner_id=await shelves.owner.fetchval(
                "select partner_id from shipment where id = $1", decode_id(shipment, "Shipment")
            )
        ),
    )
    assert {(one["lot"], one["location"]) for one in customer["shipment"]["lines"]} == {
        (None, None)
    }
    assert not [one for one in await verify(own_database_url) if not one.holds]

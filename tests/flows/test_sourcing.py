"""Where goods of orders come from: several warehouses, whoever asks at once."""

import asyncio
from collections.abc import Awaitable
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text, update

from gateway.verify import verify
from resolvers.core.context import OperationStats
from resolvers.core.principal import STAFF_ROLE, RowScope
from resolvers.inventory.commands import free_stock
from resolvers.sales import commands
from resolvers.sales.tables import sales_order, sales_order_line
from schema.core.ids import decode_id, encode_id
from tests.fixtures.gateway import Gateway
from tests.fixtures.paths import BothPaths

ORDER = """
  order {
    number state reservationStatus shipmentStatus fulfillmentPolicy warehouse { code }
    subtotal { amount } total { amount }
    lines { id seq qty qtyReserved qtyShipped qtyCanceled qtyBackordered net { amount }
            product { sku } warehouse { code } }
  }
  userErrors { code message path details }
"""
PLACE = f"""
mutation Place($key: String!, $input: PlaceSalesOrderInput!, $dry: Boolean! = false) {{
  placeSalesOrder(idempotencyKey: $key, input: $input, dryRun: $dry) {{
    shortages {{ sku requested available }} {ORDER}
  }}
}}
"""
QUOTE = f"""
mutation Quote($key: String!, $input: PlaceSalesOrderInput!) {{
  quoteSalesOrder(idempotencyKey: $key, input: $input) {{ {ORDER} }}
}}
"""
RESERVE = f"""
mutation Reserve($id: ID!, $key: String!, $sourcing: SourcingStrategy, $all: Boolean! = false) {{
  reserveOrder(idempotencyKey: $key, id: $id, sourcing: $sourcing, allOrNothing: $all) {{
    shortages {{ sku requested available }} {ORDER}
  }}
}}
"""
SHIP = f"""
mutation Ship($id: ID!, $key: String!, $from: ID, $lines: [ShipLineInput!]) {{
  shipOrder(idempotencyKey: $key, orderId: $id, warehouseId: $from, lines: $lines) {{
    shipment {{ number }}
    shipments {{ number warehouse {{ code }} lines {{ qty product {{ sku }} }} }}
    moves {{ qty }} {ORDER}
  }}
}}
"""
RECEIVE = """
mutation Send($sku: String!, $qty: Decimal!) {
  transferStock(idempotencyKey: "send", fromWarehouseId: "V2FyZWhvdXNlOjE",
                toWarehouseId: "V2FyZWhvdXNlOjI", lines: [{sku: $sku, qty: $qty}]) {
    transfer { id } userErrors { message }
  }
}
"""


async def sound(url: str) -> None:
    """Check every invariant."""
    broken = [result for result in await verify(url) if not result.holds]
    assert not broken


class Shop:
    """A customer with endless credit, and two products whose free stock the test decides."""

    def __init__(self, gateway: Gateway, partner_id: int, skus: list[str]) -> None:
        self.gateway = gateway
        self.partner_id = partner_id
        self.skus = skus
        self._adjusted = 0

    @classmethod
    async def open(cls, gateway: Gateway) -> "Shop":
        """Find them."""
        owner = gateway.owner
        await owner.execute("update partner_company set credit_limit = null")
        partner_id = await owner.fetchval(
            """select p.id from partner p join partner_company t on t.partner_id = p.id
               where t.company_id = 1 and p.is_customer and p.archived_at is null
                 and t.blocked_at is null order by p.id limit 1"""
        )
        rows = await owner.fetch(
            """select p.sku from product p
               where p.tracking = 'NONE' and p.kind = 'GOODS' and p.archived_at is null
                 and not exists (select from sales_order_line l join sales_order o
                     on o.id = l.order_id where l.product_id = p.id and o.state = 'CONFIRMED'
                     and l.shipped + l.canceled + l.reserved < l.quantity)
                 and 2 = (select count(*) from stock_level s where s.product_id = p.id
                          and s.warehouse_id in (1, 2) and s.on_hand - s.reserved <= (
                            select coalesce(max(b.on_hand), 0) from stock_balance b
                            join stock_location x on x.id = b.location_id and x.sellable
                            where b.product_id = p.id and x.warehouse_id = s.warehouse_id))
               order by p.sku limit 2"""
        )
        skus = [row["sku"] for row in rows]
        # one each, so that parts of lines come to the same cents
        await owner.execute(
            "update partner_company set price_list_id = null where partner_id = $1", partner_id
        )
        await owner.execute("update product set list_price = 1 where sku = any($1)", skus)
        return cls(gateway, partner_id, skus)

    async def free(self, sku: str, *quantities: int) -> None:
        """Let so much of a product be free in each of the warehouses."""
        for warehouse_id, quantity in enumerate(quantities, 1):
            row: Any = await self.gateway.owner.fetchrow(
                """select b.location_id, s.on_hand - s.reserved as free
                   from product p join stock_level s on s.product_id = p.id
                   join stock_location x on x.warehouse_id = s.warehouse_id and x.sellable
                   left join stock_balance b on b.product_id = p.id and b.location_id = x.id
                   where p.sku = $1 and s.warehouse_id = $2 order by b.on_hand desc nulls last
                   limit 1""",
                sku,
                warehouse_id,
            )
            if row["free"] == quantity:
                continue
            self._adjusted += 1
            told = await self.gateway.data(
                """mutation($key: String!, $lines: [StockAdjustmentInput!]!) {
                  adjustStock(idempotencyKey: $key, lines: $lines) { userErrors { message } } }""",
                {
                    "key": f"free {self._adjusted}",
                    "lines": [
                        {
                            "sku": sku,
                            "locationId": encode_id("StockLocation", row["location_id"]),
                            "delta": str(quantity - row["free"]),
                            "reason": "Law",
                        }
                    ],
                },
            )
            assert told["adjustStock"]["userErrors"] == []

    async def place(self, *quantities: int, key: str = "place", **more: Any) -> Any:
        """Place and confirm an order of so much of each product."""
        variables = {"key": key, "input": self.order(*quantities, **{"confirm": True, **more})}
        return (await self.gateway.data(PLACE, variables))["placeSalesOrder"]

    def order(self, *quantities: int, **more: Any) -> dict[str, Any]:
        """Return the input of an order."""
        return {
            "partnerId": encode_id("Partner", self.partner_id),
            "lines": [
                {"sku": sku, "qty": str(quantity)}
                for sku, quantity in zip(self.skus, quantities, strict=False)
            ],
            **more,
        }

    async def id_of(self, order: Any) -> str:
        """Return the id of an order by its number."""
        id_ = await self.gateway.owner.fetchval(
            "select id from sales_order where company_id = 1 and number = $1", order["number"]
        )
        return encode_id("SalesOrder", id_)


def parts(order: Any) -> list[tuple[str, str, int, int]]:
    """Return the lines of an order: where from, what, how much, and how much is reserved."""
    return [
        (
            line["warehouse"]["code"],
            line["product"]["sku"],
            int(Decimal(line["qty"])),
            int(Decimal(line["qtyReserved"])),
        )
        for line in order["lines"]
    ]


def even(order: Any) -> None:
    """Check that an order is the sum of its lines."""
    assert sum(Decimal(line["net"]["amount"]) for line in order["lines"]) == Decimal(
        order["subtotal"]["amount"]
    )


@pytest.mark.parametrize(
    ("strategy", "stock", "expected"),
    [
        ("SINGLE_WAREHOUSE_FIRST", [(4, 9), (5, 5)], [("MUC", 0, 5), ("MUC", 1, 3)]),
        ("SINGLE_WAREHOUSE_FIRST", [(4, 9), (5, 0)], [("MUC", 0, 5), ("BER", 1, 3)]),
        (
            "SINGLE_WAREHOUSE_FIRST",
            [(2, 3), (5, 0)],
            [("MUC", 0, 3), ("BER", 1, 3), ("BER", 0, 2)],
        ),
        ("PRIORITY", [(4, 9), (5, 5)], [("BER", 0, 4), ("BER", 1, 3), ("MUC", 0, 1)]),
        ("HIGHEST_AVAILABLE", [(6, 9), (7, 5)], [("MUC", 0, 5), ("BER", 1, 3)]),
        ("NEAREST_REGION", [(6, 9), (7, 5)], [("MUC", 0, 5), ("MUC", 1, 3)]),
    ],
)
async def test_goods_come_from_where_they_are(
    own_reader: BothPaths, own_database_url: str, strategy: str, stock: Any, expected: Any
) -> None:
    """All of it is reserved wherever it is, as the rehearsal tells, at the same amounts."""
    shop = await Shop.open(own_reader.compiled)
    await shop.gateway.owner.execute(
        """update partner_address set region = 'Bayern' where id = (
             select id from partner_address where partner_id = $1 and archived_at is null
             order by (kind = 'SHIPPING') desc, is_default desc, id limit 1)""",
        shop.partner_id,
    )
    for sku, free in zip(shop.skus, stock, strict=True):
        await shop.free(sku, *free)
    order = shop.order(5, 3, confirm=True, sourcing=strategy)
    told = (await own_reader.ordinary.data(PLACE, {"key": "d", "input": order, "dry": True}))[
        "placeSalesOrder"
    ]
    elsewhere = shop.order(5, 3, warehouseId=encode_id("Warehouse", 1))
    whole = (await shop.gateway.data(PLACE, {"key": "w", "input": elsewhere, "dry": True}))[
        "placeSalesOrder"
    ]["order"]
    real = await shop.place(5, 3, sourcing=strategy)
    assert real["userErrors"] == real["shortages"] == []
    assert parts(real["order"]) == parts(told["order"])
    assert parts(real["order"]) == [
        (code, shop.skus[place], much, much) for code, place, much in expected
    ]
    assert real["order"]["reservationStatus"] == "FULL"
    assert real["order"]["total"] == whole["total"]
    assert real["order"]["warehouse"]["code"] in {code for code, _, _ in expected}
    even(real["order"])
    await sound(own_database_url)


async def test_a_quote_tells_where_goods_would_come_from(own_gateway: Gateway) -> None:
    """Nothing is promised; the lines say where they leave from."""
    shop = await Shop.open(own_gateway)
    await shop.free(shop.skus[0], 0, 9)
    quoted = (await own_gateway.data(QUOTE, {"key": "q", "input": shop.order(4)}))[
        "quoteSalesOrder"
    ]
    assert parts(quoted["order"]) == [("MUC", shop.skus[0], 4, 0)]
    assert quoted["order"]["warehouse"] == {"code": "MUC"}


async def test_each_warehouse_ships_its_part(own_gateway: Gateway, own_database_url: str) -> None:
    """A shipment from each, at once or one after the other."""
    shop = await Shop.open(own_gateway)
    await shop.free(shop.skus[0], 9, 0)
    await shop.free(shop.skus[1], 0, 9)
    for n in range(2):
        order = (await shop.place(4, 3, key=f"k{n}"))["order"]
        id_ = await shop.id_of(order)
        if n == 0:
            both = (await own_gateway.data(SHIP, {"id": id_, "key": "both"}))["shipOrder"]
            assert both["userErrors"] == []
            shipments = both["shipments"]
            assert both["shipment"] == {"number": shipments[0]["number"]}
            # as answers were before there could be several
            await own_gateway.owner.execute(
                "update idempotency_key set response = response - 'shipment_ids' where key = 'both'"
            )
            again = (await own_gateway.data(SHIP, {"id": id_, "key": "both"}))["shipOrder"]
            assert again["shipments"] == shipments[:1]
        else:
            refused = await own_gateway.data(
                SHIP,
                {
                    "id": id_,
                    "key": "no",
                    "from": encode_id("Warehouse", 2),
                    "lines": [{"salesOrderLineId": order["lines"][0]["id"], "qty": "1"}],
                },
            )
            [error] = refused["shipOrder"]["userErrors"]
            assert (error["code"], error["path"]) == ("VALIDATION", ["warehouseId"])
            shipments = []
            for key in (1, 2):
                asked = {"id": id_, "key": f"one {key}", "from": encode_id("Warehouse", key)}
                one = (await own_gateway.data(SHIP, asked))["shipOrder"]
                assert one["order"]["shipmentStatus"] == ("PARTIAL", "SHIPPED")[key - 1]
                shipments += one["shipments"]
        assert [
            (one["warehouse"]["code"], [line["product"]["sku"] for line in one["lines"]])
            for one in shipments
        ] == [("BER", shop.skus[:1]), ("MUC", shop.skus[1:])]
    await sound(own_database_url)


async def test_what_waits_gets_what_comes_to_its_warehouse(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """Not what comes to the one that its order leaves from."""
    shop = await Shop.open(own_gateway)
    await shop.free(shop.skus[0], 9, 0)
    await shop.free(shop.skus[1], 0, 3)
    order = (await shop.place(4, 5))["order"]
    assert order["warehouse"] == {"code": "BER"}
    assert parts(order) == [("BER", shop.skus[0], 4, 4), ("MUC", shop.skus[1], 5, 3)]
    await shop.free(shop.skus[1], 2, 0)
    sent = await own_gateway.data(RECEIVE, {"sku": shop.skus[1], "qty": "2"})
    assert sent["transferStock"]["userErrors"] == []
    received = await own_gateway.data(
        """mutation($id: ID!) { receiveTransfer(idempotencyKey: "got", id: $id) {
          reservedOrders { number reservationStatus } userErrors { message } } }""",
        {"id": sent["transferStock"]["transfer"]["id"]},
    )
    assert received["receiveTransfer"] == {
        "reservedOrders": [{"number": order["number"], "reservationStatus": "FULL"}],
        "userErrors": [],
    }
    await sound(own_database_url)


@pytest.mark.parametrize("price", ["1", "0.011"])
async def test_what_waits_is_taken_from_elsewhere(
    own_gateway: Gateway, own_database_url: str, price: str
) -> None:
    """Only if asked for, and only where the parts of a line come to the same cents."""
    shop = await Shop.open(own_gateway)
    [sku, other] = shop.skus
    await shop.free(sku, 2, 9)
    await shop.free(other, 0, 9)
    placed = await shop.place(5, 4, warehouseId=encode_id("Warehouse", 1))
    id_ = await shop.id_of(placed["order"])
    await own_gateway.owner.execute(
        """with x as (update sales_order_line set unit_price = $2::numeric, tax_id = null, tax = 0,
             net = round(quantity * $2::numeric, 2)
             where order_id = (select id from sales_order where number = $1)
             returning order_id, net)
           update sales_order o set tax_total = 0, subtotal = s.net, total = s.net
           from (select order_id, sum(net) as net from x group by 1) s where o.id = s.order_id""",
        placed["order"]["number"],
        Decimal(price),
    )
    here = (await own_gateway.data(RESERVE, {"id": id_, "key": "here"}))["reserveOrder"]
    assert parts(here["order"]) == [("BER", sku, 5, 2), ("BER", other, 4, 0)]
    asked = {"id": id_, "key": "there", "sourcing": "PRIORITY"}
    there = (await own_gateway.data(RESERVE, asked))["reserveOrder"]
    moved = ("MUC", other, 4, 4)
    if price == "1":
        assert parts(there["order"]) == [("BER", sku, 2, 2), moved, ("MUC", sku, 3, 3)]
        assert there["shortages"] == []
    else:
        assert parts(there["order"]) == [("BER", sku, 5, 2), moved]
        assert [one["sku"] for one in there["shortages"]] == [sku]
    assert there["order"]["subtotal"] == here["order"]["subtotal"]
    even(there["order"])
    await sound(own_database_url)


async def test_where_somebody_is_quicker_it_is_planned_again(
    own_gateway: Gateway, own_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was free when it was looked at may be gone when it is reserved."""
    shop = await Shop.open(own_gateway)
    await shop.free(shop.skus[0], 0, 9)
    read, looks = free_stock, 0

    async def stale(connection: Any, product_ids: Any) -> Any:
        nonlocal looks
        looks += 1
        rows = await read(connection, product_ids)
        if looks > 1:
            return rows
        return [_with(row, free={1: Decimal(9), 2: Decimal(0)}[row.id]) for row in rows]

    monkeypatch.setattr(commands, "free_stock", stale)
    placed = await shop.place(4)
    assert placed["shortages"] == []
    assert parts(placed["order"]) == [("MUC", shop.skus[0], 4, 4)]
    assert looks == 2
    await sound(own_database_url)


class _with:  # noqa: N801 - reads as what it does
    """A row with another value."""

    def __init__(self, row: Any, **values: Any) -> None:
        vars(self).update({**dict(row), **values})


async def test_all_or_nothing(own_gateway: Gateway, own_database_url: str) -> None:
    """It has nothing until everything is there, and leaves at once."""
    shop = await Shop.open(own_gateway)
    await shop.free(shop.skus[0], 9, 0)
    await shop.free(shop.skus[1], 0, 2)
    placed = await shop.place(4, 3, fulfillmentPolicy="ALL_OR_NOTHING")
    assert placed["order"]["reservationStatus"] == "NONE"
    assert [one["sku"] for one in placed["shortages"]] == shop.skus[1:]
    id_ = await shop.id_of(placed["order"])
    again = (await own_gateway.data(RESERVE, {"id": id_, "key": "a"}))["reserveOrder"]
    assert again["order"]["reservationStatus"] == "NONE"
    await shop.free(shop.skus[1], 1, 2)
    sent = await own_gateway.data(RECEIVE, {"sku": shop.skus[1], "qty": "1"})
    received = await own_gateway.data(
        """mutation($id: ID!) { receiveTransfer(idempotencyKey: "got", id: $id) {
          reservedOrders { reservationStatus } } }""",
        {"id": sent["transferStock"]["transfer"]["id"]},
    )
    assert received["receiveTransfer"]["reservedOrders"] == [{"reservationStatus": "FULL"}]
    for part in (
        {"from": encode_id("Warehouse", 1)},
        {"lines": [{"salesOrderLineId": placed["order"]["lines"][1]["id"], "qty": "3"}]},
    ):
        refused = (await own_gateway.data(SHIP, {"id": id_, "key": "part", **part}))["shipOrder"]
        [error] = refused["userErrors"]
        assert (error["code"], error["path"]) == ("INVALID_TRANSITION", ["orderId"])
    await sound(own_database_url)
    left = (await own_gateway.data(SHIP, {"id": id_, "key": "all"}))["shipOrder"]
    assert left["order"]["state"] == "FULFILLED"
    assert len(left["shipments"]) == 2
    await sound(own_database_url)


async def test_a_partial_order_is_content_with_what_is_there(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """What is not reserved when it leaves is canceled; what is reserved may leave later."""
    shop = await Shop.open(own_gateway)
    await shop.free(shop.skus[0], 2, 0)
    await shop.free(shop.skus[1], 9, 0)
    placed = await shop.place(4, 3, fulfillmentPolicy="PARTIAL")
    assert [one["sku"] for one in placed["shortages"]] == shop.skus[:1]
    id_ = await shop.id_of(placed["order"])
    one = [{"salesOrderLineId": placed["order"]["lines"][0]["id"], "qty": "2"}]
    first = (await own_gateway.data(SHIP, {"id": id_, "key": "1", "lines": one}))["shipOrder"]
    lines = first["order"]["lines"]
    assert [line["qtyCanceled"] for line in lines] == ["2.0000", "0.0000"]
    assert first["order"]["state"] == "CONFIRMED"
    rest = (await own_gateway.data(SHIP, {"id": id_, "key": "2"}))["shipOrder"]
    assert (rest["order"]["state"], rest["order"]["shipmentStatus"]) == ("FULFILLED", "SHIPPED")
    await sound(own_database_url)


CANCEL = f"""
mutation Cancel($id: ID!) {{ cancelSalesOrder(idempotencyKey: "cancel", id: $id) {{ {ORDER} }} }}
"""


async def with_a_service(gateway: Gateway) -> Shop:
    """Open a shop that offers a service as well, after the goods."""
    shop = await Shop.open(gateway)
    shop.skus.append(
        await gateway.owner.fetchval(
            """update product set list_price = 1 where id = (
                 select min(id) from product where kind = 'SERVICE' and archived_at is null)
               returning sku"""
        )
    )
    return shop


@pytest.mark.parametrize("negative", [False, True])
async def test_a_service_has_no_warehouse(
    own_gateway: Gateway, own_database_url: str, *, negative: bool
) -> None:
    """It waits for nothing, and goods come from the one warehouse that has all of them."""
    shop = await with_a_service(own_gateway)
    for told in ("warehouse set negative_stock", "stock_level set allow_negative"):
        await own_gateway.owner.execute(f"update {told} = $1", negative)
    await shop.free(shop.skus[0], 4, 9)
    await shop.free(shop.skus[1], 5, 5)
    placed = await shop.place(5, 3, 2)
    assert placed["userErrors"] == placed["shortages"] == []
    goods, service = parts(placed["order"])[:2], parts(placed["order"])[2]
    assert goods == [("MUC", shop.skus[0], 5, 5), ("MUC", shop.skus[1], 3, 3)]
    assert service[1:] == (shop.skus[2], 2, 0)
    id_ = await shop.id_of(placed["order"])
    again = {"id": id_, "key": "all", "all": True, "sourcing": "PRIORITY"}
    reserved = (await own_gateway.data(RESERVE, again))["reserveOrder"]
    assert reserved["userErrors"] == reserved["shortages"] == []
    await sound(own_database_url)


async def test_a_partial_order_does_not_give_up_a_service(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """Goods that are not there when others leave are canceled; it stays open until given up."""
    shop = await with_a_service(own_gateway)
    await shop.free(shop.skus[0], 2, 0)
    await shop.free(shop.skus[1], 9, 0)
    placed = await shop.place(4, 3, 1, fulfillmentPolicy="PARTIAL")
    assert [one["sku"] for one in placed["shortages"]] == shop.skus[:1]
    id_ = await shop.id_of(placed["order"])
    shipped = (await own_gateway.data(SHIP, {"id": id_, "key": "1"}))["shipOrder"]["order"]
    assert [int(Decimal(line["qtyCanceled"])) for line in shipped["lines"]] == [2, 0, 0]
    assert [int(Decimal(line["qtyBackordered"])) for line in shipped["lines"]] == [0, 0, 1]
    assert (shipped["state"], shipped["shipmentStatus"]) == ("CONFIRMED", "PARTIAL")
    await sound(own_database_url)
    given_up = (await own_gateway.data(CANCEL, {"id": id_}))["cancelSalesOrder"]["order"]
    assert (given_up["state"], given_up["shipmentStatus"]) == ("FULFILLED", "SHIPPED")
    await sound(own_database_url)


async def test_all_goods_of_an_order_with_a_service_leave_at_once(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """All or nothing is all goods or none."""
    shop = await with_a_service(own_gateway)
    await shop.free(shop.skus[0], 9, 0)
    await shop.free(shop.skus[1], 9, 0)
    placed = await shop.place(4, 3, 1, fulfillmentPolicy="ALL_OR_NOTHING")
    assert placed["shortages"] == []
    assert [reserved for *_, reserved in parts(placed["order"])] == [4, 3, 0]
    await sound(own_database_url)
    id_ = await shop.id_of(placed["order"])
    one = [{"salesOrderLineId": placed["order"]["lines"][0]["id"], "qty": "4"}]
    part = (await own_gateway.data(SHIP, {"id": id_, "key": "1", "lines": one}))["shipOrder"]
    assert [error["code"] for error in part["userErrors"]] == ["INVALID_TRANSITION"]
    left = (await own_gateway.data(SHIP, {"id": id_, "key": "2"}))["shipOrder"]
    assert left["userErrors"] == []
    assert [int(Decimal(line["qtyShipped"])) for line in left["order"]["lines"]] == [4, 3, 0]
    await sound(own_database_url)


async def test_all_or_nothing_may_leave_in_a_shipment_from_each_warehouse(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """The first of those planned leaves when all are packed."""
    shop = await Shop.open(own_gateway)
    await shop.free(shop.skus[0], 4, 0)
    await shop.free(shop.skus[1], 0, 3)
    placed = await shop.place(4, 3, fulfillmentPolicy="ALL_OR_NOTHING")

    async def work(verb: str, id_: str, more: str = "") -> list[str]:
        document = f"""mutation($key: String!, $id: ID!) {{
          {verb}(idempotencyKey: $key, id: $id{more}) {{ userErrors {{ code }} }} }}"""
        told = await own_gateway.data(document, {"key": f"{verb} {id_} {more}", "id": id_})
        return [error["code"] for error in told[verb]["userErrors"]]

    planned = await own_gateway.data(
        """mutation($id: ID!) { planShipment(idempotencyKey: "plan", orderId: $id) {
          shipments { id } } }""",
        {"id": await shop.id_of(placed["order"])},
    )
    first, second = (one["id"] for one in planned["planShipment"]["shipments"])
    for id_ in (first, second):
        assert await work("startPicking", id_) == []
    assert await work("packShipment", first, ", packages: 1") == []
    assert await work("shipShipment", first) == ["INVALID_TRANSITION"]
    assert await work("packShipment", second, ", packages: 1") == []
    assert await work("shipShipment", first, ', carrier: "Van"') == []
    assert await work("shipShipment", second) == []
    await sound(own_database_url)


async def test_many_at_once_share_what_all_warehouses_have(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """All of it is promised and nothing twice, by whatever strategy and policy."""
    shop = await Shop.open(own_gateway)
    for sku in shop.skus:
        await shop.free(sku, 30, 30)
    strategies = ("PRIORITY", "HIGHEST_AVAILABLE", "SINGLE_WAREHOUSE_FIRST", "NEAREST_REGION")
    placed = await asyncio.gather(
        *(
            shop.place(
                3,
                4 - n % 3,
                key=f"k{n}",
                sourcing=strategies[n % 4],
                fulfillmentPolicy=("BACKORDER", "ALL_OR_NOTHING", "PARTIAL")[n % 3],
            )
            for n in range(30)
        )
    )
    assert all(one["userErrors"] == [] for one in placed)
    for one in placed:
        even(one["order"])
    left = await own_gateway.owner.fetch(
        "select on_hand - reserved as free from stock_level s join product p on p.id = s.product_id"
        " where p.sku = any($1) and warehouse_id in (1, 2)",
        shop.skus,
    )
    assert sum(row["free"] for row in left) < 10
    await sound(own_database_url)


async def level_of(shop: Shop, sku: str, warehouse_id: int) -> int:
    """Return the id of a level."""
    found: int = await shop.gateway.owner.fetchval(
        """select s.id from stock_level s join product p on p.id = s.product_id
           where p.sku = $1 and s.warehouse_id = $2""",
        sku,
        warehouse_id,
    )
    return found


async def waits_without(shop: Shop, url: str, command: Awaitable[Any], levels: list[int]) -> Any:
    """Run a command while its first level is locked, and check that it has not locked the second.

    Returns what it says once it gets it.
    """
    taken, other = await asyncpg.connect(url), await asyncpg.connect(url)
    lock = "select from stock_level where id = $1 for no key update"
    try:
        async with taken.transaction():
            await taken.execute(lock, levels[0])
            running = asyncio.ensure_future(command)
            while not await shop.gateway.owner.fetchval(
                "select $1 = any(pg_blocking_pids(pid)) from pg_stat_activity "
                "where $1 = any(pg_blocking_pids(pid))",
                taken.get_server_pid(),
            ):
                assert not running.done()
                await asyncio.sleep(0.02)
            async with other.transaction():
                await other.execute(f"{lock} nowait", levels[1])
        return await running
    finally:
        await taken.close()
        await other.close()


async def test_all_that_an_order_gets_when_goods_come_is_locked_in_one_order(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """What comes waits until what the order gets besides can be locked before it."""
    shop = await Shop.open(own_gateway)
    by_id = {await level_of(shop, sku, 2): sku for sku in shop.skus}
    shop.skus = [by_id[id_] for id_ in sorted(by_id)]
    await shop.free(shop.skus[0], 0, 9)
    await shop.free(shop.skus[1], 5, 0)
    at = encode_id("Warehouse", 2)
    placed = await shop.place(4, 3, fulfillmentPolicy="ALL_OR_NOTHING", warehouseId=at)
    assert placed["order"]["reservationStatus"] == "NONE"
    sent = await own_gateway.data(RECEIVE, {"sku": shop.skus[1], "qty": "3"})
    receiving = own_gateway.data(
        """mutation($id: ID!) { receiveTransfer(idempotencyKey: "got", id: $id) {
          reservedOrders { reservationStatus } } }""",
        {"id": sent["transferStock"]["transfer"]["id"]},
    )
    received = await waits_without(shop, own_database_url, receiving, sorted(by_id))
    assert received["receiveTransfer"]["reservedOrders"] == [{"reservationStatus": "FULL"}]
    await sound(own_database_url)


async def test_what_is_held_and_what_is_needed_besides_is_locked_in_one_order(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """What is held waits until what the order needs besides can be locked before it."""
    shop = await Shop.open(own_gateway)
    by_id = {await level_of(shop, sku, 1): sku for sku in shop.skus}
    shop.skus = [by_id[id_] for id_ in sorted(by_id)]
    for sku in shop.skus:
        await shop.free(sku, 5, 0)
    at = encode_id("Warehouse", 1)
    held = await own_gateway.data(
        """mutation($lines: [StockHoldLineInput!]!) {
          holdStock(idempotencyKey: "hold", lines: $lines, minutes: 10) { hold { id } } }""",
        {"lines": [{"sku": shop.skus[1], "qty": "5", "warehouseId": at}]},
    )
    placing = shop.place(4, 5, holdId=held["holdStock"]["hold"]["id"])
    placed = await waits_without(shop, own_database_url, placing, sorted(by_id))
    assert placed["order"]["reservationStatus"] == "FULL"
    await sound(own_database_url)


async def test_the_release_before_names_no_warehouse(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """While processes of both run, lines that it places leave from where their order does."""
    shop = await Shop.open(own_gateway)
    sku = shop.skus[0]
    await shop.free(sku, 0, 5)
    placed = (await shop.place(1, confirm=False))["order"]
    assert placed["warehouse"]["code"] == "MUC"
    id_ = decode_id(await shop.id_of(placed), "SalesOrder")
    names = ", ".join(
        column.name for column in sales_order_line.c if column.name not in ("id", "warehouse_id")
    )
    old = f"""insert into sales_order_line ({names}) select {names.replace("position", "2")}
              from sales_order_line where order_id = {id_}"""
    writes = own_gateway.runtime.writes
    async with writes.begin(RowScope(STAFF_ROLE, 1), OperationStats()) as transaction:
        await transaction.execute(text(old))
        await transaction.execute(
            update(sales_order)
            .where(sales_order.c.id == id_)
            .values({name: sales_order.c[name] * 2 for name in ("subtotal", "tax_total", "total")})
        )
    found = await own_gateway.owner.fetch(
        """select w.code from sales_order_line l join warehouse w on w.id = l.warehouse_id
           where l.order_id = $1 order by l.position""",
        id_,
    )
    assert [row["code"] for row in found] == ["MUC", "MUC"]
    await sound(own_database_url)

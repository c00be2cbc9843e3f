"""Orders on their way to the customer: confirmed, held, shipped, canceled; all adds up."""

import asyncio
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from gateway.verify import verify
from schema.core.ids import decode_id, encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, principal
from tests.fixtures.paths import BothPaths

ORDER = """
  order { number state hold version reservationStatus shipmentStatus availableActions
          lines { id qty qtyReserved qtyShipped qtyBackordered } }
  userErrors { code message path details }
"""
VERBS = {
    "confirmSalesOrder": "shortages { sku requested available }",
    "holdSalesOrder": "",
    "releaseHold": "",
    "cancelSalesOrder": "",
}
SHIP = f"""
mutation Ship($key: String!, $id: ID!, $lines: [ShipLineInput!], $dry: Boolean! = false) {{
  shipOrder(idempotencyKey: $key, orderId: $id, lines: $lines, carrier: "DHL",
            trackingNo: "JD01", dryRun: $dry) {{
    shipment {{ number state carrier trackingNo lines {{ qty picked product {{ sku }} }}
               packages {{ seq trackingNo }} }}
    moves {{ qty kind lot {{ number expiresOn }} product {{ sku }}
            fromLocation {{ code kind }} toLocation {{ kind }} }}
    {ORDER}
  }}
}}
"""


async def act(gateway: Gateway, verb: str, order_id: int, key: str = "", more: str = "") -> Any:
    """Run a verb of sales orders and return its payload."""
    document = f"""mutation {{ {verb}(idempotencyKey: "{key or verb}",
      id: "{encode_id("SalesOrder", order_id)}" {more}) {{ {VERBS[verb]} {ORDER} }} }}"""
    return (await gateway.data(document))[verb]


async def ship(gateway: Gateway, order_id: int, lines: Any = None, **more: Any) -> Any:
    """Run shipOrder and return its payload."""
    variables = {"key": "ship", "id": encode_id("SalesOrder", order_id), "lines": lines, **more}
    return (await gateway.data(SHIP, variables))["shipOrder"]


async def order_that(gateway: Gateway, condition: str) -> int:
    """Return an order of the company that is so."""
    found: int | None = await gateway.owner.fetchval(
        f"select id from sales_order o where company_id = 1 and {condition} order by id limit 1"
    )
    assert found is not None
    return found


NOT_PLANNED = """not exists (select from shipment s where s.order_id = o.id
                 and s.state in ('PLANNED', 'PICKING', 'PACKED'))"""
RESERVED = f"state = 'CONFIRMED' and hold is null and reservation_status = 'FULL' and {NOT_PLANNED}"


async def sound(url: str) -> None:
    """Check every invariant."""
    broken = [result for result in await verify(url) if not result.holds]
    assert not broken


async def unlimited(gateway: Gateway) -> None:
    """Let every customer owe what it likes."""
    await gateway.owner.execute("update partner_company set credit_limit = null")


async def test_confirmed_orders_are_demand_and_get_what_there_is(
    own_reader: BothPaths, own_database_url: str
) -> None:
    """What the lines need is outgoing at once, what there is of it reserved, the rest told."""
    gateway = own_reader.compiled
    await unlimited(gateway)
    order_id = await order_that(gateway, "state in ('DRAFT', 'QUOTED', 'PLACED') and hold is null")
    before = dict(
        await gateway.owner.fetch(
            "select product_id, sum(outgoing) from stock_projection group by product_id"
        )
    )
    told = await act(own_reader.ordinary, "confirmSalesOrder", order_id, more=", dryRun: true")
    real = await act(gateway, "confirmSalesOrder", order_id)
    assert real == told, "the rehearsal told what came"
    assert real["userErrors"] == []
    assert real["order"]["state"] == "CONFIRMED"
    lines = real["order"]["lines"]
    missing = sum(Decimal(line["qtyBackordered"]) for line in lines)
    short = sum(Decimal(s["requested"]) - Decimal(s["available"]) for s in real["shortages"])
    assert missing == short
    rows = await gateway.owner.fetch(
        "select product_id, sum(quantity) from sales_order_line where order_id = $1 group by 1",
        order_id,
    )
    after = dict(
        await gateway.owner.fetch(
            "select product_id, sum(outgoing) from stock_projection group by product_id"
        )
    )
    assert rows
    for product_id, ordered in rows:
        assert after[product_id] - before.get(product_id, 0) == ordered
    again = await act(gateway, "confirmSalesOrder", order_id, key="again")
    assert again["userErrors"][0]["code"] == "INVALID_TRANSITION"
    assert await act(gateway, "confirmSalesOrder", order_id) == real
    await sound(own_database_url)


async def test_credit_is_not_used_twice(own_gateway: Gateway, own_database_url: str) -> None:
    """Of two orders that the credit is enough for one of, one is confirmed, however close."""
    owner = own_gateway.owner
    first, second = (
        row[0]
        for row in await owner.fetch(
            """select id from sales_order where company_id = 1 and hold is null
               and state in ('DRAFT', 'QUOTED', 'PLACED') and total > 0 order by id limit 2"""
        )
    )
    await owner.execute(
        """update sales_order set partner_id = (select partner_id from sales_order where id = $1),
             placed_on = (select placed_on from sales_order where id = $1)
           where id = $2""",
        first,
        second,
    )
    used, largest, both = await owner.fetchrow(  # type: ignore[misc]
        """select (select coalesce(sum(residual_base), 0) from invoice i where settled_on is null
                     and kind = 'CUSTOMER_INVOICE' and company_id = 1
                     and i.partner_id = (select partner_id from sales_order where id = $1))
                + (select coalesce(sum(round((l.net + l.tax) * o.fx_rate
                     * (l.quantity - l.shipped - l.canceled) / l.quantity, 4)), 0)
                   from sales_order o join sales_order_line l on l.order_id = o.id
                   where o.state = 'CONFIRMED' and o.company_id = 1
                     and o.partner_id = (select partner_id from sales_order where id = $1)),
                  max(round(total * fx_rate, 4)), sum(round(total * fx_rate, 4))
           from sales_order where id in ($1, $2)""",
        first,
        second,
    )
    assert largest < both
    await owner.execute(
        """insert into partner_company (company_id, partner_id, credit_limit)
           select 1, partner_id, $2 from sales_order where id = $1
           on conflict (company_id, partner_id) do update set credit_limit = $2""",
        first,
        used + (largest + both) / 2,
    )
    answers = await asyncio.gather(
        *(act(own_gateway, "confirmSalesOrder", id_, key=f"c{id_}") for id_ in (first, second))
    )
    refused = [answer for answer in answers if answer["userErrors"]]
    assert len(refused) == 1
    [error] = refused[0]["userErrors"]
    assert (error["code"], error["path"]) == ("CREDIT_LIMIT", ["id"])
    details = error["details"]
    assert Decimal(details["total"]) > Decimal(details["available"]) >= 0
    assert refused[0]["order"]["state"] != "CONFIRMED"
    await sound(own_database_url)


async def test_a_hold_stops_work_until_it_is_released(own_gateway: Gateway) -> None:
    """On hold nothing is shipped or reserved, what was reserved stays, and then it goes on."""
    order_id = await order_that(own_gateway, RESERVED)
    held = await act(own_gateway, "holdSalesOrder", order_id, more=", reason: ADDRESS")
    assert held["order"]["hold"] == "ADDRESS"
    assert held["order"]["reservationStatus"] == "FULL"
    assert held["order"]["availableActions"][:2] == ["RELEASE_HOLD", "CANCEL"]
    refused = await ship(own_gateway, order_id)
    assert refused["userErrors"][0]["code"] == "INVALID_TRANSITION"
    assert refused["userErrors"][0]["details"] == {"hold": "ADDRESS"}
    assert (refused["shipment"], refused["moves"]) == (None, [])
    stale = await act(own_gateway, "releaseHold", order_id, key="s", more=", expectedVersion: 1")
    details = stale["userErrors"][0]["details"]
    assert stale["userErrors"][0]["code"] == "CONFLICT_VERSION"
    assert details["changed"] == "hold"
    released = await act(own_gateway, "releaseHold", order_id)
    assert released["order"]["hold"] is None
    assert "SHIP" in released["order"]["availableActions"]


async def test_all_that_is_reserved_leaves(own_reader: BothPaths, own_database_url: str) -> None:
    """Stock, promise and demand fall by what left, and the order is fulfilled."""
    gateway = own_reader.compiled
    order_id = await order_that(gateway, RESERVED)
    told = await ship(own_reader.ordinary, order_id, dry=True)
    real = await ship(gateway, order_id)
    assert {**real, "shipment": None} == {**told, "shipment": None}
    assert real["userErrors"] == []
    assert real["order"]["state"] == "FULFILLED"
    assert real["order"]["shipmentStatus"] == "SHIPPED"
    assert real["shipment"]["number"].startswith("SH-")
    assert real["shipment"]["packages"] == [{"seq": 1, "trackingNo": "JD01"}]
    moved = Counter[str]()
    for move in real["moves"]:
        moved[move["product"]["sku"]] += Decimal(move["qty"])  # type: ignore[assignment]
        assert (move["kind"], move["toLocation"]["kind"]) == ("SHIPMENT", "CUSTOMER")
        assert move["fromLocation"]["kind"] == "INTERNAL"
    shipped = Counter[str]()
    for line in real["shipment"]["lines"]:
        shipped[line["product"]["sku"]] += Decimal(line["qty"])  # type: ignore[assignment]
    assert moved == shipped
    assert await ship(gateway, order_id) == real, "the same key, the same answer"
    again = await ship(gateway, order_id, key="again")
    [error] = again["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_TRANSITION", ["orderId"])
    await sound(own_database_url)


async def test_a_part_leaves_and_the_rest_is_canceled(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """What left stays, what did not is free for others, and more than is reserved never leaves."""
    order_id = await order_that(own_gateway, RESERVED)
    line_id, reserved = await own_gateway.owner.fetchrow(  # type: ignore[misc]
        """select l.id, l.reserved from sales_order_line l join product p on p.id = l.product_id
           where l.order_id = $1 and l.reserved > 0 order by p.tracking = 'SERIAL', l.id limit 1""",
        order_id,
    )
    gid = encode_id("SalesOrderLine", line_id)
    too_much = await ship(
        own_gateway,
        order_id,
        [
            {"salesOrderLineId": gid, "qty": f"{reserved:f}"},
            {"salesOrderLineId": gid, "qty": "0.0001"},
        ],
        key="too much",
    )
    [error] = too_much["userErrors"]
    assert (error["code"], error["path"]) == ("INSUFFICIENT_STOCK", ["lines", "1", "qty"])
    half = (reserved / 2).quantize(Decimal("0.0001"))
    part = await ship(own_gateway, order_id, [{"salesOrderLineId": gid, "qty": f"{half:f}"}])
    assert part["userErrors"] == []
    assert part["order"]["state"] == "CONFIRMED"
    assert part["order"]["shipmentStatus"] == "PARTIAL"
    await sound(own_database_url)
    rest = await act(own_gateway, "cancelSalesOrder", order_id)
    assert rest["userErrors"] == []
    assert rest["order"]["state"] == "FULFILLED"
    assert rest["order"]["shipmentStatus"] == "SHIPPED"
    assert rest["order"]["availableActions"] == ["RETURN_GOODS"]
    await sound(own_database_url)


@pytest.mark.parametrize(
    "condition",
    [
        RESERVED,
        """state = 'CONFIRMED' and shipment_status = 'NONE' and exists (select from shipment s
           where s.order_id = o.id and s.state in ('PLANNED', 'PICKING', 'PACKED'))""",
        "state = 'CONFIRMED' and hold is not null and shipment_status = 'NONE'",
        "state in ('DRAFT', 'QUOTED', 'PLACED')",
    ],
)
async def test_canceled_orders_need_nothing(
    own_gateway: Gateway, own_database_url: str, condition: str
) -> None:
    """Promises, planned shipments and demand go; nothing can be done with it any more."""
    order_id = await order_that(own_gateway, condition)
    told = await act(own_gateway, "cancelSalesOrder", order_id)
    assert told["userErrors"] == []
    assert told["order"]["state"] == "CANCELED"
    assert told["order"]["availableActions"] == []
    assert {line["qtyReserved"] for line in told["order"]["lines"]} == {"0.0000"}
    states = await own_gateway.owner.fetch(
        "select state from shipment where order_id = $1", order_id
    )
    assert {row["state"] for row in states} <= {"CANCELED"}
    await sound(own_database_url)


async def test_lots_leave_as_they_expire_unless_one_is_named(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """First what expires first; a lot that is named and not there is refused, with what is."""
    owner = own_gateway.owner
    order_id, line_id, product_id, warehouse_id = await owner.fetchrow(  # type: ignore[misc]
        f"""select o.id, l.id, l.product_id, o.warehouse_id from sales_order o
            join sales_order_line l on l.order_id = o.id
            join product p on p.id = l.product_id
            where o.company_id = 1 and p.tracking = 'LOT' and l.reserved >= 1
              and o.state = 'CONFIRMED' and o.hold is null and {NOT_PLANNED}
            order by o.id limit 1"""
    )
    gid = encode_id("SalesOrderLine", line_id)
    expected = await owner.fetch(
        """select t.number, sum(b.on_hand) as on_hand from stock_balance b
           join stock_location x on x.id = b.location_id join lot t on t.id = b.lot_id
           where b.product_id = $1 and x.warehouse_id = $2 and x.sellable and b.on_hand > 0
           group by t.number, t.expires_on, t.received_on
           order by t.expires_on nulls last, t.received_on""",
        product_id,
        warehouse_id,
    )
    assert expected
    gone = await ship(
        own_gateway,
        order_id,
        [{"salesOrderLineId": gid, "qty": "1", "lotNumber": "NO SUCH LOT"}],
        key="gone",
    )
    [error] = gone["userErrors"]
    assert (error["code"], error["path"]) == ("INSUFFICIENT_STOCK", ["lines", "0", "lotNumber"])
    assert error["details"] == {"onHand": "0"}
    last = expected[-1]["number"]
    named = await ship(
        own_gateway,
        order_id,
        [{"salesOrderLineId": gid, "qty": "0.5", "lotNumber": f" {last} "}],
        key="named",
    )
    assert named["userErrors"] == []
    assert [move["lot"]["number"] for move in named["moves"]] == [last]
    first = await ship(
        own_gateway, order_id, [{"salesOrderLineId": gid, "qty": "0.5"}], key="first"
    )
    assert first["moves"][0]["lot"]["number"] == expected[0]["number"]
    await sound(own_database_url)


async def test_a_shipment_that_is_prepared_keeps_its_goods(own_gateway: Gateway) -> None:
    """What is in a planned shipment does not leave in another."""
    order_id = await order_that(
        own_gateway,
        """state = 'CONFIRMED' and hold is null and exists (
             select from shipment s join shipment_line x on x.shipment_id = s.id
             where s.order_id = o.id and s.state in ('PLANNED', 'PICKING', 'PACKED'))
           and not exists (select from sales_order_line l where l.order_id = o.id
             and l.reserved > coalesce((select sum(x.quantity) from shipment_line x
               join shipment s on s.id = x.shipment_id where x.order_line_id = l.id
               and s.state in ('PLANNED', 'PICKING', 'PACKED')), 0))""",
    )
    refused = await ship(own_gateway, order_id)
    assert refused["userErrors"][0]["code"] == "INSUFFICIENT_STOCK"
    assert refused["order"] is not None


SHIPMENT = """
mutation Act($key: String!, $id: ID!, $version: Int) {{
  {verb}(idempotencyKey: $key, id: $id, expectedVersion: $version {more}) {{
    shipment {{ number state version shippedAt deliveredOn carrier trackingNo availableActions
               lines {{ qty picked }} packages {{ seq }} order {{ state }} }}
    {moves} userErrors {{ code path details }}
  }}
}}
"""


async def work(gateway: Gateway, verb: str, shipment_id: int, more: str = "", **given: Any) -> Any:
    """Run a verb of shipments and return its payload."""
    moves = "moves { qty }" if verb == "shipShipment" else ""
    document = SHIPMENT.format(verb=verb, more=more, moves=moves)
    variables = {"key": verb, "id": encode_id("Shipment", shipment_id), **given}
    return (await gateway.data(document, variables))[verb]


async def test_a_shipment_is_picked_packed_shipped_and_delivered(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """One after the other and in no other order; what left is gone, promised no more."""
    shipment_id = await own_gateway.owner.fetchval(
        """select s.id from shipment s join sales_order o on o.id = s.order_id
           where s.company_id = 1 and s.state = 'PLANNED' and o.hold is null order by 1 limit 1"""
    )
    early = await work(own_gateway, "shipShipment", shipment_id, key="early")
    assert early["userErrors"][0]["code"] == "INVALID_TRANSITION"
    assert early["shipment"]["availableActions"] == ["START_PICKING", "CANCEL"]
    picking = await work(own_gateway, "startPicking", shipment_id)
    assert picking["shipment"]["state"] == "PICKING"
    stale = await work(own_gateway, "packShipment", shipment_id, version=1, key="stale")
    assert stale["userErrors"][0]["code"] == "CONFLICT_VERSION"
    none = await work(own_gateway, "packShipment", shipment_id, ", packages: 0", key="none")
    assert (none["userErrors"][0]["code"], none["userErrors"][0]["path"]) == (
        "VALIDATION",
        ["packages"],
    )
    version = picking["shipment"]["version"]
    packed = await work(own_gateway, "packShipment", shipment_id, ", packages: 2", version=version)
    assert packed["shipment"]["state"] == "PACKED"
    assert [one["seq"] for one in packed["shipment"]["packages"]] == [1, 2]
    assert all(line["picked"] == line["qty"] for line in packed["shipment"]["lines"])
    await sound(own_database_url)
    left = await work(own_gateway, "shipShipment", shipment_id, ', carrier: " UPS "')
    assert left["userErrors"] == []
    assert (left["shipment"]["state"], left["shipment"]["carrier"]) == ("SHIPPED", "UPS")
    assert left["shipment"]["shippedAt"] is not None
    moved = sum(Decimal(move["qty"]) for move in left["moves"])
    assert moved == sum(Decimal(line["qty"]) for line in left["shipment"]["lines"])
    await sound(own_database_url)
    arrived = await work(own_gateway, "confirmDelivery", shipment_id)
    assert arrived["shipment"]["state"] == "DELIVERED"
    assert arrived["shipment"]["deliveredOn"] is not None
    assert arrived["shipment"]["availableActions"] == []
    assert await work(own_gateway, "shipShipment", shipment_id, ', carrier: " UPS "') == {
        **left,
        "shipment": arrived["shipment"],
    }


async def test_a_canceled_shipment_frees_its_goods_for_another(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """They stay promised to the order, and leave with what is shipped next."""
    shipment_id, order_id = await own_gateway.owner.fetchrow(  # type: ignore[misc]
        """select s.id, o.id from shipment s join sales_order o on o.id = s.order_id
           where s.company_id = 1 and s.state = 'PACKED' and o.hold is null order by 1 limit 1"""
    )
    canceled = await work(own_gateway, "cancelShipment", shipment_id)
    assert canceled["shipment"]["state"] == "CANCELED"
    left = await ship(own_gateway, order_id)
    assert left["userErrors"] == []
    assert left["moves"]
    await sound(own_database_url)


async def test_a_hold_stops_shipments_but_not_giving_them_up(own_gateway: Gateway) -> None:
    """Whoever holds an order holds its shipments."""
    shipment_id, order_id = await own_gateway.owner.fetchrow(  # type: ignore[misc]
        """select s.id, o.id from shipment s join sales_order o on o.id = s.order_id
           where s.company_id = 1 and s.state = 'PACKED' and o.hold is null order by 1 limit 1"""
    )
    await act(own_gateway, "holdSalesOrder", order_id)
    refused = await work(own_gateway, "shipShipment", shipment_id)
    assert refused["userErrors"] == [
        {
            "code": "INVALID_TRANSITION",
            "path": ["id"],
            "details": {"hold": "MANUAL"},
        }
    ]
    canceled = await work(own_gateway, "cancelShipment", shipment_id)
    assert canceled["userErrors"] == []


@pytest.mark.parametrize(
    ("line", "code", "path"),
    [
        ({"qty": "0"}, "VALIDATION", "qty"),
        ({"qty": "-1"}, "VALIDATION", "qty"),
        ({"qty": "0.00001"}, "VALIDATION", "qty"),
        ({"qty": "9" * 15}, "VALIDATION", "qty"),
        (
            {"qty": "1", "salesOrderLineId": encode_id("SalesOrderLine", 10**9)},
            "NOT_FOUND",
            "salesOrderLineId",
        ),
    ],
)
async def test_lines_that_cannot_leave(
    gateway: Gateway, line: dict[str, str], code: str, path: str
) -> None:
    """Bad quantities and lines of no such order are named, and nothing leaves."""
    order_id = await order_that(gateway, RESERVED)
    line_id = await gateway.owner.fetchval(
        "select min(id) from sales_order_line where order_id = $1", order_id
    )
    asked = {"salesOrderLineId": encode_id("SalesOrderLine", line_id), **line}
    told = await ship(gateway, order_id, [asked])
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == (code, ["lines", "0", path])


async def test_permissions(gateway: Gateway) -> None:
    """Shipping takes its own permission, the other verbs that of sales."""
    order_id = await order_that(gateway, RESERVED)
    answer = await gateway.run(
        SHIP,
        {"key": "k", "id": encode_id("SalesOrder", order_id)},
        caller=principal(permissions=EVERY_PERMISSION - {"shipments.write"}),
    )
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]


async def test_everything_at_once(own_gateway: Gateway, own_database_url: str) -> None:
    """Reserved, shipped, held and canceled by many at once: no failure, and all agrees after."""
    await unlimited(own_gateway)
    orders = [
        row[0]
        for row in await own_gateway.owner.fetch(
            """select id from sales_order where company_id = 1 and hold is null
               and state in ('DRAFT', 'QUOTED', 'PLACED', 'CONFIRMED') order by id limit 30"""
        )
    ]

    async def handle(order_id: int, turn: int) -> list[str]:
        codes = []
        verbs = ["confirmSalesOrder", "ship", "cancelSalesOrder", "ship"]
        for step in range(4):
            verb = verbs[(step + turn) % 4]
            key = f"{turn} {step}"
            if verb == "ship":
                told = await ship(own_gateway, order_id, key=f"{order_id} {key}")
            else:
                told = await act(own_gateway, verb, order_id, key=f"{order_id} {key}")
            codes += [error["code"] for error in told["userErrors"]]
        return codes

    found = await asyncio.gather(*(handle(id_, turn) for id_ in orders for turn in range(3)))
    assert {code for codes in found for code in codes} <= {
        "INVALID_TRANSITION",
        "INSUFFICIENT_STOCK",
    }
    left = await own_gateway.owner.fetchval(
        "select count(*) from shipment where created_at > now() - interval '1 minute'"
    )
    assert left > 5
    assert decode_id(encode_id("SalesOrder", orders[0]), "SalesOrder", path=()) == orders[0]
    await sound(own_database_url)

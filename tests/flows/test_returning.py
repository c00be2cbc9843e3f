"""Goods that come back: sold again, looked at, or given up; never more than left."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from gateway.verify import verify
from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, principal
from tests.fixtures.paths import BothPaths

RETURN = """
mutation Return($key: String!, $id: ID!, $lines: [ReturnLineInput!]!, $reason: String! = "Broken",
                $dry: Boolean! = false) {
  returnGoods(idempotencyKey: $key, orderId: $id, lines: $lines, reason: $reason, dryRun: $dry) {
    goodsReturn { reason lines { seq qty disposition product { sku } lots { number } } }
    moves { qty kind fromLocation { kind } toLocation { kind sellable } lot { number } }
    order { state shipmentStatus version lines { id qtyShipped qtyReturned } returns { number } }
    reservedOrders { number }
    userErrors { code message path details }
  }
}
"""


async def give_back(
    gateway: Gateway, order_id: int, lines: Any, key: str = "r", **more: Any
) -> Any:
    """Run returnGoods and return its payload."""
    variables = {"key": key, "id": encode_id("SalesOrder", order_id), "lines": lines, **more}
    return (await gateway.data(RETURN, variables))["returnGoods"]


def back(line_id: int, quantity: object, disposition: str = "RESTOCK", **more: Any) -> Any:
    """Return a line of what came back."""
    return {
        "salesOrderLineId": encode_id("SalesOrderLine", line_id),
        "qty": str(quantity),
        "disposition": disposition,
        **more,
    }


async def line_that(gateway: Gateway, condition: str) -> Any:
    """Return a line of the company of which at least 3 are away, that is so."""
    found = await gateway.owner.fetchrow(
        f"""select l.*, o.warehouse_id, l.shipped - l.returned as away
            from sales_order_line l join sales_order o on o.id = l.order_id
            join product p on p.id = l.product_id
            where o.company_id = 1 and l.shipped - l.returned >= 3 and {condition}
            order by l.id limit 1"""
    )
    assert found is not None
    return found


async def sound(url: str) -> None:
    """Check every invariant."""
    broken = [result for result in await verify(url) if not result.holds]
    assert not broken


async def test_what_comes_back_goes_where_it_is_said(
    own_reader: BothPaths, own_database_url: str
) -> None:
    """To be sold again, put aside or scrapped; the order stays shipped, its line tells."""
    gateway = own_reader.compiled
    line = await line_that(gateway, "p.tracking = 'NONE' and o.state = 'FULFILLED'")
    lines = [back(line["id"], 1, kind) for kind in ("RESTOCK", "INSPECT", "SCRAP")]
    before = await gateway.owner.fetchval(
        "select on_hand from stock_level where product_id = $1 and warehouse_id = $2",
        line["product_id"],
        line["warehouse_id"],
    )
    told = await give_back(own_reader.ordinary, line["order_id"], lines, dry=True)
    real = await give_back(gateway, line["order_id"], lines)
    told["order"]["returns"] = real["order"]["returns"]  # numbers are not given back
    assert real == told, "the rehearsal told what came back"
    assert real["userErrors"] == []
    assert [move["toLocation"] for move in real["moves"]] == [
        {"kind": "INTERNAL", "sellable": True},
        {"kind": "INTERNAL", "sellable": False},
        {"kind": "SCRAP", "sellable": False},
    ]
    assert real["order"]["state"] == "FULFILLED"
    [mine] = [one for one in real["order"]["lines"] if one["id"] == lines[0]["salesOrderLineId"]]
    assert Decimal(mine["qtyReturned"]) == line["returned"] + 3
    after = await gateway.owner.fetchval(
        "select on_hand from stock_level where product_id = $1 and warehouse_id = $2",
        line["product_id"],
        line["warehouse_id"],
    )
    assert after - before == 1
    assert await give_back(gateway, line["order_id"], lines) == real, "the same key: once"
    await sound(own_database_url)


async def test_never_more_than_left(own_gateway: Gateway, own_database_url: str) -> None:
    """Not one ten-thousandth more, in one line or in two; of other orders nothing."""
    line = await line_that(own_gateway, "p.tracking = 'NONE'")
    step = Decimal("0.0001")
    for number, lines in enumerate(
        (
            [back(line["id"], line["away"] + step)],
            [back(line["id"], line["away"]), back(line["id"], step)],
        )
    ):
        refused = await give_back(own_gateway, line["order_id"], lines, f"k{number}")
        [error] = refused["userErrors"]
        assert (error["code"], error["path"]) == ("VALIDATION", ["lines", str(number), "qty"])
        assert (refused["goodsReturn"], refused["moves"]) == (None, [])
    other = await line_that(own_gateway, f"o.id <> {line['order_id']}")
    refused = await give_back(own_gateway, line["order_id"], [back(other["id"], 1)], "other")
    assert [error["path"] for error in refused["userErrors"]] == [
        ["lines", "0", "salesOrderLineId"]
    ]
    told = await give_back(own_gateway, line["order_id"], [back(line["id"], line["away"])])
    assert told["userErrors"] == []
    await sound(own_database_url)


async def test_a_lot_comes_back_as_itself(own_gateway: Gateway, own_database_url: str) -> None:
    """The lot must have left with the line, and so much of it."""
    line = await line_that(own_gateway, "p.tracking = 'LOT' and l.returned = 0")
    lot: Any = await own_gateway.owner.fetchrow(
        """select t.number, sum(m.quantity) as sent from stock_move m join lot t on t.id = m.lot_id
           where m.source = 'SALES_ORDER_LINE' and m.kind = 'SHIPMENT' and m.source_id = $1
           group by 1 order by 2 desc limit 1""",
        line["id"],
    )
    for number, more in enumerate(({}, {"lotNumber": "none"})):
        refused = await give_back(
            own_gateway, line["order_id"], [back(line["id"], 1, **more)], f"k{number}"
        )
        [error] = refused["userErrors"]
        assert (error["code"], error["path"]) == ("VALIDATION", ["lines", "0", "lotNumber"])
    told = await give_back(
        own_gateway, line["order_id"], [back(line["id"], lot["sent"], lotNumber=lot["number"])]
    )
    assert told["userErrors"] == []
    assert [move["lot"]["number"] for move in told["moves"]] == [lot["number"]]
    assert told["goodsReturn"]["lines"][0]["lots"] == [{"number": lot["number"]}]
    again = await give_back(
        own_gateway, line["order_id"], [back(line["id"], 1, lotNumber=lot["number"])], "again"
    )
    assert again["userErrors"]
    await sound(own_database_url)


async def test_a_serial_number_leaves_and_comes_back(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """It is at the customer, then here; it cannot come back twice."""
    row: Any = await own_gateway.owner.fetchrow(
        """select l.id, l.order_id, t.number from sales_order_line l
           join product p on p.id = l.product_id
           join stock_move m on m.source = 'SALES_ORDER_LINE' and m.source_id = l.id
           join lot t on t.id = m.lot_id
           where l.company_id = 1 and p.tracking = 'SERIAL' and l.returned = 0
           order by m.id limit 1"""
    )
    lines = [back(row["id"], 1, lotNumber=row["number"])]
    told = await give_back(own_gateway, row["order_id"], lines)
    assert told["userErrors"] == []
    again = await give_back(own_gateway, row["order_id"], lines, "again")
    assert again["userErrors"]
    await sound(own_database_url)


async def test_who_waits_gets_what_comes_back(own_gateway: Gateway, own_database_url: str) -> None:
    """What can be sold again goes to orders that wait for it, what is looked at does not."""
    waits = """exists (select from sales_order_line w join sales_order s on s.id = w.order_id
               where w.product_id = l.product_id and s.warehouse_id = o.warehouse_id
                 and s.state = 'CONFIRMED' and s.hold is null and s.id <> o.id
                 and w.quantity - w.shipped - w.canceled - w.reserved >= 1)"""
    line = await line_that(own_gateway, f"p.tracking = 'NONE' and {waits}")
    looked_at = await give_back(
        own_gateway, line["order_id"], [back(line["id"], 1, "INSPECT")], "inspect"
    )
    assert looked_at["reservedOrders"] == []
    told = await give_back(own_gateway, line["order_id"], [back(line["id"], 1)])
    assert told["reservedOrders"]
    await sound(own_database_url)


async def test_all_at_once_it_comes_back_once(own_gateway: Gateway, own_database_url: str) -> None:
    """Ten that bring all of a line back: one of them does."""
    line = await line_that(own_gateway, "p.tracking = 'NONE'")
    lines = [back(line["id"], line["away"])]
    answers = await asyncio.gather(
        *(give_back(own_gateway, line["order_id"], lines, f"k{n}") for n in range(10))
    )
    codes = [[error["code"] for error in answer["userErrors"]] for answer in answers]
    assert codes.count([]) == 1
    assert {code for told in codes for code in told} == {"VALIDATION"}
    await sound(own_database_url)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"lines": []}, ["lines"]),
        ({"reason": " "}, ["reason"]),
        ({"lines": [back(1, "0")]}, ["lines", "0", "qty"]),
        ({"lines": [back(1, "-1")]}, ["lines", "0", "qty"]),
        ({"lines": [back(1, "1" + "0" * 15)]}, ["lines", "0", "qty"]),
    ],
)
async def test_what_cannot_come_back(gateway: Gateway, more: Any, path: list[str]) -> None:
    """Each mistake is named, and nothing is taken back."""
    told = await give_back(gateway, 1, **{"lines": [back(1, 1)], **more})
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == ("VALIDATION", path)


async def test_nothing_left_nothing_comes_back(gateway: Gateway) -> None:
    """Of an order of which nothing left, nothing can."""
    order_id = await gateway.owner.fetchval(
        "select id from sales_order where company_id = 1 and shipment_status = 'NONE' limit 1"
    )
    told = await give_back(gateway, order_id, [back(1, 1)])
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_TRANSITION", ["orderId"])


async def test_permissions(gateway: Gateway) -> None:
    """Taking back takes its own permission."""
    answer = await gateway.run(
        RETURN,
        {"key": "k", "id": encode_id("SalesOrder", 1), "lines": [back(1, 1)]},
        caller=principal(permissions=EVERY_PERMISSION - {"returns.write"}),
    )
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]

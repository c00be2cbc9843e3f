"""Goods that come from suppliers: taken in once, within tolerance, and promised to who waits."""

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from gateway.verify import verify
from resolvers.purchasing.rules import may_still_come
from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, principal
from tests.fixtures.paths import BothPaths

RECEIVE = """
mutation Receive($key: String!, $id: ID!, $lines: [ReceiveLineInput!]!, $dry: Boolean! = false) {
  receiveGoods(idempotencyKey: $key, orderId: $id, lines: $lines, deliveryNote: " DN 7 ",
               dryRun: $dry) {
    receipt { deliveryNote lines { seq qty qtyRejected lots { number expiresOn } } }
    moves { qty kind fromLocation { kind } toLocation { code kind sellable } lot { number } }
    order { number state receiptStatus version availableActions
            lines { id qty qtyReceived qtyOutstanding } }
    reservedOrders { number reservationStatus }
    userErrors { code message path details }
  }
}
"""


async def receive(gateway: Gateway, order_id: int, lines: Any, **more: Any) -> Any:
    """Run receiveGoods and return its payload."""
    variables = {"key": "r", "id": encode_id("PurchaseOrder", order_id), "lines": lines, **more}
    return (await gateway.data(RECEIVE, variables))["receiveGoods"]


def came(line_id: int, quantity: object, **more: Any) -> dict[str, Any]:
    """Return a line of what came."""
    return {
        "purchaseOrderLineId": encode_id("PurchaseOrderLine", line_id),
        "qty": str(quantity),
        **more,
    }


async def sound(url: str) -> None:
    """Check every invariant."""
    broken = [result for result in await verify(url) if not result.holds]
    assert not broken


async def line_that(gateway: Gateway, condition: str, order: str = "l.id") -> Any:
    """Return a line of a confirmed order of the company that is so."""
    found = await gateway.owner.fetchrow(
        f"""select l.*, o.warehouse_id, p.tracking,
                   l.quantity - l.received - l.canceled as outstanding
            from purchase_order_line l join purchase_order o on o.id = l.order_id
            join product p on p.id = l.product_id
            where o.company_id = 1 and o.state = 'CONFIRMED'
              and l.quantity - l.received - l.canceled >= 2 and {condition}
            order by {order} limit 1"""
    )
    assert found is not None
    return found


UNTRACKED = "p.tracking = 'NONE'"


async def test_what_comes_is_there_and_incoming_no_more(
    own_reader: BothPaths, own_database_url: str
) -> None:
    """On hand rises by what is not put aside, incoming falls by all that came."""
    gateway = own_reader.compiled
    line = await line_that(gateway, UNTRACKED)
    state = """select coalesce(l.on_hand, 0), p.incoming from stock_projection p
               left join stock_level l using (product_id, warehouse_id)
               where product_id = $1 and warehouse_id = $2"""
    [before] = await gateway.owner.fetch(state, line["product_id"], line["warehouse_id"])
    asked = [came(line["id"], "1.5", qtyRejected="0.5")]
    told = await receive(own_reader.ordinary, line["order_id"], asked, dry=True)
    real = await receive(gateway, line["order_id"], asked)
    assert real == told, "the rehearsal told what came"
    assert real["userErrors"] == []
    assert real["receipt"]["deliveryNote"] == "DN 7"
    assert [move["qty"] for move in real["moves"]] == ["1.0000", "0.5000"]
    assert [move["toLocation"]["sellable"] for move in real["moves"]] == [True, False]
    assert {move["fromLocation"]["kind"] for move in real["moves"]} == {"SUPPLIER"}
    [after] = await gateway.owner.fetch(state, line["product_id"], line["warehouse_id"])
    assert after[0] - before[0] == 1
    assert before[1] - after[1] == Decimal("1.5")
    assert await receive(gateway, line["order_id"], asked) == real, "the same key: once"
    await sound(own_database_url)


async def test_all_that_is_outstanding_fulfills_the_order(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """Once everything came the order is done, and takes nothing more."""
    line = await line_that(
        own_gateway,
        """not exists (select from purchase_order_line x join product q on q.id = x.product_id
           where x.order_id = o.id and q.tracking <> 'NONE')""",
    )
    rows = await own_gateway.owner.fetch(
        """select id, quantity - received - canceled as rest from purchase_order_line
           where order_id = $1 and quantity > received + canceled""",
        line["order_id"],
    )
    asked = [came(row["id"], row["rest"]) for row in rows]
    told = await receive(own_gateway, line["order_id"], asked)
    assert told["userErrors"] == []
    assert (told["order"]["state"], told["order"]["receiptStatus"]) == ("FULFILLED", "RECEIVED")
    again = await receive(own_gateway, line["order_id"], asked, key="again")
    [error] = again["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_TRANSITION", ["orderId"])
    await sound(own_database_url)


async def test_a_tolerance_is_exact_to_the_last_decimal(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """One ten-thousandth above it is refused, with how much may come; that much comes."""
    line = await line_that(own_gateway, UNTRACKED)
    most = may_still_come(
        line["quantity"], line["received"], line["canceled"], line["over_receipt_percent"]
    )
    step = Decimal("0.0001")
    refused = await receive(
        own_gateway,
        line["order_id"],
        [came(line["id"], most), came(line["id"], step)],
        key="over",
    )
    [error] = refused["userErrors"]
    assert (error["code"], error["path"]) == ("OVER_RECEIPT", ["lines", "1", "qty"])
    assert error["details"] == {"mayStillCome": "0.0000"}
    assert (refused["receipt"], refused["moves"]) == (None, [])
    told = await receive(own_gateway, line["order_id"], [came(line["id"], most)])
    assert told["userErrors"] == []
    await sound(own_database_url)


@pytest.mark.parametrize(
    ("quantity", "received", "percent", "expected"),
    [
        ("100", "0", "0", "100"),
        ("100", "99.9999", "0", "0.0001"),
        ("100", "0", "0.0019", "100.0019"),
        ("3", "0", "0.0033", "3.0000"),
        ("100", "110", "10", "0"),
    ],
)
def test_what_may_still_come(quantity: str, received: str, percent: str, expected: str) -> None:
    """Exact, and rounded down: 100.002 of 100 does not slip through."""
    found = may_still_come(Decimal(quantity), Decimal(received), Decimal(0), Decimal(percent))
    assert found == Decimal(expected)


async def test_who_waits_gets_what_comes_those_due_first(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """One unit goes to the order due first; orders on hold get nothing."""
    line = await line_that(
        own_gateway,
        """p.tracking <> 'SERIAL' and exists (select from sales_order_line w
           join sales_order s on s.id = w.order_id
           where w.product_id = l.product_id and s.warehouse_id = o.warehouse_id
             and s.state = 'CONFIRMED' and s.hold is null
             and w.quantity - w.shipped - w.canceled - w.reserved >= 1)""",
    )
    waiting = await own_gateway.owner.fetch(
        """select s.number, w.quantity - w.shipped - w.canceled - w.reserved as missing
           from sales_order_line w join sales_order s on s.id = w.order_id
           where w.product_id = $1 and s.warehouse_id = $2 and s.state = 'CONFIRMED'
             and s.hold is null and w.quantity > w.shipped + w.canceled + w.reserved
           order by coalesce(s.requested_on, s.placed_on), s.id, w.position""",
        line["product_id"],
        line["warehouse_id"],
    )
    free = await own_gateway.owner.fetchval(
        "select on_hand - reserved from stock_level where product_id = $1 and warehouse_id = $2",
        line["product_id"],
        line["warehouse_id"],
    )
    got, left = [], Decimal(1) + (free or 0)
    for row in waiting:
        if left > 0:
            got.append(row["number"])
            left -= row["missing"]
    lot = {} if line["tracking"] == "NONE" else {"lotNumber": "W"}
    told = await receive(own_gateway, line["order_id"], [came(line["id"], 1, **lot)])
    assert told["userErrors"] == []
    assert {order["number"] for order in told["reservedOrders"]} == set(got)
    await sound(own_database_url)


async def test_lots_are_named_and_made(own_gateway: Gateway, own_database_url: str) -> None:
    """A tracked product takes a lot, an untracked one none; a new lot knows when it expires."""
    line = await line_that(own_gateway, "p.tracking = 'LOT'")
    for lot, path in (({}, "lotNumber"), ({"lotNumber": " "}, "lotNumber")):
        refused = await receive(
            own_gateway, line["order_id"], [came(line["id"], 1, **lot)], key=f"no {lot}"
        )
        [error] = refused["userErrors"]
        assert (error["code"], error["path"]) == ("VALIDATION", ["lines", "0", path])
    asked = [
        came(line["id"], 1, lotNumber=" NEW 1 ", expiresOn="2027-05-31"),
        came(line["id"], 1, lotNumber="NEW 2"),
    ]
    told = await receive(own_gateway, line["order_id"], asked)
    assert told["userErrors"] == []
    lots = [one for row in told["receipt"]["lines"] for one in row["lots"]]
    assert lots == [
        {"number": "NEW 1", "expiresOn": "2027-05-31"},
        {"number": "NEW 2", "expiresOn": None},
    ]
    assert [move["lot"]["number"] for move in told["moves"]] == ["NEW 1", "NEW 2"]
    made = await own_gateway.owner.fetchval("select received_on from lot where number = 'NEW 1'")
    assert isinstance(made, date)
    plain = await line_that(own_gateway, UNTRACKED)
    refused = await receive(
        own_gateway, plain["order_id"], [came(plain["id"], 1, lotNumber="X")], key="plain"
    )
    assert refused["userErrors"][0]["path"] == ["lines", "0", "lotNumber"]
    await sound(own_database_url)


async def test_a_serial_number_comes_once(own_gateway: Gateway, own_database_url: str) -> None:
    """It is one unit, and cannot come while it is somewhere."""
    line = await line_that(own_gateway, "p.tracking = 'SERIAL'")
    two = await receive(
        own_gateway, line["order_id"], [came(line["id"], 2, lotNumber="S1")], key="two"
    )
    assert two["userErrors"][0]["path"] == ["lines", "0", "qty"]
    first = await receive(own_gateway, line["order_id"], [came(line["id"], 1, lotNumber="S1")])
    assert first["userErrors"] == []
    again = await receive(
        own_gateway, line["order_id"], [came(line["id"], 1, lotNumber="S1")], key="again"
    )
    assert again["userErrors"][0]["path"] == ["lines", "0", "lotNumber"]
    await sound(own_database_url)


async def test_deliveries_at_once_never_exceed_the_tolerance(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """Ten that would take all that is outstanding each: one of them does."""
    line = await line_that(own_gateway, f"{UNTRACKED} and l.over_receipt_percent < 50")
    answers = await asyncio.gather(
        *(
            receive(
                own_gateway, line["order_id"], [came(line["id"], line["outstanding"])], key=f"k{n}"
            )
            for n in range(10)
        )
    )
    codes = [[error["code"] for error in answer["userErrors"]] for answer in answers]
    assert codes.count([]) == 1
    assert {code for found in codes for code in found} <= {"OVER_RECEIPT", "INVALID_TRANSITION"}
    await sound(own_database_url)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"qty": "0"}, "qty"),
        ({"qty": "1.00001"}, "qty"),
        ({"qty": "1", "qtyRejected": "-1"}, "qtyRejected"),
        ({"qty": "1", "qtyRejected": "1.5"}, "qtyRejected"),
    ],
)
async def test_quantities_that_cannot_come(
    gateway: Gateway, more: dict[str, str], path: str
) -> None:
    """Bad quantities are named, and nothing is taken in."""
    line = await line_that(gateway, UNTRACKED)
    told = await receive(gateway, line["order_id"], [{**came(line["id"], 1), **more}])
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == ("VALIDATION", ["lines", "0", path])


VERB = """
mutation Act($key: String!, $id: ID!) {{
  {verb}(idempotencyKey: $key, id: $id) {{
    order {{ state receiptStatus availableActions lines {{ qtyOutstanding }} }}
    userErrors {{ code }}
  }}
}}
"""


@pytest.mark.parametrize(
    ("verb", "condition", "state"),
    [
        ("confirmPurchaseOrder", "state = 'SENT'", "CONFIRMED"),
        ("cancelPurchaseOrder", "state in ('DRAFT', 'SENT')", "CANCELED"),
        ("cancelPurchaseOrder", "state = 'CONFIRMED' and receipt_status = 'NONE'", "CANCELED"),
        ("cancelPurchaseOrder", "state = 'CONFIRMED' and receipt_status = 'PARTIAL'", "FULFILLED"),
    ],
)
async def test_what_is_incoming_follows_the_order(
    own_gateway: Gateway, own_database_url: str, verb: str, condition: str, state: str
) -> None:
    """Confirmed, its lines are incoming; given up, no more. A second time is refused."""
    order_id = await own_gateway.owner.fetchval(
        f"select id from purchase_order where company_id = 1 and {condition} order by id limit 1"
    )
    variables = {"key": "k", "id": encode_id("PurchaseOrder", order_id)}
    told = (await own_gateway.data(VERB.format(verb=verb), variables))[verb]
    assert told["userErrors"] == []
    assert told["order"]["state"] == state
    again = (await own_gateway.data(VERB.format(verb=verb), {**variables, "key": "a"}))[verb]
    assert again["userErrors"] == [{"code": "INVALID_TRANSITION"}]
    await sound(own_database_url)


async def test_permissions(gateway: Gateway) -> None:
    """Taking in takes its own permission."""
    line = await line_that(gateway, UNTRACKED)
    answer = await gateway.run(
        RECEIVE,
        {
            "key": "k",
            "id": encode_id("PurchaseOrder", line["order_id"]),
            "lines": [came(line["id"], 1)],
        },
        caller=principal(permissions=EVERY_PERMISSION - {"purchasing.receive"}),
    )
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]

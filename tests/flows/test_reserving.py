"""Stock promised to orders: never more than there is, whoever asks at once."""

import asyncio
import re
from collections import Counter
from decimal import Decimal
from typing import Any

import orjson
import pytest

from gateway.verify import verify
from resolvers.sales import commands
from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, principal
from tests.fixtures.paths import BothPaths

RESERVE = """
mutation Reserve($key: String!, $id: ID!, $all: Boolean!, $dry: Boolean!, $version: Int) {
  reserveOrder(idempotencyKey: $key, id: $id, allOrNothing: $all, dryRun: $dry,
               expectedVersion: $version) {
    order { number reservationStatus version availableActions lines { qtyReserved qtyBackordered } }
    shortages { sku requested available nextIncomingOn nextIncomingQty }
    userErrors { code message path details }
  }
}
"""


async def reserve(
    gateway: Gateway,
    order_id: int,
    *,
    key: str = "k",
    all_: bool = False,
    dry: bool = False,
    version: int | None = None,
) -> Any:
    """Run reserveOrder and return its payload."""
    variables = {
        "key": key,
        "id": encode_id("SalesOrder", order_id),
        "all": all_,
        "dry": dry,
        "version": version,
    }
    return (await gateway.data(RESERVE, variables))["reserveOrder"]


async def waiting(gateway: Gateway) -> int:
    """Return a confirmed order that waits for stock."""
    found: int = await gateway.owner.fetchval(
        """select id from sales_order where company_id = 1 and state = 'CONFIRMED'
           and hold is null and reservation_status <> 'FULL' order by id limit 1"""
    )
    return found


async def stock_up(gateway: Gateway, order_id: int, quantity: str) -> None:
    """Find so much of each product of an order in its warehouse, and promised to nobody."""
    lines = await gateway.owner.fetch(
        """select p.sku, min(x.id) as place, p.tracking from sales_order_line l
           join sales_order o on o.id = l.order_id join product p on p.id = l.product_id
           join stock_location x on x.warehouse_id = o.warehouse_id and x.sellable
           where o.id = $1 group by 1, 3""",
        order_id,
    )
    for number, line in enumerate(lines):
        payload = await gateway.data(
            """mutation($key: String!, $lines: [StockAdjustmentInput!]!) {
              adjustStock(idempotencyKey: $key, lines: $lines) { userErrors { message } } }""",
            {
                "key": f"up {order_id} {number}",
                "lines": [
                    {
                        "sku": line["sku"],
                        "locationId": encode_id("StockLocation", line["place"]),
                        "delta": quantity,
                        "reason": "Found",
                        **({} if line["tracking"] == "NONE" else {"lotNumber": f"L{order_id}"}),
                    }
                ],
            },
        )
        assert payload["adjustStock"]["userErrors"] == []


async def sound(url: str) -> None:
    """Check every invariant."""
    broken = [result for result in await verify(url) if not result.holds]
    assert not broken


async def test_what_is_there_is_promised(own_reader: BothPaths, own_database_url: str) -> None:
    """With enough in stock every line gets all of it; again, there is nothing left to do."""
    gateway = own_reader.compiled
    order_id = await waiting(gateway)
    await stock_up(gateway, order_id, "500")
    told = await reserve(own_reader.ordinary, order_id, dry=True, key="rehearsed")
    real = await reserve(gateway, order_id)
    assert real == told, "the rehearsal told what came"
    assert real["userErrors"] == real["shortages"] == []
    assert real["order"]["reservationStatus"] == "FULL"
    assert all(Decimal(line["qtyBackordered"]) == 0 for line in real["order"]["lines"])
    assert await reserve(gateway, order_id) == real, "the same key, the same answer"
    again = await reserve(gateway, order_id, key="again")
    assert again["userErrors"][0]["code"] == "INVALID_TRANSITION"
    assert again["order"]["reservationStatus"] == "FULL"
    await sound(own_database_url)


async def test_what_is_missing_is_told(own_gateway: Gateway, own_database_url: str) -> None:
    """Each line that waits comes back with how much there was and what comes next."""
    order_id = await own_gateway.owner.fetchval(
        """select o.id from sales_order o join sales_order_line l on l.order_id = o.id
           join incoming_stock i on i.product_id = l.product_id
             and i.warehouse_id = o.warehouse_id
           where o.company_id = 1 and o.state = 'CONFIRMED' and o.hold is null
             and o.reservation_status <> 'FULL'
             and l.quantity > l.reserved + l.shipped + l.canceled
           order by o.id limit 1"""
    )
    refused = await reserve(own_gateway, order_id, all_=True, key="all")
    [error] = refused["userErrors"]
    assert (error["code"], error["path"]) == ("INSUFFICIENT_STOCK", ["allOrNothing"])
    told = await reserve(own_gateway, order_id)
    assert told["userErrors"] == []
    assert told["shortages"] == refused["shortages"] != []
    assert all(re.fullmatch(r"[0-9]+[.][0-9]{4}", one["available"]) for one in told["shortages"])
    lines = await own_gateway.owner.fetch(
        """select p.sku, l.quantity - l.reserved - l.shipped - l.canceled as missing,
                  (select expected_on::text from incoming_stock i where i.product_id = p.id
                   and i.warehouse_id = o.warehouse_id order by expected_on, i.id limit 1) as next
           from sales_order_line l join sales_order o on o.id = l.order_id
           join product p on p.id = l.product_id
           where o.id = $1 and l.quantity > l.reserved + l.shipped + l.canceled
           order by l.position""",
        order_id,
    )
    assert [
        (one["sku"], Decimal(one["requested"]) - Decimal(one["available"]), one["nextIncomingOn"])
        for one in told["shortages"]
    ] == [tuple(line) for line in lines]
    await sound(own_database_url)


async def test_two_lines_of_one_product_share_what_there_is(own_gateway: Gateway) -> None:
    """The first line gets what it wants, the second what is left."""
    owner = own_gateway.owner
    order_id, first, second = await owner.fetchrow(  # type: ignore[misc]
        """select o.id, min(l.id), max(l.id) from sales_order o
           join sales_order_line l on l.order_id = o.id
           where o.company_id = 1 and o.state = 'CONFIRMED' and o.hold is null
             and o.reservation_status <> 'FULL'
           group by o.id having count(*) >= 2 order by o.id limit 1"""
    )
    await owner.execute("set session_replication_role = replica")
    await owner.execute(
        "delete from sales_order_line where order_id = $1 and id not in ($2, $3)",
        order_id,
        first,
        second,
    )
    product_id = await owner.fetchval(
        "select id from product p where tracking = 'NONE' and kind = 'GOODS'"
        " and archived_at is null and exists (select from stock_level s"
        " join sales_order o on o.warehouse_id = s.warehouse_id"
        " where o.id = $1 and s.product_id = p.id) order by id limit 1",
        order_id,
    )
    await owner.execute(
        "update sales_order_line set product_id = $1, quantity = 4, reserved = 0, returned = 0,"
        " shipped = 0, invoiced = 0, canceled = 0 where order_id = $2",
        product_id,
        order_id,
    )
    await owner.execute(
        "update stock_level set on_hand = reserved + 6 where product_id = $1", product_id
    )
    await owner.execute("set session_replication_role = origin")
    told = await reserve(own_gateway, order_id)
    assert [line["qtyReserved"] for line in told["order"]["lines"]] == ["4.0000", "2.0000"]
    assert told["order"]["reservationStatus"] == "PARTIAL"
    [shortage] = told["shortages"]
    assert (shortage["requested"], shortage["available"]) == ("4.0000", "2.0000")


async def test_many_orders_at_once_never_get_more_than_there_is(own_gateway: Gateway) -> None:
    """Forty orders for five products in different orders of lines: all is promised, once."""
    owner = own_gateway.owner
    orders = [
        row[0]
        for row in await owner.fetch(
            """select o.id from sales_order o where o.company_id = 1 and o.warehouse_id = 1
               order by (select count(*) from sales_order_line l where l.order_id = o.id) desc,
                        o.id limit 40"""
        )
    ]
    products = [
        row[0]
        for row in await owner.fetch(
            "select product_id from stock_level s join product p on p.id = s.product_id"
            " where warehouse_id = 1 and p.archived_at is null order by s.id limit 5"
        )
    ]
    await owner.execute("set session_replication_role = replica")
    await owner.execute("delete from stock_reservation where source = 'SALES_ORDER_LINE'")
    await owner.execute("update stock_level set on_hand = 30, reserved = 0")
    await owner.execute(
        """update sales_order_line set reserved = 0, returned = 0, shipped = 0, invoiced = 0,
           canceled = 0,
           quantity = 3, product_id = ($2::bigint[])[1 + (position * 7 + order_id) % 5]
           where order_id = any($1)""",
        orders,
        products,
    )
    await owner.execute(
        """update sales_order set state = 'CONFIRMED', hold = null, reservation_status = 'NONE',
           shipment_status = 'NONE' where id = any($1)""",
        orders,
    )
    await owner.execute("set session_replication_role = origin")
    answers = await asyncio.gather(
        *(reserve(own_gateway, id_, key=f"o{id_}") for id_ in (*orders, *orders[:10]))
    )
    assert all(answer["userErrors"] == [] for answer in answers)
    assert {json_of(answers[n]) for n in range(10)} == {json_of(a) for a in answers[40:]}
    levels = await owner.fetch(
        "select product_id, on_hand, reserved from stock_level"
        " where warehouse_id = 1 and product_id = any($1)",
        products,
    )
    wanted = Counter[int]()
    for row in await owner.fetch(
        "select product_id, sum(quantity) as q, sum(reserved) as r from sales_order_line"
        " where order_id = any($1) group by 1",
        orders,
    ):
        wanted[row["product_id"]] = row["q"]
    assert {row["reserved"] for row in levels} == {Decimal(30)}, "all that there is, and no more"
    assert all(wanted[row["product_id"]] > 30 for row in levels)
    [(lines, reservations)] = await owner.fetch(
        """select (select sum(reserved) from sales_order_line where order_id = any($1)),
                  (select sum(quantity) from stock_reservation where state = 'ACTIVE')""",
        orders,
    )
    assert lines == reservations == 150


def json_of(payload: Any) -> str:
    """Return what tells payloads apart."""
    return str(payload)


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("hold is not null and state = 'CONFIRMED'", "INVALID_TRANSITION"),
        ("state = 'CANCELED'", "INVALID_TRANSITION"),
        ("state = 'FULFILLED'", "INVALID_TRANSITION"),
        ("company_id = 2", "NOT_FOUND"),
    ],
)
async def test_what_is_not_to_be_reserved(own_gateway: Gateway, condition: str, code: str) -> None:
    """A hold, a state, another company: refused, and nothing is promised."""
    company = "" if "company" in condition else "company_id = 1 and "
    order_id = await own_gateway.owner.fetchval(
        f"select id from sales_order where {company}{condition} order by id limit 1"
    )
    told = await reserve(own_gateway, order_id)
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == (code, ["id"])
    assert (told["order"] is None) == (code == "NOT_FOUND")


async def test_stale_versions_and_missing_permission(own_gateway: Gateway) -> None:
    """Whoever saw an older order is shown the present one; without permission nothing happens."""
    order_id = await waiting(own_gateway)
    told = await reserve(own_gateway, order_id, version=999)
    assert told["userErrors"][0]["code"] == "CONFLICT_VERSION"
    assert told["order"]["version"] != 999
    answer = await own_gateway.run(
        RESERVE,
        {"key": "k", "id": encode_id("SalesOrder", order_id), "all": False, "dry": False},
        caller=principal(permissions=EVERY_PERMISSION - {"sales.write"}),
    )
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]


async def two_alike(gateway: Gateway) -> list[int]:
    """Make two confirmed orders of the same lines, and enough stock for both."""
    like = await waiting(gateway)
    made = await gateway.owner.fetch(
        """with made as (
             insert into sales_order (company_id, number, state, partner_id, warehouse_id, currency,
                                      placed_on, confirmed_at)
             select company_id, number || '-' || n, 'CONFIRMED', partner_id, warehouse_id, currency,
                    placed_on, confirmed_at
             from sales_order cross join generate_series(1, 2) n where id = $1
             returning id, company_id, partner_id, placed_on, warehouse_id)
           insert into sales_order_line (company_id, partner_id, order_id, position, product_id,
             description, uom_id, currency, quantity, unit_price, net, placed_on, warehouse_id)
           select m.company_id, m.partner_id, m.id, l.position, l.product_id, l.description,
                  l.uom_id, l.currency, 3, 0, 0, m.placed_on, m.warehouse_id
           from made m join sales_order_line l on l.order_id = $1
           join product p on p.id = l.product_id where p.kind = 'GOODS' order by m.id, l.position
           returning order_id""",
        like,
    )
    first, second = sorted({row["order_id"] for row in made})
    await stock_up(gateway, first, "50")
    return [first, second]


async def left_behind(gateway: Gateway, order_id: int, key: str, since: int) -> Any:
    """Return all that reserving an order left, without the ids that are of one order alone.

    Of the events those after the place ``since`` in the outbox.
    """
    owner = gateway.owner
    lines = {
        row["id"]: row["position"]
        for row in await owner.fetch(
            "select id, position from sales_order_line where order_id = $1", order_id
        )
    }
    [audit] = await owner.fetch(
        "select actor, request_id, operation, entity, action, diff::text, version from audit_log"
        " where entity = 'SalesOrder' and entity_id = $1 and operation = 'reserveOrder'",
        order_id,
    )
    trail = {**audit, "diff": orjson.loads(audit["diff"])}
    trail["diff"]["reserved"] = {lines[int(k)]: v for k, v in trail["diff"]["reserved"].items()}
    key_row = await owner.fetchrow(
        "select actor, operation, response::text from idempotency_key where key = $1", key
    )
    assert key_row is not None
    response = orjson.loads(key_row["response"])
    assert response.pop("id") == order_id
    row = await owner.fetchrow(
        "select state, hold, reservation_status, shipment_status, version from sales_order"
        " where id = $1",
        order_id,
    )
    reserved = await owner.fetch(
        """select l.position, l.reserved, r.quantity, r.state, r.consumed, r.expires_at
           from sales_order_line l join stock_reservation r
             on r.source = 'SALES_ORDER_LINE' and r.source_id = l.id
           where l.order_id = $1 order by 1""",
        order_id,
    )
    events = await owner.fetch(
        """select topic, entity, payload - array['order_id', 'version', 'document', 'reserved',
                                                 'previous_reserved'] as payload
           from outbox_event where written_seq > $1 order by topic, payload ->> 'product_id'""",
        since,
    )
    assert events
    return trail, (key_row["actor"], key_row["operation"], response), row, reserved, events


async def test_at_once_is_as_in_the_frame(
    own_gateway: Gateway, own_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is usually done in one call leaves the same answer, trail, events, key and rows."""
    left, statements = [], 0
    for order_id in await two_alike(own_gateway):
        since = await own_gateway.owner.fetchval("select max(written_seq) from outbox_event")
        told = await reserve(own_gateway, order_id, key=str(order_id))
        assert told["userErrors"] == []
        del told["order"]["number"]
        statements = own_gateway.statements
        left.append((told, await left_behind(own_gateway, order_id, str(order_id), since)))
        monkeypatch.setattr(commands, "_reserving_at_once", lambda _asked: None)
    assert left[0] == left[1]
    assert statements == 10, "one call instead of eight statements, and two that read"
    await sound(own_database_url)


@pytest.mark.parametrize("quicker", ["stock", "order", "key"])
async def test_who_was_not_quick_enough_is_told_by_the_frame(
    own_gateway: Gateway, quicker: str
) -> None:
    """What was there at a look, and is not once it is locked: nothing is done by halves."""
    owner = own_gateway.owner
    order_id, _ = await two_alike(own_gateway)
    taken = {
        "stock": "update stock_level s set on_hand = s.reserved from sales_order_line l where"
        " l.order_id = $1 and (l.product_id, l.warehouse_id) = (s.product_id, s.warehouse_id)",
        "order": "update sales_order set hold = 'MANUAL', version = version + 1 where id = $1",
        "key": "insert into idempotency_key (company_id, actor, key, operation, request_hash)"
        f" select company_id, '{principal().actor}', 'k', 'x', '\\x00' from sales_order"
        " where id = $1",
    }[quicker]
    await owner.execute("set session_replication_role = replica")
    async with owner.transaction():
        await owner.execute(taken, order_id)
        asked = asyncio.create_task(reserve(own_gateway, order_id))
        await own_gateway.until_a_lock_is_awaited()
    told = await asked
    assert [error["code"] for error in told["userErrors"]] == {
        "stock": [],
        "order": ["INVALID_TRANSITION"],
        "key": ["IDEMPOTENCY_MISMATCH"],
    }[quicker]
    assert bool(told["shortages"]) == (quicker == "stock")
    assert own_gateway.reports[-1].stats.retries == 0

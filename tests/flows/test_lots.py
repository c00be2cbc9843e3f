"""Stock of products that are tracked by lots or serial numbers, corrected and found again."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from gateway.verify import verify
from schema.core.ids import encode_id
from tests.fixtures.gateway import Gateway

ADJUST = """
mutation Adjust($key: String!, $lines: [StockAdjustmentInput!]!) {
  adjustStock(idempotencyKey: $key, lines: $lines) {
    moves { qty lot { number receivedOn product { sku } } fromLocation { kind } }
    levels { onHand balances { onHand lot { number } location { code } } }
    userErrors { code message path }
  }
}
"""


async def tracked(gateway: Gateway, tracking: str) -> dict[str, Any]:
    """Return a lot of a tracked product at a sellable place, with more in stock than promised."""
    row = await gateway.owner.fetchrow(
        """select p.sku, w.code, l.id as lot_id, l.number, b.location_id, b.on_hand,
                  s.on_hand as level, s.id as level_id, (select min(o.id) from stock_location o
                    where o.warehouse_id = w.warehouse_id and o.id <> b.location_id) as other
           from stock_balance b join lot l on l.id = b.lot_id
           join product p on p.id = b.product_id and p.archived_at is null and p.tracking = $1
           join stock_location w on w.id = b.location_id and w.sellable and w.kind = 'INTERNAL'
           join stock_level s on s.product_id = p.id and s.warehouse_id = w.warehouse_id
           where b.company_id = 1 and b.on_hand > 0 and s.on_hand - s.reserved >= 1
           order by b.id limit 1""",
        tracking,
    )
    assert row is not None
    return dict(row)


def a_line(place: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return an input line for a place."""
    return {
        "sku": place["sku"],
        "locationId": encode_id("StockLocation", place["location_id"]),
        "reason": "Counted",
        "lotNumber": place["number"],
        **changes,
    }


async def adjust(gateway: Gateway, *lines: dict[str, Any], key: str = "k") -> Any:
    """Run adjustStock and return its payload."""
    return (await gateway.data(ADJUST, {"key": key, "lines": list(lines)}))["adjustStock"]


@pytest.mark.parametrize("tracking", ["LOT", "SERIAL"])
async def test_a_lot_is_taken_away_and_found_again(
    own_gateway: Gateway, own_database_url: str, tracking: str
) -> None:
    """The moves name the lot, the balances are those of the lot, and the books stay sound."""
    place = await tracked(own_gateway, tracking)
    gone = await adjust(own_gateway, a_line(place, countedQty="0"), key="gone")
    assert gone["userErrors"] == []
    [move] = gone["moves"]
    assert move["lot"]["number"] == place["number"]
    assert Decimal(move["qty"]) == place["on_hand"]
    [level] = gone["levels"]
    assert Decimal(level["onHand"]) == place["level"] - place["on_hand"]
    left = {(one["lot"]["number"], one["location"]["code"]) for one in level["balances"]}
    assert (place["number"], place["code"]) not in left
    back = await adjust(own_gateway, a_line(place, delta=str(place["on_hand"])), key="back")
    assert Decimal(back["levels"][0]["onHand"]) == place["level"]
    assert all(result.holds for result in await verify(own_database_url))


async def test_new_goods_make_a_new_lot(own_gateway: Gateway) -> None:
    """A number nobody knows is a lot from then on; of goods that go it must be known."""
    place = await tracked(own_gateway, "LOT")
    new = a_line(place, lotNumber=" B-77 ", delta="5")
    told = await adjust(own_gateway, new, key="new")
    assert told["moves"][0]["lot"]["number"] == "B-77"
    assert told["moves"][0]["lot"]["product"]["sku"] == place["sku"]
    again = await adjust(own_gateway, new, key="new")
    assert again == told
    unknown = await adjust(own_gateway, a_line(place, lotNumber="B-78", delta="-1"), key="no")
    [error] = unknown["userErrors"]
    assert (error["code"], error["path"]) == ("NOT_FOUND", ["lines", "0", "lotNumber"])


async def test_many_find_the_same_new_lot(own_gateway: Gateway, own_database_url: str) -> None:
    """Of several who add to a new lot at once one makes it, and nothing is lost."""
    place = await tracked(own_gateway, "LOT")
    line = a_line(place, lotNumber="NEW-1", delta="1")
    answers = await asyncio.gather(*(adjust(own_gateway, line, key=f"k{n}") for n in range(8)))
    assert all(answer["userErrors"] == [] for answer in answers)
    [(lots, on_hand)] = await own_gateway.owner.fetch(
        "select count(distinct l.id), sum(b.on_hand) from lot l"
        " join stock_balance b on b.lot_id = l.id and b.location_id = $1 where l.number = 'NEW-1'",
        place["location_id"],
    )
    assert (lots, on_hand) == (1, 8)
    assert all(result.holds for result in await verify(own_database_url))


async def test_a_serial_number_is_at_one_place(own_gateway: Gateway) -> None:
    """It cannot be found at a second place, nor be two of the same."""
    place = await tracked(own_gateway, "SERIAL")
    other = {**place, "location_id": place["other"]}
    for line, path in (
        (a_line(other, delta="1"), ["lines", "0", "lotNumber"]),
        (a_line(place, delta="1"), ["lines", "0"]),
        (a_line(place, lotNumber="SN-NEW", delta="2"), ["lines", "0"]),
    ):
        told = await adjust(own_gateway, line)
        [error] = told["userErrors"]
        assert (error["code"], error["path"]) == ("VALIDATION", path)
    moved = await adjust(own_gateway, a_line(place, delta="-1"), key="from")
    assert moved["userErrors"] == []
    moved = await adjust(own_gateway, a_line(other, delta="1"), key="to")
    assert moved["userErrors"] == []


async def test_a_lot_is_named_where_there_are_lots(own_gateway: Gateway) -> None:
    """Tracked products need a lot, others have none, and a number is a short text."""
    place = await tracked(own_gateway, "LOT")
    plain = await own_gateway.owner.fetchval(
        "select sku from product where tracking = 'NONE' and kind = 'GOODS'"
        " and archived_at is null order by id limit 1"
    )
    for changes in (
        {"lotNumber": None},
        {"sku": plain},
        {"lotNumber": " "},
        {"lotNumber": "x" * 101},
    ):
        told = await adjust(own_gateway, a_line(place, delta="1", **changes))
        [error] = told["userErrors"]
        assert (error["code"], error["path"]) == ("VALIDATION", ["lines", "0", "lotNumber"])
    assert await own_gateway.owner.fetchval("select count(*) from lot where number = 'x'") == 0

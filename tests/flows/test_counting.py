"""Places are counted while work goes on: stale lines are refused, the rest corrects stock."""

import asyncio
from typing import Any

import pytest

from gateway.verify import verify
from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, principal
from tests.fixtures.paths import BothPaths

COUNT = """
  count { id number state version availableActions note
          lines { id seq expectedQty countedQty difference countedBy product { sku }
                  location { id code } lot { number } } }
  userErrors { code message path details }
"""
START = f"""
mutation Start($key: String!, $warehouse: ID!, $skus: [String!], $places: [ID!], $note: String,
               $dry: Boolean! = false) {{
  startStockCount(idempotencyKey: $key, warehouseId: $warehouse, skus: $skus,
                  locationIds: $places, note: $note, dryRun: $dry) {{ {COUNT} }}
}}
"""
RECORD = f"""
mutation Record($key: String!, $id: ID!, $lines: [CountedLineInput!]!, $version: Int) {{
  recordStockCount(idempotencyKey: $key, id: $id, lines: $lines, expectedVersion: $version) {{
    {COUNT} }}
}}
"""
POST = f"""
mutation Post($key: String!, $id: ID!, $dry: Boolean! = false) {{
  postStockCount(idempotencyKey: $key, id: $id, dryRun: $dry) {{
    moves {{ qty kind reason fromLocation {{ kind }} toLocation {{ kind }} }}
    levels {{ onHand }} {COUNT} }}
}}
"""
ADJUST = """
mutation Adjust($key: String!, $lines: [StockAdjustmentInput!]!) {
  adjustStock(idempotencyKey: $key, lines: $lines) { userErrors { code } }
}
"""


async def start(gateway: Gateway, key: str = "s", **more: Any) -> Any:
    """Run startStockCount in the first warehouse and return its payload."""
    variables = {"key": key, "warehouse": encode_id("Warehouse", 1), **more}
    return (await gateway.data(START, variables))["startStockCount"]


async def record(gateway: Gateway, id_: str, lines: Any, key: str = "r", **more: Any) -> Any:
    """Run recordStockCount and return its payload."""
    variables = {"key": key, "id": id_, "lines": lines, **more}
    return (await gateway.data(RECORD, variables))["recordStockCount"]


async def post(gateway: Gateway, id_: str, key: str = "p", **more: Any) -> Any:
    """Run postStockCount and return its payload."""
    return (await gateway.data(POST, {"key": key, "id": id_, **more}))["postStockCount"]


def found(line: Any, quantity: object, **more: Any) -> dict[str, Any]:
    """Return what was found of a line."""
    return {"lineId": line["id"], "countedQty": str(quantity), **more}


async def sound(url: str) -> None:
    """Check every invariant."""
    broken = [result for result in await verify(url) if not result.holds]
    assert not broken


async def skus(gateway: Gateway, count: int, condition: str = "p.tracking = 'NONE'") -> list[str]:
    """Return products that lie at one place of the first warehouse, most of them free."""
    rows = await gateway.owner.fetch(
        f"""select p.sku from stock_level l join product p on p.id = l.product_id
            where l.warehouse_id = 1 and p.archived_at is null and l.on_hand - l.reserved >= 5
              and {condition} and 1 = (select count(*) from stock_balance b
                join stock_location x on x.id = b.location_id
                where b.product_id = p.id and x.warehouse_id = 1 and b.on_hand <> 0)
            order by l.id limit {count}"""
    )
    return [row["sku"] for row in rows]


async def test_what_was_found_corrects_stock(own_reader: BothPaths, own_database_url: str) -> None:
    """Differences become moves from and to the loss location; what was not counted stays."""
    gateway = own_reader.compiled
    wanted = await skus(gateway, 4)
    told = await start(own_reader.ordinary, skus=wanted, dry=True)
    begun = await start(gateway, skus=wanted, note="  Monday ")
    assert begun["userErrors"] == told["userErrors"] == []
    assert [line["expectedQty"] for line in begun["count"]["lines"]] == [
        line["expectedQty"] for line in told["count"]["lines"]
    ]
    assert (begun["count"]["state"], begun["count"]["note"]) == ("COUNTING", "Monday")
    more, less, same, _ = begun["count"]["lines"]
    lines = [
        found(more, float(more["expectedQty"]) + 2),
        found(less, float(less["expectedQty"]) - 1),
        found(same, same["expectedQty"]),
    ]
    recorded = await record(gateway, begun["count"]["id"], lines, version=1)
    assert recorded["userErrors"] == []
    assert [line["difference"] for line in recorded["count"]["lines"]] == [
        "2.0000",
        "-1.0000",
        "0.0000",
        None,
    ]
    rehearsed = await post(own_reader.ordinary, begun["count"]["id"], dry=True)
    posted = await post(gateway, begun["count"]["id"])
    assert posted == rehearsed, "the rehearsal told what happened"
    assert posted["userErrors"] == []
    assert posted["count"]["state"] == "POSTED"
    assert [(move["qty"], move["fromLocation"]["kind"]) for move in posted["moves"]] == [
        ("2.0000", "LOSS"),
        ("1.0000", "INTERNAL"),
    ]
    assert {move["reason"] for move in posted["moves"]} == {f"Count {posted['count']['number']}"}
    assert await post(gateway, begun["count"]["id"]) == posted, "the same key: once"
    again = await post(gateway, begun["count"]["id"], key="again")
    assert [error["code"] for error in again["userErrors"]] == ["INVALID_TRANSITION"]
    await sound(own_database_url)


async def test_lines_whose_goods_moved_are_refused(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """Also where they moved there and back; counted again they are compared with what is there."""
    begun = await start(own_gateway, skus=await skus(own_gateway, 2))
    first, second = begun["count"]["lines"]
    lines = [found(first, first["expectedQty"]), found(second, second["expectedQty"])]
    await record(own_gateway, begun["count"]["id"], lines)
    for delta in ("1", "-1"):
        moved = {
            "sku": second["product"]["sku"],
            "locationId": second["location"]["id"],
            "delta": delta,
            "reason": "There and back",
        }
        done = await own_gateway.data(ADJUST, {"key": f"a{delta}", "lines": [moved]})
        assert done["adjustStock"]["userErrors"] == []
    refused = await post(own_gateway, begun["count"]["id"])
    [error] = refused["userErrors"]
    assert (error["code"], error["path"]) == ("CONFLICT_VERSION", ["lines", "1"])
    assert (refused["moves"], refused["count"]["state"]) == ([], "COUNTING")
    await record(
        own_gateway, begun["count"]["id"], [found(second, second["expectedQty"], again=True)], "c"
    )
    posted = await post(own_gateway, begun["count"]["id"], key="b")
    assert posted["userErrors"] == []
    assert posted["moves"] == []
    await sound(own_database_url)


async def test_promises_are_kept(own_gateway: Gateway, own_database_url: str) -> None:
    """Less than is promised to orders cannot be posted; nothing is, then."""
    product = await skus(own_gateway, 1, "p.tracking = 'NONE' and l.reserved >= 1")
    begun = await start(own_gateway, skus=product)
    [line] = begun["count"]["lines"]
    await record(own_gateway, begun["count"]["id"], [found(line, 0)])
    refused = await post(own_gateway, begun["count"]["id"])
    [error] = refused["userErrors"]
    assert (error["code"], error["path"]) == ("INSUFFICIENT_STOCK", ["lines", "0"])
    await sound(own_database_url)


async def test_lots_are_counted_apart(own_gateway: Gateway, own_database_url: str) -> None:
    """Each lot is a line; one that is not there any more is counted as 0."""
    sku = await own_gateway.owner.fetchval(
        """select p.sku from stock_balance b join product p on p.id = b.product_id
           join stock_location x on x.id = b.location_id
           join stock_level l on l.product_id = p.id and l.warehouse_id = 1
           where x.warehouse_id = 1 and p.tracking = 'LOT' and b.on_hand > 0 and x.sellable
             and p.archived_at is null
           group by p.sku, l.on_hand, l.reserved
           having count(*) > 1 and l.on_hand - l.reserved >= min(b.on_hand) order by 1 limit 1"""
    )
    begun = await start(own_gateway, skus=[sku])
    lines = begun["count"]["lines"]
    assert len({line["lot"]["number"] for line in lines}) > 1
    smallest = min(lines, key=lambda line: float(line["expectedQty"]))
    await record(own_gateway, begun["count"]["id"], [found(smallest, 0)])
    posted = await post(own_gateway, begun["count"]["id"])
    assert posted["userErrors"] == []
    assert [move["qty"] for move in posted["moves"]] == [smallest["expectedQty"]]
    await sound(own_database_url)


async def test_a_count_is_posted_once(own_gateway: Gateway, own_database_url: str) -> None:
    """Ten that post the same count while its goods are adjusted: each is told, stock adds up."""
    begun = await start(own_gateway, skus=await skus(own_gateway, 3))
    id_ = begun["count"]["id"]
    lines = begun["count"]["lines"]
    await record(own_gateway, id_, [found(line, float(line["expectedQty"]) + 1) for line in lines])
    answers = await asyncio.gather(*(post(own_gateway, id_, key=f"k{n}") for n in range(10)))
    codes = [[error["code"] for error in answer["userErrors"]] for answer in answers]
    assert codes.count([]) == 1
    assert {code for told in codes for code in told} == {"INVALID_TRANSITION"}
    await sound(own_database_url)


@pytest.mark.parametrize(
    ("more", "code", "path"),
    [
        ({"warehouse": encode_id("Warehouse", 3)}, "NOT_FOUND", ["warehouseId"]),
        ({"skus": ["NONE"]}, "NOT_FOUND", ["skus", "0"]),
        ({"skus": []}, "VALIDATION", []),
        ({"places": [encode_id("StockLocation", 2**40)]}, "NOT_FOUND", ["locationIds", "0"]),
        ({"note": " "}, "VALIDATION", ["note"]),
    ],
)
async def test_what_cannot_be_counted(
    gateway: Gateway, more: dict[str, Any], code: str, path: list[str]
) -> None:
    """Each mistake is named; another company's warehouse is not there."""
    told = await start(gateway, **more)
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == (code, path)


async def test_what_cannot_have_been_found(own_gateway: Gateway) -> None:
    """Lines of other counts, negative quantities, one line twice."""
    begun = await start(own_gateway, skus=await skus(own_gateway, 1))
    [line] = begun["count"]["lines"]
    other = encode_id("StockCountLine", 1)
    for number, (lines, path) in enumerate(
        [
            ([{"lineId": other, "countedQty": "1"}], ["lines", "0", "lineId"]),
            ([found(line, "-1")], ["lines", "0", "countedQty"]),
            ([found(line, 1), found(line, 2)], ["lines"]),
            ([], ["lines"]),
        ]
    ):
        told = await record(own_gateway, begun["count"]["id"], lines, f"k{number}")
        assert [error["path"] for error in told["userErrors"]] == [path]
    empty = await post(own_gateway, begun["count"]["id"])
    assert [error["message"] for error in empty["userErrors"]] == ["Nothing was counted yet."]


async def test_permissions(gateway: Gateway) -> None:
    """Counting and posting take permissions of their own."""
    variables = {"key": "k", "id": encode_id("StockCount", 1)}
    caller = principal(permissions=EVERY_PERMISSION - {"stock.adjust"})
    answer = await gateway.run(POST, variables, caller=caller)
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]
    caller = principal(permissions=EVERY_PERMISSION - {"stock.count"})
    variables = {"key": "k", "warehouse": encode_id("Warehouse", 1)}
    answer = await gateway.run(START, variables, caller=caller)
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]

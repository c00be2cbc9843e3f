"""Goods between warehouses: sent, received in part, sent back; in transit they are incoming."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from gateway.verify import verify
from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, principal
from tests.fixtures.paths import BothPaths

TRANSFER = """
  transfer { id number state version availableActions fromWarehouse { code } toWarehouse { code }
             lines { id qty qtyReceived qtyReturned qtyInTransit lot { number } } }
  moves { qty kind lot { number } fromLocation { kind } toLocation { kind sellable } }
  userErrors { code message path details }
"""
SEND = f"""
mutation Send($key: String!, $from: ID!, $to: ID!, $lines: [TransferLineInput!]!, $on: Date,
              $dry: Boolean! = false) {{
  transferStock(idempotencyKey: $key, fromWarehouseId: $from, toWarehouseId: $to, lines: $lines,
                expectedOn: $on, dryRun: $dry) {{ {TRANSFER} }}
}}
"""
RECEIVE = f"""
mutation Receive($key: String!, $id: ID!, $lines: [TransferReceiptInput!], $version: Int) {{
  receiveTransfer(idempotencyKey: $key, id: $id, lines: $lines, expectedVersion: $version) {{
    {TRANSFER} reservedOrders {{ number }} }}
}}
"""
CANCEL = f"""
mutation Cancel($key: String!, $id: ID!) {{
  cancelTransfer(idempotencyKey: $key, id: $id) {{ {TRANSFER} }}
}}
"""
STATE = """select coalesce(l.on_hand, 0) as on_hand, coalesce(p.incoming, 0) as incoming
           from (select $1::bigint as product_id, $2::int as warehouse_id) x
           left join stock_level l using (product_id, warehouse_id)
           left join stock_projection p using (product_id, warehouse_id)"""


async def send(gateway: Gateway, lines: Any, key: str = "s", **more: Any) -> Any:
    """Run transferStock from the first warehouse to the second and return its payload."""
    variables = {
        "key": key,
        "from": encode_id("Warehouse", 1),
        "to": encode_id("Warehouse", 2),
        "lines": lines,
        **more,
    }
    return (await gateway.data(SEND, variables))["transferStock"]


async def receive(
    gateway: Gateway, id_: str, lines: Any = None, key: str = "r", **more: Any
) -> Any:
    """Run receiveTransfer and return its payload."""
    variables = {"key": key, "id": id_, "lines": lines, **more}
    return (await gateway.data(RECEIVE, variables))["receiveTransfer"]


async def free_stock(gateway: Gateway, condition: str = "p.tracking = 'NONE'") -> Any:
    """Return a product of which there is plenty in the first warehouse."""
    found = await gateway.owner.fetchrow(
        f"""select l.product_id, p.sku, l.on_hand, l.reserved, l.on_hand - l.reserved as free
            from stock_level l join product p on p.id = l.product_id
            where l.warehouse_id = 1 and p.archived_at is null and l.reserved > 0 and {condition}
            order by l.on_hand - l.reserved desc limit 1"""
    )
    assert found is not None
    return found


async def sound(url: str) -> None:
    """Check every invariant."""
    broken = [result for result in await verify(url) if not result.holds]
    assert not broken


async def test_what_is_sent_is_incoming_until_it_comes(
    own_reader: BothPaths, own_database_url: str
) -> None:
    """It leaves the one warehouse at once and is in the other when it was received."""
    gateway = own_reader.compiled
    product: Any = await free_stock(gateway)
    here = (product["product_id"], 1)
    there = (product["product_id"], 2)
    before: Any = (
        await gateway.owner.fetchrow(STATE, *here),
        await gateway.owner.fetchrow(STATE, *there),
    )
    lines = [{"sku": product["sku"], "qty": "3"}]
    told = await send(own_reader.ordinary, lines, dry=True)
    sent = await send(gateway, lines)
    for one in (told, sent):
        assert one["userErrors"] == []
        assert one["transfer"]["state"] == "IN_TRANSIT"
        assert one["moves"] == [
            {
                "qty": "3.0000",
                "kind": "TRANSFER",
                "lot": None,
                "fromLocation": {"kind": "INTERNAL"},
                "toLocation": {"kind": "TRANSIT", "sellable": False},
            }
        ]
    after: Any = (
        await gateway.owner.fetchrow(STATE, *here),
        await gateway.owner.fetchrow(STATE, *there),
    )
    assert before[0]["on_hand"] - after[0]["on_hand"] == 3
    assert after[1]["incoming"] - before[1]["incoming"] == 3
    assert await send(gateway, lines) == sent, "the same key: once"
    [line] = sent["transfer"]["lines"]
    part = [{"transferLineId": line["id"], "qty": "1.25"}]
    came = await receive(gateway, sent["transfer"]["id"], part, version=1)
    assert came["userErrors"] == []
    assert came["transfer"]["state"] == "IN_TRANSIT"
    assert came["transfer"]["lines"][0]["qtyInTransit"] == "1.7500"
    stale = await receive(gateway, sent["transfer"]["id"], key="stale", version=1)
    [error] = stale["userErrors"]
    assert error["code"] == "CONFLICT_VERSION"
    assert stale["transfer"]["version"] == 2
    rest = await receive(gateway, sent["transfer"]["id"], key="rest")
    assert (rest["transfer"]["state"], rest["transfer"]["availableActions"]) == ("RECEIVED", [])
    end: Any = await gateway.owner.fetchrow(STATE, *there)
    assert end["on_hand"] - before[1]["on_hand"] == 3
    assert end["incoming"] == before[1]["incoming"]
    again = await receive(gateway, sent["transfer"]["id"], key="again")
    assert [error["code"] for error in again["userErrors"]] == ["INVALID_TRANSITION"]
    await sound(own_database_url)


async def test_what_is_promised_stays(own_gateway: Gateway, own_database_url: str) -> None:
    """Only what is free can go: not one ten-thousandth more, in one line or in two."""
    product: Any = await free_stock(own_gateway)
    for lines in (
        [{"sku": product["sku"], "qty": str(product["free"] + Decimal("0.0001"))}],
        [{"sku": product["sku"], "qty": str(product["free"])}, {"sku": product["sku"], "qty": "1"}],
    ):
        refused = await send(own_gateway, lines, key=f"{len(lines)}")
        [error] = refused["userErrors"]
        assert error["code"] == "INSUFFICIENT_STOCK"
        assert error["path"] == ["lines", str(len(lines) - 1), "qty"]
        assert (refused["transfer"], refused["moves"]) == (None, [])
    told = await send(own_gateway, [{"sku": product["sku"], "qty": str(product["free"])}])
    assert told["userErrors"] == []
    await sound(own_database_url)


async def test_lots_travel(own_gateway: Gateway, own_database_url: str) -> None:
    """What expires first goes, or the lot that is named; each is a line of its own."""
    lot: Any = await own_gateway.owner.fetchrow(
        """select p.sku, t.number, sum(b.on_hand) as there
           from stock_balance b join lot t on t.id = b.lot_id join product p on p.id = b.product_id
           join stock_location x on x.id = b.location_id
           join stock_level l on l.product_id = p.id and l.warehouse_id = x.warehouse_id
           where x.warehouse_id = 1 and x.sellable and p.tracking = 'LOT' and b.on_hand >= 2
             and l.on_hand - l.reserved >= 2 and p.archived_at is null
           group by 1, 2 order by 3 desc limit 1"""
    )
    told = await send(
        own_gateway,
        [
            {"sku": lot["sku"], "qty": "1", "lotNumber": lot["number"]},
            {"sku": lot["sku"], "qty": "1"},
        ],
    )
    assert told["userErrors"] == []
    numbers = [line["lot"]["number"] for line in told["transfer"]["lines"]]
    assert lot["number"] in numbers
    assert len(set(numbers)) == len(numbers)
    refused = await send(
        own_gateway, [{"sku": lot["sku"], "qty": "1", "lotNumber": "none"}], key="none"
    )
    assert refused["userErrors"][0]["path"] == ["lines", "0", "lotNumber"]
    back = (await own_gateway.data(CANCEL, {"key": "c", "id": told["transfer"]["id"]}))[
        "cancelTransfer"
    ]
    assert back["userErrors"] == []
    assert back["transfer"]["state"] == "CANCELED"
    assert {move["toLocation"]["kind"] for move in back["moves"]} == {"INTERNAL"}
    await sound(own_database_url)


async def test_who_waits_there_gets_what_comes(own_gateway: Gateway, own_database_url: str) -> None:
    """Goods that come are promised to orders that wait for them in that warehouse."""
    waited: Any = await own_gateway.owner.fetchrow(
        """select p.sku, p.id, h.warehouse_id as here, s.warehouse_id as there
           from sales_order_line w join sales_order s on s.id = w.order_id
           join product p on p.id = w.product_id
           join stock_level h on h.product_id = p.id and h.warehouse_id <> s.warehouse_id
             and h.company_id = 1
           where s.state = 'CONFIRMED' and s.hold is null and p.tracking = 'NONE'
             and w.quantity - w.shipped - w.canceled - w.reserved >= 1
             and h.on_hand - h.reserved >= 1 and s.company_id = 1 order by w.id limit 1"""
    )
    told = await send(
        own_gateway,
        [{"sku": waited["sku"], "qty": "1"}],
        **{
            "from": encode_id("Warehouse", waited["here"]),
            "to": encode_id("Warehouse", waited["there"]),
        },
    )
    came = await receive(own_gateway, told["transfer"]["id"])
    assert came["userErrors"] == []
    assert came["reservedOrders"]
    await sound(own_database_url)


@pytest.mark.parametrize(
    ("more", "code", "path"),
    [
        ({"to": encode_id("Warehouse", 1)}, "VALIDATION", ["toWarehouseId"]),
        ({"to": encode_id("Warehouse", 3)}, "NOT_FOUND", ["toWarehouseId"]),
        ({"from": encode_id("Warehouse", 2**40)}, "NOT_FOUND", ["fromWarehouseId"]),
        ({"on": "2020-01-01"}, "VALIDATION", ["expectedOn"]),
        ({"lines": []}, "VALIDATION", ["lines"]),
        ({"lines": [{"sku": "NONE", "qty": "1"}]}, "NOT_FOUND", ["lines", "0", "sku"]),
        ({"lines": [{"sku": "NONE", "qty": "0"}]}, "VALIDATION", ["lines", "0", "qty"]),
        ({"lines": [{"sku": "NONE", "qty": "-1"}]}, "VALIDATION", ["lines", "0", "qty"]),
        ({"lines": [{"sku": "NONE", "qty": "1" + "0" * 15}]}, "VALIDATION", ["lines", "0", "qty"]),
    ],
)
async def test_what_cannot_be_sent(
    gateway: Gateway, more: dict[str, Any], code: str, path: list[str]
) -> None:
    """Each mistake is named, and nothing leaves; another company's warehouse is not there."""
    told = await send(gateway, **{"lines": [{"sku": "HAM-00001", "qty": "1"}], **more})
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == (code, path)
    assert told["transfer"] is None


async def test_all_of_it_is_received_once(own_gateway: Gateway, own_database_url: str) -> None:
    """Ten that take in everything, and one that lets it go back: one of them does."""
    product: Any = await free_stock(own_gateway)
    sent = await send(own_gateway, [{"sku": product["sku"], "qty": "2"}])
    id_ = sent["transfer"]["id"]
    answers = await asyncio.gather(
        *(receive(own_gateway, id_, key=f"k{n}") for n in range(10)),
        own_gateway.data(CANCEL, {"key": "c", "id": id_}),
    )
    payloads = [answer.get("cancelTransfer", answer) for answer in answers]
    codes = [[error["code"] for error in payload["userErrors"]] for payload in payloads]
    assert codes.count([]) == 1
    assert {code for found in codes for code in found} == {"INVALID_TRANSITION"}
    await sound(own_database_url)


async def test_permissions(gateway: Gateway) -> None:
    """Carrying takes its own permission."""
    caller = principal(permissions=EVERY_PERMISSION - {"stock.transfer"})
    variables = {
        "key": "k",
        "from": encode_id("Warehouse", 1),
        "to": encode_id("Warehouse", 2),
        "lines": [],
    }
    answer = await gateway.run(SEND, variables, caller=caller)
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]

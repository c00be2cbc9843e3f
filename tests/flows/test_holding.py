"""Stock that is held for a cart: nobody else gets it until it is taken, let go of, or late."""

import asyncio
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from gateway.worker import Worker
from schema.core.ids import decode_id, encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, principal, settings_for
from tests.fixtures.paths import BothPaths
from tests.flows.test_sourcing import Shop, parts, sound

FIELDS = """
  hold {
    id state reference version partner { id }
    lines { seq qty product { sku } warehouse { code } }
  }
  userErrors { code message path details }
"""
HOLD = f"""
mutation Hold($key: String!, $lines: [StockHoldLineInput!]!, $minutes: Int! = 10, $ref: String,
              $partner: ID, $dry: Boolean! = false) {{
  holdStock(idempotencyKey: $key, lines: $lines, minutes: $minutes, reference: $ref,
            partnerId: $partner, dryRun: $dry) {{ {FIELDS} }}
}}
"""
RELEASE = f"""
mutation Release($key: String!, $id: ID!, $version: Int) {{
  releaseStock(idempotencyKey: $key, id: $id, expectedVersion: $version) {{ {FIELDS} }}
}}
"""
HOLDS = "{ stockHolds(filter: {states: [HELD]}) { totalCount nodes { reference partner { id } } } }"


def line(sku: str, quantity: str, warehouse: int = 1) -> dict[str, str]:
    """Return the input of a line."""
    return {"sku": sku, "qty": quantity, "warehouseId": encode_id("Warehouse", warehouse)}


async def hold(gateway: Gateway, *lines: Any, key: str = "hold", **more: Any) -> Any:
    """Run holdStock and return its payload."""
    return (await gateway.data(HOLD, {"key": key, "lines": list(lines), **more}))["holdStock"]


async def release(gateway: Gateway, id_: str, key: str = "release") -> Any:
    """Run releaseStock and return its payload."""
    return (await gateway.data(RELEASE, {"key": key, "id": id_}))["releaseStock"]


async def state_of(gateway: Gateway, id_: str) -> str:
    """Return the state of a hold."""
    data = await gateway.data("query($id: ID!) { stockHold(id: $id) { state } }", {"id": id_})
    return str(data["stockHold"]["state"])


async def free(gateway: Gateway, sku: str, warehouse: int = 1) -> int:
    """Return how much of a product is free."""
    found: Decimal = await gateway.owner.fetchval(
        "select on_hand - reserved from stock_level s join product p on p.id = s.product_id"
        " where p.sku = $1 and warehouse_id = $2",
        sku,
        warehouse,
    )
    return int(found)


async def be_late(gateway: Gateway) -> None:
    """Let the time of all holds be up."""
    await gateway.owner.execute(
        "update stock_hold set created_at = created_at - interval '1 day',"
        " expires_at = expires_at - interval '1 day' where state = 'HELD'"
    )
    await gateway.owner.execute(
        "update stock_reservation set expires_at = expires_at - interval '1 day'"
        " where source = 'CART' and state = 'ACTIVE'"
    )


async def test_what_is_held_is_kept(own_reader: BothPaths, own_database_url: str) -> None:
    """Others get what is left, until it is let go of."""
    gateway = own_reader.compiled
    shop = await Shop.open(gateway)
    sku = shop.skus[0]
    await shop.free(sku, 5, 7)
    asked = line(sku, "2"), line(sku, "3", 2), line(sku, "1")
    told = await hold(own_reader.ordinary, *asked, ref=" C-1 ", dry=True)
    assert await free(gateway, sku) == 5
    real = await hold(gateway, *asked, ref=" C-1 ")
    assert real["userErrors"] == []
    held = real["hold"]
    assert {**held, "id": ""} == {**told["hold"], "id": ""}
    assert (held["state"], held["reference"], held["version"]) == ("HELD", "C-1", 1)
    assert [(one["qty"], one["warehouse"]["code"]) for one in held["lines"]] == [
        ("2.0000", "BER"),
        ("3.0000", "MUC"),
        ("1.0000", "BER"),
    ]
    assert await hold(gateway, *asked, ref=" C-1 ") == real, "the same key: once"
    assert [await free(gateway, sku, n) for n in (1, 2)] == [2, 4]
    placed = await shop.place(4, warehouseId=encode_id("Warehouse", 1))
    assert [one["available"] for one in placed["shortages"]] == ["2.0000"]
    await sound(own_database_url)
    gone = await release(gateway, held["id"])
    assert (gone["hold"]["state"], gone["hold"]["version"]) == ("RELEASED", 2)
    assert [await free(gateway, sku, n) for n in (1, 2)] == [3, 7]
    [error] = (await release(gateway, held["id"], "again"))["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_TRANSITION", ["id"])
    await sound(own_database_url)


@pytest.mark.parametrize(
    ("more", "given", "code", "path"),
    [
        ({}, {"qty": "6"}, "INSUFFICIENT_STOCK", ["lines", "1", "qty"]),
        ({}, {"qty": "0"}, "VALIDATION", ["lines", "1", "qty"]),
        ({}, {"sku": "NONE"}, "NOT_FOUND", ["lines", "1", "sku"]),
        (
            {},
            {"warehouseId": encode_id("Warehouse", 3)},
            "NOT_FOUND",
            ["lines", "1", "warehouseId"],
        ),
        ({"partner": encode_id("Partner", 10**9)}, {}, "NOT_FOUND", ["partnerId"]),
        ({"minutes": 0}, {}, "VALIDATION", ["minutes"]),
        ({"minutes": 1441}, {}, "VALIDATION", ["minutes"]),
        ({"ref": " "}, {}, "VALIDATION", ["reference"]),
    ],
)
async def test_what_cannot_be_held(
    own_gateway: Gateway, more: Any, given: Any, code: str, path: list[str]
) -> None:
    """Each refusal names what is wrong, and nothing is held, of no line."""
    shop = await Shop.open(own_gateway)
    sku = shop.skus[0]
    await shop.free(sku, 5, 0)
    told = await hold(own_gateway, line(sku, "1"), {**line(sku, "1"), **given}, **more)
    assert told["hold"] is None
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == (code, path)
    assert await free(own_gateway, sku) == 5


@pytest.mark.parametrize("ordered", [3, 5, 8])
async def test_an_order_takes_over_what_is_held(
    own_gateway: Gateway, own_database_url: str, ordered: int
) -> None:
    """From where it is held, and nobody sees any of it free in between; the rest of it is free."""
    shop = await Shop.open(own_gateway)
    sku = shop.skus[0]
    await shop.free(sku, 2, 5)
    held = (await hold(own_gateway, line(sku, "5", 2)))["hold"]
    before = await own_gateway.owner.fetch("select id from outbox_event")
    placed = await shop.place(ordered, holdId=held["id"])
    assert placed["userErrors"] == []
    expected = {
        3: [("MUC", sku, 3, 3)],
        5: [("MUC", sku, 5, 5)],
        8: [("MUC", sku, 6, 5), ("BER", sku, 2, 2)],
    }
    assert parts(placed["order"]) == expected[ordered]
    assert await state_of(own_gateway, held["id"]) == "TAKEN"
    changes = await own_gateway.owner.fetch(
        """select (payload->>'reserved')::numeric - (payload->>'previous_reserved')::numeric as more
           from outbox_event where id <> all($1) and topic = 'stock.changed'""",
        [row["id"] for row in before],
    )
    assert [int(row["more"]) for row in changes] == {3: [-2], 5: [], 8: [2]}[ordered]
    again = await shop.place(1, key="again", holdId=held["id"])
    assert [error["code"] for error in again["userErrors"]] == ["INVALID_TRANSITION"]
    assert again["order"] is None
    await sound(own_database_url)


async def test_nobody_gets_in_between(own_gateway: Gateway, own_database_url: str) -> None:
    """However many want it when it is taken over."""
    shop = await Shop.open(own_gateway)
    sku = shop.skus[0]
    for turn in range(3):
        await shop.free(sku, 5, 0)
        held = (await hold(own_gateway, line(sku, "5"), key=f"hold {turn}"))["hold"]
        mine, *others = await asyncio.gather(
            shop.place(5, key=f"mine {turn}", holdId=held["id"]),
            *(shop.place(2, key=f"{turn} {n}") for n in range(10)),
        )
        assert parts(mine["order"]) == [("BER", sku, 5, 5)]
        assert all(one["order"]["reservationStatus"] == "NONE" for one in others)
    await sound(own_database_url)


async def test_a_hold_ends_once(own_gateway: Gateway, own_database_url: str) -> None:
    """Taken over, released and expired at once: one of them, and all adds up."""
    shop = await Shop.open(own_gateway)
    sku = shop.skus[0]
    worker = await asyncpg.connect(own_database_url)
    for turn in range(6):
        await shop.free(sku, 5, 0)
        held = (await hold(own_gateway, line(sku, "5"), key=f"hold {turn}"))["hold"]
        if turn % 2:
            await be_late(own_gateway)
        placed, released, _ = await asyncio.gather(
            shop.place(5, key=f"place {turn}", holdId=held["id"]),
            release(own_gateway, held["id"], f"release {turn}"),
            worker.fetchval("select expire_holds(10)"),
        )
        state = await state_of(own_gateway, held["id"])
        won = {
            "TAKEN": not placed["userErrors"],
            "RELEASED": not released["userErrors"],
        }
        assert won == {name: name == state for name in won}
        assert (state == "TAKEN") <= (turn % 2 == 0)
        await sound(own_database_url)
    await worker.close()


async def test_the_worker_ends_what_is_late(own_gateway: Gateway, own_database_url: str) -> None:
    """What is held is free again, the hold expired, and the trail tells."""
    shop = await Shop.open(own_gateway)
    sku = shop.skus[0]
    await shop.free(sku, 5, 0)
    late = (await hold(own_gateway, line(sku, "2"), line(sku, "1")))["hold"]
    await be_late(own_gateway)
    kept = (await hold(own_gateway, line(sku, "1"), key="kept", minutes=1440))["hold"]
    await Worker(settings_for(own_database_url)).run_until_idle()
    states = [await state_of(own_gateway, one["id"]) for one in (late, kept)]
    assert states == ["EXPIRED", "HELD"]
    assert await free(own_gateway, sku) == 4
    trail = await own_gateway.owner.fetchrow(
        "select actor, action, version from audit_log where entity = 'StockHold'"
        " and entity_id = $1 order by id desc limit 1",
        decode_id(late["id"], "StockHold", path=()),
    )
    assert tuple(trail or ()) == ("worker", "expire", 2)
    await sound(own_database_url)


async def test_who_needs_it_does_not_wait_for_the_worker(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """What is late is promised to the next who asks, and not to its holder anymore."""
    shop = await Shop.open(own_gateway)
    sku, other = shop.skus
    await shop.free(sku, 5, 0)
    await shop.free(other, 5, 0)
    held = (await hold(own_gateway, line(sku, "3"), line(other, "5")))["hold"]
    await be_late(own_gateway)
    refused = await shop.place(1, key="late", holdId=held["id"])
    [error] = refused["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_TRANSITION", ["input", "holdId"])
    placed = await shop.place(4, warehouseId=encode_id("Warehouse", 1))
    assert parts(placed["order"]) == [("BER", sku, 4, 4)]
    await sound(own_database_url)
    more = {"warehouseId": encode_id("Warehouse", 1), "fulfillmentPolicy": "ALL_OR_NOTHING"}
    whole = await shop.place(1, 5, key="whole", **more)
    assert whole["order"]["reservationStatus"] == "FULL"
    await own_gateway.owner.execute("select expire_holds(10)")
    assert await state_of(own_gateway, held["id"]) == "EXPIRED"
    await sound(own_database_url)


async def test_an_order_that_is_not_accepted_leaves_the_hold(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """Not confirmed, another's, over credit, or all or nothing without enough: it stays held."""
    shop = await Shop.open(own_gateway)
    sku = shop.skus[0]
    await shop.free(sku, 5, 0)
    mine = encode_id("Partner", shop.partner_id)
    held = (await hold(own_gateway, line(sku, "3"), partner=mine))["hold"]
    assert held["partner"] == {"id": mine}
    other = await own_gateway.owner.fetchval(
        """select p.id from partner p join partner_company t on t.partner_id = p.id
           where p.id <> $1 and p.is_customer and p.archived_at is null and t.company_id = 1
             and t.blocked_at is null order by p.id limit 1""",
        shop.partner_id,
    )
    for more, path, code in (
        ({"confirm": False}, "holdId", "VALIDATION"),
        ({"partnerId": encode_id("Partner", other)}, "holdId", "VALIDATION"),
        ({"holdId": encode_id("StockHold", 10**9)}, "holdId", "NOT_FOUND"),
        ({"fulfillmentPolicy": "ALL_OR_NOTHING"}, "holdId", "INSUFFICIENT_STOCK"),
    ):
        told = await shop.place(9, **{"holdId": held["id"], **more})
        [error] = told["userErrors"]
        assert (error["code"], error["path"]) == (code, ["input", path])
    await own_gateway.owner.execute("update partner_company set credit_limit = 0")
    told = await shop.place(2, holdId=held["id"])
    assert told["order"]["state"] == "PLACED"
    assert await state_of(own_gateway, held["id"]) == "HELD"
    assert await free(own_gateway, sku) == 2
    await sound(own_database_url)


async def test_who_sees_and_holds(own_gateway: Gateway) -> None:
    """A partner's client sees its own holds; holding takes its own permission."""
    shop = await Shop.open(own_gateway)
    sku = shop.skus[0]
    await shop.free(sku, 5, 0)
    mine = encode_id("Partner", shop.partner_id)
    await hold(own_gateway, line(sku, "1"), partner=mine, ref="mine")
    await hold(own_gateway, line(sku, "1"), key="none", ref="nobody's")
    everybody = (await own_gateway.data(HOLDS))["stockHolds"]
    assert everybody["totalCount"] == 2
    caller = principal(partner_id=shop.partner_id)
    own = (await own_gateway.data(HOLDS, caller=caller))["stockHolds"]
    assert own["nodes"] == [{"reference": "mine", "partner": {"id": mine}}]
    answer = await own_gateway.run(
        HOLD,
        {"key": "k", "lines": [line(sku, "1")]},
        caller=principal(permissions=EVERY_PERMISSION - {"stock.hold"}),
    )
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]

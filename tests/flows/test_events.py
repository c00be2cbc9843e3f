"""What tables write into the outbox by plain SQL: one event per row, if what is told changed."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import pytest_asyncio

from resolvers.inventory.rules import crossing

WRITTEN = """
delete from outbox_event where topic = $1 returning entity, entity_id, payload
"""
AMOUNTS = ("on_hand", "reserved")


@pytest_asyncio.fixture
async def owner(own_database_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Yield a connection of the owner of a database that a test may change."""
    connection = await asyncpg.connect(own_database_url)
    yield connection
    await connection.close()


async def written(owner: "asyncpg.Connection[Any]", topic: str) -> list[dict[str, Any]]:
    """Return what was written to a topic since the last time, in the order of the rows."""
    rows = sorted(await owner.fetch(WRITTEN, topic), key=lambda row: row["entity_id"])
    return [json.loads(row["payload"]) for row in rows]


CROSSINGS = (
    ("30", "19.5", "FELL_BELOW"),
    ("20", "19.9999", "FELL_BELOW"),
    ("19.9999", "20", "ROSE_ABOVE"),
    ("30", "20", "NONE"),
    ("5", "0", "OUT_OF_STOCK"),
    ("0", "50", "BACK_IN_STOCK"),
    ("50", "0", "OUT_OF_STOCK"),
)
"""Of a level whose reorder point is 20: available before and after, and what that crosses."""


async def test_stock_tells_what_was_crossed(owner: "asyncpg.Connection[Any]") -> None:
    """The reorder point is the least stock of the active rule; SQL and Python know one rule."""
    [level] = await owner.fetch(
        """select l.id, r.id as rule from stock_level l join reorder_rule r
             on r.product_id = l.product_id and r.warehouse_id = l.warehouse_id
           where r.archived_at is null and l.reserved = 0 order by l.id limit 1"""
    )
    await owner.execute(
        "update reorder_rule set min_quantity = 20, target_quantity = 90 where id = $1",
        level["rule"],
    )
    move = "update stock_level set on_hand = $2 where id = $1"
    for before, after, expected in CROSSINGS:
        await owner.execute(move, level["id"], Decimal(before))
        await written(owner, "stock.changed")
        async with owner.transaction():
            await owner.execute("set local app.cause = 'ADJUSTMENT'")
            await owner.execute("set local app.document = 'Count:7'")
            await owner.execute(move, level["id"], Decimal(after))
        [told] = await written(owner, "stock.changed")
        assert told["crossing"] == expected
        assert crossing(Decimal(before), Decimal(after), Decimal(20)) == expected
        assert Decimal(told["reorder_point"]) == 20
        difference = Decimal(after) - Decimal(before)
        deltas = [Decimal(told[f"delta_{of}"]) for of in ("on_hand", "reserved", "available")]
        assert deltas == [difference, 0, difference]
        assert (told["cause"], told["document"]) == ("ADJUSTMENT", "Count:7")
    await owner.execute("update reorder_rule set archived_at = now() where id = $1", level["rule"])
    await owner.execute(move, level["id"], Decimal(40))
    [told] = await written(owner, "stock.changed")
    assert (told["reorder_point"], told["crossing"]) == (None, "BACK_IN_STOCK")


async def test_stock_tells_its_categories(owner: "asyncpg.Connection[Any]") -> None:
    """A change of many levels tells of each, with the category of its product and those above."""
    await owner.execute("update stock_level set reserved = reserved where id <= 50")
    assert await written(owner, "stock.changed") == []
    await owner.execute("update stock_level set on_hand = on_hand + 1.5 where id <= 50")
    events = await written(owner, "stock.changed")
    rows = await owner.fetch(
        """with recursive above (product_id, id, parent_id) as (
             select p.id, c.id, c.parent_id from product p
             join product_category c on c.id = p.category_id
             union all
             select a.product_id, c.id, c.parent_id from above a
             join product_category c on c.id = a.parent_id
           )
           select l.id, l.on_hand, l.reserved, array_agg(a.id order by a.id) as categories
           from stock_level l join above a on a.product_id = l.product_id
           where l.id <= 50 group by l.id order by l.id"""
    )
    assert len(events) == len(rows) == 50
    for told, row in zip(events, rows, strict=True):
        assert told["level_id"] == row["id"]
        assert told["category_ids"] == row["categories"]
        assert told["delta_available"] == "1.5000"
        for of in AMOUNTS:
            assert Decimal(told[of]) == row[of]
    assert max(len(told["category_ids"]) for told in events) > 1


async def test_shipments_tell_of_their_work(owner: "asyncpg.Connection[Any]") -> None:
    """New, further, carried otherwise or picked; nothing of what is not told."""
    [found] = await owner.fetch(
        """select s.id, s.order_id, s.partner_id, s.warehouse_id from shipment s
           where state = 'PLANNED' and exists (
             select from shipment_line l where l.shipment_id = s.id and l.picked = 0)
           order by s.id limit 1"""
    )
    key = found["id"]
    for change, state, previous in (
        ("update shipment set state = 'PICKING' where id = $1", "PICKING", "PLANNED"),
        ("update shipment set carrier = 'DHL' where id = $1", "PICKING", "PICKING"),
        ("update shipment set tracking_no = 'T1' where id = $1", "PICKING", "PICKING"),
        ("update shipment set planned_on = planned_on + 1 where id = $1", "PICKING", "PICKING"),
        (
            "update shipment_line set picked = quantity where shipment_id = $1",
            "PICKING",
            "PICKING",
        ),
    ):
        await owner.execute(change, key)
        [told] = await written(owner, "shipment.work_changed")
        assert told["shipment_id"] == key
        assert (told["state"], told["previous_state"]) == (state, previous)
        assert all(told[of] == found[of] for of in ("order_id", "partner_id", "warehouse_id"))
    for nothing in (
        "update shipment set version = version + 1, carrier = carrier where id = $1",
        "update shipment_line set picked = quantity where shipment_id = $1",
    ):
        await owner.execute(nothing, key)
        assert await written(owner, "shipment.work_changed") == []
    made = await owner.fetchval(
        """insert into shipment (company_id, number, order_id, partner_id, warehouse_id, planned_on)
           select company_id, 'NEW', order_id, partner_id, warehouse_id, planned_on from shipment
           where id = $1 returning id""",
        key,
    )
    [told] = await written(owner, "shipment.work_changed")
    assert (told["shipment_id"], told["previous_state"]) == (made, None)
    assert told["cause"] == "EXTERNAL"


async def test_jobs_tell_how_far_they_are(owner: "asyncpg.Connection[Any]") -> None:
    """Asked for, begun, further and done; not where only the worker's notes changed."""
    made = await owner.fetchval(
        "insert into job (company_id, kind, created_by, progress_total)"
        " values (1, 'law', 'ada', 10) returning id"
    )
    await owner.execute("update job set state = 'RUNNING', attempts = 1 where id = $1", made)
    await owner.execute("update job set worker = 'w', error = 'e' where id = $1", made)
    await owner.execute("update job set progress_done = 5 where id = $1", made)
    await owner.execute(
        "update job set state = 'SUCCEEDED', progress_done = 10, finished_at = now() where id = $1",
        made,
    )
    rows = await owner.fetch(
        "select payload from outbox_event where entity = 'Job' order by written_seq"
    )
    told = [json.loads(row["payload"]) for row in rows]
    fields = ("previous_state", "state", "progress_done", "attempts")
    assert [tuple(event[of] for of in fields) for event in told] == [
        (None, "QUEUED", 0, 0),
        ("QUEUED", "RUNNING", 0, 1),
        ("RUNNING", "RUNNING", 5, 1),
        ("RUNNING", "SUCCEEDED", 10, 1),
    ]
    assert {(e["job_id"], e["kind"], e["created_by"], e["progress_total"]) for e in told} == {
        (made, "law", "ada", 10)
    }

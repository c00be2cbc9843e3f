"""Jobs, the audit trail, and how the installation is doing."""

from datetime import UTC, datetime
from typing import Any

from schema.core.ids import encode_id
from tests.fixtures.gateway import principal
from tests.fixtures.paths import BothPaths

OPS = """{ ops {
  queues { queue depth oldestAt } failures { kind count }
  pools { pool limit inUse waiting } eventsWaiting oldestEventAt } }"""


def instant(at: datetime) -> str:
    """Write a time as answers do."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


async def test_queues_and_failures_are_those_of_the_company(own_reader: BothPaths) -> None:
    """What waits and what failed lately is counted, what another company has is not."""
    owner = own_reader.owner
    await owner.execute(
        """delete from job;
        insert into job
          (company_id, kind, queue, state, run_at, created_by, started_at, finished_at)
        values (1, 'a', 'default', 'QUEUED', '2026-01-02Z', 'x', null, null),
               (1, 'a', 'default', 'QUEUED', '2026-01-01Z', 'x', null, null),
               (1, 'b', 'mail', 'QUEUED', '2026-01-03Z', 'x', null, null),
               (2, 'b', 'mail', 'QUEUED', '2026-01-01Z', 'x', null, null),
               (1, 'a', 'default', 'RUNNING', now(), 'x', now(), null),
               (1, 'a', 'default', 'FAILED', now(), 'x', now(), now()),
               (1, 'a', 'default', 'DEAD', now(), 'x', now(), now()),
               (1, 'b', 'default', 'FAILED', now(), 'x', now(), now() - interval '25 hours'),
               (2, 'c', 'default', 'FAILED', now(), 'x', now(), now())"""
    )
    ops = (await own_reader.data(OPS))["ops"]
    assert own_reader.statements == 1
    assert ops["queues"] == [
        {"queue": "default", "depth": 2, "oldestAt": "2026-01-01T00:00:00Z"},
        {"queue": "mail", "depth": 1, "oldestAt": "2026-01-03T00:00:00Z"},
    ]
    assert ops["failures"] == [{"kind": "a", "count": 2}]
    assert ops["eventsWaiting"] == 0
    assert ops["oldestEventAt"] is None


async def test_connections_are_those_of_the_process(reader: BothPaths) -> None:
    """They are told without asking the database."""
    data = await reader.data("{ ops { pools { pool limit inUse waiting } } }")
    assert reader.statements == 0
    settings = reader.compiled.runtime.settings
    assert [(pool["pool"], pool["limit"]) for pool in data["ops"]["pools"]] == [
        ("read", settings.read_pool_size),
        ("write", settings.write_pool_size),
    ]


async def test_events_that_wait_are_told(own_reader: BothPaths) -> None:
    """An event that nobody publishes counts after a second, whatever company it is of."""
    owner = own_reader.owner
    async with owner.transaction():
        # the relay sees nothing of it while this transaction lasts
        at = await owner.fetchval(
            "insert into outbox_event (company_id, topic, entity, entity_id, payload, created_at)"
            " values (2, 't', 'e', 1, '{}', now() - interval '1 minute') returning created_at"
        )
        found = await owner.fetchrow("select * from outbox_waiting(interval '1 second')")
    assert tuple(found) == (1, at)  # type: ignore[arg-type]


async def test_the_trail_tells_who_changed_what(own_reader: BothPaths) -> None:
    """A command shows up with its object, its request and its values."""
    place: Any = await own_reader.owner.fetchrow(
        "select b.location_id, p.sku from stock_balance b join product p on p.id = b.product_id"
        " join stock_location l on l.id = b.location_id where l.sellable and b.on_hand > 5"
        " and l.company_id = 1 order by 1 limit 1"
    )
    await own_reader.compiled.data(
        """mutation($lines: [StockAdjustmentInput!]!) {
          adjustStock(idempotencyKey: "k", lines: $lines) { userErrors { message } } }""",
        {
            "lines": [
                {
                    "sku": place["sku"],
                    "locationId": encode_id("StockLocation", place["location_id"]),
                    "delta": "-1",
                    "reason": "broken",
                }
            ]
        },
    )
    data = await own_reader.data(
        """{ auditEntries(first: 1) { nodes { at actor requestId operation action entity objectId
             values { name value } } } }"""
    )
    [entry] = data["auditEntries"]["nodes"]
    assert (entry["operation"], entry["action"], entry["entity"], entry["actor"]) == (
        "adjustStock",
        "post",
        "StockMove",
        "user:1",
    )
    assert entry["requestId"] == "test"
    assert entry["values"] == [
        {"name": "delta", "value": "-1"},
        {"name": "reason", "value": "broken"},
    ]
    node = await own_reader.data(
        "query($id: ID!) { node(id: $id) { ... on StockMove { reason } } }",
        {"id": entry["objectId"]},
    )
    assert node["node"] == {"reason": "broken"}
    data = await own_reader.data(
        '{ auditEntries(filter: {entity: "Product"}, first: 1) {'
        " nodes { values { name value } } } }"
    )
    assert data["auditEntries"]["nodes"] == [{"values": [{"name": "archived", "value": "true"}]}]


async def test_a_client_of_a_partner_is_told_of_no_queue(reader: BothPaths) -> None:
    """Whatever its key permits, nothing of the company's work is for it to know."""
    query = "{ ops { queues { queue } failures { kind } eventsWaiting oldestEventAt } }"
    [partner_id] = await reader.ids("select min(partner_id) from sales_order where company_id = 1")
    data = await reader.data(query, caller=principal(partner_id=partner_id))
    assert data["ops"] == {
        "queues": [],
        "failures": [],
        "eventsWaiting": 0,
        "oldestEventAt": None,
    }
    assert reader.statements == 0

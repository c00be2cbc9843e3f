"""What dashboards and partners subscribe to, word for word, over sockets and event streams."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final
from uuid import uuid4

import httpx2
import pytest
import pytest_asyncio

from gateway.postgres import EmbeddedPostgres
from schema.core.ids import encode_id
from tests.flows.test_resuming import Site, serving
from tests.gateway.transports.clients import opened

# as dashboards and partners wrote them: what is changed here has to be asked of them
D1: Final = """
subscription D1_StockTiles($wh: [ID!]!, $after: String) {
  stockChanged(filter: {warehouseIds: $wh, availableBelow: "20", crossingOnly: false}, after: $after, coalesceMs: 250) {
    ... on StockChange { eventId seq at crossing cause previousAvailable available onHand coalesced level { warehouse { code } reserved incoming projected belowReorderPoint product { sku name category { path } } } }
    ... on StreamNotice { code message lastSeq } } }
"""  # noqa: E501
D4: Final = """
subscription D4_WarehouseWork($wh: ID!) {
  shipmentWorkChanged(warehouseId: $wh) { id number state plannedOn carrier order { number partner { name } requestedOn } lines { qty picked product { sku } location { path } lot { number } } } }
"""  # noqa: E501
P3: Final = """
subscription P3_MyOrderStatus($after: String) {
  orderStatusChanged(axes: ["shipment", "payment", "lifecycle"], after: $after) { eventId seq at axis from to reason order { number externalRef shipmentStatus promisedOn shipments { trackingNo state } } } }
"""  # noqa: E501
CHANGES = """
subscription Integration($after: String) {
  changes(of: [ORDER_STATUS, SHIPMENT_WORK], after: $after) { seq topic entityId }
}
"""
PROGRESS = "subscription Progress($id: ID!) { jobProgress(id: $id) { state progressDone } }"


@pytest_asyncio.fixture(scope="module")
async def site(server: EmbeddedPostgres, template: str) -> AsyncIterator[Site]:
    """Serve a database of this module with one gateway."""
    name = f"erp_streams_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    async with serving(server.url(name)) as running:
        yield running
    server.drop_database(name)


async def by_websocket(
    site: Site, query: str, **variables: Any
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield what is told over a socket, until the operation completes."""
    async with opened(await site.any()) as client:
        await client.send({"type": "connection_init", "payload": site.headers})
        assert (await client.receive())["type"] == "connection_ack"
        await client.subscribe("1", query, variables=variables)
        while (message := await client.receive())["type"] == "next":
            yield message["payload"]
        assert message == {"id": "1", "type": "complete"}


async def by_sse(
    site: Site, query: str, after: str, **variables: Any
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield what a stream tells after an id, each with its own."""
    headers = {**site.headers, "Accept": "text/event-stream", "Last-Event-ID": after}
    asked: dict[str, Any] = {"json": {"query": query, "variables": variables}, "headers": headers}
    url = (await site.any()).graphql
    async with (
        httpx2.AsyncClient(timeout=30) as client,
        client.stream("POST", url, **asked) as response,
    ):
        id_ = None
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                id_ = value
            elif name == "data" and value:
                yield {**json.loads(value), "id": id_}


async def take(answers: AsyncGenerator[dict[str, Any], None], number: int) -> list[dict[str, Any]]:
    """Return so many answers, and leave."""
    async with aclosing(answers):
        found = [await anext(answers) for _ in range(number)]
    assert not any("errors" in answer for answer in found), found
    return found


async def told(
    site: Site, over: str, query: str, number: int, after: str, **variables: Any
) -> list[dict[str, Any]]:
    """Return so many answers after a place, over a transport."""
    if over == "sse":
        return await take(by_sse(site, query, after, **variables), number)
    return await take(by_websocket(site, query, after=after, **variables), number)


async def begun(site: Site) -> str:
    """Return the last place that was given, once all is published."""
    await site.published()
    return str(await site.owner.fetchval("select last_seq from outbox_counter"))


async def forgotten(site: Site) -> str:
    """Let the log begin with its last event; return the place of that."""
    last = await begun(site)
    await site.owner.execute("delete from outbox_event where pub_seq < $1", int(last))
    return last


OVER = pytest.mark.parametrize("over", ["websocket", "sse"])


@OVER
async def test_tiles_of_stock(site: Site, over: str) -> None:
    """Several changes as one, with the level as it is; from where one was, and a state."""
    [level] = await site.owner.fetch(
        "select l.id, l.warehouse_id, p.sku, w.code from stock_level l"
        " join product p on p.id = l.product_id join warehouse w on w.id = l.warehouse_id"
        " where l.company_id = 1 and reserved = 0 and on_hand > 3 order by l.id limit 1"
    )
    after, wh = await begun(site), [encode_id("Warehouse", level["warehouse_id"])]
    on_hand = "update stock_level set on_hand = $2 where id = $1"
    for amount in (3, 0, 2):
        await site.owner.execute(on_hand, level["id"], amount)
    await begun(site)
    [tile] = await told(site, over, D1, 1, after, wh=wh)
    change = tile["data"]["stockChanged"]
    assert (change["coalesced"], change["available"], change["onHand"]) == (3, "2.0000", "2.0000")
    assert change["level"]["warehouse"] == {"code": level["code"]}
    assert change["level"]["product"]["sku"] == level["sku"]
    assert change["level"]["product"]["category"]["path"]
    assert tile["extensions"]["caughtUp"] == {"replayed": 3}
    await site.owner.execute(on_hand, level["id"], 5)
    await begun(site)
    [again] = await told(site, over, D1, 1, tile["extensions"]["seq"], wh=wh)
    assert again["data"]["stockChanged"]["previousAvailable"] == "2.0000"
    await site.owner.execute(on_hand, level["id"], 7)
    last = await forgotten(site)
    [state] = await told(site, over, D1, 1, "0", wh=wh)
    assert state["data"] == {"stockChanged": {}}
    assert state["extensions"] == {"snapshot": {"reason": "TOO_OLD"}, "seq": last}


async def test_work_of_a_warehouse(site: Site) -> None:
    """Each shipment as it is, after the id of an event; all that are prepared in one message."""
    rows = await site.owner.fetch(
        "select id, warehouse_id from shipment where company_id = 1 and warehouse_id = ("
        "  select min(warehouse_id) from shipment where company_id = 1"
        "  and state in ('PLANNED', 'PICKING', 'PACKED')"
        ") and state in ('PLANNED', 'PICKING', 'PACKED') order by planned_on, id"
    )
    keys = [encode_id("Shipment", row["id"]) for row in rows]
    after, wh = await begun(site), encode_id("Warehouse", rows[0]["warehouse_id"])
    for carrier in ("Ada", "Bea"):
        await site.owner.execute(
            "update shipment set carrier = $2 where id = $1", rows[0]["id"], carrier
        )
    await begun(site)
    first, second = await told(site, "sse", D4, 2, after, wh=wh)
    [shipment] = first["data"]["shipmentWorkChanged"]
    assert (shipment["id"], shipment["carrier"]) == (keys[0], "Bea")
    assert shipment["order"]["partner"]["name"]
    assert all(line["product"]["sku"] for line in shipment["lines"])
    assert (await told(site, "sse", D4, 1, first["id"], wh=wh))[0]["id"] == second["id"]
    last = await forgotten(site)
    [state] = await told(site, "sse", D4, 1, "0", wh=wh)
    found = state["data"]["shipmentWorkChanged"]
    assert ([one["id"] for one in found], found[0]) == (keys, shipment)
    assert (state["id"], state["extensions"]["snapshot"]) == (last, {"reason": "TOO_OLD"})
    async with aclosing(by_websocket(site, D4, wh=wh)) as answers:
        live = asyncio.ensure_future(anext(answers))
        while not live.done():
            await site.owner.execute(
                "update shipment set carrier = $2 where id = $1", rows[0]["id"], str(uuid4())
            )
            await asyncio.wait([live], timeout=0.1)
    assert [one["id"] for one in live.result()["data"]["shipmentWorkChanged"]] == keys[:1]


@OVER
async def test_status_of_orders(site: Site, over: str) -> None:
    """Of the axes that are named, from where one was; a state says that it is one."""
    [order] = await site.owner.fetch(
        "select id, number from sales_order where company_id = 1 and hold is null"
        " and shipment_status = 'NONE' order by id limit 1"
    )
    after = await begun(site)
    for hold in ("ADDRESS", None):
        await site.owner.execute(
            "update sales_order set hold = $2, shipment_status = case shipment_status"
            " when 'PARTIAL' then 'NONE' else 'PARTIAL' end where id = $1",
            *(order["id"], hold),
        )
    await begun(site)
    answers = await told(site, over, P3, 2, after)
    first, second = (answer["data"]["orderStatusChanged"] for answer in answers)
    assert [first["axis"], second["axis"]] == ["SHIPMENT", "SHIPMENT"]
    assert first["from"] == second["to"] == "NONE"
    assert first["order"] == second["order"]
    assert (first["order"]["number"], first["reason"]) == (order["number"], None)
    [again] = await told(site, over, P3, 1, answers[0]["extensions"]["seq"])
    assert again["data"]["orderStatusChanged"] == second
    last = await forgotten(site)
    [state] = await told(site, over, P3, 1, "0")
    found = state["data"]["orderStatusChanged"]
    assert (found["reason"], found["seq"], found["order"]) == ("TOO_OLD", last, None)
    assert state["extensions"] == {"snapshot": {"reason": "TOO_OLD"}, "seq": last}


async def test_what_is_no_axis_is_refused_by_name(site: Site) -> None:
    """Before anything begins, with the names there are and the one that was meant."""
    wrong = P3.replace('"payment"', '"paymnt"')
    async with httpx2.AsyncClient(timeout=30) as client:
        response = await client.post(
            (await site.any()).graphql, json={"query": wrong}, headers=site.headers
        )
    [error] = response.json()["errors"]
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert error["message"] == (
        '"paymnt" is no OrderAxisName, which is one of "lifecycle", "hold", "reservation", '
        '"shipment", "invoice", "payment". Did you mean \'payment\'?'
    )
    assert error["locations"]


@OVER
async def test_everything_in_one_order(site: Site, over: str) -> None:
    """What happened to several things, with one cursor for all."""
    [work] = await site.owner.fetch(
        "select id, order_id from shipment where company_id = 1 order by id limit 1"
    )
    after = await begun(site)
    await site.owner.execute(
        "update shipment set carrier = $2 where id = $1", work["id"], str(uuid4())
    )
    await site.owner.execute(
        "update sales_order set shipment_status = case shipment_status when 'PARTIAL' then 'NONE'"
        " else 'PARTIAL' end where id = $1",
        work["order_id"],
    )
    await begun(site)
    shipment, order = encode_id("Shipment", work["id"]), encode_id("SalesOrder", work["order_id"])
    first, second = await told(site, over, CHANGES, 2, after)
    assert first["data"]["changes"]["entityId"] == shipment
    assert second["data"]["changes"]["entityId"] == order
    [again] = await told(site, over, CHANGES, 1, first["data"]["changes"]["seq"])
    assert again["data"] == second["data"]


async def test_a_job_is_followed_to_its_end_over_a_socket(site: Site) -> None:
    """The operation completes with the job."""
    owner = site.owner
    job = await owner.fetchval(
        "insert into job (company_id, kind, created_by) values (1, 'law', 'ada') returning id"
    )
    states = []
    async with aclosing(by_websocket(site, PROGRESS, id=encode_id("Job", job))) as answers:
        async for answer in answers:
            states.append(answer["data"]["jobProgress"]["state"])
            if states == ["QUEUED"]:
                await owner.execute("update job set state = 'RUNNING' where id = $1", job)
            elif states[-1] == "RUNNING":
                await owner.execute(
                    "update job set state = 'FAILED', finished_at = now() where id = $1", job
                )
    assert states == ["QUEUED", "RUNNING", "FAILED"]

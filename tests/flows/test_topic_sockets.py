"""The documented streams of boards, integrators and partners, as clients connect to them."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx2

from gateway.examples import load_examples
from schema.core.ids import encode_id
from tests.flows.test_resuming import Site, site
from tests.gateway.transports.clients import opened

__all__ = ["site"]

DOCUMENTED = {
    example.slug: example
    for example in load_examples(Path(__file__).resolve().parents[2] / "docs" / "examples")
}
TILES, WORK, STATUS = (
    DOCUMENTED[slug].query for slug in ("live-tiles", "warehouse-work", "my-order-status")
)
CHANGES = """
subscription Integration($after: String) {
  changes(of: [ORDER_STATUS, SHIPMENT_WORK], after: $after) { seq topic entityId }
}
"""
PROGRESS = "subscription Progress($id: ID!) { jobProgress(id: $id) { state progressDone } }"


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


async def test_documented_streams_resume(site: Site) -> None:
    """Each tells from where one was, over both transports, what was written meanwhile."""
    owner = site.owner
    [level] = await owner.fetch(
        "select id, warehouse_id from stock_level where company_id = 1 and reserved = 0"
        " and on_hand > 3 order by id limit 1"
    )
    [work] = await owner.fetch(
        "select id, order_id, warehouse_id from shipment where company_id = 1 order by id limit 1"
    )
    shipment, order = encode_id("Shipment", work["id"]), encode_id("SalesOrder", work["order_id"])
    for on_hand in (3, 0, 2):
        await owner.execute(
            "update stock_level set on_hand = $2 where id = $1", level["id"], on_hand
        )
    for carrier in ("Ada", "Bea"):
        await owner.execute("update shipment set carrier = $2 where id = $1", work["id"], carrier)
    await owner.execute(
        "update sales_order set shipment_status = case shipment_status when 'PARTIAL' then 'NONE'"
        " else 'PARTIAL' end where id = $1",
        work["order_id"],
    )
    await site.published()

    warehouses = [encode_id("Warehouse", level["warehouse_id"])]
    [tile] = await take(by_websocket(site, TILES, warehouses=warehouses, after="0"), 1)
    change = tile["data"]["stockChanged"]
    assert (change["coalesced"], change["available"]) == (3, "2.0000")
    assert change["level"]["product"]["category"]["path"]

    [first, *_] = await take(by_websocket(site, CHANGES, after="0"), 3)
    assert first["data"]["changes"]["entityId"] == shipment
    seq = first["data"]["changes"]["seq"]
    rest = await take(by_websocket(site, CHANGES, after=seq), 2)
    assert [one["data"]["changes"]["entityId"] for one in rest] == [shipment, order]

    warehouse = encode_id("Warehouse", work["warehouse_id"])
    [told, _] = await take(by_sse(site, WORK, "0", warehouse=warehouse), 2)
    [worked] = told["data"]["shipmentWorkChanged"]
    assert (told["id"], worked["id"]) == (seq, shipment)
    [again] = await take(by_sse(site, WORK, seq, warehouse=warehouse), 1)
    assert int(again["id"]) > int(seq)
    assert again["data"]["shipmentWorkChanged"][0]["carrier"] == "Bea"

    [status] = await take(by_sse(site, STATUS, seq), 1)
    assert status["data"]["orderStatusChanged"]["axis"] == "SHIPMENT"


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

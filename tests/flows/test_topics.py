"""Streams of shipments, jobs and whatever else changes, to those who may know."""

import asyncio
import itertools
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from gateway.postgres import EmbeddedPostgres
from resolvers.core.principal import Principal
from resolvers.core.stream import Place
from schema.core.execution import GraphQLRequest
from schema.core.ids import encode_id
from tests.fixtures.deliveries import Heard, hearing
from tests.fixtures.gateway import PATHS, Gateway, open_gateway, principal

SOON = 20


@pytest_asyncio.fixture(scope="module", params=PATHS)
async def gateway(
    server: EmbeddedPostgres, template: str, request: pytest.FixtureRequest
) -> AsyncIterator[Gateway]:
    """Yield a gateway over a database of this module, that compiles queries or does not."""
    name = f"erp_topics_{uuid4().hex[:12]}"
    await asyncio.to_thread(server.create_database, name, template=template)
    async with open_gateway(server.url(name), compile_queries=request.param) as running:
        yield running
    await asyncio.to_thread(server.drop_database, name)


def listen(
    gateway: Gateway, query: str, caller: Principal | None = None, **variables: Any
) -> AsyncGenerator[Heard, None]:
    """Subscribe."""
    executor, who = gateway.runtime.executor, caller or principal()
    prepared = executor.prepare(GraphQLRequest(query, None, variables), known_caller=True)
    contexts = partial(gateway.runtime.open_context, who, "watch")
    return hearing(executor.subscribe(prepared, contexts, transport="WEBSOCKET"))


@asynccontextmanager
async def listening(
    gateway: Gateway, query: str, caller: Principal | None = None, **variables: Any
) -> AsyncIterator[AsyncGenerator[Heard]]:
    """Subscribe for as long as the block lasts."""
    async with aclosing(listen(gateway, query, caller, **variables)) as answers:
        yield answers


async def told(answers: AsyncGenerator[Heard, None]) -> Any:
    """Return what the only root field tells next."""
    answer = await asyncio.wait_for(anext(answers), SOON)
    assert not answer.errors, answer.errors
    assert answer.data is not None
    [value] = answer.data.values()
    return value


def place_of(answer: Heard) -> int:
    """Return the place in the log that an answer is of."""
    place = Place.read(answer.extensions["seq"])
    assert place is not None
    return place.seq


def valued(change: Any) -> dict[str, Any]:
    """Return the payload of a change by its names."""
    return {value["name"]: value["value"] for value in change["payload"]}


async def last_place(gateway: Gateway) -> str:
    """Return the place of what was published last, once everything written is."""
    waiting = "select exists (select from outbox_event where published_at = 'infinity')"
    while await gateway.owner.fetchval(waiting):  # noqa: ASYNC110 - the relay tells nobody
        await asyncio.sleep(0.02)
    return str(await gateway.owner.fetchval("select last_seq from outbox_counter"))


# -- shipments

WORK = """
subscription Work($warehouse: ID!, $after: String, $snapshot: Boolean! = false) {
  shipmentWorkChanged(warehouseId: $warehouse, after: $after, snapshot: $snapshot) {
    id state carrier version
    order { number partner { name } }
    lines { qty picked product { sku } location { path } lot { number } }
  }
}
"""
SHIPMENTS = """
select s.id, s.warehouse_id, s.partner_id from shipment s
where s.company_id = 1 order by s.state = 'PLANNED' desc, s.id
"""


async def test_shipments_tell_of_their_work(gateway: Gateway) -> None:
    """Each as it is, of the warehouse asked for, again from the log; partners of their own."""
    owner = gateway.owner
    mine, *others = await owner.fetch(SHIPMENTS)
    elsewhere = next(s for s in others if s["warehouse_id"] != mine["warehouse_id"])
    beside = next(
        s
        for s in others
        if s["warehouse_id"] == mine["warehouse_id"] and s["partner_id"] != mine["partner_id"]
    )
    warehouse = encode_id("Warehouse", mine["warehouse_id"])
    start = await last_place(gateway)
    carried = "update shipment set carrier = 'Ada' where id = $1"
    for one in (elsewhere, mine, beside):
        await owner.execute(carried, one["id"])
    await owner.execute(
        "update shipment_line set picked = quantity / 2 where shipment_id = $1", mine["id"]
    )
    expected = [encode_id("Shipment", s["id"]) for s in (mine, beside, mine)]
    async with listening(gateway, WORK, warehouse=warehouse, after=start) as answers:
        found = [one for _ in range(3) for one in await told(answers)]
        assert [one["id"] for one in found] == expected
        assert found[0]["carrier"] == "Ada"
        assert all(
            Decimal(line["qty"]) == 2 * Decimal(line["picked"]) for line in found[-1]["lines"]
        )
        assert found[0]["order"]["partner"]["name"]
        live = asyncio.ensure_future(told(answers))
        await owner.execute("update shipment set state = 'PACKED' where id = $1", mine["id"])
        assert [one["state"] for one in await live] == ["PACKED"]
    bound = principal(partner_id=mine["partner_id"])
    async with listening(gateway, WORK, bound, warehouse=warehouse, after=start) as answers:
        found = [one for _ in range(3) for one in await told(answers)]
        assert [one["id"] for one in found] == [expected[0]] * 3


async def test_shipments_as_they_are(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start and where the cursor is too old: all that are prepared, in one message."""
    owner = gateway.owner
    prepared = await owner.fetch(
        "select id, warehouse_id, partner_id from shipment where company_id = 1"
        " and state in ('PLANNED', 'PICKING', 'PACKED') order by planned_on, id"
    )
    here = prepared[0]["warehouse_id"]
    rows = [row for row in prepared if row["warehouse_id"] == here]
    expected = [encode_id("Shipment", row["id"]) for row in rows]
    asked: dict[str, Any] = {"warehouse": encode_id("Warehouse", here)}
    carried = "update shipment set carrier = $2 where id = $1"
    for carrier in ("Dan", "Eve"):
        await owner.execute(carried, rows[-1]["id"], carrier)
    last = await last_place(gateway)
    await owner.execute("delete from outbox_event where pub_seq < $1", int(last))
    beginnings: tuple[dict[str, Any], ...] = ({"snapshot": True}, {"after": "0"})
    for given in beginnings:
        async with listening(gateway, WORK, **asked, **given) as answers:
            state = await anext(answers)
            assert state.data is not None
            found = state.data["shipmentWorkChanged"]
            assert [one["id"] for one in found] == expected
            assert found[-1]["carrier"] == "Eve"
            reason = "STARTED" if "snapshot" in given else "TOO_OLD"
            assert state.extensions["snapshot"] == {"reason": reason}
            assert place_of(state) >= int(last)
            live = asyncio.ensure_future(anext(answers))
            await owner.execute(carried, rows[0]["id"], f"Ada {given}")
            change = await live
            assert change.data is not None
            assert [one["id"] for one in change.data["shipmentWorkChanged"]] == expected[:1]
            assert "snapshot" not in change.extensions
    mine = [row["id"] for row in rows if row["partner_id"] == rows[0]["partner_id"]]
    bound = principal(partner_id=rows[0]["partner_id"])
    async with listening(gateway, WORK, bound, snapshot=True, **asked) as answers:
        assert [one["id"] for one in await told(answers)] == [
            encode_id("Shipment", key) for key in mine
        ]
    monkeypatch.setattr("resolvers.fulfillment.events.MOST_SHIPMENTS", len(rows) - 1)
    refused = ("LIMIT_EXCEEDED", "SUBSCRIBER_LAGGED")
    for given, code in zip(beginnings, refused, strict=True):
        [answer] = [one async for one in listen(gateway, WORK, **asked, **given)]
        assert answer.errors[0]["extensions"]["code"] == code
        assert answer.errors[0]["extensions"]["details"]["maximum"] == len(rows) - 1


async def follow_work(
    gateway: Gateway, board: dict[str, Any], until: Callable[[int], bool], **given: Any
) -> str:
    """Keep the shipments being prepared on a board; return the cursor where it is left."""
    async with listening(gateway, WORK, **given) as answers:
        async for answer in answers:
            assert answer.data is not None
            if "snapshot" in answer.extensions:
                board.clear()
            for shipment in answer.data["shipmentWorkChanged"]:
                board.pop(shipment["id"], None)
                if shipment["state"] in ("PLANNED", "PICKING", "PACKED"):
                    board[shipment["id"]] = shipment
            if until(place_of(answer)):
                return str(answer.extensions["seq"])
    raise AssertionError("a stream does not end by itself")


async def test_shipments_and_their_changes_are_the_shipments_of_later(gateway: Gateway) -> None:
    """While others write, whoever comes, leaves and comes back has what is fetched later."""
    owner, dice, writing = gateway.owner, random.Random(7), True
    turn = asyncio.Semaphore(20)
    [[here, rows]] = await owner.fetch(
        "select warehouse_id, array_agg(id order by id) from shipment where company_id = 1"
        " and state in ('PLANNED', 'PICKING', 'PACKED') group by 1 order by count(*) limit 1"
    )
    before = await owner.fetch("select id, state from shipment where id = any($1)", rows)
    follow = partial(follow_work, gateway, warehouse=encode_id("Warehouse", here))
    carried = "update shipment set carrier = $2 where id = $1"
    for carrier in ("Jo", "Kay"):
        await owner.execute(carried, rows[0], carrier)
    await owner.execute(
        "delete from outbox_event where pub_seq < $1", int(await last_place(gateway))
    )

    async def write() -> None:
        while writing and await turn.acquire():
            await owner.execute(
                "update shipment set state = $2, carrier = $3 where id = $1",
                *(dice.choice(rows), dice.choice(("PLANNED", "PICKING", "PACKED", "CANCELED"))),
                str(dice.random()),
            )

    async def board(**given: Any) -> tuple[dict[str, Any], str]:
        heard = itertools.count()

        def left(_: int) -> bool:
            turn.release()
            return not next(heard) % 6

        found: dict[str, Any] = {}
        seq = await follow(found, left, **given)
        for _ in range(2):
            seq = await follow(found, left, after=seq)
        return found, seq

    writer = asyncio.create_task(write())
    try:
        boards = await asyncio.gather(board(snapshot=True), board(after="0"), board(snapshot=True))
    finally:
        writing = False
        turn.release()
        await writer
    await owner.executemany("update shipment set state = $2 where id = $1", before)
    await owner.execute(carried, rows[0], "Lou")
    last = int(await last_place(gateway))
    for found, seq in boards:
        await follow(found, lambda seq: seq >= last, after=seq)
        later: dict[str, Any] = {}
        await follow(later, lambda _: True, snapshot=True)
        assert found == later
        assert sorted(found) == sorted(encode_id("Shipment", key) for key in rows)


async def test_shipments_are_told_to_those_who_may_see_them(gateway: Gateway) -> None:
    """Without the permission nothing begins; the order needs its own."""
    warehouse = encode_id("Warehouse", 1)
    nobody = principal(permissions=frozenset({"sales.read"}))
    [answer] = [one async for one in listen(gateway, WORK, nobody, warehouse=warehouse)]
    assert answer.errors[0]["extensions"]["code"] == "FORBIDDEN"


# -- jobs

PROGRESS = """
subscription Progress($id: ID!) {
  jobProgress(id: $id) { id state progressDone progressTotal attempt }
}
"""


async def test_a_job_is_followed_to_its_end(gateway: Gateway) -> None:
    """As it is, then each change; the stream ends with the job, also where it had ended before."""
    owner = gateway.owner
    job = await owner.fetchval(
        "insert into job (company_id, kind, created_by, progress_total)"
        " values (1, 'law', 'ada', 10) returning id"
    )
    key = encode_id("Job", job)
    async with listening(gateway, PROGRESS, id=key) as answers:
        assert (await told(answers))["state"] == "QUEUED"
        await owner.execute("update job set state = 'RUNNING', attempts = 1 where id = $1", job)
        assert (await told(answers))["state"] == "RUNNING"
        await owner.execute("update job set progress_done = 5 where id = $1", job)
        assert (await told(answers))["progressDone"] == 5
        await owner.execute(
            "update job set state = 'SUCCEEDED', progress_done = 10, finished_at = now()"
            " where id = $1",
            job,
        )
        last = await told(answers)
        assert (last["state"], last["progressDone"], last["attempt"]) == ("SUCCEEDED", 10, 1)
        assert [answer async for answer in answers] == []
    [only] = [answer async for answer in listen(gateway, PROGRESS, id=key)]
    assert only.data == {"jobProgress": last}
    [none] = [answer async for answer in listen(gateway, PROGRESS, id=encode_id("Job", 2**40))]
    assert (none.data, none.errors) == ({"jobProgress": None}, [])
    nobody = principal(permissions=frozenset({"sales.read"}))
    [answer] = [one async for one in listen(gateway, PROGRESS, nobody, id=key)]
    assert answer.errors[0]["extensions"]["code"] == "FORBIDDEN"


# -- everything

EVERYTHING = """
subscription Everything($of: [ChangeTopic!]!, $after: String) {
  changes(of: $of, after: $after) {
    seq topic entity entityId cause documentId coalesced
    payload { name value }
    node { id ... on SalesOrder { number hold } ... on Shipment { state } ... on Job { kind } }
  }
}
"""
WITH_GAPS = """
subscription WithGaps($of: [ChangeTopic!]!, $after: String, $caughtUp: Boolean! = false) {
  changes(of: $of, after: $after, caughtUp: $caughtUp) {
    __typename seq at topic reason
    ... on ChangeGap { topics keptAfter }
    ... on ChangeStreamNotice { dropped replayed }
  }
}
"""
MIRROR = """
subscription Mirror(
  $of: [ChangeTopic!]!, $numbers: [String!], $after: String, $snapshot: Boolean! = false
) {
  changes(of: $of, after: $after, snapshot: $snapshot) {
    seq reason
    ... on ChangeGap {
      salesOrders(first: 200, filter: { numbers: $numbers }) { totalCount nodes { ...Copied } }
      shipments(first: 3) { nodes { id state lines { qty } } }
      stockLevels(first: 2) { pageInfo { endCursor } nodes { id available product { sku } } }
      jobs(first: 1) { totalCount }
    }
    ... on Change { payload { name value } node { ...Copied } }
  }
}
fragment Copied on SalesOrder { id number version hold paymentStatus }
"""
COPIED = """
query Copied($numbers: [String!]) {
  salesOrders(first: 200, filter: { numbers: $numbers }) { totalCount nodes { ...Copied } }
  shipments(first: 3) { nodes { id state lines { qty } } }
  stockLevels(first: 2) { pageInfo { endCursor } nodes { id available product { sku } } }
  jobs(first: 1) { totalCount }
}
fragment Copied on SalesOrder { id number version hold paymentStatus }
"""
EVERY_TOPIC = ["STOCK", "ORDER_STATUS", "SHIPMENT_WORK", "JOB"]


async def test_everything_in_one_order(gateway: Gateway) -> None:
    """Of all topics asked for, with values as text and the object as it is; again from the log."""
    owner = gateway.owner
    start = await last_place(gateway)
    order = await owner.fetchval(
        "select min(id) from sales_order where company_id = 1 and hold is null"
    )
    [(level, shipment)] = await owner.fetch(
        "select min(l.id), (select min(id) from shipment where company_id = 1) from stock_level l"
        " where company_id = 1"
    )
    async with owner.transaction():
        await owner.execute("set local app.cause = 'HOLD'")
        await owner.execute(f"set local app.document = 'SalesOrder:{order}'")
        await owner.execute("update sales_order set hold = 'ADDRESS' where id = $1", order)
    await owner.execute("update stock_level set on_hand = on_hand + 1 where id = $1", level)
    await owner.execute("update shipment set carrier = 'Bea' where id = $1", shipment)
    job = await owner.fetchval(
        "insert into job (company_id, kind, created_by) values (1, 'law', 'ada') returning id"
    )
    async with listening(gateway, EVERYTHING, of=EVERY_TOPIC, after=start) as answers:
        found = [await told(answers) for _ in range(4)]
        live = asyncio.ensure_future(told(answers))
        await owner.execute("update job set state = 'RUNNING' where id = $1", job)
        assert (await live)["topic"] == "JOB"
    keys = [("SalesOrder", order), ("StockLevel", level), ("Shipment", shipment), ("Job", job)]
    assert [(one["entity"], one["entityId"]) for one in found] == [
        (name, encode_id(name, key)) for name, key in keys
    ]
    assert [one["node"]["id"] for one in found] == [one["entityId"] for one in found]
    held, stocked, carried, asked = found
    assert (held["cause"], held["documentId"]) == ("HOLD", held["entityId"])
    assert held["node"]["hold"] == "ADDRESS"
    values = valued(stocked)
    assert values["delta_on_hand"] == "1.0000"
    assert values["level_id"] == str(level)
    assert (carried["cause"], carried["node"]["state"]) == ("EXTERNAL", carried["node"]["state"])
    assert (asked["cause"], asked["node"]["kind"]) == (None, "law")
    async with listening(gateway, EVERYTHING, of=["JOB"], after=found[0]["seq"]) as answers:
        assert (await told(answers))["seq"] == asked["seq"]


async def test_everything_that_one_may_know(gateway: Gateway) -> None:
    """A topic needs the permission of what it tells; a partner hears of its own or of nothing."""
    owner = gateway.owner
    mine, other = await owner.fetch(
        "select distinct on (partner_id) id, partner_id from sales_order where company_id = 1"
        " and hold is null order by partner_id, id limit 2"
    )
    start = await last_place(gateway)
    for row in (other, mine):
        await owner.execute("update sales_order set hold = 'ADDRESS' where id = $1", row["id"])
    bound = principal(partner_id=mine["partner_id"])
    of_partners = ["ORDER_STATUS", "SHIPMENT_WORK"]
    async with listening(gateway, EVERYTHING, bound, of=of_partners, after=start) as answers:
        assert (await told(answers))["entityId"] == encode_id("SalesOrder", mine["id"])
    seller = principal(permissions=frozenset({"sales.read"}))
    for caller, of in ((bound, ["STOCK"]), (bound, EVERY_TOPIC), (seller, of_partners)):
        [answer] = [one async for one in listen(gateway, EVERYTHING, caller, of=of)]
        assert answer.errors[0]["extensions"]["code"] == "FORBIDDEN"
    async with listening(gateway, EVERYTHING, seller, of=["ORDER_STATUS"], after=start) as answers:
        assert (await told(answers))["entityId"] == encode_id("SalesOrder", other["id"])
    [answer] = [one async for one in listen(gateway, EVERYTHING, of=[])]
    assert answer.errors[0]["extensions"]["code"] == "VALIDATION"


async def test_what_is_not_kept_of_everything_is_one_message(gateway: Gateway) -> None:
    """With the place to go on after, the topics and where the log begins; also to old documents."""
    owner = gateway.owner
    carried = "update shipment set carrier = $1 where id = (select min(id) from shipment)"
    for carrier in ("Flo", "Gil", "Hal"):
        await owner.execute(carried, carrier)
    last = int(await last_place(gateway))
    await owner.execute("delete from outbox_event where pub_seq < $1", last - 1)
    bound = principal(partner_id=await owner.fetchval("select partner_id from shipment limit 1"))
    of = ["SHIPMENT_WORK", "ORDER_STATUS"]
    async with (
        listening(gateway, EVERYTHING, of=of, after="0") as plain,
        listening(gateway, WITH_GAPS, of=of, after="0") as whole,
        listening(gateway, WITH_GAPS, of=["JOB"], after="0") as jobs,
        listening(gateway, WITH_GAPS, bound, of=of, after="0") as bounded,
    ):
        nothing, gap = await told(plain), await told(whole)
        assert nothing.pop("seq") == gap["seq"] == str(last)
        assert (nothing.pop("coalesced"), nothing.pop("payload")) == (0, [])
        assert not any(nothing.values())
        assert gap["__typename"] == "ChangeGap"
        assert (gap["reason"], gap["topics"]) == ("TOO_OLD", ["ORDER_STATUS", "SHIPMENT_WORK"])
        assert gap["keptAfter"] == str(last - 2)
        assert gap["at"]
        assert (await told(jobs))["topics"] == ["JOB"]
        assert (await told(bounded))["keptAfter"] == gap["keptAfter"]
        live = asyncio.gather(told(plain), told(whole))
        await owner.execute(carried, "Ina")
        for change in await live:
            assert (change["topic"], int(change["seq"]) > last) == ("SHIPMENT_WORK", True)
    kept = gap["keptAfter"]
    async with listening(gateway, WITH_GAPS, of=of, after=kept, caughtUp=True) as answers:
        found = [await told(answers) for _ in range(4)]
    assert [one["topic"] for one in found] == [*["SHIPMENT_WORK"] * 3, None]
    assert (found[-1]["reason"], found[-1]["replayed"]) == ("CAUGHT_UP", 3)


async def test_the_state_comes_with_the_gap(gateway: Gateway) -> None:
    """As queries tell it, in one message with the new cursor; what one may not see is null."""
    owner = gateway.owner
    carried = "update shipment set carrier = $1 where id = (select min(id) from shipment)"
    for carrier in ("Max", "Nat"):
        await owner.execute(carried, carrier)
    last = await last_place(gateway)
    await owner.execute("delete from outbox_event where pub_seq < $1", int(last))
    expected = await gateway.data(COPIED)
    assert expected["salesOrders"]["totalCount"] > 1
    sold = principal(permissions=frozenset({"sales.read"}))
    bound = principal(partner_id=await owner.fetchval("select min(partner_id) from sales_order"))
    for who in (None, sold, bound):
        asked: Any = (await gateway.run(COPIED, caller=who)).data
        given: dict[str, Any]
        for given, reason in (({"after": "0"}, "TOO_OLD"), ({"snapshot": True}, "STARTED")):
            async with listening(gateway, MIRROR, who, of=["ORDER_STATUS"], **given) as answers:
                answer = await anext(answers)
            assert answer.data == {"changes": {"seq": last, "reason": reason, **asked}}
            assert answer.extensions == {"snapshot": {"reason": reason}, "seq": last}
            denied = ["shipments", "stockLevels", "jobs"] if who is sold else []
            assert sorted(error["path"][1] for error in answer.errors) == sorted(denied)


async def test_copies_and_changes_are_the_orders_of_later(gateway: Gateway) -> None:
    """While others write, a copy made of state and payloads is what is queried later."""
    owner, dice, writing = gateway.owner, random.Random(8), True
    turn = asyncio.Semaphore(20)
    chosen = (await owner.fetch(SHIPPED))[:4]
    rows, numbers = [row["id"] for row in chosen], [row["number"] for row in chosen]

    async def write() -> None:
        while writing and await turn.acquire():
            await owner.execute(
                "update sales_order set payment_status = $2, hold = $3 where id = $1",
                *(dice.choice(rows), dice.choice(("NOT_PAID", "PARTIAL"))),
                dice.choice((None, "MANUAL", "CREDIT")),
            )

    async def copy(until: int | None, copied: dict[str, Any], **given: Any) -> str:
        """Apply what is told, and check that each change begins where the one before ended."""
        async with listening(
            gateway, MIRROR, of=["ORDER_STATUS"], numbers=numbers, **given
        ) as answers:
            for number in itertools.count():
                answer = await anext(answers)
                assert answer.data is not None
                item = answer.data["changes"]
                turn.release()
                if "snapshot" in answer.extensions:
                    copied.clear()
                    copied |= {one["id"]: one for one in item["salesOrders"]["nodes"]}
                else:
                    values, key = valued(item), item["node"]["id"]
                    name = {"HOLD": "hold", "PAYMENT": "paymentStatus"}[values["axis"]]
                    assert copied[key][name] == values["from"]
                    copied[key] |= {name: values["to"], "version": int(values["version"])}
                if number == 12 if until is None else int(item["seq"]) >= until:
                    return str(answer.extensions["seq"])
        raise AssertionError("a stream does not end by itself")

    writer = asyncio.create_task(write())
    copies: list[dict[str, Any]] = [{}, {}, {}]
    try:
        seqs = await asyncio.gather(*(copy(None, one, snapshot=True) for one in copies))
    finally:
        writing = False
        turn.release()
        await writer
    await owner.execute(
        "update sales_order set payment_status = 'NOT_PAID', hold = null where id = any($1)", rows
    )
    await owner.execute("update sales_order set hold = 'MANUAL' where id = $1", rows[0])
    last = int(await last_place(gateway))
    expected = await gateway.data(COPIED, {"numbers": numbers})
    for copied, seq in zip(copies, seqs, strict=True):
        await copy(last, copied, after=seq)
        assert [*copied.values()] == expected["salesOrders"]["nodes"]
    await owner.execute("update sales_order set hold = null where id = $1", rows[0])


async def test_changes_of_everything_that_are_dropped_are_counted(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads too slowly, and asked for that, is told how many it missed."""
    owner = gateway.owner
    monkeypatch.setattr(gateway.runtime.executor.live, "queue", 2)
    asked = WITH_GAPS.replace("after: $after", "after: $after, whenSlow: DROP")
    start = await last_place(gateway)
    async with listening(gateway, asked, of=["JOB"], after=start, caughtUp=True) as answers:
        assert (await told(answers))["reason"] == "CAUGHT_UP"
        first = asyncio.ensure_future(told(answers))
        await asyncio.sleep(0)
        async with asyncio.timeout(SOON):
            await owner.execute(
                "insert into job (company_id, kind, created_by)"
                " select 1, 'law', 'ada' from generate_series(1, 7)"
            )
            found = [await first]
            while found[-1]["reason"] is None:
                found.append(await told(answers))
    *changes, notice = found
    assert (notice["__typename"], notice["reason"]) == ("ChangeStreamNotice", "DROPPED")
    assert len(changes) + notice["dropped"] == 7


# -- stock and orders

STOCK = """
subscription Stock($filter: StockChangeFilter, $after: String) {
  stockChanged(filter: $filter, after: $after) {
    ... on StockChange { seq crossing delta documentId level { id } }
    ... on StockSnapshot { levels { id } }
  }
}
"""
LEVELS = "select id from stock_level where company_id = 1 and reserved = 0 order by id limit 2"
IN_CATEGORIES = """
select l.id, p.category_id, c.parent_id from stock_level l
join product p on p.id = l.product_id
join product_category c on c.id = p.category_id
where l.company_id = 1 and c.parent_id is not null and l.reserved = 0 order by l.id
"""


async def test_stock_of_categories(gateway: Gateway) -> None:
    """Of a category and those below it, once where several are named; the state alike."""
    owner = gateway.owner
    rows = await owner.fetch(IN_CATEGORIES)
    first = rows[0]
    other = next(row for row in rows if row["parent_id"] != first["parent_id"])
    start = await last_place(gateway)
    more = "update stock_level set on_hand = on_hand + 2.5 where id = $1"
    for row in (other, first):
        await owner.execute(more, row["id"])
    for wanted in ([first["parent_id"]], [first["category_id"], first["parent_id"]]):
        given = {"categoryIds": [encode_id("ProductCategory", key) for key in wanted]}
        async with listening(gateway, STOCK, filter=given, after=start) as answers:
            found = await told(answers)
            assert found["level"]["id"] == encode_id("StockLevel", first["id"])
            assert found["delta"] == "2.5000"
            live = asyncio.ensure_future(told(answers))
            for row in (other, first):
                await owner.execute(more, row["id"])
            assert (await live)["level"]["id"] == encode_id("StockLevel", first["id"])
        begin = STOCK.replace("after: $after", "after: $after, snapshot: true")
        async with listening(gateway, begin, filter=given) as answers:
            levels = {level["id"] for level in (await told(answers))["levels"]}
        below = await owner.fetch(
            """select l.id from stock_level l join product p on p.id = l.product_id
               join product_category c on c.id = p.category_id
               join product_category above on c.path like above.path || '%'
               where l.company_id = 1 and above.id = any($1)""",
            wanted,
        )
        assert levels == {encode_id("StockLevel", row["id"]) for row in below}


async def test_stock_tells_of_reorder_points_and_documents(gateway: Gateway) -> None:
    """Where no threshold is given it is that of the level; what it was done for has an id."""
    owner = gateway.owner
    [level] = await owner.fetch(
        """select l.id, r.id as rule, l.reserved from stock_level l join reorder_rule r
             on r.product_id = l.product_id and r.warehouse_id = l.warehouse_id
           where r.archived_at is null and l.company_id = 1 and l.reserved = 0
           order by l.id desc limit 1"""
    )
    await owner.execute("update reorder_rule set min_quantity = 20 where id = $1", level["rule"])
    set_ = "update stock_level set on_hand = $2 where id = $1"
    await owner.execute(set_, level["id"], 30)
    start = await last_place(gateway)
    async with owner.transaction():
        await owner.execute("set local app.document = 'SalesOrder:7'")
        await owner.execute(set_, level["id"], 15)
    await owner.execute(set_, level["id"], 14)
    async with listening(gateway, STOCK, filter={"crossingOnly": True}, after=start) as answers:
        found = await told(answers)
        live = asyncio.ensure_future(told(answers))
        await owner.execute(set_, level["id"], 25)
        assert (await live)["crossing"] == "ROSE_ABOVE"
    assert (found["crossing"], found["delta"]) == ("FELL_BELOW", "-15.0000")
    assert found["documentId"] == encode_id("SalesOrder", 7)
    threshold = {"crossingOnly": True, "availableBelow": "14.5"}
    async with listening(gateway, STOCK, filter=threshold, after=start) as answers:
        found = await told(answers)
    assert (found["crossing"], found["delta"]) == ("FELL_BELOW", "-1.0000")
    assert found["documentId"] is None


SUMMARY = """
subscription Summary($warehouses: [ID!], $often: Int! = 10) {
  stockSummaryChanged(groupBy: [WAREHOUSE], warehouseIds: $warehouses, maxPerSecond: $often) {
    groups { warehouse { id } product { id } count onHand available }
  }
}
"""
SUMS = """
select count(*), sum(on_hand) as on_hand, sum(on_hand - reserved) as available
from stock_level where warehouse_id = $1
"""


async def test_a_summary_is_worked_out_when_it_is_another(gateway: Gateway) -> None:
    """At first, then once for many changes and all who ask; not for others, nor while idle."""
    owner = gateway.owner
    ours, theirs = await owner.fetch(
        "select warehouse_id, min(id) as level from stock_level where company_id = 1 group by 1"
        " order by 1 limit 2"
    )
    await last_place(gateway)
    warehouse = encode_id("Warehouse", ours["warehouse_id"])

    async def check(summary: Any) -> None:
        [group] = summary["groups"]
        [sums] = await owner.fetch(SUMS, ours["warehouse_id"])
        assert group["warehouse"]["id"] == warehouse
        assert group["product"] is None
        assert group["count"] == sums["count"]
        assert Decimal(group["onHand"]) == sums["on_hand"]
        assert Decimal(group["available"]) == sums["available"]

    more = "update stock_level set on_hand = on_hand + $2 where id = $1"
    async with (
        listening(gateway, SUMMARY, warehouses=[warehouse]) as answers,
        listening(gateway, SUMMARY, warehouses=[warehouse]) as others,
    ):
        for stream in (answers, others):
            await check(await told(stream))
        both = [asyncio.ensure_future(told(stream)) for stream in (answers, others)]
        await asyncio.sleep(0)
        while gateway.runtime.broker.listeners < 1:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        before = len(gateway.reports)
        await owner.execute(more, theirs["level"], 1)
        await last_place(gateway)
        await asyncio.sleep(0.3)
        assert len(gateway.reports) == before
        async with owner.transaction():
            for _ in range(20):
                await owner.execute(more, ours["level"], 1)
        first, second = await asyncio.gather(*both)
        await check(first)
        assert first == second
        [report] = gateway.reports[before:]
        assert report.stats.statements <= 3
        again = asyncio.ensure_future(told(answers))
        async with owner.transaction():
            await owner.execute(more, ours["level"], 1)
            await owner.execute(more, ours["level"], -1)
        await asyncio.sleep(0.5)
        assert not again.done()
        await owner.execute(more, ours["level"], 2)
        await check(await again)
    for often in (0, 11):
        [answer] = [one async for one in listen(gateway, SUMMARY, often=often)]
        assert answer.errors[0]["extensions"]["code"] == "VALIDATION"


KEYS = """
subscription Keys {
  stockSummaryChanged(groupBy: [WAREHOUSE, PRODUCT, CATEGORY], first: 50) {
    groups { warehouse { code } product { sku } category { name } available }
  }
}
"""


async def test_a_summary_of_categories(gateway: Gateway) -> None:
    """Of what is in them or below; a change elsewhere makes none."""
    owner = gateway.owner
    inside = (
        "exists (select from product_category b where b.id = any($1) and x.path like b.path || '%')"
    )
    levels = f"""from stock_level l join product p on p.id = l.product_id
                 join product_category x on x.id = p.category_id
                 where l.company_id = 1 and {{}}{inside}"""
    [wanted] = await owner.fetch(
        "select array_agg(id) as ids from (select c.id from product_category c"
        " where c.parent_id is not null"
        " and exists (select from product p where p.category_id = c.id)"
        " order by 1 limit 2) as two"
    )
    below = [encode_id("ProductCategory", id_) for id_ in wanted["ids"]]
    query = """subscription Of($categories: [ID!]) {
      stockSummaryChanged(categoryIds: $categories, maxPerSecond: 10) { groups { count onHand } }
    }"""
    first = "select l.id {} order by l.id limit 1"
    one = await owner.fetchval(first.format(levels.format("")), wanted["ids"])
    other = await owner.fetchval(first.format(levels.format("not ")), wanted["ids"])
    more = "update stock_level set on_hand = on_hand + 1 where id = $1"
    await last_place(gateway)
    async with listening(gateway, query, categories=below) as answers:
        for step in range(2):
            [group] = (await told(answers))["groups"]
            sums = f"select count(*), sum(l.on_hand) as on_hand {levels.format('')}"
            [row] = await owner.fetch(sums, wanted["ids"])
            assert (group["count"], Decimal(group["onHand"])) == (row["count"], row["on_hand"])
            if not step:
                before = len(gateway.reports)
                await owner.execute(more, other)
                await last_place(gateway)
                assert len(gateway.reports) == before
                await owner.execute(more, one)


async def test_the_keys_of_a_summary_are_read_together(gateway: Gateway) -> None:
    """However many groups there are: one statement for each of the keys, four for the state."""
    async with listening(gateway, KEYS) as answers:
        groups = (await told(answers))["groups"]
    assert len(groups) == 50
    assert len({group["product"]["sku"] for group in groups}) > 1
    assert gateway.reports[-1].stats.statements <= 7


STATUS = """
subscription P3_MyOrderStatus($after: String) {
  orderStatusChanged(axes: ["shipment", "payment", "lifecycle"], after: $after) {
    eventId seq at axis from to reason
    order { number externalRef shipmentStatus promisedOn shipments { trackingNo state } }
  }
}
"""
BOARD = """
subscription Board($orders: [ID!], $snapshot: Boolean! = false, $after: String, $ms: Int) {
  orderStatusChanged(orderIds: $orders, snapshot: $snapshot, after: $after, coalesceMs: $ms) {
    __typename seq axis from to cause reason order { id }
    ... on OrderStatusChange { coalesced previousHold hold previousPaymentStatus paymentStatus }
    ... on OrderSnapshot { orders { id state paymentStatus } isComplete }
    ... on OrderStreamNotice { code dropped }
  }
}
"""
HELD = ("HOLD", None, "CREDIT")
SHIPPED = """
select o.id, o.number, o.shipment_status, o.payment_status, o.partner_id from sales_order o
where o.company_id = 1 and o.hold is null and o.payment_status = 'NOT_PAID'
  and exists (select from shipment s where s.order_id = o.id) order by o.id
"""
UNFINISHED = """
select id from sales_order where company_id = 1 and state <> 'CANCELED'
  and not (state = 'FULFILLED' and invoice_status = 'INVOICED' and payment_status = 'PAID')
order by id desc
"""


async def test_orders_tell_each_axis(gateway: Gateway) -> None:
    """One statement changes three, and two are asked for: each by itself, in a fixed order."""
    [order, *_] = await gateway.owner.fetch(SHIPPED)
    start = await last_place(gateway)
    await gateway.owner.execute(
        "update sales_order set hold = 'ADDRESS', payment_status = 'PAID', shipment_status ="
        " case shipment_status when 'PARTIAL' then 'NONE' else 'PARTIAL' end where id = $1",
        order["id"],
    )
    async with listening(gateway, STATUS, after=start) as answers:
        shipped, paid = [await told(answers) for _ in range(2)]
    assert (shipped["axis"], shipped["from"]) == ("SHIPMENT", order["shipment_status"])
    assert shipped["to"] == shipped["order"]["shipmentStatus"]
    assert (paid["axis"], paid["from"], paid["to"]) == ("PAYMENT", order["payment_status"], "PAID")
    assert paid["reason"] is None
    assert paid["order"] == shipped["order"]
    assert paid["order"]["number"] == order["number"]
    assert paid["order"]["shipments"]
    async with listening(gateway, BOARD, after=start) as answers:
        found = [await told(answers) for _ in range(3)]
    assert [one["axis"] for one in found] == ["HOLD", "SHIPMENT", "PAYMENT"]
    assert [one["reason"] for one in found] == ["ADDRESS", None, None]
    assert [one["previousHold"] for one in found] == [None, "ADDRESS", "ADDRESS"]
    async with listening(gateway, EVERYTHING, of=["ORDER_STATUS"], after=start) as answers:
        payloads = [(await told(answers))["payload"] for _ in range(3)]
    of_hold = {value["name"]: value["value"] for value in payloads[0]}
    assert (of_hold["axis"], of_hold["from"], of_hold["to"]) == ("HOLD", None, "ADDRESS")
    await gateway.owner.execute("update sales_order set hold = null where id = $1", order["id"])


async def test_changes_of_one_axis_become_one(gateway: Gateway) -> None:
    """From before the first to after the last, others alone; what is undone is no change."""
    owner = gateway.owner
    [order, *_] = await owner.fetch(SHIPPED)
    start = await last_place(gateway)
    turns = (
        "hold = 'ADDRESS'",
        "shipment_status = case shipment_status when 'PARTIAL' then 'NONE' else 'PARTIAL' end",
        "payment_status = 'PARTIAL', hold = 'CREDIT'",
        f"shipment_status = '{order['shipment_status']}'",
    )
    for turn in turns:
        await owner.execute(f"update sales_order set {turn} where id = $1", order["id"])
    await last_place(gateway)
    asked = EVERYTHING.replace("after: $after", "after: $after, coalesceMs: 50")
    async with (
        listening(gateway, BOARD, after=start, ms=50) as board,
        listening(gateway, asked, of=["ORDER_STATUS"], after=start) as everything,
    ):
        held, paid = [await told(board) for _ in range(2)]
        assert (held["axis"], held["from"], held["to"], held["coalesced"]) == (*HELD, 2)
        assert (paid["axis"], paid["to"], paid["coalesced"]) == ("PAYMENT", "PARTIAL", 1)
        assert held["previousPaymentStatus"] == held["paymentStatus"] == "PARTIAL"
        values = [valued(await told(everything)) for _ in range(2)]
        assert [one["axis"] for one in values] == ["HOLD", "PAYMENT"]
        assert (values[0]["axis"], values[0]["from"], values[0]["to"]) == HELD
        assert values[0]["previous_payment_status"] == values[0]["payment_status"]
        live = asyncio.gather(told(board), told(everything))
        await owner.execute("update sales_order set hold = null where id = $1", order["id"])
        released, payload = await live
    assert (released["axis"], released["from"], released["to"]) == ("HOLD", "CREDIT", None)
    assert valued(payload)["from"] == "CREDIT"
    await owner.execute(
        "update sales_order set payment_status = 'NOT_PAID' where id = $1", order["id"]
    )


async def test_stock_that_is_as_it_was_is_not_told(gateway: Gateway) -> None:
    """Told less often, a level that came back to what it had is no change; in neither stream."""
    owner = gateway.owner
    one, other = [row["id"] for row in await owner.fetch(LEVELS)]
    start = await last_place(gateway)
    more = "update stock_level set on_hand = on_hand + $2 where id = $1"
    for level, delta in ((one, 1), (other, 3), (one, -1), (other, -2)):
        await owner.execute(more, level, Decimal(delta))
    asked = STOCK.replace("after: $after", "after: $after, coalesceMs: 50")
    async with listening(gateway, asked, after=start) as answers:
        found = await told(answers)
    assert (found["level"]["id"], found["delta"]) == (encode_id("StockLevel", other), "1.0000")
    asked = EVERYTHING.replace("after: $after", "after: $after, coalesceMs: 50")
    async with listening(gateway, asked, of=["STOCK"], after=start) as answers:
        found = await told(answers)
    assert (found["entityId"], found["coalesced"]) == (encode_id("StockLevel", other), 2)


async def test_events_of_before_are_still_told(gateway: Gateway) -> None:
    """Those of several axes as the first that is asked for, those of a STATE as LIFECYCLE."""
    owner = gateway.owner
    [order, *_] = await owner.fetch(SHIPPED)
    start = await last_place(gateway)
    columns = {"hold": "ADDRESS", "shipment_status": "SHIPPED", "payment_status": "PAID"}
    payload = {"order_id": order["id"], "partner_id": order["partner_id"], "version": 7}
    for name in ("state", "hold", "reservation_status", "shipment_status", "invoice_status"):
        payload |= {name: columns.get(name, "NONE"), f"previous_{name}": "NONE"}
    payload |= {"payment_status": "PAID", "previous_payment_status": "NOT_PAID", "cause": "HOLD"}
    placed = {"previous_state": "PLACED", "state": "CONFIRMED"}
    for one in (payload, payload | {"axis": "STATE", "from": "PLACED"} | placed):
        await owner.execute(
            "insert into outbox_event (company_id, topic, entity, entity_id, payload)"
            " values (1, 'order.status_changed', 'SalesOrder', $1, $2::jsonb)",
            *(order["id"], json.dumps(one)),
        )
    async with listening(gateway, STATUS, after=start) as answers:
        found, state = [await told(answers) for _ in range(2)]
    assert (found["axis"], found["from"], found["to"]) == ("SHIPMENT", "NONE", "SHIPPED")
    assert found["order"]["number"] == order["number"]
    assert (state["axis"], state["from"], state["to"]) == ("LIFECYCLE", "PLACED", "CONFIRMED")


async def test_orders_as_they_are(gateway: Gateway) -> None:
    """At the start those that are not finished, or those that are named; each sees its own."""
    owner = gateway.owner
    unfinished = [encode_id("SalesOrder", row["id"]) for row in await owner.fetch(UNFINISHED)]
    async with listening(gateway, BOARD, snapshot=True) as answers:
        state = await told(answers)
        live = asyncio.ensure_future(told(answers))
        await owner.execute(
            "update sales_order set hold = 'CREDIT' where id = (select min(id) from sales_order"
            " where company_id = 1 and hold is null)"
        )
        change = await live
    assert (state["__typename"], state["reason"]) == ("OrderSnapshot", "STARTED")
    assert [order["id"] for order in state["orders"]] == unfinished
    assert state["isComplete"]
    assert state["axis"] is state["order"] is None
    assert int(change["seq"]) > int(state["seq"])
    [done] = await owner.fetch(
        "select id, partner_id from sales_order where company_id = 1 and state = 'CANCELED' limit 1"
    )
    wanted = {encode_id("SalesOrder", done["id"]), unfinished[0]}
    bound = principal(partner_id=done["partner_id"])
    other = next(
        row["id"] for row in await owner.fetch(SHIPPED) if row["partner_id"] != done["partner_id"]
    )
    for caller, named, shown in (
        (None, wanted, wanted),
        (bound, {encode_id("SalesOrder", done["id"])}, {encode_id("SalesOrder", done["id"])}),
        (bound, {encode_id("SalesOrder", other)}, set()),
    ):
        asked = sorted(named)
        async with listening(gateway, BOARD, caller, snapshot=True, orders=asked) as answers:
            assert {order["id"] for order in (await told(answers))["orders"]} == shown


async def test_a_state_of_too_many_orders_is_cut_short(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest are told, and that there are more; the stream goes on."""
    monkeypatch.setattr("schema.sales.subscription.MOST_ORDERS", 3)
    async with listening(gateway, BOARD, snapshot=True) as answers:
        state = await told(answers)
    newest = [row["id"] for row in await gateway.owner.fetch(f"{UNFINISHED} limit 3")]
    assert [order["id"] for order in state["orders"]] == [
        encode_id("SalesOrder", key) for key in newest
    ]
    assert not state["isComplete"]


async def test_orders_that_are_too_old_are_told_as_they_are(gateway: Gateway) -> None:
    """In one message with a new cursor, to whoever selects nothing of a state too."""
    owner = gateway.owner
    turn = "update sales_order set payment_status = $2 where id = $1"
    [order, *_] = await owner.fetch(SHIPPED)
    for status in ("PAID", "PARTIAL"):
        await owner.execute(turn, order["id"], status)
    last = await last_place(gateway)
    await owner.execute("delete from outbox_event where pub_seq < $1", int(last))
    async with (
        listening(gateway, STATUS, after="0") as slim,
        listening(gateway, BOARD, after="0") as whole,
    ):
        state, full = await told(slim), await told(whole)
        assert (state["reason"], state["seq"]) == (full["reason"], full["seq"]) == ("TOO_OLD", last)
        assert state["eventId"] is state["axis"] is state["order"] is None
        statuses = {one["id"]: one["paymentStatus"] for one in full["orders"]}
        assert statuses[encode_id("SalesOrder", order["id"])] == "PARTIAL"
        live = asyncio.gather(told(slim), told(whole))
        await owner.execute(turn, order["id"], "NOT_PAID")
        for change in await live:
            assert (change["axis"], change["from"], change["to"]) == (
                "PAYMENT",
                "PARTIAL",
                "NOT_PAID",
            )


async def test_changes_of_orders_that_are_dropped_are_counted(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads too slowly, and asked for that, is told how many it missed, and then goes on."""
    owner = gateway.owner
    monkeypatch.setattr(gateway.runtime.executor.live, "queue", 2)
    asked = BOARD.replace("coalesceMs: $ms", "coalesceMs: $ms, whenSlow: DROP")
    turn = "update sales_order set hold = $2 where id = $1"
    [order, *_] = await owner.fetch(SHIPPED)
    # after the changes of tests before this one, which may not have their places yet
    async with listening(gateway, asked, after=await last_place(gateway)) as answers:
        first = asyncio.ensure_future(told(answers))
        await gateway.runtime.follower.started()
        live = gateway.runtime.executor.live
        async with asyncio.timeout(SOON):
            while not any(one.is_live for one in live.subscribers):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            async with owner.transaction():
                for hold in ("ADDRESS", "CREDIT", None, "MANUAL", None, "PAYMENT", None):
                    await owner.execute(turn, order["id"], hold)
            found = [await first]
            while sum(one.get("dropped", 1) for one in found) < 7:
                found.append(await told(answers))
        assert sum(one.get("dropped", 1) for one in found) == 7
        notice = next(one for one in found if one["__typename"] == "OrderStreamNotice")
        assert (notice["reason"], notice["code"]) == ("DROPPED", "DROPPED")
        assert notice["axis"] is notice["order"] is None
        after = asyncio.ensure_future(told(answers))
        await owner.execute(turn, order["id"], "ADDRESS")
        assert (await after)["to"] == "ADDRESS"
    await owner.execute(turn, order["id"], None)


async def test_orders_and_their_changes_are_the_orders_of_later(gateway: Gateway) -> None:
    """While others write without a pause, whoever comes has state and changes that fit."""
    owner, writing = gateway.owner, True
    rows = [row["id"] for row in (await owner.fetch(SHIPPED))[:3]]
    keys = [encode_id("SalesOrder", key) for key in rows]

    async def write() -> None:
        while writing:
            await owner.execute(
                "update sales_order set payment_status = case payment_status when 'PARTIAL' then"
                " 'NOT_PAID' else 'PARTIAL' end where id = any($1)",
                rows,
            )

    async def follow() -> None:
        board: dict[str, str] = {}
        async with listening(gateway, BOARD, snapshot=True, orders=keys) as answers:
            for number in range(20):
                item = await told(answers)
                if not number:
                    board = {order["id"]: order["paymentStatus"] for order in item["orders"]}
                    assert sorted(board) == sorted(keys)
                    continue
                key = item["order"]["id"]
                assert item["from"] == board[key], "no change is lost, and none told that it shows"
                board[key] = item["to"]

    writer = asyncio.create_task(write())
    try:
        for _ in range(3):
            await asyncio.gather(follow(), follow())
    finally:
        writing = False
        await writer

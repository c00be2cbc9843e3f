"""Adjusting stock and watching it: the command, its trail, and the events subscribers get."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise
from typing import Any

from gateway.verify import verify
from resolvers.core.principal import Principal
from schema.core.execution import GraphQLRequest
from schema.core.ids import encode_id
from tests.fixtures.deliveries import hearing
from tests.fixtures.gateway import Gateway, principal

ADJUST = """
mutation Adjust($key: String!, $lines: [StockAdjustmentInput!]!) {
  adjustStock(idempotencyKey: $key, lines: $lines) {
    moves { id qty kind reason fromLocation { kind } toLocation { kind } }
    levels { id version onHand reserved available }
    userErrors { code message path details }
  }
}
"""
WATCH = """
subscription Watch($filter: StockChangeFilter) {
  stockChanged(filter: $filter) {
    ... on StockChange {
      seq cause crossing previousAvailable available previousOnHand onHand
      level { version onHand product { sku } warehouse { code } }
    }
  }
}
"""


async def a_place(gateway: Gateway, *, reserved: bool = False) -> dict[str, Any]:
    """Return a sellable place of company 1 with at least 5 in stock that nothing is promised of."""
    condition = "s.reserved > 0" if reserved else "s.reserved = 0"
    row = await gateway.owner.fetchrow(
        f"""
        select s.id as level_id, p.sku, p.id as product_id, b.location_id, b.on_hand,
               s.on_hand as level, s.reserved, s.version, s.warehouse_id
        from stock_level s join product p on p.id = s.product_id
        join stock_location l on l.warehouse_id = s.warehouse_id and l.sellable
        join stock_balance b on b.location_id = l.id and b.product_id = p.id
        where s.company_id = 1 and p.archived_at is null and b.on_hand >= 5 and {condition}
        order by s.id limit 1
        """
    )
    assert row is not None
    return dict(row)


def global_id(type_name: str, key: int) -> str:
    """Return a global id as clients get it."""
    return encode_id(type_name, key)


def a_line(place: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return an input line for a place."""
    return {
        "sku": place["sku"],
        "locationId": global_id("StockLocation", place["location_id"]),
        "reason": "damaged",
        **changes,
    }


async def adjust(gateway: Gateway, key: str, *lines: dict[str, Any]) -> Any:
    """Run adjustStock and return its payload."""
    data = await gateway.data(ADJUST, {"key": key, "lines": list(lines)})
    return data["adjustStock"]


@asynccontextmanager
async def watching(
    gateway: Gateway, filter_: dict[str, Any] | None = None, *, caller: Principal | None = None
) -> AsyncIterator[asyncio.Queue[Any]]:
    """Subscribe for as long as the block lasts; yields the queue its answers go to."""
    executor, who = gateway.runtime.executor, caller or principal()
    prepared = executor.prepare(GraphQLRequest(WATCH, None, {"filter": filter_}), known_caller=True)
    got: asyncio.Queue[Any] = asyncio.Queue()

    async def read() -> None:
        stream = executor.subscribe(prepared, lambda: gateway.runtime.open_context(who, "watch"))
        async for answer in hearing(stream):
            await got.put(answer)

    await gateway.runtime.follower.started()
    before = gateway.runtime.broker.listeners
    reader = asyncio.create_task(read())
    while gateway.runtime.broker.listeners == before:  # noqa: ASYNC110 - a broker tells nobody
        await asyncio.sleep(0.005)
    try:
        yield got
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def test_an_adjustment_is_posted_with_all_its_trail(own_gateway: Gateway) -> None:
    """Ledger, balance, level, audit and event agree after one command."""
    place = await a_place(own_gateway)
    payload = await adjust(own_gateway, "k1", a_line(place, delta="-2.5"))
    assert payload["userErrors"] == []
    [move] = payload["moves"]
    assert move["qty"] == "2.5000"
    assert move["kind"] == "ADJUSTMENT"
    assert move["fromLocation"]["kind"] == "INTERNAL"
    assert move["toLocation"]["kind"] == "LOSS"
    [level] = payload["levels"]
    assert Decimal(level["onHand"]) == place["level"] - Decimal("2.5")
    assert int(level["version"]) == place["version"] + 1
    trail = await own_gateway.owner.fetchrow("select * from audit_log order by id desc limit 1")
    assert trail is not None
    assert (trail["actor"], trail["operation"], trail["entity"]) == (
        "user:1",
        "adjustStock",
        "StockMove",
    )
    assert own_gateway.statements == 15
    assert not [broken for broken in await verify(url_of(own_gateway)) if broken.rows]


def url_of(gateway: Gateway) -> str:
    """Return the owner's URL of a gateway's database."""
    url = gateway.runtime.settings.database_url
    assert url is not None
    return url.get_secret_value()


async def test_the_same_key_changes_stock_once(own_gateway: Gateway) -> None:
    """Fifty requests with one key at once post one move, and all get that move."""
    place = await a_place(own_gateway)
    line = a_line(place, delta="-1")
    answers = await asyncio.gather(*(adjust(own_gateway, "same", line) for _ in range(50)))
    moves = {answer["moves"][0]["id"] for answer in answers}
    assert len(moves) == 1
    on_hand = await own_gateway.owner.fetchval(
        "select on_hand from stock_level where id = $1", place["level_id"]
    )
    assert on_hand == place["level"] - 1


async def test_a_key_of_another_request_is_refused(own_gateway: Gateway) -> None:
    """A key names one request: with other lines it is refused and nothing is posted."""
    place = await a_place(own_gateway)
    await adjust(own_gateway, "mine", a_line(place, delta="-1"))
    again = await adjust(own_gateway, "mine", a_line(place, delta="-2"))
    assert [e["code"] for e in again["userErrors"]] == ["IDEMPOTENCY_MISMATCH"]
    assert again["moves"] == []


async def test_a_refused_request_leaves_its_key_free(own_gateway: Gateway) -> None:
    """A refusal writes nothing, so the corrected request may use the key."""
    place = await a_place(own_gateway)
    refused = await adjust(own_gateway, "k", a_line(place, delta="-100000"))
    assert [e["code"] for e in refused["userErrors"]] == ["INSUFFICIENT_STOCK"]
    done = await adjust(own_gateway, "k", a_line(place, delta="-1"))
    assert done["userErrors"] == []


async def test_all_lines_or_none(own_gateway: Gateway) -> None:
    """One bad line keeps the good ones from being posted, and is named by its path."""
    place = await a_place(own_gateway)
    before = await own_gateway.owner.fetchval("select count(*) from stock_move")
    payload = await adjust(
        own_gateway, "k", a_line(place, delta="-1"), a_line(place, sku="NO-SUCH", delta="1")
    )
    assert [e["path"] for e in payload["userErrors"]] == [["lines", "1", "sku"]]
    assert await own_gateway.owner.fetchval("select count(*) from stock_move") == before


async def test_a_stale_version_is_refused_with_the_current_one(own_gateway: Gateway) -> None:
    """Two people who saw the same version cannot both correct it."""
    place = await a_place(own_gateway)
    version = str(place["version"])
    first = await adjust(own_gateway, "a", a_line(place, delta="-1", expectedVersion=version))
    second = await adjust(own_gateway, "b", a_line(place, delta="-1", expectedVersion=version))
    assert first["userErrors"] == []
    [error] = second["userErrors"]
    assert error["code"] == "CONFLICT_VERSION"
    assert error["details"]["version"] == str(place["version"] + 1)


async def test_sixteen_writers_lose_nothing_and_never_deadlock(own_gateway: Gateway) -> None:
    """Lines in any order, many at once: every acknowledged change is there, none oversold."""
    places = await own_gateway.owner.fetch(
        """
        select p.sku, b.location_id, s.id as level_id, s.on_hand
        from stock_level s join product p on p.id = s.product_id
        join stock_location l on l.warehouse_id = s.warehouse_id and l.sellable
        join stock_balance b on b.location_id = l.id and b.product_id = p.id
        where s.company_id = 1 and p.archived_at is null and s.reserved = 0 and b.on_hand >= 40
        order by s.id limit 3
        """
    )
    assert len(places) == 3

    async def worker(number: int) -> int:
        done = 0
        for round_ in range(10):
            turned = [*places[number % 3 :], *places[: number % 3]]
            lines = [a_line(dict(p), delta="-1") for p in turned]
            payload = await adjust(own_gateway, f"w{number}-{round_}", *lines)
            done += not payload["userErrors"]
            assert all(e["code"] == "INSUFFICIENT_STOCK" for e in payload["userErrors"])
        return done

    done = sum(await asyncio.gather(*(worker(n) for n in range(16))))
    for place in places:
        left = await own_gateway.owner.fetchval(
            "select on_hand from stock_level where id = $1", place["level_id"]
        )
        assert left == place["on_hand"] - done
    assert not [broken for broken in await verify(url_of(own_gateway)) if broken.rows]


async def test_a_subscriber_sees_a_change_with_what_it_did(own_gateway: Gateway) -> None:
    """The event tells before and after, and the level it selects is read afresh."""
    place = await a_place(own_gateway)
    async with watching(own_gateway) as got:
        await adjust(own_gateway, "k", a_line(place, delta="-2"))
        answer = await asyncio.wait_for(got.get(), 5)
    assert answer.errors == []
    change = answer.data["stockChanged"]
    assert change["cause"] == "ADJUSTMENT"
    assert Decimal(change["previousOnHand"]) - Decimal(change["onHand"]) == 2
    assert Decimal(change["level"]["onHand"]) == Decimal(change["onHand"])
    assert change["level"]["product"]["sku"] == place["sku"]


async def test_every_change_arrives_once_and_in_order(own_gateway: Gateway) -> None:
    """Twenty changes are twenty events, in order, each continuing where the last ended."""
    place = await a_place(own_gateway)
    async with watching(own_gateway) as got:
        for n in range(20):
            await adjust(own_gateway, f"k{n}", a_line(place, delta="1"))
        changes = [(await asyncio.wait_for(got.get(), 5)).data["stockChanged"] for _ in range(20)]
        assert got.empty()
    places = [int(change["seq"]) for change in changes]
    assert places == sorted(set(places))
    for earlier, later in pairwise(changes):
        assert later["previousOnHand"] == earlier["onHand"]


async def test_a_change_by_plain_sql_arrives(own_gateway: Gateway) -> None:
    """The event is born with the row, so it does not matter who wrote it."""
    place = await a_place(own_gateway)
    async with watching(own_gateway) as got:
        await own_gateway.owner.execute(
            "update stock_level set on_hand = on_hand + 1 where id = $1", place["level_id"]
        )
        answer = await asyncio.wait_for(got.get(), 5)
    assert answer.data["stockChanged"]["cause"] == "EXTERNAL"


async def test_a_change_by_another_process_arrives(own_gateway: Gateway) -> None:
    """A process that knows nothing of us changes a row; our subscriber sees it."""
    place = await a_place(own_gateway)
    program = (
        "import asyncio, asyncpg, sys\n"
        "async def main():\n"
        "    c = await asyncpg.connect(sys.argv[1])\n"
        "    await c.execute('update stock_level set on_hand = on_hand + 3 where id = $1',"
        " int(sys.argv[2]))\n"
        "    await c.close()\n"
        "asyncio.run(main())\n"
    )
    async with watching(own_gateway) as got:
        command = [sys.executable, "-c", program, url_of(own_gateway), str(place["level_id"])]
        await asyncio.to_thread(subprocess.run, command, check=True, timeout=30)
        answer = await asyncio.wait_for(got.get(), 5)
    assert answer.data["stockChanged"]["level"]["product"]["sku"] == place["sku"]


async def test_a_rolled_back_change_is_never_told(own_gateway: Gateway) -> None:
    """What did not happen is not published; the next change is."""
    place = await a_place(own_gateway)
    async with watching(own_gateway) as got:
        transaction = own_gateway.owner.transaction()
        await transaction.start()
        await own_gateway.owner.execute(
            "update stock_level set on_hand = on_hand + 7 where id = $1", place["level_id"]
        )
        await transaction.rollback()
        await adjust(own_gateway, "k", a_line(place, delta="1"))
        answer = await asyncio.wait_for(got.get(), 5)
        assert got.empty()
    assert answer.data["stockChanged"]["cause"] == "ADJUSTMENT"


async def test_filters_choose_what_is_told(own_gateway: Gateway) -> None:
    """A subscriber with a threshold hears of crossings only, and of its own products only."""
    place = await a_place(own_gateway)
    below = Decimal(place["level"]) - 1
    filter_ = {
        "productIds": [global_id("Product", place["product_id"])],
        "warehouseIds": [global_id("Warehouse", place["warehouse_id"])],
        "availableBelow": f"{below:f}",
        "crossingOnly": True,
    }
    async with watching(own_gateway, filter_) as got:
        await adjust(own_gateway, "k1", a_line(place, delta="-1"))  # reaches it, does not cross
        await adjust(own_gateway, "k2", a_line(place, delta="-1"))  # crosses it
        await adjust(own_gateway, "k3", a_line(place, delta="-1"))  # is below already
        await adjust(own_gateway, "k4", a_line(place, delta="3"))  # crosses it upwards
        told = [(await asyncio.wait_for(got.get(), 5)).data["stockChanged"] for _ in range(2)]
        assert got.empty()
    assert [change["crossing"] for change in told] == ["FELL_BELOW", "ROSE_ABOVE"]


async def test_other_companies_hear_nothing(own_gateway: Gateway) -> None:
    """An event goes to the subscribers of its company."""
    place = await a_place(own_gateway)
    other = await own_gateway.owner.fetchval(
        "select id from stock_level where company_id = 2 order by id limit 1"
    )
    async with watching(own_gateway) as got:
        await own_gateway.owner.execute(
            "update stock_level set on_hand = on_hand + 1 where id = $1", other
        )
        await adjust(own_gateway, "k", a_line(place, delta="1"))
        answer = await asyncio.wait_for(got.get(), 5)
        assert got.empty()
    assert answer.data["stockChanged"]["level"]["product"]["sku"] == place["sku"]

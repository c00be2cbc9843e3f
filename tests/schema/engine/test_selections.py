"""Below the root fields of mutations and subscriptions: plans, and the same bytes as without."""

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import orjson
import pytest

from schema.engine.run import Asked, Compiled
from tests.fixtures.equality import engine_of, prepared
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, principal
from tests.fixtures.paths import BothPaths
from tests.fixtures.recording import record
from tests.flows.test_live_stock import WATCH, a_line, a_place, adjust, watching

SOON = 5.0
ADJUST = """
mutation Adjust($key: String!, $lines: [StockAdjustmentInput!]!, $deep: Boolean = true) {
  done: adjustStock(idempotencyKey: $key, lines: $lines) {
    __typename
    moves { id qty kind ...Ends product { sku } }
    levels {
      ...Level
      product @include(if: $deep) { sku name category { name } ofCompany { standardCost } }
      balances { onHand location { code } }
    }
    userErrors { __typename code message path details }
  }
}
fragment Ends on StockMove { fromLocation { kind } toLocation { kind code } }
fragment Level on StockLevel { id version onHand reserved available warehouse { code name } }
"""


async def places(gateway: Gateway, count: int) -> list[dict[str, Any]]:
    """Return sellable places of company 1 with goods, each of another product."""
    rows = await gateway.owner.fetch(
        """
        select distinct on (p.id) p.sku, b.location_id
        from stock_balance b join product p on p.id = b.product_id
        join stock_location l on l.id = b.location_id and l.sellable
        where l.company_id = 1 and p.archived_at is null and b.on_hand >= 1
        order by p.id limit $1
        """,
        count,
    )
    assert len(rows) == count
    return [dict(row) for row in rows]


def outcomes(gateway: Gateway) -> dict[str, int]:
    """Return how often ordinary execution had to answer, by reason."""
    return dict(engine_of(gateway).fallbacks)


@pytest.mark.parametrize("permissions", [EVERY_PERMISSION, EVERY_PERMISSION - {"cost.read"}])
@pytest.mark.parametrize("deep", [True, False])
async def test_a_payload(
    own_reader: BothPaths,
    permissions: frozenset[str],
    deep: bool,  # noqa: FBT001
) -> None:
    """What a command did is told alike, also where a part of it is masked."""
    lines = [a_line(place, delta="1") for place in await places(own_reader.compiled, 3)]
    caller = principal(permissions=permissions)
    # the second of the two is a retry, which changes nothing and tells the same
    answer = await own_reader.run(ADJUST, {"key": "k", "lines": lines, "deep": deep}, caller=caller)
    assert answer.data is not None
    assert len(answer.data["done"]["levels"]) == 3
    masked = deep and "cost.read" not in permissions
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"] * masked
    assert outcomes(own_reader.compiled) == {}


async def test_a_refusal(own_reader: BothPaths) -> None:
    """A refused command made nothing; what stands in its way is read like anything else."""
    [place] = await places(own_reader.compiled, 1)
    variables = {"key": "k", "lines": [a_line(place, delta="-1000000")]}
    refused = (await own_reader.data(ADJUST, variables))["done"]
    assert refused["moves"] == []
    assert len(refused["levels"]) == 1
    assert refused["userErrors"][0]["code"] == "INSUFFICIENT_STOCK"
    assert outcomes(own_reader.compiled) == {}


async def test_statements_of_a_payload(own_reader: BothPaths) -> None:
    """What was done is read in a statement for each relation, for 5 lines as for 50."""
    found = await places(own_reader.compiled, 55)
    # left out is what may be known already: locations as ends of moves, products of moves
    query = ADJUST.replace("balances { onHand location { code } }", "balances { onHand }")
    query = query.replace("...Ends product { sku }", "...Ends")
    for size, some in ((5, found[:5]), (50, found[5:])):
        for gateway in (own_reader.compiled, own_reader.ordinary):
            lines = [a_line(place, delta="1") for place in some]
            variables = {"key": f"{size} {gateway is own_reader.compiled}", "lines": lines}
            recorded = await record(gateway.runtime, query, variables, principal())
            assert not recorded.answer.errors
            # levels, moves, products, categories, costs, warehouses, balances, ends of moves
            assert (recorded.statements, recorded.transactions) == (8, 1)


@pytest.mark.parametrize("compiled", [True, False])
async def test_root_fields_see_what_those_before_them_did(
    own_reader: BothPaths,
    compiled: bool,  # noqa: FBT001
) -> None:
    """Mutations run one after the other, and none tells what another read before it wrote."""
    gateway = own_reader.compiled if compiled else own_reader.ordinary
    [place] = await places(gateway, 1)
    fields = " ".join(
        f'f{n}: adjustStock(idempotencyKey: "s{n}", lines: $lines) {{ levels {{ onHand }} }}'
        for n in range(3)
    )
    query = f"mutation Several($lines: [StockAdjustmentInput!]!) {{ {fields} }}"
    data = await gateway.data(query, {"lines": [a_line(place, delta="1")]})
    shown = [Decimal(data[f"f{n}"]["levels"][0]["onHand"]) for n in range(3)]
    assert shown == [shown[0], shown[0] + 1, shown[0] + 2]


async def test_a_command_runs_once_whatever_its_payload_does(
    own_gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a plan fails, the payload is completed field by field; the command is not repeated."""
    [place] = await places(own_gateway, 1)
    before = await own_gateway.owner.fetchval("select count(*) from stock_move")

    async def failing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("boom")

    monkeypatch.setattr(Compiled, "run", failing)
    lines = [a_line(place, delta="2")]
    data = await own_gateway.data(ADJUST, {"key": "once", "lines": lines})
    assert len(data["done"]["moves"]) == 1
    assert outcomes(own_gateway) == {"RuntimeError": 1}
    assert await own_gateway.owner.fetchval("select count(*) from stock_move") == before + 1


async def test_an_event(own_reader: BothPaths) -> None:
    """Both ways tell a change alike, and a plan takes no more statements."""
    place = await a_place(own_reader.compiled)
    masked = principal(permissions=EVERY_PERMISSION - {"stock.read"})
    async with AsyncExitStack() as stack:
        queues = [
            await stack.enter_async_context(watching(gateway, caller=caller))
            for caller in (principal(), masked)
            for gateway in (own_reader.compiled, own_reader.ordinary)
        ]
        await adjust(own_reader.compiled, "event", a_line(place, delta="3"))
        bodies = [
            orjson.dumps((await asyncio.wait_for(queue.get(), SOON)).body()) for queue in queues
        ]
    assert bodies[0] == bodies[1]
    assert bodies[2] == bodies[3]
    assert b'"errors"' in bodies[2]
    assert outcomes(own_reader.compiled) == {}
    ways = (own_reader.compiled, own_reader.ordinary)
    counted = [{r.stats.statements for r in way.reports if r.name == "Watch"} - {0} for way in ways]
    assert counted == [{3}, {3}]


async def test_one_run_serves_many_events(own_gateway: Gateway) -> None:
    """A plan takes as many rows as there are, in as many statements, each answered by itself."""
    ready = prepared(own_gateway, WATCH, {})
    asked = Asked(ready.operation, ready.source.fragments, {}, {}, EVERY_PERMISSION)
    nodes = [ready.operation.selection_set.selections[0]]
    change = engine_of(own_gateway).schema.type_map["StockChange"]
    plan = engine_of(own_gateway).compiled_below(asked, nodes, change)  # type: ignore[arg-type]
    assert isinstance(plan, Compiled)
    levels = await own_gateway.owner.fetch(
        "select id from stock_level where company_id = 1 order by id limit 20"
    )
    told = {**dict.fromkeys(plan.plan.root.columns, "1"), "crossing": "NONE"}
    rows = [{**told, "level_id": level["id"]} for level in levels]
    async with own_gateway.runtime.open_context(principal(), "test") as context:
        together = await plan.run(context, ready.variable_values, rows)
        assert context.stats.statements == 3
        single = [(await plan.run(context, ready.variable_values, [row]))[0] for row in rows]
    assert together == single
    assert len({answer["level"]["product"]["sku"] for answer in together}) > 1


async def test_objects_of_several_types_have_a_plan_each(own_gateway: Gateway) -> None:
    """A root field whose object is now of this type and now of that one mixes up no plans."""
    engine = engine_of(own_gateway)
    ready = prepared(own_gateway, "subscription Any { stockChanged { __typename } }")
    asked = Asked(ready.operation, ready.source.fragments, {}, {}, EVERY_PERMISSION)
    nodes = [ready.operation.selection_set.selections[0]]
    names = []
    async with own_gateway.runtime.open_context(principal(), "test") as context:
        for name in ("StockChange", "StockLevel", "StockChange"):
            plan = engine.compiled_below(asked, nodes, engine.schema.type_map[name])  # type: ignore[arg-type]
            assert isinstance(plan, Compiled)
            [answer] = await plan.run(context, ready.variable_values, [{}])
            names.append(answer["__typename"])
    assert names == ["StockChange", "StockLevel", "StockChange"]


async def test_an_event_whose_plan_fails(
    own_gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is told all the same."""
    place = await a_place(own_gateway)

    async def failing(*_: Any) -> Any:
        raise RuntimeError("boom")

    monkeypatch.setattr(Compiled, "run", failing)
    async with watching(own_gateway) as queue:
        await adjust(own_gateway, "event", a_line(place, delta="3"))
        answer = await asyncio.wait_for(queue.get(), SOON)
    assert not answer.errors
    assert answer.data["stockChanged"]["level"]["product"]["sku"] == place["sku"]

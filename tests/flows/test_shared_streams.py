"""What all who watch have in common: one evaluation, counted in statements; the state, exactly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from schema.core.ids import encode_id
from tests.fixtures.deliveries import Heard, hearing
from tests.fixtures.gateway import Gateway, principal
from tests.fixtures.recording import prepared

SOON = 20
WATCH = """
subscription Watch($filter: StockChangeFilter) {
  stockChanged(filter: $filter) {
    ... on StockChange { seq available level { product { sku } warehouse { code } } }
  }
}
"""
BOARD = """
subscription Board($filter: StockChangeFilter, $after: String) {
  stockChanged(filter: $filter, snapshot: true, after: $after) {
    ... on StockSnapshot { seq reason levels { id onHand reserved available product { sku } } }
    ... on StockChange { seq onHand available level { id } }
  }
}
"""
CHANGE = (
    "update stock_level set on_hand = on_hand + 1 where id in"
    " (select id from stock_level where company_id = 1 order by id limit $1)"
)


@asynccontextmanager
async def watching(
    gateway: Gateway, text: str, filters: list[dict[str, Any] | None]
) -> AsyncIterator[list["asyncio.Queue[Heard]"]]:
    """Subscribe once for each filter, for as long as the block lasts."""
    queues: list[asyncio.Queue[Heard]] = [asyncio.Queue() for _ in filters]

    async def read(filter_: dict[str, Any] | None, queue: "asyncio.Queue[Heard]") -> None:
        ready = prepared(gateway.runtime, text, {"filter": filter_})
        subscriber = gateway.runtime.executor.subscribe(
            ready, lambda: gateway.runtime.open_context(principal(), "watch")
        )
        async for answer in hearing(subscriber):
            await queue.put(answer)

    await gateway.runtime.follower.started()
    async with AsyncExitStack() as stack:
        for filter_, queue in zip(filters, queues, strict=True):
            reader = asyncio.create_task(read(filter_, queue))
            stack.callback(reader.cancel)
        live = gateway.runtime.executor.live
        async with asyncio.timeout(SOON):
            while sum(s.is_live for s in live.subscribers) < len(filters):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        yield queues


async def heard(queue: "asyncio.Queue[Heard]", number: int) -> list[dict[str, Any]]:
    """Return the next things told."""
    told = []
    for _ in range(number):
        answer = await asyncio.wait_for(queue.get(), SOON)
        assert not answer.errors, answer.errors
        assert answer.data is not None
        told.append(answer.data["stockChanged"])
    return told


async def test_a_hundred_screens_cost_as_much_as_one(own_gateway: Gateway) -> None:
    """Changes of one moment are read in three statements, for all who ask the same together."""
    levels = await own_gateway.owner.fetch(
        "select id, product_id, warehouse_id from stock_level where company_id = 1"
        " order by id limit 50"
    )
    of_one = [level["product_id"] for level in levels[:10]]
    filters: list[dict[str, Any] | None] = [None] * 50
    filters += [{"productIds": [encode_id("Product", key)]} for key in of_one] * 5
    async with watching(own_gateway, WATCH, filters) as queues:
        assert own_gateway.runtime.executor.live.groups == 1
        evaluated = own_gateway.runtime.executor.live.evaluated
        own_gateway.reports.clear()
        await own_gateway.owner.execute(CHANGE, 50)
        everything = [await heard(queue, 50) for queue in queues[:50]]
        for queue, product in zip(queues[50:], of_one * 5, strict=True):
            wanted = sum(level["product_id"] == product for level in levels)
            assert len(await heard(queue, wanted)) == wanted
    assert all(told == everything[0] for told in everything)
    assert own_gateway.runtime.executor.live.evaluated - evaluated == 50
    counted = [report.stats.statements for report in own_gateway.reports]
    assert sum(counted) == 3 * len(counted) <= 6, "one batch, or two where the log was read twice"


async def test_the_state_is_of_one_moment_in_few_statements(own_gateway: Gateway) -> None:
    """The transaction, where the log is, which levels, and one statement for each relation."""
    async with watching(own_gateway, BOARD, [None]) as [queue]:
        [state] = await heard(queue, 1)
        assert own_gateway.statements == 6
        stored = await own_gateway.owner.fetch(
            "select on_hand::text, reserved::text from stock_level where company_id = 1 order by id"
        )
        assert [(level["onHand"], level["reserved"]) for level in state["levels"]] == [
            (level["on_hand"], level["reserved"]) for level in stored
        ]
        assert state["reason"] == "STARTED"
        assert own_gateway.runtime.reads.state().in_use == 0, "no connection stays with it"


async def test_state_and_changes_are_the_state_of_later(own_gateway: Gateway) -> None:
    """While others write without a pause, whoever comes has state and changes that fit."""
    writing = True

    async def write() -> None:
        while writing:
            await own_gateway.owner.execute(CHANGE, 5)

    writer = asyncio.create_task(write())
    boards: list[dict[str, str]] = []
    try:
        for _ in range(5):
            async with watching(own_gateway, BOARD, [None, None]) as queues:
                for queue in queues:
                    board: dict[str, str] = {}
                    for told in await heard(queue, 30):
                        if "levels" in told:
                            assert not board
                            board = {level["id"]: level["onHand"] for level in told["levels"]}
                            continue
                        level = told["level"]["id"]
                        assert float(told["onHand"]) == float(board[level]) + 1, "none too many"
                        board[level] = told["onHand"]
                    boards.append(board)
    finally:
        writing = False
        await writer
    assert len(boards) == 10


@pytest.mark.parametrize(
    ("filter_", "condition"),
    [
        ({"availableBelow": "20"}, "on_hand - reserved < 20"),
        ({"warehouseIds": [encode_id("Warehouse", 1)]}, "warehouse_id = 1"),
        (
            {"warehouseIds": [encode_id("Warehouse", 1)], "availableBelow": "0"},
            "warehouse_id = 1 and on_hand - reserved < 0",
        ),
    ],
)
async def test_the_state_shows_what_the_filter_wants(
    gateway: Gateway, filter_: dict[str, Any], condition: str
) -> None:
    """The levels that one will be told changes of, and no others."""
    async with watching(gateway, BOARD, [filter_]) as [queue]:
        [state] = await heard(queue, 1)
    number = await gateway.owner.fetchval(
        f"select count(*) from stock_level where company_id = 1 and {condition}"
    )
    assert len(state["levels"]) == number

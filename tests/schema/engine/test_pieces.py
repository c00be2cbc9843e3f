"""Large answers in pieces. That they are equal to others is what every query of the tests asks."""

from collections.abc import AsyncIterator, Mapping
from itertools import chain
from typing import Any

import orjson
import pytest
import pytest_asyncio

from resolvers.core.context import OperationStats
from resolvers.core.principal import Principal
from schema.core.execution import Answer, GraphQLRequest
from schema.engine.pieces import ROWS, InPieces, RootList, joined
from schema.engine.run import Compiled
from tests.fixtures.equality import compiled
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, open_gateway, principal
from tests.fixtures.paths import TALLY, BothPaths

LARGE = """query Large($first: Int!) {
  accounts(first: 100) {
    nodes { code lines(first: $first) { nodes { debit entry { number } } } }
  }
}"""
TWO = "{ a: salesOrders(first: 3) { nodes { number } } b: partners { nodes { name } } me { name } }"


@pytest_asyncio.fixture(scope="module")
async def untaught(database_url: str) -> AsyncIterator[Gateway]:
    """Yield a gateway that no other test has taught how large answers are."""
    async with open_gateway(database_url) as running:
        yield running


def in_pieces(gateway: Gateway, query: str, caller: Principal | None = None) -> InPieces:
    """Return how answers of a query are made in pieces."""
    made = compiled(gateway, query, caller=caller)
    assert isinstance(made, Compiled)
    return made.pieces


SHAPES = {
    "names": "{ class: salesOrders(first: 5) { nodes { number } } __typename pieces: __typename"
    " row: salesOrders(first: 5) { edges { cursor node { number } } } context: me { name } }",
    "parts": "{ salesOrders(first: 7) { a: nodes { number lines { seq } } p: pageInfo { endCursor }"
    " b: nodes { lines { product { sku } } } edges { c: cursor n: node { id } } totalCount } }",
    "no rows": "{ salesOrders { totalCount } partners(first: 0) { nodes { id } pageInfo"
    " { endCursor } } products { pageInfo { hasNextPage } } }",
    "twins": "{ stockMoves(first: 50) { nodes { fromLocation { code } toLocation { code } } }"
    " b: stockMoves(first: 20) { nodes { toLocation { warehouse { code } } } } }",
    "pages of pages": "{ partners(first: 50) { nodes { orders(first: 3) { totalCount edges { cursor"
    " node { partner { orders(first: 2) { nodes { number } } } } } pageInfo { endCursor } } } } }",
    "types": "{ journalEntries(first: 60) { nodes { source { __typename ... on Invoice { number } }"
    " } } }",
    "left out": "query ($no: Boolean = true) { salesOrders { nodes { number @skip(if: $no)"
    " lines @include(if: $no) { seq } } } partners @skip(if: $no) { nodes { id } } }",
}


@pytest.mark.parametrize("query", SHAPES.values(), ids=SHAPES.keys())
async def test_lists_of_every_shape(reader: BothPaths, query: str) -> None:
    """Made in pieces they are what they are otherwise; `BothPaths` compares what is sent."""
    left = TALLY["in pieces"]
    await reader.data(query)
    assert TALLY["in pieces"] == left + 1


@pytest.mark.parametrize(
    ("rows", "pieces", "sizes"),
    [(0, 3, []), (1, 3, [1]), (3, 3, [1, 1, 1]), (4, 3, [2, 2]), (7, 3, [3, 3, 1]), (7, 1, [7])],
)
def test_stretches_of_a_page(
    monkeypatch: pytest.MonkeyPatch, rows: int, pieces: int, sizes: list[int]
) -> None:
    """There are at most so many, none is empty, and together they are the page."""
    root, stats = RootList(), OperationStats(rows=rows)
    monkeypatch.setattr(RootList, "pieces", lambda *_: pieces)
    found = [[*some] for some in root.stretches(range(rows), stats)]
    assert stats.pieces == len(sizes)
    assert [len(some) for some in found] == sizes
    assert [*chain.from_iterable(found)] == [*range(rows)]


def test_lists_are_joined() -> None:
    """As if they had been one."""
    lists = [b"[1,[2]]", b'["],["]', b"[{}]"]
    assert orjson.dumps(joined(lists)) == b'[1,[2],"],[",{}]'
    assert orjson.dumps(joined([])) == b"[]"


def test_a_piece_is_of_some_rows(untaught: Gateway) -> None:
    """A list by itself, or a part of one; what would be one piece is made as a whole."""
    one, two = in_pieces(untaught, "{ partners { nodes { name } } }"), in_pieces(untaught, TWO)
    assert (one.lists, two.lists) == (1, 2)
    rows = (ROWS - 1, ROWS, 2 * ROWS)
    assert [one.pays_for(n) for n in rows] == [False, False, True]
    assert [two.pays_for(n) for n in rows] == [False, True, True]
    assert not in_pieces(untaught, "{ me { name } }").pays_for(100 * ROWS)
    masked = principal(permissions=EVERY_PERMISSION - {"partners.read"})
    assert not in_pieces(untaught, TWO, masked).pays_for(100 * ROWS)


def test_a_list_is_known_by_what_was_below_it() -> None:
    """Each by itself: a long one is made in many pieces, a short one beside it in one."""
    root = RootList()
    assert root.pieces(200) == 1, "nothing is known"
    read_below(root, 200, 5 * ROWS)
    assert root.pieces(200) == 5
    assert root.pieces(40) == 1
    read_below(root, 0, 0)
    assert root.pieces(200) == 5, "an empty list says nothing"
    for _ in range(30):
        read_below(root, 100, 100)
    assert root.pieces(200) == 1


def read_below(root: RootList, page: int, rows: int) -> None:
    """Have a page of a list read, and so many rows in all."""
    stats = OperationStats(rows=page)
    for some in root.stretches(range(page), stats):
        stats.rows += (rows - page) * len(some) // page


async def test_a_plan_that_had_large_answers_makes_them_in_pieces(untaught: Gateway) -> None:
    """By the rows of those before it; small ones of the same plan are made as a whole."""
    answers = [await untaught.run(LARGE, {"first": 200}) for _ in range(3)]
    whole, one, divided = (report.stats for report in untaught.reports[-3:])
    assert whole.rows > 1.5 * ROWS, "the demo has large answers"
    assert whole.pieces == 0
    assert one.pieces == 1, "what its list has below it is not known yet"
    assert divided.pieces > 1
    assert divided.statements == 1 + (whole.statements - 1) * divided.pieces
    assert len({orjson.dumps(answer.body()) for answer in answers}) == 1
    await untaught.run(LARGE, {"first": 1})
    assert untaught.reports[-1].stats.pieces == 0


async def test_a_trace_is_of_the_plan_as_a_whole(untaught: Gateway) -> None:
    """It tells each statement once."""
    traces = [await traced(untaught, LARGE, {"first": 200}) for _ in range(3)]
    assert len({len(answer.extensions["trace"]["statements"]) for answer in traces}) == 1


async def traced(gateway: Gateway, query: str, variables: Mapping[str, Any]) -> Answer:
    """Run a query that asks how its answer comes about."""
    executor = gateway.runtime.executor
    request = GraphQLRequest(query, None, variables, {"trace": True})
    prepared = executor.prepare(request, known_caller=True)
    return await executor.execute(
        prepared, lambda: gateway.runtime.open_context(principal(), "test")
    )


async def test_live_queries_in_pieces_are_compared(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what is sent; a difference is found within what is encoded already."""
    sound = Compiled.run

    async def spoilt(self: Compiled, *args: Any, **options: Any) -> Any:
        [data] = await sound(self, *args, **options)
        data = orjson.loads(orjson.dumps(data))
        data["accounts"]["nodes"][1]["code"] = "another"
        return [{"accounts": orjson.Fragment(orjson.dumps(data["accounts"]))}]

    async with open_gateway(database_url, shadow_share=1.0) as gateway:
        assert gateway.runtime.shadow is not None
        for _ in range(3):
            await gateway.run(LARGE, {"first": 200})
            await gateway.runtime.shadow.settled()
        assert gateway.reports[-1].stats.pieces > 1
        assert "differ" not in capsys.readouterr().out
        monkeypatch.setattr(Compiled, "run", spoilt)
        await gateway.run(LARGE, {"first": 200})
        await gateway.runtime.shadow.settled()
    [line] = [x for x in capsys.readouterr().out.splitlines() if "differ" in x]
    assert "data.accounts.nodes.1.code" in line

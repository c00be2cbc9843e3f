"""Only what is asked for is read: the columns of every statement, however the asking is written."""

import re
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from resolvers.core.statement import Statement
from schema.core.execution import GraphQLRequest
from schema.core.ids import encode_id
from tests.fixtures.gateway import Gateway, principal
from tests.fixtures.paths import BothPaths

ID = "UHJvZHVjdDox"


class Overheard:
    """Reads that write down every statement."""

    def __init__(self, reads: Any) -> None:
        self._reads = reads
        self.scope = reads.scope
        self.reference = reads.reference
        self.sql: list[str] = []

    async def fetch(
        self, statement: Statement, parameters: Mapping[str, Any]
    ) -> Sequence[Sequence[Any]]:
        """Run a statement; see `resolvers.core.context.Reads`."""
        self.sql.append(statement.sql)
        found: Sequence[Sequence[Any]] = await self._reads.fetch(statement, parameters)
        return found


async def statements(
    gateway: Gateway, query: str, variables: Mapping[str, Any] | None = None
) -> list[str]:
    """Run a query and return its statements."""
    executor = gateway.runtime.executor
    prepared = executor.prepare(GraphQLRequest(query, None, variables), known_caller=True)
    overheard: list[str] = []

    @asynccontextmanager
    async def contexts() -> Any:
        async with gateway.runtime.open_context(principal(), "test") as context:
            reads = Overheard(context.reads)
            context.reads = reads
            yield context
            overheard.extend(reads.sql)

    answer = await executor.execute(prepared, contexts)
    assert not answer.errors, answer.errors
    return overheard


def columns(sql: str) -> set[str]:
    """Return the names of the columns a statement selects, its key for handing back left out."""
    selected = re.split(r"\sFROM (?:product|partner|sales_order|sales_order_line|unnest)\b", sql)[0]
    names = re.findall(r" AS (\w+)(?=,|\s*$)", selected)
    return set(names) - {"_key", "anon_1"}


async def selected(reader: BothPaths, query: str, variables: Any = None) -> list[set[str]]:
    """Return the columns of each statement, which must be the same on both paths."""
    compiled = await statements(reader.compiled, query, variables)
    ordinary = await statements(reader.ordinary, query, variables)
    assert sorted(map(sorted, map(columns, compiled))) == (
        sorted(map(sorted, map(columns, ordinary)))
    )
    return [columns(sql) for sql in compiled]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("sku", {"sku"}),
        ("id", {"id"}),
        ("__typename", set()),
        ("code: sku label: name", {"sku", "name"}),
        ("sku sku sku", {"sku"}),
        ("listPrice { amount }", {"list_price", "list_currency"}),
        ("archived", {"archived_at"}),
        ("archived archivedAt", {"archived_at"}),
        ("attributes { name }", {"attributes"}),
        ("uom { code }", {"uom_id"}),
        ("totals { available }", {"id"}),
        ("moves(first: 1) { totalCount }", {"id"}),
        ("...F", {"sku", "name"}),
        ("...F ...F", {"sku", "name"}),
        ("...G", {"sku", "name", "barcode"}),
        ("... on Product { sku }", {"sku"}),
        ("... on Node { id }", {"id"}),
        ("... { sku ... { name ... on Product { barcode } } }", {"sku", "name", "barcode"}),
        ("sku @include(if: true)", {"sku"}),
        ("... on Product @include(if: true) { sku }", {"sku"}),
        ("...F @include(if: true)", {"sku", "name"}),
    ],
)
async def test_columns_are_those_asked_for(
    reader: BothPaths, selection: str, expected: set[str]
) -> None:
    """Aliases, repetitions, fragments and inline fragments ask for what is in them, once."""
    fragments = "fragment F on Product { sku name } fragment G on Product { ...F barcode }"
    used = fragments if "...G" in selection else fragments.partition("fragment G")[0]
    document = f"{{ product(id: {ID!r}) {{ {selection} }} }}".replace("'", '"')
    found = await selected(
        reader, document + (used if "...F" in selection or "...G" in selection else "")
    )
    assert found[0] == expected


@pytest.mark.parametrize("wanted", [True, False])
async def test_what_is_skipped_may_be_read_but_is_not_told(
    reader: BothPaths, *, wanted: bool
) -> None:
    """@skip and @include decide what is in the answer, on fields, fragments and relations."""
    data = await reader.data(
        """
        query($wanted: Boolean!) { productsBySku(skus: ["HAM-00001"]) {
          sku @include(if: $wanted)
          name @skip(if: $wanted)
          ... on Product @include(if: $wanted) { barcode }
          ...F @skip(if: $wanted)
          uom @include(if: $wanted) { code }
          totals @skip(if: $wanted) { available }
        } }
        fragment F on Product { kind }
        """,
        {"wanted": wanted},
    )
    [product] = data["productsBySku"]
    assert set(product) == ({"sku", "barcode", "uom"} if wanted else {"name", "kind", "totals"})
    assert reader.statements == 2


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("nodes { name }", {"name", "sku", "id"}),
        ("edges { node { name } }", {"name", "sku", "id"}),
        ("edges { cursor }", {"sku", "id"}),
        ("pageInfo { endCursor }", {"sku", "id"}),
        ("nodes { name } edges { node { barcode } }", {"name", "barcode", "sku", "id"}),
        ("all: nodes { name } e: edges { n: node { kind } }", {"name", "kind", "sku", "id"}),
        ("...C", {"name", "kind", "sku", "id"}),
    ],
)
async def test_columns_of_a_page_are_those_of_nodes_and_edges(
    reader: BothPaths, selection: str, expected: set[str]
) -> None:
    """Nodes are asked for in two places, and cursors need the columns of the order."""
    fragments = """
      fragment C on ProductConnection { nodes { name } edges { ...E } }
      fragment E on ProductEdge { node { kind } }
    """
    document = f"{{ products(first: 2) {{ {selection} }} }}"
    found = await selected(reader, document + (fragments if "...C" in selection else ""))
    assert found[0] == expected


async def test_a_relation_reads_what_all_its_places_ask_for(reader: BothPaths) -> None:
    """One relation asked for under two aliases, or by two fragments, is one statement."""
    found = await selected(
        reader,
        """{ salesOrders(first: 3) { nodes {
             a: partner { name } b: partner { code } ... on SalesOrder { partner { email } }
             lines { product { sku } } } } }""",
    )
    assert found[0] == {"partner_id", "id", "placed_on"}
    assert {"name", "code", "email"} in found
    assert {"product_id"} in found
    assert {"sku"} in found
    assert len(found) == 4


async def test_the_same_relation_with_other_arguments_is_read_twice(reader: BothPaths) -> None:
    """Two sets of arguments are two statements, whose answers do not mix."""
    warehouses = await reader.ids("select id from warehouse where company_id = 1 order by id")
    query = """
      query($skus: [String!]!, $one: [ID!], $two: [ID!], $none: [ID!]) {
       productsBySku(skus: $skus) {
        all: availability { warehouse { id } onHand }
        one: availability(warehouseIds: $one) { warehouse { id } available }
        two: availability(warehouseIds: $two) { warehouse { id } }
        none: availability(warehouseIds: $none) { id }
        sum: totals { onHand } sumOne: totals(warehouseIds: $one) { onHand }
       }
      }"""
    skus = await reader.ids(
        "select p.sku from stock_level s join product p on p.id = s.product_id"
        " where s.company_id = 1 and s.on_hand > 0 and p.archived_at is null"
        " group by 1 having count(*) = 2 order by 1 limit 2"
    )
    ids = [encode_id("Warehouse", id_) for id_ in warehouses]
    data = await reader.data(query, {"skus": skus, "one": ids[:1], "two": ids, "none": []})
    for product in data["productsBySku"]:
        assert [level["warehouse"]["id"] for level in product["one"]] == ids[:1]
        assert [level["warehouse"]["id"] for level in product["two"]] == ids
        assert product["none"] == []
        assert len(product["all"]) == 2
        assert product["sum"] != product["sumOne"]
    own = 1 + 4 + 2  # products, levels, totals
    assert reader.statements == own + 1  # warehouses once for all levels


async def test_a_null_reference_asks_for_nothing(reader: BothPaths) -> None:
    """A relation by an empty column is null without a statement of its own."""
    data = await reader.data('{ product(id: "UHJvZHVjdDox") { replacedBy { sku name } } }')
    assert data == {"product": {"replacedBy": None}}
    assert reader.statements == 1
    data = await reader.data("{ categories(first: 1) { nodes { parent { name } } } }")
    assert data["categories"]["nodes"] == [{"parent": None}]
    assert reader.statements == 1

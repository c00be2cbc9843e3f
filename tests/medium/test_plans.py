"""What PostgreSQL does with every statement of the schema when there are 100,000 orders.

`tests.conventions.test_plans` proves that an index can serve every list; here the planner decides,
with the statistics it has, as the role that serves. A table of more than `BIG` rows is not read as
a whole where few of its rows are wanted, and no more than that is sorted for a page.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from graphql import get_named_type

from resolvers.core.listing import Listing, PageRequest
from resolvers.core.statement import Statement
from schema.core.plan import AggregatesPlan, ConnectionPlan
from tests.conventions.test_plans import (
    COARSE,
    LISTINGS,
    Node,
    TestFilters,
    cursor_in,
    explain,
    leaves,
    parent_keys,
    planner,
    title,
)
from tests.fixtures.gateway import Gateway, principal
from tests.fixtures.recording import record
from tests.fixtures.schema_walk import (
    EDGES,
    Edge,
    Known,
    known_rows,
    operation,
    plain_selection,
    root_fields,
    ways_to,
)

BIG = 5_000
"""Rows from which on reading all of a table, or sorting them, is too much for a page."""
WHOLE = ("in groups", "StockValuation", "SearchHits")
"""Statements over all that is asked for, which here is everything: their work is to read it.

Searches are asked for a single letter; for more than that see `test_searches`.
"""


@pytest_asyncio.fixture(scope="session")
async def sizes(gateway: Gateway) -> dict[str, int]:
    """Return how many rows each table has."""
    rows = await gateway.owner.fetch(
        "select relname, reltuples::bigint from pg_class where relkind = 'r'"
    )
    return {row[0]: row[1] for row in rows}


@pytest_asyncio.fixture(scope="session")
async def known(gateway: Gateway) -> Known:
    """Return keys that operations can ask for."""
    return await known_rows(gateway.owner)


def wasteful(node: Node, sizes: dict[str, int], *, limited: bool = False) -> Iterator[str]:
    """Say what a plan does that costs more the more rows there are.

    ``limited`` tells that whoever asks stops as soon as there is enough.
    """
    kind = node["Node Type"]
    if kind == "Seq Scan" and not limited and sizes.get(node["Relation Name"], 0) > BIG:
        yield f"reads all of {node['Relation Name']} {node.get('Filter', '')}"
    if kind == "Sort" and max(child["Plan Rows"] for child in node["Plans"]) > BIG:
        yield f"sorts by {node['Sort Key']}"
    stops = kind == "Limit" or (limited and kind not in {"Sort", "Hash", "Aggregate"})
    for inner in node.get("Plans", ()):
        yield from wasteful(inner, sizes, limited=stops)


def paths() -> list[Any]:
    """Return a path to every field that leads to objects, from the root."""
    found: list[tuple[Edge, ...]] = [(root,) for root in root_fields("Query")]
    found += [(*way, edge) for edge in EDGES for way in ways_to(edge.parent)[:1]]
    return [pytest.param(path, id=".".join(e.name for e in path)) for path in found]


async def faults(
    gateway: Gateway, sizes: dict[str, int], statement: Statement, parameters: Mapping[str, Any]
) -> list[str]:
    """Return what is wasteful in the plan of a statement."""
    async with planner(gateway) as connection:
        root, *_ = await explain(connection, statement, parameters)
    return [f"{statement.name} {fault}" for fault in wasteful(root, sizes)]


@pytest.mark.parametrize("path", paths())
async def test_every_field(
    gateway: Gateway, known: Known, sizes: dict[str, int], path: tuple[Edge, ...]
) -> None:
    """Roots, relations for 50 parents, lists below them, reports."""
    asked = operation(path, plain_selection(path[-1].target), known, 50)
    recorded = await record(gateway.runtime, asked.query, asked.variables, principal())
    found = []
    for statement, parameters in zip(recorded.asked, recorded.parameters, strict=True):
        if not statement.name.endswith(WHOLE):
            found += await faults(gateway, sizes, statement, parameters)
    assert not found


@pytest.mark.parametrize(
    ("listing", "parent", "order"),
    [
        pytest.param(listing, parent, order, id=title(listing, parent, order))
        for listing, parent in LISTINGS
        for order in listing.orders
    ],
)
async def test_every_order(
    gateway: Gateway, sizes: dict[str, int], listing: Listing, parent: str | None, order: str
) -> None:
    """The first page, the one behind a cursor and the one before it, in both directions."""
    keys = await parent_keys(gateway, listing, parent)
    for descending in (False, True):
        first = listing.request(first=50, order=order, descending=descending)
        cursor = await cursor_in(gateway, listing, first)
        for request in (
            first,
            listing.request(first=50, after=cursor, order=order, descending=descending),
            listing.request(last=50, before=cursor, order=order, descending=descending),
        ):
            assert not await page_faults(gateway, sizes, listing, request, parent=parent, keys=keys)


async def page_faults(
    gateway: Gateway,
    sizes: dict[str, int],
    listing: Listing,
    request: PageRequest,
    *,
    parent: str | None = None,
    keys: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return what is wasteful in reading a page."""
    window = listing._window(request)
    columns = frozenset(listing.entity.columns)
    statement = listing._page_statement(request, window, columns, parent)
    parameters = {**listing._parameters(request, window), **(keys or {})}
    return await faults(gateway, sizes, statement, parameters)


@pytest.mark.parametrize(
    ("listing", "name", "leaf"),
    [pytest.param(*case, id=title(case[0], None, case[2])) for case in TestFilters.CASES],
)
async def test_every_filter(
    gateway: Gateway, sizes: dict[str, int], listing: Listing, name: str, leaf: str
) -> None:
    """A page of the rows with the rarest value, in the default order."""
    filter_ = listing.filters[name]
    asked = {leaf: (await leaves(gateway, listing, name, filter_))[leaf]}
    for other, value in listing.defaults.items():
        if other != name:
            asked |= listing.filters[other].leaves(other, value)
    request = replace(listing.request(first=50), leaves=asked)
    found = await page_faults(gateway, sizes, listing, request)
    assert not found or title(listing, None, leaf) in COARSE, found


NARROW = {
    "salesOrders": 'placedOn: { from: "2026-06-22", to: "2026-06-24" }',
    "salesOrderLines": 'placedOn: { from: "2026-06-22", to: "2026-06-24" }',
    "invoices": 'invoicedOn: { from: "2026-06-22", to: "2026-06-24" }',
    "payments": 'paidOn: { from: "2026-06-22", to: "2026-06-24" }',
    "purchaseOrders": 'orderedOn: { from: "2026-06-22", to: "2026-06-24" }',
    "stockLevels": 'productIds: ["UHJvZHVjdDox", "UHJvZHVjdDoy", "UHJvZHVjdDoz"]',
    "stockMoves": 'productIds: ["UHJvZHVjdDox", "UHJvZHVjdDoy", "UHJvZHVjdDoz"]',
}
"""A filter for each list with aggregates that leaves a small part of it."""
AGGREGATED = [
    pytest.param(root, key, id=f"{root.name} {key}")
    for root in root_fields("Query")
    for edge in EDGES
    if edge.parent == str(get_named_type(root.field.type)) and isinstance(edge.plan, AggregatesPlan)
    for key in edge.plan.aggregation.groups
]


@pytest.mark.parametrize(("root", "key"), AGGREGATED)
async def test_groups_of_a_part(
    gateway: Gateway, sizes: dict[str, int], root: Edge, key: str
) -> None:
    """Groups of a few days or a few products read these, and not the whole table."""
    query = (
        f"{{ {root.name}(filter: {{ {NARROW[root.name]} }}) "
        f"{{ aggregates(groupBy: [{key}]) {{ count sum {{ __typename }} }} }} }}"
    )
    recorded = await record(gateway.runtime, query, {}, principal())
    assert not recorded.answer.errors
    [statement], [parameters] = recorded.asked, recorded.parameters
    assert isinstance(root.plan, ConnectionPlan)
    table = root.plan.listing.entity.table.name
    found = await faults(gateway, sizes, statement, parameters)
    assert not [fault for fault in found if f"reads all of {table} " in fault]


@pytest.mark.parametrize(
    "text", ["HAM-0004", "hammer steel", "SO-2026-00", "helsinki", "INV-2026-0001"]
)
async def test_searches(gateway: Gateway, sizes: dict[str, int], text: str) -> None:
    """Words and beginnings of numbers are found by indexes in every table."""
    recorded = await record(
        gateway.runtime,
        "query ($text: String!) { search(text: $text) { place } }",
        {"text": text},
        principal(),
    )
    [statement], [parameters] = recorded.asked, recorded.parameters
    assert not await faults(gateway, sizes, statement, parameters)
    async with planner(gateway) as connection:
        plan = await explain(connection, statement, parameters)
    assert any(node["Node Type"] == "Bitmap Index Scan" for node in plan), "it is seen through"


async def test_the_law_can_be_broken(gateway: Gateway, sizes: dict[str, int]) -> None:
    """A scan of a whole table and a sort of one are found out; with a limit a scan is none."""
    for sql, fault in (
        ("select id from sales_order where total > 0", "reads all of sales_order"),
        ("select id from sales_order order by created_at limit 5", "sorts by"),
        ("select id from sales_order limit 5", None),
    ):
        found = await faults(gateway, sizes, Statement(sql, (), {}, "by hand"), {})
        assert any(fault in one for one in found) if fault else not found

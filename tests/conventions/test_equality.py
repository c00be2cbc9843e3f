"""The law of equality: compiled plans and ordinary execution give the same bytes, errors included.

The operations are those of the documentation and of the benchmarks, operations made for every edge
and every list of the schema, and operations of random shape by several callers. A new field is
under the law from the day it is declared.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from graphql import (
    GraphQLInputObjectType,
    GraphQLObjectType,
    get_named_type,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import queries
from hypothesis_graphql.nodes import Int, String

from benchmarks.shapes import SHAPES, Shape
from gateway.examples import Example, read_example
from resolvers.core.principal import Principal
from schema.core.execution import Refused
from schema.core.ids import encode_id
from schema.core.node import NODE_TYPES
from schema.engine.explain import explain_operation
from schema.engine.generate import Generator
from schema.engine.plan import Planner
from schema.engine.run import Asked, Compiled, NotCompiled
from tests.fixtures.equality import COMPILED, compare, compiled, engine_of, prepared
from tests.fixtures.operations import Pools, Writer
from tests.fixtures.paths import BothPaths
from tests.fixtures.schema_walk import (
    EDGES,
    SCHEMA,
    Edge,
    Known,
    arguments,
    called,
    id_selection,
    known_rows,
    operation,
    plain_selection,
    root_fields,
    ways_to,
)
from tests.fixtures.turns import in_turn

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLES = [
    pytest.param(read_example(path), id=str(path.relative_to(CHECKOUT)))
    for folder in ("docs/examples", "gateway/static/examples")
    for path in sorted((CHECKOUT / folder).glob("*.graphql"))
]
GENERATED = int(os.environ.get("EQUALITY_EXAMPLES", "100"))
"""How many operations of each random kind are compared."""
SEED = os.environ.get("EQUALITY_SEED", "")
"""Another seed writes other operations; the empty one is the suite's."""

NEVER_AWAITED = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
"""graphql-core cancels siblings of a failed field, some of them before their first step."""


@pytest_asyncio.fixture(scope="module")
async def known(reader: BothPaths) -> Known:
    """Return keys that operations can ask for."""
    return await known_rows(reader.owner)


# --- operations that people wrote


@pytest.mark.parametrize("example", EXAMPLES)
async def test_examples(
    reader: BothPaths, callers: Mapping[str, Principal], example: Example
) -> None:
    """Every documented query is compiled, and so is what others select below their roots."""
    caller = callers[example.role]
    if example.query.startswith("query"):
        compared = await compare(reader, example.query, example.variables, caller=caller)
        assert compared.outcome == COMPILED
        assert any((compared.answer.data or {}).values())
    else:
        engine = engine_of(reader.compiled)
        ready = prepared(reader.compiled, example.query, example.variables)
        asked = Asked(ready.operation, ready.source.fragments, {}, {}, caller.permissions)
        lines = list(explain_operation(engine, asked))
        assert any("by " in line for line in lines)
        assert not any("not compiled" in line for line in lines)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
async def test_benchmarks(
    reader: BothPaths, callers: Mapping[str, Principal], shape: Shape
) -> None:
    """What the benchmarks measure is compiled, and is what ordinary execution answers."""
    for variables in await shape.choose(reader.owner):
        assert (await compare(reader, shape.document, variables)).outcome == COMPILED
    for caller in callers.values():
        await compare(reader, shape.document, variables, caller=caller)


# --- every edge of the schema


def dressed(edge: Edge) -> tuple[str, str]:
    """Return a selection that asks ``edge`` in every way documents know, and its fragments."""
    size = {"first": "3"}
    plain = called(edge, plain_selection(edge.target), size)
    few = called(edge, id_selection(edge.target), size)
    last = called(edge, id_selection(edge.target), {"last": "1"})
    never = plain.replace(" {", " @skip(if: $yes) {", 1)
    parent = SCHEMA.type_map[edge.parent]
    assert isinstance(parent, GraphQLObjectType)
    parts = [
        f"class: __typename {few} None: {plain} row: {last} never: {never}",
        f"... on {edge.parent} {{ await: {plain} ... @include(if: $yes) {{ run: {plain} }} }}",
        "...Named ...Unwanted @include(if: $no) ...Named",
    ]
    if parent.interfaces:
        parts.append("... on Node { __typename id key: id }")
    fragments = (
        f"fragment Named on {edge.parent} {{ {few} ...Inner }} "
        f"fragment Inner on {edge.parent} {{ __: {plain} }} "
        f"fragment Unwanted on {edge.parent} {{ unwanted: {plain} }}"
    )
    return f"{{ {' '.join(parts)} }}", fragments


WAYS = [
    pytest.param(way, edge, id=f"{edge} of {'.'.join(step.name for step in way)}")
    for edge in EDGES
    if not edge.is_aggregates
    for way in ways_to(edge.parent)
]


@pytest.mark.parametrize(("way", "edge"), WAYS)
async def test_every_edge(
    reader: BothPaths,
    known: Known,
    callers: Mapping[str, Principal],
    way: tuple[Edge, ...],
    edge: Edge,
) -> None:
    """Each field that leads on is compiled, under aliases, in fragments and under conditions."""
    selection, fragments = dressed(edge)
    asked = operation(way, selection, known, 20)
    head, body = asked.query.split(" {", 1)
    flags = "$yes: Boolean!, $no: Boolean = false"
    head = head.replace("(", f"({flags}, ", 1) if "(" in head else f"{head}({flags})"
    variables = {**asked.variables, "yes": True}
    query = f"{head} {{{body} {fragments}"
    compared = await compare(reader, query, variables)
    assert compared.outcome == COMPILED
    # what a caller may not see, and what is left out, does not depend on how many rows there are
    few = {**variables, **arguments(way[0], known, 5)}
    for caller in in_turn(str(edge), list(callers.values()), 3):
        await compare(reader, query, few, caller=caller)
    await compare(reader, query, {**few, "yes": False, "no": True})


# --- every list


LISTS = [
    pytest.param((*way, edge), id=".".join(step.name for step in (*way, edge)))
    for edge in (*root_fields("Query"), *EDGES)
    if edge.is_connection
    for way in ([()] if edge.parent == "Query" else ways_to(edge.parent)[:1])
]
PAGE = (
    "totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor __typename }"
    " edges { cursor node %s } nodes %s again: nodes { __typename } __typename"
)


def listing(
    path: Sequence[Edge], known: Known, asked: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the query of a page at the end of ``path``, asked with ``asked``, and variables."""
    *way, edge = path
    body = PAGE % (plain_selection(edge.target), id_selection(edge.target))
    values = {f"x_{name}": value for name, value in asked.items()}
    types = {f"x_{name}": edge.field.args[name].type for name in asked}
    given = ", ".join(f"{name}: $x_{name}" for name in asked)
    text = f"{edge.name}({given}) {{ {body} }}" if given else f"{edge.name} {{ {body} }}"
    if way:
        root = way[0]
        own = arguments(root, known, 3)
        values |= own
        types |= {name: root.field.args[name].type for name in own}
        for step in reversed(way):
            with_ = {name: f"${name}" for name in own} if step is root else {"first": "3"}
            text = called(step, f"{{ __typename {text} }}", with_)
    declared = ", ".join(f"${name}: {type_}" for name, type_ in types.items())
    head = f"query Page({declared})" if declared else "query Page"
    return f"{head} {{ {text} }}", values


def pages(data: Any, path: Sequence[Edge]) -> Iterator[Any]:
    """Yield the pages at the end of ``path`` in an answer."""
    if data is None:
        return
    if isinstance(data, list):
        for item in data:
            yield from pages(item, path)
        return
    [edge, *rest] = path
    inner = data[edge.name]
    if not rest:
        yield inner
    elif edge.is_connection:
        yield from pages(inner and inner["nodes"], rest)
    else:
        yield from pages(inner, rest)


@pytest.mark.parametrize("path", LISTS)
async def test_pages(
    reader: BothPaths, known: Known, callers: Mapping[str, Principal], path: tuple[Edge, ...]
) -> None:
    """Pages are equal from either end, at the end, and past it; so are those refused."""
    found: list[Any] = []
    for asked in ({}, {"first": 0}, {"last": 2}, {"first": 2}):
        query, variables = listing(path, known, asked)
        found = list(pages((await compare(reader, query, variables)).data, path))
        several = list(callers.values())
        if asked != {"first": 2}:
            several = in_turn(f"{path}{asked}", several, 3)
        for caller in several:
            await compare(reader, query, variables, caller=caller)
    assert found
    for page in found:
        info = page["pageInfo"]
        for asked in (
            {"first": 2, "after": info["endCursor"]},
            {"last": 2, "before": info["endCursor"]},
            {"last": 1, "after": info["endCursor"]},
        ):
            await compare(reader, *listing(path, known, asked))


@pytest.mark.parametrize("path", LISTS)
async def test_refused_pages(reader: BothPaths, known: Known, path: tuple[Edge, ...]) -> None:
    """A page that cannot be asked for is refused the same, and not where nobody asks for it."""
    for asked in (
        {"first": -1},
        {"first": 201},
        {"first": 1, "last": 1},
        {"first": 1, "after": "garbage"},
        {"first": 1, "after": "WzEsMV0"},
        {"last": 1, "before": "W10"},
    ):
        compared = await compare(reader, *listing(path, known, asked))
        codes = {error["extensions"]["code"] for error in compared.answer.errors}
        assert codes == {"VALIDATION"}
        assert compared.outcome == "Invalid"


def filtered(path: Sequence[Edge], pools: Pools) -> Iterator[dict[str, Any]]:
    """Yield arguments that filter a list by each of its filters, and order it in each order."""
    args = path[-1].field.args
    writer = Writer(str(path[-1]), pools)
    if "filter" in args:
        filter_type = get_named_type(args["filter"].type)
        assert isinstance(filter_type, GraphQLInputObjectType)
        for name, input_field in filter_type.fields.items():
            for _ in range(3):
                yield {"filter": {name: writer.value(input_field.type, name)}, "first": 4}
        yield {"filter": {}, "first": 4}
        yield {"filter": None, "first": 4}
    if "orderBy" in args:
        order_type = get_named_type(args["orderBy"].type)
        assert isinstance(order_type, GraphQLInputObjectType)
        for by in get_named_type(order_type.fields["field"].type).values:
            yield {"orderBy": {"field": by}, "first": 4}
            yield {"orderBy": {"field": by, "direction": "DESC"}, "last": 4}


@pytest.mark.parametrize("path", LISTS)
async def test_filters_and_orders(
    reader: BothPaths,
    known: Known,
    pools: Pools,
    callers: Mapping[str, Principal],
    path: tuple[Edge, ...],
) -> None:
    """Each filter and each order is equal, in variables, for every caller."""
    outcomes: Counter[str] = Counter()
    for asked in filtered(path, pools):
        query, variables = listing(path, known, asked)
        outcomes[(await compare(reader, query, variables)).outcome] += 1
        for name in ("sales", "partner"):
            await compare(reader, query, variables, caller=callers[name])
    assert set(outcomes) <= {COMPILED}


# --- corners


CORNERS = {
    "a category above all": "{ categories(first: 3) { nodes { code parent { parent { id } } } } }",
    "no rows": '{ products(filter: {skus: ["NONE"]}) { nodes { sku category { name } uom { code } }'
    " edges { node { replacedBy { sku } } } totalCount pageInfo { endCursor } } }",
    "no row": '{ product(sku: "NONE") { sku category { name } availability { onHand } } }',
    "some rows": '{ productsBySku(skus: ["NONE", "HAM-00001", "NONE", "HAM-00001"]) { sku'
    " category { code } replacedBy { sku } price { unitPrice { amount } } } }",
    "a replaced product": "{ products(first: 200, filter: {includeArchived: true}) { nodes {"
    " sku archived archivedAt replacedBy { sku archived replacedBy { sku } } } } }",
    "archived partners": "{ partners(first: 50, filter: {includeArchived: true}) { nodes {"
    " name archived archivedAt terms { blockedAt priceList { code } } creditLimit { amount } } } }",
    "two ends": "{ stockMoves(first: 20) { nodes { fromLocation { code warehouse { code } }"
    " to: toLocation { path warehouse { name } } } } }",
    "the same at several depths": "{ salesOrders(first: 5) { nodes { warehouse { code } lines {"
    " uom { code } product { uom { name } availability { warehouse { name region } } } order {"
    " warehouse { priority } } } } } }",
    "in circles": "{ salesOrders(first: 3) { nodes { lines { order { lines { order { lines { seq"
    " order { number } } } } } } } } }",
    "nothing": "{ me @skip(if: true) { name } }",
    "nothing inside": "{ me { name @skip(if: true) } products(first: 2) { nodes { id @include(if:"
    " false) } edges @skip(if: true) { cursor } } }",
    "names of types": "{ __typename company { __typename } products(first: 1) { __typename edges {"
    " __typename node { __typename category { __typename } listPrice { __typename } attributes {"
    " __typename } } } pageInfo { __typename } } }",
    "one alias for each": "{ a: products(first: 2) { nodes { sku } } c: products(first: 3) {"
    " nodes { sku } } b: products(first: 2) { nodes { name category { name } } totalCount } }",
    "many by alias": "{ "
    + " ".join(
        f'p{n}: product(id: "{encode_id("Product", n)}") {{ sku category {{ code }}'
        f" availability {{ warehouse {{ code }} }} }}"
        for n in range(1, 16)
    )
    + " }",
}


@pytest.mark.parametrize("corner", CORNERS)
async def test_corners(reader: BothPaths, callers: Mapping[str, Principal], corner: str) -> None:
    """Nothing, nobody, twice the same, in circles: all of it compiled and equal."""
    for name, caller in callers.items():
        compared = await compare(reader, CORNERS[corner], caller=caller)
        assert compared.outcome == COMPILED, name


async def test_many_by_alias_are_one_statement_for_each_relation(reader: BothPaths) -> None:
    """Fifteen products under fifteen aliases take as many statements as one."""
    await compare(reader, CORNERS["many by alias"])
    assert reader.statements == 4


async def test_several_operations_in_a_document(reader: BothPaths) -> None:
    """Each operation of a document is planned by itself, with the conditions it has."""
    document = """
      query First($a: Boolean!) { me { name @include(if: $a) kind } }
      query Second($b: Boolean!) { me { ...F kind @skip(if: $b) } }
      query Third { me { kind } }
      fragment F on Viewer { name @include(if: $b) }
    """
    gateway = reader.compiled
    for name, variables in (
        ("First", {"a": True}),
        ("First", {"a": False}),
        ("Second", {"b": True}),
        ("Second", {"b": False}),
        ("Third", {}),
    ):
        made = compiled(gateway, document, variables, operation=name)
        assert isinstance(made, Compiled)
        [row] = [value for _, value in made.plan.shape.entries]
        names = [entry for entry, _ in row.shape.entries]  # type: ignore[union-attr]
        wanted = {"First": [], "Second": ["kind"], "Third": ["kind"]}
        if name == "First":
            assert names == (["name", "kind"] if variables["a"] else ["kind"])
        elif name == "Second":
            assert names == (["name"] if variables["b"] else ["kind"])
        else:
            assert names == wanted[name]


async def test_a_condition_that_is_null_is_told(reader: BothPaths) -> None:
    """A nullable variable with a default may still be given null, and then decides nothing."""
    query = "query ($x: Boolean = true) { me { name @include(if: $x) kind } }"
    for variables in ({}, {"x": True}, {"x": False}):
        assert (await compare(reader, query, variables)).outcome == COMPILED
    compared = await compare(reader, query, {"x": None})
    assert compared.outcome == "not compiled"
    assert [error["extensions"]["code"] for error in compared.answer.errors] == ["VALIDATION"]


# --- what is not compiled


NOT_COMPILED = {
    "{ __schema { queryType { name } } }": "__schema is introspection",
    '{ me { name } __type(name: "Product") { name } }': "__type is introspection",
}


@pytest.mark.parametrize("query", NOT_COMPILED)
async def test_what_is_left_to_ordinary_execution(reader: BothPaths, query: str) -> None:
    """Introspection is answered as ever, and the reason can be told."""
    made = compiled(reader.compiled, query)
    assert isinstance(made, NotCompiled)
    assert made.reason == NOT_COMPILED[query]
    assert (await compare(reader, query)).outcome == "not compiled"


@pytest.mark.parametrize("root", [pytest.param(r, id=str(r)) for r in root_fields("Query")])
async def test_every_root_field_is_compiled(reader: BothPaths, known: Known, root: Edge) -> None:
    """No root field of queries needs ordinary execution."""
    asked = operation((root,), plain_selection(root.target), known, 5)
    assert (await compare(reader, asked.query, asked.variables)).outcome == COMPILED


async def test_the_law_can_be_broken(reader: BothPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that answers something else is found out, and so is one that asks once too often."""
    two_ends = CORNERS["two ends"]
    with monkeypatch.context() as broken:
        broken.setattr(Generator, "_column", lambda *_: "'wrong'")
        with pytest.raises(AssertionError):
            await compare(reader, f"{two_ends} # wrong")
    with monkeypatch.context() as broken:
        broken.setattr(Planner, "_twins", property(lambda _: {}, lambda *_: None), raising=False)
        with pytest.raises(AssertionError):
            await compare(reader, f"{two_ends} # twice")
    await compare(reader, two_ends)


# --- operations of random shape


@pytest.mark.parametrize("part", range(10))
@NEVER_AWAITED
async def test_random_operations(
    reader: BothPaths, pools: Pools, callers: Mapping[str, Principal], part: int
) -> None:
    """Operations of random shape over rows that exist are equal, and nearly all are compiled."""
    outcomes: Counter[str] = Counter()
    names = list(callers)
    for number in range(part, GENERATED, 10):
        written = Writer(f"{SEED}{number}", pools).write()
        caller = callers[names[number % len(names)]]
        for who in (callers["everything"], caller):
            try:
                compared = await compare(reader, written.query, written.variables, caller=who)
            except Refused:
                outcomes["refused"] += 1
            else:
                outcomes[compared.outcome] += 1
                codes = {error["extensions"]["code"] for error in compared.answer.errors}
                assert "INTERNAL" not in codes
    faulty = sum(outcomes[reason] for reason in ("refused", "Invalid", "Forbidden"))
    assert outcomes[COMPILED] > (outcomes.total() - faulty) * 0.9, outcomes
    assert outcomes[COMPILED] > outcomes.total() * 0.5, outcomes
    assert set(outcomes) <= {COMPILED, "refused", *UNUSUAL}


UNUSUAL = {
    "Invalid": "an argument is refused, and ordinary execution knows which field is null for it",
    "Forbidden": "a node of a type the caller may not read, or a filter on what is masked",
    "Unusual": "a masked field below a node, whose type is known only with its row",
}
"""Why random operations may need ordinary execution, and what for."""


IDS = [
    *(encode_id(name, key) for name in sorted(NODE_TYPES) for key in (1, 2, 31)),
    encode_id("Product", 999_999),
    encode_id("Nothing", 1),
    "",
    "not an id",
]
SCALARS = {
    "ID": st.sampled_from(IDS).map(String),
    "Int": st.sampled_from([0, 1, 2, 5, 5, 5, -1]).map(Int),
    "String": st.sampled_from(["HAM-00001", "SO-2026-000001", "a", ""]).map(String),
    "Decimal": st.sampled_from(["1", "0.5", "-3.25"]).map(String),
    "Date": st.just("2026-03-31").map(String),
    "DateTime": st.just("2026-03-31T12:00:00Z").map(String),
    "CurrencyCode": st.just("EUR").map(String),
}
"""What generated operations are asked with: half of it there is."""

CALLERS = (
    *("everything", "nothing", "other company", "partner", "bound, everything"),
    *("accountant", "admin", "sales", "warehouse"),
)


@pytest.mark.parametrize("name", CALLERS)
@NEVER_AWAITED
@given(query=queries(SCHEMA, custom_scalars=SCALARS))
@settings(
    max_examples=max(1, GENERATED // 5),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
async def test_generated_operations(
    reader: BothPaths, callers: Mapping[str, Principal], name: str, query: str
) -> None:
    """Operations generated from the schema are equal for every caller, and none fails within."""
    try:
        compared = await compare(reader, query, caller=callers[name])
    except Refused:
        return
    assert compared.outcome in {COMPILED, "not compiled", *UNUSUAL}
    codes = {error["extensions"]["code"] for error in compared.answer.errors}
    assert codes <= {"VALIDATION", "FORBIDDEN"}


async def test_all_kinds_of_callers_ask(callers: Mapping[str, Principal]) -> None:
    """The roles of the demo are all among those who ask."""
    assert set(callers) == set(CALLERS)

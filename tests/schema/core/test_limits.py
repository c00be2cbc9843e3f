"""The walk that measures documents: right against a naive reference, and linear."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLNamedType,
    InlineFragmentNode,
    IntValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    build_schema,
    get_introspection_query,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
    parse,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schema.core.limits import (
    Limits,
    OperationMeasure,
    excess,
    excesses,
    leaves_first,
    measure,
)

SCHEMA = build_schema(
    """
    directive @mark on QUERY | FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT | FRAGMENT_DEFINITION
    type Query {
      count: Int
      product(id: ID): Product
      products(first: Int = 20, last: Int): ProductConnection!
      all(limit: Int): [Product!]!
      anything: Anything
    }
    type Mutation { rename(id: ID): Product, touch: Int }
    type ProductConnection { edges: [ProductEdge!]!, nodes: [Product!]!, total: Int }
    type ProductEdge { cursor: String, node: Product! }
    type Product {
      name: String
      tags: [String!]
      category: Category
      variants: [Product!]!
      levels(first: Int!): [Level!]!
      similar(first: Int, last: Int): ProductConnection!
    }
    type Category { name: String, products(last: Int = 3): [Product] }
    type Level { quantity: String, product: Product }
    union Anything = Product | Category
    """
)


def measured(text: str) -> OperationMeasure:
    """Measure the first operation of a document."""
    return measure(SCHEMA, parse(text)).operations[0]


def cost(text: str, variables: Mapping[str, Any] | None = None) -> int:
    """Return the cost of the first operation of a document."""
    found = measure(SCHEMA, parse(text))
    return found.formula.evaluate(found.operations[0].cost, variables or {})


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("{ count }", 1),
        ("{ product { name } }", 2),
        ("{ product { category { name } } count }", 3),
        ("{ ... on Query { ... { product { name } } } }", 2),
        ("{ product { ...A } } fragment A on Product { category { ... { name } } }", 3),
    ],
)
def test_depth_counts_fields_and_nothing_else(text: str, depth: int) -> None:
    """Depth is the longest chain of fields; fragments and inline fragments add nothing."""
    assert measured(text).depth == depth


def test_counts_go_through_fragments() -> None:
    """Aliases, directives and root fields of a fragment count as often as it is spread."""
    found = measured(
        """
        query Q($a: Int @mark) @mark { ...A @mark ...A x: count }
        fragment A on Query @mark { y: count @mark product { z: name ... @mark { name } } }
        """
    )
    assert found.root_fields == 5
    assert found.aliases == 5
    assert found.directives == 3 + 2 * 3
    assert found.variables == 1


def test_introspection_is_told_by_the_root_fields() -> None:
    """Only an operation whose root fields are all meta fields asks about nothing but the schema."""
    through_fragment = "{ __typename ...A } fragment A on Query { __schema { types { name } } }"
    assert measured(through_fragment).introspection
    assert measured('{ __type(name: "Query") { name } }').introspection
    assert not measured("{ __typename ...A } fragment A on Query { count }").introspection
    assert not measured("{ __typename ... { ... { count } } }").introspection


def test_the_standard_introspection_query_fits() -> None:
    """The query every tool sends is 15 deep, and may be sent a few times over, not twenty."""
    found = measured(get_introspection_query())
    assert found.introspection
    assert excesses(Limits(), measure(SCHEMA, parse(get_introspection_query()))) == []
    assert found.depth == 15
    assert found.cost == 5_000 <= Limits().cost < 20 * 5_000


def test_documents_that_are_not_valid_are_measured() -> None:
    """Unknown fields, types, fragments and operation types count and do no harm."""
    text = """
        { nope { nope { x: nope } } ...Missing ... on Nowhere { product { name } } }
        subscription S { anything { more } }
        fragment F on Nowhere { name ...F }
        type Query { count: Int }
    """
    first, second = measure(SCHEMA, parse(text)).operations
    assert (first.depth, first.aliases, first.root_fields) == (3, 1, 2)
    assert second.depth == 2


def test_fragment_cycles_are_cut() -> None:
    """A cycle of fragments is measured once round and left to validation."""
    found = measured("{ ...A } fragment A on Query { x: count ...B } fragment B on Query { ...A }")
    assert found.aliases == 1


def test_fragments_are_ordered_leaves_first() -> None:
    """Each fragment comes after those it spreads, whatever order the document has."""
    document = parse(
        "fragment A on Query { ...B ...C } fragment B on Query { product { ...C } } "
        "fragment C on Query { count }"
    )
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, Fragment)}
    assert [f.name.value for f in leaves_first(fragments)] == ["C", "B", "A"]


@pytest.mark.parametrize("body", ["...A{0} ...A{0}", "a: product {{ ...P }} ...A{0} ...A{0}"])
def test_doubling_fragments_take_no_time(body: str) -> None:
    """Two hundred fragments that each spread the next twice are measured at once, and refused."""
    text = "{ ...A0 } fragment P on Product { similar(first: $n) { nodes { name } } }"
    text += "".join(f"fragment A{i} on Query {{ {body.format(i + 1)} }} " for i in range(200))
    text += "fragment A200 on Query { x: count }"
    document = parse("query ($n: Int) " + text)
    # walked each time it is spread, it would not end
    found = measure(SCHEMA, document)
    found.formula.evaluate(found.operations[0].cost, {"n": 5})
    assert found.operations[0].aliases >= 2**200
    assert "aliases" in [e.details["limit"] for e in excesses(Limits(), found)]
    assert all(len(e.message) < 100 for e in excesses(Limits(), found))


def test_chains_of_fragments_take_no_stack() -> None:
    """A chain of fragments far longer than the stack is high is measured."""
    text = "{ ...A0 }" + "".join(f"fragment A{i} on Query {{ ...A{i + 1} }} " for i in range(5_000))
    assert measured(text + "fragment A5000 on Query { product { name } }").depth == 2


def test_excesses_name_limit_value_and_maximum() -> None:
    """Every limit passed is told, with the value found and the most allowed."""
    text = """
        query A($a: Int, $b: Int) { x: count @mark y: count @mark product { category { name } } }
        query B { count }
    """
    limits = Limits(
        operations=1, variables=1, depth=2, aliases=1, directives=1, root_fields=2, cost=1
    )
    found = excesses(limits, measure(SCHEMA, parse(text)))
    assert [e.message for e in found] == [
        "Operations limit exceeded: 2 found, 1 allowed.",
        "Variables limit exceeded: 2 found, 1 allowed.",
        "Depth limit exceeded: 3 found, 2 allowed.",
        "Aliases limit exceeded: 2 found, 1 allowed.",
        "Directives limit exceeded: 2 found, 1 allowed.",
        "Root fields limit exceeded: 3 found, 2 allowed.",
    ]
    assert found[2].details == {"limit": "depth", "found": 3, "maximum": 2}


def test_counts_nobody_can_read_are_rounded() -> None:
    """A count of hundreds of digits is told as more than a billion."""
    assert excess("aliases", 2**500, 30).message == (
        "Aliases limit exceeded: more than 1,000,000,000 found, 30 allowed."
    )
    assert excess("tokens", None, 4_000).details == {"limit": "tokens", "maximum": 4_000}


def test_limits_are_met_exactly() -> None:
    """A document at every maximum passes; nothing is off by one."""
    text = "query Q($a: Int) { x: count @mark product { name } }"
    limits = Limits(operations=1, variables=1, depth=2, aliases=1, directives=1, root_fields=2)
    assert excesses(limits, measure(SCHEMA, parse(text))) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ count }", 0),
        ("{ product { name tags } }", 1),
        ("{ product { category { name } } }", 2),
        ("{ all { name } }", 10),
        ("{ all(limit: 3) { category { name } } }", 6),
        ("{ all(limit: 100000) { name } }", 1_000),
        ("{ all(limit: " + "9" * 6_000 + ") { name } }", 1_000),
        ("{ all(limit: -5) { name } }", 0),
        ("{ all(limit: 0) { name } }", 0),
        ("{ all(limit: 2) { variants { name } } }", 2 + 2 * 10),
        # A connection hands its page size to edges and nodes, which have none of their own ...
        ("{ products(first: 5) { total edges { node { name } } } }", 1 + 5 * 2),
        ("{ products(first: 5) { nodes { category { name } } } }", 1 + 5 * 2),
        ("{ products(first: 0) { nodes { name } } }", 1),
        ("{ products { nodes { name } } }", 1 + 20),
        ("{ products(first: 5, last: 7) { nodes { name } } }", 1 + 7),
        ("{ product { similar { nodes { name } } } }", 2 + 10),
        (
            "{ products(first: 5) { ...C } } fragment C on ProductConnection { nodes { name } }",
            1 + 5,
        ),
        # ... and not to the lists below those.
        ("{ products(first: 5) { nodes { variants { name } } } }", 1 + 5 + 5 * 10),
        ("{ product { category { products { name } } } }", 2 + 3),
        ("mutation { touch rename { name category { name } } }", 10 + 10 + 1),
        ("{ __typename product { __typename } }", 1),
        ("{ __schema { types { fields { name } } } }", 5_000),
        ('{ __type(name: "Query") { fields { type { name } } } }', 1_000),
    ],
)
def test_cost_counts_objects_by_page_sizes(text: str, expected: int) -> None:
    """Objects count 1, lists their page size times an item, scalars nothing, mutations 10 more."""
    assert cost(text) == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"n": 5, "m": 2}, 1 + 5 + 5 * 2),
        ({"n": 5}, 1 + 5 + 5 * 10),
        ({"n": None, "m": 0}, 1 + 20),
        ({"n": 10**30, "m": -1}, 1 + 1_000),
        ({"n": True, "m": "x"}, 1 + 20 + 20 * 10),
    ],
)
def test_cost_follows_variables(variables: dict[str, Any], expected: int) -> None:
    """Page sizes in variables make the cost depend on them; else the field's own size holds."""
    text = """query ($n: Int, $m: Int) {
        products(first: $n) { nodes { levels(first: $m) { quantity } } }
    }"""
    assert cost(text, variables) == expected


def test_the_larger_of_two_page_sizes_counts() -> None:
    """A client that pages both ways sends both variables, one of them null."""
    text = "query ($f: Int, $l: Int) { products(first: $f, last: $l) { nodes { name } } }"
    assert cost(text, {"f": 4, "l": None}) == 5
    assert cost(text, {"f": 4, "l": 6}) == 7
    text = "query ($l: Int) { products(first: 3, last: $l) { nodes { name } } }"
    assert cost(text, {"l": 2}) == 4
    assert cost(text, {"l": 9}) == 10


# The same, written without care for time: every fragment is followed wherever it is spread.

Fragment = FragmentDefinitionNode
PAGE_ARGUMENTS = ("first", "last", "limit")


@dataclass
class Naive:
    """Measures by expanding, top down, with the values of the variables at hand."""

    fragments: dict[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]

    def depth(self, node: SelectionSetNode | None) -> int:
        """Return the longest chain of fields."""
        depths = [0]
        for one in node.selections if node else ():
            if isinstance(one, FieldNode):
                depths.append(1 + self.depth(one.selection_set))
            else:
                depths.append(self.depth(self.inside(one)))
        return max(depths)

    def fields(self, node: SelectionSetNode | None) -> list[FieldNode]:
        """Return the fields of one selection set."""
        found: list[FieldNode] = []
        for one in node.selections if node else ():
            found += [one] if isinstance(one, FieldNode) else self.fields(self.inside(one))
        return found

    def aliases(self, node: SelectionSetNode | None) -> int:
        """Count aliases."""
        found = self.fields(node)
        return sum((f.alias is not None) + self.aliases(f.selection_set) for f in found)

    def directives(self, node: SelectionSetNode | None) -> int:
        """Count directives."""
        total = 0
        for one in node.selections if node else ():
            total += len(one.directives or ())
            if isinstance(one, FragmentSpreadNode):
                total += len(self.fragments[one.name.value].directives or ())
            below = one.selection_set if isinstance(one, FieldNode) else self.inside(one)
            total += self.directives(below)
        return total

    def inside(self, node: Any) -> SelectionSetNode:
        """Return what a spread or an inline fragment stands for."""
        if isinstance(node, FragmentSpreadNode):
            return self.fragments[node.name.value].selection_set
        assert isinstance(node, InlineFragmentNode)
        return node.selection_set

    def cost(
        self, node: SelectionSetNode | None, parent: GraphQLNamedType | None, page: int = 10
    ) -> int:
        """Return the objects of a selection set, on a page of ``page`` items."""
        total = 0
        for one in node.selections if node else ():
            if isinstance(one, FieldNode):
                total += self.field_cost(one, parent, page)
                continue
            on = parent
            if isinstance(one, FragmentSpreadNode):
                on = SCHEMA.get_type(self.fragments[one.name.value].type_condition.name.value)
            elif isinstance(one, InlineFragmentNode) and one.type_condition:
                on = SCHEMA.get_type(one.type_condition.name.value)
            total += self.cost(self.inside(one), on, page)
        return total

    def field_cost(self, node: FieldNode, parent: GraphQLNamedType | None, page: int) -> int:
        """Return the objects of one field."""
        name = node.name.value
        if name.startswith("__"):
            return {"__schema": 5_000, "__type": 1_000}.get(name, 0)
        field = SCHEMA.get_field(parent, name) if is_composite_type(parent) else None
        own = 10 if parent is SCHEMA.mutation_type else int(node.selection_set is not None)
        if field is None:
            return own + self.cost(node.selection_set, None)
        kind = get_named_type(field.type)
        size = self.size(field, node)
        if is_list_type(get_nullable_type(field.type)):
            return (page if size is None else size) * (own + self.cost(node.selection_set, kind))
        return own + self.cost(node.selection_set, kind, 10 if size is None else size)

    def size(self, field: GraphQLField, node: FieldNode) -> int | None:
        """Return the page size of a field, None if it has none of its own."""
        declared = [n for n in ("first", "last", "limit") if n in field.args]
        pages = [a for a in node.arguments or () if a.name.value in PAGE_ARGUMENTS]
        # a literal null counts as not given
        given = [self.value(a) for a in pages if not isinstance(a.value, NullValueNode)]
        sizes = [max(0, min(1_000, one)) for one in given if one is not None]
        defaults = [self.default(field.args[name]) for name in declared]
        defaults = [one for one in defaults if one is not None]
        if sizes or defaults:
            return max(sizes or defaults)  # type: ignore[type-var]
        return 10 if declared or given else None

    def default(self, argument: GraphQLArgument) -> int | None:
        """Return the default of a page argument."""
        literal = argument.default.literal if argument.default else None
        return int(literal.value) if isinstance(literal, IntValueNode) else None

    def value(self, argument: ArgumentNode) -> int | None:
        """Return the page size an argument gives."""
        if isinstance(argument.value, VariableNode):
            found: int | None = self.variables.get(argument.value.name.value)
            return found
        return int(argument.value.value) if isinstance(argument.value, IntValueNode) else None


TYPES = ["Query", "Mutation", "Product", "ProductConnection", "ProductEdge", "Category", "Nowhere"]
FIELDS = [
    "count", "product", "products", "all", "anything", "edges", "nodes", "total", "node", "name",
    "tags", "category", "variants", "levels", "similar", "rename", "unknown",
    "__typename", "__schema",
]  # fmt: skip
SIZES = st.sampled_from(
    [
        "", "(first: 3)", "(first: $n)", "(last: $m)", "(limit: 2)", "(limit: $n)",
        "(first: $n, last: $m)", "(first: 4, last: $m)", "(first: null)",
    ]
)  # fmt: skip


def selections(fragments: list[str], depth: int) -> st.SearchStrategy[str]:
    """Return selection sets that spread only ``fragments``; any field may stand anywhere."""
    marks = st.sampled_from(["", "", " @mark"])
    leaf = st.builds(
        lambda alias, name, mark: alias + name + mark,
        st.sampled_from(["", "", "a: ", "b: "]),
        st.sampled_from(FIELDS),
        marks,
    )
    options = [leaf]
    if fragments:
        options.append(st.builds(lambda n, m: f"...{n}{m}", st.sampled_from(fragments), marks))
    if depth:
        below = selections(fragments, depth - 1)
        options += [
            st.builds(
                lambda name, size, mark, inner: f"{name}{size}{mark} {inner}",
                st.sampled_from(FIELDS), SIZES, marks, below,
            ),
            st.builds(
                lambda on, mark, inner: f"...{on}{mark} {inner}",
                st.sampled_from(["", *(f" on {name}" for name in TYPES)]), marks, below,
            ),
        ]  # fmt: skip
    return st.lists(st.one_of(options), min_size=1, max_size=4).map(
        lambda parts: "{ " + " ".join(parts) + " }"
    )


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Draw an operation with fragments; a fragment spreads only fragments of higher number."""
    names = [f"F{i}" for i in range(draw(st.integers(0, 4)))]
    kind = draw(st.sampled_from(["query", "mutation"]))
    parts = [f"{kind} Q($n: Int, $m: Int) {draw(selections(names, 3))}"]
    for i, name in enumerate(names):
        on = draw(st.sampled_from(TYPES))
        mark = draw(st.sampled_from(["", " @mark"]))
        parts.append(f"fragment {name} on {on}{mark} {draw(selections(names[i + 1 :], 2))}")
    draw(st.randoms()).shuffle(parts)
    return "\n".join(parts)


@settings(max_examples=80, deadline=None)
@example("query Q($n: Int, $m: Int) { product(first: 3) { tags(first: null) { count } } }", {})
@given(
    documents(),
    st.fixed_dictionaries({}, optional={n: st.none() | st.integers(-2, 1_200) for n in "nm"}),
)
def test_the_walk_agrees_with_naive_expansion(text: str, variables: dict[str, Any]) -> None:
    """For any document and variables, measuring leaves first equals expanding every fragment."""
    document: DocumentNode = parse(text)
    found = measure(SCHEMA, document)
    (operation,) = found.operations
    node = operation.node
    assert isinstance(node, OperationDefinitionNode)
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, Fragment)}
    naive = Naive(fragments, variables)
    root = SCHEMA.get_root_type(node.operation)
    assert operation.depth == naive.depth(node.selection_set)
    assert operation.root_fields == len(naive.fields(node.selection_set))
    assert operation.aliases == naive.aliases(node.selection_set)
    assert operation.directives == naive.directives(node.selection_set)
    assert found.formula.evaluate(operation.cost, variables) == naive.cost(node.selection_set, root)

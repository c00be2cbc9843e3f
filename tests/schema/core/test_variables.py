"""The short way to coerce variables gives what graphql-core gives."""

import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse
from graphql.execution.values import VariableValues, get_variable_values
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.core.variables import Variables
from tests.fixtures.schema_walk import SCHEMA

TYPES = ["String", "ID", "Boolean", "Int", "Float", "Decimal", "Date", "DateTime", "OrderState"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        ["2026-01-31", "2026-02-30", "12.50", "1E+4", "PLACED", "2026-01-31T00:00:00Z"]
    ),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)


def operation(declared: str) -> OperationDefinitionNode:
    """Return an operation that declares variables."""
    (node,) = parse(f"query ({declared}) {{ __typename }}").definitions
    assert isinstance(node, OperationDefinitionNode)
    return node


def both(declared: str, values: dict[str, Any]) -> tuple[VariableValues | None, Any]:
    """Return what the short way gives and what graphql-core gives."""
    node = operation(declared)
    definitions = node.variable_definitions or ()
    usual = Variables(SCHEMA, definitions).usual(values)
    return usual, get_variable_values(SCHEMA, definitions, values)


def without_addresses(value: object) -> str:
    """Return what is printed of a value, whatever objects it is made of."""
    return re.sub("0x[0-9a-f]+", "", str(value))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(TYPES),
    st.sampled_from(["", "!"]),
    st.fixed_dictionaries({}, optional={"a": VALUES, "b": VALUES}),
)
def test_agrees(type_name: str, mark: str, values: dict[str, Any]) -> None:
    """Whatever is given for scalars: the same values, or left to graphql-core."""
    usual, core = both(f"$a: {type_name}{mark}, $b: {type_name}, $c: Int! = 3", values)
    if usual is None:
        assert isinstance(core, list)
        return
    assert isinstance(core, VariableValues)
    assert usual.coerced == core.coerced
    assert [*map(type, usual.coerced.values())] == [*map(type, core.coerced.values())]
    # signatures compare their types by identity, and those marked ! are made anew each time
    assert without_addresses(usual.sources) == without_addresses(core.sources)


@pytest.mark.parametrize(
    ("declared", "values", "expected"),
    [
        ("$a: ID!", {"a": "x"}, {"a": "x"}),
        ("$a: Int", {"a": 3}, {"a": 3}),
        ("$a: Date!", {"a": "2026-01-31"}, {"a": date(2026, 1, 31)}),
        ("$a: Decimal", {"a": "12.50"}, {"a": Decimal("12.50")}),
        ("$a: Boolean, $b: String", {"b": None}, {"b": None}),
        ("$a: [ID!]!", {"a": ["x"]}, {"a": ["x"]}),
        ("$a: Int = 3, $b: Int", {}, {"a": 3}),
        ("$a: Int! = 3", {"a": 4}, {"a": 4}),
        ("$a: Int = 3", {"a": None}, {"a": None}),
        (
            "$a: ProductAttributeInput",
            {"a": {"name": "color", "value": "red"}},
            {"a": {"name": "color", "value": "red"}},
        ),
    ],
)
def test_takes_what_is_usual(
    declared: str, values: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Valid values do not need graphql-core."""
    usual, _ = both(declared, values)
    assert usual is not None
    assert usual.coerced == expected


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("$a: [ID!]", {"a": "x"}),
        ("$a: SalesOrderFilter", {"a": {"none": 1}}),
        ("$a: Int!", {}),
        ("$a: Int", {"a": 2**31}),
        ("$a: String", {"a": 1}),
        ("$a: Boolean", {"a": 1}),
    ],
)
def test_leaves_the_rest(declared: str, values: dict[str, Any]) -> None:
    """A list without its brackets and mistakes are graphql-core's."""
    assert both(declared, values)[0] is None

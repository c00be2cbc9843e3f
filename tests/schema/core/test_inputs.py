"""Input objects are coerced as graphql-core does it, and built as Strawberry does."""

from decimal import Decimal
from typing import Any

import pytest
import strawberry
from graphql import (
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    Undefined,
    get_nullable_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)
from graphql.utilities import coerce_input_value
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.types.arguments import convert_argument

from schema.build import build_schema
from schema.bulk.inputs import ProductAttributeInput, ProductUpsertInput
from schema.core.inputs import build_for, fit_for
from tests.fixtures.schema_walk import SCHEMA

CONVERTER = build_schema().schema_converter
INPUTS = [type_ for type_ in SCHEMA.type_map.values() if is_input_object_type(type_)]
SCALARS = {
    "Int": st.integers(-5, 5),
    "Boolean": st.booleans(),
    "Decimal": st.sampled_from(["12.50", "-1", 7]),
    "Date": st.just("2026-01-31"),
    "DateTime": st.just("2026-01-31T00:00:00Z"),
    "CurrencyCode": st.just("EUR"),
}
ODD = st.sampled_from([None, 1, True, "", "x", "1E+4", [], [None], {}, {"x": 1}])


def values_of(type_: GraphQLInputType) -> st.SearchStrategy[Any]:
    """Return values for a type: mostly of it, now and then not."""
    of: Any = get_nullable_type(type_)
    if is_list_type(of):
        good: st.SearchStrategy[Any] = st.lists(values_of(of.of_type), max_size=2)
    elif is_input_object_type(of):
        fields = {name: values_of(field.type) for name, field in of.fields.items()}
        required = [n for n, field in of.fields.items() if is_required_input_field(field)]
        good = st.fixed_dictionaries(
            {name: fields[name] for name in required},
            optional={name: one for name, one in fields.items() if name not in required},
        )
    elif is_enum_type(of):
        good = st.sampled_from(list(of.values))
    else:
        good = SCALARS.get(of.name, st.text(max_size=3))
    usual = good if is_non_null_type(type_) else st.one_of(good, st.none())
    return st.integers(0, 60).flatmap(lambda n: ODD if n == 0 else usual)


VALUES = {type_.name: values_of(type_) for type_ in INPUTS}


def coerced_of(type_: GraphQLInputType, value: Any) -> Any:
    """Return what a value is coerced to, `Undefined` where that is left to graphql-core."""
    try:
        return fit_for(type_).of(value)
    except Exception:  # noqa: BLE001 - as `schema.core.variables` takes it
        return Undefined


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_agrees_with_graphql_core_and_strawberry(data: st.DataObject) -> None:
    """Whatever is given for an input object: the same value and object, or left to graphql-core."""
    type_ = data.draw(st.sampled_from(INPUTS))
    value = data.draw(VALUES[type_.name])
    core = coerce_input_value(value, GraphQLNonNull(type_))
    ours = coerced_of(GraphQLNonNull(type_), value)
    if ours is Undefined:
        # a list of one that is given without its brackets is valid, and unusual
        return
    assert ours == core
    python_type = type_.extensions["strawberry-definition"].origin
    build = build_for(python_type, CONVERTER)
    assert build is not None
    theirs = convert_argument(core, python_type, CONVERTER.scalar_registry, CONVERTER.config)
    assert build(ours) == theirs


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"sku": "A", "name": "A", "categoryCode": "A", "uom": "A", "listPrice": None},
        {
            "sku": "A",
            "name": "A",
            "categoryCode": "A",
            "uom": "A",
            "listPrice": "1",
            "color": "red",
        },
        {"sku": 1, "name": "A", "categoryCode": "A", "uom": "A", "listPrice": "1"},
        {"sku": "A", "name": "A", "categoryCode": "A", "uom": "A", "listPrice": "one"},
        [],
    ],
)
def test_leaves_mistakes_to_graphql_core(value: Any) -> None:
    """A field that is missing, null, unknown or wrong is not taken."""
    type_ = SCHEMA.type_map["ProductUpsertInput"]
    assert isinstance(type_, GraphQLInputObjectType)
    assert coerced_of(type_, value) is Undefined
    assert coerced_of(GraphQLList(type_), [value]) is Undefined
    assert coerce_input_value(value, type_) is Undefined


def test_builds_what_is_in_lists() -> None:
    """Objects in lists of objects are built, and what was not given is null."""
    build = build_for(
        strawberry.annotation.StrawberryAnnotation(list[ProductUpsertInput]).resolve(), CONVERTER
    )
    type_ = GraphQLList(SCHEMA.type_map["ProductUpsertInput"])
    row = {"sku": "A", "name": "B", "categoryCode": "C", "uom": "PCE", "listPrice": "1.50"}
    coerced = fit_for(type_).of([row | {"attributes": [{"name": "color", "value": "red"}]}])
    assert build is not None
    assert build(coerced) == [
        ProductUpsertInput(
            sku="A",
            name="B",
            category_code="C",
            uom="PCE",
            list_price=Decimal("1.50"),
            attributes=[ProductAttributeInput(name="color", value="red")],
        )
    ]


@strawberry.input
class Tree:
    """A type that holds itself."""

    name: str
    below: "list[Tree] | None" = None


@strawberry.type
class Query:
    """The least a schema has."""

    @strawberry.field
    def size(self, tree: Tree) -> int:
        """Count."""
        return 1 + len(tree.below or ())


def test_takes_a_type_that_holds_itself() -> None:
    """It is looked at once."""
    schema = strawberry.Schema(Query)
    type_: Any = schema._schema.type_map["Tree"]
    coerced = fit_for(type_).of({"name": "a", "below": [{"name": "b", "below": [{"name": "c"}]}]})
    build = build_for(Tree, schema.schema_converter)
    assert build is not None
    assert build(coerced) == Tree(name="a", below=[Tree(name="b", below=[Tree(name="c")])])

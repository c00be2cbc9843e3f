"""Words for types, and what fields of several types must be to build."""

from typing import Annotated, Any

import pytest
import strawberry

from schema.build import check_fields, core_schema
from schema.core.fields import RowType, column
from schema.core.kinds import kind_of, kinds, related_any
from schema.core.node import row_type
from schema.core.scalars import schema_config
from tests.fixtures.papers import SCHEMA, Invoice, Paper


@pytest.mark.parametrize(
    ("type_name", "word"),
    [("Invoice", "INVOICE"), ("SalesOrderLine", "SALES_ORDER_LINE"), ("Item2Go", "ITEM2_GO")],
)
def test_a_word_is_the_name_of_the_type(type_name: str, word: str) -> None:
    """Columns hold the type's name in capitals."""
    assert kind_of(type_name) == word


def test_types_follow_from_the_schema() -> None:
    """Whoever implements the interface, or stands in the union, can be named."""
    schema = core_schema(SCHEMA)
    paper: Any = schema.type_map["Paper"]
    goods: Any = schema.type_map["Goods"]
    assert list(kinds(schema, paper)) == ["GOODS_RECEIPT", "INVOICE", "MEMO"]
    assert list(kinds(schema, goods)) == ["GOODS_RECEIPT", "INVOICE"]


@row_type("Plain", "A row without an id.")
class Plain(RowType):
    """Nothing that a key leads to."""

    code: str = column("Code.")


Odd = Annotated[Invoice | Plain, strawberry.union("Odd", description="One has no id.")]


@row_type("Strict", "A row.")
class Strict(RowType):
    """A row that cannot do without a paper."""

    paper: Paper = related_any("A paper.", "kind", "paper_id")


@row_type("Loose", "A row.")
class Loose(RowType):
    """A row that leads to a type nobody finds by key."""

    odd: Odd | None = related_any("An odd one.", "kind", "paper_id")


def schema_of(type_: type) -> strawberry.Schema:
    """Return a schema with one root field of ``type_``."""

    @strawberry.type
    class Query:
        value: type_ = strawberry.field(resolver=lambda: None)  # type: ignore[valid-type]

    return strawberry.Schema(query=Query, types=[Invoice], config=schema_config())


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        (Strict, "Strict.paper may be of any type, so it must be nullable"),
        (Loose, "Plain is no node type, so Odd cannot lead to it"),
    ],
)
def test_what_cannot_work_does_not_build(type_: type, message: str) -> None:
    """A field that promises an object, and one whose objects have no key, are refused."""
    with pytest.raises(TypeError, match=message):
        check_fields(core_schema(schema_of(type_)))

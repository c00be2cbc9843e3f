"""Type extensions: a higher module adds fields to a lower one's type."""

from typing import Any

import pytest
import strawberry

from schema.core.extend import extend
from schema.core.fields import RowType, column, computed, declare_field


def make_types() -> tuple[Any, Any]:
    """Return a type with a field, and an extension that adds two."""

    @strawberry.type
    class Lower(RowType):
        code: str = column("Code.")

    class Higher:
        size: int = computed("Size.", lambda row: row["size"], needs=("size",))
        loud: str = computed("Loudly.", lambda row: row["code"].upper(), needs=("code",))

    return Lower, Higher


def test_fields_of_an_extension_are_fields_of_the_type() -> None:
    """They are read from the same row, and stand behind the type's own."""
    lower, higher = make_types()
    assert extend(lower)(higher) is higher

    def find() -> Any:
        return lower.of({"code": "a", "size": 2})

    @strawberry.type
    class Query:
        thing: lower = declare_field("A thing.", resolver=find)  # type: ignore[valid-type]

    schema = strawberry.Schema(Query)
    result = schema.execute_sync("{ thing { code size loud } }")
    assert result.errors is None
    assert result.data == {"thing": {"code": "a", "size": 2, "loud": "A"}}
    text = schema.as_str()
    assert text.index("code:") < text.index("size:") < text.index("loud:")


def test_a_name_that_is_taken_is_refused() -> None:
    """No module silently replaces a field of another, and nothing of it is added."""
    lower, higher = make_types()
    extend(lower)(higher)

    class Again:
        other: int = computed("Other.", lambda row: row["other"], needs=("other",))
        size: int = computed("Size.", lambda row: row["size"], needs=("size",))

    with pytest.raises(TypeError, match="Lower has a field size already"):
        extend(lower)(Again)
    names = [field.python_name for field in lower.__strawberry_definition__.fields]
    assert names == ["code", "size", "loud"]

"""Statements: compiled once, run with numbered parameters."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    any_,
    bindparam,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from resolvers.core.statement import compile_statement
from tests.fixtures.rows import Rows

_TABLE = Table("pg_class", MetaData(), Column("oid", Integer), Column("relpages", Integer))


def test_parameters_go_in_the_order_of_their_placeholders() -> None:
    """Names become numbers, and values follow them."""
    statement = compile_statement(
        select(_TABLE.c.oid).where(
            _TABLE.c.relpages < bindparam("most"), _TABLE.c.oid == bindparam("wanted")
        )
    )
    assert statement.sql.index("$1") < statement.sql.index("$2")
    assert statement.arguments({"wanted": 5, "most": 9}) == [9, 5]


def test_a_name_used_twice_is_sent_once() -> None:
    """One parameter has one placeholder however often it stands in the statement."""
    at = bindparam("at", type_=Integer)
    statement = compile_statement(select(_TABLE.c.oid).where(_TABLE.c.oid > at, _TABLE.c.oid != at))
    assert statement.names == ("at",)
    assert statement.arguments({"at": 3}) == [3]


def test_constants_are_filled_in_and_can_be_overridden() -> None:
    """Values written into a statement are its defaults."""
    statement = compile_statement(select(literal(7, Integer) + bindparam("more", 1)))
    assert sorted(statement.arguments({})) == [1, 7]
    assert sorted(statement.arguments({"more": 2})) == [2, 7]


def test_a_parameter_without_a_value_is_an_error() -> None:
    """A missing value is found before the statement is sent, and named."""
    statement = compile_statement(select(_TABLE.c.oid).where(_TABLE.c.oid == bindparam("wanted")))
    with pytest.raises(KeyError, match="wanted"):
        statement.arguments({})


@pytest.mark.parametrize("value", [None, 0, False, ""], ids=repr)
def test_empty_values_are_values(value: Any) -> None:
    """None, 0 and the empty text are sent as they are, not replaced by a default."""
    statement = compile_statement(select(func.coalesce(bindparam("value", 5))))
    assert statement.arguments({"value": value}) == [value]


async def test_runs_on_the_driver_itself(rows: Rows) -> None:
    """Arrays, texts and numbers get through, and the driver prepares the text only once."""
    statement = compile_statement(
        select(literal("found"), func.cardinality(bindparam("keys", type_=ARRAY(Integer)))).where(
            literal(2, Integer) == any_(bindparam("keys", type_=ARRAY(Integer)))
        )
    )
    for keys, expected in (([1, 2, 3], [("found", 3)]), ([], [])):
        found = await rows.fetch(statement, {"keys": keys})
        assert [tuple(row) for row in found] == expected


KEYS = st.lists(
    st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50), KEYS)
async def test_lists_arrive_as_they_are(
    rows: Rows, numbers: list[int], texts: list[str | None]
) -> None:
    """Keys go as the text of an array, whatever is in them."""
    both = select(
        bindparam("numbers", type_=ARRAY(BigInteger)), bindparam("texts", type_=ARRAY(Text))
    )
    statement = compile_statement(both)
    assert all(type(one) is str for one in statement.arguments({"numbers": [1], "texts": ["a"]}))
    [found] = await rows.fetch(statement, {"numbers": numbers, "texts": texts})
    assert (found[0], found[1]) == (numbers, texts)


async def test_no_list_is_null(rows: Rows) -> None:
    """Nothing is nothing, and not an empty array."""
    statement = compile_statement(select(bindparam("numbers", type_=ARRAY(Integer))))
    [found] = await rows.fetch(statement, {"numbers": None})
    assert found[0] is None

"""Entities: named columns, computed ones, and the range of keys."""

import pytest
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text

from resolvers.core.entity import entity

_SMALL = Table("small", MetaData(), Column("id", Integer, primary_key=True), Column("code", Text))
_BIG = Table("big", MetaData(), Column("id", BigInteger, primary_key=True), Column("n", Integer))


def test_every_column_has_its_name_and_computed_ones_theirs() -> None:
    """A reader asks for columns of the table and for computed ones the same way."""
    big = entity("Big", _BIG, next=_BIG.c.n + 1)
    assert set(big.columns) == {"id", "n", "next"}
    assert (
        str(big.expression("next").compile(compile_kwargs={"literal_binds": True})) == "big.n + 1"
    )
    assert isinstance(big.type_of("next"), Integer)


def test_an_unknown_column_is_an_error() -> None:
    """A plan that names no column of the entity fails when it is first used."""
    with pytest.raises(KeyError):
        entity("Small", _SMALL).expression("nothing")


def test_columns_are_selected_once_by_name_in_one_order() -> None:
    """The same set of columns is the same statement, whatever order it was asked in."""
    small = entity("Small", _SMALL, upper=_SMALL.c.code)
    labels = [column.name for column in small.labeled(frozenset({"upper", "id", "code"}))]
    assert labels == ["code", "id", "upper"]


@pytest.mark.parametrize(
    ("table", "largest"), [(_SMALL, 2**31 - 1), (_BIG, 2**63 - 1)], ids=["int", "bigint"]
)
def test_keys_have_the_range_of_their_column(table: Table, largest: int) -> None:
    """A key that no row can have is known before the database is asked."""
    known = entity("Known", table)
    assert known.has_key(1)
    assert known.has_key(largest)
    for impossible in (0, -1, largest + 1, 10**30):
        assert not known.has_key(impossible)


def test_the_key_can_be_another_column() -> None:
    """An entity without an id of its own is found by the column it names."""
    assert entity("Coded", _SMALL, key="code").key == "code"

"""Kept relations: how long rows stay, and whose can be kept at all."""

import pytest

from resolvers.core.kept import kept
from tests.fixtures.papers import OWNED
from tests.fixtures.rows import THING, Rows

NAME = frozenset({"name"})


def test_rows_that_not_everybody_sees_are_never_kept() -> None:
    """A table of a company's rows is refused where the relation is defined."""
    with pytest.raises(TypeError, match="Not everybody sees every Owned"):
        kept(OWNED)


async def test_only_keys_that_are_not_kept_are_asked_for(rows: Rows) -> None:
    """Rows come in the order of the keys, kept ones and new ones alike."""
    await rows.insert(*({"name": f"thing {n}"} for n in range(4)))
    relation = kept(THING)
    found = await relation.batch(rows, [1, 2], NAME, {})
    again = await relation.batch(rows, [3, 2, 99, 1], NAME, {})
    assert [row and row["name"] for row in again] == ["thing 2", "thing 1", None, "thing 0"]
    assert [again[3], again[1]] == found
    assert len(rows.statements) == 2
    await relation.batch(rows, [1, 2, 3], NAME, {})
    assert len(rows.statements) == 2


async def test_rows_are_kept_for_a_while(rows: Rows) -> None:
    """When the time is over, what changed meanwhile is told."""
    await rows.insert({"name": "old"})
    relation = kept(THING, seconds=0.0)
    await relation.batch(rows, [1], NAME, {})
    await rows.connection.execute("update thing set name = 'new'")
    [found] = await relation.batch(rows, [1], NAME, {})
    assert found["name"] == "new"


async def test_sets_of_columns_are_bounded(rows: Rows) -> None:
    """However many selections there are, no more than some are kept."""
    await rows.insert({"name": "one"})
    relation = kept(THING)
    names = sorted(THING.columns)
    for number in range(100):
        columns = frozenset(name for at, name in enumerate(names) if number >> at & 1)
        await relation.batch(rows, [1], columns, {})
    assert len(relation._rows.by_columns) <= 64

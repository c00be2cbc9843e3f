"""Kept relations: what is answered from memory, for how long, and what can be kept at all."""

import pytest

from resolvers.core.kept import kept
from resolvers.core.principal import PARTNER_ROLE, RowScope
from resolvers.core.reference import ReferenceCache
from resolvers.core.table import is_amount, metadata, money, required, shared, table
from resolvers.modules import data_modules
from tests.fixtures.papers import OWNED
from tests.fixtures.rows import THING, Rows

NAME = frozenset({"name"})


class Clock:
    """A clock that stands still."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(rows: Rows) -> Clock:
    """Have a trusted cache behind the reads; return its clock."""
    clock = Clock()
    rows.reference = ReferenceCache(clock)
    rows.reference.trust(3)
    return clock


def test_only_reference_data_is_kept() -> None:
    """A table that is not said to be reference data is refused where the relation is defined."""
    with pytest.raises(TypeError, match="owned holds no reference data"):
        kept(OWNED)


def test_amounts_are_never_kept() -> None:
    """A table with money or a quantity cannot be reference data, and the few that are have none."""
    with pytest.raises(TypeError, match="price_of_nothing has amounts"):
        table(
            "price_of_nothing",
            required("amount", money()),
            rows=shared(),
            comment="Never made.",
            reference=True,
        )
    data_modules()
    found = [table for table in metadata.sorted_tables if table.info["reference"]]
    assert {table.name for table in found} == {
        "currency",
        "payment_term",
        "tax",
        "product_category",
        "unit_of_measure",
        "warehouse",
    }
    assert not [column for table in found for column in table.c if is_amount(column.type)]


@pytest.mark.usefixtures("clock")
async def test_only_keys_that_are_not_kept_are_asked_for(rows: Rows) -> None:
    """Kept rows and new ones are told alike; a key without a row is asked for each time."""
    assert rows.reference
    await rows.insert(*({"name": f"thing {n}"} for n in range(4)))
    relation = kept(THING)
    found = await relation.batch(rows, [1, 2], NAME, {})
    again = await relation.batch(rows, [3, 2, 99, 1], NAME, {})
    assert [row and row["name"] for row in again] == ["thing 2", "thing 1", None, "thing 0"]
    assert [again[3], again[1]] == found
    assert len(rows.statements) == 2
    await relation.batch(rows, [1, 2, 3], NAME, {})
    assert len(rows.statements) == 2
    await relation.batch(rows, [99], NAME, {})
    assert len(rows.statements) == 3
    assert (rows.reference.size, rows.reference.hits, rows.reference.misses) == (3, 5, 5)


async def test_nothing_is_answered_from_memory_while_changes_may_go_unheard(
    rows: Rows, clock: Clock
) -> None:
    """Not once trust ran out, not after a connection was lost, and not where nothing is kept."""
    assert rows.reference
    await rows.insert({"name": "old"})
    relation = kept(THING)
    await relation.batch(rows, [1], NAME, {})
    await rows.connection.execute("update thing set name = 'new'")

    async def name() -> str:
        [found] = await relation.batch(rows, [1], NAME, {})
        return str(found["name"])

    assert await name() == "old"
    clock.now = 3.0
    assert await name() == "new"
    rows.reference.trust(3)
    assert await name() == "old"  # whoever trusts again has to have forgotten before
    rows.reference.distrust()
    assert await name() == "new"
    rows.reference = None
    assert await name() == "new"


@pytest.mark.usefixtures("clock")
async def test_what_is_read_while_it_changes_is_not_kept(rows: Rows) -> None:
    """An old row that arrives after the news of its change is forgotten with the others."""
    cache = rows.reference
    assert cache
    await rows.insert({"name": "old"})
    relation = kept(THING)
    fetch = rows.fetch

    async def overtaken(*asked: object) -> object:
        found = await fetch(*asked)  # type: ignore[arg-type]
        await rows.connection.execute("update thing set name = 'new'")
        cache.forget()
        return found

    rows.fetch = overtaken  # type: ignore[assignment, method-assign]
    await relation.batch(rows, [1], NAME, {})
    rows.fetch = fetch  # type: ignore[method-assign]
    [found] = await relation.batch(rows, [1], NAME, {})
    assert found["name"] == "new"


@pytest.mark.usefixtures("clock")
async def test_rows_not_seen_by_all_are_kept_apart(rows: Rows) -> None:
    """What one company was told is no answer for another, nor for a partner of the same."""
    await rows.insert({"name": "one"})
    relation = kept(THING)
    object.__setattr__(relation, "_for_all", False)  # as its row rule would have it
    scopes = [rows.scope, RowScope(rows.scope.role, 2), RowScope(PARTNER_ROLE, 1, 7)]
    for asked, rows.scope in enumerate(scopes, start=1):
        await relation.batch(rows, [1], NAME, {})
        await relation.batch(rows, [1], NAME, {})
        assert len(rows.statements) == asked


@pytest.mark.usefixtures("clock")
async def test_what_is_kept_is_bounded(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many selections and rows there are, no more than some are kept."""
    assert rows.reference
    await rows.insert(*({"name": "one"} for _ in range(4)))
    relation = kept(THING)
    names = sorted(THING.columns)
    for number in range(400):
        columns = frozenset(name for at, name in enumerate(names) if number >> at & 1)
        await relation.batch(rows, [1], columns, {})
    assert rows.reference.size <= 256
    monkeypatch.setattr("resolvers.core.kept._MOST_ROWS", 2)
    rows.reference.forget()
    for keys in ([1, 2], [3], [4]):
        await relation.batch(rows, keys, NAME, {})
    assert rows.reference.size == 2

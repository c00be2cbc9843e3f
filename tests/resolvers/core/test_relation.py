"""Relations: rows for many parents in one statement, whatever is asked of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import any_, bindparam
from sqlalchemy.dialects.postgresql import ARRAY

from resolvers.core.clock import system_clock
from resolvers.core.context import Context, OperationStats
from resolvers.core.relation import Relation, by_key, children
from resolvers.core.table import as_given
from tests.fixtures.gateway import principal
from tests.fixtures.rows import THING, Rows

_thing = THING.columns

THING_BY_ID: Final = by_key(THING)
THING_BY_NAME: Final = by_key(THING, "name", order=("rank",))
THINGS_OF_OWNER: Final = children(
    THING,
    "owner_id",
    order=("rank", "id"),
    where=(~_thing["hidden"],),
    narrowing={
        "ranks": _thing["rank"] == any_(bindparam("ranks", type_=ARRAY(_thing["rank"].type))),
        "least": _thing["amount"] >= bindparam("least", type_=as_given(_thing["amount"].type)),
    },
)
ID: Final = frozenset({"id"})


async def fill(rows: Rows) -> None:
    """Insert things of four owners, some hidden."""
    await rows.insert(
        *(
            {
                "owner_id": number % 4,
                "name": f"thing {number // 2}",
                "rank": number * 5 % 7,
                "amount": str(number),
                "hidden": number % 5 == 0,
            }
            for number in range(1, 31)
        )
    )


def ids(found: Any) -> list[int]:
    """Return the ids of rows."""
    return [row["id"] for row in found]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(-3, 40), unique=True, max_size=30))
async def test_rows_are_handed_back_in_the_order_of_the_keys(rows: Rows, keys: list[int]) -> None:
    """Each key has its row or None, in its place, in one statement."""
    if not await rows.ids("select 1 from thing limit 1"):
        await fill(rows)
    rows.statements.clear()
    found = await THING_BY_ID.batch(rows, keys, ID, {})
    assert [row and row["id"] for row in found] == [key if 1 <= key <= 30 else None for key in keys]
    assert len(rows.statements) == 1


async def test_of_several_rows_for_one_key_the_last_counts(rows: Rows) -> None:
    """The order says which of the rows of a key that is not unique is meant."""
    await rows.insert(
        {"name": "same", "rank": 2}, {"name": "same", "rank": 9}, {"name": "same", "rank": 5}
    )
    [found, missing] = await THING_BY_NAME.batch(rows, ["same", "other"], ID, {})
    assert (found["id"], missing) == (2, None)


async def test_to_many_finds_lists_in_their_order(rows: Rows) -> None:
    """Every parent has its list, empty if there is nothing; what is always left out is left out."""
    await fill(rows)
    keys = [2, 99, 0]
    found = await THINGS_OF_OWNER.batch(rows, keys, ID, {})
    for key, of_key in zip(keys, found, strict=True):
        assert ids(of_key) == await rows.ids(
            "select id from thing where owner_id = $1 and not hidden order by rank, id", key
        )
    assert len(rows.statements) == 1


@pytest.mark.parametrize(
    ("arguments", "condition"),
    [
        ({"ranks": [1, 3]}, "rank in (1, 3)"),
        ({"ranks": []}, "false"),
        ({"least": "7.5"}, "amount >= 7.5"),
        ({"ranks": [1, 2, 3], "least": "10"}, "rank in (1, 2, 3) and amount >= 10"),
    ],
)
async def test_arguments_narrow_what_is_found(
    rows: Rows, arguments: dict[str, Any], condition: str
) -> None:
    """An argument that is given adds its condition, one that is not adds none."""
    await fill(rows)
    [found] = await THINGS_OF_OWNER.batch(rows, [1], ID, arguments)
    assert ids(found) == await rows.ids(
        f"select id from thing where owner_id = 1 and not hidden and {condition} order by rank, id"
    )


async def test_only_wanted_columns_are_read(rows: Rows) -> None:
    """A statement selects the key to hand rows back by, and what was asked for."""
    await fill(rows)
    await THING_BY_ID.batch(rows, [1], frozenset({"doubled", "name"}), {})
    selected = rows.statements[-1].split("FROM")[0]
    assert " ".join(selected.split()) == (
        "SELECT thing.id AS _key, thing.amount + thing.amount AS doubled, thing.name AS name"
    )


def test_a_shape_is_compiled_once() -> None:
    """The same columns and arguments give the very same statement, others another."""
    same = THINGS_OF_OWNER.statement(frozenset({"id", "name"}), frozenset({"ranks"}))
    assert THINGS_OF_OWNER.statement(frozenset({"name", "id"}), frozenset({"ranks"})) is same
    assert THINGS_OF_OWNER.statement(frozenset({"id"}), frozenset({"ranks"})) is not same
    assert THINGS_OF_OWNER.statement(frozenset({"id", "name"}), frozenset()) is not same


@asynccontextmanager
async def operation(rows: Rows) -> AsyncIterator[Context]:
    """Open a context of one operation over the table."""
    nothing = cast("Any", None)
    context = Context(
        principal=principal(),
        request_id="test",
        clock=system_clock,
        reads=rows,
        writes=nothing,
        broker=nothing,
        log=nothing,
        wake_relay=nothing,
        stats=OperationStats(),
    )
    try:
        yield context
    finally:
        for loader in context.loaders.values():
            await loader.aclose()


class TestLoaders:
    """The loaders of an operation: one for a relation and its arguments."""

    async def test_equal_arguments_share_a_loader_and_others_do_not(self, rows: Rows) -> None:
        """What two fields ask with the same arguments is read once."""
        async with operation(rows) as context:
            one = THINGS_OF_OWNER.loader(context, {"ranks": [1, 2]})
            assert THINGS_OF_OWNER.loader(context, {"ranks": [1, 2]}) is one
            for others in ({}, {"ranks": [2, 1]}, {"least": "1"}, {"ranks": [1, 2], "least": "1"}):
                assert THINGS_OF_OWNER.loader(context, others) is not one

    async def test_relations_of_one_kind_do_not_share(self, rows: Rows) -> None:
        """Two relations to the same rows by the same column are still two."""
        async with operation(rows) as context:
            again = by_key(THING)
            assert again.loader(context, {}) is not THING_BY_ID.loader(context, {})

    async def test_two_loaders_answer_each_their_own(self, rows: Rows) -> None:
        """Different arguments at once do not mix, and take a statement each."""
        await fill(rows)
        async with operation(rows) as context:
            all_, some = await asyncio.gather(
                THINGS_OF_OWNER.loader(context, {}).load(1, ID),
                THINGS_OF_OWNER.loader(context, {"ranks": [5]}).load(1, ID),
            )
        assert ids(some) == await rows.ids(
            "select id from thing where owner_id = 1 and not hidden and rank = 5 order by id"
        )
        assert len(ids(all_)) > len(ids(some)) > 0
        assert len(rows.statements) == 2

    async def test_a_batch_reads_the_columns_of_all_its_keys(self, rows: Rows) -> None:
        """Fields that want different columns of the same relation share one statement."""
        await fill(rows)
        async with operation(rows) as context:
            loader = THING_BY_ID.loader(context, {})
            named, ranked = await asyncio.gather(
                loader.load(1, frozenset({"name"})), loader.load(2, frozenset({"rank"}))
            )
            assert (named["name"], ranked["rank"]) == ("thing 0", 3)
            assert len(rows.statements) == 1
            await loader.load(1, frozenset({"rank"}))
            assert len(rows.statements) == 1
            await loader.load(1, frozenset({"made_on"}))
            assert len(rows.statements) == 2


def test_relations_are_named_by_what_they_return_and_by_which_key() -> None:
    """Names show up in metrics and traces."""
    assert isinstance(THING_BY_ID, Relation)
    assert THING_BY_ID.name.startswith("Thing")
    assert THING_BY_ID.name != THINGS_OF_OWNER.name

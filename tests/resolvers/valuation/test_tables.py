"""What the database makes of moves: the same as the pure rules, move by move and many at once."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolvers.valuation.rules import Costing, ProductCost
from tests.fixtures.row_scopes import rolled_back

DIGITS = {"EUR": 2, "JPY": 0, "KWD": 3}
BY_LAW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True)
class Move:
    """So much, in ten-thousandths, that comes (above 0) or leaves; of a lot, at a cost."""

    quantity: int
    lot: int
    cost: int | None


def moves(*, negative: bool = True) -> st.SearchStrategy[list[Move]]:
    """Return sequences of moves; quantities are often few and costs often odd."""
    quantity = st.one_of(st.integers(1, 5).map(lambda n: n * 10_000), st.integers(1, 99_999))
    signed = st.tuples(quantity, st.booleans()).map(lambda it: it[0] if it[1] else -it[0])
    cost = st.one_of(st.none(), st.integers(0, 300), st.integers(0, 10**7))
    made = st.builds(Move, signed if negative else quantity, st.integers(0, 1), cost)
    return st.lists(made, min_size=1, max_size=12)


def amount(steps: int) -> Decimal:
    """Return ten-thousandths as the database keeps them."""
    return Decimal(steps).scaleb(-4)


@dataclass
class Book:
    """A product that is new, of a company with this costing and currency."""

    owner: "asyncpg.Connection[Any]"
    product: int
    lots: Sequence[int]
    costing: Costing
    step: int
    outside: int
    count: int = 0

    async def post(self, *moved: Move) -> None:
        """Write moves in one statement, at costs that the currency has."""
        rows = []
        for move in moved:
            self.count += 1
            cost = None if move.cost is None else amount(move.cost * self.step)
            rows.append((*self._ends(move), amount(abs(move.quantity)), self.count, move.lot, cost))
        await self.owner.execute(
            """insert into stock_move (company_id, product_id, from_location_id, to_location_id,
                 quantity, kind, idempotency, effective_on, posted_by, lot_id, cost)
               select 1, $1, o, t, q, 'ADJUSTMENT', 'law-' || n, '2026-06-30', 'law', l, c
               from unnest($2::int[], $3::int[], $4::numeric[], $5::int[], $6::bigint[],
                           $7::numeric[]) m(o, t, q, n, l, c) order by n""",
            self.product,
            *([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]),
            *([row[3] for row in rows], [self.lots[row[4]] for row in rows]),
            [row[5] for row in rows],
        )

    def _ends(self, move: Move) -> tuple[int, int]:
        inside, outside = 1, self.outside
        return (outside, inside) if move.quantity > 0 else (inside, outside)

    async def state(self) -> tuple[Any, ...]:
        """Return quantity, value and cost of a unit."""
        row = await self.owner.fetchrow(
            "select quantity, value, unit_cost from product_cost where product_id = $1",
            self.product,
        )
        return tuple(row) if row else (0, 0, 0)

    async def adds_up(self) -> None:
        """See that entries, layers and what is said of the product are the same."""
        quantity, value, _ = await self.state()
        [entries] = await self.owner.fetch(
            "select sum(quantity), sum(amount) from valuation_entry where product_id = $1",
            self.product,
        )
        assert tuple(entries) == (quantity, value)
        [layers] = await self.owner.fetch(
            "select coalesce(sum(remaining), 0), coalesce(sum(value), 0) from cost_layer"
            " where product_id = $1",
            self.product,
        )
        assert tuple(layers) == ((quantity, value) if self.costing is Costing.FIFO else (0, 0))


async def book_of(
    owner: "asyncpg.Connection[Any]", costing: Costing, currency: str, unit_cost: int
) -> Book:
    """Make a product and two lots of it, in a transaction that is open."""
    await owner.execute(
        "update company set costing = $1, currency = $2 where id = 1", costing, currency
    )
    product = await owner.fetchval(
        """insert into product (sku, name, kind, tracking, category_id, uom_id, list_currency)
           select 'LAW', 'Law', 'GOODS', 'LOT', category_id, uom_id, 'EUR' from product limit 1
           returning id"""
    )
    await owner.execute(
        "insert into product_company (product_id, company_id, standard_cost) values ($1, 1, $2)",
        product,
        Decimal(unit_cost).scaleb(-6),
    )
    lots = await owner.fetch(
        """insert into lot (company_id, product_id, number, received_on)
           select 1, $1, n::text, '2026-06-30' from generate_series(1, 2) n returning id""",
        product,
    )
    loss = await owner.fetchval(
        "select id from stock_location where company_id = 1 and kind = 'LOSS'"
    )
    step = 10 ** (4 - DIGITS[currency])
    return Book(owner, product, [row[0] for row in lots], costing, step, loss)


@pytest_asyncio.fixture
async def owner(database_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Yield a connection of the owner."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


worlds = st.tuples(
    st.sampled_from(list(Costing)), st.sampled_from(list(DIGITS)), st.integers(0, 10**9)
)


@BY_LAW
@given(world=worlds, moved=moves())
async def test_moves_are_valued_by_the_rules(
    owner: "asyncpg.Connection[Any]", world: tuple[Costing, str, int], moved: list[Move]
) -> None:
    """Amounts, differences and costs of a unit are those of the pure rules, to the last digit."""
    async with rolled_back(owner):
        book = await book_of(owner, *world)
        rule = ProductCost(world[0], book.step, world[2])
        expected = []
        for move in moved:
            await book.post(move)
            if move.quantity > 0:
                cost = None if move.cost is None else move.cost * book.step
                worth, difference = rule.take_in(move.quantity, cost, move.lot)
                expected.append((amount(move.quantity), amount(worth)))
                expected += [(Decimal(0), amount(-difference))] if difference else []
            else:
                worth = rule.give_out(-move.quantity, move.lot)
                expected.append((amount(move.quantity), amount(-worth)))
            found = await book.state()
            assert found[:2] == (amount(rule.quantity), amount(rule.value))
            assert found[2] == Decimal(rule.unit_cost).scaleb(-6)
        entries = await owner.fetch(
            "select quantity, amount from valuation_entry where product_id = $1 order by id",
            book.product,
        )
        assert [tuple(entry) for entry in entries] == expected
        await book.adds_up()


@BY_LAW
@given(world=worlds, moved=moves(), more=moves())
async def test_many_at_once_add_up(
    owner: "asyncpg.Connection[Any]",
    world: tuple[Costing, str, int],
    moved: list[Move],
    more: list[Move],
) -> None:
    """Whatever one statement moves: entries, layers and the product's worth are one sum."""
    async with rolled_back(owner):
        book = await book_of(owner, *world)
        await book.post(*moved)
        await book.adds_up()
        await book.post(*more)
        await book.adds_up()
        rest = sum(move.quantity for move in (*moved, *more))
        assert (await book.state())[0] == amount(rest)


@BY_LAW
@given(world=worlds, came=moves(negative=False), data=st.data())
async def test_all_that_came_leaves_at_what_it_cost(
    owner: "asyncpg.Connection[Any]",
    world: tuple[Costing, str, int],
    came: list[Move],
    data: st.DataObject,
) -> None:
    """In whatever parts goods leave: when none is left, no cent is, and none is below zero."""
    async with rolled_back(owner):
        book = await book_of(owner, *world)
        await book.post(*came)
        left = {lot: sum(m.quantity for m in came if m.lot == lot) for lot in (0, 1)}
        for lot, quantity in left.items():
            rest = quantity
            while rest:
                part = data.draw(st.integers(max(1, rest // 3), rest))
                await book.post(Move(-part, lot, None))
                rest -= part
                assert (await book.state())[1] >= 0
        assert (await book.state())[:2] == (0, 0)
        await book.adds_up()

"""What the database makes of moves: the same as the pure rules, move by move and many at once."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolvers.valuation.rules import Costing, ProductCost, landed
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
    receipt_line: int | None = None
    """The line of a receipt that moves which come belong to."""

    async def post(self, *moved: Move) -> None:
        """Write moves in one statement, at costs that the currency has."""
        rows = []
        for move in moved:
            self.count += 1
            cost = None if move.cost is None else amount(move.cost * self.step)
            source = self.receipt_line if move.quantity > 0 else None
            rows.append(
                (*self._ends(move), amount(abs(move.quantity)), self.count, move.lot, cost, source)
            )
        await self.owner.execute(
            """insert into stock_move (company_id, product_id, from_location_id, to_location_id,
                 quantity, kind, idempotency, effective_on, posted_by, lot_id, cost,
                 source, source_id)
               select 1, $1, o, t, q, 'ADJUSTMENT', 'law-' || n, '2026-06-30', 'law', l, c,
                 case when s is not null then 'GOODS_RECEIPT_LINE' end, s
               from unnest($2::int[], $3::int[], $4::numeric[], $5::int[], $6::bigint[],
                           $7::numeric[], $8::bigint[]) m(o, t, q, n, l, c, s) order by n""",
            self.product,
            *([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]),
            *([row[3] for row in rows], [self.lots[row[4]] for row in rows]),
            *([row[5] for row in rows], [row[6] for row in rows]),
        )

    def _ends(self, move: Move) -> tuple[int, int]:
        inside, outside = 1, self.outside
        return (outside, inside) if move.quantity > 0 else (inside, outside)

    async def receive(self) -> int:
        """Let what comes from now on belong to a receipt; return its key."""
        receipt = await self.owner.fetchrow(
            """insert into goods_receipt (company_id, number, order_id, partner_id, warehouse_id,
                 received_on, posted_by)
               select company_id, 'LAW', id, partner_id, warehouse_id, '2026-06-30', 'law'
               from purchase_order where company_id = 1 limit 1 returning *"""
        )
        assert receipt is not None
        self.receipt_line = await self.owner.fetchval(
            """with ordered as (
                 insert into purchase_order_line (company_id, partner_id, order_id, position,
                   product_id, description, uom_id, currency, quantity, unit_price, net,
                   expected_on)
                 select o.company_id, o.partner_id, o.id, 9999, p.id, 'Law', p.uom_id, o.currency,
                   1, 0, 0, o.expected_on
                 from purchase_order o, product p where o.id = $1 and p.id = $2 returning *
               )
               insert into goods_receipt_line (company_id, partner_id, receipt_id, position,
                 order_line_id, product_id, quantity)
               select company_id, partner_id, $3, 1, id, product_id, 1 from ordered returning id""",
            *(receipt["order_id"], self.product, receipt["id"]),
        )
        return int(receipt["id"])

    async def land(self, receipt: int, cost: int) -> None:
        """Add a cost to what came with a receipt."""
        await self.owner.execute(
            """insert into landed_cost (company_id, receipt_id, amount, description, effective_on,
                 posted_by)
               values (1, $1, $2, 'Law', '2026-06-30', 'law')""",
            *(receipt, amount(cost)),
        )

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
    # the company has stock, and so would keep its costing
    await owner.execute("set local session_replication_role = replica")
    await owner.execute(
        "update company set costing = $1, currency = $2 where id = 1", costing, currency
    )
    await owner.execute("set local session_replication_role = origin")
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


@BY_LAW
@given(
    world=worlds, moved=moves(), later=moves(), costs=st.lists(st.integers(1, 10**6), max_size=2)
)
async def test_costs_are_added_by_the_rules(
    owner: "asyncpg.Connection[Any]",
    world: tuple[Costing, str, int],
    moved: list[Move],
    later: list[Move],
    costs: list[int],
) -> None:
    """What goods of a receipt cost besides goes to what is there and to what left, by the rules."""
    async with rolled_back(owner):
        book = await book_of(owner, *world)
        rule = ProductCost(world[0], book.step, world[2])
        receipt = await book.receive()
        came = []
        for number, move in enumerate((*moved, *later), 1):
            if number > len(moved):
                book.receipt_line = None
            await book.post(move)
            if move.quantity > 0:
                cost = None if move.cost is None else move.cost * book.step
                worth, _ = rule.take_in(move.quantity, cost, move.lot, number)
                came += [(number, move.quantity, worth)] if number <= len(moved) else []
            else:
                rule.give_out(-move.quantity, move.lot)
        expected = []
        for cost in costs:
            await book.land(receipt, cost * book.step)
            shares = landed(cost * book.step, [one[1:] for one in came], book.step)
            added = [(*one[:2], part) for one, part in zip(came, shares, strict=True)]
            for part, kept in zip(shares, rule.land(added), strict=True):
                expected += [("LANDED_COST", amount(part))] if part else []
                expected += [("PRICE_DIFFERENCE", amount(kept - part))] if kept != part else []
            found = await book.state()
            assert found[:2] == (amount(rule.quantity), amount(rule.value))
            assert found[2] == Decimal(rule.unit_cost).scaleb(-6)
        entries = await owner.fetch(
            """select kind, amount from valuation_entry
               where product_id = $1 and quantity = 0 order by id""",
            book.product,
        )
        assert [tuple(entry) for entry in entries][-len(expected) or len(entries) :] == expected
        await book.adds_up()


async def test_pieces_that_are_there_count_once(owner: "asyncpg.Connection[Any]") -> None:
    """Of ten serial numbers one is left: it gets a tenth of the freight, the rest is an expense."""
    async with rolled_back(owner):
        book = await book_of(owner, Costing.AVERAGE, "EUR", 0)
        receipt = await book.receive()
        for _ in range(10):
            await book.post(Move(10_000, 0, 1_000))
        await book.post(Move(-90_000, 0, None))
        await book.land(receipt, 1_000_000)
        assert (await book.state())[:2] == (1, 20)
        await book.adds_up()


async def test_costing_stays_while_there_is_stock(owner: "asyncpg.Connection[Any]") -> None:
    """A company with stock, or with goods that are owed, cannot value it in another way."""
    other = """update company set costing = case costing when 'FIFO' then 'AVERAGE' else 'FIFO' end
               where id = 1"""
    async with rolled_back(owner):
        with pytest.raises(asyncpg.CheckViolationError, match="keeps its costing"):
            await owner.execute(other)
    async with rolled_back(owner):
        await owner.execute("update product_cost set quantity = 0, value = 0 where company_id = 1")
        await owner.execute("update cost_layer set remaining = 0, value = 0 where company_id = 1")
        await owner.execute(other)

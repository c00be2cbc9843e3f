"""Who orders what, and when."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import log, pi, sin
from random import Random

from gateway.seeding.assortment import OrderSize
from gateway.seeding.calendar import DAY_SECONDS, Calendar
from gateway.seeding.catalog import Product
from gateway.seeding.companies import Company, Warehouse
from gateway.seeding.partners import Account

WEEK = (1.15, 1.2, 1.1, 1.1, 0.95, 0.3, 0.15)
"""Orders on Monday to Sunday, compared with each other."""
SEASON = 0.18
"""How far the best and the worst time of year are from the average; the best is in November."""
BEST_DAY_OF_YEAR = 320
GROWTH = 0.2
"""How much more is ordered after a year."""
YEAR = 365

MONSTER = 0.014
MONSTER_LINES = 31
MONSTER_EXTRA = 12
"""Share of wholesalers' orders that are far longer; their fewest lines, and the average excess."""

IN_ALL_WAREHOUSES = 0.4
"""Share of products that sell so well that every warehouse has them; the rest are in the first."""

QUANTITIES = 4_096
"""Quantities drawn in advance for each kind of product; a power of two."""
QUANTITY_BITS = 12
MOST_STEPS = 200
"""Nobody orders more than so many steps of a product at a time, wholesalers apart."""

RETRIES = 8


@dataclass(slots=True)
class Basket:
    """What a customer asks for: products with quantities, at a second of the day.

    ``terms`` are a unit price and a discount for single lines, by their index, where the price
    lists do not decide.
    """

    second: int
    account: Account
    lines: list[tuple[Product, int]]
    terms: Mapping[int, tuple[int | None, int]] = field(default_factory=dict)


class Assortment:
    """The products a warehouse has, and how well each of them sells there."""

    def __init__(self, warehouse: Warehouse, products: Sequence[Product], threshold: float) -> None:
        goods = [p for p in products if p.popularity]
        first = warehouse.priority == 1
        self.products = [p for p in goods if first or p.popularity >= threshold]
        self.dead = [p for p in products if first and not p.popularity and p.leaf.demand]
        self._weights = list(accumulate(p.popularity for p in self.products))

    @property
    def total(self) -> float:
        """Sum of the popularity of all its products."""
        return self._weights[-1]

    def draw(self, count: int, rng: Random) -> list[Product]:
        """Return ``count`` products, often the popular ones, some perhaps twice."""
        return rng.choices(self.products, cum_weights=self._weights, k=count)


class Demand:
    """Draws the baskets of every day, over all days exactly as many as ``orders``."""

    def __init__(
        self,
        calendar: Calendar,
        companies: Sequence[Company],
        products: Sequence[Product],
        accounts: Sequence[Account],
        *,
        orders: int,
        rng: Random,
    ) -> None:
        self._rng = rng
        self._calendar = calendar
        self._accounts = accounts
        self._weights = list(accumulate(_weights(companies, accounts)))
        self._orders = list(_orders_per_day(orders, calendar))
        threshold = sorted((p.popularity for p in products), reverse=True)[
            int(len(products) * IN_ALL_WAREHOUSES)
        ]
        self.assortments = {
            warehouse.id: Assortment(warehouse, products, threshold)
            for company in companies
            for warehouse in company.warehouses
        }
        self._quantities = {
            size_: _quantities(size_, rng) for size_ in {p.leaf.order_size: None for p in products}
        }

    def baskets(self, day: int) -> list[Basket]:
        """Return what is asked for on a day, in order of time."""
        rng = self._rng
        customers = rng.choices(self._accounts, cum_weights=self._weights, k=self._orders[day])
        seconds = sorted(_second_of_day(rng) for _ in customers)
        return [
            self.basket(day, second, self._active(day, customer))
            for second, customer in zip(seconds, customers, strict=True)
        ]

    def _active(self, day: int, account: Account) -> Account:
        """Return the account, or another one if its owner is no customer on that day."""
        while not account.buys(day):
            account = self._rng.choices(self._accounts, cum_weights=self._weights)[0]
        return account

    def basket(self, day: int, second: int, account: Account, lines: int = 0) -> Basket:
        """Fill a basket with different products, as many as the customer takes if not told."""
        wanted = lines or self._length(account)
        assortment = self.assortments[account.warehouse.id]
        chosen: dict[Product, None] = {}
        for _ in range(RETRIES):
            drawn = assortment.draw(wanted - len(chosen) + 1, self._rng)
            chosen |= dict.fromkeys(p for p in drawn if p.on_sale(day))
            if len(chosen) >= wanted:
                break
        else:
            rest = (p for p in assortment.products if p.on_sale(day) and p not in chosen)
            chosen |= dict.fromkeys(p for p, _ in zip(rest, range(wanted), strict=False))
        products = list(chosen)[:wanted]
        return Basket(second, account, [(p, self.quantity(p, account.factor)) for p in products])

    def _length(self, account: Account) -> int:
        """Return a number of lines: geometric, and now and then far more."""
        rng = self._rng
        if account.factor > 1 and rng.random() < MONSTER:
            return MONSTER_LINES + _geometric(MONSTER_EXTRA, rng)
        return 1 + _geometric(account.basket - 1, rng)

    def quantity(self, product: Product, factor: int) -> int:
        """Return how much of a product somebody asks for."""
        deck = self._quantities[product.leaf.order_size]
        return deck[self._rng.getrandbits(QUANTITY_BITS)] * factor

    def daily(self, warehouse: Warehouse) -> Iterator[tuple[Product, float]]:
        """Yield how much of each product a warehouse sells on an average day, roughly."""
        orders = sum(self._orders) / self._calendar.days
        busy = [
            (upto - before) * account.basket * account.factor
            for account, before, upto in zip(
                self._accounts, [0.0, *self._weights], self._weights, strict=False
            )
            if account.warehouse is warehouse
        ]
        lines = orders * sum(busy) / self._weights[-1]
        average = {size: sum(deck) / len(deck) for size, deck in self._quantities.items()}
        assortment = self.assortments[warehouse.id]
        for product in assortment.products:
            share = product.popularity / assortment.total
            yield product, lines * share * average[product.leaf.order_size]


def _weights(companies: Sequence[Company], accounts: Sequence[Account]) -> Iterator[float]:
    """Yield each account's share of all orders; each company gets its own share."""
    totals = {company.id: 0.0 for company in companies}
    for account in accounts:
        totals[account.company.id] += account.share
    for account in accounts:
        yield account.share / totals[account.company.id] * account.company.firm.share


def _orders_per_day(orders: int, calendar: Calendar) -> Iterator[int]:
    """Share the orders out over the days: week, season and growth, exactly as many as there are."""
    weights = []
    for day in range(calendar.days):
        day_of_year = calendar.date(day).timetuple().tm_yday
        season = 1 + SEASON * sin(2 * pi * (day_of_year - BEST_DAY_OF_YEAR) / YEAR + pi / 2)
        weights.append(WEEK[calendar.weekday(day)] * season * (1 + GROWTH * day / YEAR))
    total, passed, given = sum(weights), 0.0, 0
    for weight in weights:
        passed += weight
        upto = round(orders * passed / total)
        yield upto - given
        given = upto


def _quantities(size: OrderSize, rng: Random) -> list[int]:
    """Draw quantities around the median: lognormal, in whole steps."""
    mu = log(size.median)
    return [
        size.step * min(MOST_STEPS, max(1, round(rng.lognormvariate(mu, size.spread))))
        for _ in range(QUANTITIES)
    ]


def _geometric(mean: float, rng: Random) -> int:
    """Return a number from 0 up with this mean, each less likely than the one before."""
    if mean <= 0:
        return 0
    return int(log(1 - rng.random()) / log(mean / (1 + mean)))


def _second_of_day(rng: Random) -> int:
    """Return a second of the working day; most orders come before noon."""
    return int(rng.triangular(5 / 24, 20 / 24, 10.5 / 24) * DAY_SECONDS)


def whole(quantity: float, step: int) -> int:
    """Round a quantity up to whole steps, at least one."""
    return max(1, -int(-quantity // step)) * step

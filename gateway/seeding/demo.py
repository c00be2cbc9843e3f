"""Puts the demo together and hands its rows out in portions, in the order foreign keys need."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from random import Random

from gateway.seeding.assortment import categories
from gateway.seeding.books import Books
from gateway.seeding.calendar import Calendar
from gateway.seeding.catalog import Product, make_products
from gateway.seeding.companies import Company, Location, found_companies
from gateway.seeding.demand import Demand
from gateway.seeding.edges import EDGE_ORDERS, block_one, edge_baskets
from gateway.seeding.fulfillment import Fulfillment
from gateway.seeding.history import History
from gateway.seeding.masters import (
    category_rows,
    client_rows,
    company_rows,
    pack_rows,
    partner_rows,
    price_rows,
    product_rows,
    reference_rows,
    terms_rows,
    user_rows,
)
from gateway.seeding.offers import Offers
from gateway.seeding.operations import audit_rows, job_rows
from gateway.seeding.orders import OrderBook
from gateway.seeding.partners import Partners, make_partners
from gateway.seeding.prices import PriceBook
from gateway.seeding.purchases import PurchaseBook
from gateway.seeding.purchasing import Purchasing
from gateway.seeding.rates import ExchangeRates
from gateway.seeding.replenishment import Replenishment
from gateway.seeding.rows import Copy, Sheet
from gateway.seeding.shipping import Shipping
from gateway.seeding.sizes import SIZES, SizeName
from gateway.seeding.stock import Stock
from gateway.seeding.taxes import tax_rows
from gateway.seeding.valuation import Valuation
from gateway.seeding.warehouse_book import WarehouseBook
from gateway.seeding.warehousing import Warehousing
from gateway.seeding.webhooks import webhook_rows

PORTION = 20_000
"""Rows handed out at a time, about; it bounds the memory that rows take."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Some rows, and how far the step they belong to has come."""

    step: str
    done: int
    total: int
    copies: tuple[Copy, ...]


@dataclass(frozen=True, slots=True)
class World:
    """Everything that is there before the history begins."""

    companies: list[Company]
    locations: list[Location]
    products: list[Product]
    partners: Partners
    prices: PriceBook
    offers: Offers


class Demo:
    """All data of one size; the same size, seed and day give the same rows.

    ``today`` is the day after the last one of the history.
    """

    def __init__(self, size: SizeName, seed: int, today: date, permissions: Iterable[str]) -> None:
        self._seed = seed
        self._size = SIZES[size]
        self._permissions = sorted(permissions)
        self._calendar = Calendar(today, self._size.days)
        self.archived_products: list[tuple[int, str]] = []
        self.archived_partners: list[tuple[int, str]] = []
        """Ids of what the history archived, and when; known when all portions were handed out."""

    def _random(self, purpose: str) -> Random:
        """Return a generator for one purpose, so that a change of one part leaves the others."""
        return Random(f"{self._seed}/{purpose}")

    def portions(self) -> Iterator[Portion]:
        """Make all rows, some at a time."""
        world = self._make_world()
        yield from self._masters(world)
        yield from self._history(world)

    def _make_world(self) -> World:
        """Make the companies, what they trade in, and with whom."""
        size = self._size
        companies, locations = found_companies(size)
        products = make_products(size, self._random("products"))
        partners = make_partners(size, companies, self._random("partners"))
        prices = PriceBook(companies, products)
        prices.assign(partners.accounts, size.days, self._random("prices"))
        partners.accounts[0].channel = "API"
        block_one(partners.accounts, size.days)
        offers = Offers(partners.suppliers, products, self._random("offers"))
        return World(companies, locations, products, partners, prices, offers)

    def _masters(self, world: World) -> Iterator[Portion]:
        """Yield the rows of the world."""
        companies, partners, calendar = world.companies, world.partners, self._calendar
        yield from _portions("currencies and units", reference_rows())
        yield from _portions("companies", company_rows(companies, world.locations))
        yield from _portions("taxes", tax_rows(companies, calendar))
        yield from _portions("users", user_rows(companies, self._permissions))
        yield from _portions("categories", category_rows(categories()))
        entered = self._random("entered")
        yield from _portions("products", product_rows(world.products, companies, calendar, entered))
        yield from _portions("packs", pack_rows(world.products, self._random("packs")))
        yield from _portions("partners", partner_rows(partners.all, calendar, entered))
        yield from _portions("prices", price_rows(world.prices, calendar))
        yield from _portions("terms", terms_rows(partners, companies, calendar))
        yield from _portions("offers", world.offers.rows(companies, calendar))
        yield from _portions("API clients", client_rows(partners.accounts[0]))

    def _history(self, world: World) -> Iterator[Portion]:
        """Live through all days; yield orders and moves as they come, and what is left at last."""
        size, calendar = self._size, self._calendar
        products, accounts = world.products, world.partners.accounts
        demand = Demand(
            calendar,
            world.companies,
            products,
            accounts,
            orders=size.orders - EDGE_ORDERS,
            rng=self._random("demand"),
        )
        rates = ExchangeRates(calendar, self._random("rates"))
        books = Books(calendar, world.companies, rates, self._random("books"))
        valuation = Valuation(books.goods_moved, products)
        stock = Stock(calendar, world.companies, world.locations, products, valuation)
        warehouses = [house for company in world.companies for house in company.warehouses]
        daily = (
            (stock.slot(product, house), quantity)
            for house in warehouses
            for product, quantity in demand.daily(house)
        )
        replenishment = Replenishment(calendar, stock, daily, self._random("replenishment"))
        purchases = PurchaseBook(calendar, rates, stock, self._random("purchases"))
        purchasing = Purchasing(
            calendar,
            stock,
            replenishment,
            offers=world.offers,
            book=purchases,
            rng=self._random("purchasing"),
        )
        book = OrderBook(calendar, world.prices, rates, stock, self._random("orders"))
        yield from _portions("accounts", books.chart())
        shipping = Shipping(calendar, self._random("shipments"))
        fulfillment = Fulfillment(
            calendar,
            stock,
            replenishment,
            book,
            books=books,
            shipping=shipping,
            rng=self._random("shipping"),
        )
        papers = WarehouseBook(calendar)
        warehousing = Warehousing(
            calendar,
            stock,
            replenishment,
            purchasing,
            fulfillment,
            books=books,
            book=papers,
            rng=self._random("warehousing"),
            luck=self._random("carrying"),
        )
        history = History(
            calendar,
            demand,
            fulfillment,
            warehousing,
            purchasing,
            books=books,
            edges=edge_baskets(size.days, demand, accounts),
            partners=world.partners.all,
        )
        warehousing.open(warehouses, demand.assortments, products)
        books.open()
        sheets = (
            book.orders,
            book.lines,
            *purchases.sheets,
            stock.lots.sheet,
            stock.moves,
            valuation.entries,
            *books.sheets,
        )
        sheets += (*shipping.sheets, *papers.sheets)
        for day in range(size.days):
            history.live(day)
            if sum(map(len, sheets)) >= PORTION:
                yield _portion("days", day + 1, size.days, sheets)
        history.end()
        warehousing.end()
        yield _portion("days", size.days, size.days, sheets)
        yield from _portions("shipments", fulfillment.under_way())
        yield from _portions("stock levels", stock.levels())
        yield from _portions("stock projections", stock.projections())
        yield from _portions("stock balances", stock.balances())
        yield from _portions("stock value", valuation.rows())
        yield from _portions("reorder rules", replenishment.rules())
        yield from _portions("incoming stock", purchasing.incoming())
        self.archived_products = warehousing.archived
        self.archived_partners = history.archived
        archived = [("Product", *one) for one in warehousing.archived]
        archived += [("Partner", *one) for one in history.archived]
        yield from _portions(
            "audit trail", audit_rows(world.companies, sorted(archived, key=lambda one: one[2]))
        )
        jobs = job_rows(world.companies, calendar, size.days, self._random("jobs"))
        yield from _portions("jobs", jobs)
        account = world.partners.accounts[0]
        hooks = webhook_rows(world.companies, account, calendar, size.days)
        yield from _portions("webhooks", hooks)
        yield from _portions("exchange rates", rates.rows())


def _portions(step: str, sheets: Iterable[Sheet]) -> Iterator[Portion]:
    """Collect sheets, which may come up again and again, and hand them out when they are full."""
    waiting: dict[Sheet, None] = {}
    for sheet in sheets:
        waiting[sheet] = None
        if len(sheet) >= PORTION:
            yield _portion(step, 0, 1, waiting)
    yield _portion(step, 1, 1, waiting)


def _portion(step: str, done: int, total: int, sheets: Iterable[Sheet]) -> Portion:
    return Portion(step, done, total, tuple(sheet.take() for sheet in sheets if len(sheet)))

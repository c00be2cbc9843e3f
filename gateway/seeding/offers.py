"""What suppliers ask for products, how long they take, and who is asked first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from gateway.seeding.amounts import SCALE, amount_text, converted
from gateway.seeding.calendar import Calendar
from gateway.seeding.catalog import Product
from gateway.seeding.companies import CURRENCIES, Company, Currency
from gateway.seeding.partners import Partner
from gateway.seeding.rows import Sheet
from resolvers.catalog.rules import ProductKind

LEAD_SHAPE = 4.0
LEAD_SCALE = 3.0
SHORTEST_LEAD = 2
"""Lead times of suppliers are gamma-distributed, 14 days on average."""
TOLERANCES = (0, 0, 0, 5, 10)
"""Percent that a supplier may deliver more than was ordered."""
SUPPLIERS_OF_PRODUCT = (1, 2, 3)
SUPPLIERS_WEIGHTS = (35, 45, 20)
DEARER = (102, 115)
"""Percent of the first choice's price that the others ask, at least and at most."""
BULK = 0.2
BULK_PACKS = 20
BULK_PERCENT = 95
"""Share of offers with a better price from so many packs on, and percent of the price it is."""
OWN_SKU = 0.8
"""Share of products that have a number of the supplier's own."""
CHEAP = SCALE
"""Prices below one unit of the currency have all decimals."""
DECIMALS = 4
ENDS_AT = 12 * 3600
"""Second of the day on which a product is discontinued at which its offers end."""


@dataclass(frozen=True, slots=True)
class Supplier:
    """How a partner supplies: in its own currency, within so many days."""

    partner: Partner
    currency: Currency
    lead_days: int
    tolerance: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What a supplier asks for one unit of a product, in ten-thousandths; less from a quantity on.

    ``bulk_from`` is 0 where the price is the same for every quantity.
    """

    supplier: Supplier
    sku: str | None
    price: int
    bulk_from: int
    bulk_price: int

    def price_of(self, quantity: int) -> int:
        """Return the price of one unit at a quantity."""
        return self.bulk_price if 0 < self.bulk_from <= quantity else self.price


class Offers:
    """The offers for all goods, which are the same for every company."""

    def __init__(
        self, suppliers: Sequence[Partner], products: Sequence[Product], rng: Random
    ) -> None:
        self._products = products
        self._suppliers = [_supplier(partner, rng) for partner in suppliers]
        self._offers = {
            product.id: tuple(self._make(product, rng))
            for product in products
            if product.kind is ProductKind.GOODS
        }

    def _make(self, product: Product, rng: Random) -> Iterator[Offer]:
        """Yield a product's offers: its own supplier's, then dearer ones of others."""
        own = self._suppliers[product.supplier]
        count = rng.choices(SUPPLIERS_OF_PRODUCT, SUPPLIERS_WEIGHTS)[0]
        others = [s for s in rng.sample(self._suppliers, SUPPLIERS_OF_PRODUCT[-1]) if s is not own]
        percent = 100
        for supplier in (own, *others[: count - 1]):
            price = _price(product.cost * percent // 100, supplier.currency)
            bulk = rng.random() < BULK
            yield Offer(
                supplier,
                f"{supplier.partner.code[-3:]}-{rng.randrange(10**6):06d}"
                if rng.random() < OWN_SKU
                else None,
                price,
                BULK_PACKS * product.leaf.order_size.usual if bulk else 0,
                _price(product.cost * percent * BULK_PERCENT // 100**2, supplier.currency),
            )
            percent = rng.randint(max(percent, DEARER[0]), DEARER[1])

    def of(self, product: Product) -> Sequence[Offer]:
        """Return the offers for a product, the first choice first."""
        return self._offers[product.id]

    def rows(self, companies: Sequence[Company], calendar: Calendar) -> Iterator[Sheet]:
        """Yield the offers to every company, some at a time; those for what is gone have ended."""
        sheet = Sheet(
            "supplier_offer",
            "id",
            "company_id",
            "product_id",
            "partner_id",
            "supplier_sku",
            "min_quantity",
            "price",
            "currency",
            "lead_days",
            "priority",
            "archived_at",
        )
        number = 0
        for product in self._products:
            gone = product.discontinued < calendar.days
            ended = calendar.moment(product.discontinued, ENDS_AT) if gone else None
            for company in companies:
                for priority, offer in enumerate(self._offers.get(product.id, ()), 1):
                    for min_quantity, price in _steps(offer):
                        number += 1
                        sheet.add(
                            number,
                            company.id,
                            product.id,
                            offer.supplier.partner.id,
                            offer.sku,
                            amount_text(min_quantity),
                            amount_text(price),
                            offer.supplier.currency.code,
                            offer.supplier.lead_days,
                            priority,
                            ended,
                        )
            yield sheet


def _supplier(partner: Partner, rng: Random) -> Supplier:
    return Supplier(
        partner,
        CURRENCIES[partner.country.currency],
        SHORTEST_LEAD + int(rng.gammavariate(LEAD_SHAPE, LEAD_SCALE)),
        rng.choice(TOLERANCES),
    )


def _price(cost: int, currency: Currency) -> int:
    """Convert a cost to a supplier's currency and round it as prices are there."""
    exact = converted(cost, currency.rate, DECIMALS)
    return exact if exact < CHEAP else converted(cost, currency.rate, currency.digits)


def _steps(offer: Offer) -> Iterator[tuple[int, int]]:
    """Yield the quantities from which an offer's prices hold, with the prices."""
    yield 0, offer.price
    if offer.bulk_from:
        yield offer.bulk_from, offer.bulk_price

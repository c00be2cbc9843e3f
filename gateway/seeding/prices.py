"""Price lists, and the price a customer pays by them.

The most specific item wins: one for the product, then one for its category, then one for all; among
those the highest quantity reached, then the latest start. What no item covers costs the list price.
Fixed prices are in the list's currency; discounts come off the list price, which is in EUR.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from gateway.seeding.amounts import SCALE, converted, rounded
from gateway.seeding.assortment import Category, categories
from gateway.seeding.catalog import Product
from gateway.seeding.companies import CURRENCIES, Company, Currency
from gateway.seeding.partners import Account
from resolvers.pricing.rules import PriceMethod, PriceScope

LIST_CURRENCY = CURRENCIES["EUR"]
"""List prices are in this currency."""
OWN_LIST_OF_ONE_IN = 25
"""One of so many customers has a price list of its own, the best customers first."""
MOST_OWN_LISTS = 12
MOST_COMPLETE_LISTS = 2
"""Most own lists in a company; fewer where a list must name a price for every product."""
AGREED_PRODUCTS = 40
"""Number of products with a price agreed with a customer who has an own list."""
BREAKS = ((0, 6), (10, 9), (50, 14))
"""Agreed prices: from how many steps on, how many percent below the ordinary price."""
PROMOTION_DAYS = 21
PROMOTION_EVERY = 60
"""Days a promotion lasts, and days between the starts of two."""
FOR_ALL = 0
"""Stands where a category's id stands when a discount is for all products."""
THREE_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Item:
    """One price rule; ``value`` is a price or a percentage, days are those of the history."""

    scope: PriceScope
    method: PriceMethod
    value: int
    product_id: int | None = None
    category_id: int | None = None
    min_quantity: int = 0
    from_day: int | None = None
    to_day: int | None = None

    @property
    def fixed(self) -> bool:
        """Whether ``value`` is a price and not a percentage."""
        return self.method is PriceMethod.FIXED

    def holds(self, day: int) -> bool:
        """Tell whether the rule is valid on ``day``."""
        return (self.from_day is None or self.from_day <= day) and (
            self.to_day is None or day < self.to_day
        )


@dataclass(slots=True)
class PriceList:
    """A price list; one without a company serves all of them.

    Those in the currency of list prices only say what differs from them, the others have a fixed
    price for every product.
    """

    id: int
    company_id: int | None
    code: str
    name: str
    currency: Currency
    agreed: dict[int, list[Item]] = field(default_factory=dict)
    discounts: dict[int, list[Item]] = field(default_factory=lambda: defaultdict(list))

    @property
    def at_list_price(self) -> bool:
        """Whether list prices hold where no item says otherwise."""
        return self.currency is LIST_CURRENCY


def ordinary_price(product: Product, currency: Currency) -> int:
    """Return what a product costs in a currency where nothing was agreed."""
    if currency is LIST_CURRENCY:
        return product.price
    cheap = product.price < SCALE // 5
    digits = max(currency.digits, THREE_DIGITS) if cheap else currency.digits
    return converted(product.price, currency.rate, digits)


class PriceBook:
    """All price lists, and the prices by them."""

    def __init__(self, companies: Sequence[Company], products: Sequence[Product]) -> None:
        self.lists: list[PriceList] = []
        self._products = products
        self._leaves = [node for node in categories() if node.leaf]
        self._base = {
            company.id: self._add(
                company.id, f"{company.firm.code}-BASE", "Base prices", company.currency
            )
            for company in companies
        }
        self._export = {
            currency.code: self._add(
                None, f"EXPORT-{currency.code}", f"Export in {currency.name}", currency
            )
            for currency in CURRENCIES.values()
        }

    def _add(self, company_id: int | None, code: str, name: str, currency: Currency) -> PriceList:
        made = PriceList(len(self.lists) + 1, company_id, code, name, currency)
        self.lists.append(made)
        return made

    def assign(self, accounts: Sequence[Account], days: int, rng: Random) -> None:
        """Give every customer a price list, some of them their own, and plan promotions."""
        customers = Counter(account.company.id for account in accounts)
        own_lists: Counter[int] = Counter()
        by_popularity = sorted(self._products, key=lambda p: (-p.popularity, p.id))
        popular = by_popularity[: AGREED_PRODUCTS * 5]
        for account in accounts:
            company = account.company
            account.price_list_id = self._usual(account).id
            most = MOST_OWN_LISTS if company.currency is LIST_CURRENCY else MOST_COMPLETE_LISTS
            most = min(most, 1 + customers[company.id] // OWN_LIST_OF_ONE_IN)
            if own_lists[company.id] < most and account.currency is company.currency:
                own_lists[company.id] += 1
                account.price_list_id = self._agree(account, popular, rng).id
        for start in range(0, days, PROMOTION_EVERY):
            self._promote(start, rng)
        self._promote(days - PROMOTION_DAYS // 2, rng)  # runs today
        self._promote(days + PROMOTION_DAYS, rng)  # is announced

    def _usual(self, account: Account) -> PriceList:
        if account.currency is account.company.currency:
            return self._base[account.company.id]
        return self._export[account.currency.code]

    def _agree(self, account: Account, popular: Sequence[Product], rng: Random) -> PriceList:
        """Agree prices with a customer: by quantity for best sellers, discounts on categories."""
        partner, company = account.partner, account.company
        own = self._add(
            company.id,
            f"{company.firm.code}-{partner.code}",
            f"Agreement: {partner.name}",
            account.currency,
        )
        for product in rng.sample(popular, min(AGREED_PRODUCTS, len(popular))):
            own.agreed[product.id] = _by_quantity(product, own.currency)
        if own.at_list_price:
            for node in rng.sample(self._leaves, 3):
                own.discounts[node.id].append(_discount(rng.choice((5, 8, 10)), node))
            own.discounts[FOR_ALL].append(_discount(2, None))
        return own

    def _promote(self, start: int, rng: Random) -> None:
        """Lower a category's prices for some weeks, for all who pay list prices at home."""
        node = rng.choice(self._leaves)
        promotion = _discount(rng.choice((10, 15, 20)), node, start, start + PROMOTION_DAYS)
        for base in self._base.values():
            if base.at_list_price:
                base.discounts[node.id].append(promotion)
                base.discounts[node.id].sort(key=lambda item: item.from_day or 0)

    def price(self, account: Account, product: Product, quantity: int, day: int) -> tuple[int, int]:
        """Return the unit price and the discount in percent that a customer gets on a day."""
        own = self.lists[account.price_list_id - 1]
        agreed = own.agreed.get(product.id)
        if agreed is not None:
            return next(item.value for item in reversed(agreed) if item.min_quantity <= quantity), 0
        for category_id in (product.category.id, FOR_ALL):
            for item in reversed(own.discounts.get(category_id, ())):
                if item.holds(day):
                    return product.price, item.value
        return ordinary_price(product, own.currency), 0

    def items(self, price_list: PriceList) -> Iterator[Item]:
        """Yield all items of a list, as they are stored."""
        if not price_list.at_list_price:
            for product in self._products:
                if product.id not in price_list.agreed:
                    yield _fixed(product, ordinary_price(product, price_list.currency))
        for by_quantity in price_list.agreed.values():
            yield from by_quantity
        for by_day in price_list.discounts.values():
            yield from by_day


def _by_quantity(product: Product, currency: Currency) -> list[Item]:
    """Return the agreed prices of a product, lowest quantity first."""
    usual = ordinary_price(product, currency)
    digits = max(currency.digits, THREE_DIGITS)
    step = product.leaf.order_size.step
    return [
        _fixed(product, rounded(usual * (100 - off) // 100, digits), multiple * step)
        for multiple, off in BREAKS
    ]


def _fixed(product: Product, price: int, min_quantity: int = 0) -> Item:
    return Item(
        PriceScope.PRODUCT,
        PriceMethod.FIXED,
        price,
        product_id=product.id,
        min_quantity=min_quantity,
    )


def _discount(
    percent: int, node: Category | None, from_day: int | None = None, to_day: int | None = None
) -> Item:
    return Item(
        PriceScope.ALL if node is None else PriceScope.CATEGORY,
        PriceMethod.DISCOUNT,
        percent * SCALE,
        category_id=None if node is None else node.id,
        from_day=from_day,
        to_day=to_day,
    )

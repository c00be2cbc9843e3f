"""The people and firms the companies deal with: who they are, where, and on which terms."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from gateway.seeding.amounts import SCALE
from gateway.seeding.calendar import NEVER
from gateway.seeding.companies import CURRENCIES, Company, Currency, Warehouse
from gateway.seeding.names import Country, countries, odd_firms
from gateway.seeding.sizes import Size
from resolvers.partners.rules import AddressKind, PartnerKind

PERSONS = 0.18
"""Share of small customers that are persons."""
ABROAD_EVERY = 7
"""Every seventh customer is abroad, which makes about 15 % of all orders foreign-currency ones."""
WHOLESALE = 0.2
"""The customers who order most often, and most: a fifth, for about four fifths of all sales."""
PARETO_EXPONENT = 0.6
"""The customer of rank r orders like 1 / r ^ exponent."""
TWO_COMPANIES = 0.06
"""Share of customers that buy from a second company, too."""
SUPPLIERS_ABROAD = 0.4
LEFT = 0.035
"""Share of customers that stop buying; they end up archived."""
JOINED = 0.15
"""Share of customers that came during the history."""
ODD_EVERY = 4
"""Every fourth customer has one of the odd names, while there are any."""
OWN_SHIPPING_ADDRESS = 0.6
CHANNELS = ("MANUAL", "WEB", "EDI", "API")
CHANNEL_WEIGHTS = (35, 40, 15, 10)
"""Where a customer's orders come from, mostly; the other ones are entered by hand."""
ALL_AT_ONCE = 0.3
"""Share of customers that want an order shipped complete or not at all."""

RETAIL_BASKET = 2.4
WHOLESALE_BASKET = 3.9
"""Average number of lines of an ordinary order."""
WHOLESALE_FACTOR = 2
"""How much more a wholesaler takes of each product."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a partner; every partner's first one is for billing."""

    id: int
    kind: AddressKind
    line1: str
    city: str
    region: str
    postal_code: str
    country: str


@dataclass(slots=True, eq=False)
class Partner:
    """A partner; customers buy from day ``joined`` to the day before ``left``."""

    id: int
    code: str
    name: str
    kind: PartnerKind
    is_supplier: bool
    country: Country
    tax_id: str | None
    email: str
    phone: str
    addresses: tuple[Address, ...]
    joined: int
    left: int


@dataclass(slots=True, eq=False)
class Account:
    """A customer of one company: how it buys there, and on which terms.

    ``share`` is its part of the company's orders, up to a factor; ``basket`` the average number of
    lines of its ordinary orders and ``factor`` how much of each product it takes.
    """

    partner: Partner
    company: Company
    warehouse: Warehouse
    currency: Currency
    share: float
    basket: float
    factor: int
    all_at_once: bool
    credit_limit: int | None
    payment_term: int
    tax_percent: int
    at_home: bool
    channel: str
    price_list_id: int = 0
    blocked_from: int | None = None

    @property
    def ship_to(self) -> int:
        """Id of the address that orders go to."""
        return self.partner.addresses[-1].id

    def buys(self, day: int) -> bool:
        """Tell whether the customer is one on ``day``."""
        return self.partner.joined <= day < self.partner.left


@dataclass(slots=True)
class Partners:
    """All partners, suppliers first, and the customers' accounts, best customers first."""

    all: list[Partner]
    suppliers: list[Partner]
    accounts: list[Account]


class _Register:
    """Makes partners and gives them ids and addresses."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._addresses = 0
        self.partners: list[Partner] = []

    def add(
        self,
        code: str,
        country: Country,
        *,
        supplier: bool = False,
        person: bool = False,
        name: str = "",
    ) -> Partner:
        """Make a partner of a country, with a name as they are usual there unless one is given."""
        rng = self._rng
        name = name or (_person(country, rng) if person else _firm(country, rng))
        partner = Partner(
            id=len(self.partners) + 1,
            code=code,
            name=name,
            kind=PartnerKind.PERSON if person else PartnerKind.ORGANIZATION,
            is_supplier=supplier,
            country=country,
            tax_id=None if person else _digits(country.tax_id, rng),
            email=f"{_mailbox(country, rng, person=person)}@{_domain(name, code)}.example",
            phone=_digits(country.phone, rng),
            addresses=self._own_addresses(country),
            joined=0,
            left=NEVER,
        )
        self.partners.append(partner)
        return partner

    def _own_addresses(self, country: Country) -> tuple[Address, ...]:
        """Return a billing address and, for most, one more to ship to."""
        billing = self._address(AddressKind.BILLING, country)
        if self._rng.random() >= OWN_SHIPPING_ADDRESS:
            return (billing,)
        return (billing, self._address(AddressKind.SHIPPING, country))

    def _address(self, kind: AddressKind, country: Country) -> Address:
        rng = self._rng
        self._addresses += 1
        city = rng.choice(country.cities)
        line = country.street.format(street=rng.choice(country.streets), number=rng.randint(1, 180))
        return Address(
            self._addresses, kind, line, city.name, city.region, city.postal_code, country.code
        )


def make_partners(size: Size, companies: Sequence[Company], rng: Random) -> Partners:
    """Return suppliers and customers of all companies."""
    register = _Register(rng)
    for number in range(1, size.suppliers + 1):
        firm = rng.choice(companies).firm
        abroad = rng.random() < SUPPLIERS_ABROAD
        country = countries()[rng.choice(firm.abroad if abroad else firm.at_home)]
        register.add(f"S{number:05d}", country, supplier=True)
    suppliers = list(register.partners)
    accounts = _customers(size, companies, register, rng)
    return Partners(register.partners, suppliers, accounts)


def _customers(
    size: Size, companies: Sequence[Company], register: _Register, rng: Random
) -> list[Account]:
    """Return the accounts of all customers, each company's best customers first."""
    total = size.partners - size.suppliers
    odd_names = iter(odd_firms())
    bounds = [
        total * passed // sum(company.firm.share for company in companies)
        for passed in accumulate(company.firm.share for company in companies)
    ]
    accounts: list[Account] = []
    number = 0
    for company, upto in zip(companies, bounds, strict=True):
        count = upto - number
        for rank in range(1, count + 1):
            number += 1
            abroad = rank % ABROAD_EVERY == 0
            partner = register.add(
                f"C{number:06d}",
                countries()[rng.choice(company.firm.abroad if abroad else company.firm.at_home)],
                person=rank > count * WHOLESALE and rng.random() < PERSONS,
                name=next(odd_names, "") if rank % ODD_EVERY == 0 else "",
            )
            _give_life(partner, rank, count, size.days, rng)
            accounts.append(_account(partner, company, rank, count, rng))
            if rng.random() < TWO_COMPANIES:
                other = rng.choice(companies)
                if other is not company:
                    accounts.append(_account(partner, other, rank, count, rng))
    return accounts


def _give_life(partner: Partner, rank: int, count: int, days: int, rng: Random) -> None:
    """Let some customers come and go during the history; the best ones stay."""
    luck = rng.random()
    if rank <= count // 20:
        return
    if luck < LEFT:
        partner.left = rng.randrange(days // 2, days * 4 // 5)
    elif luck < LEFT + JOINED:
        partner.joined = rng.randrange(1, days * 4 // 5)


def _account(partner: Partner, company: Company, rank: int, count: int, rng: Random) -> Account:
    """Return how a customer of this rank buys from a company."""
    wholesale = rank <= count * WHOLESALE
    at_home = partner.country.code == company.firm.country
    domestic = partner.country.code in company.firm.at_home
    limit = rng.choice((5_000, 10_000, 25_000)) * (10 if wholesale else 1) * SCALE
    return Account(
        partner=partner,
        company=company,
        warehouse=rng.choices(
            company.warehouses, weights=range(len(company.warehouses) + 1, 1, -1)
        )[0],
        currency=company.currency if domestic else CURRENCIES[partner.country.currency],
        share=1 / rank**PARETO_EXPONENT,
        basket=WHOLESALE_BASKET if wholesale else RETAIL_BASKET,
        factor=WHOLESALE_FACTOR if wholesale else 1,
        all_at_once=rng.random() < ALL_AT_ONCE,
        credit_limit=limit if partner.kind is PartnerKind.ORGANIZATION else None,
        payment_term=rng.choice((2, 3, 3, 4)) if wholesale else rng.choice((1, 2, 3)),
        tax_percent=company.firm.tax_percent if at_home else 0,
        at_home=at_home,
        channel=rng.choices(CHANNELS, CHANNEL_WEIGHTS)[0],
    )


def _person(country: Country, rng: Random) -> str:
    return f"{rng.choice(country.given_names)} {rng.choice(country.surnames)}"


def _firm(country: Country, rng: Random) -> str:
    return country.firm.format(
        surname=rng.choice(country.surnames),
        trade=rng.choice(country.trades),
        legal=rng.choice(country.legal_forms),
    )


def _mailbox(country: Country, rng: Random, *, person: bool) -> str:
    if person:
        return "mail"
    desks = {"de": ("einkauf", "info", "buero"), "fr": ("achats", "contact")}
    return rng.choice(desks.get(country.language, ("purchasing", "office", "info")))


_LETTERS = str.maketrans(
    {"ß": "ss", "ł": "l", "Ł": "l", "ø": "o", "æ": "ae", "Æ": "ae", "&": "and"}
)


def _domain(name: str, code: str) -> str:
    """Return a domain made of the letters of ``name`` that domains may have, or of the code."""
    plain = unicodedata.normalize("NFKD", name.translate(_LETTERS))
    kept = "".join(c if c.isalnum() else "-" for c in plain if c.isascii()).lower()
    domain = "-".join(part for part in kept.split("-") if part)[:40].strip("-")
    return domain or code.lower()


def _digits(pattern: str, rng: Random) -> str:
    """Replace every ``#`` of a pattern by a digit."""
    return "".join(str(rng.randrange(10)) if c == "#" else c for c in pattern)

"""The companies of the demo: where they are, what they own, and who works there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.seeding.amounts import SCALE, converted
from gateway.seeding.sizes import Size
from resolvers.inventory.rules import LocationKind
from resolvers.valuation.rules import Costing


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency; ``rate`` is how many ten-thousandths of it one EUR buys."""

    code: str
    name: str
    symbol: str
    digits: int
    rate: int


CURRENCIES: Mapping[str, Currency] = {
    currency.code: currency
    for currency in (
        Currency("EUR", "Euro", "€", 2, SCALE),
        Currency("USD", "US dollar", "$", 2, 10_850),
        Currency("GBP", "Pound sterling", "£", 2, 8_540),
        Currency("CHF", "Swiss franc", "CHF", 2, 9_520),
        Currency("PLN", "Polish złoty", "zł", 2, 42_800),
        Currency("SEK", "Swedish krona", "kr", 2, 112_500),
        Currency("CZK", "Czech koruna", "Kč", 2, 249_500),
        Currency("CAD", "Canadian dollar", "CA$", 2, 14_780),
        Currency("JPY", "Yen", "¥", 0, 1_625_000),
        Currency("KWD", "Kuwaiti dinar", "KD", 3, 3_330),
    )
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measure; ``factor`` converts it to the reference unit of its dimension."""

    id: int
    code: str
    name: str
    dimension: str
    factor: str
    rounding: str

    @property
    def is_reference(self) -> bool:
        """Whether others of its dimension are counted in it."""
        return self.factor == "1"


UNITS: tuple[Unit, ...] = (
    Unit(1, "PCE", "Piece", "COUNT", "1", "1"),
    Unit(2, "DZN", "Dozen", "COUNT", "12", "1"),
    Unit(3, "C", "Hundred", "COUNT", "100", "1"),
    Unit(4, "KG", "Kilogram", "MASS", "1", "0.001"),
    Unit(5, "G", "Gram", "MASS", "0.001", "1"),
    Unit(6, "M", "Meter", "LENGTH", "1", "0.01"),
    Unit(7, "CM", "Centimeter", "LENGTH", "0.01", "1"),
    Unit(8, "L", "Liter", "VOLUME", "1", "0.001"),
    Unit(9, "H", "Hour", "TIME", "1", "0.25"),
)
UNIT_IDS: Mapping[str, int] = {unit.code: unit.id for unit in UNITS}

PAYMENT_TERMS: tuple[tuple[str, str, int], ...] = (
    ("NOW", "Due at once", 0),
    ("NET14", "14 days net", 14),
    ("NET30", "30 days net", 30),
    ("NET60", "60 days net", 60),
)


@dataclass(frozen=True, slots=True)
class Site:
    """A place where a company has a warehouse."""

    code: str
    name: str
    region: str
    zones: int


@dataclass(frozen=True, slots=True)
class Firm:
    """What is known about a company before it gets its ids.

    ``tax_percent`` is its one sales tax, ``costing`` how it values goods,
    ``abroad`` the countries it exports to, ``share`` its part of all orders.
    """

    code: str
    name: str
    country: str
    tax_id: str
    currency: str
    tax_percent: int
    share: int
    costing: Costing
    at_home: tuple[str, ...]
    abroad: tuple[str, ...]
    sites: tuple[Site, ...]


FIRMS: tuple[Firm, ...] = (
    Firm(
        code="DE01",
        name="Nordwind Handel GmbH",
        country="DE",
        tax_id="DE811907980",
        currency="EUR",
        tax_percent=19 * SCALE,
        share=50,
        costing=Costing.FIFO,
        at_home=("DE", "DE", "DE", "DE", "AT", "FR", "NL", "IT", "ES"),
        abroad=("CH", "PL", "GB", "SE", "CZ", "US", "JP", "KW"),
        sites=(
            Site("BER", "Berlin central warehouse", "Berlin", 4),
            Site("MUC", "Munich south", "Bayern", 3),
            Site("HAM", "Hamburg port", "Hamburg", 3),
            Site("LEJ", "Leipzig airport", "Sachsen", 2),
        ),
    ),
    Firm(
        code="US01",
        name="Harbor & Pine Supply Inc.",
        country="US",
        tax_id="12-3456789",
        currency="USD",
        tax_percent=72_500,
        share=35,
        costing=Costing.AVERAGE,
        at_home=("US",),
        abroad=("CA", "GB", "DE", "JP", "CA"),
        sites=(
            Site("CHI", "Chicago distribution center", "IL", 4),
            Site("LAX", "Los Angeles", "CA", 3),
            Site("ATL", "Atlanta", "GA", 2),
        ),
    ),
    Firm(
        code="GB01",
        name="Thistle & Reed Trading Ltd",
        country="GB",
        tax_id="GB123456789",
        currency="GBP",
        tax_percent=20 * SCALE,
        share=15,
        costing=Costing.AVERAGE,
        at_home=("GB",),
        abroad=("FR", "NL", "US", "SE", "KW"),
        sites=(
            Site("MAN", "Manchester", "Greater Manchester", 3),
            Site("GLA", "Glasgow", "Scotland", 2),
        ),
    ),
    Firm(
        code="JP01",
        name="Minato Shōji K.K.",
        country="JP",
        tax_id="T1234567890123",
        currency="JPY",
        tax_percent=10 * SCALE,
        share=10,
        costing=Costing.FIFO,
        at_home=("JP",),
        abroad=("US", "DE", "GB"),
        sites=(Site("OSA", "Ōsaka bay", "Ōsaka", 3), Site("TYO", "Tōkyō north", "Tōkyō", 2)),
    ),
    Firm(
        code="KW01",
        name="Dana Gulf Trading W.L.L.",
        country="KW",
        tax_id="KW0123456789",
        currency="KWD",
        tax_percent=0,
        share=5,
        costing=Costing.AVERAGE,
        at_home=("KW",),
        abroad=("US", "GB", "DE"),
        sites=(Site("KWI", "Shuwaikh", "Al Asimah", 2),),
    ),
)


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A warehouse: ``zones`` are its sellable locations; ``quarantine`` waits for a decision."""

    id: int
    site: Site
    priority: int
    zones: tuple[int, ...]
    quarantine: int


@dataclass(frozen=True, slots=True)
class Company:
    """A company with its warehouses and the virtual locations that goods come from and go to."""

    id: int
    firm: Firm
    warehouses: tuple[Warehouse, ...]
    virtual: Mapping[LocationKind, int]

    @property
    def currency(self) -> Currency:
        """The currency its books are kept in."""
        return CURRENCIES[self.firm.currency]


def standard_cost(cost: int, company: Company) -> int:
    """Return what a product is planned to cost a company, of its ``cost`` in EUR."""
    return converted(cost, company.currency.rate, 4)


@dataclass(frozen=True, slots=True)
class Location:
    """A stock location as it is stored."""

    id: int
    company_id: int
    warehouse_id: int | None
    code: str
    path: str
    kind: LocationKind
    sellable: bool


APPROVED_FROM = 2_000 * SCALE
"""Amount from which purchase orders have to be approved."""

VIRTUAL_KINDS: Mapping[LocationKind, str] = {
    LocationKind.SUPPLIER: "SUPPLIERS",
    LocationKind.CUSTOMER: "CUSTOMERS",
    LocationKind.LOSS: "LOSS",
    LocationKind.SCRAP: "SCRAP",
    LocationKind.TRANSIT: "TRANSIT",
}
"""Every company has one virtual location of each of these kinds, and these are their codes."""


def found_companies(size: Size) -> tuple[list[Company], list[Location]]:
    """Return the companies of a size with their warehouses, and all their locations in id order."""
    companies: list[Company] = []
    locations: list[Location] = []
    warehouse_id = 0
    for company_id, (firm, count) in enumerate(zip(FIRMS, size.warehouses, strict=False), 1):
        warehouses: list[Warehouse] = []
        for priority, site in enumerate(firm.sites[:count], 1):
            warehouse_id += 1
            places = list(_places(site, company_id, warehouse_id, len(locations)))
            zones = tuple(place.id for place in places if place.sellable)
            warehouses.append(Warehouse(warehouse_id, site, priority, zones, places[-1].id))
            locations += places
        virtual: dict[LocationKind, int] = {}
        for kind, code in VIRTUAL_KINDS.items():
            virtual[kind] = len(locations) + 1
            locations.append(
                Location(virtual[kind], company_id, None, code, f"/{code}/", kind, sellable=False)
            )
        companies.append(Company(company_id, firm, tuple(warehouses), virtual))
    return companies, locations


def _places(site: Site, company_id: int, warehouse_id: int, taken: int) -> Iterator[Location]:
    """Yield a warehouse's zones A, B, ... and its quarantine, which comes last."""
    for letter in (*"ABCD"[: site.zones], "Q"):
        taken += 1
        yield Location(
            taken,
            company_id,
            warehouse_id,
            f"{site.code}-{letter}",
            f"/{site.code}/{letter}/",
            LocationKind.INTERNAL,
            letter != "Q",
        )


@dataclass(frozen=True, slots=True)
class Role:
    """A role; ``permissions`` None means all that any module defines."""

    id: int
    code: str
    name: str
    permissions: tuple[str, ...] | None


ROLES: tuple[Role, ...] = (
    Role(1, "admin", "Administrator", None),
    Role(
        2,
        "sales",
        "Sales",
        (
            "catalog.read",
            "partners.read",
            "partners.write",
            "prices.read",
            "availability.read",
            "stock.read",
            "stock.hold",
            "sales.read",
            "sales.write",
            "shipments.read",
            "shipments.write",
            "returns.read",
            "returns.write",
            "purchasing.read",
            "invoices.read",
        ),
    ),
    Role(
        3,
        "warehouse",
        "Warehouse",
        (
            "catalog.read",
            "availability.read",
            "stock.read",
            "stock.adjust",
            "stock.transfer",
            "stock.count",
            "sales.read",
            "shipments.read",
            "shipments.write",
            "returns.read",
            "returns.write",
            "purchasing.read",
            "purchasing.receive",
        ),
    ),
    Role(
        4,
        "accountant",
        "Accounting",
        (
            "catalog.read",
            "partners.read",
            "partners.credit",
            "prices.read",
            "sales.read",
            "purchasing.read",
            "cost.read",
            "audit.read",
            "invoices.read",
            "ledger.read",
            "documents.read",
            "valuation.write",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class User:
    """A person of the demo; the role of the same id, in the first ``companies`` (None: in all)."""

    id: int
    email: str
    name: str
    locale: str
    companies: int | None


USERS: tuple[User, ...] = (
    User(1, "admin@demo", "Ada Lindholm", "en", None),
    User(2, "sales@demo", "Jonas Weber", "de", 1),
    User(3, "warehouse@demo", "Małgorzata Zielińska", "de", 1),
    User(4, "accountant@demo", "Élodie Garnier", "fr", 2),
)


def actor(company_id: int) -> str:
    """Return who posts moves: the storekeeper where there is one, else the administrator."""
    return "user:3" if company_id == 1 else "user:1"


CLIENT_CODE = "partner-demo"
CLIENT_PERMISSIONS = (
    "catalog.read",
    "prices.read",
    "availability.read",
    "sales.read",
    "partners.read",
    "shipments.read",
    "invoices.read",
    "documents.read",
    "webhooks.read",
    "webhooks.manage",
)

"""Rows of what was there before the first order: companies, users, goods, partners, prices."""

import json
from collections.abc import Iterator, Mapping, Sequence
from random import Random

from gateway.seeding.amounts import amount_text, converted
from gateway.seeding.assortment import Category
from gateway.seeding.calendar import Calendar
from gateway.seeding.catalog import Product, gtin14
from gateway.seeding.companies import (
    APPROVED_FROM,
    CLIENT_CODE,
    CLIENT_PERMISSIONS,
    CURRENCIES,
    PAYMENT_TERMS,
    ROLES,
    UNIT_IDS,
    UNITS,
    USERS,
    Company,
    Location,
    standard_cost,
)
from gateway.seeding.partners import Account, Partner, Partners
from gateway.seeding.prices import PriceBook
from gateway.seeding.rows import Sheet
from resolvers.catalog.rules import ProductKind

NO_KEY = "\\x" + "00" * 32
"""In place of a key's hash: no key has this one, so nobody signs in before a key is issued."""
_DEFAULT = True  # no partner has two addresses of a kind
SUPPLIERS_TERM = 3
OFFICE_HOURS = (8 * 3600, 17 * 3600)
EARLIER_DAYS = 700
"""What is older than the history was entered within so many days before it."""


def reference_rows() -> Iterator[Sheet]:
    """Yield currencies, units and payment terms."""
    currencies = Sheet("currency", "code", "name", "digits", "symbol")
    for one in CURRENCIES.values():
        currencies.add(one.code, one.name, one.digits, one.symbol)
    units = Sheet(
        "unit_of_measure", "id", "code", "name", "dimension", "factor", "rounding", "is_reference"
    )
    for unit in UNITS:
        units.add(
            unit.id,
            unit.code,
            unit.name,
            unit.dimension,
            unit.factor,
            unit.rounding,
            unit.is_reference,
        )
    terms = Sheet("payment_term", "id", "code", "name", "net_days")
    for number, term in enumerate(PAYMENT_TERMS, 1):
        terms.add(number, *term)
    yield from (currencies, units, terms)


def company_rows(companies: Sequence[Company], locations: Sequence[Location]) -> Iterator[Sheet]:
    """Yield companies with their warehouses and locations."""
    rows = Sheet(
        *("company", "id", "code", "name", "country", "tax_id", "currency", "tax_rounding"),
        *("costing", "purchase_approval_from"),
    )
    warehouses = Sheet("warehouse", "id", "company_id", "code", "name", "priority", "region")
    places = Sheet(
        "stock_location", "id", "company_id", "warehouse_id", "code", "path", "kind", "sellable"
    )
    for company in companies:
        firm = company.firm
        rows.add(
            *(company.id, firm.code, firm.name, firm.country, firm.tax_id, firm.currency, "LINE"),
            *(firm.costing, amount_text(APPROVED_FROM)),
        )
        for house in company.warehouses:
            site = house.site
            warehouses.add(house.id, company.id, site.code, site.name, house.priority, site.region)
    for place in locations:
        places.add(
            place.id,
            place.company_id,
            place.warehouse_id,
            place.code,
            place.path,
            place.kind,
            place.sellable,
        )
    yield from (rows, warehouses, places)


def user_rows(companies: Sequence[Company], permissions: Sequence[str]) -> Iterator[Sheet]:
    """Yield users and roles; ``permissions`` are all there are."""
    users = Sheet("app_user", "id", "email", "display_name", "locale")
    roles = Sheet("role", "id", "code", "name")
    granted = Sheet("role_permission", "role_id", "permission")
    held = Sheet("user_role", "user_id", "company_id", "role_id")
    for role in ROLES:
        roles.add(role.id, role.code, role.name)
        for permission in role.permissions or permissions:
            granted.add(role.id, permission)
    for user in USERS:
        users.add(user.id, user.email, user.name, user.locale)
        for company in companies[: user.companies]:
            held.add(user.id, company.id, user.id)
    yield from (users, roles, granted, held)


def client_rows(account: Account) -> Iterator[Sheet]:
    """Yield the API client of a customer; it gets its key when one is issued."""
    clients = Sheet(
        "api_client",
        "id",
        "company_id",
        "partner_id",
        "code",
        "name",
        "key_prefix",
        "key_hash",
        "permissions",
    )
    clients.add(
        1,
        account.company.id,
        account.partner.id,
        CLIENT_CODE,
        f"Ordering system of {account.partner.name}",
        f"{CLIENT_CODE}-without-key",
        NO_KEY,
        f"{{{','.join(CLIENT_PERMISSIONS)}}}",
    )
    yield clients


def category_rows(tree: Sequence[Category]) -> Iterator[Sheet]:
    """Yield the tree of categories."""
    rows = Sheet("product_category", "id", "parent_id", "code", "name", "path")
    for node in tree:
        rows.add(node.id, node.parent_id, node.code, node.name, node.path)
    yield rows


def product_rows(
    products: Sequence[Product], companies: Sequence[Company], calendar: Calendar, rng: Random
) -> Iterator[Sheet]:
    """Yield products and what each company keeps about them, some at a time."""
    rows = Sheet(
        "product",
        "id",
        "sku",
        "name",
        "description",
        "barcode",
        "kind",
        "tracking",
        "category_id",
        "uom_id",
        "attributes",
        "list_price",
        "list_currency",
        "weight_kg",
        "replaced_by_id",
        "created_at",
        "updated_at",
    )
    own = Sheet(
        "product_company", "product_id", "company_id", "standard_cost", "sale_ok", "purchase_ok"
    )
    for product in products:
        goods = product.kind is ProductKind.GOODS
        entered = _entered(product.introduced, calendar, rng)
        rows.add(
            product.id,
            product.sku,
            product.name,
            product.description,
            product.barcode if goods else None,
            product.kind,
            product.tracking,
            product.category.id,
            UNIT_IDS[product.leaf.unit],
            json.dumps(dict(product.attributes), ensure_ascii=False),
            amount_text(product.price),
            "EUR",
            amount_text(product.weight) if goods else None,
            product.replaced_by,
            entered,
            entered,
        )
        for company in companies:
            cost = standard_cost(product.cost, company)
            current = product.discontinued > calendar.days
            own.add(product.id, company.id, amount_text(cost), current, current and goods)
        yield rows
        yield own


PACKED: Mapping[str, tuple[tuple[str, str, tuple[int, ...]], ...]] = {
    "PCE": (
        ("BOX", "Box of {}", (5, 10, 12, 20, 25, 50)),
        ("PAL", "Pallet of {}", (480, 600, 960)),
    ),
    "KG": (("BAG", "Bag of {} kg", (5, 20, 25)),),
    "M": (("ROL", "Roll of {} m", (25, 50, 100)),),
}
"""What packs there are of what is stocked in a unit: code, name, and how much may be in one."""
IN_PACKS = 0.6
ON_PALLETS = 0.2
"""Share of goods that are packed, and of those packed that there is a larger pack of, too."""


def pack_rows(products: Sequence[Product], rng: Random) -> Iterator[Sheet]:
    """Yield the packs that goods come in."""
    rows = Sheet("product_unit", "product_id", "code", "name", "factor", "barcode")
    for product in products:
        packs = PACKED.get(product.leaf.unit, ()) if product.kind is ProductKind.GOODS else ()
        for level, (code, name, sizes) in enumerate(packs, 1):
            if rng.random() >= (ON_PALLETS if level > 1 else IN_PACKS):
                break
            inside = rng.choice(sizes)
            rows.add(product.id, code, name.format(inside), inside, gtin14(level, product.barcode))
    yield rows


def _entered(first_day: int, calendar: Calendar, rng: Random) -> str:
    """Return when somebody entered what is there from a day on: the day before, or long ago."""
    day = first_day - 1 if first_day else -rng.randint(1, EARLIER_DAYS)
    return calendar.moment(day, rng.randrange(*OFFICE_HOURS))


def partner_rows(partners: Sequence[Partner], calendar: Calendar, rng: Random) -> Iterator[Sheet]:
    """Yield partners and their addresses, some at a time."""
    rows = Sheet(
        "partner",
        "id",
        "code",
        "name",
        "kind",
        "is_customer",
        "is_supplier",
        "tax_id",
        "email",
        "phone",
        "language",
        "created_at",
        "updated_at",
    )
    addresses = Sheet(
        "partner_address",
        "id",
        "partner_id",
        "kind",
        "line1",
        "city",
        "region",
        "postal_code",
        "country",
        "is_default",
    )
    for partner in partners:
        entered = _entered(partner.joined, calendar, rng)
        rows.add(
            partner.id,
            partner.code,
            partner.name,
            partner.kind,
            not partner.is_supplier,
            partner.is_supplier,
            partner.tax_id,
            partner.email,
            partner.phone,
            partner.country.language,
            entered,
            entered,
        )
        for address in partner.addresses:
            addresses.add(
                address.id,
                partner.id,
                address.kind,
                address.line1,
                address.city,
                address.region,
                address.postal_code,
                address.country,
                _DEFAULT,
            )
        yield rows
        yield addresses


def price_rows(prices: PriceBook, calendar: Calendar) -> Iterator[Sheet]:
    """Yield price lists and their items, some at a time."""
    lists = Sheet("price_list", "id", "company_id", "code", "name", "currency")
    items = Sheet(
        "price_list_item",
        "id",
        "company_id",
        "price_list_id",
        "scope",
        "product_id",
        "category_id",
        "min_quantity",
        "valid_from",
        "valid_to",
        "method",
        "fixed_price",
        "discount_percent",
    )
    for price_list in prices.lists:
        lists.add(
            price_list.id,
            price_list.company_id,
            price_list.code,
            price_list.name,
            price_list.currency.code,
        )
    yield lists
    number = 0
    for price_list in prices.lists:
        for item in prices.items(price_list):
            number += 1
            items.add(
                number,
                price_list.company_id,
                price_list.id,
                item.scope,
                item.product_id,
                item.category_id,
                amount_text(item.min_quantity),
                "-infinity" if item.from_day is None else calendar.iso(item.from_day),
                "infinity" if item.to_day is None else calendar.iso(item.to_day),
                item.method,
                amount_text(item.value) if item.fixed else None,
                None if item.fixed else amount_text(item.value),
            )
            yield items


def terms_rows(
    partners: Partners,
    companies: Sequence[Company],
    calendar: Calendar,
) -> Iterator[Sheet]:
    """Yield the terms that companies have with their customers and suppliers, some at a time."""
    rows = Sheet(
        "partner_company",
        "partner_id",
        "company_id",
        "credit_limit",
        "payment_term_id",
        "price_list_id",
        "blocked_at",
        "block_reason",
    )
    for supplier in partners.suppliers:
        for company in companies:
            rows.add(supplier.id, company.id, None, SUPPLIERS_TERM, None, None, None)
        yield rows
    for account in partners.accounts:
        blocked = account.blocked_from
        limit = account.credit_limit
        if limit is not None:
            limit = converted(limit, account.company.currency.rate, 0)
        rows.add(
            account.partner.id,
            account.company.id,
            None if limit is None else amount_text(limit),
            account.payment_term,
            account.price_list_id,
            None if blocked is None else calendar.moment(blocked, 30_600),
            None if blocked is None else "Three invoices overdue for more than 60 days",
        )
        yield rows

"""Prices: every rule of a price list, against an oracle that knows no SQL."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, Final
from uuid import uuid4

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.postgres import EmbeddedPostgres
from schema.core.ids import encode_id
from tests.fixtures.gateway import open_gateway, principal
from tests.fixtures.paths import BothPaths

PARTNER: Final = 900_001
LIST: Final = 9_001
LOWEST, DAY, HIGHEST = date(1, 1, 1), date(2026, 6, 15), date(9999, 12, 31)

CATEGORIES: Final = {9_001: "/x/", 9_002: "/x/y/", 9_003: "/x/y/z/", 9_004: "/xy/"}
PRODUCTS: Final = {
    "X-1": (9_001, "10.000000"),
    "Y-1": (9_002, "0.999999"),
    "Z-1": (9_003, "123456789012.123457"),
    "XY-1": (9_004, "0.000001"),
    "FREE": (9_003, "0.000000"),
}
"""Category and list price of each product, by SKU."""

SETUP: Final = f"""
insert into product_category (id, code, name, path) overriding system value values
  {", ".join(f"({id_}, 'cat{id_}', 'Category', '{path}')" for id_, path in CATEGORIES.items())};
insert into product (sku, name, category_id, uom_id, list_price, list_currency) values
  {", ".join(f"('{sku}', 'P', {c}, 1, {price}, 'EUR')" for sku, (c, price) in PRODUCTS.items())};
insert into partner (id, code, name, kind) overriding system value values
  ({PARTNER}, 'PRICED', 'Priced', 'ORGANIZATION'), ({PARTNER + 1}, 'OTHER', 'Other', 'PERSON');
insert into price_list (id, company_id, code, name, currency) overriding system value values
  ({LIST}, 1, 'ORACLE', 'Oracle', 'CHF');
insert into partner_company (partner_id, company_id, price_list_id) values ({PARTNER}, 1, {LIST});
"""


@dataclass(frozen=True)
class Item:
    """A rule of the list."""

    target: str | int | None
    """A SKU, a category, or None for all products."""
    fixed: Decimal | None
    discount: Decimal | None
    min_quantity: Decimal
    valid_from: date
    valid_to: date
    archived: bool

    @property
    def scope(self) -> str:
        """What it applies to."""
        if self.target is None:
            return "ALL"
        return "PRODUCT" if isinstance(self.target, str) else "CATEGORY"

    def applies(self, sku: str, quantity: Decimal, day: date) -> bool:
        """Tell whether the rule is one for a product, a quantity and a day."""
        path = CATEGORIES[PRODUCTS[sku][0]]
        return (
            not self.archived
            and self.min_quantity <= quantity
            and self.valid_from <= day < self.valid_to
            and (
                self.target in (None, sku)
                or (isinstance(self.target, int) and path.startswith(CATEGORIES[self.target]))
            )
        )

    def precedence(self) -> tuple[Any, ...]:
        """Return what to sort rules by, best first."""
        depth = CATEGORIES[self.target].count("/") if isinstance(self.target, int) else 0
        scopes = ("PRODUCT", "CATEGORY", "ALL")
        return (
            scopes.index(self.scope),
            -depth,
            -self.min_quantity,
            -self.valid_from.toordinal(),
        )


def price(sku: str, items: Sequence[Item], quantity: Decimal, day: date) -> dict[str, Any]:
    """Work the price out."""
    listed = Decimal(PRODUCTS[sku][1])
    found = sorted(
        (item for item in items if item.applies(sku, quantity, day)), key=Item.precedence
    )
    amount, currency, discount, rule, of_list = listed, "EUR", Decimal(0), "LIST_PRICE", None
    if found:
        best = found[0]
        rule, of_list = best.scope, {"code": "ORACLE"}
        if best.fixed is not None:
            amount, currency = best.fixed, "CHF"
        else:
            assert best.discount is not None
            discount = best.discount
            with localcontext(prec=60):
                exact = listed * (100 - discount) / 100
                amount = exact.quantize(Decimal("0.000001"), ROUND_HALF_UP)
    return {
        "unitPrice": {"amount": f"{amount:.6f}", "currency": currency},
        "discountPct": f"{discount:.4f}",
        "rule": rule,
        "priceList": of_list,
    }


@pytest_asyncio.fixture(scope="module")
async def priced(server: EmbeddedPostgres, template: str) -> AsyncIterator[BothPaths]:
    """Yield both paths over a database of this module, with a list to write rules into."""
    name = f"erp_own_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    url = server.url(name)
    async with (
        open_gateway(url, relay=False) as compiled,
        open_gateway(url, relay=False, compile_queries=False) as ordinary,
    ):
        await compiled.owner.execute(SETUP)
        yield BothPaths(compiled, ordinary)
    server.drop_database(name)


async def write_rules(priced: BothPaths, items: Sequence[Item]) -> None:
    """Make the list hold these rules and no others."""
    await priced.owner.execute("delete from price_list_item where price_list_id = $1", LIST)
    await priced.owner.executemany(
        """
        insert into price_list_item (company_id, price_list_id, scope, product_id, category_id,
          min_quantity, valid_from, valid_to, method, fixed_price, discount_percent, archived_at)
        values (1, $1, $2, (select id from product where sku = $3), $4, $5, $6, $7, $8, $9, $10,
                case when $11 then now() end)
        """,
        [
            (
                LIST,
                item.scope,
                item.target if isinstance(item.target, str) else None,
                item.target if isinstance(item.target, int) else None,
                item.min_quantity,
                item.valid_from,
                item.valid_to,
                "DISCOUNT" if item.fixed is None else "FIXED",
                item.fixed,
                item.discount,
                item.archived,
            )
            for item in items
        ],
    )


QUOTE: Final = "{ unitPrice { amount currency } discountPct rule priceList { code } }"
PRICES: Final = f"""
  query($skus: [String!]!, $items: [QuoteItemInput!]!, $partner: ID, $qty: Decimal, $on: Date) {{
    productsBySku(skus: $skus) {{ price(partnerId: $partner, qty: $qty, on: $on) {QUOTE} }}
    quotePrices(partnerId: $partner, items: $items, on: $on) {QUOTE}
  }}"""


async def told(
    priced: BothPaths,
    quantity: Decimal | None = None,
    day: date | None = DAY,
    *,
    partner_id: int | None = PARTNER,
    **asked: Any,
) -> list[dict[str, Any]]:
    """Return the price of each product, which both root fields must agree on."""
    variables = {
        "skus": list(PRODUCTS),
        "items": [{"sku": sku, "qty": f"{quantity or 1:f}"} for sku in PRODUCTS],
        "partner": partner_id and encode_id("Partner", partner_id),
        "qty": quantity and f"{quantity:f}",
        "on": day and day.isoformat(),
    }
    data = await priced.data(PRICES, variables, **asked)
    prices = [product["price"] for product in data["productsBySku"]]
    assert prices == data["quotePrices"]
    return prices


QUANTITIES = st.sampled_from(["0", "0.0001", "1", "5", "9.9999", "10", "250"]).map(Decimal)
DAYS = st.sampled_from([LOWEST, date(2026, 1, 1), date(2026, 6, 14), DAY, date(2026, 6, 16)])


@st.composite
def rules(draw: st.DrawFn) -> Item:
    """Make up a rule."""
    target: str | int | None = draw(st.sampled_from([None, *CATEGORIES, *PRODUCTS]))
    fixed = isinstance(target, str) and draw(st.booleans())
    amounts = st.decimals(0, 10**13, places=6, allow_nan=False)
    percents = st.decimals(0, 100, places=4, allow_nan=False)
    valid_from = draw(DAYS)
    later = [day for day in (DAY, date(2026, 6, 16), HIGHEST) if day > valid_from]
    return Item(
        target=target,
        fixed=draw(amounts) if fixed else None,
        discount=None if fixed else draw(percents),
        min_quantity=draw(QUANTITIES),
        valid_from=valid_from,
        valid_to=draw(st.sampled_from(later)),
        archived=draw(st.integers(0, 9)) == 0,
    )


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    max_examples=60,
)
@given(
    st.lists(
        rules(),
        max_size=12,
        unique_by=lambda rule: (rule.target, rule.min_quantity, rule.valid_from),
    ),
    QUANTITIES.filter(bool),
    DAYS,
)
async def test_prices_are_those_of_the_oracle(
    priced: BothPaths, items: list[Item], quantity: Decimal, day: date
) -> None:
    """Scope, depth, quantity, dates, archived rules, method and rounding decide as they should."""
    await write_rules(priced, items)
    expected = [price(sku, items, quantity, day) for sku in PRODUCTS]
    assert await told(priced, quantity, day) == expected


def rule(target: str | int | None, discount: str, **changes: Any) -> Item:
    """Return a discount that is always valid from any quantity on."""
    return Item(
        **{
            "target": target,
            "fixed": None,
            "discount": Decimal(discount),
            "min_quantity": Decimal(0),
            "valid_from": LOWEST,
            "valid_to": HIGHEST,
            "archived": False,
            **changes,
        }
    )


async def test_rounding_is_half_up_at_six_decimals(priced: BothPaths) -> None:
    """Also of prices so large that a quotient would be rounded twice."""
    await write_rules(priced, [rule(None, "50.0000"), rule("Z-1", "2.9488")])
    prices = [quote["unitPrice"]["amount"] for quote in await told(priced)]
    assert prices == ["5.000000", "0.500000", "119816295217.733960", "0.000001", "0.000000"]


async def test_without_quantity_and_day_it_is_one_today(priced: BothPaths) -> None:
    """The defaults are those the field's description states."""
    today = priced.compiled.runtime.clock().date()
    items = [
        rule(None, "10", min_quantity=Decimal("1.0001")),
        rule(None, "20", min_quantity=Decimal(1), valid_from=today),
        rule(None, "30", min_quantity=Decimal(1), valid_to=today),
    ]
    await write_rules(priced, items)
    found = await told(priced, None, None)
    assert found == [price(sku, items, Decimal(1), today) for sku in PRODUCTS]
    assert {quote["discountPct"] for quote in found} == {"20.0000"}


@pytest.mark.parametrize("partner_id", [None, PARTNER + 1, 2**62])
async def test_without_a_list_the_list_price_stands(
    priced: BothPaths, partner_id: int | None
) -> None:
    """No partner, a partner without terms, and one that does not exist pay the list price."""
    await write_rules(priced, [rule(None, "50")])
    expected = [price(sku, [], Decimal(1), DAY) for sku in PRODUCTS]
    assert await told(priced, partner_id=partner_id) == expected


async def test_terms_of_another_company_do_not_count(priced: BothPaths) -> None:
    """A partner's list is the one it has with the company acted for."""
    await write_rules(priced, [rule(None, "50")])
    expected = [price(sku, [], Decimal(1), DAY) for sku in PRODUCTS]
    assert await told(priced, caller=principal(2)) == expected


async def test_an_archived_list_gives_no_price(priced: BothPaths) -> None:
    """Rules of an archived list are as good as archived themselves."""
    await write_rules(priced, [rule(None, "50")])
    await priced.owner.execute("update price_list set archived_at = now() where id = $1", LIST)
    try:
        assert await told(priced) == [price(sku, [], Decimal(1), DAY) for sku in PRODUCTS]
    finally:
        await priced.owner.execute("update price_list set archived_at = null where id = $1", LIST)


async def test_a_bound_client_pays_its_own_price(priced: BothPaths) -> None:
    """Without asking for anybody it gets its own price; for another partner it is refused."""
    items = [rule(None, "25"), rule(9_002, "30")]
    await write_rules(priced, items)
    expected = [price(sku, items, Decimal(1), DAY) for sku in PRODUCTS]
    bound = principal(partner_id=PARTNER)
    for quote in expected:
        assert quote["priceList"] == {"code": "ORACLE"}
    assert await told(priced, caller=bound, partner_id=None) == expected
    assert await told(priced, caller=bound) == expected
    other = principal(partner_id=PARTNER + 1)
    at_list = [price(sku, [], Decimal(1), DAY) for sku in PRODUCTS]
    assert await told(priced, caller=other, partner_id=None) == at_list
    query = 'query($p: ID) { product(sku: "X-1") { price(partnerId: $p) { rule } } }'
    error = await priced.refusal(query, {"p": encode_id("Partner", PARTNER)}, caller=other)
    assert error["extensions"] == {"code": "VALIDATION", "inputPath": ["partnerId"]}
    assert "bound to" in error["message"]


@pytest.mark.parametrize("quantity", ["0", "-1", "0.0000", "-0.0001"])
async def test_a_quantity_nobody_can_buy_is_refused(priced: BothPaths, quantity: str) -> None:
    """Nothing and less have no price."""
    error = await priced.refusal(
        'query($q: Decimal) { product(sku: "X-1") { price(qty: $q) { rule } } }', {"q": quantity}
    )
    assert error["extensions"]["inputPath"] == ["qty"]
    error = await priced.refusal(
        "query($i: [QuoteItemInput!]!) { quotePrices(items: $i) { rule } }",
        {"i": [{"sku": "X-1", "qty": "1"}, {"sku": "X-1", "qty": quantity}]},
    )
    assert error["extensions"]["inputPath"] == ["items", "1", "qty"]


async def test_a_basket_is_answered_line_by_line(priced: BothPaths) -> None:
    """Lines keep their order and their quantities; unknown products are null; none is none."""
    items = [
        rule("X-1", "10", min_quantity=Decimal(10)),
        rule("X-1", "20", min_quantity=Decimal(20)),
    ]
    await write_rules(priced, items)
    query = """
      query($items: [QuoteItemInput!]!, $partner: ID) {
        quotePrices(items: $items, partnerId: $partner) { discountPct } }"""
    lines = [("X-1", "20"), ("NOTHING", "1"), ("X-1", "9.9999"), ("X-1", "10"), ("X-1", "20")]
    variables = {
        "items": [{"sku": sku, "qty": quantity} for sku, quantity in lines],
        "partner": encode_id("Partner", PARTNER),
    }
    data = await priced.data(query, variables)
    found = [quote and quote["discountPct"] for quote in data["quotePrices"]]
    assert found == ["20.0000", None, "0.0000", "10.0000", "20.0000"]
    assert priced.statements == 2
    assert await priced.data(query, {"items": []}) == {"quotePrices": []}
    unknown = {"items": [{"sku": "NOTHING", "qty": "1"}] * 3}
    assert await priced.data(query, unknown) == {"quotePrices": [None] * 3}
    error = await priced.refusal(query, {"items": [{"sku": "X-1", "qty": "1"}] * 201})
    assert error["message"] == "items takes at most 200 lines."


async def test_prices_of_many_products_and_quantities_are_one_statement_each(
    priced: BothPaths,
) -> None:
    """Two quantities of the same products are two statements, however many products there are."""
    items = [rule(None, "10", min_quantity=Decimal(5))]
    await write_rules(priced, items)
    data = await priced.data(
        """query($partner: ID) { products(first: 50) { nodes {
             one: price(partnerId: $partner) { discountPct }
             ten: price(partnerId: $partner, qty: "10") { discountPct }
             again: price(partnerId: $partner, qty: "10.0") { rule } } } }""",
        {"partner": encode_id("Partner", PARTNER)},
    )
    for product in data["products"]["nodes"]:
        assert product["one"]["discountPct"] == "0.0000"
        assert product["ten"]["discountPct"] == "10.0000"
        assert product["again"]["rule"] == "ALL"
    assert priced.ordinary.statements == 1 + 2

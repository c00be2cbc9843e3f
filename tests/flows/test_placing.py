"""Orders that are placed: the customer's prices and taxes, credit, and what is refused."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.verify import verify
from resolvers.core.amounts import Amounts, converted, line_amounts
from schema.core.ids import encode_id
from tests.fixtures.gateway import Gateway
from tests.fixtures.paths import BothPaths

PLACE = """
mutation Place($key: String!, $input: PlaceSalesOrderInput!, $dry: Boolean! = false) {
  placeSalesOrder(idempotencyKey: $key, input: $input, dryRun: $dry) {
    order {
      number state hold channel externalRef reservationStatus placedOn version
      subtotal { amount currency } taxTotal { amount } total { amount }
      lines { seq qty qtyReserved qtyBackordered unitPrice { amount } net { amount }
              product { sku } taxApplied { code } }
    }
    shortages { sku requested available }
    userErrors { code message path details }
  }
}
"""
QUOTE = """
query Quote($partner: ID!, $items: [QuoteItemInput!]!) {
  quotePrices(partnerId: $partner, items: $items) { unitPrice { amount currency } }
}
"""
CUSTOMER = """
select p.id from partner p join partner_company t on t.partner_id = p.id
join price_list l on l.id = t.price_list_id
where t.company_id = 1 and p.is_customer and p.archived_at is null and t.blocked_at is null
  and l.archived_at is null and l.currency {} 'EUR' order by p.id limit 1
"""


async def place(gateway: Gateway, partner_id: int, lines: Any, **more: Any) -> Any:
    """Run placeSalesOrder and return its payload."""
    key, dry = more.pop("key", "place"), more.pop("dry", False)
    order = {
        "partnerId": encode_id("Partner", partner_id),
        "lines": [{"sku": sku, "qty": qty} for sku, qty in lines],
        **more,
    }
    variables = {"key": key, "input": order, "dry": dry}
    return (await gateway.data(PLACE, variables))["placeSalesOrder"]


async def skus_in_stock(gateway: Gateway) -> list[str]:
    """Return products with enough in the company's first warehouse."""
    rows = await gateway.owner.fetch(
        """select p.sku from product p join stock_level s on s.product_id = p.id
           where s.warehouse_id = 1 and s.on_hand - s.reserved >= 20 and p.archived_at is null
           order by p.sku limit 5"""
    )
    return [row["sku"] for row in rows]


async def sound(url: str) -> None:
    """Check every invariant."""
    broken = [result for result in await verify(url) if not result.holds]
    assert not broken


@pytest.mark.parametrize("foreign", [False, True])
async def test_an_order_has_the_customers_prices_and_gets_what_there_is(
    own_reader: BothPaths, own_database_url: str, *, foreign: bool
) -> None:
    """Quoted and placed is the same, in the customer's currency; confirmed, it is reserved."""
    gateway = own_reader.compiled
    await gateway.owner.execute("update partner_company set credit_limit = null")
    partner_id = await gateway.owner.fetchval(CUSTOMER.format("<>" if foreign else "="))
    skus = await skus_in_stock(gateway)
    lines = [(skus[0], "3"), (skus[1], "2.5"), (skus[0], "1")]
    told = await place(own_reader.ordinary, partner_id, lines, confirm=True, dry=True)
    real = await place(gateway, partner_id, lines, confirm=True)
    assert real["userErrors"] == real["shortages"] == []
    order = real["order"]
    assert {**order, "number": None} == {**told["order"], "number": None}
    assert (order["state"], order["reservationStatus"], order["hold"]) == (
        "CONFIRMED",
        "FULL",
        None,
    )
    assert [line["product"]["sku"] for line in order["lines"]] == [sku for sku, _ in lines]
    quotes = (
        await gateway.data(
            QUOTE,
            {
                "partner": encode_id("Partner", partner_id),
                "items": [{"sku": sku, "qty": qty} for sku, qty in lines],
            },
        )
    )["quotePrices"]
    for line, quote in zip(order["lines"], quotes, strict=True):
        if quote["unitPrice"]["currency"] == order["subtotal"]["currency"]:
            assert Decimal(line["unitPrice"]["amount"]) == Decimal(quote["unitPrice"]["amount"])
    assert (order["subtotal"]["currency"] == "EUR") != foreign
    assert await place(gateway, partner_id, lines, confirm=True) == real, "the same key: once"
    await sound(own_database_url)


async def test_what_is_missing_comes_back(own_gateway: Gateway, own_database_url: str) -> None:
    """More than there is: as much as there is, and a shortage."""
    owner = own_gateway.owner
    await owner.execute("update partner_company set credit_limit = null")
    partner_id = await owner.fetchval(CUSTOMER.format("="))
    [sku, *_] = await skus_in_stock(own_gateway)
    told = await place(own_gateway, partner_id, [(sku, "100000")], confirm=True)
    assert told["userErrors"] == []
    [shortage] = told["shortages"]
    assert (shortage["sku"], shortage["requested"]) == (sku, "100000.0000")
    [line] = told["order"]["lines"]
    assert line["qtyReserved"] == shortage["available"]
    assert Decimal(line["qtyReserved"]) >= 20
    await sound(own_database_url)


async def test_over_credit_it_is_held(own_gateway: Gateway, own_database_url: str) -> None:
    """The order is there, on hold, and needs nothing; nobody has to type it again."""
    owner = own_gateway.owner
    partner_id = await owner.fetchval(CUSTOMER.format("="))
    await owner.execute(
        "update partner_company set credit_limit = 0 where partner_id = $1", partner_id
    )
    [sku, *_] = await skus_in_stock(own_gateway)
    told = await place(own_gateway, partner_id, [(sku, "5")], confirm=True)
    assert told["userErrors"] == told["shortages"] == []
    assert (told["order"]["state"], told["order"]["hold"]) == ("PLACED", "CREDIT")
    assert told["order"]["reservationStatus"] == "NONE"
    await sound(own_database_url)


async def test_a_reference_is_placed_once(own_gateway: Gateway) -> None:
    """Sent again under another key, it is refused and shows the first, at once or later."""
    partner_id = await own_gateway.owner.fetchval(CUSTOMER.format("="))
    [sku, *_] = await skus_in_stock(own_gateway)
    answers = await asyncio.gather(
        *(
            place(own_gateway, partner_id, [(sku, "1")], externalRef=" W-1 ", key=f"k{n}")
            for n in range(8)
        )
    )
    numbers = {answer["order"]["number"] for answer in answers}
    codes = [[error["code"] for error in answer["userErrors"]] for answer in answers]
    assert len(numbers) == 1
    assert sorted(codes) == [[], *[["DUPLICATE"]] * 7]
    other = await place(
        own_gateway, partner_id, [(sku, "1")], externalRef="W-1", channel="SHOP", key="other"
    )
    assert other["userErrors"] == []


@pytest.mark.parametrize(
    ("more", "line", "code", "path"),
    [
        ({}, ("NO-SUCH", "1"), "NOT_FOUND", ["lines", "0", "sku"]),
        ({}, (None, "0"), "VALIDATION", ["lines", "0", "qty"]),
        ({}, (None, "-1"), "VALIDATION", ["lines", "0", "qty"]),
        ({}, (None, "1" * 15), "VALIDATION", ["lines", "0", "qty"]),
        ({}, (None, "1.00001"), "VALIDATION", ["lines", "0", "qty"]),
        ({"channel": " "}, (None, "1"), "VALIDATION", ["channel"]),
        ({"warehouseId": encode_id("Warehouse", 3)}, (None, "1"), "NOT_FOUND", ["warehouseId"]),
        ({"shipToId": encode_id("Address", 10**9)}, (None, "1"), "NOT_FOUND", ["shipToId"]),
        ({"partnerId": encode_id("Partner", 10**9)}, (None, "1"), "NOT_FOUND", ["partnerId"]),
    ],
)
async def test_what_is_refused(
    gateway: Gateway, more: Any, line: tuple[str | None, str], code: str, path: list[str]
) -> None:
    """Each refusal names the input at fault, and no order is made."""
    partner_id = await gateway.owner.fetchval(CUSTOMER.format("="))
    [sku, *_] = await skus_in_stock(gateway)
    told = await place(gateway, partner_id, [(line[0] or sku, line[1])], **more)
    assert told["order"] is None
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == (code, ["input", *path])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            "update partner_company set blocked_at = now() where partner_id = $1",
            "INVALID_TRANSITION",
        ),
        ("update partner set is_customer = false where id = $1", "VALIDATION"),
        ("update partner set archived_at = now() where id = $1", "ARCHIVED"),
    ],
)
async def test_customers_that_are_not_sold_to(own_gateway: Gateway, change: str, code: str) -> None:
    """Blocked, no customer, archived."""
    owner = own_gateway.owner
    partner_id = await owner.fetchval(CUSTOMER.format("="))
    await owner.execute("set session_replication_role = replica")
    await owner.execute(change, partner_id)
    [sku, *_] = await skus_in_stock(own_gateway)
    told = await place(own_gateway, partner_id, [(sku, "1")])
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == (code, ["input", "partnerId"])


async def test_many_at_once_share_what_there_is(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """Sixty orders for what is there for some of them: all is promised, and no more."""
    owner = own_gateway.owner
    await owner.execute("update partner_company set credit_limit = null")
    partner_id = await owner.fetchval(CUSTOMER.format("="))
    skus = await skus_in_stock(own_gateway)
    answers = await asyncio.gather(
        *(
            place(
                own_gateway,
                partner_id,
                [(skus[(n + i) % 5], "40") for i in (0, 2, 1)],
                confirm=True,
                key=f"k{n}",
            )
            for n in range(60)
        )
    )
    assert all(answer["userErrors"] == [] for answer in answers)
    assert len({answer["order"]["number"] for answer in answers}) == 60
    assert any(answer["shortages"] for answer in answers)
    await sound(own_database_url)


def amounts(net: str, tax: str) -> Amounts:
    """Return what a line comes to."""
    return Amounts(Decimal(net), Decimal(tax))


@pytest.mark.parametrize(
    ("quantity", "price", "kind", "rate", "digits", "expected"),
    [
        ("2.5", "0.01", "PERCENT", "19", 2, amounts("0.03", "0.01")),
        ("3", "333.333333", "PERCENT", "10", 0, amounts("1000", "100")),
        ("1", "0.0005", None, "0", 3, amounts("0.001", "0")),
        ("4", "10", "FIXED", "0.125", 2, amounts("40.00", "0.50")),
    ],
)
def test_amounts_are_rounded_half_away_from_zero(  # noqa: PLR0917 - a table
    quantity: str, price: str, kind: str | None, rate: str, digits: int, expected: Amounts
) -> None:
    """To the currency's digits, as the database rounds."""
    found = line_amounts(
        Decimal(quantity), Decimal(price), tax_kind=kind, tax_rate=Decimal(rate), digits=digits
    )
    assert found == expected


@given(st.decimals("0", "99999999999999", places=6), st.sampled_from(["EUR", "USD", "JPY"]))
def test_conversion(price: Decimal, currency: str) -> None:
    """The same currency changes nothing; without a rate there is no price."""
    rates = {"EUR": Decimal(1), "USD": Decimal("0.9")}
    assert converted(price, currency, currency, {}) == price
    found = converted(price, currency, "EUR", rates)
    if currency == "JPY":
        assert found is None
    else:
        assert found is not None
        assert abs(found - price * rates[currency]) <= Decimal("0.000001")

"""Recipes of postings balance, in whatever they count, and say what they should."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.accounting.posting import (
    EXCHANGED,
    Posting,
    customer_invoice,
    goods_moved,
    opening,
    payment_in,
    payment_out,
    vendor_bill,
)
from resolvers.accounting.rules import AccountRole, PaymentStatus, match_state, payment_status
from resolvers.valuation.rules import ValuationKind

AMOUNTS = st.decimals(min_value=0, max_value=10**12, places=4)


@given(AMOUNTS, AMOUNTS)
def test_every_entry_balances(one: Decimal, other: Decimal) -> None:
    """Debits and credits are the same, to the last digit, and nothing is posted that is zero."""
    for recipe in (customer_invoice, vendor_bill, payment_in, payment_out):
        postings = recipe(one, other)
        assert sum(posting.amount for posting in postings) == 0
        assert all(posting.amount for posting in postings)
        assert len(postings) != 1


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_whole_numbers_are_counted_alike(one: int, other: int) -> None:
    """Ten-thousandths give the same entries as the decimals they stand for."""
    for recipe in (customer_invoice, vendor_bill, payment_in, payment_out):
        whole = recipe(one, other)
        exact = recipe(Decimal(one), Decimal(other))
        assert list(whole) == list(exact)


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_a_bill_clears_what_was_received(net: Decimal, tax: Decimal, received: Decimal) -> None:
    """Goods leave the account of what is not billed at what they came in at, to the last digit."""
    postings = vendor_bill(net, tax, received)
    assert sum(posting.amount for posting in postings) == 0
    cleared = [p.amount for p in postings if p.role is AccountRole.GOODS_RECEIVED]
    assert cleared == [received] * (received != 0)
    assert AccountRole.PURCHASES not in {posting.role for posting in postings}


@given(st.dictionaries(st.sampled_from(list(ValuationKind)), st.integers(-(10**12), 10**12)))
def test_goods_are_posted_by_what_they_were_exchanged_for(values: dict[str, int]) -> None:
    """Inventory gets all of it; every kind of value has an account against it."""
    postings = goods_moved(values)
    assert sum(posting.amount for posting in postings) == 0
    stocked = sum(p.amount for p in postings if p.role is AccountRole.INVENTORY)
    assert stocked == sum(values.values())
    assert set(EXCHANGED) == set(ValuationKind)


def test_invoice_to_a_customer() -> None:
    """The customer owes all of it; what is tax is owed to the state."""
    assert customer_invoice(100, 19) == [
        Posting(AccountRole.RECEIVABLE, 119),
        Posting(AccountRole.SALES, -100),
        Posting(AccountRole.OUTPUT_TAX, -19),
    ]
    assert customer_invoice(0, 0) == []


@pytest.mark.parametrize(
    ("received", "settled", "role", "amount"),
    [
        (103, 100, AccountRole.EXCHANGE_GAINS, -3),
        (98, 100, AccountRole.EXCHANGE_LOSSES, 2),
    ],
)
def test_what_the_rate_did_between_invoice_and_payment(
    received: int, settled: int, role: AccountRole, amount: int
) -> None:
    """More in our currency than was booked is a gain, less a loss."""
    assert payment_in(received, settled)[-1] == Posting(role, amount)
    mirrored = payment_out(settled, received)
    assert mirrored[-1] == Posting(role, amount)
    assert len(payment_in(100, 100)) == 2


def test_opening() -> None:
    """A company begins with money that its owners put in."""
    assert opening(5) == [Posting(AccountRole.BANK, 5), Posting(AccountRole.CAPITAL, -5)]


@pytest.mark.parametrize(
    ("total", "residual", "expected"),
    [
        ("10", "10", PaymentStatus.NOT_PAID),
        ("10", "0.0001", PaymentStatus.PARTIAL),
        ("10", "0", PaymentStatus.PAID),
        ("0", "0", PaymentStatus.PAID),
    ],
)
def test_payment_status(total: str, residual: str, expected: PaymentStatus) -> None:
    """An invoice over nothing is paid."""
    assert payment_status(Decimal(total), Decimal(residual)) == expected


@pytest.mark.parametrize(
    ("received", "billed", "price", "expected"),
    [
        ("0", "0", "5", "NO_RECEIPT"),
        ("0", "3", "5", "NO_RECEIPT"),
        ("3", "3", "5", "OK"),
        ("3", "2.9999", "5.000000", "OK"),
        ("3", "3.0001", "5", "QTY_VARIANCE"),
        ("3", "4", "6", "QTY_VARIANCE"),
        ("3", "3", "5.000001", "PRICE_VARIANCE"),
    ],
)
def test_three_way_match(received: str, billed: str, price: str, expected: str) -> None:
    """To the last decimal: what came, what was billed, and what was agreed."""
    state = match_state(Decimal(received), Decimal(billed), Decimal(5), Decimal(price))
    assert state == expected

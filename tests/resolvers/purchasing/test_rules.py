"""Rules of purchasing."""

from decimal import Decimal

import pytest

from resolvers.purchasing.rules import (
    BillStatus,
    ReceiptStatus,
    bill_status,
    outstanding,
    receipt_status,
)


@pytest.mark.parametrize(
    ("quantity", "received", "canceled", "expected"),
    [
        ("10", "0", "0", "10"),
        ("10", "4", "0", "6"),
        ("10", "4", "2.5", "3.5"),
        ("10", "4", "6", "0"),
        ("10", "10.5", "0", "0"),
        ("0.0001", "0", "0", "0.0001"),
    ],
)
def test_outstanding(quantity: str, received: str, canceled: str, expected: str) -> None:
    """What is neither received nor canceled is still to come, and never less than nothing."""
    found = outstanding(Decimal(quantity), Decimal(received), Decimal(canceled))
    assert found == Decimal(expected)


@pytest.mark.parametrize(
    ("received", "left", "expected"),
    [
        ("0", "10", ReceiptStatus.NONE),
        ("0", "0", ReceiptStatus.NONE),
        ("0.0001", "10", ReceiptStatus.PARTIAL),
        ("9.9999", "0.0001", ReceiptStatus.PARTIAL),
        ("10", "0", ReceiptStatus.RECEIVED),
        ("12", "0", ReceiptStatus.RECEIVED),
    ],
)
def test_receipt_status(received: str, left: str, expected: ReceiptStatus) -> None:
    """An order is received when nothing is outstanding, and too much of one line hides no other."""
    assert receipt_status(Decimal(received), Decimal(left)) is expected


@pytest.mark.parametrize(
    ("billed", "left", "expected"),
    [
        ("0", "10", BillStatus.NONE),
        ("0", "0", BillStatus.NONE),
        ("0.0001", "10", BillStatus.PARTIAL),
        ("9.9999", "0.0001", BillStatus.PARTIAL),
        ("10", "0", BillStatus.BILLED),
        ("12", "0", BillStatus.BILLED),
    ],
)
def test_bill_status(billed: str, left: str, expected: BillStatus) -> None:
    """An order is billed when nothing is left to bill, and too much of one line hides no other."""
    assert bill_status(Decimal(billed), Decimal(left)) is expected

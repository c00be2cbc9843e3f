"""What is posted for a document: recipes of debits and credits, pure and balanced by construction.

The same recipes serve commands, which count in Decimal, and the demo data, which counts in whole
ten-thousandths. All amounts are in the currency of the books; what is zero is not posted.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple, TypeVar

from resolvers.accounting.rules import AccountRole

Amount = TypeVar("Amount", int, Decimal)


class Posting(NamedTuple):
    """One line of an entry: a debit if ``amount`` is positive, else a credit."""

    role: AccountRole
    amount: int | Decimal


def _posted(*postings: Posting) -> Sequence[Posting]:
    assert sum(posting.amount for posting in postings) == 0, "an entry balances"
    return [posting for posting in postings if posting.amount]


def customer_invoice(net: Amount, tax: Amount) -> Sequence[Posting]:
    """Return what is posted for an invoice to a customer."""
    return _posted(
        Posting(AccountRole.RECEIVABLE, net + tax),
        Posting(AccountRole.SALES, -net),
        Posting(AccountRole.OUTPUT_TAX, -tax),
    )


def vendor_bill(net: Amount, tax: Amount, received: Amount | None = None) -> Sequence[Posting]:
    """Return what is posted for a bill of a supplier.

    It is for goods that were ``received`` at that value, or for what is no goods if that is None.
    """
    if received is None:
        spent = [Posting(AccountRole.PURCHASES, net)]
    else:
        spent = [
            Posting(AccountRole.GOODS_RECEIVED, received),
            Posting(AccountRole.PRICE_DIFFERENCES, net - received),
        ]
    return _posted(
        *spent, Posting(AccountRole.INPUT_TAX, tax), Posting(AccountRole.PAYABLE, -(net + tax))
    )


EXCHANGED: Final[Mapping[str, AccountRole]] = {
    "OPENING": AccountRole.CAPITAL,
    "PURCHASE": AccountRole.GOODS_RECEIVED,
    "SALE": AccountRole.COST_OF_GOODS_SOLD,
    "DIFFERENCE": AccountRole.STOCK_DIFFERENCES,
    "PRICE_DIFFERENCE": AccountRole.PRICE_DIFFERENCES,
    "LANDED_COST": AccountRole.LANDED_COSTS,
}
"""By kind of an entry of value, what stands against inventory; the trigger posts by it too."""


def goods_moved(values: Mapping[str, Amount]) -> Sequence[Posting]:
    """Return what is posted when stock is worth so much more, or less, for reasons of each kind."""
    return _posted(
        *(
            posting
            for kind in sorted(values)
            for posting in (
                Posting(AccountRole.INVENTORY, values[kind]),
                Posting(EXCHANGED[kind], -values[kind]),
            )
        )
    )


def payment_in(received: Amount, settled: Amount) -> Sequence[Posting]:
    """Return what is posted when a customer paid.

    ``received`` is worth the day's rate, ``settled`` that of the invoices it pays: the difference
    is what the exchange rate gained or lost (IAS 21.28).
    """
    gain = received - settled
    return _posted(
        Posting(AccountRole.BANK, received),
        Posting(AccountRole.RECEIVABLE, -settled),
        _difference(gain),
    )


def payment_out(paid: Amount, settled: Amount) -> Sequence[Posting]:
    """Return what is posted when a supplier was paid; see `payment_in`."""
    gain = settled - paid
    return _posted(
        Posting(AccountRole.PAYABLE, settled),
        Posting(AccountRole.BANK, -paid),
        _difference(gain),
    )


def _difference(gain: int | Decimal) -> Posting:
    role = AccountRole.EXCHANGE_GAINS if gain > 0 else AccountRole.EXCHANGE_LOSSES
    return Posting(role, -gain)


def opening(capital: Amount) -> Sequence[Posting]:
    """Return what is posted for the money a company begins with."""
    return _posted(Posting(AccountRole.BANK, capital), Posting(AccountRole.CAPITAL, -capital))

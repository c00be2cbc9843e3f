"""The edge pack: what a real store has and careless code does not expect."""

from collections.abc import Iterator, Sequence

from gateway.seeding.amounts import HUNDRED_PERCENT
from gateway.seeding.demand import Basket, Demand
from gateway.seeding.names import odd_firms
from gateway.seeding.partners import Account

EDGE_ORDERS = 7
"""Number of orders in the pack."""
LONGEST_ORDER = 400
"""Lines of the longest order; there is one, in the middle of the history."""
BLOCKED_RANK = 13
BLOCKED_DAYS = 20
"""One good customer is blocked for its debts, since so many days."""

_AT_NINE = 9 * 3600


def block_one(accounts: Sequence[Account], days: int) -> None:
    """Block one of the first company's good customers."""
    _of_first_company(accounts)[BLOCKED_RANK - 1].blocked_from = days - BLOCKED_DAYS


def edge_baskets(
    days: int, demand: Demand, accounts: Sequence[Account]
) -> Iterator[tuple[int, Basket]]:
    """Yield the edge orders with the days they are placed on."""
    first = _of_first_company(accounts)
    big = next(a for a in first if a.factor > 1 and a.warehouse.priority == 1)
    yield days // 2, demand.basket(days // 2, _AT_NINE, big, LONGEST_ORDER)
    yield days - 5, _with_gifts(days - 5, demand, first[2])
    for ago, currency in ((6, "KWD"), (8, "JPY")):
        account = next(a for a in first if a.currency.code == currency)
        yield days - ago, demand.basket(days - ago, _AT_NINE, account)
    blocked = next(a for a in first if a.blocked_from is not None)
    for ago in (3, 9):
        yield days - ago, demand.basket(days - ago, _AT_NINE, blocked)
    odd = next(a for a in first if a.partner.name == odd_firms()[0])
    yield days - 4, demand.basket(days - 4, _AT_NINE, odd, 3)


def _of_first_company(accounts: Sequence[Account]) -> list[Account]:
    return [account for account in accounts if account.company is accounts[0].company]


def _with_gifts(day: int, demand: Demand, account: Account) -> Basket:
    """Return a basket with a free sample, a line at 100 % discount, and one product twice."""
    basket = demand.basket(day, _AT_NINE, account, 3)
    basket.lines.append(basket.lines[0])
    basket.terms = {1: (0, 0), 2: (None, HUNDRED_PERCENT)}
    return basket

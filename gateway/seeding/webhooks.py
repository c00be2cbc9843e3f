"""Webhooks of the demo: none of them sends anything, and each shows another way to stand still."""

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.seeding.calendar import Calendar
from gateway.seeding.companies import Company
from gateway.seeding.partners import Account
from gateway.seeding.rows import Sheet
from resolvers.webhooks.rules import DeliveryState, WebhookState

STOCK: Final = (
    "subscription { stockChanged { ... on StockChange { seq available "
    "level { product { sku } warehouse { code } } } } }"
)
ORDERS: Final = "subscription { orderStatusChanged { seq axis from to order { number } } }"
DEAD: Final = 3
"""Dead letters of each."""
_FAILED: Final = "The receiver answered 503."


def webhook_rows(
    companies: Sequence[Company], account: Account, calendar: Calendar, days: int
) -> Iterator[Sheet]:
    """Yield paused webhooks of each company, and one of its own that a partner's client lost."""
    webhooks = Sheet(
        "webhook",
        *("id", "company_id", "partner_id", "owner", "url", "document", "state", "salt"),
        *("dead_in_a_row", "last_error", "created_at"),
    )
    deliveries = Sheet(
        "webhook_delivery",
        *("company_id", "partner_id", "webhook_id", "seq", "state", "attempts", "status_code"),
        *("error", "body", "created_at", "attempted_at"),
    )
    made = calendar.moment(days - 1, 9 * 3600)
    owners: list[tuple[int, int | None, str, str, WebhookState]] = [
        (company.id, None, "user:1", STOCK, WebhookState.PAUSED)
        for company in (*companies, companies[0])
    ]
    partner_id = account.partner.id
    owners.append((account.company.id, partner_id, "client:1", ORDERS, WebhookState.DISABLED))
    for id_, (company_id, partner, owner, document, state) in enumerate(owners, 1):
        stopped = state == WebhookState.DISABLED
        webhooks.add(
            *(id_, company_id, partner, owner, f"https://hooks.example/{id_}", document, state),
            *(f"{id_:032x}", DEAD if stopped else 0, _FAILED if stopped else None, made),
        )
        for seq in range(1, DEAD + 1):
            at = calendar.moment(days - 1, 10 * 3600 + seq)
            deliveries.add(
                *(company_id, partner, id_, seq, DeliveryState.DEAD, 3, 503, _FAILED),
                *('{"data":null}', at, at),
            )
    yield webhooks
    yield deliveries

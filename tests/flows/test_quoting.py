"""Quotes: offered at today's prices, accepted at them until they end; nothing is promised."""

from datetime import timedelta
from typing import Any

from gateway.verify import verify
from schema.core.ids import encode_id
from tests.fixtures.gateway import Gateway
from tests.fixtures.paths import BothPaths

QUOTE = """
mutation Quote($key: String!, $input: PlaceSalesOrderInput!, $until: Date, $dry: Boolean! = false) {
  quoteSalesOrder(idempotencyKey: $key, input: $input, validUntil: $until, dryRun: $dry) {
    order { id state validUntil reservationStatus total { amount } availableActions
            lines { unitPrice { amount } qtyReserved } }
    userErrors { code path }
  }
}
"""
CONFIRM = """
mutation Confirm($key: String!, $id: ID!) {
  confirmSalesOrder(idempotencyKey: $key, id: $id) {
    order { state total { amount } lines { unitPrice { amount } } }
    userErrors { code message path details }
  }
}
"""


async def asked(gateway: Gateway) -> dict[str, Any]:
    """Return what a customer wants to know the price of."""
    await gateway.owner.execute("update partner_company set credit_limit = null, blocked_at = null")
    row: Any = await gateway.owner.fetchrow(
        """select o.partner_id, p.sku from sales_order o join partner c on c.id = o.partner_id
           cross join lateral (
             select p.sku from product p join stock_level l on l.product_id = p.id
             where l.company_id = 1 and p.archived_at is null and p.tracking = 'NONE'
               and p.list_price > 0 limit 1) p
           where o.company_id = 1 and c.archived_at is null order by o.id limit 1"""
    )
    return {
        "partnerId": encode_id("Partner", row["partner_id"]),
        "lines": [{"sku": row["sku"], "qty": "2"}],
    }


async def test_a_quote_is_accepted_at_its_prices(
    own_reader: BothPaths, own_database_url: str
) -> None:
    """Prices that rise meanwhile are not the customer's."""
    gateway = own_reader.compiled
    variables = {"key": "q", "input": await asked(gateway)}
    told = (await own_reader.ordinary.data(QUOTE, {**variables, "dry": True}))["quoteSalesOrder"]
    quoted = (await gateway.data(QUOTE, variables))["quoteSalesOrder"]
    del told["order"]["id"]
    id_ = quoted["order"].pop("id")
    assert quoted == told, "the rehearsal told what was offered"
    assert quoted["userErrors"] == []
    assert quoted["order"]["state"] == "QUOTED"
    assert quoted["order"]["reservationStatus"] == "NONE"
    assert quoted["order"]["availableActions"][0] == "CONFIRM"
    await gateway.owner.execute("update product set list_price = list_price * 2")
    confirmed = (await gateway.data(CONFIRM, {"key": "c", "id": id_}))["confirmSalesOrder"]
    assert confirmed["userErrors"] == []
    assert confirmed["order"]["state"] == "CONFIRMED"
    assert confirmed["order"]["total"] == quoted["order"]["total"]
    assert not [result for result in await verify(own_database_url) if not result.holds]


async def test_a_quote_ends(own_gateway: Gateway) -> None:
    """On its last day it can be accepted, the day after it cannot."""
    today = own_gateway.runtime.clock().date()
    given = await asked(own_gateway)
    for days, codes in ((0, []), (-1, ["INVALID_TRANSITION"])):
        key = f"q{days}"
        variables = {"key": key, "input": given, "until": today.isoformat()}
        quoted = (await own_gateway.data(QUOTE, variables))["quoteSalesOrder"]
        assert quoted["order"]["validUntil"] == today.isoformat()
        await own_gateway.owner.execute(
            """update sales_order set placed_on = placed_on - 9, valid_until = $1
               where state = 'QUOTED' and valid_until is not null""",
            today + timedelta(days=days),
        )
        answer = await own_gateway.data(CONFIRM, {"key": key + "c", "id": quoted["order"]["id"]})
        told = answer["confirmSalesOrder"]
        assert [error["code"] for error in told["userErrors"]] == codes


async def test_what_cannot_be_quoted(own_gateway: Gateway) -> None:
    """A last day that has passed; a quote that is confirmed at once."""
    given = await asked(own_gateway)
    past = await own_gateway.data(QUOTE, {"key": "p", "input": given, "until": "2020-01-01"})
    assert past["quoteSalesOrder"]["userErrors"] == [{"code": "VALIDATION", "path": ["validUntil"]}]
    at_once = await own_gateway.data(QUOTE, {"key": "a", "input": {**given, "confirm": True}})
    assert at_once["quoteSalesOrder"]["userErrors"] == [
        {"code": "VALIDATION", "path": ["input", "confirm"]}
    ]

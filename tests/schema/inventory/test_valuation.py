"""What stock is worth at the end of a day, against the ledger added up by hand."""

from decimal import Decimal

import pytest

from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, principal
from tests.fixtures.paths import BothPaths

VALUATION = """query($day: Date) { stockValuation(asOf: $day) {
  asOf currency value rows { warehouse { id } category { id } onHand value } } }"""
BY_HAND = """
select warehouse_id, category_id, sum(on_hand) as on_hand,
       sum(round(on_hand * coalesce(standard_cost, 0), 4)) as value
from (
  select l.warehouse_id, p.category_id, p.id, c.standard_cost, sum(m.quantity) as on_hand
  from (select product_id, to_location_id as location_id, quantity, effective_on, company_id
        from stock_move
        union all
        select product_id, from_location_id, -quantity, effective_on, company_id
        from stock_move) m
  join stock_location l on l.id = m.location_id
  join product p on p.id = m.product_id
  left join product_company c on c.product_id = p.id and c.company_id = m.company_id
  where m.company_id = $1 and l.warehouse_id is not null and m.effective_on <= $2::text::date
  group by 1, 2, 3, 4 having sum(m.quantity) <> 0
) product_stock group by 1, 2 order by 1, 2
"""


@pytest.mark.parametrize("company_id", [1, 2])
@pytest.mark.parametrize("day", ["2026-06-29", "2026-01-31", "2025-09-15"])
async def test_it_is_the_ledger_up_to_the_day(reader: BothPaths, company_id: int, day: str) -> None:
    """Quantities are the sum of all moves so far, values those times the standard cost."""
    caller = principal(company_id)
    data = await reader.data(VALUATION, {"day": day}, caller=caller)
    assert reader.statements == 3
    found = data["stockValuation"]
    by_hand = await reader.owner.fetch(BY_HAND, company_id, day)
    assert by_hand
    assert [
        (
            row["warehouse"]["id"],
            row["category"]["id"],
            Decimal(row["onHand"]),
            Decimal(row["value"]),
        )
        for row in found["rows"]
    ] == [
        (
            encode_id("Warehouse", row["warehouse_id"]),
            encode_id("ProductCategory", row["category_id"]),
            row["on_hand"],
            row["value"],
        )
        for row in by_hand
    ]
    assert Decimal(found["value"]) == sum(row["value"] for row in by_hand)
    assert found["currency"] == {1: "EUR", 2: "USD"}[company_id]
    assert found["asOf"] == day


async def test_before_there_was_stock_it_is_nothing(reader: BothPaths) -> None:
    """On a day before the first move there is no row, and no value."""
    data = await reader.data(VALUATION, {"day": "1999-12-31"})
    assert data["stockValuation"] == {
        "asOf": "1999-12-31",
        "currency": None,
        "value": None,
        "rows": [],
    }


async def test_it_is_for_those_who_may_see_costs(reader: BothPaths) -> None:
    """Without the permission it is null, with an error."""
    clerk = principal(1, EVERY_PERMISSION - {"cost.read"})
    answer = await reader.run(VALUATION, {}, caller=clerk)
    assert answer.data == {"stockValuation": None}
    assert answer.errors[0]["extensions"]["code"] == "FORBIDDEN"

"""What stock is worth: at the end of a day, of a product, by a move; against SQL by hand."""

from decimal import Decimal

import pytest

from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, principal
from tests.fixtures.paths import BothPaths

VALUATION = """query($day: Date) { stockValuation(asOf: $day) {
  asOf currency value inTransit rows { warehouse { id } category { id } onHand value } } }"""
BY_HAND = """
select warehouse_id, category_id, sum(on_hand) as on_hand,
       sum(value * on_hand / nullif(whole, 0)) as value
from (
  select l.warehouse_id, p.category_id, p.id, sum(m.quantity) as on_hand,
         (select sum(e.quantity) from valuation_entry e where e.product_id = p.id
          and e.company_id = $1 and e.effective_on <= $2::text::date) as whole,
         (select sum(e.amount) from valuation_entry e where e.product_id = p.id
          and e.company_id = $1 and e.effective_on <= $2::text::date) as value
  from (select product_id, to_location_id as location_id, quantity, effective_on, company_id
        from stock_move
        union all
        select product_id, from_location_id, -quantity, effective_on, company_id
        from stock_move) m
  join stock_location l on l.id = m.location_id
  join product p on p.id = m.product_id
  where m.company_id = $1 and l.kind in ('INTERNAL', 'TRANSIT') and m.effective_on <= $2::text::date
  group by 1, 2, 3 having sum(m.quantity) <> 0
) product_stock group by 1, 2 order by 1, 2
"""
CENT = Decimal("0.01")


@pytest.mark.parametrize("company_id", [1, 2])
@pytest.mark.parametrize("day", ["2026-06-29", "2026-01-31", "2025-09-15"])
async def test_it_is_the_ledger_up_to_the_day(reader: BothPaths, company_id: int, day: str) -> None:
    """Quantities are the sum of all moves so far, all values together that of all entries."""
    caller = principal(company_id)
    data = await reader.data(VALUATION, {"day": day}, caller=caller)
    assert reader.statements == 3
    found = data["stockValuation"]
    by_hand = await reader.owner.fetch(BY_HAND, company_id, day)
    inside = [row for row in by_hand if row["warehouse_id"]]
    assert inside
    assert [
        (row["warehouse"]["id"], row["category"]["id"], Decimal(row["onHand"]))
        for row in found["rows"]
    ] == [
        (
            encode_id("Warehouse", row["warehouse_id"]),
            encode_id("ProductCategory", row["category_id"]),
            row["on_hand"],
        )
        for row in inside
    ]
    for mine, theirs in zip(found["rows"], inside, strict=True):
        # each product's share is rounded to a cent
        assert abs(Decimal(mine["value"]) - theirs["value"]) < 50 * CENT
    total = await reader.owner.fetchval(
        "select sum(amount) from valuation_entry where company_id = $1"
        " and effective_on <= $2::text::date",
        company_id,
        day,
    )
    assert Decimal(found["value"]) == total
    parts = sum(Decimal(row["value"]) for row in found["rows"]) + Decimal(found["inTransit"])
    assert parts == total, "to the last cent"
    assert found["currency"] == {1: "EUR", 2: "USD"}[company_id]
    assert found["asOf"] == day


async def test_before_there_was_stock_it_is_nothing(reader: BothPaths) -> None:
    """On a day before the first move there is no row, and no value."""
    data = await reader.data(VALUATION, {"day": "1999-12-31"})
    assert data["stockValuation"] == {
        "asOf": "1999-12-31",
        "currency": None,
        "value": None,
        "inTransit": None,
        "rows": [],
    }


async def test_it_is_for_those_who_may_see_costs(reader: BothPaths) -> None:
    """Without the permission it is null, with an error."""
    clerk = principal(1, EVERY_PERMISSION - {"cost.read"})
    answer = await reader.run(VALUATION, {}, caller=clerk)
    assert answer.data == {"stockValuation": None}
    assert answer.errors[0]["extensions"]["code"] == "FORBIDDEN"


PRODUCT = """query($sku: String!) { product(sku: $sku) { id
  cost { qty value unitCost } costLayers { qty remaining value move { kind lot { number } } }
  moves(first: 5) { nodes { id
    valuation { kind qty amount effectiveOn move { id } product { sku } } } } } }"""


@pytest.mark.parametrize("company_id", [1, 2])
async def test_a_product_tells_what_it_is_worth(reader: BothPaths, company_id: int) -> None:
    """Its cost, the layers that are left where goods leave first in, first out, and each move."""
    found = await reader.owner.fetchrow(
        """select p.sku, c.* from product_cost c join product p on p.id = c.product_id
           where c.company_id = $1 and c.quantity > 0 and p.tracking = 'NONE'
           order by c.product_id limit 1""",
        company_id,
    )
    assert found is not None
    data = await reader.data(PRODUCT, {"sku": found["sku"]}, caller=principal(company_id))
    product = data["product"]
    assert {name: Decimal(value) for name, value in product["cost"].items()} == {
        "qty": found["quantity"],
        "value": found["value"],
        "unitCost": found["unit_cost"],
    }
    layers = [(Decimal(one["remaining"]), Decimal(one["value"])) for one in product["costLayers"]]
    if company_id == 1:
        assert sum(quantity for quantity, _ in layers) == found["quantity"]
        assert sum(value for _, value in layers) == found["value"]
    else:
        assert layers == []
    for move in product["moves"]["nodes"]:
        for entry in move["valuation"]:
            assert entry["move"]["id"] == move["id"]
            assert entry["product"]["sku"] == found["sku"]


async def test_what_goods_cost_is_for_those_who_may_see_costs(reader: BothPaths) -> None:
    """A storekeeper sees the moves and not what they are worth; nor does a partner's client."""
    clerk = principal(1, EVERY_PERMISSION - {"cost.read"})
    answer = await reader.run(
        "{ stockMoves(first: 1) { nodes { valuation { amount } } }"
        " valuationEntries { totalCount } }",
        {},
        caller=clerk,
    )
    assert answer.data == {
        "valuationEntries": None,
        "stockMoves": {"nodes": [{"valuation": None}]},
    }
    assert {error["extensions"]["code"] for error in answer.errors} == {"FORBIDDEN"}

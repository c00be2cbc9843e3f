"""Goods that move change what stock is worth, and the books, at once and to the last cent."""

import asyncio
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from gateway.verify import verify
from schema.core.ids import encode_id
from tests.fixtures.gateway import Gateway

CENT = Decimal("0.01")
VALUED = "valuation { kind qty amount }"
RECEIVE = f"""mutation($key: String!, $id: ID!, $lines: [ReceiveLineInput!]!,
                    $dry: Boolean! = false) {{
  receiveGoods(idempotencyKey: $key, orderId: $id, lines: $lines, dryRun: $dry) {{
    moves {{ {VALUED} }} userErrors {{ code message }} }} }}"""
SHIP = f"""mutation($key: String!, $id: ID!) {{
  shipOrder(idempotencyKey: $key, orderId: $id, carrier: "DHL", trackingNo: "JD1") {{
    moves {{ qty {VALUED} }} order {{ lines {{ id qtyShipped }} }}
    userErrors {{ code message }} }} }}"""
RETURN = f"""mutation($key: String!, $id: ID!, $lines: [ReturnLineInput!]!) {{
  returnGoods(idempotencyKey: $key, orderId: $id, lines: $lines, reason: "Broken") {{
    moves {{ {VALUED} }} userErrors {{ code message }} }} }}"""
ADJUST = f"""mutation($key: String!, $lines: [StockAdjustmentInput!]!, $dry: Boolean! = false) {{
  adjustStock(idempotencyKey: $key, lines: $lines, dryRun: $dry) {{
    moves {{ {VALUED} }} levels {{ available }}
    userErrors {{ code message path details }} }} }}"""


async def sound(url: str) -> None:
    """Check every invariant."""
    broken = [result.invariant.name for result in await verify(url) if not result.holds]
    assert broken == []


async def balances(gateway: Gateway) -> dict[str, Decimal]:
    """Return what is on each account of the company, by role."""
    rows = await gateway.owner.fetch(
        """select a.role, coalesce(sum(l.debit - l.credit), 0) as balance from account a
           left join journal_line l on l.account_id = a.id
           where a.company_id = 1 and a.role is not null group by 1"""
    )
    return {row["role"]: row["balance"] for row in rows}


async def posted(gateway: Gateway, before: dict[str, Decimal]) -> dict[str, Decimal]:
    """Return what was posted since, without what was not."""
    now = await balances(gateway)
    return {role: now[role] - before[role] for role in now if now[role] != before[role]}


def amounts(moves: Any) -> list[tuple[str, Decimal]]:
    """Return kind and amount of each entry of moves."""
    return [(e["kind"], Decimal(e["amount"])) for move in moves for e in move["valuation"]]


async def test_goods_come_at_the_price_of_their_order(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """In the books' currency at the order's rate; parts of a line cost what all of it does."""
    gateway = own_gateway
    line = await gateway.owner.fetchrow(
        """select l.*, o.fx_rate from purchase_order_line l
           join purchase_order o on o.id = l.order_id
           join product p on p.id = l.product_id
           where o.company_id = 1 and o.state = 'CONFIRMED' and p.tracking = 'NONE'
             and l.quantity - l.received - l.canceled >= 3 and o.currency <> 'EUR'
           order by l.id limit 1"""
    )
    assert line is not None
    lines = [
        {
            "purchaseOrderLineId": encode_id("PurchaseOrderLine", line["id"]),
            "qty": quantity,
            "qtyRejected": rejected,
        }
        for quantity, rejected in (("1.3333", "0.5"), ("0.6667", "0"))
    ]
    asked = {"key": "in", "id": encode_id("PurchaseOrder", line["order_id"]), "lines": lines}
    before = await balances(gateway)
    rehearsed = (await gateway.data(RECEIVE, {**asked, "dry": True}))["receiveGoods"]
    assert await posted(gateway, before) == {}
    told = (await gateway.data(RECEIVE, asked))["receiveGoods"]
    assert told == rehearsed
    found = amounts(told["moves"])
    assert {kind for kind, _ in found} == {"PURCHASE"}
    assert len(found) == 3

    def worth(quantity: Decimal) -> Decimal:
        exact: Decimal = quantity * line["unit_price"] * line["fx_rate"]
        return exact.quantize(CENT, ROUND_HALF_UP)

    cost = worth(line["received"] + 2) - worth(line["received"])
    assert sum(amount for _, amount in found) == cost
    assert await posted(gateway, before) == {"INVENTORY": cost, "GOODS_RECEIVED": -cost}
    await sound(own_database_url)


async def test_goods_come_back_at_what_they_cost(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """What leaves is an expense; all that comes back of it, in parts, takes back all of that."""
    gateway = own_gateway
    order = await gateway.owner.fetchrow(
        """select o.id from sales_order o join sales_order_line l on l.order_id = o.id
           join product p on p.id = l.product_id
           where o.company_id = 1 and o.state = 'CONFIRMED' and o.hold is null and l.shipped = 0
             and p.tracking = 'NONE' and l.reserved >= 2
             and (select count(*) from sales_order_line x where x.order_id = o.id) = 1
             and not exists (select from shipment s where s.order_id = o.id)
           order by o.id limit 1"""
    )
    assert order is not None
    id_ = encode_id("SalesOrder", order["id"])
    before = await balances(gateway)
    told = (await gateway.data(SHIP, {"key": "out", "id": id_}))["shipOrder"]
    assert told["userErrors"] == []
    cost = -sum(amount for _, amount in amounts(told["moves"]))
    assert {kind for kind, _ in amounts(told["moves"])} == {"SALE"}
    assert await posted(gateway, before) == {"INVENTORY": -cost, "COST_OF_GOODS_SOLD": cost}
    [line] = told["order"]["lines"]
    shipped = Decimal(line["qtyShipped"])
    part = (shipped / 3).quantize(Decimal("0.0001"))
    for number, quantity in enumerate((part, shipped - part)):
        lines = [{"salesOrderLineId": line["id"], "qty": str(quantity), "disposition": "RESTOCK"}]
        asked = {"key": f"back {number}", "id": id_, "lines": lines}
        told = (await gateway.data(RETURN, asked))["returnGoods"]
        assert told["userErrors"] == []
        assert [kind for kind, _ in amounts(told["moves"])] == ["SALE"]
    assert await posted(gateway, before) == {}, "as if nothing had left"
    await sound(own_database_url)


async def stock_of(gateway: Gateway, place: int = 0) -> Any:
    """Return a product with stock at a place of the company."""
    found = await gateway.owner.fetchrow(
        """select p.sku, p.id, b.location_id from stock_balance b
           join stock_location l on l.id = b.location_id join product p on p.id = b.product_id
           join stock_level s on s.product_id = p.id and s.warehouse_id = l.warehouse_id
           where l.company_id = 1 and l.sellable and p.tracking = 'NONE' and p.archived_at is null
             and b.on_hand >= 40 and s.on_hand - s.reserved >= 40
           order by b.product_id, b.id offset $1 limit 1""",
        place,
    )
    assert found is not None
    return found


def correction(stock: Any, delta: object) -> dict[str, Any]:
    """Return a line of adjustStock."""
    return {
        "sku": stock["sku"],
        "locationId": encode_id("StockLocation", stock["location_id"]),
        "delta": str(delta),
        "reason": "Law",
    }


async def test_what_is_lost_or_found_is_a_difference(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """At the cost of what is there, in one entry for all lines of a command."""
    gateway = own_gateway
    before = await balances(gateway)
    lines = [
        correction(await stock_of(gateway, place), delta) for place, delta in enumerate((-3, 5, -4))
    ]
    told = (await gateway.data(ADJUST, {"key": "a", "lines": lines}))["adjustStock"]
    found = amounts(told["moves"])
    assert {kind for kind, _ in found} == {"DIFFERENCE"}
    gained = sum(amount for _, amount in found)
    assert await posted(gateway, before) == {"INVENTORY": gained, "STOCK_DIFFERENCES": -gained}
    entries = await gateway.owner.fetchval(
        "select count(*) from journal_entry where journal = 'STOCK' and posted_at >="
        " (select max(posted_at) from stock_move where company_id = 1)"
    )
    assert entries == 1
    await sound(own_database_url)


@pytest.mark.parametrize("state", ["CLOSED", None])
async def test_nothing_moves_in_a_period_that_is_closed(
    own_gateway: Gateway, own_database_url: str, state: str | None
) -> None:
    """It is refused as data, names the period, and leaves nothing; a new month begins by itself."""
    gateway = own_gateway
    stock = await stock_of(gateway)
    if state is not None:
        await gateway.owner.execute(
            """insert into fiscal_period (company_id, code, starts_on, ends_on, state)
               values (1, 'LAW', current_date - 1, current_date + 1, $1)""",
            state,
        )
    asked = {"key": "late", "lines": [correction(stock, -1)]}
    moves = await gateway.owner.fetchval("select count(*) from stock_move")
    for dry in (True, False):
        told = (await gateway.data(ADJUST, {**asked, "dry": dry}))["adjustStock"]
        if state is None:
            assert told["userErrors"] == []
        else:
            [error] = told["userErrors"]
            assert error["code"] == "PERIOD_CLOSED"
            assert error["message"] == "The books of LAW are closed."
            assert error["details"] == {"period": "LAW"}
            assert told["moves"] == []
    after = await gateway.owner.fetchval("select count(*) from stock_move")
    assert after - moves == (state is None)
    made = await gateway.owner.fetchval(
        "select count(*) from fiscal_period where company_id = 1 and current_date between starts_on"
        " and ends_on"
    )
    assert made == 1
    gaps = await gateway.owner.fetchval(
        """select count(*) from (select starts_on, lag(ends_on) over (order by ends_on) as last
             from fiscal_period where company_id = 1) p where starts_on <> last + 1"""
    )
    assert gaps == (state is not None), "the months between are made, too"
    if state is None:
        await sound(own_database_url)


async def test_all_at_once_value_one_after_the_other(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """Sixteen callers take and bring one product; every move is valued, and all of it adds up."""
    gateway = own_gateway
    stock = await stock_of(gateway)
    answers = await asyncio.gather(
        *(
            gateway.data(ADJUST, {"key": f"k{n}", "lines": [correction(stock, -2 if n % 3 else 1)]})
            for n in range(16)
        )
    )
    assert all(answer["adjustStock"]["userErrors"] == [] for answer in answers)
    assert all(len(amounts(answer["adjustStock"]["moves"])) == 1 for answer in answers)
    await sound(own_database_url)


LAND = """mutation($key: String!, $id: ID!, $amount: Decimal!, $dry: Boolean! = false) {
  addLandedCost(idempotencyKey: $key, receiptId: $id, amount: $amount, description: "Freight",
                dryRun: $dry) {
    receipt { moves { valuation { kind qty amount } } }
    userErrors { code message path } } }"""


@pytest.mark.parametrize("costing", ["FIFO", "AVERAGE"])
async def test_freight_goes_to_what_is_there_and_to_what_has_left(
    own_gateway: Gateway, own_database_url: str, costing: str
) -> None:
    """By value, to the last cent; what has left is an expense; twice with one key is once."""
    gateway = own_gateway
    owner = gateway.owner
    if costing == "AVERAGE":
        await owner.execute("set session_replication_role = replica")
        await owner.execute("update company set costing = 'AVERAGE' where id = 1")
        await owner.execute("set session_replication_role = origin")
        await owner.execute("delete from cost_layer where company_id = 1")
    receipt = await owner.fetchval(
        """select l.receipt_id from goods_receipt_line l
           join stock_move m on m.source = 'GOODS_RECEIPT_LINE' and m.source_id = l.id
           left join cost_layer c on c.move_id = m.id and c.remaining > 0
           where m.company_id = 1 group by 1
           order by bool_or(c.remaining < m.quantity) desc nulls last, count(*) desc limit 1"""
    )
    before = await balances(gateway)
    asked = {"key": "l", "id": encode_id("GoodsReceipt", receipt), "amount": "100.01"}
    rehearsed = (await gateway.data(LAND, {**asked, "dry": True}))["addLandedCost"]
    assert await posted(gateway, before) == {}
    told = (await gateway.data(LAND, asked))["addLandedCost"]
    assert told == rehearsed
    assert told["userErrors"] == []
    assert (await gateway.data(LAND, asked))["addLandedCost"] == told
    found = amounts(told["receipt"]["moves"])
    assert sum(amount for kind, amount in found if kind == "LANDED_COST") == Decimal("100.01")
    gone = -sum(amount for kind, amount in found if kind == "PRICE_DIFFERENCE")
    assert 0 <= gone <= Decimal("100.01")
    expected = {"INVENTORY": Decimal("100.01") - gone, "PRICE_DIFFERENCES": gone}
    told_of = {role: amount for role, amount in expected.items() if amount}
    assert await posted(gateway, before) == {"LANDED_COSTS": -Decimal("100.01"), **told_of}
    await sound(own_database_url)


@pytest.mark.parametrize(
    ("amount", "receipt", "path"),
    [
        ("0", 1, ["amount"]),
        ("-1", 1, ["amount"]),
        ("1.001", 1, ["amount"]),
        ("1", 999_999, ["receiptId"]),
    ],
)
async def test_a_bad_cost_is_refused(
    own_gateway: Gateway, amount: str, receipt: int, path: list[str]
) -> None:
    """Nothing, less, fractions of a cent, and receipts that are not there."""
    asked = {"key": "l", "id": encode_id("GoodsReceipt", receipt), "amount": amount}
    told = (await own_gateway.data(LAND, asked))["addLandedCost"]
    assert [error["path"] for error in told["userErrors"]] == [path]
    assert told["receipt"] is None


async def test_a_cost_needs_goods(own_gateway: Gateway) -> None:
    """A receipt that brought nothing of value cannot cost more: it would be lost silently."""
    receipt = await own_gateway.owner.fetchval(
        """insert into goods_receipt (company_id, number, order_id, partner_id, warehouse_id,
             received_on, posted_by)
           select company_id, 'LAW', id, partner_id, warehouse_id, '2026-06-30', 'law'
           from purchase_order where company_id = 1 limit 1 returning id"""
    )
    asked = {"key": "l", "id": encode_id("GoodsReceipt", receipt), "amount": "1"}
    told = (await own_gateway.data(LAND, asked))["addLandedCost"]
    assert [error["path"] for error in told["userErrors"]] == [["receiptId"]]
    assert told["receipt"] is None
    assert await own_gateway.owner.fetchval("select count(*) from landed_cost") == 0

"""Purchase orders that are made: by hand or of what runs out, over a limit approved first."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from gateway.verify import verify
from resolvers.purchasing.rules import to_order
from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, principal
from tests.fixtures.paths import BothPaths

ORDER = """
    id number state version currency subtotal { amount } taxTotal { amount } total { amount }
    expectedOn availableActions supplier { id } warehouse { code }
    lines { seq qty unitPrice { amount currency } net { amount } supplierSku product { sku } }
"""
CREATE = f"""
mutation Create($key: String!, $supplier: ID!, $warehouse: ID!, $lines: [PurchaseLineInput!]!,
                $on: Date, $dry: Boolean! = false) {{
  createPurchaseOrder(idempotencyKey: $key, supplierId: $supplier, warehouseId: $warehouse,
                      lines: $lines, expectedOn: $on, dryRun: $dry) {{
    order {{ {ORDER} }} userErrors {{ code message path }} }}
}}
"""
REPLENISH = f"""
mutation Replenish($key: String!, $warehouse: ID) {{
  runReplenishment(idempotencyKey: $key, warehouseId: $warehouse) {{
    orders {{ {ORDER} }} userErrors {{ code path }} }}
}}
"""


async def create(gateway: Gateway, offer: Any, lines: Any, key: str = "c", **more: Any) -> Any:
    """Run createPurchaseOrder and return its payload."""
    variables = {
        "key": key,
        "supplier": encode_id("Partner", offer["partner_id"]),
        "warehouse": encode_id("Warehouse", 1),
        "lines": lines,
        **more,
    }
    return (await gateway.data(CREATE, variables))["createPurchaseOrder"]


async def act(gateway: Gateway, verb: str, id_: str, key: str = "") -> Any:
    """Run a verb of purchase orders and return its payload."""
    document = f"""mutation {{ {verb}(idempotencyKey: "{key or verb}", id: "{id_}") {{
      order {{ {ORDER} }} userErrors {{ code message path }} }} }}"""
    return (await gateway.data(document))[verb]


async def offer_that(gateway: Gateway, condition: str = "true") -> Any:
    """Return an offer of a supplier to the company."""
    found = await gateway.owner.fetchrow(
        f"""select o.*, p.sku from supplier_offer o join product p on p.id = o.product_id
            join partner s on s.id = o.partner_id
            where o.company_id = 1 and o.archived_at is null and p.archived_at is null
              and s.archived_at is null and {condition} order by o.id limit 1"""
    )
    assert found is not None
    return found


async def nothing_asked_for(gateway: Gateway) -> None:
    """Give up all orders that no supplier has confirmed."""
    await gateway.owner.execute(
        """with given_up as (
             update purchase_order set state = 'CANCELED'
             where state in ('DRAFT', 'SENT', 'TO_APPROVE') and id % 2 = 0 returning id)
           update purchase_order_line l set canceled = quantity from given_up g
           where l.order_id = g.id"""
    )


async def sound(url: str) -> None:
    """Check every invariant."""
    broken = [result for result in await verify(url) if not result.holds]
    assert not broken


async def test_a_draft_at_the_offers_of_today(own_reader: BothPaths, own_database_url: str) -> None:
    """The price for so much, the supplier's currency, its days; a price that is given counts."""
    gateway = own_reader.compiled
    offer = await offer_that(gateway)
    lines = [
        {"sku": offer["sku"], "qty": "1000"},
        {"sku": offer["sku"], "qty": "2.5", "unitPrice": "0.123456"},
    ]
    told = await create(own_reader.ordinary, offer, lines, dry=True)
    made = await create(gateway, offer, lines)
    for payload in (told, made):
        assert payload["userErrors"] == []
        del payload["order"]["number"], payload["order"]["id"]
    assert made == told, "the rehearsal told what was made"
    order = made["order"]
    best = await gateway.owner.fetchval(
        """select price from supplier_offer where partner_id = $1 and product_id = $2
           and company_id = 1 and archived_at is null and min_quantity <= 1000
           order by min_quantity desc limit 1""",
        offer["partner_id"],
        offer["product_id"],
    )
    assert Decimal(order["lines"][0]["unitPrice"]["amount"]) == best
    assert order["lines"][1]["unitPrice"]["amount"] == "0.123456"
    assert order["currency"] == offer["currency"].strip()
    nets = [Decimal(line["net"]["amount"]) for line in order["lines"]]
    assert sum(nets) == Decimal(order["subtotal"]["amount"])
    assert (order["state"], order["availableActions"]) == ("DRAFT", ["SEND", "CANCEL"])
    await sound(own_database_url)


@pytest.mark.parametrize(("limit", "state"), [(None, "SENT"), (0, "TO_APPROVE"), (10**9, "SENT")])
async def test_over_the_limit_somebody_approves(
    own_gateway: Gateway, own_database_url: str, limit: int | None, state: str
) -> None:
    """At the limit and above it waits; then it goes on as any other, and its goods are incoming."""
    offer = await offer_that(own_gateway)
    await own_gateway.owner.execute(
        "update company set purchase_approval_from = $1 where id = 1", limit
    )
    made = await create(own_gateway, offer, [{"sku": offer["sku"], "qty": "1000"}])
    id_ = made["order"]["id"]
    sent = await act(own_gateway, "sendPurchaseOrder", id_)
    assert (sent["userErrors"], sent["order"]["state"]) == ([], state)
    again = await act(own_gateway, "sendPurchaseOrder", id_, "again")
    assert [error["code"] for error in again["userErrors"]] == ["INVALID_TRANSITION"]
    if state == "TO_APPROVE":
        early = await act(own_gateway, "confirmPurchaseOrder", id_, "early")
        assert [error["code"] for error in early["userErrors"]] == ["INVALID_TRANSITION"]
        approved = await act(own_gateway, "approvePurchaseOrder", id_)
        assert (approved["userErrors"], approved["order"]["state"]) == ([], "SENT")
    confirmed = await act(own_gateway, "confirmPurchaseOrder", id_)
    assert confirmed["order"]["state"] == "CONFIRMED"
    coming = await own_gateway.owner.fetchval(
        """select i.quantity from incoming_stock i join purchase_order_line l on l.id = i.source_id
           join purchase_order o on o.id = l.order_id
           where i.source = 'PURCHASE_ORDER_LINE' and o.number = $1""",
        made["order"]["number"],
    )
    assert coming == 1000
    await sound(own_database_url)


async def test_what_runs_out_is_ordered_once(own_gateway: Gateway, own_database_url: str) -> None:
    """What is suggested is on drafts, by supplier; run again there is nothing left to order."""
    await nothing_asked_for(own_gateway)
    suggested = await own_gateway.owner.fetch(
        """select r.product_id, r.warehouse_id, r.multiple,
                  ceil((r.target_quantity - p.projected) / r.multiple) * r.multiple as quantity
           from reorder_rule r
           cross join lateral (
             select coalesce((select on_hand from stock_level l where l.product_id = r.product_id
                                and l.warehouse_id = r.warehouse_id), 0)
                  + coalesce((select incoming - outgoing from stock_projection q
                              where q.product_id = r.product_id
                                and q.warehouse_id = r.warehouse_id), 0) as projected) p
           where r.company_id = 1 and r.archived_at is null and p.projected <= r.min_quantity
             and exists (select from supplier_offer o where o.product_id = r.product_id
                         and o.company_id = 1 and o.archived_at is null)"""
    )
    asked = await own_gateway.owner.fetch(
        """select l.product_id, o.warehouse_id, sum(l.quantity - l.canceled) as quantity
           from purchase_order_line l join purchase_order o on o.id = l.order_id
           where o.company_id = 1 and o.state in ('DRAFT', 'SENT', 'TO_APPROVE') group by 1, 2"""
    )
    drafted = {(row["product_id"], row["warehouse_id"]): row["quantity"] for row in asked}
    told = (await own_gateway.data(REPLENISH, {"key": "r"}))["runReplenishment"]
    assert told["userErrors"] == []
    missing = [
        row
        for row in suggested
        if row["quantity"] > drafted.get((row["product_id"], row["warehouse_id"]), 0)
    ]
    assert missing, "the demo has nothing to order"
    assert sum(len(order["lines"]) for order in told["orders"]) == len(missing)
    places = [(order["supplier"]["id"], order["warehouse"]["code"]) for order in told["orders"]]
    assert len(places) == len(set(places))
    answers = await asyncio.gather(
        *(own_gateway.data(REPLENISH, {"key": f"again {n}"}) for n in range(4))
    )
    assert all(answer["runReplenishment"]["orders"] == [] for answer in answers)
    await sound(own_database_url)


async def test_at_once_it_is_ordered_once(own_gateway: Gateway, own_database_url: str) -> None:
    """Four that run at once: what is to be ordered is on the orders of one of them."""
    await nothing_asked_for(own_gateway)
    answers = await asyncio.gather(
        *(own_gateway.data(REPLENISH, {"key": f"k{n}"}) for n in range(4))
    )
    orders = [bool(answer["runReplenishment"]["orders"]) for answer in answers]
    assert orders.count(True) == 1
    await sound(own_database_url)


@pytest.mark.parametrize(
    ("suggested", "asked_for", "multiple", "least", "expected"),
    [
        ("10", "0", "1", "0", "10"),
        ("10", "4", "5", "0", "10"),
        ("10", "10", "5", "0", "0"),
        ("10", "12", "5", "0", "0"),
        ("10", "0", "6", "25", "30"),
        ("0.5", "0.4", "0.25", "0", "0.25"),
    ],
)
def test_how_much_to_order(
    suggested: str, asked_for: str, multiple: str, least: str, expected: str
) -> None:
    """Whole multiples of what is missing, at least what the supplier sells."""
    found = to_order(Decimal(suggested), Decimal(asked_for), Decimal(multiple), Decimal(least))
    assert found == Decimal(expected)


@pytest.mark.parametrize(
    ("more", "code", "path"),
    [
        ({"supplier": encode_id("Partner", 2**40)}, "NOT_FOUND", ["supplierId"]),
        ({"warehouse": encode_id("Warehouse", 3)}, "NOT_FOUND", ["warehouseId"]),
        ({"on": "2020-01-01"}, "VALIDATION", ["expectedOn"]),
        ({"lines": []}, "VALIDATION", ["lines"]),
        ({"lines": [{"sku": "NONE", "qty": "1"}]}, "NOT_FOUND", ["lines", "0", "sku"]),
        ({"lines": [{"sku": "NONE", "qty": "0"}]}, "VALIDATION", ["lines", "0", "qty"]),
        (
            {"lines": [{"sku": "NONE", "qty": "1", "unitPrice": "-1"}]},
            "VALIDATION",
            ["lines", "0", "unitPrice"],
        ),
    ],
)
async def test_what_cannot_be_bought(
    gateway: Gateway, more: Any, code: str, path: list[str]
) -> None:
    """Each mistake is named; another company's warehouse is not there."""
    offer = await offer_that(gateway)
    told = await create(gateway, offer, **{"lines": [{"sku": offer["sku"], "qty": "1000"}], **more})
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == (code, path)


async def test_without_an_offer_there_has_to_be_a_price(gateway: Gateway) -> None:
    """A product that the supplier does not offer has no price of its own."""
    offer = await offer_that(gateway)
    other = await gateway.owner.fetchval(
        """select sku from product p where archived_at is null and not exists (
             select from supplier_offer o where o.product_id = p.id and o.partner_id = $1)
           limit 1""",
        offer["partner_id"],
    )
    told = await create(gateway, offer, [{"sku": other, "qty": "1"}])
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == ("VALIDATION", ["lines", "0", "unitPrice"])
    customer = await gateway.owner.fetchval("select id from partner where not is_supplier limit 1")
    told = await create(
        gateway, {"partner_id": customer}, [{"sku": other, "qty": "1"}], key="customer"
    )
    assert [error["path"] for error in told["userErrors"]] == [["supplierId"]]


async def test_permissions(gateway: Gateway) -> None:
    """Whoever may write may not approve."""
    caller = principal(permissions=EVERY_PERMISSION - {"purchasing.approve"})
    id_ = encode_id("PurchaseOrder", 1)
    answer = await gateway.run(
        f'mutation {{ approvePurchaseOrder(idempotencyKey: "k", id: "{id_}") '
        "{ order { id } } }",
        {},
        caller=caller,
    )
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]

"""Purchasing as clients see it: orders, receipts, offers, and what to order again."""

from decimal import Decimal
from math import ceil
from typing import Any

import pytest

from resolvers.core.principal import Principal
from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, principal
from tests.fixtures.paths import BothPaths

ORDERS = """
query Orders($states: [PurchaseOrderState!]) {
  purchaseOrders(first: 200, filter: { states: $states }) { nodes {
    number state receiptStatus currency
    subtotal { amount currency } taxTotal { amount } total { amount }
    lines { seq qty qtyReceived qtyCanceled qtyOutstanding overReceiptPct
            net { amount currency } order { number } }
    receipts { number lines { qty qtyRejected orderLine { seq order { number } } } }
  } } }
"""


async def test_an_order_is_found_by_each_of_its_keys(reader: BothPaths) -> None:
    """Id and number find the same order, one of them has to be given."""
    query = """query($id: ID, $number: String) {
      purchaseOrder(id: $id, number: $number) { id number } }"""
    rows = await reader.owner.fetch(
        "select id, number from purchase_order where company_id = 1 order by id desc limit 5"
    )
    for row in rows:
        keys = {"id": encode_id("PurchaseOrder", row["id"]), "number": row["number"]}
        for name, key in keys.items():
            data = await reader.data(query, {name: key})
            assert data == {"purchaseOrder": keys}
            assert reader.statements == 1
        for given in ({}, {"number": None}, keys):
            error = await reader.refusal(query, given)
            assert error["message"] == "Give either id or number."


@pytest.mark.parametrize("state", ["CONFIRMED", "FULFILLED", "CANCELED", "SENT"])
async def test_orders_are_what_their_lines_and_receipts_say(reader: BothPaths, state: str) -> None:
    """Totals, receipt status and quantities received follow from lines and receipts."""
    orders = (await reader.data(ORDERS, {"states": [state]}))["purchaseOrders"]["nodes"]
    assert orders
    for order in orders:
        lines = order["lines"]
        assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
        assert {line["order"]["number"] for line in lines} == {order["number"]}
        nets = sum(Decimal(line["net"]["amount"]) for line in lines)
        assert Decimal(order["subtotal"]["amount"]) == nets
        taxed = nets + Decimal(order["taxTotal"]["amount"])
        assert Decimal(order["total"]["amount"]) == taxed
        assert {line["net"]["currency"] for line in lines} == {order["currency"]}
        arrived = dict.fromkeys((line["seq"] for line in lines), Decimal(0))
        for receipt in order["receipts"]:
            for came in receipt["lines"]:
                assert came["orderLine"]["order"]["number"] == order["number"]
                assert 0 <= Decimal(came["qtyRejected"]) <= Decimal(came["qty"])
                arrived[came["orderLine"]["seq"]] += Decimal(came["qty"])
        for line in lines:
            qty, received, canceled, left = (
                Decimal(line[name])
                for name in ("qty", "qtyReceived", "qtyCanceled", "qtyOutstanding")
            )
            assert received == arrived[line["seq"]]
            assert left == max(qty - received - canceled, Decimal(0))
            limit = (qty - canceled) * (100 + Decimal(line["overReceiptPct"])) / 100
            assert received <= limit
        assert order["receiptStatus"] == expected_status(lines)


def expected_status(lines: list[dict[str, Any]]) -> str:
    """Return the receipt status of an order with these lines."""
    if not any(Decimal(line["qtyReceived"]) for line in lines):
        return "NONE"
    return "PARTIAL" if any(Decimal(line["qtyOutstanding"]) for line in lines) else "RECEIVED"


async def test_a_receipt_shows_the_moves_it_made(reader: BothPaths) -> None:
    """What arrived is what moved, from a supplier: good goods to where they are sold, or aside."""
    data = await reader.data(
        """{ goodsReceipts(first: 200) { nodes {
             number receivedOn order { number } supplier { name } warehouse { code }
             lines { qty qtyRejected product { sku } }
             moves { qty kind effectiveOn product { sku } fromLocation { kind }
                     toLocation { sellable warehouse { code } } } } } }"""
    )
    receipts = data["goodsReceipts"]["nodes"]
    aside = 0
    for receipt in receipts:
        moved: dict[tuple[str, bool], Decimal] = {}
        for move in receipt["moves"]:
            assert (move["kind"], move["fromLocation"]["kind"]) == ("RECEIPT", "SUPPLIER")
            assert move["effectiveOn"] == receipt["receivedOn"]
            place = move["toLocation"]
            assert place["warehouse"] == receipt["warehouse"]
            key = (move["product"]["sku"], place["sellable"])
            moved[key] = moved.get(key, Decimal(0)) + Decimal(move["qty"])
        noted: dict[tuple[str, bool], Decimal] = {}
        for line in receipt["lines"]:
            rejected = Decimal(line["qtyRejected"])
            aside += rejected > 0
            for sellable, qty in ((True, Decimal(line["qty"]) - rejected), (False, rejected)):
                if qty:
                    key = (line["product"]["sku"], sellable)
                    noted[key] = noted.get(key, Decimal(0)) + qty
        assert moved == noted
    assert aside, "no delivery with a part that was put aside"


async def test_what_comes_is_what_orders_have_outstanding(reader: BothPaths) -> None:
    """Of incoming stock, what comes with orders and their open lines tell the same."""
    data = await reader.data(
        """{ incomingStock(first: 200) { nodes {
             expectedOn qtyOutstanding product { sku } warehouse { code } order { number } } }
             purchaseOrders(first: 200, filter: {states: [CONFIRMED]}) { nodes {
               number warehouse { code }
               lines { expectedOn qtyOutstanding product { sku } } } } }"""
    )
    told = data["incomingStock"]["nodes"]
    assert [node["expectedOn"] for node in told] == sorted(node["expectedOn"] for node in told)
    told = [node for node in told if node["order"] is not None]
    expected = [
        {**line, "warehouse": order["warehouse"], "order": {"number": order["number"]}}
        for order in data["purchaseOrders"]["nodes"]
        for line in order["lines"]
        if Decimal(line["qtyOutstanding"])
    ]
    assert sorted(map(str, (sorted(node.items()) for node in told))) == sorted(
        map(str, (sorted(node.items()) for node in expected))
    )


@pytest.mark.parametrize(
    ("asked", "condition"),
    [
        ("", "true"),
        ("filter: {warehouseIds: $warehouses}", "warehouse_id = 2"),
        ('filter: {expectedOn: {to: "2026-06-30"}}', "expected_on <= '2026-06-30'"),
        ("first: 1", "true"),
    ],
)
async def test_what_comes_of_each_product(reader: BothPaths, asked: str, condition: str) -> None:
    """Below products, what comes is paged and filtered for all of them in one statement."""
    call = f"incoming({asked})" if asked else "incoming"
    given = "($warehouses: [ID!])" if "$" in asked else ""
    query = f"""query Coming{given} {{ products(first: 200) {{ nodes {{ id
      {call} {{ nodes {{ id expectedOn }} pageInfo {{ hasNextPage }} }} }} }} }}"""
    variables = {"warehouses": [encode_id("Warehouse", 2)]} if given else {}
    data = await reader.data(query, variables)
    assert reader.statements == 2
    rows = await reader.owner.fetch(
        f"select product_id, id from incoming_stock where company_id = 1 and {condition}"
        " order by expected_on, id"
    )
    by_product: dict[str, list[str]] = {}
    for product_id, id_ in rows:
        key = encode_id("Product", product_id)
        by_product.setdefault(key, []).append(encode_id("IncomingStock", id_))
    for product in data["products"]["nodes"]:
        all_of_it = by_product.get(product["id"], [])
        page = [node["id"] for node in product["incoming"]["nodes"]]
        most = 1 if asked == "first: 1" else 50
        assert page == all_of_it[:most]
        assert product["incoming"]["pageInfo"]["hasNextPage"] is (len(all_of_it) > most)


async def test_offers_are_told_first_choice_first_and_not_when_they_ended(
    own_reader: BothPaths,
) -> None:
    """Of a product and of a supplier the offers are the same rows; an ended one resolves by id."""
    owner = own_reader.owner
    await owner.execute("update supplier_offer set archived_at = now() where id = 1")
    data = await own_reader.data(
        """query($id: ID!) {
          products(first: 200) { nodes { sku suppliers { id priority minQty supplier { name } } } }
          partners(first: 50, filter: {isSupplier: true}) { nodes { name
            offers(first: 200) { nodes { id product { sku } } } } }
          node(id: $id) { ... on SupplierOffer { archivedAt } } }""",
        {"id": encode_id("SupplierOffer", 1)},
    )
    assert data["node"]["archivedAt"] is not None
    of_suppliers = {
        (offer["id"], offer["product"]["sku"], partner["name"])
        for partner in data["partners"]["nodes"]
        for offer in partner["offers"]["nodes"]
    }
    for product in data["products"]["nodes"]:
        offers = product["suppliers"]
        order = [(offer["priority"], Decimal(offer["minQty"])) for offer in offers]
        assert order == sorted(order)
        assert encode_id("SupplierOffer", 1) not in {offer["id"] for offer in offers}
        assert {
            (offer["id"], product["sku"], offer["supplier"]["name"]) for offer in offers
        } <= of_suppliers
    assert any(len(product["suppliers"]) > 1 for product in data["products"]["nodes"])


@pytest.mark.parametrize(
    ("minimum", "target", "multiple", "projected"),
    [
        ("10", "50", "1", "10"),
        ("10", "50", "1", "9.5"),
        ("10", "50", "12", "10"),
        ("10", "50", "12", "-14"),
        ("10", "50", "0.0003", "0.0001"),
        ("10", "50", "1", "10.0001"),
        ("10", "10", "1", "10"),
        ("10", "10", "5", "8"),
        ("0", "0", "1", "0"),
        ("0", "0", "1", "-0.5"),
    ],
)
async def test_how_much_is_suggested(
    own_reader: BothPaths, minimum: str, target: str, multiple: str, projected: str
) -> None:
    """Once projected stock has fallen to the minimum: up to the target, in whole multiples."""
    owner = own_reader.owner
    await owner.execute("delete from reorder_rule where id > 1")
    await owner.execute(
        "update reorder_rule set min_quantity = $1, target_quantity = $2, multiple = $3",
        *map(Decimal, (minimum, target, multiple)),
    )
    place = "(product_id, warehouse_id) in (select product_id, warehouse_id from reorder_rule)"
    await owner.execute(f"update stock_level set on_hand = 100, reserved = 0 where {place}")
    await owner.execute(
        f"update stock_projection set incoming = 50, outgoing = 150 - $1::numeric where {place}",
        Decimal(projected),
    )
    query = """query($id: ID!) { reorderSuggestions { nodes { projected suggestedQty } }
      node(id: $id) { ... on ReorderRule { suggestedQty } } }"""
    data = await own_reader.data(query, {"id": encode_id("ReorderRule", 1)})
    missing = Decimal(target) - Decimal(projected)
    wanted = Decimal(0)
    if Decimal(projected) <= Decimal(minimum):
        wanted = ceil(missing / Decimal(multiple)) * Decimal(multiple)
    assert data["node"]["suggestedQty"] == f"{wanted:.4f}"
    assert data["reorderSuggestions"]["nodes"] == (
        [{"projected": f"{Decimal(projected):.4f}", "suggestedQty": f"{wanted:.4f}"}]
        if wanted
        else []
    )


async def test_a_product_that_is_new_to_a_warehouse_is_suggested(own_reader: BothPaths) -> None:
    """A rule for what was never there counts from nothing."""
    await own_reader.owner.execute("delete from stock_projection")
    await own_reader.owner.execute("update stock_move set source = null")
    await own_reader.owner.execute("delete from stock_reservation")
    await own_reader.owner.execute("delete from stock_level")
    data = await own_reader.data(
        "{ reorderSuggestions(first: 5) { nodes { projected targetQty suggestedQty multiple } } }"
    )
    for node in data["reorderSuggestions"]["nodes"]:
        assert node["projected"] == "0.0000"
        assert Decimal(node["suggestedQty"]) >= Decimal(node["targetQty"])
    assert len(data["reorderSuggestions"]["nodes"]) == 5


CHOICES: dict[str, tuple[list[tuple[int, str, str, int]], int | None]] = {
    "nobody": ([], None),
    "the first choice": ([(1, "9", "0", 2), (2, "12", "0", 1)], 2),
    "the cheaper of equals": ([(1, "9", "0", 1), (2, "8.999999", "0", 1)], 2),
    "the older of the same": ([(1, "9", "0", 1), (2, "9", "0", 1)], 1),
    "the price for so much": ([(1, "9", "0", 1), (2, "8", "40", 1), (3, "7", "41", 1)], 2),
    "who sells as little": ([(1, "9", "1000", 1), (2, "12", "0", 2)], 2),
    "one who sells more only": ([(1, "9", "1000", 2), (2, "12", "500", 1)], 2),
}
"""Offers as supplier, price, least quantity and priority, and whose is chosen."""


@pytest.mark.parametrize("choice", CHOICES)
async def test_which_offer_is_suggested(own_reader: BothPaths, choice: str) -> None:
    """The first choice among those who sell so much, then the cheapest; 40 are to be ordered."""
    offers, chosen = CHOICES[choice]
    owner = own_reader.owner
    await owner.execute("delete from supplier_offer")
    await owner.execute("delete from reorder_rule where id > 1")
    await owner.execute(
        "update reorder_rule set min_quantity = 10, target_quantity = 50, multiple = 1"
    )
    await owner.execute("update stock_level set on_hand = 10, reserved = 0")
    await owner.execute("update stock_projection set incoming = 0, outgoing = 0")
    product_id = await owner.fetchval("select product_id from reorder_rule")
    held = [(1, *offer, "null") for offer in offers]
    tempting = [(1, 9, "1", "0", 1, "now()"), (2, 9, "1", "0", 1, "null")]  # ended; another's
    for company_id, supplier, price, least, priority, ended in held + tempting:
        await owner.execute(
            "insert into supplier_offer (company_id, product_id, partner_id, price, currency,"
            " min_quantity, priority, lead_days, archived_at)"
            f" values ($1, $2, $3, $4, 'EUR', $5, $6, 7, {ended})",
            company_id,
            product_id,
            supplier,
            Decimal(price),
            Decimal(least),
            priority,
        )
    data = await own_reader.data(
        "{ reorderSuggestions { nodes { suggestedQty supplier { id }"
        " offer { supplier { id } archivedAt } } } }"
    )
    [node] = data["reorderSuggestions"]["nodes"]
    assert node["suggestedQty"] == "40.0000"
    told = None if chosen is None else {"id": encode_id("Partner", chosen)}
    assert node["supplier"] == told
    assert node["offer"] == (None if told is None else {"supplier": told, "archivedAt": None})


PRICES = """{
  purchaseOrders(first: 20) { nodes {
    supplier { id } total { amount } subtotal { amount } taxTotal { amount }
    lines { unitPrice { amount } net { amount } tax { amount } } } }
  supplierOffers(first: 20) { nodes { supplier { id } price { amount } } } }"""


async def test_prices_of_suppliers_are_costs(reader: BothPaths) -> None:
    """Who may not see what products cost sees orders and offers, and no amount on them."""
    caller = principal(permissions=EVERY_PERMISSION - {"cost.read"})
    answer = await reader.run(PRICES, caller=caller)
    assert sorted(".".join(map(str, error["path"])) for error in answer.errors) == [
        "purchaseOrders.nodes.0.lines.0.net",
        "purchaseOrders.nodes.0.lines.0.tax",
        "purchaseOrders.nodes.0.lines.0.unitPrice",
        "purchaseOrders.nodes.0.subtotal",
        "purchaseOrders.nodes.0.taxTotal",
        "purchaseOrders.nodes.0.total",
        "supplierOffers.nodes.0.price",
    ]
    assert answer.data is not None
    orders = answer.data["purchaseOrders"]["nodes"]
    assert {order["total"] for order in orders} == {None}
    assert {line["unitPrice"] for order in orders for line in order["lines"]} == {None}


async def supplier_client(reader: BothPaths) -> Principal:
    """Return the client of a supplier with several orders, who may see what it asked for."""
    partner_id = await reader.owner.fetchval(
        "select partner_id from purchase_order where company_id = 1"
        " group by 1 order by count(*) desc, 1 limit 1"
    )
    return principal(permissions=frozenset({"purchasing.read", "cost.read"}), partner_id=partner_id)


async def test_a_supplier_sees_its_own_orders_with_its_prices(reader: BothPaths) -> None:
    """A supplier's client is told of its orders, receipts and offers, and of nobody else's."""
    caller = await supplier_client(reader)
    own = {"id": encode_id("Partner", caller.partner_id or 0)}
    data = await reader.data(PRICES, caller=caller)
    for name in ("purchaseOrders", "supplierOffers"):
        nodes = data[name]["nodes"]
        assert len(nodes) > 1
        assert all(node["supplier"] == own for node in nodes)
    assert all(order["total"] for order in data["purchaseOrders"]["nodes"])
    assert all(offer["price"] for offer in data["supplierOffers"]["nodes"])
    counted = await reader.data(
        "{ purchaseOrders { totalCount } goodsReceipts { totalCount }"
        " supplierOffers { totalCount } reorderSuggestions { totalCount } }",
        caller=caller,
    )
    tables = {
        "purchaseOrders": "purchase_order where true",
        "goodsReceipts": "goods_receipt where true",
        "supplierOffers": "supplier_offer where archived_at is null",
    }
    for name, table in tables.items():
        count = await reader.owner.fetchval(
            f"select count(*) from {table} and company_id = 1 and partner_id = $1",
            caller.partner_id,
        )
        assert counted[name] == {"totalCount": count}
    assert counted["reorderSuggestions"] == {"totalCount": 0}


async def test_a_suppliers_client_is_told_no_cost_of_the_company(reader: BothPaths) -> None:
    """The permission that shows a supplier its own prices shows it nothing of the company's."""
    data = await reader.data(
        '{ productsBySku(skus: ["HAM-00001"]) { ofCompany { standardCost } } }',
        caller=await supplier_client(reader),
    )
    assert data == {"productsBySku": [{"ofCompany": None}]}

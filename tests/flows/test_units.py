"""Quantities in packs and other units: converted exactly, or refused with the nearest."""

import asyncio
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

import orjson
import pytest

from gateway.verify import verify
from schema.core.ids import decode_id, encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, principal
from tests.fixtures.paths import BothPaths

ERRORS: Final = "userErrors { code message path details }"
LINES: Final = (
    "lines { id seq qty qtyEntered uomEntered uom { code } unitPrice { amount } net { amount } }"
)
PLACE: Final = f"""
mutation Place($key: String!, $input: PlaceSalesOrderInput!, $dry: Boolean! = false) {{
  placeSalesOrder(idempotencyKey: $key, input: $input, dryRun: $dry) {{
    order {{ id {LINES} subtotal {{ amount }} }} {ERRORS} }}
}}
"""
QUOTE: Final = f"""
mutation Quote($key: String!, $input: PlaceSalesOrderInput!) {{
  quoteSalesOrder(idempotencyKey: $key, input: $input) {{ order {{ {LINES} }} {ERRORS} }}
}}
"""
BUY: Final = f"""
mutation Buy($key: String!, $supplier: ID!, $lines: [PurchaseLineInput!]!,
             $dry: Boolean! = false) {{
  createPurchaseOrder(idempotencyKey: $key, supplierId: $supplier, warehouseId: "{{}}",
                      lines: $lines, dryRun: $dry) {{
    order {{ id {LINES} }} {ERRORS} }}
}}
""".replace("{}", encode_id("Warehouse", 1))
RECEIVE: Final = f"""
mutation Receive($key: String!, $id: ID!, $lines: [ReceiveLineInput!]!) {{
  receiveGoods(idempotencyKey: $key, orderId: $id, lines: $lines) {{
    receipt {{ lines {{ qty qtyRejected }} }} moves {{ qty }} {ERRORS} }}
}}
"""
ADJUST: Final = f"""
mutation Adjust($key: String!, $lines: [StockAdjustmentInput!]!) {{
  adjustStock(idempotencyKey: $key, lines: $lines) {{ moves {{ qty }} {ERRORS} }}
}}
"""
SEND: Final = f"""
mutation Send($key: String!, $lines: [TransferLineInput!]!) {{
  transferStock(idempotencyKey: $key, fromWarehouseId: "{encode_id("Warehouse", 1)}",
                toWarehouseId: "{encode_id("Warehouse", 2)}", lines: $lines) {{
    transfer {{ id lines {{ id qty }} }} {ERRORS} }}
}}
"""
ARRIVE: Final = f"""
mutation Arrive($key: String!, $id: ID!, $lines: [TransferReceiptInput!]) {{
  receiveTransfer(idempotencyKey: $key, id: $id, lines: $lines) {{
    transfer {{ lines {{ qtyReceived }} }} {ERRORS} }}
}}
"""
COUNT: Final = f"""
mutation Count($key: String!, $skus: [String!]) {{
  startStockCount(idempotencyKey: $key, warehouseId: "{encode_id("Warehouse", 1)}", skus: $skus) {{
    count {{ id lines {{ id }} }} {ERRORS} }}
}}
"""
RECORD: Final = f"""
mutation Record($key: String!, $id: ID!, $lines: [CountedLineInput!]!) {{
  recordStockCount(idempotencyKey: $key, id: $id, lines: $lines) {{
    count {{ lines {{ countedQty }} }} {ERRORS} }}
}}
"""
SHIP: Final = f"""
mutation Ship($key: String!, $id: ID!, $lines: [ShipLineInput!]) {{
  shipOrder(idempotencyKey: $key, orderId: $id, lines: $lines) {{
    order {{ lines {{ qtyShipped }} }} {ERRORS} }}
}}
"""
BACK: Final = f"""
mutation Back($key: String!, $id: ID!, $lines: [ReturnLineInput!]!) {{
  returnGoods(idempotencyKey: $key, orderId: $id, lines: $lines, reason: "Broken") {{
    order {{ lines {{ qtyReturned }} }} {ERRORS} }}
}}
"""


async def run(gateway: Gateway | BothPaths, document: str, key: str, **variables: Any) -> Any:
    """Run a mutation and return its payload."""
    data = await gateway.data(document, {"key": key, **variables})
    return next(iter(data.values()))


async def crated(gateway: Gateway, unit: str = "PCE") -> Any:
    """Let a product that there is plenty of come in crates of six; return it, with its place."""
    found = await gateway.owner.fetchrow(
        """select p.id, p.sku, u.code, b.location_id, l.on_hand - l.reserved as free
           from product p join unit_of_measure u on u.id = p.uom_id
           join stock_level l on l.product_id = p.id and l.warehouse_id = 1
           join stock_balance b on b.product_id = p.id
           join stock_location x on x.id = b.location_id and x.warehouse_id = 1 and x.sellable
           where u.code = $1 and p.archived_at is null
             and (u.code <> 'PCE' or p.tracking = 'NONE' and 1 = (
               select count(*) from stock_balance o join stock_location y on y.id = o.location_id
               where y.warehouse_id = 1 and o.product_id = p.id))
           order by l.on_hand - l.reserved desc limit 1""",
        unit,
    )
    assert found is not None
    assert unit != "PCE" or found["free"] >= 60
    await gateway.owner.execute(
        "insert into product_unit (product_id, code, name, factor)"
        " values ($1, 'CRT', 'Crate of 6', 6)",
        found["id"],
    )
    return found


async def customer(gateway: Gateway) -> str:
    """Return a customer that may buy as much as it likes."""
    await gateway.owner.execute("update partner_company set credit_limit = null")
    found = await gateway.owner.fetchval(
        """select p.id from partner p join partner_company t on t.partner_id = p.id
           join price_list l on l.id = t.price_list_id
           where t.company_id = 1 and p.is_customer and p.archived_at is null
             and t.blocked_at is null and l.archived_at is null and l.currency = 'EUR'
           order by p.id limit 1"""
    )
    return encode_id("Partner", found)


async def sound(url: str) -> None:
    """Check every invariant."""
    broken = [result for result in await verify(url) if not result.holds]
    assert not broken


async def test_an_order_in_crates_is_one_in_pieces(
    own_reader: BothPaths, own_database_url: str
) -> None:
    """Price, net and stock are those of the pieces; the line tells what was entered."""
    gateway = own_reader.compiled
    goods, buyer = await crated(gateway), await customer(gateway)
    lines = [
        {"sku": goods["sku"], "qty": "2.5", "uom": "CRT"},
        {"sku": goods["sku"], "qty": "15"},
        {"sku": goods["sku"], "qty": "2", "uom": "DZN"},
        {"sku": goods["sku"], "qty": "15", "uom": "PCE"},
    ]
    order = {"partnerId": buyer, "lines": lines, "confirm": True}
    told = await run(own_reader.ordinary, PLACE, "k", input=order, dry=True)
    real = await run(gateway, PLACE, "k", input=order)
    assert real["userErrors"] == told["userErrors"] == []
    made = [{**line, "id": None} for line in real["order"]["lines"]]
    assert made == [{**line, "id": None} for line in told["order"]["lines"]]
    first, second, third, fourth = made
    assert [line["qty"] for line in made] == ["15.0000", "15.0000", "24.0000", "15.0000"]
    assert [(line["qtyEntered"], line["uomEntered"]) for line in made] == [
        ("2.5000", "CRT"),
        ("15.0000", "PCE"),
        ("2.0000", "DZN"),
        ("15.0000", "PCE"),
    ]
    assert first["unitPrice"] == second["unitPrice"] == fourth["unitPrice"]
    assert first["net"] == second["net"]
    price, net = Decimal(third["unitPrice"]["amount"]), Decimal(third["net"]["amount"])
    assert abs(net - 24 * price) <= Decimal("0.005")
    assert await run(gateway, PLACE, "k", input=order) == real, "the same key: once"
    again = await run(
        gateway, PLACE, "k", input={**order, "lines": [{**lines[0], "uom": "DZN"}, *lines[1:]]}
    )
    assert [error["code"] for error in again["userErrors"]] == ["IDEMPOTENCY_MISMATCH"]
    offered = await run(gateway, QUOTE, "q", input={**order, "confirm": False})
    assert [line["net"] for line in offered["order"]["lines"]] == [line["net"] for line in made]
    await sound(own_database_url)


async def test_prices_from_a_quantity_on_count_pieces(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """Two crates of six are twelve pieces to a price from ten on."""
    goods, buyer = await crated(own_gateway), await customer(own_gateway)
    await own_gateway.owner.execute(
        """insert into price_list_item (price_list_id, company_id, scope, product_id, min_quantity,
                                        valid_from, valid_to, method, fixed_price)
           select l.id, l.company_id, 'PRODUCT', $1, x.least, '-infinity', 'infinity', 'FIXED',
                  x.price
           from partner_company t join price_list l on l.id = t.price_list_id,
                (values (0, 77.0), (10, 66.0)) x (least, price)
           where t.partner_id = $2 and t.company_id = 1 on conflict do nothing""",
        goods["id"],
        decode_id(buyer, "Partner"),
    )
    await own_gateway.owner.execute(
        """update price_list_item set valid_to = '2020-01-01', valid_from = '2019-01-01'
           where product_id = $1 and fixed_price is distinct from 77.0
             and fixed_price is distinct from 66.0""",
        goods["id"],
    )
    prices = []
    for qty in ("1", "2"):
        order = {"partnerId": buyer, "lines": [{"sku": goods["sku"], "qty": qty, "uom": "CRT"}]}
        made = await run(own_gateway, PLACE, f"k{qty}", input=order)
        [line] = made["order"]["lines"]
        prices.append((line["unitPrice"]["amount"], line["net"]["amount"]))
    assert prices == [("77.000000", "462.0000"), ("66.000000", "792.0000")]
    await sound(own_database_url)


async def test_all_that_moves_takes_units(own_gateway: Gateway, own_database_url: str) -> None:
    """Corrected, carried, counted, shipped and taken back in crates: stock moves in pieces."""
    goods, buyer = await crated(own_gateway), await customer(own_gateway)
    sku, place = goods["sku"], encode_id("StockLocation", goods["location_id"])
    at = {"sku": sku, "locationId": place, "reason": "Found", "uom": "CRT"}
    added = await run(own_gateway, ADJUST, "a1", lines=[{**at, "delta": "1.5"}])
    taken = await run(own_gateway, ADJUST, "a2", lines=[{**at, "delta": "-0.5"}])
    assert [move["qty"] for one in (added, taken) for move in one["moves"]] == ["9.0000", "3.0000"]
    on_hand = "select on_hand from stock_balance where product_id = $1 and location_id = $2"
    there = await own_gateway.owner.fetchval(on_hand, goods["id"], goods["location_id"])
    crates = there // 6 + 1
    counted = await run(own_gateway, ADJUST, "a3", lines=[{**at, "countedQty": str(crates)}])
    assert counted["userErrors"] == []
    there = await own_gateway.owner.fetchval(on_hand, goods["id"], goods["location_id"])
    assert there == crates * 6

    sent = await run(own_gateway, SEND, "s", lines=[{"sku": sku, "qty": "1.5", "uom": "CRT"}])
    [line] = sent["transfer"]["lines"]
    assert line["qty"] == "9.0000"
    came = [{"transferLineId": line["id"], "qty": "0.5", "uom": "CRT"}]
    arrived = await run(own_gateway, ARRIVE, "v", id=sent["transfer"]["id"], lines=came)
    assert arrived["transfer"]["lines"] == [{"qtyReceived": "3.0000"}]

    count = (await run(own_gateway, COUNT, "c", skus=[sku]))["count"]
    found = [{"lineId": count["lines"][0]["id"], "countedQty": "3", "uom": "DZN"}]
    recorded = await run(own_gateway, RECORD, "n", id=count["id"], lines=found)
    assert recorded["count"]["lines"] == [{"countedQty": "36.0000"}]

    order = {"partnerId": buyer, "lines": [{"sku": sku, "qty": "2", "uom": "CRT"}]}
    placed = (await run(own_gateway, PLACE, "p", input={**order, "confirm": True}))["order"]
    part = {"salesOrderLineId": placed["lines"][0]["id"], "uom": "CRT"}
    left = await run(own_gateway, SHIP, "l", id=placed["id"], lines=[{**part, "qty": "1"}])
    assert left["order"]["lines"] == [{"qtyShipped": "6.0000"}]
    over = await run(own_gateway, SHIP, "m", id=placed["id"], lines=[{**part, "qty": "1.5"}])
    assert [error["code"] for error in over["userErrors"]] == ["INSUFFICIENT_STOCK"]
    back = await run(own_gateway, BACK, "b", id=placed["id"], lines=[{**part, "qty": "0.5"}])
    assert back["order"]["lines"] == [{"qtyReturned": "3.0000"}]
    await sound(own_database_url)


async def test_what_is_bought_in_crates_comes_in_crates(
    own_reader: BothPaths, own_database_url: str
) -> None:
    """Ordered, received and rejected in units of their own; the price is that of a piece."""
    gateway = own_reader.compiled
    goods = await crated(gateway)
    supplier = await gateway.owner.fetchval(
        """select p.id from partner p join partner_company t on t.partner_id = p.id
           where t.company_id = 1 and p.is_supplier and p.archived_at is null order by 1 limit 1"""
    )
    asked = {
        "supplier": encode_id("Partner", supplier),
        "lines": [{"sku": goods["sku"], "qty": "4", "uom": "CRT", "unitPrice": "1.5"}],
    }
    told = await run(own_reader.ordinary, BUY, "k", **asked, dry=True)
    made = await run(gateway, BUY, "k", **asked)
    [line], [as_told] = (payload["order"]["lines"] for payload in (made, told))
    assert {**line, "id": None} == {**as_told, "id": None}
    assert (line["qty"], line["qtyEntered"], line["uomEntered"]) == ("24.0000", "4.0000", "CRT")
    assert (line["unitPrice"]["amount"], line["net"]["amount"]) == ("1.500000", "36.0000")
    for verb in ("sendPurchaseOrder", "confirmPurchaseOrder"):
        await gateway.data(
            f'mutation {{ {verb}(idempotencyKey: "{verb}", id: "{made["order"]["id"]}")'
            " { userErrors { message } } }"
        )
    came = {"purchaseOrderLineId": line["id"], "qty": "2", "qtyRejected": "0.5", "uom": "CRT"}
    received = await run(gateway, RECEIVE, "r", id=made["order"]["id"], lines=[came])
    assert received["receipt"]["lines"] == [{"qty": "12.0000", "qtyRejected": "3.0000"}]
    assert [move["qty"] for move in received["moves"]] == ["9.0000", "3.0000"]
    odd = await run(
        gateway, RECEIVE, "o", id=made["order"]["id"], lines=[{**came, "qtyRejected": "0.55"}]
    )
    [error] = odd["userErrors"]
    assert error["path"] == ["lines", "0", "qtyRejected"]
    assert error["details"]["nearestBelow"] == "0.5000"
    unknown = await run(
        gateway, RECEIVE, "u", id=made["order"]["id"], lines=[{**came, "uom": "PAIL"}]
    )
    assert [(e["code"], e["path"]) for e in unknown["userErrors"]] == [
        ("NOT_FOUND", ["lines", "0", "uom"])
    ]
    await sound(own_database_url)


@pytest.mark.parametrize(
    ("stocked", "line", "code", "field", "told"),
    [
        ("PCE", ("1", "PAIL"), "NOT_FOUND", "uom", {"unit": "PAIL", "productUnit": "PCE"}),
        ("PCE", ("1", ""), "NOT_FOUND", "uom", {"unit": "", "productUnit": "PCE"}),
        ("PCE", ("1", "crt"), "NOT_FOUND", "uom", {"unit": "crt", "productUnit": "PCE"}),
        (
            *("PCE", ("1", "KG"), "VALIDATION", "uom"),
            {
                "unit": "KG",
                "productUnit": "PCE",
                "dimension": "MASS",
                "productDimension": "COUNT",
            },
        ),
        (
            *("PCE", ("1.55", "CRT"), "VALIDATION", "qty"),
            {
                "unit": "CRT",
                "productUnit": "PCE",
                "nearestBelow": "1.5000",
                "nearestAbove": "2.0000",
            },
        ),
        (
            *("PCE", ("0.1", "DZN"), "VALIDATION", "qty"),
            {"unit": "DZN", "productUnit": "PCE", "nearestAbove": "1.0000"},
        ),
        (
            *("KG", ("1500.5", "G"), "VALIDATION", "qty"),
            {
                "unit": "G",
                "productUnit": "KG",
                "nearestBelow": "1500.0000",
                "nearestAbove": "1501.0000",
            },
        ),
        (
            *("PCE", ("99999999999999", "CRT"), "VALIDATION", "qty"),
            {"unit": "CRT", "productUnit": "PCE"},
        ),
    ],
)
async def test_what_does_not_convert_is_refused(  # noqa: PLR0917 - a table
    own_gateway: Gateway,
    stocked: str,
    line: tuple[str, str],
    code: str,
    field: str,
    told: dict[str, str],
) -> None:
    """The field, both units and the nearest quantities are named, and nothing is written."""
    goods, buyer = await crated(own_gateway, stocked), await customer(own_gateway)
    qty, uom = line
    asked = {"sku": goods["sku"], "qty": qty, "uom": uom}
    answer = await run(
        own_gateway,
        PLACE,
        "k",
        input={"partnerId": buyer, "lines": [{"sku": goods["sku"], "qty": "1"}, asked]},
    )
    assert answer["order"] is None
    [error] = answer["userErrors"]
    assert (error["code"], error["path"]) == (code, ["input", "lines", "1", field])
    assert error["details"] == told
    sent = await run(own_gateway, SEND, "s", lines=[asked])
    [error] = sent["userErrors"]
    assert (error["code"], error["path"]) == (code, ["lines", "0", field])
    wrong = {"sku": goods["sku"], "locationId": encode_id("StockLocation", goods["location_id"])}
    wrong |= {"reason": "Odd", "uom": uom, "countedQty": qty}
    corrected = await run(own_gateway, ADJUST, "a", lines=[wrong])
    [error] = corrected["userErrors"]
    shown = field.replace("qty", "countedQty")
    assert (error["code"], error["path"]) == (code, ["lines", "0", shown])


async def test_a_pack_that_was_given_up_is_none(own_gateway: Gateway) -> None:
    """Archived, it is not read and not taken; lines that were entered in it stay as they are."""
    goods, buyer = await crated(own_gateway), await customer(own_gateway)
    order = {"partnerId": buyer, "lines": [{"sku": goods["sku"], "qty": "1", "uom": "CRT"}]}
    made = await run(own_gateway, PLACE, "k", input=order)
    query = f'{{ product(sku: "{goods["sku"]}") {{ units {{ code name factor }} }} }}'
    units = (await own_gateway.data(query))["product"]["units"]
    assert {"code": "CRT", "name": "Crate of 6", "factor": "6.000000000000"} in units
    assert [Decimal(unit["factor"]) for unit in units] == sorted(
        Decimal(unit["factor"]) for unit in units
    )
    await own_gateway.owner.execute(
        "update product_unit set archived_at = now() where code = 'CRT'"
    )
    units = (await own_gateway.data(query))["product"]["units"]
    assert "CRT" not in [unit["code"] for unit in units]
    refused = await run(own_gateway, PLACE, "k2", input=order)
    assert [error["code"] for error in refused["userErrors"]] == ["NOT_FOUND"]
    line = made["order"]["lines"][0]
    node = f'{{ node(id: "{line["id"]}") {{ ... on SalesOrderLine {{ qtyEntered uomEntered }} }} }}'
    assert (await own_gateway.data(node))["node"] == {"qtyEntered": "1.0000", "uomEntered": "CRT"}


async def test_requests_without_units_are_what_they_were(own_gateway: Gateway) -> None:
    """A key that was used before there were units still finds its answer."""
    goods, buyer = await crated(own_gateway), await customer(own_gateway)
    order = {"partnerId": buyer, "lines": [{"sku": goods["sku"], "qty": "3"}]}
    await run(own_gateway, PLACE, "old", input=order)
    request = {
        "partnerId": decode_id(buyer, "Partner"),
        "lines": [[goods["sku"], "3"]],
        "warehouseId": None,
        "shipToId": None,
        "channel": "API",
        "customerRef": None,
        "externalRef": None,
        "requestedOn": None,
        "confirm": False,
    }
    as_it_was = sha256(
        orjson.dumps(["placeSalesOrder", request], option=orjson.OPT_SORT_KEYS)
    ).digest()
    stored = "select request_hash from idempotency_key where key = 'old'"
    assert await own_gateway.owner.fetchval(stored) == as_it_was


PACKS: Final = f"""
mutation Packs($key: String!, $id: ID!, $units: [ProductUnitInput!]!, $version: Int,
               $dry: Boolean! = false) {{
  setProductUnits(idempotencyKey: $key, id: $id, units: $units, expectedVersion: $version,
                  dryRun: $dry) {{
    product {{ version units {{ code name factor barcode }} }} {ERRORS} }}
}}
"""


def pack(code: str, factor: object, **more: Any) -> dict[str, Any]:
    """Return a pack to make or change."""
    return {"code": code, "name": f"Pack of {factor}", "factor": str(factor), **more}


async def test_packs_are_made_changed_and_given_up(
    own_reader: BothPaths, own_database_url: str
) -> None:
    """All of a product's packs at once; what they were when something was entered in them stays."""
    gateway = own_reader.compiled
    goods, buyer = await crated(gateway), await customer(gateway)
    product = encode_id("Product", goods["id"])
    units = [pack("BIG", "60", barcode=" 40 "), pack("CRT", "6")]
    told = await run(own_reader.ordinary, PACKS, "k", id=product, units=units, dry=True)
    done = await run(gateway, PACKS, "k", id=product, units=units)
    assert done == told, "the rehearsal told what was made"
    assert done["product"]["units"] == [
        {"code": "CRT", "name": "Pack of 6", "factor": "6.000000000000", "barcode": None},
        {"code": "BIG", "name": "Pack of 60", "factor": "60.000000000000", "barcode": "40"},
    ]
    version = done["product"]["version"]
    assert await run(gateway, PACKS, "k", id=product, units=units) == done, "the same key: once"
    order = {"partnerId": buyer, "lines": [{"sku": goods["sku"], "qty": "1", "uom": "CRT"}]}
    placed = await run(gateway, PLACE, "p", input=order)
    changed = [pack("CRT", "7"), pack("TWO", "2", barcode="40")]
    again = await run(gateway, PACKS, "k2", id=product, units=changed, version=version)
    assert [(one["code"], one["barcode"]) for one in again["product"]["units"]] == [
        ("TWO", "40"),
        ("CRT", None),
    ]
    stale = await run(gateway, PACKS, "k3", id=product, units=[], version=version)
    assert [error["code"] for error in stale["userErrors"]] == ["CONFLICT_VERSION"]
    later = await run(gateway, PLACE, "p2", input=order)
    assert [one["order"]["lines"][0]["qty"] for one in (placed, later)] == ["6.0000", "7.0000"]
    none = await run(gateway, PACKS, "k4", id=product, units=[])
    assert none["product"]["units"] == []
    trail = await gateway.owner.fetchval(
        "select diff from audit_log where operation = 'setProductUnits' order by id limit 1"
    )
    assert orjson.loads(trail)["units"] == {"BIG": "60", "CRT": "6"}
    await sound(own_database_url)


@pytest.mark.parametrize(
    ("units", "code", "path"),
    [
        ([pack("", "6")], "VALIDATION", ["units", "0", "code"]),
        ([pack("C" * 21, "6")], "VALIDATION", ["units", "0", "code"]),
        ([pack("A", "6"), pack("B", "0")], "VALIDATION", ["units", "1", "factor"]),
        ([pack("A", "-6")], "VALIDATION", ["units", "0", "factor"]),
        ([pack("A", 10**12)], "VALIDATION", ["units", "0", "factor"]),
        ([pack("A", "6", barcode=" ")], "VALIDATION", ["units", "0", "barcode"]),
        ([pack("A", "6"), pack("A", "7")], "DUPLICATE", ["units", "1", "code"]),
        ([pack("DZN", "6")], "DUPLICATE", ["units", "0", "code"]),
        (
            *([pack("A", "6", barcode="1"), pack("B", "7", barcode="1")], "DUPLICATE"),
            ["units", "1", "barcode"],
        ),
        ([pack(f"A{n}", "6") for n in range(51)], "VALIDATION", ["units"]),
    ],
)
async def test_packs_that_cannot_be(
    own_gateway: Gateway, units: Any, code: str, path: list[str]
) -> None:
    """Each mistake is named, and the product keeps the packs it has."""
    product = encode_id("Product", 1)
    told = await run(own_gateway, PACKS, "k", id=product, units=units)
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == (code, path)
    assert await own_gateway.owner.fetchval("select count(*) from idempotency_key") == 0


async def test_barcodes_go_from_pack_to_pack(own_gateway: Gateway) -> None:
    """Two exchange theirs, three pass them round; that of another product's pack stays there."""
    product, other = encode_id("Product", 1), encode_id("Product", 2)

    def packs(*barcodes: str | None) -> list[dict[str, Any]]:
        codes = zip("ABD", barcodes, strict=False)
        return [pack(code, n, barcode=barcode) for n, (code, barcode) in enumerate(codes, start=2)]

    for n, barcodes in enumerate(
        [("1", "2", "3"), ("2", "1", "3"), ("1", "3", "2"), ("3", None, "1"), ("1", "3"), ("3",)]
    ):
        told = await run(own_gateway, PACKS, f"k{n}", id=product, units=packs(*barcodes))
        assert told["userErrors"] == []
        assert tuple(one["barcode"] for one in told["product"]["units"]) == barcodes
    taken = packs("1", "3", "2")
    refused = await run(own_gateway, PACKS, "o", id=other, units=taken)
    assert [(error["code"], error["path"]) for error in refused["userErrors"]] == [
        ("DUPLICATE", ["units", "1", "barcode"])
    ]
    await run(own_gateway, PACKS, "none", id=product, units=[])
    given = await run(own_gateway, PACKS, "p", id=other, units=taken)
    assert given["userErrors"] == [], "packs that are given up keep none"


async def test_two_products_at_once_take_one_barcode(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """One gets it, and the other is refused."""
    answers = await asyncio.gather(
        *(
            run(
                *(own_gateway, PACKS, f"k{n}"),
                id=encode_id("Product", n),
                units=[pack("A", 6, barcode="1")],
            )
            for n in range(1, 6)
        )
    )
    codes = [[error["code"] for error in answer["userErrors"]] for answer in answers]
    assert sorted(codes) == [[], *[["DUPLICATE"]] * 4]
    await sound(own_database_url)


async def test_packs_of_what_is_archived_and_who_may_not(own_gateway: Gateway) -> None:
    """An archived product takes none, and keeping packs takes the permission of the catalog."""
    archived = await own_gateway.owner.fetchval(
        "select id from product where archived_at is not null order by id limit 1"
    )
    product = encode_id("Product", archived)
    told = await run(own_gateway, PACKS, "k", id=product, units=[])
    assert [(e["code"], e["path"]) for e in told["userErrors"]] == [("ARCHIVED", ["id"])]
    caller = principal(permissions=EVERY_PERMISSION - {"catalog.write"})
    answer = await own_gateway.run(PACKS, {"key": "k", "id": product, "units": []}, caller=caller)
    assert answer.data == {"setProductUnits": None}
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]

"""What is refused of quantities, versions, keys and other companies' rows, by every verb alike."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import pytest

from gateway.verify import verify
from schema.core.ids import encode_id
from tests.fixtures.gateway import Gateway

ERRORS: Final = "userErrors { code message path details }"
DOCUMENTS: Final[Mapping[str, str]] = {
    "placeSalesOrder": f"""mutation ($key: String!, $input: PlaceSalesOrderInput!) {{
        placeSalesOrder(idempotencyKey: $key, input: $input) {{
          order {{ version lines {{ seq }} }}
          shortages {{ sku requested available nextIncomingOn nextIncomingQty }} {ERRORS} }} }}""",
    "quoteSalesOrder": f"""mutation ($key: String!, $input: PlaceSalesOrderInput!) {{
        quoteSalesOrder(idempotencyKey: $key, input: $input) {{ {ERRORS} }} }}""",
    "createPurchaseOrder": f"""mutation ($key: String!, $supplier: ID!, $warehouse: ID!,
                                         $lines: [PurchaseLineInput!]!) {{
        createPurchaseOrder(idempotencyKey: $key, supplierId: $supplier, warehouseId: $warehouse,
                            lines: $lines) {{ {ERRORS} }} }}""",
    "receiveGoods": f"""mutation ($key: String!, $id: ID!, $lines: [ReceiveLineInput!]!,
                                  $version: Int) {{
        receiveGoods(idempotencyKey: $key, orderId: $id, lines: $lines,
                     expectedVersion: $version) {{ order {{ version }} {ERRORS} }} }}""",
    "adjustStock": f"""mutation ($key: String!, $lines: [StockAdjustmentInput!]!) {{
        adjustStock(idempotencyKey: $key, lines: $lines) {{ {ERRORS} }} }}""",
    "transferStock": f"""mutation ($key: String!, $from: ID!, $to: ID!,
                                   $lines: [TransferLineInput!]!) {{
        transferStock(idempotencyKey: $key, fromWarehouseId: $from, toWarehouseId: $to,
                      lines: $lines) {{ {ERRORS} }} }}""",
    "receiveTransfer": f"""mutation ($key: String!, $id: ID!, $lines: [TransferReceiptInput!],
                                     $version: Int) {{
        receiveTransfer(idempotencyKey: $key, id: $id, lines: $lines,
                        expectedVersion: $version) {{ transfer {{ version }} {ERRORS} }} }}""",
    "recordStockCount": f"""mutation ($key: String!, $id: ID!, $lines: [CountedLineInput!]!,
                                      $version: Int) {{
        recordStockCount(idempotencyKey: $key, id: $id, lines: $lines,
                         expectedVersion: $version) {{ count {{ version }} {ERRORS} }} }}""",
    "shipOrder": f"""mutation ($key: String!, $id: ID!, $lines: [ShipLineInput!],
                               $version: Int) {{
        shipOrder(idempotencyKey: $key, orderId: $id, lines: $lines,
                  expectedVersion: $version) {{ order {{ version }} {ERRORS} }} }}""",
    "planShipment": f"""mutation ($key: String!, $id: ID!, $lines: [PlanLineInput!],
                                  $version: Int, $warehouse: ID) {{
        planShipment(idempotencyKey: $key, orderId: $id, lines: $lines, warehouseId: $warehouse,
                     expectedVersion: $version) {{ order {{ version }} {ERRORS} }} }}""",
    "returnGoods": f"""mutation ($key: String!, $id: ID!, $lines: [ReturnLineInput!]!,
                                 $version: Int) {{
        returnGoods(idempotencyKey: $key, orderId: $id, lines: $lines, reason: "Broken",
                    expectedVersion: $version) {{ order {{ version }} {ERRORS} }} }}""",
}
OTHERS: Final = encode_id("Warehouse", 3)
"""A warehouse of another company."""


async def found(gateway: Gateway, sql: str) -> Any:
    """Return one row that has to be there."""
    row = await gateway.owner.fetchrow(sql)
    assert row is not None
    return row


async def asked(gateway: Gateway, verb: str) -> dict[str, Any]:
    """Return what to ask of a verb so that it is done."""
    goods = await found(
        gateway,
        """select p.sku, b.location_id from stock_level l join product p on p.id = l.product_id
           join stock_balance b on b.product_id = p.id
           join stock_location x on x.id = b.location_id and x.warehouse_id = 1 and x.sellable
           where l.warehouse_id = 1 and p.archived_at is null and p.tracking = 'NONE'
             and p.kind = 'GOODS' and b.on_hand >= 20 and l.on_hand - l.reserved >= 20
           order by p.id limit 1""",
    )
    line = {"sku": goods["sku"], "qty": "1"}
    if verb in {"placeSalesOrder", "quoteSalesOrder"}:
        buyer = await found(
            gateway,
            """select p.id from partner p join partner_company t on t.partner_id = p.id
               where t.company_id = 1 and p.is_customer and p.archived_at is null
                 and t.blocked_at is null order by p.id limit 1""",
        )
        return {"input": {"partnerId": encode_id("Partner", buyer["id"]), "lines": [line]}}
    if verb == "createPurchaseOrder":
        supplier = await found(
            gateway,
            "select id from partner where is_supplier and archived_at is null order by id limit 1",
        )
        return {
            "supplier": encode_id("Partner", supplier["id"]),
            "warehouse": encode_id("Warehouse", 1),
            "lines": [{**line, "unitPrice": "1"}],
        }
    if verb == "adjustStock":
        place = encode_id("StockLocation", goods["location_id"])
        return {"lines": [{"sku": goods["sku"], "locationId": place, "reason": "x", "delta": "1"}]}
    if verb == "transferStock":
        ends = {"from": encode_id("Warehouse", 1), "to": encode_id("Warehouse", 2)}
        return {**ends, "lines": [line]}
    document, table, condition = {
        "receiveGoods": (
            "PurchaseOrder",
            "purchase_order",
            "d.state = 'CONFIRMED' and l.quantity - l.received - l.canceled >= 1",
        ),
        "receiveTransfer": ("StockTransfer", "stock_transfer", "d.state = 'IN_TRANSIT'"),
        "recordStockCount": ("StockCount", "stock_count", "d.state = 'COUNTING'"),
        "shipOrder": (
            "SalesOrder",
            "sales_order",
            """d.state = 'CONFIRMED' and d.hold is null and l.reserved >= 1
               and not exists (select from shipment s where s.order_id = d.id)""",
        ),
        "returnGoods": ("SalesOrder", "sales_order", "l.shipped - l.returned >= 1"),
        "planShipment": (
            "SalesOrder",
            "sales_order",
            """d.state = 'CONFIRMED' and d.hold is null and l.reserved >= 1
               and not exists (select from shipment s where s.order_id = d.id)""",
        ),
    }[verb]
    owner = table if table.startswith("stock") else "order"
    key = {"stock_transfer": "transfer_id", "stock_count": "count_id"}.get(owner, "order_id")
    row = await found(
        gateway,
        f"""select d.id, l.id as line_id from {table} d join {table}_line l on l.{key} = d.id
            join product p on p.id = l.product_id
            where d.company_id = 1 and p.tracking = 'NONE' and {condition}
            order by d.id, l.id limit 1""",
    )
    name = {
        "receiveGoods": "purchaseOrderLineId",
        "receiveTransfer": "transferLineId",
        "recordStockCount": "lineId",
    }.get(verb, "salesOrderLineId")
    qty = "countedQty" if verb == "recordStockCount" else "qty"
    one = {name: encode_id(f"{document}Line", row["line_id"]), qty: "1"}
    return {"id": encode_id(document, row["id"]), "lines": [one]}


def with_line(variables: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return what is asked with its line changed."""
    if "input" in variables:
        return {"input": with_line(variables["input"], **changes)}
    [line] = variables["lines"]
    return {**variables, "lines": [{**line, **changes}]}


async def run(gateway: Gateway, verb: str, variables: Mapping[str, Any], key: str = "k") -> Any:
    """Run a verb and return its payload."""
    return (await gateway.data(DOCUMENTS[verb], {"key": key, **variables}))[verb]


QUANTITIES: Final = [
    *((verb, "qty") for verb in DOCUMENTS if verb not in {"adjustStock", "recordStockCount"}),
    ("adjustStock", "delta"),
    ("adjustStock", "countedQty"),
    ("recordStockCount", "countedQty"),
]
MAY_BE_NOTHING: Final = {("adjustStock", "countedQty"), ("recordStockCount", "countedQty")}
MAY_BE_NEGATIVE: Final = ("adjustStock", "delta")


@pytest.mark.parametrize(("verb", "name"), QUANTITIES)
async def test_quantities_that_are_none(own_gateway: Gateway, verb: str, name: str) -> None:
    """0, negative, too many digits before or behind the point: named, and nothing is written."""
    asks = await asked(own_gateway, verb)
    wrong = ["9" * 15, "9" * 30, "0.00001", "1" * 14 + ".00001"]
    wrong += [] if (verb, name) in MAY_BE_NOTHING else ["0", "0.0000"]
    wrong += ["-" + "9" * 30] if (verb, name) == MAY_BE_NEGATIVE else ["-1", "-0.0001"]
    changes: dict[str, Any] = {"delta": None} if name == "countedQty" else {}
    if verb == "recordStockCount":
        changes = {}
    at = ["input", "lines", "0", name] if "input" in asks else ["lines", "0", name]
    for quantity in wrong:
        told = await run(own_gateway, verb, with_line(asks, **{**changes, name: quantity}))
        [error] = told["userErrors"]
        assert (error["code"], error["path"]) == ("VALIDATION", at), quantity
        assert name in error["message"]
    assert not await own_gateway.owner.fetchval("select count(*) from idempotency_key")


VERSIONED: Final = [verb for verb, document in DOCUMENTS.items() if "expectedVersion" in document]


@pytest.mark.parametrize("verb", VERSIONED)
async def test_a_stale_version(own_gateway: Gateway, verb: str) -> None:
    """Whoever saw an older document is shown the present one, and what it is at now."""
    asks = await asked(own_gateway, verb)
    told = await run(own_gateway, verb, {**asks, "version": 10**6})
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == ("CONFLICT_VERSION", ["expectedVersion"])
    [shown] = [value for name, value in told.items() if name != "userErrors"]
    details = error["details"]
    assert details["version"] == str(shown["version"])
    done = await run(own_gateway, verb, {**asks, "version": shown["version"]})
    assert done["userErrors"] == []


@pytest.mark.parametrize("verb", DOCUMENTS)
async def test_a_key_that_was_used(own_gateway: Gateway, own_database_url: str, verb: str) -> None:
    """With another quantity, or the same one in another unit, it is another request."""
    asks = await asked(own_gateway, verb)
    name = {"adjustStock": "delta", "recordStockCount": "countedQty"}.get(verb, "qty")
    done = await run(own_gateway, verb, asks)
    assert done["userErrors"] == []
    for changes in ({name: "0.5"}, {"uom": "PCE"}):
        told = await run(own_gateway, verb, with_line(asks, **changes))
        [error] = told["userErrors"]
        assert (error["code"], error["path"]) == ("IDEMPOTENCY_MISMATCH", ["idempotencyKey"])
    again = await run(own_gateway, verb, with_line(asks, **{name: "1.000"}))
    assert again == done, "the same number, written otherwise"
    assert all(result.holds for result in await verify(own_database_url))


async def test_rows_of_another_company_are_not_there(own_gateway: Gateway) -> None:
    """Its warehouse to leave from, its location, its documents: as if there were none."""
    place = await found(
        own_gateway, "select id from stock_location where warehouse_id = 3 order by id limit 1"
    )
    sent = await asked(own_gateway, "transferStock")
    corrected = with_line(
        await asked(own_gateway, "adjustStock"),
        locationId=encode_id("StockLocation", place["id"]),
    )
    offered = await asked(own_gateway, "quoteSalesOrder")
    refusals = [
        ("transferStock", {**sent, "from": OTHERS}, ["fromWarehouseId"]),
        ("adjustStock", corrected, ["lines", "0", "locationId"]),
        (
            "quoteSalesOrder",
            {"input": {**offered["input"], "warehouseId": OTHERS}},
            ["input", "warehouseId"],
        ),
    ]
    for verb, table, type_, at in (
        ("receiveGoods", "purchase_order", "PurchaseOrder", "orderId"),
        ("shipOrder", "sales_order", "SalesOrder", "orderId"),
        ("returnGoods", "sales_order", "SalesOrder", "orderId"),
    ):
        other = await found(
            own_gateway, f"select id from {table} where company_id <> 1 order by id limit 1"
        )
        asks = await asked(own_gateway, verb)
        refusals.append((verb, {**asks, "id": encode_id(type_, other["id"])}, [at]))
    for verb, asks, path in refusals:
        told = await run(own_gateway, verb, asks)
        [error] = told["userErrors"]
        assert (error["code"], error["path"]) == ("NOT_FOUND", path), verb
    planned = {**await asked(own_gateway, "planShipment"), "lines": None, "warehouse": OTHERS}
    [error] = (await run(own_gateway, "planShipment", planned))["userErrors"]
    assert (error["code"], error["path"]) == ("INSUFFICIENT_STOCK", ["warehouseId"])


async def test_what_was_archived_is_not_traded(own_gateway: Gateway) -> None:
    """An archived supplier is named as such; an archived product is not there to be ordered."""
    owner = own_gateway.owner
    await owner.execute("set session_replication_role = replica")
    await owner.execute("update partner set archived_at = now() where is_supplier")
    asks = {verb: await asked(own_gateway, verb) for verb in ("placeSalesOrder", "transferStock")}
    supplier = await found(own_gateway, "select id from partner where is_supplier limit 1")
    bought = {
        "supplier": encode_id("Partner", supplier["id"]),
        "warehouse": encode_id("Warehouse", 1),
        "lines": [{"sku": asks["transferStock"]["lines"][0]["sku"], "qty": "1", "unitPrice": "1"}],
    }
    told = await run(own_gateway, "createPurchaseOrder", bought)
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == ("ARCHIVED", ["supplierId"])
    await owner.execute("update product set archived_at = now()")
    for verb, variables in asks.items():
        told = await run(own_gateway, verb, variables)
        [error] = told["userErrors"]
        assert (error["code"], error["path"][-1]) == ("NOT_FOUND", "sku")


async def test_a_shortage_tells_what_comes_and_when(own_gateway: Gateway) -> None:
    """An order or a transfer of more than there is, is told the next delivery."""
    await own_gateway.owner.execute("update partner_company set credit_limit = null")
    coming = await found(
        own_gateway,
        """select p.sku, i.expected_on, i.quantity from incoming_stock i
           join product p on p.id = i.product_id
           where i.company_id = 1 and i.warehouse_id = 1 and p.archived_at is null
             and p.kind = 'GOODS'
           order by i.product_id, i.expected_on, i.id limit 1""",
    )
    asks = with_line(await asked(own_gateway, "placeSalesOrder"), sku=coming["sku"], qty="9999999")
    order = {**asks["input"], "confirm": True, "warehouseId": encode_id("Warehouse", 1)}
    told = await run(own_gateway, "placeSalesOrder", {"input": order})
    assert told["userErrors"] == []
    [shortage] = told["shortages"]
    assert (shortage["sku"], shortage["requested"]) == (coming["sku"], "9999999.0000")
    assert shortage["nextIncomingOn"] == coming["expected_on"].isoformat()
    assert shortage["nextIncomingQty"] == f"{coming['quantity']:f}"
    asks = with_line(await asked(own_gateway, "transferStock"), sku=coming["sku"], qty="9999999")
    told = await run(own_gateway, "transferStock", asks, key="t")
    [error] = told["userErrors"]
    assert (error["code"], error["path"]) == ("INSUFFICIENT_STOCK", ["lines", "0", "qty"])
    details = error["details"]
    assert Decimal(details["available"]) >= 0
    assert details["nextIncomingOn"] == shortage["nextIncomingOn"]
    assert details["nextIncomingQty"] == shortage["nextIncomingQty"]

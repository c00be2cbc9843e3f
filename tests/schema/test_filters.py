"""Every filter of every list, against its condition written by hand."""

from typing import Any, Final

import pytest
from graphql import GraphQLInputObjectType, get_named_type

from schema.build import build_schema, core_schema
from schema.core.ids import encode_id
from tests.fixtures.paths import BothPaths

SCHEMA: Final = core_schema(build_schema())

TABLES: Final = {
    "products": "product where {}",
    "partners": "partner where {}",
    "stockLevels": "stock_level l where company_id = 1 and {}",
    "stockMoves": "stock_move where company_id = 1 and {}",
    "valuationEntries": "valuation_entry where company_id = 1 and {}",
    "lots": "lot where company_id = 1 and {}",
    "currencyRates": "currency_rate where {}",
    "taxes": "tax where company_id = 1 and archived_at is null and {}",
    "salesOrders": "sales_order where company_id = 1 and {}",
    "salesOrderLines": "sales_order_line where company_id = 1 and {}",
    "invoices": "invoice where company_id = 1 and {}",
    "shipments": "shipment where company_id = 1 and {}",
    "goodsReturns": "goods_return where company_id = 1 and {}",
    "stockHolds": "stock_hold where company_id = 1 and {}",
    "stockTransfers": "stock_transfer where company_id = 1 and {}",
    "stockCounts": "stock_count where company_id = 1 and {}",
    "documents": "document where company_id = 1 and archived_at is null and {}",
    "extractions": "extraction where company_id = 1 and {}",
    "opportunities": "opportunity where company_id = 1 and archived_at is null and {}",
    "activities": "activity where company_id = 1 and {}",
    "contracts": "contract where company_id = 1 and {}",
    "webhooks": "webhook where company_id = 1 and archived_at is null and {}",
    "jobs": "job where company_id = 1 and {}",
    "auditEntries": "audit_log where company_id = 1 and {}",
    "payments": "payment where company_id = 1 and {}",
    "journalEntries": "journal_entry where company_id = 1 and {}",
    "incomingStock": "incoming_stock where company_id = 1 and {}",
    "purchaseOrders": "purchase_order where company_id = 1 and {}",
    "goodsReceipts": "goods_receipt where company_id = 1 and {}",
    "supplierOffers": "supplier_offer where company_id = 1 and archived_at is null and {}",
    "reorderSuggestions": """(
      select r.*, r.target_quantity - coalesce(l.on_hand, 0) - coalesce(e.incoming, 0)
             + coalesce(e.outgoing, 0) as missing
      from reorder_rule r
      left join stock_level l using (product_id, warehouse_id)
      left join stock_projection e using (product_id, warehouse_id)
      where r.company_id = 1 and r.archived_at is null
    ) rule where missing > 0 and missing >= target_quantity - min_quantity and {}""",
}
"""What each list lists, for company 1."""

ACTIVE: Final = "archived_at is null and "
WORDS: Final = "(sku || ' ' || name || ' ' || coalesce(barcode, '')) ~* '\\m{}'"
PARTNER_WORDS: Final = (
    "(code || ' ' || name || ' ' || coalesce(email, '') || ' ' || coalesce(tax_id, '')) ~* '\\m{}'"
)
ON_ORDERS: Final = "order_id in (select id from sales_order where {})"
REORDER: Final = """exists (
  select from reorder_rule r left join stock_projection e using (product_id, warehouse_id)
  where r.product_id = l.product_id and r.warehouse_id = l.warehouse_id and r.archived_at is null
    and l.on_hand + coalesce(e.incoming, 0) - coalesce(e.outgoing, 0) <= r.min_quantity)"""


def ids(type_name: str, *keys: int) -> list[str]:
    """Return global ids."""
    return [encode_id(type_name, key) for key in keys]


CASES: Final[dict[str, list[tuple[dict[str, Any], str]]]] = {
    "documents": [
        ({}, "true"),
        ({"kinds": ["BILL"]}, "kind = 'BILL'"),
        ({"kinds": ["INVOICE", "LABEL"]}, "kind in ('INVOICE', 'LABEL')"),
    ],
    "extractions": [
        ({}, "true"),
        ({"states": ["NEEDS_REVIEW"]}, "state = 'NEEDS_REVIEW'"),
        ({"supplierIds": ids("Partner", *range(1, 20))}, "supplier_id < 20"),
    ],
    "opportunities": [
        ({}, "true"),
        ({"stages": ["WON", "LOST"]}, "stage in ('WON', 'LOST')"),
        ({"partnerIds": ids("Partner", *range(1, 60))}, "partner_id < 60"),
        ({"expectedClose": {"from": "2026-07-01"}}, "expected_close >= '2026-07-01'"),
    ],
    "activities": [
        ({}, "true"),
        ({"kinds": ["CALL"], "done": False}, "kind = 'CALL' and done_at is null"),
        ({"done": True}, "done_at is not null"),
        ({"dueOn": {"to": "2026-06-01"}}, "due_on <= '2026-06-01'"),
    ],
    "contracts": [
        ({}, "true"),
        ({"states": ["ENDED"]}, "state = 'ENDED'"),
        ({"partnerIds": ids("Partner", *range(1, 60))}, "partner_id < 60"),
        ({"startsOn": {"from": "2025-06-01"}}, "starts_on >= '2025-06-01'"),
    ],
    "webhooks": [
        ({}, "true"),
        ({"states": ["PAUSED"]}, "state = 'PAUSED'"),
        ({"states": ["DISABLED", "ACTIVE"]}, "state in ('DISABLED', 'ACTIVE')"),
    ],
    "jobs": [
        ({}, "true"),
        ({"states": ["FAILED", "DEAD"]}, "state in ('FAILED', 'DEAD')"),
        (
            {"kinds": ["verify", "x"], "states": ["SUCCEEDED"]},
            "kind = 'verify' and state = 'SUCCEEDED'",
        ),
    ],
    "auditEntries": [
        ({}, "true"),
        ({"entity": "Partner"}, "entity = 'Partner'"),
        ({"entity": "Product", "actor": "user:1"}, "entity = 'Product' and actor = 'user:1'"),
        ({"actor": "user:9"}, "false"),
        ({"at": {"from": "2026-03-01T00:00:00Z"}}, "at >= '2026-03-01Z'"),
    ],
    "goodsReturns": [
        ({}, "true"),
        ({"numbers": ["RT-2026-000002"]}, "number = 'RT-2026-000002'"),
        ({"receivedOn": {"from": "2026-05-01"}}, "received_on >= '2026-05-01'"),
        ({"partnerIds": ids("Partner", *range(31, 60))}, "partner_id between 31 and 59"),
        ({"warehouseIds": ids("Warehouse", 2)}, "warehouse_id = 2"),
    ],
    "stockHolds": [
        ({}, "true"),
        ({"states": ["TAKEN", "EXPIRED"]}, "state in ('TAKEN', 'EXPIRED')"),
        ({"partnerIds": ids("Partner", *range(31, 90))}, "partner_id between 31 and 89"),
        ({"expiresAt": {"from": "2026-03-01T00:00:00Z"}}, "expires_at >= '2026-03-01'"),
    ],
    "stockTransfers": [
        ({}, "true"),
        ({"numbers": ["TR-2026-000002"]}, "number = 'TR-2026-000002'"),
        ({"states": ["IN_TRANSIT"]}, "state = 'IN_TRANSIT'"),
        ({"sentOn": {"from": "2026-05-01"}}, "sent_on >= '2026-05-01'"),
        ({"fromWarehouseIds": ids("Warehouse", 1)}, "from_warehouse_id = 1"),
        ({"toWarehouseIds": ids("Warehouse", 1)}, "to_warehouse_id = 1"),
    ],
    "stockCounts": [
        ({}, "true"),
        ({"numbers": ["CT-2026-000002"]}, "number = 'CT-2026-000002'"),
        ({"states": ["COUNTING", "CANCELED"]}, "state in ('COUNTING', 'CANCELED')"),
        ({"startedOn": {"from": "2026-05-01"}}, "started_on >= '2026-05-01'"),
        ({"warehouseIds": ids("Warehouse", 2)}, "warehouse_id = 2"),
    ],
    "shipments": [
        ({}, "true"),
        ({"numbers": ["SH-2026-000007"]}, "number = 'SH-2026-000007'"),
        ({"trackingNos": ["none"]}, "tracking_no = 'none'"),
        ({"states": ["PLANNED", "PICKING"]}, "state in ('PLANNED', 'PICKING')"),
        ({"plannedOn": {"from": "2026-06-01"}}, "planned_on >= '2026-06-01'"),
        ({"partnerIds": ids("Partner", 31, 35)}, "partner_id in (31, 35)"),
        ({"warehouseIds": ids("Warehouse", 2)}, "warehouse_id = 2"),
    ],
    "invoices": [
        ({}, "true"),
        ({"numbers": ["INV-2026-000007", "none"]}, "number = 'INV-2026-000007'"),
        ({"kinds": ["VENDOR_BILL"]}, "kind = 'VENDOR_BILL'"),
        ({"paymentStatus": ["PARTIAL", "NOT_PAID"]}, "residual > 0"),
        ({"open": True}, "residual > 0"),
        ({"open": False}, "residual = 0"),
        ({"partnerIds": ids("Partner", 31, 35)}, "partner_id in (31, 35)"),
        ({"invoicedOn": {"from": "2026-06-01"}}, "invoiced_on >= '2026-06-01'"),
        ({"dueOn": {"to": "2026-01-31"}, "open": True}, "due_on < '2026-02-01' and residual > 0"),
    ],
    "payments": [
        ({}, "true"),
        ({"numbers": ["PAY-2026-000007"]}, "number = 'PAY-2026-000007'"),
        ({"directions": ["OUT"]}, "direction = 'OUT'"),
        ({"partnerIds": ids("Partner", 31, 35)}, "partner_id in (31, 35)"),
        (
            {"paidOn": {"from": "2026-05-01", "to": "2026-05-31"}},
            "paid_on between '2026-05-01' and '2026-05-31'",
        ),
    ],
    "journalEntries": [
        ({}, "true"),
        ({"numbers": ["JE-2026-000011"]}, "number = 'JE-2026-000011'"),
        ({"journals": ["BANK", "GENERAL"]}, "journal in ('BANK', 'GENERAL')"),
        ({"postedOn": {"to": "2025-12-31"}}, "posted_on <= '2025-12-31'"),
    ],
    "salesOrderLines": [
        ({}, "true"),
        (
            {"placedOn": {"from": "2026-03-01", "to": "2026-03-31"}},
            "to_char(placed_on, 'YYYY-MM') = '2026-03'",
        ),
        ({"states": ["CANCELED", "DRAFT"]}, ON_ORDERS.format("state in ('CANCELED', 'DRAFT')")),
        ({"states": []}, "false"),
        ({"partnerIds": ids("Partner", 31, 35)}, "partner_id in (31, 35)"),
        ({"warehouseIds": ids("Warehouse", 2)}, ON_ORDERS.format("warehouse_id = 2")),
        ({"productIds": ids("Product", 1, 5)}, "product_id in (1, 5)"),
        (
            {"states": ["FULFILLED"], "productIds": ids("Product", 1)},
            "product_id = 1 and " + ON_ORDERS.format("state = 'FULFILLED'"),
        ),
    ],
    "products": [
        ({}, ACTIVE + "true"),
        ({"search": None, "skus": None, "kinds": None}, ACTIVE + "true"),
        ({"search": "hammer"}, ACTIVE + WORDS.format("hammer")),
        (
            {"search": "STEEL, ham"},
            ACTIVE + WORDS.format("steel") + " and " + WORDS.format("ham"),
        ),
        ({"search": "HAM-00001"}, "sku = 'HAM-00001'"),
        (
            {"search": "ham-0000"},
            ACTIVE + WORDS.format("ham") + " and " + WORDS.format("0000"),
        ),
        ({"search": "„Torx“"}, ACTIVE + "name like '%„Torx“%'"),
        ({"search": "2000000000015"}, "barcode = '2000000000015'"),
        ({"search": "nosuchword"}, "false"),
        ({"skus": ["HAM-00001", "HAM-00002", "ham-00001"]}, "sku in ('HAM-00001', 'HAM-00002')"),
        ({"skus": []}, "false"),
        ({"categoryId": encode_id("ProductCategory", 17)}, ACTIVE + "category_id = 17"),
        ({"categoryId": encode_id("ProductCategory", 2**40)}, "false"),
        (
            {"categoryPath": "/electrical/"},
            ACTIVE + "category_id in (select id from product_category "
            "where left(path, 12) = '/electrical/')",
        ),
        (
            {"categoryPath": "electrical"},
            ACTIVE + "category_id in (select id from product_category "
            "where left(path, 12) = '/electrical/')",
        ),
        ({"categoryPath": "/"}, ACTIVE + "true"),
        ({"categoryPath": ""}, ACTIVE + "true"),
        ({"categoryPath": "/elec"}, "false"),
        ({"categoryPath": "/cleaning/paper"}, "false"),  # there is /cleaning/paper-hygiene/
        ({"categoryPath": "/electrical/%"}, "false"),
        ({"kinds": ["SERVICE"]}, ACTIVE + "kind = 'SERVICE'"),
        ({"kinds": ["GOODS", "SERVICE"]}, ACTIVE + "true"),
        ({"kinds": []}, "false"),
        ({"includeArchived": True}, "true"),
        ({"includeArchived": False}, ACTIVE + "true"),
        ({"includeArchived": None}, ACTIVE + "true"),
        (
            {"includeArchived": True, "kinds": ["GOODS"], "search": "anc", "categoryPath": "/"},
            "kind = 'GOODS' and " + WORDS.format("anc"),
        ),
    ],
    "partners": [
        ({}, ACTIVE + "true"),
        ({"search": "o'brien"}, ACTIVE + PARTNER_WORDS.format("brien")),
        ({"search": "möll"}, ACTIVE + PARTNER_WORDS.format("möll")),
        (
            {"search": "purchasing@o-brien-industrial-and-sons.example"},
            "email = 'purchasing@o-brien-industrial-and-sons.example'",
        ),
        ({"search": "08-9437525"}, "tax_id = '08-9437525'"),
        ({"search": "S00001"}, ACTIVE + "code = 'S00001'"),
        ({"code": "S00001"}, "code = 'S00001'"),
        ({"code": "s00001"}, "false"),
        ({"code": ""}, "false"),
        ({"isCustomer": True}, ACTIVE + "is_customer"),
        ({"isCustomer": False}, ACTIVE + "not is_customer"),
        ({"isSupplier": True}, ACTIVE + "is_supplier"),
        (
            {"isSupplier": False, "isCustomer": False},
            ACTIVE + "not is_supplier and not is_customer",
        ),
        ({"includeArchived": True}, "true"),
    ],
    "stockLevels": [
        ({}, "true"),
        ({"warehouseIds": ids("Warehouse", 2)}, "warehouse_id = 2"),
        ({"warehouseIds": ids("Warehouse", 1, 2, 3, 2**40)}, "warehouse_id in (1, 2)"),
        ({"warehouseIds": ids("Warehouse", 3)}, "false"),
        ({"warehouseIds": []}, "false"),
        ({"productIds": ids("Product", 1, 2, 3)}, "product_id in (1, 2, 3)"),
        ({"productIds": ids("Product", 2**63 - 1)}, "false"),
        ({"available": {"lte": "20"}}, "on_hand - reserved <= 20"),
        ({"available": {"gte": "20.0001"}}, "on_hand - reserved > 20"),
        ({"available": {"gte": "0", "lte": "0"}}, "on_hand = reserved"),
        ({"available": {"gte": "5", "lte": "4"}}, "false"),
        ({"available": {}}, "true"),
        ({"available": {"gte": None, "lte": None}}, "true"),
        ({"available": {"gte": "0.000000000001"}}, "on_hand > reserved"),
        ({"belowReorderPoint": True}, REORDER),
        ({"belowReorderPoint": False}, "not " + REORDER),
        ({"hasStock": True}, "on_hand <> 0"),
        ({"hasStock": False}, "on_hand = 0"),
        (
            {"hasStock": True, "belowReorderPoint": True, "warehouseIds": ids("Warehouse", 1)},
            f"on_hand <> 0 and warehouse_id = 1 and {REORDER}",
        ),
    ],
    "valuationEntries": [
        ({"kinds": ["DIFFERENCE", "OPENING"]}, "kind in ('DIFFERENCE', 'OPENING')"),
        ({"kinds": []}, "false"),
        ({"productIds": ids("Product", 5, 9)}, "product_id in (5, 9)"),
        (
            {"postedAt": {"from": "2026-06-01T00:00:00Z"}, "kinds": ["PURCHASE"]},
            "posted_at >= '2026-06-01Z' and kind = 'PURCHASE'",
        ),
    ],
    "stockMoves": [
        ({"kinds": ["SCRAP", "RETURN"]}, "kind in ('SCRAP', 'RETURN')"),
        ({"kinds": []}, "false"),
        ({"productIds": ids("Product", 5, 9)}, "product_id in (5, 9)"),
        ({"postedAt": {"from": "2026-06-01T00:00:00Z"}}, "posted_at >= '2026-06-01Z'"),
        ({"postedAt": {"to": "2025-06-30T07:00:00+02:00"}}, "posted_at <= '2025-06-30 05:00Z'"),
        (
            {
                "postedAt": {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
                "kinds": ["RECEIPT"],
            },
            "posted_at between '2026-01-01Z' and '2026-02-01Z' and kind = 'RECEIPT'",
        ),
        ({"postedAt": {"from": "9999-12-31T23:59:59Z"}}, "false"),
        ({"lotIds": ids("Lot", 1, 2, 3)}, "lot_id in (1, 2, 3)"),
    ],
    "currencyRates": [
        ({}, "true"),
        ({"base": "USD"}, "base = 'USD'"),
        ({"quote": "EUR"}, "quote = 'EUR'"),
        (
            {"base": "USD", "quote": "EUR", "validOn": {"to": "2026-03-31"}},
            "base = 'USD' and quote = 'EUR' and valid_on <= '2026-03-31'",
        ),
    ],
    "taxes": [
        ({"use": "SALE"}, "use = 'SALE'"),
        ({"positions": ["EXPORT"]}, "position = 'EXPORT'"),
        ({"positions": []}, "false"),
    ],
    "lots": [
        ({}, "true"),
        ({"numbers": ["SN00000007", "none"]}, "number = 'SN00000007'"),
        ({"productIds": ids("Product", 3, 4, 5)}, "product_id in (3, 4, 5)"),
        ({"receivedOn": {"from": "2026-05-01"}}, "received_on >= '2026-05-01'"),
        (
            {"expiresOn": {"from": "2027-01-01", "to": "2027-06-30"}},
            "expires_on between '2027-01-01' and '2027-06-30'",
        ),
    ],
    "salesOrders": [
        ({}, "true"),
        (
            {"numbers": ["SO-2026-000001", "SO-2026-000002", "x"]},
            "number in ('SO-2026-000001', 'SO-2026-000002')",
        ),
        ({"numbers": []}, "false"),
        ({"externalRefs": ["EDI-00000998", "nothing"]}, "external_ref = 'EDI-00000998'"),
        ({"states": ["CONFIRMED", "PLACED"]}, "state in ('CONFIRMED', 'PLACED')"),
        ({"states": []}, "false"),
        ({"shipmentStatus": ["NONE", "PARTIAL"]}, "shipment_status <> 'SHIPPED'"),
        ({"invoiceStatus": ["NONE", "PARTIAL"]}, "invoice_status <> 'INVOICED'"),
        ({"paymentStatus": ["PARTIAL", "PAID"]}, "payment_status <> 'NOT_PAID'"),
        ({"hold": "CREDIT"}, "hold = 'CREDIT'"),
        ({"hold": None}, "true"),
        ({"placedOn": {"from": "2026-01-01"}}, "placed_on >= '2026-01-01'"),
        ({"placedOn": {"to": "2025-12-31"}}, "placed_on <= '2025-12-31'"),
        (
            {"placedOn": {"from": "2026-03-01", "to": "2026-03-01"}},
            "placed_on = '2026-03-01'",
        ),
        ({"placedOn": {"from": "0001-01-01", "to": "9999-12-31"}}, "true"),
        ({"partnerIds": ids("Partner", 31, 32)}, "partner_id in (31, 32)"),
        ({"warehouseIds": ids("Warehouse", 2)}, "warehouse_id = 2"),
        ({"warehouseIds": ids("Warehouse", 3)}, "false"),
        (
            {
                "states": ["CONFIRMED"],
                "shipmentStatus": ["NONE"],
                "placedOn": {"from": "2026-01-01"},
                "warehouseIds": ids("Warehouse", 1, 2),
            },
            "state = 'CONFIRMED' and shipment_status = 'NONE' and placed_on >= '2026-01-01'",
        ),
    ],
    "incomingStock": [
        ({}, "true"),
        ({"warehouseIds": ids("Warehouse", 2)}, "warehouse_id = 2"),
        ({"warehouseIds": ids("Warehouse", 3)}, "false"),
        (
            {"productIds": ids("Product", *range(1, 200))},
            "product_id between 1 and 199",
        ),
        ({"expectedOn": {"to": "2026-06-29"}}, "expected_on < '2026-06-30'"),
        (
            {"expectedOn": {"from": "2026-06-30"}, "warehouseIds": ids("Warehouse", 1)},
            "expected_on >= '2026-06-30' and warehouse_id = 1",
        ),
    ],
    "purchaseOrders": [
        ({}, "true"),
        (
            {"numbers": ["PO-2026-000001", "PO-2026-000002", "x"]},
            "number in ('PO-2026-000001', 'PO-2026-000002')",
        ),
        ({"supplierRefs": ["AB-168152", "nothing"]}, "supplier_ref = 'AB-168152'"),
        ({"states": ["SENT", "TO_APPROVE"]}, "state in ('SENT', 'TO_APPROVE')"),
        ({"states": []}, "false"),
        ({"receiptStatus": ["NONE", "PARTIAL"]}, "receipt_status <> 'RECEIVED'"),
        ({"billStatus": ["NONE", "PARTIAL"]}, "bill_status <> 'BILLED'"),
        ({"orderedOn": {"from": "2026-06-01"}}, "ordered_on >= '2026-06-01'"),
        (
            {"expectedOn": {"from": "2026-06-01", "to": "2026-06-30"}},
            "expected_on between '2026-06-01' and '2026-06-30'",
        ),
        (
            {"lateOn": "2026-06-30"},
            "expected_on < '2026-06-30' and state = 'CONFIRMED' and receipt_status <> 'RECEIVED'",
        ),
        ({"lateOn": "2025-07-01"}, "false"),
        ({"lateOn": None}, "true"),
        ({"supplierIds": ids("Partner", 1, 2, 3)}, "partner_id in (1, 2, 3)"),
        ({"supplierIds": ids("Partner", 31)}, "false"),
        ({"warehouseIds": ids("Warehouse", 2)}, "warehouse_id = 2"),
        (
            {"lateOn": "2026-12-31", "warehouseIds": ids("Warehouse", 1), "states": ["CONFIRMED"]},
            "state = 'CONFIRMED' and receipt_status <> 'RECEIVED' and warehouse_id = 1",
        ),
    ],
    "goodsReceipts": [
        ({}, "true"),
        ({"numbers": ["GR-2026-000001", "x"]}, "number = 'GR-2026-000001'"),
        ({"orderIds": ids("PurchaseOrder", *range(1, 51))}, "order_id <= 50"),
        ({"supplierIds": ids("Partner", 1, 2, 3)}, "partner_id in (1, 2, 3)"),
        ({"warehouseIds": ids("Warehouse", 2)}, "warehouse_id = 2"),
        ({"receivedOn": {"from": "2026-06-01"}}, "received_on >= '2026-06-01'"),
        (
            {"receivedOn": {"to": "2025-12-31"}, "warehouseIds": ids("Warehouse", 1)},
            "received_on < '2026-01-01' and warehouse_id = 1",
        ),
    ],
    "supplierOffers": [
        ({}, "true"),
        ({"supplierIds": ids("Partner", 1, 2)}, "partner_id in (1, 2)"),
        ({"productIds": ids("Product", 1, 2, 3)}, "product_id in (1, 2, 3)"),
        ({"supplierSkus": ["011-379181", "none"]}, "supplier_sku = '011-379181'"),
        (
            {"supplierIds": ids("Partner", 11), "productIds": ids("Product", 1)},
            "partner_id = 11 and product_id = 1",
        ),
    ],
    "reorderSuggestions": [
        ({}, "true"),
        ({"warehouseIds": ids("Warehouse", 1)}, "warehouse_id = 1"),
        ({"warehouseIds": ids("Warehouse", 3)}, "false"),
        (
            {"productIds": ids("Product", *range(1, 200))},
            "product_id between 1 and 199",
        ),
    ],
}
"""What clients can ask, and the SQL of what they should get."""


def filter_input(field: str) -> GraphQLInputObjectType:
    """Return the filter of a list."""
    assert SCHEMA.query_type is not None
    found = get_named_type(SCHEMA.query_type.fields[field].args["filter"].type)
    assert isinstance(found, GraphQLInputObjectType)
    return found


def test_every_filter_of_the_schema_is_tested_here() -> None:
    """A new filter, or a new list with one, is not forgotten."""
    assert SCHEMA.query_type is not None
    lists = {name for name, field in SCHEMA.query_type.fields.items() if "filter" in field.args}
    assert lists == set(CASES)
    for field, cases in CASES.items():
        used = {name for filters, _ in cases for name in filters}
        assert used == set(filter_input(field).fields), field


@pytest.mark.parametrize(
    ("field", "filters", "condition"),
    [(field, *case) for field, cases in CASES.items() for case in cases],
    ids=[f"{field}-{n}" for field, cases in CASES.items() for n in range(len(cases))],
)
async def test_a_list_holds_what_its_filter_says(
    reader: BothPaths, field: str, filters: dict[str, Any], condition: str
) -> None:
    """All pages together are the rows of the condition, and the count is theirs."""
    query = f"""
      query Filtered($filter: {filter_input(field).name}, $after: String) {{
        {field}(first: 200, after: $after, filter: $filter) {{
          totalCount nodes {{ id }} pageInfo {{ endCursor hasNextPage }} }} }}"""
    type_name = {
        "journalEntries": "JournalEntry",
        "valuationEntries": "ValuationEntry",
        "taxes": "Tax",
        "auditEntries": "AuditEntry",
        "opportunities": "Opportunity",
        "activities": "Activity",
        "products": "Product",
        "partners": "Partner",
        "incomingStock": "IncomingStock",
        "reorderSuggestions": "ReorderRule",
    }.get(field)
    type_name = type_name or f"{field[0].upper()}{field[1:-1]}"
    table = TABLES[field].format(condition)
    expected = {encode_id(type_name, key) for key in await reader.ids(f"select id from {table}")}
    seen: list[str] = []
    cursor = None
    while True:
        data = await reader.data(query, {"filter": filters, "after": cursor})
        page = data[field]
        assert page["totalCount"] == len(expected)
        seen += [node["id"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        cursor = page["pageInfo"]["endCursor"]
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


def test_conditions_find_some_rows_and_not_all() -> None:
    """The cases of a list are not all trivial."""
    for field, cases in CASES.items():
        telling = [c for _, c in cases if c not in ("true", "false", ACTIVE + "true")]
        assert len(telling) >= len(filter_input(field).fields), field


@pytest.mark.parametrize(
    ("field", "filters", "message", "path"),
    [
        ("products", {"search": "-"}, "Give at least one letter or digit", ["filter", "search"]),
        ("products", {"search": "a" * 201}, "Search for at most", ["filter", "search"]),
        ("products", {"skus": ["x"] * 201}, "filter.skus takes at most 200", ["filter", "skus"]),
        (
            "products",
            {"categoryId": encode_id("Product", 1)},
            "filter.categoryId is the id of a Product, not of a ProductCategory.",
            ["filter", "categoryId"],
        ),
        (
            "stockLevels",
            {"warehouseIds": [encode_id("Warehouse", 1), "x"]},
            "filter.warehouseIds.1 is not an id",
            ["filter", "warehouseIds", "1"],
        ),
        (
            "salesOrders",
            {"partnerIds": ids("Partner", *range(1, 202))},
            "filter.partnerIds takes at most 200",
            ["filter", "partnerIds"],
        ),
    ],
)
async def test_filters_that_cannot_be_used_are_refused_by_name(
    reader: BothPaths, field: str, filters: dict[str, Any], message: str, path: list[str]
) -> None:
    """The error names the filter, and the place in its list."""
    query = f"query($f: {filter_input(field).name}) {{ {field}(filter: $f) {{ totalCount }} }}"
    error = await reader.refusal(query, {"f": filters})
    assert error["message"].startswith(message)
    assert error["extensions"] == {"code": "VALIDATION", "inputPath": path}
    assert error["path"] == [field]

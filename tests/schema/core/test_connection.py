"""Connections: every list of the schema, walked from both ends, and the lists below objects."""

from base64 import urlsafe_b64decode
from typing import Any, Final

import pytest
import pytest_asyncio
from graphql import GraphQLNonNull, GraphQLObjectType

from resolvers.core.listing import MAX_PAGE
from schema.build import build_schema, core_schema
from schema.core.ids import encode_id
from schema.core.plan import ConnectionPlan, plan_of
from tests.fixtures.paths import BothPaths

SCHEMA: Final = core_schema(build_schema())


def connections() -> dict[str, ConnectionPlan]:
    """Return every connection field of the schema with its plan, by `Type.field`."""
    found = {}
    for type_ in SCHEMA.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name, field in type_.fields.items():
                definition = field.extensions.get("strawberry-definition")
                plan = plan_of(definition) if definition is not None else None
                if isinstance(plan, ConnectionPlan):
                    found[f"{type_.name}.{name}"] = plan
    return found


CONNECTIONS: Final = connections()

LISTS: Final = {
    "accounts": "select id from account where company_id = 1 order by code, id",
    "fiscalPeriods": """
        select id from fiscal_period where company_id = 1 order by ends_on desc, id desc""",
    "journalEntries": """
        select id from journal_entry where company_id = 1 order by posted_on desc, id desc""",
    "documents": "select id from document where company_id = 1 order by id desc",
    "extractions": "select id from extraction where company_id = 1 order by id desc",
    "opportunities": "select id from opportunity where company_id = 1 order by expected_close, id",
    "activities": "select id from activity where company_id = 1 order by due_on, id",
    "syncRuns": "select id from sync_run where company_id = 1 order by id desc",
    "connectors": "select id from connector where company_id = 1 order by code, id",
    "contracts": "select id from contract where company_id = 1 order by starts_on desc, id desc",
    "webhooks": """
        select id from webhook where company_id = 1 and archived_at is null order by id desc""",
    "jobs": "select id from job where company_id = 1 order by id desc",
    "auditEntries": "select id from audit_log where company_id = 1 order by id desc",
    "goodsReturns": """
        select id from goods_return where company_id = 1 order by received_on desc, id desc""",
    "stockHolds": """
        select id from stock_hold where company_id = 1 order by expires_at desc, id desc""",
    "stockTransfers": """
        select id from stock_transfer where company_id = 1 order by sent_on desc, id desc""",
    "stockCounts": """
        select id from stock_count where company_id = 1 order by started_on desc, id desc""",
    "shipments": "select id from shipment where company_id = 1 order by planned_on desc, id desc",
    "invoices": "select id from invoice where company_id = 1 order by invoiced_on desc, id desc",
    "payments": "select id from payment where company_id = 1 order by paid_on desc, id desc",
    "salesOrderLines": """
        select l.id from sales_order_line l join sales_order o on o.id = l.order_id
        where o.company_id = 1 order by o.placed_on desc, l.id desc""",
    "currencies": "select code from currency where archived_at is null order by code",
    "unitsOfMeasure": "select id from unit_of_measure order by code, id",
    "users": """
        select id from app_user u where archived_at is null
          and exists (select from user_role r where r.user_id = u.id and r.company_id = 1)
        order by id""",
    "apiClients": """
        select id from api_client where company_id = 1 and archived_at is null order by id""",
    "partners": "select id from partner where archived_at is null order by name, id",
    "products": "select id from product where archived_at is null order by sku, id",
    "categories": "select id from product_category where archived_at is null order by path, id",
    "priceLists": """
        select id from price_list
        where archived_at is null and (company_id = 1 or company_id is null) order by code, id""",
    "warehouses": """
        select id from warehouse where company_id = 1 and archived_at is null order by code, id""",
    "stockLevels": """
        select id from stock_level where company_id = 1 order by on_hand - reserved, id""",
    "stockMoves": "select id from stock_move where company_id = 1 order by posted_at desc, id desc",
    "valuationEntries": """
        select id from valuation_entry where company_id = 1 order by posted_at desc, id desc""",
    "currencyRates": "select id from currency_rate order by valid_on desc, id desc",
    "taxes": "select id from tax where company_id = 1 order by code, id",
    "lots": "select id from lot where company_id = 1 order by received_on desc, id desc",
    "salesOrders": """
        select id from sales_order where company_id = 1 order by placed_on desc, id desc""",
    "incomingStock": """
        select id from incoming_stock where company_id = 1 order by expected_on, id""",
    "purchaseOrders": """
        select id from purchase_order where company_id = 1 order by ordered_on desc, id desc""",
    "goodsReceipts": """
        select id from goods_receipt where company_id = 1 order by received_on desc, id desc""",
    "supplierOffers": """
        select id from supplier_offer where company_id = 1 and archived_at is null
        order by product_id, priority, id""",
    "reorderSuggestions": """
        select r.id from reorder_rule r
        left join stock_level l using (product_id, warehouse_id)
        left join stock_projection e using (product_id, warehouse_id)
        where r.company_id = 1 and r.archived_at is null and r.min_quantity >=
          coalesce(l.on_hand, 0) + coalesce(e.incoming, 0) - coalesce(e.outgoing, 0)
        order by r.id""",
}
"""Each list of the root as SQL by hand, for company 1."""

NESTED: Final = {
    "Webhook.deliveries": (
        "{ webhooks { nodes { id sub: deliveries(%s) { %s } } } }",
        (
            "select id from webhook_delivery where company_id = 1 and webhook_id = $1"
            " order by seq desc, id desc"
        ),
    ),
    "Connector.runs": (
        "{ connectors { nodes { id sub: runs(%s) { %s } } } }",
        "select id from sync_run where company_id = 1 and connector_id = $1 order by id desc",
    ),
    "SyncRun.failures": (
        "{ syncRuns(first: 60) { nodes { id sub: failures(%s) { %s } } } }",
        "select id from sync_failure where company_id = 1 and run_id = $1 order by id",
    ),
    "Partner.opportunities": (
        "{ partners(first: 60) { nodes { id sub: opportunities(%s) { %s } } } }",
        (
            "select id from opportunity where company_id = 1 and partner_id = $1"
            " order by expected_close, id"
        ),
    ),
    "Warehouse.shipments": (
        "{ warehouses { nodes { id sub: shipments(%s) { %s } } } }",
        (
            "select id from shipment where company_id = 1 and warehouse_id = $1"
            " order by planned_on desc, id desc"
        ),
    ),
    "Account.lines": (
        "{ accounts { nodes { id sub: lines(%s) { %s } } } }",
        (
            "select id from journal_line where company_id = 1 and account_id = $1"
            " order by posted_on desc, id desc"
        ),
    ),
    "Partner.invoices": (
        "{ partners(first: 60) { nodes { id sub: invoices(%s) { %s } } } }",
        (
            "select id from invoice where company_id = 1 and partner_id = $1"
            " order by invoiced_on desc, id desc"
        ),
    ),
    "Partner.payments": (
        "{ partners(first: 60) { nodes { id sub: payments(%s) { %s } } } }",
        (
            "select id from payment where company_id = 1 and partner_id = $1"
            " order by paid_on desc, id desc"
        ),
    ),
    "Partner.orders": (
        "{ partners(first: 60) { nodes { id sub: orders(%s) { %s } } } }",
        (
            "select id from sales_order where company_id = 1 and partner_id = $1"
            " order by placed_on desc, id desc"
        ),
    ),
    "Product.moves": (
        "{ products(first: 60) { nodes { id sub: moves(%s) { %s } } } }",
        (
            "select id from stock_move where company_id = 1 and product_id = $1"
            " order by posted_at desc, id desc"
        ),
    ),
    "Lot.moves": (
        "{ lots(first: 60) { nodes { id sub: moves(%s) { %s } } } }",
        (
            "select id from stock_move where company_id = 1 and lot_id = $1"
            " order by posted_at desc, id desc"
        ),
    ),
    "Product.incoming": (
        "{ products(first: 200) { nodes { id sub: incoming(%s) { %s } } } }",
        (
            "select id from incoming_stock where company_id = 1 and product_id = $1"
            " order by expected_on, id"
        ),
    ),
    "Partner.purchaseOrders": (
        (
            "{ partners(first: 60, filter: {isSupplier: true}) {"
            " nodes { id sub: purchaseOrders(%s) { %s } } } }"
        ),
        (
            "select id from purchase_order where company_id = 1 and partner_id = $1"
            " order by ordered_on desc, id desc"
        ),
    ),
    "Partner.offers": (
        (
            "{ partners(first: 60, filter: {isSupplier: true}) {"
            " nodes { id sub: offers(%s) { %s } } } }"
        ),
        (
            "select id from supplier_offer where company_id = 1 and partner_id = $1"
            " and archived_at is null order by product_id, priority, id"
        ),
    ),
    "Warehouse.levels": (
        "{ warehouses { nodes { id sub: levels(%s) { %s } } } }",
        "select id from stock_level where warehouse_id = $1 order by on_hand - reserved, id",
    ),
    "StockLevel.reservations": (
        (
            "{ stockLevels(first: 60, filter: {hasStock: true}) { nodes { id sub: reservations(%s) "
            "{ %s } } } }"
        ),
        "select id from stock_reservation where level_id = $1 order by id",
    ),
    "PriceList.items": (
        "{ priceLists { nodes { id sub: items(%s) { %s } } } }",
        (
            "select id from price_list_item where price_list_id = $1 and archived_at is null"
            " and (company_id = 1 or company_id is null) order by id"
        ),
    ),
}
"""Each list below an object: a query for many parents, and one parent's list as SQL by hand."""

PAGE_INFO: Final = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"


def test_every_list_of_the_schema_is_tested_here() -> None:
    """A new connection is not forgotten."""
    roots = {name.removeprefix("Query.") for name in CONNECTIONS if name.startswith("Query.")}
    assert roots == set(LISTS)
    whole = "ChangeGap."
    nested = {name for name in CONNECTIONS if not name.startswith(("Query.", whole))}
    assert nested == set(NESTED)
    # a state lists what root fields of the same names do, by the same listings
    for name in CONNECTIONS:
        if name.startswith(whole):
            assert CONNECTIONS[name] == CONNECTIONS[f"Query.{name.removeprefix(whole)}"]


@pytest.mark.parametrize("plan", CONNECTIONS.values(), ids=CONNECTIONS)
def test_lists_are_ordered_by_columns_that_are_never_null(plan: ConnectionPlan) -> None:
    """A keyset cannot go on behind NULL, so no order sorts by a column that can be NULL."""
    listing = plan.listing
    for names in listing.orders.values():
        for name in (*names, listing.entity.key):
            column = listing.entity.table.columns.get(name)
            parts = [column] if column is not None else listing.entity.columns[name].get_children()
            assert not any(getattr(part, "nullable", False) for part in parts), name


def key_of(field: str, node: dict[str, Any]) -> str:
    """Return what tells nodes of a list apart."""
    return str(node["code" if field == "currencies" else "id"])


def expected_keys(field: str, keys: list[Any]) -> list[str]:
    """Return the keys of nodes, from what SQL found."""
    if field == "currencies":
        return [str(key).strip() for key in keys]
    definition = SCHEMA.query_type.fields[field] if SCHEMA.query_type else None
    assert definition is not None
    type_ = definition.type
    named = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    assert isinstance(named, GraphQLObjectType)
    return [encode_id(named.name.removesuffix("Connection"), key) for key in keys]


@pytest.mark.parametrize("backward", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("field", LISTS)
async def test_all_pages_together_are_the_list(
    reader: BothPaths, field: str, *, backward: bool
) -> None:
    """From either end, the pages hold every row of the company once, in the order of the SQL."""
    expected = expected_keys(field, await reader.ids(LISTS[field]))
    sizes = [MAX_PAGE, 7, 1] if len(expected) < 100 else [MAX_PAGE, 37]
    for size in sizes:
        assert await walk(reader, field, size, backward=backward) == expected


async def walk(reader: BothPaths, field: str, size: int, *, backward: bool) -> list[str]:
    """Read all pages from one end, and check what every page says about itself."""
    one = "code" if field == "currencies" else "id"
    arguments = "last: $size, before: $cursor" if backward else "first: $size, after: $cursor"
    query = f"""
      query Walk($size: Int!, $cursor: String) {{
        {field}({arguments}) {{ edges {{ cursor node {{ {one} }} }} nodes {{ {one} }} {PAGE_INFO} }}
      }}"""
    seen: list[str] = []
    cursor = None
    while True:
        data = await reader.data(query, {"size": size, "cursor": cursor})
        assert reader.statements == 1
        page, info = data[field], data[field]["pageInfo"]
        assert page["nodes"] == [edge["node"] for edge in page["edges"]]
        cursors = [edge["cursor"] for edge in page["edges"]] or [None]
        assert (info["startCursor"], info["endCursor"]) == (cursors[0], cursors[-1])
        keys = [key_of(field, node) for node in page["nodes"]]
        seen = keys + seen if backward else seen + keys
        ahead, behind = info["hasNextPage"], info["hasPreviousPage"]
        if backward:
            ahead, behind = behind, ahead
        assert behind is (cursor is not None)
        if not ahead:
            return seen
        cursor = cursors[0] if backward else cursors[-1]


@pytest.mark.parametrize("field", LISTS)
async def test_total_count_is_the_length_of_the_list(reader: BothPaths, field: str) -> None:
    """The count does not depend on the page, and is a statement of its own, alone or not."""
    expected = len(await reader.ids(LISTS[field]))
    for arguments in ("", "(first: 1)", "(last: 2)", "(first: 0)"):
        data = await reader.data(f"{{ {field}{arguments} {{ totalCount {PAGE_INFO} }} }}")
        assert data[field]["totalCount"] == expected
        assert reader.statements == 2


IMPOSSIBLE = {
    "first: -1": "first",
    "first: 201": "first",
    "last: -1": "last",
    "last: 201": "last",
    "first: 1, last: 1": "last",
    'first: 1, after: ""': "after",
    'first: 1, after: "x"': "after",
    'last: 1, before: "bm90IGEgY3Vyc29y"': "before",
    'last: 1, after: "x"': "after",
    'first: 1, before: "x"': "before",
}
"""Arguments of pages that there cannot be, and which of them is wrong."""


@pytest.mark.parametrize("field", LISTS)
async def test_impossible_pages_name_the_argument(reader: BothPaths, field: str) -> None:
    """The error is of the field, says what is wrong with which argument, and reads nothing."""
    for arguments, argument in IMPOSSIBLE.items():
        query = f"{{ {field}({arguments}) {{ pageInfo {{ hasNextPage }} }} }}"
        error = await reader.refusal(query)
        assert error["path"] == [field], arguments
        assert error["extensions"] == {"code": "VALIDATION", "inputPath": [argument]}, arguments
        assert reader.statements == 0, arguments


@pytest_asyncio.fixture(scope="module")
async def cursors(reader: BothPaths) -> dict[str, str]:
    """Return a cursor of each list."""
    ends = {}
    for field in LISTS:
        data = await reader.data(f"{{ {field}(first: 1) {{ pageInfo {{ endCursor }} }} }}")
        ends[field] = data[field]["pageInfo"]["endCursor"]
    return ends


@pytest.mark.parametrize("field", LISTS)
async def test_cursors_of_other_lists_are_refused(
    reader: BothPaths, cursors: dict[str, str], field: str
) -> None:
    """No list takes the cursor of any other."""
    query = f"query($c: String) {{ {field}(first: 1, after: $c) {{ {PAGE_INFO} }} }}"
    for other, cursor in cursors.items():
        answer = await reader.run(query, {"c": cursor})
        codes = [error["extensions"].get("inputPath") for error in answer.errors]
        assert codes == ([] if other == field else [["after"]]), other


@pytest.mark.parametrize("arguments", ["first: 3", "last: 2", "first: 0", "first: 200"])
@pytest.mark.parametrize("name", NESTED)
async def test_each_parent_has_its_own_page(reader: BothPaths, name: str, arguments: str) -> None:
    """Sizes, flags and counts hold per parent, for all parents in one statement each."""
    query, sql = NESTED[name]
    data = await reader.data(query % (arguments, f"totalCount nodes {{ id }} {PAGE_INFO}"))
    assert reader.statements == 3
    [listed] = data.values()
    assert len(listed["nodes"]) > 1
    end, size = arguments.split(": ")
    for parent in listed["nodes"]:
        keys = await reader.ids(sql, key_in(parent["id"]))
        expected = keys[: int(size)] if end == "first" else keys[-int(size) :]
        page = parent["sub"]
        assert [key_in(node["id"]) for node in page["nodes"]] == expected
        assert page["totalCount"] == len(keys)
        more = len(keys) > int(size)
        flags = (page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"])
        assert flags == ((more, False) if end == "first" else (False, more))


@pytest.mark.parametrize("name", NESTED)
async def test_a_parents_page_goes_on_where_it_ended(reader: BothPaths, name: str) -> None:
    """The cursor from a page below one of many parents goes on below that parent alone."""
    query, sql = NESTED[name]
    data = await reader.data(query % ("first: 2", f"nodes {{ id }} {PAGE_INFO}"))
    [listed] = data.values()
    parent = next(p for p in listed["nodes"] if p["sub"]["pageInfo"]["hasNextPage"])
    type_, field = name.split(".")
    one = f"""
      query One($id: ID!, $after: String) {{
        node(id: $id) {{ ... on {type_} {{ {field}(first: 2, after: $after) {{
          nodes {{ id }} {PAGE_INFO} }} }} }} }}"""
    keys = await reader.ids(sql, key_in(parent["id"]))
    seen = [key_in(node["id"]) for node in parent["sub"]["nodes"]]
    cursor = parent["sub"]["pageInfo"]["endCursor"]
    for _ in range(5):
        data = await reader.data(one, {"id": parent["id"], "after": cursor})
        page = data["node"][field]
        seen += [key_in(node["id"]) for node in page["nodes"]]
        assert seen == keys[: len(seen)]
        assert page["pageInfo"]["hasPreviousPage"]
        assert page["pageInfo"]["hasNextPage"] is (len(seen) < len(keys))
        cursor = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break


def key_in(global_id: str) -> int:
    """Return the key inside a global id, without the code under test."""
    return int(urlsafe_b64decode(global_id + "==").decode().partition(":")[2])


async def test_a_list_twice_with_other_arguments_is_two_lists(reader: BothPaths) -> None:
    """Aliases with other arguments do not share a page; with the same ones they share the rows."""
    data = await reader.data("""
      { warehouses(first: 1) { nodes {
          few: levels(first: 2) { nodes { id } totalCount }
          same: levels(first: 2) { nodes { id onHand } }
          high: levels(first: 2, orderBy: {field: AVAILABLE, direction: DESC}) { nodes { id } }
          none: levels(first: 2, filter: {productIds: []}) { nodes { id } totalCount }
      } } }""")
    [warehouse] = data["warehouses"]["nodes"]
    few, same, high, none = (warehouse[name] for name in ("few", "same", "high", "none"))
    assert [node["id"] for node in same["nodes"]] == [node["id"] for node in few["nodes"]]
    assert high["nodes"] != few["nodes"]
    assert none == {"nodes": [], "totalCount": 0}
    assert few["totalCount"] > 2
    assert reader.statements == 1 + 3 + 2

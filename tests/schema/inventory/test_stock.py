"""Stock as clients see it: levels, totals, projections, reorder points, balances and moves."""

from decimal import Decimal
from typing import Any, Final

import pytest

from schema.core.ids import encode_id
from tests.fixtures.paths import BothPaths

NUMBERS: Final = ("onHand", "reserved", "available", "incoming", "outgoing", "projected")
STOCK: Final = f"""
  query Stock($after: String, $warehouses: [ID!]) {{
    products(first: 100, after: $after, filter: {{includeArchived: true}}) {{
      pageInfo {{ endCursor hasNextPage }}
      nodes {{
        id
        availability(warehouseIds: $warehouses) {{ {" ".join(NUMBERS)} warehouse {{ id }} }}
        totals(warehouseIds: $warehouses) {{ {" ".join(NUMBERS)} }}
      }} }} }}"""


async def products(reader: BothPaths, warehouses: list[int] | None) -> list[dict[str, Any]]:
    """Return the stock of all products."""
    found: list[dict[str, Any]] = []
    ids = None if warehouses is None else [encode_id("Warehouse", id_) for id_ in warehouses]
    variables: dict[str, Any] = {"warehouses": ids}
    while True:
        data = await reader.data(STOCK, variables)
        found += data["products"]["nodes"]
        if not data["products"]["pageInfo"]["hasNextPage"]:
            return found
        variables["after"] = data["products"]["pageInfo"]["endCursor"]


@pytest.mark.parametrize("warehouses", [None, [1], [2], [1, 2], [2, 1, 2], [3], [2**40], []])
async def test_totals_are_the_sums_of_the_levels(
    reader: BothPaths, warehouses: list[int] | None
) -> None:
    """Over all warehouses or some, every product's totals add up to the digit; none is 0."""
    for product in await products(reader, warehouses):
        levels = product["availability"]
        for number in NUMBERS:
            expected = sum((Decimal(level[number]) for level in levels), Decimal("0.0000"))
            assert product["totals"][number] == f"{expected:.4f}", (product["id"], number)
        for level in levels:
            on_hand, reserved, available, incoming, outgoing, projected = (
                Decimal(level[number]) for number in NUMBERS
            )
            assert available == on_hand - reserved
            assert projected == on_hand + incoming - outgoing
        places = [level["warehouse"]["id"] for level in levels]
        asked = {1, 2} if warehouses is None else {1, 2} & set(warehouses)
        assert places == sorted(set(places) & {encode_id("Warehouse", id_) for id_ in asked})


@pytest.mark.parametrize(
    ("rule", "projected", "expected"),
    [
        (None, "0", False),
        ("10, 20, null", "10.0001", False),
        ("10, 20, null", "10", True),
        ("10, 20, null", "9.9999", True),
        ("0, 0, null", "0", True),
        ("10, 20, now()", "0", False),
    ],
)
async def test_the_reorder_point_is_reached_at_its_quantity(
    own_reader: BothPaths, rule: str | None, projected: str, *, expected: bool
) -> None:
    """At the point counts as below it; archived rules and products without a rule never do."""
    owner = own_reader.owner
    row = await owner.fetchrow("select id, product_id, warehouse_id from stock_level where id = 1")
    assert row is not None
    place = (row["product_id"], row["warehouse_id"])
    await owner.execute("delete from reorder_rule where product_id = $1", row["product_id"])
    await owner.execute("update stock_level set on_hand = 5, reserved = 0 where id = 1")
    await owner.execute(
        "insert into stock_projection (company_id, product_id, warehouse_id, incoming, outgoing)"
        " values (1, $1, $2, greatest(0, $3::numeric - 5), greatest(0, 5 - $3::numeric))"
        " on conflict (product_id, warehouse_id)"
        " do update set incoming = excluded.incoming, outgoing = excluded.outgoing",
        *place,
        Decimal(projected),
    )
    if rule is not None:
        await owner.execute(
            "insert into reorder_rule (company_id, product_id, warehouse_id, min_quantity,"
            f" target_quantity, archived_at) values (1, $1, $2, {rule})",
            *place,
        )
    query = """
      query($id: ID!, $products: [ID!]) {
        node(id: $id) { ... on StockLevel { projected belowReorderPoint } }
        below: stockLevels(filter: {belowReorderPoint: true, productIds: $products}) { ...Ids }
        above: stockLevels(filter: {belowReorderPoint: false, productIds: $products}) { ...Ids }
      }
      fragment Ids on StockLevelConnection { nodes { id } }"""
    id_ = encode_id("StockLevel", 1)
    data = await own_reader.data(query, {"id": id_, "products": [encode_id("Product", place[0])]})
    assert Decimal(data["node"]["projected"]) == Decimal(projected)
    assert data["node"]["belowReorderPoint"] is expected
    assert ({"id": id_} in data["below"]["nodes"]) is expected
    assert ({"id": id_} in data["above"]["nodes"]) is not expected


async def test_a_level_without_a_projection_expects_nothing(own_reader: BothPaths) -> None:
    """Nothing is to come and to go where nobody said so, and zeros have four decimals."""
    await own_reader.owner.execute("delete from stock_projection")
    data = await own_reader.data(
        "{ stockLevels(first: 200) { nodes { onHand incoming outgoing projected } } }"
    )
    for level in data["stockLevels"]["nodes"]:
        assert (level["incoming"], level["outgoing"]) == ("0.0000", "0.0000")
        assert level["projected"] == level["onHand"]


async def test_numbers_keep_all_their_digits(own_reader: BothPaths) -> None:
    """The largest and the smallest quantities there can be are told exactly."""
    await own_reader.owner.execute(
        "update stock_level set on_hand = 99999999999999.9999, reserved = 0.0001 where id = 1"
    )
    data = await own_reader.data(
        'query { node(id: "U3RvY2tMZXZlbDox") { ... on StockLevel { onHand reserved available } } }'
    )
    assert data["node"] == {
        "onHand": "99999999999999.9999",
        "reserved": "0.0001",
        "available": "99999999999999.9998",
    }


async def test_balances_are_where_the_level_is(reader: BothPaths) -> None:
    """Of each level, the places with stock by code; those for sale add up to what is on hand."""
    data = await reader.data(
        """{ stockLevels(first: 200, filter: {hasStock: true}) { nodes {
             onHand warehouse { code }
             balances { onHand location { code sellable warehouse { code } } } } } }"""
    )
    assert reader.ordinary.statements == 4
    for level in data["stockLevels"]["nodes"]:
        balances = level["balances"]
        codes = [balance["location"]["code"] for balance in balances]
        assert codes == sorted(codes)
        assert all(balance["location"]["warehouse"] == level["warehouse"] for balance in balances)
        assert all(Decimal(balance["onHand"]) != 0 for balance in balances)
        for_sale = [b["onHand"] for b in balances if b["location"]["sellable"]]
        assert sum(map(Decimal, for_sale)) == Decimal(level["onHand"])


async def test_virtual_places_are_in_no_warehouse(reader: BothPaths) -> None:
    """Of many moves, the warehouse is null exactly where goods come from or go to outside."""
    data = await reader.data(
        """{ stockMoves(first: 200) { nodes {
             kind fromLocation { kind warehouse { code } } toLocation { kind warehouse { code } }
           } } }"""
    )
    places = [
        place
        for move in data["stockMoves"]["nodes"]
        for place in (move["fromLocation"], move["toLocation"])
    ]
    assert {place["kind"] for place in places} > {"INTERNAL", "CUSTOMER"}
    for place in places:
        assert (place["warehouse"] is not None) is (place["kind"] == "INTERNAL")


async def test_a_closed_warehouse_leaves_the_list_and_stays_where_it_is_named(
    own_reader: BothPaths,
) -> None:
    """Archived rows are not listed, and still resolve by id and by what refers to them."""
    await own_reader.owner.execute("update warehouse set archived_at = now() where id = 2")
    await own_reader.owner.execute("update stock_location set archived_at = now() where id = 1")
    data = await own_reader.data(
        """query($id: ID!) {
             warehouses { totalCount nodes { code locations { code } } }
             node(id: $id) { ... on Warehouse { code archivedAt } }
             stockLevels(first: 1, filter: {warehouseIds: [$id]}) { nodes { warehouse { code } } }
           }""",
        {"id": encode_id("Warehouse", 2)},
    )
    [berlin] = data["warehouses"]["nodes"]
    assert (berlin["code"], data["warehouses"]["totalCount"]) == ("BER", 1)
    assert {"code": "BER-A"} not in berlin["locations"]
    assert data["node"]["code"] == "MUC"
    assert data["node"]["archivedAt"].endswith("Z")
    assert data["stockLevels"]["nodes"] == [{"warehouse": {"code": "MUC"}}]

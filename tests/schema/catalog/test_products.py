"""Products and categories: found by id and by SKU, archived or used again."""

import pytest

from schema.core.ids import encode_id
from tests.fixtures.paths import BothPaths


async def test_a_product_is_found_by_id_and_by_sku(reader: BothPaths) -> None:
    """Both keys find the same product, and exactly one of them has to be given."""
    by_sku = await reader.data('{ product(sku: "HAM-00001") { id sku name } }')
    assert reader.statements == 1
    by_id = await reader.data(
        "query($id: ID!) { product(id: $id) { id sku name } }", {"id": by_sku["product"]["id"]}
    )
    assert by_id == by_sku
    for arguments in ("", "(id: null)", '(id: "UHJvZHVjdDox", sku: "HAM-00001")'):
        error = await reader.refusal(f"{{ product{arguments} {{ id }} }}")
        assert error["message"] == "Give either id or sku."
        assert error["extensions"]["code"] == "VALIDATION"


@pytest.mark.parametrize(
    "sku", ["", "ham-00001", "HAM-00001 ", "HAM", "' or true --", "💥", "x" * 9_999]
)
async def test_other_texts_are_no_skus(reader: BothPaths, sku: str) -> None:
    """A SKU is matched exactly."""
    data = await reader.data("query($s: String) { product(sku: $s) { id } }", {"s": sku})
    assert data == {"product": None}


async def test_archived_products_resolve_and_are_not_listed(reader: BothPaths) -> None:
    """By id and by SKU they are there, with what replaces them; lists leave them out."""
    rows = await reader.owner.fetch(
        "select p.id, p.sku, r.sku as replacement from product p"
        " left join product r on r.id = p.replaced_by_id where p.archived_at is not null"
    )
    assert rows
    for row in rows:
        data = await reader.data(
            """query($id: ID!, $sku: String!) {
                 node(id: $id) { ... on Product { sku archived archivedAt replacedBy { sku } } }
                 product(sku: $sku) { id archived }
                 products(filter: {skus: [$sku]}) { totalCount }
                 with: products(filter: {skus: [$sku], includeArchived: true}) { totalCount } }""",
            {"id": encode_id("Product", row["id"]), "sku": row["sku"]},
        )
        assert data["node"]["sku"] == row["sku"]
        assert data["node"]["archived"] is True
        assert data["node"]["archivedAt"].endswith("Z")
        assert data["node"]["replacedBy"] == (row["replacement"] and {"sku": row["replacement"]})
        assert data["product"] == {"id": encode_id("Product", row["id"]), "archived": True}
        assert (data["products"]["totalCount"], data["with"]["totalCount"]) == (0, 1)


async def test_a_sku_used_again_means_the_product_in_use(own_reader: BothPaths) -> None:
    """Of several products with one SKU the active one is found; without one, the last archived."""
    again = """
      insert into product (sku, name, category_id, uom_id, list_currency, archived_at)
      values ('HAM-00001', $1, 17, 1, 'EUR', $2::text::timestamptz) returning id"""
    owner = own_reader.owner
    for name, archived_at in (("old", "2020-01-01Z"), ("older", "2010-01-01Z")):
        await owner.fetchval(again, name, archived_at)
    query = """{ product(sku: "HAM-00001") { name }
                 productsBySku(skus: ["HAM-00001", "X", "HAM-00001"]) { name } }"""
    current = await owner.fetchval(
        "select name from product where sku = 'HAM-00001' and archived_at is null"
    )
    data = await own_reader.data(query)
    assert data["product"] == {"name": current}
    assert data["productsBySku"] == [{"name": current}, None, {"name": current}]
    await owner.execute(
        "set session_replication_role = replica;"  # it is not, while there is stock of it
        "update product set archived_at = '2015-01-01Z' where archived_at is null;"
        "reset session_replication_role"
    )
    data = await own_reader.data(query)
    assert data["product"] == {"name": "old"}


async def test_products_by_sku_keep_the_order_of_the_skus(reader: BothPaths) -> None:
    """Unknown SKUs are null in their place, repeated ones are repeated, and it is one statement."""
    skus = await reader.ids("select sku from product where archived_at is null order by md5(sku)")
    asked = [skus[0], "unknown", *skus[:197], skus[0]]
    query = "query($skus: [String!]!) { productsBySku(skus: $skus) { sku } }"
    data = await reader.data(query, {"skus": asked})
    assert [product and product["sku"] for product in data["productsBySku"]] == [
        None if sku == "unknown" else sku for sku in asked
    ]
    assert reader.statements == 1
    assert await reader.data(query, {"skus": []}) == {"productsBySku": []}
    error = await reader.refusal(query, {"skus": ["x"] * 201})
    assert error["message"] == "skus takes at most 200 values."
    assert error["extensions"]["inputPath"] == ["skus"]


async def test_the_tree_of_categories_is_the_same_from_both_ends(reader: BothPaths) -> None:
    """Parents and children agree, children are by code, and a level is one statement."""
    data = await reader.data(
        """{ categories(first: 200) { nodes {
             id code path parent { id path } children { code parent { id } } } } }"""
    )
    assert reader.statements == 3  # parents of children are known already
    categories = data["categories"]["nodes"]
    assert [c["path"] for c in categories] == sorted(c["path"] for c in categories)
    for category in categories:
        above = category["parent"]["path"] if category["parent"] else "/"
        assert category["path"] == f"{above}{category['code']}/"
        codes = [child["code"] for child in category["children"]]
        assert codes == sorted(
            other["code"]
            for other in categories
            if other["parent"] and other["parent"]["id"] == category["id"]
        )
        assert all(child["parent"]["id"] == category["id"] for child in category["children"])


async def test_attributes_are_by_name_and_texts(own_reader: BothPaths) -> None:
    """Whatever JSON was stored, clients get names and texts."""
    await own_reader.owner.execute(
        """update product set attributes = '{"z": 1.50, "a": "x", "m": true, "n": null}'
           where sku = 'HAM-00001'"""
    )
    data = await own_reader.data('{ product(sku: "HAM-00001") { attributes { name value } } }')
    assert [attribute["name"] for attribute in data["product"]["attributes"]] == list("amnz")
    assert data["product"]["attributes"][0] == {"name": "a", "value": "x"}

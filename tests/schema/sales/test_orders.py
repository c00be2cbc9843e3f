"""Sales orders: found by whichever key, with lines that add up."""

from decimal import Decimal

import pytest

from schema.core.ids import encode_id
from tests.fixtures.paths import BothPaths


async def test_an_order_is_found_by_each_of_its_keys(reader: BothPaths) -> None:
    """Id, number and external reference find the same order, one of them has to be given."""
    query = """query($id: ID, $number: String, $ref: String) {
      salesOrder(id: $id, number: $number, externalRef: $ref) { id number externalRef } }"""
    rows = await reader.owner.fetch(
        "select id, number, external_ref from sales_order where company_id = 1"
        " and external_ref is not null order by id desc limit 5"
    )
    for row in rows:
        keys = {
            "id": encode_id("SalesOrder", row["id"]),
            "number": row["number"],
            "ref": row["external_ref"],
        }
        for name, key in keys.items():
            data = await reader.data(query, {name: key})
            assert list(data["salesOrder"].values()) == list(keys.values())
            assert reader.statements == 1
        for given in ({}, {"number": None}, {"id": keys["id"], "number": keys["number"]}, keys):
            error = await reader.refusal(query, given)
            assert error["message"] == "Give one of id, number and externalRef."


@pytest.mark.parametrize("key", ["number", "externalRef"])
async def test_a_key_of_another_company_finds_nothing(own_reader: BothPaths, key: str) -> None:
    """Numbers and references are unique in a company, and mean the caller's."""
    await own_reader.owner.execute(
        "update sales_order set number = 'TWICE', external_ref = 'TWICE' where id in"
        " (select max(id) from sales_order group by company_id)"
    )
    await own_reader.owner.execute(
        "update sales_order set number = 'ONLY-THERE', external_ref = 'ONLY-THERE' where id ="
        " (select min(id) from sales_order where company_id = 2)"
    )
    query = f"query($key: String) {{ salesOrder({key}: $key) {{ id }} }}"
    mine = await own_reader.owner.fetchval("select max(id) from sales_order where company_id = 1")
    data = await own_reader.data(query, {"key": "TWICE"})
    assert data["salesOrder"] == {"id": encode_id("SalesOrder", mine)}
    assert await own_reader.data(query, {"key": "ONLY-THERE"}) == {"salesOrder": None}


async def test_of_one_reference_in_two_channels_the_latest_order_is_meant(
    own_reader: BothPaths,
) -> None:
    """The answer does not depend on how the database finds them."""
    ids = await own_reader.ids(
        "select id from sales_order where company_id = 1 order by md5(number) limit 4"
    )
    channels = ("WEB", "EDI", "API", "MANUAL")
    for id_, channel in zip(ids, channels, strict=True):
        await own_reader.owner.execute(
            "update sales_order set external_ref = 'SAME', channel = $2 where id = $1", id_, channel
        )
    data = await own_reader.data('{ salesOrder(externalRef: "SAME") { id } }')
    assert data["salesOrder"]["id"] == encode_id("SalesOrder", max(ids))


async def test_quantities_of_lines_add_up(reader: BothPaths) -> None:
    """Backordered is what is neither shipped, canceled nor reserved; nets make subtotals."""
    data = await reader.data(
        """{ salesOrders(first: 200) { nodes { number subtotal { amount } total { amount }
             taxTotal { amount currency } currency
             lines { seq qty qtyReserved qtyShipped qtyCanceled qtyBackordered
                     net { amount currency } order { number } } } } }"""
    )
    assert reader.statements == 3
    for order in data["salesOrders"]["nodes"]:
        lines = order["lines"]
        assert [line["seq"] for line in lines] == sorted(line["seq"] for line in lines)
        for line in lines:
            assert line["order"]["number"] == order["number"]
            assert line["net"]["currency"] == order["currency"] == order["taxTotal"]["currency"]
            parts = ("qtyReserved", "qtyShipped", "qtyCanceled", "qtyBackordered")
            assert Decimal(line["qty"]) == sum(Decimal(line[part]) for part in parts)
        nets = sum((Decimal(line["net"]["amount"]) for line in lines), Decimal(0))
        assert Decimal(order["subtotal"]["amount"]) == nets
        taxed = nets + Decimal(order["taxTotal"]["amount"])
        assert Decimal(order["total"]["amount"]) == taxed


async def test_what_an_order_refers_to_resolves_when_archived(own_reader: BothPaths) -> None:
    """Documents keep showing customers, addresses, products and warehouses that are gone."""
    for table in ("partner", "partner_address", "product", "warehouse"):
        await own_reader.owner.execute(
            "set session_replication_role = replica;"  # they are not, while orders are open
            f"update {table} set archived_at = now(); reset session_replication_role"
        )
    data = await own_reader.data(
        """{ salesOrders(first: 50) { nodes { partner { name archived addresses { city } }
             shipTo { city } warehouse { code } lines { product { sku archived } } } }
             partners { totalCount } products { totalCount } warehouses { totalCount } }"""
    )
    for order in data["salesOrders"]["nodes"]:
        assert order["partner"]["archived"] is True
        assert order["partner"]["addresses"] == []
        assert order["warehouse"]["code"]
        assert all(line["product"]["archived"] for line in order["lines"])
    assert any(order["shipTo"] for order in data["salesOrders"]["nodes"])
    assert {data[name]["totalCount"] for name in ("partners", "products", "warehouses")} == {0}


async def test_optional_references_may_be_missing(own_reader: BothPaths) -> None:
    """An order without an address to ship to is told, without a statement for nothing."""
    await own_reader.owner.execute("update sales_order set ship_to_id = null")
    data = await own_reader.data("{ salesOrders(first: 5) { nodes { shipTo { city } } } }")
    assert data["salesOrders"]["nodes"] == [{"shipTo": None}] * 5
    assert own_reader.statements == 1

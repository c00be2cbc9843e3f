"""Archiving products and partners: refused while work is left, told by documents ever after."""

import asyncio
from typing import Any

import asyncpg
import pytest

from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, principal

COMMAND = """mutation($key: String!, $id: ID!, $version: Int) {
  %s(idempotencyKey: $key, id: $id, expectedVersion: $version) {
    %s { archived archivedAt version }
    userErrors { code message path details } } }"""

IDLE = {
    "Product": """select id, version from product p where archived_at is null
      and not exists (select from stock_level s where s.product_id = p.id and s.reserved <> 0)
      and not exists (select from sales_order_line l where l.product_id = p.id
                      and l.shipped + l.canceled < l.quantity)
      and not exists (select from purchase_order_line l where l.product_id = p.id
                      and l.received + l.canceled < l.quantity)
      and exists (select from sales_order_line l where l.product_id = p.id and l.company_id = 1)
      order by 1 limit 1""",
    "Partner": """select id, version from partner p where archived_at is null
      and not exists (select from sales_order_line l where l.partner_id = p.id
                      and l.shipped + l.canceled < l.quantity)
      and not exists (select from purchase_order_line l where l.partner_id = p.id
                      and l.received + l.canceled < l.quantity)
      and exists (select from sales_order o where o.partner_id = p.id and o.company_id = 1)
      order by 1 limit 1""",
}
"""What has been ordered and is not on open orders."""


async def idle(gateway: Gateway, type_: str) -> tuple[int, int]:
    """Return the id and the version of a row that nothing keeps from being archived."""
    [(id_, version)] = await gateway.owner.fetch(IDLE[type_])
    if type_ == "Product":
        await gateway.owner.execute(
            "update stock_balance set on_hand = 0 where product_id = $1", id_
        )
    return id_, version


async def run(gateway: Gateway, verb: str, type_: str, id_: int, **more: Any) -> Any:
    """Run a command and return its payload."""
    query = COMMAND % (f"{verb}{type_}", type_.lower())
    variables = {"key": more.get("key", f"{verb} {id_}"), "id": encode_id(type_, id_)}
    if "version" in more:
        variables["version"] = more["version"]
    data = await gateway.data(query, variables)
    return data[f"{verb}{type_}"]


async def refusal(gateway: Gateway, verb: str, type_: str, id_: int, **more: Any) -> Any:
    """Run a command that is refused, and return why."""
    payload = await run(gateway, verb, type_, id_, **more)
    [error] = payload["userErrors"]
    shown = error["code"] in {"CONFLICT_VERSION", "ARCHIVED"} or verb == "restore"
    assert (payload[type_.lower()] is not None) == (shown and error["code"] != "DUPLICATE")
    [error] = payload["userErrors"]
    return error


@pytest.mark.parametrize("type_", IDLE)
async def test_archived_leaves_lists_and_is_told_by_documents(
    own_gateway: Gateway, type_: str
) -> None:
    """After it, lists leave it out, its orders still tell it, and restoring brings it back."""
    name, many = type_.lower(), f"{type_.lower()}s"
    id_, version = await idle(own_gateway, type_)
    total = (await own_gateway.data(f"{{ {many} {{ totalCount }} }}"))[many]["totalCount"]

    payload = await run(own_gateway, "archive", type_, id_, version=version)
    assert payload["userErrors"] == []
    assert payload[name]["archived"] is True
    assert payload[name]["archivedAt"].endswith("Z")
    assert payload[name]["version"] == version + 1
    after = (await own_gateway.data(f"{{ {many} {{ totalCount }} }}"))[many]["totalCount"]
    assert after == total - 1
    order = await own_gateway.owner.fetchval(
        f"select order_id from sales_order_line where {name}_id = $1 and company_id = 1", id_
    )
    told = await own_gateway.data(
        "query($id: ID!) { node(id: $id) { ... on SalesOrder {"
        " partner { id archived } lines { product { id archived } } } } }",
        {"id": encode_id("SalesOrder", order)},
    )
    found = [told["node"]["partner"], *(line["product"] for line in told["node"]["lines"])]
    assert {"id": encode_id(type_, id_), "archived": True} in found

    again = await run(own_gateway, "archive", type_, id_, version=version)
    assert again == payload, "the same key is answered the same"
    assert (await refusal(own_gateway, "archive", type_, id_, key="x"))["code"] == "ARCHIVED"

    restored = await run(own_gateway, "restore", type_, id_)
    assert restored[name] == {"archived": False, "archivedAt": None, "version": version + 2}
    back = (await own_gateway.data(f"{{ {many} {{ totalCount }} }}"))[many]["totalCount"]
    assert back == total
    error = await refusal(own_gateway, "restore", type_, id_, key="y")
    assert (error["code"], error["path"]) == ("INVALID_TRANSITION", ["id"])
    trail = await own_gateway.owner.fetch(
        "select operation, action, actor, diff from audit_log where entity = $1 and entity_id = $2"
        " order by id",
        type_,
        id_,
    )
    assert [(row["operation"], row["action"]) for row in trail] == [
        (f"archive{type_}", "archive"),
        (f"restore{type_}", "restore"),
    ]


LEFT = {
    "stock": (
        "Product",
        """select p.id from product p join stock_level s on s.product_id = p.id
           where p.archived_at is null and s.on_hand > 0 and s.company_id = $1 order by 1""",
        "There is still stock of it",
    ),
    "open sales orders": (
        "Partner",
        """select l.partner_id from sales_order_line l join sales_order o on o.id = l.order_id
           join partner p on p.id = l.partner_id
           where l.shipped + l.canceled < l.quantity and o.state = 'CONFIRMED'
             and p.archived_at is null and o.company_id = $1 order by 1""",
        "There are open sales orders with it",
    ),
    "open purchase orders": (
        "Partner",
        """select l.partner_id from purchase_order_line l join purchase_order o on o.id = l.order_id
           where l.received + l.canceled < l.quantity and o.state = 'CONFIRMED'
             and o.company_id = $1 order by 1""",
        "There are open purchase orders with it",
    ),
}


@pytest.mark.parametrize("company_id", [1, 2])
@pytest.mark.parametrize("left", LEFT)
async def test_archiving_is_refused_while_work_is_left(
    own_gateway: Gateway, left: str, company_id: int
) -> None:
    """The reason is told, nothing is written; what another company has open counts as well."""
    type_, sql, reason = LEFT[left]
    id_ = await own_gateway.owner.fetchval(sql, company_id)
    error = await refusal(own_gateway, "archive", type_, id_)
    assert error["code"] == "INVALID_TRANSITION"
    assert error["path"] == ["id"]
    assert error["message"].startswith(reason)
    table = type_.lower()
    row = await own_gateway.owner.fetchrow(f"select archived_at from {table} where id = $1", id_)
    assert row["archived_at"] is None  # type: ignore[index]
    with pytest.raises(asyncpg.PostgresError, match=reason):
        await own_gateway.owner.execute(
            f"update {table} set archived_at = now() where id = $1", id_
        )


async def test_products_on_open_lines_stay(own_gateway: Gateway) -> None:
    """A product without stock is refused while it is ordered, and archived once it is not."""
    owner = own_gateway.owner
    id_, _ = await idle(own_gateway, "Product")
    for line, order, done, reason in (
        ("sales_order_line", "sales_order", "shipped", "It is on open sales orders"),
        ("purchase_order_line", "purchase_order", "received", "It is on open purchase orders"),
    ):
        taken = await owner.fetchval(
            f"select l.id from {line} l join {order} o on o.id = l.order_id"
            f" where o.state = 'CONFIRMED' and l.canceled = 0 and l.{done} = 0 order by 1 limit 1"
        )
        await owner.execute(f"update {line} set product_id = $1 where id = $2", id_, taken)
        error = await refusal(own_gateway, "archive", "Product", id_, key=reason)
        assert error["message"].startswith(reason)
        reserved = "reserved = 0, " if done == "shipped" else ""
        await owner.execute(f"update {line} set {reserved}canceled = quantity where id = $1", taken)
    assert (await run(own_gateway, "archive", "Product", id_, key="now"))["userErrors"] == []


async def test_a_sku_can_be_used_again_and_then_not_be_restored(own_gateway: Gateway) -> None:
    """An archived SKU is free for a new product; whoever had it first cannot come back to it."""
    owner = own_gateway.owner
    id_, _ = await idle(own_gateway, "Product")
    copy = """insert into product (sku, name, category_id, uom_id, list_currency)
              select sku, name, category_id, uom_id, list_currency from product where id = $1"""
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute(copy, id_)
    assert (await run(own_gateway, "archive", "Product", id_))["userErrors"] == []
    await owner.execute(copy, id_)
    error = await refusal(own_gateway, "restore", "Product", id_)
    assert (error["code"], error["path"]) == ("DUPLICATE", ["id"])


async def test_bad_requests_are_refused(own_gateway: Gateway) -> None:
    """An unknown id, an id of another type, an old version, a key used for something else."""
    id_, version = await idle(own_gateway, "Product")
    for unknown in (10**15, 2**63 - 1):
        error = await refusal(own_gateway, "archive", "Product", unknown)
        assert (error["code"], error["path"]) == ("NOT_FOUND", ["id"])
    error = await refusal(own_gateway, "archive", "Product", id_, version=version + 1)
    assert (error["code"], error["path"]) == ("CONFLICT_VERSION", ["expectedVersion"])
    assert error["details"] == {"version": str(version)}
    query = COMMAND % ("archiveProduct", "product")
    data = await own_gateway.data(query, {"key": "k", "id": encode_id("Partner", id_)})
    [error] = data["archiveProduct"]["userErrors"]
    assert (error["code"], error["path"]) == ("VALIDATION", ["id"])
    assert (await run(own_gateway, "archive", "Product", id_, key="k"))["userErrors"] == []
    error = await refusal(own_gateway, "archive", "Product", id_ + 1, key="k")
    assert (error["code"], error["path"]) == ("IDEMPOTENCY_MISMATCH", ["idempotencyKey"])


async def test_several_at_once_are_one(own_gateway: Gateway) -> None:
    """Of many who archive the same product one does, and each is told how it stands."""
    id_, version = await idle(own_gateway, "Product")
    payloads = await asyncio.gather(
        *(run(own_gateway, "archive", "Product", id_, key=str(n % 2)) for n in range(6))
    )
    done = [payload for payload in payloads if not payload["userErrors"]]
    assert len(done) == 3, "one key did it, and was answered the same each time"
    assert {payload["product"]["version"] for payload in done} == {version + 1}
    codes = [e["code"] for payload in payloads for e in payload["userErrors"]]
    assert codes == ["ARCHIVED"] * 3


async def test_only_who_may(own_gateway: Gateway) -> None:
    """Without the permission nothing happens, and a partner's client only reads."""
    id_, _ = await idle(own_gateway, "Product")
    query = COMMAND % ("archiveProduct", "product")
    for caller in (principal(1, EVERY_PERMISSION - {"catalog.write"}), principal(1, partner_id=1)):
        answer = await own_gateway.run(
            query, {"key": "k", "id": encode_id("Product", id_)}, caller=caller
        )
        assert answer.data == {"archiveProduct": None}
        assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]
    assert not await own_gateway.owner.fetchval(
        "select archived_at is not null from product where id = $1", id_
    )

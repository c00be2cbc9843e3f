"""Many rows at once: one verdict each, all or the good ones, once per key, also as a job."""

import asyncio
import re
from typing import Any

import orjson
import pytest

from gateway.verify import verify
from resolvers.catalog import commands as catalog
from resolvers.core.statement import Statement
from resolvers.partners import commands as partners_
from schema.core.execution import Refused
from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, principal
from tests.fixtures.paths import BothPaths

ANSWER = """{
    accepted rejected job { state kind }
    rows { index key result errors { code message path details } }
    userErrors { code message path }
}"""
PRODUCTS = f"""
mutation Products($key: String!, $rows: [ProductUpsertInput!]!, $dry: Boolean! = false,
                  $onError: OnError! = REJECT_EVERYTHING) {{
  upsertProducts(idempotencyKey: $key, rows: $rows, onError: $onError, dryRun: $dry) {ANSWER}
}}
"""
PARTNERS = f"""
mutation Partners($key: String!, $rows: [PartnerUpsertInput!]!,
                  $onError: OnError! = REJECT_EVERYTHING) {{
  upsertPartners(idempotencyKey: $key, rows: $rows, onError: $onError) {ANSWER}
}}
"""
LEVELS = f"""
mutation Levels($key: String!, $rows: [StockLevelUpsertInput!]!,
                $onError: OnError! = REJECT_EVERYTHING) {{
  upsertStockLevels(idempotencyKey: $key, rows: $rows, onError: $onError) {ANSWER}
}}
"""


WRITING_ROWS = 5
"""Statements of an upsert, whatever it writes; COPY is none of them."""


@pytest.mark.parametrize("statement", [catalog._WRITE, partners_._WRITE])
def test_what_was_before_is_not_asked_of_postgresql_18_alone(statement: Statement) -> None:
    """Since 18 `returning` knows `old` and `new`; 15 to 17 refuse the whole statement."""
    assert not re.search(r"\b(old|new)\.", statement.sql)


async def products(gateway: Gateway, rows: Any, key: str = "p", **more: Any) -> Any:
    """Run upsertProducts and return its payload."""
    return (await gateway.data(PRODUCTS, {"key": key, "rows": rows, **more}))["upsertProducts"]


async def partners(gateway: Gateway, rows: Any, key: str = "p", **more: Any) -> Any:
    """Run upsertPartners and return its payload."""
    return (await gateway.data(PARTNERS, {"key": key, "rows": rows, **more}))["upsertPartners"]


async def levels(gateway: Gateway, rows: Any, key: str = "l", **more: Any) -> Any:
    """Run upsertStockLevels and return its payload."""
    return (await gateway.data(LEVELS, {"key": key, "rows": rows, **more}))["upsertStockLevels"]


async def product_row(gateway: Gateway, sku: str, **more: Any) -> dict[str, Any]:
    """Return a row that is right."""
    category = await gateway.owner.fetchval("select code from product_category order by id limit 1")
    unit = await gateway.owner.fetchval("select code from unit_of_measure order by id limit 1")
    return {
        "sku": sku,
        "name": f"Name of {sku}",
        "categoryCode": category,
        "uom": unit,
        "listPrice": "12.5",
        **more,
    }


async def sound(url: str) -> None:
    """Check every invariant."""
    broken = [result for result in await verify(url) if not result.holds]
    assert not broken


async def test_products_are_made_changed_and_left_alone(
    own_reader: BothPaths, own_database_url: str
) -> None:
    """Each row says which; what is as it is to be already counts no version."""
    gateway = own_reader.compiled
    attributes = [{"name": "color", "value": "red"}]
    rows = [
        await product_row(gateway, " NEW-1 ", attributes=attributes, barcode="123"),
        await product_row(gateway, "NEW-2"),
    ]
    told = await products(own_reader.ordinary, rows, dry=True)
    made = await products(gateway, rows)
    assert made == told, "the rehearsal told what was done"
    assert made["userErrors"] == []
    assert (made["accepted"], made["rejected"]) == (2, 0)
    assert [(row["key"], row["result"]) for row in made["rows"]] == [
        ("NEW-1", "INSERTED"),
        ("NEW-2", "INSERTED"),
    ]
    assert await products(gateway, rows) == made, "the same key: once"
    rows[1] |= {"listPrice": "13.000001", "description": "More of it"}
    changed = await products(gateway, rows, "again")
    assert [row["result"] for row in changed["rows"]] == ["UNCHANGED", "UPDATED"]
    found: Any = await gateway.owner.fetchrow(
        """select list_price::text, version, description, attributes, list_currency
           from product where sku = 'NEW-2'"""
    )
    assert tuple(found) == ("13.000001", 2, "More of it", "{}", "EUR")
    trail = await gateway.owner.fetch(
        """select a.action, a.diff::text from audit_log a join product p on p.id = a.entity_id
           where a.entity = 'Product' and p.sku = 'NEW-2' order by a.id"""
    )
    assert [tuple(row) for row in trail] == [
        ("create", '{"sku": "NEW-2"}'),
        ("update", '{"listPrice": "13.000001", "description": "More of it"}'),
    ]
    await sound(own_database_url)


async def test_all_or_the_good_ones(own_gateway: Gateway, own_database_url: str) -> None:
    """What is wrong is named row by row; the others are written if that is asked for."""
    good = await product_row(own_gateway, "GOOD")
    taken: Any = await own_gateway.owner.fetchrow(
        """select sku, barcode, u.code as uom from product p
           join unit_of_measure u on u.id = p.uom_id
           where barcode is not null and p.archived_at is null limit 1"""
    )
    other = await own_gateway.owner.fetchval(
        "select code from unit_of_measure where code <> $1 order by id limit 1", taken["uom"]
    )
    rows = [
        good,
        await product_row(own_gateway, "B", categoryCode="NONE"),
        await product_row(own_gateway, "C", uom="NONE"),
        await product_row(own_gateway, "D", listPrice="-1"),
        await product_row(own_gateway, "E", listPrice="1.0000001"),
        await product_row(own_gateway, "F", barcode=taken["barcode"]),
        await product_row(own_gateway, "G", listCurrency="XXX"),
        await product_row(own_gateway, "H", name=" "),
        good,
        await product_row(own_gateway, taken["sku"], uom=other),
        await product_row(own_gateway, "I", barcode="same"),
        await product_row(own_gateway, "J", barcode="same"),
    ]
    wrong = [
        (1, "NOT_FOUND", "categoryCode"),
        (2, "NOT_FOUND", "uom"),
        (3, "VALIDATION", "listPrice"),
        (4, "VALIDATION", "listPrice"),
        (5, "DUPLICATE", "barcode"),
        (6, "NOT_FOUND", "listCurrency"),
        (7, "VALIDATION", "name"),
        (8, "DUPLICATE", "sku"),
        (9, "INVALID_TRANSITION", "uom"),
        (11, "DUPLICATE", "barcode"),
    ]
    refused = await products(own_gateway, rows, "all")
    assert [error["code"] for error in refused["userErrors"]] == ["VALIDATION"]
    assert (refused["accepted"], refused["rejected"]) == (0, len(rows))
    named = [
        (row["index"], error["code"], error["path"][-1])
        for row in refused["rows"]
        for error in row["errors"]
    ]
    assert sorted(named) == wrong
    assert not await own_gateway.owner.fetchval("select 1 from product where sku = 'GOOD'")
    done = await products(own_gateway, rows, "good", onError="REJECT_FAILED_ROWS")
    assert done["userErrors"] == []
    assert (done["accepted"], done["rejected"]) == (2, 10)
    assert [row["index"] for row in done["rows"] if row["result"] == "REJECTED"] == [
        index for index, _, _ in wrong
    ]
    assert await own_gateway.owner.fetchval("select count(*) from product where sku = 'GOOD'") == 1
    await sound(own_database_url)


@pytest.mark.parametrize("price", ["NaN", "-NaN", "Infinity", "-Infinity", "1e999999", "1E-999999"])
async def test_prices_are_plain_numbers(gateway: Gateway, price: str) -> None:
    """No price is not a number, endless, or written with an exponent; the answer says what is."""
    row = await product_row(gateway, "ODD", listPrice=price)
    named = (
        'mutation { upsertProducts(idempotencyKey: "p", rows: [{sku: "ODD", name: "Odd",'
        f' categoryCode: "X", uom: "PCE", listPrice: "{price}"}}]) {{ accepted }} }}'
    )
    for document, rows in ((PRODUCTS, [row]), (named, None)):
        with pytest.raises(Refused) as raised:
            await gateway.run(document, {"key": "p", "rows": rows})
        [error] = raised.value.errors
        assert "A Decimal is a plain number of at most 40 digits" in error["message"]


async def test_partners(own_gateway: Gateway, own_database_url: str) -> None:
    """Partners by their code; null leaves what is there."""
    known: Any = await own_gateway.owner.fetchrow(
        """select code, name, email from partner
           where email is not null and archived_at is null limit 1"""
    )
    rows = [
        {"code": "NEW", "name": "New", "isCustomer": True, "taxId": "DE1"},
        {"code": known["code"], "name": "Renamed"},
        {"code": "NEITHER", "name": "Neither"},
    ]
    done = await partners(own_gateway, rows, onError="REJECT_FAILED_ROWS")
    assert [row["result"] for row in done["rows"]] == ["INSERTED", "UPDATED", "REJECTED"]
    assert done["rows"][2]["errors"][0]["path"] == ["rows", "2", "isCustomer"]
    found: Any = await own_gateway.owner.fetchrow(
        "select name, email from partner where code = $1 and archived_at is null", known["code"]
    )
    assert tuple(found) == ("Renamed", known["email"])
    await sound(own_database_url)


async def counted(gateway: Gateway, count: int) -> list[dict[str, Any]]:
    """Return rows that set stock of untracked products 3 above what is there."""
    found = await gateway.owner.fetch(
        f"""select p.sku, b.location_id, b.on_hand from stock_balance b
            join product p on p.id = b.product_id join stock_location x on x.id = b.location_id
            where b.company_id = 1 and p.tracking = 'NONE' and p.archived_at is null
              and x.kind = 'INTERNAL' and b.on_hand > 0 order by b.id limit {count}"""
    )
    return [
        {
            "sku": row["sku"],
            "locationId": encode_id("StockLocation", row["location_id"]),
            "countedQty": str(row["on_hand"] + 3),
        }
        for row in found
    ]


async def promised(gateway: Gateway) -> dict[str, Any]:
    """Return where there is stock that is promised to orders, and no other of the product."""
    found: Any = await gateway.owner.fetchrow(
        """select p.sku, b.location_id from stock_balance b
           join product p on p.id = b.product_id
           join stock_location x on x.id = b.location_id
           join stock_level l on l.product_id = p.id and l.warehouse_id = x.warehouse_id
           where b.company_id = 1 and p.tracking = 'NONE' and p.archived_at is null
             and x.kind = 'INTERNAL' and l.reserved > 0 and l.on_hand = b.on_hand
           order by b.id desc limit 1"""
    )
    return {"sku": found["sku"], "locationId": encode_id("StockLocation", found["location_id"])}


async def test_levels_are_set_by_adjustments(own_gateway: Gateway, own_database_url: str) -> None:
    """The differences are in the ledger; set again nothing moves."""
    rows = await counted(own_gateway, 20)
    before = await own_gateway.owner.fetchval("select count(*) from stock_move")
    done = await levels(own_gateway, rows)
    assert {row["result"] for row in done["rows"]} == {"UPDATED"}
    after = await own_gateway.owner.fetchval("select count(*) from stock_move")
    assert after - before == 20
    again = await levels(own_gateway, rows, "again")
    assert {row["result"] for row in again["rows"]} == {"UNCHANGED"}
    wrong = [
        {**rows[0], "sku": "NONE"},
        {**rows[1], "countedQty": "-1"},
        {**rows[2], "locationId": encode_id("StockLocation", 2**40)},
        {**rows[3], "countedQty": "5000"},
        {**await promised(own_gateway), "countedQty": "0"},
    ]
    asked = {"key": "partly", "rows": wrong, "onError": "REJECT_FAILED_ROWS"}
    answer = await own_gateway.run(LEVELS, asked)
    partly = (answer.data or {})["upsertStockLevels"]
    results = [row["result"] for row in partly["rows"]]
    assert results == [*["REJECTED"] * 3, "UPDATED", "REJECTED"]
    [error] = partly["rows"][4]["errors"]
    assert (error["code"], set(error["details"])) == (
        "INSUFFICIENT_STOCK",
        {"onHand", "reserved", "sku"},
    )
    stored = await own_gateway.run(LEVELS, asked)
    assert orjson.dumps(stored.body()) == orjson.dumps(answer.body())
    assert [row["errors"][0]["path"][:2] for row in partly["rows"][:3]] == [
        ["rows", "0"],
        ["rows", "1"],
        ["rows", "2"],
    ]
    refused = await levels(own_gateway, wrong, "all")
    assert refused["accepted"] == 0
    await sound(own_database_url)


@pytest.mark.parametrize("count", [57, 285, 570])
async def test_stock_updates_take_as_many_statements_as_one(
    own_gateway: Gateway, count: int
) -> None:
    """570 updates of stock, for which Saleor took 3,810 statements (its pull request 16952)."""
    rows = await counted(own_gateway, count)
    assert len(rows) == count
    answer = await own_gateway.run(LEVELS, {"key": "k", "rows": rows})
    assert not answer.errors
    assert own_gateway.statements == 14


@pytest.mark.parametrize("number", [1, 300])
async def test_products_take_as_many_statements_as_one(own_gateway: Gateway, number: int) -> None:
    """However many: transaction, key, a table to stage in, one that checks and writes, answer."""
    rows = [await product_row(own_gateway, f"MANY-{n}") for n in range(number)]
    made = await products(own_gateway, rows)
    assert (made["accepted"], made["rejected"]) == (number, 0)
    assert own_gateway.statements == WRITING_ROWS
    changed = await products(own_gateway, [row | {"name": "Other"} for row in rows], "again")
    assert {row["result"] for row in changed["rows"]} == {"UPDATED"}
    assert own_gateway.statements == WRITING_ROWS


async def while_others(own_gateway: Gateway, statement: str, rows: Any) -> Any:
    """Upsert while another transaction holds what it changed by ``statement``, then commits."""
    owner = own_gateway.owner
    async with owner.transaction():
        await owner.execute(statement)
        upsert = asyncio.create_task(products(own_gateway, rows))
        await own_gateway.until_a_lock_is_awaited()
        assert not upsert.done(), "it waits"
    return await upsert


async def test_a_product_that_is_made_meanwhile(own_gateway: Gateway) -> None:
    """It is changed to all that the row says, with its trail."""
    row = await product_row(own_gateway, "RACE", description="Ours")
    made = await while_others(
        own_gateway,
        """insert into product (sku, name, category_id, uom_id, list_price, list_currency)
           select 'RACE', 'Theirs', category_id, (select min(id) from unit_of_measure), 1, 'EUR'
           from product order by id limit 1""",
        [row, await product_row(own_gateway, "BESIDE")],
    )
    assert [one["result"] for one in made["rows"]] == ["UPDATED", "INSERTED"]
    found: Any = await own_gateway.owner.fetchrow(
        """select p.name, p.description, p.version, a.action, a.diff ->> 'description' as said
           from product p join audit_log a on a.entity = 'Product' and a.entity_id = p.id
           where p.sku = 'RACE'"""
    )
    assert tuple(found) == ("Name of RACE", "Ours", 2, "update", "Ours")


async def test_a_product_that_is_archived_meanwhile(own_gateway: Gateway) -> None:
    """There is another one of its SKU then."""
    row = await product_row(own_gateway, "GONE")
    await products(own_gateway, [row], "made")
    made = await while_others(
        own_gateway,
        "update product set archived_at = now() where sku = 'GONE'",
        [row | {"name": "Again"}],
    )
    assert [one["result"] for one in made["rows"]] == ["INSERTED"]
    names = await own_gateway.owner.fetch("select name from product where sku = 'GONE' order by id")
    assert [name for (name,) in names] == ["Name of GONE", "Again"]


async def test_partners_that_are_changed_meanwhile(own_gateway: Gateway) -> None:
    """What the row does not say stays as the others made it; the trail tells what is new since."""
    await partners(own_gateway, [{"code": "RACE", "name": "A", "isCustomer": True}], "made")
    owner = own_gateway.owner
    async with owner.transaction():
        await owner.execute("update partner set phone = '112', email = 'a@b' where code = 'RACE'")
        row = {"code": "RACE", "name": "B", "email": "a@b"}
        upsert = asyncio.create_task(partners(own_gateway, [row]))
        await own_gateway.until_a_lock_is_awaited()
        assert not upsert.done(), "it waits"
    assert [one["result"] for one in (await upsert)["rows"]] == ["UPDATED"]
    found: Any = await owner.fetchrow(
        """select p.name, p.phone, p.email, a.diff::text
           from partner p join audit_log a on a.entity = 'Partner' and a.entity_id = p.id
           where p.code = 'RACE' and a.action = 'update'"""
    )
    assert tuple(found) == ("B", "112", "a@b", '{"name": "B"}')


async def test_rows_in_any_order_at_once(own_gateway: Gateway, own_database_url: str) -> None:
    """Callers that write the same products in different orders do not keep each other from it."""
    rows = [await product_row(own_gateway, f"R{n:02}") for n in range(30)]
    answers = await asyncio.gather(
        *(
            products(
                own_gateway,
                [{**row, "listPrice": str(n)} for row in (rows if n % 2 else rows[::-1])],
                f"k{n}",
            )
            for n in range(8)
        )
    )
    assert all(answer["userErrors"] == [] for answer in answers)
    assert (
        await own_gateway.owner.fetchval("select count(*) from product where sku like 'R__'") == 30
    )
    await sound(own_database_url)


async def test_more_than_a_thousand_are_a_job(own_gateway: Gateway) -> None:
    """The request answers with the job; nothing is written yet."""
    row = await product_row(own_gateway, "J")
    rows = [{**row, "sku": f"J{n}"} for n in range(1_001)]
    told = await products(own_gateway, rows)
    assert told["userErrors"] == []
    assert told["job"] == {"state": "QUEUED", "kind": "upsert-products"}
    assert told["rows"] == []
    assert not await own_gateway.owner.fetchval("select 1 from product where sku = 'J0'")


@pytest.mark.parametrize("document", [PRODUCTS, PARTNERS, LEVELS])
async def test_no_rows(gateway: Gateway, document: str) -> None:
    """Nothing to write is a mistake."""
    answer = await gateway.run(document, {"key": "none", "rows": []})
    [payload] = (answer.data or {}).values()
    assert [error["path"] for error in payload["userErrors"]] == [["rows"]]


@pytest.mark.parametrize(
    ("document", "permission"),
    [(PRODUCTS, "catalog.write"), (PARTNERS, "partners.write"), (LEVELS, "stock.adjust")],
)
async def test_permissions(gateway: Gateway, document: str, permission: str) -> None:
    """Each takes the permission of what it writes."""
    caller = principal(permissions=EVERY_PERMISSION - {permission})
    answer = await gateway.run(document, {"key": "k", "rows": []}, caller=caller)
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]

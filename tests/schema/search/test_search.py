"""The search over all types: what is found by what, in which order, and by whom."""

from typing import Any

import pytest

from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, principal
from tests.fixtures.paths import BothPaths

SEARCH = """query($text: String!, $types: [SearchType!], $first: Int! = 20) {
  search(text: $text, types: $types, first: $first) { place type label match
    item { __typename
      ... on Product { id sku } ... on Partner { id code } ... on SalesOrder { id number }
      ... on PurchaseOrder { id number } ... on GoodsReceipt { id number }
      ... on Shipment { id number } ... on Invoice { id number } ... on Payment { id number }
      ... on JournalEntry { id number } } } }"""
NUMBERED = {
    "SALES_ORDER": "sales_order",
    "PURCHASE_ORDER": "purchase_order",
    "GOODS_RECEIPT": "goods_receipt",
    "SHIPMENT": "shipment",
    "INVOICE": "invoice",
    "PAYMENT": "payment",
    "JOURNAL_ENTRY": "journal_entry",
}


async def search(reader: BothPaths, text: str, **more: Any) -> list[Any]:
    """Search, and return the hits."""
    caller = more.pop("caller", None)
    hits = (await reader.data(SEARCH, {"text": text, **more}, caller=caller))["search"]
    assert [hit["place"] for hit in hits] == list(range(1, len(hits) + 1))
    return list(hits)


@pytest.mark.parametrize("kind", NUMBERED)
async def test_documents_are_found_by_their_number(reader: BothPaths, kind: str) -> None:
    """The whole number finds one document, its beginning the latest of all that begin so."""
    numbers = [
        row[0]
        for row in await reader.owner.fetch(
            f"select number from {NUMBERED[kind]} where company_id = 1"
            ' order by number collate "C" desc'
        )
    ]
    for typed in (numbers[0], numbers[-1].lower(), f"  {numbers[1]} "):
        hits = [hit for hit in await search(reader, typed) if hit["type"] == kind]
        [hit] = [hit for hit in hits if hit["match"] == "EXACT"]
        assert hit["label"] == hit["item"]["number"] == typed.strip().upper()
        assert hit is hits[0]
    beginning = numbers[0][:-2]
    expected = [number for number in numbers if number.startswith(beginning)]
    hits = await search(reader, beginning, types=[kind], first=50)
    assert [hit["label"] for hit in hits] == expected[:50]
    assert {hit["match"] for hit in hits} == {"PREFIX"}


async def test_one_statement_whatever_is_found(reader: BothPaths) -> None:
    """All types are searched at once, and each type found is one statement more."""
    await search(reader, "no such thing anywhere")
    assert reader.statements == 1
    hits = await search(reader, "s", first=50)
    assert reader.statements == 1 + len({hit["type"] for hit in hits})
    await reader.data('{ search(text: "s", first: 50) { place type label match } }')
    assert reader.statements == 1


async def test_products_are_found_by_all_that_is_printed_on_them(own_reader: BothPaths) -> None:
    """SKU, barcode, words of the name and of attributes; the closest comes first."""
    await own_reader.owner.execute(
        """update product set barcode = '4006381333931', name = 'Übergroßer Hammer, 12 kg',
           attributes = '{"color": "Mauve", "sizes": ["XXL", "9 lb"]}' where sku = 'HAM-00003'"""
    )
    for typed, match in (
        ("HAM-00003", "EXACT"),
        ("ham-00003", "EXACT"),
        ("4006381333931", "EXACT"),
        ("40063813", "WORDS"),
        ("hammer über", "WORDS"),
        ("MAUVE", "WORDS"),
        ("xxl hamm", "WORDS"),
    ):
        first = (await search(own_reader, typed))[0]
        assert (first["item"]["sku"], first["match"]) == ("HAM-00003", match), typed
    assert await search(own_reader, "color") == []
    every = await search(own_reader, "ham-0000", types=["PRODUCT"])
    hits = [hit for hit in every if hit["match"] == "PREFIX"]
    assert hits == every[: len(hits)]
    assert all(hit["item"]["sku"].startswith("HAM-0000") for hit in hits)
    assert len(hits) == await own_reader.owner.fetchval(
        "select count(*) from product where sku like 'HAM-0000%' and archived_at is null"
    )
    data = await own_reader.data('{ products(filter: {search: "mauve"}) { nodes { sku } } }')
    assert data["products"]["nodes"] == [{"sku": "HAM-00003"}]


async def test_partners_are_found_by_code_and_name(reader: BothPaths) -> None:
    """Better matches come before worse ones, whatever their type."""
    code, name = await reader.owner.fetchrow(  # type: ignore[misc]
        "select code, name from partner where archived_at is null order by id limit 1"
    )
    [hit] = [h for h in await search(reader, code) if h["match"] == "EXACT"]
    assert (hit["type"], hit["label"]) == ("PARTNER", f"{code} {name}")
    found = [h["item"].get("code") for h in await search(reader, name)]
    assert code in found
    hits = await search(reader, "ham", types=["PRODUCT", "PARTNER"], first=50)
    ranks = [("EXACT", "PREFIX", "WORDS").index(hit["match"]) for hit in hits]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) > 1, [hit["label"] for hit in hits]


async def test_what_is_archived_is_not_found(own_reader: BothPaths) -> None:
    """An archived product leaves the search, also under its whole SKU."""
    sku = await own_reader.owner.fetchval(
        "select sku from product where archived_at is null and kind = 'SERVICE' and id not in"
        " (select product_id from sales_order_line where shipped + canceled < quantity) limit 1"
    )
    assert await search(own_reader, sku)
    await own_reader.owner.execute("update product set archived_at = now() where sku = $1", sku)
    assert await search(own_reader, sku) == []


async def test_nobody_finds_what_others_own(reader: BothPaths) -> None:
    """Another company's documents are not found, and a customer finds its own alone."""
    id_, number, partner_id = await reader.owner.fetchrow(  # type: ignore[misc]
        "select id, number, partner_id from sales_order where company_id = 1 order by id limit 1"
    )
    own = encode_id("SalesOrder", id_)
    assert await search(reader, number, types=["SALES_ORDER"])
    theirs = await search(
        reader, number, types=["SALES_ORDER"], caller=principal(1, partner_id=partner_id)
    )
    assert [hit["item"]["id"] for hit in theirs] == [own]
    strangers = [principal(2), principal(1, partner_id=partner_id + 1)]
    for stranger in strangers:
        hits = await search(reader, number, types=["SALES_ORDER"], caller=stranger)
        assert own not in [hit["item"]["id"] for hit in hits]
    code = await reader.owner.fetchval("select code from partner where id = $1", partner_id)
    for stranger, expected in ((strangers[1], []), (principal(1, partner_id=partner_id), [code])):
        hits = await search(reader, code, types=["PARTNER"], caller=stranger)
        assert [hit["item"]["code"] for hit in hits] == expected


async def test_types_the_caller_may_not_see_are_left_out(reader: BothPaths) -> None:
    """Searching for everything means everything that may be seen; asking for more is refused."""
    number = await reader.owner.fetchval(
        "select number from sales_order where company_id = 1 order by id limit 1"
    )
    clerk = principal(1, EVERY_PERMISSION - {"sales.read", "partners.read"})
    assert await search(reader, number, caller=clerk) == []
    assert await search(reader, "HAM-00001", caller=clerk)
    error = await reader.refusal(
        SEARCH, {"text": number, "types": ["PRODUCT", "SALES_ORDER"]}, caller=clerk
    )
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert "SALES_ORDER" in error["message"]


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"text": ""}, ["text"]),
        ({"text": " -!? "}, ["text"]),
        ({"text": "a" * 201}, ["text"]),
        ({"text": "a b c d e f g h i j k"}, ["text"]),
        ({"text": "a", "first": -1}, ["first"]),
        ({"text": "a", "first": 51}, ["first"]),
    ],
)
async def test_bad_searches_are_refused(
    reader: BothPaths, asked: dict[str, Any], path: list[str]
) -> None:
    """The error names the argument."""
    error = await reader.refusal(SEARCH, asked)
    assert error["extensions"]["code"] == "VALIDATION"
    assert error["extensions"]["inputPath"] == path


@pytest.mark.parametrize("text", ["' | '", "a:*b", "\\", "%_", "\0a", "💥a", "a & !b", "\u202ea"])
async def test_any_text_can_be_searched_for(reader: BothPaths, text: str) -> None:
    """Operators of the query language are text like any other."""
    if not any(character.isalnum() for character in text):
        assert (await reader.refusal(SEARCH, {"text": text}))["extensions"]["code"] == "VALIDATION"
        return
    await search(reader, text)


async def test_an_item_leads_on(reader: BothPaths) -> None:
    """What was found is the object itself, with all its relations."""
    number, partner_id = await reader.owner.fetchrow(  # type: ignore[misc]
        "select number, partner_id from sales_order where company_id = 1 order by id limit 1"
    )
    data = await reader.data(
        "query($text: String!) { search(text: $text, types: [SALES_ORDER]) {"
        " item { ... on SalesOrder { partner { id } } } } }",
        {"text": number},
    )
    assert data["search"][0]["item"]["partner"]["id"] == encode_id("Partner", partner_id)

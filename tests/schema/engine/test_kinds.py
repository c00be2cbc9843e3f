"""Objects of several types behind one field: a batch for each type, a plan for each type."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import queries
from hypothesis_graphql.nodes import Int, String

from resolvers.core.relation import Relation
from schema.core.execution import Refused
from schema.engine.explain import explain
from schema.engine.run import Compiled
from tests.fixtures.equality import COMPILED, compare, compiled
from tests.fixtures.gateway import principal
from tests.fixtures.papers import INVOICE, SCHEMA
from tests.fixtures.paths import BothPaths

KNOWING = principal(permissions=frozenset({"memos.read", "secrets.read"}))
CALLERS = {
    "all": KNOWING,
    "no memos": principal(permissions=frozenset({"secrets.read"})),
    "no secrets": principal(permissions=frozenset({"memos.read"})),
    "nothing": principal(permissions=frozenset()),
}
GENERATED = int(os.environ.get("EQUALITY_EXAMPLES", "150"))


async def postings(reader: BothPaths, selection: str, first: int = 50) -> list[Any]:
    """Return postings with what is selected of them, equal both ways and by a plan."""
    query = f"{{ postings(first: {first}) {{ nodes {{ {selection} }} }} }}"
    compared = await compare(reader, query, caller=KNOWING)
    nodes: list[Any] = compared.data["postings"]["nodes"]
    return nodes


@pytest.mark.parametrize("first", [10, 50, 200])
async def test_one_statement_for_each_type(papers: BothPaths, first: int) -> None:
    """However many postings, their papers take a statement for each type they have."""
    found = await postings(papers, "paper { __typename id number }", first)
    assert papers.statements == 4
    types = {node["paper"]["__typename"] for node in found if node["paper"]}
    assert types == {"Invoice", "GoodsReceipt", "Memo"}


async def test_each_object_is_the_one_that_was_named(papers: BothPaths) -> None:
    """Word and key lead to the right row; no word, an unknown one, no key and no row to null."""
    found = await postings(papers, "amount paper { __typename number }", 200)
    prefixes = {"INVOICE": "I", "GOODS_RECEIPT": "R", "MEMO": "M"}
    rows = await papers.owner.fetch("select kind, paper_id from papers_posting order by id")
    shown = [node["paper"] and node["paper"]["number"] for node in found]
    assert shown == [
        f"{prefixes[row['kind']]}{row['paper_id']}"
        if row["kind"] in prefixes and (row["paper_id"] or 0) > 0
        else None
        for row in rows
    ]
    assert None in shown


async def test_each_type_has_a_selection_of_its_own(papers: BothPaths) -> None:
    """Fields of the interface, fragments on types, and one response name for several fields."""
    selection = """
      paper {
        number
        ... on Invoice { what: number total { amount currency } paper { number } }
        ... on GoodsReceipt { weight }
        ...Named
        ... on Node { key: id }
        ... on Paper { again: number }
      }
      goods { ... on Invoice { secret } ... on GoodsReceipt { id } }
      nothing: paper { ... on Memo { number } }
    """
    query = f"""{{ postings(first: 50) {{ nodes {{ {selection} }} }} }}
      fragment Named on Memo {{ __typename }}"""
    nodes = (await compare(papers, query, caller=KNOWING)).data["postings"]["nodes"]
    # postings, three types, and the papers of the invoices, which are receipts: some are known
    assert papers.statements == 5
    kinds = {tuple(node["paper"]) for node in nodes if node["paper"]}
    assert kinds == {
        ("number", "what", "total", "paper", "key", "again"),
        ("number", "weight", "key", "again"),
        ("number", "__typename", "key", "again"),
    }
    assert {} in [node["nothing"] for node in nodes]


async def test_what_is_not_selected_is_not_read(papers: BothPaths) -> None:
    """Each type's statement reads what its own fragments ask for."""
    query = """{ postings { nodes {
      paper { ... on Invoice { total { amount } } ... on GoodsReceipt { weight } } } } }"""
    made = compiled(papers.compiled, query, caller=KNOWING)
    assert isinstance(made, Compiled)
    assert explain(made.plan) == [
        "at most 4 statements",
        "postings: page of postings reads kind, paper_id",
        "  paper where kind is GOODS_RECEIPT: GoodsReceiptById by paper_id reads weight",
        "  paper where kind is INVOICE: InvoiceById by paper_id reads currency, total",
        "  paper where kind is MEMO: MemoById by paper_id reads nothing",
    ]


async def test_types_the_caller_may_not_read_are_null(papers: BothPaths) -> None:
    """They are not asked for, and nothing tells whether there was one."""
    query = "{ postings(first: 50) { nodes { paper { __typename } } } }"
    compared = await compare(papers, query, caller=CALLERS["no memos"])
    types = {
        node["paper"] and node["paper"]["__typename"] for node in compared.data["postings"]["nodes"]
    }
    assert types == {None, "Invoice", "GoodsReceipt"}
    assert papers.statements == 3


@pytest.mark.parametrize("caller", CALLERS)
async def test_a_masked_field_is_told_at_its_first_object(papers: BothPaths, caller: str) -> None:
    """The error stands at the first object of the type that has the field, not at another's."""
    query = """{ postings(last: 30) { nodes { paper {
      kind: __typename ... on GoodsReceipt { secret: note } ... on Invoice { secret } } } } }"""
    compared = await compare(papers, query, caller=CALLERS[caller])
    if "secrets.read" in CALLERS[caller].permissions:
        assert compared.outcome == COMPILED
        return
    assert compared.outcome == "Unusual"
    [error] = compared.answer.errors
    assert error["extensions"]["code"] == "FORBIDDEN"
    nodes = (compared.answer.data or {})["postings"]["nodes"]
    first = next(
        n for n, node in enumerate(nodes) if node["paper"] and node["paper"]["kind"] == "Invoice"
    )
    assert error["path"] == ["postings", "nodes", first, "paper", "secret"]
    assert any(node["paper"] and node["paper"].get("secret", "") is None for node in nodes[:first])


async def test_a_masked_field_nobody_has_is_not_told(papers: BothPaths) -> None:
    """Where no object of the type came up, there is nothing to tell and a plan answers."""
    query = '{ search(words: "7", limit: 1) { paper { ... on Invoice { secret } number } } }'
    compared = await compare(papers, query, caller=CALLERS["no secrets"])
    assert compared.outcome == "Unusual"
    query = '{ search(words: "7", limit: 9) { paper { ... on Memo { number } } } }'
    assert (await compare(papers, query, caller=CALLERS["nothing"])).outcome == COMPILED


async def test_fields_of_a_level_share_what_they_find(papers: BothPaths) -> None:
    """A row that two fields lead to is asked for once."""
    await postings(papers, "paper { number } goods { __typename } other: paper { id }")
    assert papers.statements == 4


@pytest.mark.parametrize("failure", [RuntimeError("boom"), ValueError("bad")], ids=repr)
async def test_a_type_that_cannot_be_read(
    papers: BothPaths, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """Its objects are null, each with an error; those of other types are told."""
    sound = Relation.rows

    async def rows(self: Relation, *args: Any) -> Any:
        if self.target is INVOICE:
            raise failure
        return await sound(self, *args)

    monkeypatch.setattr(Relation, "rows", rows)
    query = "{ postings(first: 20) { nodes { paper { number } } } }"
    compared = await compare(papers, query, caller=KNOWING)
    assert {error["extensions"]["code"] for error in compared.answer.errors} == {"INTERNAL"}
    nodes = (compared.answer.data or {})["postings"]["nodes"]
    assert any(node["paper"] for node in nodes)


async def test_a_row_that_breaks_a_promise(papers: BothPaths) -> None:
    """A value that must not be missing takes the object with it, and no other."""
    await papers.owner.execute("update papers_memo set number = null where id % 2 = 0")
    try:
        query = "{ postings(first: 60) { nodes { paper { number } } } }"
        compared = await compare(papers, query, caller=KNOWING)
    finally:
        await papers.owner.execute("update papers_memo set number = 'M' || id")
    assert compared.outcome == "Unusual"
    assert compared.answer.errors


@pytest.mark.parametrize("name", CALLERS)
@given(
    query=queries(
        SCHEMA._schema,
        custom_scalars={
            "Date": st.sampled_from(["2026-03-01", "2025-01-01", "2026-12-31"]).map(String),
            "Int": st.sampled_from([0, 1, 5, 20]).map(Int),
            "String": st.sampled_from(["1", "2", "7", "x"]).map(String),
        },
    )
)
@settings(
    max_examples=max(1, GENERATED // 5),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
async def test_generated_operations(papers: BothPaths, name: str, query: str) -> None:
    """Operations generated from the schema are equal for every caller."""
    try:
        answer = await papers.run(query, caller=CALLERS[name])
    except Refused:
        return
    codes = {error["extensions"]["code"] for error in answer.errors}
    assert codes <= {"VALIDATION", "FORBIDDEN"}

"""Rows that are of no table, and rows that are there already: reports, searches, kept rows."""

from decimal import Decimal
from typing import Any

import pytest

from resolvers.core.reference import ReferenceCache
from schema.engine.explain import explain
from schema.engine.run import Compiled
from tests.fixtures.equality import compare, compiled
from tests.fixtures.gateway import principal
from tests.fixtures.paths import BothPaths

UNITS = "{ accounts(first: 7) { nodes { code unit { name } } } }"
LINES = "lines { amount account { code } } sparse { account { code } amount }"


def references(papers: BothPaths) -> list[ReferenceCache]:
    """Return what either way keeps."""
    kept = [gateway.runtime.reference for gateway in (papers.compiled, papers.ordinary)]
    assert all(kept)
    return [cache for cache in kept if cache]


@pytest.fixture(autouse=True)
def forgotten(papers: BothPaths) -> None:
    """Begin with nothing kept, and keep what is read from then on."""
    for cache in references(papers):
        cache.forget()
        cache.trust(600)


async def test_a_report_is_called_once_for_all_parents(papers: BothPaths) -> None:
    """Few accounts or many, what they turned over is one call, rows in the report's order."""
    query = """query ($first: Int) {
      accounts(first: $first) { nodes { code turnover { month total } } } }"""
    for first in (2, 8):
        nodes = (await compare(papers, query, {"first": first})).data["accounts"]["nodes"]
        assert papers.statements == 2
        shown = {node["code"]: node["turnover"] for node in nodes}
        assert len(shown) == first
        for code, turnover in shown.items():
            rows = await papers.owner.fetch(
                "select to_char(posted_on, 'YYYY-MM') as month, sum(amount)::text as total"
                " from papers_posting where account_id = $1 group by 1 order by 1",
                int(code[1:]),
            )
            assert turnover == [dict(row) for row in rows]


async def test_each_set_of_arguments_is_a_call(papers: BothPaths) -> None:
    """The same report with other arguments is another call, and arguments left out are NULL."""
    query = """query ($since: Date) { accounts { nodes {
      all: turnover { total } same: turnover(since: null) { month }
      late: turnover(since: $since) { month }
      later: turnover(since: "2026-06-01") { month } } } }"""
    nodes = (await compare(papers, query, {"since": "2026-05-01"})).data["accounts"]["nodes"]
    assert len(nodes[0]["all"]) == len(nodes[0]["same"]) == 7
    assert [row["month"] for row in nodes[0]["late"]] == ["2026-05", "2026-06", "2026-07"]
    assert [row["month"] for row in nodes[0]["later"]] == ["2026-06", "2026-07"]


async def test_a_report_at_the_root(papers: BothPaths) -> None:
    """Its rows are the answer; what they refer to is one statement."""
    query = '{ balance(until: "2026-03-31") { amount account { code } } }'
    lines = (await compare(papers, query)).data["balance"]
    assert papers.statements == 2
    assert [line["account"]["code"] for line in lines] == [f"A{n}" for n in range(1, 8)]
    total = await papers.owner.fetchval(
        "select sum(amount) from papers_posting where posted_on <= '2026-03-31'"
    )
    assert sum(Decimal(line["amount"]) for line in lines) == total


async def test_a_row_that_holds_rows(papers: BothPaths) -> None:
    """Lines, one line, gaps and Python's values come from the one row; levels below are shared."""
    query = f"""{{ sheet(until: "2026-03-31") {{ until {LINES}
      total {{ amount account {{ code }} }} amount {{ amount currency }} again: lines {{ amount }}
    }} }}"""
    sheet = (await compare(papers, query)).data["sheet"]
    assert papers.statements == 2
    assert sheet["until"] == "2026-03-31"
    assert sheet["sparse"] == [sheet["lines"][0], None]
    total = sum(Decimal(line["amount"]) for line in sheet["lines"])
    assert sheet["amount"] == {"amount": str(total), "currency": "EUR"}
    assert sheet["total"] == {"amount": str(total), "account": {"code": "A1"}}


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("2026-01-01", {"lines": [], "sparse": None, "total": None, "amount": None}),
        ("2025-12-31", None),
    ],
)
async def test_a_row_that_holds_nothing(papers: BothPaths, until: str, expected: Any) -> None:
    """No lines, no line and no row are told apart."""
    query = f'{{ sheet(until: "{until}") {{ {LINES} total {{ amount }} amount {{ amount }} }} }}'
    assert (await compare(papers, query)).data["sheet"] == expected
    assert papers.statements == (expected is not None)


async def test_what_is_held_is_part_of_the_plan(papers: BothPaths) -> None:
    """It takes no statement, and is not asked of the function unless it is selected."""
    made = compiled(papers.compiled, f'{{ sheet(until: "2026-03-31") {{ until {LINES} }} }}')
    assert isinstance(made, Compiled)
    assert explain(made.plan) == [
        "3 statements",
        "sheet: function sheet reads lines, sparse, until",
        "  lines: lines of the row reads account_id, amount",
        "    account: AccountById by account_id (together with sheet.sparse.account) reads code",
        "  sparse: sparse of the row reads account_id, amount",
        "    account: AccountById by account_id (together with sheet.lines.account) reads code",
    ]
    await compare(papers, '{ sheet(until: "2026-03-31") { until } }')
    assert papers.statements == 0


async def test_a_ranked_list(papers: BothPaths) -> None:
    """A search tells hits in their order, each of its own type; a statement for each type."""
    query = """query ($words: String!, $limit: Int!) { search(words: $words, limit: $limit) {
      rank paper { __typename number ... on Invoice { paper { number } } } } }"""
    caller = principal(permissions=frozenset({"memos.read"}))
    # the receipts of invoices are asked for once more, unless all of them were found already
    for limit, words, statements in ((1, "1", 3), (40, "1", 4), (2, "1", 3), (3, "none", 1)):
        variables = {"words": words, "limit": limit}
        compared = await compare(papers, query, variables, caller=caller)
        hits = compared.data["search"]
        ranks = [hit["rank"] for hit in hits]
        assert ranks == list(range(1, len(ranks) + 1))
        assert papers.statements == statements
    few = await compare(papers, query, {"words": "1", "limit": 3}, caller=caller)
    assert [hit["paper"]["number"] for hit in few.data["search"]] == ["I1", "I10", "I11"]


async def test_kept_rows_take_no_statement(papers: BothPaths) -> None:
    """The first operation asks for them, those after it do not, on either way."""
    first = (await compare(papers, UNITS)).data
    assert papers.statements == 2
    assert (await compare(papers, UNITS)).data == first
    assert papers.statements == 1
    names = [node["unit"] and node["unit"]["name"] for node in first["accounts"]["nodes"]]
    assert names[:3] == ["Kilogram", None, "Euro"]


async def test_a_row_that_is_missing_is_asked_for_again(papers: BothPaths) -> None:
    """It may be there by now, and then it has to be told."""
    every = UNITS.replace("7", "8")
    await compare(papers, UNITS)
    assert (await compare(papers, every)).data["accounts"]["nodes"][7]["unit"] is None
    assert papers.statements == 2


async def test_kept_rows_with_other_columns_are_other_rows(papers: BothPaths) -> None:
    """A selection that wants more than is kept asks again, once."""
    await compare(papers, UNITS)
    more = UNITS.replace("name", "name digits")
    nodes = (await compare(papers, more)).data["accounts"]["nodes"]
    assert nodes[0]["unit"]["digits"] == 3
    assert papers.statements == 2
    await compare(papers, more)
    assert papers.statements == 1


async def test_kept_rows_are_forgotten(papers: BothPaths) -> None:
    """What changed is told after it was forgotten, and not before."""
    await compare(papers, UNITS)
    await papers.owner.execute("update papers_unit set name = 'Kilo' where code = 'KG'")
    try:
        old = (await compare(papers, UNITS)).data["accounts"]["nodes"][0]
        for cache in references(papers):
            cache.forget()
        new = (await compare(papers, UNITS)).data["accounts"]["nodes"][0]
    finally:
        await papers.owner.execute("update papers_unit set name = 'Kilogram' where code = 'KG'")
    assert (old["unit"]["name"], new["unit"]["name"]) == ("Kilogram", "Kilo")

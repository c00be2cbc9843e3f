"""The ledger, checked by a program that nobody here wrote."""

import re
from collections import Counter

import pytest
from beancount.core.data import Balance, Transaction
from beancount.loader import load_string

from gateway.ledger import LedgerError, beancount
from tests.fixtures.paths import BothPaths


async def exported(url: str, company: str) -> str:
    """Return a company's ledger as text."""
    return "\n".join([line async for line in beancount(url, company)]) + "\n"


@pytest.mark.parametrize(("company_id", "code"), [(1, "DE01"), (2, "US01")])
async def test_beancount_agrees(
    reader: BothPaths, database_url: str, company_id: int, code: str
) -> None:
    """Every entry balances, and all together come to the balances we report, says beancount."""
    entries, errors, options = load_string(await exported(database_url, code))
    assert errors == []
    currency = {1: "EUR", 2: "USD"}[company_id]
    assert options["operating_currency"] == [currency]
    kinds = Counter(type(entry) for entry in entries)
    posted = await reader.owner.fetchval(
        "select count(*) from journal_entry where company_id = $1", company_id
    )
    accounts = await reader.owner.fetchval(
        "select count(distinct account_id) from journal_line where company_id = $1", company_id
    )
    assert kinds[Transaction] == posted > 500
    assert kinds[Balance] >= accounts > 5  # an account without postings may have a balance of zero


async def test_beancount_would_notice(database_url: str) -> None:
    """An entry out of balance, and a balance that is not the sum, are found."""
    text = await exported(database_url, "DE01")
    number = re.compile(r"^(  Assets:1200\S+  )(\d+)", re.MULTILINE)
    one_more = number.sub(lambda found: f"{found[1]}{int(found[2]) + 1}", text, count=1)
    messages = " ".join(error.message for error in load_string(one_more)[1])
    assert "does not balance" in messages
    assert "Balance failed" in messages


async def test_no_such_company(database_url: str) -> None:
    """A code that is none is told."""
    with pytest.raises(LedgerError, match="There is no company XX99"):
        await exported(database_url, "XX99")

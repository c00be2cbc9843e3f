"""The ledger of a company as text for beancount (https://beancount.github.io/docs/).

A second opinion: a checker that nobody here wrote adds the entries up, and compares the sums with
the balances that the trial balance reports.
"""

import re
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any, Final

import asyncpg

from resolvers.core.principal import STAFF_ROLE

_ACCOUNTS: Final = "select id, code, name, kind from account where company_id = $1 order by code"
_LINES: Final = """
select e.id, e.number, e.posted_on, e.description, l.account_id, l.debit - l.credit as amount
from journal_entry e join journal_line l on l.entry_id = e.id
where e.company_id = $1 order by e.posted_on, e.id, l.position
"""
_BALANCES_AT: Final = """
select b.account_id, b.debit - b.credit as balance
from balances_before($2) b join account a on a.id = b.account_id
where a.company_id = $1 order by a.code
"""
_KINDS: Final = {
    "ASSET": "Assets",
    "LIABILITY": "Liabilities",
    "EQUITY": "Equity",
    "INCOME": "Income",
    "EXPENSE": "Expenses",
}
_FIRST: Final = date(1970, 1, 1)
_AS_COMPANY: Final = (
    "select set_config('role', '{role}', true), set_config('app.company_id', '{company}', true)"
)


class LedgerError(Exception):
    """Why there is no ledger to tell, for people to read."""


async def beancount(url: str, company_code: str) -> AsyncIterator[str]:
    """Yield the lines of a company's ledger: accounts, entries by day, and the balances at the end.

    Raises:
        LedgerError: there is no such company, or nothing was posted there.

    """
    connection = await asyncpg.connect(
        url, server_settings={"application_name": "gateway ledger", "statement_timeout": "0"}
    )
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            async for line in _told(connection, company_code):
                yield line
    finally:
        await connection.close()


async def _told(connection: "asyncpg.Connection[Any]", company_code: str) -> AsyncIterator[str]:
    company = await connection.fetchrow(
        "select id, currency from company where code = $1", company_code
    )
    if company is None:
        raise LedgerError(f"There is no company {company_code}.")
    # as the company's own people: kept balances are those of its periods, not of others'
    await connection.execute(_AS_COMPANY.format(role=STAFF_ROLE, company=company["id"]))
    last = await connection.fetchval(
        "select max(posted_on) from journal_entry where company_id = $1", company["id"]
    )
    if last is None:
        raise LedgerError(f"{company_code} has posted nothing.")
    currency = company["currency"]
    yield f'option "operating_currency" "{currency}"'
    names: dict[int, str] = {}
    for row in await connection.fetch(_ACCOUNTS, company["id"]):
        names[row["id"]] = name = _account(row["kind"], row["code"], row["name"])
        yield f"{_FIRST} open {name} {currency}"
    entry = None
    async for row in connection.cursor(_LINES, company["id"], prefetch=5_000):
        if row["id"] != entry:
            entry = row["id"]
            yield ""
            yield f"{row['posted_on']} * {_quoted(row['number'])} {_quoted(row['description'])}"
        yield f"  {names[row['account_id']]}  {row['amount']:f} {currency}"
    yield ""
    # an assertion holds at the beginning of its day
    day = last + timedelta(days=1)
    for row in await connection.fetch(_BALANCES_AT, company["id"], day):
        yield f"{day} balance {names[row['account_id']]}  {row['balance']:f} {currency}"


def _account(kind: str, code: str, name: str) -> str:
    """Return an account's name as beancount takes it: words of letters, digits and hyphens."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
    return f"{_KINDS[kind]}:{code}-{words}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

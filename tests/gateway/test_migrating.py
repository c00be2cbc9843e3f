"""Migrations that fill in what companies with data need, on such companies."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.exc import DBAPIError

import gateway
from gateway.migrate import revisions
from gateway.partitions import make_days
from gateway.postgres import EmbeddedPostgres
from resolvers.core.outbox import UUID7
from resolvers.core.principal import STAFF_ROLE, RowScope
from tests.fixtures.row_scopes import take_on

_VERSIONS = Path(gateway.__file__).parent / "migrations" / "versions"
GOODS_IN_BOOKS = (_VERSIONS / "0028_expand_goods_in_books.sql").read_text()
FILLS_IN = GOODS_IN_BOOKS[GOODS_IN_BOOKS.index("-- companies that keep books") :]
"""What the revision does to rows; what it declares is there."""

INITIAL = (_VERSIONS / "0001_initial.sql").read_text()
TOPICS = (_VERSIONS / "0035_expand_topics.sql").read_text()
OUTBOX_BEFORE = INITIAL[INITIAL.index("CREATE TABLE outbox_event (") :].split("COMMENT ON")[0]
IN_PARTITIONS = TOPICS.split("-- events of stock tell more")[0]


@pytest_asyncio.fixture
async def owner(own_database_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Yield a connection of the owner of a database that a test may change."""
    connection = await asyncpg.connect(own_database_url)
    yield connection
    await connection.close()


@pytest.mark.may_block  # as commands do that migrate
async def test_a_url_means_what_it_means_to_the_driver(own_database_url: str) -> None:
    """Also what SQLAlchemy does not know of it, such as whether there is to be TLS."""
    assert (await revisions(f"{own_database_url}&sslmode=disable")).up_to_date
    with pytest.raises(DBAPIError, match="target attribute requirement"):
        await revisions(f"{own_database_url}&target_session_attrs=standby")


async def company_before(owner: "asyncpg.Connection[Any]", *, worth: int, received: int) -> int:
    """Make a company as it was before goods were in the books, open since two months; return it."""
    await owner.execute("set session_replication_role = replica")
    company: int = await owner.fetchval(
        """insert into company (code, name, country, currency) values ('LAW', 'Law', 'DE', 'EUR')
           returning id"""
    )
    await owner.execute(
        """insert into account (company_id, code, name, kind, role)
           values ($1, '4000', 'Sales', 'INCOME', 'SALES')""",
        company,
    )
    await owner.execute(
        """insert into fiscal_period (company_id, code, starts_on, ends_on)
           select $1, 'EARLIER', day, (day + interval '1 month')::date - 1
           from cast(date_trunc('month', current_date - interval '2 months') as date) day""",
        company,
    )
    if worth:
        await owner.execute(
            """insert into product_cost (company_id, product_id, quantity, value, unit_cost)
               select $1, min(id), 1, $2, $2 from product""",
            *(company, worth),
        )
        await post(owner, company, worth)
    if received:
        await owner.execute(
            """with ordered as (
                 insert into purchase_order (company_id, number, state, partner_id, warehouse_id,
                   currency, ordered_on, expected_on)
                 values ($1, 'LAW', 'CONFIRMED', 1, 1, 'EUR', current_date, current_date)
                 returning id
               )
               insert into purchase_order_line (company_id, partner_id, order_id, position,
                 product_id, description, uom_id, currency, quantity, unit_price, net, received,
                 expected_on)
               select $1, 1, id, 1, 1, 'Law', 1, 'EUR', 1, $2, $2, 1, current_date from ordered""",
            *(company, received),
        )
    await owner.execute("set session_replication_role = origin")
    return company


async def post(owner: "asyncpg.Connection[Any]", company: int, amount: int) -> None:
    """Let stock be worth more, on a day two months ago."""
    await owner.execute(
        """insert into valuation_entry (company_id, product_id, kind, quantity, amount,
             effective_on, posted_by)
           select $1, min(id), 'PURCHASE', 0, $2,
                  date_trunc('month', current_date - interval '2 months'), 'law' from product""",
        *(company, amount),
    )


@pytest.mark.parametrize(("worth", "received"), [(70, 0), (0, 30), (70, 30), (0, 0)])
async def test_what_there_is_goes_into_the_books(
    owner: "asyncpg.Connection[Any]", worth: int, received: int
) -> None:
    """It balances whatever accounts there were, in a period of its own day, without a gap."""
    company = await company_before(owner, worth=worth, received=received)
    await owner.execute(FILLS_IN)
    posted = await owner.fetch(
        """select a.role, l.debit - l.credit as amount from journal_line l
           join account a on a.id = l.account_id where l.company_id = $1""",
        company,
    )
    expected = {"INVENTORY": worth, "GOODS_RECEIVED": -received, "PURCHASES": received - worth}
    assert dict(posted) == {role: amount for role, amount in expected.items() if amount}
    periods = await owner.fetch(
        """select starts_on = lag(ends_on) over (order by ends_on) + 1 as follows,
                  current_date between starts_on and ends_on as today
           from fiscal_period where company_id = $1 order by ends_on""",
        company,
    )
    assert [tuple(period) for period in periods] == (
        [(None, False), (True, False), (True, True)] if worth or received else [(None, False)]
    )


async def test_periods_before_goods_were_in_the_books_are_not_compared(
    owner: "asyncpg.Connection[Any]",
) -> None:
    """Not even when something is posted in one of them later: the rest of it is not there."""
    company = await company_before(owner, worth=70, received=0)
    await owner.execute(FILLS_IN)
    await post(owner, company, 5)
    async with owner.transaction():
        await take_on(owner, RowScope(STAFF_ROLE, company))
        found = await owner.fetch(
            """select c.count from fiscal_period p
               cross join close_checks(array[p.id]) c
               where p.company_id = $1 and c.code = 'INVENTORY_RECONCILES' order by p.ends_on""",
            company,
        )
        worth = await owner.fetchval(
            "select balance from control_balance('INVENTORY', current_date)"
        )
    assert [row["count"] for row in found] == [0, 0, 0]
    assert worth == 75


PLACES = "select tableoid::regclass::text as part, count(*), min(pub_seq), max(pub_seq) from "
PLACES += "outbox_event group by 1 order by 1"


@pytest.mark.parametrize("written", [0, 1_000])
async def test_a_log_goes_on_in_partitions(server: EmbeddedPostgres, written: int) -> None:
    """What is published stays as it is, what waits goes on waiting, the next comes behind."""
    name = f"erp_outbox_{uuid4().hex[:12]}"
    await asyncio.to_thread(server.create_database, name)
    owner = await asyncpg.connect(server.url(name))
    write = "insert into outbox_event (company_id, topic, entity, entity_id, payload) "
    write += "select 1, 'stock', 'Level', n, '{}' from generate_series(1, $1::int) n"
    try:
        await owner.execute(f"{UUID7};{OUTBOX_BEFORE}")
        await owner.execute(write, written)
        await owner.execute(
            "update outbox_event set pub_seq = written_seq, published_at = now() - interval '1 day'"
            " where written_seq <= $1",
            written - 100,
        )
        before = await owner.fetch("select id from outbox_event order by written_seq")
        await owner.execute(IN_PARTITIONS)
        await owner.execute(write, 5)
        await make_days(owner)
        after = await owner.fetch("select id from outbox_event order by written_seq")
        assert after[: len(before)] == before
        assert len(after) == len(before) + 5
        found = [tuple(row) for row in await owner.fetch(PLACES)]
        waiting = ("outbox_event_waiting", 105 if written else 5, None, None)
        today = await owner.fetchval("select to_char(now() at time zone 'utc', 'YYYYMMDD')")
        published = [(f"outbox_event_{today}", 900, 1, 900)] if written else []
        assert found == [*published, waiting]
    finally:
        await owner.close()
        await asyncio.to_thread(server.drop_database, name)

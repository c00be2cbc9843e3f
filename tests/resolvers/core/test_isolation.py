"""One company never sees another's rows, one partner never another's: for every table there is.

Two companies with two partners each get a row of every table, made from its metadata. What the
database then shows each of them is compared with `tests.fixtures.row_scopes`.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import Table

from gateway.postgres import EmbeddedPostgres
from resolvers.core.principal import PARTNER_ROLE, STAFF_ROLE, RowScope
from resolvers.core.table import metadata, row_rule
from resolvers.modules import data_modules
from tests.fixtures.made_rows import add_row, insert_of, row_values
from tests.fixtures.row_scopes import CLOSED, LEDGERS, NOTHING, SEEN, rolled_back, seen_by, take_on

data_modules()  # fills the metadata
TABLES = list(metadata.sorted_tables)
OURS, THEIRS = 1, 2
"""Two companies of the small data set."""
MADE_ALREADY = {"company", "currency", "partner", "outbox_counter", "access_version"}
REFUSED = asyncpg.InsufficientPrivilegeError


def named(tables: list[Table]) -> list[Any]:
    """Return test parameters named after tables."""
    return [pytest.param(table, id=table.name) for table in tables]


def bounded(role: str) -> list[Table]:
    """Return the tables of which a role sees some rows and not others."""
    side = (STAFF_ROLE, PARTNER_ROLE).index(role)
    return [t for t in TABLES if "{" in SEEN[t.name][side]]


def granted(verb: str) -> list[Table]:
    """Return the tables that staff may write in this way."""
    return [table for table in TABLES if verb in row_rule(table).grants]


def plain_column(table: Table) -> str:
    """Return a column that an update can set: no identity, nothing computed."""
    return next(f'"{c.name}"' for c in table.c if c.identity is None and c.computed is None)


class Rows:
    """A database with rows of every table, and the scopes that look at them."""

    def __init__(self, owner: Any, partner_id: int) -> None:
        self.owner = owner
        self.scopes = {
            STAFF_ROLE: RowScope(STAFF_ROLE, OURS),
            PARTNER_ROLE: RowScope(PARTNER_ROLE, OURS, partner_id),
        }

    async def stored(self, table: Table, condition: str = "true") -> set[str]:
        """Return where the rows are stored that whoever the connection is now sees."""
        found = await self.owner.fetch(f"select ctid::text from {table.name} where {condition}")
        return {row[0] for row in found}

    async def seen(self, table: Table, scope: RowScope) -> set[str]:
        """Return the rows a scope sees."""
        async with rolled_back(self.owner):
            await take_on(self.owner, scope)
            return await self.stored(table)

    async def insert(self, table: Table, scope: RowScope, company_id: int) -> None:
        """Insert a row of a company as a scope, and take it back."""
        async with rolled_back(self.owner):
            partner = await add_row(self.owner, metadata.tables["partner"])
            values = await row_values(
                self.owner, table, company_id=company_id, partner_id=partner["id"]
            )
            await take_on(self.owner, scope)
            await self.owner.execute(insert_of(table, values), *values.values())

    async def run(self, scope: RowScope, statement: str) -> int:
        """Run a statement as a scope, and take it back; return how many rows it changed."""
        async with rolled_back(self.owner):
            await take_on(self.owner, scope)
            status = await self.owner.execute(statement)
        return int(status.split()[-1])


@pytest_asyncio.fixture(scope="module")
async def rows(server: EmbeddedPostgres, template: str) -> AsyncIterator[Rows]:
    """Yield a database in which each of two companies has a row of every table per partner."""
    name = f"erp_isolation_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    owner = await asyncpg.connect(server.url(name))
    try:
        yield Rows(owner, await fill(owner))
    finally:
        await owner.close()
        server.drop_database(name)


async def fill(owner: Any) -> int:
    """Make the rows; return the id of one of the two partners."""
    partners = [await add_row(owner, metadata.tables["partner"]) for _ in range(2)]
    for company_id in (OURS, THEIRS):
        for partner in partners:
            known = {"company_id": company_id, "partner_id": partner["id"]}
            for table in TABLES:
                if table.name not in MADE_ALREADY:
                    row = await add_row(owner, table, **known)
                    if table.name == "price_list":  # the list this partner buys from
                        known["price_list_id"] = row["id"]
    return int(partners[0]["id"])


class TestDeclarations:
    """Every table says who sees its rows, and what it says makes sense."""

    def test_every_table_is_declared(self) -> None:
        """A new table is in the list of who sees what, or the laws below say nothing of it."""
        assert set(SEEN) == {table.name for table in TABLES}
        assert all(row_rule(table) for table in TABLES)

    @pytest.mark.parametrize("table", named(TABLES))
    def test_rows_with_an_owner_are_bounded_by_it(self, table: Table) -> None:
        """Rows that carry a company or a partner are shown by company and by partner."""
        staff, partner = SEEN[table.name]
        if "company_id" in table.c:
            assert "{company}" in staff or staff == CLOSED
        if "partner_id" in table.c:
            assert "{partner}" in partner or partner in {NOTHING, CLOSED}

    @pytest.mark.parametrize("table", named(TABLES))
    def test_rows_below_bounded_rows_are_bounded(self, table: Table) -> None:
        """What belongs to a row that not everybody sees is not shown to everybody either."""
        referred = {key.referred_table.name for key in table.foreign_key_constraints}
        for side, owner in ((0, "{company}"), (1, "{partner}")):
            if SEEN[table.name][side] in {NOTHING, CLOSED} or owner in SEEN[table.name][side]:
                continue
            above = {name for name in referred if owner in SEEN[name][side]}
            assert not above, f"{table.name} shows what belongs to rows of {above}"

    def test_ledgers_are_written_once(self) -> None:
        """The rows of a ledger can be added, some by triggers alone, and not be changed."""
        assert {row_rule(metadata.tables[name]).grants for name in LEDGERS} == {
            ("select", "insert"),
            ("select",),
        }


class TestReading:
    """What the two serving roles see."""

    @pytest.mark.parametrize("role", [STAFF_ROLE, PARTNER_ROLE])
    @pytest.mark.parametrize("table", named(TABLES))
    async def test_exactly_what_is_theirs(self, rows: Rows, table: Table, role: str) -> None:
        """A role sees every row that is for it and no other."""
        scope = rows.scopes[role]
        condition = seen_by(table.name, scope)
        if condition == CLOSED:
            with pytest.raises(REFUSED):
                await rows.seen(table, scope)
            return
        everything, theirs = await rows.stored(table), await rows.stored(table, condition)
        assert everything, "a table without rows proves nothing"
        assert await rows.seen(table, scope) == theirs
        if table in bounded(role):
            assert set() < theirs < everything

    @pytest.mark.parametrize("company", ["", "0", "999999"])
    @pytest.mark.parametrize("role", [STAFF_ROLE, PARTNER_ROLE])
    async def test_nothing_without_a_company(self, rows: Rows, role: str, company: str) -> None:
        """A connection set to no company, or to one that is not there, sees no company's rows."""
        for table in bounded(role):
            nobody = seen_by(table.name, replace(rows.scopes[role], company_id=0, partner_id=0))
            async with rolled_back(rows.owner):
                await take_on(rows.owner, None, role)
                await rows.owner.execute("select set_config('app.company_id', $1, true)", company)
                seen = await rows.stored(table)
            assert seen == await rows.stored(table, nobody), table.name

    async def test_nothing_without_a_partner(self, rows: Rows) -> None:
        """A partner's client whose partner got lost sees no row that belongs to one."""
        for table in bounded(PARTNER_ROLE):
            if "{partner}" in SEEN[table.name][1]:
                assert not await rows.seen(table, RowScope(PARTNER_ROLE, OURS)), table.name

    @pytest.mark.parametrize("side", [STAFF_ROLE, PARTNER_ROLE])
    async def test_a_policy_too_many_shows(self, rows: Rows, side: str) -> None:
        """The law can be broken: a policy that lets everything through is found out."""
        for table in bounded(side):
            theirs = await rows.stored(table, seen_by(table.name, rows.scopes[side]))
            async with rolled_back(rows.owner):
                await rows.owner.execute(
                    f"create policy leak on {table.name} for select to {side} using (true)"
                )
                assert await rows.seen(table, rows.scopes[side]) > theirs, table.name

    @pytest.mark.parametrize("side", [STAFF_ROLE, PARTNER_ROLE])
    async def test_a_policy_too_few_shows(self, rows: Rows, side: str) -> None:
        """The law can be broken: a policy that went missing, or was switched off, is found out."""
        policy = "staff" if side == STAFF_ROLE else "partner"
        for table in bounded(side):
            theirs = await rows.stored(table, seen_by(table.name, rows.scopes[side]))
            async with rolled_back(rows.owner):
                await rows.owner.execute(f"drop policy {policy} on {table.name}")
                assert await rows.seen(table, rows.scopes[side]) < theirs, table.name
                await rows.owner.execute(f"alter table {table.name} disable row level security")
                assert await rows.seen(table, rows.scopes[side]) > theirs, table.name


class TestWriting:
    """What the two serving roles can change."""

    @pytest.mark.parametrize("table", named(granted("insert")))
    async def test_rows_of_the_own_company_only(self, rows: Rows, table: Table) -> None:
        """Staff adds rows, and only to the own company."""
        staff = rows.scopes[STAFF_ROLE]
        await rows.insert(table, staff, OURS)
        if table in bounded(STAFF_ROLE):
            with pytest.raises(REFUSED, match="row-level security"):
                await rows.insert(table, staff, THEIRS)

    @pytest.mark.parametrize("table", named(granted("update")))
    async def test_changes_in_the_own_company_only(self, rows: Rows, table: Table) -> None:
        """Staff changes what the own company has, and hands none of it over to another."""
        staff = rows.scopes[STAFF_ROLE]
        column = plain_column(table)
        change = f"update {table.name} set {column} = {column}"
        theirs = seen_by(table.name, staff)
        assert await rows.run(staff, change) == len(await rows.stored(table, theirs))
        if table in bounded(STAFF_ROLE):
            assert await rows.run(staff, f"{change} where not ({theirs})") == 0
            with pytest.raises(REFUSED, match="row-level security"):
                await rows.run(staff, f"update {table.name} set company_id = {THEIRS}")

    @pytest.mark.parametrize("role", [STAFF_ROLE, PARTNER_ROLE])
    @pytest.mark.parametrize("table", named(TABLES))
    async def test_nothing_else(self, rows: Rows, table: Table, role: str) -> None:
        """No serving role deletes or empties a table, or writes one it was not given."""
        grants = row_rule(table).grants if role == STAFF_ROLE else ()
        column = plain_column(table)
        statements = {
            "insert": f"insert into {table.name} default values",
            "update": f"update {table.name} set {column} = {column}",
            "delete": f"delete from {table.name}",
            "truncate": f"truncate {table.name} cascade",
        }
        for verb, statement in statements.items():
            if verb not in grants:
                with pytest.raises(REFUSED, match="permission denied"):
                    await rows.run(rows.scopes[role], statement)

    async def test_a_policy_that_lets_strangers_write_shows(self, rows: Rows) -> None:
        """The law can be broken: rows of another company get in where a policy allows it."""
        for table in set(granted("insert")) & set(bounded(STAFF_ROLE)):
            async with rolled_back(rows.owner):
                await rows.owner.execute(
                    f"create policy leak on {table.name} to {STAFF_ROLE} using (true)"
                )
                await rows.insert(table, rows.scopes[STAFF_ROLE], THEIRS)

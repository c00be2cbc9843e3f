"""The two serving roles: what they are, what they may touch, and that they cannot become more."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from gateway.postgres import EmbeddedPostgres
from resolvers.core.principal import PARTNER_ROLE, STAFF_ROLE, RowScope
from resolvers.core.table import metadata, row_rule
from resolvers.modules import data_modules
from tests.fixtures.row_scopes import CLOSED, SEEN, rolled_back, take_on

data_modules()  # fills the metadata
ROLES = [STAFF_ROLE, PARTNER_ROLE]
OUTSIDE = {"alembic_version"}
"""Tables that are not ours: migrations keep their revision there, and readiness reads it."""
STRANGER = "erp_test_stranger"
REFUSED = asyncpg.InsufficientPrivilegeError


@pytest_asyncio.fixture(scope="module")
async def owner(database_url: str) -> AsyncIterator[Any]:
    """Yield a connection of the owner."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def staff(server: EmbeddedPostgres, owner: Any) -> AsyncIterator[Any]:
    """Yield a connection that logged in as the staff role, set to a company."""
    database = await owner.fetchval("select current_database()")
    connection = await asyncpg.connect(server.url(database, STAFF_ROLE))
    await connection.execute("select set_config('app.company_id', '1', false)")
    yield connection
    await connection.close()


PLACES_OF_THE_LOG = {"log_position", "event_log_last", "event_log_oldest"}
"""Functions that tell numbers, and ids of the caller's own company, to whoever subscribes."""


class TestRoles:
    """What the roles are by themselves."""

    @pytest.mark.parametrize("role", ROLES)
    async def test_no_power(self, owner: Any, role: str) -> None:
        """A serving role is neither a superuser nor anything else that gets around the rules."""
        row = await owner.fetchrow(
            "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication"
            " from pg_roles where rolname = $1",
            role,
        )
        assert not any(row.values())

    async def test_no_memberships(self, owner: Any) -> None:
        """Staff can become the partner role, and until then has none of its rights."""
        found = await owner.fetch(
            "select m.rolname, g.rolname, admin_option,"
            " pg_has_role(m.rolname, g.rolname, 'usage') from pg_auth_members a"
            " join pg_roles m on m.oid = a.member join pg_roles g on g.oid = a.roleid"
            " where m.rolname = any($1)",
            ROLES,
        )
        assert [tuple(row) for row in found] == [(STAFF_ROLE, PARTNER_ROLE, False, False)]

    @pytest.mark.parametrize("role", ROLES)
    async def test_owns_nothing(self, owner: Any, role: str) -> None:
        """Row security does not bind owners, so a serving role owns nothing in the database."""
        owned = await owner.fetchval(
            "select count(*) from pg_shdepend d join pg_roles r on r.oid = d.refobjid"
            " where r.rolname = $1 and d.deptype = 'o'",
            role,
        )
        assert owned == 0

    @pytest.mark.parametrize("role", ROLES)
    async def test_creates_nothing(self, owner: Any, role: str) -> None:
        """A serving role makes neither tables nor schemas; functions of its own could be called."""
        assert not await owner.fetchval(
            "select has_schema_privilege($1, 'public', 'create')"
            " or has_database_privilege($1, current_database(), 'create')",
            role,
        )


class TestPrivileges:
    """What the roles may touch, table by table, is what the row rules say."""

    @pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: str(table.name))
    async def test_of_tables(self, owner: Any, table: Any) -> None:
        """Each role has the privileges of the row rule, on the whole table, and no others."""
        rule = row_rule(table)
        closed = SEEN[table.name] == (CLOSED, CLOSED)
        wanted = {STAFF_ROLE: set(rule.grants), PARTNER_ROLE: set() if closed else {"select"}}
        for role in ROLES:
            found = await owner.fetch(
                "select p.kind from unnest(array['select', 'insert', 'update', 'delete',"
                " 'truncate', 'references', 'trigger']) as p(kind)"
                " where has_table_privilege($1, $2, p.kind)"
                " or (p.kind not in ('delete', 'truncate', 'trigger')"
                "     and has_any_column_privilege($1, $2, p.kind))",
                role,
                table.name,
            )
            assert {row["kind"] for row in found} == wanted[role], role

    async def test_every_table_is_ours(self, owner: Any) -> None:
        """There is no table, view or sequence that the row rules do not know of.

        Partitions are no tables of their own, and closed where their table is.
        """
        found = await owner.fetch(
            "select relname, relkind::text as kind, relrowsecurity as bounded,"
            " relispartition as part from pg_class"
            " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')"
        )
        tables = {row["relname"]: row["bounded"] for row in found if not row["part"]}
        assert {row["kind"] for row in found} == {"r", "p"}, "a view shows what its owner sees"
        assert all(row["bounded"] for row in found if row["part"])
        assert set(tables) == {table.name for table in metadata.sorted_tables} | OUTSIDE
        for table in metadata.sorted_tables:
            rule = row_rule(table)
            assert tables[table.name] == (rule.staff != "true" or rule.partner != "true"), table

    async def test_of_everybody(self, owner: Any) -> None:
        """A login that is none of ours may do nothing: not read, not write, not look up callers."""
        async with rolled_back(owner):
            await owner.execute(f"create role {STRANGER}")
            readable = await owner.fetch(
                "select relname from pg_class where relnamespace = 'public'::regnamespace"
                " and relkind in ('r', 'S') and (has_table_privilege($1, oid, 'select')"
                " or has_table_privilege($1, oid, 'insert'))",
                STRANGER,
            )
            callable_ = await owner.fetch(
                "select proname from pg_proc where pronamespace = 'public'::regnamespace"
                " and prosecdef and prorettype <> 'trigger'::regtype"
                " and has_function_privilege($1, oid, 'execute')",
                STRANGER,
            )
        assert not readable
        assert not callable_

    async def test_functions_with_the_owners_rights(self, owner: Any) -> None:
        """They look names up in our schema alone; partners learn by them how far the log is."""
        found = await owner.fetch(
            "select proname as name, proconfig as config, prorettype = 'trigger'::regtype as hook,"
            " has_function_privilege($1, oid, 'execute') as staff,"
            " has_function_privilege($2, oid, 'execute') as partner"
            " from pg_proc where pronamespace = 'public'::regnamespace and prosecdef",
            STAFF_ROLE,
            PARTNER_ROLE,
        )
        assert found
        for row in found:
            assert row["config"] == ["search_path=public"], row["name"]
            if not row["hook"]:
                assert row["staff"], row["name"]
                assert row["partner"] == (row["name"] in PLACES_OF_THE_LOG), row["name"]


class TestBecomingMore:
    """A connection that logged in as the staff role stays what it is, whatever is run on it."""

    @pytest.mark.parametrize(
        "statement",
        [
            "set role postgres",
            "set session authorization postgres",
            "alter role erp_app superuser",
            "alter role erp_app bypassrls",
            "grant postgres to erp_app",
            "alter table sales_order disable row level security",
            "alter table sales_order owner to erp_app",
            "drop policy staff on sales_order",
            "create policy all_rows on sales_order using (true)",
            "copy sales_order to program 'cat'",
            "select pg_read_file('/etc/passwd')",
            "set session_replication_role = replica",
            "select * from outbox_event",
            "select * from revoked_token",
        ],
    )
    async def test_refused(self, staff: Any, statement: str) -> None:
        """What would lift the rules is refused."""
        with pytest.raises(REFUSED):
            await staff.execute(statement)

    @pytest.mark.parametrize(
        "statement",
        ["set role none", "reset role", "reset session authorization", "reset all", "discard all"],
    )
    async def test_no_wider(self, staff: Any, statement: str) -> None:
        """What resets a connection shows the rows of one company at most, and changes no rights."""
        await staff.execute(statement)
        assert await staff.fetchval("select current_user") == STAFF_ROLE
        assert await staff.fetchval("select count(distinct company_id) from sales_order") <= 1

    async def test_row_security_cannot_be_switched_off(self, staff: Any) -> None:
        """With `row_security = off` a query fails rather than show more."""
        await staff.execute("set row_security = off")
        with pytest.raises(REFUSED, match="row-level security"):
            await staff.fetch("select * from sales_order")

    async def test_the_partner_role_leads_to_staff_at_most(self, staff: Any) -> None:
        """A connection set to a partner can be set back, and to nothing beyond the staff role."""
        partner_id = await staff.fetchval("select min(partner_id) from sales_order")
        async with rolled_back(staff):
            await take_on(staff, RowScope(PARTNER_ROLE, 1, partner_id))
            assert await staff.fetchval("select count(distinct partner_id) from sales_order") == 1
            with pytest.raises(REFUSED):
                await staff.execute("set role postgres")

    @pytest.mark.parametrize("call", ["user_access('admin@demo')", "client_access('x')"])
    async def test_partners_look_up_nobody(self, staff: Any, call: str) -> None:
        """Who calls, and with which key, is not for a partner's client to ask."""
        await staff.fetch(f"select * from {call}")
        await staff.execute(f"set role {PARTNER_ROLE}")
        with pytest.raises(REFUSED):
            await staff.fetch(f"select * from {call}")

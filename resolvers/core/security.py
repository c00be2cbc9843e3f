"""Row-level security, roles and privileges as SQL, derived from the tables' row rules."""

from collections.abc import Iterable

from sqlalchemy import Table

from resolvers.core.principal import PARTNER_ROLE, STAFF_ROLE
from resolvers.core.table import row_rule

# The staff role may become the partner role, and until then has none of its rights: the partner
# policies would hold for staff as well. Since PostgreSQL 16 that is said with the grant.
_CREATE_ROLES = """
do $$
begin
  if not exists (select from pg_roles where rolname = '{staff}') then
    create role {staff} login noinherit;
  end if;
  if not exists (select from pg_roles where rolname = '{partner}') then
    create role {partner} nologin;
  end if;
exception when duplicate_object or unique_violation then null;  -- another database's migration was faster
end $$;
do $$
begin
  if current_setting('server_version_num')::int < 160000 then
    grant {partner} to {staff};
  else
    execute 'grant {partner} to {staff} with inherit false';
  end if;
end $$;
grant usage on schema public to {staff}, {partner};
"""
CREATE_ROLES = _CREATE_ROLES.replace("{staff}", STAFF_ROLE).replace("{partner}", PARTNER_ROLE)
"""Roles belong to the whole server, so several databases on it may race to make them."""


def table_security(table: Table) -> list[str]:
    """Return the statements that put ``table`` under its row rule."""
    rule = row_rule(table)
    name = table.name
    if rule.staff == rule.partner == "true":
        # no policy at all: one that is always true still costs the planner index scans
        return [
            f"grant {', '.join(rule.grants)} on {name} to {STAFF_ROLE}",
            f"grant select on {name} to {PARTNER_ROLE}",
        ]
    statements = [f"alter table {name} enable row level security"]
    if rule.staff is not None:
        grants = ", ".join(rule.grants)
        statements.append(f"create policy staff on {name} to {STAFF_ROLE} using ({rule.staff})")
        statements.append(f"grant {grants} on {name} to {STAFF_ROLE}")
        statements.append(f"grant select on {name} to {PARTNER_ROLE}")
    if rule.partner is not None:
        statements.append(
            f"create policy partner on {name} for select to {PARTNER_ROLE} using ({rule.partner})"
        )
    return statements


def security(tables: Iterable[Table]) -> list[str]:
    """Return the statements for all ``tables``, in their order."""
    return [s for table in tables for s in table_security(table)]

"""The version of access: it moves with every change of who may call and what they may do.

Whoever follows the log reads it with the events, in one snapshot: an event that was committed after
a right was withdrawn is never seen without the version having moved.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Table

from resolvers.core.table import internal, required, table

ACCESS_CHANNEL: Final = "erp_access_changed"
"""The trigger notifies here when a change of access commits, to wake every process."""

access_version = table(
    "access_version",
    Column("only", Integer, primary_key=True, server_default="1"),
    required("version", BigInteger, server_default="0"),
    rows=internal(),
    comment="How often it changed who may call and what they may do; one row.",
)

ACCESS_CHANGED: Final = """
create function erp_access_changed() returns trigger language plpgsql
security definer set search_path = public as $$
begin
  update access_version set version = version + 1;
  perform pg_notify('erp_access_changed', '');
  return null;
end $$
"""
"""Called once per statement, whoever wrote it, with the owner's rights: the version is closed."""

ACCESS_ROW: Final = "insert into access_version default values"


def access_trigger(table_: Table) -> str:
    """Return the statement that makes changes of a table count: of the columns it names, or all."""
    columns = table_.info["access"]
    of = f" of {', '.join(columns)}" if columns else ""
    return (
        f"create trigger access_changed after insert or update{of} or delete or truncate "
        f"on {table_.name} for each statement execute function erp_access_changed()"
    )

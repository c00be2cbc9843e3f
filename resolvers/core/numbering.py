"""Numbers of documents: a row inserted with ``SH-2026-`` gets ``SH-2026-004711``, from its own id.

No counter, so nobody waits for a number; numbers have gaps, which documents without a legal duty of
unbroken numbers may.
"""


def numbered(table: str) -> str:
    """Return the trigger that completes the numbers of ``table``, which end in a dash."""
    return f"""
create function {table}_numbered() returns trigger language plpgsql as $$
begin
  new.number := new.number || repeat('0', 6 - length(new.id::text)) || new.id;
  return new;
end $$;
create trigger {table}_numbered before insert on {table}
  for each row when (right(new.number, 1) = '-') execute function {table}_numbered()
"""

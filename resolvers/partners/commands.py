"""The verbs of partners: one function per command."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import text

from resolvers.core.archive import archive
from resolvers.core.bulk import (
    Row,
    Staging,
    Verdict,
    changes_of,
    check_texts,
    verdicts_on,
    write_staged,
)
from resolvers.core.command import Outcome
from resolvers.core.context import Context
from resolvers.core.errors import ErpError, Invalid
from resolvers.core.statement import compile_statement
from resolvers.core.transaction import Transaction
from resolvers.partners.loaders import partner


async def archive_partner(
    context: Context, key: str, partner_id: int, expected_version: int | None
) -> Outcome:
    """Archive a partner, unless work is left with it. See `resolvers.core.archive.archive`."""
    return await archive(
        context,
        partner,
        operation="archivePartner",
        key=key,
        id_=partner_id,
        expected_version=expected_version,
        archived=True,
    )


async def restore_partner(
    context: Context, key: str, partner_id: int, expected_version: int | None
) -> Outcome:
    """Take an archived partner back into use. See `resolvers.core.archive.archive`."""
    return await archive(
        context,
        partner,
        operation="restorePartner",
        key=key,
        id_=partner_id,
        expected_version=expected_version,
        archived=False,
    )


_STAGED = Staging(
    "staged_partner",
    {
        "code": ("text", "code"),
        "name": ("text", "name"),
        "kind": ("text", "kind"),
        "is_customer": ("boolean", "isCustomer"),
        "is_supplier": ("boolean", "isSupplier"),
        "tax_id": ("text", "taxId"),
        "email": ("text", "email"),
        "phone": ("text", "phone"),
        "language": ("text", "language"),
    },
)
_CHANGES: Final = changes_of(
    {
        "name": "name",
        "kind": "kind",
        "isCustomer": "is_customer",
        "isSupplier": "is_supplier",
        "taxId": "tax_id",
        "email": "email",
        "phone": "phone",
        "language": "language",
    }
)
# Partners are found by keys in an array, which is by an index whatever the planner knows of what
# is staged: by a join it reads all partners there are.
_WRITE = compile_statement(
    text(f"""
with known as materialized (
  select s.*, p as before, p.xmin as written_by, p.id as partner_id,
         coalesce(s.is_customer, p.is_customer, false) as buys,
         coalesce(s.is_supplier, p.is_supplier, false) as sells,
         (p.name, p.kind, p.is_customer, p.is_supplier, p.tax_id, p.email, p.phone, p.language)
         is distinct from
         (s.name, coalesce(s.kind, p.kind), coalesce(s.is_customer, p.is_customer),
          coalesce(s.is_supplier, p.is_supplier), coalesce(s.tax_id, p.tax_id),
          coalesce(s.email, p.email), coalesce(s.phone, p.phone),
          coalesce(s.language, p.language)) as differs
  from staged_partner s
  left join partner p on p.code = s.code and p.archived_at is null
    and p.code = any(array(select code from staged_partner))
), wrong as materialized (
  select code, 'VALIDATION' as word, 'isCustomer' as field,
         'Say that it is a customer, a supplier, or both.' as message
  from known where not (buys or sells)
), good as materialized (
  select * from known
  where differs and cast(:write as boolean)
    and (cast(:partly as boolean) or not exists (select from wrong))
    and code not in (select code from wrong)
), locked as materialized (
  select id from partner
  where archived_at is null and id = any(array(select partner_id from good))
  order by id for no key update
), updated as (
  update partner p set
    name = g.name, kind = coalesce(g.kind, p.kind),
    is_customer = coalesce(g.is_customer, p.is_customer),
    is_supplier = coalesce(g.is_supplier, p.is_supplier), tax_id = coalesce(g.tax_id, p.tax_id),
    email = coalesce(g.email, p.email), phone = coalesce(g.phone, p.phone),
    language = coalesce(g.language, p.language), version = p.version + 1, updated_at = :now
  from good g
  where p.id = g.partner_id and p.xmin = g.written_by -- what nobody changed meanwhile
    and p.id = any(array(select id from locked))
  returning p.code, p.id, p.version, {_CHANGES} as diff
), inserted as (
  insert into partner (code, name, kind, is_customer, is_supplier, tax_id, email, phone, language,
                       created_at, updated_at)
  select code, name, coalesce(kind, 'ORGANIZATION'), buys, sells, tax_id, email, phone, language,
         :now, :now
  from good where partner_id is null
  order by code
  on conflict (code) where archived_at is null do nothing
  returning id, code, version
), audited as (
  insert into audit_log (company_id, actor, request_id, operation, action, entity, entity_id, diff,
                         version)
  select cast(:company as int), :actor, :request, 'upsertPartners', action, 'Partner', id, diff,
         version
  from (select 'update' as action, id, diff, version from updated
        union all
        select 'create', id, jsonb_build_object('code', code), version from inserted) as changed
)
select array[code] as keys, word, field, message from wrong
union all
select array_agg(code), 'UPDATED', null, null from updated having count(*) > 0
union all
select array_agg(code), 'INSERTED', null, null from inserted having count(*) > 0
union all
-- made, changed or archived by somebody else at this moment
select null, 'AGAIN', null, null
where (select count(*) from good)
   <> (select count(*) from updated) + (select count(*) from inserted)
""")  # noqa: S608 - of names written here
)
_CODES: Mapping[str, type[ErpError]] = {"VALIDATION": Invalid}
MAX_CODE = 64
MAX_NAME = 200


async def upsert_partners(
    context: Context,
    connection: Transaction,
    rows: Sequence[Row],
    *,
    partly: bool,
    first: int = 0,
    earlier: frozenset[Any] = frozenset(),
) -> list[Verdict]:
    """Make partners, or change those that have a row's code; null leaves what is there.

    Nothing is written if a row is wrong, unless ``partly``. ``first`` is the place of the first row
    in the input, ``earlier`` are keys of rows before it. Returns a verdict on each row.
    """
    verdicts = verdicts_on(rows, "code", first=first, earlier=earlier)
    check_texts(verdicts, rows, "code", most=MAX_CODE)
    check_texts(verdicts, rows, "name", most=MAX_NAME)
    for name in ("taxId", "email", "phone", "language"):
        check_texts(verdicts, rows, name, most=MAX_NAME, required=False)
    await _STAGED.fill(connection, verdicts, rows)
    await write_staged(context, connection, verdicts, _WRITE, _CODES, partly=partly)
    return verdicts

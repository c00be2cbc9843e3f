"""The verbs of partners: one function per command."""

from collections.abc import Mapping, Sequence

from sqlalchemy import text

from resolvers.core.archive import archive
from resolvers.core.bulk import (
    Row,
    Verdict,
    check_text,
    reject_staged,
    stage,
    verdicts_on,
    write_staged,
)
from resolvers.core.command import Outcome
from resolvers.core.context import Context
from resolvers.core.errors import ErpError, Invalid
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


_STAGED = {
    "place": "int",
    "code": "text",
    "name": "text",
    "kind": "text",
    "is_customer": "boolean",
    "is_supplier": "boolean",
    "tax_id": "text",
    "email": "text",
    "phone": "text",
    "language": "text",
}
_LOCK = """
select p.id from partner p
where p.archived_at is null and p.code in (select code from staged_partner)
order by p.id for no key update
"""
_CHECKS = """
select s.place, 'isCustomer', 'VALIDATION', 'Say that it is a customer, a supplier, or both.'
from staged_partner s left join partner p on p.code = s.code and p.archived_at is null
where not (coalesce(s.is_customer, p.is_customer, false)
           or coalesce(s.is_supplier, p.is_supplier, false))
"""
_WRITE = """
with good as (
  select * from staged_partner where not place = any(cast(:rejected as int[]))
), updated as (
  update partner p set
    name = g.name, kind = coalesce(g.kind, p.kind),
    is_customer = coalesce(g.is_customer, p.is_customer),
    is_supplier = coalesce(g.is_supplier, p.is_supplier), tax_id = coalesce(g.tax_id, p.tax_id),
    email = coalesce(g.email, p.email), phone = coalesce(g.phone, p.phone),
    language = coalesce(g.language, p.language), version = p.version + 1, updated_at = :now
  from good g
  where p.code = g.code and p.archived_at is null and (
    p.name, p.kind, p.is_customer, p.is_supplier, p.tax_id, p.email, p.phone, p.language
  ) is distinct from (
    g.name, coalesce(g.kind, p.kind), coalesce(g.is_customer, p.is_customer),
    coalesce(g.is_supplier, p.is_supplier), coalesce(g.tax_id, p.tax_id),
    coalesce(g.email, p.email), coalesce(g.phone, p.phone), coalesce(g.language, p.language))
  returning g.place, p.id, p.version, (
    select jsonb_object_agg(name, value) from (values
      ('name', old.name, new.name), ('kind', old.kind, new.kind),
      ('isCustomer', old.is_customer::text, new.is_customer::text),
      ('isSupplier', old.is_supplier::text, new.is_supplier::text),
      ('taxId', old.tax_id, new.tax_id), ('email', old.email, new.email),
      ('phone', old.phone, new.phone), ('language', old.language, new.language)
    ) as v (name, before, value) where before is distinct from value) as diff
), inserted as (
  insert into partner (code, name, kind, is_customer, is_supplier, tax_id, email, phone, language,
                       created_at, updated_at)
  select g.code, g.name, coalesce(g.kind, 'ORGANIZATION'), coalesce(g.is_customer, false),
         coalesce(g.is_supplier, false), g.tax_id, g.email, g.phone, g.language, :now, :now
  from good g
  where not exists (select from partner p where p.code = g.code and p.archived_at is null)
  order by g.code
  -- made by somebody else at this moment
  on conflict (code) where archived_at is null do update set
    name = excluded.name, version = partner.version + 1, updated_at = excluded.updated_at
  returning id, code, version, old.id is null as is_new
), audited as (
  insert into audit_log (company_id, actor, request_id, operation, action, entity, entity_id, diff,
                         version)
  select cast(:company as int), :actor, :request, 'upsertPartners', action, 'Partner', id, diff,
         version
  from (select 'update' as action, id, diff, version from updated
        union all select case when is_new then 'create' else 'update' end, id,
                         jsonb_build_object('code', code), version from inserted) as changed
)
select place, 'UPDATED' from updated
union all
select g.place, case when i.is_new then 'INSERTED' else 'UPDATED' end
from inserted i join good g on g.code = i.code
"""
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
) -> list[Verdict]:
    """Make partners, or change those that have a row's code; null leaves what is there.

    Nothing is written if a row is wrong, unless ``partly``. ``first`` is the place of the first row
    in the input. Returns a verdict on each row.
    """
    verdicts = verdicts_on(rows, "code", first=first)
    for verdict, row in zip(verdicts, rows, strict=True):
        check_text(verdict, row, "code", most=MAX_CODE)
        check_text(verdict, row, "name", most=MAX_NAME)
        for name in ("taxId", "email", "phone", "language"):
            check_text(verdict, row, name, most=MAX_NAME, required=False)
    await stage(
        connection,
        "staged_partner",
        _STAGED,
        [
            (
                verdict.index,
                row["code"],
                row["name"],
                row.get("kind"),
                row.get("isCustomer"),
                row.get("isSupplier"),
                row.get("taxId"),
                row.get("email"),
                row.get("phone"),
                row.get("language"),
            )
            for verdict, row in zip(verdicts, rows, strict=True)
            if not verdict.errors
        ],
    )
    await connection.execute(text(_LOCK))
    await reject_staged(connection, verdicts, _CHECKS, _CODES)
    if not partly and any(verdict.errors for verdict in verdicts):
        return verdicts
    await write_staged(context, connection, verdicts, _WRITE)
    return verdicts

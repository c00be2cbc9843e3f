"""The verbs of the catalog: one function per command."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import orjson
from sqlalchemy import select, text

from resolvers.catalog.loaders import product
from resolvers.core.archive import archive
from resolvers.core.bulk import (
    Row,
    Verdict,
    check_amount,
    check_text,
    reject_staged,
    stage,
    verdicts_on,
    write_staged,
)
from resolvers.core.command import Outcome
from resolvers.core.context import Context
from resolvers.core.errors import Duplicate, ErpError, InvalidTransition, NotFound
from resolvers.core.transaction import Transaction
from resolvers.identity.loaders import company as company_entity


async def archive_product(
    context: Context, key: str, product_id: int, expected_version: int | None
) -> Outcome:
    """Archive a product, unless work is left with it. See `resolvers.core.archive.archive`."""
    return await archive(
        context,
        product,
        operation="archiveProduct",
        key=key,
        id_=product_id,
        expected_version=expected_version,
        archived=True,
    )


async def restore_product(
    context: Context, key: str, product_id: int, expected_version: int | None
) -> Outcome:
    """Take an archived product back into use. See `resolvers.core.archive.archive`."""
    return await archive(
        context,
        product,
        operation="restoreProduct",
        key=key,
        id_=product_id,
        expected_version=expected_version,
        archived=False,
    )


_STAGED = {
    "place": "int",
    "sku": "text",
    "name": "text",
    "description": "text",
    "barcode": "text",
    "kind": "text",
    "tracking": "text",
    "category": "text",
    "uom": "text",
    "attributes": "text",
    "list_price": "numeric(20, 6)",
    "currency": "text",
}
_CHECKS = """
with known as (
  select s.*, p.id as product_id, p.uom_id as old_uom, p.tracking as old_tracking,
         u.id as uom_id, c.id as category_id, x.code as currency_code
  from staged_product s
  left join product p on p.sku = s.sku and p.archived_at is null
  left join unit_of_measure u on u.code = s.uom
  left join product_category c on c.code = s.category and c.archived_at is null
  left join currency x on x.code = s.currency and x.archived_at is null
)
select place, 'categoryCode', 'NOT_FOUND', format('There is no category %s.', category)
from known where category_id is null
union all
select place, 'uom', 'NOT_FOUND', format('There is no unit %s.', uom)
from known where uom_id is null
union all
select place, 'listCurrency', 'NOT_FOUND', format('There is no currency %s.', currency)
from known where currency is not null and currency_code is null
union all
select k.place, 'barcode', 'DUPLICATE', format('%s has this barcode.', p.sku)
from known k join product p
  on p.barcode = k.barcode and p.archived_at is null and p.id is distinct from k.product_id
union all
select place, 'barcode', 'DUPLICATE', 'The barcode stands in an earlier row.' from (
  select place, row_number() over (partition by barcode order by place) as nth from known
  where barcode is not null) again where nth > 1
union all
select place, case when old_uom <> uom_id then 'uom' else 'tracking' end, 'INVALID_TRANSITION',
       'It cannot change once the product is there; archive it and make another one.'
from known where old_uom <> uom_id or old_tracking <> coalesce(tracking, old_tracking)
"""
_LOCK = """
select p.id from product p where p.archived_at is null and p.sku in (select sku from staged_product)
order by p.id for no key update
"""
_WRITE = """
with good as (
  select s.*, u.id as uom_id, c.id as category_id
  from staged_product s
  join unit_of_measure u on u.code = s.uom
  join product_category c on c.code = s.category and c.archived_at is null
  where not s.place = any(cast(:rejected as int[]))
), updated as (
  update product p set
    name = g.name, description = coalesce(g.description, p.description),
    barcode = coalesce(g.barcode, p.barcode), kind = coalesce(g.kind, p.kind),
    tracking = coalesce(g.tracking, p.tracking), category_id = g.category_id, uom_id = g.uom_id,
    attributes = coalesce(g.attributes::jsonb, p.attributes), list_price = g.list_price,
    list_currency = coalesce(g.currency, p.list_currency),
    version = p.version + 1, updated_at = :now
  from good g
  where p.sku = g.sku and p.archived_at is null and (
    p.name, p.description, p.barcode, p.kind, p.tracking, p.category_id, p.uom_id, p.attributes,
    p.list_price, p.list_currency
  ) is distinct from (
    g.name, coalesce(g.description, p.description), coalesce(g.barcode, p.barcode),
    coalesce(g.kind, p.kind), coalesce(g.tracking, p.tracking), g.category_id, g.uom_id,
    coalesce(g.attributes::jsonb, p.attributes), g.list_price,
    coalesce(g.currency, p.list_currency))
  returning g.place, p.id, p.version, (
    select jsonb_object_agg(name, value) from (values
      ('name', old.name, new.name), ('description', old.description, new.description),
      ('barcode', old.barcode, new.barcode), ('kind', old.kind, new.kind),
      ('tracking', old.tracking, new.tracking),
      ('categoryId', old.category_id::text, new.category_id::text),
      ('uomId', old.uom_id::text, new.uom_id::text),
      ('attributes', old.attributes::text, new.attributes::text),
      ('listPrice', old.list_price::text, new.list_price::text),
      ('listCurrency', old.list_currency::text, new.list_currency::text)
    ) as v (name, before, value) where before is distinct from value) as diff
), inserted as (
  insert into product (sku, name, description, barcode, kind, tracking, category_id, uom_id,
                       attributes, list_price, list_currency, created_at, updated_at)
  select g.sku, g.name, g.description, g.barcode, coalesce(g.kind, 'GOODS'),
         coalesce(g.tracking, 'NONE'), g.category_id, g.uom_id,
         coalesce(g.attributes, '{}')::jsonb, g.list_price, coalesce(g.currency, :home), :now, :now
  from good g
  where not exists (select from product p where p.sku = g.sku and p.archived_at is null)
  order by g.sku
  -- made by somebody else at this moment
  on conflict (sku) where archived_at is null do update set
    name = excluded.name, category_id = excluded.category_id, list_price = excluded.list_price,
    version = product.version + 1, updated_at = excluded.updated_at
  returning id, sku, version, old.id is null as is_new
), audited as (
  insert into audit_log (company_id, actor, request_id, operation, action, entity, entity_id, diff,
                         version)
  select cast(:company as int), :actor, :request, 'upsertProducts', action, 'Product', id, diff,
         version
  from (select 'update' as action, id, diff, version from updated
        union all select case when is_new then 'create' else 'update' end, id,
                         jsonb_build_object('sku', sku), version from inserted) as changed
)
select place, 'UPDATED' from updated
union all
select g.place, case when i.is_new then 'INSERTED' else 'UPDATED' end
from inserted i join good g on g.sku = i.sku
"""
_CODES: Mapping[str, type[ErpError]] = {
    "NOT_FOUND": NotFound,
    "DUPLICATE": Duplicate,
    "INVALID_TRANSITION": InvalidTransition,
}
MAX_SKU = 64
MAX_NAME = 200
MAX_TEXT = 4_000
_LARGEST_PRICE = Decimal(10) ** 12


async def upsert_products(
    context: Context,
    connection: Transaction,
    rows: Sequence[Row],
    *,
    partly: bool,
    first: int = 0,
) -> list[Verdict]:
    """Make products, or change those that have a row's SKU; null leaves what is there.

    Nothing is written if a row is wrong, unless ``partly``. ``first`` is the place of the first row
    in the input. Returns a verdict on each row.
    """
    verdicts = verdicts_on(rows, "sku", first=first)
    for verdict, row in zip(verdicts, rows, strict=True):
        check_text(verdict, row, "sku", most=MAX_SKU)
        check_text(verdict, row, "name", most=MAX_NAME)
        check_text(verdict, row, "description", most=MAX_TEXT, required=False)
        check_text(verdict, row, "barcode", most=MAX_SKU, required=False)
        check_amount(verdict, row, "listPrice", decimals=6, below=_LARGEST_PRICE)
    await stage(
        connection,
        "staged_product",
        _STAGED,
        [
            (
                verdict.index,
                row["sku"],
                row["name"],
                row.get("description"),
                row.get("barcode"),
                row.get("kind"),
                row.get("tracking"),
                row["categoryCode"],
                row["uom"],
                None
                if row.get("attributes") is None
                else orjson.dumps(row["attributes"], option=orjson.OPT_SORT_KEYS).decode(),
                Decimal(row["listPrice"]),
                row.get("listCurrency"),
            )
            for verdict, row in zip(verdicts, rows, strict=True)
            if not verdict.errors
        ],
    )
    await connection.execute(text(_LOCK))
    await reject_staged(connection, verdicts, _CHECKS, _CODES)
    if not partly and any(verdict.errors for verdict in verdicts):
        return verdicts
    company = company_entity.columns
    home = await connection.scalar(
        select(company["currency"]).where(company["id"] == context.principal.company_id)
    )
    await write_staged(context, connection, verdicts, _WRITE, {"home": home})
    return verdicts

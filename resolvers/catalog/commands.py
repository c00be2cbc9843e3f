"""The verbs of the catalog: one function per command."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar, Final, Protocol, TypeVar

import asyncpg
from sqlalchemy import BigInteger, any_, bindparam, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from resolvers.catalog.loaders import product, product_unit
from resolvers.core.archive import archive
from resolvers.core.bulk import (
    Row,
    Staging,
    Verdict,
    changes_of,
    check_amounts,
    check_texts,
    verdicts_on,
    write_staged,
)
from resolvers.core.command import CommandRefused, Outcome
from resolvers.core.context import Context
from resolvers.core.document import Asked, Document, change_document, write_document
from resolvers.core.errors import (
    Archived,
    Duplicate,
    ErpError,
    Invalid,
    InvalidTransition,
    NotFound,
    shown,
)
from resolvers.core.quantities import LARGEST_QUANTITY
from resolvers.core.statement import compile_statement
from resolvers.core.transaction import Transaction
from resolvers.core.units import Unit, convert, nearest
from resolvers.reference.commands import units_by_code
from resolvers.reference.loaders import unit_of_measure


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


_STAGED = Staging(
    "staged_product",
    {
        "sku": ("text", "sku"),
        "name": ("text", "name"),
        "description": ("text", "description"),
        "barcode": ("text", "barcode"),
        "kind": ("text", "kind"),
        "tracking": ("text", "tracking"),
        "category": ("text", "categoryCode"),
        "uom": ("text", "uom"),
        "attributes": ("json", "attributes"),
        "list_price": ("text", "listPrice"),
        "currency": ("text", "listCurrency"),
    },
)
_CHANGES: Final = changes_of(
    {
        "name": "name",
        "description": "description",
        "barcode": "barcode",
        "kind": "kind",
        "tracking": "tracking",
        "categoryId": "category_id",
        "uomId": "uom_id",
        "attributes": "attributes",
        "listPrice": "list_price",
        "listCurrency": "list_currency",
    }
)
# Products are found by keys in an array, which is by an index whatever the planner knows of what
# is staged: by a join it reads all products there are.
_WRITE = compile_statement(
    text(f"""
with known as materialized (
  select s.place, s.sku, s.name, s.description, s.barcode, s.kind, s.tracking, s.category, s.uom,
         s.properties as attributes, s.price as list_price, s.currency, p.id as product_id,
         p as before, p.xmin as written_by, p.uom_id as old_uom, p.tracking as old_tracking,
         u.id as uom_id, c.id as category_id, x.code as currency_code,
         (p.name, p.description, p.barcode, p.kind, p.tracking, p.category_id, p.uom_id,
          p.attributes, p.list_price, p.list_currency)
         is distinct from
         (s.name, coalesce(s.description, p.description), coalesce(s.barcode, p.barcode),
          coalesce(s.kind, p.kind), coalesce(s.tracking, p.tracking), c.id, u.id,
          coalesce(s.properties, p.attributes), s.price,
          coalesce(s.currency, p.list_currency)) as differs
  from (select *, list_price::numeric(20, 6) as price, attributes::jsonb as properties
        from staged_product) s
  left join product p on p.sku = s.sku and p.archived_at is null
    and p.sku = any(array(select sku from staged_product))
  left join unit_of_measure u on u.code = s.uom
  left join product_category c on c.code = s.category and c.archived_at is null
  left join currency x on x.code = s.currency and x.archived_at is null
), wrong as materialized (
  select sku, 'NOT_FOUND' as code, 'categoryCode' as field,
         format('There is no category %s.', category) as message
  from known where category_id is null
  union all
  select sku, 'NOT_FOUND', 'uom', format('There is no unit %s.', uom)
  from known where uom_id is null
  union all
  select sku, 'NOT_FOUND', 'listCurrency', format('There is no currency %s.', currency)
  from known where currency is not null and currency_code is null
  union all
  select k.sku, 'DUPLICATE', 'barcode', format('%s has this barcode.', p.sku)
  from known k join product p
    on p.barcode = k.barcode and p.archived_at is null and p.id is distinct from k.product_id
  where p.barcode = any(array(select barcode from staged_product))
  union all
  select sku, 'DUPLICATE', 'barcode', 'The barcode stands in an earlier row.' from (
    select sku, row_number() over (partition by barcode order by place) as nth from known
    where barcode is not null) again where nth > 1
  union all
  select sku, 'INVALID_TRANSITION', case when old_uom <> uom_id then 'uom' else 'tracking' end,
         'It cannot change once the product is there; archive it and make another one.'
  from known where old_uom <> uom_id or old_tracking <> coalesce(tracking, old_tracking)
), good as materialized (
  select * from known
  where differs and cast(:write as boolean)
    and (cast(:partly as boolean) or not exists (select from wrong))
    and sku not in (select sku from wrong)
), locked as materialized (
  select id from product
  where archived_at is null and id = any(array(select product_id from good))
  order by id for no key update
), updated as (
  update product p set
    name = g.name, description = coalesce(g.description, p.description),
    barcode = coalesce(g.barcode, p.barcode), kind = coalesce(g.kind, p.kind),
    tracking = coalesce(g.tracking, p.tracking), category_id = g.category_id, uom_id = g.uom_id,
    attributes = coalesce(g.attributes, p.attributes), list_price = g.list_price,
    list_currency = coalesce(g.currency, p.list_currency),
    version = p.version + 1, updated_at = :now
  from good g
  where p.id = g.product_id and p.xmin = g.written_by -- what nobody changed meanwhile
    and p.id = any(array(select id from locked))
  returning p.sku, p.id, p.version, {_CHANGES} as diff
), inserted as (
  insert into product (sku, name, description, barcode, kind, tracking, category_id, uom_id,
                       attributes, list_price, list_currency, created_at, updated_at)
  select sku, name, description, barcode, coalesce(kind, 'GOODS'), coalesce(tracking, 'NONE'),
         category_id, uom_id, coalesce(attributes, '{{}}'), list_price,
         coalesce(currency, (select currency from company where id = cast(:company as int))),
         :now, :now
  from good where product_id is null
  order by sku
  on conflict (sku) where archived_at is null do nothing
  returning id, sku, version
), audited as (
  insert into audit_log (company_id, actor, request_id, operation, action, entity, entity_id, diff,
                         version)
  select cast(:company as int), :actor, :request, 'upsertProducts', action, 'Product', id, diff,
         version
  from (select 'update' as action, id, diff, version from updated
        union all
        select 'create', id, jsonb_build_object('sku', sku), version from inserted) as changed
)
select array[sku] as keys, code, field, message from wrong
union all
select array_agg(sku), 'UPDATED', null, null from updated having count(*) > 0
union all
select array_agg(sku), 'INSERTED', null, null from inserted having count(*) > 0
union all
-- made, changed or archived by somebody else at this moment
select null, 'AGAIN', null, null
where (select count(*) from good)
   <> (select count(*) from updated) + (select count(*) from inserted)
""")  # noqa: S608 - of names written here
)
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
    earlier: frozenset[Any] = frozenset(),
) -> list[Verdict]:
    """Make products, or change those that have a row's SKU; null leaves what is there.

    Nothing is written if a row is wrong, unless ``partly``. ``first`` is the place of the first row
    in the input, ``earlier`` are keys of rows before it. Returns a verdict on each row.
    """
    verdicts = verdicts_on(rows, "sku", first=first, earlier=earlier)
    check_texts(verdicts, rows, "sku", most=MAX_SKU)
    check_texts(verdicts, rows, "name", most=MAX_NAME)
    check_texts(verdicts, rows, "description", most=MAX_TEXT, required=False)
    check_texts(verdicts, rows, "barcode", most=MAX_SKU, required=False)
    check_amounts(verdicts, rows, "listPrice", decimals=6, below=_LARGEST_PRICE)
    await _STAGED.fill(connection, verdicts, rows)
    await write_staged(context, connection, verdicts, _WRITE, _CODES, partly=partly)
    return verdicts


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack of a product: ``factor`` of the product's unit are in one."""

    code: str
    name: str
    factor: Decimal
    barcode: str | None = None


MAX_PACKS: Final = 50
"""Most packs of one product."""
MAX_CODE: Final = 20
"""Most characters of a pack's code."""
LARGEST_FACTOR: Final = Decimal(10) ** 12
_FACTOR_STEP: Final = Decimal("1E-12")
PRODUCT: Final = Document("Product", product.table, "product")


async def set_product_units(
    context: Context, key: str, asked: Asked, packs: Sequence[Pack]
) -> Outcome:
    """Let a product have these packs and no others; what was entered in others stays as it is.

    Returns the product's ``id``.

    Raises:
        CommandRefused: there is no such product, it changed or is archived, a pack is wrong by
            itself, or its code or barcode is taken.

    """
    errors = _check_packs(packs)
    if errors:
        raise CommandRefused(errors)

    def refuse(row: Any) -> ErpError | None:
        if row.archived_at is None:
            return None
        return Archived("The product is archived.", path=asked.at)

    async def change(connection: Transaction, row: Any) -> Outcome:
        taken = await units_by_code(connection, [one.code for one in packs])
        wrong: list[ErpError] = [
            Duplicate(f"{one.code} is a unit of measure.", path=("units", str(place), "code"))
            for place, one in enumerate(packs)
            if one.code in taken
        ]
        printed = await _printed_elsewhere(connection, row.id, packs)
        wrong += [
            _barcode_taken(place) for place, one in enumerate(packs) if one.barcode in printed
        ]
        if wrong:
            raise CommandRefused(wrong)
        try:
            await _write_packs(context, connection, row.id, packs)
        except asyncpg.UniqueViolationError as failure:
            # given to another product's pack at this moment; which one cannot be asked any more
            refusal = Duplicate("Another pack has one of these barcodes.", path=("units",))
            raise CommandRefused([refusal]) from failure
        await write_document(
            context,
            connection,
            PRODUCT,
            row,
            {"updated_at": context.clock()},
            operation="setProductUnits",
            action="update",
            told={"units": {one.code: f"{one.factor:f}" for one in packs}},
        )
        return {}

    return await change_document(
        context,
        key,
        PRODUCT,
        asked,
        operation="setProductUnits",
        cause="setProductUnits",
        refuse=refuse,
        change=change,
        request={
            "units": [
                [one.code, one.name, f"{one.factor.normalize():f}", one.barcode] for one in packs
            ]
        },
    )


def _check_packs(packs: Sequence[Pack]) -> list[ErpError]:
    """Find what is wrong with packs by themselves."""
    errors: list[ErpError] = []
    if len(packs) > MAX_PACKS:
        errors.append(Invalid(f"Give at most {MAX_PACKS} packs.", path=("units",)))
    seen: set[str] = set()
    printed: set[str] = set()
    for place, one in enumerate(packs):
        at = ("units", str(place))
        for name, value, most in (
            ("code", one.code, MAX_CODE),
            ("name", one.name, MAX_NAME),
            ("barcode", one.barcode, MAX_SKU),
        ):
            if value is not None and not 1 <= len(value) <= most:
                errors.append(
                    Invalid(f"{name} must have 1 to {most} characters.", path=(*at, name))
                )
        if not (
            0 < one.factor < LARGEST_FACTOR and one.factor == one.factor.quantize(_FACTOR_STEP)
        ):
            message = (
                f"factor must be above 0 and below {LARGEST_FACTOR:f} with at most 12 decimals."
            )
            errors.append(Invalid(message, path=(*at, "factor")))
        if one.code in seen:
            errors.append(Duplicate("Give each pack once.", path=(*at, "code")))
        if one.barcode is not None:
            if one.barcode in printed:
                errors.append(_barcode_taken(place))
            printed.add(one.barcode)
        seen.add(one.code)
    return errors


def _barcode_taken(place: int) -> ErpError:
    return Duplicate("Another pack has this barcode.", path=("units", str(place), "barcode"))


async def _printed_elsewhere(
    connection: Transaction, product_id: int, packs: Sequence[Pack]
) -> set[str]:
    """Return which barcodes of packs are on those of other products."""
    printed = [one.barcode for one in packs if one.barcode is not None]
    if not printed:
        return set()
    pack = product_unit.table.c
    found = await connection.execute(
        select(pack.barcode).where(
            pack.barcode == any_(bindparam("printed", type_=ARRAY(Text))),
            pack.product_id != product_id,
            pack.archived_at.is_(None),
        ),
        {"printed": printed},
    )
    return {row.barcode for row in found}


async def _write_packs(
    context: Context, connection: Transaction, product_id: int, packs: Sequence[Pack]
) -> None:
    """Archive packs of a locked product that are not given, change those that are, make others."""
    pack = product_unit.table.c
    known = await connection.execute(
        select(pack.id, pack.code, pack.barcode).where(
            pack.product_id == product_id, pack.archived_at.is_(None)
        )
    )
    given = {one.code: one for one in packs}
    ids: dict[str, int] = {}
    loose: list[int] = []
    for row in known:
        ids[row.code] = row.id
        if row.barcode and row.code in given and row.barcode != given[row.code].barcode:
            loose.append(row.id)
    gone = [id_ for code, id_ in ids.items() if code not in given]
    if gone:
        await connection.execute(
            update(product_unit.table)
            .where(pack.id == any_(bindparam("ids", type_=ARRAY(BigInteger))))
            .values(archived_at=context.clock()),
            {"ids": gone},
        )
    if loose:
        # packs may exchange their barcodes, and are changed one after the other
        await connection.execute(
            update(product_unit.table)
            .where(pack.id == any_(bindparam("ids", type_=ARRAY(BigInteger))))
            .values(barcode=None),
            {"ids": loose},
        )
    changed = [
        {"pack": id_, "called": given[code].name, "inside": given[code].factor}
        | {"printed": given[code].barcode}
        for code, id_ in ids.items()
        if code in given
    ]
    if changed:
        await connection.execute(
            update(product_unit.table)
            .where(pack.id == bindparam("pack"))
            .values(
                name=bindparam("called"), factor=bindparam("inside"), barcode=bindparam("printed")
            ),
            changed,
        )
    made = [
        {
            "product_id": product_id,
            "code": one.code,
            "name": one.name,
            "factor": one.factor,
            "barcode": one.barcode,
        }
        for one in packs
        if one.code not in ids
    ]
    if made:
        await connection.execute(insert(product_unit.table), made)


@dataclass(frozen=True, slots=True)
class Entered:
    """A quantity of a product as somebody entered it, in the unit ``uom`` if one was named.

    ``at`` is the path of the line of the input, ``name`` what that calls the quantity.
    """

    product_id: int
    quantity: Decimal
    uom: str | None
    at: tuple[str, ...]
    name: str = "qty"


@dataclass(frozen=True, slots=True)
class Measured:
    """A quantity in its product's unit; ``entered`` are the columns that keep how it was entered.

    They say that ``entered_quantity`` x ``entered_factor`` = quantity x ``stock_factor``.
    """

    quantity: Decimal
    entered: Mapping[str, Any]


AS_STOCKED: Final[Mapping[str, Any]] = dict.fromkeys(
    ("entered_quantity", "entered_uom", "entered_factor", "stock_factor")
)
"""Columns of a line that was entered in its product's unit."""


def unit_asked(uom: str | None) -> list[dict[str, str]]:
    """Return what the request of a line remembers of its unit: nothing where none was named.

    So requests without units are what they were before there were any.
    """
    return [] if uom is None else [{"uom": uom}]


async def in_stock_units(connection: Transaction, entered: Sequence[Entered]) -> list[Measured]:
    """Convert quantities to their products' units; where no unit was named they are in it.

    A unit is looked for among the product's packs, then among the units of measure.

    Raises:
        CommandRefused: a unit is unknown or measures something different, or what was entered in it
            is no exact quantity of the product's unit, or too much.

    """
    named = [(one.product_id, one.uom) for one in entered if one.uom is not None]
    if not named:
        return [Measured(one.quantity, AS_STOCKED) for one in entered]
    stocked = await _stocked_in(connection, [id_ for id_, _ in named])
    units = await units_by_code(connection, [*stocked.values(), *(code for _, code in named)])
    packs = await _packs(connection, named)
    measured: list[Measured] = []
    errors: dict[tuple[Any, ...], ErpError] = {}
    for one in entered:
        if one.uom is None:
            measured.append(Measured(one.quantity, AS_STOCKED))
            continue
        wanted = units[stocked[one.product_id]]
        pack = packs.get((one.product_id, one.uom))
        if pack is not None:
            # so many of the product's unit, whatever that is
            wanted = replace(wanted, dimension=pack.dimension, factor=Decimal(1))
        found = _measured(one, pack or units.get(one.uom), wanted)
        if isinstance(found, ErpError):
            # a line with two quantities names its unit once
            errors.setdefault((found.path, found.message), found)
        else:
            measured.append(found)
    if errors:
        raise CommandRefused(list(errors.values()))
    return measured


class _Line(Protocol):
    """A line of an input that may name a unit: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def uom(self) -> str | None: ...


_L = TypeVar("_L", bound=_Line)


async def lines_in_stock_units(
    connection: Transaction,
    lines: Sequence[_L],
    product_of: Callable[[_L], int | None],
    names: Mapping[str, str],
) -> list[_L]:
    """Return lines with their quantities in their products' units; see `in_stock_units`.

    ``names`` maps each quantity of a line to what the input calls it. Lines of which there is no
    product are left as they are, for whoever refuses them.
    """
    places = [
        (position, attribute, product_id, value)
        for position, line in enumerate(lines)
        if (product_id := product_of(line)) is not None
        for attribute in names
        if (value := getattr(line, attribute)) is not None
    ]
    measured = await in_stock_units(
        connection,
        [
            Entered(
                product_id,
                value,
                lines[position].uom,
                ("lines", str(position)),
                names[attribute],
            )
            for position, attribute, product_id, value in places
        ],
    )
    changes: list[dict[str, Decimal]] = [{} for _ in lines]
    for (position, attribute, _, _), found in zip(places, measured, strict=True):
        changes[position][attribute] = found.quantity
    return [replace(line, **change) for line, change in zip(lines, changes, strict=True)]


_PACK: Final = "PACK"
"""In place of the dimension of units that only one product has."""


async def _stocked_in(connection: Transaction, product_ids: Sequence[int]) -> dict[int, str]:
    """Return the code of the unit that each product is stocked in."""
    goods, unit = product.columns, unit_of_measure.columns
    found = await connection.execute(
        select(goods["id"], unit["code"])
        .join(unit_of_measure.table, unit["id"] == goods["uom_id"])
        .where(goods["id"] == any_(bindparam("products", type_=ARRAY(BigInteger)))),
        {"products": sorted(set(product_ids))},
    )
    return {row.id: row.code for row in found}


async def _packs(
    connection: Transaction, named: Sequence[tuple[int, str]]
) -> dict[tuple[int, str], Unit]:
    """Return the packs that products have by these codes."""
    pack = product_unit.columns
    found = await connection.execute(
        select(pack["product_id"], pack["code"], pack["factor"]).where(
            pack["product_id"] == any_(bindparam("products", type_=ARRAY(BigInteger))),
            pack["code"] == any_(bindparam("codes", type_=ARRAY(Text))),
            pack["archived_at"].is_(None),
        ),
        {
            "products": sorted({id_ for id_, _ in named}),
            "codes": sorted({code for _, code in named}),
        },
    )
    return {(row.product_id, row.code): Unit(row.code, _PACK, row.factor) for row in found}


def _measured(one: Entered, given: Unit | None, wanted: Unit) -> Measured | ErpError:
    """Convert a quantity that was entered in the unit ``given``, or tell why that cannot be."""
    assert one.uom is not None
    named = {"unit": shown(one.uom), "productUnit": wanted.code}
    if given is None:
        return NotFound(
            f"There is no unit {shown(one.uom)} of the product; it is stocked in {wanted.code}.",
            path=(*one.at, "uom"),
            details=named,
        )
    if given.dimension != wanted.dimension:
        return Invalid(
            f"{given.code} measures {given.dimension}; the product is stocked in {wanted.code}, "
            f"which measures {wanted.dimension}.",
            path=(*one.at, "uom"),
            details={**named, "dimension": given.dimension, "productDimension": wanted.dimension},
        )
    path = (*one.at, one.name)
    quantity = convert(one.quantity, given, wanted)
    if quantity is None:
        below, above = nearest(one.quantity, given, wanted)
        # nothing at all is seldom what somebody means
        near = {"nearestBelow": below, "nearestAbove": above}
        told = {name: f"{value:f}" for name, value in near.items() if value != 0}
        return Invalid(
            f"{one.quantity:f} {given.code} is no exact quantity in {wanted.code}; take "
            f"{' or '.join(told.values())}.",
            path=path,
            details={**named, **told},
        )
    if abs(quantity) >= LARGEST_QUANTITY:
        return Invalid(
            f"{one.name} must be below {LARGEST_QUANTITY:f} in {wanted.code}.",
            path=path,
            details=named,
        )
    return Measured(
        quantity,
        {
            "entered_quantity": one.quantity,
            "entered_uom": given.code,
            "entered_factor": given.factor,
            "stock_factor": wanted.factor,
        },
    )

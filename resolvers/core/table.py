"""The one MetaData, the column types, and who sees which rows of a table.

Row visibility is declared with the table and enforced by PostgreSQL's row-level security
(https://www.postgresql.org/docs/current/ddl-rowsecurity.html): a statement that forgets a condition
still returns nothing of another company. `resolvers.core.security` turns the rules into SQL.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from resolvers.core.statement import unseen

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

COMPANY = "(select nullif(current_setting('app.company_id', true), '')::int)"
"""The company a connection is set to; NULL, and so no row, when it is set to none."""
PARTNER = "(select nullif(current_setting('app.partner_id', true), '')::bigint)"
"""The partner a connection is set to; NULL, and so no row, when it is set to none."""

Grant = Literal["select", "insert", "update"]


@dataclass(frozen=True, slots=True)
class RowRule:
    """Which rows the two serving roles see, as SQL conditions; None means no row at all.

    ``staff`` holds for `erp_app`, ``partner`` for `erp_partner`. ``grants`` are the staff role's
    privileges; the partner role only ever selects.
    """

    staff: str | None
    partner: str | None
    grants: tuple[Grant, ...] = ("select",)
    owned: bool = False


_OF_COMPANY = f"company_id = {COMPANY}"


def owned(*grants: Grant, partner: str | None = None) -> RowRule:
    """Rows of one company, by ``company_id``; a bound partner sees those matching ``partner``.

    ``partner`` is a SQL condition in which ``{partner}`` stands for the caller's partner id, or
    "true" for every row of the company.
    """
    condition = None
    if partner is not None:
        extra = partner.format(partner=PARTNER)
        condition = _OF_COMPANY if extra == "true" else f"{_OF_COMPANY} and {extra}"
    return RowRule(_OF_COMPANY, condition, ("select", *grants), owned=True)


def shared(*grants: Grant, partner: str | None = "true") -> RowRule:
    """Master data of all companies in the database; a bound partner sees those of ``partner``."""
    condition = None if partner is None else partner.format(partner=PARTNER)
    return RowRule("true", condition, ("select", *grants))


def internal() -> RowRule:
    """No serving role reads or writes this table directly; functions of the owner do."""
    return RowRule(None, None, ())


def table(
    name: str,
    *elements: Any,
    rows: RowRule,
    comment: str,
    fillfactor: int | None = None,
    partition_by: str | None = None,
    reference: bool = False,
    access: tuple[str, ...] | None = None,
) -> Table:
    """Define a table with its row rule.

    ``comment`` says what one row is; ``fillfactor`` leaves room in pages of rows that change often;
    ``partition_by`` is how rows find their partition, as SQL.
    ``reference`` tells that processes may keep its rows in memory: a trigger tells of each change.
    ``access`` tells that its rows decide who may do what: a trigger counts each change, or each of
    these columns where any are named.

    Raises:
        TypeError: a table of reference data has an amount or a quantity, which is never kept.

    """
    amounts = [e.name for e in elements if isinstance(e, Column) and is_amount(e.type)]
    if reference and amounts:
        raise TypeError(f"{name} has amounts or quantities, which are never kept: {amounts}")
    storage: Any = {} if fillfactor is None else {"postgresql_with": {"fillfactor": fillfactor}}
    if partition_by is not None:
        storage["postgresql_partition_by"] = partition_by
    info = {"rows": rows, "reference": reference, "access": access}
    return Table(name, metadata, *elements, comment=comment, info=info, **storage)


def row_rule(table_: Table) -> RowRule:
    """Return the row rule a table was defined with."""
    rule: RowRule = table_.info["rows"]
    return rule


def money() -> Numeric[Any]:
    """Amount of money, 4 decimals; which of them a currency uses is in `currency.digits`."""
    return Numeric(20, 4)


def unit_price() -> Numeric[Any]:
    """Price or cost of one unit, 6 decimals."""
    return Numeric(20, 6)


def quantity() -> Numeric[Any]:
    """Quantity in the product's stock unit, 4 decimals."""
    return Numeric(18, 4)


_AMOUNTS = {(type_.precision, type_.scale) for type_ in (money(), unit_price(), quantity())}


def given_quantities() -> Any:
    """Return the parameters ``ids`` and ``given``, a quantity for each id, as a table of both."""
    return (
        func.unnest(unseen("ids", ARRAY(BigInteger)), unseen("given", ARRAY(quantity())))
        .table_valued("id", "quantity", name="given")
        .render_derived()
    )


def is_amount(type_: "TypeEngine[Any]") -> bool:
    """Tell whether a column of this type holds money, a price or a quantity."""
    return isinstance(type_, Numeric) and (type_.precision, type_.scale) in _AMOUNTS


def rate() -> Numeric[Any]:
    """Conversion factor, 12 decimals."""
    return Numeric(24, 12)


def percentage() -> Numeric[Any]:
    """Percent, 4 decimals; 12.5 means 12.5 %."""
    return Numeric(7, 4)


def as_given(type_: "TypeEngine[Any]") -> "TypeEngine[Any]":
    """Return the type a client's value is bound as where it is compared with a ``type_`` column.

    Wide enough for every id and number a client can send: one that no row can have finds no row,
    instead of failing or of being rounded to the column's digits first.
    """
    if isinstance(type_, Integer):
        return BigInteger()
    return Numeric() if isinstance(type_, Numeric) else type_


AMOUNT_STEPS = 10_000
"""Steps in one: amounts and quantities have 4 decimals."""


def sortable(name: str, amount: str) -> "Column[Any]":
    """Ten-thousandths of ``amount``, a SQL expression, generated: what lists sort and bound it by.

    Under row security an index serves leakproof comparisons only: those of bigint, not of numeric.
    """
    steps = Computed(f"(({amount}) * {AMOUNT_STEPS})::bigint", persisted=True)
    return Column(name, BigInteger, steps, nullable=False)


def as_entered() -> tuple[SchemaItem, ...]:
    """Columns of a line that keep what was entered in another unit than the product's, if it was.

    The two factors say exactly how it became ``quantity``, whatever becomes of the unit.
    """
    return (
        Column("entered_quantity", quantity()),
        Column("entered_uom", Text),
        Column("entered_factor", rate()),
        Column("stock_factor", rate()),
        CheckConstraint(
            "num_nulls(entered_quantity, entered_uom, entered_factor, stock_factor) in (0, 4)",
            name="entered",
        ),
        CheckConstraint("entered_factor > 0 and stock_factor > 0", name="entered_factors"),
        # multiplied and not divided, so that it is exact to the last digit
        CheckConstraint(
            "entered_quantity * entered_factor = quantity * stock_factor", name="entered_exactly"
        ),
    )


def big_id() -> "Column[Any]":
    """Primary key of a table that grows with business."""
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def small_id() -> "Column[Any]":
    """Primary key of a table of a few hundred rows."""
    return Column("id", Integer, Identity(always=True), primary_key=True)


def number_prefix(table_name: str) -> Index:
    """Return the index by which documents are found by the beginning of their number."""
    return Index(
        f"ix_{table_name}_number_prefix",
        "company_id",
        "number",
        postgresql_ops={"number": "text_pattern_ops"},
    )


def later(column: str) -> ForeignKey:
    """Refer to a row that a transaction may write after this one, if it says so.

    ``set constraints all deferred`` has it checked at the commit; else it is checked at once.
    """
    return ForeignKey(column, deferrable=True, initially="IMMEDIATE")


def instant(name: str, *, now: bool = False) -> "Column[Any]":
    """Point in time; with ``now`` it is required and defaults to the transaction's start."""
    if now:
        return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))
    return Column(name, DateTime(timezone=True))


def archived_at() -> "Column[Any]":
    """When the row was archived; archived rows leave lists and still resolve by id."""
    return instant("archived_at")


def version() -> "Column[Any]":
    """Row counter for optimistic locking."""
    return Column("version", Integer, nullable=False, server_default="1")


def required(
    name: str, type_: "TypeEngine[Any] | type[TypeEngine[Any]]" = Text, *args: Any, **kw: Any
) -> "Column[Any]":
    """Define a NOT NULL column."""
    return Column(name, type_, *args, nullable=False, **kw)


def one_of(column: str, values: type[StrEnum]) -> str:
    """Return the SQL condition that ``column`` holds one of an enum's values."""
    listed = ", ".join(f"'{v}'" for v in values)
    return f"{column} in ({listed})"

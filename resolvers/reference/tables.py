"""Tables of currencies and their rates, units of measure, and taxes."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import CHAR

from resolvers.core.table import (
    archived_at,
    big_id,
    one_of,
    owned,
    rate,
    required,
    shared,
    small_id,
    table,
)
from resolvers.reference.rules import TaxKind, TaxPosition, TaxUse

currency = table(
    "currency",
    Column("code", CHAR(3), primary_key=True),
    required("name"),
    required("digits", SmallInteger),
    Column("symbol", Text),
    archived_at(),
    CheckConstraint("code ~ '^[A-Z]{3}$'", name="code"),
    CheckConstraint("digits between 0 and 4", name="digits"),
    rows=shared(),
    comment="A currency by its ISO 4217 code; digits is its number of minor units.",
    reference=True,
)

unit_of_measure = table(
    "unit_of_measure",
    small_id(),
    required("code", unique=True),
    required("name"),
    required("dimension"),
    required("factor", rate()),
    required("rounding", rate()),
    required("is_reference", Boolean, server_default="false"),
    CheckConstraint("factor > 0", name="factor"),
    CheckConstraint("rounding > 0", name="rounding"),
    Index(
        "uq_unit_of_measure_reference",
        "dimension",
        unique=True,
        postgresql_where=text("is_reference"),
    ),
    rows=shared(),
    comment="A unit; factor converts it to the reference unit of its dimension.",
    reference=True,
)

currency_rate = table(
    "currency_rate",
    big_id(),
    required("base", CHAR(3), ForeignKey("currency.code")),
    required("quote", CHAR(3), ForeignKey("currency.code")),
    required("valid_on", Date),
    required("rate", rate()),
    required("source", server_default="MANUAL"),
    UniqueConstraint("base", "quote", "valid_on"),
    CheckConstraint("rate > 0", name="rate"),
    CheckConstraint("base <> quote", name="quote"),
    Index("ix_currency_rate_valid_on", "valid_on", "id"),
    Index("ix_currency_rate_quote", "quote", "valid_on", "id"),
    Index("ix_currency_rate_base", "base", "valid_on", "id"),
    rows=shared(),
    comment="What one unit of base is worth in quote from a day on, until there is a later rate.",
)

tax = table(
    "tax",
    small_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("code"),
    required("name"),
    required("use"),
    required("position"),
    required("kind", server_default="PERCENT"),
    required("rate", rate()),
    required("valid_from", Date),
    Column("valid_to", Date),
    archived_at(),
    UniqueConstraint("company_id", "code"),
    CheckConstraint(one_of("use", TaxUse), name="use"),
    CheckConstraint(one_of("position", TaxPosition), name="position"),
    CheckConstraint(one_of("kind", TaxKind), name="kind"),
    CheckConstraint("rate >= 0", name="rate"),
    CheckConstraint("valid_to > valid_from", name="valid_to"),
    rows=owned(partner="true"),
    comment="A tax of a company: what is added to the net amounts of its documents.",
    reference=True,
)

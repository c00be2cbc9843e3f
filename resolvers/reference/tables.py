"""Tables of currencies and units of measure."""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import CHAR

from resolvers.core.table import archived_at, rate, required, shared, small_id, table

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

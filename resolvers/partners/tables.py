"""Tables of partners, their addresses and their terms with each company."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import CHAR, TSVECTOR
from sqlalchemy.schema import Computed

from resolvers.core.search import search_vector
from resolvers.core.table import (
    archived_at,
    big_id,
    instant,
    money,
    one_of,
    owned,
    required,
    shared,
    small_id,
    table,
    version,
)
from resolvers.partners.rules import AddressKind, PartnerKind

_ACTIVE = text("archived_at is null")

partner = table(
    "partner",
    big_id(),
    required("code"),
    required("name"),
    required("kind"),
    required("is_customer", Boolean, server_default="false"),
    required("is_supplier", Boolean, server_default="false"),
    Column("tax_id", Text),
    Column("email", Text),
    Column("phone", Text),
    Column("language", Text),
    version(),
    archived_at(),
    Column(
        "search",
        TSVECTOR,
        Computed(
            search_vector(
                "code || ' ' || name || ' ' || coalesce(email, '') || ' ' || coalesce(tax_id, '')"
            ),
            persisted=True,
        ),
    ),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    CheckConstraint(one_of("kind", PartnerKind), name="kind"),
    Index("uq_partner_code", "code", unique=True, postgresql_where=_ACTIVE),
    Index("ix_partner_search", "search", postgresql_using="gin"),
    Index("ix_partner_name", "name", "id", postgresql_where=_ACTIVE),
    Index(
        "ix_partner_customers",
        "name",
        "id",
        postgresql_where=text("archived_at is null and is_customer"),
    ),
    Index(
        "ix_partner_suppliers",
        "name",
        "id",
        postgresql_where=text("archived_at is null and is_supplier"),
    ),
    Index("ix_partner_tax_id", "tax_id", postgresql_where=text("tax_id is not null")),
    rows=shared("insert", "update", partner="id = {partner}"),
    comment="A person or organisation we deal with; shared by all companies of the database.",
)

partner_address = table(
    "partner_address",
    big_id(),
    required("partner_id", BigInteger, ForeignKey("partner.id")),
    required("kind"),
    required("line1"),
    Column("line2", Text),
    required("city"),
    Column("region", Text),
    Column("postal_code", Text),
    required("country", CHAR(2)),
    required("is_default", Boolean, server_default="false"),
    archived_at(),
    CheckConstraint(one_of("kind", AddressKind), name="kind"),
    Index("ix_partner_address_partner_id", "partner_id", "id"),
    Index(
        "uq_partner_address_default",
        "partner_id",
        "kind",
        unique=True,
        postgresql_where=text("is_default and archived_at is null"),
    ),
    rows=shared("insert", "update", partner="partner_id = {partner}"),
    comment="Where a partner is billed or shipped to.",
)

payment_term = table(
    "payment_term",
    small_id(),
    required("code", unique=True),
    required("name"),
    required("net_days", Integer),
    CheckConstraint("net_days between 0 and 365", name="net_days"),
    rows=shared(),
    comment="When an invoice is due.",
    reference=True,
)

partner_company = table(
    "partner_company",
    required("partner_id", BigInteger, ForeignKey("partner.id")),
    required("company_id", Integer, ForeignKey("company.id")),
    Column("credit_limit", money()),
    Column("payment_term_id", Integer, ForeignKey("payment_term.id")),
    Column("price_list_id", Integer, ForeignKey("price_list.id")),
    instant("blocked_at"),
    Column("block_reason", Text),
    PrimaryKeyConstraint("partner_id", "company_id"),
    CheckConstraint("credit_limit >= 0", name="credit_limit"),
    Index("ix_partner_company_company_id", "company_id", "partner_id"),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="The terms a company has with a partner.",
)

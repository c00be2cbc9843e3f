"""Tables of documents, of their files, and of what was read in them."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from resolvers.core.table import (
    archived_at,
    big_id,
    instant,
    money,
    one_of,
    owned,
    quantity,
    required,
    table,
    unit_price,
)
from resolvers.documents.rules import LARGEST_FILE, DocumentKind, ExtractionState

document = table(
    "document",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("kind"),
    required("filename"),
    required("media_type"),
    required("size_bytes", Integer),
    required("sha256"),
    Column("partner_id", BigInteger, ForeignKey("partner.id")),
    Column("invoice_id", BigInteger),
    Column("package_id", BigInteger),
    required("uploaded_by"),
    instant("created_at", now=True),
    archived_at(),
    UniqueConstraint("company_id", "kind", "sha256"),
    UniqueConstraint("id", "company_id", name="uq_document_owner"),
    # with a partner, so that nobody sees a file of another's invoice or parcel
    ForeignKeyConstraint(
        ["invoice_id", "company_id", "partner_id"],
        ["invoice.id", "invoice.company_id", "invoice.partner_id"],
        name="fk_document_invoice",
    ),
    ForeignKeyConstraint(
        ["package_id", "company_id", "partner_id"],
        ["package.id", "package.company_id", "package.partner_id"],
        name="fk_document_package",
    ),
    CheckConstraint(one_of("kind", DocumentKind), name="kind"),
    CheckConstraint(f"size_bytes between 1 and {LARGEST_FILE}", name="size_bytes"),
    CheckConstraint(
        "partner_id is not null or invoice_id is null and package_id is null", name="partner_id"
    ),
    Index("ix_document_company", "company_id", "id"),
    Index("ix_document_kind", "company_id", "kind", "id"),
    Index("ix_document_partner", "partner_id", "company_id", "id"),
    Index(
        "uq_document_invoice",
        "invoice_id",
        unique=True,
        postgresql_where=text("invoice_id is not null and archived_at is null"),
    ),
    Index(
        "uq_document_package",
        "package_id",
        unique=True,
        postgresql_where=text("package_id is not null and archived_at is null"),
    ),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="A file that came in or was made, without its content; none is taken twice.",
)

document_content = table(
    "document_content",
    Column("document_id", BigInteger, primary_key=True, autoincrement=False),
    required("company_id", Integer),
    required("content", LargeBinary),
    ForeignKeyConstraint(
        ["document_id", "company_id"],
        ["document.id", "document.company_id"],
        name="fk_document_content_document",
    ),
    CheckConstraint(f"octet_length(content) between 1 and {LARGEST_FILE}", name="content"),
    rows=owned(
        "insert", partner="document_id in (select id from document where partner_id = {partner})"
    ),
    comment="The bytes of a document's file, apart from what lists read; never changed.",
)

CONTENT_IN_PIECES = """
alter table document_content alter column content set storage external
"""
"""Kept as it is, a piece of it is read alone; files are compressed by their own formats."""

extraction = table(
    "extraction",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("document_id", BigInteger),
    Column("job_id", BigInteger, ForeignKey("job.id")),
    required("extractor"),
    required("extractor_version"),
    required("state", server_default="QUEUED"),
    Column("supplier_id", BigInteger, ForeignKey("partner.id")),
    Column("invoice_id", BigInteger, ForeignKey("invoice.id")),
    required("fields", JSONB, server_default="[]"),
    required("issues", JSONB, server_default="[]"),
    instant("created_at", now=True),
    UniqueConstraint("id", "company_id", name="uq_extraction_owner"),
    ForeignKeyConstraint(
        ["document_id", "company_id"],
        ["document.id", "document.company_id"],
        name="fk_extraction_document",
    ),
    CheckConstraint(one_of("state", ExtractionState), name="state"),
    Index("ix_extraction_company", "company_id", "id"),
    Index("ix_extraction_state", "company_id", "state", "id"),
    Index("ix_extraction_supplier", "supplier_id", "company_id", "id"),
    Index("ix_extraction_document", "document_id", "id"),
    rows=owned("insert", "update"),
    comment="What one extractor read in a document: fields with their places, lines, issues.",
)

extraction_line = table(
    "extraction_line",
    big_id(),
    required("company_id", Integer),
    required("extraction_id", BigInteger),
    required("position", Integer),
    Column("supplier_sku", Text),
    required("description"),
    Column("quantity", quantity()),
    Column("unit_price", unit_price()),
    Column("amount", money()),
    Column("product_id", BigInteger, ForeignKey("product.id")),
    Column("purchase_order_line_id", BigInteger, ForeignKey("purchase_order_line.id")),
    ForeignKeyConstraint(
        ["extraction_id", "company_id"],
        ["extraction.id", "extraction.company_id"],
        name="fk_extraction_line_extraction",
    ),
    UniqueConstraint("extraction_id", "position"),
    rows=owned("insert", "update"),
    comment="A line that was read on a bill, and what it was matched with.",
)

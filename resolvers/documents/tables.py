"""Tables of captured documents and of what was read in them."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    UniqueConstraint,
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
from resolvers.documents.rules import DocumentKind, ExtractionState

document = table(
    "document",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("kind"),
    required("filename"),
    required("media_type"),
    required("size_bytes", Integer),
    required("sha256"),
    required("storage_key"),
    required("uploaded_by"),
    instant("created_at", now=True),
    archived_at(),
    UniqueConstraint("company_id", "kind", "sha256"),
    UniqueConstraint("id", "company_id", name="uq_document_owner"),
    CheckConstraint(one_of("kind", DocumentKind), name="kind"),
    CheckConstraint("size_bytes between 1 and 26214400", name="size_bytes"),
    Index("ix_document_company", "company_id", "id"),
    rows=owned("insert", "update"),
    comment="A file that came in; sha256 keeps it from being taken twice.",
)

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

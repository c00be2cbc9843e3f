"""Documents with the addresses of their files, and what was read in them."""

from datetime import datetime
from decimal import Decimal

import strawberry

from resolvers.accounting.loaders import invoice_by_id
from resolvers.catalog.loaders import product_by_id
from resolvers.documents.loaders import (
    document,
    document_by_id,
    extraction,
    extraction_line,
    extraction_lines_by_extraction,
    extractions_by_document,
)
from resolvers.partners.loaders import partner_by_id
from resolvers.purchasing.loaders import purchase_line_by_id
from schema.accounting.types import Invoice
from schema.catalog.types import Product
from schema.core.fields import ID, RowType, column, computed, node_id, related
from schema.core.ids import encode_id
from schema.core.node import Node, node_type
from schema.documents.enums import DocumentKind, ExtractionState
from schema.partners.types import Partner
from schema.purchasing.types import PurchaseOrderLine


@strawberry.type(description="A value that was read in a document, and where.")
class ExtractedField:
    """One entry of `extraction.fields`."""

    name: str = strawberry.field(description="What it is, such as number or total.")
    value: str | None = strawberry.field(description="What was read; null if nothing was found.")
    confidence: int = strawberry.field(description="How sure the extractor is, in percent.")
    page: int | None = strawberry.field(description="Page it is on, from 1.")
    bbox: list[int] | None = strawberry.field(
        description="Its box on the page: left, top, right and bottom, in points."
    )


@strawberry.type(description="Something about an extraction that does not agree.")
class ExtractionIssue:
    """One entry of `extraction.issues`."""

    code: str = strawberry.field(description="What kind of issue it is, such as TOTAL_MISMATCH.")
    severity: str = strawberry.field(description="ERROR or WARNING.")
    message: str = strawberry.field(description="For people to read.")
    expected: str | None = strawberry.field(description="What it should be, if that is known.")
    actual: str | None = strawberry.field(description="What was read.")


def _fields(row: object) -> list[ExtractedField]:
    found: list[dict[str, object]] = row["fields"]  # type: ignore[index]
    names = ("name", "value", "confidence", "page", "bbox")
    return [ExtractedField(**{name: one.get(name) for name in names}) for one in found]  # type: ignore[arg-type]


def _issues(row: object) -> list[ExtractionIssue]:
    found: list[dict[str, object]] = row["issues"]  # type: ignore[index]
    names = ("code", "severity", "message", "expected", "actual")
    return [ExtractionIssue(**{name: one.get(name) for name in names}) for one in found]  # type: ignore[arg-type]


@node_type(
    document,
    "A file, such as a supplier's bill that came in or an invoice that was sent.",
    requires="documents.read",
)
class Document(RowType, Node):
    """A row of `document`."""

    id: ID = node_id("Document")
    kind: DocumentKind = column("What it is.")
    filename: str = column("Name of the file.")
    media_type: str = column("Media type, such as application/pdf.")
    bytes: int = column("Size of the file in bytes.", of="size_bytes")
    sha256: str = column("SHA-256 of the file, as hexadecimal digits.")
    uploaded_by: str = column("Who brought it, such as user:1.")
    created_at: datetime = column("When it came.")
    url: str = computed(
        "Address of the file, a path on this server. It takes the headers that this request took; "
        "a POST to it answers with a link that a browser can follow without them.",
        lambda row: f"/downloads/{encode_id('Document', row['id'])}",
        needs=("id",),
    )
    extractions: list["Extraction"] = related(
        "What extractors read in it, in the order they did.", extractions_by_document, "id", size=1
    )


@node_type(extraction_line, "A line that was read on a bill.", requires="documents.read")
class ExtractionLine(RowType, Node):
    """A row of `extraction_line`."""

    id: ID = node_id("ExtractionLine")
    seq: int = column("Place on the bill, from 1.", of="position")
    supplier_sku: str | None = column("The supplier's own number of the product.")
    description: str = column("Text on the bill.")
    qty: Decimal | None = column("Quantity, if one was read.", of="quantity")
    unit_price: Decimal | None = column("Price of one unit, if one was read.", requires="cost.read")
    amount: Decimal | None = column("Amount without tax, if one was read.", requires="cost.read")
    matched_product: Product | None = related(
        "Product it was matched with.", product_by_id, "product_id"
    )
    matched_purchase_order_line: PurchaseOrderLine | None = related(
        "Line of a purchase order it was matched with.",
        purchase_line_by_id,
        "purchase_order_line_id",
        requires="purchasing.read",
    )


@node_type(
    extraction, "What one extractor read in a document, to be reviewed.", requires="documents.read"
)
class Extraction(RowType, Node):
    """A row of `extraction`."""

    id: ID = node_id("Extraction")
    state: ExtractionState = column("How far it is.")
    extractor: str = column("What read it.")
    extractor_version: str = column("Version of that.")
    created_at: datetime = column("When it was asked for.")
    fields: list[ExtractedField] = computed(
        "Values that were read, with their places.", _fields, needs=("fields",)
    )
    issues: list[ExtractionIssue] = computed(
        "What does not agree; empty when everything does.", _issues, needs=("issues",)
    )
    lines: list[ExtractionLine] = related(
        "Lines of the bill, in their order.", extraction_lines_by_extraction, "id", size=5
    )
    supplier: Partner | None = related(
        "Whose bill it is, if that was found.", partner_by_id, "supplier_id"
    )
    document: Document = related("Document it was read in.", document_by_id, "document_id")
    draft_bill: Invoice | None = related(
        "Bill that was made of it.", invoice_by_id, "invoice_id", requires="invoices.read"
    )

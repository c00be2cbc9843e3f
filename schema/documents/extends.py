"""What documents add to lower modules' types."""

from resolvers.documents.loaders import document_by_invoice, document_by_package
from schema.accounting.types import Invoice
from schema.core.extend import extend
from schema.core.fields import related
from schema.documents.types import Document
from schema.fulfillment.types import Package


@extend(Invoice)
class InvoiceDocument:
    """Files of invoices."""

    document: Document | None = related(
        "The file that was sent, or that a bill came as; null where there is none.",
        document_by_invoice,
        "id",
        requires="documents.read",
    )


@extend(Package)
class PackageLabel:
    """Labels of parcels."""

    label: Document | None = related(
        "The label to stick on it; null where none was made.",
        document_by_package,
        "id",
        requires="documents.read",
    )

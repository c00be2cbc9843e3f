"""Documents and extractions as readers know them, and how to get to them."""

from resolvers.core.entity import entity
from resolvers.core.relation import Relation, by_key, children
from resolvers.documents.tables import document as document_table
from resolvers.documents.tables import extraction as extraction_table
from resolvers.documents.tables import extraction_line as line_table

document = entity("Document", document_table)
extraction = entity("Extraction", extraction_table)
extraction_line = entity("ExtractionLine", line_table)

_in_use = (document.columns["archived_at"].is_(None),)

document_by_id = by_key(document)
document_by_invoice = Relation("DocumentByInvoiceId", document, "invoice_id", where=_in_use)
document_by_package = Relation("DocumentByPackageId", document, "package_id", where=_in_use)
extraction_by_id = by_key(extraction)
extractions_by_document = children(extraction, "document_id", order=("document_id", "id"))
extraction_lines_by_extraction = children(
    extraction_line, "extraction_id", order=("extraction_id", "position")
)

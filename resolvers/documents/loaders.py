"""Documents and extractions as readers know them, and how to get to them."""

from resolvers.core.entity import entity
from resolvers.core.relation import by_key, children
from resolvers.documents.tables import document as document_table
from resolvers.documents.tables import extraction as extraction_table
from resolvers.documents.tables import extraction_line as line_table

document = entity("Document", document_table)
extraction = entity("Extraction", extraction_table)
extraction_line = entity("ExtractionLine", line_table)

document_by_id = by_key(document)
extraction_by_id = by_key(extraction)
extractions_by_document = children(extraction, "document_id", order=("document_id", "id"))
extraction_lines_by_extraction = children(
    extraction_line, "extraction_id", order=("extraction_id", "position")
)

"""Root fields of documents."""

import strawberry

from resolvers.documents.reads import documents, extractions
from schema.core.connection import Connection, connection
from schema.documents.inputs import DocumentFilter, ExtractionFilter
from schema.documents.types import Document, Extraction


@strawberry.type
class Query:
    """Root fields of this module."""

    documents: Connection[Document] | None = connection(
        "The documents, latest first: bills that were captured, invoices, labels.",
        documents,
        filter_input=DocumentFilter,
        requires="documents.read",
    )
    extractions: Connection[Extraction] | None = connection(
        "What was read in them, latest first.",
        extractions,
        filter_input=ExtractionFilter,
        requires="documents.read",
    )

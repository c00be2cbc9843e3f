"""Introduces documents to the registry."""

from resolvers.core.module import DataModule
from resolvers.documents.invariants import INVARIANTS
from resolvers.documents.tables import (
    CONTENT_IN_PIECES,
    document,
    document_content,
    extraction,
    extraction_line,
)

MODULE = DataModule(
    name="documents",
    tables=(document, document_content, extraction, extraction_line),
    functions=(CONTENT_IN_PIECES,),
    invariants=INVARIANTS,
    permissions={"documents.read": "See documents and their files, and what was read in them."},
)

"""Introduces captured documents to the registry."""

from resolvers.core.module import DataModule
from resolvers.documents.invariants import INVARIANTS
from resolvers.documents.tables import document, extraction, extraction_line

MODULE = DataModule(
    name="documents",
    tables=(document, extraction, extraction_line),
    invariants=INVARIANTS,
    permissions={"documents.read": "See captured documents, and what was read in them."},
)

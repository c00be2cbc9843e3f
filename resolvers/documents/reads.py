"""Lists of documents and extractions."""

from resolvers.core.listing import Listing, OneOf
from resolvers.documents.loaders import document, extraction

documents = Listing(
    name="documents",
    entity=document,
    orders={"ID": ()},
    default_order="ID",
    default_descending=True,
    where=(document.columns["archived_at"].is_(None),),
)
extractions = Listing(
    name="extractions",
    entity=extraction,
    orders={"ID": ()},
    default_order="ID",
    default_descending=True,
    filters={
        "states": OneOf(extraction.columns["state"]),
        "supplier_ids": OneOf(extraction.columns["supplier_id"], "Partner"),
    },
)

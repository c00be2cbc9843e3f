"""Lists of documents and extractions, and the files behind documents."""

from dataclasses import dataclass

from sqlalchemy import BigInteger, Integer, bindparam, func, select

from resolvers.core.context import Reads
from resolvers.core.listing import Listing, OneOf
from resolvers.core.statement import compile_statement
from resolvers.documents.loaders import document, extraction
from resolvers.documents.tables import document as document_table
from resolvers.documents.tables import document_content as content_table

documents = Listing(
    name="documents",
    entity=document,
    orders={"ID": ()},
    default_order="ID",
    default_descending=True,
    filters={"kinds": OneOf(document.columns["kind"])},
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

_document, _content = document_table.c, content_table.c
_wanted = bindparam("id", type_=BigInteger)
_FILE = compile_statement(
    select(_document.filename, _document.media_type, _document.size_bytes, _document.sha256)
    .select_from(document_table.join(content_table, _content.document_id == _document.id))
    .where(_document.id == _wanted),
    "DocumentFile",
)
_PIECE = compile_statement(
    select(
        func.substring(
            _content.content, bindparam("start", type_=Integer), bindparam("length", type_=Integer)
        )
    ).where(_content.document_id == _wanted),
    "DocumentPiece",
)


@dataclass(frozen=True, slots=True)
class File:
    """The file behind a document, without its content; ``sha256`` is in hexadecimal digits."""

    filename: str
    media_type: str
    size_bytes: int
    sha256: str


async def find_file(reads: Reads, document_id: int) -> File | None:
    """Return the file behind a document; None where the caller sees no such document."""
    rows = await reads.fetch(_FILE, {"id": document_id})
    return File(*rows[0]) if rows else None


async def read_piece(reads: Reads, document_id: int, offset: int, length: int) -> bytes:
    """Return ``length`` bytes of a file from ``offset``; fewer at its end, none if it is gone."""
    asked = {"id": document_id, "start": offset + 1, "length": length}
    rows = await reads.fetch(_PIECE, asked)
    return bytes(rows[0][0]) if rows else b""

"""What must always hold for documents and extractions: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

INVARIANTS = (
    Invariant(
        "document_is_its_content",
        """
        select d.id as document_id, d.filename, d.size_bytes, octet_length(c.content) as bytes
        from document d left join document_content c on c.document_id = d.id
        where c.document_id is null or octet_length(c.content) <> d.size_bytes
           or encode(sha256(c.content), 'hex') <> d.sha256
        """,
        "A document has no file, or not the one that came: take it again from where it came from.",
    ),
    Invariant(
        "accepted_has_bill",
        """
        select e.id as extraction_id, e.state, e.invoice_id, i.kind
        from extraction e left join invoice i on i.id = e.invoice_id
        where e.state = 'ACCEPTED' and i.kind is distinct from 'VENDOR_BILL'
           or e.state = 'ACCEPTED' and i.company_id <> e.company_id
        """,
        "An accepted extraction has no bill of its company: accept it again.",
    ),
)

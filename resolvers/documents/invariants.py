"""What must always hold for extractions: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

INVARIANTS = (
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

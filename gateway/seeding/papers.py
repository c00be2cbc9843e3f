"""The files of the demo: bills as they came, invoices as they were sent, labels of parcels.

They follow from rows that are there already. A company gets so many of a kind, the latest; a
partner with an API client four times as many of its own. Statements take the number as `$1`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from gateway.seeding.pdf import A6, Text, pdf
from gateway.seeding.rows import Sheet
from resolvers.documents.rules import DocumentKind

FIRST_LINE, LAST_LINE = 200, 660
"""Where lines of an invoice stand on its pages; extractors found totals below."""
LINE_HEIGHT = 14
UPLOADER = "user:1"


@dataclass(frozen=True, slots=True)
class Paper:
    """A file and the row it belongs to."""

    filename: str
    content: bytes
    invoice_id: int | None
    package_id: int | None


_INVOICES: Final = """
select i.id, i.company_id, i.partner_id, i.number, i.external_ref, i.invoiced_on::text,
       i.due_on::text, i.currency, round(i.subtotal, u.digits)::text as subtotal,
       round(i.tax_total, u.digits)::text as tax, round(i.total, u.digits)::text as total,
       c.name as company, p.name as partner,
       (i.invoiced_on + time '{time}') at time zone 'UTC' as at,
       (select array_agg(array[trim_scale(l.quantity)::text, l.description,
                               round(l.net, u.digits)::text] order by l.position)
        from invoice_line l where l.invoice_id = i.id) as lines
from (select i.*, row_number() over (partition by company_id order by id desc) as place,
             row_number() over (partition by company_id, partner_id order by id desc) as own
      from invoice i where kind = '{kind}') i
join company c on c.id = i.company_id join partner p on p.id = i.partner_id
join currency u on u.code = i.currency
where place <= $1
   or own <= 4 * $1 and i.partner_id in (select a.partner_id from api_client a)
order by i.id
"""
_LABELS: Final = """
select k.id, k.company_id, k.partner_id, k.position, k.tracking_no, s.number, s.carrier,
       w.name as warehouse, c.name as company, p.name as partner,
       a.line1, a.line2, a.postal_code, a.city, a.country,
       coalesce(s.shipped_at, (s.planned_on + time '09:00') at time zone 'UTC') as at
from (select k.*, row_number() over (partition by company_id order by id desc) as place,
             row_number() over (partition by company_id, partner_id order by id desc) as own
      from package k) k
join shipment s on s.id = k.shipment_id join company c on c.id = k.company_id
join warehouse w on w.id = s.warehouse_id join partner p on p.id = k.partner_id
left join partner_address a on a.id = s.ship_to_id
where place <= $1
   or own <= 4 * $1 and k.partner_id in (select c.partner_id from api_client c)
order by k.id
"""


def _bill(row: Mapping[str, Any]) -> Paper:
    content = pdf(_pages(row, row["partner"], row["company"], f"Bill {row['external_ref']}"))
    return Paper(f"{row['number']}.pdf", content, row["id"], None)


def _invoice(row: Mapping[str, Any]) -> Paper:
    content = pdf(_pages(row, row["company"], row["partner"], "Invoice"))
    return Paper(f"{row['number']}.pdf", content, row["id"], None)


def _pages(row: Mapping[str, Any], sender: str, receiver: str, title: str) -> list[list[Text]]:
    """Return the pages of an invoice; number, date and total are where extractors found them."""
    lines: Sequence[Sequence[str]] = row["lines"] or ()
    fit = (LAST_LINE - FIRST_LINE) // LINE_HEIGHT
    pages = []
    for page in range(0, len(lines), fit) or (0,):
        texts = [Text(60, 72, sender, 14)]
        for place, (quantity, description, net) in enumerate(lines[page : page + fit]):
            baseline = FIRST_LINE + place * LINE_HEIGHT
            texts += Text(60, baseline, quantity), Text(120, baseline, description)
            texts.append(Text(450, baseline, net))
        pages.append(texts)
    pages[0] += (
        Text(60, 120, f"To {receiver}"),
        Text(60, 160, title, 12),
        Text(400, 72, row["number"]),
        Text(400, 92, row["invoiced_on"]),
        Text(330, 676, "Without tax"),
        Text(430, 676, row["subtotal"]),
        Text(330, 692, "Tax"),
        Text(430, 692, row["tax"]),
        Text(330, 712, f"Total {row['currency']}"),
        Text(430, 712, row["total"]),
        Text(60, 760, f"Please pay by {row['due_on']}."),
    )
    return pages


def _label(row: Mapping[str, Any]) -> Paper:
    parcel = f"{row['number']}-{row['position']}"
    texts = [
        Text(20, 40, row["carrier"] or "To be collected", 16),
        Text(20, 64, row["tracking_no"] or "Without a number", 12),
        Text(20, 110, f"From {row['company']}, {row['warehouse']}", 9),
        Text(20, 160, row["partner"], 12),
        Text(20, 390, f"Parcel {parcel}", 9),
    ]
    if row["city"]:
        town = " ".join(filter(None, (row["postal_code"], row["city"])))
        address = filter(None, (row["line1"], row["line2"], town, row["country"]))
        texts += [Text(20, 178 + 18 * place, line, 12) for place, line in enumerate(address)]
    return Paper(f"label-{parcel}.pdf", pdf([texts], A6), None, row["id"])


PAPERS: Final[Mapping[DocumentKind, tuple[str, Callable[[Mapping[str, Any]], Paper]]]] = {
    DocumentKind.BILL: (_INVOICES.format(kind="VENDOR_BILL", time="07:00"), _bill),
    DocumentKind.INVOICE: (_INVOICES.format(kind="CUSTOMER_INVOICE", time="18:00"), _invoice),
    DocumentKind.LABEL: (_LABELS, _label),
}
"""By kind, the statement that finds what files are made of, and what makes a file of a row."""


class Files:
    """Numbers the files and writes them down, each with its content."""

    def __init__(self) -> None:
        self._count = 0
        self._documents = Sheet(
            "document",
            *("id", "company_id", "kind", "filename", "media_type", "size_bytes", "sha256"),
            *("partner_id", "invoice_id", "package_id", "uploaded_by", "created_at"),
        )
        self._contents = Sheet("document_content", "document_id", "company_id", "content")

    def add(self, kind: DocumentKind, row: Mapping[str, Any]) -> None:
        """Make the file of a row that the statement of its kind found."""
        paper = PAPERS[kind][1](row)
        at: datetime = row["at"]
        self._count += 1
        self._documents.add(
            self._count,
            row["company_id"],
            kind,
            paper.filename,
            "application/pdf",
            len(paper.content),
            sha256(paper.content).hexdigest(),
            row["partner_id"],
            paper.invoice_id,
            paper.package_id,
            UPLOADER,
            at.isoformat(),
        )
        self._contents.add(self._count, row["company_id"], f"\\x{paper.content.hex()}")

    @property
    def sheets(self) -> Iterator[Sheet]:
        """What waits to be sent, in the order that foreign keys need."""
        yield from (self._documents, self._contents)

"""The demo's files: valid PDF, what their rows say they are, and not too many of them."""

import re
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from gateway.seeding.pdf import A4, A6, Text, pdf
from gateway.seeding.sizes import SIZES


def objects_of(file: bytes) -> dict[int, bytes]:
    """Return the objects of a PDF by number, found as a reader finds them: from the end."""
    start = re.search(rb"startxref\n(\d+)\n%%EOF\n\Z", file)
    assert file.startswith(b"%PDF-1.4\n")
    assert start is not None
    table = file[int(start[1]) :]
    head = re.match(rb"xref\n0 (\d+)\n0000000000 65535 f \n", table)
    assert head is not None
    count = int(head[1])
    entries = [table[head.end() + 20 * at :][:20] for at in range(count - 1)]
    trailer = table[head.end() + 20 * len(entries) :]
    assert trailer.startswith(b"trailer\n<< /Size %d /Root 1 0 R >>\n" % count)
    objects = {}
    for number, entry in enumerate(entries, 1):
        assert re.fullmatch(rb"\d{10} 00000 n \n", entry)
        body = re.compile(rb"%d 0 obj\n(.*?)\nendobj\n" % number, re.DOTALL)
        found = body.match(file, int(entry[:10]))
        assert found is not None
        objects[number] = found[1]
    return objects


def texts_of(file: bytes) -> list[bytes]:
    """Return what is drawn on each page; every stream has the length it says."""
    objects = objects_of(file)
    assert objects[1] == b"<< /Type /Catalog /Pages 2 0 R >>"
    pages = re.findall(rb"(\d+) 0 R", objects[2].partition(b"/Kids")[2])
    assert objects[2].endswith(b"/Count %d >>" % len(pages))
    drawn = []
    for page in pages:
        content = re.search(rb"/Contents (\d+) 0 R", objects[int(page)])
        assert content is not None
        stream = re.fullmatch(
            rb"<< /Length (\d+) >>\nstream\n(.*)\nendstream", objects[int(content[1])], re.DOTALL
        )
        assert stream is not None
        assert len(stream[2]) == int(stream[1])
        drawn.append(stream[2])
    return drawn


def test_a_page_says_what_it_was_given() -> None:
    """Text stands where it was put, from the top; what would end it early is escaped."""
    [page] = texts_of(pdf([[Text(60, 72, "5 (five)\\\n€ Ł", 14)]]))
    assert page == b"BT /F 14 Tf 60 770 Td (5 \\(five\\)\\\\ \x80 ?) Tj ET"


@pytest.mark.parametrize("sheet", [A4, A6])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_files_of_any_number_of_pages(count: int, sheet: tuple[int, int]) -> None:
    """Every page is found, in its order and of the size asked for; always the same bytes."""
    pages = [[Text(1, 1, f"Page {place}"), Text(2, 2, "End")] for place in range(count)]
    file = pdf(pages, sheet)
    assert file == pdf(pages, sheet)
    found = texts_of(file)
    assert [b"Page %d" % place in page for place, page in enumerate(found)] == [True] * count
    assert file.count(b"/MediaBox [0 0 %d %d]" % sheet) == count


@pytest_asyncio.fixture(scope="module")
async def store(database_url: str) -> "AsyncIterator[asyncpg.Connection[Any]]":
    """Yield a connection to the seeded database; for reading only."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_every_document_is_a_file_that_says_what_it_is(
    store: "asyncpg.Connection[Any]",
) -> None:
    """Files have the hash and size that are told, are small, and tell number, amounts or parcel."""
    rows = await store.fetch(
        """
        select d.*, c.content, i.number, i.lines, i.total, s.tracking_no
        from document d left join document_content c on c.document_id = d.id
        left join (select i.id, i.number, round(i.total, u.digits)::text as total,
                          (select count(*) from invoice_line where invoice_id = i.id) as lines
                   from invoice i join currency u on u.code = i.currency) i on i.id = d.invoice_id
        left join package s on s.id = d.package_id
        """
    )
    kinds = dict.fromkeys((row["kind"] for row in rows), 0)
    for row in rows:
        kinds[row["kind"]] += 1
        file = row["content"]
        assert (len(file), sha256(file).hexdigest()) == (row["size_bytes"], row["sha256"])
        assert len(file) < 8_000
        assert row["media_type"] == "application/pdf"
        text = b"\n".join(texts_of(file))
        told = (row["number"], row["total"]) if row["invoice_id"] else (row["tracking_no"] or "",)
        assert all(f"{word})".encode() in text for word in told)
        if row["invoice_id"]:
            # each line has a quantity, a text and an amount; each page a sender, the first 10 more
            pages = len(texts_of(file))
            assert text.count(b") Tj") == 3 * row["lines"] + pages + 11
    assert set(kinds) == {"BILL", "INVOICE", "LABEL"}


async def test_there_are_as_many_files_as_the_size_allows(store: "asyncpg.Connection[Any]") -> None:
    """A company has so many of a kind, a partner with an API client four times as many."""
    most = SIZES["small"].documents
    counts = await store.fetch(
        """
        select d.company_id, d.kind, count(*) as files,
               count(*) filter (where d.partner_id in (select partner_id from api_client)) as own
        from document d group by 1, 2
        """
    )
    assert len(counts) == 3 * SIZES["small"].companies
    for row in counts:
        assert most <= row["files"] <= 5 * most
    own = {row["kind"]: row["own"] for row in counts if row["company_id"] == 1}
    assert most < own["INVOICE"] <= 4 * most
    assert most < own["LABEL"] <= 4 * most
    assert own["BILL"] == 0

"""A minimal writer of PDF files: pages of positioned text, the same bytes for the same text.

Format: ISO 32000-1, sections 7.5 (file structure) and 9.6.2 (standard fonts, which need no file).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

A4 = (595, 842)
A6 = (298, 420)
"""Width and height of a sheet, in points."""

_ESCAPES = str.maketrans({"\\": "\\\\", "(": "\\(", ")": "\\)", "\n": " ", "\r": " "})


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; ``left`` and ``baseline`` in points from the left and from the top."""

    left: int
    baseline: int
    words: str
    size: int = 10


def pdf(pages: Sequence[Iterable[Text]], sheet: tuple[int, int] = A4) -> bytes:
    """Return a PDF file; characters beyond Windows-1252 become question marks."""
    kids = " ".join(f"{4 + 2 * place} 0 R" for place in range(len(pages)))
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for place, page in enumerate(pages):
        drawn = b"\n".join(_drawn(text, sheet[1]) for text in page)
        bodies.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {sheet[0]} {sheet[1]}] "
            f"/Resources << /Font << /F 3 0 R >> >> /Contents {5 + 2 * place} 0 R >>".encode()
        )
        bodies.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(drawn), drawn))
    file, places = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for number, body in enumerate(bodies, 1):
        places.append(len(file))
        file += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start, size = len(file), len(bodies) + 1
    file += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for place in places:
        file += b"%010d 00000 n \n" % place
    file += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)
    return bytes(file)


def _drawn(text: Text, height: int) -> bytes:
    words = text.words.translate(_ESCAPES).encode("cp1252", "replace")
    at = f"BT /F {text.size} Tf {text.left} {height - text.baseline} Td (".encode()
    return at + words + b") Tj ET"

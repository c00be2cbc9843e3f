"""Rows on their way to PostgreSQL, written the way COPY reads text.

Format: https://www.postgresql.org/docs/current/sql-copy.html, "Text Format", with NULL written as
an empty field: nothing here is an empty text, and a backslash is always something to escape.
"""

from dataclasses import dataclass

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

Value = str | int | None
"""What a column gets: text as it is, a whole number or Boolean, or NULL."""


@dataclass(frozen=True, slots=True)
class Copy:
    """Rows of one table, ready to be sent."""

    table: str
    columns: tuple[str, ...]
    rows: int
    data: bytes


class Sheet:
    """Rows of one table that wait to be sent; ``columns`` names what `add` is given, in order."""

    def __init__(self, table: str, *columns: str) -> None:
        self.table = table
        self.columns = columns
        self._tabs = len(columns) - 1
        self._lines: list[str] = []

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, *values: Value) -> None:
        """Append one row."""
        line = "\t".join(["" if value is None else str(value) for value in values])
        if "\\" in line or "\n" in line or "\r" in line or line.count("\t") != self._tabs:
            line = self._escaped(values)
        self._lines.append(line)

    def _escaped(self, values: tuple[Value, ...]) -> str:
        """Write a row in which some text has to be escaped."""
        if len(values) != len(self.columns):
            raise ValueError(f"{self.table} takes {len(self.columns)} values, not {len(values)}.")
        return "\t".join(
            "" if value is None else str(value).translate(_ESCAPES) for value in values
        )

    def take(self) -> Copy:
        """Hand over the waiting rows and start again empty."""
        lines, self._lines = self._lines, []
        return Copy(self.table, self.columns, len(lines), "\n".join([*lines, ""]).encode())

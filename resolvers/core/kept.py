"""Kept relations: reference data that is asked for once and then answered from memory.

Only for rows that every caller sees and that hardly ever change, such as currencies and units.
Stock, balances, prices and whatever belongs to a company are never kept.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from resolvers.core.context import Reads
from resolvers.core.entity import Entity
from resolvers.core.relation import Arguments, Relation, pascal_case
from resolvers.core.table import row_rule

_MOST_SETS: Final = 64
"""Sets of columns that rows are kept for; one more makes room by forgetting all."""


class _Rows:
    """Rows by the columns they have, then by key; read anew from ``until`` on."""

    def __init__(self) -> None:
        self.by_columns: dict[frozenset[str], dict[Any, Any]] = {}
        self.until = 0.0


@dataclass(frozen=True, eq=False)
class KeptRelation(Relation):
    """A relation to one row each, kept in this process for ``seconds``.

    A row that changed is old for that long, unless it is forgotten before. Keys without a row are
    not remembered.

    Raises:
        TypeError: some callers do not see all rows of the table.

    """

    seconds: float = 60.0
    _rows: _Rows = field(default_factory=_Rows, repr=False)

    def __post_init__(self) -> None:
        assert isinstance(self.target, Entity)
        rule = row_rule(self.target.table)
        if (rule.staff, rule.partner) != ("true", "true"):
            raise TypeError(f"Not everybody sees every {self.target.name}, so none can be kept.")

    def forget(self) -> None:
        """Read every row anew when it is next asked for, also those being read now."""
        self._rows.by_columns = {}

    async def rows(
        self, reads: Reads, keys: Sequence[Any], columns: frozenset[str], arguments: Arguments
    ) -> Sequence[Any]:
        """Return the rows of ``keys``; only those not kept are asked for. See `Relation.rows`."""
        known = self._known(columns)
        new = [key for key in keys if key not in known]
        if new:
            rows = await super().rows(reads, new, columns, arguments)
            known.update((row[0], row) for row in rows)
        return [known[key] for key in keys if key in known]

    def _known(self, columns: frozenset[str]) -> dict[Any, Any]:
        now = asyncio.get_running_loop().time()
        kept = self._rows
        if now >= kept.until or (
            len(kept.by_columns) >= _MOST_SETS and columns not in kept.by_columns
        ):
            self.forget()
            kept.until = now + self.seconds
        return kept.by_columns.setdefault(columns, {})


def kept(target: Entity, column: str | None = None, *, seconds: float = 60.0) -> KeptRelation:
    """Relation to the one row whose ``column`` (default: its key) equals the parent's key, kept."""
    column = column or target.key
    name = f"{target.name}By{pascal_case(column)}"
    return KeptRelation(name, target, column, seconds=seconds)

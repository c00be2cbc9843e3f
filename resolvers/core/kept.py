"""Kept relations: reference data that is asked for once and then answered from memory.

Only tables defined with ``reference=True`` are kept: currencies, units, taxes, categories,
warehouses, payment terms. A trigger tells every process of every change of theirs; stock, balances,
prices and whatever else has an amount or a quantity can not be defined so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from resolvers.core.context import Reads
from resolvers.core.entity import Entity
from resolvers.core.principal import RowScope
from resolvers.core.relation import Arguments, Relation, pascal_case
from resolvers.core.table import row_rule

_MOST_ROWS: Final = 10_000
"""Rows kept in one set; those beyond are read each time."""


@dataclass(frozen=True, eq=False)
class KeptRelation(Relation):
    """A relation to one row each, answered by what the process keeps of reference data.

    Rows that not everybody sees are kept for each row scope apart. Keys without a row are not
    remembered.

    Raises:
        TypeError: the table is not one of reference data.

    """

    _for_all: bool = field(default=False, init=False)
    """Whether every caller sees every row."""

    def __post_init__(self) -> None:
        assert isinstance(self.target, Entity)
        table = self.target.table
        if not table.info.get("reference"):
            raise TypeError(
                f"{table.name} holds no reference data, so no {self.target.name} is kept."
            )
        rule = row_rule(table)
        object.__setattr__(self, "_for_all", (rule.staff, rule.partner) == ("true", "true"))

    async def rows(
        self, reads: Reads, keys: Sequence[Any], columns: frozenset[str], arguments: Arguments
    ) -> Sequence[Any]:
        """Return the rows of ``keys``; only those not kept are asked for. See `Relation.rows`."""
        cache = reads.reference
        scope: RowScope | None = None if self._for_all else reads.scope
        known = None if cache is None else cache.rows(self, columns, scope)
        if cache is None or known is None:
            return await super().rows(reads, keys, columns, arguments)
        found = [known[key] for key in keys if key in known]
        cache.hits += len(found)
        if len(found) == len(keys):
            return found
        new = [key for key in keys if key not in known]
        cache.misses += len(new)
        rows = await super().rows(reads, new, columns, arguments)
        if len(known) + len(rows) <= _MOST_ROWS:
            known.update((row[0], row) for row in rows)
        return [*found, *rows]


def kept(target: Entity, column: str | None = None) -> KeptRelation:
    """Relation to the one row whose ``column`` (default: its key) equals the parent's key, kept."""
    column = column or target.key
    return KeptRelation(f"{target.name}By{pascal_case(column)}", target, column)

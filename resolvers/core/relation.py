"""Relations: from parents to the rows they refer to, one statement for all parents at once.

A relation is declared once and serves every way of reading: behind a `BatchLoader` for ordinary
execution, and called for a whole level by compiled execution. It names the column that is matched
with the parents' keys, whether it finds one row or many, and the arguments that narrow it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, any_, select
from sqlalchemy.dialects.postgresql import ARRAY

from resolvers.core.context import Context, Reads
from resolvers.core.entity import Entity, RowKind
from resolvers.core.loader import BatchLoader
from resolvers.core.statement import Statement, compile_statement, unseen

KEY = "_key"
"""Label of the column by which rows are handed back to their parents."""

Arguments = Mapping[str, Any]
Narrow = Callable[[], ColumnElement[bool]]
Source = Callable[[ColumnElement[Any], Sequence[ColumnElement[Any]], frozenset[str]], Select[Any]]
"""Builds the statement of a relation that is more than a lookup: gets the bound array of keys, the
wanted columns and the names of the arguments given; the first column it selects is the key."""


_NOTHING_GIVEN: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, eq=False)
class Relation:
    """One way from parents to rows of ``target``.

    ``column`` of the target equals the parent's key. ``many`` tells whether a parent gets a list in
    ``order``, or one row or None; of several rows for one key the last in ``order`` counts.
    ``narrowing`` maps an optional argument to the condition it adds, whose bind parameter has the
    argument's name. ``where`` always holds. ``source`` builds the statement of a relation that is
    more than a lookup; ``key_type`` is then the type of its keys.
    """

    name: str
    target: RowKind
    column: str
    many: bool = False
    order: tuple[str, ...] = ()
    where: tuple[ColumnElement[bool], ...] = ()
    narrowing: Mapping[str, ColumnElement[bool]] = field(default_factory=dict)
    source: Source | None = None
    key_type: Any = None
    _statements: dict[Any, Statement] = field(default_factory=dict, repr=False)

    def statement(self, columns: frozenset[str], given: frozenset[str]) -> Statement:
        """Return the compiled statement for a set of columns and of given arguments."""
        shape = (columns, given)
        found = self._statements.get(shape)
        if found is None:
            found = self._statements[shape] = compile_statement(
                self._select(columns, given), self.name
            )
        return found

    def _select(self, columns: frozenset[str], given: frozenset[str]) -> Select[Any]:
        key_type = self.key_type or self.target.type_of(self.column)
        keys = unseen("keys", ARRAY(key_type))
        wanted = self.target.labeled(columns)
        if self.source is not None:
            return self.source(keys, wanted, given)
        matched = self.target.expression(self.column)
        statement = select(matched.label(KEY), *wanted).where(matched == any_(keys), *self.where)
        statement = statement.where(*(self.narrowing[name] for name in sorted(given)))
        if self.order:
            statement = statement.order_by(*(self.target.expression(name) for name in self.order))
        return statement

    async def rows(
        self,
        reads: Reads,
        keys: Sequence[Any],
        columns: frozenset[str],
        arguments: Arguments,
    ) -> Sequence[Any]:
        """Fetch the rows of all ``keys`` in one statement.

        A row is the key it belongs to, then the wanted ``columns`` in the order of their names.
        """
        statement = self.statement(columns, frozenset(arguments))
        return await reads.fetch(statement, {"keys": list(keys), **arguments})

    async def batch(
        self,
        reads: Reads,
        keys: Sequence[Any],
        columns: frozenset[str],
        arguments: Arguments,
    ) -> list[Any]:
        """Fetch the rows of all ``keys`` in one statement, aligned with ``keys``.

        Each place holds a row or None, or with ``many`` a list of rows. Rows carry the wanted
        ``columns`` by name.
        """
        rows = await self.rows(reads, keys, columns, arguments)
        if not self.many:
            by_key = {row[0]: row for row in rows}
            return [by_key.get(key) for key in keys]
        lists: dict[Any, list[Any]] = {key: [] for key in keys}
        for row in rows:
            lists[row[0]].append(row)
        return [lists[key] for key in keys]

    async def one(self, reads: Reads, key: Any, columns: frozenset[str]) -> Any:
        """Fetch the row of one key of a to-one relation, None where there is none.

        What `batch` does for a list of one, without a list.
        """
        statement = self.statement(columns, _NOTHING_GIVEN)
        rows = await reads.fetch(statement, {"keys": [key]})
        return rows[-1] if rows else None

    def loader(self, context: Context, arguments: Arguments) -> "BatchLoader[Any, Any]":
        """Return the operation's loader for this relation and these arguments."""
        key = (self, *((name, _hashable(arguments[name])) for name in sorted(arguments)))

        def make(context: Context) -> "BatchLoader[Any, Any]":
            async def batch(keys: Sequence[Any], columns: frozenset[str]) -> Sequence[Any]:
                return await self.batch(context.reads, keys, columns, arguments)

            return BatchLoader(self.name, batch, stats=context.stats)

        loader: BatchLoader[Any, Any] = context.loader(key, make)
        return loader


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def by_key(target: Entity, column: str | None = None, *, order: tuple[str, ...] = ()) -> Relation:
    """Relation to the one row whose ``column`` (default: its key) equals the parent's key."""
    column = column or target.key
    return Relation(f"{target.name}By{pascal_case(column)}", target, column, order=order)


def children(
    target: Entity,
    column: str,
    *,
    order: tuple[str, ...],
    where: tuple[ColumnElement[bool], ...] = (),
    narrowing: Mapping[str, ColumnElement[bool]] | None = None,
) -> Relation:
    """Relation to all rows whose ``column`` equals the parent's key, in ``order``."""
    return Relation(
        f"{_plural(target.name)}By{pascal_case(column)}",
        target,
        column,
        many=True,
        order=order,
        where=where,
        narrowing=narrowing or {},
    )


def pascal_case(name: str) -> str:
    """Return a column's name as loaders spell it: partner_id becomes PartnerId."""
    return "".join(part.capitalize() for part in name.split("_"))


def _plural(name: str) -> str:
    if name.endswith("y"):
        return name[:-1] + "ies"
    return name + ("es" if name.endswith("s") else "s")

"""Reports: rows that a SQL function works out from its arguments, one call for all parents.

They are rows of no table: what an account turned over by month, the lines of a trial balance, the
best matches of a search. The function runs as the caller, so row security holds inside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, cast, column, func, null, select
from sqlalchemy.types import TypeEngine

from resolvers.core.context import Reads
from resolvers.core.relation import KEY, Relation, pascal_case
from resolvers.core.statement import Statement, compile_statement

Types = Mapping[str, TypeEngine[Any]]


@dataclass(frozen=True, eq=False)
class Report:
    """What the SQL function ``function`` returns.

    ``parameters`` are the function's, in their order, ``columns`` those of its rows. Rows come in
    ``order``; without one in that of the function. ``key`` is the column that says which parent a
    row belongs to, where there are parents; the function then takes the array of their keys before
    its other parameters.
    """

    name: str
    function: str
    columns: Types
    parameters: Types = field(default_factory=dict)
    order: tuple[str, ...] = ()
    key: str = ""
    _statements: dict[Any, Statement] = field(default_factory=dict, repr=False)

    def expression(self, column_: str) -> ColumnElement[Any]:
        """Return the SQL expression of a column.

        Raises:
            KeyError: the report has no such column.

        """
        return column(column_, self.columns[column_])

    def type_of(self, column_: str) -> TypeEngine[Any]:
        """Return the SQL type of a column."""
        return self.columns[column_]

    def labeled(self, columns: Iterable[str]) -> list[ColumnElement[Any]]:
        """Return the expressions of ``columns``, sorted by their names."""
        return [self.expression(name) for name in sorted(columns)]

    async def rows(
        self, reads: Reads, columns: frozenset[str], arguments: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Call the function, which has no parents; rows yield ``columns`` by name.

        Parameters that ``arguments`` leave out are NULL.
        """
        shape = (columns, frozenset(arguments))
        found = self._statements.get(shape)
        if found is None:
            statement = self._select((), self.labeled(columns), shape[1])
            found = self._statements[shape] = compile_statement(statement, self.name)
        return await reads.fetch(found, arguments)

    def relation(self, *, many: bool = False) -> Relation:
        """Return the relation from parents to the row, or with ``many`` the rows, of their keys."""

        def source(
            keys: ColumnElement[Any], wanted: Sequence[ColumnElement[Any]], given: frozenset[str]
        ) -> Select[Any]:
            return self._select((keys,), [self.expression(self.key).label(KEY), *wanted], given)

        name = f"{self.name}By{pascal_case(self.key)}"
        return Relation(
            name, self, self.key, many=many, source=source, key_type=self.type_of(self.key)
        )

    def _select(
        self, leading: tuple[Any, ...], wanted: Sequence[Any], given: frozenset[str]
    ) -> Select[Any]:
        asked = (
            bindparam(name, type_=type_) if name in given else cast(null(), type_)
            for name, type_ in self.parameters.items()
        )
        called = getattr(func, self.function)(*leading, *asked)
        ordered = (self.expression(name) for name in self.order)
        return select(*wanted).select_from(called.alias("report")).order_by(*ordered)

"""An entity: a table as readers know it, with a name, a key and named columns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import BigInteger, ColumnElement, Table
from sqlalchemy.types import TypeEngine


class RowKind(Protocol):
    """A kind of row with named columns: an entity, or a report."""

    @property
    def name(self) -> str:
        """Return what it is called."""
        ...

    @property
    def key(self) -> str:
        """Return the column that tells its rows apart."""
        ...

    def expression(self, column: str) -> ColumnElement[Any]:
        """Return the SQL expression of a column."""
        ...

    def type_of(self, column: str) -> TypeEngine[Any]:
        """Return the SQL type of a column."""
        ...

    def labeled(self, columns: Iterable[str]) -> list[ColumnElement[Any]]:
        """Return the expressions of ``columns``, labeled with and sorted by their names."""
        ...


@dataclass(frozen=True, slots=True)
class Entity:
    """A kind of row that can be read.

    ``columns`` maps a logical name to the SQL expression behind it: every column of the table, and
    computed ones such as ``available``. ``name`` is also the name of its GraphQL type.
    """

    name: str
    table: Table
    columns: Mapping[str, ColumnElement[Any]]
    key: str = "id"

    def expression(self, column: str) -> ColumnElement[Any]:
        """Return the SQL expression of a logical column.

        Raises:
            KeyError: the entity has no such column.

        """
        return self.columns[column]

    def type_of(self, column: str) -> TypeEngine[Any]:
        """Return the SQL type of a logical column."""
        return self.columns[column].type

    def never_null(self, column: str) -> bool:
        """Tell whether a logical column is a column of the table that cannot be NULL."""
        found = self.table.columns.get(column)
        return found is not None and found is self.columns[column] and not found.nullable

    def has_key(self, key: int) -> bool:
        """Tell whether ``key`` is in the range of the entity's keys."""
        bits = 63 if isinstance(self.type_of(self.key), BigInteger) else 31
        return 0 < key < 1 << bits

    def labeled(self, columns: Iterable[str]) -> list[ColumnElement[Any]]:
        """Return the expressions of ``columns``, labeled with and sorted by their logical names."""
        return [self.columns[name].label(name) for name in sorted(columns)]


def entity(
    name: str, table: Table, /, *, key: str = "id", **computed: ColumnElement[Any]
) -> Entity:
    """Define an entity over ``table``; ``computed`` adds named SQL expressions over its columns."""
    return Entity(name, table, {**{c.name: c for c in table.columns}, **computed}, key)

"""The transaction a command is given: statements in, rows out, none of them run by SQLAlchemy.

Statements are SQLAlchemy Core and compiled by it, once per shape; they run on the driver itself, as
those of reads do. SQLAlchemy's own way to run one costs three times what the driver takes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from resolvers.core.statement import Statement

Parameters = Mapping[str, Any]


class Rows(list[Any]):
    """What a statement returned: rows whose columns are attributes, as they are items."""

    def all(self) -> "Rows":
        """Return the rows themselves."""
        return self

    def first(self) -> Any:
        """Return the first row, None if there is none."""
        return self[0] if self else None

    def one(self) -> Any:
        """Return the only row.

        Raises:
            ValueError: there is none, or more than one.

        """
        [row] = self
        return row

    def scalar_one(self) -> Any:
        """Return the first column of the only row; raises as `one` does."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        """Return the first column of the only row, None if there is no row."""
        return self[0][0] if self else None


class Transaction(Protocol):
    """An open transaction, set to the caller's rows."""

    trail: list[dict[str, Any]]
    """What the command that runs in it has changed so far; written down with its answer."""

    async def execute(
        self, statement: Any, parameters: Parameters | Sequence[Parameters] | None = None
    ) -> Rows:
        """Run a statement of SQLAlchemy Core, or an insert or update once for each of many.

        An insert of many rows returns what it does in their order.

        Raises:
            asyncpg.PostgresError: the database refuses it.

        """
        ...

    async def scalar(self, statement: Any, parameters: Parameters | None = None) -> Any:
        """Run a statement and return the first column of its first row, None if there is none."""
        ...

    async def run(self, statement: Statement, parameters: Parameters) -> Rows:
        """Run a statement that was compiled before; raises as `execute` does."""
        ...

    async def copy(
        self, name: str, columns: Sequence[str], records: Sequence[Sequence[Any]]
    ) -> None:
        """Put records into a table, by COPY; raises as `execute` does."""
        ...

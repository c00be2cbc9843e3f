"""SQLAlchemy Core statements, compiled once and run on raw asyncpg."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.sql.compiler import SQLCompiler

_DIALECT = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Statement:
    """Compiled SQL with numbered placeholders and the order its named parameters go in."""

    sql: str
    names: tuple[str, ...]
    defaults: Mapping[str, Any]
    name: str = ""
    """What it reads, for people: a relation or a list."""

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the positional arguments for asyncpg.

        Raises:
            KeyError: a parameter without a value.

        """
        defaults = self.defaults
        return [parameters[n] if n in parameters else defaults[n] for n in self.names]


def compile_statement(statement: ClauseElement, name: str = "") -> Statement:
    """Compile a SQLAlchemy Core statement for asyncpg; do it once per shape and keep the result."""
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    assert isinstance(compiled, SQLCompiler)
    names = tuple(compiled.positiontup or ())
    defaults = {k: v for k, v in (compiled.params or {}).items() if v is not None}
    return Statement(str(compiled), names, defaults, name)

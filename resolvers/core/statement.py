"""SQLAlchemy Core statements, compiled once and run on raw asyncpg."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ClauseElement, ColumnElement, Integer, Text, bindparam, cast, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.sql.compiler import SQLCompiler

_DIALECT = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]
_PLACEHOLDER: Final = re.compile(r"\$(\d+)::((?:BIG|SMALL)?INT(?:EGER)?|TEXT)\[\]")

Encoder = Callable[[Sequence[Any]], str]


@dataclass(frozen=True, slots=True)
class Statement:
    """Compiled SQL with numbered placeholders and the order its named parameters go in.

    Lists of keys go as text that PostgreSQL reads as an array: asyncpg's own encoding of arrays
    takes as long as all else of a small statement.
    """

    sql: str
    names: tuple[str, ...]
    defaults: Mapping[str, Any]
    name: str = ""
    """What it reads, for people: a relation or a list."""
    encoders: Mapping[str, Encoder] = field(default_factory=dict)
    fresh: bool = False
    """Whether it is planned for its values each time: how much it reads depends on them."""

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the positional arguments for asyncpg.

        Raises:
            KeyError: a parameter without a value.

        """
        defaults, encoders = self.defaults, self.encoders
        if not encoders:
            return [parameters[n] if n in parameters else defaults[n] for n in self.names]
        arguments = []
        for name in self.names:
            value = parameters[name] if name in parameters else defaults[name]
            encode = encoders.get(name)
            arguments.append(value if encode is None or value is None else encode(value))
        return arguments


def compile_statement(
    statement: ClauseElement, name: str = "", *, fresh: bool = False
) -> Statement:
    """Compile a SQLAlchemy Core statement for asyncpg; do it once per shape and keep the result.

    ``fresh`` has it planned for its values each time, which takes a millisecond. Others are planned
    once for all values, after a few runs: right for rows found by keys, wrong for a sum over a
    range, of which PostgreSQL then believes that it is short.
    """
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    assert isinstance(compiled, SQLCompiler)
    names = tuple(compiled.positiontup or ())
    defaults = {k: v for k, v in (compiled.params or {}).items() if v is not None}
    encoders = {
        n: encoder
        for n in names
        if n not in defaults and (encoder := _encoder(compiled.binds[n].type)) is not None
    }

    def as_text(found: re.Match[str]) -> str:
        position, type_ = found.groups()
        if names[int(position) - 1] not in encoders:
            return found[0]
        return f"${position}::TEXT::{type_}[]"

    return Statement(
        _PLACEHOLDER.sub(as_text, str(compiled)), names, defaults, name, encoders, fresh
    )


def unseen(name: str, type_: Any) -> ColumnElement[Any]:
    """Return a parameter that PostgreSQL does not look at when it plans a statement.

    Of a list of fewer than ten values it sees that it is short, finds that worth a plan of its own,
    and makes one each time; that takes several times what the rows do. Of a list that stands in a
    subquery it sees nothing, and keeps the plan.
    """
    return cast(select(bindparam(name, type_=type_)).scalar_subquery(), type_)


def _encoder(type_: Any) -> Encoder | None:
    """Return what writes a list as an array, where that is worth it."""
    if not isinstance(type_, ARRAY):
        return None
    if isinstance(type_.item_type, Integer):
        return _whole_numbers
    # exactly: words and codes are text too, but may be of a type with a cast of its own
    return _texts if type(type_.item_type) is Text else None


def _whole_numbers(values: Sequence[int]) -> str:
    return f"{{{','.join(map(str, values))}}}"


def _texts(values: Sequence[str | None]) -> str:
    return f"{{{','.join('NULL' if value is None else _quoted(value) for value in values)}}}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

"""Core statements made ready for the driver, compiled once per shape."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Insert, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.util import LRUCache

MOST_SHAPES: Final = 1_000
"""Shapes of statements that are kept compiled."""


def to_json(value: Any) -> str:
    """Return a value as text for a parameter of type JSON; keys need not be text."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


_DIALECT: Final = asyncpg_dialect.dialect(json_serializer=to_json)  # type: ignore[no-untyped-call]
_shapes: "LRUCache[Any, Any]" = LRUCache(MOST_SHAPES)


def ready(statement: Any, parameters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the SQL of a statement, and its arguments in their order."""
    compiled, extracted, collected = _compiled(statement, parameters, many=False)
    return _with_values(compiled, extracted, collected, parameters)


def ready_for_each(
    statement: Any, parameters: Sequence[Mapping[str, Any]]
) -> tuple[str, list[list[Any]]]:
    """Return the SQL of a statement that is run once for each of many, and their arguments."""
    compiled, extracted, collected = _compiled(statement, parameters[0], many=True)
    made = [_with_values(compiled, extracted, collected, one) for one in parameters]
    return made[0][0], [arguments for _, arguments in made]


def _compiled(
    statement: Any, parameters: Mapping[str, Any], *, many: bool
) -> tuple[SQLCompiler, Any, Any]:
    compiled, extracted, collected, _ = statement._compile_w_cache(  # noqa: SLF001 - as its engine does
        _DIALECT, compiled_cache=_shapes, column_keys=sorted(parameters), for_executemany=many
    )
    return compiled, extracted, collected


def _with_values(
    compiled: SQLCompiler, extracted: Any, collected: Any, parameters: Mapping[str, Any]
) -> tuple[str, list[Any]]:
    values = compiled.construct_params(
        dict(parameters),
        extracted_parameters=extracted,
        escape_names=False,
        _collected_params=collected,
    )
    sql: str = compiled.string
    names: Sequence[str] = compiled.positiontup or ()
    processors: Mapping[str, Any] = compiled._bind_processors  # noqa: SLF001
    if compiled.post_compile_params:
        expanded = compiled._process_parameters_for_postcompile(values)  # noqa: SLF001
        sql, names = expanded.statement, expanded.positiontup or ()
        values = {**values, **expanded.additional_parameters}
        processors = {**processors, **expanded.processors}
    arguments = []
    for name in names:
        value, process = values[name], processors.get(name)
        arguments.append(value if process is None else process(value))
    return sql, arguments


def insert_of_many(statement: Insert, columns: Sequence[str]) -> Insert:
    """Return an insert of many rows in one go, in their order; its parameters are lists by column.

    It returns what ``statement`` does. No column may hold a list itself.
    """
    table: Any = statement.table
    types = {name: table.c[name].type for name in columns}
    given = (
        func.unnest(*(bindparam(name, type_=ARRAY(type_)) for name, type_ in types.items()))
        .table_valued(
            *(column(name, type_) for name, type_ in types.items()),
            with_ordinality="place",
            name="given",
        )
        .render_derived()
    )
    rows = select(*(given.c[name] for name in columns)).order_by(given.c.place)
    return statement.from_select(list(columns), rows)


def as_lists(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return rows, all with the same columns, as a list of values for each column."""
    return {name: [row[name] for row in rows] for name in rows[0]}

"""The whole database as one SQL script: what migrations are measured against."""

from collections.abc import Iterable

from sqlalchemy import ClauseElement, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, SetTableComment

from resolvers.core.access import ACCESS_CHANGED, ACCESS_ROW, access_trigger, access_version
from resolvers.core.module import DataModule
from resolvers.core.outbox import (
    COUNTER_ROW,
    LOG_POSITION_BEFORE,
    LOG_POSITION_FUNCTION,
    PARTITIONS,
    UUID7,
    WRITTEN_SEQUENCE,
    outbox_counter,
    outbox_event,
)
from resolvers.core.records import audit_log, idempotency_key
from resolvers.core.reference import REFERENCE_CHANGED, reference_trigger
from resolvers.core.security import CREATE_ROLES, security
from resolvers.core.table import metadata

CORE = DataModule(
    name="core",
    tables=(outbox_event, outbox_counter, access_version, audit_log, idempotency_key),
    functions=(PARTITIONS, LOG_POSITION_BEFORE, LOG_POSITION_FUNCTION),
)
"""Tables every command writes to, whatever its module."""

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def installation_sql(modules: Iterable[DataModule]) -> str:
    """Return the script that builds an empty database: roles, tables, functions, row security."""
    modules = (*modules, CORE)
    statements = [CREATE_ROLES, UUID7, WRITTEN_SEQUENCE, REFERENCE_CHANGED, ACCESS_CHANGED]
    for table in metadata.sorted_tables:
        statements += _table(table)
    for module in modules:
        statements += module.functions
    statements += security(metadata.sorted_tables)
    statements += [COUNTER_ROW, ACCESS_ROW]
    return _script(statements)


def module_sql(module: DataModule) -> str:
    """Return the script that adds a new module to a database: what its first migration is made of.

    The modules it refers to have to be imported, as `resolvers.modules.data_modules` does.
    """
    tables = [table for table in metadata.sorted_tables if table in module.tables]
    created = [statement for table in tables for statement in _table(table)]
    return _script([*created, *module.functions, *security(tables)])


def _table(table: Table) -> list[str]:
    """Return the statements that create a table with its indexes and its comment."""
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    elements: tuple[ClauseElement, ...] = (
        CreateTable(table),
        *map(CreateIndex, indexes),
        SetTableComment(table),
    )
    statements = [str(element.compile(dialect=_DIALECT)) for element in elements]
    if table.info["reference"]:
        statements.append(reference_trigger(table))
    if table.info["access"] is not None:
        statements.append(access_trigger(table))
    return statements


def _script(statements: Iterable[str]) -> str:
    return ";\n".join(s.strip().rstrip(";") for s in statements) + ";\n"

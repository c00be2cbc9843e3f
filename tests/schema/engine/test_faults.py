"""Both ways tell the same of a database that breaks its promises, and of statements that fail.

The faults are made in a database of this file, one at a time, and mended again.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from graphql import GraphQLEnumType, GraphQLObjectType, get_named_type
from sqlalchemy import Table, Text

from gateway.postgres import EmbeddedPostgres
from resolvers.core.entity import Entity
from resolvers.core.errors import NotFound
from resolvers.core.listing import Listing
from resolvers.core.relation import Relation
from schema.core.plan import (
    ColumnPlan,
    ComputedPlan,
    ConnectionPlan,
    MoneyPlan,
    RelationPlan,
    plan_of,
)
from tests.fixtures.equality import COMPILED, compare
from tests.fixtures.gateway import open_gateway
from tests.fixtures.paths import BothPaths
from tests.fixtures.schema_walk import (
    EDGES,
    ROOTS,
    Edge,
    Known,
    backing,
    called,
    id_selection,
    known_rows,
    object_types,
    operation,
    plain_selection,
    root_fields,
    ways_to,
)
from tests.fixtures.turns import in_turn

NEVER_AWAITED = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
"""graphql-core cancels siblings of a failed field, some of them before their first step."""
pytestmark = NEVER_AWAITED

BREAK_PROMISES = """
do $$
declare one record;
begin
  for one in
    select conrelid::regclass as of_table, conname from pg_constraint c
    where connamespace = 'public'::regnamespace and coninhcount = 0 -- partitions follow
      and (contype in ('f', 'c', 'u') or contype = 'p'
      and exists (select from pg_attribute a where a.attrelid = c.conrelid
                  and a.attnum = any(c.conkey) and a.attname = 'company_id'))
    order by contype <> 'f'
  loop
    execute format('alter table %s drop constraint %I', one.of_table, one.conname);
  end loop;
  for one in
    select indexrelid::regclass as index from pg_index join pg_class c on c.oid = indrelid
    where indisunique and not indisprimary and c.relnamespace = 'public'::regnamespace
  loop
    execute format('drop index %s', one.index);
  end loop;
  for one in
    select attrelid::regclass as of_table, attname from pg_attribute
    join pg_class c on c.oid = attrelid
    where attgenerated <> '' and attnotnull and c.relnamespace = 'public'::regnamespace
  loop
    execute format('alter table %s alter %I drop not null', one.of_table, one.attname);
  end loop;
end $$
"""
"""Drops what would stop a fault: foreign keys, checks, uniqueness, NOT NULL of what is derived."""


@pytest_asyncio.fixture(scope="module")
async def reader(server: EmbeddedPostgres, template: str) -> AsyncIterator[BothPaths]:
    """Yield both ways over a database of this file, whose owner no trigger or key stops."""
    name = f"erp_faults_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    url = server.url(name)
    quick: dict[str, Any] = {"lock_timeout_seconds": 0.2, "relay": False}
    async with (
        open_gateway(url, **quick) as compiled,
        open_gateway(url, **quick, compile_queries=False) as ordinary,
    ):
        await compiled.owner.execute("set session_replication_role = replica")
        await compiled.owner.execute(BREAK_PROMISES)
        yield BothPaths(compiled, ordinary)
    server.drop_database(name)


@pytest_asyncio.fixture(scope="module")
async def known(reader: BothPaths) -> Known:
    """Return keys that operations can ask for."""
    return await known_rows(reader.owner)


@pytest.fixture
def owner(reader: BothPaths) -> "asyncpg.Connection[Any]":
    """Return the connection that makes faults."""
    return reader.owner


# --- what can be wrong with a value


def tables() -> dict[str, Table]:
    """Return the table behind each type whose rows are read by a relation or a list."""
    found = {}
    for edge in (*root_fields("Query"), *EDGES):
        match edge.plan:
            case RelationPlan(relation=Relation(target=Entity() as entity)):
                found[entity.name] = entity.table
            case ConnectionPlan(listing=Listing(entity=entity)):
                found[entity.name] = entity.table
    return found


TABLES = tables()


class Shown(NamedTuple):
    """A field, and a column of its table that it is read from."""

    type_name: str
    field: str
    column: str

    def __str__(self) -> str:
        return f"{self.type_name}.{self.field} of {self.column}"

    @property
    def table(self) -> Table:
        """The table of the column."""
        return TABLES[self.type_name]

    @property
    def edge(self) -> Edge:
        """The field."""
        return Edge(self.type_name, self.field)


def shown() -> Iterator[Shown]:
    """Yield every column of a table that a field is read from, with the field."""
    for type_ in object_types():
        table = TABLES.get(type_.name)
        if table is None or type_.name in ROOTS or not ways_to(type_.name):
            continue
        for name, field in type_.fields.items():
            plan = plan_of(backing(field))
            if isinstance(plan, ColumnPlan | MoneyPlan | ComputedPlan | RelationPlan):
                for column in sorted(plan.needs & set(table.c.keys())):
                    if not table.c[column].primary_key:
                        yield Shown(type_.name, name, column)


SHOWN = sorted(shown())
NOT_NULL = [
    case
    for table, shown_of in groupby(
        (case for case in SHOWN if not case.table.c[case.column].nullable),
        key=lambda case: case.table.name,
    )
    for case in in_turn(table, list(shown_of), 2)
]


@asynccontextmanager
async def spoiled(
    owner: "asyncpg.Connection[Any]", table: str, column: str, value: str, *, every: int = 2
) -> AsyncIterator[None]:
    """Set every other row's ``column``, from the first, to a value the table does not allow.

    Or that of one row in ``every`` so many: where rows are few the others may be all that is asked
    for.
    """
    kind, not_null = await owner.fetchrow(  # type: ignore[misc]
        "select format_type(atttypid, atttypmod), attnotnull from pg_attribute"
        " where attrelid = $1::text::regclass and attname = $2",
        table,
        column,
    )
    await owner.execute(
        f"alter table {table} alter {column} drop not null, add column kept {kind};"
        f"update {table} set kept = {column};"
        f"update {table} set {column} = {value} where ctid in (select ctid from"
        f" (select ctid, row_number() over (order by ctid) as n from {table}) r"
        f" where n % {every} = {1 % every})"
    )
    try:
        yield
    finally:
        required = f", alter {column} set not null" if not_null else ""
        await owner.execute(
            f"update {table} set {column} = kept;alter table {table} drop column kept{required}"
        )


def selection_of(case: Shown) -> str:
    """Select the field of a case, with all there is to it."""
    edge = case.edge
    return f"{{ __typename {called(edge, plain_selection(edge.target), {'first': '2'})} }}"


@pytest.mark.parametrize("case", NOT_NULL, ids=str)
async def test_null_where_there_is_never_null(
    reader: BothPaths, known: Known, owner: "asyncpg.Connection[Any]", case: Shown
) -> None:
    """A NULL in a NOT NULL column makes null, or an error where the schema promises a value."""
    asked = operation(ways_to(case.type_name)[0], selection_of(case), known, 20)
    assert (await compare(reader, asked.query, asked.variables)).outcome == COMPILED
    async with spoiled(owner, case.table.name, case.column, "null"):
        compared = await compare(reader, asked.query, asked.variables)
    assert (compared.outcome == COMPILED) == (not compared.answer.errors)
    assert (await compare(reader, asked.query, asked.variables)).outcome == COMPILED


ENUMS = [
    case
    for case in SHOWN
    if isinstance(get_named_type(case.edge.field.type), GraphQLEnumType)
    # what is worked out of quantities and prices has no word in the table
    and isinstance(case.table.c[case.column].type, Text)
]


@pytest.mark.parametrize("case", ENUMS, ids=str)
async def test_a_word_the_schema_does_not_know(
    reader: BothPaths, known: Known, owner: "asyncpg.Connection[Any]", case: Shown
) -> None:
    """A word that a newer version may have written is an error and never told."""
    asked = operation(ways_to(case.type_name)[0], selection_of(case), known, 20)
    async with spoiled(owner, case.table.name, case.column, "'NEWER'", every=1):
        compared = await compare(reader, asked.query, asked.variables)
    assert {error["extensions"]["code"] for error in compared.answer.errors} == {"INTERNAL"}


@pytest.mark.parametrize("value", ["array['sales.read', null]", "array[]::text[]", "null"])
async def test_a_list_with_nothing_in_it(
    reader: BothPaths, owner: "asyncpg.Connection[Any]", value: str
) -> None:
    """Items that are NULL are as wrong as a list that is, and an empty list is neither."""
    async with spoiled(owner, "api_client", "permissions", value):
        compared = await compare(reader, "{ apiClients { nodes { code permissions } } }")
    assert bool(compared.answer.errors) == ("null" in value)


@pytest.mark.parametrize("value", ["'[1]'", "'3'", "'null'", """'{"a": null, "b": [1]}'"""])
async def test_documents_of_another_kind(
    reader: BothPaths, owner: "asyncpg.Connection[Any]", value: str
) -> None:
    """A computed field that cannot be computed is an error at its place."""
    query = "{ products(first: 20) { nodes { sku attributes { name value __typename } } } }"
    async with spoiled(owner, "product", "attributes", f"{value}::jsonb"):
        await compare(reader, query)


# --- what can be wrong with a row


REFERRING = [case for case in SHOWN if isinstance(case.edge.plan, RelationPlan)]


@pytest.mark.parametrize("case", REFERRING, ids=str)
async def test_a_row_that_is_gone(
    reader: BothPaths, known: Known, owner: "asyncpg.Connection[Any]", case: Shown
) -> None:
    """A reference to no row is null, or an error where the schema promises an object."""
    asked = operation(ways_to(case.type_name)[0], selection_of(case), known, 20)
    value = "'ZZZ'" if "currency" in case.column else "-1"
    async with spoiled(owner, case.table.name, case.column, value):
        compared = await compare(reader, asked.query, asked.variables)
    assert (compared.outcome == COMPILED) == (not compared.answer.errors)


OWNED = sorted({table.name for table in TABLES.values() if "company_id" in table.c})


@pytest.mark.parametrize("table", OWNED)
async def test_rows_that_row_security_hides(
    reader: BothPaths, known: Known, owner: "asyncpg.Connection[Any]", table: str
) -> None:
    """Rows that belong to another company are not there, whoever refers to them."""
    leading = [e for e in EDGES if getattr(TABLES.get(str(e.target)), "name", "") == table]
    async with spoiled(owner, table, "company_id", "2"):
        for edge in leading:
            for way in ways_to(edge.parent)[:1]:
                asked = operation((*way, edge), id_selection(edge.target), known, 20)
                await compare(reader, asked.query, asked.variables)


# --- statements that fail


async def ask_all(reader: BothPaths, known: Known, type_name: str) -> list[str]:
    """Ask for a type along every shortest way and below every root; return how that went."""
    outcomes = []
    for edge in (*root_fields("Query"), *EDGES):
        if str(edge.target) != type_name or edge.parent in ("Mutation", "Subscription"):
            continue
        for way in [()] if edge.parent == "Query" else ways_to(edge.parent)[:1]:
            asked = operation((*way, edge), "{ __typename }", known, 100)
            beside = asked.query.replace("{", "{ me { name } ", 1)
            compared = await compare(reader, beside, asked.variables)
            outcomes.append(compared.outcome)
    return outcomes


@pytest.mark.parametrize("type_name", sorted(TABLES))
async def test_a_table_nobody_may_read(
    reader: BothPaths, known: Known, owner: "asyncpg.Connection[Any]", type_name: str
) -> None:
    """A statement that is refused is an error wherever its rows were asked for."""
    table = TABLES[type_name].name
    await owner.execute(f"revoke select on {table} from erp_app")
    try:
        outcomes = await ask_all(reader, known, type_name)
    finally:
        await owner.execute(f"grant select on {table} to erp_app")
    assert COMPILED not in outcomes
    assert set(await ask_all(reader, known, type_name)) == {COMPILED}


async def test_a_statement_that_takes_too_long(
    reader: BothPaths, owner: "asyncpg.Connection[Any]"
) -> None:
    """A locked table is TIMEOUT in both, and the connection is good for the next operation."""
    query = "{ salesOrders(first: 2) { nodes { number lines { product { sku } } } } me { name } }"
    async with owner.transaction():
        await owner.execute("lock table product in access exclusive mode")
        compared = await compare(reader, query)
    assert {error["extensions"]["code"] for error in compared.answer.errors} == {"TIMEOUT"}
    assert (await compare(reader, query)).outcome == COMPILED


def sources() -> Iterator[Any]:
    """Yield what fetches rows below the roots: relations and lists, each with a field."""
    for edge in EDGES:
        if edge.parent in ("StockChange", "AdjustStockPayload") or not ways_to(edge.parent):
            continue
        if not isinstance(edge.plan, RelationPlan | ConnectionPlan):
            continue
        yield pytest.param(edge, id=str(edge))


@pytest.mark.parametrize(
    ("edge", "failure"),
    [
        pytest.param(*source.values, failure, id=f"{source.id}-{failure!r}")
        for source in sources()
        for failure in in_turn(str(source.id), [RuntimeError("boom"), NotFound("Gone.")], 2)
    ],
)
async def test_a_batch_that_raises(
    reader: BothPaths,
    known: Known,
    monkeypatch: pytest.MonkeyPatch,
    edge: Edge,
    failure: Exception,
) -> None:
    """Whatever a batch raises is told at the fields that waited for it, beside what did not."""
    plan = edge.plan
    spoilt: Any = plan.listing if isinstance(plan, ConnectionPlan) else plan.relation  # type: ignore[union-attr]
    method = "pages" if isinstance(plan, ConnectionPlan) else "rows"
    sound = getattr(type(spoilt), method)

    async def raising(self: Any, *args: Any, **kwargs: Any) -> Sequence[Any]:
        if self is spoilt:
            raise failure
        found: Sequence[Any] = await sound(self, *args, **kwargs)
        return found

    way = ways_to(edge.parent)[0]
    parent = plain_selection(SCHEMA_TYPES[edge.parent])
    selection = f"{parent[:-1]} {called(edge, id_selection(edge.target), {'first': '2'})} }}"
    asked = operation(way, selection, known, 5)
    monkeypatch.setattr(type(spoilt), method, raising)
    compared = await compare(reader, asked.query, asked.variables)
    if compared.answer.errors:
        codes = {error["extensions"]["code"] for error in compared.answer.errors}
        assert codes == {"NOT_FOUND" if isinstance(failure, NotFound) else "INTERNAL"}


SCHEMA_TYPES: dict[str, GraphQLObjectType] = {type_.name: type_ for type_ in object_types()}

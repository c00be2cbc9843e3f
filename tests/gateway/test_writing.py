"""The transactions of commands, on real connections."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest
from sqlalchemy import ARRAY, Text, bindparam, column, func, insert, literal, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from gateway.settings import Settings
from gateway.writing import WritePool, open_write_pool
from resolvers.core.context import OperationStats
from resolvers.core.errors import Overloaded
from resolvers.core.metrics import Metrics
from resolvers.core.principal import STAFF_ROLE, RowScope
from resolvers.core.records import audit_log
from resolvers.core.statement import compile_statement
from resolvers.inventory.tables import reorder_rule
from tests.fixtures.gateway import Gateway

SCOPE = RowScope(STAFF_ROLE, 1)


def pool_of(gateway: Gateway) -> WritePool:
    """Return the pool that commands of a gateway write through."""
    return gateway.runtime.writes


async def test_is_set_to_the_rows_of_the_caller(own_gateway: Gateway) -> None:
    """As long as it lasts, and no longer: the next one on the connection is set anew."""
    for company in (1, 2, 1):
        stats = OperationStats()
        async with pool_of(own_gateway).begin(RowScope(STAFF_ROLE, company), stats) as transaction:
            seen = await transaction.execute(text("select distinct company_id from warehouse"))
            assert [row.company_id for row in seen] == [company]
            role = await transaction.scalar(select(func.current_user()))
            assert role == STAFF_ROLE
        assert stats.statements == 3  # with the one that opens it
        assert stats.rows == 2


async def test_a_call_is_a_transaction_of_its_own(own_gateway: Gateway) -> None:
    """Set to the rows of the caller, by turns with others; what fails leaves nothing open."""
    pool = pool_of(own_gateway)
    company = compile_statement(text("select min(company_id) from warehouse"))
    slow = compile_statement(text("select pg_sleep(30)"))
    wrong = compile_statement(text("select 1 / 0"))
    for own in (1, 2, 2, 1):
        stats = OperationStats()
        assert await pool.call(RowScope(STAFF_ROLE, own), company, {}, stats) == own
        assert (stats.statements, stats.rows) == (1, 1)
        async with pool.begin(RowScope(STAFF_ROLE, 3 - own), stats) as transaction:
            assert await transaction.run(company, {}) == [(3 - own,)]
    with pytest.raises(asyncpg.DivisionByZeroError):
        await pool.call(SCOPE, wrong, {}, OperationStats())
    waiting = asyncio.create_task(pool.call(SCOPE, slow, {}, OperationStats()))
    await asyncio.sleep(0.2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert pool.state().in_use == 0
    assert await pool.call(SCOPE, company, {}, OperationStats()) == 1


async def test_values_go_in_and_come_out_as_they_are(own_gateway: Gateway) -> None:
    """Lists in conditions, JSON, and texts that look like SQL; rows by name, by place, by turns."""
    async with pool_of(own_gateway).begin(SCOPE, OperationStats()) as transaction:
        told = {"a": [1, None, "ä"], "b": {"c": "1.50"}}
        row = (
            await transaction.execute(
                select(
                    bindparam("given", told, type_=JSONB).label("json"),
                    literal("'; drop table x; --").label("words"),
                    column("n").in_([1, 2, 3]).label("is_in"),
                ).select_from(text("generate_series(2, 2) as n"))
            )
        ).one()
        assert (row.json, row.words, row.is_in) == (told, "'; drop table x; --", True)
        assert row[1] == row.words
        json, words, is_in = row
        assert (json, words, is_in) == (told, row.words, True)
        with pytest.raises(AttributeError):
            _ = row.other
        compiled = compile_statement(
            select(func.unnest(bindparam("keys", type_=ARRAY(Text()))).label("key"))
        )
        rows = await transaction.run(compiled, {"keys": ['a"b', "c,d", None]})
        assert [one.key for one in rows] == ['a"b', "c,d", None]
        assert await transaction.scalar(text("select 1 where false")) is None
        assert (await transaction.execute(text("select 1 where false"))).first() is None


async def test_many_rows_go_in_at_once_and_in_their_order(own_gateway: Gateway) -> None:
    """One statement, and what it returns stands in the order of what was given."""
    stats = OperationStats()
    async with pool_of(own_gateway).begin(SCOPE, stats) as transaction:
        args = [{"place": n} for n in range(300)]
        made = await transaction.execute(
            insert(audit_log).returning(
                audit_log.c.id, audit_log.c.diff, sort_by_parameter_order=True
            ),
            [
                {
                    "company_id": 1,
                    "actor": "user:1",
                    "operation": "test",
                    "entity": "Test",
                    "entity_id": 1,
                    "action": "test",
                    "diff": one,
                }
                for one in args
            ],
        )
        assert [row.diff for row in made] == args
        assert [row.id for row in made] == sorted(row.id for row in made)
        assert stats.statements == 1 + 1
        rule = {"company_id": 1, "warehouse_id": 1, "min_quantity": 1, "target_quantity": 2}
        products = (await transaction.execute(text("select id from product order by id"))).all()
        rules = [{**rule, "product_id": row.id} for row in products[:5]]
        again = upsert(reorder_rule).on_conflict_do_nothing()
        await transaction.execute(again, rules)
        assert await transaction.execute(again.returning(reorder_rule.c.id), rules) == []


async def test_an_update_runs_once_for_each_of_many(own_gateway: Gateway) -> None:
    """What differs by row goes in by name."""
    async with pool_of(own_gateway).begin(SCOPE, OperationStats()) as transaction:
        found = await transaction.execute(text("select id from reorder_rule order by id limit 2"))
        await transaction.execute(
            update(reorder_rule)
            .where(reorder_rule.c.id == bindparam("rule"))
            .values(multiple=bindparam("step")),
            [{"rule": row.id, "step": n} for n, row in enumerate(found, start=5)],
        )
        changed = await transaction.execute(
            select(reorder_rule.c.multiple)
            .where(reorder_rule.c.id.in_([row.id for row in found]))
            .order_by(reorder_rule.c.id)
        )
        assert [row.multiple for row in changed] == [5, 6]


async def test_what_fails_leaves_nothing_and_gives_its_connection_back(
    own_gateway: Gateway,
) -> None:
    """Whether the database refuses it, the command does, or the caller goes away."""
    pool = pool_of(own_gateway)
    before = await own_gateway.owner.fetchval("select count(*) from reorder_rule")
    remove = text("update reorder_rule set archived_at = now()")

    async def refused(sql: str) -> None:
        async with pool.begin(SCOPE, OperationStats()) as transaction:
            await transaction.execute(remove)
            await transaction.execute(text(sql))
            raise LookupError

    with pytest.raises(asyncpg.DivisionByZeroError):
        await refused("select 1 / 0")
    with pytest.raises(LookupError):
        await refused("select 1")
    slow = asyncio.create_task(refused("select pg_sleep(30)"))
    await asyncio.sleep(0.2)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert pool.state().in_use == 0
    left = await own_gateway.owner.fetchval(
        "select count(*) from reorder_rule where archived_at is null"
    )
    assert left <= before
    async with pool.begin(SCOPE, OperationStats()) as transaction:
        assert await transaction.scalar(text("select 1")) == 1
    assert pool.state().size <= pool.state().limit


async def test_who_waits_too_long_for_a_connection_is_told_so(
    own_gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every connection is lent: one more waits, and then gives up."""
    pool = pool_of(own_gateway)
    async with AsyncExitStack() as held:
        for _ in range(pool.state().limit):
            await held.enter_async_context(pool.begin(SCOPE, OperationStats()))
        monkeypatch.setattr(pool, "_wait", 0.05)
        with pytest.raises(Overloaded):
            async with pool.begin(SCOPE, OperationStats()):
                pass
    assert pool.state().in_use == 0


async def test_a_database_that_is_gone_is_not_called_busy() -> None:
    """The caller is told what it is, and the pool is not counted as full."""
    metrics = Metrics()
    nowhere = "postgresql://nobody:none@127.0.0.1:1/none?sslmode=disable"
    pool = open_write_pool(nowhere, Settings(environment="test"), metrics)
    try:
        with pytest.raises(Overloaded, match="cannot be reached"):
            async with pool.begin(SCOPE, OperationStats()):
                pass
    finally:
        await pool.close()
    timeouts = metrics.registry.get_sample_value("gateway_pool_timeouts_total", {"pool": "write"})
    assert not timeouts


async def test_a_statement_is_prepared_anew_after_a_migration(own_gateway: Gateway) -> None:
    """The transaction that meets the change fails, so that its command runs again; no other."""
    pool = pool_of(own_gateway)
    every = text("select * from reorder_rule limit 1")

    async def columns() -> Any:
        async with pool.begin(SCOPE, OperationStats()) as transaction:
            return list((await transaction.execute(every)).one().keys())

    before = await columns()
    await own_gateway.owner.execute("alter table reorder_rule add column noted text")
    with pytest.raises((asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)):
        await columns()
    assert await columns() == [*before, "noted"]

"""What holds for every command: rehearsals, conflicts, and others in the way."""

import asyncio
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from sqlalchemy import func, select

from resolvers.core.command import MOST_ATTEMPTS
from resolvers.core.context import OperationStats
from resolvers.core.database_errors import FAILURES, expected
from resolvers.core.errors import Overloaded
from resolvers.core.table import metadata
from tests.fixtures.gateway import Gateway, principal
from tests.fixtures.paths import BothPaths
from tests.fixtures.schema_walk import SCHEMA
from tests.flows.test_archiving import idle, run
from tests.flows.test_live_stock import a_line, a_place

ADJUST = """
mutation Adjust($key: String!, $dry: Boolean!, $lines: [StockAdjustmentInput!]!) {
  adjustStock(idempotencyKey: $key, dryRun: $dry, lines: $lines) {
    moves { id qty fromLocation { kind } toLocation { kind } product { sku uom { code } } }
    levels { version onHand available product { sku availability { warehouse { code } onHand } } }
    userErrors { code message path details }
  }
}
"""

MUTATIONS = SCHEMA.mutation_type.fields if SCHEMA.mutation_type else {}


async def contents(gateway: Gateway) -> dict[str, tuple[Any, ...]]:
    """Return how many rows each table has, and a checksum of them."""
    found = {}
    for name in metadata.tables:
        row = await gateway.owner.fetchrow(
            f"select count(*), sum(hashtextextended(t::text, 0)) from {name} t"
        )
        found[name] = tuple(row or ())
    return found


async def on_hand(gateway: Gateway, place: dict[str, Any]) -> Any:
    """Return what a level has."""
    return await gateway.owner.fetchval(
        "select on_hand from stock_level where id = $1", place["level_id"]
    )


class TestRehearsals:
    """With dryRun a command runs, shows what it would have done, and has not done it."""

    @pytest.mark.parametrize("name", sorted(MUTATIONS))
    def test_every_command_can_be_rehearsed(self, name: str) -> None:
        """Each mutation has the argument, and does not rehearse unless it is asked to."""
        argument = MUTATIONS[name].args["dryRun"]
        assert str(argument.type) == "Boolean!"
        assert argument.default_value is False

    async def test_shows_what_would_be_and_changes_nothing(self, own_reader: BothPaths) -> None:
        """The answer is that of the real command, whichever way it is read; no row is changed."""
        gateway = own_reader.compiled
        place = await a_place(gateway)
        lines = [a_line(place, delta="-2")]
        before = await contents(gateway)
        variables = {"key": "one", "dry": True, "lines": lines}
        told = {}
        for path in (own_reader.compiled, own_reader.ordinary):
            told = (await path.data(ADJUST, variables))["adjustStock"]
            assert told["userErrors"] == []
            [level] = told["levels"]
            assert Decimal(level["onHand"]) == place["level"] - 2
            assert level["version"] == str(place["version"] + 1)
            shown = {row["onHand"] for row in level["product"]["availability"]}
            assert level["onHand"] in shown, "what lies behind it is read in the transaction too"
            [move] = told["moves"]
            assert (move["qty"], move["toLocation"]["kind"]) == ("2.0000", "LOSS")
        assert await contents(gateway) == before
        real = (await gateway.data(ADJUST, {**variables, "dry": False}))["adjustStock"]
        assert real["levels"] == told["levels"]
        assert await on_hand(gateway, place) == place["level"] - 2

    @pytest.mark.parametrize("path", ["compiled", "ordinary"])
    async def test_root_fields_stand_alone(self, own_reader: BothPaths, path: str) -> None:
        """What comes after a rehearsal in one request does not see it, and the other way round."""
        query = """mutation($lines: [StockAdjustmentInput!]!) {
          a: adjustStock(idempotencyKey: "a", dryRun: true, lines: $lines) { levels { onHand } }
          b: adjustStock(idempotencyKey: "b", lines: $lines) { levels { onHand } }
          c: adjustStock(idempotencyKey: "c", dryRun: true, lines: $lines) { levels { onHand } }
          d: adjustStock(idempotencyKey: "d", lines: $lines) { levels { onHand } } }"""
        gateway: Gateway = getattr(own_reader, path)
        place = await a_place(gateway)
        data = await gateway.data(query, {"lines": [a_line(place, delta="-1")]})
        told = [place["level"] - Decimal(data[name]["levels"][0]["onHand"]) for name in "abcd"]
        assert told == [1, 1, 2, 2]

    async def test_a_key_that_was_used_answers_as_ever(self, own_gateway: Gateway) -> None:
        """A rehearsal with the key of a command that was done is told what was done."""
        place = await a_place(own_gateway)
        variables = {"key": "k", "dry": False, "lines": [a_line(place, delta="-1")]}
        done = await own_gateway.data(ADJUST, variables)
        assert await own_gateway.data(ADJUST, {**variables, "dry": True}) == done
        other = {"key": "k", "dry": True, "lines": [a_line(place, delta="-2")]}
        [error] = (await own_gateway.data(ADJUST, other))["adjustStock"]["userErrors"]
        assert error["code"] == "IDEMPOTENCY_MISMATCH"

    async def test_refusals_are_those_of_the_command(self, own_gateway: Gateway) -> None:
        """What would be refused is refused, in the same words."""
        place = await a_place(own_gateway)
        lines = [a_line(place, delta="-1000000")]
        told = [
            await own_gateway.data(ADJUST, {"key": "k", "dry": dry, "lines": lines})
            for dry in (True, False)
        ]
        assert told[0] == told[1]
        assert told[0]["adjustStock"]["userErrors"][0]["code"] == "INSUFFICIENT_STOCK"

    async def test_many_at_once_leave_no_lock_and_no_connection(self, own_gateway: Gateway) -> None:
        """Rehearsals of one row take turns, are given up in the middle, and leave nothing open."""
        place = await a_place(own_gateway)
        variables = {"key": "k", "dry": True, "lines": [a_line(place, delta="-1")]}
        tasks = [
            asyncio.create_task(own_gateway.run(ADJUST, {**variables, "key": str(n)}))
            for n in range(12)
        ]
        await asyncio.sleep(0.02)
        for task in tasks[::3]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(not a.errors for a in answers if not isinstance(a, BaseException))
        [(open_, locks)] = await own_gateway.owner.fetch(
            """select (select count(*) from pg_stat_activity where datname = current_database()
                       and state like 'idle in transaction%'),
                      (select count(*) from pg_locks l join pg_class c on c.oid = l.relation
                       where c.relname = 'stock_level' and l.mode = 'RowExclusiveLock'
                       and l.database = (select oid from pg_database
                                         where datname = current_database()))"""
        )
        assert (open_, locks) == (0, 0)
        state = own_gateway.runtime.writes.state()
        assert (state.in_use, state.waiting) == (0, 0)
        assert await on_hand(own_gateway, place) == place["level"]


class TestConflicts:
    """Whoever read an older version is told what there is now, and what changed since."""

    async def test_the_object_as_it_is_and_what_changed(self, own_gateway: Gateway) -> None:
        """Each change in between is named, with who made it."""
        id_, version = await idle(own_gateway, "Product")
        assert (await run(own_gateway, "archive", "Product", id_))["userErrors"] == []
        assert (await run(own_gateway, "restore", "Product", id_))["userErrors"] == []
        payload = await run(own_gateway, "archive", "Product", id_, key="late", version=version)
        assert payload["product"] == {
            "archived": False,
            "archivedAt": None,
            "version": version + 2,
        }
        [error] = payload["userErrors"]
        details = error["details"]
        assert error["code"] == "CONFLICT_VERSION"
        assert details.pop("changedAt").endswith("Z")
        assert details == {
            "version": str(version + 2),
            "changed": "archived",
            "changedBy": principal().actor,
        }

    async def test_levels_as_they_are(self, own_gateway: Gateway) -> None:
        """A count of a level that moved since shows the level."""
        place = await a_place(own_gateway)
        lines = [a_line(place, delta="-1", expectedVersion=str(place["version"] - 1))]
        data = await own_gateway.data(ADJUST, {"key": "k", "dry": False, "lines": lines})
        told = data["adjustStock"]
        assert told["userErrors"][0]["code"] == "CONFLICT_VERSION"
        assert told["levels"][0]["version"] == str(place["version"])
        assert told["moves"] == []


class TestOthersInTheWay:
    """A command that is the victim of a deadlock is run again, a few times."""

    async def test_a_deadlock_is_not_the_callers_business(self, own_gateway: Gateway) -> None:
        """The command waits for a row of another transaction, which then waits for one of its."""
        owner = own_gateway.owner
        first = await a_place(own_gateway)
        await owner.execute("begin")
        # so that the command, which waits for the level first, is the one that finds the deadlock
        await owner.execute("set local deadlock_timeout = '10s'")
        await owner.execute("select from stock_level where id = $1 for update", first["level_id"])
        asked = asyncio.create_task(
            own_gateway.run(
                ADJUST, {"key": "k", "dry": False, "lines": [a_line(first, delta="-1")]}
            )
        )
        await own_gateway.until_a_lock_is_awaited()
        await owner.execute(
            "insert into idempotency_key (company_id, actor, key, operation, request_hash)"
            " values (1, $1, 'k', 'x', '\\x00') on conflict do nothing",
            principal().actor,
        )
        await owner.execute("rollback")
        answer = await asked
        assert not answer.errors
        assert answer.data is not None
        assert answer.data["adjustStock"]["userErrors"] == []
        assert own_gateway.reports[-1].stats.retries == 1
        assert await on_hand(own_gateway, first) == first["level"] - 1

    async def test_not_for_ever(self, own_gateway: Gateway) -> None:
        """When it fails every time, the caller is told to try again, and nothing is left."""
        place = await a_place(own_gateway)
        await own_gateway.owner.execute(
            """create function in_the_way() returns trigger language plpgsql as $$
               begin raise exception using errcode = '40001', message = 'in the way'; end $$;
               create trigger in_the_way before insert on stock_move
               for each row execute function in_the_way()"""
        )
        answer = await own_gateway.run(
            ADJUST, {"key": "k", "dry": False, "lines": [a_line(place, delta="-1")]}
        )
        [error] = answer.errors
        assert error["extensions"]["code"] == "OVERLOADED"
        assert own_gateway.reports[-1].stats.retries == MOST_ATTEMPTS - 1
        assert await on_hand(own_gateway, place) == place["level"]
        await own_gateway.owner.execute("drop function in_the_way cascade")
        again = await own_gateway.data(
            ADJUST, {"key": "k", "dry": False, "lines": [a_line(place, delta="-1")]}
        )
        assert again["adjustStock"]["userErrors"] == []


class TestLostConnections:
    """The database may go at any moment of a command; the caller is told to try again."""

    @pytest.mark.parametrize("moment", ["statement", "commit"])
    async def test_the_command_may_be_tried_again(self, own_gateway: Gateway, moment: str) -> None:
        """Its connection ended before a statement, or the commit: expected, and given back."""
        writes = own_gateway.runtime.writes
        look = select(func.pg_backend_pid())
        ended = []

        async def interrupted() -> None:
            async with writes.begin(principal().rows, OperationStats()) as transaction:
                ended.append(await transaction.scalar(look))
                # returns once it has gone; the driver hears of that when the loop goes on
                gone = "select pg_terminate_backend($1, 60000)"
                assert await own_gateway.owner.fetchval(gone, ended[0])
                await asyncio.sleep(0)
                if moment == "statement":
                    await transaction.scalar(look)

        with pytest.raises(FAILURES) as caught:
            await interrupted()
        assert isinstance(expected(caught.value), Overloaded)
        assert writes.state().in_use == 0
        async with writes.begin(principal().rows, OperationStats()) as transaction:
            assert await transaction.scalar(look) not in ended

    async def test_a_connection_that_was_given_up_says_so(self, own_gateway: Gateway) -> None:
        """Whoever still has it is told that it is closed, also of statements it had prepared."""
        connection = await own_gateway.runtime.reads.acquire()
        try:
            assert await connection.read("select 1", ())
            connection.terminate()
            with pytest.raises(FAILURES) as caught:
                await connection.read("select 1", ())
        finally:
            own_gateway.runtime.reads.release(connection)
        assert isinstance(expected(caught.value), Overloaded)

    def test_what_the_driver_calls_an_internal_error(self) -> None:
        """It loses track where the server ends a connection in the midst of what it does."""
        failure = asyncpg.InternalClientError("another operation is in progress")
        assert isinstance(failure, FAILURES)
        assert isinstance(expected(failure), Overloaded)

"""The executor: what is refused, what runs, what is told, and what is left behind: nothing."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from time import thread_time
from typing import Any, cast

import asyncpg
import pytest
import strawberry
from graphql import ExecutionResult, GraphQLError, get_introspection_query
from graphql.execution import execute_root_selection_set

from resolvers.core.broker import Broker
from resolvers.core.clock import system_clock
from resolvers.core.context import Context, OperationStats
from resolvers.core.errors import NotFound, Unauthenticated
from resolvers.core.metrics import Metrics
from resolvers.core.principal import STAFF_ROLE, CompanyAccess, Principal, RowScope
from resolvers.core.repetition import Repeated
from resolvers.core.statement import Statement
from schema.core import execution
from schema.core.execution import (
    Executor,
    GraphQLRequest,
    OperationReport,
    Prepared,
    Refusal,
    Refused,
)
from schema.core.limits import Limits
from tests.fixtures.deliveries import hearing
from tests.fixtures.hand import Hand

Info = strawberry.Info[Context, Any]


class World:
    """What the resolvers of these tests act upon."""

    def __init__(self) -> None:
        self.stock = 10
        self.log: list[str] = []
        self.gate = asyncio.Event()
        self.started: asyncio.Queue[str] = asyncio.Queue()


WORLD = World()


@pytest.fixture(autouse=True)
def world() -> World:
    """Start each test with a world of its own."""
    WORLD.__init__()  # type: ignore[misc]
    return WORLD


async def wait_for_gate(name: str) -> None:
    """Wait for ever, unless the test opens the gate; say how it ended."""
    WORLD.log.append(f"{name} started")
    WORLD.started.put_nowait(name)
    try:
        await WORLD.gate.wait()
    except asyncio.CancelledError:
        WORLD.log.append(f"{name} canceled")
        raise
    WORLD.log.append(f"{name} done")


async def resolve_hello(info: Info, name: str = "you") -> str:
    """Greet with everything Strawberry's info offers."""
    assert info.schema.get_type_by_name("Query") is not None
    variables = ",".join(f"{k}={v}" for k, v in info.variable_values.items())
    return f"{info.context.principal.actor} greets {name} ({variables})"


def resolve_selected(info: Info) -> "Node":
    """Return the names of the selected fields."""
    fields = info.selected_fields[0].selections
    return Node(name=" ".join(field.name for field in fields))  # type: ignore[union-attr]


async def resolve_slow(name: str = "slow") -> str:
    """Take as long as the test wants."""
    await wait_for_gate(name)
    return name


async def resolve_failing(kind: str) -> str:
    """Fail in the way asked for."""
    failures: dict[str, Exception] = {
        "expected": NotFound("No such thing.", details={"id": "x"}),
        "unexpected": RuntimeError("select password from users"),
        "canceled": asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        "nul": asyncpg.CharacterNotInRepertoireError("invalid byte sequence: 0x00"),
        "range": asyncpg.NumericValueOutOfRangeError("integer out of range"),
        "missing table": asyncpg.UndefinedTableError('relation "secret" does not exist'),
    }
    raise failures[kind]


def fail_at_once() -> str:
    """Fail before anything else can run."""
    raise NotFound("Not even started.")


async def resolve_stock(info: Info) -> int:
    """Read the stock through a loader, which remembers what it read."""
    loader = info.context.loader("stock", lambda _: {"stock": WORLD.stock})
    return int(loader["stock"])


def append(text: str) -> Callable[[], Any]:
    """Return a mutation that says when it starts and when it ends."""

    async def run() -> str:
        WORLD.log.append(f"{text} starts")
        await asyncio.sleep(0.01)
        WORLD.log.append(f"{text} ends")
        return text

    return run


@strawberry.type
class Node:
    """Something with fields that may not be null."""

    name: str = "node"
    slow: str = strawberry.field(resolver=resolve_slow)
    bad: str = strawberry.field(resolver=fail_at_once)
    failing: str = strawberry.field(resolver=resolve_failing)


@strawberry.type
class Level:
    """The stock at an event, read afresh."""

    seq: int
    stock: int = strawberry.field(resolver=resolve_stock)
    failing: str | None = strawberry.field(resolver=resolve_failing)


def resolve_many(first: int = 10) -> list[Node]:
    """Return some nodes."""
    return [Node() for _ in range(first)]


def make_node() -> Node:
    """Return a node."""
    return Node()


def resolve_echo(values: list[list[int] | None]) -> int:
    """Take nested lists."""
    return len(values)


@strawberry.type
class Query:
    """Roots."""

    hello: str = strawberry.field(resolver=resolve_hello)
    selected: Node = strawberry.field(resolver=resolve_selected)
    slow: str | None = strawberry.field(resolver=resolve_slow)
    failing: str | None = strawberry.field(resolver=resolve_failing)
    node: Node | None = strawberry.field(resolver=make_node)
    many: list[Node] = strawberry.field(resolver=resolve_many)
    echo: int = strawberry.field(resolver=resolve_echo)
    wrong: int | None = strawberry.field(resolver=lambda: 10**12)


@strawberry.type
class Mutation:
    """Verbs."""

    one: str = strawberry.field(resolver=append("one"))
    two: str = strawberry.field(resolver=append("two"))


async def resolve_levels(count: int = 3) -> AsyncIterator[Level]:
    """Yield an event whenever it is asked for, and say when it is closed."""
    try:
        for seq in range(count):
            WORLD.log.append(f"event {seq}")
            yield Level(seq=seq)
        await wait_for_gate("source")
    finally:
        WORLD.log.append("source closed")


async def resolve_breaking(after: int) -> AsyncIterator[Level]:
    """Yield some events, then fail."""
    for seq in range(after):
        yield Level(seq=seq)
    raise RuntimeError("secret")


async def resolve_refused() -> AsyncIterator[Level]:
    """Refuse the subscription before it has begun."""
    raise NotFound("No such warehouse.")
    yield Level(seq=0)


async def resolve_stuck() -> AsyncIterator[Level]:
    """Never get as far as a stream."""
    await wait_for_gate("stuck")
    return resolve_levels()


@strawberry.type
class Subscription:
    """Streams."""

    levels = strawberry.subscription(resolver=resolve_levels)
    breaking = strawberry.subscription(resolver=resolve_breaking)
    refused = strawberry.subscription(resolver=resolve_refused)
    stuck = strawberry.subscription(resolver=resolve_stuck)


SCHEMA = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription)


def nothing_to_wake() -> None:
    """Stand for the relay."""


class NoDatabase:
    """Stands for the connections, which nothing here needs."""

    scope = RowScope(STAFF_ROLE, 1)
    reference = None

    async def fetch(
        self, statement: Statement, parameters: Mapping[str, Any]
    ) -> Sequence[Sequence[Any]]:
        """Refuse."""
        raise AssertionError(statement, parameters)

    def begin(self, rows: RowScope) -> AbstractAsyncContextManager[Any]:
        """Refuse."""
        raise AssertionError(rows)

    async def call(
        self, rows: RowScope, statement: Statement, parameters: Mapping[str, Any]
    ) -> Any:
        """Refuse."""
        raise AssertionError(rows, statement, parameters)

    def rehearse(self, rows: RowScope, seen: RowScope) -> AbstractAsyncContextManager[Any]:
        """Refuse."""
        raise AssertionError(rows, seen)


class Contexts:
    """A factory that remembers what it opened and what is still open."""

    def __init__(self) -> None:
        self.opened: list[Context] = []
        self.open = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Context]:
        """Open one context."""
        access = CompanyAccess(1, "ACME", frozenset())
        context = Context(
            principal=Principal("user", "user:7", "Ann", access, (access,), "token"),
            request_id=f"r-{len(self.opened)}",
            clock=system_clock,
            reads=NoDatabase(),
            writes=NoDatabase(),
            broker=Broker(),
            log=cast("Any", None),
            wake_relay=nothing_to_wake,
            stats=OperationStats(),
        )
        self.opened.append(context)
        self.open += 1
        try:
            yield context
        finally:
            self.open -= 1
            WORLD.log.append("context closed")


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def error(self, event: str, **values: Any) -> None:
        """Keep one line."""
        self.lines.append({"event": event, **values})

    warning = error


class Bench:
    """An executor with everything around it."""

    def __init__(self, limits: Limits | None = None, **options: Any) -> None:
        self.log = Log()
        self.reports: list[OperationReport] = []
        self.contexts = Contexts()
        self.executor = Executor(
            SCHEMA, limits or Limits(), logger=self.log, listeners=[self.reports.append], **options
        )

    def prepare(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        known: bool = True,
    ) -> Prepared:
        """Prepare a request."""
        return self.executor.prepare(GraphQLRequest(query, name, variables), known_caller=known)

    def refused(self, query: str, *args: Any, **options: Any) -> Refused:
        """Prepare a request that is refused."""
        with pytest.raises(Refused) as raised:
            self.prepare(query, *args, **options)
        assert all(len(error["message"]) <= 300 for error in raised.value.errors)
        return raised.value

    async def run(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Execute a request and return the body of the answer."""
        answer = await self.executor.execute(self.prepare(query, variables), self.contexts)
        assert self.contexts.open == 0
        return answer.body()


def codes(errors: list[dict[str, Any]]) -> list[str]:
    """Return the codes of errors."""
    return [error["extensions"]["code"] for error in errors]


# What runs


async def test_strawberry_resolvers_run_on_graphql_core_alone() -> None:
    """Resolvers find context, variables, schema and selection in Strawberry's info."""
    body = await Bench().run(
        "query ($n: String!) { hello(name: $n) selected { name __typename } }", {"n": "Bo"}
    )
    assert body == {
        "data": {
            "hello": "user:7 greets Bo (n=Bo)",
            "selected": {"name": "name __typename", "__typename": "Node"},
        }
    }


async def test_variables_are_coerced_before_execution() -> None:
    """Prepared variables have the types declared, with defaults filled in."""
    prepared = Bench().prepare(
        "query ($a: Int! = 3, $b: [[Int!]]!) { many(first: $a) { name } echo(values: $b) }",
        {"b": 5},
    )
    assert prepared.variables == {"a": 3, "b": [[5]]}
    assert prepared.cost == 3


async def test_mutations_run_one_after_the_other() -> None:
    """The second root field of a mutation starts when the first has ended."""
    assert await Bench().run("mutation { two one }") == {"data": {"two": "two", "one": "one"}}
    assert WORLD.log[:4] == ["two starts", "two ends", "one starts", "one ends"]


async def test_introspection_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread answers about the schema, once for each question, whoever asks meanwhile."""
    threads: list[int] = []

    def counted(core: Any) -> Any:
        threads.append(threading.get_ident())
        return execute_root_selection_set(core)

    monkeypatch.setattr("schema.core.execution.execute_root_selection_set", counted)
    bench = Bench()
    query = "query Q($n: String!) { __type(name: $n) { name kind fields { name } } }"
    asked = [bench.prepare(query, {"n": name}) for name in ("Query", "Query", "Mutation")]
    running = (bench.executor.execute(prepared, bench.contexts) for prepared in asked)
    first, second, third = [answer.body() for answer in await asyncio.gather(*running)]
    assert first == second != third
    assert first["data"]["__type"]["name"] == "Query"
    assert await bench.run(query, variables={"n": "Query"}) == first
    assert len(threads) == 2
    assert threading.get_ident() not in threads
    await bench.run("{ __typename hello }")
    assert threads[2:] == [threading.get_ident()]  # what asks for more than the schema
    refused = await bench.run(query, variables={"n": "None"})
    assert refused == {"data": {"__type": None}}


async def test_questions_about_the_schema_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever varies them is sent away while one thread has enough to do."""
    free = threading.Event()

    def held(core: Any) -> Any:
        free.wait(10)
        return execute_root_selection_set(core)

    monkeypatch.setattr("schema.core.execution.execute_root_selection_set", held)
    bench = Bench()
    asked = [
        bench.prepare(f'{{ a{number}: __type(name: "Query") {{ name }} }}') for number in range(9)
    ]
    running = [
        asyncio.create_task(bench.executor.execute(prepared, bench.contexts)) for prepared in asked
    ]
    refused = await running[-1]
    free.set()
    answers = [await one for one in running[:-1]]
    assert codes(refused.errors) == ["OVERLOADED"]
    assert not any(answer.errors for answer in answers)


async def test_introspection_runs() -> None:
    """The standard introspection query passes all limits and answers."""
    body = await Bench().run(get_introspection_query())
    assert "errors" not in body


# What is refused


@pytest.mark.parametrize(
    ("query", "kind", "code"),
    [
        ("{ hello", Refusal.SYNTAX, "GRAPHQL_PARSE_FAILED"),
        ("", Refusal.SYNTAX, "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", Refusal.VALIDATION, "GRAPHQL_VALIDATION_FAILED"),
        ("type T { a: Int } { hello }", Refusal.VALIDATION, "GRAPHQL_VALIDATION_FAILED"),
        ("{ ...F } fragment F on Query { ...F }", Refusal.VALIDATION, "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", Refusal.OPERATION, "OPERATION_RESOLUTION_FAILURE"),
        ("{ hello } { hello }", Refusal.OPERATION, "OPERATION_RESOLUTION_FAILURE"),
        ("fragment F on Query { hello }", Refusal.OPERATION, "OPERATION_RESOLUTION_FAILURE"),
        ("query ($n: Int!) { many(first: $n) { name } }", Refusal.VARIABLES, "VALIDATION"),
        ("query ($n: Int!) { hello }", Refusal.VALIDATION, "GRAPHQL_VALIDATION_FAILED"),
        ("{ many(first: 900) { a: name ...F } } fragment F on Node { name }", None, None),
        ("{ " + "hello " * 21 + "}", Refusal.LIMIT, "LIMIT_EXCEEDED"),
    ],
)
def test_refusals_have_a_kind_and_a_code(
    query: str, kind: Refusal | None, code: str | None
) -> None:
    """Each way a request can be wrong has its kind, for transports, and its code, for clients."""
    if kind is None:
        Bench().prepare(query)
        return
    refused = Bench().refused(query)
    assert refused.kind is kind
    assert set(codes(refused.errors)) == {code}


def test_operations_are_picked_by_name() -> None:
    """The operation named runs; an unknown name is refused, also when there is only one."""
    bench = Bench()
    assert bench.prepare("query A { hello } query B { node { name } }", name="B").cost == 1
    assert bench.refused("query A { hello }", name="B").kind is Refusal.OPERATION


def test_cost_follows_the_variables_of_each_request() -> None:
    """A kept document is costed anew for the page sizes of each request."""
    bench = Bench(Limits(cost=100))
    query = "query ($n: Int) { many(first: $n) { name } }"
    assert bench.prepare(query, {"n": 100}).cost == 100
    assert bench.prepare(query).cost == 10
    refused = bench.refused(query, {"n": 101})
    assert refused.kind is Refusal.LIMIT
    assert refused.errors[0]["message"] == "Cost limit exceeded: 101 found, 100 allowed."
    assert refused.errors[0]["extensions"] == {
        "code": "LIMIT_EXCEEDED",
        "details": {"limit": "cost", "found": 101, "maximum": 100},
    }


@pytest.mark.parametrize(
    "value", [None, "x", 1.5, True, {}, [[]], 2**31, "\ud800", float("nan"), 10**400]
)
def test_variables_of_a_wrong_type_are_refused(value: object) -> None:
    """What does not fit the declared type is refused before anything runs."""
    refused = Bench().refused("query ($n: Int!) { many(first: $n) { name } }", {"n": value})
    assert refused.kind is Refusal.VARIABLES
    assert refused.errors[0]["locations"]


def nested(levels: int) -> Any:
    """Return lists nested in lists."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [3, 64, 150, 199, 250, 5_000])
def test_variables_may_be_nested_at_will(levels: int) -> None:
    """Deep values are refused, not followed to the end of the stack."""
    refused = Bench().refused("query ($v: [[Int!]]!) { echo(values: $v) }", {"v": nested(levels)})
    assert refused.kind is Refusal.VARIABLES


def test_many_errors_in_variables_are_bounded() -> None:
    """A list of a hundred thousand wrong values is not a hundred thousand errors."""
    # of this thread alone: how busy the machine is says nothing
    started = thread_time()
    refused = Bench().refused(
        "query ($v: [[Int!]]!) { echo(values: $v) }", {"v": [["x"]] * 100_000}
    )
    assert len(refused.errors) <= 21
    assert thread_time() - started < 2


# Who may ask


def test_strangers_may_ask_about_the_schema_where_that_is_allowed() -> None:
    """Without a token only introspection runs, by the setting, however it is dressed up."""
    opened = Bench(Limits(anonymous_introspection=True))
    for query in ("{ __typename }", "{ ...A } fragment A on Query { __schema { __typename } }"):
        opened.prepare(query, known=False)
        assert Bench().refused(query, known=False).kind is Refusal.FORBIDDEN
    for query in (
        "{ hello }",
        "{ __typename hello }",
        "{ ...A } fragment A on Query { __typename hello }",
        "{ ... @include(if: true) { hello } }",
        "mutation { one }",
        "subscription { levels { seq } }",
    ):
        refused = opened.refused(query, known=False)
        assert refused.kind is Refusal.FORBIDDEN
        assert codes(refused.errors) == ["UNAUTHENTICATED"]


def test_strangers_learn_nothing_about_the_schema() -> None:
    """A stranger gets the same refusal whether the field exists or not."""
    bench = Bench()
    answers = [bench.refused(q, known=False).errors for q in ("{ hello }", "{ helo }", "{ xyz }")]
    assert answers[0] == answers[1] == answers[2]


def test_suggestions_are_for_known_callers() -> None:
    """A typo is helped along only where the caller may read the schema anyway."""
    bench = Bench(Limits(anonymous_introspection=True))
    query = "{ __schema { typs { name } } }"
    assert "Did you mean" not in bench.refused(query, known=False).errors[0]["message"]
    assert "Did you mean 'types'" in bench.refused(query).errors[0]["message"]


# What is kept


def test_valid_documents_are_kept() -> None:
    """The second request with the same text finds the document parsed, valid and measured."""
    bench = Bench()
    first = bench.prepare("{ hello }")
    assert bench.prepare("{ hello }").source is first.source
    assert bench.prepare("{ hello  }").source is not first.source


def test_strangers_and_mistakes_push_nothing_out() -> None:
    """Invalid documents and those of strangers are not kept."""
    bench = Bench(Limits(anonymous_introspection=True), cache_size=1)
    kept = bench.prepare("{ hello }").source
    for n in range(3):
        bench.refused(f"{{ nope{n} }}")
        bench.prepare("{ __typename " + "#" * n + "\n}", known=False)
    assert bench.prepare("{ hello }").source is kept


# What is told


@pytest.mark.parametrize(
    ("kind", "message", "code"),
    [
        ("expected", "No such thing.", "NOT_FOUND"),
        ("unexpected", "Internal error", "INTERNAL"),
        ("canceled", "The database did not finish in time.", "TIMEOUT"),
        ("nul", "Invalid characters in a string value.", "VALIDATION"),
        ("range", "A number is out of range.", "VALIDATION"),
        ("missing table", "Internal error", "INTERNAL"),
    ],
)
async def test_failures_of_resolvers_are_told_by_kind(kind: str, message: str, code: str) -> None:
    """Expected failures are told as they are, those of the database by kind, others masked."""
    bench = Bench()
    body = await bench.run("query ($k: String!) { failing(kind: $k) node { name } }", {"k": kind})
    assert body["data"] == {"failing": None, "node": {"name": "node"}}
    (error,) = body["errors"]
    assert (error["message"], error["extensions"]["code"]) == (message, code)
    assert error["path"] == ["failing"]
    assert len(bench.log.lines) == (code == "INTERNAL")
    if code == "INTERNAL":
        assert error["extensions"]["requestId"] == "r-0" == bench.log.lines[0]["request_id"]


async def test_values_that_do_not_fit_their_type_are_masked() -> None:
    """A number too large for Int is our fault and is not shown."""
    body = await Bench().run("{ wrong }")
    assert body["data"] == {"wrong": None}
    assert body["errors"][0]["message"] == "Internal error"


async def test_the_root_may_become_null() -> None:
    """A failure where null is not allowed nulls the answer, with one error."""
    body = await Bench().run("{ selected { bad } many(first: 3) { bad } }")
    assert body["data"] is None
    assert codes(body["errors"]) == ["NOT_FOUND"]


async def test_a_context_that_cannot_be_opened_is_an_answer() -> None:
    """When not even a context can be had, the client gets the reason, or a masked error."""
    bench = Bench()

    def failing(error: Exception) -> Callable[[], AbstractAsyncContextManager[Context]]:
        @asynccontextmanager
        async def contexts() -> AsyncIterator[Context]:
            raise error
            yield

        return contexts

    prepared = bench.prepare("{ hello }")
    answer = await bench.executor.execute(prepared, failing(Unauthenticated("Token expired.")))
    assert answer.body() == {
        "errors": [{"message": "Token expired.", "extensions": {"code": "UNAUTHENTICATED"}}],
        "data": None,
    }
    answer = await bench.executor.execute(prepared, failing(RuntimeError("secret")))
    assert codes(answer.errors) == ["INTERNAL"]
    assert [report.codes for report in bench.reports] == [("UNAUTHENTICATED",), ("INTERNAL",)]


async def test_an_operation_has_its_time(hand: Hand) -> None:
    """An operation that takes longer than allowed is canceled and answered."""
    bench = Bench(Limits(seconds=0.05))
    running = asyncio.create_task(bench.run("{ slow }"))
    assert await WORLD.started.get() == "slow"
    await hand.turn(0.04)
    assert not running.done()
    await hand.turn(0.02)
    body = await running
    assert body["data"] is None
    assert body["errors"][0]["extensions"]["code"] == "TIMEOUT"
    assert WORLD.log == ["slow started", "slow canceled", "context closed"]


# What is left behind


async def test_cancellation_ends_everything() -> None:
    """A canceled execution cancels its resolvers, then closes its context, and is reported."""
    bench = Bench()
    prepared = bench.prepare('{ slow a: slow(name: "a") node { slow } }')
    task = asyncio.create_task(bench.executor.execute(prepared, bench.contexts))
    for _ in range(3):
        await WORLD.started.get()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(WORLD.log[3:6]) == ["a canceled", "slow canceled", "slow canceled"]
    assert WORLD.log[6:] == ["context closed"]
    assert [report.canceled for report in bench.reports] == [True]


async def test_siblings_of_a_failed_field_end_before_the_context_closes() -> None:
    """Nothing goes on with connections and loaders that are closed already."""
    bench = Bench()
    body = await bench.run("{ node { slow bad } }")
    assert body["data"] == {"node": None}
    assert body["errors"][0]["path"] == ["node", "bad"]
    await asyncio.sleep(0.01)
    assert WORLD.log == ["slow started", "slow canceled", "context closed"]
    body = await bench.run('{ node { slow failing(kind: "expected") } }')
    assert body["data"] == {"node": None}
    assert WORLD.log[-3:] == ["slow started", "slow canceled", "context closed"]


async def test_every_execution_is_reported() -> None:
    """The report has what metrics and logs need."""
    bench = Bench()
    await bench.run('query Page { many(first: 4) { name } failing(kind: "expected") }')
    (report,) = bench.reports
    assert (report.name, report.type.value, report.cost) == ("Page", "query", 4)
    assert report.codes == ("NOT_FOUND",)
    assert report.stats is bench.contexts.opened[0].stats
    assert 0 < report.seconds < 5
    assert not report.canceled


class Counted:
    """An executor over metrics, and what it reports as notable."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.notable: list[OperationReport] = []
        self.contexts = Contexts()
        self.executor = Executor(
            SCHEMA,
            Limits(),
            notable=[self.metrics.operation_finished, self.notable.append],
            metrics=self.metrics,
            logger=Log(),
        )

    async def run(self, *queries: str) -> None:
        """Run queries or mutations one after the other."""
        for query in queries:
            prepared = self.executor.prepare(GraphQLRequest(query), known_caller=True)
            await self.executor.execute(prepared, self.contexts)

    def count(self, name: str, type_: str = "query", outcome: str = "ok") -> float | None:
        """Return how many executions of an operation are counted."""
        labels = {"operation": name, "type": type_, "outcome": outcome}
        value = self.metrics.registry.get_sample_value
        return value("gateway_operation_duration_seconds_count", labels)


async def test_what_goes_well_is_counted_and_not_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Queries that succeed; what fails, and every mutation, is worth a word too."""
    monkeypatch.setattr(execution, "SLOW_SECONDS", 60.0)
    bench = Counted()
    quick, failing = "query Quick { hello }", 'query Failing { failing(kind: "expected") }'
    await bench.run(*[quick] * 70, failing, failing, "mutation Change { one }")
    assert [report.name for report in bench.notable] == ["Failing", "Failing", "Change"]
    assert bench.count("Quick") == 70
    assert bench.count("Failing", outcome="error") == 2
    assert bench.count("Change", "mutation") == 1


async def test_what_is_slow_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it went well, and it is counted once."""
    bench = Counted()
    monkeypatch.setattr(execution, "SLOW_SECONDS", 0.0)
    await bench.run("query Slow { hello }")
    monkeypatch.setattr(execution, "SLOW_SECONDS", 60.0)
    await bench.run("query Slow { hello }")
    assert [report.name for report in bench.notable] == ["Slow"]
    assert bench.count("Slow") == 2


class FailingSecond:
    """An engine that answers what a stream tells all in one run, and the second with an error."""

    async def items(self, *_: object) -> list[ExecutionResult]:
        """Return an answer that is right, and one that is not."""
        failed = GraphQLError("No.", original_error=NotFound("No."))
        return [ExecutionResult({"count": 1}), ExecutionResult(None, [failed])]


async def test_what_fails_of_several_answers_is_reported() -> None:
    """Changes that are evaluated together are one execution, which failed if one of them did."""
    bench = Bench(engine=cast("Any", FailingSecond()))
    prepared = bench.prepare("subscription { levels { seq } }")
    answers = await bench.executor.answers(prepared, bench.contexts, cast("Any", [None, None]))
    assert [codes(answer.errors) for answer in answers] == [[], ["NOT_FOUND"]]
    assert [report.codes for report in bench.reports] == [("NOT_FOUND",)]


async def test_executions_are_counted_by_what_they_took() -> None:
    """Numbers and names of statements may differ from one execution of a document to the next."""
    bench = Counted()
    request = GraphQLRequest("query Lists { hello }")
    prepared = bench.executor.prepare(request, known_caller=True)
    for rows in range(100):
        for name in ("ByNumber", "ByName"):

            @asynccontextmanager
            async def having(rows: int = rows, name: str = name) -> AsyncIterator[Context]:
                async with bench.contexts() as context:
                    context.stats.statements, context.stats.rows = 1, rows
                    context.stats.statements_by_name[name] = 1
                    yield context

            await bench.executor.execute(prepared, having)
    assert len(prepared.source.tallies) <= 32
    assert bench.count("Lists") == 200
    value = bench.metrics.registry.get_sample_value
    labels = {"operation": "Lists", "type": "query"}
    assert value("gateway_operation_rows_sum", labels) == 2 * sum(range(100))
    assert value("gateway_operation_statements_sum", labels) == 200


async def test_executions_are_counted_by_which_statements_they_took() -> None:
    """Of as many in all, one may be repeated for each row of one execution, one of the next."""
    bench = Counted()
    found: list[tuple[str, list[Repeated]]] = []
    bench.metrics.on_repetition = lambda *repeated: found.append(repeated)
    prepared = bench.executor.prepare(GraphQLRequest("query Lists { hello }"), known_caller=True)
    for number in range(100):

        @asynccontextmanager
        async def having(number: int = number) -> AsyncIterator[Context]:
            async with bench.contexts() as context:
                context.stats.statements = 10
                context.stats.statements_by_name.update(
                    {"A": 1, "B": 9} if number % 2 else {"A": 9, "B": 1}
                )
                yield context

        await bench.executor.execute(prepared, having)
    assert bench.count("Lists") == 100
    assert found == [("Lists", [Repeated("A", 1, 9), Repeated("B", 1, 9)])]


# Subscriptions


async def test_every_event_has_a_context_of_its_own() -> None:
    """A live stream reads stock afresh for every event, never what an earlier event loaded."""
    bench = Bench()
    stream = hearing(
        bench.executor.subscribe(
            bench.prepare("subscription { levels { seq stock } }"), bench.contexts
        )
    )
    seen = []
    for _ in range(3):
        seen.append((await anext(stream)).body())
        WORLD.stock -= 1
        assert bench.contexts.open == 1, "only the context of the source stream"
    await stream.aclose()
    assert seen == [{"data": {"levels": {"seq": n, "stock": 10 - n}}} for n in range(3)]
    assert len(bench.contexts.opened) == 4
    assert bench.contexts.open == 0
    assert [report.type.value for report in bench.reports] == ["subscription"] * 3


async def test_events_are_taken_when_asked_for() -> None:
    """Nothing runs ahead of the consumer, so nothing piles up."""
    bench = Bench()
    stream = hearing(
        bench.executor.subscribe(
            bench.prepare("subscription { levels(count: 100) { seq } }"), bench.contexts
        )
    )
    await anext(stream)
    await asyncio.sleep(0.02)
    assert [line for line in WORLD.log if line.startswith("event")] == ["event 0"]
    await stream.aclose()


async def test_closing_ends_the_source_stream() -> None:
    """A consumer that closes the stream closes its source, then the context of the source."""
    bench = Bench()
    stream = hearing(
        bench.executor.subscribe(bench.prepare("subscription { levels { seq } }"), bench.contexts)
    )
    await anext(stream)
    await stream.aclose()
    assert WORLD.log[-2:] == ["source closed", "context closed"]
    assert bench.contexts.open == 0


async def test_cancellation_ends_the_source_stream() -> None:
    """A consumer that is canceled while it waits for an event leaves nothing behind."""
    bench = Bench()
    stream = hearing(
        bench.executor.subscribe(
            bench.prepare("subscription { levels(count: 0) { seq } }"), bench.contexts
        )
    )
    task = asyncio.ensure_future(anext(stream))
    assert await WORLD.started.get() == "source"
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert WORLD.log[-3:] == ["source canceled", "source closed", "context closed"]
    assert bench.contexts.open == 0


async def test_a_failing_event_does_not_end_the_stream() -> None:
    """An event whose execution fails is one answer with errors; the next event follows."""
    bench = Bench()
    asked = bench.prepare('subscription { levels(count: 2) { seq failing(kind: "expected") } }')
    stream = hearing(bench.executor.subscribe(asked, bench.contexts))
    for seq in range(2):
        answer = await anext(stream)
        assert answer.data == {"levels": {"seq": seq, "failing": None}}
        assert codes(answer.errors) == ["NOT_FOUND"]
    await stream.aclose()


@pytest.mark.parametrize("after", [0, 2])
async def test_a_failing_stream_ends_with_its_error(after: int) -> None:
    """A source that fails yields one last answer, masked and logged like any failure."""
    bench = Bench()
    stream = hearing(
        bench.executor.subscribe(
            bench.prepare(f"subscription {{ breaking(after: {after}) {{ seq }} }}"), bench.contexts
        )
    )
    answers = [answer.body() async for answer in stream]
    assert len(answers) == after + 1
    assert answers[-1]["data"] is None
    assert codes(answers[-1]["errors"]) == ["INTERNAL"]
    assert len(bench.log.lines) == 1
    assert bench.reports[-1].codes == ("INTERNAL",)
    assert bench.contexts.open == 0


async def test_a_refused_stream_says_why() -> None:
    """A subscription that is refused by its resolver yields the reason and ends."""
    bench = Bench()
    stream = hearing(
        bench.executor.subscribe(bench.prepare("subscription { refused { seq } }"), bench.contexts)
    )
    answers = [answer.body() async for answer in stream]
    assert [codes(answer["errors"]) for answer in answers] == [["NOT_FOUND"]]
    assert bench.contexts.open == 0


async def test_a_stream_has_its_time_to_begin() -> None:
    """A subscription whose resolver never returns a stream is canceled and answered."""
    bench = Bench(Limits(seconds=0.05))
    stream = hearing(
        bench.executor.subscribe(bench.prepare("subscription { stuck { seq } }"), bench.contexts)
    )
    answers = [answer.body() async for answer in stream]
    assert [codes(answer["errors"]) for answer in answers] == [["TIMEOUT"]]
    assert WORLD.log == ["stuck started", "stuck canceled", "context closed"]
    assert [report.codes for report in bench.reports] == [("TIMEOUT",)]


async def test_long_streams_take_no_more_memory() -> None:
    """What one event needed is gone with the next: objects do not add up."""
    bench = Bench()
    stream = hearing(
        bench.executor.subscribe(
            bench.prepare("subscription { levels(count: 100000) { seq stock } }"), bench.contexts
        )
    )

    async def objects_after(events: int) -> int:
        for _ in range(events):
            await anext(stream)
        bench.contexts.opened.clear()
        bench.reports.clear()
        WORLD.log.clear()
        gc.collect()
        return len(gc.get_objects())

    await objects_after(50)
    before = await objects_after(50)
    after = await objects_after(1_000)
    await stream.aclose()
    assert after - before < 500

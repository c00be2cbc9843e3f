"""Who may do what: every root field and every guarded field against every kind of caller.

Denied means null, one FORBIDDEN error at its place, no statement and no transaction.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from gateway.postgres import EmbeddedPostgres
from resolvers.core.principal import Principal
from resolvers.modules import data_modules
from schema.core import fields
from schema.core.execution import Answer, GraphQLRequest, Refusal, Refused
from schema.core.ids import encode_id
from schema.core.node import NODE_TYPES
from tests.fixtures.deliveries import Heard, hearing
from tests.fixtures.gateway import EVERY_PERMISSION, PATHS, Gateway, open_gateway, principal
from tests.fixtures.recording import Recorded, Recorder, prepared, record
from tests.fixtures.schema_walk import (
    Edge,
    Known,
    Operation,
    id_selection,
    known_rows,
    object_types,
    operation,
    plain_selection,
    required_permission,
    root_fields,
    told_type,
    ways_to,
)

RESERVED = {
    "operations.trace": "it is asked for in the extensions of a request, and by no field",
    "catalog.read": "products and categories are open to every caller of the company",
    "subscriptions.end": "one's own are everybody's to end; it decides whether others' are, too",
}
"""Permissions that no field requires, and why."""


def guarded_fields() -> Iterator[Edge]:
    """Yield every field below the roots that requires a permission."""
    roots = {root.parent for root in root_fields()}
    for type_ in object_types():
        for name, field in type_.fields.items():
            if type_.name not in roots and required_permission(field) is not None:
                yield Edge(type_.name, name)


GUARDED = list(guarded_fields())
EVENTS = {
    told: root
    for root in root_fields("Subscription")
    if (told := str(told_type(root))) not in NODE_TYPES
}
"""What streams tell that nothing else does, by its type."""
WITHIN = {"StockSummaryGroup": ("stockSummaryChanged", "groups")}
"""What is within that: the stream, and its field there."""
STATES = {"ChangeGap"}
"""What `changes` begins with."""


def callers(partner_id: int) -> Iterator[tuple[str, Principal]]:
    """Yield every kind of caller that has a credential, by name."""
    yield "nobody in particular", principal(permissions=frozenset())
    yield "everything", principal()
    for permission in sorted(EVERY_PERMISSION):
        yield permission, principal(permissions=frozenset({permission}))
    yield "bound, nothing", principal(permissions=frozenset(), partner_id=partner_id)
    yield "bound, everything", principal(partner_id=partner_id)


def denied(answer: Answer | Heard, path: Sequence[str | int]) -> None:
    """Check that an answer tells of one place that is denied, and of nothing else."""
    assert [e["path"] for e in answer.errors] == [list(path)]
    assert answer.errors[0]["extensions"]["code"] == "FORBIDDEN"


@pytest_asyncio.fixture(scope="module", params=PATHS)
async def gateway(
    server: EmbeddedPostgres, template: str, request: pytest.FixtureRequest
) -> AsyncIterator[Gateway]:
    """Yield a gateway over a database of this file, as some callers may write; on both paths."""
    name = f"erp_permissions_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    async with open_gateway(server.url(name), compile_queries=request.param) as running:
        yield running
    server.drop_database(name)


@pytest_asyncio.fixture(scope="module")
async def known(gateway: Gateway) -> Known:
    """Return keys that operations can ask for."""
    return await known_rows(gateway.owner)


OF_THE_COMPANY = {
    "Query.fiscalPeriod",
    "Query.stockTransfer",
    "Query.stockCount",
    "Query.stockHold",
}
"""Roots that find one object, of which row security shows none to partners' clients."""


def ids(edges: Sequence[Edge]) -> list[Any]:
    """Return test parameters named after fields."""
    return [pytest.param(edge, id=str(edge)) for edge in edges]


class TestRootFields:
    """Every root field against every kind of caller."""

    @pytest.mark.parametrize("root", ids(root_fields("Query", "Mutation")))
    async def test_denied_or_answered(self, gateway: Gateway, known: Known, root: Edge) -> None:
        """Whoever lacks the permission gets null and no side effect, whoever has it an answer."""
        for name, caller in callers(root.partner_of(known)):
            asked = operation((root,), id_selection(root.target), known, 2)
            recorded = await record(gateway.runtime, asked.query, asked.variables, caller)
            answer = recorded.answer
            assert answer.data is not None, name
            if not may(caller, root):
                assert answer.data == {root.name: None}, name
                denied(answer, [root.name])
                assert (recorded.statements, recorded.transactions) == (0, 0), name
            else:
                assert not answer.errors, name
                hidden = caller.partner_id is not None and str(root) in OF_THE_COMPANY
                assert (answer.data[root.name] is None) == hidden, name
                assert recorded.transactions == (root.parent == "Mutation"), name

    @pytest.mark.parametrize("root", ids(root_fields("Subscription")))
    async def test_denied_or_started(self, gateway: Gateway, known: Known, root: Edge) -> None:
        """A subscription starts for those who may, and leaves nothing behind for those who not."""
        asked = operation((root,), "{ __typename }", known, 1)
        for name, caller in callers(known.partner_ids[0]):
            if may(caller, root):
                await self._starts(gateway, asked, caller)
                continue
            recorder = Recorder(gateway.runtime, caller)
            ready = prepared(gateway.runtime, asked.query, asked.variables)
            stream = hearing(gateway.runtime.executor.subscribe(ready, recorder.contexts))
            (answer,) = [answer async for answer in stream]
            assert answer.data is None, name
            denied(answer, [root.name])
            assert recorder.recorded.statements == 0
            assert gateway.runtime.broker.listeners == 0

    async def _starts(self, gateway: Gateway, asked: Operation, caller: Principal) -> None:
        recorder = Recorder(gateway.runtime, caller)
        ready = prepared(gateway.runtime, asked.query, asked.variables)
        stream = hearing(gateway.runtime.executor.subscribe(ready, recorder.contexts))
        async with aclosing(stream), asyncio.timeout(10):
            first = asyncio.ensure_future(anext(stream))
            await subscribed(gateway, first)
            first.cancel()
            await asyncio.wait([first])
        assert gateway.runtime.broker.listeners == 0

    @pytest.mark.parametrize("root", ids(root_fields()))
    async def test_strangers_are_refused(self, gateway: Gateway, known: Known, root: Edge) -> None:
        """Without a credential nothing is prepared, let alone run."""
        asked = operation((root,), id_selection(root.target), known, 2)
        request = GraphQLRequest(asked.query, None, asked.variables)
        with pytest.raises(Refused) as refused:
            gateway.runtime.executor.prepare(request, known_caller=False)
        assert refused.value.kind is Refusal.FORBIDDEN
        assert [e["extensions"]["code"] for e in refused.value.errors] == ["UNAUTHENTICATED"]

    @pytest.mark.parametrize("name", [n for n, node in NODE_TYPES.items() if node.requires])
    async def test_node_asks_for_the_permission_of_the_type(
        self, gateway: Gateway, name: str
    ) -> None:
        """`node(id:)` is no way around the permission to read a type."""
        requires = NODE_TYPES[name].requires
        caller = principal(permissions=EVERY_PERMISSION - {requires})
        query = "query ($id: ID!) { node(id: $id) { __typename } }"
        recorded = await record(gateway.runtime, query, {"id": encode_id(name, 1)}, caller)
        assert recorded.answer.data == {"node": None}
        denied(recorded.answer, ["node"])
        assert recorded.statements == 0


async def subscribed(gateway: Gateway, first: "asyncio.Future[Any]") -> None:
    """Wait until a subscription whose first answer is awaited has started, or told the state."""
    while not gateway.runtime.broker.listeners and not first.done():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)
    if first.done():
        assert not first.result().errors


OF_PARTNERS_TOO = {
    f"Mutation.{verb}"
    for verb in (
        "endSubscription",
        "createWebhook",
        "updateWebhook",
        "pauseWebhook",
        "resumeWebhook",
        "rotateWebhookSecret",
        "replayWebhook",
        "retryDeadLetters",
        "deleteWebhook",
    )
}
"""Mutations that a client bound to a partner may run, on what is its own."""


def may(caller: Principal, root: Edge) -> bool:
    """Tell whether a caller may use a root field; partners' clients only read, but for a few."""
    if (
        root.parent == "Mutation"
        and caller.partner_id is not None
        and str(root) not in OF_PARTNERS_TOO
    ):
        return False
    requires = OF_ARGUMENTS.get(str(root), root.requires)
    return requires is None or caller.can(requires)


OF_ARGUMENTS = {"Subscription.changes": "sales.read"}
"""What root fields require by what they are asked, as `ARGUMENTS` asks them."""


def parents(data: Any, way: Sequence[Edge], at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Yield the objects at the end of a way in an answer, each with its place."""
    if data is None:
        return
    if isinstance(data, list):
        for position, item in enumerate(data):
            yield from parents(item, way, (*at, position))
    elif not way:
        yield at, data
    else:
        edge, *rest = way
        inner = data[edge.name]
        if edge.is_connection and not (rest and rest[0].is_aggregates):
            if inner is not None:
                yield from parents(inner["nodes"], rest, (*at, edge.name, "nodes"))
        else:
            yield from parents(inner, rest, (*at, edge.name))


async def ask_guarded(
    gateway: Gateway, known: Known, way: tuple[Edge, ...], edge: Edge, permissions: frozenset[str]
) -> tuple[Recorded, list[tuple[Any, Mapping[str, Any]]]]:
    """Select a guarded field and a field beside it; return also the objects it was selected on."""
    below = id_selection(edge.target)
    guarded = f"{edge.name} {{ nodes {below} }}" if edge.is_connection else f"{edge.name} {below}"
    asked = operation(way, f"{{ __typename {guarded} }}", known, 40)
    caller = principal(permissions=permissions)
    recorded = await record(gateway.runtime, asked.query, asked.variables, caller)
    return recorded, list(parents(recorded.answer.data, way))


class TestGuardedFields:
    """Every field below the roots that requires a permission."""

    @pytest.mark.parametrize(
        ("way", "edge"),
        [
            pytest.param(way, edge, id=f"{edge} of {'.'.join(step.name for step in way)}")
            for edge in GUARDED
            for way in ways_to(edge.parent, without=edge.requires)
        ],
    )
    async def test_denied_in_one_place(
        self, gateway: Gateway, known: Known, way: tuple[Edge, ...], edge: Edge
    ) -> None:
        """Denied it is null on every row, with one error for all rows, and costs no statement."""
        assert edge.requires is not None
        others = EVERY_PERMISSION - {edge.requires}
        allowed, shown = await ask_guarded(gateway, known, way, edge, EVERY_PERMISSION)
        assert not allowed.answer.errors
        assert len(shown) > 1
        assert any(row[edge.name] is not None for _, row in shown)
        recorded, rows = await ask_guarded(gateway, known, way, edge, others)
        assert [row for _, row in rows] == [{**row, edge.name: None} for _, row in shown]
        denied(recorded.answer, [*rows[0][0], edge.name])
        assert recorded.statements == allowed.statements - edge.statements

    @pytest.mark.parametrize("edge", ids([e for e in GUARDED if e.parent in EVENTS]))
    async def test_denied_in_events(self, gateway: Gateway, known: Known, edge: Edge) -> None:
        """A guarded field of an event is null for those who may not see it, each time anew."""
        root = EVENTS[edge.parent]
        assert edge.requires is not None
        caller = principal(permissions=EVERY_PERMISSION - {edge.requires})
        selected = f"{{ ... on {edge.parent} {{ __typename {edge.name} }} }}"
        ready = prepared(gateway.runtime, f"subscription {{ {root.name} {selected} }}", {})
        recorder = Recorder(gateway.runtime, caller)
        stream = hearing(gateway.runtime.executor.subscribe(ready, recorder.contexts))
        async with aclosing(stream), asyncio.timeout(20):
            for _ in range(2):
                first = asyncio.ensure_future(anext(stream))
                await subscribed(gateway, first)
                await make_event(gateway, known)
                answer = await first
                assert answer.data == {root.name: {"__typename": edge.parent, edge.name: None}}
                denied(answer, [root.name, edge.name])

    @pytest.mark.parametrize("edge", ids([e for e in GUARDED if e.parent in WITHIN]))
    async def test_denied_within_what_is_told(self, gateway: Gateway, edge: Edge) -> None:
        """The same one level further down, in what a stream begins with."""
        name, below = WITHIN[edge.parent]
        assert edge.requires is not None
        caller = principal(permissions=EVERY_PERMISSION - {edge.requires})
        query = f"subscription {{ {name} {{ {below} {{ {edge.name} }} }} }}"
        recorder = Recorder(gateway.runtime, caller)
        ready = prepared(gateway.runtime, query, {})
        stream = hearing(gateway.runtime.executor.subscribe(ready, recorder.contexts))
        async with aclosing(stream), asyncio.timeout(20):
            answer = await anext(stream)
        assert answer.data == {name: {below: [{edge.name: None}]}}
        denied(answer, [name, below, 0, edge.name])

    @pytest.mark.parametrize("edge", ids([e for e in GUARDED if e.parent in STATES]))
    async def test_denied_in_states(self, gateway: Gateway, edge: Edge) -> None:
        """A state has null for what one may not see, though one may be told of changes."""
        caller = principal(permissions=EVERY_PERMISSION - {edge.requires or ""})
        topic = "JOB" if edge.requires == "sales.read" else "ORDER_STATUS"
        selected = f"__typename ... on {edge.parent} {{ {edge.name} {{ totalCount }} }}"
        query = f"subscription {{ changes(of: [{topic}], snapshot: true) {{ {selected} }} }}"
        recorder = Recorder(gateway.runtime, caller)
        ready = prepared(gateway.runtime, query, {})
        stream = hearing(gateway.runtime.executor.subscribe(ready, recorder.contexts))
        async with aclosing(stream), asyncio.timeout(20):
            answer = await anext(stream)
        assert answer.data == {"changes": {"__typename": edge.parent, edge.name: None}}
        denied(answer, ["changes", edge.name])

    def test_every_guarded_field_is_tried(self) -> None:
        """A guarded field is reached without its own permission, or comes with an event."""
        reached = [e for e in GUARDED if ways_to(e.parent, without=e.requires)]
        assert {*map(str, GUARDED)} == {
            str(e) for e in GUARDED if e in reached or {e.parent} & {*EVENTS, *WITHIN, *STATES}
        }


async def make_event(gateway: Gateway, known: Known) -> None:
    """Change stock, which every subscription so far tells of."""
    (root,) = [root for root in root_fields("Mutation") if root.name == "adjustStock"]
    asked = operation((root,), plain_selection(root.target), known, 1)
    recorded = await record(gateway.runtime, asked.query, asked.variables, principal())
    assert not recorded.answer.errors


class TestBrokenLaw:
    """The laws above can be broken, and it shows."""

    async def test_a_field_that_is_not_guarded(
        self, gateway: Gateway, known: Known, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A root field that answers whoever asks is found out."""
        monkeypatch.setattr(fields, "permitted", lambda _info, _permission: True)
        monkeypatch.setattr(gateway.runtime.executor, "_engine", None)  # it has plans by permission
        with pytest.raises(AssertionError, match="nobody in particular"):
            await TestRootFields().test_denied_or_answered(
                gateway, known, Edge("Query", "partners")
            )


class TestPermissions:
    """The permissions themselves."""

    def test_all_that_are_required_are_defined(self) -> None:
        """A permission that no module defines could be given to nobody."""
        assert required() <= EVERY_PERMISSION

    def test_all_that_are_defined_are_required(self) -> None:
        """A permission that guards nothing promises what it does not keep."""
        assert EVERY_PERMISSION - required() == set(RESERVED)

    def test_each_is_defined_once_and_explained(self) -> None:
        """One module defines it, as `noun.verb`, with a sentence for whoever gives it."""
        defined = [item for module in data_modules() for item in module.permissions.items()]
        assert len(defined) == len({name for name, _ in defined})
        for name, sentence in defined:
            assert re.fullmatch(r"[a-z]+\.[a-z]+", name), name
            assert re.fullmatch(r"[A-Z].+\.", sentence), name


def required() -> set[str]:
    """Return every permission that a field or a node type requires."""
    of_fields = {edge.requires for edge in (*GUARDED, *root_fields())}
    of_types = {node.requires for node in NODE_TYPES.values()}
    return {permission for permission in of_fields | of_types if permission is not None}

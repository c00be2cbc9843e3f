"""The law of equality below the root fields of mutations and subscriptions.

What a command changed and what an event tells is read by a plan, or field by field: the same bytes,
errors included. Every field of a payload and of an event is under the law from the day it is
declared, as are operations of random shape.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
import pytest_asyncio

from gateway.postgres import EmbeddedPostgres
from resolvers.core.errors import NotFound
from resolvers.core.listing import Listing
from resolvers.core.principal import Principal
from resolvers.core.relation import Relation
from schema.core.execution import Refused
from schema.core.plan import ConnectionPlan, ListedPlan, RelationPlan
from schema.engine.generate import Generator
from tests.fixtures.equality import (
    COMPILED,
    Compared,
    compare_event,
    compare_payload,
    demo_callers,
    event_of,
)
from tests.fixtures.gateway import EVERY_PERMISSION, open_gateway, principal
from tests.fixtures.operations import Pools, Writer, pools_of
from tests.fixtures.paths import BothPaths
from tests.fixtures.schema_walk import (
    EDGES,
    Edge,
    Known,
    Operation,
    arguments,
    called,
    id_selection,
    known_rows,
    operation,
    plain_selection,
    root_fields,
    told_type,
)
from tests.fixtures.turns import in_turn

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
"""graphql-core cancels siblings of a failed field, some of them before their first step."""
GENERATED = int(os.environ.get("EQUALITY_EXAMPLES", "100"))
SEED = os.environ.get("EQUALITY_SEED", "")
LINES = 3

CAUSES = {
    "Subscription.stockChanged": "Mutation.adjustStock",
    "Subscription.orderStatusChanged": "Mutation.placeSalesOrder",
}
"""Mutations that cause the events of subscriptions."""
READ_WHEN_TOLD = {
    "Subscription.shipmentWorkChanged": "a shipment, read as `shipment` does",
    "Subscription.jobProgress": "a job, read as `jobs` does",
    "Subscription.stockSummaryChanged": "groups, read as the aggregates of `stockLevels`",
    "Subscription.changes": "rows of the log and `node`",
}
"""Subscriptions that tell what is read like the fields of queries; tests/flows tries them."""
ROOTS = [
    root for root in root_fields("Mutation", "Subscription") if str(root) not in READ_WHEN_TOLD
]


class World(NamedTuple):
    """Both ways over a database of this file, what is known of it, and an event of each kind."""

    reader: BothPaths
    known: Known
    events: dict[str, Any]
    callers: dict[str, Principal]
    pools: Pools

    async def compare(
        self, root: Edge, asked: Operation, caller: Principal | None = None
    ) -> Compared:
        """Run an operation below ``root`` both ways."""
        if root.parent == "Mutation":
            return await compare_payload(self.reader, asked, caller=caller)
        return await compare_event(self.reader, asked, self.events[str(root)], caller=caller)


@pytest_asyncio.fixture(scope="module")
async def world(server: EmbeddedPostgres, template: str) -> AsyncIterator[World]:
    """Yield both ways over a database of this file."""
    name = f"erp_below_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    url = server.url(name)
    async with (
        open_gateway(url) as compiled,
        open_gateway(url, compile_queries=False, relay=False) as ordinary,
    ):
        known = await known_rows(compiled.owner)
        events = {}
        for root in (root for root in ROOTS if root.parent == "Subscription"):
            parent, field = CAUSES[str(root)].split(".")
            cause = operation((Edge(parent, field),), "{ __typename }", known, 1)
            watched = operation((root,), "{ __typename }", known, 1)
            events[str(root)] = await event_of(compiled, watched, cause)
        callers = await demo_callers(compiled.owner)
        del callers["other company"]  # whose events these are not
        for permission in sorted(EVERY_PERMISSION):
            callers[f"all but {permission}"] = principal(
                permissions=EVERY_PERMISSION - {permission}
            )
        pools = await pools_of(compiled.owner)
        yield World(BothPaths(compiled, ordinary), known, events, callers, pools)
    server.drop_database(name)


def ways() -> Iterator[tuple[Edge, ...]]:
    """Yield the ways from a root field to every field of its object, and to those one below.

    What is below a field is the same for every root that leads to objects of its type: it is gone
    to by the first of them.
    """
    gone: set[tuple[str, bool, str]] = set()
    for root in ROOTS:
        for edge in EDGES:
            if edge.parent == str(told_type(root)):
                yield (root, edge)
                for below in EDGES:
                    place = (str(edge.target), edge.is_many, str(below))
                    if below.parent == str(edge.target) and place not in gone:
                        gone.add(place)
                        yield (root, edge, below)


WAYS = [pytest.param(way, id=".".join(edge.name for edge in way)) for way in ways()]


def selecting(way: Sequence[Edge], known: Known, selection: str) -> Operation:
    """Return the operation that goes along a way, with plain fields beside it."""
    root, *below = way
    text = selection
    for edge in reversed(below):
        text = f"{{ __typename {called(edge, text, {'first': '2'})} }}"
    plain, told = plain_selection(root.target), told_type(root)
    return operation((root,), f"{{ ... {plain} ... on {told} {text} }}", known, LINES)


@pytest.mark.parametrize("way", WAYS)
async def test_every_field(world: World, way: tuple[Edge, ...]) -> None:
    """Each field of payloads and events is compiled, and equal for every kind of caller."""
    root, last = way[0], way[-1]
    selection = plain_selection(last.target)
    asked = selecting(way, world.known, selection)
    compared = await world.compare(root, asked)
    assert compared.outcome == COMPILED
    assert not compared.answer.errors
    taking_turns = ".".join(edge.name for edge in way)
    for caller in in_turn(taking_turns, list(world.callers.values()), 4):
        fresh = selecting(way, world.known, selection)
        compared = await world.compare(root, fresh, caller)
        codes = {error["extensions"]["code"] for error in compared.answer.errors}
        assert compared.outcome == COMPILED
        assert codes <= {"FORBIDDEN"}


@pytest.mark.parametrize("root", [pytest.param(root, id=str(root)) for root in ROOTS])
async def test_random_selections(world: World, root: Edge) -> None:
    """Selections of random shape are equal for every caller, and nearly all are compiled."""
    outcomes: Counter[str] = Counter()
    names = list(world.callers)
    for number in range(GENERATED // 8):
        given = arguments(root, world.known, LINES)
        asked = Writer(f"{SEED}{root}{number}", world.pools).write_below(root, given)
        try:
            compared = await world.compare(root, asked, world.callers[names[number % len(names)]])
        except Refused:
            outcomes["refused"] += 1
            continue
        outcomes[compared.outcome] += 1
        codes = {error["extensions"]["code"] for error in compared.answer.errors}
        assert "INTERNAL" not in codes
    assert outcomes[COMPILED] > outcomes.total() * 0.6, outcomes
    assert set(outcomes) <= {COMPILED, "refused", "Invalid", "Forbidden"}


@pytest.mark.parametrize(
    ("way", "failure"),
    [
        pytest.param(*way.values, failure, id=f"{way.id}-{failure!r}")
        for way in WAYS
        for failure in in_turn(str(way.id), [RuntimeError("boom"), NotFound("Gone."), None], 3)
    ],
)
async def test_what_fails_or_is_gone(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    way: tuple[Edge, ...],
    failure: Exception | None,
) -> None:
    """A statement that fails and a row that is gone are told at their places, what was done too."""
    root, last = way[0], way[-1]
    asked = selecting(way, world.known, id_selection(last.target))
    spoilt: Any
    owner: Any = Relation
    match last.plan:
        case ConnectionPlan(listing=spoilt):
            owner = Listing
        case RelationPlan(relation=spoilt) | ListedPlan(relation=spoilt):
            pass
        case _:
            pytest.skip("nothing is asked for")
    method = "pages" if owner is Listing else "rows"
    sound = getattr(owner, method)

    async def spoiled(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self is not spoilt:
            return await sound(self, *args, **kwargs)
        if failure is not None:
            raise failure
        return [] if method == "rows" else await sound(self, *args, **kwargs)

    monkeypatch.setattr(owner, method, spoiled)
    compared = await world.compare(root, asked)
    codes = {error["extensions"]["code"] for error in compared.answer.errors}
    if failure is not None:
        assert codes <= {"NOT_FOUND" if isinstance(failure, NotFound) else "INTERNAL"}
        assert (compared.outcome == COMPILED) == (not compared.answer.errors)
    if root.parent == "Mutation":
        assert compared.answer.data is not None, "what was done is done, whatever fails after it"


async def test_the_law_can_be_broken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payload that is answered with something else is found out."""
    way = next(ways())
    asked = selecting(way, world.known, plain_selection(way[-1].target))
    asked = Operation(f"{asked.query} # planned anew", asked.variables)
    monkeypatch.setattr(Generator, "_column", lambda *_: "'wrong'")
    with pytest.raises(AssertionError):
        await world.compare(way[0], asked)

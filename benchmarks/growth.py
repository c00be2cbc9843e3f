"""How the gateway grows: with the rows of an answer, and with the clients that ask at once."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import fsum
from statistics import median
from typing import Any, NamedTuple, Self

import orjson

from benchmarks.database import Database, connect
from benchmarks.measure import Bench, Case, Pace, lag_between, one_round
from benchmarks.processes import resident_bytes
from benchmarks.servers import Server
from benchmarks.shapes import Shape, Variables

SIZES = ((7, 1), (25, 1), (100, 1), (200, 1), (200, 2), (125, 5), (200, 5))
"""Orders per page and pages of an answer: some 50 to 5,000 rows, and more."""
CLIENTS = (16, 64, 256)
CLIENTS_ON = ("Tiny", "Orders")
_AT_ONCE = 16
_SAMPLED_SECONDS = 0.002
_ROUNDS = 5
"""Times each size is measured, in turns; the median counts."""
_PACE = Pace(rounds=1, seconds=1.2, warm_seconds=0.3)

GROWTH = Shape("Growth", "pages of orders with lines and products", "select 1")
_MARKS = ("number", "seq", "sku")
"""Fields of which an order, a line and a product have one each."""
_DAYS = """
select day from (
    select placed_on::text as day, row_number() over (order by placed_on desc) as place
    from sales_order group by placed_on
) days where place % 20 = 1 order by place limit 5
"""
"""Far enough from each other that no two pages share an order."""


@dataclass(frozen=True, slots=True)
class Grown:
    """An answer of some size."""

    rows: int
    """Orders, lines and products as the answer lists them: a product stands with every line of it,
    however often it was read."""
    bytes: int
    cpu: float
    """Milliseconds of the server per request, of many at once."""
    cpu_alone: float
    """The same of one after the other."""
    memory: float
    """Bytes the server grew by at most, divided by the requests it worked on at once."""
    longest_beat: float
    """Upper bound of the latest heartbeat of the event loop, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """A shape asked for by a number of clients at once."""

    shape: str
    clients: int
    rate: float
    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Growth:
    """Both."""

    sizes: list[Grown]
    crowds: list[Crowd]


def measure_growth(
    database: Database,
    server: Server,
    bench: Bench,
    cases: Sequence[Case],
    say: Callable[[str], None],
) -> Growth:
    """Measure one gateway, alone."""
    days = asyncio.run(_days(database))
    rounds: list[list[Grown]] = [[] for _ in SIZES]
    for number in range(_ROUNDS):
        say(f"sizes, round {number + 1} of {_ROUNDS}")
        for found, (first, pages) in zip(rounds, SIZES, strict=True):
            found.append(_grown(server, bench, _variables(first, pages, days)))
    sizes = [_middle(found) for found in rounds]
    crowds = []
    for case in cases:
        if case.shape.name in CLIENTS_ON:
            for clients in CLIENTS:
                say(f"{case.shape.name}, {clients} clients")
                crowds.append(_crowd(server, bench, case, clients))
    return Growth(sizes, crowds)


def _variables(first: int, pages: int, days: Sequence[str]) -> Variables:
    given = {f"to{number}": day for number, day in enumerate(days, 1)}
    return {**given, "first": first, "second": pages > 1, "more": pages > 2}


async def _days(database: Database) -> list[str]:
    connection = await connect(database.serving_url, database.company_id)
    try:
        return [row[0] for row in await connection.fetch(_DAYS)]
    finally:
        await connection.close()


def _grown(server: Server, bench: Bench, variables: Variables) -> Grown:
    answer = server.answer(GROWTH, variables)
    case = Case(GROWTH, [variables], {server.name: [len(answer)]}, {})
    alone = one_round(bench.load(server, case, _PACE, connections=1))
    before = server.metrics()
    with Resident(server.pid) as resident:
        load = bench.load(server, case, _PACE, connections=_AT_ONCE)
    after = server.metrics()
    return Grown(
        rows=rows_in(orjson.loads(answer)),
        bytes=len(answer),
        cpu=one_round(load).cpu,
        cpu_alone=alone.cpu,
        memory=resident.growth / _AT_ONCE,
        longest_beat=lag_between(before, after).longest,
    )


def _middle(found: Sequence[Grown]) -> Grown:
    """Return the rounds of one size as one: CPU by the median, memory and beats by the worst."""
    return replace(
        found[0],
        cpu=median(one.cpu for one in found),
        cpu_alone=median(one.cpu_alone for one in found),
        memory=max(one.memory for one in found),
        longest_beat=max(one.longest_beat for one in found),
    )


class Line(NamedTuple):
    """What requests cost: so much before their first row, and so much for each."""

    fixed: float
    per_row: float

    def per_row_of(self, rows: int, cost: float) -> float:
        """Return what each row costs of an answer of so many that costs so much."""
        return (cost - self.fixed) / rows

    def deviation(self, costs: Sequence[tuple[int, float]]) -> float:
        """Return how far the cost per row of any of them is from the line's, as a share of it."""
        return max(abs(self.per_row_of(*one) / self.per_row - 1) for one in costs)


def line_through(costs: Sequence[tuple[int, float]]) -> Line:
    """Return the straight line through numbers of rows and what they cost.

    That whose relative errors are least; by absolute errors the largest answer would decide alone.
    """
    weights = [cost**-2 for _, cost in costs]
    rows = fsum(w * n for w, (n, _) in zip(weights, costs, strict=True)) / fsum(weights)
    middle = fsum(w * cost for w, (_, cost) in zip(weights, costs, strict=True)) / fsum(weights)
    pairs = [(w, n - rows, cost - middle) for w, (n, cost) in zip(weights, costs, strict=True)]
    slope = fsum(w * x * y for w, x, y in pairs) / fsum(w * x * x for w, x, _ in pairs)
    return Line(middle - slope * rows, slope)


def rows_in(value: Any) -> int:
    """Return how many rows of tables an answer lists: objects that are no amount of money."""
    if isinstance(value, list):
        return sum(map(rows_in, value))
    if not isinstance(value, dict):
        return 0
    own = any(name in value for name in _MARKS)
    return own + sum(map(rows_in, value.values()))


def _crowd(server: Server, bench: Bench, case: Case, clients: int) -> Crowd:
    # the load generator fails at the first answer that is not the right one
    found = one_round(bench.load(server, case, _PACE, connections=clients))
    return Crowd(case.shape.name, clients, found.rate, found.p50, found.p99, found.cpu)


class Resident:
    """Watches the memory of a process while a block runs; ``growth`` in bytes."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self.growth = 0

    def __enter__(self) -> Self:
        self._before = resident_bytes(self._pid)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self.growth = max(self.growth, resident_bytes(self._pid) - self._before)
            time.sleep(_SAMPLED_SECONDS)

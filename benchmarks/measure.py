"""Measurements: answers compared first, then servers under load in turns, round after round."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import orjson

from benchmarks.database import Database, connect
from benchmarks.load import Ask, Job, Load
from benchmarks.plans import PLANS
from benchmarks.servers import Sample, Server
from benchmarks.shapes import Shape, Variables

CONNECTIONS = 16

Say = Callable[[str], None]


class Unequal(Exception):
    """Two servers answer the same operation differently, so their costs cannot be compared."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long is measured."""

    rounds: int
    seconds: float
    warm_seconds: float


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement of one server; CPU in milliseconds per request, latencies in milliseconds."""

    requests: int
    rate: float
    cpu: float
    postgres_cpu: float
    p50: float
    p99: float
    foreign: float
    """Share of the time in which the server's core worked for something else."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How late the heartbeats of an event loop were, by the gateway's own watchdog.

    Times are in milliseconds, and upper bounds of the buckets that are counted in.
    """

    beats: int
    stalls: int
    """Beats later than 50 ms."""
    p99: float
    longest: float


@dataclass(slots=True)
class Measured:
    """What one server did with one shape, round by round."""

    rounds: list[Round] = field(default_factory=list)
    latencies: list[int] = field(default_factory=list)
    """Of all rounds, in microseconds, sorted when the last is over."""
    lags: list[Lag] = field(default_factory=list)

    def middle(self, figure: str) -> float:
        """Return the median of a figure over the rounds."""
        return float(median(getattr(one, figure) for one in self.rounds))

    def percentile(self, share: float) -> float:
        """Return a percentile of the latencies of all rounds, in milliseconds."""
        return percentile(self.latencies, share)


@dataclass(frozen=True, slots=True)
class Case:
    """One shape with the variables it is sent with and the lengths of the answers by server."""

    shape: Shape
    variables: Sequence[Variables]
    lengths: dict[str, Sequence[int]]
    statements: dict[str, float]
    """Statements per request by server."""

    def is_known_to(self, server: Server) -> bool:
        """Tell whether a server was compared; a gateway in another make-up need not be."""
        return server.name in self.lengths or not server.is_peer

    def _lengths(self, server: Server) -> Sequence[int]:
        return self.lengths.get(server.name) or next(iter(self.lengths.values()))

    def asks(self, server: Server) -> list[Ask]:
        """Return the requests to a server."""
        return [
            Ask(server.request(self.shape, variables), length)
            for variables, length in zip(self.variables, self._lengths(server), strict=True)
        ]


class Bench:
    """Puts servers under load, one at a time."""

    def __init__(self, database: Database, core: int) -> None:
        self._database = database
        self._core = core

    def compare(
        self,
        shape: Shape,
        gateways: Sequence[Server],
        hand_written: Server,
        peers: Sequence[Server] = (),
    ) -> Case:
        """Make sure that all give the same answers, the gateways bytes; count their statements.

        Raises:
            Unequal: they do not.

        """
        variables, statements = asyncio.run(self._by_hand(shape))
        expected = [hand_written.answer(shape, one) for one in variables]
        counts = {hand_written.name: statements / len(variables)}
        for server in gateways:
            before = operation_statements(server.metrics(), shape.name)
            for one, by_hand in zip(variables, expected, strict=True):
                answered = server.answer(shape, one)
                if answered != by_hand:
                    where = difference(by_hand, answered)
                    raise Unequal(f"{server.name}, {shape.name} {one}:\n{where}")
            counted = operation_statements(server.metrics(), shape.name) - before
            counts[server.name] = counted / len(variables)
        lengths: dict[str, Sequence[int]] = {
            s.name: [len(one) for one in expected] for s in (*gateways, hand_written)
        }
        for peer in peers:
            answers = [peer.answer(shape, one) for one in variables]
            for one, by_hand, answered in zip(variables, expected, answers, strict=True):
                if not same_values(by_hand, answered):
                    raise Unequal(
                        f"{peer.name}, {shape.name} {one}:\n{difference(by_hand, answered)}"
                    )
            lengths[peer.name] = [len(answer) for answer in answers]
        return Case(shape, variables, lengths, counts)

    async def _by_hand(self, shape: Shape) -> tuple[list[Variables], int]:
        """Choose the variables, and run the plan here to count its statements."""
        statements: list[object] = []
        connection = await connect(self._database.serving_url, self._database.company_id)
        try:
            variables = await shape.choose(connection)
            await PLANS[shape.name](connection, variables[0])  # asyncpg asks about types once
            with connection.query_logger(statements.append):
                for one in variables:
                    await PLANS[shape.name](connection, one)
        finally:
            await connection.close()
        return variables, len(statements)

    def load(
        self, server: Server, case: Case, pace: Pace, *, connections: int = CONNECTIONS
    ) -> Load:
        """Put one server under load for one shape.

        Raises:
            subprocess.CalledProcessError: the load generator failed; its standard error tells why.

        """
        job = Job(
            port=server.port,
            asks=case.asks(server),
            connections=connections,
            warm_seconds=pace.warm_seconds,
            seconds=pace.seconds,
            server=server.pid,
            postgres=self._database.postmaster,
            core=self._core,
        )
        finished = subprocess.run(
            [sys.executable, "-m", "benchmarks.load"],
            input=orjson.dumps(asdict(job)),
            stdout=subprocess.PIPE,
            check=True,
        )
        return Load(**orjson.loads(finished.stdout))

    def rounds(
        self, cases: Sequence[Case], servers: Sequence[Server], pace: Pace, say: Say
    ) -> dict[str, dict[str, Measured]]:
        """Measure every shape on every server in turns; return the results by shape and server."""
        results = {
            case.shape.name: {s.name: Measured() for s in servers if case.is_known_to(s)}
            for case in cases
        }
        for number in range(pace.rounds):
            say(f"round {number + 1} of {pace.rounds}")
            for case in cases:
                # who goes first takes turns, so that a drift of the machine favors nobody
                for server in servers if number % 2 == 0 else servers[::-1]:
                    if case.is_known_to(server):
                        self._add(results[case.shape.name][server.name], server, case, pace)
        for measured in _all(results):
            measured.latencies.sort()
        return results

    def _add(self, measured: Measured, server: Server, case: Case, pace: Pace) -> None:
        """Measure one round, with the loop's lag where the server tells it."""
        before = server.metrics() if server.watched else None
        load = self.load(server, case, pace)
        if before is not None:
            measured.lags.append(lag_between(before, server.metrics()))
        measured.rounds.append(one_round(load))
        measured.latencies.extend(load.latencies)


def _all(results: dict[str, dict[str, Measured]]) -> Iterator[Measured]:
    for by_server in results.values():
        yield from by_server.values()


def one_round(load: Load) -> Round:
    """Reduce a load to the figures per request."""
    requests = len(load.latencies)
    return Round(
        requests=requests,
        rate=requests / load.seconds,
        cpu=load.server_cpu / requests * 1e3,
        postgres_cpu=load.postgres_cpu / requests * 1e3,
        p50=percentile(load.latencies, 0.50),
        p99=percentile(load.latencies, 0.99),
        foreign=max(0.0, load.core_busy - load.server_cpu) / load.seconds,
    )


def percentile(ordered: Sequence[int], share: float) -> float:
    """Return a percentile of microseconds in ascending order, in milliseconds."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e3


def operation_statements(samples: Sequence[Sample], operation: str) -> float:
    """Return how many statements the operations of this name have run so far."""
    return sum(
        sample.value
        for sample in samples
        if sample.name == "gateway_operation_statements_sum"
        and sample.labels["operation"] == operation
    )


def lag_between(before: Sequence[Sample], after: Sequence[Sample]) -> Lag:
    """Return how the event loop did between two readings of the metrics."""
    upto = {bound: count - _lags(before)[bound] for bound, count in _lags(after).items()}
    beats = max(upto.values())
    stalls = _value(after, "gateway_loop_stalls_total") - _value(
        before, "gateway_loop_stalls_total"
    )
    return Lag(
        beats=int(beats),
        stalls=int(stalls),
        p99=1e3 * min(bound for bound, count in upto.items() if count >= 0.99 * beats),
        longest=1e3 * min(bound for bound, count in upto.items() if count >= beats),
    )


def _lags(samples: Sequence[Sample]) -> dict[float, float]:
    return {
        float(sample.labels["le"]): sample.value
        for sample in samples
        if sample.name == "gateway_loop_lag_seconds_bucket"
    }


def _value(samples: Sequence[Sample], name: str) -> float:
    return sum(sample.value for sample in samples if sample.name == name)


IMPLIED = frozenset({"id", "available"})
"""Fields that a peer may leave out: it has no such id, or no such column."""


def same_values(expected: bytes, answered: bytes) -> bool:
    """Tell whether two answers hold the same values in the same order, whatever their names."""
    return list(_values(orjson.loads(expected))) == list(_values(orjson.loads(answered)))


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in IMPLIED:
                yield from _values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner)
    else:
        yield value


def difference(expected: bytes, answered: bytes) -> str:
    """Return where two answers part, with what stands there."""
    pairs = enumerate(zip(expected, answered, strict=False))
    at = next((i for i, (one, other) in pairs if one != other), min(map(len, (expected, answered))))
    here = slice(max(0, at - 80), at + 80)
    return f"  by hand  {expected[here]!r}\n  gateway  {answered[here]!r}"

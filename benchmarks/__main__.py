"""The benchmark: ``python -m benchmarks``. Prints a page; keeps it with its figures as JSON."""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import orjson

from benchmarks.database import Database, open_database
from benchmarks.growth import measure_growth
from benchmarks.hotspots import Hotspots, hotspots
from benchmarks.measure import Bench, Case, Pace, Unequal, one_round
from benchmarks.page import page, profile_page
from benchmarks.peers.npm import FUNCTIONS, NoPeers, install, is_known_to_peers
from benchmarks.processes import children, pinned
from benchmarks.results import Results, ShapeResult, circumstances
from benchmarks.servers import Server, ServerError, Servers
from benchmarks.shapes import SHAPES, Shape
from gateway.postgres import EmbeddedPostgresError
from gateway.steps import Steps

PUBLISHED = Path(__file__).parent
FULL = Pace(rounds=3, seconds=1.2, warm_seconds=0.3)
QUICK = Pace(rounds=1, seconds=0.5, warm_seconds=0.2)
INSTRUMENTS = Pace(rounds=6, seconds=0.4, warm_seconds=0.2)
INSTRUMENTED_PAIRS = 8
"""Pairs of servers, each new: where in memory a process has what differs by more than is sought."""
INSTRUMENTS_QUICK = Pace(rounds=2, seconds=0.5, warm_seconds=0.2)
SAMPLED = Pace(rounds=1, seconds=4.0, warm_seconds=0.5)
PROFILED = Pace(rounds=1, seconds=15.0, warm_seconds=1.0)
INSTRUMENTED_SHAPES = ("Tiny", "Orders")
PEERS = ("plain", "mercurius", "postgraphile")
SAMPLED_SHAPES = ("Tiny", "Order", "Orders", "List")


class Refused(Exception):
    """This machine cannot run the benchmark; the text says why."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    names = [shape.name for shape in SHAPES]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the gateway next to plans written by hand, on the same data.",
    )
    parser.add_argument("--quick", action="store_true", help="under a minute, with more noise")
    parser.add_argument(
        "--shapes", nargs="+", choices=names, default=names, metavar="SHAPE", help=", ".join(names)
    )
    parser.add_argument("--profile", choices=names, metavar="SHAPE", help="profile one shape only")
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=PEERS,
        metavar="PEER",
        help=f"other servers to measure beside it: {', '.join(PEERS)}; all, without a name",
    )
    parser.add_argument("--size", choices=("small", "medium"), default="medium", help="of the data")
    parser.add_argument("--data-dir", type=Path, default=Path(".data/bench"), help="kept")
    parser.add_argument(
        "--publish", action="store_true", help="replace benchmarks/RESULTS.md and results.json"
    )
    options = parser.parse_args(arguments)
    if options.peers is None:
        options.peers = () if options.quick else PEERS
    elif not options.peers:
        options.peers = PEERS
    if options.publish and (options.quick or options.size != "medium" or options.shapes != names):
        parser.error("only a full run on the medium data can be published")
    return options


def cores() -> tuple[int, set[int]]:
    """Return the core for servers, and those for PostgreSQL and the load generator.

    Raises:
        Refused: there are no two, or this is not Linux.

    """
    if sys.platform != "linux":
        raise Refused("The benchmark reads clocks and sets cores as Linux has them.")
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        raise Refused("The benchmark needs two cores: one for the server, one for the rest.")
    return first, set(others)


def run(options: argparse.Namespace, told_command: str) -> None:
    """Measure, print, keep."""
    core, others = cores()
    load_before = os.getloadavg()[0]
    steps = Steps()
    data_dir: Path = options.data_dir
    with ExitStack() as stack:
        database = stack.enter_context(open_database(data_dir, options.size, steps))
        postgres = [database.postmaster, *children(database.postmaster)]
        stack.enter_context(pinned([os.getpid(), *postgres], others))
        servers = stack.enter_context(Servers(database, core, data_dir))
        run_ = Run(database, servers, Bench(database, core), data_dir, steps)
        shapes = [shape for shape in SHAPES if shape.name in options.shapes]
        if options.profile:
            chosen = next(shape for shape in SHAPES if shape.name == options.profile)
            print(run_.profile(chosen))
            return
        results = run_.everything(shapes, told_command, load_before, options)
    folder = PUBLISHED if options.publish else data_dir
    text = page(results)
    (folder / "RESULTS.md").write_text(text)
    (folder / "results.json").write_bytes(
        orjson.dumps(without_latencies(results), option=orjson.OPT_INDENT_2)
    )
    print(text)


class Run:
    """One run of the benchmark: what was started for it, and its parts."""

    def __init__(
        self, database: Database, servers: Servers, bench: Bench, data_dir: Path, steps: Steps
    ) -> None:
        self._database = database
        self._servers = servers
        self._bench = bench
        self._data_dir = data_dir
        self._samples = data_dir / "samples.json"
        self._steps = steps

    def everything(
        self,
        shapes: list[Shape],
        told_command: str,
        load_before: float,
        options: argparse.Namespace,
    ) -> Results:
        """Measure ``shapes`` on all servers, the cost of instruments, and where the time goes."""
        quick: bool = options.quick
        pace = QUICK if quick else FULL
        product, ordinary = self._servers.product(), self._servers.ordinary()
        floor = self._servers.hand_written()
        peers, missing = self._peers(options.peers)
        with self._steps.step("Comparing answers"):
            cases = [
                self._bench.compare(
                    shape, [product, ordinary], floor, peers if is_known_to_peers(shape) else ()
                )
                for shape in shapes
            ]
        with self._steps.step("Measuring"):
            main = self._measure(cases, [product, ordinary, floor, *peers], pace)
        instruments_pace = INSTRUMENTS_QUICK if quick else INSTRUMENTS
        instruments: list[ShapeResult] = []
        if both_ways := [case for case in cases if case.shape.name in INSTRUMENTED_SHAPES]:
            with self._steps.step("Measuring instruments"):
                pairs = 1 if quick else INSTRUMENTED_PAIRS
                instruments = self._measure_instruments(both_ways, pairs, instruments_pace)
        growth = None
        if not quick:
            with self._steps.step("Measuring growth"):
                growth = measure_growth(
                    self._database, product, self._bench, cases, self._steps.say
                )
        found: dict[str, Hotspots] = {}
        if not quick:
            with self._steps.step("Sampling"):
                found = self._sample([c for c in cases if c.shape.name in SAMPLED_SHAPES])
        return Results(
            circumstances=circumstances(self._database, told_command, load_before),
            pace=pace,
            shapes=main,
            instruments_pace=instruments_pace,
            instruments=instruments,
            hotspots=found,
            missing=missing,
            growth=growth,
        )

    def _peers(self, names: Sequence[str]) -> tuple[list[Server], dict[str, str]]:
        """Start the peers; return them, and why others cannot be measured."""
        servers: list[Server] = []
        missing: dict[str, str] = {}
        if "plain" in names:
            servers.append(self._servers.plain())
        if from_npm := [name for name in names if name != "plain"]:
            try:
                installed = install(self._data_dir, self._steps.say)
                asyncio.run(self._database.prepare(FUNCTIONS))
            except NoPeers as reason:
                self._steps.say(f"without {' and '.join(from_npm)}: {reason}")
                return servers, dict.fromkeys(from_npm, str(reason))
            if "mercurius" in from_npm:
                servers.append(self._servers.mercurius(installed))
            if "postgraphile" in from_npm:
                servers.append(self._servers.postgraphile(installed))
        return servers, missing

    def _measure(
        self, cases: Sequence[Case], servers: Sequence[Server], pace: Pace
    ) -> list[ShapeResult]:
        measured = self._bench.rounds(cases, servers, pace, self._steps.say)
        return [
            ShapeResult(
                name=case.shape.name,
                meaning=case.shape.meaning,
                bytes=sorted(case.lengths[servers[0].name])[len(case.variables) // 2],
                statements=case.statements,
                servers=measured[case.shape.name],
            )
            for case in cases
        ]

    def _measure_instruments(
        self, cases: Sequence[Case], pairs: int, pace: Pace
    ) -> list[ShapeResult]:
        """Measure pairs of gateways with and without instruments; return the rounds of all."""
        found: list[list[ShapeResult]] = []
        for number in range(pairs):
            self._steps.say(f"pair {number + 1} of {pairs}")
            # new ones: who has served much has its memory in disorder, which costs time
            with self._servers.with_and_without_instruments() as both:
                found.append(self._measure(cases, both, pace))
        first, *others = found
        for results in others:
            for shape, more in zip(first, results, strict=True):
                for name, measured in shape.servers.items():
                    measured.rounds += more.servers[name].rounds
        return first

    def _sample(self, cases: Sequence[Case]) -> dict[str, Hotspots]:
        loads = {}
        with self._servers.sampled(self._samples) as server:
            for case in cases:
                loads[case.shape.name] = self._bench.load(server, case, SAMPLED)
        return {name: hotspots(self._samples, load) for name, load in loads.items()}

    def profile(self, shape: Shape) -> str:
        """Return where the time of one shape goes, in full."""
        product, floor = self._servers.product(), self._servers.hand_written()
        case = self._bench.compare(shape, [product], floor)
        with self._steps.step("Sampling"), self._servers.sampled(self._samples) as server:
            load = self._bench.load(server, case, PROFILED)
        return profile_page(shape.name, hotspots(self._samples, load), one_round(load).cpu)


def command(arguments: Sequence[str]) -> str:
    """Return the command as the page tells it: without the folder, which is nobody else's."""
    told = " ".join(["python -m benchmarks", *arguments])
    return re.sub(r" --data-dir[= ]\S+", "", told)


def without_latencies(results: Results) -> dict[str, object]:
    """Return the results as JSON, without the list of every request's latency."""
    told: dict[str, object] = asdict(results)
    for shape in [*told["shapes"], *told["instruments"]]:  # type: ignore[misc]
        for measured in shape["servers"].values():
            del measured["latencies"]
    return told


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark and return the exit code."""
    options = parse(arguments)
    try:
        run(options, command(arguments))
    except (EmbeddedPostgresError, LookupError, Refused, ServerError, Unequal) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

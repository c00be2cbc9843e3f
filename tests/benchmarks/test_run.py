"""The whole benchmark, short and on little data: it runs, and its page tells what it found."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
import pytest
from prometheus_client import generate_latest

from benchmarks.__main__ import parse
from benchmarks.growth import Resident, line_through
from benchmarks.hotspots import LOOP, common_end, hotspots, layer_of
from benchmarks.load import Load
from benchmarks.measure import Lag, lag_between, same_values
from benchmarks.sampler import Sampler
from benchmarks.servers import read_samples
from resolvers.core.metrics import Metrics

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the benchmark needs two cores")
def test_a_short_run_gives_a_page_and_its_figures() -> None:
    """Servers start, answer alike, bear the load and stop; the page has a row for the shape."""
    with tempfile.TemporaryDirectory(prefix="erp-gateway-bench-") as folder:
        finished = subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks", "--quick", "--size", "small"),
                *("--shapes", "Order", "--peers", "plain", "--data-dir", folder),
            ],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0, finished.stderr
        page = (Path(folder) / "RESULTS.md").read_text()
        results = orjson.loads((Path(folder) / "results.json").read_bytes())
    assert page in finished.stdout
    assert page.count("\n| Order ") == 6, "CPU, peers, their speed, speed, statements, event loop"
    assert "| of the hand-written plan" in page
    (shape,) = results["shapes"]
    assert shape["statements"] == {"product": 4.0, "ordinary": 4.0, "hand-written": 4.0}
    assert shape["servers"]["product"]["rounds"][0]["requests"] > 0
    assert not [word for word in (folder, "jwt", "Bearer", "postgresql://") if word in page]


def test_peers_answer_the_same_values_by_other_names() -> None:
    """Names and nesting may differ, values and their order may not."""
    ours = b'{"data": {"a": [{"id": "x", "price": {"amount": "1.50"}}, {"price": null}]}}'
    theirs = b'{"data": {"b": {"nodes": [{"price": "1.50"}, {"price": null}]}}}'
    assert same_values(ours, theirs)
    assert not same_values(ours, theirs.replace(b"1.50", b"1.5"))
    assert not same_values(ours, b'{"data": {"b": {"nodes": [{"price": "1.50"}]}}}')


def test_the_growth_of_a_process_is_seen() -> None:
    """Memory that is taken for a moment counts."""
    with Resident(os.getpid()) as resident:
        taken = bytearray(64 * 1_048_576)
        taken[::4096] = b"x" * len(taken[::4096])
        until = time.monotonic() + 10
        while resident.growth <= 48 * 1_048_576 and time.monotonic() < until:
            time.sleep(0.01)
        del taken
    assert resident.growth > 48 * 1_048_576


def test_only_a_full_run_is_published() -> None:
    """A quick run or part of the shapes would replace figures by worse ones."""
    assert parse(["--publish"]).publish
    for part in (["--quick"], ["--size", "small"], ["--shapes", "Tiny"]):
        with pytest.raises(SystemExit):
            parse(["--publish", *part])


def test_lag_is_read_from_the_metrics() -> None:
    """What happened between two readings counts, in the buckets of the histogram."""
    metrics = Metrics()
    metrics.loop_lagged(3.0, stalled=True)
    before = read_samples(generate_latest(metrics.registry).decode())
    for _ in range(99):
        metrics.loop_lagged(0.002, stalled=False)
    metrics.loop_lagged(0.07, stalled=True)
    after = read_samples(generate_latest(metrics.registry).decode())
    assert lag_between(before, after) == Lag(beats=100, stalls=1, p99=5.0, longest=100.0)


def test_time_is_counted_to_the_innermost_layer() -> None:
    """The standard library counts to its caller; what nobody called, to the loop."""
    stack = [("enum.py", "Enum.value"), ("schema/core/fields.py", "x"), ("graphql/execute.py", "y")]
    assert layer_of(stack) == "fields, selection"
    assert layer_of([]) == LOOP
    assert common_end([[1, 2, 8, 9], [3, 8, 9], [8, 9]]) == 2


def test_the_sampler_finds_who_takes_the_time(tmp_path: Path) -> None:
    """Time counts to the functions that burn it, in proportion, and sleeping takes none."""
    with Sampler() as sampler:
        _burn_much()
        time.sleep(0.2)
        _burn_little()
    sampler.write(tmp_path / "samples.json")
    always = Load(1e9, [1], server_cpu=1, postgres_cpu=0, core_busy=0, began=0)
    found = hotspots(tmp_path / "samples.json", always)
    shares = {name.rpartition(":")[2]: share for name, share in found.below}
    assert sum(found.layers.values()) == pytest.approx(1)
    assert shares["_burn_much"] > 2 * shares["_burn_little"] > 0


def _burn_much() -> None:
    _burn(0.4)


def _burn_little() -> None:
    _burn(0.1)


def _burn(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1_000))


def test_the_cost_before_the_first_row_is_found() -> None:
    """Also where the largest answer is a little off the line, which would hide it."""
    costs = [(50, 0.3), (200, 0.6), (1_000, 2.2), (5_000, 10.8)]
    assert line_through(costs).fixed == pytest.approx(0.2, abs=0.01)
    line = line_through(costs[:3])
    assert line == pytest.approx((0.2, 0.002))
    assert line.deviation(costs[:3]) == pytest.approx(0, abs=1e-9)
    assert line.deviation(costs) == pytest.approx(0.06)

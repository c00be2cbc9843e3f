"""The loop watchdog finds the code that blocks."""

import asyncio
import io
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import uvloop

from gateway.observability.logging import configure_logging
from gateway.observability.loop_watchdog import LoopWatchdog
from gateway.settings import Settings
from resolvers.core.metrics import Metrics

JSON: dict[str, Any] = {"log_format": "json"}
LOOPS = [uvloop.new_event_loop, asyncio.new_event_loop]


def compute_for(seconds: float) -> None:
    """Block as CPU-bound code does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def watch(
    make_loop: Callable[[], asyncio.AbstractEventLoop], block_seconds: float, **given: float
) -> tuple[Metrics, list[dict[str, Any]]]:
    """Run a loop that is blocked once; return what was counted and what was logged."""
    metrics, stream = Metrics(), io.BytesIO()
    logs = configure_logging(Settings(**JSON), stream)

    async def main() -> None:
        watchdog = LoopWatchdog(metrics, **given)
        watchdog.start()
        await asyncio.sleep(0.1)
        compute_for(block_seconds)
        await asyncio.sleep(0.1)
        watchdog.stop()

    try:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(main())
    finally:
        logs.close()
    return metrics, [orjson.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("make_loop", LOOPS, ids=["uvloop", "asyncio"])
def test_long_block_is_logged_with_the_code_that_blocks(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """The stack names the blocking function, once, and the end of the stall is told."""
    metrics, lines = watch(make_loop, block_seconds=0.8)

    blocked = [line for line in lines if line["event"] == "event loop blocked"]
    assert len(blocked) == 1
    assert "compute_for" in blocked[0]["stack"]
    assert "compute_for" in blocked[0]["where"]
    assert blocked[0]["blocked_seconds"] >= 0.25
    ended = [line for line in lines if line["event"] == "event loop answers again"]
    assert len(ended) == 1
    assert ended[0]["blocked_seconds"] >= 0.7
    value = metrics.registry.get_sample_value
    assert (value("gateway_loop_stalls_total") or 0) >= 1
    assert (value("gateway_loop_lag_seconds_sum") or 0) >= 0.7


def test_short_block_is_counted_and_not_logged() -> None:
    """A stall that users hardly feel is a number, not a line."""
    # a busy machine may hold it for longer
    metrics, lines = watch(asyncio.new_event_loop, block_seconds=0.12, report_seconds=60.0)
    assert (metrics.registry.get_sample_value("gateway_loop_stalls_total") or 0) >= 1
    assert lines == []


def test_call_that_holds_the_interpreter_is_reported_afterwards() -> None:
    """When the thread could not look, the loop itself tells how long it was blocked."""
    metrics, stream = Metrics(), io.BytesIO()
    logs = configure_logging(Settings(**JSON), stream)

    async def main() -> None:
        watchdog = LoopWatchdog(metrics)
        watchdog.start()
        await asyncio.sleep(0.05)
        # One call into C that never lets the other thread run.
        sum(range(60_000_000))
        await asyncio.sleep(0.1)
        watchdog.stop()

    try:
        with asyncio.Runner() as runner:
            runner.run(main())
    finally:
        logs.close()
    events = [orjson.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert any("event loop" in event for event in events)


async def test_stop_ends_the_thread_and_the_beat() -> None:
    """After stop nothing of the watchdog is left running."""
    metrics = Metrics()
    watchdog = LoopWatchdog(metrics, beat_seconds=0.01)
    watchdog.start()
    await asyncio.sleep(0.05)
    watchdog.stop()
    beats = metrics.registry.get_sample_value("gateway_loop_lag_seconds_count")
    assert beats
    await asyncio.sleep(0.05)
    assert metrics.registry.get_sample_value("gateway_loop_lag_seconds_count") == beats
    assert "loop-watchdog" not in {thread.name for thread in threading.enumerate()}

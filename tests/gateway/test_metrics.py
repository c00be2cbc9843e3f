"""What a process counts, and how a scraper reads it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import chain
from threading import Thread

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from gateway.observability.exposition import metrics_endpoint
from resolvers.core.context import OperationStats, PoolState
from resolvers.core.metrics import ANONYMOUS, OTHER, TOGETHER, Metrics, Tally
from resolvers.core.repetition import Repetition
from tests.fixtures.gateway import Gateway


class OperationType(Enum):
    """As GraphQL has it."""

    QUERY = "query"
    MUTATION = "mutation"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, slots=True)
class Facts:
    """One finished operation."""

    name: str | None = "OrderList"
    type: OperationType = OperationType.QUERY
    cost: int = 250
    seconds: float = 0.0123456789
    stats: OperationStats = field(
        default_factory=lambda: OperationStats(
            statements=7, batches=6, rows=120, database_seconds=0.0087654321
        )
    )
    codes: tuple[str, ...] = ()
    canceled: bool = False


def note(metrics: Metrics, facts: Facts, tally: Tally | None = None) -> Tally:
    """Record one execution as executors do those that went well; return its tally."""
    if tally is None:
        tally = metrics.tally(facts.name, facts.type, facts.cost, facts.stats)
    tally.seconds.append(facts.seconds)
    if not tally.noted or len(tally.seconds) >= TOGETHER:
        tally.count_soon()
    return tally


def operation_names(metrics: Metrics) -> set[str]:
    """Return every value of the label `operation`."""
    return {
        sample.labels["operation"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if "operation" in sample.labels
    }


def test_operation_is_recorded_with_everything_it_cost() -> None:
    """Latency, statements, batches, rows and cost are filed under type and name."""
    metrics = Metrics()
    metrics.operation_finished(Facts())
    metrics.operation_finished(Facts(stats=OperationStats(statements=9, batches=6, rows=120)))

    value = metrics.registry.get_sample_value
    labels = {"type": "query", "operation": "OrderList"}
    assert value("gateway_operation_statements_sum", labels) == 16
    assert value("gateway_operation_batches_sum", labels) == 12
    assert value("gateway_operation_rows_sum", labels) == 240
    assert value("gateway_operation_cost_sum", labels) == 500
    labels |= {"outcome": "ok"}
    assert value("gateway_operation_duration_seconds_count", labels) == 2
    assert value("gateway_operation_duration_seconds_bucket", labels | {"le": "0.01"}) == 0
    assert value("gateway_operation_duration_seconds_bucket", labels | {"le": "0.025"}) == 2


@pytest.mark.parametrize("record", [Metrics.operation_finished, note], ids=["reported", "noted"])
@pytest.mark.parametrize(
    ("metric", "bounds", "facts"),
    [
        (
            "gateway_operation_duration_seconds",
            (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
            lambda amount: Facts(seconds=amount),
        ),
        (
            "gateway_operation_statements",
            (0, 1, 2, 3, 5, 8, 13, 21, 50, 100),
            lambda amount: Facts(stats=OperationStats(statements=amount)),
        ),
        (
            "gateway_operation_batches",
            (0, 1, 2, 3, 5, 8, 13, 21, 50, 100),
            lambda amount: Facts(stats=OperationStats(batches=amount)),
        ),
        (
            "gateway_operation_rows",
            (0, 1, 10, 50, 100, 500, 1_000, 5_000, 10_000, 20_000),
            lambda amount: Facts(stats=OperationStats(rows=amount)),
        ),
        (
            "gateway_operation_cost",
            (0, 1, 10, 50, 100, 500, 1_000, 5_000, 10_000, 20_000),
            lambda amount: Facts(cost=amount),
        ),
    ],
    ids=["seconds", "statements", "batches", "rows", "cost"],
)
def test_operations_are_scraped_like_any_histogram(
    metric: str,
    bounds: tuple[float, ...],
    facts: Callable[[float], Facts],
    record: Callable[[Metrics, Facts], object],
) -> None:
    """On a bound, between two, beyond all: the lines are those of the client library's own."""
    metrics = Metrics()
    peer = CollectorRegistry()
    timed = metric.endswith("_seconds")
    labels = {"type": "query", "operation": "OrderList"} | ({"outcome": "ok"} if timed else {})
    histogram = Histogram(metric, "Peer.", list(labels), registry=peer, buckets=bounds)
    step = 0.0001 if timed else 1
    for amount in chain.from_iterable((bound, bound + step) for bound in bounds):
        record(metrics, facts(amount))
        histogram.labels(**labels).observe(amount)

    def lines(registry: CollectorRegistry) -> list[tuple[str, float]]:
        """Return the samples of the series, without those of its other outcomes."""
        text = generate_latest(registry).decode()
        others = ('outcome="error"', 'outcome="canceled"')
        parted = [
            line.rpartition(" ")
            for line in text.splitlines()
            if line.startswith(metric) and not any(other in line for other in others)
        ]
        # seconds are added up in another order, which shows in the last digit
        return [(series, round(float(value), 9)) for series, _, value in parted]

    assert lines(metrics.registry) == lines(peer)


def test_scrape_agrees_with_itself_while_operations_finish() -> None:
    """Rendered in another thread, buckets only grow, the last is the count, none get lost."""
    metrics = Metrics()
    runs = 30_000

    def record() -> None:
        for start in range(0, runs, 10):
            facts = Facts(name=f"Operation{start // 900}", cost=start)
            metrics.operation_finished(facts)
            tally = note(metrics, facts)
            for _ in range(8):
                note(metrics, facts, tally)

    def counted() -> float:
        """Return the operations in one scrape, having checked that it is consistent."""
        [family] = (f for f in metrics.registry.collect() if f.name == "gateway_operation_cost")
        buckets: dict[str, list[float]] = {}
        counts: dict[str, float] = {}
        for sample in family.samples:
            operation = sample.labels["operation"]
            if sample.name.endswith("_bucket"):
                buckets.setdefault(operation, []).append(sample.value)
            elif sample.name.endswith("_count"):
                counts[operation] = sample.value
        assert all(values == sorted(values) for values in buckets.values())
        assert {operation: values[-1] for operation, values in buckets.items()} == counts
        return sum(counts.values())

    with ThreadPoolExecutor(1) as loop:
        recording = loop.submit(record)
        seen = [counted()]
        while not recording.done():
            seen.append(counted())
        recording.result()

    assert seen == sorted(seen)
    assert counted() == runs


def test_errors_are_counted_by_code_and_set_the_outcome() -> None:
    """An answer with errors counts as such, and each error under its code."""
    metrics = Metrics()
    metrics.operation_finished(Facts(codes=("FORBIDDEN", "FORBIDDEN", "TIMEOUT")))

    value = metrics.registry.get_sample_value
    labels = {"type": "query", "operation": "OrderList"}
    assert value("gateway_operation_duration_seconds_count", labels | {"outcome": "error"}) == 1
    assert value("gateway_operation_duration_seconds_count", labels | {"outcome": "ok"}) == 0
    assert value("gateway_errors_total", {"code": "FORBIDDEN"}) == 2
    assert value("gateway_errors_total", {"code": "TIMEOUT"}) == 1


def test_canceled_operations_are_neither_answers_nor_errors() -> None:
    """What nobody waited for has an outcome of its own, and its statements count."""
    metrics = Metrics()
    metrics.operation_finished(Facts(canceled=True))

    value = metrics.registry.get_sample_value
    labels = {"type": "query", "operation": "OrderList"}
    counts = {
        outcome: value("gateway_operation_duration_seconds_count", labels | {"outcome": outcome})
        for outcome in ("ok", "error", "canceled")
    }
    assert counts == {"ok": 0, "error": 0, "canceled": 1}
    assert value("gateway_operation_statements_sum", labels) == 7


def test_clients_cannot_create_series_without_end() -> None:
    """Names beyond the bound, and absurdly long ones, share one series; known names keep theirs."""
    metrics = Metrics(max_operation_names=3)
    for name in ["A", "B", "x" * 5_000, "C", "D", "E", "A"]:
        metrics.operation_finished(Facts(name=name))
        metrics.operation_finished(Facts(name=name, type=OperationType.MUTATION))

    assert operation_names(metrics) == {"A", "B", "C", OTHER}
    labels = {"type": "query", "operation": OTHER}
    assert metrics.registry.get_sample_value("gateway_operation_cost_count", labels) == 3
    labels = {"type": "mutation", "operation": "A"}
    assert metrics.registry.get_sample_value("gateway_operation_cost_count", labels) == 2


def test_codes_without_end_share_a_series() -> None:
    """Counters by label are bounded too."""
    metrics = Metrics()
    for number in range(1_000):
        metrics.request_refused(f"reason-{number}")

    families = {family.name: family for family in metrics.registry.collect()}
    samples = families["gateway_requests_refused"].samples
    assert len(samples) == 101
    assert {s.value for s in samples if s.labels["reason"] == OTHER} == {900}


def test_operation_without_a_name_is_anonymous() -> None:
    """Unnamed operations have one label, also when a client uses it as a name."""
    metrics = Metrics()
    metrics.operation_finished(Facts(name=None))
    metrics.operation_finished(Facts(name=ANONYMOUS))

    assert operation_names(metrics) == {ANONYMOUS}
    labels = {"type": "query", "operation": ANONYMOUS}
    assert metrics.registry.get_sample_value("gateway_operation_cost_count", labels) == 2


def test_pool_is_read_when_scraped() -> None:
    """The gauges show the pool as it stands at the scrape."""
    metrics = Metrics()
    state = PoolState(limit=10, size=4, in_use=1, waiting=0)
    metrics.watch_pool("read", lambda: state)
    state = PoolState(limit=10, size=10, in_use=10, waiting=3)
    metrics.pool_waits["read"].observe(0.2)
    metrics.pool_waits["read"].nothing += 2
    metrics.pool_timed_out("read")

    value = metrics.registry.get_sample_value
    labels = {"pool": "read"}
    assert value("gateway_pool_connections_limit", labels) == 10
    assert value("gateway_pool_connections_open", labels) == 10
    assert value("gateway_pool_connections_in_use", labels) == 10
    assert value("gateway_pool_waiting", labels) == 3
    assert value("gateway_pool_acquire_seconds_count", labels) == 3
    assert value("gateway_pool_acquire_seconds_bucket", labels | {"le": "0.0001"}) == 2
    assert value("gateway_pool_acquire_seconds_sum", labels) == 0.2
    assert value("gateway_pool_timeouts_total", labels) == 1


def test_sockets_and_subscriptions_go_up_and_down() -> None:
    """Gauges show what lives now; closes are filed by code, made-up codes together."""
    metrics = Metrics()
    for _ in range(3):
        metrics.socket_opened()
    metrics.socket_closed(1000)
    metrics.socket_closed(4999)
    metrics.subscription_started("ws")
    metrics.subscription_started("ws")
    metrics.subscription_ended("ws")
    metrics.event_sent("ws")

    value = metrics.registry.get_sample_value
    assert value("gateway_websockets_open") == 1
    assert value("gateway_websocket_closes_total", {"code": "1000"}) == 1
    assert value("gateway_websocket_closes_total", {"code": OTHER}) == 1
    assert value("gateway_subscriptions_live", {"transport": "ws"}) == 1
    assert value("gateway_subscription_events_total", {"transport": "ws"}) == 1


def test_scrape_is_prometheus_text_with_every_metric_explained() -> None:
    """What `/metrics` serves parses, carries our names, and each has a meaning."""
    metrics = Metrics()
    metrics.operation_finished(Facts())
    metrics.responses[200] += 1
    metrics.document_lookups["hit"] += 1
    metrics.outbox_measured(backlog=5, lag_seconds=0.5)
    metrics.outbox_published(2)
    metrics.loop_lagged(0.1, stalled=True)
    app = Starlette(routes=[Route("/metrics", metrics_endpoint(metrics.registry))])

    with TestClient(app) as client:
        answer = client.get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    families = {f.name: f for f in text_string_to_metric_families(answer.text)}
    ours = {name: f for name, f in families.items() if name.startswith("gateway_")}
    assert len(ours) > 20
    assert all(family.documentation.endswith(".") for family in ours.values())
    assert ours["gateway_http_responses"].samples[0].labels == {"status": "200"}
    assert ours["gateway_outbox_backlog_events"].samples[0].value == 5
    assert "process_cpu_seconds" in families


def test_scraper_may_ask_for_openmetrics() -> None:
    """The format follows the Accept header."""
    app = Starlette(routes=[Route("/metrics", metrics_endpoint(Metrics().registry))])
    with TestClient(app) as client:
        answer = client.get(
            "/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}
        )

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_recording_an_operation_leaves_the_registry_its_size() -> None:
    """A known operation adds no series, however often it runs."""
    metrics = Metrics()
    facts = Facts(codes=("TIMEOUT",))
    metrics.operation_finished(facts)
    before = sum(len(f.samples) for f in metrics.registry.collect())
    for _ in range(100):
        metrics.operation_finished(replace(facts))

    assert sum(len(f.samples) for f in metrics.registry.collect()) == before


def test_a_scrape_waits_for_what_the_loop_is_counting() -> None:
    """It tells of all that was over before it began, also of what others count meanwhile."""
    metrics = Metrics()
    for number in range(2, 5):
        note(metrics, Facts(stats=OperationStats(statements=number)))
    scraped: list[float | None] = []
    labels = {"type": "query", "operation": "OrderList"}
    scrape = Thread(
        target=lambda: scraped.append(
            metrics.registry.get_sample_value("gateway_operation_rows_count", labels)
        )
    )
    with metrics._counting:  # as the event loop holds it for one of them
        scrape.start()
        scrape.join(0.05)
        assert not scraped
    scrape.join(5)
    assert scraped == [3]


def test_series_that_two_threads_make_at_once_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape may count the first of a name while the loop is told of another one."""
    metrics = Metrics()
    others: list[Tally] = []
    make = Repetition.__init__

    def meanwhile(self: Repetition) -> None:
        make(self)
        monkeypatch.setattr(Repetition, "__init__", make)
        others.append(note(metrics, Facts()))

    monkeypatch.setattr(Repetition, "__init__", meanwhile)
    metrics.operation_finished(Facts())
    assert len(others) == 1
    labels = {"type": "query", "operation": "OrderList"}
    value = metrics.registry.get_sample_value
    assert value("gateway_operation_rows_count", labels) == 2
    assert value("gateway_operation_duration_seconds_count", {**labels, "outcome": "ok"}) == 2


def test_enough_of_the_same_is_counted_though_nobody_looks() -> None:
    """What is noted takes a bounded memory: of one operation, and of many that came once."""
    metrics = Metrics()
    facts = Facts()
    tally = note(metrics, facts)
    for number in range(2, TOGETHER):
        note(metrics, facts, tally)
        assert len(tally.seconds) == number
    note(metrics, facts, tally)
    assert not tally.seconds, "counted with all like it"
    tallies = [note(metrics, Facts(name=f"Operation{number}")) for number in range(2_500)]
    assert sum(len(one.seconds) for one in tallies) <= 1_000
    assert (
        metrics.registry.get_sample_value(
            "gateway_operation_rows_sum", {"type": "query", "operation": "OrderList"}
        )
        == 120 * TOGETHER
    )


async def test_documents_are_counted_as_new_and_as_kept(gateway: Gateway) -> None:
    """The first request with a document is a miss, every further one a hit."""
    registry = gateway.runtime.metrics.registry

    def lookups(result: str) -> float:
        name = "gateway_document_cache_lookups_total"
        return registry.get_sample_value(name, {"result": result}) or 0

    misses, hits = lookups("miss"), lookups("hit")
    for _ in range(3):
        await gateway.data("query CountedByItsText { me { name } }")
    assert (lookups("miss") - misses, lookups("hit") - hits) == (1, 2)

"""Counters, gauges and histograms of one process; every metric name stands here and nowhere else.

Recording happens on the event loop for every operation, so it does next to nothing there: what has
few labels is added to in place, and of executions that went as others before them the duration is
noted, to be counted with some fifty others or when somebody looks. The same lines fifty times in a
row take a third of what they take in between other work, for which the processor forgets them. A
scrape renders the numbers from another thread. Several processes each count for themselves; a
scraper that wants them all scrapes each.
"""

import math
import time
from bisect import bisect_left, bisect_right
from collections import Counter as Counted
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from itertools import accumulate
from threading import Lock
from typing import Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from resolvers.core.context import OperationStats, PoolState
from resolvers.core.reference import ReferenceCache
from resolvers.core.repetition import Repeated, Repetition

ANONYMOUS: Final = "anonymous"
"""Label of operations without a name."""
OTHER: Final = "other"
"""Label of whatever lies beyond a bound on distinct values."""

_LONGEST_LABEL: Final = 100
_LOOKED_AFTER: Final = 50
"""Executions after which an operation is looked at for statements it repeats."""
_TOLD_AGAIN_SECONDS: Final = 3_600.0
_LOOKED_AGAIN_SECONDS: Final = 1.0
"""Least time between two looks at an operation that runs often: its latest hundred are enough."""
_OFTEN: Final = 200
"""Executions from which an operation counts as one that runs often."""
_MOST_NUMBERS: Final = 200
"""Different numbers of one operation that are counted one by one."""
TOGETHER: Final = 50
"""Executions that are counted together, of those that took the same."""
_MOST_NOTED: Final = 1_000
"""Tallies that wait to be counted before all of them are."""

_POOL: Final = ("pool",)
_DURATIONS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
_WAITS: Final = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 5)
_LAGS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_FEW: Final = (0, 1, 2, 3, 5, 8, 13, 21, 50, 100)
_MANY: Final = (0, 1, 10, 50, 100, 500, 1_000, 5_000, 10_000, 20_000)

_STANDARD_CLOSES: Final = frozenset(
    {1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013}
)
_GRAPHQL_CLOSES: Final = frozenset({4400, 4401, 4403, 4406, 4408, 4409, 4429, 4500})


class OperationFacts(Protocol):
    """What is recorded about one execution: an operation, or one event of a subscription."""

    @property
    def name(self) -> str | None:
        """Name the client gave the operation."""
        ...

    @property
    def type(self) -> Enum:
        """Its value is ``query``, ``mutation`` or ``subscription``."""
        ...

    @property
    def cost(self) -> int:
        """Cost the document was admitted with."""
        ...

    @property
    def seconds(self) -> float:
        """Wall time from the start of execution to the answer."""
        ...

    @property
    def stats(self) -> OperationStats:
        """Statements, batches and rows."""
        ...

    @property
    def codes(self) -> Collection[str]:
        """Code of every error in the answer; empty when there was none."""
        ...

    @property
    def canceled(self) -> bool:
        """Whether it was given up before there was an answer."""
        ...


class Distribution:
    """Observations of one series: how many fell into each bucket, and their sum.

    One thread observes. Others may read at any moment, and at worst miss the latest observation.
    """

    __slots__ = ("_bounds", "_counts", "nothing", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.nothing = 0
        """Observations of 0, where most are: whoever makes them adds to it in place."""

    def observe(self, amount: float) -> None:
        """Count ``amount`` in the first bucket whose bound it does not exceed, or beyond them."""
        self._counts[bisect_left(self._bounds, amount)] += 1
        self.sum += amount

    def observe_all(self, amounts: Iterable[float]) -> None:
        """Count several: sorted they take a search for each bound instead of for each of them."""
        ordered = sorted(amounts)
        counts, below = self._counts, 0
        for index, bound in enumerate(self._bounds):
            within = bisect_right(ordered, bound, below)
            counts[index] += within - below
            below = within
        counts[-1] += len(ordered) - below
        self.sum += sum(ordered)

    def add(self, amount: float, times: int) -> None:
        """Count ``amount`` so many times."""
        self._counts[bisect_left(self._bounds, amount)] += times
        self.sum += amount * times

    def told(self) -> tuple[list[int], float]:
        """Return how many lie within each bound, the last number counting them all, and the sum."""
        counts = self._counts.copy()
        counts[0] += self.nothing
        return list(accumulate(counts)), self.sum

    def copy(self) -> "Distribution":
        """Return one like it, which can be added to on its own."""
        copied = Distribution(self._bounds)
        copied._counts, copied.sum = self._counts.copy(), self.sum
        copied.nothing = self.nothing
        return copied


class _Numbers:
    """What the executions of one operation took, in several whole numbers each.

    The same numbers come again and again, so it is counted how often: one entry of a dictionary
    where each number would search its bucket. They are put in buckets when somebody looks, or
    when there are many different ones.
    """

    __slots__ = ("_counts", "_folded", "_lock")

    def __init__(self, *bounds: Sequence[float]) -> None:
        self._counts: dict[tuple[int, ...], int] = {}
        self._folded = [Distribution(one) for one in bounds]
        # not for counting, which one thread does: that nothing is folded while another one looks
        self._lock = Lock()

    def observe(self, numbers: tuple[int, ...], times: int) -> None:
        """Count so many executions."""
        counts = self._counts
        if numbers in counts:
            counts[numbers] += times
            return
        if len(counts) >= _MOST_NUMBERS:
            with self._lock:
                _fold(counts, self._folded)
                counts.clear()
        counts[numbers] = times

    def told(self, index: int) -> tuple[list[int], float]:
        """Return what `Distribution.told` does, for the number that comes at ``index``."""
        with self._lock:
            folded, counts = [one.copy() for one in self._folded], self._counts.copy()
        _fold(counts, folded)
        return folded[index].told()


def _fold(counts: Mapping[tuple[int, ...], int], folded: Sequence[Distribution]) -> None:
    for numbers, times in counts.items():
        for number, distribution in zip(numbers, folded, strict=True):
            distribution.add(number, times)


class _NumberAt:
    """One of the `_Numbers` of an operation, as a series of a histogram of its own."""

    __slots__ = ("_index", "_numbers")

    def __init__(self, numbers: _Numbers, index: int) -> None:
        self._numbers = numbers
        self._index = index

    def told(self) -> tuple[list[int], float]:
        """Return what `Distribution.told` does."""
        return self._numbers.told(self._index)


class _Distributions:
    """A histogram whose series one thread fills without locks and any thread may collect.

    It takes the place of `prometheus_client.Histogram`, with the same text in a scrape, where every
    operation observes: a lock and two calls for each number are too dear there.
    """

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: tuple[str, ...],
        bounds: tuple[float, ...],
        *,
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._bounds = bounds
        self._bound_labels = [
            floatToGoString(bound)  # type: ignore[no-untyped-call]
            for bound in (*bounds, float("inf"))
        ]
        self._series: dict[tuple[str, ...], Distribution | _NumberAt] = {}
        registry.register(self)

    def series(self, *labels: str) -> Distribution:
        """Add the series of these label values, which has none yet, and return it."""
        series = self._series[labels] = Distribution(self._bounds)
        return series

    def show(self, series: Distribution | _NumberAt, *labels: str) -> None:
        """Show what is counted elsewhere as the series of these label values."""
        self._series[labels] = series

    def describe(self) -> list[HistogramMetricFamily]:
        """Return the family without samples: the names the registry keeps for it."""
        return [HistogramMetricFamily(self._name, self._meaning, labels=self._labels)]

    def collect(self) -> list[HistogramMetricFamily]:
        """Return the family as it stands at this moment."""
        [family] = self.describe()
        # A copy, because the event loop may add a series meanwhile.
        for labels, series in self._series.copy().items():
            # One reading of the buckets gives the count as well, so the two always agree.
            cumulated, total = series.told()
            buckets = list(zip(self._bound_labels, cumulated, strict=True))
            family.add_metric(labels, buckets, total)
        return [family]


class _OperationSeries:
    """The distributions of one operation type and name."""

    __slots__ = ("canceled", "failed", "look_at", "name", "numbers", "repetition", "succeeded")

    def __init__(self, operation: str) -> None:
        self.name = operation
        self.succeeded = Distribution(_DURATIONS)
        self.failed = Distribution(_DURATIONS)
        self.canceled = Distribution(_DURATIONS)
        self.numbers = _Numbers(_FEW, _FEW, _MANY, _MANY)
        """Statements, batches, rows and cost of each execution."""
        self.repetition = Repetition()
        self.look_at = -math.inf
        """When to look for repetition again, by `time.monotonic`."""

    def show(self, metrics: "Metrics", operation_type: str) -> None:
        """Have it in every scrape from now on."""
        labels = (operation_type, self.name)
        metrics.operation_seconds.show(self.succeeded, *labels, "ok")
        metrics.operation_seconds.show(self.failed, *labels, "error")
        metrics.operation_seconds.show(self.canceled, *labels, "canceled")
        histograms = (
            metrics.operation_statements,
            metrics.operation_batches,
            metrics.operation_rows,
            metrics.operation_cost,
        )
        for index, histogram in enumerate(histograms):
            histogram.show(_NumberAt(self.numbers, index), *labels)
        metrics.repetitions.show(self.repetition, *labels)


class Tally:
    """Executions that succeeded and took the same but for the time, while they are not counted.

    Whoever runs one appends to ``seconds`` what it took; then, unless the tally is ``noted`` and
    has fewer than `TOGETHER`, calls `count_soon`.
    """

    __slots__ = ("_metrics", "by_name", "noted", "numbers", "pieces", "seconds", "series")

    def __init__(
        self, metrics: "Metrics", series: _OperationSeries, stats: OperationStats, cost: int
    ) -> None:
        self._metrics = metrics
        self.series = series
        self.numbers = (stats.statements, stats.batches, stats.rows, cost)
        """What each of them took, in the order of the series' numbers."""
        self.by_name: Mapping[str, int] = stats.statements_by_name
        """The statements of each."""
        self.pieces = stats.pieces
        """Pieces that each was made in."""
        self.seconds: list[float] = []
        self.noted = False
        """Whether metrics know of it, and count it when somebody looks."""

    def count_soon(self) -> None:
        """Have it counted when somebody looks, or at once where there are enough."""
        self._metrics.note(self)


class _Repetitions:
    """A gauge of how much the statement counts of each operation vary, read when asked for."""

    def __init__(self, labels: tuple[str, ...], *, registry: CollectorRegistry) -> None:
        self._labels = labels
        self._series: dict[tuple[str, ...], Repetition] = {}
        registry.register(self)

    def show(self, series: Repetition, *labels: str) -> None:
        """Show what is kept elsewhere as the series of these label values."""
        self._series[labels] = series

    def describe(self) -> list[GaugeMetricFamily]:
        """Return the family without samples: the names the registry keeps for it."""
        return [
            GaugeMetricFamily(
                "gateway_operation_repetition_ratio",
                "(p90 - p10) / p90 of the statements per execution, of the last 100.",
                labels=self._labels,
            )
        ]

    def collect(self) -> list[GaugeMetricFamily]:
        """Return the family as it stands at this moment."""
        [family] = self.describe()
        for labels, series in self._series.copy().items():
            family.add_metric(labels, series.ratio)
        return [family]


Counts = Counted[str | int]
"""How often each of a few labels was counted; one thread adds to it in place."""


class _Counters:
    """A counter with one label, which one thread fills without locks and any thread may collect.

    It takes the place of `prometheus_client.Counter`, with the same text in a scrape, where every
    request counts. Beyond ``most`` labels the rest count as `OTHER`. Who has few labels, all its
    own, adds to ``counts`` in place.
    """

    __slots__ = ("_label", "_meaning", "_most", "_name", "counts")

    def __init__(
        self, name: str, meaning: str, label: str, *, most: int, registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._meaning = meaning
        self._label = label
        self._most = most
        self.counts: Counts = Counted()
        registry.register(self)

    def add(self, label: str | int, amount: int = 1) -> None:
        """Count ``label``; labels beyond the bound count as `OTHER`."""
        counts = self.counts
        if label not in counts and (len(counts) >= self._most or len(str(label)) > _LONGEST_LABEL):
            label = OTHER
        counts[label] += amount

    def describe(self) -> list[CounterMetricFamily]:
        """Return the family without samples: the names the registry keeps for it."""
        return [CounterMetricFamily(self._name, self._meaning, labels=[self._label])]

    def collect(self) -> list[CounterMetricFamily]:
        """Return the family as it stands at this moment."""
        [family] = self.describe()
        for label, count in self.counts.copy().items():
            family.add_metric([str(label)], count)
        return [family]


class _Registry(CollectorRegistry):
    """A registry that has what waits to be counted counted before it is read."""

    def __init__(self, before: Callable[[], None]) -> None:
        super().__init__()
        self._before = before

    def collect(self) -> Iterable[Metric]:
        """Return everything that is counted."""
        self._before()
        return super().collect()


class Metrics:
    """Everything one process counts. Pass it around; there is no global registry.

    ``max_operation_names`` bounds the series that clients can create by naming operations: names
    beyond it are recorded as `OTHER`.
    """

    def __init__(self, *, max_operation_names: int = 200) -> None:
        # Birth times double the lines of a scrape and tell nothing that a counter reset does not.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = _Registry(partial(self._count_finished, wait=True))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._max_operation_names = max_operation_names
        self._finished: deque[OperationFacts] = deque()
        """Executions that are over and not counted yet."""
        self._noted: list[Tally] = []
        """Tallies that may have something to count."""
        self._counting = Lock()
        self._operation_names: set[str] = set()
        self._operations: dict[tuple[Enum, str], _OperationSeries] = {}
        """The series that operations of a name were last counted in, and their type."""

        def distributions(
            name: str, meaning: str, labels: tuple[str, ...], bounds: tuple[float, ...]
        ) -> _Distributions:
            return _Distributions(name, meaning, labels, bounds, registry=registry)

        def counters(name: str, meaning: str, label: str, *, most: int = 100) -> _Counters:
            return _Counters(name, meaning, label, most=most, registry=registry)

        operation = ("type", "operation")
        self.operation_seconds = distributions(
            "gateway_operation_duration_seconds",
            "Time from the start of execution to the answer.",
            (*operation, "outcome"),
            _DURATIONS,
        )
        self.operation_statements = distributions(
            "gateway_operation_statements", "SQL statements per operation.", operation, _FEW
        )
        self.operation_batches = distributions(
            "gateway_operation_batches", "Batch function calls per operation.", operation, _FEW
        )
        self.operation_rows = distributions(
            "gateway_operation_rows", "Database rows read per operation.", operation, _MANY
        )
        self.operation_cost = distributions(
            "gateway_operation_cost", "Cost each operation was admitted with.", operation, _MANY
        )
        self.repetitions = _Repetitions(operation, registry=registry)
        self.on_repetition: Callable[[str, list[Repeated]], None] = lambda _operation, _found: None
        """Called with an operation that asks for rows one by one, once an hour."""
        self._errors = counters("gateway_errors_total", "Errors in answers, by code.", "code")
        self._refusals = counters(
            "gateway_requests_refused_total", "Requests that never ran, by reason.", "reason"
        )
        self.document_lookups = counters(
            "gateway_document_cache_lookups_total",
            "Lookups of parsed and validated documents, hit or miss.",
            "result",
        ).counts
        """``hit`` or ``miss`` for each request, added to by whoever looks."""
        self._admissions = counters(
            "gateway_document_admissions_total",
            "Requests by what became of their document: trusted, untrusted, or refused.",
            "outcome",
        )
        self.query_plans = counters(
            "gateway_query_plans_total",
            "Queries, payloads and events by how they ran: compiled, or ordinarily for a reason.",
            "outcome",
        ).counts
        """``compiled``, ``not compiled``, or why a plan failed; added to by whoever runs them."""
        self._shadows = counters(
            "gateway_shadow_comparisons_total",
            "Queries run both ways: equal, different, moved or skipped.",
            "outcome",
        )
        self.responses = counters(
            "gateway_http_responses_total", "HTTP responses, by status.", "status"
        ).counts
        """HTTP responses by status, added to by whoever answers."""

        self._count_transports(counters)

        self._count_resources(registry, distributions, counters)

        self._outbox_backlog = Gauge(
            "gateway_outbox_backlog_events", "Events not yet published.", registry=registry
        )
        self._invariants_broken = Gauge(
            "gateway_invariants_broken",
            "Invariants that did not hold when they were proven last.",
            registry=registry,
        )
        self._invariants_proven = Gauge(
            "gateway_invariants_proven_timestamp_seconds",
            "When a worker proved the invariants last; 0 if none did.",
            registry=registry,
        )
        self._outbox_lag = Gauge(
            "gateway_outbox_lag_seconds", "Age of the oldest unpublished event.", registry=registry
        )
        self._command_retries = Counter(
            "gateway_command_retries_total",
            "Times a command ran again because another one was in its way (deadlock, conflict).",
            registry=registry,
        )
        self._log_events = Gauge(
            "gateway_event_log_events", "Published events that are kept.", registry=registry
        )
        self._log_oldest = Gauge(
            "gateway_event_log_oldest_seconds",
            "Time since the oldest event that is kept was published.",
            registry=registry,
        )
        self._outbox_deleted = Counter(
            "gateway_event_log_deleted_events_total",
            "Events the relay deleted because they were kept long enough.",
            registry=registry,
        )
        self._webhook_attempts = counters(
            "gateway_webhook_attempts_total", "Attempts to send a webhook.", "outcome"
        )
        self._webhooks = Gauge(
            "gateway_webhooks", "Webhooks of all companies.", ("state",), registry=registry
        )
        self._webhook_dead_letters, self._webhooks_of_another_key = (
            Gauge(name, text, registry=registry)
            for name, text in (
                ("gateway_webhook_dead_letters", "Dead letters that are kept."),
                (
                    "gateway_webhooks_of_another_key",
                    "Webhooks that this process does not send: it has not the key to sign them.",
                ),
            )
        )
        self._webhook_lag = Gauge(
            "gateway_webhook_lag_events",
            "Places in the log that the active webhook furthest behind has not come to.",
            registry=registry,
        )
        self._outbox_published = Counter(
            "gateway_outbox_published_events_total",
            "Events the relay published.",
            registry=registry,
        )

    def _count_resources(
        self,
        registry: CollectorRegistry,
        distributions: Callable[..., _Distributions],
        counters: Callable[..., _Counters],
    ) -> None:
        self._pool_gauges = {
            field: Gauge(name, meaning, _POOL, registry=registry)
            for field, name, meaning in (
                ("limit", "gateway_pool_connections_limit", "Most connections the pool may open."),
                ("size", "gateway_pool_connections_open", "Connections open now."),
                ("in_use", "gateway_pool_connections_in_use", "Connections lent out now."),
                ("waiting", "gateway_pool_waiting", "Callers waiting for a connection now."),
            )
        }
        pool_waits = distributions(
            "gateway_pool_acquire_seconds", "Wait for a connection.", _POOL, _WAITS
        )
        self.pool_waits = {pool: pool_waits.series(pool) for pool in ("read", "write")}
        """How long callers of a pool waited for a connection they got."""
        self._pool_timeouts = counters(
            "gateway_pool_timeouts_total", "Callers that got no connection in time.", "pool"
        )

        self._reference_gauges = {
            field: Gauge(name, meaning, registry=registry)
            for field, name, meaning in (
                ("size", "gateway_reference_rows_kept", "Rows of reference data in memory."),
                (
                    "hit_ratio",
                    "gateway_reference_hit_ratio",
                    "Share of the looked up rows of reference data that were in memory.",
                ),
            )
        }
        self._loop_lag = Histogram(
            "gateway_loop_lag_seconds",
            "Delay of the event loop's heartbeat.",
            registry=registry,
            buckets=_LAGS,
        )
        self._loop_stalls = Counter(
            "gateway_loop_stalls_total", "Heartbeats later than the limit.", registry=registry
        )

    def _count_transports(self, counters: Callable[[str, str, str], _Counters]) -> None:
        self._sockets = Gauge(
            "gateway_websockets_open", "WebSocket connections open now.", registry=self.registry
        )
        self._closes = counters(
            "gateway_websocket_closes_total", "WebSocket connections closed, by code.", "code"
        )
        self._subscriptions = Gauge(
            "gateway_subscriptions_live",
            "Subscriptions running now, by transport.",
            ("transport",),
            registry=self.registry,
        )
        self._events = counters(
            "gateway_subscription_events_total", "Events sent to subscribers.", "transport"
        )
        self._stream_work = counters(
            "gateway_subscription_work_total",
            "Changes evaluated for subscribers, and times one was too slow: evaluated, slow.",
            "work",
        )
        self._groups = Gauge(
            "gateway_subscription_groups",
            "Groups of subscribers that share their evaluations, now.",
            registry=self.registry,
        )
        self._access_checks = counters(
            "gateway_access_checks_total",
            "Connections whose caller was looked at again because access had changed.",
            "outcome",
        )
        self._renewals = counters(
            "gateway_token_renewals_total",
            "Credentials presented on open sockets to go on with.",
            "outcome",
        )

    def operation_finished(self, facts: OperationFacts) -> None:
        """Record one execution: an operation, or one event of a subscription.

        Call it on the event loop's thread alone.
        """
        self._finished.append(facts)
        self._count_finished()

    def tally(self, name: str | None, type_: Enum, cost: int, stats: OperationStats) -> Tally:
        """Return where to note executions that succeed and take the same as one that is over."""
        return Tally(self, self._series(type_, name or ANONYMOUS), stats, cost)

    def note(self, tally: Tally) -> None:
        """Count a tally when somebody looks, or now if it has enough; on the event loop alone."""
        if not tally.noted:
            tally.noted = True
            self._noted.append(tally)
        if len(self._noted) > _MOST_NOTED:
            self._count_finished()
        elif len(tally.seconds) >= TOGETHER and self._counting.acquire(blocking=False):
            try:
                self._count_tally(tally)
            finally:
                self._counting.release()

    def _count_finished(self, *, wait: bool = False) -> None:
        """Count what has finished, on the thread of the event loop or of a scrape.

        A scrape is to ``wait`` for the event loop, which may be at one of many; not vice versa.
        """
        if not self._counting.acquire(blocking=wait):
            return  # the scrape counts, and comes to the rest of them too
        try:
            finished, noted = self._finished, self._noted
            while finished:
                self._count(finished.popleft())
            while noted:
                tally = noted.pop()
                # before it is emptied: what comes then is noted anew
                tally.noted = False
                self._count_tally(tally)
        finally:
            self._counting.release()

    def _count(self, facts: OperationFacts) -> None:
        """Count one execution."""
        series, codes, stats = (
            self._series(facts.type, facts.name or ANONYMOUS),
            facts.codes,
            facts.stats,
        )
        if facts.canceled:
            series.canceled.observe(facts.seconds)
        elif codes:
            series.failed.observe(facts.seconds)
            for code in codes:
                self._errors.add(code)
        else:
            series.succeeded.observe(facts.seconds)
        if stats.retries:
            self._command_retries.inc(stats.retries)
        numbers = (stats.statements, stats.batches, stats.rows, facts.cost)
        self._count_numbers(series, numbers, stats.statements_by_name, 1, stats.pieces)

    def _count_tally(self, tally: Tally) -> None:
        """Count what a tally has, and leave it empty; others may add to it meanwhile."""
        seconds = tally.seconds.copy()
        if seconds:
            del tally.seconds[: len(seconds)]
            tally.series.succeeded.observe_all(seconds)
            self._count_numbers(
                tally.series, tally.numbers, tally.by_name, len(seconds), tally.pieces
            )

    def _count_numbers(
        self,
        series: _OperationSeries,
        numbers: tuple[int, int, int, int],
        by_name: Mapping[str, int],
        times: int,
        pieces: int,
    ) -> None:
        """Count executions that took so many statements, batches, rows and cost each."""
        series.numbers.observe(numbers, times)
        repetition = series.repetition
        looked = repetition.seen // _LOOKED_AFTER
        repetition.observe(numbers[0], by_name, times, pieces)
        if repetition.seen // _LOOKED_AFTER != looked:
            self._look_for_repetition(series)

    def _look_for_repetition(self, series: _OperationSeries) -> None:
        now = time.monotonic()
        if now < series.look_at:
            return
        if found := series.repetition.repeated():
            series.look_at = now + _TOLD_AGAIN_SECONDS
            self.on_repetition(series.name, found)
        elif series.repetition.seen > _OFTEN:
            series.look_at = now + _LOOKED_AGAIN_SECONDS

    def _series(self, operation_type: Enum, name: str) -> _OperationSeries:
        """Return the series of an operation; the shared `OTHER` of those beyond the bound."""
        names = self._operation_names
        if name not in names:
            if len(names) < self._max_operation_names and len(name) <= _LONGEST_LABEL:
                names.add(name)
            else:
                name = OTHER
        series = self._operations.get((operation_type, name))
        if series is None:
            made = _OperationSeries(name)
            # a scrape, which counts what is left, may make the same meanwhile: the first one stays
            series = self._operations.setdefault((operation_type, name), made)
            if series is made:
                made.show(self, str(operation_type.value))
        return series

    def request_refused(self, reason: str) -> None:
        """Count a request that never ran: its syntax, a limit, its credential."""
        self._refusals.add(reason)

    def document_admitted(self, outcome: str) -> None:
        """Count a request by its document, where only trusted ones are meant to run."""
        self._admissions.add(outcome)

    def shadow_compared(self, outcome: str) -> None:
        """Count a query that was to be run both ways."""
        self._shadows.add(outcome)

    def socket_opened(self) -> None:
        """Count an accepted WebSocket connection."""
        self._sockets.inc()

    def socket_closed(self, code: int) -> None:
        """Count a WebSocket connection that ended; codes a client made up count as `OTHER`."""
        self._sockets.dec()
        known = code in _STANDARD_CLOSES or code in _GRAPHQL_CLOSES
        self._closes.add(code if known else OTHER)

    def subscription_started(self, transport: str) -> None:
        """Count a subscription that began on ``transport`` (``ws`` or ``sse``)."""
        self._subscriptions.labels(transport).inc()

    def subscription_ended(self, transport: str) -> None:
        """Count a subscription that ended on ``transport``."""
        self._subscriptions.labels(transport).dec()

    def event_sent(self, transport: str) -> None:
        """Count one event sent to one subscriber."""
        self._events.add(transport)

    def stream_worked(self, work: str, amount: int) -> None:
        """Count what live streams did: ``evaluated`` changes, or ``slow`` subscribers."""
        self._stream_work.add(work, amount)

    def watch_groups(self, groups: Callable[[], int]) -> None:
        """Show the number of groups of subscribers in every scrape."""
        self._groups.set_function(groups)

    def access_checked(self, outcome: str, connections: int) -> None:
        """Count connections by what became of their caller: unchanged, changed or refused."""
        self._access_checks.add(outcome, connections)

    def token_renewed(self, outcome: str) -> None:
        """Count a credential that a socket was to go on with: renewed, refused or not looked at."""
        self._renewals.add(outcome)

    def watch_pool(self, pool: str, state: Callable[[], PoolState]) -> None:
        """Show the state of ``pool`` in every scrape; costs nothing in between.

        ``state`` is called from the thread that renders the metrics and must not block.
        """
        for field, gauge in self._pool_gauges.items():
            gauge.labels(pool).set_function(_reader(state, field))

    def watch_reference(self, cache: ReferenceCache) -> None:
        """Show what is kept of reference data in every scrape; costs nothing in between."""
        for field, gauge in self._reference_gauges.items():
            gauge.set_function(_reader(lambda: cache, field))

    def pool_timed_out(self, pool: str) -> None:
        """Count a caller that got no connection in time."""
        self._pool_timeouts.add(pool)

    def loop_lagged(self, seconds: float, *, stalled: bool) -> None:
        """Record how late a heartbeat of the event loop was, and whether that counts as a stall."""
        self._loop_lag.observe(seconds)
        if stalled:
            self._loop_stalls.inc()

    def outbox_measured(self, *, backlog: int, lag_seconds: float) -> None:
        """Set how many events wait for the relay and how old the oldest is."""
        self._outbox_backlog.set(backlog)
        self._outbox_lag.set(lag_seconds)

    def invariants_proven(self, *, broken: int, at: float) -> None:
        """Set how many invariants did not hold, and when that was found, in seconds since 1970."""
        self._invariants_broken.set(broken)
        self._invariants_proven.set(at)

    def outbox_kept(self, *, events: int, oldest_seconds: float) -> None:
        """Set how many published events are kept, and how long ago the oldest was published."""
        self._log_events.set(events)
        self._log_oldest.set(oldest_seconds)

    def outbox_deleted(self, events: int) -> None:
        """Count events the relay deleted."""
        self._outbox_deleted.inc(events)

    def webhook_attempted(self, outcome: str) -> None:
        """Count an attempt to send a webhook: ``delivered``, ``failed`` or, the last, ``dead``."""
        self._webhook_attempts.add(outcome)

    def webhooks_of_another_key(self, number: int) -> None:
        """Set how many webhooks this process does not send, since it cannot sign them."""
        self._webhooks_of_another_key.set(number)

    def webhooks_measured(self, states: Mapping[str, int], *, dead: int, lag: int) -> None:
        """Set how many webhooks are in each state, their dead letters, and the longest lag."""
        for state, number in states.items():
            self._webhooks.labels(state).set(number)
        self._webhook_dead_letters.set(dead)
        self._webhook_lag.set(lag)

    def outbox_published(self, events: int) -> None:
        """Count events the relay published."""
        self._outbox_published.inc(events)


def _reader(state: Callable[[], object], field: str) -> Callable[[], float]:
    """Return a function that reads one field of a state."""
    return lambda: float(getattr(state(), field))

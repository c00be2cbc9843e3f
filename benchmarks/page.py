"""The page a run is told on, as Markdown."""

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.growth import Growth, Line, line_through
from benchmarks.hotspots import COLLECTOR, LAYERS, LOOP, Hotspots
from benchmarks.measure import CONNECTIONS, Measured
from benchmarks.results import Results, ShapeResult, spread

PRODUCT, ORDINARY, FLOOR = "product", "ordinary", "hand-written"
UNINSTRUMENTED = "uninstrumented"
PEERS = {
    "plain": "Strawberry, ORM, loaders",
    "mercurius": "Mercurius, JIT, loaders",
    "postgraphile": "PostGraphile",
}
_LARGE = ("Orders", "Deep", "List")
_SMALL = ("Tiny", "Order")
BUDGETS: tuple[tuple[str, str, dict[str, float]], ...] = (
    (
        "of the hand-written plan",
        FLOOR,
        {**dict.fromkeys(_SMALL, 1.5), **dict.fromkeys(_LARGE, 1.2)},
    ),
    *(
        (f"of {PEERS[name]}", name, {**dict.fromkeys(_SMALL, 1.0), **dict.fromkeys(_LARGE, 0.5)})
        for name in ("mercurius", "postgraphile")
    ),
    (f"of {PEERS['plain']}", "plain", dict.fromkeys(_LARGE, 1 / 30)),
)
"""What is measured against which server, and the most that may be found by shape."""
_ASKED_ROWS = 5_000
"""Up to so many, each row is to cost the same."""
BUDGET = 5
"""Percent that metrics, logs and the watchdog may cost."""


def page(results: Results) -> str:
    """Return the page of a run."""
    parts = (
        _head(results),
        _cpu(results.shapes),
        _peers(results),
        _budgets(results.shapes),
        _growth(results.growth),
        _speed(results.shapes),
        _database(results.shapes),
        _loop(results.shapes),
        _instruments(results.instruments),
        _hotspots(results),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(results: Results) -> Iterator[str]:
    at, pace = results.circumstances, results.pace
    foreign = [
        one.foreign
        for shape in results.shapes
        for measured in shape.servers.values()
        for one in measured.rounds
    ]
    rows = ", ".join(f"{count:,} {name}" for name, count in at.rows.items())
    versions = ", ".join(f"{name} {number}" for name, number in at.versions.items())
    yield "# What the gateway costs"
    yield ""
    yield "Written by the benchmark; what is measured and how stands in [README.md](README.md)."
    yield "Absolute figures belong to the machine: compare ratios."
    yield ""
    yield f"- Run: {at.date}, commit {at.commit}, `{at.command}`"
    yield f"- Machine: {at.processor}, {at.cores} cores, {at.kernel}"
    yield f"- Versions: {versions}"
    yield (
        f"- This build of Python takes {at.step:.0f} ns to make an object, call a function, fill "
        "a dictionary; see [README.md](README.md#python)"
    )
    yield f"- Data, as the caller's company sees it: {rows}"
    yield (
        f"- Load: {CONNECTIONS} connections, {pace.rounds} rounds of {pace.seconds:g} s "
        f"after {pace.warm_seconds:g} s to warm up, servers in turns"
    )
    yield (
        f"- Neighbors: load average {at.load_before:.1f} before the run; something else had the "
        f"server's core for {_percent(spread(foreign)[0])} of the time (median; worst round "
        f"{_percent(max(foreign))})"
    )


def _cpu(shapes: Sequence[ShapeResult]) -> Iterator[str]:
    yield from _title(
        "Server CPU per request",
        "Milliseconds of the server process: median of the rounds (least to greatest). The gateway "
        "runs compiled plans; ordinary is the same gateway without them. The ratio is the "
        "gateway's CPU to the hand-written plan's, round by round.",
    )
    yield from _table(
        ("shape", "what", "gateway", "ordinary", "hand-written plan", "ratio"),
        (
            (
                shape.name,
                shape.meaning,
                *(_cpu_of(shape.servers[name]) for name in (PRODUCT, ORDINARY, FLOOR)),
                _spread(shape.ratio(PRODUCT, FLOOR), " x"),
            )
            for shape in shapes
        ),
        left=2,
    )


def _peers(results: Results) -> Iterator[str]:
    shapes = [shape for shape in results.shapes if _peers_of(shape)]
    if not shapes and not results.missing:
        return
    yield from _title(
        "Beside other servers",
        "The same rows on the same database, one process on the same core: server CPU per request "
        "in milliseconds, and how many times the gateway's that is. The peers know no caller and "
        "no permission; the gateway does all it does.",
    )
    names = [name for name in PEERS if any(name in shape.servers for shape in shapes)]
    yield from _table(
        ("shape", "gateway", *(PEERS[name] for name in names)),
        (
            (shape.name, _cpu_of(shape.servers[PRODUCT]), *(_beside(shape, n) for n in names))
            for shape in shapes
        ),
        left=1,
    )
    yield ""
    yield from _table(
        ("requests per second (p99 in ms)", "gateway", *(PEERS[name] for name in names)),
        ((shape.name, *(_rate_of(shape, name) for name in (PRODUCT, *names))) for shape in shapes),
        left=1,
    )
    for name, reason in results.missing.items():
        yield f"Without {PEERS[name]}: {reason}."
        yield ""


def _peers_of(shape: ShapeResult) -> list[str]:
    return [name for name in PEERS if name in shape.servers]


def _beside(shape: ShapeResult, name: str) -> str:
    if name not in shape.servers:
        return "-"
    times = shape.ratio(name, PRODUCT)[0]
    return f"{_number(shape.servers[name].middle('cpu'))} ({_number(times)} x)"


def _rate_of(shape: ShapeResult, name: str) -> str:
    if name not in shape.servers:
        return "-"
    measured = shape.servers[name]
    return f"{_number(measured.middle('rate'))} ({_number(measured.percentile(0.99))})"


def _budgets(shapes: Sequence[ShapeResult]) -> Iterator[str]:
    yield from _title(
        "Budgets",
        "By the median of the rounds: the gateway's CPU in multiples of another server's.",
    )
    yield from _table(
        ("budget", "shape", "at most", "found", ""),
        (
            (
                what,
                shape.name,
                f"{limit:.2f} x",
                f"{found:.2f} x",
                "met" if found <= limit else "**not met**",
            )
            for what, other, limits in BUDGETS
            for shape in shapes
            if other in shape.servers and (limit := limits.get(shape.name)) is not None
            for found in [shape.ratio(PRODUCT, other)[0]]
        ),
        left=2,
    )


def _growth(growth: Growth | None) -> Iterator[str]:
    if growth is None:
        return
    asked = [one for one in growth.sizes if one.rows <= _ASKED_ROWS]
    costs_alone = [(one.rows, one.cpu_alone) for one in asked]
    costs = [(one.rows, one.cpu) for one in asked]
    alone, many = line_through(costs_alone), line_through(costs)
    yield from _title(
        "Growth",
        "The gateway alone, answers of more and more rows to one client and to 16, the median of "
        f"five rounds in turns. By the straight line through those of up to {_ASKED_ROWS:,} rows "
        f"whose relative errors are least, a request costs {_line(alone, costs_alone)}, of 16 at "
        f"once {_line(many, costs)}; per row counts what is above the fixed cost. Asked: within "
        "15 % from 50 rows on. Memory is what the server grew by at most, divided by the 16 "
        "requests at once. Beats are of its event loop.",
    )
    yield from _table(
        (
            "rows",
            "answer, bytes",
            "CPU, ms",
            "per row, us",
            "of 16 at once, ms",
            "per row, us",
            "memory per request, KB",
            "longest beat within",
        ),
        (
            (
                f"{one.rows:,.0f}",
                f"{one.bytes:,}",
                _number(one.cpu_alone),
                f"{alone.per_row_of(one.rows, one.cpu_alone) * 1e3:.2f}",
                _number(one.cpu),
                f"{many.per_row_of(one.rows, one.cpu) * 1e3:.2f}",
                f"{one.memory / 1024:,.0f}",
                f"{one.longest_beat:g} ms",
            )
            for one in growth.sizes
        ),
        left=0,
    )
    yield from _title(
        "Clients",
        "The gateway alone, asked by many at once; every answer was complete and right.",
    )
    yield from _table(
        ("shape", "clients", "req/s", "p50, ms", "p99, ms", "CPU, ms"),
        (
            (
                one.shape,
                str(one.clients),
                _number(one.rate),
                _number(one.p50),
                _number(one.p99),
                _number(one.cpu),
            )
            for one in growth.crowds
        ),
        left=1,
    )


def _line(line: Line, costs: Sequence[tuple[int, float]]) -> str:
    within = line.deviation(costs) * 100
    return f"{line.fixed:.2f} ms and {line.per_row * 1e3:.2f} us a row, within {within:.0f} %"


def _cpu_of(measured: Measured) -> str:
    return _spread(spread([one.cpu for one in measured.rounds]))


def _speed(shapes: Sequence[ShapeResult]) -> Iterator[str]:
    yield from _title(
        "Requests per second and latency",
        "One process on one core, as many requests as it answers: latency is waiting for that "
        "core. Milliseconds over all rounds.",
    )
    yield from _table(
        (
            *("shape", "answer, bytes", "gateway, req/s", "p50", "p99"),
            *("ordinary, req/s", "p50", "p99"),
            *("hand-written, req/s", "p50", "p99"),
        ),
        (
            (
                shape.name,
                f"{shape.bytes:,}",
                *_speed_of(shape.servers[PRODUCT]),
                *_speed_of(shape.servers[ORDINARY]),
                *_speed_of(shape.servers[FLOOR]),
            )
            for shape in shapes
        ),
    )


def _speed_of(measured: Measured) -> tuple[str, str, str]:
    return (
        _number(measured.middle("rate")),
        _number(measured.percentile(0.50)),
        _number(measured.percentile(0.99)),
    )


def _database(shapes: Sequence[ShapeResult]) -> Iterator[str]:
    names = (PRODUCT, ORDINARY, FLOOR)
    yield from _title(
        "Statements, and PostgreSQL's CPU",
        "Per request; CPU in milliseconds of all of PostgreSQL's processes.",
    )
    yield from _table(
        (
            *("shape", "gateway, statements", "ordinary", "hand-written"),
            *("gateway, CPU", "ordinary", "hand-written"),
        ),
        (
            (
                shape.name,
                *(f"{shape.statements[name]:.1f}" for name in names),
                *(_number(shape.servers[name].middle("postgres_cpu")) for name in names),
            )
            for shape in shapes
        ),
    )


def _loop(shapes: Sequence[ShapeResult]) -> Iterator[str]:
    yield from _title(
        "The gateway's event loop under this load",
        "How late the heartbeat came, from /metrics. A histogram tells upper bounds; the worst "
        "round counts.",
    )
    yield from _table(
        ("shape", "99 % of beats within", "longest within", "beats later than 50 ms"),
        (
            (
                shape.name,
                f"{max(lag.p99 for lag in lags):g} ms",
                f"{max(lag.longest for lag in lags):g} ms",
                f"{sum(lag.stalls for lag in lags)} of {sum(lag.beats for lag in lags)}",
            )
            for shape in shapes
            if (lags := shape.servers[PRODUCT].lags)
        ),
    )


def _instruments(shapes: Sequence[ShapeResult]) -> Iterator[str]:
    if not shapes:
        return
    yield from _title(
        "Cost of metrics, logs and watchdog",
        f"Server CPU in milliseconds with and without them; {BUDGET} % are allowed. In pairs "
        "of new servers, since what one process takes differs from the next by more than that. The "
        "median of the pairs of rounds counts; where neighbors make noise, the cheapest rounds "
        "tell more.",
    )
    yield from _table(
        ("shape", "with", "without", "cost, median of pairs", "cost, cheapest rounds"),
        (
            (
                shape.name,
                _cpu_of(shape.servers[PRODUCT]),
                _cpu_of(shape.servers[UNINSTRUMENTED]),
                _cost(shape.ratio(PRODUCT, UNINSTRUMENTED)[0]),
                _cost(_least(shape, PRODUCT) / _least(shape, UNINSTRUMENTED)),
            )
            for shape in shapes
        ),
    )


def _least(shape: ShapeResult, server: str) -> float:
    return min(one.cpu for one in shape.servers[server].rounds)


def _cost(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f} %"


def _hotspots(results: Results) -> Iterator[str]:
    if not results.hotspots:
        return
    shapes = {shape.name: shape for shape in results.shapes}
    yield from _title(
        "Where the gateway's time goes",
        "Share of its CPU time by layer, from a sampler that looks some hundred times a second. "
        "Time in C counts to the Python code that called it.",
    )
    for name, found in results.hotspots.items():
        yield _sentence(name, found, shapes[name].servers[PRODUCT].middle("cpu"))
        yield ""
    columns = list(results.hotspots)
    layers = list(dict.fromkeys((*(layer for _, layer in LAYERS), LOOP, COLLECTOR)))
    yield from _table(
        ("layer", *columns),
        (
            (layer, *(_percent(results.hotspots[c].layers.get(layer, 0)) for c in columns))
            for layer in layers
        ),
    )


def _sentence(name: str, found: Hotspots, cpu: float) -> str:
    parts = [f"{layer} {_number(share * cpu)} ms" for layer, share in _largest(found.layers)]
    return f"{name} takes {_number(cpu)} ms: {', '.join(parts)}. ({found.samples:,} samples)"


def _largest(layers: dict[str, float], most: int = 4) -> list[tuple[str, float]]:
    return sorted(layers.items(), key=lambda item: -item[1])[:most]


def profile_page(name: str, found: Hotspots, cpu: float) -> str:
    """Return the profile of one shape in full; ``cpu`` is milliseconds per request."""
    lines = [f"# {name}: {_number(cpu)} ms of server CPU per request under the sampler"]
    for title, shares in (
        ("layers", list(found.layers.items())),
        ("functions, own time and C code they call", found.own),
        ("functions, with all they call", found.below),
    ):
        lines += ["", f"## By {title}", ""]
        lines += _table(
            ("", "share", "us per request"),
            ((what, _percent(share), f"{share * cpu * 1e3:.0f}") for what, share in shares),
        )
    return "\n".join([*lines, "", f"{found.samples:,} samples"])


def _title(title: str, explanation: str) -> Iterator[str]:
    yield from ("", f"## {title}", "", explanation, "")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    """Lay out a table; the first ``left`` columns are text, the others figures."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(header))]
    rule = [
        "-" * width if column < left else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    for row in (cells[0], rule, *cells[1:]):
        laid_out = (
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield f"| {' | '.join(laid_out)} |"


def _spread(values: tuple[float, float, float], unit: str = "") -> str:
    middle, least, greatest = map(_number, values)
    return f"{middle}{unit}" if least == greatest else f"{middle}{unit} ({least} to {greatest})"


def _number(value: float) -> str:
    """Return a figure with about three digits."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"

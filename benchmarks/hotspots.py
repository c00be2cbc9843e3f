"""Where the gateway's CPU time goes: the sampler's stacks, counted by layer and by function."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.load import Load

LOOP = "event loop, sockets, driver (C)"
COLLECTOR = "garbage collector"
LAYERS = (
    ("schema/engine/", "compiled plan"),
    ("<plan>", "compiled plan"),
    ("graphql/", "graphql-core"),
    ("strawberry/", "Strawberry"),
    ("resolvers/core/loader.py", "loaders"),
    ("aiodataloader", "loaders"),
    ("resolvers/core/metrics.py", "metrics, logs"),
    ("prometheus_client/", "metrics, logs"),
    ("structlog/", "metrics, logs"),
    ("gateway/observability/", "metrics, logs"),
    ("gateway/auth/", "authentication"),
    ("gateway/database.py", "database access"),
    ("gateway/context.py", "database access"),
    ("asyncpg/", "database access"),
    ("resolvers/", "relations, listings"),
    ("schema/core/execution.py", "operation"),
    ("schema/core/documents.py", "operation"),
    ("schema/core/limits.py", "operation"),
    ("schema/core/cost.py", "operation"),
    ("schema/", "fields, selection"),
    ("gateway/", "HTTP"),
    ("uvicorn/", "HTTP"),
    ("starlette/", "HTTP"),
)
"""Layers by the start of a file's path. The standard library counts to who called it."""

Function = tuple[str, str]
"""File and name."""
Times = Counter[str]
"""CPU seconds."""


@dataclass(frozen=True, slots=True)
class Hotspots:
    """Shares of the CPU time one shape took."""

    samples: int
    layers: dict[str, float]
    """The garbage collector is a layer of its own."""
    own: list[tuple[str, float]]
    """Functions with the most time spent in themselves and in C code they call."""
    below: list[tuple[str, float]]
    """Functions with the most time spent in themselves and in all they call."""


def hotspots(samples: Path, load: Load, *, most: int = 25) -> Hotspots:
    """Weigh the samples taken while ``load`` was measured.

    Raises:
        ValueError: there are none.

    """
    seen: dict[str, Any] = orjson.loads(samples.read_bytes())
    functions: list[Function] = [(file, name) for file, name in seen["functions"]]
    ended = load.began + load.seconds
    looks = [(cpu, stack) for at, cpu, stack in seen["samples"] if load.began <= at <= ended]
    if not looks:
        raise ValueError("No samples were taken while the load was measured.")
    collecting = sum(cpu for at, cpu in seen["collections"] if load.began <= at <= ended)
    base = common_end([stack for _, stack in looks])
    layers: Times = Counter({COLLECTOR: collecting})
    own: Times = Counter()
    below: Times = Counter()
    for cpu, codes in looks:
        stack = [functions[code] for code in codes[: len(codes) - base]]
        layers[layer_of(stack)] += cpu
        own[_told(stack[0]) if stack else LOOP] += cpu
        for told in {_told(function) for function in stack}:
            below[told] += cpu
    total = sum(layers.values())
    return Hotspots(
        samples=len(looks),
        layers=dict(_shares(layers, total)),
        own=_shares(own, total, most),
        below=_shares(below, total, most),
    )


def common_end(stacks: Sequence[Sequence[int]]) -> int:
    """Return how many outermost functions all stacks share: what runs the loop."""
    shared = 0
    for functions in zip(*(reversed(stack) for stack in stacks), strict=False):
        if len(set(functions)) > 1:
            break
        shared += 1
    return shared


def layer_of(stack: Iterable[Function]) -> str:
    """Return the layer of a stack: that of its innermost function in one."""
    for file, _ in stack:
        for start, layer in LAYERS:
            if file.startswith(start):
                return layer
    return LOOP


def _told(function: Function) -> str:
    file, name = function
    return f"{file.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}:{name}"


def _shares(times: Times, total: float, most: int | None = None) -> list[tuple[str, float]]:
    return [(name, time / total) for name, time in times.most_common(most)]

"""What one run found out, and under which circumstances: everything the page is written from."""

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.database import Database
from benchmarks.growth import Growth
from benchmarks.hotspots import Hotspots
from benchmarks.measure import Measured, Pace
from resolvers.core.clock import system_clock

ROOT = Path(__file__).parents[1]
MEASURED_CODE = ("gateway", "schema", "resolvers", "benchmarks", "requirements.lock")
LIBRARIES = ("strawberry-graphql", "graphql-core", "asyncpg", "uvicorn", "uvloop", "orjson")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When, where, on what."""

    date: str
    commit: str
    command: str
    processor: str
    cores: int
    kernel: str
    load_before: float
    """Load average of the last minute, before anything was started."""
    versions: dict[str, str]
    step: float
    """Nanoseconds in which Python makes an object, calls a function and fills a dictionary: builds
    of one version differ by half."""
    rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class ShapeResult:
    """One shape on all servers."""

    name: str
    meaning: str
    bytes: int
    """Length of the answer, the middle one of those to all variables."""
    statements: dict[str, float]
    servers: dict[str, Measured]

    def ratio(self, server: str, floor: str) -> tuple[float, float, float]:
        """Return the CPU of one server to that of another: median, least, greatest of rounds."""
        pairs = zip(self.servers[server].rounds, self.servers[floor].rounds, strict=True)
        return spread([one.cpu / other.cpu for one, other in pairs])


@dataclass(frozen=True, slots=True)
class Results:
    """One run."""

    circumstances: Circumstances
    pace: Pace
    shapes: list[ShapeResult]
    instruments_pace: Pace
    instruments: list[ShapeResult]
    """The gateway with and without its instruments."""
    hotspots: dict[str, Hotspots]
    """By shape."""
    missing: dict[str, str]
    """Peers that could not be measured, and why."""
    growth: Growth | None


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the least and the greatest."""
    return median(values), min(values), max(values)


def circumstances(database: Database, command: str, load_before: float) -> Circumstances:
    """Look at the machine and the checkout."""
    return Circumstances(
        date=system_clock().date().isoformat(),
        commit=_commit(),
        command=command,
        processor=_processor(),
        cores=os.cpu_count() or 1,
        kernel=f"{platform.system()} {platform.release()}",
        load_before=load_before,
        versions={
            "Python": platform.python_version(),
            "PostgreSQL": database.version,
            **{name: version(name) for name in LIBRARIES},
        },
        step=_step(),
        rows=database.rows,
    )


class _Thing:
    __slots__ = ("entries", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.entries: dict[str, int] = {}


def _sum(one: int, other: int) -> int:
    return one + other


def _step() -> float:
    """Return how long this build of Python takes for a step of ordinary work."""
    steps, found = 20_000, []
    for _ in range(15):
        total, started = 0, time.process_time_ns()
        for number in range(steps):
            thing = _Thing(number)
            thing.entries["sum"] = total = _sum(thing.number, total)
        found.append((time.process_time_ns() - started) / steps)
    return min(found)


def _commit() -> str:
    """Return the commit that is measured, and whether what is measured differs from it."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return "unknown"
    commit = _git("rev-parse", "--short", "HEAD").strip()
    changed = _git("status", "--porcelain", "--", *MEASURED_CODE).strip()
    return f"{commit}, changed" if changed else commit


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()

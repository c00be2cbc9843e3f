"""Processes on Linux: which core they run on, and how much of it they used."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROC = Path("/proc")
_WHOLE_PROCESS = 2
"""CPUCLOCK_SCHED: what the scheduler counted, user and system, all threads."""


def seconds_used(pid: int) -> float:
    """Return the CPU seconds a process has used so far, to the nanosecond.

    clock_getcpuclockid(3) makes the clock of another process from its id like this.
    """
    return time.clock_gettime((~pid << 3) | _WHOLE_PROCESS)


def resident_bytes(pid: int) -> int:
    """Return the memory of a process that is not swapped out."""
    pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """Return the processes that ``pid`` started and that still run."""
    text = (PROC / str(pid) / "task" / str(pid) / "children").read_text()
    return [int(child) for child in text.split()]


def parent(pid: int) -> int:
    """Return the process that started ``pid``."""
    return int(_stat(pid)[1])


def family_seconds_used(pid: int) -> float:
    """Return the CPU seconds of a process and its children, ended ones included."""
    ticks = int(_stat(pid)[13]) + int(_stat(pid)[14])
    ended = ticks / os.sysconf("SC_CLK_TCK")
    return ended + sum(_seconds_or_none(member) for member in (pid, *children(pid)))


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat behind the name, which may hold spaces itself."""
    return (PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()


def _seconds_or_none(pid: int) -> float:
    try:
        return seconds_used(pid)
    except OSError:  # it ended since it was listed
        return 0.0


def core_seconds_busy(core: int) -> float:
    """Return the seconds a core ran processes since the machine started, or was taken from it.

    What the kernel did about the network in between is left out: that is our own traffic.
    """
    for line in (PROC / "stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _waiting, _irq, _softirq, steal = map(int, ticks[:8])
            return (user + nice + system + steal) / os.sysconf("SC_CLK_TCK")
    raise LookupError(f"There is no core {core}.")


@contextmanager
def pinned(pids: list[int], cores: set[int]) -> Iterator[None]:
    """Keep processes on ``cores`` for as long as the block lasts; those that end are let go."""
    before: dict[int, set[int]] = {}
    for pid in pids:
        with suppress(ProcessLookupError):
            before[pid] = os.sched_getaffinity(pid)
            os.sched_setaffinity(pid, cores)
    try:
        yield
    finally:
        for pid, allowed in before.items():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(pid, allowed)

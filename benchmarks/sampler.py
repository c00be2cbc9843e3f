"""A statistical profiler of CPU time on the standard library.

The kernel interrupts the process as it uses CPU time, up to as many times a second as its clock
ticks, and the handler notes the stack with the CPU time since the last look: C code cannot be
interrupted, so looks come late and in uneven steps. Time in C counts to the Python code that called
it; time in C that no Python code called, such as sockets and rows read by the driver, to the loop.
The garbage collector, which interrupts whatever runs, is timed by itself.
"""

import gc
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, Self

import orjson

INTERVAL = 0.001
"""Seconds of CPU time between samples that are asked for; kernels give 100 to 1,000 a second."""


class Sampler:
    """Samples the main thread's stack between entering and leaving, and times the collector."""

    def __init__(self) -> None:
        self._codes: dict[CodeType, int] = {}
        self._samples: list[tuple[float, float, tuple[int, ...]]] = []
        """When, CPU seconds since the sample before without the collector's, and the stack."""
        self._collections: list[tuple[float, float]] = []
        """When, and CPU seconds."""
        self._looked = 0.0
        self._collecting = 0.0
        self._collected_since = 0.0

    def __enter__(self) -> Self:
        self._looked = time.process_time()
        gc.callbacks.append(self._collect)
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        gc.callbacks.remove(self._collect)

    def _look(self, _signal: int, frame: FrameType | None) -> None:
        now = time.process_time()
        if frame is not None and frame.f_code is Sampler._collect.__code__:
            frame = frame.f_back
        stack = tuple(self._code(code) for code in _codes(frame))
        passed = max(0.0, now - self._looked - self._collected_since)
        self._samples.append((time.monotonic(), passed, stack))
        self._looked, self._collected_since = now, 0.0

    def _code(self, code: CodeType) -> int:
        return self._codes.setdefault(code, len(self._codes))

    def _collect(self, phase: str, _info: dict[str, int]) -> None:
        now = time.process_time()
        if phase == "start":
            self._collecting = now
        else:
            took = now - self._collecting
            self._collections.append((time.monotonic(), took))
            self._collected_since += took

    def write(self, file: Path) -> None:
        """Write what was seen as JSON: functions, and samples that name them, innermost first."""
        functions = [_place(code) for code in self._codes]
        seen: dict[str, Any] = {
            "functions": functions,
            "samples": self._samples,
            "collections": self._collections,
        }
        file.write_bytes(orjson.dumps(seen))


def _codes(frame: FrameType | None) -> Iterator[CodeType]:
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def _place(code: CodeType) -> tuple[str, str]:
    """Return the file of a function, from the folder it is imported from, and its name."""
    file = Path(code.co_filename)
    for folder in sorted(sys.path, key=len, reverse=True):
        if folder and file.is_relative_to(folder):
            return file.relative_to(folder).as_posix(), code.co_qualname
    return file.name, code.co_qualname

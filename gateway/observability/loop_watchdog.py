"""Notices when the event loop stops answering, and shows what it was doing.

The loop beats; a thread listens. A late beat is counted. While a beat is very late, the thread
writes the stack of the loop's thread to the log, so that the line names the code that blocks and
not the code that suffers. Works on uvloop, which has no slow-callback report outside debug mode.
"""

import asyncio
import sys
import threading
import time
import traceback
from typing import Final

import structlog

from resolvers.core.metrics import Metrics

_FRAMES_SHOWN: Final = 20


class LoopWatchdog:
    """Watches the running event loop between `start` and `stop`. One per loop.

    A beat later than ``stall_seconds`` counts as a stall; one later than ``report_seconds`` is
    logged with the stack. The beat comes every ``beat_seconds``, so a block is measured at most
    that much too short. All of it costs the loop a few microseconds a beat.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        beat_seconds: float = 0.02,
        stall_seconds: float = 0.05,
        report_seconds: float = 0.25,
    ) -> None:
        self._metrics = metrics
        self._beat_seconds = beat_seconds
        self._stall_seconds = stall_seconds
        self._report_seconds = report_seconds
        self._log = structlog.get_logger("loop_watchdog")
        self._stopping = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._loop_thread = 0
        self._due = 0.0
        self._reported_due = 0.0

    def start(self) -> None:
        """Begin to watch the running loop.

        Raises:
            RuntimeError: no loop is running.

        """
        loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stopping.clear()
        self._schedule(loop)
        threading.Thread(target=self._listen, name="loop-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop watching; call it on the watched loop. The thread ends by itself, at once."""
        if self._timer is not None:
            self._timer.cancel()
        self._stopping.set()

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = time.monotonic() + self._beat_seconds
        self._timer = loop.call_later(self._beat_seconds, self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Record how late this beat is, and order the next."""
        late = max(time.monotonic() - self._due, 0.0)
        self._metrics.loop_lagged(late, stalled=late > self._stall_seconds)
        if late > self._report_seconds:
            self._report_end(late)
        self._schedule(loop)

    def _report_end(self, late: float) -> None:
        if self._reported_due == self._due:
            self._log.warning("event loop answers again", blocked_seconds=round(late, 3))
        else:
            self._log.warning(
                "event loop was blocked",
                blocked_seconds=round(late, 3),
                stack="not seen: the process was paused, or one call held the interpreter",
            )

    def _listen(self) -> None:
        """Look at the beat from the thread; report each late one once."""
        pause = self._report_seconds / 5
        woken = time.monotonic()
        while not self._stopping.wait(pause):
            before, woken = woken, time.monotonic()
            due = self._due
            late = woken - due
            if late < self._report_seconds or due == self._reported_due:
                continue
            # A thread that overslept too cannot blame the loop: by now the stack is innocent.
            if woken - before - pause < self._report_seconds:
                self._reported_due = due
                self._report_stack(late)

    def _report_stack(self, late: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - the only way to see another thread's stack
        if frame is None:
            return
        where = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        stack = traceback.format_stack(frame)[-_FRAMES_SHOWN:]
        self._log.warning(
            "event loop blocked",
            blocked_seconds=round(late, 3),
            where=where,
            stack="".join(stack),
        )

"""The time an execution may take, for thousands of executions a second.

`asyncio.timeout` sets and takes back a timer of the event loop for each. Executions all have the
same time, so those that begin first are out of time first: one timer, for the oldest, is enough.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Self


class Deadlines:
    """Ends blocks that take longer than ``seconds``; None for no limit. For one event loop."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.running: deque[Deadline] = deque()
        """Those that were begun, oldest first; some may be over."""
        self.timer: asyncio.TimerHandle | None = None
        """Ends the oldest, when its time is over."""

    def begin(self) -> "Deadline":
        """Return a context whose block is canceled, and raises TimeoutError, when time is over."""
        return Deadline(self)

    def expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what is out of time, and wait for the next that is not over."""
        self.timer = None
        now = loop.time()
        while self.running:
            oldest = self.running[0]
            if oldest.task is not None:
                if oldest.at > now:
                    self.timer = loop.call_at(oldest.at, self.expire, loop)
                    return
                oldest.expired = True
                oldest.task.cancel()
            self.running.popleft()


class Deadline:
    """The deadline of one block; ``expired`` tells that the block was ended by it."""

    __slots__ = ("_cancelling", "_deadlines", "at", "expired", "task")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self.at = 0.0
        self.expired = False
        self.task: asyncio.Task[object] | None = None
        """The task to cancel; None once the block is over."""

    def __enter__(self) -> Self:
        seconds = self._deadlines.seconds
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self.task = task = asyncio.current_task()
            assert task is not None, "executions run in tasks"
            self._cancelling = task.cancelling()
            self.at = loop.time() + seconds
            deadlines, running = self._deadlines, self._deadlines.running
            while running and running[0].task is None:
                running.popleft()
            running.append(self)
            if deadlines.timer is None:
                deadlines.timer = loop.call_at(self.at, deadlines.expire, loop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self.task = self.task, None
        if (
            self.expired
            and task is not None
            # whoever else canceled the task still gets it canceled
            and task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error

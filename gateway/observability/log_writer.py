"""Lines to a stream, from a thread of their own: a reader that stalls must not stall the loop."""

import threading
from collections import deque
from typing import BinaryIO

import orjson


class LogWriter:
    """Writes lines to a stream from its own thread.

    Holds at most ``capacity`` lines; what a stalled stream leaves no room for is dropped and
    counted, and the count is written once there is room. Lines wait at most ``pause_seconds``
    for others to go with them.
    """

    def __init__(
        self, stream: BinaryIO, *, capacity: int = 10_000, pause_seconds: float = 0.02
    ) -> None:
        self._stream = stream
        self._capacity = capacity
        self._pause_seconds = pause_seconds
        self._lines: deque[bytes] = deque()
        self._dropped = 0
        self._waiting = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Accept one line without its line end; returns at once."""
        if len(self._lines) >= self._capacity:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._waiting.is_set():
            self._waiting.set()

    def close(self, timeout_seconds: float = 2.0) -> None:
        """Write what is left and end the thread; gives up on a stalled stream after the timeout."""
        self._closing.set()
        self._waiting.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._waiting.wait()
            self._closing.wait(self._pause_seconds)
            self._waiting.clear()
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            lines.append(
                orjson.dumps({"event": "log lines dropped", "level": "warning", "lines": dropped})
            )
        if not lines:
            return
        try:
            self._stream.write(b"\n".join(lines) + b"\n")
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads us any more; a log that cannot be written has nowhere to say so.
            return

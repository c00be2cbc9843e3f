"""Telling a person at a terminal, or a log, which step runs and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status


class Steps:
    """Prints steps on standard error, so that standard output holds results alone."""

    def __init__(self) -> None:
        self._results = Console(highlight=False, soft_wrap=True, markup=False)
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
        self._status: Status | None = None

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show that a step runs, and how long it took when it is done."""
        started = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(title) as self._status:
                yield
            self._status = None
        else:
            self._console.print(f"{title} ...")
            yield
        self._console.print(f"{title:20} {time.monotonic() - started:6.1f} s")

    def say(self, sentence: str) -> None:
        """Print a sentence about the step that runs."""
        self._console.print(f"  {sentence}", style="dim")

    def count(self, what: str, done: int, total: int) -> None:
        """Show how far the step has come; on a terminal only."""
        if self._status is not None:
            self._status.update(f"{what} {done}/{total}")

    def tell(self, *lines: str) -> None:
        """Print a result on standard output."""
        for line in lines:
            self._results.print(line)

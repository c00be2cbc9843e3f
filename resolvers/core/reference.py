"""Reference data: what a process keeps of it, and how the database tells that it changed."""

import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from sqlalchemy import Table

REFERENCE_CHANNEL: Final = "erp_reference_changed"
"""The trigger notifies here, with the table's name, when a change of reference data commits."""

_MOST_SETS: Final = 256
"""Sets of columns and callers that rows are kept for; one more makes room by forgetting all."""
Rows: TypeAlias = dict[Any, Any]
"""Rows by key."""

REFERENCE_CHANGED: Final = f"""
create function erp_reference_changed() returns trigger language plpgsql as $$
begin
  perform pg_notify('{REFERENCE_CHANNEL}', tg_table_name);
  return null;
end $$
"""
"""Called once per statement, whoever wrote it; PostgreSQL sends equal notifications once."""


def reference_trigger(table: Table) -> str:
    """Return the statement that makes every change of ``table`` tell about itself."""
    return (
        f"create trigger reference_changed after insert or update or delete or truncate "
        f"on {table.name} for each statement execute function erp_reference_changed()"
    )


class ReferenceCache:
    """What one process keeps of reference data, for as long as it hears of changes.

    ``clock`` returns seconds that only grow. Whoever listens to the database calls `trust` each
    time it has heard from it; when that stops, nothing is answered from memory any more.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._sets: dict[Any, Rows] = {}
        self.hits = 0
        """Rows answered from memory."""
        self.misses = 0
        """Keys that had to be asked for."""

    @property
    def size(self) -> int:
        """Number of rows kept."""
        return sum(map(len, tuple(self._sets.values())))

    @property
    def hit_ratio(self) -> float:
        """Share of the keys asked for that were answered from memory, from 0 to 1."""
        return self.hits / max(1, self.hits + self.misses)

    def trust(self, seconds: float) -> None:
        """Answer from memory for ``seconds`` from now on: every change so far has been heard of."""
        self._until = max(self._until, self._clock() + seconds)

    def distrust(self) -> None:
        """Answer nothing from memory until trusted again: changes may go unheard."""
        self._until = float("-inf")
        self.forget()

    def forget(self) -> None:
        """Read every row anew when it is next asked for, also those being read now."""
        self._sets = {}

    def rows(self, *shape: Any) -> Rows | None:
        """Return the rows kept for ``shape``, to be looked up and added to; None while untrusted.

        What is added after `forget` was called in between is added to nothing.
        """
        if self._clock() >= self._until:
            return None
        found = self._sets.get(shape)
        if found is None:
            if len(self._sets) >= _MOST_SETS:
                self.forget()
            found = self._sets[shape] = {}
        return found

"""When Python looks for garbage: rarely, where objects are many and hold no cycles."""

import gc
from typing import Final

_RARELY: Final = (100_000, 20, 50)
"""Thresholds of the three generations."""


def collect_rarely() -> None:
    """Keep the collector from starting for every few objects, none of which is garbage.

    With Python's defaults a quarter of the time until a gateway serves went here, and as much of
    that of a large answer, of demo data and of imports.
    """
    gc.set_threshold(*_RARELY)


def settle_memory() -> None:
    """Keep the collector from walking what stays for ever: schema, plans and modules."""
    gc.collect()
    gc.freeze()

"""How one operation was answered, statement by statement; recorded only when it was asked for."""

from dataclasses import dataclass, field
from typing import NamedTuple


class TracedStatement(NamedTuple):
    """One statement of a traced operation."""

    at: str
    """Response names that lead to the field it was for; empty where that is not known."""
    name: str
    """What was read: the name of a relation or a list."""
    keys: int | None
    """Parents it was for, None where it was for none."""
    rows: int
    seconds: float


@dataclass(slots=True)
class Trace:
    """The statements of one operation in order, and how it came to them."""

    at: str = ""
    """Where the next statement belongs; set by compiled plans."""
    compiled: bool = False
    """Whether a plan answered; with reasons beside it, a plan for a part."""
    reasons: list[str] = field(default_factory=list)
    """Why ordinary execution had to answer."""
    statements: list[TracedStatement] = field(default_factory=list)

"""How a module of the ERP introduces itself to the layers that run it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Table


@dataclass(frozen=True, slots=True)
class Invariant:
    """A statement that must return no row; `python -m gateway verify` runs them all.

    ``hint`` tells an operator what a returned row means and how to repair it. ``rebuild`` is a
    statement that does it, where a row keeps a sum and what it is the sum of is right.
    """

    name: str
    sql: str
    hint: str
    rebuild: str | None = None


@dataclass(frozen=True, slots=True)
class DataModule:
    """The resolvers' half of a module: its tables, SQL functions and invariants.

    ``functions`` are SQL functions and triggers in creation order; ``permissions`` maps each
    permission the module defines to the sentence that explains it.
    """

    name: str
    tables: tuple[Table, ...]
    functions: tuple[str, ...] = ()
    invariants: tuple[Invariant, ...] = ()
    permissions: Mapping[str, str] = field(default_factory=dict)

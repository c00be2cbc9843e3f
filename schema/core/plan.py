"""What a field needs from its parent's row, and how it is answered: the one declaration of a field.

Ordinary execution reads through these plans and the selection of columns is derived from them;
compiled execution generates its code from the same plans.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import strawberry
from strawberry.types.field import StrawberryField

from resolvers.core.aggregation import Aggregation, GroupRequest
from resolvers.core.listing import Listing
from resolvers.core.principal import Principal
from resolvers.core.relation import Relation
from schema.core.ids import encode_id

PLAN = "erp.plan"
"""Key of a field's plan in its metadata."""
REQUIRES = "erp.requires"
"""Key of the permission a field requires in its metadata."""


class Plan(Protocol):
    """How one field is answered; ``needs`` are the columns it reads of its parent's row."""

    @property
    def needs(self) -> frozenset[str]:
        """Return the columns of the parent's row the field reads."""
        ...


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """The value of one column."""

    column: str

    @property
    def needs(self) -> frozenset[str]:
        """Return the column."""
        return frozenset({self.column})

    def read(self, row: Any) -> Any:
        """Return the value in ``row``."""
        return row[self.column]


@dataclass(frozen=True, slots=True)
class IdPlan:
    """The global id: the type's name and the row's key."""

    type_name: str
    column: str = "id"

    @property
    def needs(self) -> frozenset[str]:
        """Return the key column."""
        return frozenset({self.column})

    def read(self, row: Any) -> str:
        """Return the id of ``row``."""
        return encode_id(self.type_name, row[self.column])


@dataclass(frozen=True, slots=True)
class MoneyPlan:
    """An amount column with its currency column, as the type that ``make`` makes of them."""

    amount: str
    currency: str
    make: Callable[[Any, Any], Any]

    @property
    def needs(self) -> frozenset[str]:
        """Return both columns."""
        return frozenset({self.amount, self.currency})

    def read(self, row: Any) -> Any:
        """Return the money in ``row``, None where there is no amount."""
        amount = row[self.amount]
        return None if amount is None else self.make(amount, row[self.currency])


@dataclass(frozen=True, slots=True)
class ComputedPlan:
    """A value computed from columns by a pure function of the row."""

    needs: frozenset[str]
    compute: Callable[[Any], Any]

    def read(self, row: Any) -> Any:
        """Return the computed value of ``row``."""
        return self.compute(row)


@dataclass(frozen=True, slots=True)
class RelationPlan:
    """The rows a relation finds for the parent's ``key`` column.

    ``bind`` turns the field's GraphQL arguments into the relation's arguments.
    """

    relation: Relation
    key: str
    bind: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]] | None = None

    @property
    def needs(self) -> frozenset[str]:
        """Return the key column."""
        return frozenset({self.key})


@dataclass(frozen=True, slots=True)
class ListedPlan:
    """The rows a to-one relation finds for the ids in the parent's ``ids`` column, in order."""

    relation: Relation
    ids: str

    @property
    def needs(self) -> frozenset[str]:
        """Return the column of ids."""
        return frozenset({self.ids})


@dataclass(frozen=True, slots=True)
class AnyRelationPlan:
    """The object, of one of several types, that two columns name: a word for its type, and its key.

    See `schema.core.kinds`.
    """

    kind: str
    key: str

    @property
    def needs(self) -> frozenset[str]:
        """Return both columns."""
        return frozenset({self.kind, self.key})


@dataclass(frozen=True, slots=True)
class HeldPlan:
    """The row, or the list of rows, that the parent's row holds itself in a column.

    Rows yield columns by name; all that the field's type can ask for.
    """

    column: str

    @property
    def needs(self) -> frozenset[str]:
        """Return the column."""
        return frozenset({self.column})


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What a root field's own function fetches: a row, or rows with None where one is missing.

    ``fetch(context, columns, **arguments)`` returns rows that yield ``columns`` by name.
    """

    name: str
    fetch: Callable[..., Awaitable[Any]]
    needs: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class ChoicePlan:
    """What a root field fetches whose type is known only with the row: (type name, row) or None.

    ``fetch(context, columns_of, **arguments)``; ``columns_of(type_name)`` are the columns wanted of
    a row of that type.
    """

    name: str
    fetch: Callable[..., Awaitable[tuple[str, Any] | None]]
    needs: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class ConnectionPlan:
    """A page of a listing; of the parent's rows when ``parent`` names the column for it."""

    listing: Listing
    parent: str | None = None
    key: str = "id"
    needs: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class PartPlan:
    """An object of columns of the same row, whose names begin with ``prefix`` there.

    Those in ``shared`` are called the same in the row and in all its parts.
    """

    prefix: str
    shared: frozenset[str] = frozenset()
    needs: frozenset[str] = field(default_factory=frozenset)

    def column(self, name: str) -> str:
        """Return what a column of the part is called in the row."""
        return name if name in self.shared else self.prefix + name

    def within(self, plan: Plan | None) -> Plan | None:
        """Return the plan of a field of the part as one on the row, None where there is none."""
        match plan:
            case ColumnPlan():
                return ColumnPlan(self.column(plan.column))
            case MoneyPlan():
                return MoneyPlan(self.column(plan.amount), self.column(plan.currency), plan.make)
            case _:
                return None


@dataclass(frozen=True, slots=True)
class AggregatesPlan:
    """The groups of a list; ``ask`` makes a request of the field's arguments, for a caller."""

    aggregation: Aggregation
    ask: Callable[[Mapping[str, Any], Principal], GroupRequest]
    needs: frozenset[str] = field(default_factory=frozenset)


def plan_of(definition: Any) -> Plan | None:
    """Return the plan of a Strawberry field, if it has one."""
    plan: Plan | None = definition.metadata.get(PLAN)
    return plan


def fields_by_statement(schema: strawberry.Schema) -> dict[str, list[str]]:
    """Return the fields that each relation and each list is read for, by the statement's name."""
    found: dict[str, list[str]] = {}
    for type_ in schema.schema_converter.type_map.values():
        for definition in getattr(type_.definition, "fields", ()):
            plan = plan_of(definition) if isinstance(definition, StrawberryField) else None
            match plan:
                case RelationPlan(relation=relation) | ListedPlan(relation=relation):
                    name = relation.name
                case ConnectionPlan(listing=listing, parent=parent):
                    name = listing.statement_name(parent)
                case _:
                    continue
            field_name = schema.config.name_converter.from_field(definition)
            where = getattr(type_.implementation, "name", "")
            found.setdefault(name, []).append(f"{where}.{field_name}")
    return found

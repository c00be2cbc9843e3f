"""How a module of the schema introduces itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType

from strawberry.types.scalar import ScalarDefinition


@dataclass(frozen=True, slots=True, eq=False)
class SchemaModule:
    """The schema's half of a module: classes whose fields become root fields. There is one of each.

    ``types`` are object types no field returns by name, such as implementations of an interface.
    """

    name: str
    query: type | None = None
    mutation: type | None = None
    subscription: type | None = None
    types: tuple[type, ...] = ()
    scalars: Mapping[object, ScalarDefinition] = field(default_factory=dict)
    """What the scalars of the module are in the schema, by their Python types."""
    extensions: ModuleType | None = None
    """The module whose import adds fields to lower modules' types."""

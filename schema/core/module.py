"""How a module of the schema introduces itself."""

from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True, slots=True)
class SchemaModule:
    """The schema's half of a module: classes whose fields become root fields.

    ``types`` are object types no field returns by name, such as implementations of an interface.
    """

    name: str
    query: type | None = None
    mutation: type | None = None
    subscription: type | None = None
    types: tuple[type, ...] = ()
    extensions: ModuleType | None = None
    """The module whose import adds fields to lower modules' types."""

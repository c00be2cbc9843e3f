"""Types that are nodes: one entity each, refetchable by global id."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import strawberry

from resolvers.core.entity import Entity
from resolvers.core.relation import Relation, by_key

T = TypeVar("T", bound=type)


@strawberry.interface(description="An object that can be fetched again by its id.")
class Node:
    """Relay's Node (https://relay.dev/graphql/objectidentification.htm)."""

    id: strawberry.ID = strawberry.field(
        description="Opaque id, unique across all types; pass it back as it is."
    )


@dataclass(frozen=True, slots=True)
class NodeType:
    """What `node(id:)` knows of a type: its class, its entity and the permission to read it."""

    python_type: Any
    entity: Entity
    by_id: Relation
    requires: str | None


NODE_TYPES: dict[str, NodeType] = {}
"""Every node type by its GraphQL name; filled as the modules' types are defined."""

_NODE = "__erp_node__"
"""Attribute of a node type's class: what is known of it."""


def node_type(entity: Entity, description: str, *, requires: str | None) -> Callable[[T], T]:
    """Define a GraphQL type over ``entity`` that `node(id:)` can fetch.

    ``requires`` is the permission without which `node(id:)` finds nothing; None for types that
    every caller may read.
    """

    def define(cls: T) -> T:
        made = strawberry.type(cls, name=entity.name, description=description)
        node = NODE_TYPES[entity.name] = NodeType(made, entity, by_key(entity), requires)
        setattr(made, _NODE, node)
        return made

    return define


def node_of(type_: type) -> NodeType | None:
    """Return what is known of a type's class, if it is that of a node type."""
    node: NodeType | None = vars(type_).get(_NODE)
    return node


def row_type(name: str, description: str) -> Callable[[T], T]:
    """Define a GraphQL type over rows that have no id of their own."""

    def define(cls: T) -> T:
        return strawberry.type(cls, name=name, description=description)

    return define

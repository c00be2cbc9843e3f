"""Fields whose objects are of several types: an interface or a union of node types.

A row names such an object by two columns: a word for its type, and its key. The word is the name of
the type in capitals, SALES_ORDER for SalesOrder. Which types there are follows from the schema, so
a higher module adds one by implementing the interface.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from graphql import GraphQLAbstractType, GraphQLObjectType, GraphQLSchema, get_named_type

from resolvers.core.principal import Principal
from schema.core.fields import declare_field, origin_of
from schema.core.info import Info, core_info
from schema.core.node import NodeType, node_of
from schema.core.plan import AnyRelationPlan
from schema.core.selection import wanted_columns

_WORDS = re.compile("(?<=[a-z0-9])(?=[A-Z])")


def kind_of(type_name: str) -> str:
    """Return the word for a type: SALES_ORDER for SalesOrder."""
    return _WORDS.sub("_", type_name).upper()


@lru_cache
def kinds(
    schema: GraphQLSchema, type_: GraphQLAbstractType
) -> Mapping[str, tuple[GraphQLObjectType, NodeType]]:
    """Return the types an object may have, by their words.

    Raises:
        TypeError: one of them is no node type, so there is no way to its rows.

    """
    found = {}
    for possible in sorted(schema.get_possible_types(type_), key=lambda possible: possible.name):
        node = node_of(origin_of(possible))
        if node is None:
            raise TypeError(f"{possible.name} is no node type, so {type_.name} cannot lead to it.")
        found[kind_of(possible.name)] = possible, node
    return found


def may_read(node: NodeType, principal: Principal) -> bool:
    """Tell whether a caller is told of objects of a type."""
    return node.requires is None or principal.can(node.requires)


def related_any(description: str, kind: str, key: str, *, requires: str | None = None) -> Any:
    """Declare a relation to one object of several types, named by the columns ``kind`` and ``key``.

    The field has to be nullable: it is null when ``kind`` names no type of it or a type the caller
    may not read, and when there is no such row for the caller. Each type met is one statement for
    all parents.
    """

    async def resolve(root: Any, info: Info) -> Any:
        raw = core_info(info)
        abstract: Any = get_named_type(raw.return_type)
        known = kinds(raw.schema, abstract).get(root.row[kind])
        value = root.row[key]
        if known is None or value is None:
            return None
        type_, node = known
        if not may_read(node, info.context.principal):
            return None
        loader = node.by_id.loader(info.context, {})
        return origin_of(type_).of(await loader.load(value, wanted_columns(raw, type_)))

    return declare_field(
        description, plan=AnyRelationPlan(kind, key), requires=requires, resolver=resolve
    )

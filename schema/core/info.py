"""The resolver's view of the running operation, typed with our context."""

import strawberry
from graphql import GraphQLResolveInfo

from resolvers.core.context import Context

Info = strawberry.Info[Context, None]
CoreInfo = GraphQLResolveInfo[Context]


def core_info(info: Info) -> CoreInfo:
    """Return graphql-core's info behind Strawberry's: the nodes, types and schema of the field."""
    return info._raw_info  # noqa: SLF001 - Strawberry offers no other way to the return type

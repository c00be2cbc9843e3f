"""Root fields of identity."""

from typing import Any

import strawberry

from resolvers.core.context import Context
from resolvers.identity.loaders import company_by_id
from resolvers.identity.reads import api_clients, users
from schema.core.connection import Connection, connection
from schema.core.fields import fetched, find
from schema.identity.types import ApiClient, Company, User, Viewer


@strawberry.type
class Query:
    """Root fields of this module."""

    @fetched("The caller: who the credential says you are, and what you may do.")
    async def me(context: Context, columns: frozenset[str]) -> Viewer:
        """Describe the principal; takes no statement."""
        principal = context.principal
        viewer: Any = {
            "name": principal.name,
            "kind": principal.kind,
            "permissions": sorted(principal.permissions),
            "company_codes": [access.code for access in principal.companies],
        }
        return viewer

    @fetched("The company acted for.")
    async def company(context: Context, columns: frozenset[str]) -> Company:
        """Load the caller's company."""
        return await find(context, company_by_id, context.principal.company_id, columns)

    users: Connection[User] | None = connection(
        "Users with a role in the company.", users, requires="users.read"
    )
    api_clients: Connection[ApiClient] | None = connection(
        "Programs with an API key of the company.", api_clients, requires="users.read"
    )

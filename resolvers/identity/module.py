"""Introduces companies, users and API clients to the registry."""

from resolvers.core.module import DataModule
from resolvers.identity.tables import (
    CLIENT_ACCESS,
    TOKEN_REVOKED,
    USER_ACCESS,
    api_client,
    app_user,
    company,
    revoked_token,
    role,
    role_permission,
    user_role,
)

MODULE = DataModule(
    name="identity",
    tables=(company, app_user, role, role_permission, user_role, api_client, revoked_token),
    functions=(USER_ACCESS, CLIENT_ACCESS, TOKEN_REVOKED),
    permissions={
        "users.read": "See the users of the company and their roles.",
        "audit.read": "See the audit trail.",
        "operations.trace": "See how an operation was answered: statements, rows and times.",
    },
)

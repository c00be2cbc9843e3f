"""What the database says about a caller: which companies, which permissions, which partner.

Asked before it is known which company the caller acts for, through functions that run with their
owner's rights (`resolvers.identity.tables`), so the connection needs no company set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from resolvers.core.principal import CompanyAccess, Principal

# An identity is asked about together with its token, so that one statement answers for both.
_USER: Final = """
select user_id, display_name, company_id, company_code, permissions
from user_access($1)
where not token_revoked($2)
"""

_CLIENT: Final = """
select client_id, name, key_hash, partner_id, company_id, company_code, permissions
from client_access($1)
"""


class Fetch(Protocol):
    """Runs one statement as the serving role, on a connection that need not be set to a company."""

    async def __call__(self, sql: str, /, *arguments: Any) -> Sequence[Any]:
        """Return the rows, each a sequence in the order of the statement's columns."""
        ...


@dataclass(frozen=True, slots=True)
class UserAccess:
    """A user who may sign in, and the companies that are open to them; at least one."""

    actor: str
    name: str
    companies: tuple[CompanyAccess, ...]


@dataclass(frozen=True, slots=True)
class ClientAccess:
    """An API client that may call, and the hash its key must have."""

    key_hash: bytes
    principal: Principal


async def user_access(fetch: Fetch, email: str, token_id: str | None) -> UserAccess | None:
    """Return what a user may do, or None for nobody: unknown, archived, roleless, token revoked."""
    rows = await fetch(_USER, email, token_id)
    if not rows:
        return None
    user_id, name, *_ = rows[0]
    companies = tuple(
        CompanyAccess(company_id, code, frozenset(permissions))
        for _, _, company_id, code, permissions in rows
    )
    return UserAccess(f"user:{user_id}", name, companies)


async def client_access(fetch: Fetch, prefix: str) -> ClientAccess | None:
    """Return what the API client with this key prefix may do, or None: unknown or withdrawn."""
    rows = await fetch(_CLIENT, prefix)
    if not rows:
        return None
    client_id, name, key_hash, partner_id, company_id, company_code, permissions = rows[0]
    access = CompanyAccess(company_id, company_code, frozenset(permissions))
    principal = Principal(
        kind="client",
        actor=f"client:{client_id}",
        name=name,
        access=access,
        companies=(access,),
        credential=f"key:{prefix}",
        partner_id=partner_id,
    )
    return ClientAccess(key_hash, principal)

"""What the database says about a caller: which companies, which permissions, which partner.

Asked before it is known which company the caller acts for, through functions that run with their
owner's rights (`resolvers.identity.tables`), so the connection needs no company set.
"""

from collections.abc import Collection, Sequence
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

# For many callers at once, on a connection of the owner: one statement for users, one for clients.
_USERS: Final = """
select asked.email, asked.token_id, access.user_id, access.display_name, access.company_id,
       access.company_code, access.permissions
from unnest($1::text[], $2::text[]) as asked(email, token_id)
join (
  -- as often as there are users, not as often as they have tokens
  select known.email, found.* from (select distinct unnest($1::text[]) as email) known
  cross join lateral user_access(known.email) found
) access on access.email = asked.email
where not exists (select from revoked_token revoked where revoked.jti = asked.token_id)
order by asked.email, asked.token_id, access.company_id
"""

_CLIENTS: Final = """
select asked.prefix, access.client_id, access.name, access.key_hash, access.partner_id,
       access.company_id, access.company_code, access.permissions
from unnest($1::text[]) as asked(prefix) cross join lateral client_access(asked.prefix) access
"""

Identity = tuple[str, str | None]
"""A user's email, and the id of the token that names it, if the token has one."""


class Fetch(Protocol):
    """Runs one statement, on a connection that need not be set to a company."""

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
    return _user(rows) if rows else None


async def users_access(
    fetch: Fetch, identities: Collection[Identity]
) -> dict[Identity, UserAccess]:
    """Return what each of many users may do, by one statement; without those who may nothing."""
    if not identities:
        return {}
    emails, token_ids = zip(*identities, strict=True)
    found: dict[Identity, list[Any]] = {}
    for email, token_id, *access in await fetch(_USERS, list(emails), list(token_ids)):
        found.setdefault((email, token_id), []).append(access)
    return {identity: _user(rows) for identity, rows in found.items()}


async def client_access(fetch: Fetch, prefix: str) -> ClientAccess | None:
    """Return what the API client with this key prefix may do, or None: unknown or withdrawn."""
    rows = await fetch(_CLIENT, prefix)
    return _client(prefix, rows[0]) if rows else None


async def clients_access(fetch: Fetch, prefixes: Collection[str]) -> dict[str, ClientAccess]:
    """Return what each of many API clients may do, by one statement; without those withdrawn."""
    if not prefixes:
        return {}
    rows = await fetch(_CLIENTS, list(prefixes))
    return {prefix: _client(prefix, access) for prefix, *access in rows}


def _user(rows: Sequence[Any]) -> UserAccess:
    user_id, name, *_ = rows[0]
    companies = tuple(
        CompanyAccess(company_id, code, frozenset(permissions))
        for _, _, company_id, code, permissions in rows
    )
    return UserAccess(f"user:{user_id}", name, companies)


def _client(prefix: str, row: Sequence[Any]) -> ClientAccess:
    client_id, name, key_hash, partner_id, company_id, company_code, permissions = row
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

"""Issuing and withdrawing credentials: what ``python -m gateway token`` and operators use.

These functions take a connection of the database's owner: the roles that serve requests can read
none of what is written here.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from joserfc import jwt
from joserfc.jwk import OctKey

from gateway.auth.api_keys import derived_api_key, new_api_key
from gateway.auth.verifier import SHARED_ALGORITHM
from gateway.secrets import signing_secret
from gateway.settings import Settings
from resolvers.core.clock import Clock

DEFAULT_TTL: Final = timedelta(hours=12)
"""How long an issued token is good for, unless told: a working day."""

_TOKEN_ID_BYTES: Final = 16
_MOST_LISTED: Final = 20

_USERS: Final = "select email from app_user where archived_at is null order by id limit $1"
_CLIENTS: Final = "select code from api_client where archived_at is null order by id limit $1"

_STORE_KEY: Final = """
update api_client set key_prefix = $2, key_hash = $3, revoked_at = null
where code = $1 and archived_at is null
  and (key_prefix, key_hash, revoked_at) is distinct from ($2, $3, null::timestamptz)
"""

_WITHDRAW_KEY: Final = """
update api_client set revoked_at = coalesce(revoked_at, now()) where code = $1 returning id
"""

# What expired a day ago is refused for its age, whatever the leeway, and need not be remembered.
_WITHDRAW: Final = """
with forgotten as (
    delete from revoked_token where expires_at < now() - interval '1 day' and jti <> $1
)
insert into revoked_token (jti, expires_at) values ($1, $2) on conflict (jti) do nothing
"""


class TokenError(Exception):
    """Why no credential is issued or withdrawn and what to do about it, for people to read."""


class OwnerConnection(Protocol):
    """A connection that logs in as the database's owner; asyncpg's has these methods."""

    async def fetch(self, query: str, /, *args: Any) -> Sequence[Any]:
        """Return all rows."""
        ...

    async def fetchval(self, query: str, /, *args: Any) -> Any:
        """Return the first column of the first row, or None."""
        ...

    async def execute(self, query: str, /, *args: Any) -> str:
        """Run a statement that returns no rows."""
        ...


def issue_user_token(settings: Settings, email: str, ttl: timedelta, clock: Clock) -> str:
    """Return a token for the user with this email, signed with the shared secret.

    Whether there is such a user is not looked at: `require_user` does.

    Raises:
        TokenError: ``ttl`` is not positive, or this installation has no shared secret.
        SecretError: the shared secret is unusable.

    """
    if ttl <= timedelta():
        raise TokenError("A token must be good for some time: its hours must be above zero.")
    secret = signing_secret(settings)
    if secret is None:
        raise TokenError(
            "This installation signs no tokens: GATEWAY_JWT_SECRET is not set. "
            "Users get their tokens from the identity provider behind GATEWAY_JWT_JWKS_URL."
        )
    now = clock()
    claims = {
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "sub": email,
        "iat": int(now.timestamp()),
        "exp": int((now + ttl).timestamp()),
        "jti": secrets.token_urlsafe(_TOKEN_ID_BYTES),
    }
    key = OctKey.import_key(secret)
    return jwt.encode({"alg": SHARED_ALGORITHM}, claims, key, algorithms=[SHARED_ALGORITHM])


async def require_user(settings: Settings, connection: OwnerConnection, email: str) -> None:
    """Make sure that a token for ``email`` would let somebody in.

    Raises:
        TokenError: there is no such user, or they hold no role; a demo names the users there are.

    """
    if not await connection.fetchval("select user_id from user_access($1) limit 1", email):
        known = await _known(settings, connection, _USERS)
        raise TokenError(f"There is no user {email!r} with a role in any company.{known}")


async def issue_client_key(settings: Settings, connection: OwnerConnection, code: str) -> str:
    """Give the API client ``code`` a key, return it, and store only its hash.

    The key it had before stops working, and a revoked client works again. In a demo or test the key
    follows from the shared secret, so that asking again gives the same one and changes nothing.

    Raises:
        TokenError: there is no such API client; a demo names those there are.
        SecretError: the shared secret is unusable.

    """
    exists = "select true from api_client where code = $1 and archived_at is null"
    if not await connection.fetchval(exists, code):
        known = await _known(settings, connection, _CLIENTS)
        raise TokenError(f"There is no API client {code!r}.{known}")
    secret = None if settings.environment == "production" else signing_secret(settings)
    key = new_api_key() if secret is None else derived_api_key(secret, code)
    await connection.execute(_STORE_KEY, code, key.prefix, key.hash)
    return key.text


async def revoke_client(connection: OwnerConnection, code: str) -> None:
    """Withdraw the key of the API client ``code``; servers refuse it within a second.

    Raises:
        TokenError: there is no such API client.

    """
    if await connection.fetchval(_WITHDRAW_KEY, code) is None:
        raise TokenError(f"There is no API client {code!r}.")


async def revoke_token(connection: OwnerConnection, jti: str, expires_at: datetime) -> None:
    """Withdraw the token with this ``jti`` and expiry; servers refuse it within a second."""
    await connection.execute(_WITHDRAW, jti, expires_at)


async def _known(settings: Settings, connection: OwnerConnection, statement: str) -> str:
    """Return a sentence that names what exists; a production installation keeps that to itself."""
    if settings.environment == "production":
        return ""
    names = [str(name) for (name,) in await connection.fetch(statement, _MOST_LISTED)]
    return f" There are: {', '.join(names)}." if names else " There are none; run the seed first."

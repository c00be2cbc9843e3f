"""The door: an Authorization header in, a principal out, or a refusal.

A warm request costs a hash and three dictionary lookups. What makes that safe: a token is believed
without a second signature check only while its keys stand and its time runs, and what a caller may
do is forgotten when the database tells that access changed, and after a few seconds in any case.
"""

import hashlib
import re
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from gateway.auth import api_keys, refusals
from gateway.auth.access import (
    ClientAccess,
    Fetch,
    Identity,
    UserAccess,
    client_access,
    clients_access,
    user_access,
    users_access,
)
from gateway.auth.cache import Lookup, LruCache
from gateway.auth.verifier import TokenVerifier, VerifiedToken
from gateway.callers import Presented
from gateway.settings import Settings
from resolvers.core.clock import Clock, system_clock
from resolvers.core.errors import ErpError, Forbidden
from resolvers.core.principal import CompanyAccess, Principal

ACCESS_SECONDS: Final = 5.0
"""Longest that access is remembered, even while a process hears nothing of changes."""

_LONGEST_HEADER: Final = 8_192
_MOST_KEPT: Final = 10_000
_PARALLEL_LOOKUPS: Final = 4
# RFC 6750 section 2.1: b64token. The scheme's case does not matter (RFC 9110 section 11.1).
_BEARER = re.compile(r"(?:bearer) +([a-z0-9._~+/-]+=*)", re.IGNORECASE | re.ASCII)


class Authenticator:
    """Turns credentials into principals; one per process.

    ``secret`` signs HS256 tokens and comes from `gateway.secrets.signing_secret`; None where there
    is none. ``timer`` counts seconds and never runs backwards; ``clock`` tells the time.

    Raises:
        ValueError: the settings pin an algorithm that a key set cannot be used with.

    """

    def __init__(
        self,
        settings: Settings,
        *,
        secret: bytes | None,
        fetch: Fetch,
        clock: Clock = system_clock,
        timer: Callable[[], float] = time.monotonic,
        access_seconds: float = ACCESS_SECONDS,
    ) -> None:
        self._verifier = TokenVerifier(settings, secret=secret, clock=clock, timer=timer)
        self._sessions: LruCache[bytes, _Session] = LruCache(size=_MOST_KEPT)

        async def ask_user(identity: Identity) -> UserAccess | None:
            return await user_access(fetch, *identity)

        async def ask_client(prefix: str) -> ClientAccess | None:
            return await client_access(fetch, prefix)

        self._users: Lookup[Identity, UserAccess | None] = Lookup(
            ask_user, ttl=access_seconds, size=_MOST_KEPT, parallel=_PARALLEL_LOOKUPS, timer=timer
        )
        self._clients: Lookup[str, ClientAccess | None] = Lookup(
            ask_client, ttl=access_seconds, size=_MOST_KEPT, parallel=_PARALLEL_LOOKUPS, timer=timer
        )

    def recall(
        self, authorization: str | None, company: str | None
    ) -> Callable[[], Principal | None] | None:
        """Return what tells the bearer of a credential that was verified before, time and again.

        It returns what `authenticate` does, None where that has to look, or to refuse. For who
        shows the same on one connection for every request.
        """
        if authorization is None or len(authorization) > _LONGEST_HEADER:
            return None
        if api_keys.MARK in authorization:
            return self._recall_key(authorization, company)
        header = hashlib.sha256(authorization.encode(errors="surrogatepass")).digest()
        session = self._sessions.get(header)
        return None if session is None else partial(self._recalled, session, company)

    def _recall_key(
        self, authorization: str, company: str | None
    ) -> Callable[[], Principal | None] | None:
        """Return what tells the client of a key, as long as what is known of it stays the same."""
        try:
            key = _key(_credential(authorization))
            access = self._clients.kept(key.prefix)
            caller = None if access is None else _admitted(key, access, company)
        except ErpError:
            return None
        if caller is None:
            return None
        return lambda: caller if self._clients.kept(key.prefix) is access else None

    def _recalled(self, session: "_Session", company: str | None) -> Principal | None:
        if not self._verifier.still_holds(session.token):
            return None
        access = self._users.kept(session.identity)
        return None if access is None else session.known(access, company)

    async def authenticate(self, authorization: str | None, company: str | None) -> Principal:
        """Return who sent ``authorization``, acting for ``company`` or for their first one.

        ``company`` is the code of a company, as sent in ``X-Company``.

        Raises:
            Unauthenticated: the credential is missing, malformed, expired, revoked or unknown.
            Forbidden: the company is not one of the caller's.
            Overloaded: no connection became free, or no key of the identity provider is known yet.

        """
        if authorization is None:
            raise refusals.missing()
        if len(authorization) > _LONGEST_HEADER:
            raise refusals.too_long(_LONGEST_HEADER)
        header = hashlib.sha256(authorization.encode(errors="surrogatepass")).digest()
        session = self._sessions.get(header)
        if session is None:
            credential = _credential(authorization)
            if credential.startswith(api_keys.MARK):
                key = _key(credential)
                return _admitted(key, await self._clients.get(key.prefix), company)
            session = await self._begin(credential, header)
        elif not self._verifier.still_holds(session.token):
            session = await self._begin(_credential(authorization), header)
        return session.principal(await self._users.get(session.identity), company)

    async def judge(
        self, presented: Collection[Presented], fetch: Fetch
    ) -> dict[Presented, Principal | ErpError]:
        """Look again at callers who were let in: who each is now, or why it is nobody any more.

        Takes two statements for all of them, on a connection of the owner. What is remembered about
        callers is neither asked nor changed.
        """
        verdicts: dict[Presented, Principal | ErpError] = {}
        known: dict[Presented, _Session | api_keys.ApiKey] = {}
        for one in presented:
            try:
                known[one] = await self._known(one[0])
            except ErpError as error:
                verdicts[one] = error
        sessions = {s.identity for s in known.values() if isinstance(s, _Session)}
        keys = {k.prefix for k in known.values() if isinstance(k, api_keys.ApiKey)}
        users = await users_access(fetch, sessions)
        clients = await clients_access(fetch, keys)
        for one, credential in known.items():
            company = one[1]
            try:
                if isinstance(credential, _Session):
                    verdicts[one] = credential.principal(users.get(credential.identity), company)
                else:
                    verdicts[one] = _admitted(credential, clients.get(credential.prefix), company)
            except ErpError as error:
                verdicts[one] = error
        return verdicts

    def invalidate(self) -> None:
        """Ask the database again about every caller from now on, because access has changed."""
        self._users.clear()
        self._clients.clear()

    async def close(self) -> None:
        """End what runs in the background."""
        await self._verifier.close()

    async def _known(self, authorization: str) -> "_Session | api_keys.ApiKey":
        """Return what a header that was accepted before stands for; its signature still holds.

        Raises:
            ErpError: the token's time is over, or its key was withdrawn, or cannot be asked for.

        """
        header = hashlib.sha256(authorization.encode(errors="surrogatepass")).digest()
        session = self._sessions.get(header)
        if session is not None and self._verifier.still_holds(session.token):
            return session
        credential = _credential(authorization)
        if credential.startswith(api_keys.MARK):
            return _key(credential)
        return await self._begin(credential, header)

    async def _begin(self, credential: str, header: bytes) -> "_Session":
        """Verify a token, and remember it by the digest of the header it came in."""
        digest = hashlib.sha256(credential.encode("ascii")).digest()
        session = _Session(await self._verifier.verify(credential), digest)
        self._sessions.put(header, session)
        return session


class _Session:
    """A verified token, and the principals it stands for under its user's present access."""

    __slots__ = ("_access", "_credential", "_principals", "identity", "token")

    def __init__(self, token: VerifiedToken, digest: bytes) -> None:
        self.token = token
        self.identity: Identity = (token.email, token.token_id)
        """What the database is asked about."""
        self._credential = f"token:{token.token_id or digest.hex()[:16]}"
        self._access: UserAccess | None = None
        self._principals: dict[str | None, Principal] = {}

    def known(self, access: UserAccess, company: str | None) -> Principal | None:
        """Return the principal for ``company``, if it was made under this access."""
        return self._principals.get(company) if access is self._access else None

    def principal(self, access: UserAccess | None, company: str | None) -> Principal:
        """Return the principal for ``company``; made once for as long as the answer is the same.

        Raises:
            Unauthenticated: the user may do nothing, or the token was revoked.
            Forbidden: the company is not one of the user's.

        """
        if access is None:
            raise refusals.invalid()
        if access is not self._access:
            self._access = access
            self._principals = {}
        found = self._principals.get(company)
        if found is None:
            found = self._principals[company] = Principal(
                kind="user",
                actor=access.actor,
                name=access.name,
                access=_chosen(access.companies, company),
                companies=access.companies,
                credential=self._credential,
                expires_at=self.token.expires_at,
            )
        return found


def _credential(authorization: str) -> str:
    match = _BEARER.fullmatch(authorization)
    if match is None:
        raise refusals.malformed()
    return match[1]


def _key(credential: str) -> api_keys.ApiKey:
    key = api_keys.parse_api_key(credential)
    if key is None:
        raise refusals.invalid()
    return key


def _admitted(key: api_keys.ApiKey, access: ClientAccess | None, company: str | None) -> Principal:
    """Return the caller of a key, under what the database says of its prefix.

    Raises:
        Unauthenticated: the key is not the client's, or was withdrawn.
        Forbidden: the company is not the client's.

    """
    if access is None or not key.matches(access.key_hash):
        raise refusals.invalid()
    if company is not None and company != access.principal.access.code:
        raise _foreign(access.principal.companies)
    return access.principal


def _chosen(companies: tuple[CompanyAccess, ...], code: str | None) -> CompanyAccess:
    if code is None:
        return companies[0]
    for company in companies:
        if company.code == code:
            return company
    raise _foreign(companies)


def _foreign(companies: tuple[CompanyAccess, ...]) -> Forbidden:
    """Another's company and one that does not exist look the same; the caller's own are named."""
    return Forbidden(
        "X-Company names none of your companies.",
        details={"companies": [company.code for company in companies]},
    )

"""JSON Web Tokens (RFC 7519, and RFC 8725 on what goes wrong with them) checked to the letter.

A token is signed either with our own shared secret, and then with HS256, or with a key of the
identity provider, and then with one of the algorithms the settings pin. Which of the two is decided
by the algorithm, never by what fits: a public key is no HMAC secret.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from joserfc.errors import (
    ExpiredTokenError,
    InvalidClaimError,
    JoseError,
    UnsupportedAlgorithmError,
)
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import Key, OctKey
from joserfc.jws import CompactSignature, JWSRegistry, extract_compact, validate_compact
from joserfc.jwt import JWTClaimsRegistry

from gateway.auth import refusals
from gateway.auth.key_set import RemoteKeySet
from gateway.settings import Settings
from resolvers.core.clock import Clock

SHARED_ALGORITHM: Final = "HS256"
"""The only algorithm that the shared secret signs with."""

_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES: Final = frozenset({"ES256", "ES384", "ES512", "Ed25519", "EdDSA"})
_ASYMMETRIC: Final = _RSA | _CURVES
_LONGEST_EMAIL: Final = 320  # RFC 3696 erratum 1690: 64 + @ + 255
_LONGEST_TOKEN_ID: Final = 200
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last a datetime can hold


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a token says whose signature and claims hold.

    ``expires_at`` is the token's own ``exp``; it is accepted until ``accepted_until``, in seconds
    since 1970, which adds the leeway. ``trusted`` are the keys it was verified against.
    """

    email: str
    token_id: str | None
    expires_at: datetime
    accepted_until: float
    trusted: object


class _Pinned(JWSRegistry):
    """Allows exactly the algorithms it is given; the library takes none to mean its favorites."""

    max_header_length = 2_048

    def __init__(self, *algorithms: str) -> None:
        # Unknown header parameters are to be ignored (RFC 7515 section 4), all but `crit`.
        super().__init__(algorithms=algorithms, strict_check_header=False)

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError("not one of the pinned algorithms")
        return self.algorithms[name]


_SHARED = _Pinned(SHARED_ALGORITHM)


@dataclass(frozen=True, slots=True)
class _Trust:
    """The key a token must be signed with, how, and the set the key is from."""

    key: Key
    registry: JWSRegistry
    source: object


class TokenVerifier:
    """Checks tokens against the shared secret and the provider's key set, whichever there are.

    Raises:
        ValueError: the settings pin something that is not an asymmetric signature algorithm.

    """

    def __init__(
        self,
        settings: Settings,
        *,
        secret: bytes | None,
        clock: Clock,
        timer: Callable[[], float],
    ) -> None:
        unknown = sorted(set(settings.jwt_algorithms) - _ASYMMETRIC)
        if unknown:
            raise ValueError(
                f"GATEWAY_JWT_ALGORITHMS: {', '.join(unknown)} cannot be used with a key set;"
                f" choose from {', '.join(sorted(_ASYMMETRIC))}."
            )
        self._secret = None if secret is None else OctKey.import_key(secret)
        self._remote = (
            None
            if settings.jwt_jwks_url is None
            else RemoteKeySet(settings.jwt_jwks_url, timer=timer)
        )
        self._algorithms = frozenset(settings.jwt_algorithms)
        self._published = _Pinned(*settings.jwt_algorithms)
        self._clock = clock
        self._leeway = settings.jwt_leeway_seconds
        self._rules = JWTClaimsRegistry(
            now=lambda: int(clock().timestamp()),
            leeway=self._leeway,
            iss={"essential": True, "value": settings.jwt_issuer},
            aud={"essential": True, "value": settings.jwt_audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def verify(self, token: str) -> VerifiedToken:
        """Return what ``token`` says.

        Raises:
            Unauthenticated: it does not hold, or its time is over or still to come.
            Overloaded: the identity provider's keys could not be fetched so far.

        """
        signature = _parse(token)
        trust = await self._trust_for(signature.protected)
        if not _is_signed(signature, trust):
            raise refusals.invalid()
        return self._judge(signature.payload, trust)

    def still_holds(self, token: VerifiedToken) -> bool:
        """Tell whether a token verified before needs no second look: in time, and same keys."""
        if self._clock().timestamp() >= token.accepted_until:
            return False
        trusted = token.trusted
        return trusted is self._secret or (
            self._remote is not None and trusted is self._remote.current()
        )

    async def close(self) -> None:
        """End what runs in the background."""
        if self._remote is not None:
            await self._remote.close()

    async def _trust_for(self, header: Mapping[str, Any]) -> _Trust:
        """Return the key a token must be signed with; the algorithm alone decides whose."""
        algorithm, key_id = header.get("alg"), header.get("kid")
        if (
            "crit" in header  # demands extensions, and we have none (RFC 7515 section 4.1.11)
            or not isinstance(algorithm, str)
            or not (key_id is None or isinstance(key_id, str))
        ):
            raise refusals.invalid()
        if algorithm == SHARED_ALGORITHM and self._secret is not None:
            return _Trust(self._secret, _SHARED, self._secret)
        if algorithm in self._algorithms and self._remote is not None:
            key = await self._remote.find(algorithm, key_id)
            if key is not None:
                return _Trust(key, self._published, self._remote.current())
        raise refusals.invalid()

    def _judge(self, payload: bytes, trust: _Trust) -> VerifiedToken:
        """Return the claims that matter, once all hold.

        Raises:
            Unauthenticated: one of them does not.

        """
        claims = _claims(payload)
        try:
            self._rules.validate(claims)
        except ExpiredTokenError as error:
            raise refusals.expired() from error
        except InvalidClaimError as error:
            is_time = error.claim in {"nbf", "iat"} and isinstance(claims[error.claim], int | float)
            raise (refusals.not_yet_valid() if is_time else refusals.invalid()) from error
        except JoseError as error:
            raise refusals.invalid() from error
        email, token_id, expiry = claims["sub"], claims.get("jti"), claims["exp"]
        if not _is_name(email, _LONGEST_EMAIL):
            raise refusals.invalid()
        if token_id is not None and not _is_name(token_id, _LONGEST_TOKEN_ID):
            raise refusals.invalid()
        return VerifiedToken(
            email=email,
            token_id=token_id,
            expires_at=datetime.fromtimestamp(min(expiry, _LAST_SECOND), UTC),
            accepted_until=expiry + self._leeway,
            trusted=trust.source,
        )


def _parse(token: str) -> CompactSignature:
    try:
        signature = extract_compact(token.encode("ascii"), registry=_SHARED)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise refusals.invalid() from error
    # The library takes any JSON for a header.
    if not isinstance(signature.protected, dict):
        raise refusals.invalid()
    return signature


def _is_signed(signature: CompactSignature, trust: _Trust) -> bool:
    try:
        return validate_compact(signature, trust.key, registry=trust.registry)
    except (JoseError, ValueError):
        return False


def _claims(payload: bytes) -> dict[str, Any]:
    try:
        claims = orjson.loads(payload)
    except ValueError as error:
        raise refusals.invalid() from error
    if not isinstance(claims, dict):
        raise refusals.invalid()
    return claims


def _is_name(value: str, most: int) -> bool:
    """Tell whether a text column and a log line can take ``value``: no NUL, no surrogate."""
    return 0 < len(value) <= most and value.isprintable()

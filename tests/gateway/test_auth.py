"""Who gets in: tokens of both kinds, API keys, companies, and everything that must stay out."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import uvicorn
from joserfc import jwt
from joserfc.errors import UnsupportedAlgorithmError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import validate_compact
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.auth import Authenticator, api_keys, authenticator, key_set, verifier
from gateway.auth.api_keys import ApiKey, new_api_key
from gateway.auth.cache import Lookup, LruCache
from gateway.settings import Settings
from gateway.tokens import issue_client_key, revoke_client, revoke_token
from resolvers.core.errors import Forbidden, Overloaded, Unauthenticated
from resolvers.core.principal import STAFF_ROLE, Principal, RowScope
from tests.gateway.people import PEOPLE, CountedFetch, Time, install, people_database, settings_with

SECRET = "a shared secret that is only used in these tests"
INVALID = "The token or API key is not valid."
EXPIRED = "The token has expired."
NOT_YET = "The token is not valid yet."
LEEWAY = 30

Owner = asyncpg.Connection
Claims = dict[str, Any]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of this module."""
    with people_database(tmp_path_factory.mktemp("people")) as url:
        yield url


@pytest.fixture(scope="module")
async def module_owner(database: str) -> AsyncIterator[Any]:
    """The owner's connection, with the tables made."""
    connection = await asyncpg.connect(database)
    await install(connection)
    yield connection
    await connection.close()


@pytest.fixture
async def owner(module_owner: Any) -> Any:
    """The owner's connection to a database in which only the people of the start are left."""
    await module_owner.execute(PEOPLE)
    return module_owner


@pytest.fixture(scope="module")
async def pool(database: str, module_owner: Any) -> AsyncIterator[Any]:
    """Connections as the role that serves."""
    assert not module_owner.is_closed()
    async with asyncpg.create_pool(
        database, min_size=1, max_size=4, server_settings={"role": STAFF_ROLE}
    ) as opened:
        yield opened


@pytest.fixture
def time() -> Time:
    """The time of the test."""
    return Time()


@pytest.fixture
def fetch(pool: Any, owner: Any) -> CountedFetch:
    """The way into the database, counted."""
    assert not owner.is_closed()
    return CountedFetch(pool)


def settings(**changes: Any) -> Settings:
    """Settings with the shared secret, unless changed."""
    return settings_with(**{"environment": "test", "jwt_secret": SECRET, **changes})


MakeDoor = Callable[..., Authenticator]


@pytest.fixture
async def make_door(fetch: CountedFetch, time: Time) -> AsyncIterator[MakeDoor]:
    """Make authenticators that the end of the test closes."""
    doors: list[Authenticator] = []

    def make(secret: str | None = SECRET, **changes: Any) -> Authenticator:
        door = Authenticator(
            settings(**changes),
            secret=None if secret is None else secret.encode(),
            fetch=fetch,
            clock=time.clock,
            timer=time.timer,
        )
        doors.append(door)
        return door

    yield make
    for door in doors:
        await door.close()


@pytest.fixture
def door(make_door: MakeDoor) -> Authenticator:
    """An authenticator with the shared secret."""
    return make_door()


def claims_at(time: Time, **changes: Any) -> Claims:
    """Claims of a good token of Ada's for an hour; a change to None leaves the claim out."""
    now = int(time.now.timestamp())
    claims = {
        "iss": "erp-gateway",
        "aud": "erp-gateway",
        "sub": "ada@demo",
        "iat": now,
        "exp": now + 3_600,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def encoded(part: Any) -> str:
    """Return base64url of JSON, or of bytes or text as they are."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def assembled(header: Any, claims: Any, secret: str = SECRET, digest: str = "sha256") -> str:
    """Put a token together by hand, signed with HMAC, whatever its header says."""
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{encoded(hmac.digest(secret.encode(), signed.encode(), digest))}"


def token(time: Time, secret: str = SECRET, **changes: Any) -> str:
    """Return a header with a token signed with the shared secret."""
    return "Bearer " + assembled({"alg": "HS256"}, claims_at(time, **changes), secret)


async def refusal(attempt: Awaitable[Principal]) -> str:
    """Return what the caller is told, having been refused."""
    with pytest.raises(Unauthenticated) as caught:
        await attempt
    assert caught.value.details == {}
    return caught.value.message


# The header


async def test_a_token_of_ours_names_the_user_and_the_first_company(
    door: Authenticator, time: Time
) -> None:
    """A good token becomes a principal with actor, permissions, companies and expiry."""
    principal = await door.authenticate(token(time, jti="t-1"), None)

    assert (principal.kind, principal.actor, principal.name) == ("user", "user:1", "Ada")
    assert [c.code for c in principal.companies] == ["NORTH", "SOUTH"]
    assert principal.access is principal.companies[0]
    assert principal.permissions == {"stock.read", "stock.adjust"}
    assert principal.companies[1].permissions == {"stock.read"}
    assert principal.credential == "token:t-1"
    assert principal.expires_at == time.now + timedelta(hours=1)
    assert principal.rows == RowScope("erp_app", 1)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "bEaReR   "])
async def test_the_scheme_may_be_written_in_any_case(
    door: Authenticator, time: Time, scheme: str
) -> None:
    """The scheme is case-insensitive and may be followed by several spaces."""
    header = scheme + token(time).removeprefix("Bearer ")
    assert (await door.authenticate(header, None)).actor == "user:1"


async def test_no_header_asks_for_one(door: Authenticator) -> None:
    """Without a header the answer says what to send."""
    assert "Authorization: Bearer" in await refusal(door.authenticate(None, None))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YWRhOnB3",
        "Token abc",
        "abc",
        "Bearer a b",
        "Bearer\tabc",
        " Bearer abc",
        "Bearer abc\n",
        "Bearer abc\x00",
        "Bearer ab=c",
        "Bearer \u212aey",
        "Bearer caf\u00e9",
        "Bearer \ud800",
        "Bearer abc, Bearer def",
    ],
)
async def test_another_form_of_header_is_told_the_right_one(
    door: Authenticator, fetch: CountedFetch, header: str
) -> None:
    """Whatever is not one bearer credential of plain characters is malformed."""
    message = "The Authorization header must be 'Bearer <token or API key>'."
    assert await refusal(door.authenticate(header, None)) == message
    assert fetch.statements == 0


async def test_a_huge_header_is_refused_by_its_length(
    door: Authenticator, fetch: CountedFetch
) -> None:
    """A header beyond the bound is not parsed at all."""
    message = await refusal(door.authenticate("Bearer " + "a" * 1_000_000, None))
    assert message == "The Authorization header is longer than 8192 characters."
    assert fetch.statements == 0


# Tokens signed with the shared secret


def forgeries(time: Time) -> dict[str, str]:
    """Return tokens for which Ada's claims hold and nothing else does."""
    claims = claims_at(time)
    good = assembled({"alg": "HS256"}, claims)
    header, payload, signature = good.split(".")
    bob = encoded({**claims, "sub": "bob@demo"})
    return {
        "another secret": assembled({"alg": "HS256"}, claims, "x" * 40),
        "empty secret": assembled({"alg": "HS256"}, claims, ""),
        "alg none": f"{encoded({'alg': 'none'})}.{payload}.",
        "alg None": f"{encoded({'alg': 'None'})}.{payload}.",
        "alg none, signed": assembled({"alg": "none"}, claims),
        "alg missing": assembled({"typ": "JWT"}, claims),
        "alg null": assembled({"alg": None}, claims),
        "alg a list": assembled({"alg": ["HS256"]}, claims),
        "alg unknown": assembled({"alg": "HS257"}, claims),
        "alg HS512": assembled({"alg": "HS512"}, claims, digest="sha512"),
        "alg RS256": assembled({"alg": "RS256"}, claims),
        "alg lowercase": assembled({"alg": "hs256"}, claims),
        "no signature": f"{header}.{payload}.",
        "two parts": f"{header}.{payload}",
        "four parts": f"{good}.{signature}",
        "five parts": f"{good}.{signature}.{signature}",
        "other payload": f"{header}.{bob}.{signature}",
        "no payload": f"{header}..{signature}",
        "signature cut": good[:-4],
        "signature longer": good + "AAAA",
        "signature not base64": f"{header}.{payload}.~~~~",
        "crit unknown": assembled({"alg": "HS256", "crit": ["x"], "x": 1}, claims),
        "crit b64": assembled({"alg": "HS256", "crit": ["b64"], "b64": True}, claims),
        "crit empty": assembled({"alg": "HS256", "crit": []}, claims),
        "crit a number": assembled({"alg": "HS256", "crit": 7}, claims),
        "b64 off": assembled({"alg": "HS256", "b64": False}, claims),
        "kid a list": assembled({"alg": "HS256", "kid": ["a"]}, claims),
        "kid a number": assembled({"alg": "HS256", "kid": 1}, claims),
        "header a list": assembled(["alg"], claims),
        "header a list with b64": assembled(["alg", "b64"], claims),
        "header a text": assembled("alg", claims),
        "header a text with b64": assembled("alg b64", claims),
        "header a number": assembled(7, claims),
        "header null": assembled(None, claims),
        "header not JSON": assembled(b"{alg", claims),
        "header not UTF-8": assembled(b"\xff\xfe", claims),
        "header nested": assembled(b"[" * 1_500, claims),
        "header nested, as claims": assembled(b'{"alg":' + b"[" * 1_400, claims),
        "header huge": assembled({"alg": "HS256", "x": "y" * 3_000}, claims),
        "claims a list": assembled({"alg": "HS256"}, [claims]),
        "claims not JSON": assembled({"alg": "HS256"}, b"{"),
        "claims nested": assembled({"alg": "HS256"}, b"[" * 2_000 + b"]" * 2_000),
        "not a token": "abc",
        "dots": "..",
    }


@pytest.mark.parametrize("name", forgeries(Time()))
async def test_forged_tokens_are_refused_alike(
    door: Authenticator, fetch: CountedFetch, time: Time, name: str
) -> None:
    """A forged token gets the one answer, and no database lookup is spent on it."""
    assert await refusal(door.authenticate("Bearer " + forgeries(time)[name], None)) == INVALID
    assert fetch.statements == 0


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": None},
        {"iss": "somebody-else"},
        {"iss": ["erp-gateway"]},
        {"iss": ""},
        {"aud": None},
        {"aud": "another-api"},
        {"aud": []},
        {"aud": ["another-api", "a-third"]},
        {"aud": {"erp-gateway": 1}},
        {"exp": None},
        {"exp": "never"},
        {"exp": True},
        {"exp": [4_102_444_800]},
        {"sub": None},
        {"sub": ""},
        {"sub": 1},
        {"sub": ["ada@demo"]},
        {"sub": "ada@demo\x00"},
        {"sub": "ada@demo\n"},
        {"sub": "\ud800"},
        {"sub": "a" * 321},
        {"sub": "nobody@demo"},
        {"sub": "roleless@demo"},
        {"sub": "' or true --"},
        {"sub": "%"},
        {"jti": 7},
        {"jti": ""},
        {"jti": "\x00"},
        {"jti": "j" * 201},
        {"nbf": "tomorrow"},
        {"iat": "yesterday"},
    ],
    ids=str,
)
async def test_claims_that_do_not_hold_are_refused_like_forgeries(
    door: Authenticator, time: Time, claims: Claims
) -> None:
    """A missing or wrong claim, and a user who is not there, look like a bad signature."""
    assert await refusal(door.authenticate(token(time, **claims), None)) == INVALID


async def test_an_expiry_that_is_not_a_number_is_no_expiry(door: Authenticator, time: Time) -> None:
    """NaN, which is later than nothing, does not make a token that lasts for ever."""
    claims = json.dumps(claims_at(time, exp=1)).replace('"exp": 1', '"exp": NaN')
    header = "Bearer " + assembled({"alg": "HS256"}, claims.encode())
    assert await refusal(door.authenticate(header, None)) == INVALID


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["another-api", "erp-gateway"]},
        {"exp": 4_102_444_800.5},
        {"exp": 10**18},
        {"scope": "anything", "roles": ["boss"], "nested": {"a": [1]}},
        {"sub": "ADA@demo"},
    ],
    ids=str,
)
async def test_unusual_claims_that_hold_are_accepted(
    door: Authenticator, time: Time, claims: Claims
) -> None:
    """Several audiences, fractions of seconds, far expiries and claims of others are fine."""
    assert (await door.authenticate(token(time, **claims), None)).actor == "user:1"


async def test_unknown_header_parameters_are_ignored(door: Authenticator, time: Time) -> None:
    """A parameter that no `crit` demands is passed over (RFC 7515 section 4)."""
    header = {"alg": "HS256", "typ": "at+jwt", "kid": "any", "ver": "2"}
    principal = await door.authenticate("Bearer " + assembled(header, claims_at(time)), None)
    assert principal.actor == "user:1"


@pytest.mark.parametrize(
    ("claim", "offset", "answer"),
    [
        ("exp", -LEEWAY + 1, None),
        ("exp", -LEEWAY, EXPIRED),
        ("exp", -300, EXPIRED),
        ("exp", -(10**10), EXPIRED),
        ("nbf", LEEWAY, None),
        ("nbf", LEEWAY + 1, NOT_YET),
        ("nbf", 300, NOT_YET),
        ("iat", LEEWAY, None),
        ("iat", 300, NOT_YET),
    ],
)
async def test_times_hold_within_the_leeway(
    door: Authenticator, time: Time, claim: str, offset: int, answer: str | None
) -> None:
    """Clocks may differ by the leeway and no more; the honest holder is told which way."""
    moved: Claims = {claim: int(time.now.timestamp()) + offset}
    header = token(time, **moved)
    if answer is None:
        assert (await door.authenticate(header, None)).actor == "user:1"
    else:
        assert await refusal(door.authenticate(header, None)) == answer


async def test_the_leeway_is_a_setting(make_door: MakeDoor, time: Time) -> None:
    """With no leeway a token ends at its second."""
    door = make_door(jwt_leeway_seconds=0)
    header = token(time, exp=int(time.now.timestamp()) + 1)
    await door.authenticate(header, None)
    time.advance(1)
    assert await refusal(door.authenticate(header, None)) == EXPIRED


async def test_a_token_in_use_ends_when_it_expires(door: Authenticator, time: Time) -> None:
    """That a token was verified before does not outlive its expiry and leeway."""
    header = token(time, exp=int(time.now.timestamp()) + 60)
    await door.authenticate(header, None)
    time.advance(60 + LEEWAY - 1)
    await door.authenticate(header, None)
    time.advance(1)
    assert await refusal(door.authenticate(header, None)) == EXPIRED


async def test_an_expired_forgery_is_only_a_forgery(door: Authenticator, time: Time) -> None:
    """The expiry is told to holders of a good signature alone."""
    assert await refusal(door.authenticate(token(time, "x" * 40, exp=1), None)) == INVALID


async def test_without_a_secret_no_shared_algorithm_is_accepted(
    make_door: MakeDoor, time: Time
) -> None:
    """An installation without a secret takes no HS256 token, not even of an empty secret."""
    door = make_door(secret=None)
    for secret in (SECRET, "", "None"):
        assert await refusal(door.authenticate(token(time, secret), None)) == INVALID


async def test_a_warm_token_costs_no_signature_check_and_no_statement(
    door: Authenticator, fetch: CountedFetch, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token seen before is verified once and its user asked for once."""
    checks = 0

    def counted(*args: Any, **options: Any) -> bool:
        nonlocal checks
        checks += 1
        return validate_compact(*args, **options)

    monkeypatch.setattr("gateway.auth.verifier.validate_compact", counted)
    header = token(time)
    principals = {id(await door.authenticate(header, None)) for _ in range(100)}
    assert (checks, fetch.statements, len(principals)) == (1, 1, 1)


# Tokens signed by an identity provider

RSA_A = RSAKey.generate_key(2048, {"kid": "a", "use": "sig", "alg": "RS256"})
RSA_B = RSAKey.generate_key(2048, {"kid": "b", "use": "sig"})
EC_A = ECKey.generate_key("P-256", {"kid": "ec"})


class Provider:
    """An identity provider: a web server on loopback that publishes keys."""

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Publish one key, and forget who asked."""
        self.published: list[Key] = [RSA_A]
        self.answer: Response | None = None
        self.requests = 0
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def serve_keys(self, _request: Request) -> Response:
        """Answer with the published keys, or with what the test set."""
        self.requests += 1
        self.asked.set()
        await self.may_answer.wait()
        if self.answer is not None:
            return self.answer
        keys = {"keys": [key.as_dict(private=False) for key in self.published]}
        return Response(json.dumps(keys), media_type="application/json")


@pytest.fixture(scope="module")
async def module_provider() -> AsyncIterator[Provider]:
    """A provider that runs."""
    made = Provider()
    app = Starlette(routes=[Route("/keys", made.serve_keys)])
    listening = socket.create_server(("127.0.0.1", 0))
    made.url = f"http://127.0.0.1:{listening.getsockname()[1]}/keys"
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    yield made
    server.should_exit = True
    await serving
    listening.close()


@pytest.fixture
def provider(module_provider: Provider) -> Iterator[Provider]:
    """A provider as at the start."""
    module_provider.reset()
    yield module_provider
    module_provider.may_answer.set()


@pytest.fixture
def remote_door(make_door: MakeDoor, provider: Provider) -> Authenticator:
    """An authenticator that trusts the provider and has no shared secret."""
    return make_door(secret=None, jwt_jwks_url=provider.url)


def signed(time: Time, key: Key, algorithm: str = "RS256", **header: Any) -> str:
    """Return a header with a token of Ada's signed by ``key``."""
    header = {"alg": algorithm, "kid": key.kid, **header}
    header = {name: value for name, value in header.items() if value is not None}
    # The library would add the key's own id and refuse odd headers, so the key goes in without.
    text = jwt.encode(
        header,
        claims_at(time),
        key,
        algorithms=[algorithm],
        registry=verifier._Pinned(algorithm),
    )
    return f"Bearer {text}"


@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA_A, "RS256"), (RSA_B, "RS256"), (EC_A, "ES256")]
)
async def test_a_token_of_the_provider_is_accepted(
    remote_door: Authenticator, provider: Provider, time: Time, key: Key, algorithm: str
) -> None:
    """A token signed with a published key and a pinned algorithm lets its user in."""
    provider.published = [RSA_A, RSA_B, EC_A]
    principal = await remote_door.authenticate(signed(time, key, algorithm), None)
    assert principal.actor == "user:1"


async def test_nothing_is_fetched_before_a_token_needs_it(
    remote_door: Authenticator, provider: Provider, time: Time
) -> None:
    """Neither the start nor tokens of other algorithms ask the provider."""
    assert await refusal(remote_door.authenticate(token(time), None)) == INVALID
    assert provider.requests == 0


@pytest.mark.parametrize("secret", [None, SECRET])
async def test_the_public_key_is_no_hmac_secret(
    make_door: MakeDoor, provider: Provider, time: Time, secret: str | None
) -> None:
    """HS256 with the published key as its secret is refused, in every way to write the key."""
    door = make_door(secret=secret, jwt_jwks_url=provider.url)
    await door.authenticate(signed(time, RSA_A), None)
    jwk = RSA_A.as_dict(private=False)
    for material in (
        RSA_A.as_pem(private=False).decode(),
        RSA_A.as_pem(private=False).decode().strip(),
        json.dumps(jwk),
        str(jwk["n"]),
    ):
        for header in ({"alg": "HS256"}, {"alg": "HS256", "kid": "a"}):
            forged = "Bearer " + assembled(header, claims_at(time), material)
            assert await refusal(door.authenticate(forged, None)) == INVALID


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519"])
async def test_edwards_curves_can_be_pinned_by_either_name(
    make_door: MakeDoor, provider: Provider, time: Time, algorithm: str
) -> None:
    """Ed25519 keys work under the name providers use and under the one RFC 9864 gives it."""
    key = OKPKey.generate_key("Ed25519", {"kid": "ed"})
    provider.published = [key]
    door = make_door(jwt_jwks_url=provider.url, jwt_algorithms=(algorithm,))
    principal = await door.authenticate(signed(time, key, algorithm), None)
    assert principal.actor == "user:1"


def test_an_empty_list_of_algorithms_allows_none() -> None:
    """A registry of no algorithms knows none, where the library would fall back to its own."""
    with pytest.raises(UnsupportedAlgorithmError):
        verifier._Pinned().get_alg("HS256")


async def test_only_pinned_algorithms_are_accepted(
    make_door: MakeDoor, provider: Provider, time: Time
) -> None:
    """A published key does not make an algorithm acceptable that the settings leave out."""
    provider.published = [RSA_B, EC_A]
    door = make_door(jwt_jwks_url=provider.url, jwt_algorithms=("ES256",))
    await door.authenticate(signed(time, EC_A, "ES256"), None)
    for algorithm in ("RS256", "PS256"):
        assert await refusal(door.authenticate(signed(time, RSA_B, algorithm), None)) == INVALID


async def test_no_pinned_algorithm_means_none_at_all(
    make_door: MakeDoor, provider: Provider, time: Time
) -> None:
    """An empty list accepts nothing, and does not fall back to the library's choice."""
    door = make_door(jwt_jwks_url=provider.url, jwt_algorithms=())
    assert await refusal(door.authenticate(signed(time, RSA_A), None)) == INVALID


@pytest.mark.parametrize("algorithm", ["HS256", "none", "RS257", "dir"])
def test_a_setting_that_pins_no_asymmetric_algorithm_is_refused(algorithm: str) -> None:
    """HMAC, none and unknown names cannot be pinned for a key set."""
    with pytest.raises(ValueError, match=f"GATEWAY_JWT_ALGORITHMS: {algorithm}"):
        Authenticator(
            settings(jwt_algorithms=("RS256", algorithm)), secret=None, fetch=_unreachable
        )


async def _unreachable(sql: str, /, *arguments: Any) -> list[Any]:
    raise AssertionError(sql, arguments)


async def test_a_key_made_for_one_algorithm_verifies_no_other(
    remote_door: Authenticator, make_door: MakeDoor, provider: Provider, time: Time
) -> None:
    """A key published for RS256 does not verify PS256, though both are pinned."""
    door = make_door(jwt_jwks_url=provider.url, jwt_algorithms=("RS256", "PS256"))
    bare = RSAKey.import_key(RSA_A.as_pem(private=True))
    assert await refusal(door.authenticate(signed(time, bare, "PS256", kid="a"), None)) == INVALID
    await remote_door.authenticate(signed(time, RSA_A), None)


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../etc/passwd",
        "/dev/null",
        "file:///etc/hostname",
        "' union select 'secret' --",
        "a; drop table app_user",
        "http://127.0.0.1:1/keys",
        "A",
        "a ",
        "",
        "\x00",
        "k" * 1_000,
    ],
)
async def test_a_key_id_is_only_compared(
    remote_door: Authenticator, provider: Provider, time: Time, kid: str
) -> None:
    """A key id that is a path, a URL or SQL is an unknown key id."""
    assert await refusal(remote_door.authenticate(signed(time, RSA_A, kid=kid), None)) == INVALID
    assert provider.requests == 1


async def test_keys_that_a_token_brings_along_are_not_used(
    remote_door: Authenticator, provider: Provider, time: Time
) -> None:
    """`jwk`, `jku` and `x5u` in the header neither verify anything nor cause a request."""
    await remote_door.authenticate(signed(time, RSA_A), None)
    other = provider.url.replace("/keys", "/keys?mine")
    for header in (
        {"jwk": RSA_B.as_dict(private=False)},
        {"jku": other},
        {"x5u": other},
    ):
        forged = signed(time, RSA_B, kid="a", **header)
        assert await refusal(remote_door.authenticate(forged, None)) == INVALID
    assert provider.requests == 1


async def test_a_key_id_may_be_left_out_where_one_key_fits(
    remote_door: Authenticator, provider: Provider, time: Time
) -> None:
    """Without a key id the only fitting key is used; with two to choose from there is none."""
    provider.published = [RSA_A, EC_A]
    anonymous = signed(time, RSAKey.import_key(RSA_A.as_pem(private=True)), kid=None)
    await remote_door.authenticate(anonymous, None)

    provider.published = [RSA_A, RSA_B]
    time.advance(key_set.PAUSE_SECONDS)
    await remote_door.authenticate(signed(time, RSA_B), None)
    assert await refusal(remote_door.authenticate(anonymous, None)) == INVALID


async def test_a_new_key_is_fetched_when_a_token_names_it(
    remote_door: Authenticator, provider: Provider, time: Time
) -> None:
    """A rotated key works as soon as it is used, and the old one for as long as it is published."""
    old = signed(time, RSA_A)
    await remote_door.authenticate(old, None)
    provider.published = [RSA_A, RSA_B]
    time.advance(key_set.PAUSE_SECONDS)
    await remote_door.authenticate(signed(time, RSA_B), None)
    await remote_door.authenticate(old, None)
    assert provider.requests == 2


async def test_a_retired_key_stops_working_also_for_tokens_in_use(
    remote_door: Authenticator, provider: Provider, time: Time
) -> None:
    """When the provider withdraws a key, tokens it signed end with the next fetch."""
    old = signed(time, RSA_A)
    await remote_door.authenticate(old, None)
    provider.published = [RSA_B]
    time.advance(key_set.FRESH_SECONDS)
    await remote_door.authenticate(old, None)  # answered with the keys at hand, fetched meanwhile
    fetching = remote_door._verifier._remote._fetching  # type: ignore[union-attr]
    assert fetching is not None
    await fetching
    assert await refusal(remote_door.authenticate(old, None)) == INVALID


async def test_unknown_key_ids_cannot_flood_the_provider(
    remote_door: Authenticator, provider: Provider, time: Time
) -> None:
    """However many key ids are made up, the provider is asked once in a while."""
    attempts = [
        refusal(remote_door.authenticate(signed(time, RSA_B, kid=f"made-up-{n}"), None))
        for n in range(100)
    ]
    assert set(await asyncio.gather(*attempts)) == {INVALID}
    assert provider.requests == 1
    time.advance(key_set.PAUSE_SECONDS)
    await refusal(remote_door.authenticate(signed(time, RSA_B, kid="another"), None))
    assert provider.requests == 2


async def test_parallel_tokens_of_a_new_key_share_one_fetch_and_one_lookup(
    remote_door: Authenticator, provider: Provider, fetch: CountedFetch, time: Time
) -> None:
    """A hundred callers at a cold start cost one request and one statement."""
    header = signed(time, RSA_A)
    principals = await asyncio.gather(*(remote_door.authenticate(header, None) for _ in range(100)))
    assert {p.actor for p in principals} == {"user:1"}
    assert (provider.requests, fetch.statements) == (1, 1)


async def test_a_caller_who_leaves_does_not_take_the_fetch_along(
    remote_door: Authenticator, provider: Provider, time: Time
) -> None:
    """Canceling the request that began a fetch leaves the others waiting for it."""
    provider.may_answer.clear()
    header = signed(time, RSA_A)
    first, second = (asyncio.create_task(remote_door.authenticate(header, None)) for _ in range(2))
    await provider.asked.wait()
    first.cancel()
    provider.may_answer.set()
    assert (await second).actor == "user:1"
    assert provider.requests == 1


async def test_a_provider_that_never_answered_is_not_the_callers_fault(
    make_door: MakeDoor, time: Time
) -> None:
    """Without any key set the answer is to try again, at once also for the next caller."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    door = make_door(secret=None, jwt_jwks_url=f"http://127.0.0.1:{port}/keys")
    for _ in range(2):
        with pytest.raises(Overloaded, match="try again shortly"):
            await door.authenticate(signed(time, RSA_A), None)


async def test_a_provider_that_comes_up_later_is_found(
    remote_door: Authenticator, provider: Provider, time: Time
) -> None:
    """After the pause a provider that was down at the first token is asked again."""
    provider.answer = Response(status_code=503)
    header = signed(time, RSA_A)
    with pytest.raises(Overloaded):
        await remote_door.authenticate(header, None)
    provider.answer = None
    with pytest.raises(Overloaded):
        await remote_door.authenticate(header, None)
    time.advance(key_set.PAUSE_SECONDS)
    assert (await remote_door.authenticate(header, None)).actor == "user:1"


@pytest.mark.parametrize(
    "answer",
    [
        Response(status_code=500),
        Response(status_code=302, headers={"location": "/elsewhere"}),
        Response("not JSON"),
        Response("[]"),
        Response('{"keys": 7}'),
        Response('{"keys": []}'),
        Response('{"keys": [7, {"kty": "RSA", "n": "!", "e": "AQAB"}, {"kty": "new"}]}'),
        Response(json.dumps({"keys": [RSA_B.as_dict(private=False)]}) + " " * 300_000),
    ],
    ids=["500", "redirect", "not JSON", "list", "no list", "empty", "no usable key", "huge"],
)
async def test_a_provider_that_fails_later_leaves_the_last_good_keys(
    remote_door: Authenticator, provider: Provider, time: Time, answer: Response
) -> None:
    """Known keys go on working, unknown ones are refused, while the provider is out of order."""
    await remote_door.authenticate(signed(time, RSA_A), None)
    provider.answer = answer
    time.advance(key_set.FRESH_SECONDS)
    assert await refusal(remote_door.authenticate(signed(time, RSA_B), None)) == INVALID
    assert provider.requests == 2
    assert (await remote_door.authenticate(signed(time, RSA_A), None)).actor == "user:1"


async def test_a_provider_that_hangs_is_given_up(
    remote_door: Authenticator, provider: Provider, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch is bounded in time as a whole."""
    monkeypatch.setattr(key_set, "_FETCH_SECONDS", 0.2)
    provider.may_answer.clear()
    async with asyncio.timeout(5):
        with pytest.raises(Overloaded):
            await remote_door.authenticate(signed(time, RSA_A), None)


async def test_shared_and_weak_keys_in_a_key_set_are_passed_over(
    remote_door: Authenticator, provider: Provider, time: Time
) -> None:
    """A published `oct` key signs nothing, nor does an RSA key of 1,024 bits."""
    shared = OctKey.import_key({"kty": "oct", "k": encoded(SECRET.encode()), "kid": "shared"})
    with pytest.warns(match="2048"):
        weak = RSAKey.generate_key(1024, {"kid": "weak"})
    published = [shared.as_dict(), weak.as_dict(private=False), RSA_A.as_dict(private=False)]
    document = json.dumps({"keys": published})
    assert [key.kid for key in key_set.parse_key_set(document.encode())] == ["a"]
    provider.answer = Response(document)
    await remote_door.authenticate(signed(time, RSA_A), None)
    hmac_token = "Bearer " + assembled({"alg": "HS256", "kid": "shared"}, claims_at(time))
    for header in (hmac_token, signed(time, weak)):
        assert await refusal(remote_door.authenticate(header, None)) == INVALID


async def test_keys_for_encryption_verify_no_signature(
    remote_door: Authenticator, provider: Provider, time: Time
) -> None:
    """A key published with `use` enc is not used for signatures."""
    material = RSA_B.as_dict(private=False)
    provider.answer = Response(json.dumps({"keys": [{**material, "use": "enc"}]}))
    assert await refusal(remote_door.authenticate(signed(time, RSA_B), None)) == INVALID


# What a caller may do


async def test_a_company_is_picked_by_its_code(door: Authenticator, time: Time) -> None:
    """X-Company decides which of the user's companies, and so which permissions."""
    header = token(time)
    for _ in range(2):
        north, south = [await door.authenticate(header, code) for code in ("NORTH", "SOUTH")]
        assert (north.company_id, south.company_id) == (1, 2)
        assert north.can("stock.adjust")
        assert not south.can("stock.adjust")


@pytest.mark.parametrize("code", ["OTHER", "NOWHERE", "", "north", "NORTH ", "1", "\x00", "é"])
async def test_a_company_of_others_and_one_of_nobody_look_the_same(
    door: Authenticator, time: Time, code: str
) -> None:
    """A foreign code is refused with the caller's own codes, whether it exists or not."""
    with pytest.raises(Forbidden) as caught:
        await door.authenticate(token(time), code)
    assert caught.value.message == "X-Company names none of your companies."
    assert caught.value.details == {"companies": ["NORTH", "SOUTH"]}


Change = Callable[[Any], Awaitable[Any]]


def statement(sql: str) -> Change:
    """Return a change of the database by one statement."""
    return lambda owner: owner.execute(sql)


@pytest.mark.parametrize(
    "change",
    [
        statement("update app_user set archived_at = now() where id = 1"),
        statement("delete from user_role where user_id = 1"),
        statement("update company set archived_at = now()"),
        lambda owner: revoke_token(owner, "t-1", Time().now),
    ],
    ids=["archived", "no role left", "companies archived", "token revoked"],
)
async def test_a_user_is_cut_off_within_seconds(
    door: Authenticator, owner: Any, time: Time, change: Change
) -> None:
    """A withdrawn user or token works no longer than the answers are kept."""
    header = token(time, jti="t-1")
    await door.authenticate(header, None)
    await change(owner)
    time.advance(authenticator.ACCESS_SECONDS)
    assert await refusal(door.authenticate(header, None)) == INVALID


async def test_revoking_one_token_leaves_the_others(
    door: Authenticator, owner: Any, time: Time
) -> None:
    """Only the token with that id is refused; another of the same user goes on."""
    await revoke_token(owner, "t-1", time.now)
    assert await refusal(door.authenticate(token(time, jti="t-1"), None)) == INVALID
    assert (await door.authenticate(token(time, jti="t-2"), None)).actor == "user:1"
    assert (await door.authenticate(token(time), None)).actor == "user:1"


async def test_a_change_of_roles_is_seen_within_seconds(
    door: Authenticator, owner: Any, fetch: CountedFetch, time: Time
) -> None:
    """New permissions and companies apply once the kept answer is too old, and not before."""
    header = token(time)
    await door.authenticate(header, "SOUTH")
    await owner.execute("update user_role set role_id = 2 where company_id = 2 and user_id = 1")
    time.advance(authenticator.ACCESS_SECONDS - 0.01)
    assert not (await door.authenticate(header, "SOUTH")).can("stock.adjust")
    assert fetch.statements == 1
    time.advance(0.01)
    assert (await door.authenticate(header, "SOUTH")).can("stock.adjust")
    assert fetch.statements == 2


async def test_invalidate_asks_again_at_once(door: Authenticator, owner: Any, time: Time) -> None:
    """After `invalidate` the next request sees the change."""
    header = token(time)
    await door.authenticate(header, None)
    await owner.execute("update app_user set archived_at = now() where id = 1")
    await door.authenticate(header, None)
    door.invalidate()
    assert await refusal(door.authenticate(header, None)) == INVALID


async def test_what_is_recalled_holds_no_longer_than_what_is_asked(
    door: Authenticator, time: Time
) -> None:
    """A connection recalls its caller for as long as the door would let them in unasked."""
    header = token(time, exp=int(time.now.timestamp()) + 60)
    assert door.recall(None, None) is None
    assert door.recall(header, None) is None  # never verified
    principal = await door.authenticate(header, None)
    recall, elsewhere = door.recall(header, None), door.recall(header, "SOUTH")
    assert recall is not None
    assert elsewhere is not None
    assert recall() is principal
    assert elsewhere() is None  # nobody has looked whether that is theirs
    door.invalidate()
    assert recall() is None
    again = await door.authenticate(header, None)
    assert recall() is again
    time.advance(authenticator.ACCESS_SECONDS)
    assert recall() is None
    await door.authenticate(header, None)
    time.advance(60 + LEEWAY - authenticator.ACCESS_SECONDS)
    assert recall() is None


async def test_parallel_requests_of_one_token_share_one_lookup(
    door: Authenticator, fetch: CountedFetch, time: Time
) -> None:
    """A hundred requests at once with a new token cost one statement."""
    header = token(time)
    principals = await asyncio.gather(*(door.authenticate(header, None) for _ in range(100)))
    assert len({id(p) for p in principals}) == 1
    assert fetch.statements == 1


async def test_a_failed_lookup_is_not_remembered(time: Time, fetch: CountedFetch) -> None:
    """While the database is away its error is passed on; afterwards the caller gets in."""
    failing = True

    async def unsteady(sql: str, /, *arguments: Any) -> Any:
        if failing:
            raise Overloaded("busy")
        return await fetch(sql, *arguments)

    door = Authenticator(
        settings(), secret=SECRET.encode(), fetch=unsteady, clock=time.clock, timer=time.timer
    )
    with pytest.raises(Overloaded):
        await door.authenticate(token(time), None)
    failing = False
    assert (await door.authenticate(token(time), None)).actor == "user:1"


# API keys


@pytest.fixture
async def shop_key(owner: Any) -> str:
    """A key of the API client `shop`."""
    return await issue_client_key(settings(), owner, "shop")


async def test_a_key_names_its_client(door: Authenticator, shop_key: str) -> None:
    """A good key becomes a principal of kind client, without expiry, in its one company."""
    principal = await door.authenticate(f"Bearer {shop_key}", None)
    assert (principal.kind, principal.actor, principal.name) == ("client", "client:1", "Web shop")
    assert principal.permissions == {"stock.read"}
    assert principal.expires_at is None
    assert principal.rows == RowScope("erp_app", 1)
    assert principal.credential == f"key:{shop_key[4:14]}"
    assert await door.authenticate(f"Bearer {shop_key}", "NORTH") is principal


async def test_a_key_is_recalled_as_long_as_its_client_is_known(
    door: Authenticator, owner: Any, time: Time, shop_key: str
) -> None:
    """A connection recalls a client as it does the bearer of a token; of a wrong key nobody."""
    header = f"Bearer {shop_key}"
    assert door.recall(header, None) is None  # never looked at
    principal = await door.authenticate(header, None)
    recall = door.recall(header, None)
    assert recall is not None
    assert recall() is principal
    wrong = ApiKey(shop_key[4:14], new_api_key().secret).text
    for other in (wrong, shop_key[:-1], f"egk_{'a' * 10}_{shop_key[15:]}"):
        assert door.recall(f"Bearer {other}", None) is None
    assert door.recall(header, "SOUTH") is None
    door.invalidate()
    assert recall() is None
    await door.authenticate(header, None)
    assert recall() is None, "what is known of it was read anew, so the key is looked at again"
    again = door.recall(header, None)
    assert again is not None
    time.advance(authenticator.ACCESS_SECONDS)
    assert again() is None
    await revoke_client(owner, "shop")
    assert await refusal(door.authenticate(header, None)) == INVALID
    assert door.recall(header, None) is None


async def test_a_client_of_a_partner_is_bound_to_its_rows(door: Authenticator, owner: Any) -> None:
    """A bound client acts under the partner's role and id."""
    key = await issue_client_key(settings(), owner, "partner-demo")
    principal = await door.authenticate(f"Bearer {key}", None)
    assert principal.partner_id == 1
    assert principal.rows == RowScope("erp_partner", 2, 1)


@pytest.mark.parametrize("code", ["SOUTH", "NOWHERE", ""])
async def test_a_client_has_one_company(door: Authenticator, shop_key: str, code: str) -> None:
    """Any other company than the client's own is refused, whether it exists or not."""
    with pytest.raises(Forbidden) as caught:
        await door.authenticate(f"Bearer {shop_key}", code)
    assert caught.value.details == {"companies": ["NORTH"]}


async def test_wrong_keys_are_refused_alike(
    door: Authenticator, fetch: CountedFetch, shop_key: str
) -> None:
    """A wrong secret, an unknown prefix and a broken key get the answer of a forged token."""
    prefix, secret = shop_key[:14], shop_key[15:]
    unknown = new_api_key()
    lookups = [f"{prefix}_{unknown.secret}", unknown.text]
    broken = [
        shop_key[:-1],
        shop_key + "A",
        shop_key.upper().replace("EGK", "egk"),
        prefix,
        "egk_",
        f"egk__{secret}",
        f"egk_../../etc/_{secret}",
    ]
    for key in (*lookups, *broken):
        assert await refusal(door.authenticate(f"Bearer {key}", None)) == INVALID
    assert fetch.statements == len(lookups)


async def test_the_stored_hash_is_no_key(door: Authenticator, owner: Any, shop_key: str) -> None:
    """What the database holds does not open the door."""
    prefix, stored = await owner.fetchrow(
        "select key_prefix, key_hash from api_client where code = 'shop'"
    )
    assert stored == hashlib.sha256(shop_key[15:].encode()).digest()
    key = ApiKey(prefix, base64.urlsafe_b64encode(stored).decode().rstrip("=")).text
    assert await refusal(door.authenticate(f"Bearer {key}", None)) == INVALID


@pytest.mark.parametrize(
    "change",
    [
        lambda owner: revoke_client(owner, "shop"),
        statement("update api_client set archived_at = now() where code = 'shop'"),
        statement("update company set archived_at = now() where code = 'NORTH'"),
        statement("update api_client set key_hash = sha256('new') where code = 'shop'"),
    ],
    ids=["revoked", "archived", "company archived", "replaced"],
)
async def test_a_key_is_cut_off_within_seconds(
    door: Authenticator, owner: Any, time: Time, shop_key: str, change: Change
) -> None:
    """A withdrawn key works no longer than the answers are kept."""
    header = f"Bearer {shop_key}"
    await door.authenticate(header, None)
    await change(owner)
    time.advance(authenticator.ACCESS_SECONDS)
    assert await refusal(door.authenticate(header, None)) == INVALID


async def test_secrets_are_compared_in_constant_time(
    door: Authenticator, shop_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right and wrong secrets alike go through `hmac.compare_digest`."""
    compared: list[bool] = []
    real = hmac.compare_digest

    def seen(left: bytes, right: bytes) -> bool:
        compared.append(real(left, right))
        return compared[-1]

    monkeypatch.setattr("hmac.compare_digest", seen)
    await door.authenticate(f"Bearer {shop_key}", None)
    wrong = ApiKey(shop_key[4:14], new_api_key().secret).text
    await refusal(door.authenticate(f"Bearer {wrong}", None))
    assert compared == [True, False]


async def test_parallel_requests_of_one_key_share_one_lookup(
    door: Authenticator, fetch: CountedFetch, shop_key: str
) -> None:
    """A hundred requests at once with one key cost one statement."""
    await asyncio.gather(*(door.authenticate(f"Bearer {shop_key}", None) for _ in range(100)))
    assert fetch.statements == 1


async def test_a_flood_of_unknown_keys_leaves_connections_to_others(
    time: Time, owner: Any, fetch: CountedFetch
) -> None:
    """Lookups run a few at a time, however many unknown keys arrive."""
    assert not owner.is_closed()
    running = most = 0

    async def watched(sql: str, /, *arguments: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await fetch(sql, *arguments)
        finally:
            running -= 1

    door = Authenticator(
        settings(), secret=SECRET.encode(), fetch=watched, clock=time.clock, timer=time.timer
    )
    attempts = [refusal(door.authenticate(f"Bearer {new_api_key().text}", None)) for _ in range(50)]
    assert set(await asyncio.gather(*attempts)) == {INVALID}
    assert (fetch.statements, most) == (50, 4)


def test_a_key_keeps_its_secret_out_of_logs() -> None:
    """The repr of a key shows the prefix alone."""
    key = new_api_key()
    assert key.prefix in repr(key)
    assert key.secret not in repr(key)


def test_new_keys_parse_and_differ() -> None:
    """Every new key has the documented form and is unlike the one before."""
    keys = {new_api_key().text for _ in range(100)}
    assert len(keys) == 100
    assert all((parsed := api_keys.parse_api_key(k)) and parsed.text == k for k in keys)


# The caches


async def test_a_waiter_that_leaves_does_not_cancel_the_lookup_of_others() -> None:
    """Canceling the caller that began a lookup leaves the rest of them their answer."""
    release = asyncio.Event()

    async def load(key: str) -> str:
        await release.wait()
        return key.upper()

    lookup = Lookup(load, ttl=5, size=10, parallel=2, timer=Time().timer)
    first, second = (asyncio.create_task(lookup.get("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    release.set()
    assert await second == "A"
    assert first.cancelled()


async def test_an_answer_on_its_way_when_all_is_cleared_is_not_kept() -> None:
    """A lookup begun before `clear` answers those who waited, and nobody after."""
    loads: asyncio.Queue[asyncio.Future[str]] = asyncio.Queue()

    async def load(_key: str) -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        loads.put_nowait(answer)
        return await answer

    lookup = Lookup(load, ttl=5, size=10, parallel=2, timer=Time().timer)
    early = asyncio.create_task(lookup.get("a"))
    old = await loads.get()
    lookup.clear()
    late = asyncio.create_task(lookup.get("a"))
    new = await loads.get()
    new.set_result("new")
    assert await late == "new"
    old.set_result("old")
    assert await early == "old"
    assert await lookup.get("a") == "new"


async def test_an_answer_ages_from_when_it_was_asked_for() -> None:
    """The time a lookup takes counts against its answer, which may be as old."""
    time = Time()
    loads = 0

    async def load(key: str) -> str:
        nonlocal loads
        loads += 1
        time.advance(3)
        return key

    lookup = Lookup(load, ttl=5, size=10, parallel=2, timer=time.timer)
    await lookup.get("a")
    time.advance(1.9)
    await lookup.get("a")
    assert loads == 1
    time.advance(0.1)
    await lookup.get("a")
    assert loads == 2


async def test_a_lookup_keeps_so_many_answers_and_no_more() -> None:
    """Beyond its size a lookup forgets the answers that would expire first."""
    asked: list[int] = []

    async def load(key: int) -> int:
        asked.append(key)
        return key

    lookup = Lookup(load, ttl=5, size=3, parallel=2, timer=Time().timer)
    for key in range(5):
        await lookup.get(key)
    assert len(lookup._answers) == 3
    assert not lookup._loading
    await lookup.get(4)
    await lookup.get(0)
    assert asked == [0, 1, 2, 3, 4, 0]


def test_the_recent_cache_drops_what_was_unused_for_longest() -> None:
    """A use counts: the value read last stays, the one not read goes."""
    cache: LruCache[str, int] = LruCache(size=2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)

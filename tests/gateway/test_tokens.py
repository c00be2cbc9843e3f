"""Credentials made and withdrawn: user tokens, client keys, and the secret behind them."""

import asyncio
import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.auth import Authenticator, authenticator
from gateway.secrets import SHORTEST_SECRET, SecretError, signing_secret
from gateway.settings import Settings
from gateway.tokens import (
    TokenError,
    issue_client_key,
    issue_user_token,
    require_user,
    revoke_client,
    revoke_token,
)
from resolvers.core.errors import Unauthenticated
from tests.gateway.people import PEOPLE, Time, install, people_database, settings_with

pytestmark = pytest.mark.may_block

SECRET = "a shared secret that is only used in these tests"
HOUR = timedelta(hours=1)
CHECKOUT = Path(__file__).parents[2]


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


@pytest.fixture
def time() -> Time:
    """The time of the test."""
    return Time()


@pytest.fixture
def demo(tmp_path: Path) -> Settings:
    """Settings of a demo whose data directory is new."""
    return settings_with(environment="demo", data_dir=tmp_path / "data")


@pytest.fixture
def production() -> Settings:
    """Settings of a production installation with a shared secret."""
    return settings_with(environment="production", jwt_secret=SECRET)


def door_of(settings: Settings, owner: Any, time: Time) -> Authenticator:
    """Return a door of the installation."""
    return Authenticator(
        settings,
        secret=signing_secret(settings),
        fetch=owner.fetch,
        clock=time.clock,
        timer=time.timer,
    )


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a token without looking at its signature."""
    payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return payload


# The secret


def test_a_demo_makes_one_secret_that_its_owner_alone_can_read(demo: Settings) -> None:
    """The secret is made once, is long enough, and lies in a private file of a private folder."""
    secret = signing_secret(demo)
    assert secret is not None
    assert len(secret) >= SHORTEST_SECRET
    assert signing_secret(demo) == secret
    folder = demo.data_dir / "secrets"
    assert [path.name for path in folder.iterdir()] == ["jwt"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "jwt").stat().st_mode & 0o777 == 0o600


def test_two_installations_have_two_secrets(tmp_path: Path) -> None:
    """Nothing about the secret can be known from another installation."""
    one, other = (settings_with(environment="test", data_dir=tmp_path / name) for name in "ab")
    assert signing_secret(one) != signing_secret(other)


async def test_processes_that_start_together_agree_on_the_secret(demo: Settings) -> None:
    """However many processes find no secret at once, they all end up with the same one."""
    program = (
        "from gateway.secrets import signing_secret; from gateway.settings import Settings;"
        "import sys; settings = Settings(); sys.stdin.readline();"
        "print(signing_secret(settings).decode())"
    )
    environment = {
        "GATEWAY_ENVIRONMENT": "demo",
        "GATEWAY_DATA_DIR": str(demo.data_dir),
        "PYTHONPATH": str(CHECKOUT),
    }
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(6)
    ]
    outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    printed = {out.decode().strip() for out, _ in outputs}
    secret = signing_secret(demo)
    assert secret is not None
    assert printed == {secret.decode()}


def test_the_text_of_the_file_works_as_a_setting(demo: Settings) -> None:
    """What the file holds can be moved to GATEWAY_JWT_SECRET and remains the same secret."""
    made = signing_secret(demo)
    text = (demo.data_dir / "secrets" / "jwt").read_text().strip()
    assert signing_secret(settings_with(environment="production", jwt_secret=text)) == made


def test_the_setting_goes_before_the_file(demo: Settings) -> None:
    """Where the secret is set nothing is made."""
    settings = demo.model_copy(update={"jwt_secret": settings_with(jwt_secret=SECRET).jwt_secret})
    assert signing_secret(settings) == SECRET.encode()
    assert not demo.data_dir.exists()


def test_production_makes_no_secret(tmp_path: Path) -> None:
    """A production installation without the setting has no shared secret."""
    settings = settings_with(environment="production", data_dir=tmp_path / "data")
    assert signing_secret(settings) is None
    assert not settings.data_dir.exists()


def test_a_short_secret_is_refused(demo: Settings) -> None:
    """Fewer bytes than the hash has are refused, in the setting and in the file."""
    with pytest.raises(SecretError, match="GATEWAY_JWT_SECRET has 31 bytes"):
        signing_secret(settings_with(jwt_secret="x" * 31))
    path = demo.data_dir / "secrets" / "jwt"
    path.parent.mkdir(parents=True)
    path.write_text("short\n")
    with pytest.raises(SecretError, match=r"jwt has 5 bytes.*Delete the file"):
        signing_secret(demo)


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    """Where the data directory cannot hold the secret the message says what to set."""
    (tmp_path / "file").touch()
    with pytest.raises(SecretError, match="GATEWAY_DATA_DIR writable"):
        signing_secret(settings_with(environment="demo", data_dir=tmp_path / "file"))


# User tokens


async def test_a_user_token_opens_the_door_until_it_expires(
    demo: Settings, owner: Any, time: Time
) -> None:
    """An issued token is accepted by the installation that issued it, for the hours asked for."""
    door = door_of(demo, owner, time)
    header = "Bearer " + issue_user_token(demo, "ada@demo", HOUR, time.clock)
    principal = await door.authenticate(header, None)
    assert (principal.actor, principal.expires_at) == ("user:1", time.now + HOUR)
    time.advance(HOUR.total_seconds() + demo.jwt_leeway_seconds)
    with pytest.raises(Unauthenticated, match="expired"):
        await door.authenticate(header, None)


def test_tokens_say_whose_for_whom_and_which(production: Settings, time: Time) -> None:
    """A token carries the required claims, and an id of its own by which it can be revoked."""
    one, other = (issue_user_token(production, "ada@demo", HOUR, time.clock) for _ in range(2))
    assert claims_of(one) == {
        "iss": "erp-gateway",
        "aud": "erp-gateway",
        "sub": "ada@demo",
        "iat": int(time.now.timestamp()),
        "exp": int((time.now + HOUR).timestamp()),
        "jti": claims_of(one)["jti"],
    }
    assert claims_of(one)["jti"] != claims_of(other)["jti"]


@pytest.mark.parametrize("ttl", [timedelta(), timedelta(seconds=-1)])
def test_a_token_without_time_is_not_issued(
    production: Settings, time: Time, ttl: timedelta
) -> None:
    """Zero or negative hours are a mistake."""
    with pytest.raises(TokenError, match="above zero"):
        issue_user_token(production, "ada@demo", ttl, time.clock)


def test_without_a_shared_secret_no_token_is_issued(time: Time) -> None:
    """The message says where tokens come from instead."""
    with pytest.raises(TokenError, match="GATEWAY_JWT_JWKS_URL"):
        issue_user_token(settings_with(environment="production"), "ada@demo", HOUR, time.clock)


async def test_an_unknown_user_is_told_who_there_is(demo: Settings, owner: Any) -> None:
    """A demo names its users; somebody without a role could not sign in either."""
    await require_user(demo, owner, "Ada@Demo")
    for email in ("nobody@demo", "roleless@demo", "' or true --"):
        with pytest.raises(TokenError, match="There are: ada@demo, bob@demo, roleless@demo"):
            await require_user(demo, owner, email)


async def test_production_names_nobody(production: Settings, owner: Any) -> None:
    """Outside demo and test the message names nobody but who was asked for."""
    with pytest.raises(TokenError) as caught:
        await require_user(production, owner, "nobody@demo")
    assert str(caught.value) == "There is no user 'nobody@demo' with a role in any company."
    with pytest.raises(TokenError) as caught:
        await issue_client_key(production, owner, "nothing")
    assert str(caught.value) == "There is no API client 'nothing'."


async def test_an_empty_database_asks_for_the_seed(demo: Settings, owner: Any) -> None:
    """Where there is nobody at all the message says how to get somebody."""
    await owner.execute("delete from api_client; delete from user_role; delete from app_user")
    with pytest.raises(TokenError, match="run the seed first"):
        await require_user(demo, owner, "ada@demo")
    with pytest.raises(TokenError, match="run the seed first"):
        await issue_client_key(demo, owner, "partner-demo")


async def test_a_revoked_token_is_refused(demo: Settings, owner: Any, time: Time) -> None:
    """A token withdrawn by its id stops working within seconds, and doing it twice is fine."""
    door = door_of(demo, owner, time)
    text = issue_user_token(demo, "ada@demo", HOUR, time.clock)
    await door.authenticate(f"Bearer {text}", None)
    for _ in range(2):
        await revoke_token(owner, claims_of(text)["jti"], time.now + HOUR)
    time.advance(authenticator.ACCESS_SECONDS)
    with pytest.raises(Unauthenticated, match="not valid"):
        await door.authenticate(f"Bearer {text}", None)


async def test_long_expired_revocations_are_forgotten(owner: Any) -> None:
    """Revoking a token sweeps out those that have been too old to be accepted for a day."""
    now = await owner.fetchval("select now()")
    await revoke_token(owner, "old", now - timedelta(days=2))
    await revoke_token(owner, "recent", now - timedelta(hours=1))
    await revoke_token(owner, "new", now + HOUR)
    kept = [jti for (jti,) in await owner.fetch("select jti from revoked_token order by jti")]
    assert kept == ["new", "recent"]


async def test_the_serving_role_reads_no_revocations(owner: Any) -> None:
    """Which tokens were revoked is asked through a function, never read."""
    async with owner.transaction():
        await owner.execute("set local role erp_app")
        assert await owner.fetchval("select token_revoked('x')") is False
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with owner.transaction():
                await owner.fetch("select * from revoked_token")


# Client keys


async def stored(owner: Any, code: str) -> Any:
    """Return what the database holds of a client's key, and the row's physical version."""
    return await owner.fetchrow(
        "select key_prefix, key_hash, revoked_at, xmin from api_client where code = $1", code
    )


async def test_the_demo_key_stays_the_same(demo: Settings, owner: Any, time: Time) -> None:
    """Asking again gives the same key, changes no row, and a new database takes it too."""
    key = await issue_client_key(demo, owner, "partner-demo")
    before = await stored(owner, "partner-demo")
    assert await issue_client_key(demo, owner, "partner-demo") == key
    assert await stored(owner, "partner-demo") == before

    await owner.execute(PEOPLE)
    assert await issue_client_key(demo, owner, "partner-demo") == key
    principal = await door_of(demo, owner, time).authenticate(f"Bearer {key}", None)
    assert principal.partner_id == 1


async def test_demo_keys_differ_by_client_and_by_installation(
    demo: Settings, owner: Any, tmp_path: Path
) -> None:
    """A demo key follows from the client's code and the installation's own secret."""
    other = settings_with(environment="demo", data_dir=tmp_path / "other")
    keys = [
        await issue_client_key(settings, owner, code)
        for settings in (demo, other)
        for code in ("partner-demo", "shop")
    ]
    assert len(set(keys)) == 4
    assert len({key[:14] for key in keys}) == 4


async def test_production_keys_are_new_each_time(
    production: Settings, owner: Any, time: Time
) -> None:
    """A second key replaces the first, which stops working."""
    door = door_of(production, owner, time)
    first, second = [await issue_client_key(production, owner, "shop") for _ in range(2)]
    assert first != second
    assert (await door.authenticate(f"Bearer {second}", None)).actor == "client:1"
    with pytest.raises(Unauthenticated):
        await door.authenticate(f"Bearer {first}", None)


async def test_only_the_hash_is_stored(production: Settings, owner: Any) -> None:
    """The secret part of a key is nowhere in the row."""
    key = await issue_client_key(production, owner, "shop")
    row = await stored(owner, "shop")
    assert (row["key_prefix"], row["key_hash"]) == (
        key[4:14],
        hashlib.sha256(key[15:].encode()).digest(),
    )
    assert key[15:] not in str(await owner.fetchval("select api_client::text from api_client"))


async def test_a_revoked_client_is_out_until_it_gets_a_key(
    production: Settings, owner: Any, time: Time
) -> None:
    """Revoking holds, keeps its first instant when repeated, and ends with a new key."""
    key = await issue_client_key(production, owner, "shop")
    await revoke_client(owner, "shop")
    revoked_at = (await stored(owner, "shop"))["revoked_at"]
    await revoke_client(owner, "shop")
    assert (await stored(owner, "shop"))["revoked_at"] == revoked_at
    door = door_of(production, owner, time)
    with pytest.raises(Unauthenticated):
        await door.authenticate(f"Bearer {key}", None)
    new = await issue_client_key(production, owner, "shop")
    assert (await door.authenticate(f"Bearer {new}", None)).actor == "client:1"


@pytest.mark.parametrize("code", ["nothing", "", "SHOP", "' or true --"])
async def test_an_unknown_client_is_told_which_there_are(
    demo: Settings, owner: Any, code: str
) -> None:
    """A demo names its API clients; revoking an unknown one is an error too."""
    with pytest.raises(TokenError, match="There are: shop, partner-demo"):
        await issue_client_key(demo, owner, code)
    with pytest.raises(TokenError, match="There is no API client"):
        await revoke_client(owner, code)


async def test_an_archived_client_gets_no_key(demo: Settings, owner: Any) -> None:
    """Archiving a client is the end of it."""
    await owner.execute("update api_client set archived_at = now() where code = 'shop'")
    with pytest.raises(TokenError, match="There are: partner-demo"):
        await issue_client_key(demo, owner, "shop")

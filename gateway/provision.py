"""A database behind the settings: the operator's own, or else the embedded PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
from pydantic import SecretStr

from gateway.postgres import EmbeddedPostgres
from gateway.postgres.installation import Progress
from gateway.settings import Settings
from resolvers.core.database_errors import FAILURES
from resolvers.core.principal import STAFF_ROLE

DATABASE = "gateway"
"""Name of the database on the embedded server."""
CONNECT_SECONDS = 10
"""Longest a login at the operator's database may take."""
LOGIN_FAILURES: Final[tuple[type[Exception], ...]] = (*FAILURES, ValueError)
"""What the driver raises when nobody can log in; a value is wrong in a URL, or in what is told by a
server that is no PostgreSQL."""


class DatabaseError(Exception):
    """Why the database cannot be used and what to do about it, for people to read."""


@contextmanager
def with_database(settings: Settings, progress: Progress) -> Iterator[Settings]:
    """Yield settings whose database URLs are set and answer, for as long as the block lasts.

    Raises:
        DatabaseError: the operator's database cannot be reached.
        EmbeddedPostgresError: the embedded server cannot be started.

    """
    if settings.database_url is not None:
        asyncio.run(require_reachable(settings.database_url.get_secret_value()))
        yield settings
        return
    with EmbeddedPostgres(settings.data_dir, progress=progress) as server:
        if not server.has_database(DATABASE):
            server.create_database(DATABASE)
        yield with_embedded_urls(settings)


def with_embedded_urls(settings: Settings) -> Settings:
    """Return the settings pointed at the embedded server, which need not run.

    What runs on it is a demo, unless the environment was named: production brings its own server.
    """
    server = EmbeddedPostgres(settings.data_dir)
    update: dict[str, Any] = {"database_url": SecretStr(server.url(DATABASE))}
    if settings.serving_database_url is None:
        update["serving_database_url"] = SecretStr(server.url(DATABASE, STAFF_ROLE))
    return as_demo(settings).model_copy(update=update)


def database_url(settings: Settings) -> str:
    """Return the URL that `with_database` has set."""
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


async def require_migrated(url: str) -> None:
    """Make sure that a database has our tables.

    Raises:
        DatabaseError: it has none, or cannot be reached.

    """
    if await _ask(url, "select to_regclass('job')") is None:
        raise DatabaseError("There are no tables yet: run `python -m gateway migrate`.")


def as_demo(settings: Settings) -> Settings:
    """Return the settings of a demo, unless they name another environment."""
    if "environment" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"environment": "demo"})


@asynccontextmanager
async def owner_connection(url: str) -> "AsyncIterator[asyncpg.Connection[Any]]":
    """Log in at the database for as long as the block lasts.

    Raises:
        DatabaseError: no login within ten seconds; says where and why, never the password.

    """
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except TimeoutError as error:
        raise _unreachable(url, f"no answer in {CONNECT_SECONDS} s") from error
    except LOGIN_FAILURES as error:
        raise _unreachable(url, str(error)) from error
    try:
        yield connection
    finally:
        await connection.close()


async def require_reachable(url: str) -> int:
    """Return the version number of the PostgreSQL at ``url``, such as 180004.

    Raises:
        DatabaseError: it cannot be reached.

    """
    return int(await _ask(url, "show server_version_num"))


async def _ask(url: str, sql: str) -> Any:
    """Return the one value that a database answers.

    Raises:
        DatabaseError: it cannot be reached, or was gone right after the login.

    """
    async with owner_connection(url) as connection:
        try:
            return await connection.fetchval(sql)
        except asyncpg.InternalClientError as error:  # it was told so where it expected nothing
            raise _unreachable(url, "it ended the session") from error
        except FAILURES as error:
            raise _unreachable(url, str(error)) from error


def _unreachable(url: str, reason: str) -> DatabaseError:
    try:
        parts = urlsplit(url)
        where = f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
    except ValueError:
        where = "its address"
    return DatabaseError(
        f"Cannot reach the database at {where}: {reason}. Is it running, and is "
        "GATEWAY_DATABASE_URL right? Unset it to use the embedded PostgreSQL."
    )

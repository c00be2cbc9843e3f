"""What is wrong with this installation, and what to do about it."""

import asyncio
import errno
import importlib.metadata
import os
import re
import socket
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import asyncpg

from gateway.migrate import MigrationError, revisions
from gateway.postgres import EmbeddedPostgresError, ServerState, inspect
from gateway.provision import (
    LOGIN_FAILURES,
    DatabaseError,
    require_reachable,
    with_embedded_urls,
)
from gateway.settings import Settings
from resolvers.core.principal import PARTNER_ROLE, STAFF_ROLE

CHECKOUT = Path(__file__).resolve().parent.parent
LEAST_PYTHON = (3, 11)
LEAST_POSTGRES = 15

_POWERS = """
select rolname, rolsuper or rolbypassrls as unbound,
       exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = 'public' and c.relkind in ('r', 'p')
                 and c.relowner = r.oid and not c.relforcerowsecurity) as owner
from pg_roles r where rolname = any($1)
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it stands, and the way out if it stands badly."""

    subject: str
    status: Literal["ok", "note", "problem"]
    detail: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything an installation stands on, from the bottom up; changes nothing."""
    yield examine_python()
    yield examine_packages()
    yield examine_data_dir(settings)
    yield examine_port(settings)
    yield from examine_secrets(settings)
    if settings.database_url is None:
        server = examine_embedded(settings)
        yield server
        if server.status == "problem" or not inspect(settings.data_dir).accepting:
            return
        settings = with_embedded_urls(settings)
    yield from asyncio.run(examine_database(settings))


def examine_python() -> Finding:
    """Tell which Python this is."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < LEAST_PYTHON:
        return Finding("python", "problem", version, "Install Python 3.11 or newer.")
    return Finding("python", "ok", f"{version} in {sys.prefix}")


def examine_packages() -> Finding:
    """Compare the installed packages with the lock they came from."""
    in_venv = Path(sys.prefix) == CHECKOUT / ".venv"
    lock = CHECKOUT / ("requirements-dev.lock" if in_venv else "requirements.lock")
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text(), re.MULTILINE))
    installed = {
        re.sub(r"[-_.]+", "-", distribution.name).lower(): distribution.version
        for distribution in importlib.metadata.distributions()
    }
    differing = [
        f"{name} {installed[name]} (the lock says {version})"
        for name, version in pins.items()
        if installed.get(name, version) != version
    ]
    if differing:
        remedy = "Run: make install" if in_venv else f"Run: pip install -r {lock.name}"
        return Finding("packages", "problem", "; ".join(differing), remedy)
    return Finding("packages", "ok", f"as {lock.name} says")


def examine_data_dir(settings: Settings) -> Finding:
    """Tell whether the data directory, or the folder it will be made in, can be written."""
    folder = settings.data_dir.expanduser().resolve()
    place = next(p for p in (folder, *folder.parents) if p.exists())
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return Finding("data directory", "ok", str(folder))
    return Finding(
        "data directory",
        "problem",
        f"{place} cannot be written by this user",
        "Give it to this user, or choose another with GATEWAY_DATA_DIR.",
    )


def port_problem(host: str, port: int) -> str | None:
    """Say why the gateway cannot listen on an address, or None if it can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"Port {port} on {host} is taken by another process."
        return f"Cannot listen on {host}:{port}: {error.strerror}."
    return None


def examine_port(settings: Settings) -> Finding:
    """Tell whether the gateway can listen where it is to."""
    problem = port_problem(settings.host, settings.port)
    if problem is None:
        return Finding("port", "ok", f"{settings.host}:{settings.port} is free")
    remedy = "Fine if that is this gateway; else choose another with GATEWAY_PORT."
    return Finding("port", "note", problem, remedy)


def examine_secrets(settings: Settings) -> Iterator[Finding]:
    """Tell whether anybody but the owner can read the secrets in the data directory."""
    folder = settings.data_dir / "secrets"
    files = sorted(folder.glob("*")) if os.access(folder, os.R_OK | os.X_OK) else []
    open_ones = [str(f) for f in files if stat.S_IMODE(f.stat().st_mode) & 0o077]
    if open_ones:
        remedy = f"Run: chmod 600 {' '.join(open_ones)}"
        yield Finding("secrets", "problem", "others can read them", remedy)
    elif files:
        yield Finding("secrets", "ok", f"{folder} is private")


def examine_embedded(settings: Settings) -> Finding:
    """Tell how the embedded PostgreSQL is doing."""
    subject = "embedded postgres"
    try:
        state = inspect(settings.data_dir)
    except EmbeddedPostgresError as error:
        return Finding(subject, "problem", str(error))
    if not state.exists:
        return Finding(subject, "note", "not made yet", "Run: make demo")
    if state.busy:
        return Finding(subject, "note", "being started or stopped right now")
    if state.pid is None:
        return Finding(subject, "ok", "stopped; starts when needed")
    return examine_process(subject, state, settings.data_dir / "postgres" / "log")


def examine_process(subject: str, state: ServerState, log: Path) -> Finding:
    """Tell how the running server is doing."""
    process = f"process {state.pid}"
    if state.orphaned:
        remedy = "Run: python -m gateway doctor --stop (or start the gateway, which takes it over)"
        return Finding(subject, "problem", f"{process} outlived everybody who used it", remedy)
    if not state.accepting:
        remedy = f"After a crash it may be recovering; see {log}"
        return Finding(subject, "problem", f"{process} does not answer", remedy)
    return Finding(subject, "ok", f"{process} is in use")


async def examine_database(settings: Settings) -> list[Finding]:
    """Tell whether the database can be reached, is new enough, current, and keeps rows apart."""
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    try:
        version = await require_reachable(url) // 10_000
    except DatabaseError as error:
        return [Finding("database", "problem", str(error))]
    if version < LEAST_POSTGRES:
        remedy = f"Upgrade it to PostgreSQL {LEAST_POSTGRES} or newer."
        return [Finding("database", "problem", f"it is PostgreSQL {version}", remedy)]
    reachable = Finding("database", "ok", f"PostgreSQL {version} answers")
    serving = settings.serving_database_url or settings.database_url
    return [
        reachable,
        await examine_migrations(url),
        await examine_roles(serving.get_secret_value()),
    ]


async def examine_migrations(url: str) -> Finding:
    """Tell whether the database is migrated."""
    try:
        state = await revisions(url)
    except MigrationError as error:
        return Finding("migrations", "problem", str(error), "Install the newer gateway.")
    if state.up_to_date:
        return Finding("migrations", "ok", f"at {state.head}")
    return Finding(
        "migrations",
        "problem",
        f"at {state.current or 'nothing'}, this gateway needs {state.head}",
        "Run: python -m gateway migrate",
    )


async def examine_roles(url: str) -> Finding:
    """Tell whether the roles that serve requests are bound by row-level security."""
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except LOGIN_FAILURES as error:
        remedy = "Run: python -m gateway migrate, or see GATEWAY_SERVING_DATABASE_URL."
        return Finding("serving login", "problem", str(error), remedy)
    try:
        rows = await connection.fetch(_POWERS, [STAFF_ROLE, PARTNER_ROLE])
    finally:
        await connection.close()
    found = {row["rolname"] for row in rows}
    if missing := {STAFF_ROLE, PARTNER_ROLE} - found:
        detail = f"missing: {', '.join(sorted(missing))}"
        return Finding("serving roles", "problem", detail, "Run: python -m gateway migrate")
    unbound = [row["rolname"] for row in rows if row["unbound"] or row["owner"]]
    if unbound:
        return Finding(
            "serving roles",
            "problem",
            f"{', '.join(unbound)} can bypass row-level security",
            f"Run: alter role {unbound[0]} nosuperuser nobypassrls; and let it own no table.",
        )
    return Finding("serving roles", "ok", "cannot bypass row-level security")

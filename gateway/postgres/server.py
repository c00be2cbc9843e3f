"""What the rest of the gateway and the tests see of the embedded PostgreSQL."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

from gateway.postgres.cluster import Cluster, try_lock
from gateway.postgres.installation import (
    EmbeddedPostgresError,
    Installation,
    Progress,
    find_installation,
)

REMAINS = "pre-existing shared memory block"
"""What PostgreSQL says while processes of a crashed server are still ending."""
CHECKOUT = Path(__file__).resolve().parents[2]
MOST_LAUNCHES = 2
"""The first may have come upon a server that was just dying."""
REPORT_SECONDS = 5
"""Between reports on a start that takes long."""


class EmbeddedPostgres:
    """A PostgreSQL server in a data directory, shared by the processes that use it.

    The first to enter starts it, the last to leave stops it, and one that is killed does not
    count: a keeper process stops the server when nobody is left. The server listens on a Unix
    socket in a private folder only. Blocking; in a running event loop enter it in a thread.

    ``settings`` are PostgreSQL's, for the server this starts; a running one keeps its own.
    ``start_seconds`` bounds the start, which after a crash includes recovery. With ``temporary``
    the last to leave removes the data.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        progress: Progress = lambda _: None,
        settings: Mapping[str, str] | None = None,
        start_seconds: float = 300,
        temporary: bool = False,
    ) -> None:
        self._cluster = Cluster.in_data_dir(data_dir)
        self._progress = progress
        self._settings = dict(settings or {})
        self._start_seconds = start_seconds
        self._temporary = temporary
        self._membership: IO[bytes] | None = None
        self._installation: Installation | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Join the server, starting it if needed; return when it accepts connections.

        Raises:
            EmbeddedPostgresError: with the reason and what to do.

        """
        self._installation = find_installation(self._cluster.data)
        with self._cluster.locked(self._progress), contextlib.ExitStack() as on_failure:
            membership = on_failure.enter_context(self._cluster.join())
            self._ensure_running(self._installation)
            on_failure.pop_all()
        self._membership = membership

    def stop(self) -> None:
        """Leave the server; the last to leave stops it."""
        if self._membership is None:
            return
        if not self._cluster.home.exists():  # somebody removed it; its keeper stops the server
            self._membership.close()
            self._membership = None
            return
        with self._cluster.locked(self._progress), self._membership as membership:
            self._membership = None
            if try_lock(membership):
                self._cluster.stop()
                self._cluster.await_keeper()
                if self._temporary:
                    self._cluster.remove()

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return the connection string, for asyncpg and libpq alike."""
        host = quote(str(self._cluster.socket_dir), safe="/")
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?host={host}"

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, as a copy of ``template`` if given (nobody may be in it).

        Raises:
            EmbeddedPostgresError: with PostgreSQL's message.

        """
        # files as they are: through the log a copy of a seeded database takes five times as long
        copy = "" if template is None else f" template {quoted(template)} strategy file_copy"
        self._execute(f"create database {quoted(name)}{copy}")

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, with whoever is connected to it.

        Raises:
            EmbeddedPostgresError: with PostgreSQL's message.

        """
        self._execute(f"drop database if exists {quoted(name)} with (force)")

    def has_database(self, name: str) -> bool:
        """Tell whether a database of that name exists."""
        return name in self._execute("select datname from pg_database").splitlines()

    def _execute(self, sql: str) -> str:
        if self._installation is None:
            raise EmbeddedPostgresError("The embedded PostgreSQL is not started")
        return self._cluster.execute(self._installation, sql)

    def _ensure_running(self, installation: Installation) -> None:
        """Bring the server up; we hold the lock and count as a user."""
        if self._cluster.pid() is not None and self._cluster.accepts(installation):
            self._progress("Joining the PostgreSQL that is running")
            if not self._cluster.is_kept():
                self._spawn_keeper()
            return
        installation.check(self._progress)
        durable = self._settings.get("fsync") != "off"
        self._cluster.create(installation, self._progress, durable=durable)
        if self._cluster.pid() is None:
            self._cluster.make_socket_dir(installation, self._progress)
        self._progress("Starting PostgreSQL")
        self._await_ready(installation)

    def _await_ready(self, installation: Installation) -> None:
        begun = reported = time.monotonic()
        launches = 0
        while not self._cluster.accepts(installation):
            now = time.monotonic()
            if not self._cluster.is_kept():
                if launches >= MOST_LAUNCHES and REMAINS not in self._cluster.log_tail(3):
                    raise self._failure("PostgreSQL did not start")
                self._spawn_keeper()
                launches += 1
            if now - begun > self._start_seconds:
                raise self._failure(f"PostgreSQL is not ready after {self._start_seconds:.0f} s")
            if now - reported > REPORT_SECONDS:
                reported = now
                doing = self._cluster.last_report() or "no report yet"
                self._progress(f"PostgreSQL is starting for {now - begun:.0f} s: {doing}")
            time.sleep(0.1 if now - begun < REPORT_SECONDS else 1)

    def _spawn_keeper(self) -> None:
        keeper = [sys.executable, "-m", "gateway.postgres.keeper"]
        with self._cluster.log.open("ab") as log:
            result = subprocess.run(
                [*keeper, str(self._cluster.home.parent), json.dumps(self._settings)],
                check=False,
                cwd="/",
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if result.returncode != 0:
            raise self._failure("The process that keeps PostgreSQL did not start")

    def _failure(self, what: str) -> EmbeddedPostgresError:
        return EmbeddedPostgresError(
            f"{what}. The end of {self._cluster.log}:\n{self._cluster.log_tail(10)}"
        )


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class ServerState:
    """What an onlooker finds about the server of a data directory."""

    exists: bool
    """The data directory has been made."""
    busy: bool = False
    """A process is starting or stopping the server; nothing more can be said."""
    pid: int | None = None
    accepting: bool = False
    """It answers connections."""
    in_use: bool = False
    """At least one living process uses it."""
    kept: bool = False
    """Its keeper lives, and will stop it when nobody uses it."""

    @property
    def orphaned(self) -> bool:
        """The server runs, and neither a user nor a keeper is left."""
        return self.pid is not None and not self.in_use and not self.kept


def inspect(data_dir: Path) -> ServerState:
    """Look at the server of a data directory without joining it.

    Raises:
        EmbeddedPostgresError: the folder cannot be read, or no programs are installed.

    """
    cluster = Cluster.in_data_dir(data_dir)
    if not cluster.home.exists() or not cluster.data.exists():
        return ServerState(exists=False)
    installation = find_installation(cluster.data)
    with cluster.try_locked() as mine:
        if not mine:
            return ServerState(exists=True, busy=True)
        pid = cluster.pid()
        return ServerState(
            exists=True,
            pid=pid,
            accepting=pid is not None and cluster.accepts(installation),
            in_use=cluster.in_use(),
            kept=cluster.is_kept(),
        )


def stop_unused(data_dir: Path) -> bool:
    """Stop the server if it runs and nobody uses it; return whether there was one to stop.

    Raises:
        EmbeddedPostgresError: somebody uses it.

    """
    cluster = Cluster.in_data_dir(data_dir)
    if not cluster.home.exists():
        return False
    with cluster.locked(lambda _: None):
        if cluster.pid() is None:
            return False
        if cluster.in_use():
            raise EmbeddedPostgresError("The embedded PostgreSQL is in use; stop its users first.")
        cluster.stop()
        cluster.await_keeper()
        return True

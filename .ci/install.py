"""Create .venv from the hashed lock with plain pip; do nothing when it is there and current.

The stamp is written last, so an installation that was cut short is recognized and made anew.
`PYTHON` in the environment asks for that interpreter's version; otherwise any .venv will do.
"""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-dev.lock"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".installed"


class InstallError(Exception):
    """What stopped the installation and what to do about it."""


def main() -> int:
    """Install if needed; return the exit code."""
    started = time.monotonic()
    os.umask(0o022)  # whatever root's is: its PostgreSQL runs as a user who must read the programs
    try:
        with LOCK.open("rb") as lock:
            take_turn(lock.fileno())
            if is_current():
                return 0
            create_venv()
            install_packages()
            STAMP.write_text(stamp())
    except InstallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the next run starts the installation over", file=sys.stderr)
        return 130
    print(f"Installed in {VENV.name} in {time.monotonic() - started:.0f} s")
    return 0


def take_turn(lock: int) -> None:
    """Wait until no other process installs here: two makes at once install once."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Waiting for another installation to finish", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def stamp() -> str:
    """Describe an installation of this lock by this interpreter."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    return f"lock {digest}\npython {sys.version_info.major}.{sys.version_info.minor}\n"


def is_current() -> bool:
    """Tell whether .venv runs, is complete, and holds what the lock says."""
    try:
        installed = STAMP.read_text().splitlines()
    except OSError:
        return False
    wanted = stamp().splitlines()
    if not os.environ.get("PYTHON"):
        installed, wanted = installed[:1], wanted[:1]
    return installed == wanted and runs(VENV_PYTHON)


def runs(python: Path) -> bool:
    """Tell whether the interpreter starts; the system's Python behind it may be gone."""
    try:
        return subprocess.run([python, "-Ic", ""], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def create_venv() -> None:
    """Make an empty virtual environment in place of what is there."""
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
            raise InstallError(
                f"{sys.executable} has no module '{module}'. On Debian and Ubuntu: "
                f"apt-get install {package}. Or name another Python: make PYTHON=... install"
            )
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"Creating {VENV.name} with Python {version} ({sys.executable})", flush=True)
    try:
        remove_venv()
        made = subprocess.run(
            [sys.executable, "-Im", "venv", VENV], check=False, capture_output=True, text=True
        )
    except OSError as error:
        raise InstallError(f"cannot write {VENV}: {error.strerror}") from error
    if made.returncode != 0:
        raise InstallError(f"python -m venv failed:\n{made.stdout}{made.stderr}".rstrip())


def remove_venv() -> None:
    """Remove a virtual environment, complete or not, but nothing else."""
    if not VENV.exists():
        return
    if any(VENV.iterdir()) and not (VENV / "pyvenv.cfg").exists():
        raise InstallError(f"{VENV} is not a virtual environment; move it away")
    STAMP.unlink(missing_ok=True)
    for entry in VENV.iterdir():
        if entry.name != "pyvenv.cfg":  # kept to the end, so that a cut removal is recognized too
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    shutil.rmtree(VENV)


def install_packages() -> None:
    """Install the lock with pip, counting the packages as they come."""
    total = len(re.findall(r"^[\w.\[\],-]+==", LOCK.read_text(), re.MULTILINE))
    pip: list[str | Path] = [VENV_PYTHON, "-Im", "pip", "install", "--no-user", "--no-input"]
    pip += ["--disable-pip-version-check", "--require-hashes", "-r", LOCK]
    tail: deque[str] = deque(maxlen=15)
    count = 0
    with subprocess.Popen(
        pip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tail.append(line)
            if line.startswith(("Collecting ", "Processing ")):
                count += 1
                package = line.split()[1].rpartition("/")[2]
                show_progress(f"Fetching {count}/{total} {package}", final=False)
            elif line.startswith("Installing collected"):
                show_progress(f"Installing {count} packages", final=True)
    if process.returncode != 0:
        raise InstallError(
            f"pip could not install {LOCK.name}. Its last words:\n\n{''.join(tail)}\n"
            "Is the package index reachable? Run the same command again to retry."
        )


def show_progress(text: str, *, final: bool) -> None:
    """Rewrite one line on a terminal; elsewhere print a line now and then."""
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="\n" if final else "", flush=True)
    elif final or re.search(r" \d*0/", text):
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())

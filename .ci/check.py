"""Everything that must hold before a change is shared. Runs all steps, then says which failed.

Those besides the tests run at the same time: types take as long as the others together.

The steps that need a database use an embedded PostgreSQL in a temporary folder, so that nothing
left over from earlier work decides the outcome.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

COMPILED_ONCE = {"PYTHONDONTWRITEBYTECODE": ""}
"""Every process would compile the whole of the source again, half a second each."""

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("format", (f"{BIN}/ruff", "format", "--check", ".")),
    ("lint", (f"{BIN}/ruff", "check", ".")),
    ("types", (f"{BIN}/mypy",)),
    ("imports", (f"{BIN}/lint-imports", "--no-logo")),
    ("schema is current", (sys.executable, "-m", "gateway", "schema", "diff")),
    ("migrations match tables", (sys.executable, "-m", "gateway", "migrate", "--check")),
    ("tests", ("make", "--no-print-directory", "test")),
)


def main() -> int:
    """Run every step; return 1 if any failed."""
    data_dir = tempfile.mkdtemp(prefix="gateway-check-")
    *quick, (tests, command) = STEPS
    try:
        with ThreadPoolExecutor() as pool:
            outcomes = list(pool.map(lambda step: run(*step, data_dir), quick))
        announce(tests, command)
        outcomes.append(run(tests, command, data_dir, gather=False))
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    print()
    for name, passed, seconds in outcomes:
        print(f"{'ok    ' if passed else 'FAILED'} {name:24} {seconds:6.1f} s")
    return 0 if all(passed for _, passed, _ in outcomes) else 1


def announce(name: str, command: tuple[str, ...], output: str = "") -> None:
    """Print which step it is, at once with what it printed."""
    called = " ".join(command).replace(f"{BIN}/", "")
    print(f"\n== {name}: {called}\n{output}", end="", flush=True)


def run(
    name: str, command: tuple[str, ...], data_dir: str, *, gather: bool = True
) -> tuple[str, bool, float]:
    """Run one step; return its name, whether it passed and the seconds it took.

    With ``gather`` others run meanwhile, so its output is printed when it is complete.
    """
    environment: Mapping[str, str] = {**os.environ, "GATEWAY_DATA_DIR": data_dir, **COMPILED_ONCE}
    started = time.monotonic()
    outcome = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE if gather else None,
        stderr=subprocess.STDOUT if gather else None,
        text=True,
    )
    if gather:
        announce(name, command, outcome.stdout)
    return name, outcome.returncode == 0, time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())

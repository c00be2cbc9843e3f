"""Everything that must hold before a change is shared. Runs all steps, then says which failed.

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
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

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
    try:
        outcomes = [(name, *run(name, command, data_dir)) for name, command in STEPS]
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    print()
    for name, passed, seconds in outcomes:
        print(f"{'ok    ' if passed else 'FAILED'} {name:24} {seconds:6.1f} s")
    return 0 if all(passed for _, passed, _ in outcomes) else 1


def run(name: str, command: tuple[str, ...], data_dir: str) -> tuple[bool, float]:
    """Run one step; return whether it passed and the seconds it took."""
    print(f"\n== {name}: {' '.join(command).replace(f'{BIN}/', '')}", flush=True)
    environment: Mapping[str, str] = {**os.environ, "GATEWAY_DATA_DIR": data_dir}
    started = time.monotonic()
    code = subprocess.run(command, check=False, cwd=ROOT, env=environment).returncode
    return code == 0, time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())

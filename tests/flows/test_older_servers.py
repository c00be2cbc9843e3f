"""What is promised of external servers, on the oldest PostgreSQL that this machine has."""

import asyncio
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from gateway.doctor import LEAST_POSTGRES
from gateway.migrate import migrate
from gateway.postgres.installation import MAJOR, Installation, choose_account
from gateway.seed import seed
from tests.fixtures.gateway import open_gateway
from tests.fixtures.server import TODAY
from tests.flows.test_upserting import partners, product_row, products, sound

_PACKAGES: Final = Path("/usr/lib/postgresql")
"""Where Debian keeps servers, by their version."""
_START_SECONDS: Final = 60


def _oldest() -> Path | None:
    """Return the programs of the oldest server that is old enough to tell us something."""
    found = {int(programs.parent.name): programs for programs in _PACKAGES.glob("[0-9][0-9]/bin")}
    older = [major for major in found if LEAST_POSTGRES <= major < MAJOR]
    return found[min(older)] if older else None


@pytest.fixture(scope="module")
def older_server_url() -> Iterator[str]:
    """Yield the owner's URL of a seeded database on an older server of this test alone."""
    programs = _oldest()
    if programs is None:
        pytest.skip(f"there is no PostgreSQL {LEAST_POSTGRES} to {MAJOR - 1} in {_PACKAGES}")
    home = Path(tempfile.mkdtemp(prefix="erp-older-"))
    data = home / "data"
    installation = Installation(programs, choose_account(data))
    data.mkdir()
    for folder in (home, data):
        shutil.chown(folder, installation.account.uid, installation.account.gid)
    made = installation.run(
        "initdb",
        f"--pgdata={data}",
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    )
    assert made.returncode == 0, made.stderr
    options = {"listen_addresses": "", "unix_socket_directories": str(home), "fsync": "off"}
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            installation.command("postgres", "-D", str(data), *arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **installation.process_options(),
        )
    try:
        until = time.monotonic() + _START_SECONDS
        while not re.search(r"\bready *$", _state(data)):
            log_tail = (home / "log").read_text()[-2_000:]
            assert server.poll() is None, log_tail
            assert time.monotonic() < until, log_tail
            time.sleep(0.05)
        url = f"postgresql://postgres@/postgres?host={home}"
        asyncio.run(_fill(url))
        yield url
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(_START_SECONDS)
        shutil.rmtree(home, ignore_errors=True)


async def _fill(url: str) -> None:
    await migrate(url)
    await seed(url, "small", today=TODAY)


def _state(data: Path) -> str:
    pid_file = data / "postmaster.pid"
    return pid_file.read_text() if pid_file.exists() else ""


async def test_an_older_server_does_what_the_newest_does(older_server_url: str) -> None:
    """It is migrated and seeded; rows are upserted with the same verdicts and trail."""
    async with open_gateway(older_server_url) as gateway:
        rows = [await product_row(gateway, "OLD-1"), await product_row(gateway, "OLD-2")]
        await products(gateway, rows, "made")
        rows[1] |= {"listPrice": "13", "description": "More of it"}
        rows += [await product_row(gateway, "OLD-3", categoryCode="NONE")]
        rows += [await product_row(gateway, "OLD-4")]
        done = await products(gateway, rows, "changed", onError="REJECT_FAILED_ROWS")
        results = [row["result"] for row in done["rows"]]
        assert results == ["UNCHANGED", "UPDATED", "REJECTED", "INSERTED"]
        await partners(gateway, [{"code": "OLD", "name": "A", "isCustomer": True}], "made too")
        done = await partners(gateway, [{"code": "OLD", "name": "B", "isCustomer": True}], "again")
        assert [row["result"] for row in done["rows"]] == ["UPDATED"]
        trail = await gateway.owner.fetch(
            """select operation, diff::text from audit_log
               where operation like 'upsert%' and action = 'update' order by id"""
        )
        assert [tuple(row) for row in trail] == [
            ("upsertProducts", '{"listPrice": "13.000000", "description": "More of it"}'),
            ("upsertPartners", '{"name": "B"}'),
        ]
    await sound(older_server_url)

"""Run what frontend teams run against the schema and a server of the demo data.

graphql-inspector validates the schema and the documented operations, relay-compiler compiles
screens with pagination containers, ariadne-codegen generates a typed client, which asks a running
server; its answers are compared with plain requests. gql listens to the server's streams. Needs
npm; everything is installed in `.data/clients`, from locks.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import venv
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
from pydantic import SecretStr

from gateway.migrate import migrate
from gateway.postgres import EmbeddedPostgres
from gateway.seed import seed
from gateway.settings import Settings
from gateway.steps import Steps
from gateway.tokens import issue_user_token
from resolvers.core.clock import system_clock
from tests.fixtures.server import TODAY
from tests.fixtures.servers import ServerProcess, server_process
from tests.flows import gateway_process

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
EXAMPLES = ROOT / "docs" / "examples"
SECRET = "a secret of the client tools, long enough to sign"
CHANGES = 20
"""Changes of stock that gql listens to."""
TOKEN_SECONDS = 6
"""Life of the token that gql begins with, when it is to renew it."""
CHANGE = (
    "update stock_level set on_hand = on_hand + 1"
    " where id = (select min(id) from stock_level where company_id = 1)"
)
LOG = "select pub_seq::text from outbox_event order by outbox_event.pub_seq limit $1"
RELAY = {
    "src": "./relay",
    "schema": "./schema.graphql",
    "language": "javascript",
    "artifactDirectory": "./relay/__generated__",
}
CODEGEN = """
[tool.ariadne-codegen]
schema_path = "schema.graphql"
queries_path = "operations"
target_package_name = "erp_client"
"""


class ToolFailed(Exception):
    """A tool is not there, or found something; the text says what."""


def run(folder: Path, *command: str | Path) -> str:
    """Run a tool and return what it printed.

    Raises:
        ToolFailed: it ended with an error.

    """
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise ToolFailed(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def prepare(folder: Path) -> None:
    """Lay out what the tools read: the schema, the operations, the screens."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "schema" / "schema.graphql", folder)
    for name in ("package.json", "package-lock.json", "use.py", "listen.py", "renew.py"):
        shutil.copy(HERE / name, folder)
    for made in ("relay", "operations", "erp_client"):
        shutil.rmtree(folder / made, ignore_errors=True)
    shutil.copytree(HERE / "relay", folder / "relay")
    (folder / "relay" / "__generated__").mkdir()
    (folder / "operations").mkdir()
    for example in EXAMPLES.glob("*.graphql"):
        lines = [x for x in example.read_text().splitlines() if not x.startswith("#")]
        (folder / "operations" / example.name).write_text("\n".join(lines))
    (folder / "relay.config.json").write_text(json.dumps(RELAY))
    (folder / "pyproject.toml").write_text(CODEGEN)


def install(folder: Path) -> Path:
    """Install the tools from their locks; return the folder of the Python ones.

    Raises:
        ToolFailed: there is no npm, or something could not be installed.

    """
    npm = shutil.which("npm")
    if npm is None:
        raise ToolFailed("there is no npm on this machine")
    run(folder, npm, "ci", "--no-audit", "--no-fund")
    home = folder / "venv"
    if not home.exists():
        venv.create(home, with_pip=True)
    lock = HERE / "requirements.lock"
    run(folder, home / "bin" / "pip", "install", "--quiet", "--require-hashes", "-r", lock)
    return home / "bin"


@dataclass(frozen=True)
class Site:
    """A server of the demo data."""

    process: ServerProcess
    database_url: str
    settings: Settings
    token: str


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Site]:
    """Serve the demo data for as long as the block lasts."""
    with EmbeddedPostgres(folder / "database", temporary=True) as server:
        server.create_database("clients")
        url = server.url("clients")
        await migrate(url)
        await seed(url, "small", today=TODAY)
        environment = {
            "GATEWAY_ENVIRONMENT": "test",
            "GATEWAY_DATABASE_URL": url,
            "GATEWAY_JWT_SECRET": SECRET,
            "GATEWAY_LOG_LEVEL": "error",
        }
        settings = Settings(jwt_secret=SecretStr(SECRET))
        token = issue_user_token(settings, "admin@demo", timedelta(hours=1), system_clock)
        os.chdir(ROOT)  # where the server's process finds its modules
        async with server_process(gateway_process.__file__, environment=environment) as process:
            yield Site(process, url, settings, token)


async def ask(site: Site, folder: Path, python: Path) -> dict[str, Any]:
    """Let the generated client ask, and compare with plain requests.

    Raises:
        ToolFailed: the client understood something else than the server said.

    """
    told: dict[str, Any] = json.loads(
        await asyncio.to_thread(run, folder, python, "use.py", site.process.graphql, site.token)
    )
    headers = {"Authorization": f"Bearer {site.token}"}
    query = '{ salesOrder(number: "SO-2026-000001") { number total { amount }'
    query += " availableActions lines { product { sku } } } }"
    async with httpx2.AsyncClient(headers=headers) as client:
        answer = await client.post(site.process.graphql, json={"query": query})
    order = answer.json()["data"]["salesOrder"]
    expected = (
        order["number"],
        [line["product"]["sku"] for line in order["lines"]],
        order["total"]["amount"],
        order["availableActions"],
    )
    if (told["order"], told["lines"], str(told["total"]), told["actions"]) != expected:
        raise ToolFailed(f"the generated client understood {told}, and the server said {expected}")
    return told


async def listen(site: Site, folder: Path, python: Path) -> dict[str, Any]:
    """Let gql listen to changes of stock, and compare with the log.

    Raises:
        ToolFailed: the client was told something else than the log holds.

    """
    listening = asyncio.create_task(
        asyncio.to_thread(
            run, folder, python, "listen.py", site.process.socket, site.token, str(CHANGES)
        )
    )
    owner = await asyncpg.connect(site.database_url)
    try:
        for _ in range(CHANGES):
            await owner.execute(CHANGE)
            await asyncio.sleep(0.05)
        told: dict[str, Any] = json.loads(await listening)
        expected = [row[0] for row in await owner.fetch(LOG, CHANGES)]
    finally:
        await owner.close()
    refused = "GRAPHQL_VALIDATION_FAILED"
    if told != {"seqs": expected, "sessions": 2, "refused": refused}:
        raise ToolFailed(f"gql was told {told}, and the log holds {expected}")
    return told


async def renew(site: Site, folder: Path, python: Path) -> list[str]:
    """Let gql listen past the end of its token, and compare with the log.

    Raises:
        ToolFailed: it was told something else, or was cut off.

    """
    process = await asyncio.create_subprocess_exec(
        *(str(python), "renew.py", site.process.socket, str(2 * CHANGES)),
        cwd=folder,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    tokens = [
        issue_user_token(site.settings, "admin@demo", timedelta(seconds=life), system_clock)
        for life in (TOKEN_SECONDS, 3600)
    ]
    listening = asyncio.create_task(process.communicate(json.dumps(tokens).encode() + b"\n"))
    owner = await asyncpg.connect(site.database_url)
    try:
        for _ in range(CHANGES):  # after those that it is told of first
            await owner.execute(CHANGE)
            await asyncio.sleep(1.6 * TOKEN_SECONDS / CHANGES)
        output, errors = await asyncio.wait_for(listening, 60)
        if process.returncode:
            raise ToolFailed(f"gql did not renew its token: {errors.decode()}")
        expected = [row[0] for row in await owner.fetch(LOG, 2 * CHANGES)]
    finally:
        await owner.close()
    told: list[str] = json.loads(output)
    if told != expected:
        raise ToolFailed(f"gql was told {told}, and the log holds {expected}")
    return told


async def with_a_server(folder: Path, python: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run what needs a server; return what the clients were told."""
    async with serving(folder) as site:
        told = await ask(site, folder, python), await listen(site, folder, python)
        await renew(site, folder, python)
        return told


def main(arguments: Sequence[str]) -> int:
    """Run all tools; return the exit code."""
    steps = Steps()
    folder = Path(arguments[0] if arguments else ".data/clients").resolve()
    bin_ = folder / "node_modules" / ".bin"
    try:
        with steps.step("Installing the tools"):
            prepare(folder)
            python = install(folder)
        with steps.step("graphql-inspector"):
            run(
                folder,
                bin_ / "graphql-inspector",
                "validate",
                "operations/*.graphql",
                "schema.graphql",
            )
            run(folder, bin_ / "graphql-inspector", "diff", "schema.graphql", "schema.graphql")
        with steps.step("relay-compiler"):
            run(folder, bin_ / "relay-compiler")
            compiled = len(list((folder / "relay" / "__generated__").iterdir()))
        with steps.step("ariadne-codegen"):
            run(folder, python / "ariadne-codegen")
        with steps.step("The generated client asks a server, and gql listens to it"):
            told, heard = asyncio.run(with_a_server(folder, python / "python"))
    except ToolFailed as failed:
        steps.say(str(failed))
        return 1
    operations = len(list((folder / "operations").iterdir()))
    steps.tell(
        f"graphql-inspector: the schema and {operations} operations are valid",
        f"relay-compiler: {compiled} artifacts",
        f"ariadne-codegen: a client of {operations} operations; it read order {told['order']}"
        f" of {len(told['lines'])} lines and {len(told['bills'])} bills from a running server",
        f"gql: told of {len(heard['seqs'])} changes of stock, in {heard['sessions']} sessions;"
        " it renewed its token on one connection",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

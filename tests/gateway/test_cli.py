"""The command line: as people run it, as a process, where that matters; else called in ours."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import IO, Any, TypeAlias
from unittest.mock import patch
from uuid import uuid4

import asyncpg
import pytest

from gateway.cli import main
from gateway.postgres import EmbeddedPostgres, inspect
from gateway.sdl import current_sdl
from tests.fixtures.server_users import eventually
from tests.fixtures.turns import in_turn

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60
Ran: TypeAlias = "subprocess.CompletedProcess[str]"
STRAY = "update sales_order set subtotal = subtotal + 1, total = total + 1 where id = 1"

pytestmark = pytest.mark.may_block


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A data directory for the commands of this file."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-cli-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def fresh_dir() -> Iterator[Path]:
    """A data directory in which nothing has been made."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def migrated(data_dir: Path) -> Iterator[Path]:
    """The data directory with a migrated database and its server running."""
    with EmbeddedPostgres(data_dir, settings={"fsync": "off"}):
        assert run_process(data_dir, "migrate").returncode == 0
        yield data_dir


@pytest.fixture(scope="module")
def empty_url(server: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a database without tables."""
    name = f"erp_empty_{uuid4().hex[:12]}"
    server.create_database(name)
    yield server.url(name)
    server.drop_database(name)


def environment_of(data_dir: Path, **settings: str) -> dict[str, str]:
    """Return an environment with these settings of ours and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return {**kept, "GATEWAY_DATA_DIR": str(data_dir), **settings}


def run_process(data_dir: Path, *arguments: str, **settings: str) -> Ran:
    """Run a command to its end, as a process."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=CHECKOUT,
        env=environment_of(data_dir, **settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def run(data_dir: Path, *arguments: str, **settings: str) -> Ran:
    """Run a command to its end in this process, which spares the imports."""
    out, err = (TextIOWrapper(BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        patch.dict(os.environ, environment_of(data_dir, **settings), clear=True),
        chdir(CHECKOUT),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = main(arguments)
    told = (stream.buffer.getvalue().decode() for stream in (out, err))
    return subprocess.CompletedProcess(arguments, code, *told)


Start: TypeAlias = "Callable[..., subprocess.Popen[str]]"


@pytest.fixture
def start(fresh_dir: Path) -> Iterator[Start]:
    """Start commands that run until they are stopped, as a terminal would; none outlives a test."""
    with ExitStack() as started:

        def start_one(data_dir: Path, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway", *arguments],
                cwd=CHECKOUT,
                env=environment_of(data_dir, **settings),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            started.callback(process.communicate)
            started.callback(process.kill)
            return process

        yield start_one
    assert eventually(lambda: inspect(fresh_dir).pid is None), "a server was left running"


def free_port() -> int:
    """Return a port nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def run_sql(url: str, sql: str) -> None:
    """Run statements as the owner, past triggers."""

    async def run_it() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(f"set session_replication_role = replica; {sql}")
        await connection.close()

    asyncio.run(run_it())


def read_until(stream: IO[str] | None, pattern: str) -> str:
    """Read lines until one matches, and return them."""
    assert stream is not None
    lines = ""
    for line in stream:
        lines += line
        if re.search(pattern, line):
            return lines
    raise AssertionError(f"ended before {pattern!r}:\n{lines}")


def interrupt(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Press Ctrl-C as a terminal does, and return the exit code and what was still said."""
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=PATIENCE_SECONDS)[1]
    return process.returncode, said


class TestErrors:
    """A failure is one line that says what to do; a traceback is a bug."""

    def test_a_database_that_cannot_be_reached(self, data_dir: Path) -> None:
        """The address is named and the password is not."""
        url = f"postgresql://me:hunter2@127.0.0.1:{free_port()}/erp"
        refused = run(data_dir, "migrate", GATEWAY_DATABASE_URL=url)
        assert refused.returncode == 1
        assert re.fullmatch(r"error: Cannot reach the database at 127.0.0.1.*\n", refused.stderr)
        assert "GATEWAY_DATABASE_URL" in refused.stderr
        assert "hunter2" not in refused.stderr

    def test_an_address_that_is_none(self, data_dir: Path) -> None:
        """A malformed URL is refused like an unreachable one, without echoing it."""
        refused = run(data_dir, "migrate", GATEWAY_DATABASE_URL="mysql://me:hunter2@[nowhere/erp")
        assert refused.returncode == 1
        assert refused.stderr.startswith("error: Cannot reach the database")
        assert "hunter2" not in refused.stderr

    def test_a_setting_that_is_none(self, data_dir: Path) -> None:
        """A wrong setting is called by its name in the environment."""
        refused = run_process(data_dir, "doctor", GATEWAY_PORT="http", GATEWAY_LOG_LEVEL="loud")
        assert refused.returncode == 1
        assert "error: GATEWAY_PORT: " in refused.stderr
        assert "error: GATEWAY_LOG_LEVEL: " in refused.stderr
        assert len(refused.stderr.splitlines()) == 2

    def test_a_data_directory_that_cannot_be_written(self, tmp_path: Path) -> None:
        """The folder and the setting are named."""
        (tmp_path / "file").touch()
        refused = run(tmp_path / "file", "migrate")
        assert refused.returncode == 1
        assert re.fullmatch(r"error: .*file.*GATEWAY_DATA_DIR\.\n", refused.stderr)

    def test_a_port_that_is_taken(self, data_dir: Path) -> None:
        """The port is looked at before anything is started."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            refused = run(data_dir, "serve", "--port", str(port))
        assert refused.returncode == 1
        assert re.fullmatch(rf"error: .*{port}.* in use.*GATEWAY_PORT.*\n", refused.stderr)

    def test_a_command_called_wrongly(self, data_dir: Path) -> None:
        """Exit code 2 and the usage."""
        refused = run_process(data_dir, "token")
        assert refused.returncode == 2
        assert "--user or --client" in refused.stderr


class TestMigrate:
    """Migrations from the command line."""

    def test_is_repeatable(self, migrated: Path) -> None:
        """A second run finds nothing to do."""
        again = run(migrated, "migrate")
        assert again.returncode == 0
        before, after = re.search(r"from (\S+) to (\S+)", again.stderr).groups()  # type: ignore[union-attr]
        assert before == after

    def test_check_finds_no_drift(self, migrated: Path) -> None:
        """The migrations lead to what the code declares."""
        checked = run(migrated, "migrate", "--check")
        assert (checked.returncode, checked.stdout) == (0, "")


class TestToken:
    """Tokens for scripts: the token and nothing else."""

    def test_an_unknown_user_is_refused(self, migrated: Path) -> None:
        """Nothing goes to standard output, so that no script takes the error for a token."""
        refused = run(migrated, "token", "--user", "nobody@nowhere")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "nobody@nowhere" in refused.stderr


class TestSchema:
    """The SDL file and the schema in code."""

    def test_diff_is_empty_when_current(self, data_dir: Path) -> None:
        """Nothing is said about a current file."""
        checked = run(data_dir, "schema", "diff")
        assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout

    def test_the_sdl_is_whole(self) -> None:
        """It ends with one newline and holds the root types."""
        sdl = current_sdl()
        assert sdl.endswith("}\n")
        assert "type Query {" in sdl


def ask(port: int, token: str, query: str, **variables: Any) -> Any:
    """Send one operation over HTTP."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - http
        return json.load(answer)


def ask_for_a_job(port: int, token: str) -> str:
    """Send an upsert that is a job, as it has many rows; return the id of the job."""
    row = {"sku": "JOB", "name": "Of a job", "categoryCode": "?", "uom": "pcs", "listPrice": "1"}
    rows = [row | {"sku": f"JOB-{number}"} for number in range(1_001)]
    upsert = """mutation Upsert($rows: [ProductUpsertInput!]!) {
        upsertProducts(idempotencyKey: "many", rows: $rows) { job { id } userErrors { message } }
    }"""
    done = ask(port, token, upsert, rows=rows)["data"]["upsertProducts"]
    assert not done["userErrors"]
    return str(done["job"]["id"])


def await_job(port: int, token: str, job: str) -> None:
    """Return when somebody has done the job."""
    look = "query Look($id: ID!) { node(id: $id) { ... on Job { state finishedAt } } }"
    latest = time.monotonic() + PATIENCE_SECONDS
    while (found := ask(port, token, look, id=job)["data"]["node"])["finishedAt"] is None:
        assert time.monotonic() < latest, found
        time.sleep(0.1)


class TestDemo:
    """One command, from nothing to answers; again and again; stopped anywhere."""

    def test_serves_what_it_prints(self, start: Start, fresh_dir: Path) -> None:
        """From an empty folder to an answer with a printed token; jobs are done meanwhile."""
        port = free_port()
        demo = start(fresh_dir, "demo", GATEWAY_PORT=str(port))
        told = read_until(demo.stdout, "Ctrl-C")
        assert f"http://127.0.0.1:{port}/graphql" in told
        tokens = dict(re.findall(r"^  (\S+demo) +(\S+)$", told, re.MULTILINE))
        roles = ("admin", "sales", "warehouse", "accountant")
        assert tokens.keys() == {*(f"{role}@demo" for role in roles), "partner-demo"}
        for token in tokens.values():
            assert ask(port, token, "{ __typename }") == {"data": {"__typename": "Query"}}
        await_job(port, tokens["admin@demo"], ask_for_a_job(port, tokens["admin@demo"]))
        again = run_process(fresh_dir, "token", "--user", "sales@demo")
        assert re.fullmatch(r"[\w.-]+\n", again.stdout)
        assert ask(port, again.stdout.strip(), "{ __typename }")["data"]
        key = run(fresh_dir, "token", "--client", "partner-demo")
        assert key.stdout.strip() == tokens["partner-demo"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as ready:
            assert ready.status == 200
        code, said = interrupt(demo)
        assert code == 130, said
        assert "Traceback" not in said

    @pytest.mark.parametrize(
        "moment",
        in_turn("demo", ["Database", "Making", "Starting", "Migrations", "Demo data", "rows"], 2),
    )
    def test_may_be_interrupted_anywhere(self, start: Start, fresh_dir: Path, moment: str) -> None:
        """Ctrl-C in any step ends it cleanly, and the next run completes."""
        port = str(free_port())
        demo = start(fresh_dir, "demo", GATEWAY_PORT=port)
        read_until(demo.stderr, moment)
        code, said = interrupt(demo)
        # a shell tells 130 in either case: that it ended itself, or was ended by the signal
        assert code in (130, -signal.SIGINT), said
        assert "Traceback" not in said
        again = start(fresh_dir, "demo", GATEWAY_PORT=port)
        read_until(again.stdout, "Ctrl-C")
        code, said = interrupt(again)
        assert code in (130, -signal.SIGINT), said
        assert "Traceback" not in said

    def test_ends_quietly_while_python_is_still_loading(
        self, start: Start, fresh_dir: Path
    ) -> None:
        """Ctrl-C in the first moments prints nothing."""
        demo = start(fresh_dir, "demo")
        time.sleep(0.3)
        code, said = interrupt(demo)
        assert code in (130, -signal.SIGINT)
        assert "Traceback" not in said

    def test_is_no_production(self, fresh_dir: Path) -> None:
        """Where the environment says production, no tokens are given away."""
        refused = run(fresh_dir, "demo", GATEWAY_ENVIRONMENT="production")
        assert refused.returncode == 1
        assert re.fullmatch(r"error: GATEWAY_ENVIRONMENT is production.*\n", refused.stderr)


class TestNoTables:
    """Before there are any."""

    @pytest.mark.parametrize("command", ["worker --once", "import", "seed", "verify"])
    def test_says_what_to_run(self, command: str, empty_url: str, tmp_path: Path) -> None:
        """Without migrations there is nothing to work on or prove, and that is no success."""
        rows = tmp_path / "p.csv"
        rows.write_text("code,name\nA,B\n")
        more = ("partners", str(rows), "--company", "X") if command == "import" else ()
        refused = run(tmp_path, *command.split(), *more, GATEWAY_DATABASE_URL=empty_url)
        assert refused.returncode == 1
        assert "error: " in refused.stderr
        assert "python -m gateway migrate" in refused.stderr


class TestWorker:
    """Jobs and imports from the command line."""

    def test_a_file_is_imported(self, own_database_url: str, tmp_path: Path) -> None:
        """What is wrong with its rows is told, and fails the command."""
        rows = tmp_path / "p.csv"
        rows.write_text("code,name,isCustomer\nCLI-1,One,yes\nCLI-2,Two,\n")
        here = {"GATEWAY_DATABASE_URL": own_database_url}
        told = run(tmp_path, "import", "partners", str(rows), "--company", "DE01", **here)
        assert told.returncode == 1
        assert told.stdout.startswith("row 2 CLI-2: ")
        assert "1 accepted, 1 rejected" in told.stderr
        assert run(tmp_path, "worker", "--once", **here).returncode == 0


class TestSeed:
    """Demo data from the command line."""

    def test_fills_once(self, migrated: Path) -> None:
        """The second run writes nothing."""
        assert re.search(r"^sales_order +\d+$", run_process(migrated, "seed").stdout, re.MULTILINE)
        again = run(migrated, "seed")
        assert (again.returncode, again.stdout) == (0, "")
        assert "nothing was written" in again.stderr


class TestVerify:
    """Invariants from the command line."""

    def test_shows_what_does_not_hold(self, own_database_url: str, tmp_path: Path) -> None:
        """Demo data is sound; one stray number is found, shown, and fails the command."""
        here = {"GATEWAY_DATABASE_URL": own_database_url}
        sound = run(tmp_path, "verify", **here)
        assert sound.returncode == 0, sound.stdout
        assert "invariants hold" in sound.stdout
        run_sql(own_database_url, STRAY)
        broken = run(tmp_path, "verify", **here)
        assert broken.returncode == 1
        assert "order_totals" in broken.stdout

    def test_rebuilds_sums(self, own_database_url: str, tmp_path: Path) -> None:
        """What the ledger says is set right when asked to, shown, and proven at once."""
        here = {"GATEWAY_DATABASE_URL": own_database_url}
        run_sql(own_database_url, "update stock_balance set on_hand = 9 where id = 1")
        assert run(tmp_path, "verify", **here).returncode == 1
        rebuilt = run(tmp_path, "verify", "--rebuild", **here)
        assert rebuilt.returncode == 0, rebuilt.stdout
        assert "balance_is_sum_of_moves" in rebuilt.stdout
        assert "sums rebuilt" in rebuilt.stdout


class TestServe:
    """Serving a database that is there."""

    def test_several_workers_share_the_port(self, start: Start, migrated: Path) -> None:
        """Workers read the settings of the command line, and SIGTERM ends them all."""
        port = free_port()
        serving = start(migrated, "serve", "--port", str(port), "--workers", "2", "--no-relay")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        serving.terminate()
        said = serving.communicate(timeout=PATIENCE_SECONDS)[1]
        assert serving.returncode == 0, said
        assert "Traceback" not in said
        assert "relay publishes" not in said

    def test_the_relay_may_run_apart(self, start: Start, migrated: Path) -> None:
        """`relay` publishes until it is stopped."""
        relay = start(migrated, "relay")
        read_until(relay.stderr, "relay publishes")
        code, said = interrupt(relay)
        assert (code, "Traceback" in said) == (130, False), said

    def test_the_tail_prints_what_is_published(
        self, start: Start, own_database_url: str, fresh_dir: Path
    ) -> None:
        """`tail` prints lines as they come, and ends quietly."""
        change = "set session_replication_role = origin;"
        change += "update stock_level set on_hand = on_hand + 1 where id = 1"
        here = {"GATEWAY_DATABASE_URL": own_database_url}
        relay = start(fresh_dir, "relay", **here)
        tail = start(fresh_dir, "tail", "--topic", "stock.changed", "--after", "0", **here)
        read_until(tail.stderr, "^caught up: 0 events$")
        for seq in (1, 2):
            run_sql(own_database_url, change)
            told = json.loads(read_until(tail.stdout, "stock.changed"))
            assert (told["seq"], told["entity"], told["entityId"]) == (seq, "StockLevel", 1)
        assert interrupt(tail) == (130, "")
        assert interrupt(relay)[0] == 130

"""The servers that are compared, as processes: started, asked, read, stopped."""

import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Self

import orjson
from pydantic import SecretStr
from sqlalchemy import make_url

from benchmarks.database import USER, Database
from benchmarks.load import OK
from benchmarks.peers.npm import Peers
from benchmarks.shapes import Shape, Variables
from gateway.settings import Settings
from gateway.tokens import issue_user_token
from resolvers.core.clock import system_clock
from resolvers.core.principal import STAFF_ROLE

SECRET = "signs the tokens of the benchmark and nothing else"  # noqa: S105
READY_SECONDS = 60
PRODUCT = "benchmarks.product_server"
PLANS = "benchmarks.plan_server"
PLAIN = "benchmarks.peers.plain_strawberry"

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class ServerError(Exception):
    """A server did not start, or gave no answer; the text holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a server's metrics."""

    name: str
    labels: Mapping[str, str]
    value: float


def read_samples(text: str) -> list[Sample]:
    """Read metrics in Prometheus' text format."""
    return [
        Sample(name, dict(_LABEL.findall(labels)), float(value))
        for name, labels, value in _SAMPLE.findall(text)
    ]


Ask = Callable[[Shape, Variables], tuple[str, Variables]]
"""Returns the document and the variables that ask a server for a shape."""


def ask_as_it_is(shape: Shape, variables: Variables) -> tuple[str, Variables]:
    """Ask with the shape's own document."""
    return shape.document, variables


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. All get the same requests, with the same token."""

    name: str
    pid: int
    port: int
    token: str
    watched: bool
    """How late its event loop is is read from its metrics while it is measured."""
    ask: Ask = ask_as_it_is
    """How it is asked for a shape."""
    is_peer: bool = False
    """Whether it is none of ours."""

    def request(self, shape: Shape, variables: Variables) -> str:
        """Return a request as it goes over the wire."""
        document, given = self.ask(shape, variables)
        body = orjson.dumps(
            {"query": document, "operationName": shape.name, "variables": given}
        ).decode()
        return (
            "POST /graphql HTTP/1.1\r\n"
            f"host: 127.0.0.1:{self.port}\r\n"
            f"authorization: Bearer {self.token}\r\n"
            "accept: application/graphql-response+json\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(body.encode())}\r\n"
            f"\r\n{body}"
        )

    def answer(self, shape: Shape, variables: Variables) -> bytes:
        """Ask once and return the body.

        Raises:
            ServerError: the answer is no success.

        """
        head, _, body = self.request(shape, variables).partition("\r\n\r\n")
        _, *lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return self._ask("POST", "/graphql", body.encode(), headers)

    def metrics(self) -> list[Sample]:
        """Return what a gateway counts; the server of the plans has no metrics."""
        return read_samples(self._ask("GET", "/metrics", None, {}).decode())

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_SECONDS)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        except OSError as error:
            raise ServerError(f"{self.name} does not answer: {error}") from error
        finally:
            connection.close()
        if response.status != OK:
            raise ServerError(f"{self.name} answers {response.status}: {answer[:500]!r}")
        return answer


class Servers:
    """Starts servers over one database on one core, and stops them all at the end."""

    def __init__(self, database: Database, core: int, logs: Path) -> None:
        self._database = database
        self._core = core
        self._logs = logs
        self._token = issue_user_token(
            Settings(jwt_secret=SecretStr(SECRET)), USER, timedelta(hours=2), system_clock
        )
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            _stop(process)

    def product(self) -> Server:
        """Start the gateway as it is served."""
        return self._start("product", PRODUCT, [], watched=True)

    def streaming(self, sockets: int) -> Server:
        """Start the gateway as it is served, for a caller with many sockets."""
        most = {"GATEWAY_WS_MAX_SOCKETS_PER_CALLER": str(sockets)}
        return self._start("streaming", PRODUCT, [], most, watched=True)

    def ordinary(self) -> Server:
        """Start the gateway without compiled plans: every query goes through graphql-core."""
        return self._start("ordinary", PRODUCT, [], {"GATEWAY_COMPILE_QUERIES": "false"})

    @contextmanager
    def with_and_without_instruments(self) -> Iterator[list[Server]]:
        """Start the gateway as it is served, and without metrics, log lines and watchdog."""
        product = self.product()
        yield [product, self._start("uninstrumented", PRODUCT, ["--uninstrumented"])]
        for _ in range(2):
            _stop(self._running.pop())

    def hand_written(self) -> Server:
        """Start the server of the hand-written plans."""
        company = str(self._database.company_id)
        return self._start("hand-written", PLANS, [company])

    def plain(self) -> Server:
        """Start plain Strawberry with an ORM and loaders."""
        company = str(self._database.company_id)
        return replace(self._start("plain", PLAIN, [company]), is_peer=True)

    def mercurius(self, peers: Peers) -> Server:
        """Start Mercurius with its JIT and loaders."""
        return self._start_node("mercurius", peers)

    def postgraphile(self, peers: Peers) -> Server:
        """Start PostGraphile."""
        ask = partial(peers.ask_postgraphile, self._database.company_id)
        return self._start_node("postgraphile", peers, ask)

    def stop(self, server: Server) -> None:
        """Stop one of the servers."""
        [process] = [process for process in self._running if process.pid == server.pid]
        self._running.remove(process)
        _stop(process)

    @contextmanager
    def sampled(self, samples: Path) -> Iterator[Server]:
        """Start the gateway under the sampler; when the block ends it has written ``samples``."""
        arguments = ["--samples", str(samples)]
        server = self._start("sampled", PRODUCT, arguments)
        yield server
        _stop(self._running.pop())

    def _start(
        self,
        name: str,
        module: str,
        arguments: list[str],
        settings: Mapping[str, str] = MappingProxyType({}),
        *,
        watched: bool = False,
    ) -> Server:
        command = [sys.executable, "-m", module, str(self._core), *arguments]
        process, port = self._run(name, command, {**self._environment(), **settings})
        return Server(name, process.pid, port, self._token, watched)

    def _start_node(self, name: str, peers: Peers, ask: Ask = ask_as_it_is) -> Server:
        url = make_url(self._database.serving_url)
        company, pool = str(self._database.company_id), str(Settings().read_pool_size)
        where = [str(url.query.get("host") or url.host), str(url.database), str(url.username)]
        command = [str(peers.node), f"{name}.mjs", *where, company, STAFF_ROLE, pool]
        environment = {**os.environ, "NODE_ENV": "production", "GRAPHILE_ENV": "production"}
        process, port = self._run(name, command, environment, folder=peers.folder)
        os.sched_setaffinity(process.pid, {self._core})
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {self._core})
        return Server(name, process.pid, port, self._token, watched=False, ask=ask, is_peer=True)

    def _run(
        self,
        name: str,
        command: list[str],
        environment: Mapping[str, str],
        folder: Path | None = None,
    ) -> tuple["subprocess.Popen[bytes]", int]:
        """Start a process that prints its port."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=stream
            )
        self._running.append(process)
        assert process.stdout is not None
        port = process.stdout.readline()
        if not port:
            process.wait()
            raise ServerError(f"{name} did not start:\n{log.read_text()[-2_000:]}")
        return process, int(port)

    def _environment(self) -> dict[str, str]:
        """Return our environment with no settings of the gateway but those that are measured."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("GATEWAY_")}
        return own | {
            "GATEWAY_PORT": "0",
            "GATEWAY_DATABASE_URL": self._database.owner_url,
            "GATEWAY_SERVING_DATABASE_URL": self._database.serving_url,
            "GATEWAY_JWT_SECRET": SECRET,
        }


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

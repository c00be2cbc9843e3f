"""What the log says, and what it must never say."""

import asyncio
import io
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import orjson
import pytest
import structlog

from gateway.auth.api_keys import new_api_key
from gateway.observability.log_writer import LogWriter
from gateway.observability.logging import (
    CALLER,
    REQUEST_ID,
    Caller,
    Logs,
    configure_logging,
    render_json,
)
from gateway.settings import Settings
from resolvers.core.context import OperationStats
from schema.core import execution
from tests.fixtures.gateway import open_gateway, principal

NOW = datetime(2026, 3, 31, 12, 30, 15, 250_000, tzinfo=UTC)
PASSWORD = "s3cret-9"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbkBkZW1vIn0.c2lnbmF0dXJl"


class OperationType(Enum):
    """As GraphQL has it."""

    QUERY = "query"
    MUTATION = "mutation"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, slots=True)
class Facts:
    """One finished operation."""

    name: str | None = "OrderList"
    type: OperationType = OperationType.QUERY
    cost: int = 250
    seconds: float = 0.0123456789
    stats: OperationStats = field(
        default_factory=lambda: OperationStats(
            statements=7, batches=6, rows=120, database_seconds=0.0087654321
        )
    )
    codes: tuple[str, ...] = ()
    canceled: bool = False


_CHANGE = """
mutation Change {
  endSubscription(id: "nothing", idempotencyKey: "k", dryRun: true) { errors: userErrors { code } }
}
"""


class Captured:
    """Configured logging whose lines can be read."""

    def __init__(self, **settings: Any) -> None:
        self.stream = io.BytesIO()
        self.logs: Logs = configure_logging(Settings(**settings), self.stream, clock=lambda: NOW)

    def text(self) -> str:
        """Return everything written; ends the logging."""
        self.logs.close()
        return self.stream.getvalue().decode()

    def lines(self) -> list[dict[str, Any]]:
        """Return every line, decoded; ends the logging."""
        return [orjson.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def captured() -> Iterator[Captured]:
    """JSON logging into memory."""
    captured = Captured()
    yield captured
    captured.logs.close()


def test_operation_is_one_line_with_everything_an_operator_asks(captured: Captured) -> None:
    """Name, type, status, time, statements, batches, cost, caller, errors, request id."""
    request = REQUEST_ID.set("req-1")
    caller = CALLER.set(Caller("http", "user:7", "NORDIC"))
    captured.logs.operation(Facts(codes=("TIMEOUT", "FORBIDDEN")))
    CALLER.reset(caller)
    REQUEST_ID.reset(request)

    assert captured.lines() == [
        {
            "at": "2026-03-31T12:30:15.250000Z",
            "level": "info",
            "event": "operation",
            "operation": "OrderList",
            "type": "query",
            "transport": "http",
            "status": "error",
            "seconds": 0.012346,
            "database_seconds": 0.008765,
            "statements": 7,
            "batches": 6,
            "rows": 120,
            "cost": 250,
            "actor": "user:7",
            "company": "NORDIC",
            "request_id": "req-1",
            "errors": ["FORBIDDEN", "TIMEOUT"],
        }
    ]


def test_subscriptions_have_a_line_only_for_what_failed(captured: Captured) -> None:
    """A line per event would be one per change and subscriber."""
    for _ in range(3):
        captured.logs.operation(Facts(name="Tiles", type=OperationType.SUBSCRIPTION))
    failed = Facts(name="Broken", type=OperationType.SUBSCRIPTION, codes=("TIMEOUT",))
    captured.logs.operation(failed)
    captured.logs.operation(Facts(name="Gone", canceled=True))

    lines = [(line["operation"], line["status"]) for line in captured.lines()]
    assert lines == [("Broken", "error"), ("Gone", "canceled")]


@pytest.fixture
def slow_seconds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """Have operations count as slow from so many seconds on."""
    seconds: float = request.param
    monkeypatch.setattr(execution, "SLOW_SECONDS", seconds)
    return seconds


@pytest.mark.usefixtures("slow_seconds")
@pytest.mark.parametrize(
    ("which", "slow_seconds", "told"),
    [
        ("notable", 60.0, ["Failed", "Change"]),
        ("notable", 0.0, ["Quick", "Failed", "Change"]),
        ("all", 60.0, ["Quick", "Failed", "Change"]),
    ],
    ids=["notable", "notable and slow", "all"],
    indirect=["slow_seconds"],
)
async def test_what_operators_look_for_has_a_line(
    captured: Captured, database_url: str, which: str, told: list[str]
) -> None:
    """Mutations, failures and what was slow; all operations where asked for."""
    nobody = principal(permissions=frozenset())
    async with open_gateway(database_url, logs=captured.logs, log_operations=which) as gateway:
        await gateway.data("query Quick { me { name } }")
        await gateway.run("query Failed { salesOrders { nodes { id } } }", caller=nobody)
        await gateway.data(_CHANGE)
    lines = await asyncio.to_thread(captured.lines)
    assert [line["operation"] for line in lines if line["event"] == "operation"] == told


def test_level_silences_operations() -> None:
    """At level warning there are no operation lines."""
    captured = Captured(log_level="warning")
    captured.logs.operation(Facts())
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in captured.lines()] == ["loud"]


def test_every_line_carries_the_request_id(captured: Captured) -> None:
    """Both structlog's lines and the standard library's."""
    token = REQUEST_ID.set("req-2")
    structlog.get_logger().info("ours")
    logging.getLogger("uvicorn.error").warning("theirs")
    REQUEST_ID.reset(token)
    structlog.get_logger().info("outside")

    lines = captured.lines()
    assert [(line["event"], line.get("request_id")) for line in lines] == [
        ("ours", "req-2"),
        ("theirs", "req-2"),
        ("outside", None),
    ]
    assert lines[1]["logger"] == "uvicorn.error"
    assert lines[1]["level"] == "warning"


def test_exceptions_and_warnings_are_lines_too(captured: Captured) -> None:
    """A traceback is text inside one line, without the values of local variables."""

    def fail() -> None:
        confidential = "kept" + "-" + "to-myself"
        raise LookupError("no such row: " + confidential[:0])

    try:
        fail()
    except LookupError:
        structlog.get_logger().exception("ours failed")
        logging.getLogger("asyncio").exception("theirs failed")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)

    text = captured.text()
    assert "kept-to-myself" not in text
    lines = [orjson.loads(line) for line in text.splitlines()]
    assert [line["level"] for line in lines] == ["error", "error", "warning"]
    assert all("LookupError: no such row" in line["exception"] for line in lines[:2])
    assert "old thing" in lines[2]["event"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_credentials_never_reach_the_log(log_format: str) -> None:
    """Not by field name, not in headers, not inside texts, not in tracebacks."""
    captured = Captured(log_format=log_format)
    log = structlog.get_logger()
    log.info("by name", token="s3cret-1", jwt_secret="s3cret-2", Authorization="s3cret-3")
    log.info("nested", request={"headers": {"X-Api-Key": "s3cret-4", "accept": "fine-1"}})
    log.info("pairs", headers=[(b"authorization", b"s3cret-5"), (b"accept", b"fine-2")])
    log.info("got 'Authorization: Bearer s3cret-6' and BEARER s3cret-7", idempotency_key="fine-3")
    log.info("token is %s", TOKEN)
    key = new_api_key()
    log.info("key", value=key.text)
    logging.getLogger("uvicorn.error").warning("bearer s3cret-8")

    def connect() -> None:
        raise ConnectionError(f"cannot reach postgresql://erp:{PASSWORD}@db.example/erp")

    try:
        connect()
    except ConnectionError:
        log.exception("database")
    log.info("database", url="postgresql://erp:s3cret-10@db.example/erp")

    text = captured.text()
    assert "s3cret" not in text
    assert key.secret not in text
    assert key.prefix in text
    assert TOKEN not in text
    assert TOKEN.rpartition(".")[2] not in text
    for wanted in ("fine-1", "fine-2", "fine-3", "[withheld]", "db.example"):
        assert wanted in text


def test_console_lines_are_for_people() -> None:
    """No JSON, no empty fields, time of day only."""
    captured = Captured(log_format="console", log_operations="all")
    captured.logs.operation(Facts())
    line = captured.text()
    assert line.startswith("12:30:15.250 ")
    assert "OrderList" in line
    assert "company" not in line


@pytest.mark.parametrize("value", ["\ud800", 2**70, object(), b"\xff", {1: {2.5: None}}, NOW])
def test_no_value_breaks_the_line(value: object, captured: Captured) -> None:
    """Logging never raises, whatever it is given."""
    structlog.get_logger().info("odd", value=value)
    (line,) = captured.lines()
    assert line["event"] == "odd"


def test_line_breaks_cannot_forge_lines() -> None:
    """A line is one line whatever its fields hold."""
    assert b"\n" not in render_json({"event": 'x\n{"event": "forged"}', "level": "info"})


def test_stalled_stream_stalls_nobody() -> None:
    """With a pipe that nobody reads, writing returns at once; lines are dropped and counted."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as stream:
        writer = LogWriter(stream, capacity=500, pause_seconds=0.001)
        line = b"x" * 1_000
        for _ in range(5_000):
            writer.write(line)  # one that waited would do so for ever

        received: list[bytes] = []

        def read() -> None:
            while chunk := os.read(reading, 65_536):
                received.append(chunk)

        reader = threading.Thread(target=read)
        reader.start()
        writer.close()
    reader.join()
    os.close(reading)

    lines = b"".join(received).splitlines()
    dropped = [orjson.loads(line)["lines"] for line in lines if line != b"x" * 1_000]
    assert dropped
    assert sum(dropped) + len(lines) - len(dropped) == 5_000


def test_close_writes_what_waits(captured: Captured) -> None:
    """The last lines before the end are not lost."""
    for number in range(50):
        structlog.get_logger().info("line", number=number)
    assert [line["number"] for line in captured.lines()] == list(range(50))


def test_close_leaves_logging_as_it_was() -> None:
    """Closing takes our handler away and gives structlog back what it was configured with."""
    before, processors = list(logging.getLogger().handlers), structlog.get_config()["processors"]
    captured = Captured()
    assert logging.getLogger().handlers != before
    captured.logs.close()
    assert logging.getLogger().handlers == before
    assert structlog.get_config()["processors"] is processors

"""Whatever clients send, over real HTTP: answered soon, clearly, and never as our own failure.

The batteries are generated from the schema: every argument and every field of every input gets the
wrong values of its type. A new argument is under them from the day it is declared.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx2
import pytest
import pytest_asyncio
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
)
from pydantic import SecretStr

from gateway.app import create_app
from gateway.postgres import EmbeddedPostgres
from gateway.settings import Settings
from gateway.tokens import issue_client_key, issue_user_token
from resolvers.core.clock import system_clock
from schema.build import build_schema, core_schema
from schema.core.ids import encode_id
from schema.core.node import NODE_TYPES
from tests.fixtures.gateway import settings_for
from tests.fixtures.schema_walk import root_fields
from tests.fixtures.servers import running_server
from tests.fixtures.turns import in_turn, in_turns

SCHEMA: Final = core_schema(build_schema())
SOON: Final = 5.0
"""Seconds any of these requests may take; the longest takes a quarter of one on a busy machine."""
CLEAN: Final = {
    "VALIDATION",
    "NOT_FOUND",
    "FORBIDDEN",
    "LIMIT_EXCEEDED",
    "IDEMPOTENCY_MISMATCH",
    "INVALID_TRANSITION",
    "ARCHIVED",
    "CONFLICT_VERSION",
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
}
"""Codes that tell clients what they did wrong."""


class Site:
    """The whole product on a port, and a client of it who may do everything."""

    def __init__(self, client: httpx2.AsyncClient, settings: Settings, token: str) -> None:
        self.client = client
        self.settings = settings
        self.token = token

    async def post(self, content: bytes, **headers: str) -> httpx2.Response:
        """Send a body as it is and return the answer, which came soon and is not a failure."""
        started = time.perf_counter()
        response = await self.client.post(
            "/graphql",
            content=content,
            headers={
                "authorization": f"Bearer {self.token}",
                "content-type": "application/json",
                "accept": "application/graphql-response+json",
                **headers,
            },
        )
        assert time.perf_counter() - started < SOON
        assert response.status_code < 500, response.text
        return response

    async def ask(self, query: str, variables: Any = None, **headers: str) -> "Answered":
        """Send a document with variables."""
        body: dict[str, Any] = {"query": query}
        if variables is not None:
            body["variables"] = variables
        content = json.dumps(body, ensure_ascii=True).encode()
        return Answered(await self.post(content, **headers))


class Answered:
    """An answer, whose errors are all clean."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.body: dict[str, Any] = response.json()
        self.errors: list[dict[str, Any]] = self.body.get("errors", [])
        data = self.body.get("data") or {}
        for payload in data.values():
            if isinstance(payload, dict):
                self.errors += payload.get("userErrors", [])
        for error in self.errors:
            assert self.code_of(error) in CLEAN, error
            assert 0 < len(error["message"]) <= 300, error

    @staticmethod
    def code_of(error: Mapping[str, Any]) -> str:
        """Return the code of an error, be it in `errors` or in `userErrors`."""
        return str(error.get("code") or error["extensions"]["code"])

    @property
    def codes(self) -> set[str]:
        """The codes of all errors."""
        return {self.code_of(error) for error in self.errors}

    def names(self, *names: str) -> bool:
        """Tell whether every error names one of the fields or arguments."""
        return bool(self.errors) and all(
            any(name in json.dumps(error) for name in names) for error in self.errors
        )


@pytest_asyncio.fixture(scope="module")
async def site(server: EmbeddedPostgres, template: str) -> AsyncIterator[Site]:
    """Serve the product over a seeded database of this file, with the limits it has by default."""
    name = f"erp_bad_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    database_url = server.url(name)
    defaults = Settings.model_fields["max_cost"].default
    settings = settings_for(database_url, max_cost=defaults)
    token = issue_user_token(settings, "admin@demo", timedelta(hours=1), system_clock)
    async with (
        running_server(create_app(settings), settings) as address,
        httpx2.AsyncClient(base_url=address.url, timeout=2 * SOON) as client,
    ):
        yield Site(client, settings, token)
    server.drop_database(name)


# --- bodies


BODIES: Final = [
    (b"", 400, "JSON"),
    (b"{", 400, "JSON"),
    (b"null", 400, "JSON object"),
    (b"[]", 400, "batches are not supported"),
    (b'"{ me { name } }"', 400, "JSON object"),
    (b"{}", 400, '"query" is missing'),
    (b'{"query": null}', 400, '"query" must be a string'),
    (b'{"query": 5}', 400, '"query" must be a string'),
    (b'{"query": "{ me { name } }", "variables": []}', 400, '"variables" must be'),
    (b'{"query": "{ me { name } }", "variables": "x"}', 400, '"variables" must be'),
    (b'{"query": "{ me { name } }", "operationName": 5}', 400, '"operationName" must be'),
    (b'{"query": "{ me { name } }", "variables": {"a": NaN}}', 400, "JSON"),
    (b'{"query": "{ me { name } }", "variables": {"a": Infinity}}', 400, "JSON"),
    (b'{"query": "{ me { name } }", "variables": {"a": 1e999}}', 400, "JSON"),
    (b'{"query": "{ me { name } }", "variables": {"a": ' + b"9" * 30 + b"}}", 400, "variables.a"),
    (b'{"query": "{ me { name } }", "variables": {"a": "\\ud800"}}', 400, "JSON"),
    (b'{"query": "{ me { name } }", "variables": {"a": "\\u0000"}}', 400, "variables.a"),
    (b'{"query": "{ me { name } }", "variables": {"\\u0000": 1}}', 400, "variables"),
    (b'{"query": "{ me \\u0000 { name } }"}', 400, "query"),
    (b'{"query": "{ me { name } }", "variables": {"a": "\xff"}}', 400, "JSON"),
    (
        b'{"query": "{ me { name } }", "variables": ' + b'{"a":' * 500 + b"1" + b"}" * 501,
        400,
        "deep",
    ),
    (b"[" * 100_000, 400, "JSON"),
    (b'{"query": "' + b"x" * 1_100_000 + b'"}', 413, "larger than"),
    (b"\xef\xbb\xbf{}", 400, "JSON"),
]


@pytest.mark.parametrize(("body", "status", "told"), BODIES, ids=range(len(BODIES)))
async def test_bodies_that_are_no_request(site: Site, body: bytes, status: int, told: str) -> None:
    """What is no JSON, or not the JSON of a request, is told with the entry or the place."""
    answered = Answered(await site.post(body))
    assert answered.status == status
    [error] = answered.errors
    assert told in error["message"]
    assert set(answered.body) == {"errors"}


async def test_a_request_in_another_content_type_or_encoding_is_refused(site: Site) -> None:
    """Forms, texts and compressed bodies get 415, so that no page can forge a request."""
    body = b'{"query": "{ me { name } }"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        response = await site.post(body, **{"content-type": kind})
        assert response.status_code == 415, kind
    assert (await site.post(body, **{"content-encoding": "gzip"})).status_code == 415
    assert (await site.post(body)).status_code == 200


# --- documents


def nested(depth: int) -> str:
    """Return a document so many levels deep."""
    return "{ categories { nodes { " + "parent { " * depth + "id" + " }" * depth + " } } }"


DOCUMENTS: Final = [
    ("", "GRAPHQL_PARSE_FAILED", "Syntax Error"),
    ("{", "GRAPHQL_PARSE_FAILED", "Syntax Error"),
    ("{ me { name }", "GRAPHQL_PARSE_FAILED", "Syntax Error"),
    ('{ product(sku: "\\uD800") { id } }', "GRAPHQL_PARSE_FAILED", "Syntax Error"),
    ('{ product(sku: "unterminated) { id } }', "GRAPHQL_PARSE_FAILED", "Syntax Error"),
    ("{ nothing }", "GRAPHQL_VALIDATION_FAILED", "nothing"),
    ("{ me { nothing } }", "GRAPHQL_VALIDATION_FAILED", "nothing"),
    ("{ me }", "GRAPHQL_VALIDATION_FAILED", "me"),
    ("{ me { name { first } } }", "GRAPHQL_VALIDATION_FAILED", "name"),
    ("{ product(nothing: 1) { id } }", "GRAPHQL_VALIDATION_FAILED", "nothing"),
    ('{ product(sku: "\\u0000") { id } }', "GRAPHQL_VALIDATION_FAILED", "U+0000"),
    ("query($a: Nothing) { me { name } }", "GRAPHQL_VALIDATION_FAILED", "Nothing"),
    ("query($a: Int!) { products(first: $a) { totalCount } }", "VALIDATION", "$a"),
    ("query($a: String) { products(first: $a) { totalCount } }", "GRAPHQL_VALIDATION_FAILED", "$a"),
    ("{ products(first: $a) { totalCount } }", "GRAPHQL_VALIDATION_FAILED", "$a"),
    ("{ ...F } fragment F on Query { ...F }", "GRAPHQL_VALIDATION_FAILED", "F"),
    ("{ me { ...F } } fragment F on Product { sku }", "GRAPHQL_VALIDATION_FAILED", "F"),
    ("{ me { name @nothing } }", "GRAPHQL_VALIDATION_FAILED", "nothing"),
    (nested(50), "LIMIT_EXCEEDED", "epth"),
    ("{" + "a: me { name } " * 500 + "}", "LIMIT_EXCEEDED", "lias"),
    (
        "{ me { " + " ".join(f"a{n}: name" for n in range(1_000)) + " } }",
        "LIMIT_EXCEEDED",
        "lias",
    ),
    ("{ me { name " + "@include(if: true) " * 51 + "} }", "LIMIT_EXCEEDED", "irective"),
    ("{ me { " + "name " * 5_000 + "} }", "LIMIT_EXCEEDED", "oken"),
    (
        "{ products(first: 200) { nodes { moves(first: 200) { nodes { id } } } } }",
        "LIMIT_EXCEEDED",
        "ost",
    ),
    ("{ me " + "{ a " * 1_500, "LIMIT_EXCEEDED", "limit exceeded"),
]


@pytest.mark.parametrize(("document", "code", "told"), DOCUMENTS, ids=range(len(DOCUMENTS)))
async def test_documents_that_cannot_run(site: Site, document: str, code: str, told: str) -> None:
    """Each says what is wrong, and where the document's own words are at fault, names them."""
    answered = await site.ask(document)
    assert answered.status == 400
    assert answered.codes == {code}
    assert any(told in error["message"] for error in answered.errors)


# --- callers


def token_of(site: Site, *, ago: timedelta = timedelta(), **changes: Any) -> str:
    """Return a token issued some time ago for an hour, or by other settings."""
    settings = site.settings.model_copy(update=changes)

    def clock() -> datetime:
        return system_clock() - ago

    return issue_user_token(settings, "admin@demo", timedelta(hours=1), clock)


def tampered(token: str, part: int, **changes: Any) -> str:
    """Return a token with claims or headers changed, and the signature as it was."""
    parts = token.split(".")
    content = json.loads(base64.urlsafe_b64decode(parts[part] + "=="))
    changed = json.dumps({**content, **changes}).encode()
    parts[part] = base64.urlsafe_b64encode(changed).decode().rstrip("=")
    return ".".join(parts)


async def test_expired_and_forged_tokens_are_refused(site: Site) -> None:
    """A token is good as it was issued, for its time, and in no other way."""
    good = token_of(site)
    forged = {
        "expired": token_of(site, ago=timedelta(hours=2)),
        "signed by another": token_of(
            site, jwt_secret=SecretStr("another secret that is long enough")
        ),
        "of another issuer": token_of(site, jwt_issuer="somebody"),
        "for another audience": token_of(site, jwt_audience="something"),
        "for somebody else": tampered(good, 1, sub="sales@demo"),
        "for longer": tampered(good, 1, exp=4_000_000_000),
        "unsigned": tampered(good, 0, alg="none").rpartition(".")[0] + ".",
        "cut": good[:-5],
        "critical": tampered(good, 0, crit=["x"]),
        "a key of nobody": "egk_nobody_nothing",
        "nothing": "",
        "long": "x" * 8_000,
    }
    assert (await site.ask("{ me { name } }")).status == 200
    for what, token in forged.items():
        response = await site.post(
            b'{"query": "{ me { name } }"}', authorization=f"Bearer {token}".strip()
        )
        assert response.status_code == 401, what
        assert "www-authenticate" in response.headers, what
        assert Told(response).code == "UNAUTHENTICATED", what
    response = await site.client.post("/graphql", json={"query": "{ me { name } }"})
    assert response.status_code == 401


class Told:
    """The one error of a refused request."""

    def __init__(self, response: httpx2.Response) -> None:
        body = response.json()
        assert set(body) == {"errors"}
        [error] = body["errors"]
        self.code: str = error["extensions"]["code"]


async def test_companies_of_others_are_refused(site: Site) -> None:
    """A caller acts for its own companies; a partner's key for its one."""
    body = b'{"query": "{ company { code } }"}'
    for company, status in (("DE01", 200), ("US01", 200), ("FR01", 403), ("de01", 403), ("", 403)):
        response = await site.post(body, **{"x-company": company})
        assert (company, response.status_code) in {(company, status), ("", 200)}
    assert site.settings.database_url is not None
    owner = await asyncpg.connect(site.settings.database_url.get_secret_value())
    without = await owner.fetchrow(
        "select key_prefix, key_hash from api_client where code = 'partner-demo'"
    )
    assert without is not None
    try:
        key = await issue_client_key(site.settings, owner, "partner-demo")
        own = {"authorization": f"Bearer {key}"}
        assert (await site.post(body, **own)).json() == {"data": {"company": {"code": "DE01"}}}
        assert (await site.post(body, **own, **{"x-company": "US01"})).status_code == 403
    finally:
        await owner.execute(
            "update api_client set key_prefix = $1, key_hash = $2 where code = 'partner-demo'",
            *without,
        )
        await owner.close()


# --- arguments


@dataclass(frozen=True)
class Place:
    """A place a value can be given in: an argument of a field, or a field of its input."""

    owner: str
    field: str
    argument: str
    path: tuple[str | int, ...]
    """The way from the argument to the value."""
    type: GraphQLInputType

    def __str__(self) -> str:
        steps = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in self.path)
        return f"{self.owner}.{self.field}({self.argument}{steps})"

    @property
    def names(self) -> tuple[str, ...]:
        """What an error can name: where the value is in its variable, or else the variable."""
        inside = [step for step in self.path if isinstance(step, str)]
        return (inside[-1], self.argument) if inside else (self.argument, "$value", self.field)

    @property
    def named(self) -> str:
        """The name of the value's type."""
        return get_named_type(self.type).name


ROOTS: Final = ("Query", "Mutation", "Subscription")


def fields_with_arguments() -> Iterator[tuple[str, str, GraphQLField]]:
    """Yield every field that takes arguments, with the type it is on."""
    for type_ in SCHEMA.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name, field in type_.fields.items():
                if field.args:
                    yield type_.name, name, field


def places(
    type_: GraphQLInputType, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], GraphQLInputType]]:
    """Yield every place in a value of an input type, the whole first."""
    yield path, type_
    inner = get_nullable_type(type_)
    if isinstance(inner, GraphQLList):
        yield from places(inner.of_type, (*path, 0))
    elif isinstance(inner, GraphQLInputObjectType):
        for name, field in inner.fields.items():
            yield from places(field.type, (*path, name))


STATE: Final = "ChangeGap"
"""What a stream begins with, and lists things by arguments."""
PLACES: Final = [
    Place(owner, name, argument, path, type_)
    for owner, name, field in fields_with_arguments()
    for argument, definition in field.args.items()
    for path, type_ in places(definition.type)
    # its lists are those of root fields: one says how a stream tells what is wrong
    if owner != STATE or name == "jobs"
]

RIGHT: Final[Mapping[str, Any]] = {
    "Int": 1,
    "String": "x",
    "Boolean": True,
    "Decimal": "1",
    "Date": "2026-06-01",
    "DateTime": "2026-06-01T00:00:00Z",
    "ID": encode_id("StockLocation", 1),
    "OrderAxisName": "shipment",
}
REQUIRED: Final[Mapping[str, Any]] = {
    "Query.node(id)": encode_id("Product", 1),
    "Query.partner(id)": encode_id("Partner", 31),
    "Subscription.shipmentWorkChanged(warehouseId)": encode_id("Warehouse", 1),
    "Subscription.jobProgress(id)": encode_id("Job", 1),
    "Mutation.adjustStock(idempotencyKey)": "battery",
    "Mutation.placeSalesOrder(input).partnerId": encode_id("Partner", 31),
    "Mutation.quoteSalesOrder(input).partnerId": encode_id("Partner", 31),
    "Mutation.archiveProduct(id)": encode_id("Product", 1),
    "Mutation.setProductUnits(id)": encode_id("Product", 1),
    **{
        f"Mutation.{argument}": encode_id("SalesOrder", 1)
        for argument in (
            "cancelSalesOrder(id)",
            "confirmSalesOrder(id)",
            "holdSalesOrder(id)",
            "releaseHold(id)",
            "reserveOrder(id)",
            "planShipment(orderId)",
            "shipOrder(orderId)",
        )
    },
    **{
        f"Mutation.{argument}": encode_id("PurchaseOrder", 1)
        for argument in (
            "cancelPurchaseOrder(id)",
            "confirmPurchaseOrder(id)",
            "sendPurchaseOrder(id)",
            "approvePurchaseOrder(id)",
            "receiveGoods(orderId)",
        )
    },
    **{
        f"Mutation.{verb}(id)": encode_id("Shipment", 1)
        for verb in (
            "cancelShipment",
            "confirmDelivery",
            "packShipment",
            "shipShipment",
            "startPicking",
        )
    },
    **{
        f"Mutation.{verb}(id)": encode_id("Webhook", 1)
        for verb in (
            "updateWebhook",
            "pauseWebhook",
            "resumeWebhook",
            "rotateWebhookSecret",
            "replayWebhook",
            "retryDeadLetters",
            "deleteWebhook",
        )
    },
    "Mutation.endSubscription(id)": encode_id("LiveSubscription", 1),
    "Mutation.addLandedCost(receiptId)": encode_id("GoodsReceipt", 1),
    "Mutation.createPurchaseOrder(supplierId)": encode_id("Partner", 1),
    "Mutation.createPurchaseOrder(warehouseId)": encode_id("Warehouse", 1),
    "Mutation.returnGoods(orderId)": encode_id("SalesOrder", 1),
    "Mutation.transferStock(fromWarehouseId)": encode_id("Warehouse", 1),
    "Mutation.transferStock(toWarehouseId)": encode_id("Warehouse", 2),
    "Mutation.releaseStock(id)": encode_id("StockHold", 1),
    "Mutation.startStockCount(warehouseId)": encode_id("Warehouse", 1),
    **{
        f"Mutation.{verb}Transfer(id)": encode_id("StockTransfer", 1)
        for verb in ("receive", "cancel")
    },
    **{
        f"Mutation.{verb}StockCount(id)": encode_id("StockCount", 1)
        for verb in ("record", "post", "cancel")
    },
    "Mutation.restoreProduct(id)": encode_id("Product", 1),
    "Mutation.archivePartner(id)": encode_id("Partner", 31),
    "Mutation.restorePartner(id)": encode_id("Partner", 31),
}
"""Arguments that are required beside the one under test, unless any value of the type will do."""

WRONG: Final[Mapping[str, list[Any]]] = {
    "Int": [-1, 1_001, 2**31, 2**53, 2**63 - 1, 1.5, "1", "", True, [], {}, "\u0661"],
    "Boolean": ["true", 1, 0, "", "yes", [], {}, 1.5],
    "Decimal": [
        *("NaN", "Infinity", "-Infinity", "9" * 41, "1e5", "\uff11\uff12", "", "+1", " 1", "1 "),
        *("0x1", "1,5", ".", "-", "0." + "1" * 13, "1_0", "None", "'", "9" * 5_000),
        *(1.5, True, [], {}),
    ],
    "Date": [
        *("", "2026-02-30", "2026-13-01", "20260101", "2026-W01-1", "0000-01-01", "10000-01-01"),
        *(
            "today",
            "infinity",
            "2026-01-01T00:00:00Z",
            "\uff12026-01-01",
            20260101,
            0,
            True,
            [],
            {},
        ),
    ],
    "DateTime": [
        *("", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-01-01T25:00:00Z"),
        *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-W01-1T00:00:00Z"),
        *("now", "infinity", 1767225600, 1.5, True, [], {}),
    ],
    "ID": ["", "x", 5, 0, -5, "0", "Product:1", encode_id("Nothing", 1), 1.5, True, [], {}],
    "String": [5, 1.5, True, [], {}],
    "OrderAxisName": ["NOPE", "", "state", "Shipment", "shipment ", 0, 1, True, 1.5, [], {}],
}
"""Values that no place of the type accepts; lists take the empty list, and any object with ids
takes what is not refused as null."""

ODD: Final[Mapping[str, list[Any]]] = {
    "String": [
        *("", " ", "'", '"', "\\", "%", "_", "' or 1=1 --", "$1", "{}", "\u202e", "\U0001f4a5"),
        *("\u00e9" * 3_000, "x" * 100_000, ":*&|!()<->", "\ufeff", "\r\n\t", "null", "\u0301"),
    ],
    "ID": [
        encode_id(name, key)
        for name in sorted(NODE_TYPES)
        for key in (1, 0, 2**31, 2**63 - 1, "9" * 5_000)
    ],
    "Int": [0, 1, 200, 201],
    "Decimal": ["0", "-0", "-1", "9" * 40, "-" + "9" * 28 + "." + "9" * 12, 0, -1, 2**63],
    "Date": ["0001-01-01", "9999-12-31"],
    "DateTime": ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"],
    "Boolean": [],
}
"""Values that some places accept and others do not; they may be anything but a failure."""

LITERALS: Final[Mapping[str, list[str]]] = {
    "Int": ['"1"', "1.5", "true", "FIRST", "99999999999999999999", "{a: 1}", "[1, 2]"],
    "Boolean": ['"true"', "1", "YES", "{a: 1}", "[true, false]"],
    "Decimal": [
        "true",
        "NaN",
        "Infinity",
        "1e5",
        '"1e5"',
        "{a: 1}",
        "[1, 2]",
        "9" * 41,
        '"\\u0000"',
    ],
    "Date": ["1", "true", "today", "2026", '"x"', "{a: 1}", "[1, 2]", '"\\u0000"'],
    "DateTime": ["1", "true", "now", "2026", '"x"', "{a: 1}", "[1, 2]", '"\\u0000"'],
    "ID": ["1.5", "true", "ME", "{a: 1}", '"\\u0000"'],
    "OrderAxisName": ["1", "true", "STATE", '"nope"', "{a: 1}", '"Shipment"'],
    "String": ["1", "1.5", "true", "X", "{a: 1}", '"\\u0000"', '"a\\u{0}b"'],
}
"""Wrong values written into the document."""


def right_value(type_: GraphQLInputType, path: tuple[str | int, ...], value: Any) -> Any:
    """Return a value of an input type that is right but for ``value`` at ``path``."""
    if not path:
        return value
    inner = get_nullable_type(type_)
    if isinstance(inner, GraphQLList):
        return [right_value(inner.of_type, path[1:], value)]
    assert isinstance(inner, GraphQLInputObjectType)
    made = {
        name: any_right(field.type)
        for name, field in inner.fields.items()
        if isinstance(field.type, GraphQLNonNull) or name == path[0]
    }
    name = str(path[0])
    made[name] = right_value(inner.fields[name].type, path[1:], value)
    return made


def any_right(type_: GraphQLInputType) -> Any:
    """Return some right value of an input type, as small as possible."""
    inner = get_nullable_type(type_)
    if isinstance(inner, GraphQLList):
        return [any_right(inner.of_type)]
    if inner is SCHEMA.type_map["StockAdjustmentInput"]:
        return {"sku": "x", "locationId": RIGHT["ID"], "delta": "1", "reason": "x"}
    if isinstance(inner, GraphQLInputObjectType):
        needed = {n: f for n, f in inner.fields.items() if isinstance(f.type, GraphQLNonNull)}
        return {name: any_right(field.type) for name, field in needed.items()}
    if isinstance(inner, GraphQLEnumType):
        return next(iter(inner.values))
    return RIGHT[get_named_type(type_).name]


def written(value: Any, literal: str) -> str:
    """Return a value as it is written in a document, ``literal`` in place of the marker."""
    if value is MARKER:
        return literal
    if isinstance(value, list):
        return f"[{', '.join(written(item, literal) for item in value)}]"
    if isinstance(value, dict):
        entries = (f"{name}: {written(item, literal)}" for name, item in value.items())
        return f"{{{', '.join(entries)}}}"
    return value if isinstance(value, str) and value.isupper() else json.dumps(value)


MARKER: Final = object()
LISTED: Final = {
    str(get_named_type(r.field.type)): r.name for r in root_fields() if r.is_connection
}
"""The root field of each type of connection."""


def document(place: Place, given: str, head: str = "") -> str:
    """Return an operation that gives a value in a place, below an object that has the field."""
    type_ = SCHEMA.type_map[place.owner]
    assert isinstance(type_, GraphQLObjectType)
    field = type_.fields[place.field]
    arguments = [f"{place.argument}: {given}"]
    for name, argument in field.args.items():
        if name != place.argument and isinstance(argument.type, GraphQLNonNull):
            known = REQUIRED.get(f"{place.owner}.{place.field}({name})", any_right(argument.type))
            arguments.append(f"{name}: {written(known, '')}")
    selection = "{ __typename }"
    if place.owner == "Mutation":
        selection = "{ userErrors { code message path } }"
    text = f"{place.field}({', '.join(arguments)}) {selection}"
    kind = place.owner.lower() if place.owner in ROOTS else "query"
    if place.owner in ROOTS:
        return f"{kind} Battery{head} {{ {text} }}"
    if place.owner == STATE:
        state = f"changes(of: [JOB], snapshot: true) {{ ... on {STATE} {{ {text} }} }}"
        return f"subscription Battery{head} {{ {state} }}"
    if place.owner in LISTED:
        return f"{kind} Battery{head} {{ {LISTED[place.owner]} {{ {text} }} }}"
    id_ = encode_id(place.owner, 1)
    return f'{kind} Battery{head} {{ node(id: "{id_}") {{ ... on {place.owner} {{ {text} }} }} }}'


def argument_type(place: Place) -> GraphQLInputType:
    """Return the type of the whole argument."""
    type_ = SCHEMA.type_map[place.owner]
    assert isinstance(type_, GraphQLObjectType)
    found: GraphQLInputType = type_.fields[place.field].args[place.argument].type
    return found


async def give(site: Site, place: Place, value: Any, *, patience: float = 0.1) -> Answered:
    """Give a value in a place by a variable; wait ``patience`` for what a stream says first."""
    whole = argument_type(place)
    streamed = place.owner in ("Subscription", STATE)
    accept = "text/event-stream" if streamed else "application/json"
    query = document(place, "$value", f"($value: {whole})")
    variables = {"value": right_value(whole, place.path, value)}
    if accept == "application/json":
        return await site.ask(query, variables)
    return await first_event(site, query, variables, patience)


async def first_event(site: Site, query: str, variables: Any, patience: float) -> Answered:
    """Subscribe; return the first answer, an empty one if the stream is open and silent."""
    body = {"query": query, "variables": variables}
    headers = {"authorization": f"Bearer {site.token}", "accept": "text/event-stream"}
    async with site.client.stream(
        "POST", "/graphql", json=body, headers=headers, timeout=SOON
    ) as response:
        if not response.headers["content-type"].startswith("text/event-stream"):
            await response.aread()
            return Answered(response)
        text = ""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):  # from when it is open: a busy machine takes long
                async for chunk in response.aiter_text():
                    text += chunk
                    if "event: next" in text and "\n\n" in text.partition("event: next")[2]:
                        break
    data = text.partition("event: next")[2].partition("data:")[2].partition("\n")[0]
    return Answered(httpx2.Response(response.status_code, text=data or "{}"))


LEAVES: Final = [
    place
    for place in PLACES
    if not isinstance(get_named_type(place.type), GraphQLInputObjectType)
    and not isinstance(get_nullable_type(place.type), GraphQLList)
]


def by_field(places: Sequence[Place]) -> pytest.MarkDecorator:
    """Parametrize with the places of each field together: there are thousands."""
    fields: dict[str, list[Place]] = {}
    for place in places:
        fields.setdefault(f"{place.owner}.{place.field}", []).append(place)
    return pytest.mark.parametrize("places", fields.values(), ids=list(fields))


async def at_each(places: Sequence[Place], check: Callable[[Place], Awaitable[None]]) -> None:
    """Check every place, and fail with all at which it did."""
    failed: list[Exception] = []
    for place in places:
        try:
            await check(place)
        except AssertionError as error:
            error.add_note(f"at {place}")
            failed.append(error)
    if failed:
        raise ExceptionGroup("places where it does not hold", failed)


def wrong_values(place: Place) -> list[Any]:
    """Return what no place of this type accepts."""
    named = get_named_type(place.type)
    if isinstance(named, GraphQLEnumType):
        some = next(iter(named.values))
        return ["NOPE", "", some.lower(), some + " ", 0, 1, True, 1.5, [], {}, "__proto__"]
    wrong = list(WRONG[place.named])
    if place.field == "node":
        wrong.remove(encode_id("Nothing", 1))  # is no object, and so is null
    if place.named == "Int" and place.argument not in ("first", "last"):
        wrong = [value for value in wrong if value not in (-1, 201, 1_001)]
    return wrong


@by_field(LEAVES)
async def test_wrong_values_are_refused_by_name(site: Site, places: Sequence[Place]) -> None:
    """Wrong values of the type, in every place of it, are errors that name the place."""

    async def check(place: Place) -> None:
        for value in in_turn(str(place), wrong_values(place), 4):
            answered = await give(site, place, value, patience=SOON)
            assert answered.errors, value
            assert answered.names(*place.names), (value, answered.errors)
            assert answered.codes <= {"VALIDATION", "NOT_FOUND"}, (value, answered.errors)

    await at_each(places, check)


@by_field(in_turns(LEAVES, 0))
async def test_odd_values_are_answered(site: Site, places: Sequence[Place]) -> None:
    """Empty, huge and hostile values of the right type get an answer, or an error by name."""

    async def check(place: Place) -> None:
        for value in in_turn(str(place), ODD.get(place.named, []), 6):
            answered = await give(site, place, value)
            if answered.errors and place.owner != "Mutation":  # whose other lines are wrong as well
                assert answered.names(*place.names), (value, answered.errors)

    await at_each(places, check)


@by_field(LEAVES)
async def test_null_is_refused_where_a_value_is_required(
    site: Site, places: Sequence[Place]
) -> None:
    """Null stands for nothing given, and is refused by name where something must be."""

    async def check(place: Place) -> None:
        required = isinstance(place.type, GraphQLNonNull)
        answered = await give(site, place, None, patience=SOON if required else 0.1)
        if required:
            assert answered.names(*place.names)
            assert answered.codes == {"VALIDATION"}

    await at_each(places, check)


@by_field(in_turns(LEAVES, 1))
async def test_wrong_literals_are_refused_where_they_stand(
    site: Site, places: Sequence[Place]
) -> None:
    """Written into the document, a wrong value is an error with the place in the document."""

    async def check(place: Place) -> None:
        literals = LITERALS.get(place.named, ["NOPE", '"X"', "1", "true", "{a: 1}"])
        for literal in in_turn(str(place), literals, 4):
            value = right_value(argument_type(place), place.path, MARKER)
            answered = await site.ask(document(place, written(value, literal)))
            assert answered.errors, literal
            assert answered.status == 400
            assert answered.codes <= {"GRAPHQL_VALIDATION_FAILED"}, (literal, answered.errors)
            for error in answered.errors:
                assert error["locations"], (literal, error)

    await at_each(places, check)


STRINGS: Final = [place for place in LEAVES if place.named in ("String", "ID")]


@by_field(in_turns(STRINGS, 0))
async def test_characters_that_cannot_be_stored_are_refused(
    site: Site, places: Sequence[Place]
) -> None:
    """NUL and lone surrogates never get as far as the argument, wherever they are."""

    async def check(place: Place) -> None:
        whole = argument_type(place)
        query = document(place, "$value", f"($value: {whole})")
        texts = ("\0", "a\0b", "\0" * 50, "\ud800", "a\udfff", "\udc00\ud800")
        for text in in_turn(str(place), texts, 3):
            content = json.dumps(
                {"query": query, "variables": {"value": right_value(whole, place.path, text)}}
            )
            answered = Answered(await site.post(content.encode()))
            assert answered.status == 400
            [error] = answered.errors
            assert ("variables.value" if "\0" in text else "Invalid JSON") in error["message"]

    await at_each(places, check)


OBJECTS: Final = [
    place
    for place in PLACES
    if isinstance(get_nullable_type(place.type), GraphQLInputObjectType | GraphQLList)
]


@by_field(OBJECTS)
async def test_objects_and_lists_of_another_shape_are_refused(
    site: Site, places: Sequence[Place]
) -> None:
    """Texts, numbers, unknown entries and lists of lists are told with the place."""

    async def check(place: Place) -> None:
        inner = get_nullable_type(place.type)
        wrong: list[Any] = [True, 1.5, {"nothing": 1}, [[[]]], [None, {}]]
        if isinstance(inner, GraphQLInputObjectType):
            wrong = ["x", 5, True, 1.5, {"nothing": 1}, [{}, {}], {"": 1}, {"__proto__": {}}]
        elif get_named_type(place.type).name == "Boolean":
            wrong.remove(True)
        for value in in_turn(str(place), wrong, 3):
            answered = await give(site, place, value, patience=SOON)
            assert answered.errors, value
            assert answered.names(*place.names, "value"), (value, answered.errors)
            assert answered.codes == {"VALIDATION"}, (value, answered.errors)

    await at_each(places, check)


@pytest.mark.parametrize("place", [p for p in LEAVES if p.named == "ID"], ids=str)
async def test_ids_of_another_company_look_like_ids_of_nothing(
    site: Site, place: Place, database_url: str
) -> None:
    """For every argument and every type, a foreign id is answered just as a missing one."""
    owner = await asyncpg.connect(database_url)
    try:
        for name in in_turn(str(place), sorted(NODE_TYPES), 6):
            table = NODE_TYPES[name].entity.table
            if "company_id" not in table.columns:
                continue
            key = await owner.fetchval(f"select min(id) from {table.name} where company_id = 2")
            if key is None:
                continue
            foreign = await give(site, place, encode_id(name, key))
            missing = await give(site, place, encode_id(name, 2**31 - 1))
            assert foreign.status == missing.status
            assert foreign.body == missing.body, name
    finally:
        await owner.close()


async def test_every_kind_of_argument_is_under_the_batteries() -> None:
    """The schema has no input type the batteries know nothing of, and all fields are reached."""
    named = {place.named for place in LEAVES}
    enums = {name for name, type_ in SCHEMA.type_map.items() if isinstance(type_, GraphQLEnumType)}
    assert named - enums <= set(WRONG)
    assert {place.owner for place in PLACES} >= {*ROOTS, "Product", "Warehouse", "Partner"}
    assert len(LEAVES) > 100


async def test_a_socket_survives_bad_input(site: Site) -> None:
    """After everything above the server still answers, and has spent no connection on it."""
    answered = await site.ask("{ me { name } products(first: 1) { totalCount } }")
    assert answered.status == 200
    assert not answered.errors
    ready = await site.client.get("/readyz")
    assert ready.status_code == 200, ready.text

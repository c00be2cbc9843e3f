"""Files over real sockets: whole, to whoever may see the document, and to nobody else."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from gateway.app import create_app
from gateway.auth.links import Links
from gateway.lifespan import Runtime
from gateway.postgres import EmbeddedPostgres
from gateway.tokens import issue_client_key, issue_user_token
from gateway.transports.downloads import PIECE, content_disposition
from resolvers.core.clock import system_clock
from resolvers.core.principal import RowScope
from schema.core.ids import encode_id
from tests.fixtures.gateway import principal, settings_for
from tests.fixtures.servers import Address, running_server

LARGE = bytes(range(256)) * 12_345
"""A file of many pieces, the last one not whole."""
ADD = """
with added as (
  insert into document (company_id, kind, filename, media_type, size_bytes, sha256, uploaded_by)
  values (1, 'OTHER', $1, $2, $3, $4, 'user:1') returning id, company_id
) insert into document_content select id, company_id, $5 from added returning document_id
"""


def path_of(document_id: int) -> str:
    """Return the address of a document's file."""
    return f"/downloads/{encode_id('Document', document_id)}"


async def add_file(
    owner: "asyncpg.Connection[Any]",
    content: bytes,
    name: str = "large.bin",
    media_type: str = "application/octet-stream",
) -> int:
    """Add a file to the first company, and return the key of its document."""
    told = (name, media_type, len(content), sha256(content).hexdigest(), content)
    added: int = await owner.fetchval(ADD, *told)
    return added


@dataclass
class Site:
    """A running gateway, and credentials for it by the names of the demo's accounts."""

    address: Address
    runtime: Runtime
    owner: "asyncpg.Connection[Any]"
    credentials: Mapping[str, str]
    client: httpx2.AsyncClient
    ahead: list[timedelta]
    """How far its clock is ahead; one value."""

    def headers(self, who: str, **more: str) -> dict[str, str]:
        """Return the headers of a caller."""
        return {"Authorization": f"Bearer {self.credentials[who]}", **more}

    async def ask(
        self, path: str, who: str | None = "admin", method: str = "GET", **headers: str
    ) -> httpx2.Response:
        """Send a request, signed in unless ``who`` is None."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = told if who is None else self.headers(who, **told)
        return await self.client.request(method, path, headers=sent)

    async def find(self, which: str, *values: Any) -> int:
        """Return the key of the first document that a condition holds for."""
        found: int = await self.owner.fetchval(
            f"select id from document where {which} order by id limit 1", *values
        )
        return found


@asynccontextmanager
async def open_site(database_url: str, **changes: Any) -> AsyncIterator[Site]:
    """Open a gateway with a clock that can be set forward."""
    settings = settings_for(database_url, **changes)
    ahead = [timedelta()]
    runtime = await asyncio.to_thread(
        Runtime, settings, clock=lambda: system_clock() + ahead[0], alone=False
    )
    app = await asyncio.to_thread(create_app, settings, runtime=runtime)
    owner = await asyncpg.connect(database_url)
    hour = timedelta(hours=1)
    credentials = {
        name: issue_user_token(settings, f"{name}@demo", hour, system_clock)
        for name in ("admin", "sales", "accountant")
    }
    credentials["partner"] = await issue_client_key(settings, owner, "partner-demo")
    try:
        async with (
            running_server(app, settings) as address,
            httpx2.AsyncClient(base_url=address.url) as client,
        ):
            yield Site(address, runtime, owner, credentials, client, ahead)
    finally:
        await owner.close()


@pytest_asyncio.fixture(scope="module")
async def site(server: EmbeddedPostgres, template: str) -> AsyncIterator[Site]:
    """Yield a gateway over a database of this file."""
    name = f"erp_downloads_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    async with open_site(server.url(name), allowed_origins=("https://shop.example",)) as running:
        yield running
    server.drop_database(name)


@pytest_asyncio.fixture
async def own_site(own_database_url: str) -> AsyncIterator[Site]:
    """Yield a gateway over a database of one test, with one connection to read with."""
    async with open_site(
        own_database_url, read_pool_size=1, pool_wait_seconds=1.0, send_timeout_seconds=3.0
    ) as running:
        yield running


def told(answer: httpx2.Response) -> tuple[int, str]:
    """Return the status and the code of a refusal, which is JSON like any other."""
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    [error] = answer.json()["errors"]
    return answer.status_code, error["extensions"]["code"]


# --- what is sent


async def test_files_are_sent_as_they_are(site: Site) -> None:
    """Files of all kinds arrive with the bytes, the size, the type and the name they have."""
    rows = await site.owner.fetch(
        "select distinct on (kind) d.*, c.content from document d"
        " join document_content c on c.document_id = d.id where d.company_id = 1 order by kind, id"
    )
    assert [row["kind"] for row in rows] == ["BILL", "INVOICE", "LABEL"]
    for row in rows:
        answer = await site.ask(path_of(row["id"]))
        assert answer.status_code == 200
        assert answer.content == row["content"]
        headers = dict(answer.headers)
        assert headers.pop("x-request-id")
        for name in ("date", "server", "vary"):
            headers.pop(name, None)
        assert headers == {
            "accept-ranges": "none",
            "cache-control": "private, no-cache",
            "content-disposition": f'attachment; filename="{row["filename"]}"',
            "content-length": str(row["size_bytes"]),
            "content-type": "application/pdf",
            "etag": f'"{row["sha256"]}"',
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        }
        assert "Authorization" in answer.headers["vary"]


async def test_documents_say_where_their_files_are(site: Site) -> None:
    """The address in an answer leads to the file that the answer describes."""
    query = "{ documents(first: 3) { nodes { url filename bytes sha256 } } }"
    answer = await site.client.post(
        "/graphql", json={"query": query}, headers=site.headers("accountant")
    )
    nodes = answer.json()["data"]["documents"]["nodes"]
    assert len(nodes) == 3
    for node in nodes:
        file = await site.ask(node["url"], "accountant")
        assert (len(file.content), sha256(file.content).hexdigest()) == (
            node["bytes"],
            node["sha256"],
        )


async def test_a_file_of_many_pieces_is_whole(site: Site) -> None:
    """Pieces are put together without a gap; the name may have characters of any script."""
    assert len(LARGE) % PIECE
    added = await add_file(site.owner, LARGE, "größe, 10\u20ac.bin", "Nonsense; charset=x")
    answer = await site.ask(path_of(added))
    assert sha256(answer.content).digest() == sha256(LARGE).digest()
    assert answer.headers["content-type"] == "application/octet-stream"
    name = "filename*=UTF-8''gr%C3%B6%C3%9Fe%2C%2010%E2%82%AC.bin"
    assert answer.headers["content-disposition"] == (
        f'attachment; filename="gr__e_ 10_.bin"; {name}'
    )


async def test_head_tells_the_same_without_the_file(site: Site) -> None:
    """The headers are those of the file, and nothing follows them."""
    path = path_of(await site.find("company_id = 1"))
    whole, head = await site.ask(path), await site.ask(path, method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    changing = {"date", "x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in whole.headers.items() if k not in changing
    }
    missing = await site.ask(path_of(10**9), method="HEAD")
    assert (missing.status_code, missing.content) == (404, b"")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"other", {tag}', 304),
        ("*", 304),
        ('"other"', 200),
        ('W/"other", "*"', 200),
        ("{sha256}", 200),
    ],
)
async def test_what_the_client_has_is_not_sent_again(
    site: Site, method: str, given: str, status: int
) -> None:
    """A tag that is still right gets 304, with the headers that a cache wants, and no body."""
    id_ = await site.find("company_id = 1")
    hash_ = await site.owner.fetchval("select sha256 from document where id = $1", id_)
    tag = f'"{hash_}"'
    asked = given.format(tag=tag, sha256=hash_)
    answer = await site.ask(path_of(id_), method=method, If_None_Match=asked)
    assert answer.status_code == status
    assert answer.headers["etag"] == tag
    if status == 304:
        assert answer.content == b""
        assert "content-length" not in answer.headers
        assert answer.headers["cache-control"] == "private, no-cache"
        assert (await site.ask(path_of(id_), None, If_None_Match=asked)).status_code == 401


# --- to whom


async def test_a_partner_gets_its_own_files_alone(site: Site) -> None:
    """Another customer's invoice, a supplier's bill and what never was look the same to it."""
    own = "partner_id = (select partner_id from api_client where code = 'partner-demo')"
    for kind in ("INVOICE", "LABEL"):
        id_ = await site.find(f"kind = '{kind}' and {own}")
        content = "select content from document_content where document_id = $1"
        answer = await site.ask(path_of(id_), "partner")
        assert answer.content == await site.owner.fetchval(content, id_)
    others = [
        await site.find(f"kind = 'INVOICE' and company_id = 1 and not {own}"),
        await site.find(f"kind = 'LABEL' and company_id = 1 and not {own}"),
        await site.find("kind = 'BILL' and company_id = 1"),
        await site.find("company_id = 2"),
        10**9,
    ]
    answers = [await site.ask(path_of(id_), "partner") for id_ in others]
    assert {told(answer) for answer in answers} == {(404, "NOT_FOUND")}
    assert len({answer.content for answer in answers}) == 1
    seen = [(await site.ask(path_of(id_))).status_code for id_ in others]
    assert seen == [200, 200, 200, 404, 404]


async def test_files_are_those_of_the_company_acted_for(site: Site) -> None:
    """The header that switches companies does so here; a company of others is none."""
    path = path_of(await site.find("company_id = 2"))
    assert told(await site.ask(path)) == (404, "NOT_FOUND")
    assert (await site.ask(path, X_Company="US01")).status_code == 200
    assert told(await site.ask(path, X_Company="GB01")) == (403, "FORBIDDEN")
    assert told(await site.ask(path, "partner", X_Company="US01")) == (403, "FORBIDDEN")


async def test_who_may_see_no_documents_gets_no_file(site: Site) -> None:
    """The permission is that of the type, and is named; a link is not given either."""
    path = path_of(await site.find("company_id = 1"))
    for method in ("GET", "POST"):
        answer = await site.ask(path, "sales", method)
        assert told(answer) == (403, "FORBIDDEN")
        details = answer.json()["errors"][0]["extensions"]["details"]
        assert details == {"permission": "documents.read"}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (None, "Bearer"),
        ("Bearer nonsense", 'Bearer error="invalid_token"'),
        ("Basic YWRtaW46YWRtaW4=", 'Bearer error="invalid_token"'),
        ("Bearer egk_aaaaaaaaaa_" + "A" * 43, 'Bearer error="invalid_token"'),
        ("Bearer {token}x", 'Bearer error="invalid_token"'),
    ],
)
async def test_strangers_get_nothing(
    site: Site, method: str, header: str | None, challenge: str
) -> None:
    """Who is not known is told to sign in, whether the document is there or not."""
    given = {}
    if header is not None:
        given = {"Authorization": header.format(token=site.credentials["admin"])}
    for id_ in (await site.find("company_id = 1"), 10**9):
        answer = await site.ask(path_of(id_), None, method, **given)
        assert told(answer) == (401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"] == challenge


async def test_an_expired_token_opens_nothing(site: Site) -> None:
    """Tokens end here as they do elsewhere."""
    path = path_of(await site.find("company_id = 1"))
    site.ahead[0] = timedelta(hours=2)
    try:
        assert told(await site.ask(path)) == (401, "UNAUTHENTICATED")
    finally:
        site.ahead[0] = timedelta()


PATHS = [
    "/downloads/",
    "/downloads/1",
    "/downloads/../../etc/passwd",
    "/downloads/..%2f..%2fetc%2fpasswd",
    "/downloads/%2e%2e/%2e%2e/etc/passwd",
    "/downloads/%00",
    "/downloads/%ff%fe",
    "/downloads/" + "A" * 2_000,
    f"/downloads/{encode_id('Invoice', 1)}",
    f"/downloads/{encode_id('Document', 2**63)}",
    f"/downloads/{encode_id('Document', '-1')}",
    f"/downloads/{encode_id('Document', '1 or 1=1')}",
    f"/downloads/{encode_id('Document', '../1')}",
    f"/downloads/{encode_id('Document', 1)}/",
    f"/downloads/x/{encode_id('Document', 1)}",
]


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_no_id_is_not_there(site: Site, path: str) -> None:
    """Whatever the path is, sent as it stands, it is answered as a document that is not there."""
    reader, writer = await site.address.connect()
    token = site.credentials["admin"]
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 404 ")
    assert json.loads(body)["errors"] == [
        {"message": "There is no such document.", "extensions": {"code": "NOT_FOUND"}}
    ]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(site: Site, method: str) -> None:
    """Files are read; nothing writes them here."""
    answer = await site.ask(path_of(await site.find("company_id = 1")), method=method)
    assert told(answer) == (405, "VALIDATION")
    assert answer.headers["allow"] == "GET, HEAD, POST"


async def test_pages_of_allowed_origins_may_fetch_files(site: Site) -> None:
    """A page may ask, and read the name and the tag; a page of another origin may not."""
    path = path_of(await site.find("company_id = 1"))
    wanted = {"Access_Control_Request_Method": "GET"}
    wanted["Access_Control_Request_Headers"] = "authorization,x-company"
    for origin, status in (("https://shop.example", 200), ("https://evil.example", 400)):
        answer = await site.ask(path, None, "OPTIONS", Origin=origin, **wanted)
        assert answer.status_code == status
        fetched = await site.ask(path, Origin=origin)
        allowed = fetched.headers.get("access-control-allow-origin")
        assert allowed == (origin if status == 200 else None)
    shared = await site.ask(path, Origin="https://shop.example")
    exposed = shared.headers["access-control-expose-headers"].split(", ")
    assert {"Content-Disposition", "ETag"} <= set(exposed)


# --- links


async def link(site: Site, document_id: int, who: str = "admin", **headers: str) -> str:
    """Ask for a link to a file."""
    answer = await site.ask(path_of(document_id), who, "POST", **headers)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    url: str = answer.json()["url"]
    return url


async def test_a_link_needs_no_header(site: Site) -> None:
    """Whoever has it gets the file, until its time is over."""
    id_ = await site.find("company_id = 1")
    answer = await site.ask(path_of(id_), method="POST")
    lasts = site.runtime.settings.download_link_seconds
    ends = datetime.fromisoformat(answer.json()["expiresAt"])
    assert 0 < lasts - (ends - system_clock()).total_seconds() < 30
    url = answer.json()["url"]
    whole = await site.ask(path_of(id_))
    assert (await site.ask(url, None)).content == whole.content
    assert (await site.ask(url, None, "HEAD")).headers["etag"] == whole.headers["etag"]
    site.ahead[0] = timedelta(seconds=lasts - 30)
    try:
        assert (await site.ask(url, None)).status_code == 200
        site.ahead[0] = timedelta(seconds=lasts)
        answer = await site.ask(url, None)
    finally:
        site.ahead[0] = timedelta()
    assert told(answer) == (403, "FORBIDDEN")
    assert "expired" in answer.text


async def test_a_link_opens_no_other_document(site: Site) -> None:
    """It is signed for one document; moved to the path of another it opens nothing."""
    first, second = await site.owner.fetch(
        "select id from document where company_id = 1 order by id limit 2"
    )
    url = await link(site, first["id"])
    moved = url.replace(path_of(first["id"]), path_of(second["id"]))
    assert moved != url
    assert told(await site.ask(moved, None)) == (403, "FORBIDDEN")


async def test_a_link_that_was_touched_opens_nothing(site: Site) -> None:
    """No part of it can be changed, left out or added; a right header does not help either."""
    url = await link(site, await site.find("company_id = 1"))
    path, _, ticket = url.partition("?ticket=")
    seconds, company, partner, signature = ticket.split(".")
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    touched = [
        (str(int(seconds) + 1), company, partner, signature),
        (seconds, "2", partner, signature),
        (seconds, company, "1", signature),
        (seconds, company, partner, flipped),
        (seconds, company, partner, signature[:-1]),
        (seconds, company, partner, ""),
        (seconds, company, signature),
        (f"+{seconds}", company, partner, signature),
        (f"0{seconds}", company, partner, signature),
        (seconds, company, "\u0660", signature),
        ("",),
    ]
    for parts, who in itertools.product(touched, (None, "admin")):
        answer = await site.ask(f"{path}?ticket={'.'.join(parts)}", who)
        assert told(answer) == (403, "FORBIDDEN"), parts
    assert (await site.ask(url, None)).status_code == 200


async def test_a_link_is_no_token_and_a_token_no_link(site: Site) -> None:
    """Both are signed with what follows from one secret, and neither passes for the other."""
    url = await link(site, await site.find("company_id = 1"))
    path, _, ticket = url.partition("?ticket=")
    assert told(await site.ask(path, None, Authorization=f"Bearer {ticket}"))[0] == 401
    token = site.credentials["admin"]
    assert told(await site.ask(f"{path}?ticket={token}", None)) == (403, "FORBIDDEN")


async def test_links_are_for_what_the_caller_sees(site: Site) -> None:
    """No link is given to another's document, and a link shows the rows of who asked for it."""
    own = "partner_id = (select partner_id from api_client where code = 'partner-demo')"
    mine = await site.find(f"kind = 'INVOICE' and {own}")
    others = await site.find(f"kind = 'INVOICE' and company_id = 1 and not {own}")
    elsewhere = await site.find("company_id = 2")
    assert (await site.ask(await link(site, mine, "partner"), None)).status_code == 200
    for id_, who in ((others, "partner"), (elsewhere, "admin"), (10**9, "admin")):
        assert told(await site.ask(path_of(id_), who, "POST")) == (404, "NOT_FOUND")
    switched = await link(site, elsewhere, X_Company="US01")
    assert (await site.ask(switched, None)).status_code == 200


async def test_a_link_follows_the_rows(own_site: Site) -> None:
    """What its caller would see no more by now, it does not show either."""
    own = "partner_id = (select partner_id from api_client where code = 'partner-demo')"
    id_ = await own_site.find(f"kind = 'INVOICE' and {own}")
    urls = [await link(own_site, id_, who) for who in ("partner", "accountant")]
    await own_site.owner.execute(
        "update document set partner_id = null, invoice_id = null where id = $1", id_
    )
    partner, staff = [await own_site.ask(url, None) for url in urls]
    assert told(partner) == (404, "NOT_FOUND")
    assert staff.status_code == 200


def test_a_link_ends_with_the_token_it_was_asked_for_with() -> None:
    """A token of a minute gives no link of an hour; a key has no end and gives the whole time."""
    now = system_clock()
    links = Links(b"s" * 32, seconds=3600, clock=lambda: now)
    brief = principal(1)
    object.__setattr__(brief, "expires_at", now + timedelta(seconds=60))
    ticket, ends = links.sign(5, brief)
    assert timedelta(seconds=58) < ends - now <= timedelta(seconds=60)
    assert links.rows(5, ticket) == brief.rows
    ticket, ends = links.sign(5, principal(1, partner_id=7))
    assert timedelta(seconds=3598) < ends - now <= timedelta(seconds=3600)
    assert links.rows(5, ticket) == RowScope("erp_partner", 1, 7)


async def test_without_a_secret_nothing_is_signed(own_database_url: str) -> None:
    """An installation that trusts a key set alone has no links, and says so."""
    settings = settings_for(
        own_database_url,
        environment="production",
        jwt_secret=None,
        jwt_jwks_url="http://127.0.0.1:9/keys",
    )
    app = await asyncio.to_thread(create_app, settings)
    async with (
        running_server(app, settings) as address,
        httpx2.AsyncClient(base_url=address.url) as client,
    ):
        answer = await client.post(path_of(1))
        assert told(answer) == (405, "VALIDATION")
        assert answer.headers["allow"] == "GET, HEAD"
        answer = await client.get(f"{path_of(1)}?ticket=1.1.0.{'A' * 43}")
        assert told(answer) == (403, "FORBIDDEN")


# --- slow clients, and what goes wrong


async def begin(site: Site, document_id: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for a file, and read no more than the beginning of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.address.port, limit=1_024)
    writer.write(
        f"GET {path_of(document_id)} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {site.credentials['admin']}\r\n\r\n".encode()
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    return reader, writer


async def rest(reader: asyncio.StreamReader) -> int:
    """Read until the connection ends, in whichever way; return how much came."""
    received = 0
    with suppress(ConnectionResetError):
        while piece := await reader.read(1 << 20):
            received += len(piece)
    return received


async def test_a_client_that_does_not_read_holds_nothing_up(own_site: Site) -> None:
    """The one connection is free for others meanwhile; who reads nothing for long is cut off."""
    large = await add_file(own_site.owner, LARGE * 7)
    small = await own_site.find("company_id = 1")
    slow = [await begin(own_site, large) for _ in range(5)]
    await asyncio.sleep(0.1)
    begun = time.monotonic()
    while own_site.runtime.reads.state().in_use:
        assert time.monotonic() - begun < 2.5, "it is free before any of them is cut off"
        await asyncio.sleep(0.02)
    assert (await own_site.ask(path_of(small))).status_code == 200
    await asyncio.sleep(begun + 3.5 - time.monotonic())
    for reader, writer in slow:
        assert await rest(reader) < len(LARGE) * 7
        writer.close()


async def test_a_slow_client_gets_the_whole_file(own_site: Site) -> None:
    """Who takes long and goes on reading gets all of it."""
    content = LARGE * 2
    reader, writer = await begin(own_site, await add_file(own_site.owner, content))
    while await reader.readline() != b"\r\n":
        pass
    received = bytearray()
    while len(received) < len(content):
        received += await reader.read(1 << 16)
        await asyncio.sleep(0.01)
    writer.close()
    assert received == content


async def test_a_file_that_goes_meanwhile_is_broken_off(own_site: Site) -> None:
    """The client never takes a part for the whole: the connection breaks."""
    id_ = await add_file(own_site.owner, LARGE * 7)
    reader, writer = await begin(own_site, id_)
    await own_site.owner.execute("delete from document_content where document_id = $1", id_)
    assert await rest(reader) < len(LARGE) * 7
    writer.close()


async def test_a_busy_database_is_told(own_site: Site) -> None:
    """Without a connection in time the answer is to try again, as everywhere."""
    path = path_of(await own_site.find("company_id = 1"))
    assert (await own_site.ask(path)).status_code == 200
    taken = own_site.runtime.reads.take()
    assert taken is not None
    try:
        answer = await own_site.ask(path)
    finally:
        own_site.runtime.reads.release(taken)
    assert told(answer) == (503, "OVERLOADED")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("name", "plain", "encoded"),
    [
        ("INV-2026-1.pdf", "INV-2026-1.pdf", None),
        ("../../etc/passwd", "_.._etc_passwd", None),
        ("..\\a.exe", "_a.exe", None),
        (".htaccess", "htaccess", None),
        ("...", "document", None),
        ("", "document", None),
        ('a"; x="b', "a__ x__b", "a%22%3B%20x%3D%22b"),
        ("a\r\nSet-Cookie: b", "a_Set-Cookie_ b", "a_Set-Cookie%3A%20b"),
        ("請求書.pdf", "___.pdf", "%E8%AB%8B%E6%B1%82%E6%9B%B8.pdf"),
        ("a" * 500, "a" * 150, None),
    ],
)
def test_names_do_no_harm(name: str, plain: str, encoded: str | None) -> None:
    """Nothing in a name ends the header or leads out of a folder; none is lost in other scripts."""
    header = f'attachment; filename="{plain}"'
    if encoded is not None:
        header += f"; filename*=UTF-8''{encoded}"
    assert content_disposition(name) == header.encode()

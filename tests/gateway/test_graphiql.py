"""GraphiQL and the page of the board: everything from here, signed in, and safe to show."""

import asyncio
import hashlib
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from graphql import build_schema, graphql_sync, parse, validate
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from gateway.board import make_board
from gateway.examples import AUDIENCES, MalformedExample, load_examples, read_example
from gateway.graphiql import make_graphiql
from gateway.health import Health
from gateway.pages import STATIC, json_for_html, static_files
from gateway.settings import Settings
from schema.build import build_schema as build_gateway_schema
from tests.fixtures.browser import CHROMIUM, QUIET

TOKENS = {"admin@demo": "token-of-admin", "partner-demo": "egk_key_of_partner"}
EXAMPLES = load_examples()
PAGES = pytest.mark.parametrize("path", ["/", "/graphql"])


class Page(HTMLParser):
    """What a page loads and links to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.inline_scripts: list[str | None] = []
        self.config = ""
        self._in_config = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the element refers to."""
        named = dict(attrs)
        if src := named.get("src"):
            self.loads.append(src)
        elif tag == "script":
            self.inline_scripts.append(named.get("type"))
        if href := named.get("href"):
            (self.loads if tag == "link" else self.links).append(href)
        self._in_config = named.get("id") == "config"

    def handle_data(self, data: str) -> None:
        """Collect the configuration."""
        if self._in_config:
            self.config += data

    def handle_endtag(self, _tag: str) -> None:
        """End the configuration."""
        self._in_config = False


def make_app(environment: str = "demo", tokens: Mapping[str, str] = TOKENS) -> Starlette:
    """Return the pages around a schema of one field."""
    options: dict[str, Any] = {"environment": environment}
    settings = Settings(**options)
    graphiql = make_graphiql(settings, tokens)
    schema = build_schema("type Query { hello: String }")

    async def endpoint(request: Request) -> Response:
        if request.method == "GET":
            return await graphiql(request)
        body = await request.json()
        return JSONResponse(graphql_sync(schema, body["query"], {"hello": "world"}).formatted)

    return Starlette(
        routes=[
            Route("/", make_board(settings, tokens)),
            Route("/graphql", endpoint, methods=["GET", "POST"]),
            static_files(),
            *Health({}).routes(),
        ]
    )


def get(path: str, app: Starlette | None = None, **headers: str) -> Any:
    """Fetch one page."""
    with TestClient(app or make_app()) as client:
        return client.get(path, headers=headers)


@PAGES
def test_page_loads_nothing_from_elsewhere(path: str) -> None:
    """Every script, style and picture is a file of this server, with its content type."""
    app = make_app()
    page = Page(get(path, app).text)

    assert page.loads
    for url in page.loads:
        assert url.startswith("/static/"), url
        answer = get(url, app)
        assert answer.status_code == 200, url
        kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
        assert answer.headers["content-type"].startswith(kinds[Path(url).suffix]), url


@PAGES
def test_page_is_shut_to_the_outside(path: str) -> None:
    """The policy allows this origin only and no script in the page; nobody may frame it."""
    answer = get(path)
    parts = answer.headers["content-security-policy"].split("; ")
    policy = dict(part.split(" ", 1) for part in parts)
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "http" not in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert set(Page(answer.text).inline_scripts) <= {"application/json"}
    assert " style=" not in answer.text


def test_links_of_the_board_lead_somewhere() -> None:
    """Links go to documented endpoints and to examples that exist."""
    links = Page(get("/").text).links
    endpoints = {"/graphql", "/schema.graphql", "/healthz", "/readyz", "/metrics"}
    assert endpoints <= set(links)
    slugs = {f"/graphql#{example.slug}" for example in EXAMPLES}
    assert set(links) - endpoints <= slugs


@PAGES
def test_demo_page_offers_every_demo_account(path: str) -> None:
    """The page signs in by itself, and no cache keeps it."""
    answer = get(path)
    config = json.loads(Page(answer.text).config)
    assert config["accounts"] == [{"name": n, "token": t} for n, t in TOKENS.items()]
    assert config["url"] == "/graphql"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["vary"] == "Accept"


@PAGES
def test_production_page_holds_no_token(path: str) -> None:
    """Outside demo and test the page asks for a token, whatever it was built with."""
    answer = get(path, make_app("production"))
    assert json.loads(Page(answer.text).config)["accounts"] == []
    assert not any(token in answer.text for token in TOKENS.values())


@PAGES
def test_renewed_tokens_reach_the_page(path: str) -> None:
    """Tokens are read for every page, so that a page opened tomorrow works."""
    tokens = {"admin@demo": "of-today"}
    app = make_app(tokens=tokens)
    tokens["admin@demo"] = "of-tomorrow"
    config = json.loads(Page(get(path, app).text).config)
    assert config["accounts"][0]["token"] == "of-tomorrow"


@PAGES
def test_configuration_cannot_break_out_of_its_element(path: str) -> None:
    """Text that would end the script element is escaped, and arrives as it was."""
    nasty = {"a": "</script><script>alert(1)</script><!-- & \u2028"}
    text = json_for_html(nasty).decode()
    assert "<" not in text
    assert ">" not in text
    assert json.loads(text) == nasty
    page = Page(get(path, make_app(tokens={"</script>": "<!--"})).text)
    assert json.loads(page.config)["accounts"] == [{"name": "</script>", "token": "<!--"}]


def test_versioned_files_are_kept_and_ours_asked_for_again() -> None:
    """What has a version in its path never changes; what has none is checked every time."""
    kept = get("/static/vendor/react-18.2.0/react.production.min.js")
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    ours = get("/static/graphiql.js")
    assert ours.headers["cache-control"] == "no-cache"
    again = get("/static/graphiql.js", **{"if-none-match": ours.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "path", ["/static/nothing.js", "/static/../graphiql.py", "/static/%2e%2e/graphiql.py"]
)
def test_only_static_files_are_served(path: str) -> None:
    """Nothing outside the folder, and nothing that is not there."""
    assert get(path).status_code == 404


def test_vendored_files_are_what_their_table_says() -> None:
    """Each file has the checksum it was vendored with, and none is unlisted or missing."""
    table = (STATIC / "VENDORED.md").read_text()
    row = re.compile(r"^\| `([^`]+)` \| [\d,]+ \| `([0-9a-f]{64})` \|$", re.MULTILINE)
    listed = dict(row.findall(table))
    vendor = STATIC / "vendor"
    found = {
        path.relative_to(vendor).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.rglob("*")
        if path.is_file() and path.name != ".gitattributes"
    }
    assert found == listed


def test_every_vendored_package_brings_its_licence() -> None:
    """A folder per package and version, with the licence text, named in the table."""
    table = (STATIC / "VENDORED.md").read_text()
    folders = [path for path in (STATIC / "vendor").iterdir() if path.is_dir()]
    assert folders
    for folder in folders:
        assert "Permission is hereby granted" in (folder / "LICENSE").read_text()
        assert f"| {folder.name.rpartition('-')[2]} | MIT |" in table


def test_examples_are_offered_to_every_kind_of_user() -> None:
    """Each parses, has a name of its own, and each kind of user finds one."""
    examples = EXAMPLES
    assert {example.audience for example in examples} == set(AUDIENCES)
    assert len({example.slug for example in examples}) == len(examples)
    for example in examples:
        (operation,) = parse(example.query).definitions
        assert operation.to_dict()["name"], example.slug
        assert example.live == (operation.to_dict()["operation"] == "subscription")

    offered = json.loads(Page(get("/graphql").text).config)["examples"]
    assert [example["slug"] for example in offered] == [example.slug for example in examples]
    for example in offered:
        parse(example["query"])
        assert not example["variables"] or json.loads(example["variables"])


def test_examples_ask_for_what_the_schema_has() -> None:
    """A renamed field breaks this test and not the first minute of a newcomer."""
    schema = build_gateway_schema()._schema
    for example in EXAMPLES:
        assert validate(schema, parse(example.query)) == [], example.slug


def test_the_board_asks_for_what_the_schema_has() -> None:
    """So do the operations of the board, which are those that its page is given."""
    schema = build_gateway_schema()._schema
    documents = json.loads(Page(get("/").text).config)["documents"]
    assert set(documents) == {"me", "stock", "warehouses"}
    for name, document in documents.items():
        assert validate(schema, parse(document)) == [], name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# title: T\n# for: frontend\n# as: sales\n{ a }", "x.graphql: no line '# about: ...'"),
        ("# just words\n{ a }", "x.graphql: '# just words' is not '# name: text'"),
        ("# title: T\n# for: nobody\n# as: a\n# about: b\n{ a }", "x.graphql: for must be one of"),
        ("# title: T\n# for: partner\n# as: a\n# about: b\n# who: c\n", "'who' means nothing here"),
        (
            "# title: T\n# for: partner\n# as: a\n# about: b\n# variables: [1]\n",
            "variables are not a JSON object",
        ),
        (
            "# title: T\n# for: partner\n# as: a\n# about: b\n# variables: {a}\n",
            "variables are not JSON",
        ),
    ],
)
def test_malformed_example_is_told_apart(text: str, message: str, tmp_path: Path) -> None:
    """The error names the file and what is wrong with it."""
    path = tmp_path / "x.graphql"
    path.write_text(text)
    with pytest.raises(MalformedExample, match=re.escape(message)):
        read_example(path)


@pytest.fixture
def app() -> Starlette:
    """Pages of a demo, made before any loop runs, as their files are read then."""
    return make_app()


@pytest.fixture
async def served(app: Starlette) -> AsyncIterator[str]:
    """Serve the pages on a socket; the address."""
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers nothing to wait for
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
async def test_page_works_in_a_browser_and_asks_nobody_else(served: str, tmp_path: Path) -> None:
    """GraphiQL comes up signed in, the first example in its editor, all from this server."""
    assert CHROMIUM is not None
    network = tmp_path / "network.json"
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *QUIET,
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--log-net-log={network}",
        "--enable-logging=stderr",
        "--virtual-time-budget=10000",
        "--dump-dom",
        f"{served}/graphql",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    output, told = await asyncio.wait_for(browser.communicate(), 60)
    dom = output.decode()

    first = EXAMPLES[0]
    assert 'class="graphiql-container"' in dom
    assert first.title in dom
    assert 'aria-label="Demo account"' in dom
    editor = dom[dom.index('class="graphiql-query-editor"') :]
    assert parse(first.query).definitions[0].to_dict()["name"]["value"] in editor
    assert b"Content Security Policy" not in told
    assert b"Uncaught" not in told
    asked = requests_of(served, json.loads(network.read_text()))
    assert f"{served}/static/graphiql.js" in asked
    assert all(url.startswith((served, "data:")) for url in asked)


def requests_of(origin: str, log: dict[str, Any]) -> set[str]:
    """Return the addresses that pages of ``origin`` asked for; the browser itself asks for more."""
    parameters = [event.get("params", {}) for event in log["events"]]
    return {p["url"] for p in parameters if "url" in p and p.get("initiator") == origin}

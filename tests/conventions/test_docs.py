"""The documentation is executed: what it shows runs, what it names exists, where it points is."""

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from datetime import timedelta
from io import StringIO
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
import typer
from graphql import parse, validate

from gateway.app import create_app
from gateway.cli import app as command_line
from gateway.lifespan import limits_of
from gateway.migrate import migrate
from gateway.postgres import EmbeddedPostgres
from gateway.seeding.companies import CLIENT_CODE, USERS
from gateway.settings import Settings
from gateway.tokens import issue_client_key, issue_user_token
from gateway.transports.messages import Close
from gateway.transports.statuses import ANSWERED, STATUSES
from resolvers.core.clock import system_clock
from resolvers.core.errors import ErrorCode
from resolvers.core.listing import DEFAULT_PAGE, MAX_PAGE
from resolvers.core.metrics import Metrics
from resolvers.core.principal import Principal
from schema.core.execution import GraphQLRequest, Refused
from tests.fixtures.gateway import Gateway, open_gateway, settings_for
from tests.fixtures.layout import ROOT
from tests.fixtures.markdown import Fence, Page, code, page, pages
from tests.fixtures.schema_walk import SCHEMA
from tests.fixtures.servers import running_server

PAGES = pages()
FENCES = [fence for each in PAGES for fence in each.fences]
GENERATED = {"docs/operations/settings.md", "docs/permissions.md"}
DOCUMENTED_ORIGIN = "http://127.0.0.1:8000"
DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}
MESSAGE_TOO_BIG = 1009
BASH = shutil.which("bash")
CURL = shutil.which("curl")


def of_language(*languages: str, mark: str | None = None) -> list[Any]:
    """Return the fences in a language, with a mark if one is named, as test parameters."""
    return [
        pytest.param(fence, id=str(fence))
        for fence in FENCES
        if fence.language in languages and (mark is None or mark in fence.marks)
    ]


def following(fence: Fence, mark: str) -> str | None:
    """Return the JSON with a mark that belongs to a fence: between it and the next of its kind."""
    siblings = page(fence.page).fences
    for sibling in siblings[siblings.index(fence) + 1 :]:
        if sibling.language == fence.language:
            return None
        if sibling.language == "json" and mark in sibling.marks:
            return sibling.text
    return None


def output_of(fence: Fence) -> str | None:
    """Return what a fence is shown to print, word for word: the text of the next with that mark."""
    siblings = page(fence.page).fences
    after = siblings[siblings.index(fence) + 1 :]
    return after[0].text if after and "output" in after[0].marks else None


# --- comparing an answer with the one that is shown


def differences(shown: Any, real: Any, at: str = "answer") -> Iterator[str]:
    """Yield where an answer lacks what is shown, or has another kind of value there.

    Errors are compared word for word. What else depends on the data is compared by its kind only.
    """
    if isinstance(shown, dict):
        if not isinstance(real, dict):
            yield f"{at} is {real!r}"
            return
        for key, value in shown.items():
            if key not in real:
                yield f"{at}.{key} is missing"
            elif key in ("errors", "code", "path"):
                yield from exact(value, real[key], f"{at}.{key}")
            else:
                yield from differences(value, real[key], f"{at}.{key}")
    elif isinstance(shown, list):
        if not isinstance(real, list) or (shown and not real):
            yield f"{at} is {real!r}"
            return
        for position, item in enumerate(shown):
            tried = [list(differences(item, other, f"{at}[{position}]")) for other in real]
            yield from min(tried, key=len)
    elif shown is not None and kind(shown) != kind(real):
        yield f"{at} is {real!r} and not like {shown!r}"


def exact(shown: Any, real: Any, at: str) -> Iterator[str]:
    """Yield where ``real`` is not equal to what is shown; it may have more."""
    if isinstance(shown, dict) and isinstance(real, dict):
        for key, value in shown.items():
            yield from exact(value, real.get(key), f"{at}.{key}")
    elif isinstance(shown, list) and isinstance(real, list) and len(shown) == len(real):
        for position, (item, other) in enumerate(zip(shown, real, strict=True)):
            yield from exact(item, other, f"{at}[{position}]")
    elif shown != real:
        yield f"{at} is {real!r} and not {shown!r}"


def kind(value: Any) -> object:
    """Return what a value has in common with others at its place; texts by their numbers' form."""
    if not isinstance(value, str):
        return type(value)
    if re.fullmatch(r"-?\d+(\.\d+)?", value):
        return ("number", len(value.partition(".")[2]))
    return "date" if re.match(r"\d{4}-\d\d-\d\d", value) else str


def objects_in(text: str) -> list[Any]:
    """Return the answers in the output of a shell: every JSON object that has ``data``."""
    found, decoder, position = [], json.JSONDecoder(), text.find('{"')
    while position >= 0:
        value, position = decoder.raw_decode(text, position)
        found.append(value)
        position = text.find('{"', position)
    return found


class TestLinks:
    """Every link leads somewhere."""

    @pytest.mark.parametrize("each", [pytest.param(p, id=p.name) for p in PAGES])
    def test_resolve(self, each: Page) -> None:
        """Files are there, and so are the headings that are linked to."""
        broken = [link for link in each.links if self._fault(each, link)]
        assert not broken

    def _fault(self, each: Page, link: str) -> bool:
        parts = urlsplit(link)
        if parts.scheme:
            return parts.scheme != "https"
        target = (each.path.parent / unquote(parts.path)).resolve() if parts.path else each.path
        if not target.exists() or not target.is_relative_to(ROOT):
            return True
        if not parts.fragment:
            return False
        return parts.fragment not in Page(target.relative_to(ROOT).as_posix()).anchors

    def test_every_page_is_reached_from_the_index(self) -> None:
        """A page nobody links to is read by nobody."""
        index = page("docs/index.md")
        linked = {(index.path.parent / link.partition("#")[0]).resolve() for link in index.links}
        unlinked = {p.name for p in PAGES if p.name.startswith("docs/") and p.path not in linked}
        assert unlinked == {"docs/index.md"}


class TestOperations:
    """Every operation shown is one, and answers as shown."""

    @pytest.mark.parametrize("fence", of_language("graphql"))
    def test_valid(self, fence: Fence) -> None:
        """The operation has a name and fits the schema."""
        document = parse(fence.text)
        assert validate(SCHEMA, document) == []
        assert all(definition.to_dict()["name"] for definition in document.definitions)

    @pytest.mark.parametrize("fence", of_language("graphql", mark="run"))
    async def test_answers(
        self, documented: Gateway, callers: Mapping[str, Principal], fence: Fence
    ) -> None:
        """Run as the account that is named, it answers what is shown."""
        variables = json.loads(following(fence, "variables") or "{}")
        caller = callers[fence.marks["run"]]
        try:
            request = GraphQLRequest(fence.text, None, variables)
            prepared = documented.runtime.executor.prepare(request, known_caller=True)
        except Refused as refused:
            answer: dict[str, Any] = {"errors": refused.errors}
        else:
            opened = documented.runtime.open_context
            done = await documented.runtime.executor.execute(
                prepared, lambda: opened(caller, "documented")
            )
            answer = done.body()
        shown = json.loads(following(fence, "answer") or '{"data": {}}')
        assert list(differences(shown, answer)) == []
        assert ("errors" in answer) == ("errors" in shown)
        if "statements" in fence.marks:
            assert documented.statements == int(fence.marks["statements"])

    @pytest.mark.parametrize("fence", of_language("json"))
    def test_json(self, fence: Fence) -> None:
        """What is shown as JSON is JSON."""
        json.loads(fence.text)

    def test_an_answer_that_is_another_is_found(self) -> None:
        """The comparison can fail."""
        errors = [{"code": "FORBIDDEN"}]
        shown = {"orders": [{"total": "1.0000", "on": "2026-01-01"}], "errors": errors}
        for orders in (
            [],
            [{"total": "1.00", "on": "2026-01-01"}],
            [{"total": "1.0000"}],
            [{"total": "1.0000", "on": 1}],
            [{"total": "1.0000", "on": "soon"}],
            [None],
        ):
            assert list(differences(shown, {"orders": orders, "errors": errors})), orders
        same = {"orders": [{"total": "2.0000", "on": "2026-02-02", "more": 1}], "errors": errors}
        assert not list(differences(shown, same))
        assert list(differences(shown, {**same, "errors": [{"code": "NOT_FOUND"}]}))
        assert list(differences(shown, {**same, "errors": [*errors, *errors]}))


@pytest_asyncio.fixture(scope="module")
async def documented(server: EmbeddedPostgres, template: str) -> AsyncIterator[Gateway]:
    """Yield a gateway with the limits of the defaults, over a database of this file."""
    name = f"erp_docs_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    async with open_gateway(server.url(name), max_cost=DEFAULTS["max_cost"]) as running:
        yield running
    server.drop_database(name)


@pytest_asyncio.fixture(scope="module")
async def callers(documented: Gateway) -> Mapping[str, Principal]:
    """Return the demo accounts by the names that pages call them."""
    settings = documented.runtime.settings
    hour = timedelta(hours=1)
    credentials = {
        role: issue_user_token(settings, f"{role}@demo", hour, system_clock)
        for role in ("admin", "sales", "warehouse", "accountant")
    }
    credentials["partner"] = await issue_client_key(settings, documented.owner, "partner-demo")
    known = documented.runtime.authenticator
    return {r: await known.authenticate(f"Bearer {c}", None) for r, c in credentials.items()}


class TestShell:
    """Every command shown exists, and those marked run."""

    @pytest.mark.skipif(not (BASH and CURL), reason="no bash or no curl on this machine")
    @pytest.mark.parametrize(
        "name", sorted({f.page for f in FENCES if f.language == "sh" and "run" in f.marks})
    )
    async def test_runs(self, own_database_url: str, name: str) -> None:
        """The commands of a page, one after the other, print what is shown behind them."""
        settings = settings_for(own_database_url)
        assert settings.jwt_secret is not None
        environment = {
            "GATEWAY_DATABASE_URL": own_database_url,
            "GATEWAY_JWT_SECRET": settings.jwt_secret.get_secret_value(),
            "GATEWAY_ENVIRONMENT": "test",
        }
        app = await asyncio.to_thread(create_app, settings)
        async with running_server(app, settings) as address:
            for fence in page(name).fences:
                if fence.language == "sh" and "run" in fence.marks:
                    script = fence.text.replace(DOCUMENTED_ORIGIN, address.url)
                    printed = await self._print(script, environment)
                    self._compare(fence, printed)

    async def _print(self, script: str, environment: Mapping[str, str]) -> str:
        assert BASH is not None
        process = await asyncio.create_subprocess_exec(
            BASH,
            "-eu",
            cwd=ROOT,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", **environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        script = script.replace(".venv/bin/python", sys.executable)
        printed, _ = await asyncio.wait_for(process.communicate(script.encode()), 60)
        return printed.decode()

    def _compare(self, fence: Fence, printed: str) -> None:
        shown = output_of(fence)
        if shown is not None:
            assert printed == shown
            return
        siblings = page(fence.page).fences
        after = siblings[siblings.index(fence) + 1]
        real = objects_in(printed)
        for shown in objects_in(after.text.replace("\n", " ")):
            found = [list(differences(shown, answer)) for answer in real]
            assert min(found, key=len, default=["no answer"]) == []

    @pytest.mark.parametrize(
        "name", sorted({f.page for f in FENCES if f.language == "python" and "run" in f.marks})
    )
    def test_python(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The Python of a page, one piece after the other, prints what is shown behind it."""
        module = ModuleType("documented")  # Strawberry looks names of types up in their module
        monkeypatch.setitem(sys.modules, module.__name__, module)
        for fence in page(name).fences:
            if fence.language == "python" and "run" in fence.marks:
                with redirect_stdout(StringIO()) as printed:
                    exec(compile(fence.text, str(fence), "exec"), vars(module))  # noqa: S102 - ours
                assert printed.getvalue() == (output_of(fence) or "")

    def test_commands_exist(self) -> None:
        """Every `python -m gateway ...` names a command and options that there are."""
        for command, options in re.findall(
            r"python -m gateway ([a-z]+(?: export| diff)?)((?: --[a-z][a-z-]*)*)", all_text()
        ):
            known: Any = typer.main.get_command(command_line)
            for word in command.split():
                known = known.commands[word]
            assert set(options.split()) <= {o for p in known.params for o in p.opts}, command

    def test_targets_exist(self) -> None:
        """Every `make ...` names a target of the Makefile."""
        targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert set(re.findall(r"(?:^|`|\w=\S+ )make (\w+)", all_text(), re.MULTILINE)) <= targets

    def test_settings_exist(self) -> None:
        """Every `GATEWAY_...` is a setting."""
        named = set(re.findall(r"\bGATEWAY_[A-Z_]+\b", all_text()))
        assert named <= {f"GATEWAY_{name.upper()}" for name in DEFAULTS}

    def test_files_exist(self) -> None:
        """Every path of the source that prose names is there."""
        spans = re.findall(r"`((?:resolvers|schema|gateway|tests|docs)/[\w/.]+)`", all_text())
        guided = {f.marks["file"] for f in FENCES if "file" in f.marks}
        missing = {s for s in spans if not (ROOT / s).exists()}
        assert {s for s in missing if not any(g.startswith(s) for g in guided)} == set()


def all_text() -> str:
    """Return everything written, but for what is generated."""
    return "\n".join(each.text for each in PAGES if each.name not in GENERATED)


@pytest.fixture
def migrated_url(server: EmbeddedPostgres) -> Iterator[str]:
    """Yield the owner's URL of a database that is migrated and empty."""
    name = f"erp_docs_{uuid4().hex[:12]}"
    server.create_database(name)
    asyncio.run(migrate(server.url(name)))
    yield server.url(name)
    server.drop_database(name)


class TestSql:
    """Every statement shown is one."""

    @pytest.mark.may_block  # migrations do
    async def test_runs(self, migrated_url: str) -> None:
        """All run as the owner of an empty, migrated database, in the order they are shown."""
        owner = await asyncpg.connect(migrated_url)
        try:
            for fence in FENCES:
                if fence.language == "sql":
                    await owner.execute(fence.text)
        finally:
            await owner.close()


class TestTables:
    """What there is of a kind stands in the table for it, and nothing else does."""

    def listed(self, name: str, heading: str = "") -> list[str]:
        """Return the first code span of each row of a page's tables."""
        return [code(row[0]) for row in page(name).rows(heading) if "`" in row[0]]

    def test_commands(self) -> None:
        """Every command of the command line, with each of its options."""
        group: Any = typer.main.get_command(command_line)
        rows = {code(row[0]): row[1] for row in page("docs/operations/running.md").rows("Commands")}
        rows.pop("command")
        assert set(rows) == set(group.commands)
        for name, command in group.commands.items():
            for option in (p.opts[0] for p in command.params if p.opts[0].startswith("--")):
                assert f"`{option}" in rows[name], (name, option)

    def test_metrics(self) -> None:
        """Every metric of ours, by the name it is scraped under."""
        exposed = set()
        for family in Metrics().registry.collect():
            if family.name.startswith("gateway_"):
                exposed.add(f"{family.name}_total" if family.type == "counter" else family.name)
        assert sorted(self.listed("docs/operations/metrics.md")) == sorted(exposed)

    def test_error_codes(self) -> None:
        """Every code a client can meet."""
        assert self.listed("docs/clients/errors.md", "Codes") == [c.value for c in ErrorCode]

    def test_statuses(self) -> None:
        """Every reason, with the status for both media types."""
        rows = [r for r in page("docs/clients/errors.md").rows("Statuses") if r[1].isdigit()]
        (ran, *refused) = [(code(r[0]), int(r[1]), int(r[2])) for r in rows]
        assert ran[1:] == (ANSWERED, ANSWERED)
        assert set(refused) == {(reason.name, *both) for reason, both in STATUSES.items()}

    def test_close_codes(self) -> None:
        """Every code a socket is closed with; the library has one of its own."""
        page_ = page("docs/clients/subscriptions.md")
        listed = [int(row[0]) for row in page_.rows("WebSocket") if row[0].isdigit()]
        assert listed == sorted({MESSAGE_TOO_BIG, *map(int, Close)})

    def test_limits(self) -> None:
        """Every default of a limit is that of its setting, or of the code."""
        fixed = {
            "characters in a document": limits_of(Settings()).characters,
            "page size (`first`, `last`)": MAX_PAGE,
            "values in one list of a filter": MAX_PAGE,
        }
        assert f"without either it is {DEFAULT_PAGE}" in page("docs/clients/limits.md").prose
        for what, default, *_, setting in page("docs/clients/limits.md").rows():
            if setting.startswith("`GATEWAY_"):
                value = DEFAULTS[code(setting).removeprefix("GATEWAY_").lower()]
                assert float(default) == float(value), what
            elif what in fixed:
                assert int(default) == fixed.pop(what)
        assert not fixed

    def test_every_limit_is_told(self) -> None:
        """A setting that bounds what clients do stands on their page."""
        text = page("docs/clients/limits.md").text
        for name in DEFAULTS:
            if re.match(r"max_|ws_|header_|body_|send_|statement_|lock_|operation_", name):
                assert f"`GATEWAY_{name.upper()}`" in text

    def test_decisions(self) -> None:
        """Every decision is in the index, under its number."""
        rows = [row[0] for row in page("docs/index.md").rows("") if row[0].startswith("[0")]
        files = sorted(path.name for path in (ROOT / "docs" / "adr").glob("0*.md"))
        assert rows == [f"[{name[:4]}](adr/{name})" for name in files]

    def test_laws(self) -> None:
        """Every law has its line on the page about tests."""
        listed = re.findall(r"`(test_\w+\.py)`", page("docs/testing.md").text)
        laws = {path.name for path in (ROOT / "tests" / "conventions").glob("test_*.py")}
        assert laws <= set(listed)

    def test_topics(self) -> None:
        """Every topic that a trigger or a command writes is on the page about events."""
        sources = [p.read_text() for p in (ROOT / "resolvers").rglob("*.py")]
        topics = {t for s in sources for t in re.findall(r"_CHANGED = \"([a-z.]+)\"", s)}
        assert topics
        assert topics <= set(self.listed("docs/operations/events.md"))


def test_accounts_of_the_demo_are_named() -> None:
    """Whoever reads about the demo learns every account of it."""
    text = page("docs/operations/running.md").text
    assert all(f"`{name}`" in text for name in [CLIENT_CODE, *(user.email for user in USERS)])


def test_screenshot_is_small() -> None:
    """Pictures load fast."""
    pictures: Sequence[Any] = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert all(picture.stat().st_size < 300_000 for picture in pictures)

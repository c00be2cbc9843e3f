"""Everything on one machine with one command: a database, demo data, tokens, the gateway."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

import structlog

from gateway.migrate import migrate
from gateway.provision import as_demo, database_url, owner_connection, with_database
from gateway.seed import seed
from gateway.seeding.companies import CLIENT_CODE, USERS
from gateway.server import bind
from gateway.serving import serve_gateway
from gateway.settings import Settings
from gateway.steps import Steps
from gateway.tokens import DEFAULT_TTL, issue_client_key, issue_user_token
from gateway.worker import Worker
from resolvers.core.clock import system_clock

_PATIENCE_SECONDS = 5.0

_log = structlog.get_logger("demo")


class DemoError(Exception):
    """Why there is no demo here, for people to read."""


def run_demo(settings: Settings, steps: Steps) -> None:
    """Start what is needed, fill what is empty, print where and who, and serve until stopped.

    May be run again, and interrupted anywhere: each step is done wholly or not at all.

    Raises:
        DemoError: the settings say that this is a production installation.
        ListenError: the port is taken; nothing has been started then.

    """
    settings = as_demo(settings)
    if "log_format" not in settings.model_fields_set:
        settings = settings.model_copy(update={"log_format": "console"})
    if settings.environment == "production":
        raise DemoError("GATEWAY_ENVIRONMENT is production; a demo gives away tokens. Unset it.")
    with ExitStack() as stack:
        listener = stack.enter_context(bind(settings))
        with steps.step("Database"):
            settings = stack.enter_context(with_database(settings, steps.say))
        with steps.step("Migrations"):
            before = asyncio.run(migrate(database_url(settings)))
            steps.say("current" if before.up_to_date else f"brought to {before.head}")
        with steps.step("Demo data, small"):
            report = asyncio.run(seed(database_url(settings), "small", progress=steps.count))
            rows = sum(report.rows.values())
            steps.say(f"{rows} rows" if report.seeded else "there already")
        tokens = asyncio.run(demo_tokens(settings))
        introduce(settings, tokens, steps)
        stack.enter_context(worker_beside(settings))
        serve_gateway(settings, sockets=[listener], demo_tokens=tokens)


@contextmanager
def worker_beside(settings: Settings) -> Iterator[None]:
    """Do jobs for as long as the block lasts; one that is not done by then is done next time.

    In a thread: it ends with the process, however that ends. Who serves more than a demo runs
    workers as processes of their own.
    """
    loop = asyncio.new_event_loop()
    work = loop.create_task(Worker(settings).do_jobs())

    def run() -> None:
        try:
            loop.run_until_complete(work)
        except asyncio.CancelledError:
            pass
        except Exception:  # noqa: BLE001 - whatever it was, the demo goes on without
            _log.exception("the worker failed; jobs wait until the demo is started again")
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        with suppress(RuntimeError):  # it ended by itself
            loop.call_soon_threadsafe(work.cancel)
        thread.join(_PATIENCE_SECONDS)


async def demo_tokens(settings: Settings) -> dict[str, str]:
    """Return a token for each demo user, and the key of the demo's API client."""
    tokens = {
        user.email: issue_user_token(settings, user.email, DEFAULT_TTL, system_clock)
        for user in USERS
    }
    async with owner_connection(database_url(settings)) as connection:
        tokens[CLIENT_CODE] = await issue_client_key(settings, connection, CLIENT_CODE)
    return tokens


def introduce(settings: Settings, tokens: Mapping[str, str], steps: Steps) -> None:
    """Print where the gateway answers and whom it lets in."""
    base = f"http://{settings.host}:{settings.port}"
    hours = DEFAULT_TTL.total_seconds() / 3600
    steps.tell(
        "",
        f"  {base}/                live stock board",
        f"  {base}/graphql         queries, mutations, subscriptions; GraphiQL in a browser",
        f"  {base}/schema.graphql  the schema",
        f"  {base}/metrics         metrics",
        "",
        f"Tokens, good for {hours:.0f} hours (again: python -m gateway token --user EMAIL):",
        "",
        *(f"  {name:16}  {token}" for name, token in tokens.items()),
        "",
        "Press Ctrl-C to stop.",
    )

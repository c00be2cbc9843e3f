"""The command line: each command reads the settings, calls one module, and says how it went.

Results go to standard output; steps and errors to standard error. Exit codes: 0 done, 1 refused or
found wanting, 2 called wrongly, 130 interrupted.
"""

import asyncio
import os
import sys
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from gateway.demo import DemoError, run_demo
from gateway.doctor import Finding, examine
from gateway.explain import explain_document
from gateway.importing import Imported, ImportFileError, import_file
from gateway.ledger import LedgerError, beancount
from gateway.migrate import MigrationError, drift, migrate
from gateway.observability.logging import configure_logging
from gateway.postgres import EmbeddedPostgresError, stop_unused
from gateway.provision import (
    DatabaseError,
    database_url,
    owner_connection,
    require_migrated,
    with_database,
)
from gateway.relay import Relay, Tail
from gateway.sdl import SDL_FILE, export_sdl, sdl_diff
from gateway.secrets import SecretError
from gateway.seed import DEFAULT_SEED, SeedError, seed
from gateway.seeding.sizes import SizeName
from gateway.server import ListenError, bind
from gateway.serving import serve_gateway
from gateway.settings import Settings
from gateway.steps import Steps
from gateway.tokens import TokenError, issue_client_key, issue_user_token, require_user
from gateway.trusted import TrustedDocumentsError
from gateway.verify import VerifyError, print_rebuilt, print_results, rebuild, verify
from gateway.worker import Worker
from resolvers.bulk.rules import OnError
from resolvers.core.clock import system_clock
from resolvers.core.metrics import Metrics
from resolvers.modules import data_modules

CHECKOUT = Path(__file__).resolve().parent.parent


class BenchError(Exception):
    """Why there is no benchmark here, for people to read."""


EXPECTED = (
    BenchError,
    DatabaseError,
    DemoError,
    EmbeddedPostgresError,
    ImportFileError,
    LedgerError,
    ListenError,
    MigrationError,
    SecretError,
    SeedError,
    TokenError,
    TrustedDocumentsError,
    VerifyError,
)
"""Failures that say themselves what is wrong and what to do."""

INTERRUPTED = 130
"""Exit code after Ctrl-C; Typer turns it into one."""

app = typer.Typer(
    help="Async GraphQL gateway for ERP data on PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
schema_app = typer.Typer(help="The SDL file, schema/schema.graphql.", no_args_is_help=True)
app.add_typer(schema_app, name="schema")


def _interrupted() -> int:
    """Keep objects that Ctrl-C left half made from complaining when they are collected."""
    sys.unraisablehook = lambda _: None
    warnings.simplefilter("ignore")
    return INTERRUPTED


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code."""
    try:
        app(list(arguments), prog_name="python -m gateway")
    except SystemExit as end:
        return _interrupted() if end.code == INTERRUPTED else int(end.code or 0)
    except asyncio.CancelledError:
        # Ctrl-C, twice before the first step of a task: nobody else cancels what a command awaits
        return _interrupted()
    except EXPECTED as error:
        typer.echo(f"error: {error}", err=True)
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(["GATEWAY", *map(str, problem["loc"])]).upper()
            typer.echo(f"error: {name}: {problem['msg']}", err=True)
    return 1


@app.command("demo")
def demo_command() -> None:
    """Start a database, fill it with demo data once, print tokens, and serve."""
    run_demo(Settings(), Steps())


@app.command("serve")
def serve_command(
    *,
    host: Annotated[str | None, typer.Option(help="Instead of GATEWAY_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of GATEWAY_PORT.")] = None,
    workers: Annotated[int | None, typer.Option(help="Instead of GATEWAY_WORKERS.")] = None,
    no_relay: Annotated[
        bool, typer.Option("--no-relay", help="Leave the outbox to a `relay` that runs apart.")
    ] = False,
) -> None:
    """Serve until stopped."""
    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "workers": workers,
        "relay": False if no_relay else None,
    }
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    listener = bind(settings)
    with with_database(settings, Steps().say) as complete:
        serve_gateway(complete, sockets=[listener])


@app.command("relay")
def relay_command() -> None:
    """Publish the outbox until stopped, where `serve --no-relay` leaves it alone."""
    with with_database(Settings(), Steps().say) as settings:
        logs = configure_logging(settings)
        try:
            retention = timedelta(hours=settings.event_retention_hours)
            relay = Relay(database_url(settings), Metrics(), retention=retention)
            asyncio.run(relay.run())
        finally:
            logs.close()


@app.command("tail")
def tail_command(
    *,
    topic: Annotated[str | None, typer.Option(help="Only this, such as stock.changed.")] = None,
    company: Annotated[str | None, typer.Option(help="Only of the company with this code.")] = None,
    after: Annotated[
        int | None, typer.Option(min=0, help="Begin after this place; 0 is all that is kept.")
    ] = None,
) -> None:
    """Print what is published, as lines of JSON, until Ctrl-C."""
    with with_database(Settings(), lambda _: None) as settings:
        logs = configure_logging(settings)
        tail = Tail(
            database_url(settings),
            tell,
            topic=topic,
            company=company,
            after=after,
            caught_up=lambda number: typer.echo(f"caught up: {number} events", err=True),
            gap=lambda place: typer.echo(f"not kept any more: events up to {place}", err=True),
        )
        try:
            asyncio.run(tail.run())
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        finally:
            logs.close()


def tell(line: str) -> None:
    """Print a line at once; end the process quietly when nobody reads any more."""
    try:
        typer.echo(line)
        sys.stdout.flush()
    except BrokenPipeError:
        # what is left in the buffer would fail once more at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


@app.command("worker")
def worker_command(
    *,
    once: Annotated[bool, typer.Option("--once", help="Do what waits now, and end.")] = False,
) -> None:
    """Do the jobs that commands ask for, until stopped; any number of workers may run."""
    with with_database(Settings(), Steps().say) as settings:
        logs = configure_logging(settings)
        try:
            worker = Worker(settings)
            if once:
                asyncio.run(require_migrated(database_url(settings)))
                typer.echo(f"{asyncio.run(worker.run_until_idle())} jobs", err=True)
            else:
                asyncio.run(worker.run())
        finally:
            logs.close()


@app.command("import")
def import_command(
    what: Annotated[Imported, typer.Argument(help="What the rows are.")],
    file: Annotated[Path, typer.Argument(help=".csv or .jsonl.", exists=True, dir_okay=False)],
    *,
    company: Annotated[str, typer.Option(help="Code of the company to act for.")],
    on_error: Annotated[
        OnError, typer.Option(help="What becomes of all rows when some are wrong.")
    ] = OnError.REJECT_FAILED_ROWS,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at all rows and write none.")
    ] = False,
) -> None:
    """Make and change products or partners, or set stock, by the rows of a file."""
    steps = Steps()
    with (
        with_database(Settings(), steps.say) as settings,
        steps.step(f"Importing {what} from {file.name}"),
    ):
        asyncio.run(require_migrated(database_url(settings)))
        report = asyncio.run(
            import_file(
                settings,
                what,
                file,
                company=company,
                on_error=on_error,
                dry_run=dry_run,
                progress=steps.count,
            )
        )
    for row in report.rejected:
        for error in row["errors"]:
            typer.echo(f"row {row['index'] + 1} {row['key']}: {error['message']}")
    typer.echo(f"{report.accepted} accepted, {report.refused} rejected", err=True)
    if report.refused:
        raise typer.Exit(1)


@app.command("migrate")
def migrate_command(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only tell whether migrations lead to what code says.")
    ] = False,
) -> None:
    """Bring the database to the newest revision."""
    steps = Steps()
    with with_database(Settings(), steps.say) as settings:
        url = database_url(settings)
        if check:
            with steps.step("Comparing migrations with the tables in code"):
                difference = asyncio.run(drift(url))
            if difference:
                typer.echo("\n".join(difference))
                raise typer.Exit(1)
            return
        with steps.step("Migrating"):
            before = asyncio.run(migrate(url))
        typer.echo(f"from {before.current or 'nothing'} to {before.head}", err=True)


@app.command("seed")
def seed_command(
    size: Annotated[SizeName, typer.Option(help="How much.")] = "small",
    number: Annotated[
        int, typer.Option("--seed", help="The same number and day give the same rows.")
    ] = DEFAULT_SEED,
) -> None:
    """Fill an empty, migrated database with demo data."""
    steps = Steps()
    with with_database(Settings(), steps.say) as settings:
        with steps.step(f"Demo data, {size}"):
            report = asyncio.run(
                seed(database_url(settings), size, seed=number, progress=steps.count)
            )
        if not report.seeded:
            steps.say("There are companies in this database already: nothing was written.")
        steps.tell(*(f"{table:28} {rows:>9}" for table, rows in report.rows.items()))


@app.command("verify")
def verify_command(
    *,
    rebuild_sums: Annotated[
        bool,
        typer.Option("--rebuild", help="First set kept sums to what moves and promises add up to."),
    ] = False,
) -> None:
    """Prove every invariant on the data; exit 1 and show the rows where one does not hold."""
    steps = Steps()
    with with_database(Settings(), steps.say) as settings:
        url = database_url(settings)
        if rebuild_sums:
            with steps.step("Rebuilding"):
                rebuilt = asyncio.run(rebuild(url))
            print_rebuilt(rebuilt, Console())
        with steps.step("Verifying"):
            results = asyncio.run(verify(url, progress=steps.count))
    print_results(results, Console())
    if not all(result.holds for result in results):
        raise typer.Exit(1)


@app.command("ledger")
def ledger_command(
    company: Annotated[str, typer.Argument(help="Code of the company, such as DE01.")],
) -> None:
    """Print a company's ledger as beancount takes it, to have it checked by somebody else."""
    with with_database(Settings(), lambda _: None) as settings:
        asyncio.run(tell_ledger(database_url(settings), company))


async def tell_ledger(url: str, company: str) -> None:
    """Print a ledger line by line."""
    async for line in beancount(url, company):
        typer.echo(line)


@app.command("token")
def token_command(
    user: Annotated[str, typer.Option(help="Email of a user, such as admin@demo.")] = "",
    client: Annotated[str, typer.Option(help="Code of an API client; gives it a new key.")] = "",
    hours: Annotated[float, typer.Option(help="How long a user's token is good for.")] = 12,
) -> None:
    """Print a token for a user or a key for an API client, and nothing else."""
    if bool(user) == bool(client):
        raise typer.BadParameter("give either --user or --client")
    with with_database(Settings(), lambda _: None) as settings:
        typer.echo(asyncio.run(issue(settings, user, client, timedelta(hours=hours))))


async def issue(settings: Settings, user: str, client: str, ttl: timedelta) -> str:
    """Return a token for the user, or a key for the API client."""
    async with owner_connection(database_url(settings)) as connection:
        if client:
            return await issue_client_key(settings, connection, client)
        await require_user(settings, connection, user)
        return issue_user_token(settings, user, ttl, system_clock)


@app.command("doctor")
def doctor_command(
    *,
    stop: Annotated[
        bool, typer.Option("--stop", help="First stop an embedded PostgreSQL nobody uses.")
    ] = False,
) -> None:
    """Tell what is wrong with this installation and what to do about it."""
    settings = Settings()
    if stop and stop_unused(settings.data_dir):
        typer.echo("Stopped the embedded PostgreSQL")
    findings = list(examine(settings))
    for finding in findings:
        typer.echo(describe(finding))
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)


def describe(finding: Finding) -> str:
    """Return a finding as lines of text."""
    line = f"{finding.status:8} {finding.subject:18} {finding.detail}"
    return f"{line}\n{'':28}{finding.remedy}" if finding.remedy else line


@app.command("explain")
def explain_command(
    file: Annotated[Path, typer.Argument(help="GraphQL document.", exists=True, dir_okay=False)],
    *,
    sql: Annotated[bool, typer.Option("--sql", help="Show the statements of relations.")] = False,
    source: Annotated[
        bool, typer.Option("--source", help="Show the Python that runs the plan.")
    ] = False,
    without: Annotated[
        list[str] | None, typer.Option(help="Permission the caller lacks; may come several times.")
    ] = None,
) -> None:
    """Show the plan of every operation of a document: what it reads, and what is not compiled."""
    everything = {p for module in data_modules() for p in module.permissions}
    held = frozenset(everything - set(without or ()))
    text = file.read_text("utf-8")
    for line in explain_document(text, Settings(), permissions=held, sql=sql, source=source):
        typer.echo(line)


@app.command("bench", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench_command(context: typer.Context) -> None:
    """Measure next to plans written by hand; takes the options of python -m benchmarks."""
    if not (CHECKOUT / "benchmarks").is_dir():
        raise BenchError(f"There is no folder benchmarks in {CHECKOUT}: run from a checkout.")
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *context.args])  # noqa: S606 - us


@schema_app.command("export")
def schema_export() -> None:
    """Write the SDL file."""
    typer.echo(f"{SDL_FILE.name} {'written' if export_sdl() else 'was current'}", err=True)


@schema_app.command("diff")
def schema_diff() -> None:
    """Tell whether the SDL file is current; exit 1 and the difference if not."""
    if difference := sdl_diff():
        typer.echo("\n".join(difference))
        typer.echo("Run: python -m gateway schema export", err=True)
        raise typer.Exit(1)

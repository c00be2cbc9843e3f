"""The public audits and reference clients, run by Node where there is one."""

import asyncio
import fcntl
import json
import shutil
import signal
import subprocess
from asyncio.subprocess import PIPE
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.tokens import issue_user_token
from gateway.transports import GraphQLEndpoint
from resolvers.core.clock import system_clock
from tests.fixtures.gateway import Gateway, settings_for
from tests.fixtures.servers import running_server
from tests.flows.test_resuming import LOG, Site, site
from tests.gateway.transports.site import SALES, Door, make_site, site_settings

HERE = Path(__file__).parent
TICKS = "subscription { ticks(count: 3) }"
RESUMED = """
subscription Resumed($after: String) {
  stockChanged(after: $after) { ... on StockChange { seq } }
}
"""
AUDITS = 61

__all__ = ["site"]  # a fixture


@pytest.fixture(scope="session")
def node() -> str:
    """Return the Node to run, with the locked packages beside the scripts."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node is not installed; the same rules are tested in Python beside this")
    installed, lock = HERE / "node_modules" / ".package-lock.json", HERE / "package-lock.json"
    with (HERE / "package.json").open() as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            outcome = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
            if outcome.returncode:
                pytest.skip(f"npm cannot install the audits: {outcome.stderr.strip()[:200]}")
            installed.touch()
    return node


async def run(node: str, script: str, *arguments: str) -> list[Any]:
    """Run a script and return the JSON of its lines."""
    process = await asyncio.create_subprocess_exec(
        node,
        script,
        *arguments,
        cwd=HERE,
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    return [json.loads(line) for line in output.splitlines()]


async def test_every_audit_of_graphql_http_passes(node: str, gateway: Gateway) -> None:
    """All audits of the public suite are ok, MUST, SHOULD and MAY alike, over the whole schema."""
    runtime = gateway.runtime
    app = GraphQLEndpoint(runtime.executor, Door(), runtime.open_context, runtime.settings)
    async with running_server(app, runtime.settings, lifespan=False) as address:
        audits = await run(node, "audits.mjs", address.graphql, SALES["Authorization"])
    assert [audit for audit in audits if audit["status"] != "ok"] == []
    assert Counter(audit["status"] for audit in audits) == {"ok": AUDITS}


async def test_the_reference_clients_are_content(node: str) -> None:
    """graphql-ws and graphql-sse get all events, the errors of a bad document, events again."""
    settings, documents = site_settings(), (TICKS, "subscription { nothing }")
    async with running_server(make_site(settings), settings, lifespan=False) as address:
        known = (address.graphql, SALES["Authorization"])
        found = await run(node, "clients.mjs", *known, *documents)
    ticks = [{"data": {"ticks": str(number)}} for number in range(3)]
    assert [one["transport"] for one in found] == ["ws", "sse", "sse, one connection"]
    for one in found:
        assert one["good"] == {"results": ticks, "complete": True}
        assert one["again"] == {"results": ticks, "complete": True}
    over_socket, over_stream, beside_it = (one["refused"] for one in found)
    assert over_socket["error"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    (event,) = over_stream["results"]
    assert event["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert "400" in beside_it["error"]


async def test_the_reference_clients_resume(node: str, site: Site) -> None:
    """Their gateway is killed: they go on at another one, and are told everything once."""
    await site.open()
    changes = 60
    addresses = json.dumps([gateway.graphql for gateway in site.gateways])
    told = asyncio.create_task(
        run(node, "resuming.mjs", addresses, json.dumps(site.headers), RESUMED, f"{changes}")
    )
    for number in range(changes):
        await site.write()
        await asyncio.sleep(0.03)
        if number == changes // 2:
            await site.gateways[0].stop(signal.SIGKILL)
    found = {one["transport"]: one for one in await told}
    expected = [row[0] for row in await site.owner.fetch(LOG, 1, 0)]
    assert found.keys() == {"ws", "sse", "sse, one connection"}
    for one in found.values():
        assert one["told"] == expected
        assert one["connections"] > 1


async def test_the_reference_clients_outlive_their_tokens(node: str, site: Site) -> None:
    """By the recipes of the documentation: one socket goes on, a stream is asked for again."""
    changes, seconds = 24, 8  # half of that is left to answer a ping, on a busy machine too
    known = (site.gateways[0].graphql, site.headers["X-Company"], RESUMED, f"{changes}")
    process = await asyncio.create_subprocess_exec(
        *(node, "renewing.mjs", *known), cwd=HERE, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 60)
    tokens = [
        issue_user_token(
            settings_for(site.url), "admin@demo", timedelta(seconds=life), system_clock
        )
        for life in (seconds, 3600)
    ]
    told = asyncio.create_task(process.communicate(json.dumps(tokens).encode() + b"\n"))
    for _ in range(changes):
        await site.write()
        await asyncio.sleep(1.25 * seconds / changes)
    output, errors = await asyncio.wait_for(told, 60)
    assert process.returncode == 0, errors.decode()
    found = {one["transport"]: one for one in map(json.loads, output.splitlines())}
    expected = [row[0] for row in await site.owner.fetch(LOG, 1, 0)]
    assert {name: one["told"] for name, one in found.items()} == {"ws": expected, "sse": expected}
    assert found["ws"]["connections"] == 1
    assert len(found["ws"]["renewed"]) == 1
    assert found["sse"]["connections"] == 2

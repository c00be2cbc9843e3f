"""Webhooks end to end: a real receiver, a real log, and a clock that is turned by hand."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from gateway.partitions import drop_days
from gateway.postgres import EmbeddedPostgres
from gateway.webhooks.deliverer import _LIVE, Deliverer
from gateway.webhooks.signing import Secrets
from resolvers.core.principal import Principal
from resolvers.webhooks.rules import ATTEMPTS_AFTER_A_DEAD_LETTER, MOST_DEAD_IN_A_ROW
from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, open_gateway, principal, settings_for
from tests.fixtures.receiver import Received, Receiver, receiving
from tests.fixtures.relays import no_relay
from tests.fixtures.schema_walk import known_rows, operation, root_fields

CREATE = """
mutation Create($key: String!, $url: String!, $document: String!, $variables: String,
                $name: String, $after: String) {
  done: createWebhook(idempotencyKey: $key, url: $url, document: $document, after: $after,
                      operationName: $name, variables: $variables) {
    webhook { id seq lag version state owner }
    secret
    userErrors { code message path }
  }
}
"""
SHOW = """
query Show($id: ID!) {
  node(id: $id) {
    ... on Webhook {
      state seq lag delivered failures nextAttemptAt lastError version owner url
      deliveries(first: 200) { nodes { seq messageId state attempts statusCode error } }
    }
  }
}
"""
STOCK = "subscription { stockChanged { ... on StockChange { seq available } } }"
ADJUST = """
mutation Adjust($key: String!, $sku: String!, $location: ID!) {
  adjustStock(idempotencyKey: $key, lines: [
    { sku: $sku, locationId: $location, delta: "1", reason: "Found." }
  ]) { userErrors { message } }
}
"""
OPEN: dict[str, Any] = {
    "webhook_plain_http": True,
    "webhook_allowed_ports": (),
    "webhook_allowed_networks": ("127.0.0.0/8",),
    "webhook_timeout_seconds": 2.0,
    "shutdown_seconds": 2.0,
}
_GONE = b"SFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
OURS = "url like 'http://127.%'"
"""Webhooks that are not of the demo."""
_keys = count(1)


def key() -> str:
    """Return an idempotency key of its own."""
    return f"hook {next(_keys)}"


@dataclass
class Hand:
    """A clock that is turned by hand."""

    now: datetime = datetime(2026, 7, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def turn(self, **by: float) -> None:
        """Let time pass."""
        self.now += timedelta(**by)


@dataclass
class Site:
    """A gateway, a receiver, and what changes stock."""

    gateway: Gateway
    receiver: Receiver
    url: str
    sku: str
    location: str
    clock: Hand = field(default_factory=Hand)

    async def create(
        self, document: str = STOCK, *, caller: Principal | None = None, **more: Any
    ) -> Any:
        """Make a webhook; return the payload, which was not refused."""
        done = await self.try_create(document, caller=caller, **more)
        assert done["userErrors"] == []
        return done

    async def try_create(
        self, document: str = STOCK, *, caller: Principal | None = None, **more: Any
    ) -> Any:
        """Try to make a webhook; return the payload."""
        variables = {"key": key(), "url": self.receiver.url, "document": document, **more}
        return (await self.gateway.data(CREATE, variables, caller=caller))["done"]

    async def run(
        self, verb: str, id_: str, *, caller: Principal | None = None, **more: str
    ) -> Any:
        """Run a command on a webhook; return its payload."""
        given = "".join(f", {name}: {json.dumps(value)}" for name, value in more.items())
        secret = " secret" if verb == "rotateWebhookSecret" else ""
        retried = " retried" if verb == "retryDeadLetters" else ""
        query = f"""mutation Run($key: String!, $id: ID!) {{
          done: {verb}(idempotencyKey: $key, id: $id{given}) {{
            webhook {{ state seq owner }}{secret}{retried} userErrors {{ code path message }} }}
        }}"""
        return (await self.gateway.data(query, {"key": key(), "id": id_}, caller=caller))["done"]

    async def show(self, id_: str, caller: Principal | None = None) -> Any:
        """Return a webhook as it is."""
        return (await self.gateway.data(SHOW, {"id": id_}, caller=caller))["node"]

    async def until(self, id_: str, holds: Callable[[Any], bool]) -> Any:
        """Wait until a webhook is so, and return it."""
        async with asyncio.timeout(60):
            while not holds(shown := await self.show(id_)):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        return shown

    async def change(self, times: int = 1) -> None:
        """Change stock, so many times."""
        for _ in range(times):
            given = {"key": key(), "sku": self.sku, "location": self.location}
            done = await self.gateway.data(ADJUST, given)
            assert not done["adjustStock"]["userErrors"]

    async def last(self) -> int:
        """Wait until everything is published, and return the place of the last event."""
        owner = self.gateway.owner
        async with asyncio.timeout(10):
            while await owner.fetchval("select count(*) from outbox_event where pub_seq is null"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return int(await owner.fetchval("select last_seq from outbox_counter"))

    @asynccontextmanager
    async def delivering(self, **changes: Any) -> AsyncIterator[Deliverer]:
        """Send webhooks for as long as the block lasts."""
        runtime = self.gateway.runtime
        deliverer = Deliverer(
            self.url,
            settings_for(self.url, **{**OPEN, **changes}),
            executor=runtime.executor,
            open_context=runtime.open_context,
            rules=runtime.egress,
            secrets=runtime.secrets,
            metrics=runtime.metrics,
            clock=self.clock,
            share=lambda: 1.0,
            poll_seconds=0.02,
        )
        task = asyncio.create_task(deliverer.run())
        try:
            yield deliverer
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest_asyncio.fixture(scope="module")
async def whole(server: EmbeddedPostgres, template: str) -> AsyncIterator[Site]:
    """Yield a gateway over a database of this file, and a receiver."""
    name = f"erp_hooks_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    url = server.url(name)
    async with open_gateway(url, **OPEN) as gateway, receiving() as receiver:
        await gateway.runtime.follower.started()
        [(sku, location)] = await gateway.owner.fetch(
            """select p.sku, b.location_id from stock_balance b
               join product p on p.id = b.product_id join stock_location x on x.id = b.location_id
               where b.company_id = 1 and p.tracking = 'NONE' and p.archived_at is null
                 and x.kind = 'INTERNAL' and x.sellable order by b.id limit 1"""
        )
        yield Site(gateway, receiver, url, sku, encode_id("StockLocation", location))
    server.drop_database(name)


@pytest_asyncio.fixture
async def site(whole: Site) -> AsyncIterator[Site]:
    """Yield the site with nothing sent yet; afterwards its webhooks are gone."""
    whole.receiver.forget()
    whole.clock.now = Hand().now
    await whole.last()
    yield whole
    await whole.gateway.owner.execute(
        f"delete from webhook_delivery where webhook_id in (select id from webhook where {OURS});"
        f"delete from webhook where {OURS}"
    )


def verified(received: Received, secret: str, now: datetime) -> bool:
    """Tell whether a message holds, by the words of Standard Webhooks."""
    headers = received.headers
    timestamp = headers["webhook-timestamp"]
    if abs(now.timestamp() - int(timestamp)) > 300:
        return False
    signed = f"{headers['webhook-id']}.{timestamp}.".encode() + received.body
    secret_bytes = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.digest(secret_bytes, signed, hashlib.sha256)).decode()
    return any(
        hmac.compare_digest(one, f"v1,{expected}")
        for one in headers["webhook-signature"].split(" ")
    )


class TestDelivering:
    """What comes, in which order, and how it is signed."""

    async def test_changes_come_in_order_signed_and_once(self, site: Site) -> None:
        """From the moment the webhook was made, with its own selection."""
        await site.change()
        begun = await site.last()
        created = await site.create()
        async with site.delivering():
            await site.change(5)
            got = await site.receiver.wait_for(5)
            await site.until(created["webhook"]["id"], lambda shown: shown["delivered"] == "5")
        seqs = [one.seq for one in got]
        assert seqs == sorted(seqs)
        assert seqs[0] > begun
        assert len(set(seqs)) == 5
        for one in got:
            assert set(one.data["stockChanged"]) == {"seq", "available"}
            assert one.data["stockChanged"]["seq"] == str(one.seq)
            assert one.headers["content-type"] == "application/json"
            assert verified(one, created["secret"], site.clock())
            assert not verified(one, "whsec_" + base64.b64encode(bytes(32)).decode(), site.clock())
            assert not verified(one, created["secret"], site.clock() + timedelta(minutes=6))
        shown = await site.show(created["webhook"]["id"])
        assert [d["state"] for d in shown["deliveries"]["nodes"]] == ["DELIVERED"] * 5
        assert (shown["state"], shown["seq"], shown["lag"]) == ("ACTIVE", str(seqs[-1]), 0)

    async def test_metrics_tell_of_it(self, site: Site) -> None:
        """Every process tells the states, and the one that sends its attempts."""
        registry = site.gateway.runtime.metrics.registry
        async with asyncio.timeout(60):
            while not registry.get_sample_value("gateway_webhooks", {"state": "DISABLED"}):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        # those of the demo, of all companies, and perhaps of another test
        assert (registry.get_sample_value("gateway_webhook_dead_letters") or 0) >= 12
        attempts = "gateway_webhook_attempts_total"
        before = registry.get_sample_value(attempts, {"outcome": "delivered"}) or 0
        id_ = (await site.create())["webhook"]["id"]
        async with site.delivering():
            await site.change()
            await site.until(id_, lambda shown: shown["delivered"] == "1")
        assert registry.get_sample_value(attempts, {"outcome": "delivered"}) == before + 1

    async def test_a_change_takes_one_statement(self, site: Site) -> None:
        """Besides what its subscription reads: one that moves the place and notes the delivery."""
        id_ = (await site.create())["webhook"]["id"]
        async with site.delivering() as deliverer:
            await site.change()
            await site.until(id_, lambda shown: shown["delivered"] == "1")
            asked: list[str] = []
            ask = deliverer.ask

            async def counted(sql: str, *arguments: Any) -> list[Any]:
                asked.append(sql)
                return await ask(sql, *arguments)

            deliverer.ask = counted  # type: ignore[method-assign]
            await site.change(20)
            await site.until(id_, lambda shown: shown["delivered"] == "21")
            about_it = [sql for sql in asked if "'DELIVERED', 1" in sql]
        assert len(about_it) == 20
        assert {sql for sql in asked if sql not in about_it} == {_LIVE}

    @pytest.mark.parametrize("policy", ["REPLAY", "CLOSE"])
    async def test_a_slow_receiver_misses_nothing(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, policy: str
    ) -> None:
        """What does not fit into memory comes from the log, even where the stream ends over it."""
        monkeypatch.setattr(site.gateway.runtime.executor.live, "queue", 2)
        monkeypatch.setattr("gateway.webhooks.deliverer._OWN_PAUSES", (0.01, 0.1))
        await site.create(STOCK.replace("stockChanged", f"stockChanged(whenSlow: {policy})"))
        site.receiver.delay = 0.02
        async with site.delivering():
            await site.change(10)
            got = await site.receiver.wait_for(10)
        seqs = [one.seq for one in got]
        assert seqs == sorted(seqs)
        assert len(set(seqs)) == 10

    async def test_goes_on_where_it_was(self, site: Site) -> None:
        """What happens while nobody sends is sent later, by whoever comes next."""
        created = await site.create()
        async with site.delivering():
            await site.change(2)
            await site.receiver.wait_for(2)
            await site.until(created["webhook"]["id"], lambda shown: shown["delivered"] == "2")
        await site.change(3)
        async with site.delivering():
            got = await site.receiver.wait_for(5)
        assert len({one.seq for one in got}) == 5
        assert [one.seq for one in got] == sorted(one.seq for one in got)

    async def test_one_process_at_a_time(self, site: Site) -> None:
        """Several send each change once, and another takes over when one is gone."""
        await site.create()
        async with site.delivering():
            async with site.delivering():
                await site.change(3)
                await site.receiver.wait_for(3)
            await site.change(3)
            got = await site.receiver.wait_for(6)
            await asyncio.sleep(0.1)
        assert len(got) == len({one.seq for one in got}) == 6

    async def test_nothing_is_sent_without_a_secret(self, site: Site) -> None:
        """A process that cannot sign leaves the webhooks to those that can."""
        await site.create()
        runtime = site.gateway.runtime
        without = Deliverer(
            site.url,
            settings_for(site.url, **OPEN),
            executor=runtime.executor,
            open_context=runtime.open_context,
            rules=runtime.egress,
            secrets=None,
            metrics=runtime.metrics,
            clock=site.clock,
        )
        await without.run()
        async with site.delivering():
            await site.change()
            await site.receiver.wait_for(1)

    async def test_another_key_signs_nothing(self, site: Site) -> None:
        """It would sign what no receiver can verify: it says so, and leaves it to one that can."""
        created = await site.create()
        own, runtime = site.gateway.runtime.secrets, site.gateway.runtime
        runtime.secrets = Secrets(b"another key, also long enough to sign")
        registry = runtime.metrics.registry
        try:
            async with site.delivering(), asyncio.timeout(60):
                while registry.get_sample_value("gateway_webhooks_of_another_key") != 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                await site.change()
                runtime.secrets = own
                async with site.delivering():
                    [got] = await site.receiver.wait_for(1)
        finally:
            runtime.secrets = own
        assert verified(got, created["secret"], site.clock())

    async def test_a_slow_endpoint_delays_no_other(self, site: Site) -> None:
        """While one does not answer, another is told all, in order."""
        for path in ("slow", "quick"):
            await site.create(url=f"{site.receiver.url}?{path}")
        hanging = site.receiver.waits = lambda got: got.path.endswith("slow")
        async with site.delivering(webhook_timeout_seconds=60.0):
            await site.change(8)
            async with asyncio.timeout(30):
                while len(site.receiver.got) < 9:  # noqa: ASYNC110 - it waits for ever
                    await asyncio.sleep(0.02)
        got = [one for one in site.receiver.got if not hanging(one)]
        assert len(got) == 8
        assert [one.seq for one in got] == sorted({one.seq for one in got})

    async def test_letters_of_deleted_webhooks_are_deleted(self, site: Site) -> None:
        """Those that were still to be sent too, once nobody would look for them."""
        created = await site.create()
        id_ = created["webhook"]["id"]
        site.receiver.answer = lambda _: (500, {})
        async with site.delivering() as deliverer:
            await site.change()
            await site.until(id_, lambda shown: shown["state"] == "FAILING")
            await site.run("deleteWebhook", id_)
            left = f"""select count(*) from webhook_delivery d join webhook w on w.id = webhook_id
                       where d.state = 'RETRYING' and w.archived_at is not null and {OURS}"""
            await deliverer._clean()
            assert await site.gateway.owner.fetchval(left) == 1
            site.clock.turn(days=31)
            await deliverer._clean()
            assert await site.gateway.owner.fetchval(left) == 0

    async def test_a_lost_session_is_replaced(self, site: Site) -> None:
        """Locks end with it, and whoever has them next goes on."""
        await site.create()
        async with site.delivering():
            await site.change()
            await site.receiver.wait_for(1)
            await site.gateway.owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'erp-gateway webhooks'"
                " and datname = current_database()"
            )
            await site.change(2)
            async with asyncio.timeout(60):
                while len({one.seq for one in site.receiver.got}) < 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

    async def test_a_session_that_ends_between_two_statements_is_no_surprise(
        self, site: Site
    ) -> None:
        """The driver loses track then and calls it an internal error; it is a lost session."""
        id_ = (await site.create())["webhook"]["id"]
        with capture_logs() as logs:
            async with site.delivering() as deliverer:
                await site.change()
                await site.until(id_, lambda shown: shown["delivered"] == "1")
                look, looking, may_look = deliverer._look, asyncio.Event(), asyncio.Event()

                async def later() -> None:
                    looking.set()
                    await may_look.wait()
                    await look()

                deliverer._look = later  # type: ignore[method-assign]
                await looking.wait()  # so that the line is the first to ask
                session: Any = deliverer._session
                # what the server says, in the moment before it hangs up
                told = b"E" + (4 + len(_GONE)).to_bytes(4, "big") + _GONE
                session._protocol.data_received(told)
                await site.change()
                async with asyncio.timeout(60):
                    while "line lost" not in {entry["event"] for entry in logs}:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                may_look.set()
                await site.until(id_, lambda shown: shown["delivered"] == "2")
                assert deliverer._session is not session
        assert not [entry for entry in logs if entry["log_level"] == "error"]

    async def test_what_is_told_as_one_adds_up_wherever_it_ends(self, site: Site) -> None:
        """Gathered changes are each in one message, though sending ends between these."""
        owner = site.gateway.owner
        levels = [
            row["id"]
            for row in await owner.fetch("select id from stock_level where company_id = 1 limit 3")
        ]
        document = STOCK.replace("stockChanged", "stockChanged(coalesceMs: 1)")
        document = document.replace("seq", "seq coalesced previousAvailable level { id }")
        id_ = (await site.create(document))["webhook"]["id"]
        more = "update stock_level set on_hand = on_hand + 1 where id = $1"
        site.receiver.delay = 0.1  # so that sending ends while the first is answered
        for _ in range(4):
            for level in (*levels, *levels):
                await owner.execute(more, level)
            await site.last()
            async with site.delivering():
                await site.receiver.wait_for(len(site.receiver.got) + 1)
        site.receiver.delay = 0.0
        last = str(await site.last())
        async with site.delivering():
            await site.until(id_, lambda shown: shown["seq"] == last)
        told = {got.headers["webhook-id"]: got.data["stockChanged"] for got in site.receiver.got}
        ends: dict[str, str] = {}
        for change in told.values():
            level = change["level"]["id"]
            assert ends.get(level, change["previousAvailable"]) == change["previousAvailable"]
            ends[level] = change["available"]
        assert len(told) > len(levels)
        assert sum(change["coalesced"] for change in told.values()) == 4 * 2 * len(levels)
        after = json.loads(site.receiver.got[0].body)["extensions"]["seq"]
        assert "." in after
        assert (await site.run("replayWebhook", id_, after=after))["userErrors"] == []

    async def test_what_was_asked_is_run_to_its_end(self, site: Site) -> None:
        """Also where serving ends meanwhile: the session is closed after it, and not under it."""
        async with site.delivering() as deliverer:
            async with asyncio.timeout(60):
                while deliverer._session is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            asked = asyncio.create_task(deliverer.ask("select 1 from pg_sleep(0.3)"))
            await asyncio.sleep(0.05)
        assert [tuple(row) for row in await asked] == [(1,)]

    async def test_what_does_not_concern_it_is_passed_over(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its place in the log moves on, so that it never becomes too old."""
        monkeypatch.setattr("gateway.webhooks.deliverer._POSITION_SECONDS", 0.05)
        created = await site.create(
            'subscription { orderStatusChanged(orderIds: ["U2FsZXNPcmRlcjox"]) { seq } }'
        )
        async with site.delivering():
            await site.change(3)
            last = await site.last()
            shown = await site.until(
                created["webhook"]["id"], lambda shown: shown["seq"] == str(last)
            )
        assert (shown["lag"], shown["delivered"]) == (0, "0")
        assert not site.receiver.got


class TestFailing:
    """Retries, dead letters, and receivers that want no more."""

    async def test_retried_with_backoff_and_in_order(self, site: Site) -> None:
        """The same message comes again later, and what is behind it waits."""
        created = await site.create()
        id_ = created["webhook"]["id"]
        site.receiver.answer = lambda _: (503, {})
        async with site.delivering():
            await site.change(2)
            shown = await site.until(id_, lambda shown: shown["failures"] == 1)
            assert (shown["state"], shown["lastError"]) == ("FAILING", "The receiver answered 503.")
            assert shown["nextAttemptAt"] == "2026-07-01T12:00:05Z"
            site.clock.turn(seconds=4)
            await asyncio.sleep(0.1)
            assert len(site.receiver.got) == 1
            site.clock.turn(seconds=1)
            shown = await site.until(id_, lambda shown: shown["failures"] == 2)
            assert shown["nextAttemptAt"] == "2026-07-01T12:00:15Z"
            [waiting] = shown["deliveries"]["nodes"]
            assert (waiting["state"], waiting["attempts"]) == ("RETRYING", 2)
            site.receiver.answer = lambda _: (200, {})
            site.clock.turn(seconds=10)
            got = await site.receiver.wait_for(4)
            await site.until(id_, lambda shown: shown["delivered"] == "2")
        first, again, third, other = got
        assert first.seq == again.seq == third.seq < other.seq
        assert first.body == third.body
        assert first.headers["webhook-id"] == third.headers["webhook-id"]
        assert first.headers["webhook-timestamp"] != third.headers["webhook-timestamp"]
        assert verified(third, created["secret"], site.clock())

    async def test_retry_after_is_honored(self, site: Site) -> None:
        """A receiver that asks for a minute gets it."""
        id_ = (await site.create())["webhook"]["id"]
        site.receiver.answer = lambda _: (429, {"retry-after": "60"})
        async with site.delivering():
            await site.change()
            shown = await site.until(id_, lambda shown: shown["failures"] == 1)
        assert shown["nextAttemptAt"] == "2026-07-01T12:01:00Z"

    async def test_dead_letters_are_kept_and_sent_again(self, site: Site) -> None:
        """A change that is given up leaves the others alone, and comes when it is asked for."""
        id_ = (await site.create())["webhook"]["id"]
        poison: list[int] = []

        def answer(received: Received) -> tuple[int, dict[str, str]]:
            poison[:] = poison or [received.seq]
            return (500 if received.seq in poison else 200), {}

        site.receiver.answer = answer
        async with site.delivering(webhook_retry_hours=0.001) as deliverer:
            assert deliverer.most_attempts == 2
            await site.change(3)
            await site.until(id_, lambda shown: shown["failures"] == 1)
            site.clock.turn(minutes=1)
            shown = await site.until(id_, lambda shown: shown["delivered"] == "2")
            assert shown["state"] == "ACTIVE"
            *_, dead = shown["deliveries"]["nodes"]
            assert (dead["seq"], dead["state"]) == (str(poison[0]), "DEAD")
            body = site.receiver.got[0].body
            assert (await site.run("retryDeadLetters", id_))["retried"] == 1
            async with asyncio.timeout(60):
                while (await site.show(id_))["deliveries"]["nodes"][-1]["state"] != "DEAD":
                    site.clock.turn(minutes=1)
                    await asyncio.sleep(0.02)
            tried = [one.seq for one in site.receiver.got].count(poison[0])
            assert tried == deliverer.most_attempts + ATTEMPTS_AFTER_A_DEAD_LETTER
            late = await site.run("retryDeadLetters", id_, after=dead["seq"])
            assert (late["retried"], late["userErrors"]) == (0, [])
            site.receiver.forget()
            assert (await site.run("retryDeadLetters", id_))["retried"] == 1
            [again] = await site.receiver.wait_for(1)
            assert (again.seq, again.body) == (poison[0], body)
            shown = await site.until(id_, lambda shown: shown["delivered"] == "3")
        assert {d["state"] for d in shown["deliveries"]["nodes"]} == {"DELIVERED"}

    async def test_one_that_takes_nothing_is_stopped(self, site: Site) -> None:
        """After ten dead letters in a row, of which all but the first are tried three times."""
        id_ = (await site.create())["webhook"]["id"]
        site.receiver.answer = lambda _: (500, {})
        async with site.delivering(webhook_retry_hours=0.001):
            await site.change(MOST_DEAD_IN_A_ROW + 2)
            async with asyncio.timeout(60):
                while (shown := await site.show(id_))["state"] != "DISABLED":
                    site.clock.turn(minutes=1)
                    await asyncio.sleep(0.02)
        assert "10 changes in a row" in shown["lastError"]
        states = [d["state"] for d in shown["deliveries"]["nodes"]]
        assert states == ["DEAD"] * MOST_DEAD_IN_A_ROW
        sent = 2 + (MOST_DEAD_IN_A_ROW - 1) * ATTEMPTS_AFTER_A_DEAD_LETTER
        assert len(site.receiver.got) == sent
        site.receiver.forget()
        assert (await site.run("resumeWebhook", id_))["webhook"]["state"] == "ACTIVE"
        async with site.delivering():
            await site.receiver.wait_for(2)

    async def test_gone_means_gone(self, site: Site) -> None:
        """A receiver that answers 410 is sent nothing more."""
        id_ = (await site.create())["webhook"]["id"]
        site.receiver.answer = lambda _: (410, {})
        async with site.delivering():
            await site.change(2)
            shown = await site.until(id_, lambda shown: shown["state"] == "DISABLED")
            await asyncio.sleep(0.1)
        assert shown["lastError"] == "The receiver answered 410."
        assert len(site.receiver.got) == 1

    async def test_replayed_from_a_place(self, site: Site) -> None:
        """Everything after it comes once more, with the ids it had."""
        id_ = (await site.create())["webhook"]["id"]
        async with site.delivering():
            await site.change(4)
            first = [one.headers["webhook-id"] for one in await site.receiver.wait_for(4)]
            await site.until(id_, lambda shown: shown["delivered"] == "4")
            after = str(site.receiver.got[1].seq)
            site.receiver.forget()
            assert (await site.run("replayWebhook", id_, after=after))["userErrors"] == []
            again = [one.headers["webhook-id"] for one in await site.receiver.wait_for(2)]
        assert again == first[2:]

    async def test_too_old_is_told(self, site: Site) -> None:
        """Where the log does not reach back every stream tells the state, in one message."""
        work = f'{{ shipmentWorkChanged(warehouseId: "{encode_id("Warehouse", 1)}") {{ id }} }}'
        of_work = (await site.create(f"subscription {work}"))["webhook"]["id"]
        await site.create("subscription { orderStatusChanged { seq axis reason } }")
        await site.create("subscription { changes(of: [STOCK]) { seq topic reason } }")
        await site.change(2)
        last = await site.last()
        await site.gateway.owner.execute("delete from outbox_event where pub_seq < $1", last)
        async with site.delivering():
            told: dict[str, Any] = {}
            for got in await site.receiver.wait_for(3):
                told |= got.data
            prepared = await site.gateway.owner.fetch(
                "select id from shipment where warehouse_id = 1"
                " and state in ('PLANNED', 'PICKING', 'PACKED') order by planned_on, id"
            )
            assert told == {
                "shipmentWorkChanged": [
                    {"id": encode_id("Shipment", row["id"])} for row in prepared
                ],
                "orderStatusChanged": {"seq": str(last), "axis": None, "reason": "TOO_OLD"},
                "changes": {"seq": str(last), "topic": None, "reason": "TOO_OLD"},
            }
            await site.change()
            [*_, got] = await site.receiver.wait_for(4)
            after = {"seq": str(last + 1), "topic": "STOCK", "reason": None}
            assert got.data["changes"] == after
            await site.until(of_work, lambda shown: shown["state"] == "ACTIVE")
            refused = await site.run("replayWebhook", of_work, after="0")
            assert [e["path"] for e in refused["userErrors"]] == [["after"]]

    async def test_what_a_state_shows_is_sent_by_nobody_who_goes_on(self, site: Site) -> None:
        """Though it got its place later; what is of a topic that the state does not show, is."""
        owner = site.gateway.owner
        document = """subscription { changes(of: [STOCK, ORDER_STATUS]) { topic
          ... on ChangeGap { stockLevels(first: 1) { nodes { id } } } } }"""
        id_ = (await site.create(document))["webhook"]["id"]
        await site.change(2)
        last = await site.last()
        await owner.execute("delete from outbox_event where pub_seq < $1", last)
        hold = "update sales_order set hold = $1 where id = (select min(id) from sales_order)"
        async with no_relay(site.url):
            await site.change()
            await owner.execute(hold, "ADDRESS")
            async with site.delivering():
                await site.until(id_, lambda shown: shown["delivered"] == "1")
        await site.last()
        async with site.delivering():
            await site.receiver.wait_for(2)
            await site.change()
            await site.until(id_, lambda shown: shown["delivered"] == "3")
        state, *changes = site.receiver.got
        assert state.data["changes"]["stockLevels"]
        assert [got.data["changes"]["topic"] for got in changes] == ["ORDER_STATUS", "STOCK"]
        assert [got.seq for got in changes] == [last + 2, last + 3]
        after = json.loads(state.body)["extensions"]["seq"]
        assert after.startswith(f"{last}~")
        site.receiver.forget()
        async with site.delivering():
            assert (await site.run("replayWebhook", id_, after=after))["userErrors"] == []
            await site.receiver.wait_for(2)
            await site.until(id_, lambda shown: shown["delivered"] == "5")
        assert [got.seq for got in site.receiver.got] == [last + 2, last + 3]
        await owner.execute(hold, None)

    async def test_a_quiet_time_makes_nothing_too_old(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its place moved on, with what a state showed, though nothing happened after that.

        So days later, once it is gone from the log, a new process goes on there.
        """
        monkeypatch.setattr("gateway.webhooks.deliverer._POSITION_SECONDS", 0.05)
        owner = site.gateway.owner
        document = """subscription { changes(of: [STOCK]) { topic
          ... on ChangeGap { stockLevels(first: 1) { nodes { id } } } } }"""
        id_ = (await site.create(document))["webhook"]["id"]
        await site.change(2)
        begun = await site.last()
        await owner.execute("delete from outbox_event where pub_seq < $1", begun)
        async with site.delivering():
            async with no_relay(site.url):
                await site.change()
                [state] = await site.receiver.wait_for(1)
            last = await site.last()
            assert (state.seq, last) == (begun, begun + 1)
            await site.until(id_, lambda shown: shown["seq"] == str(last))
        cursor = await owner.fetchval("select cursor from webhook where seq = $1", last)
        assert cursor == json.loads(state.body)["extensions"]["seq"].replace(
            f"{begun}~", f"{last}~"
        )
        await owner.execute(
            "update outbox_event set published_at = published_at - interval '3 days'"
            " where pub_seq is not null"
        )
        hold = "update sales_order set hold = $1 where id = (select min(id) from sales_order)"
        await owner.execute(hold, "ADDRESS")
        assert await site.last() == last + 1
        await drop_days(owner, timedelta(hours=1))
        assert await owner.fetchval("select min(pub_seq) from outbox_event") == last + 1
        async with open_gateway(site.url, **OPEN) as again:
            await again.runtime.follower.started()
            async with replace(site, gateway=again).delivering():
                await site.change()
                [_, got] = await site.receiver.wait_for(2)
                await site.until(id_, lambda shown: shown["delivered"] == "2")
        assert got.data["changes"] == {"topic": "STOCK"}
        assert json.loads(got.body)["extensions"] == {"seq": str(last + 2)}
        await owner.execute(hold, None)


class TestWorkers:
    """The process that sends them."""

    async def test_a_worker_that_is_killed_loses_nothing(self, site: Site) -> None:
        """What was being sent comes again, from whoever is next, and then the rest."""
        await site.gateway.owner.execute(
            "insert into job (company_id, kind, created_by, state, finished_at)"
            " values (1, 'verify', 'test', 'SUCCEEDED', now())"  # or the workers begin with it
        )
        site.receiver.delay = 0.05
        id_ = (await site.create())["webhook"]["id"]
        async with worker(site.url) as killed:
            await site.change(8)
            await site.receiver.wait_for(3)
            killed.send_signal(signal.SIGKILL)
            await killed.wait()
        async with site.delivering():
            await site.until(id_, lambda shown: int(shown["delivered"]) >= 8)
        seqs = [one.seq for one in site.receiver.got]
        assert len(set(seqs)) == 8
        assert seqs == sorted(seqs), "in order, even where one comes twice"
        assert len(seqs) <= 9, "only what was under way comes twice"


@asynccontextmanager
async def worker(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a worker as a process of its own until the block ends."""
    settings = {
        "ENVIRONMENT": "test",
        "DATABASE_URL": url,
        "JWT_SECRET": "a secret of the tests, long enough to sign",
        "LOG_LEVEL": "error",
        "WEBHOOK_PLAIN_HTTP": "true",
        "WEBHOOK_ALLOWED_PORTS": "[]",
        "WEBHOOK_ALLOWED_NETWORKS": '["127.0.0.0/8"]',
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "worker"),
        env={**os.environ, **{f"GATEWAY_{name}": value for name, value in settings.items()}},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def lines_are(deliverer: Deliverer, so: Callable[[dict[int, Any]], bool]) -> None:
    """Wait until what a deliverer serves is so: it looks again and again."""
    async with asyncio.timeout(60):
        while not so(deliverer._lines):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


class TestOwners:
    """Whose permissions a webhook has, and who may touch it."""

    async def test_pausing_keeps_changes(self, site: Site) -> None:
        """Nothing is sent while it is paused, and everything afterwards."""
        id_ = (await site.create())["webhook"]["id"]
        async with site.delivering() as deliverer:
            await lines_are(deliverer, lambda lines: len(lines) == 1)
            assert (await site.run("pauseWebhook", id_))["webhook"]["state"] == "PAUSED"
            await lines_are(deliverer, lambda lines: not lines)
            await site.change(2)
            await asyncio.sleep(0.1)
            assert not site.receiver.got
            await site.run("resumeWebhook", id_)
            await site.receiver.wait_for(2)

    async def test_secrets_overlap(self, site: Site) -> None:
        """For a day both sign, then only the new one."""
        created = await site.create()
        id_, old = created["webhook"]["id"], created["secret"]
        async with site.delivering():
            new = (await site.run("rotateWebhookSecret", id_))["secret"]
            assert new != old
            site.clock.now = datetime.now(UTC)  # noqa: TID251 - that of the command
            await site.change()
            [first] = await site.receiver.wait_for(1)
            assert verified(first, old, site.clock())
            assert verified(first, new, site.clock())
            site.clock.turn(hours=25)
            await site.change()
            _, second = await site.receiver.wait_for(2)
            assert verified(second, new, site.clock())
            assert not verified(second, old, site.clock())

    async def test_a_secret_is_told_once(self, site: Site) -> None:
        """And again only to a repetition of its very request; the database does not hold it."""
        given = {"key": key(), "url": site.receiver.url, "document": STOCK}
        first, second = [(await site.gateway.data(CREATE, given))["done"] for _ in range(2)]
        assert first["secret"] == second["secret"]
        assert first["webhook"]["id"] == second["webhook"]["id"]
        secret = first["secret"].removeprefix("whsec_")
        for table in ("webhook", "idempotency_key", "audit_log"):
            rows = await site.gateway.owner.fetch(f"select t::text from {table} t")
            assert not [row for row in rows if secret in row[0]], table

    async def test_a_revoked_owner_ends_it(self, site: Site) -> None:
        """With the reason; whoever updates it is its owner from then on."""
        await site.gateway.owner.execute("update app_user set archived_at = null where id = 2")
        created = await site.create(caller=acting("user:2"))
        id_ = created["webhook"]["id"]
        async with site.delivering():
            await site.change()
            await site.receiver.wait_for(1)
            await site.gateway.owner.execute("update app_user set archived_at = now() where id = 2")
            shown = await site.until(id_, lambda shown: shown["state"] == "DISABLED")
            assert "user:2" in shown["lastError"]
            await site.change()
            assert len(site.receiver.got) == 1
            updated = await site.run("updateWebhook", id_, url=f"{site.receiver.url}?2")
            assert updated["webhook"]["owner"] == "user:1"
            await site.run("resumeWebhook", id_)
            _, second = await site.receiver.wait_for(2)
            assert second.path.endswith("?2")
        await site.gateway.owner.execute("update app_user set archived_at = null where id = 2")

    async def test_permissions_are_those_of_now(self, site: Site) -> None:
        """A permission that the owner loses is gone from the next message."""
        owner = site.gateway.owner
        document = "subscription { stockChanged { ... on StockChange { seq onHand } } }"
        id_ = (await site.create(document, caller=acting("user:3")))["webhook"]["id"]
        async with site.delivering() as deliverer:
            await site.change()
            [first] = await site.receiver.wait_for(1)
            assert first.data["stockChanged"]["onHand"] is not None
            before = deliverer._lines.copy()
            await owner.execute(
                "delete from role_permission where role_id = 3 and permission = 'stock.read'"
            )
            await lines_are(
                deliverer, lambda lines: lines.keys() == before.keys() and lines != before
            )
            await site.change()
            _, second = await site.receiver.wait_for(2)
            assert second.data["stockChanged"]["onHand"] is None
            await site.until(id_, lambda shown: shown["delivered"] == "2")
        await owner.execute("insert into role_permission values (3, 'stock.read')")

    async def test_partners_have_their_own(self, site: Site) -> None:
        """A client bound to a partner sees, changes and is told of what is its own."""
        partner_id = await site.gateway.owner.fetchval("select partner_id from api_client")
        client = principal(partner_id=partner_id)
        other = principal(partner_id=partner_id + 1)
        ours = (await site.create())["webhook"]["id"]
        orders = "subscription { orderStatusChanged { seq order { id } } }"
        theirs = (await site.create(orders, caller=client))["webhook"]["id"]
        listed = await site.gateway.data("{ webhooks { nodes { id } } }", caller=client)
        ids = {node["id"] for node in listed["webhooks"]["nodes"]}
        assert theirs in ids
        assert ours not in ids
        for caller, id_ in ((client, ours), (other, theirs)):
            assert await site.show(id_, caller) is None
            for verb in ("pauseWebhook", "deleteWebhook", "rotateWebhookSecret"):
                refused = await site.run(verb, id_, caller=caller)
                assert [e["code"] for e in refused["userErrors"]] == ["NOT_FOUND"], verb
                assert refused["webhook"] is None
        for verb in ("rotateWebhookSecret", "updateWebhook"):
            refused = await site.run(verb, theirs)
            assert [e["code"] for e in refused["userErrors"]] == ["FORBIDDEN"], verb
        async with site.delivering():
            order = await site.gateway.owner.fetchval(
                """update sales_order set hold = 'MANUAL' where id = (
                     select id from sales_order where company_id = 1 and hold is null
                       and state = 'CONFIRMED' and partner_id = $1 order by id limit 1)
                   returning id""",
                partner_id,
            )
            await site.gateway.owner.execute(
                """update sales_order set hold = 'MANUAL' where id = (
                     select id from sales_order where company_id = 1 and hold is null
                       and state = 'CONFIRMED' and partner_id <> $1 order by id limit 1)""",
                partner_id,
            )
            [got] = await site.receiver.wait_for(1)
            await site.last()
            await asyncio.sleep(0.2)
        assert got.data["orderStatusChanged"]["order"]["id"] == encode_id("SalesOrder", order)
        assert len(site.receiver.got) == 1
        assert (await site.run("deleteWebhook", theirs, caller=client))["userErrors"] == []

    async def test_rehearsed_for_a_partner(self, site: Site) -> None:
        """A dry run shows what would be, and no row that is not the partner's."""
        partner_id = await site.gateway.owner.fetchval("select partner_id from api_client")
        query = CREATE.replace("operationName", "dryRun: true, operationName").replace(
            "owner }", "owner deliveries { totalCount } partner { id } }"
        )
        orders = "subscription { orderStatusChanged { seq } }"
        given = {"key": key(), "url": site.receiver.url, "document": orders}
        done = (await site.gateway.data(query, given, caller=principal(partner_id=partner_id)))[
            "done"
        ]
        assert done["userErrors"] == []
        assert done["webhook"]["partner"] == {"id": encode_id("Partner", partner_id)}
        assert await site.gateway.owner.fetchval(f"select count(*) from webhook where {OURS}") == 0


class TestRefusals:
    """What a webhook cannot be, by the field at fault."""

    @pytest.mark.parametrize(
        ("given", "path", "told"),
        [
            ({"url": "https://169.254.169.254/"}, "url", "address"),
            ({"url": "ftp://hooks.example/"}, "url", "https"),
            ({"url": ""}, "url", "characters"),
            ({"document": "subscription {"}, "document", "Syntax"),
            ({"document": "subscription { nothing }"}, "document", "nothing"),
            ({"document": "{ me { name } }"}, "document", "subscription"),
            (
                {"document": "subscription A { stockChanged { __typename } }", "name": "B"},
                "document",
                "B",
            ),
            ({"variables": "[]"}, "variables", "JSON object"),
            ({"variables": "{"}, "variables", "JSON object"),
            ({"variables": '{"a": NaN}'}, "variables", "JSON object"),
            ({"after": "x"}, "after", "place"),
            ({"after": "99999999"}, "after", "not in the log"),
            (
                {
                    "document": "subscription ($w: [ID!]) { stockChanged(filter: { warehouseIds:"
                    " $w }) { __typename } }",
                    "variables": '{"w": ["nonsense"]}',
                },
                "document",
                "id",
            ),
        ],
    )
    async def test_the_field_is_named(
        self, site: Site, given: dict[str, Any], path: str, told: str
    ) -> None:
        """With what would be right."""
        refused = await site.try_create(**given)
        assert refused["webhook"] is refused["secret"] is None
        [error] = refused["userErrors"]
        assert error["path"] == [path]
        assert told in error["message"]

    async def test_every_stream_that_can_be_resumed_can_be_one(self, site: Site) -> None:
        """Also those to come; what cannot go on after a place in the log is refused."""
        known = await known_rows(site.gateway.owner)
        resumable = set()
        for root in root_fields("Subscription"):
            asked = operation((root,), "{ __typename }", known, 1)
            variables = json.dumps(dict(asked.variables))
            done = await site.try_create(asked.query, variables=variables)
            refused = [(error["path"], error["message"]) for error in done["userErrors"]]
            if "after" in root.field.args:
                assert refused == [], root
                resumable.add(root.name)
            else:
                [(path, message)] = refused
                assert path == ["document"]
                assert "resumed" in message
        assert {"stockChanged", "orderStatusChanged"} <= resumable

    async def test_what_the_owner_may_not_see_is_refused(self, site: Site) -> None:
        """A subscription that would be denied is denied at once."""
        caller = principal(permissions=EVERY_PERMISSION - {"sales.read"})
        refused = await site.try_create(
            "subscription { orderStatusChanged { seq } }", caller=caller
        )
        [error] = refused["userErrors"]
        assert (error["code"], error["path"]) == ("FORBIDDEN", ["document"])
        assert "sales.read" in error["message"]

    async def test_states_are_minded(self, site: Site) -> None:
        """What is paused cannot be paused, what is deleted is gone."""
        id_ = (await site.create())["webhook"]["id"]
        assert [e["code"] for e in (await site.run("resumeWebhook", id_))["userErrors"]] == [
            "INVALID_TRANSITION"
        ]
        await site.run("pauseWebhook", id_)
        assert [e["code"] for e in (await site.run("pauseWebhook", id_))["userErrors"]] == [
            "INVALID_TRANSITION"
        ]
        assert (await site.run("deleteWebhook", id_))["userErrors"] == []
        assert [e["code"] for e in (await site.run("resumeWebhook", id_))["userErrors"]] == [
            "NOT_FOUND"
        ]


def acting(actor: str) -> Principal:
    """Return a caller with every permission, by this name."""
    caller = principal()
    return Principal(
        kind=caller.kind,
        actor=actor,
        name=actor,
        access=caller.access,
        companies=caller.companies,
        credential="test",
    )

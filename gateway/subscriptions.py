"""Who is told of changes at this moment, known to all processes, and ended from any of them.

Every process writes down the subscriptions it serves: in one statement a second, and in none while
there are none. What is to end it hears at once, and reads with that statement where it did not.
"""

import asyncio
import time
from typing import Any, Final
from uuid import uuid4

import orjson

from gateway.relay import Connection, keep_running
from resolvers.core.errors import SubscriptionEnded
from resolvers.operations.commands import ENDED_CHANNEL
from schema.core.live import Live, Subscriber

_ROUND_SECONDS: Final = 1.0
"""From one statement to the next."""
_SEEN_SECONDS: Final = 3.0
"""How often rows are told to be of the living, if nothing else is to be told of them."""
_KEEP: Final = """
with made as (
  insert into live_subscription (id, company_id, partner_id, actor, process, operation_name, field,
                                 transport, began_at)
  select n.id, n.company_id, n.partner_id, n.actor, $1, n.operation_name, n.field, n.transport,
         n.began_at
  from jsonb_to_recordset($2) as n (id bigint, company_id int, partner_id bigint, actor text,
    operation_name text, field text, transport text, began_at timestamptz)
  on conflict (id) do nothing
), seen as (
  update live_subscription l set seen_at = now(), delivered = s.delivered
  from unnest($3::bigint[], $4::bigint[]) as s (id, delivered)
  where l.id = s.id
  returning 1
), gone as (
  delete from live_subscription where id = any ($5::bigint[])
), dead as (
  delete from live_subscription where id in (
    select id from live_subscription
    where process <> $1 and seen_at < now() - interval '10 seconds'
    for update skip locked)
)
select (select count(*) from seen),
       array(select id from live_subscription where process = $1 and end_requested_at is not null)
"""


class Subscriptions:
    """The live subscriptions of one process, as the others know them.

    Writes rows of all companies, so it connects as the owner of the tables.
    """

    def __init__(self, database_url: str, live: Live) -> None:
        self._database_url = database_url
        self._live = live
        self._process = uuid4()
        self._told: dict[int, int] = {}
        """What the table has: answers delivered, by id."""
        self._served: dict[int, Subscriber] = {}
        """Those that ran when it was last looked, by id."""
        self._seen = 0.0

    async def run(self) -> None:
        """Keep the table until canceled."""
        await keep_running("subscriptions", self._database_url, self._keep)

    async def _keep(self, connection: Connection) -> None:
        await connection.add_listener(ENDED_CHANNEL, self._hear)
        while True:
            await self._write(connection)
            await asyncio.sleep(_ROUND_SECONDS)

    def _hear(self, *heard: Any) -> None:
        """End a subscription that is to end, if it is served here."""
        self._end(int(heard[-1]))

    def _end(self, id_: int) -> None:
        subscriber = self._served.pop(id_, None)
        if subscriber is not None:
            subscriber.stop(SubscriptionEnded("The subscription was ended."))

    async def _write(self, connection: Connection) -> None:
        """Write what has changed since the last time, and end what is to end."""
        told = self._told
        served = {one.id: one for one in self._live.subscribers if _is_listed(one)}
        self._served = served
        gone = [id_ for id_ in told if id_ not in served]
        if not served and not gone:
            return
        new = [_row(one) for id_, one in served.items() if id_ not in told]
        seen = {id_: served[id_].delivered for id_ in told if id_ in served}
        if time.monotonic() - self._seen < _SEEN_SECONDS:
            seen = {id_: count for id_, count in seen.items() if count != told[id_]}
        else:
            self._seen = time.monotonic()
        [(updated, ended)] = await connection.fetch(
            _KEEP,
            self._process,
            orjson.dumps(new).decode(),
            list(seen),
            list(seen.values()),
            gone,
        )
        if updated < len(seen):  # this one seemed dead to another: its rows are to be made anew
            told.clear()
        else:
            for id_ in gone:
                del told[id_]
            told.update(seen)
            told.update(dict.fromkeys((row["id"] for row in new), 0))
        for id_ in ended:
            self._end(id_)


def _is_listed(one: Subscriber) -> bool:
    """Tell whether a subscriber is one of a client that is connected, and has begun."""
    return one.transport is not None and one.principal is not None


def _row(one: Subscriber) -> dict[str, Any]:
    principal = one.principal
    assert principal is not None, "nobody is listed before it is known who it is"
    return {
        "id": one.id,
        "company_id": principal.company_id,
        "partner_id": principal.partner_id,
        "actor": principal.actor,
        "operation_name": one.prepared.operation_name,
        "field": one.root_field,
        "transport": one.transport,
        "began_at": one.began_at,
    }

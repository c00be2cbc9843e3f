"""Days of the event log: partitions that are made ahead of time and dropped as a whole.

For the relay at work alone, on its connection. A partition is named after its last day, in UTC.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeAlias

import asyncpg
import structlog

Connection: TypeAlias = "asyncpg.Connection[Any]"

_DAYS_AHEAD: Final = 1
"""How many days the partitions are ahead of the log; one is tried for all day long."""
_LOCK_TIMEOUT: Final = "set local lock_timeout = '100ms'"
"""Longest that writers and readers wait behind a change of partitions; it is tried again later."""

_MADE: Final = """
select relname from pg_inherits join pg_class c on c.oid = inhrelid
where inhparent = 'outbox_event'::regclass and relname ~ '^outbox_event_[0-9]{8}$'
order by relname
"""
_MAKE: Final = """
create table {name} (like outbox_event including defaults including constraints);
alter table {name} enable row level security;
with late as (
  delete from outbox_event_rest where published_at >= '{begins}' and published_at < '{ends}'
  returning *
)
insert into {name} select * from late;
alter table outbox_event attach partition {name} for values from ('{begins}') to ('{ends}')
"""
_TODAY: Final = "select (clock_timestamp() at time zone 'utc')::date"
# By the last event it is known what was missed, however long nothing has happened since.
_KEPT_FROM: Final = """
select (least(clock_timestamp() - $1::interval, (
  select published_at from outbox_event where pub_seq is not null order by pub_seq desc limit 1
)) at time zone 'utc')::date
"""
_LATE: Final = "select exists (select from outbox_event_rest where published_at < $1)"
# Places grow with the days; only a clock that was set back mixes them, and then they go together.
_FOUND: Final = """
select (select min(pub_seq) from outbox_event where published_at < $1),
       (select max(pub_seq) from outbox_event where published_at < $1),
       (select min(pub_seq) from outbox_event where published_at >= $1)
"""

_log = structlog.get_logger("relay")


async def make_days(connection: Connection) -> None:
    """Make the partitions of today and of the days after it that are not there yet.

    One that cannot be made is left for the next time; its events go to the partition of the rest,
    and come along when it is made.
    """
    today = await connection.fetchval(_TODAY)
    made = {row["relname"] for row in await connection.fetch(_MADE)}
    for ahead in range(_DAYS_AHEAD + 1):
        day = today + timedelta(days=ahead)
        if _name(day) not in made:
            try:
                await make_day(connection, day)
            except asyncpg.PostgresError as error:
                _log.warning("partition not made", day=str(day), reason=str(error))


async def make_day(connection: Connection, day: date) -> None:
    """Make the partition of one day.

    It is made beside the table and attached, which no writer or reader of other days waits for.
    """
    async with connection.transaction():
        await connection.execute(_LOCK_TIMEOUT)
        await connection.execute(
            _MAKE.format(
                name=_name(day), begins=_midnight(day), ends=_midnight(day + timedelta(days=1))
            )
        )


async def drop_days(connection: Connection, retention: timedelta) -> int:
    """Drop the days that ended ``retention`` ago; return how many events they held.

    The day of the last event is kept until there is a later one: so an empty log is one in which
    nothing ever happened, and whoever was told of that day is not too old after a quiet week. What
    is kept has no holes: while an earlier event is kept than the last of those days, they are too.
    Where the table is in use for longer than others should wait, it is left for the next time.
    """
    kept_from = await connection.fetchval(_KEPT_FROM, retention)
    midnight = datetime.combine(kept_from, time(), UTC)
    over = [row["relname"] for row in await connection.fetch(_MADE)]
    over = [name for name in over if name < _name(kept_from)]
    # a partition of several days, as the first is, would be read as a whole for the places
    if not over and not await connection.fetchval(_LATE, midnight):
        return 0
    [(oldest, last, oldest_kept)] = await connection.fetch(_FOUND, midnight)
    if not (over or last) or (oldest_kept is not None and (last or 0) > oldest_kept):
        return 0
    try:
        async with connection.transaction():
            await connection.execute(_LOCK_TIMEOUT)
            await connection.execute(
                f"delete from outbox_event_rest where published_at < '{_midnight(kept_from)}'"  # noqa: S608
            )
            if over:
                await connection.execute(f"drop table {', '.join(over)}")
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
        _log.info("days of the log not dropped yet", days=over, reason=str(error))
        return 0
    _log.info("days of the log dropped", days=over)
    return 0 if last is None else int(last - oldest + 1)


def _name(day: date) -> str:
    return f"outbox_event_{day:%Y%m%d}"


def _midnight(day: date) -> str:
    return f"{day} 00:00:00+00"

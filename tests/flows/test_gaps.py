"""Everybody is told everything, once and in order, whatever is killed meanwhile.

The whole thing, with 1,000 subscribers and a restart of PostgreSQL, is `python -m benchmarks.gaps`.
"""

import asyncio
from pathlib import Path

import asyncpg

from benchmarks.following import SOCKET, STREAM, Part, Record
from benchmarks.gaps import Change, Found, Scale, compare, look_for_gaps

_CUT = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1"
AWAY_SECONDS = 1.5


async def test_no_subscriber_has_a_gap(own_database_url: str, tmp_path: Path) -> None:
    """A gateway is killed, then the one that publishes, and the database is away for a while."""
    name = own_database_url.partition("?")[0].rpartition("/")[2]
    elsewhere = await asyncpg.connect(own_database_url.replace(f"/{name}", "/postgres"))

    async def take_away() -> None:
        await elsewhere.execute(f'alter database "{name}" allow_connections false')
        await elsewhere.execute(_CUT, name)
        await asyncio.sleep(AWAY_SECONDS)
        await elsewhere.execute(f'alter database "{name}" allow_connections true')

    scale = Scale(
        subscribers=60, seconds=10, changes=60, kill_seconds=3.3, relay_kills=1, cut_seconds=4
    )
    try:
        finish = await look_for_gaps(
            own_database_url, scale, log=tmp_path / "log", restart=take_away
        )
    finally:
        await elsewhere.close()
    assert [one for found in finish.found.values() for one in found.problems] == []
    assert (finish.late, finish.wrong) == (0, 0), finish.found
    assert finish.tally.killed >= 2
    assert finish.tally.relay_killed == 1
    assert finish.events == finish.tally.written == scale.changes * scale.seconds
    for found in finish.found.values():
        assert found.subscribers == scale.subscribers // 2
        assert found.told > 0
        assert found.cuts > found.subscribers
        assert found.snapshots > found.left > 0


def test_what_is_wrong_with_a_record_is_found() -> None:
    """Each fault is counted as what it is."""
    log = [Change(1, "a", 1), Change(2, "b", 1), Change(3, "a", 2), Change(4, "a", 3)]
    for told, expected in (
        ([1, 2, 3, 4], (0, 0, 0, 0)),
        ([1, 2, 4], (1, 0, 0, 0)),
        ([1, 2, 2, 3, 4], (0, 1, 0, 0)),
        ([1, 3, 2, 4], (0, 0, 1, 0)),
        ([1, 2, 3, 4, 5], (0, 0, 0, 1)),
    ):
        found = Found()
        compare(Record(SOCKET, 0, [Part(told)]), log, {}, found)
        assert (found.lost, found.doubled, found.disordered, found.strange) == expected
    for versions, wrong in (({"a": 1, "b": 1}, (0, 0, 0)), ({"a": 2}, (0, 1, 1))):
        found = Found()
        parts = [Part([4], 3, {"a": 2}), Part([3, 4], 2, versions)]
        compare(Record(STREAM, 0, parts, {"a": ["1.0", "1.0"]}), log, {}, found)
        assert (found.snapshots, found.wrong_states) == (2, 1)
        assert (found.lost, found.strange, found.ahead) == wrong

"""Many buyers, few goods, several gateways: sold exactly once, whatever is killed meanwhile.

The whole thing, with 2,000 buyers and restarts of PostgreSQL, is `python -m benchmarks.races`.
"""

from pathlib import Path

import asyncpg

from benchmarks.races import Finish, Scale, race
from tests.fixtures.replay import balances, replayed

_CUT = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


async def right(finish: Finish, url: str) -> None:
    """Check that nothing was told or is there that should not be, and that all is sold."""
    assert finish.wrong == []
    assert finish.tally.replayed > 0
    assert sum(sold for _, _, sold, _ in finish.products) > 0
    owner = await asyncpg.connect(url)
    try:
        assert await balances(owner) == await replayed(owner)
    finally:
        await owner.close()


async def test_what_is_there_is_sold_and_no_more(own_database_url: str, tmp_path: Path) -> None:
    """Baskets, shipments, cancellations, returns and deliveries of five products at once."""
    scale = Scale(buyers=150, gateways=2, stock=40, deliveries=10, replays=60)
    finish = await race(own_database_url, "Races", scale, log=tmp_path / "log")
    await right(finish, own_database_url)
    assert all(left == 0 for *_, left in finish.products), "there are more buyers than goods"
    assert set(finish.tally.retried) <= {"TIMEOUT", "OVERLOADED"}


async def test_what_was_told_is_there_once(own_database_url: str, tmp_path: Path) -> None:
    """The same while gateways are killed, and the database twice ends every connection."""

    async def cut() -> None:
        owner = await asyncpg.connect(own_database_url)
        try:
            await owner.execute(_CUT)
        finally:
            await owner.close()

    scale = Scale(buyers=20, gateways=3, stock=8, deliveries=10, replays=30)
    finish = await race(
        own_database_url,
        "Kills",
        scale,
        log=tmp_path / "log",
        kills=True,
        restarts=[cut, cut],
    )
    await right(finish, own_database_url)
    assert finish.tally.killed > 0
    assert finish.tally.restarts == 2

"""The embedded PostgreSQL: started, shared, healed and stopped, with real processes and signals."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.postgres import EmbeddedPostgres, EmbeddedPostgresError, inspect, stop_unused
from gateway.postgres.cluster import Cluster
from gateway.postgres.server import ServerState
from tests.fixtures.server_users import ServerUser, eventually, kill_keeper, using

FAST = {"fsync": "off", "shared_buffers": "16MB", "max_connections": "20"}


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """An empty data directory; whatever server a test leaves there is stopped."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-test-"))
    yield folder
    cluster = Cluster.in_data_dir(folder)
    if pid := cluster.pid():
        os.kill(pid, signal.SIGCONT)
        cluster.stop()
    if cluster.home.exists():
        cluster.await_keeper()
    shutil.rmtree(folder)


def fetch(url: str, sql: str) -> Any:
    """Run one statement through the driver that the gateway uses."""

    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(run())


class TestOneProcess:
    """A single process starts the server and stops it."""

    def test_serves_and_keeps_what_was_written(self, data_dir: Path) -> None:
        """Rows survive a stop and a start, and nothing runs in between."""
        with EmbeddedPostgres(data_dir, settings=FAST) as server:
            fetch(server.url(), "create table kept as select 42 as answer")
        assert inspect(data_dir).pid is None
        with EmbeddedPostgres(data_dir, settings=FAST) as server:
            assert fetch(server.url(), "select answer from kept") == 42

    def test_is_set_up_as_promised(self, data_dir: Path) -> None:
        """PostgreSQL 18 with checksums, UTC, builtin C.UTF-8, no TCP, and the caller's settings."""
        with EmbeddedPostgres(data_dir, settings=FAST) as server:
            settings = fetch(
                server.url(),
                "select json_object_agg(name, setting)::text from pg_settings where name in ("
                "'data_checksums', 'TimeZone', 'listen_addresses', 'max_connections')",
            )
            assert '"data_checksums" : "on"' in settings
            assert '"TimeZone" : "UTC"' in settings
            assert '"listen_addresses" : ""' in settings
            assert '"max_connections" : "20"' in settings
            assert fetch(server.url(), "show server_version_num") >= "180000"
            locale = "select datlocale from pg_database where datname = current_database()"
            assert fetch(server.url(), locale) == "C.UTF-8"

    def test_copies_and_drops_databases(self, data_dir: Path) -> None:
        """A database made from a template holds the template's rows; names may be anything."""
        name = """we"ird 'name' ü"""
        with EmbeddedPostgres(data_dir, settings=FAST) as server:
            server.create_database("model")
            fetch(server.url("model"), "create table copied as select 7 as n")
            server.create_database(name, template="model")
            assert server.has_database(name)
            assert fetch(server.url(name), "select n from copied") == 7
            server.drop_database(name)
            server.drop_database(name)
            assert not server.has_database(name)

    def test_says_what_postgresql_said(self, data_dir: Path) -> None:
        """A refused statement raises PostgreSQL's message."""
        with (
            EmbeddedPostgres(data_dir, settings=FAST) as server,
            pytest.raises(EmbeddedPostgresError, match='database "postgres" already exists'),
        ):
            server.create_database("postgres")

    def test_may_live_in_an_odd_folder(self, data_dir: Path) -> None:
        """Spaces, commas, quotes and letters of any language in the path do no harm."""
        with EmbeddedPostgres(data_dir / "it's, a ünusual %folder", settings=FAST) as server:
            assert fetch(server.url(), "select 1") == 1

    def test_may_live_in_a_deep_folder(self, data_dir: Path) -> None:
        """A path too long for a socket gets a short private folder, gone after the stop."""
        deep = data_dir / "/".join(["a-rather-long-folder-name"] * 6)
        with EmbeddedPostgres(deep, settings=FAST) as server:
            assert fetch(server.url(), "select 1") == 1
            socket_dir = Cluster.in_data_dir(deep).socket_dir
            assert data_dir not in socket_dir.parents
            assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
        assert not socket_dir.exists()

    def test_ignores_the_environment_of_other_servers(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """PGHOST and the like lead nowhere else, no locale is needed, no secret passed on."""
        for name, value in {"PGHOST": "elsewhere", "PGPORT": "1", "LC_ALL": "xx_XX"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("GATEWAY_JWT_SECRET", "not for the server's user")
        with EmbeddedPostgres(data_dir, settings=FAST) as server:
            assert server.has_database("postgres")
            environment = Path(f"/proc/{inspect(data_dir).pid}/environ").read_bytes()
            assert b"not for the server" not in environment

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
    def test_opens_no_more_than_the_way_for_roots_server(self, data_dir: Path) -> None:
        """As root, folders above the data get o+x, each is named, and nothing else changes."""
        closed = data_dir / "closed"
        closed.mkdir(mode=0o700)
        said: list[str] = []
        with EmbeddedPostgres(closed / "data", progress=said.append, settings=FAST):
            assert stat.S_IMODE(closed.stat().st_mode) == 0o701
            assert stat.S_IMODE((closed / "data/postgres/cluster").stat().st_mode) == 0o700
            assert (closed / "data/postgres/cluster").stat().st_uid != 0
        assert any(str(closed) in sentence and "chmod o+x" in sentence for sentence in said)


def settled(data_dir: Path) -> ServerState:
    """Look at a server once nobody is about to join it or to leave it."""
    for _ in range(200):
        state = inspect(data_dir)
        if not state.busy:
            return state
        time.sleep(0.05)
    raise AssertionError("somebody never let go of the data directory")


class TestSeveralProcesses:
    """Processes share the server; locks, not lists of process ids, say who uses it."""

    def test_the_last_to_leave_stops_it(self, data_dir: Path) -> None:
        """A server stays while anybody uses it, and is stopped when the last one has left."""
        with using(data_dir) as first:
            with using(data_dir) as second:
                pid = inspect(data_dir).pid
                assert first.leave() == "left\n"
                state = settled(data_dir)
                assert (state.pid, state.accepting, state.in_use) == (pid, True, True)
                assert second.leave() == "left\n"
            assert inspect(data_dir).pid is None

    def test_many_starting_at_once_share_one(self, data_dir: Path) -> None:
        """Processes that start together end up on the same server."""
        users = [ServerUser(data_dir) for _ in range(4)]
        try:
            assert all(user.is_ready() for user in users)
            launches = Cluster.in_data_dir(data_dir).log.read_text().count("starting PostgreSQL")
            assert launches == 1
        finally:
            for user in users:
                user.kill()

    def test_the_last_to_leave_a_temporary_one_removes_it(self, data_dir: Path) -> None:
        """Temporary data goes with its last user, and those who come later start from nothing."""
        shared = data_dir / "shared"
        with EmbeddedPostgres(shared, settings=FAST, temporary=True) as first:
            first.create_database("known")
            with EmbeddedPostgres(shared, settings=FAST, temporary=True) as second:
                assert second.has_database("known")
            assert first.has_database("known")
        assert not shared.exists()
        with EmbeddedPostgres(shared, settings=FAST, temporary=True) as later:
            assert not later.has_database("known")

    def test_a_killed_user_does_not_count(self, data_dir: Path) -> None:
        """When the only user is killed, the keeper stops the server."""
        with using(data_dir) as user:
            user.kill()
        assert eventually(lambda: inspect(data_dir).pid is None)

    def test_a_killed_user_leaves_the_others_alone(self, data_dir: Path) -> None:
        """Killing the process that started the server does not take it from the others."""
        with using(data_dir) as starter, EmbeddedPostgres(data_dir) as server:
            starter.kill()
            time.sleep(1)
            assert fetch(server.url(), "select 1") == 1

    def test_a_server_that_outlived_everybody_is_adopted(self, data_dir: Path) -> None:
        """With user and keeper killed, the next start joins the same server and has it kept."""
        with using(data_dir) as user:
            kill_keeper(data_dir)
            user.kill()
        orphan = inspect(data_dir)
        assert orphan.orphaned
        with EmbeddedPostgres(data_dir):
            adopted = inspect(data_dir)
            assert (adopted.pid, adopted.in_use, adopted.kept) == (orphan.pid, True, True)
        assert inspect(data_dir).pid is None

    def test_a_server_that_outlived_everybody_can_be_stopped(self, data_dir: Path) -> None:
        """`stop_unused` stops an orphan, and then has nothing to do."""
        with using(data_dir) as user:
            kill_keeper(data_dir)
            user.kill()
        assert stop_unused(data_dir)
        assert inspect(data_dir).pid is None
        assert not stop_unused(data_dir)

    def test_a_server_in_use_is_not_stopped(self, data_dir: Path) -> None:
        """`stop_unused` refuses while somebody uses the server."""
        with (
            EmbeddedPostgres(data_dir, settings=FAST),
            pytest.raises(EmbeddedPostgresError, match="in use"),
        ):
            stop_unused(data_dir)

    def test_a_data_directory_taken_away_ends_its_server(self, data_dir: Path) -> None:
        """Nothing runs on in a folder that was removed or moved."""
        with using(data_dir) as user:
            pid = inspect(data_dir).pid
            (data_dir / "postgres").rename(data_dir / "moved")
            assert eventually(lambda: not (Path("/proc") / str(pid)).exists())
            user.kill()


class TestCrashes:
    """What was committed is there again, and a dead server is never taken for a living one."""

    def test_heals_while_in_use(self, data_dir: Path) -> None:
        """A server killed under its users is started again without their doing."""
        with EmbeddedPostgres(data_dir, settings=FAST) as server:
            fetch(server.url(), "create table kept as select 42 as answer")
            crashed = inspect(data_dir).pid
            assert crashed is not None
            os.kill(crashed, signal.SIGKILL)
            assert eventually(lambda: inspect(data_dir).accepting)
            assert inspect(data_dir).pid != crashed
            assert fetch(server.url(), "select answer from kept") == 42

    def test_recovers_at_the_next_start(self, data_dir: Path) -> None:
        """After user, keeper and server were killed, a start recovers what was committed."""
        with using(data_dir) as user:
            server = EmbeddedPostgres(data_dir)
            fetch(server.url(), "create table kept as select 42 as answer")
            crashed = inspect(data_dir).pid
            assert crashed is not None
            kill_keeper(data_dir)
            os.kill(crashed, signal.SIGKILL)
            user.kill()
        with EmbeddedPostgres(data_dir, settings=FAST) as server:
            assert fetch(server.url(), "select answer from kept") == 42

    def test_waits_for_the_remains_of_a_crash(self, data_dir: Path) -> None:
        """While a process of the crashed server is still ending, a start waits for it."""
        with using(data_dir) as user:
            url = EmbeddedPostgres(data_dir).url()
            crashed = inspect(data_dir).pid
            assert crashed is not None
            walwriter = "select pid from pg_stat_activity where backend_type = 'walwriter'"
            lingering = fetch(url, walwriter)
            os.kill(lingering, signal.SIGSTOP)
            kill_keeper(data_dir)
            os.kill(crashed, signal.SIGKILL)
            user.kill()
        threading.Timer(4, os.kill, (lingering, signal.SIGCONT)).start()
        with EmbeddedPostgres(data_dir, settings=FAST) as server:
            assert fetch(server.url(), "select 1") == 1
        assert "pre-existing shared memory block" in Cluster.in_data_dir(data_dir).log.read_text()

    def test_a_process_id_reused_by_another_program_is_no_server(self, data_dir: Path) -> None:
        """A pid file that names a stranger's process does not keep the server from starting."""
        with EmbeddedPostgres(data_dir, settings=FAST):
            pass
        data = Cluster.in_data_dir(data_dir).data
        with subprocess.Popen(["sleep", "60"], user=data.stat().st_uid) as stranger:
            (data / "postmaster.pid").write_text(f"{stranger.pid}\n{data}\n")
            assert inspect(data_dir).pid is None
            with EmbeddedPostgres(data_dir, settings=FAST) as server:
                assert fetch(server.url(), "select 1") == 1
            assert stranger.poll() is None
            stranger.kill()

    def test_a_server_that_hangs_is_not_ready(self, data_dir: Path) -> None:
        """A start that ran out of time says so, and leaves the server to come back."""
        with using(data_dir):
            pid = inspect(data_dir).pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            with pytest.raises(EmbeddedPostgresError, match="not ready after 1 s"):
                EmbeddedPostgres(data_dir, start_seconds=1).start()
            os.kill(pid, signal.SIGCONT)
            with EmbeddedPostgres(data_dir) as server:
                assert fetch(server.url(), "select 1") == 1
                assert inspect(data_dir).pid == pid

    def test_an_interrupted_initdb_is_done_again(self, data_dir: Path) -> None:
        """A start killed while the data directory was being made leaves nothing in the way."""
        user = ServerUser(data_dir)
        assert eventually(lambda: any((data_dir / "postgres").glob("initdb-*/base")))
        user.kill()
        assert not inspect(data_dir).exists
        with EmbeddedPostgres(data_dir, settings=FAST) as server:
            assert fetch(server.url(), "select 1") == 1
        assert not any((data_dir / "postgres").glob("initdb-*"))


class TestRefusals:
    """Each says what is wrong and what to do."""

    def test_a_wrong_setting(self, data_dir: Path) -> None:
        """A server that cannot start shows the end of its log, and nothing stays behind."""
        server = EmbeddedPostgres(data_dir, settings={"shared_buffers": "plenty"})
        with pytest.raises(EmbeddedPostgresError, match=r'"shared_buffers": "plenty"'):
            server.start()
        assert eventually(lambda: not inspect(data_dir).kept)
        assert inspect(data_dir).pid is None
        with EmbeddedPostgres(data_dir, settings=FAST):
            pass

    def test_a_data_directory_of_another_version(self, data_dir: Path) -> None:
        """A data directory of PostgreSQL 17 is named and left alone."""
        with EmbeddedPostgres(data_dir, settings=FAST):
            pass
        (data_dir / "postgres/cluster/PG_VERSION").write_text("17\n")
        with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 17, this is 18"):
            EmbeddedPostgres(data_dir, settings=FAST).start()

    def test_a_folder_that_is_no_data_directory(self, data_dir: Path) -> None:
        """A folder with other things in it is not touched."""
        (data_dir / "postgres/cluster").mkdir(parents=True)
        with pytest.raises(EmbeddedPostgresError, match="not a PostgreSQL data directory"):
            EmbeddedPostgres(data_dir, settings=FAST).start()

    def test_a_data_directory_that_cannot_be_written(self, data_dir: Path) -> None:
        """The error names the folder and the setting that chooses another."""
        (data_dir / "file").touch()
        with pytest.raises(EmbeddedPostgresError, match=r"data directory .*file.*GATEWAY_DATA_DIR"):
            EmbeddedPostgres(data_dir / "file", settings=FAST).start()

    def test_programs_that_are_not_installed(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without the package, the error names the other way: a database of one's own."""
        monkeypatch.setattr("gateway.postgres.installation.PACKAGE", "not_installed_here")
        with pytest.raises(EmbeddedPostgresError, match="GATEWAY_DATABASE_URL"):
            EmbeddedPostgres(data_dir).start()

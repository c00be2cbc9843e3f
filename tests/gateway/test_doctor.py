"""The doctor, on sound installations and on sick ones."""

import asyncio
import importlib.metadata
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from gateway import doctor
from gateway.cli import describe, main
from gateway.doctor import Finding, examine
from gateway.migrate import head_revision, migrate
from gateway.postgres import EmbeddedPostgres, inspect
from gateway.provision import DATABASE
from gateway.settings import Settings
from tests.fixtures.server_users import kill_keeper, using


@pytest.fixture(autouse=True)
def no_blocking_calls() -> None:
    """Let the command line's own loop block: it serves nobody."""


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server whose roles may be spoiled."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-doctor-"))
    with EmbeddedPostgres(folder, settings={"fsync": "off"}) as running:
        running.create_database(DATABASE)
        asyncio.run(migrate(running.url(DATABASE)))
        yield running
    shutil.rmtree(folder)


def run_sql(url: str, sql: str) -> None:
    """Run statements as the owner."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(sql)
        await connection.close()

    asyncio.run(run())


def findings(settings: Settings) -> dict[str, Finding]:
    """Examine, and return what was found by subject."""
    return {finding.subject: finding for finding in examine(settings)}


def at(url: str, **changes: object) -> Settings:
    """Return settings over a database."""
    return Settings.model_validate({"database_url": SecretStr(url), "port": 0, **changes})


class TestDatabase:
    """The operator's database."""

    def test_a_sound_one(self, server: EmbeddedPostgres) -> None:
        """Reachable, migrated, and its roles are bound by row-level security."""
        found = findings(at(server.url(DATABASE)))
        assert {f.status for f in found.values()} == {"ok"}, found
        assert found["database"].detail == "PostgreSQL 18 answers"
        assert found["migrations"].detail == f"at {head_revision()}"
        assert found["serving roles"].detail == "cannot bypass row-level security"

    def test_one_that_is_not_migrated(self, server: EmbeddedPostgres) -> None:
        """An empty database is told to migrate."""
        server.create_database("empty")
        found = findings(at(server.url("empty")))
        assert found["migrations"].status == "problem"
        assert "at nothing" in found["migrations"].detail
        assert found["migrations"].remedy == "Run: python -m gateway migrate"

    def test_one_that_a_newer_gateway_migrated(self, server: EmbeddedPostgres) -> None:
        """A revision from the future is not taken for an old one."""
        server.create_database("newer", template=DATABASE)
        run_sql(server.url("newer"), "update alembic_version set version_num = '9999'")
        found = findings(at(server.url("newer")))
        assert found["migrations"].status == "problem"
        assert "newer" in found["migrations"].detail

    @pytest.mark.parametrize("power", ["bypassrls", "superuser"])
    def test_a_role_that_sees_every_row(self, server: EmbeddedPostgres, power: str) -> None:
        """A serving role that row-level security does not bind is a problem."""
        url = server.url(DATABASE)
        run_sql(url, f"alter role erp_app {power}")
        try:
            found = findings(at(url))["serving roles"]
        finally:
            run_sql(url, f"alter role erp_app no{power}")
        assert (found.status, found.detail) == ("problem", "erp_app can bypass row-level security")

    def test_a_role_that_owns_a_table(self, server: EmbeddedPostgres) -> None:
        """The owner of a table is not bound by its policies."""
        server.create_database("owned", template=DATABASE)
        url = server.url("owned")
        run_sql(url, "create table mine (); alter table mine owner to erp_app")
        assert findings(at(url))["serving roles"].status == "problem"

    def test_one_that_cannot_be_reached(self) -> None:
        """The address is named, the password is not."""
        found = findings(at("postgresql://me:hunter2@127.0.0.1:1/erp"))["database"]
        assert found.status == "problem"
        assert "127.0.0.1:1/erp" in found.detail
        assert "hunter2" not in found.detail


class TestEmbedded:
    """The embedded server."""

    def test_none_yet(self, tmp_path: Path) -> None:
        """Nothing has been made; nothing is made by looking."""
        found = findings(Settings(data_dir=tmp_path / "data", port=0))
        assert found["embedded postgres"].status == "note"
        assert not (tmp_path / "data").exists()

    def test_an_orphan_is_found_and_stopped(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A server that outlived everybody is a problem, and `doctor --stop` is the way out."""
        folder = Path(tempfile.mkdtemp(prefix="gateway-doctor-"))
        with using(folder) as user:
            kill_keeper(folder)
            user.kill()
        found = findings(Settings(data_dir=folder, port=0))["embedded postgres"]
        assert found.status == "problem"
        assert "outlived everybody" in found.detail
        assert "doctor --stop" in found.remedy
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("GATEWAY_DATA_DIR", str(folder))
            environment.setenv("GATEWAY_PORT", "0")
            assert main(["doctor", "--stop"]) == 0
        assert "Stopped the embedded PostgreSQL" in capsys.readouterr().out
        assert inspect(folder).pid is None
        shutil.rmtree(folder)

    def test_one_in_use_is_examined_to_the_bottom(self) -> None:
        """A running server is joined by nobody for the examination, and examined all the same."""
        folder = Path(tempfile.mkdtemp(prefix="gateway-doctor-"))
        with EmbeddedPostgres(folder, settings={"fsync": "off"}) as server:
            server.create_database(DATABASE)
            found = findings(Settings(data_dir=folder, port=0))
            assert found["embedded postgres"].status == "ok"
            assert found["migrations"].status == "problem"
        shutil.rmtree(folder)


class TestSurroundings:
    """What lies around the database."""

    def test_a_port_that_is_taken(self) -> None:
        """It may be the gateway itself, so it is a note."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            found = doctor.examine_port(Settings(port=taken.getsockname()[1]))
        assert found.status == "note"
        assert "GATEWAY_PORT" in found.remedy

    def test_packages_that_differ_from_the_lock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each is named with both versions."""
        installed = list(importlib.metadata.distributions())
        starlette = next(d for d in installed if d.name.lower() == "starlette")
        monkeypatch.setattr(type(starlette), "version", property(lambda _: "0.1"))
        found = doctor.examine_packages()
        assert found.status == "problem"
        assert re.search(r"starlette 0\.1 \(the lock says [\d.]+\)", found.detail)
        assert found.remedy == "Run: make install"

    def test_secrets_that_others_can_read(self, tmp_path: Path) -> None:
        """The mode is looked at, and the way to mend it is a command."""
        secret = tmp_path / "secrets" / "jwt"
        secret.parent.mkdir()
        secret.write_text("secret")
        secret.chmod(0o600)
        settings = Settings(data_dir=tmp_path)
        assert [f.status for f in doctor.examine_secrets(settings)] == ["ok"]
        secret.chmod(0o644)
        (found,) = doctor.examine_secrets(settings)
        assert (found.status, found.remedy) == ("problem", f"Run: chmod 600 {secret}")

    def test_a_data_directory_that_cannot_be(self, tmp_path: Path) -> None:
        """A file in the way is named."""
        (tmp_path / "file").touch()
        found = doctor.examine_data_dir(Settings(data_dir=tmp_path / "file" / "data"))
        assert found.status == "problem"
        assert "GATEWAY_DATA_DIR" in found.remedy

    def test_a_remedy_stands_below_its_finding(self) -> None:
        """Findings read as a table, remedies indented under them."""
        text = describe(Finding("port", "note", "taken", "Choose another."))
        assert text == "note     port               taken\n" + " " * 28 + "Choose another."

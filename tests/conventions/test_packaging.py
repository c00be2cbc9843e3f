"""Installation as a stranger meets it: locks, Makefile, scripts, image and compose file."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.main import get_command

from gateway.cli import app
from gateway.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def read_lock(name: str) -> dict[str, tuple[Requirement, frozenset[str]]]:
    """Return the pin and the hashes of every package in a lock file."""
    text = re.sub(r"#.*", "", (ROOT / name).read_text()).replace("\\\n", " ")
    pins: dict[str, tuple[Requirement, frozenset[str]]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        pin, *hashes = line.split(" --hash=")
        requirement = Requirement(pin)
        pins[canonicalize_name(requirement.name)] = (requirement, frozenset(map(str.strip, hashes)))
    return pins


def declared(*groups: str) -> list[Requirement]:
    """Return what pyproject.toml asks for: the dependencies, and those of dependency groups."""
    found = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    for group in groups:
        for entry in PROJECT["dependency-groups"][group]:
            if isinstance(entry, str):
                found.append(Requirement(entry))
            else:
                found += declared(entry["include-group"])[len(declared()) :]
    return found


def reachable(requirements: list[Requirement]) -> dict[str, frozenset[str]]:
    """Return every installed package that is needed here, directly or not, with its extras."""
    seen: set[tuple[str, frozenset[str]]] = set()
    open_ones = list(requirements)
    while open_ones:
        requirement = open_ones.pop()
        wanted = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if wanted in seen:
            continue
        seen.add(wanted)
        for text in importlib.metadata.requires(requirement.name) or ():
            needed = Requirement(text)
            marker = needed.marker
            if marker is None or any(
                marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)
            ):
                open_ones.append(needed)
    found: dict[str, frozenset[str]] = {}
    for name, extras in seen:
        found[name] = found.get(name, frozenset()) | extras
    return found


LOCKS = {"requirements.lock": (), "requirements-dev.lock": ("dev",)}


class TestLocks:
    """The locks are what pyproject.toml asks for, in full, and can be trusted."""

    @pytest.mark.parametrize("name", LOCKS)
    def test_pins_satisfy_the_project(self, name: str) -> None:
        """Every dependency is pinned, at a version its range allows."""
        pins = read_lock(name)
        for requirement in declared(*LOCKS[name]):
            pin, _ = pins[canonicalize_name(requirement.name)]
            version = str(pin.specifier).removeprefix("==")
            assert requirement.specifier.contains(version), f"{requirement}: run make lock"

    @pytest.mark.parametrize("name", LOCKS)
    def test_pins_are_complete_and_needed(self, name: str) -> None:
        """The pins that apply here are what is needed here: nothing missing, nothing left."""
        pinned = {
            package: frozenset(pin.extras)
            for package, (pin, _) in read_lock(name).items()
            if pin.marker is None or pin.marker.evaluate()
        }
        roots = [r for r in declared(*LOCKS[name]) if r.marker is None or r.marker.evaluate()]
        needed = reachable(roots)
        assert pinned.keys() == needed.keys(), "run make lock"
        # an older pip looks for the newest of a package with extras if its pin names none
        assert all(pinned[package] >= extras for package, extras in needed.items()), "run make lock"

    @pytest.mark.parametrize("name", LOCKS)
    def test_pins_have_hashes_and_no_addresses(self, name: str) -> None:
        """A package can be neither replaced nor taken from an address of somebody's own."""
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert "--index-url" not in text
        assert "--find-links" not in text
        for package, (_, hashes) in read_lock(name).items():
            assert hashes, package
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", h) for h in hashes), package

    def test_what_runs_is_what_was_tested(self) -> None:
        """The runtime lock is part of the development lock, hash for hash."""
        tested = read_lock("requirements-dev.lock")
        for package, (pin, hashes) in read_lock("requirements.lock").items():
            assert (pin.specifier, hashes) == (tested[package][0].specifier, tested[package][1])

    def test_what_is_installed_is_what_is_locked(self) -> None:
        """The tests run on the pinned versions."""
        for package, (pin, _) in read_lock("requirements-dev.lock").items():
            if pin.marker is None or pin.marker.evaluate():
                assert pin.specifier.contains(importlib.metadata.version(package)), package

    def test_nobody_else_brings_our_names(self) -> None:
        """No installed distribution provides a top-level package of ours."""
        provided = importlib.metadata.packages_distributions()
        assert not {"gateway", "schema", "resolvers", "tests", "benchmarks"} & provided.keys()

    def test_the_project_names_the_oldest_python_it_is_checked_for(self) -> None:
        """One floor everywhere: project, ruff, mypy and the lock."""
        assert PROJECT["project"]["requires-python"] == ">=3.11"
        assert PROJECT["tool"]["ruff"]["target-version"] == "py311"
        assert PROJECT["tool"]["mypy"]["python_version"] == "3.11"
        assert "--python-version 3.11" in (ROOT / ".ci/lock").read_text()
        assert default_environment()["python_version"] >= "3.11"


class TestMakefile:
    """The names people type."""

    def test_help_names_every_target(self) -> None:
        """`make help` lists the targets of the contract, each with a sentence."""
        shown = subprocess.run(
            ["make", "--no-print-directory", "help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        targets = re.findall(r"^  make (\w+) +\S.*$", shown, re.MULTILINE)
        assert set(targets) == {
            "help",
            "install",
            "demo",
            "test",
            "check",
            "bench",
            "clients",
            "lock",
        }

    def test_every_command_exists(self) -> None:
        """Each `python -m gateway ...` in Makefile and scripts is a command of ours."""
        scripts = [MAKEFILE, DOCKERFILE, (ROOT / ".ci/check.py").read_text()]
        text = re.sub(r'"-m", "gateway", "', "-m gateway ", "\n".join(scripts))
        called = set(re.findall(r"-m gateway (\w+)", text))
        assert called >= {"demo", "migrate", "serve", "schema", "bench"}
        assert called <= set(get_command(app).commands)  # type: ignore[attr-defined]

    def test_scripts_can_be_run(self) -> None:
        """Scripts that are called by name are executable."""
        for name in ("python", "install", "lock", "run"):
            assert os.access(ROOT / ".ci" / name, os.X_OK), name

    def test_ci_runs_what_everybody_runs(self) -> None:
        """`.ci/run` adds nothing to `make check`, and that ends with `make test`."""
        assert (ROOT / ".ci/run").read_text().rstrip().endswith("exec make check")
        assert (
            '("make", "--no-print-directory", "test")),\n)' in (ROOT / ".ci/check.py").read_text()
        )


def make_fake_python(folder: Path, name: str, version: str) -> None:
    """Put a program on the way that claims to be some Python."""
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text(f"#!/bin/sh\necho {version}\n")
    script.chmod(0o755)


def find_python(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `.ci/python` where only ``folder`` and the shell's own programs can be found."""
    return subprocess.run(
        ["/bin/sh", str(ROOT / ".ci/python")],
        env={"PATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


class TestFindingPython:
    """A suitable interpreter is found, or the reason is."""

    def test_a_newer_one_is_taken_when_python3_is_old(self, tmp_path: Path) -> None:
        """An old `python3` does not matter where `python3.12` exists."""
        make_fake_python(tmp_path, "python3", "3.9.18")
        make_fake_python(tmp_path, "python3.12", "3.12.1")
        assert find_python(tmp_path).stdout == f"{tmp_path}/python3.12\n"

    def test_names_what_was_found_and_what_is_needed(self, tmp_path: Path) -> None:
        """Without a suitable one, the versions found and the version needed are named."""
        make_fake_python(tmp_path, "python3", "3.9.18")
        make_fake_python(tmp_path, "python", "2.7.18")
        refused = find_python(tmp_path)
        assert refused.returncode == 1
        assert "Python >= 3.11 is needed" in refused.stderr
        assert "python3 (3.9.18), python (2.7.18)" in refused.stderr

    def test_the_one_asked_for_is_the_one_taken(self, tmp_path: Path) -> None:
        """PYTHON is not second-guessed, be its path odd, and not replaced when it is too old."""
        odd = tmp_path / "a folder"
        make_fake_python(odd, "mine", "3.13.0")
        make_fake_python(tmp_path, "python3", "3.12.0")
        make_fake_python(tmp_path, "old", "3.10.9")
        assert find_python(tmp_path, PYTHON=f"{odd}/mine").stdout == f"{odd}/mine\n"
        assert "old (3.10.9)" in find_python(tmp_path, PYTHON="old").stderr
        assert find_python(tmp_path, PYTHON="missing").returncode == 1


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with our installer and a lock that needs no index: what pip brings already."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    (tmp_path / "requirements-dev.lock").write_text("")
    return tmp_path


def install(project: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the installer in a project."""
    return subprocess.run(
        [str(project / ".ci/install")],
        env={**os.environ, "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


class TestInstaller:
    """`.venv` is made once, made again when needed, and never mistaken for complete."""

    def test_installs_once_and_again_when_the_lock_changes(self, project: Path) -> None:
        """The second run does nothing; a new lock, or an installation cut short, starts over."""
        made = install(project)
        assert made.returncode == 0, made.stderr
        assert install(project).stdout == ""
        (project / "requirements-dev.lock").write_text("# another\n")
        assert "Creating .venv" in install(project).stdout
        (project / ".venv/.installed").unlink()
        assert "Creating .venv" in install(project).stdout
        assert install(project).stdout == ""

    def test_a_folder_that_is_no_environment_is_left_alone(self, project: Path) -> None:
        """Somebody's files under `.venv` are not removed."""
        (project / ".venv").mkdir()
        (project / ".venv/thesis.txt").write_text("years of work")
        refused = install(project)
        assert refused.returncode == 1
        assert "is not a virtual environment" in refused.stderr
        assert (project / ".venv/thesis.txt").exists()

    @pytest.mark.parametrize("module", ["venv", "ensurepip"])
    def test_a_python_without_what_it_takes_is_named(self, project: Path, module: str) -> None:
        """Distributions cut venv out of Python; the error names the module and the package."""
        (project / "sitecustomize.py").write_text(f"import sys; sys.modules[{module!r}] = None\n")
        refused = install(project, PYTHONPATH=str(project))
        assert refused.returncode == 1
        assert f"has no module '{module}'" in refused.stderr
        assert "apt-get install python3." in refused.stderr
        assert "Traceback" not in refused.stderr

    def test_a_package_that_cannot_be_had_is_named(self, project: Path) -> None:
        """When pip fails, its reason is shown, and the next run starts over."""
        (project / "requirements-dev.lock").write_text("no-such==1 --hash=sha256:" + "0" * 64)
        refused = install(project, PIP_NO_INDEX="1")
        assert refused.returncode == 1
        assert "No matching distribution found for no-such==1" in refused.stderr
        assert not (project / ".venv/.installed").exists()


class TestImage:
    """The image cannot be built here; what it names must exist."""

    def test_copies_what_exists_and_is_let_through(self) -> None:
        """Each COPY finds its source, and the ignore file lets just these through."""
        sources = set(re.findall(r"^COPY (\S+) \S+$", DOCKERFILE, re.MULTILINE))
        assert sources == {"requirements.lock", "gateway", "schema", "resolvers"}
        assert all((ROOT / source).exists() for source in sources)
        ignore = (ROOT / ".dockerignore").read_text().splitlines()
        assert {line[1:] for line in ignore if line.startswith("!")} == sources
        assert "*" in ignore

    def test_every_root_package_of_ours_is_in_it(self) -> None:
        """A new top-level package must not be forgotten."""
        copied = set(re.findall(r"^COPY (\w+) ", DOCKERFILE, re.MULTILINE))
        assert copied >= set(PROJECT["tool"]["importlinter"]["root_packages"])

    def test_installs_by_hash_before_the_code_and_runs_without_root(self) -> None:
        """Dependencies come first and hashed, then the code, then an unprivileged user."""
        order = ["--require-hashes -r requirements.lock", "COPY gateway", "USER gateway", "\nCMD "]
        positions = [DOCKERFILE.index(part) for part in order]
        assert positions == sorted(positions)
        assert "PYTHONPATH=/app" in DOCKERFILE

    def test_migrates_before_it_serves_and_is_asked_whether_it_can(self) -> None:
        """The command migrates, then serves; the health check asks /readyz."""
        assert "python -m gateway migrate && exec python -m gateway serve" in DOCKERFILE
        assert re.search(r"HEALTHCHECK(.|\n)*/readyz", DOCKERFILE)

    def test_sets_settings_that_exist(self) -> None:
        """Every GATEWAY_ name in the image is a setting."""
        names = set(re.findall(r"GATEWAY_(\w+)=", DOCKERFILE))
        assert names <= {name.upper() for name in Settings.model_fields}


class TestCompose:
    """The compose file cannot be run here; its shape and its names are checked."""

    @pytest.fixture
    def services(self) -> dict[str, Any]:
        """The services of the compose file."""
        compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
        assert compose.keys() == {"services", "volumes"}
        services: dict[str, Any] = compose["services"]
        return services

    def test_has_the_services_and_nothing_misspelled(self, services: dict[str, Any]) -> None:
        """PostgreSQL 18, the gateway and a worker, with keys that compose knows."""
        known = {"image", "build", "environment", "volumes", "healthcheck", "restart", "ports"}
        assert services.keys() == {"postgres", "gateway", "worker"}
        for service in services.values():
            assert service.keys() <= known | {"depends_on", "command"}
        assert services["postgres"]["image"] == "postgres:18"
        assert services["gateway"]["build"] == services["worker"]["build"] == "."

    def test_the_gateway_waits_for_a_database_that_answers(self, services: dict[str, Any]) -> None:
        """The gateway starts when PostgreSQL's own health check passes."""
        condition = services["gateway"]["depends_on"]["postgres"]["condition"]
        assert condition == "service_healthy"
        assert "pg_isready" in services["postgres"]["healthcheck"]["test"][1]

    def test_settings_exist_and_secrets_are_asked_for(self, services: dict[str, Any]) -> None:
        """Every variable is a setting of ours, and no secret has a default."""
        environment = services["gateway"]["environment"]
        known = {f"GATEWAY_{name.upper()}" for name in Settings.model_fields}
        assert environment.keys() <= known
        assert environment["GATEWAY_DATABASE_URL"].endswith("@postgres:5432/gateway")
        for service, name in (("postgres", "POSTGRES_PASSWORD"), ("gateway", "GATEWAY_JWT_SECRET")):
            assert services[service]["environment"][name].startswith(f"${{{name}:?")

    def test_listens_for_this_machine_alone(self, services: dict[str, Any]) -> None:
        """Nothing is open to the network until somebody says so."""
        assert all(port.startswith("127.0.0.1:") for port in services["gateway"]["ports"])
        assert "ports" not in services["postgres"]

    def test_keeps_data_where_postgres_18_does(self, services: dict[str, Any]) -> None:
        """The image of PostgreSQL 18 has its volume one level above its predecessors'."""
        assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]

"""The guide to adding a module, followed to the letter in a copy of the tree."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.postgres import EmbeddedPostgres
from tests.fixtures.layout import ROOT
from tests.fixtures.markdown import Fence, page

GUIDE = page("docs/adding-a-module.md")
COPIED = ("gateway", "schema", "resolvers", "tests")
BASH = shutil.which("bash")
LEAST_PASSED = 100
"""The laws make that many tests of a module, or they have not seen it."""

pytestmark = pytest.mark.skipif(BASH is None, reason="no bash on this machine")


def environment(**more: str) -> Mapping[str, str]:
    """Return an environment in which nothing points at this checkout or at this test run."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("PYTEST_", "GATEWAY_"))}
    return {**kept, **more}


@pytest.fixture
def checkout(tmp_path: Path, server: EmbeddedPostgres) -> Path:
    """Return a copy of the tree after every step of the guide."""
    copy = tmp_path / "checkout"
    for folder in COPIED:
        shutil.copytree(ROOT / folder, copy / folder)
    shutil.copy(ROOT / "pyproject.toml", copy)
    for fence in GUIDE.fences:
        follow(fence, copy, server.url())
    return copy


def follow(fence: Fence, copy: Path, database_url: str) -> None:
    """Do what one block of the guide says."""
    if fence.language == "python" and "file" in fence.marks:
        target = copy / fence.marks["file"]
        assert not target.exists(), fence
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(fence.text)
    elif fence.language == "diff":
        apply(fence, copy / fence.marks["file"])
    elif fence.language == "sh" and "follow" in fence.marks:
        assert BASH is not None
        script = fence.text.replace(".venv/bin/python", sys.executable)
        ran = subprocess.run(
            [BASH, "-eu"],
            input=script,
            cwd=copy,
            env=environment(GATEWAY_DATABASE_URL=database_url),
            check=False,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, (str(fence), ran.stdout, ran.stderr)


def apply(fence: Fence, target: Path) -> None:
    """Add the lines with a plus between the others, which are in the file exactly once."""
    lines = fence.text.splitlines(keepends=True)
    assert all(line[0] in " +" for line in lines), fence
    before = "".join(line[1:] for line in lines if line[0] == " ")
    text = target.read_text()
    assert text.count(before) == 1, fence
    target.write_text(text.replace(before, "".join(line[1:] for line in lines)))


def run(checkout: Path, *arguments: str) -> str:
    """Run a Python module in the checkout and return what it says; it has to succeed."""
    ran = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=checkout,
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-5_000:] + ran.stderr[-5_000:]
    return ran.stdout


def sources(root: Path) -> Mapping[str, bytes]:
    """Return the files of a tree by their paths."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in COPIED
        for path in (root / folder).rglob("*")
        if path.is_file() and not {"__pycache__", "node_modules"} & set(path.parts)
    }


def check_edits(checkout: Path) -> None:
    """Besides its own files a module takes a line in few others, and the guide names them all."""
    before, after = sources(ROOT), sources(checkout)
    edited = {name for name in before if before[name] != after[name]}
    assert edited == {
        "gateway/seeding/demo.py",
        "resolvers/modules.py",
        "schema/schema.graphql",
        "tests/conventions/test_batching.py",
        "tests/fixtures/row_scopes.py",
        "tests/fixtures/schema_walk.py",
        "tests/gateway/test_verify.py",
        "tests/schema/core/test_connection.py",
        "tests/schema/test_filters.py",
    }
    assert all("projects" in name for name in after.keys() - before.keys())


def check_style(checkout: Path) -> None:
    """Readers copy what they see, so it is formatted and lints."""
    written = [f.marks["file"] for f in GUIDE.fences if "file" in f.marks]
    run(checkout, "ruff", "check", "--no-cache", *written)
    run(checkout, "ruff", "format", "--no-cache", "--check", *written)


def check_laws(checkout: Path) -> None:
    """The tests of the guide pass, and the laws for every module and for what the new one adds."""
    conventions = checkout / "tests" / "conventions"
    laws = ("modules", "imports", "sdl", "batching", "permissions", "visibility", "plans")
    tests = checkout / "tests"
    own = (tests / "resolvers" / "projects", tests / "schema" / "projects")
    isolation = tests / "resolvers" / "core" / "test_isolation.py"
    told = ("schema/test_filters.py", "schema/core/test_connection.py", "gateway/test_verify.py")
    facts = (tests / name for name in told)
    files = map(str, (*own, isolation, *facts, *(conventions / f"test_{law}.py" for law in laws)))
    chosen = "roject or test_modules or test_imports or TestFile or TestDescriptions or test_every"
    said = run(checkout, "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, *files)
    passed = re.search(r"(\d+) passed", said)
    assert passed is not None
    assert int(passed[1]) > LEAST_PASSED


def test_followed_to_the_letter(checkout: Path) -> None:
    """A new module fits, reads well, and is under every law, when the guide was followed."""
    check_edits(checkout)
    check_style(checkout)
    check_laws(checkout)

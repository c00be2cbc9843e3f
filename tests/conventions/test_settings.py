"""Settings are explained where they are defined, and the generated pages are made from there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from docs.generate import PAGES, settings_page, stale
from gateway.settings import Settings
from tests.fixtures.layout import ROOT


@pytest.mark.parametrize(("name", "field"), Settings.model_fields.items())
def test_every_setting_says_what_it_means(name: str, field: FieldInfo) -> None:
    """A setting has a sentence for the operator that says more than its name."""
    text = field.description
    assert text, name
    assert re.fullmatch(r"[A-Z].*\.", text), f"{name}: a sentence, please"
    assert re.sub(r"\W", "", text.lower()) != name.replace("_", "")


def test_every_setting_is_in_the_table() -> None:
    """The page lists each variable once."""
    listed = re.findall(r"^\| `(GATEWAY_\w+)`", settings_page(), re.MULTILINE)
    assert listed == [f"GATEWAY_{name}".upper() for name in Settings.model_fields]


def test_every_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the table calls a variable is what the process reads."""
    monkeypatch.setenv("GATEWAY_MAX_DEPTH", "7")
    monkeypatch.setenv("GATEWAY_ALLOWED_ORIGINS", '["https://shop.example"]')
    settings = Settings()
    assert (settings.max_depth, settings.allowed_origins) == (7, ("https://shop.example",))


def test_generated_pages_are_current() -> None:
    """What is written in docs is what `python -m docs.generate` writes."""
    assert [str(path.relative_to(ROOT)) for path in stale()] == []


def test_a_page_that_fell_behind_is_told(tmp_path: Path) -> None:
    """`python -m docs.generate --check` fails and names the page; writing mends it."""
    for folder in ("docs", "gateway", "resolvers", "schema"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "docs").unlink()
    for path in (ROOT / "docs" / "generate.py", *PAGES):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    page = tmp_path / "docs" / "permissions.md"
    page.write_text(page.read_text("utf-8") + "more\n", "utf-8")

    def generate(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "docs.generate", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            check=False,
            capture_output=True,
            text=True,
        )

    found = generate("--check")
    assert found.returncode == 1
    assert "docs/permissions.md is not current" in found.stdout
    assert generate().returncode == 0
    assert generate("--check").returncode == 0
    assert page.read_text("utf-8") == (ROOT / "docs" / "permissions.md").read_text("utf-8")

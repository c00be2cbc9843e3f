"""Fixtures of the whole suite; each kind lives in a file of `tests/fixtures`."""

import os

import pytest

pytest_plugins = [
    "tests.fixtures.memory",  # first: it says how often garbage is collected
    "tests.fixtures.server",
    "tests.fixtures.gateway",
    "tests.fixtures.blocking",
    "tests.fixtures.leaks",
    "tests.fixtures.rows",
    "tests.fixtures.paths",
    "tests.fixtures.equality",
    "tests.fixtures.papers",
    "tests.fixtures.hand",
]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return three workers for two cores: much of what tests do is wait, for timers and others."""
    return -(-3 * (os.cpu_count() or 1) // 2)

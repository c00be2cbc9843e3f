"""Fixtures of the whole suite; each kind lives in a file of `tests/fixtures`."""

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
]

"""The names of our packages are ours alone: what is imported is what stands in the checkout."""

import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

from tests.fixtures.layout import ROOT

PACKAGES = ["gateway", "schema", "resolvers", "tests", "benchmarks", "docs"]


@pytest.mark.parametrize("name", PACKAGES)
def test_nothing_installed_has_our_names(name: str) -> None:
    """No installed distribution provides a package of one of our names; ours would hide it."""
    assert importlib.metadata.packages_distributions().get(name, []) == []


@pytest.mark.parametrize("name", PACKAGES)
def test_ours_are_imported(name: str) -> None:
    """Importing one of our names finds the folder of this checkout."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    places = {Path(place).resolve() for place in spec.submodule_search_locations or ()}
    assert places == {ROOT / name}

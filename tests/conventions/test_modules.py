"""Every module is registered, introduces itself in both layers, and has nothing left over."""

from importlib import import_module
from types import ModuleType

import pytest
from sqlalchemy import Table

from resolvers.core.install import CORE
from resolvers.core.module import DataModule
from resolvers.core.table import metadata
from resolvers.modules import NAMES, data_modules
from schema.build import schema_modules
from schema.core.module import SchemaModule
from tests.fixtures.layout import ORDER, ROOT

NOT_MODULES = {"core", "engine", "__pycache__"}
"""Folders of a layer that belong to no module of the ERP."""
ROOT_TYPES = ("query", "mutation", "subscription")


def folders(layer: str) -> set[str]:
    """Return the modules that have a folder in a layer."""
    return {path.name for path in (ROOT / layer).iterdir() if path.is_dir()} - NOT_MODULES


def file_of(layer: str, name: str, file: str) -> ModuleType | None:
    """Return a file of a module, imported; None when the module does not have it."""
    if not (ROOT / layer / name / f"{file}.py").exists():
        return None
    return import_module(f"{layer}.{name}.{file}")


@pytest.mark.parametrize("layer", ORDER)
def test_every_folder_is_registered(layer: str) -> None:
    """A module exists in both layers and in the registry, or not at all."""
    assert folders(layer) == set(NAMES)


def test_modules_introduce_themselves_by_their_name() -> None:
    """`MODULE.name` is the name of the folder, in both layers."""
    assert tuple(module.name for module in data_modules()) == NAMES
    assert tuple(module.name for module in schema_modules()) == NAMES


@pytest.mark.parametrize("layer", ORDER)
@pytest.mark.parametrize("name", NAMES)
def test_only_known_files(layer: str, name: str) -> None:
    """A reader guesses where things are, so modules consist of the known files only."""
    known = {"__init__", *(file for files in ORDER[layer] for file in files)}
    found = {path.name for path in (ROOT / layer / name).iterdir()} - {"__pycache__"}
    assert found <= {f"{file}.py" for file in known}


def test_every_table_belongs_to_one_module() -> None:
    """No table is introduced twice, and none is left out."""
    introduced = [table for module in (*data_modules(), CORE) for table in module.tables]
    assert len(introduced) == len(set(introduced))
    assert set(introduced) == set(metadata.tables.values())


@pytest.mark.parametrize("module", data_modules(), ids=lambda module: str(module.name))
def test_data_modules_introduce_all_they_define(module: DataModule) -> None:
    """What stands in `tables.py` and `invariants.py` is what `MODULE` hands on."""
    name = module.name
    tables = file_of("resolvers", name, "tables")
    defined = vars(tables) if tables else {}
    assert {v for v in defined.values() if isinstance(v, Table)} == set(module.tables)
    texts = {value for value in defined.values() if isinstance(value, str)}
    functions = {text for text in texts if "create function" in text or "alter column" in text}
    assert functions == set(module.functions)
    invariants = file_of("resolvers", name, "invariants")
    assert module.invariants == (invariants.INVARIANTS if invariants else ())


@pytest.mark.parametrize("module", schema_modules(), ids=lambda module: str(module.name))
def test_schema_modules_introduce_all_they_define(module: SchemaModule) -> None:
    """What stands in `query.py`, `mutation.py`, `subscription.py` and `extends.py` is handed on."""
    name = module.name
    for root in ROOT_TYPES:
        file = file_of("schema", name, root)
        defined = getattr(file, root.capitalize()) if file else None
        assert getattr(module, root) is defined
    assert module.extensions is file_of("schema", name, "extends")

"""Who may import whom inside the layers; the arrow between them is import-linter's.

Between ERP modules imports go down the registry, and only to what a module shows to others. Inside
a module they go down a fixed order of files. The registry is read, so a new module is under these
rules without being named here.
"""

import ast

import grimp
import pytest

from resolvers.modules import NAMES
from tests.fixtures.layout import ORDER, ROOT

SHOWN = {
    # a lower module's words and tables are its own: its rows are reached through its entities
    ("resolvers", "resolvers"): {"loaders", "reads", "events", "commands"},
    ("schema", "schema"): {"types", "enums", "inputs", "aggregates"},
    # the words of the rules are the words of the API: enums and inputs of commands are made of them
    ("schema", "resolvers"): {"loaders", "reads", "events", "commands", "rules"},
}
"""What other modules and the layer above may import, by (layer of the importer, layer imported)."""


def place(module: str) -> tuple[str, str, str] | None:
    """Return the layer, the ERP module and the file of a Python module; None outside of them."""
    layer, name, file, *_ = (*module.split("."), "", "")
    return (layer, name, file) if layer in ORDER and name in NAMES else None


def objection(importer: str, imported: str) -> str | None:
    """Say why ``importer`` may not import ``imported``; None when it may."""
    here, there = place(importer), place(imported)
    if here is None or there is None:
        return None
    layer, name, file = here
    if there[1] == name and there[0] == layer:
        return _inside(layer, file, there[2])
    if NAMES.index(there[1]) > NAMES.index(name):
        return f"{there[1]} is above {name} in the registry"
    if there[2] not in SHOWN.get((layer, there[0]), set()):
        return f"{there[2]} of {there[1]} is not for {layer} of {name}"
    return None


def _inside(layer: str, file: str, imported: str) -> str | None:
    depth = {name: at for at, names in enumerate(ORDER[layer]) for name in names}
    if depth[imported] <= depth[file]:
        return f"{imported} is not below {file}"
    return None


@pytest.fixture(scope="module")
def imports() -> list[tuple[str, str]]:
    """Return every import between our modules."""
    graph = grimp.build_graph("resolvers", "schema", cache_dir=None)
    return [
        (importer, imported)
        for importer in sorted(graph.modules)
        for imported in sorted(graph.find_modules_directly_imported_by(importer))
    ]


def test_imports_follow_the_rules(imports: list[tuple[str, str]]) -> None:
    """No import goes up the registry, up a module, or past what a module shows."""
    assert sum(place(a) is not None and place(b) is not None for a, b in imports) > 50
    objections = {f"{a} imports {b}: {objection(a, b)}" for a, b in imports if objection(a, b)}
    assert not objections


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("resolvers.sales.loaders", "resolvers.catalog.loaders", True),
        ("resolvers.catalog.loaders", "resolvers.sales.loaders", False),
        ("resolvers.sales.commands", "resolvers.inventory.commands", True),
        ("resolvers.sales.commands", "resolvers.inventory.locks", False),
        ("resolvers.sales.reads", "resolvers.inventory.tables", False),
        ("resolvers.sales.loaders", "resolvers.sales.reads", False),
        ("resolvers.sales.loaders", "resolvers.sales.locks", False),
        ("schema.sales.types", "schema.partners.types", True),
        ("schema.partners.types", "schema.sales.types", False),
        ("schema.sales.query", "schema.partners.query", False),
        ("schema.sales.types", "resolvers.partners.loaders", True),
        ("schema.sales.types", "resolvers.sales.tables", False),
        ("schema.sales.inputs", "schema.sales.types", False),
        ("schema.core.fields", "resolvers.core.relation", True),
    ],
)
def test_the_rules_can_object(importer: str, imported: str, allowed: bool) -> None:  # noqa: FBT001
    """The rules let through what they should, and nothing else."""
    assert (objection(importer, imported) is None) == allowed


def test_tables_of_others_are_not_looked_up_by_name() -> None:
    """`metadata.tables[...]` would be an import of a table that no rule sees."""
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for name in NAMES
        for path in (ROOT / "resolvers" / name).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr == "tables"
        and ast.unparse(node.value).endswith("metadata")
    ]
    assert not offenders

"""Writes the pages that say what the code says: settings and permissions.

`python -m docs.generate` writes them; with `--check` it only tells whether they are current.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from graphql import GraphQLObjectType
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from gateway.seeding.companies import CLIENT_CODE, CLIENT_PERMISSIONS, ROLES, USERS
from gateway.settings import Settings
from resolvers.modules import data_modules
from schema.build import build_schema, core_schema
from schema.core.node import NODE_TYPES
from schema.core.plan import REQUIRES

ROOT = Path(__file__).resolve().parent.parent
_SIGNS = {Ge: "ge", Gt: "gt", Le: "le", Lt: "lt"}
_WORDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}

SETTINGS_HEAD = """\
# Settings

Every setting is an environment variable, read once when a process starts. A value that does not
fit stops the process with a sentence that names the variable. Booleans are `true` and `false`,
lists are JSON.

| variable | value | default | meaning |
| --- | --- | --- | --- |
"""

PERMISSIONS_HEAD = """\
# Permissions

A role gives permissions to the users who hold it in a company; an API client has its own. `me`
lists what the caller has. A field that needs a permission the caller lacks is `null`, with one
error of the code `FORBIDDEN`.

| permission | lets you | fields that need it |
| --- | --- | --- |
"""

ACCOUNTS_HEAD = """
## Demo accounts

| account | role | companies | permissions |
| --- | --- | --- | --- |
"""


def settings_page() -> str:
    """Return the table of all settings, in the order of `gateway/settings.py`."""
    prefix = Settings.model_config["env_prefix"]
    rows = [
        (f"`{prefix}{name}`".upper(), value_of(field), default_of(field), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return SETTINGS_HEAD + table(rows)


def value_of(field: FieldInfo) -> str:
    """Say what a setting can be."""
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{word}`" for word in kinds)
    kind = field.annotation if get_origin(field.annotation) is tuple or not kinds else kinds[0]
    name = {int: "integer", float: "number", bool: "boolean", Path: "path", SecretStr: "secret"}
    text = "list" if get_origin(kind) is tuple else name.get(kind, "text")  # type: ignore[arg-type]
    limits = [
        f"{_WORDS[sign]} {getattr(limit, sign):,}"
        for limit in field.metadata
        for type_, sign in _SIGNS.items()
        if isinstance(limit, type_)
    ]
    return ", ".join([text, *limits])


def default_of(field: FieldInfo) -> str:
    """Write a default the way it would be set."""
    default = field.default
    if default is None:
        return ""
    if isinstance(default, bool | tuple):
        return f"`{json.dumps(default)}`"
    return f"`{default}`"


def permissions_page() -> str:
    """Return the table of all permissions with the fields that need them, and the demo accounts."""
    needed = needed_for()
    rows = [
        (f"`{name}`", sentence, quoted(needed.get(name, ())) or "none yet")
        for module in data_modules()
        for name, sentence in sorted(module.permissions.items())
    ]
    return PERMISSIONS_HEAD + table(rows) + ACCOUNTS_HEAD + table(accounts())


def needed_for() -> Mapping[str, list[str]]:
    """Return the fields that need each permission; `node` needs that of the type."""
    found: dict[str, list[str]] = {}
    for type_ in core_schema(build_schema()).type_map.values():
        if not isinstance(type_, GraphQLObjectType) or type_.name.startswith("__"):
            continue
        for name, field in type_.fields.items():
            definition: Any = field.extensions.get("strawberry-definition")
            permission = definition.metadata.get(REQUIRES) if definition else None
            if permission is not None:
                found.setdefault(permission, []).append(f"{type_.name}.{name}")
    for name, node in NODE_TYPES.items():
        if node.requires is not None:
            found.setdefault(node.requires, []).append(f"node of {name}")
    return {permission: sorted(fields) for permission, fields in found.items()}


def accounts() -> Iterator[tuple[str, ...]]:
    """Yield the accounts of the demo data and what each may do."""
    roles = {role.id: role for role in ROLES}
    for user in USERS:
        role = roles[user.id]
        companies = "all" if user.companies is None else f"the first {user.companies}"
        companies = "the first" if user.companies == 1 else companies
        permissions = "all" if role.permissions is None else quoted(role.permissions)
        yield f"`{user.email}`", role.name, companies, permissions
    yield f"`{CLIENT_CODE}`", "client of a partner", "the first", quoted(CLIENT_PERMISSIONS)


def quoted(names: Iterable[str]) -> str:
    """Return names as code."""
    return ", ".join(f"`{name}`" for name in names)


def table(rows: Any) -> str:
    """Return rows as lines of a Markdown table."""
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


PAGES: Mapping[Path, Callable[[], str]] = {
    ROOT / "docs" / "operations" / "settings.md": settings_page,
    ROOT / "docs" / "permissions.md": permissions_page,
}
"""Each page and what writes it."""


def stale() -> list[Path]:
    """Return the pages that are not what the code says."""
    return [
        path
        for path, write in PAGES.items()
        if not path.exists() or path.read_text("utf-8") != write()
    ]


def main() -> int:
    """Write the pages, or with `--check` tell which are stale; return 1 if any is."""
    pages = stale()
    for path in pages:
        if "--check" in sys.argv[1:]:
            print(f"{path.relative_to(ROOT)} is not current: run python -m docs.generate")
        else:
            path.write_text(PAGES[path](), "utf-8")
            print(f"{path.relative_to(ROOT)} written")
    return 1 if pages and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())

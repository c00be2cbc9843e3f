"""The schema: every module's root fields in one place, and the laws they are built under."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import strawberry
from graphql import (
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_list_type,
)
from strawberry.types.base import get_object_definition

from resolvers.core.context import Context
from resolvers.modules import NAMES
from schema.core.fields import argument, chosen, find
from schema.core.ids import split_id
from schema.core.inputs import build_arguments
from schema.core.kinds import kinds
from schema.core.module import SchemaModule
from schema.core.node import NODE_TYPES, Node
from schema.core.payload import Payload
from schema.core.permissions import denial
from schema.core.plan import REQUIRES, AnyRelationPlan, plan_of
from schema.core.scalars import schema_config


def schema_modules() -> tuple[SchemaModule, ...]:
    """Return every module's half of this layer, in registry order."""
    return tuple(import_module(f"schema.{name}.module").MODULE for name in NAMES)


@strawberry.type
class NodeQuery:
    """The root field every module's types share."""

    @chosen("Any object by its global id; null when there is none or it is not for the caller.")
    async def node(
        context: Context,
        columns_of: Callable[[str], frozenset[str]],
        id: Annotated[strawberry.ID, argument("Global id, from any `id` field.")],
    ) -> Node | None:
        """Load the object an id names."""
        type_name, key = split_id(id)
        known = NODE_TYPES.get(type_name)
        if known is None or not key.isdecimal() or len(key) > len(str(2**63)):
            return None
        if known.requires is not None and not context.principal.can(known.requires):
            raise denial("Query", "node", known.requires)
        if not known.entity.has_key(int(key)):
            return None
        columns = columns_of(type_name) | {known.entity.key}
        row = await find(context, known.by_id, int(key), columns)
        found: Any = None if row is None else (type_name, row)
        return found  # type: ignore[no-any-return]


@cache
def build_schema(*, extra: tuple[SchemaModule, ...] = ()) -> strawberry.Schema:
    """Build the schema from the registry; ``extra`` modules add fields, such as those for tools.

    Nothing changes a schema once it is built, so a process builds it once.

    Raises:
        TypeError: two modules have a root field of one name; or a field is not nullable though it
            requires a permission, its object may be of a type that does, or it is of the outcome of
            a command, so that denying or refusing it would take its siblings with it; or its object
            may be of a type that is no node type.

    """
    modules = (*schema_modules(), *extra)
    queries = tuple(m.query for m in modules if m.query is not None)
    mutations = tuple(m.mutation for m in modules if m.mutation is not None)
    subscriptions = tuple(m.subscription for m in modules if m.subscription is not None)
    schema = strawberry.Schema(
        query=_root("Query", "What can be read.", NodeQuery, *queries),
        mutation=_root("Mutation", "What can be done.", *mutations) if mutations else None,
        subscription=_root("Subscription", "What can be watched as it happens.", *subscriptions)
        if subscriptions
        else None,
        types=[
            *(node.python_type for node in NODE_TYPES.values()),
            *(type_ for m in modules for type_ in m.types),
        ],
        config=schema_config({key: one for m in modules for key, one in m.scalars.items()}),
    )
    core = core_schema(schema)
    check_fields(core)
    if core.mutation_type is not None:
        build_arguments(schema, core.mutation_type)
    return schema


@cache
def text_of(schema: strawberry.Schema) -> str:
    """Return a schema in the definition language, with a line break at its end."""
    return schema.as_str().rstrip() + "\n"


def _root(name: str, description: str, *parts: type) -> type:
    """Make the root type whose fields are those of all ``parts``."""
    taken: set[str] = set()
    for part in parts:
        for field_ in get_object_definition(part, strict=True).fields:
            if field_.python_name in taken:
                raise TypeError(f"{name} has a field {field_.python_name} already.")
            taken.add(field_.python_name)
    return strawberry.type(type(name, parts, {}), description=description)


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """Return graphql-core's schema behind Strawberry's."""
    return schema._schema  # noqa: SLF001 - the only way to it


def check_fields(schema: GraphQLSchema) -> None:
    """Check that what may be denied or refused may be null, and that all objects can be found.

    Raises:
        TypeError: see `build_schema`.

    """
    for type_ in schema.type_map.values():
        # a subscription that is denied never starts, so it has no sibling to take along
        if not isinstance(type_, GraphQLObjectType) or type_.name == "Subscription":
            continue
        known: Any = type_.extensions.get("strawberry-definition")
        of_payload = known is not None and issubclass(known.origin, Payload)
        for name, definition in type_.fields.items():
            backing: Any = definition.extensions.get("strawberry-definition")
            if backing is None:
                continue
            if isinstance(definition.type, GraphQLNonNull):
                of_outcome = of_payload and not is_list_type(definition.type.of_type)
                _check_required(f"{type_.name}.{name}", backing, of_outcome=of_outcome)
            if isinstance(plan_of(backing), AnyRelationPlan):
                kinds(schema, get_named_type(definition.type))


def _check_required(where: str, backing: Any, *, of_outcome: bool) -> None:
    requires = backing.metadata.get(REQUIRES)
    if requires is not None:
        raise TypeError(f"{where} requires {requires}, so it must be nullable.")
    if isinstance(plan_of(backing), AnyRelationPlan):
        raise TypeError(f"{where} may be of any type, so it must be nullable.")
    if of_outcome:
        raise TypeError(f"{where} is of an outcome, so it must be a list or nullable.")

"""What the gateway would do with a document: limits, cost, plan, and what is not compiled."""

from collections.abc import Iterator

from graphql import GraphQLObjectType, OperationType, get_named_type

from gateway.lifespan import limits_of
from gateway.settings import Settings
from resolvers.modules import data_modules
from schema.build import build_schema
from schema.core.documents import TooLarge, read_document, validation_errors
from schema.engine.explain import explain
from schema.engine.internals import Selections
from schema.engine.run import Asked, Compiled, Engine, NotCompiled


def explain_document(
    text: str, settings: Settings, *, permissions: frozenset[str] | None = None, sql: bool = False
) -> Iterator[str]:
    """Yield the lines that explain every operation of a document.

    ``permissions`` are the caller's, all of them unless given. Reads no database.
    """
    if permissions is None:
        permissions = frozenset(p for m in data_modules() for p in m.permissions)
    schema = build_schema()
    engine = Engine(schema)
    try:
        document = read_document(engine.schema, text, limits_of(settings))
        errors = validation_errors(engine.schema, document, suggest=True)
    except TooLarge as error:
        yield f"refused: {error}"
        return
    if errors:
        yield from (f"invalid: {error.message}" for error in errors)
        return
    for operation in document.measure.operations:
        asked = Asked(operation.node, document.fragments, {}, {}, permissions)
        yield f"{operation.node.operation.value} {operation.name or 'anonymous'}"
        if operation.node.operation is OperationType.QUERY:
            yield from _explained(engine.compiled(asked), sql=sql)
        else:
            yield from _below_root(engine, asked, sql=sql)


def _below_root(engine: Engine, asked: Asked, *, sql: bool) -> Iterator[str]:
    """Explain the root fields of a mutation or subscription: each a function, a plan below it."""
    root = engine.schema.get_root_type(asked.operation.operation)
    assert root is not None, "the operation is valid"
    selections = Selections(engine.schema, asked.fragments, {})
    for name, nodes in selections.fields(root, [asked.operation.selection_set]).items():
        yield f"  {name}: its own function"
        field = root.fields.get(nodes[0].name.value)
        type_ = get_named_type(field.type) if field else None
        if isinstance(type_, GraphQLObjectType):
            below = engine.compiled_below(asked, nodes, type_)
            yield from (f"  {line}" for line in _explained(below, sql=sql))


def _explained(compiled: Compiled | NotCompiled, *, sql: bool) -> Iterator[str]:
    if isinstance(compiled, NotCompiled):
        yield f"  not compiled: {compiled.reason}"
    else:
        yield from (f"  {line}" for line in explain(compiled.plan, sql=sql))

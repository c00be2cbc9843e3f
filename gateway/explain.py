"""What the gateway would do with a document: limits, cost, plan, and what is not compiled."""

from collections.abc import Iterator

from gateway.lifespan import limits_of
from gateway.settings import Settings
from resolvers.modules import data_modules
from schema.build import build_schema
from schema.core.documents import TooLarge, read_document, validation_errors
from schema.engine.explain import explain_operation
from schema.engine.run import Asked, Engine


def explain_document(
    text: str,
    settings: Settings,
    *,
    permissions: frozenset[str] | None = None,
    sql: bool = False,
    source: bool = False,
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
        # pages whose size is a variable count with the size they have without one
        cost = document.measure.formula.evaluate(operation.cost, {})
        name = operation.name or "anonymous"
        yield f"{operation.node.operation.value} {name}, cost {cost:,}"
        yield from (
            f"  {line}" for line in explain_operation(engine, asked, sql=sql, source=source)
        )

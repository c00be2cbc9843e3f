"""A plan for people: its levels as a tree, what each reads, and the SQL where it is fixed."""

from collections.abc import Iterable, Iterator

from graphql import GraphQLObjectType, OperationType, get_named_type, is_abstract_type

from schema.engine.internals import Selections
from schema.engine.plan import (
    Chosen,
    Fetched,
    Followed,
    Grouped,
    Held,
    Level,
    OperationPlan,
    Paged,
)
from schema.engine.run import Asked, Compiled, Engine, NotCompiled

_NOTHING = ["0 statements"]


def explain_operation(
    engine: Engine, asked: Asked, *, sql: bool = False, source: bool = False
) -> Iterator[str]:
    """Yield the lines that describe the plans of an operation, or why there are none.

    A query has one plan; the root fields of other operations are functions with a plan below each.
    ``sql`` adds the statements of relations, ``source`` the Python that runs the plan.
    """
    if asked.operation.operation is OperationType.QUERY:
        yield from _explained(engine.compiled(asked), sql=sql, source=source)
        return
    root = engine.schema.get_root_type(asked.operation.operation)
    assert root is not None, "the operation is valid"
    selections = Selections(engine.schema, asked.fragments, {})
    for name, nodes in selections.fields(root, [asked.operation.selection_set]).items():
        yield f"{name}: its own function"
        field = root.fields.get(nodes[0].name.value)
        type_ = get_named_type(field.type) if field else None
        told = engine.schema.get_possible_types(type_) if is_abstract_type(type_) else [type_]
        for one in told:
            if isinstance(one, GraphQLObjectType):
                below = engine.compiled_below(asked, nodes, one)
                lines = _explained(below, sql=sql, source=source)
                if len(told) > 1:
                    # of a type that nothing is read for there is nothing to tell
                    lines = [] if lines == _NOTHING else [f"{one.name}:", *_indented(lines)]
                yield from _indented(lines)


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _explained(compiled: Compiled | NotCompiled, *, sql: bool, source: bool) -> list[str]:
    if isinstance(compiled, NotCompiled):
        return [f"not compiled: {compiled.reason}"]
    lines = explain(compiled.plan, sql=sql)
    if source:
        lines += compiled.source.splitlines()
        if compiled.pieces.lists:
            lines += ["# where the answer is large, in pieces:"]
            lines += compiled.pieces.source.splitlines()
    return lines


def explain(plan: OperationPlan, *, sql: bool = False) -> list[str]:
    """Return the lines that describe a plan; with ``sql`` also the statements of its relations."""
    statements = sum(_statements(level) for level in plan.levels)
    most = "at most " if any(level.is_mixed for level in plan.levels) else ""
    lines = [f"{most}{statements} statement{'' if statements == 1 else 's'}"]
    for level in plan.root.children:
        lines += _tree(level, "", sql=sql)
    lines += [
        f"masked: {'.'.join((*denied.path, denied.name))} ({denied.error.message})"
        for denied in plan.denied
    ]
    return lines


def _statements(level: Level) -> int:
    if isinstance(level.source, Paged):
        return level.paged + level.counted
    return int(level.takes_statement)


def _tree(level: Level, indent: str, *, sql: bool) -> Iterator[str]:
    columns = ", ".join(sorted(level.columns)) or "nothing"
    counted = ", and their number" if level.counted else ""
    if isinstance(level.source, Paged) and not level.paged:
        counted = ", only their number" if level.counted else ", and is not asked for"
    kind = "" if level.kind is None else f" where {level.kind[0]} is {level.kind[1]}"
    yield f"{indent}{level.path[-1]}{kind}: {_source(level)} reads {columns}{counted}"
    if sql and isinstance(level.source, Followed) and level.source.bind is None:
        text = level.source.relation.statement(frozenset(level.columns), frozenset()).sql
        yield from (f"{indent}    | {line.strip()}" for line in text.splitlines() if line.strip())
    for child in level.children:
        yield from _tree(child, indent + "  ", sql=sql)


def _source(level: Level) -> str:
    match level.source:
        case Followed(relation=relation):
            return f"{relation.name} by {level.key}{_twins(level)}"
        case Paged(listing=listing, parent=parent):
            what = "page" if parent is None else "pages"
            return f"{what} of {listing.statement_name(parent)}{_twins(level)}"
        case Grouped(plan=plan, page=page):
            return f"groups of {plan.aggregation.listing.name}, listed by {'.'.join(page.path)}"
        case Fetched(plan=plan) | Chosen(plan=plan):
            return f"function {plan.name}"
        case Held(column=column):
            return f"{column} of the row"
        case _:
            return "given"


def _twins(level: Level) -> str:
    """Return with which levels it shares a statement, and which may spare it one."""
    others = [twin for twin in level.twins if twin is not level]
    beside = [".".join(twin.path) for twin in others if twin.depth == level.depth]
    above = [".".join(twin.path) for twin in others if twin.depth < level.depth]
    text = f" (together with {', '.join(beside)})" if beside else ""
    return f"{text} (unless known from {', '.join(above)})" if above else text

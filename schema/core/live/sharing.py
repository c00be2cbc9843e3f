"""Who can share an evaluation: those who are told the same of a change."""

from collections.abc import Mapping
from typing import Any

from graphql import Visitor, visit

from resolvers.core.context import Context


class _Using(Visitor):
    """Finds the variables of what is selected."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: Any, *_: Any) -> None:
        self.names.add(node.name.value)


def _selecting(prepared: Any) -> tuple[str, ...]:
    """Return the variables that decide what is told of a change, apart from which are told.

    Those are all but the ones that only the arguments of root fields use.
    """
    plans: dict[Any, Any] = prepared.source.plans
    key = ("selecting", prepared.operation_name)
    found: tuple[str, ...] | None = plans.get(key)
    if found is None:
        using = _Using()
        for node in prepared.operation.selection_set.selections:
            for directive in node.directives or ():
                visit(directive, using)
            selected = getattr(node, "selection_set", None)
            if selected is not None:
                visit(selected, using)
        for fragment in prepared.source.fragments.values():
            visit(fragment, using)
        found = plans[key] = tuple(sorted(using.names))
    return found


def group_key(prepared: Any, context: Context) -> Any:
    """Return what decides about what is told of a change.

    Nothing below a subscription depends on who asks but by permissions and rows.
    """
    if prepared.traced:
        return object()
    principal = context.principal
    given: Mapping[str, Any] = prepared.variables
    variables = tuple((name, repr(given.get(name))) for name in _selecting(prepared))
    return (
        prepared.source.text,
        prepared.operation_name,
        variables,
        principal.rows,
        principal.permissions,
    )

"""Field permissions: declared on the field, checked once per place in the operation."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from graphql import FieldNode, GraphQLError, OperationType, located_error

from resolvers.core.context import Context
from resolvers.core.errors import Forbidden
from schema.core.info import CoreInfo


@dataclass(frozen=True, slots=True)
class Denied:
    """A field the caller may not see: ``path`` are the response names that lead to its objects.

    ``places`` are where it was met, which must be known where its objects are of several types.
    """

    path: tuple[str, ...]
    name: str
    nodes: list[FieldNode]
    error: Forbidden
    places: list[list[str | int]] = field(default_factory=list)


def permitted(info: CoreInfo, permission: str) -> bool:
    """Tell whether the caller may see the field being resolved.

    A field denied on many rows is null in all of them and one error, not one per row; `denials`
    tells it once the answer is there.

    Raises:
        Forbidden: the field is a subscription, which then never starts.

    """
    context: Context = info.context
    if context.principal.can(permission):
        return True
    error = denial(info.parent_type.name, info.field_name, permission)
    if info.operation.operation is OperationType.SUBSCRIPTION and info.path.prev is None:
        raise error
    place = info.path.as_list()
    names = tuple(key for key in place if isinstance(key, str))
    denied = context.denied.setdefault(
        (*names, info.parent_type.name), Denied(names[:-1], names[-1], info.field_nodes, error)
    )
    denied.places.append(place)
    return False


def denial(type_name: str, field_name: str, permission: str) -> Forbidden:
    """Return the error of a field that the caller may not see."""
    return Forbidden(
        f"{type_name}.{field_name} requires the permission {permission}.",
        details={"permission": permission},
    )


def denials(fields: Iterable[Denied], data: Any) -> list[GraphQLError]:
    """Return one error for each denied field of an object in ``data``, at the first of them."""
    errors = []
    for denied in fields:
        if denied.places:
            told = [place for place in denied.places if _is_told(data, place)]
            place = min(told, default=None)
        else:
            place = _first_place(data, denied)
        if place is not None:
            errors.append(located_error(denied.error, denied.nodes, place))
    return errors


def _is_told(data: Any, place: list[str | int]) -> bool:
    """Tell whether the object at ``place`` is in the answer, and no null above took it away."""
    for key in place[:-1]:
        if data is None:
            return False
        data = data[key]
    return data is not None


def _first_place(data: Any, denied: Denied) -> list[str | int] | None:
    path = _first_object(data, denied.path, [])
    return None if path is None else [*path, denied.name]


def _first_object(
    value: Any, names: tuple[str, ...], path: list[str | int]
) -> list[str | int] | None:
    """Return the path of the first object that ``names`` lead to, through lists and nulls."""
    if value is None:
        return None
    if isinstance(value, list):
        places = (_first_object(item, names, [*path, i]) for i, item in enumerate(value))
        return next((place for place in places if place is not None), None)
    if not names:
        return path
    return _first_object(value[names[0]], names[1:], [*path, names[0]])

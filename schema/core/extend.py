"""GraphQL's `extend type`: a higher module adds fields to a lower module's type.

Strawberry keeps a type's fields in a list that is read when the schema is built; appending to it is
not promised by its documentation, so a test pins it.
"""

from collections.abc import Callable
from typing import TypeVar

import strawberry
from strawberry.types.base import get_object_definition

T = TypeVar("T", bound=type)


def extend(target: type) -> Callable[[T], T]:
    """Add the decorated class's fields to ``target``, whose module stays as it is.

    Raises:
        TypeError: ``target`` has a field of that name already.

    """

    def add(extension: T) -> T:
        fields = get_object_definition(strawberry.type(extension), strict=True).fields
        definition = get_object_definition(target, strict=True)
        taken = {field.python_name for field in definition.fields}
        for field in fields:
            if field.python_name in taken:
                raise TypeError(f"{target.__name__} has a field {field.python_name} already.")
        definition.fields.extend(fields)
        return extension

    return add

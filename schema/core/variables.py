"""Variables of an operation, coerced without asking again what never changes.

graphql-core looks up the type of each variable and checks how deep each value is nested for every
request. Here the types are looked up once, and scalars that are what they should be pass at once.
Everything else is graphql-core's: lists, input objects, defaults, and whatever is wrong.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from graphql import (
    GraphQLBoolean,
    GraphQLError,
    GraphQLID,
    GraphQLInputType,
    GraphQLSchema,
    GraphQLString,
    Undefined,
    VariableDefinitionNode,
    get_nullable_type,
    is_leaf_type,
    is_non_null_type,
)
from graphql.execution.get_variable_signature import (
    GraphQLVariableSignature,
    get_variable_signature,
)
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.utilities import coerce_input_value

_AS_THEY_ARE: Final = ((GraphQLString, str), (GraphQLID, str), (GraphQLBoolean, bool))
"""Scalars that take values of a type unchanged."""
_MISSING: Final = object()


class Variables:
    """The variables one operation declares."""

    def __init__(
        self, schema: GraphQLSchema, definitions: Collection[VariableDefinitionNode]
    ) -> None:
        self._declared: list[_Declared] | None = []
        for definition in definitions:
            signature = get_variable_signature(schema, definition)
            if isinstance(signature, GraphQLError) or not _is_scalar(signature.type):
                self._declared = None
                return
            self._declared.append(_Declared(signature))

    def usual(self, given: Mapping[str, Any]) -> VariableValues | None:
        """Return the coerced values, None where graphql-core has to look at them."""
        if self._declared is None:
            return None
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for declared in self._declared:
            value = given.get(declared.name, _MISSING)
            if value is _MISSING:
                if not declared.omittable:
                    return None
                sources[declared.name] = declared.omitted
                continue
            if type(value) is not declared.as_it_is:
                value = coerce_input_value(value, declared.signature.type)
                if value is Undefined:
                    return None
            sources[declared.name] = VariableValueSource(declared.signature, given[declared.name])
            coerced[declared.name] = value
        return VariableValues(sources, coerced)


class _Declared:
    """One variable: a scalar or an enum."""

    __slots__ = ("as_it_is", "name", "omittable", "omitted", "signature")

    def __init__(self, signature: GraphQLVariableSignature) -> None:
        self.signature = signature
        self.name = signature.name
        self.omittable = signature.default is None and not is_non_null_type(signature.type)
        self.omitted = VariableValueSource(signature)
        scalar = get_nullable_type(signature.type)
        self.as_it_is = next((kind for known, kind in _AS_THEY_ARE if scalar is known), None)


def _is_scalar(type_: GraphQLInputType) -> bool:
    return is_leaf_type(get_nullable_type(type_))

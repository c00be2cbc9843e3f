"""Variables of an operation, coerced without asking again what never changes.

graphql-core looks up the type of each variable and of all that is in it, and checks how deep each
value is nested, for every request. Here the types are looked up once. What is left to graphql-core
is whatever is wrong.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from graphql import (
    GraphQLError,
    GraphQLSchema,
    Undefined,
    VariableDefinitionNode,
    is_non_null_type,
)
from graphql.execution.get_variable_signature import (
    GraphQLVariableSignature,
    get_variable_signature,
)
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.utilities.coerce_input_value import coerce_default_value

from schema.core.inputs import fit_for

_MISSING: Final = object()


class Variables:
    """The variables one operation declares."""

    def __init__(
        self, schema: GraphQLSchema, definitions: Collection[VariableDefinitionNode]
    ) -> None:
        self._declared: list[_Declared] | None = []
        for definition in definitions:
            signature = get_variable_signature(schema, definition)
            if isinstance(signature, GraphQLError):
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
                if declared.default is not Undefined:
                    coerced[declared.name] = declared.default
                continue
            sources[declared.name] = VariableValueSource(declared.signature, value)
            try:
                coerced[declared.name] = declared.fit.of(value)
            except Exception:  # noqa: BLE001 - graphql-core tells what is wrong with it
                return None
        return VariableValues(sources, coerced)


class _Declared:
    """One variable."""

    __slots__ = ("default", "fit", "name", "omittable", "omitted", "signature")

    def __init__(self, signature: GraphQLVariableSignature) -> None:
        self.signature = signature
        self.name = signature.name
        self.default = self._default()
        self.omittable = self.default is not Undefined or (
            signature.default is None and not is_non_null_type(signature.type)
        )
        self.omitted = VariableValueSource(signature)
        self.fit = fit_for(signature.type)

    def _default(self) -> Any:
        """Return what it is where it is not given, `Undefined` where that is nothing, or wrong."""
        try:
            return coerce_default_value(self.signature)
        except TypeError:
            return Undefined

"""Input objects, coerced and built by functions that are made once for their type.

graphql-core asks of every value what kind of type it is to fit, and Strawberry resolves annotation
and name of every field of every object anew; of an upsert of a thousand rows that took four fifths
of the gateway's time. Here it is looked up once. What is unusual in any way, above all wrong, is
left to graphql-core, which tells what is wrong with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Any, Final, NamedTuple

import strawberry
from graphql import (
    GraphQLBoolean,
    GraphQLID,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLObjectType,
    GraphQLString,
    Undefined,
    get_nullable_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)
from graphql.utilities.coerce_input_value import coerce_default_value
from strawberry.types.arguments import convert_argument
from strawberry.types.base import (
    StrawberryList,
    StrawberryMaybe,
    StrawberryObjectDefinition,
    StrawberryOptional,
    get_object_definition,
)
from strawberry.types.lazy_type import LazyType

from schema.core.fields import ErpField
from schema.core.info import CoreInfo, Info

_AS_THEY_ARE: Final = ((GraphQLString, str), (GraphQLID, str), (GraphQLBoolean, bool))
"""Scalars that take values of a type unchanged."""
_KEPT: Final = "erp.fit"
"""Where an input object type keeps what coerces it."""


class Unfit(Exception):
    """The value is not a usual one of its type; graphql-core has to look at it."""


class Fit(NamedTuple):
    """How a value is coerced to an input type."""

    as_it_is: type | None
    """Values of this very type are what they are to be."""
    coerce: Callable[[Any], Any]
    """Coerces any other value but null; raises whatever it likes where it cannot."""
    nullable: bool

    def of(self, value: Any) -> Any:
        """Return the coerced value.

        Raises:
            Exception: it does not fit, or not as it usually does.

        """
        if type(value) is self.as_it_is:
            return value
        if value is not None:
            return self.coerce(value)
        if self.nullable:
            return None
        raise Unfit


def fit_for(type_: GraphQLInputType) -> Fit:
    """Return how values are coerced to a type."""
    nullable = not is_non_null_type(type_)
    of: Any = get_nullable_type(type_)
    if is_list_type(of):
        return Fit(None, _list_coercer(fit_for(of.of_type)), nullable)
    if is_input_object_type(of):
        return Fit(None, _object_coercer(of), nullable)
    as_it_is = next((kind for known, kind in _AS_THEY_ARE if of is known), None)
    return Fit(as_it_is, of.coerce_input_value, nullable)


def _list_coercer(item: Fit) -> Callable[[Any], Any]:
    one = item.of

    def coerce(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Unfit
        return [one(found) for found in value]

    return coerce


def _object_coercer(type_: GraphQLInputObjectType) -> Callable[[Any], Any]:
    kept = type_.extensions
    if _KEPT not in kept:
        # what a type that holds itself finds, while it is looked at
        kept[_KEPT] = lambda value: kept[_KEPT](value)  # noqa: PLW0108 - another one by then
        kept[_KEPT] = _new_object_coercer(type_)
    coerce: Callable[[Any], Any] = kept[_KEPT]
    return coerce


def _new_object_coercer(type_: GraphQLInputObjectType) -> Callable[[Any], Any]:
    declared = {name: (field.out_name or name, field) for name, field in type_.fields.items()}
    fields = {
        name: (out_name, *fit_for(field.type)) for name, (out_name, field) in declared.items()
    }
    required = frozenset(out for out, field in declared.values() if is_required_input_field(field))
    defaults = {
        out: default
        for out, field in declared.values()
        if (default := coerce_default_value(field)) is not Undefined
    }
    one_of, out_type = type_.is_one_of, type_.out_type

    def coerce(value: Any) -> Any:
        if type(value) is not dict:
            raise Unfit
        coerced = defaults.copy()
        for name, given in value.items():
            out_name, as_it_is, coerce_given, nullable = fields[name]
            if type(given) is as_it_is:
                coerced[out_name] = given
            elif given is not None:
                coerced[out_name] = coerce_given(given)
            elif nullable:
                coerced[out_name] = None
            else:
                raise Unfit
        if len(coerced) < len(fields) and not required.issubset(coerced):
            raise Unfit
        if one_of and [one is None for one in coerced.values()] != [False]:
            raise Unfit
        return out_type(coerced)

    return coerce


Build = Callable[[Any], Any]
"""Turns a coerced value that is not null into what resolvers get."""


def build_for(type_: Any, converter: Any) -> Build | None:
    """Return what turns coerced values of Strawberry's type into what resolvers get.

    None where they are that already: all but input objects, and lists of them. ``converter`` is
    that of the schema.
    """
    return _build_for(type_, converter, {})


def _build_for(type_: Any, converter: Any, made: dict[Any, Build]) -> Build | None:
    while isinstance(type_, LazyType) or type(type_) is StrawberryOptional:
        type_ = type_.resolve_type() if isinstance(type_, LazyType) else type_.of_type
    if isinstance(type_, StrawberryList):
        one = _build_for(type_.of_type, converter, made)
        if one is None:
            return None
        return lambda values: [None if value is None else one(value) for value in values]
    definition = get_object_definition(type_)
    if isinstance(type_, StrawberryMaybe) or (definition and definition.from_input):
        return _by_strawberry(type_, converter)
    if definition is None:
        return None
    if type_ not in made:
        # what a type that holds itself finds, while it is looked at
        made[type_] = lambda value: made[type_](value)  # noqa: PLW0108 - another one by then
        made[type_] = _object_builder(type_, definition, converter, made)
    return made[type_]


def _by_strawberry(type_: Any, converter: Any) -> Build:
    return lambda value: convert_argument(value, type_, converter.scalar_registry, converter.config)


def _object_builder(
    type_: Any, definition: StrawberryObjectDefinition, converter: Any, made: dict[Any, Build]
) -> Build:
    fields = {
        converter.config.name_converter.from_field(field): (
            field.python_name,
            _build_for(field.resolve_type(type_definition=definition), converter, made),
        )
        for field in definition.fields
    }
    # what is not given and has no default is null
    nothing = {
        field.python_name: None
        for field in definition.fields
        if field.default_value is MISSING and field.default_factory is MISSING
    }

    count = len(fields)
    build_whole = None if hasattr(type_, "__post_init__") else _whole_builder(type_, fields)

    def build(value: Mapping[str, Any]) -> Any:
        if build_whole is not None and len(value) == count:
            return build_whole(value)
        given: dict[str, Any] = nothing.copy()
        for name, one in value.items():
            python_name, build_one = fields[name]
            given[python_name] = one if build_one is None or one is None else build_one(one)
        return type_(**given)

    return build


def _whole_builder(type_: Any, fields: Mapping[str, tuple[str, Build | None]]) -> Build:
    """Return what does with all fields what the constructor of a type would.

    It is written out, field by field, as constructors of data classes are: several times as fast as
    a loop. All names are those of the schema's own code.
    """
    lines = ["def build(value):", "    made = new(type_)"]
    builders: dict[str, Any] = {"new": object.__new__, "type_": type_}
    for name, (python_name, one) in fields.items():
        lines.append(f"    found = value[{name!r}]")
        if one is not None:
            builders[f"build_{python_name}"] = one
            lines.append(f"    found = None if found is None else build_{python_name}(found)")
        lines.append(f"    made.{python_name} = found")
    exec("\n".join([*lines, "    return made"]), builders)  # noqa: S102
    build: Build = builders["build"]
    return build


def build_arguments(schema: strawberry.Schema, type_: GraphQLObjectType) -> None:
    """Have the fields of a root type given their arguments by `build_for`, not by Strawberry."""
    for field in type_.fields.values():
        definition = field.extensions.get("strawberry-definition")
        if isinstance(definition, ErpField):
            field.resolve = _resolver(definition, schema.schema_converter)


def _resolver(definition: ErpField, converter: Any) -> Callable[..., Any]:
    """Return what Strawberry makes of a field whose resolver takes root, info and arguments."""
    arguments = {
        converter.config.name_converter.from_argument(argument): (
            argument.python_name,
            build_for(argument.type, converter),
        )
        for argument in definition.arguments
    }

    def resolve(root: Any, raw: CoreInfo, **given: Any) -> Any:
        info = Info(_raw_info=raw, _field=definition)
        values: dict[str, Any] = {"root": root, "info": info}
        for name, value in given.items():
            python_name, build = arguments[name]
            values[python_name] = value if build is None or value is None else build(value)
        return definition.get_result(root, info, [], values)

    return resolve

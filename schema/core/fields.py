"""How a type declares its fields: a column, a computed value, a relation; one line each.

Every declaration carries a plan (see `schema.core.plan`), a description and, where the field is not
for everybody, the permission it requires. A type's Python object wraps the row it was read from.
"""

import inspect
from asyncio import gather
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import strawberry
from graphql import GraphQLObjectType, get_named_type
from strawberry.types.base import get_object_definition
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from resolvers.core.context import Context
from resolvers.core.relation import Relation
from schema.core.info import Info, core_info
from schema.core.permissions import permitted
from schema.core.plan import (
    PLAN,
    REQUIRES,
    ChoicePlan,
    ColumnPlan,
    ComputedPlan,
    FetchPlan,
    HeldPlan,
    IdPlan,
    ListedPlan,
    MoneyPlan,
    RelationPlan,
)
from schema.core.scalars import CurrencyCode
from schema.core.selection import wanted_columns

ID = strawberry.ID


class RowType:
    """Base of the types that wrap a row; fields read it through their plans."""

    row: Any
    found_by: Relation | None = None
    """What finds the row when it is told; till then it has the key of it alone, as ``id``."""
    read_by: Callable[[Context, Any], Awaitable[Any]] | None = None
    """The same, by a function of the context and the key."""

    @classmethod
    def of(cls, row: Any) -> Any:
        """Wrap ``row``, anything that yields columns by name; None stays None."""
        if row is None:
            return None
        wrapped = cls.__new__(cls)
        wrapped.row = row
        return wrapped

    @classmethod
    def found(cls, relation: Relation, key: Any) -> Any:
        """Stand for the row that ``relation`` finds for ``key`` when it is told of."""
        wrapped = cls.of({"id": key})
        wrapped.found_by = relation
        return wrapped

    @classmethod
    def to_read(cls, read: Callable[[Context, Any], Awaitable[Any]], key: Any) -> Any:
        """Stand for the row that ``read`` returns for ``key`` when it is told of."""
        wrapped = cls.of({"id": key})
        wrapped.read_by = read
        return wrapped


class ErpField(StrawberryField):
    """A field that knows its plan and the permission it requires."""

    @property
    def is_basic_field(self) -> bool:
        """Tell Strawberry that no Info is needed: a plain read that everybody may make."""
        return not self.base_resolver and REQUIRES not in self.metadata

    def get_result(self, source: Any, info: Any, args: list[Any], kwargs: Any) -> Any:
        """Answer the field, unless the caller may not see it."""
        permission = self.metadata.get(REQUIRES)
        if permission is not None and not permitted(core_info(info), permission):
            return None
        if self.base_resolver is not None:
            return self.base_resolver(*args, **kwargs)
        return self.metadata[PLAN].read(source.row)


def declare_field(
    description: str,
    *,
    plan: Any = None,
    requires: str | None = None,
    resolver: Callable[..., Any] | None = None,
    name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    deprecation_reason: str | None = None,
    is_subscription: bool = False,
) -> Any:
    """Make a field; every declaration below ends here."""
    collected: dict[str, Any] = dict(metadata or {})
    if plan is not None:
        collected[PLAN] = plan
    if requires is not None:
        collected[REQUIRES] = requires
    return ErpField(
        graphql_name=name,
        description=description,
        metadata=collected,
        base_resolver=None if resolver is None else StrawberryResolver(resolver),
        deprecation_reason=deprecation_reason,
        is_subscription=is_subscription,
    )


def column(
    description: str, *, name: str | None = None, of: str | None = None, requires: str | None = None
) -> Any:
    """Declare a field that is a column; ``of`` names the column when it is not the field's name."""
    if of is not None:
        return declare_field(description, plan=ColumnPlan(of), requires=requires, name=name)
    return _NamedColumn(description, requires, name)


class _NamedColumn(ErpField):
    """A column field whose column has the Python name of the attribute it is assigned to."""

    def __init__(
        self, description: str = "", requires: str | None = None, name: str | None = None, **kw: Any
    ) -> None:
        metadata = kw.pop("metadata", None) or ({REQUIRES: requires} if requires else {})
        super().__init__(
            graphql_name=kw.pop("graphql_name", name),
            description=kw.pop("description", description),
            metadata=metadata,
            **kw,
        )

    def __set_name__(self, owner: type, name: str) -> None:
        self.metadata = MappingProxyType({**self.metadata, PLAN: ColumnPlan(name)})


def computed(
    description: str,
    compute: Callable[[Any], Any],
    *,
    needs: tuple[str, ...],
    requires: str | None = None,
) -> Any:
    """Declare a field computed from the columns in ``needs`` by a pure function of the row."""
    return declare_field(
        description, plan=ComputedPlan(frozenset(needs), compute), requires=requires
    )


@strawberry.type(description="An amount of money with its currency.")
class Money:
    """Amount and currency; the amount is exact and never a float."""

    amount: Decimal = strawberry.field(
        description="The amount, exact, as a decimal string; see the currency's digits for display."
    )
    currency: CurrencyCode = strawberry.field(description="The currency of the amount.")


def money(
    description: str,
    amount: str,
    currency: str = "currency",
    *,
    requires: str | None = None,
    name: str | None = None,
) -> Any:
    """Declare a Money field from an amount column and a currency column of the same row."""
    plan = MoneyPlan(amount, currency, _money)
    return declare_field(description, plan=plan, requires=requires, name=name)


def _money(amount: Any, currency: Any) -> Money:
    return Money(amount=amount, currency=currency)


def node_id(type_name: str) -> Any:
    """Declare the global id of a type."""
    return declare_field(
        "Opaque id, unique across all types; pass it back as it is.", plan=IdPlan(type_name)
    )


def related(
    description: str,
    relation: Relation,
    key: str,
    *,
    requires: str | None = None,
    size: int = 10,
) -> Any:
    """Declare a relation field: the row, or with a to-many relation the rows, found by ``key``.

    ``size`` is how many rows a to-many relation is expected to find, for the cost of the operation.
    """

    async def resolve(root: Any, info: Info) -> Any:
        return await follow(root, info, relation, key, {})

    metadata = {"assumed_size": size} if relation.many else {}
    return declare_field(
        description,
        plan=RelationPlan(relation, key),
        requires=requires,
        resolver=resolve,
        metadata=metadata,
    )


def related_with(
    relation: Relation,
    key: str,
    description: str,
    *,
    bind: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]],
    requires: str | None = None,
    size: int = 10,
) -> Callable[[Callable[..., Any]], Any]:
    """Declare a relation field with arguments; decorates a function whose signature names them.

    The function's body is never run; ``bind(context, arguments)`` turns what the client gave into
    the relation's arguments.
    """

    def declare(signature: Callable[..., Any]) -> Any:
        async def resolve(root: Any, info: Info, **arguments: Any) -> Any:
            bound = bind(info.context, arguments)
            return await follow(root, info, relation, key, bound)

        return declare_field(
            description,
            plan=RelationPlan(relation, key, bind),
            requires=requires,
            resolver=with_signature(resolve, signature),
            metadata={"assumed_size": size} if relation.many else {},
        )

    return declare


def listed(
    description: str, relation: Relation, ids: str, *, requires: str | None = None, size: int = 10
) -> Any:
    """Declare a list of the objects whose ids the row carries, such as what a command changed."""

    async def resolve(root: Any, info: Info) -> Any:
        return await follow_all(info, relation, root.row[ids])

    return declare_field(
        description,
        plan=ListedPlan(relation, ids),
        requires=requires,
        resolver=resolve,
        metadata={"assumed_size": size},
    )


def held(description: str, of: str, *, requires: str | None = None, size: int | None = None) -> Any:
    """Declare an object or a list of objects that the row holds itself, in the column ``of``.

    Such as the lines of a report: their rows come with that of the report, all columns of them.
    ``size`` is how many are expected of a list, for the cost of the operation.
    """

    def resolve(root: Any, info: Info) -> Any:
        wrap = origin_of(named_type(core_info(info).return_type)).of
        found = root.row[of]
        return [wrap(row) for row in found] if isinstance(found, list | tuple) else wrap(found)

    return declare_field(
        description,
        plan=HeldPlan(of),
        requires=requires,
        resolver=resolve,
        metadata={} if size is None else {"assumed_size": size},
    )


async def follow(
    root: Any, info: Info, relation: Relation, key: str, arguments: Mapping[str, Any]
) -> Any:
    """Load what ``relation`` finds for the parent's ``key`` and wrap it in the field's type."""
    value = root.row[key]
    if value is None:
        return [] if relation.many else None
    raw = core_info(info)
    type_ = named_type(raw.return_type)
    loader = relation.loader(info.context, arguments)
    found = await loader.load(value, wanted_columns(raw, type_))
    wrap = origin_of(type_).of
    return [wrap(row) for row in found] if relation.many else wrap(found)


async def find(context: Context, relation: Relation, key: Any, columns: frozenset[str]) -> Any:
    """Return the row a to-one relation finds for ``key``, None where there is none."""
    if context.alone:
        return await relation.one(context.reads, key, columns)
    return await relation.loader(context, {}).load(key, columns)


async def find_all(
    context: Context, relation: Relation, keys: Sequence[Any], columns: frozenset[str]
) -> Any:
    """Return the rows a to-one relation finds for ``keys``, None where there is none."""
    loader = relation.loader(context, {})
    return list(await gather(*(loader.load(key, columns) for key in keys)))


async def follow_all(
    info: Info, relation: Relation, keys: Sequence[Any], arguments: Mapping[str, Any] | None = None
) -> list[Any]:
    """Load what a to-one relation finds for each of ``keys``, wrapped in the field's type."""
    raw = core_info(info)
    type_ = named_type(raw.return_type)
    loader = relation.loader(info.context, arguments or {})
    columns = wanted_columns(raw, type_)
    wrap = origin_of(type_).of
    return [wrap(row) for row in await gather(*(loader.load(key, columns) for key in keys))]


def type_name(type_: type[RowType]) -> str:
    """Return the GraphQL name of a type's class."""
    name: str = get_object_definition(type_, strict=True).name
    return name


def named_type(type_: Any) -> GraphQLObjectType:
    """Return the object type inside lists and non-nulls."""
    named = get_named_type(type_)
    assert isinstance(named, GraphQLObjectType)
    return named


def origin_of(type_: GraphQLObjectType) -> Any:
    """Return the Python class behind a GraphQL type."""
    return type_.extensions["strawberry-definition"].origin


def fetched(
    description: str,
    *,
    requires: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], Any]:
    """Declare a root field that fetches rows: decorates ``fetch(context, columns, **arguments)``.

    It returns a row or None, or for a list field rows with None where one is missing; rows yield
    ``columns`` by name. The other parameters are the field's arguments.
    """

    def declare(fetch: Callable[..., Any]) -> Any:
        async def resolve(root: Any, info: Info, **arguments: Any) -> Any:
            del root
            raw = core_info(info)
            type_ = named_type(raw.return_type)
            found = await fetch(info.context, wanted_columns(raw, type_), **arguments)
            wrap = origin_of(type_).of
            return [wrap(row) for row in found] if isinstance(found, list) else wrap(found)

        with_arguments_of(fetch, resolve, given=2)
        return declare_field(
            description,
            plan=FetchPlan(fetch.__name__, fetch),
            requires=requires,
            resolver=resolve,
            metadata=metadata,
        )

    return declare


def chosen(description: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare a root field of an interface: decorates ``fetch(context, columns_of, **arguments)``.

    It returns the name of the type found and its row, or None; see `schema.core.plan.ChoicePlan`.
    """

    def declare(fetch: Callable[..., Any]) -> Any:
        async def resolve(root: Any, info: Info, **arguments: Any) -> Any:
            del root
            raw = core_info(info)
            types = raw.schema.type_map

            def columns_of(type_name: str) -> frozenset[str]:
                return wanted_columns(raw, named_type(types[type_name]))

            found = await fetch(info.context, columns_of, **arguments)
            if found is None:
                return None
            type_name, row = found
            return origin_of(named_type(types[type_name])).of(row)

        with_arguments_of(fetch, resolve, given=2)
        return declare_field(description, plan=ChoicePlan(fetch.__name__, fetch), resolver=resolve)

    return declare


def with_arguments_of(
    function: Callable[..., Any],
    resolve: Callable[..., Any],
    *,
    given: int,
    also: Sequence[inspect.Parameter] = (),
) -> Callable[..., Any]:
    """Give ``resolve(root, info, **arguments)`` the name and the arguments of ``function``.

    The first ``given`` parameters of the function are no arguments of the field; those of ``also``
    are, besides its own.
    """
    signature = inspect.signature(function)
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    leading = [
        inspect.Parameter("root", positional, annotation=Any),
        inspect.Parameter("info", positional, annotation=Info),
    ]
    arguments = list(signature.parameters.values())[given:]
    resolve.__name__ = function.__name__
    resolve.__module__ = function.__module__
    resolve.__signature__ = signature.replace(parameters=[*leading, *arguments, *also])  # type: ignore[attr-defined]
    return resolve


def field(
    description: str,
    *,
    requires: str | None = None,
    name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    subscription: bool = False,
) -> Callable[[Callable[..., Any]], Any]:
    """Declare a field answered by a function, such as a root field."""

    def declare(function: Callable[..., Any]) -> Any:
        return declare_field(
            description,
            requires=requires,
            resolver=function,
            name=name,
            metadata=metadata,
            is_subscription=subscription,
        )

    return declare


def argument(description: str) -> Any:
    """Describe an argument of a field, inside an Annotated type."""
    return strawberry.argument(description=description)


def with_signature(
    resolve: Callable[..., Any], signature: Callable[..., Any]
) -> Callable[..., Any]:
    """Give ``resolve`` the name, parameters and annotations of ``signature``."""
    resolve.__name__ = signature.__name__
    resolve.__module__ = signature.__module__
    resolve.__annotations__ = dict(signature.__annotations__)
    resolve.__wrapped__ = signature  # type: ignore[attr-defined]
    return resolve

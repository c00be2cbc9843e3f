"""Relay connections over keyset listings: one declaration per list, at the root or under a parent.

Follows the Relay cursor connections specification (https://relay.dev/graphql/connections.htm), with
`nodes` beside `edges` as GitHub's and Shopify's schemas have it, and `totalCount` computed only
when selected.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields as dataclass_fields
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar

import strawberry
from graphql import GraphQLObjectType
from strawberry.utils.str_converters import to_camel_case

from resolvers.core.errors import Forbidden, Invalid
from resolvers.core.listing import COUNT_CAP, DEFAULT_PAGE, MAX_PAGE, Listing, Page, PageRequest
from resolvers.core.loader import BatchLoader
from resolvers.core.principal import Principal
from resolvers.core.relation import pascal_case
from schema.core.fields import declare_field, field, named_type, origin_of
from schema.core.ids import decode_id, decode_ids
from schema.core.info import Info, core_info
from schema.core.plan import ConnectionPlan
from schema.core.selection import CONNECTION_PATHS, selected_names, wanted_columns

Node = TypeVar("Node")

BESIDE_THE_PAGE = frozenset({"totalCount", "aggregates", "__typename"})
"""Fields of a connection for which no page is read."""
NO_PAGE = Page((), has_next=False, has_previous=False)


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Relay's PageInfo."""

    has_next_page: bool = strawberry.field(description="There are more nodes behind this page.")
    has_previous_page: bool = strawberry.field(description="There are nodes before this page.")
    start_cursor: str | None = strawberry.field(
        description="Cursor of the first node; pass it as `before` with `last` to page backwards."
    )
    end_cursor: str | None = strawberry.field(
        description="Cursor of the last node; pass it as `after` with `first` to page forwards."
    )


@strawberry.type(description="One node of a list with its cursor.")
class Edge(Generic[Node]):
    """Relay's Edge."""

    cursor: str = strawberry.field(description="Where the node stands in this list and order.")
    node: Node = strawberry.field(description="The node itself.")


@strawberry.type(description="One page of a list.")
class Connection(Generic[Node]):
    """Relay's Connection; wraps a page and counts only when asked."""

    listing: strawberry.Private[Listing]
    request: strawberry.Private[PageRequest]
    page: strawberry.Private[Page]
    wrap: strawberry.Private[Callable[[Any], Any]]
    count: strawberry.Private[Callable[[], Awaitable[int]]]
    parent: strawberry.Private[str | None]
    owner: strawberry.Private[Any]

    @field("The nodes of this page with their cursors.")
    def edges(self) -> list[Edge[Node]]:
        """Return the page's rows as edges."""
        cursor, request = self.listing.cursor, self.request
        return [Edge(cursor=cursor(request, row), node=self.wrap(row)) for row in self.page.rows]

    @field("The nodes of this page, without cursors.")
    def nodes(self) -> list[Node]:
        """Return the page's rows."""
        return [self.wrap(row) for row in self.page.rows]

    @field("Where this page stands in the list.")
    def page_info(self) -> PageInfo:
        """Return Relay's page info."""
        rows = self.page.rows
        cursor = self.listing.cursor
        return PageInfo(
            has_next_page=self.page.has_next,
            has_previous_page=self.page.has_previous,
            start_cursor=cursor(self.request, rows[0]) if rows else None,
            end_cursor=cursor(self.request, rows[-1]) if rows else None,
        )

    @field(
        f"Number of nodes in the whole list; stops counting at {COUNT_CAP}. "
        "Costs a statement of its own, so ask for it only where it is shown."
    )
    async def total_count(self) -> int:
        """Count the list."""
        return await self.count()


@strawberry.enum(description="Direction of an order.")
class SortDirection(Enum):
    """Ascending or descending."""

    ASC = strawberry.enum_value(
        "ASC", description="Smallest, earliest or first in the alphabet first."
    )
    DESC = strawberry.enum_value(
        "DESC", description="Largest, latest or last in the alphabet first."
    )


@strawberry.input(description="A range of dates; both ends are included and each may be left out.")
class DateRange:
    """Bounds of a date filter."""

    from_: date | None = strawberry.field(name="from", default=None, description="Earliest date.")
    to: date | None = strawberry.field(default=None, description="Latest date.")

    def bounds(self) -> tuple[Any, Any]:
        """Return the lower and the upper bound."""
        return self.from_, self.to


@strawberry.input(
    description="A range of instants; both ends are included and each may be left out."
)
class DateTimeRange:
    """Bounds of an instant filter."""

    from_: datetime | None = strawberry.field(
        name="from", default=None, description="Earliest instant."
    )
    to: datetime | None = strawberry.field(default=None, description="Latest instant.")

    def bounds(self) -> tuple[Any, Any]:
        """Return the lower and the upper bound."""
        return self.from_, self.to


@strawberry.input(
    description="A range of numbers; both ends are included and each may be left out."
)
class DecimalRange:
    """Bounds of a number filter."""

    gte: Decimal | None = strawberry.field(default=None, description="Smallest value.")
    lte: Decimal | None = strawberry.field(default=None, description="Largest value.")

    def bounds(self) -> tuple[Any, Any]:
        """Return the lower and the upper bound."""
        return self.gte, self.lte


def filter_values(listing: Listing, given: Any) -> dict[str, Any]:
    """Return the values of a filter input by filter name; ids decoded, ranges as pairs.

    Raises:
        Invalid: an id is not one of the type the filter takes.

    """
    values: dict[str, Any] = {}
    if given is None:
        return values
    for item in dataclass_fields(given):
        value = getattr(given, item.name)
        if value is None or value is strawberry.UNSET:
            continue
        values[item.name] = _filter_value(listing, item.name, value)
    return values


def _filter_value(listing: Listing, name: str, value: Any) -> Any:
    if hasattr(value, "bounds"):
        return value.bounds()
    entity_name = listing.filters[name].entity_name
    at = ("filter", to_camel_case(name))
    if isinstance(value, list):
        if entity_name is not None:
            return decode_ids(value, entity_name, at)
        if len(value) > MAX_PAGE:
            raise Invalid(f"{'.'.join(at)} takes at most {MAX_PAGE} values.", path=at)
        return [_plain(item) for item in value]
    if entity_name is not None:
        return decode_id(value, entity_name, path=at)
    return _plain(value)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def order_input(type_name: str, listing: Listing, descriptions: Mapping[str, str]) -> Any:
    """Make the input by which clients order a listing: `{field, direction}`."""
    sort = Enum(  # type: ignore[misc]
        f"{type_name}Sort",
        {
            name: strawberry.enum_value(name, description=descriptions[name])
            for name in listing.orders
        },
    )
    strawberry.enum(sort, description=f"What a list of {type_name} can be ordered by.")
    namespace = {
        "__annotations__": {"field": sort, "direction": SortDirection},
        "field": strawberry.field(description="What to order by."),
        "direction": strawberry.field(
            default=SortDirection.ASC, description="Which end comes first."
        ),
        "__doc__": f"Order of a list of {type_name}.",
    }
    made = type(f"{type_name}OrderBy", (), namespace)
    return strawberry.input(made, description=f"How a list of {type_name} is ordered.")


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=annotation
    )


def _described(type_: Any, description: str) -> Any:
    return Annotated[type_, strawberry.argument(description=description)]


_PAGING = (
    _parameter(
        "first",
        _described(
            int | None, f"Page size from the front, at most {MAX_PAGE}; default {DEFAULT_PAGE}."
        ),
    ),
    _parameter("after", _described(str | None, "Continue behind this cursor; goes with `first`.")),
    _parameter("last", _described(int | None, f"Page size from the back, at most {MAX_PAGE}.")),
    _parameter("before", _described(str | None, "Continue before this cursor; goes with `last`.")),
)


def connection(
    description: str,
    listing: Listing,
    *,
    filter_input: Any = None,
    order: Any = None,
    parent: str | None = None,
    key: str = "id",
    requires: str | None = None,
) -> Any:
    """Declare a connection field over ``listing``.

    With ``parent`` (a column of the listing's entity) it lists the rows that belong to the parent's
    ``key``, for all parents of a level in one statement.
    """

    async def resolve(root: Any, info: Info, **arguments: Any) -> Any:
        request = page_request(listing, arguments, info.context.principal)
        return await open_connection(info, listing, request, parent=parent, root=root, key=key)

    own: list[inspect.Parameter] = []
    if filter_input is not None:
        own.append(_parameter("filter", _described(filter_input | None, "Which nodes to list.")))
    if order is not None:
        own.append(_parameter("order_by", _described(order | None, "In which order to list.")))
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    resolve.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("root", positional, annotation=Any),
            inspect.Parameter("info", positional, annotation=Info),
            *_PAGING,
            *own,
        ]
    )
    needs = frozenset() if parent is None else frozenset({key})
    return declare_field(
        description,
        plan=ConnectionPlan(listing, parent, key, needs),
        requires=requires,
        resolver=resolve,
        metadata={"assumed_size": DEFAULT_PAGE},
    )


def page_request(listing: Listing, arguments: Mapping[str, Any], caller: Principal) -> PageRequest:
    """Return which page a connection field's arguments ask for.

    Raises:
        Invalid: a filter value cannot be used.
        Forbidden: a filter would tell what the caller may not see.

    """
    filters = filter_values(listing, arguments.get("filter"))
    for name, permission in listing.guarded.items():
        if name in filters and not caller.can(permission):
            raise Forbidden(
                f"This filter requires the permission {permission}.",
                path=("filter", name),
                details={"permission": permission},
            )
    order = arguments.get("order_by")
    return listing.request(
        first=arguments.get("first"),
        after=arguments.get("after"),
        last=arguments.get("last"),
        before=arguments.get("before"),
        order=None if order is None else order.field.value,
        descending=None if order is None else order.direction is SortDirection.DESC,
        filters=filters,
    )


async def open_connection(
    info: Info,
    listing: Listing,
    request: PageRequest,
    *,
    parent: str | None = None,
    root: Any = None,
    key: str = "id",
) -> Any:
    """Load the page a connection field asks for and wrap it in the field's type."""
    raw = core_info(info)
    connection_type = named_type(raw.return_type)
    node_type = _node_type(connection_type)
    columns = wanted_columns(raw, node_type, CONNECTION_PATHS)
    reads = info.context.reads
    owner = None if parent is None else root.row[key]
    if selected_names(raw) <= BESIDE_THE_PAGE:
        listing.check(request)
        page = NO_PAGE
    elif parent is None:
        page = await listing.page(reads, request, columns)
    else:
        page = await _pages_loader(info, listing, parent, request).load(owner, columns)

    async def count() -> int:
        if parent is None:
            return (await listing.counts(reads, None, (), request))[0]
        return await _counts_loader(info, listing, parent, request).load(owner)

    return origin_of(connection_type)(
        listing=listing,
        request=request,
        page=page,
        wrap=origin_of(node_type).of,
        count=count,
        parent=parent,
        owner=owner,
    )


def _node_type(connection_type: GraphQLObjectType) -> GraphQLObjectType:
    return named_type(connection_type.fields["nodes"].type)


def _pages_loader(
    info: Info, listing: Listing, parent: str, request: PageRequest
) -> BatchLoader[Any, Page]:
    def make(context: Any) -> BatchLoader[Any, Page]:
        async def batch(keys: Sequence[Any], columns: frozenset[str]) -> Sequence[Page]:
            return await listing.pages(context.reads, parent, keys, request, columns)

        return BatchLoader(f"{_title(listing)}By{pascal_case(parent)}", batch, stats=context.stats)

    loader: BatchLoader[Any, Page] = info.context.loader(
        (listing, parent, request.fingerprint()), make
    )
    return loader


def _counts_loader(
    info: Info, listing: Listing, parent: str, request: PageRequest
) -> BatchLoader[Any, int]:
    def make(context: Any) -> BatchLoader[Any, int]:
        async def batch(keys: Sequence[Any], _: frozenset[str]) -> Sequence[int]:
            return await listing.counts(context.reads, parent, keys, request)

        return BatchLoader(
            f"{_title(listing)}CountBy{pascal_case(parent)}", batch, stats=context.stats
        )

    loader: BatchLoader[Any, int] = info.context.loader(
        ("count", listing, parent, request.fingerprint()), make
    )
    return loader


def _title(listing: Listing) -> str:
    return listing.name[0].upper() + listing.name[1:]

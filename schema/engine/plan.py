"""What an operation reads, level by level, and the shape it is answered in.

A level is the rows one statement fetches for all parents at once. A shape is what one row of a
level becomes in the answer. Fields of one level that follow the same relation by the same column
with the same arguments share its level, whatever their aliases. Levels that ask the same for other
parents are twins: those of one depth share a statement, and deeper ones ask for what is not known.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    print_ast,
)

from resolvers.core.entity import RowKind
from resolvers.core.listing import Listing, PageRequest
from resolvers.core.relation import Relation
from schema.core.kinds import kinds
from schema.core.permissions import Denied, denial
from schema.core.plan import (
    REQUIRES,
    AggregatesPlan,
    AnyRelationPlan,
    ChoicePlan,
    ColumnPlan,
    ComputedPlan,
    ConnectionPlan,
    FetchPlan,
    HeldPlan,
    IdPlan,
    ListedPlan,
    MoneyPlan,
    PartPlan,
    RelationPlan,
    plan_of,
)
from schema.engine.internals import Arguments, CannotPlan, Selections, definition_of

TYPENAME = "__typename"


# --- where the rows of a level come from


@dataclass(frozen=True, slots=True)
class Given:
    """Rows that are there before the plan runs: the root, or the objects of an event."""

    def identity(self, _name: str) -> Any:
        """Return nothing: no field leads here."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A row or rows from a root field's own function."""

    plan: FetchPlan
    many: bool

    def identity(self, name: str) -> Any:
        """Return what tells it from other sources: each response name is fetched by itself."""
        return name


@dataclass(frozen=True, slots=True)
class Followed:
    """Rows a relation finds for the parents' keys."""

    relation: Relation
    bind: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]] | None

    def identity(self, _name: str) -> Any:
        """Return what tells it from other sources."""
        return id(self.relation)


@dataclass(frozen=True, slots=True)
class Paged:
    """A page of a listing, or with ``parent`` one page for each parent."""

    listing: Listing
    parent: str | None

    def identity(self, _name: str) -> Any:
        """Return what tells it from other sources."""
        return id(self.listing), self.parent


@dataclass(frozen=True, slots=True)
class Chosen:
    """An object whose type is known only with its row; ``sets`` are then planned for that type."""

    plan: ChoicePlan
    sets: list[SelectionSetNode]

    def identity(self, name: str) -> Any:
        """Return what tells it from other sources: each response name is fetched by itself."""
        return name


@dataclass(frozen=True, slots=True)
class Held:
    """The row, or with ``many`` the rows, that each parent's row holds in a column."""

    column: str
    many: bool

    def identity(self, _name: str) -> Any:
        """Return what tells it from other sources."""
        return self.column


@dataclass(frozen=True, slots=True)
class Grouped:
    """The groups of the list that ``page``, a level of its own, is a page of."""

    plan: AggregatesPlan
    page: "Level"

    @property
    def parent(self) -> str | None:
        """The column that says which parent a group is for."""
        assert isinstance(self.page.source, Paged)
        return self.page.source.parent

    def identity(self, _name: str) -> Any:
        """Return what tells it from other sources."""
        return id(self.plan), self.page.number


Source = Given | Fetched | Followed | Paged | Grouped | Chosen | Held


@dataclass(eq=False)
class Level:
    """The rows that fields find for all parents at once.

    ``columns`` grows while its shapes are planned, each of which is made of every row. ``key`` is
    the column of the parents' rows that leads here, ``listed`` when it holds many keys. ``kind`` is
    the word a parent's row must have in a column to lead here: (column, word).
    """

    number: int
    path: tuple[str, ...]
    source: Source
    parent: "Level | None"
    key: str = ""
    listed: bool = False
    kind: tuple[str, str] | None = None
    arguments: Arguments | None = None
    columns: set[str] = field(default_factory=set)
    children: list["Level"] = field(default_factory=list)
    twins: list["Level"] = field(default_factory=list)
    """The levels that ask the same, this one among them; they share ``columns``."""
    shapes: list["Shape"] = field(default_factory=list)
    counted: bool = False
    paged: bool = False
    """Whether anything of the page itself is shown, of a level that is a page."""
    request: PageRequest | None = None
    """The page asked for, once it is known to be the same in every execution."""
    requests: dict[tuple[Any, ...], PageRequest] = field(default_factory=dict)
    """Pages asked for lately, by what decided about them."""

    @property
    def depth(self) -> int:
        """Number of levels above."""
        return 0 if self.parent is None else self.parent.depth + 1

    @property
    def takes_statement(self) -> bool:
        """Whether its rows are asked for; others are there with their parents, or not shown."""
        if isinstance(self.source, Paged):
            return self.paged or self.counted
        return not isinstance(self.source, Given | Held)

    @property
    def is_mixed(self) -> bool:
        """Whether it, or a level above, is of only some of the objects at its path."""
        return self.kind is not None or (self.parent is not None and self.parent.is_mixed)

    @property
    def entity(self) -> RowKind | None:
        """The kind of its rows, where it is known."""
        if isinstance(self.source, Followed):
            return self.source.relation.target
        if isinstance(self.source, Paged):
            return self.source.listing.entity
        return None

    def is_unique(self, column: str) -> bool:
        """Tell whether no two rows have the same value in a column, nor any row none."""
        source = self.source
        joined = isinstance(source, Followed) and source.relation.source is not None
        return self.entity is not None and column == self.entity.key and not joined


# --- what a row becomes


@dataclass(frozen=True, slots=True)
class Constant:
    """A value known while planning, such as a type name."""

    value: Any


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the row, as JSON already or made JSON by ``convert``; ``words`` are an enum's."""

    column: str
    required: bool
    convert: Callable[[Any], Any] | None = None
    words: Mapping[Any, str] | None = None


@dataclass(frozen=True, slots=True)
class GlobalId:
    """The global id of the row."""

    type_name: str
    column: str


@dataclass(frozen=True, slots=True)
class Amount:
    """A Money object, selected as ``names``: (response name, field name)."""

    amount: str
    currency: str
    names: tuple[tuple[str, str], ...]
    required: bool
    convert: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Computed:
    """A value computed by a pure function of the row, then finished as its type says."""

    compute: Callable[[Any], Any]
    finish: "Finish"


@dataclass(frozen=True, slots=True)
class One:
    """The object of a to-one relation."""

    shape: "Shape"
    key: str
    required: bool


@dataclass(frozen=True, slots=True)
class Many:
    """The objects of a to-many relation, or those of a list of ids when ``listed``."""

    shape: "Shape"
    key: str
    listed: bool = False
    required_items: bool = True


@dataclass(frozen=True, slots=True)
class Either:
    """The object that a row names by a word for its type and a key: ``shapes`` by those words."""

    kind: str
    key: str
    shapes: tuple[tuple[str, "Shape"], ...]


@dataclass(frozen=True, slots=True)
class Own:
    """The object, or with ``many`` the objects, made of the rows that a row holds itself."""

    shape: "Shape"
    column: str
    many: bool
    required: bool
    required_items: bool


@dataclass(frozen=True, slots=True)
class Part:
    """An object made of the same row: ``entries`` in the order of the answer."""

    entries: tuple[tuple[str, "Value"], ...]


@dataclass(frozen=True, slots=True)
class Masked:
    """What the caller may not see, of an object that may be of another type as well."""


@dataclass(frozen=True, slots=True)
class Page:
    """A connection: ``entries`` are (response name, part) with the parts selected of it."""

    level: Level
    key: str
    entries: tuple[tuple[str, "PagePart"], ...]


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of a page; as edges when ``entries`` says what an edge is made of."""

    shape: "Shape | None"
    entries: tuple[tuple[str, "Shape | str"], ...] | None = None


@dataclass(frozen=True, slots=True)
class PageInfo:
    """The page info, selected as ``names``: (response name, field name)."""

    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """An object that a level answers by itself."""

    level: Level


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of the whole list, beside a page of it."""

    shape: "Shape"


PagePart = Nodes | PageInfo | Groups | Constant | str
Value = (
    Constant
    | Column
    | GlobalId
    | Amount
    | Computed
    | One
    | Many
    | Either
    | Own
    | Part
    | Masked
    | Page
    | Ready
)


@dataclass(eq=False)
class Shape:
    """What one row of ``level`` becomes: ``entries`` in the order of the answer."""

    level: Level
    type_name: str
    number: int
    entries: list[tuple[str, Value]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Finish:
    """How a Python value becomes JSON: a leaf, an object by its attributes, or a list of either.

    ``entries`` are (response name, attribute, how it becomes JSON), ``items`` say how items do.
    """

    required: bool
    convert: Callable[[Any], Any] | None = None
    entries: tuple[tuple[str, str, "Finish"], ...] | None = None
    items: "Finish | None" = None
    constant: str | None = None


@dataclass(eq=False)
class OperationPlan:
    """A planned selection: the root level, its shape, and what is masked in it."""

    root: Level
    shape: Shape
    levels: tuple[Level, ...]
    """All levels, the upper before the deeper; parents therefore before their children."""
    denied: tuple[Denied, ...]

    @cached_property
    def batches(self) -> int:
        """How many levels ask for their rows."""
        return sum(level.takes_statement for level in self.levels)


_READY_FOR_JSON = frozenset({"String", "Int", "Boolean", "Decimal", "CurrencyCode", "ID", "Date"})
"""Scalars whose values in rows are JSON already; decimals and dates come from reads as text."""
_THE_SAME_EVERYWHERE = frozenset({"String", "Int", "Boolean", "ID"})
"""Those of them that functions do not make other values of."""


@dataclass(frozen=True, slots=True)
class Selected:
    """A field as it is selected: all its nodes of one response name, on rows of ``level``."""

    name: str
    where: str
    field: GraphQLField
    nodes: list[FieldNode]
    level: Level
    path: tuple[str, ...]

    @property
    def required(self) -> bool:
        """Whether the field can never be null."""
        return isinstance(self.field.type, GraphQLNonNull)

    @property
    def sets(self) -> list[SelectionSetNode]:
        """What is selected below it."""
        return [node.selection_set for node in self.nodes if node.selection_set]


class Planner:
    """Plans one operation for one set of permissions and of included fields."""

    def __init__(self, selections: Selections, converter: Any, permissions: frozenset[str]) -> None:
        self._selections = selections
        self._converter = converter
        self._permissions = permissions
        self._levels: list[Level] = []
        self._shapes = 0
        self._twins: dict[Any, list[Level]] = {}
        self._denied: list[Denied] = []
        self._planners: dict[type, Callable[[Any, Selected], Value]] = {
            ColumnPlan: self._column,
            IdPlan: self._global_id,
            MoneyPlan: self._amount,
            ComputedPlan: self._computed,
            RelationPlan: self._related,
            ListedPlan: self._listed,
            AnyRelationPlan: self._related_any,
            HeldPlan: self._held,
            PartPlan: self._part,
            ConnectionPlan: self._page,
            FetchPlan: self._fetched,
            ChoicePlan: self._chosen,
        }

    def plan(
        self,
        type_: GraphQLObjectType,
        sets: list[SelectionSetNode],
        path: tuple[str, ...] = (),
    ) -> OperationPlan:
        """Plan the selection of ``type_`` over rows that are given, at ``path`` in the answer.

        Raises:
            CannotPlan: a field has no plan, or is one the caller may not see.

        """
        root = Level(0, path, Given(), None)
        self._levels.append(root)
        shape = self._shape(type_, sets, root, path)
        levels = sorted(self._levels, key=lambda level: level.depth)
        return OperationPlan(root, shape, tuple(levels), tuple(self._denied))

    def _child(
        self,
        selected: "Selected",
        source: Source,
        key: str,
        *,
        listed: bool = False,
        kind: tuple[str, str] | None = None,
    ) -> Level:
        """Return the level a field leads to; one for all fields of a level that ask the same."""
        node, field_ = selected.nodes[0], selected.field
        asked = " ".join(sorted(print_ast(argument) for argument in node.arguments or ()))
        of_field = selected.where if field_.args else None
        identity = (type(source), source.identity(selected.name), of_field, asked)
        twins = self._twins.setdefault(identity, [])
        for twin in twins:
            if (twin.parent, twin.key, twin.kind) == (selected.level, key, kind):
                return twin
        number, path = len(self._levels), (*selected.level.path, selected.name)
        level = Level(number, path, source, selected.level, key, listed, kind)
        level.arguments = Arguments(field_, node, self._converter) if field_.args else None
        level.columns = twins[0].columns if twins else level.columns
        level.twins = twins
        twins.append(level)
        self._levels.append(level)
        selected.level.children.append(level)
        return level

    def _shape(
        self,
        type_: GraphQLObjectType,
        sets: list[SelectionSetNode],
        level: Level,
        path: tuple[str, ...],
    ) -> Shape:
        """Plan what a row of ``level`` becomes at ``path``, the response names that lead there."""
        shape = Shape(level, type_.name, self._shapes)
        self._shapes += 1
        level.shapes.append(shape)
        for name, nodes in self._selections.fields(type_, sets).items():
            shape.entries.append((name, self._value(type_, name, nodes, level, path)))
        return shape

    def _value(
        self,
        type_: GraphQLObjectType,
        name: str,
        nodes: list[FieldNode],
        level: Level,
        path: tuple[str, ...],
        *,
        part: PartPlan | None = None,
    ) -> Value:
        """Plan one field, of a row or of a ``part`` of it."""
        field_name = nodes[0].name.value
        if field_name == TYPENAME:
            return Constant(type_.name)
        field_ = type_.fields.get(field_name)
        if field_ is None:
            raise CannotPlan(f"{field_name} is introspection")
        where = f"{type_.name}.{field_name}"
        selected = Selected(name, where, field_, nodes, level, (*path, name))
        definition = definition_of(field_)
        permission = definition.metadata.get(REQUIRES)
        if permission is not None and permission not in self._permissions:
            if level.is_mixed:
                return Masked()
            error = denial(type_.name, field_name, permission)
            self._denied.append(Denied(path, name, nodes, error))
            return Constant(None)
        plan = plan_of(definition)
        if part is not None:
            plan = part.within(plan)
        plan_value = self._planners.get(type(plan))
        if plan_value is None:
            raise CannotPlan(f"{selected.where} is answered by a function without a plan")
        return plan_value(plan, selected)

    def _column(self, plan: ColumnPlan, selected: "Selected") -> Column | Computed:
        type_, required = selected.field.type, selected.required
        selected.level.columns.add(plan.column)
        named = get_named_type(type_)
        if is_list_type(get_nullable_type(type_)):
            finish = self._finish(type_, selected.sets, selected.where)
            return Computed(plan.read, finish)
        if isinstance(named, GraphQLEnumType):
            return Column(plan.column, required, words=_words(named))
        if not is_leaf_type(named):
            raise CannotPlan(f"{selected.where} is an object in a column")
        return Column(plan.column, required, _conversion(named, selected.level))

    def _global_id(self, plan: IdPlan, selected: "Selected") -> GlobalId:
        selected.level.columns.add(plan.column)
        return GlobalId(plan.type_name, plan.column)

    def _amount(self, plan: MoneyPlan, selected: "Selected") -> Amount:
        level, money = selected.level, _object_type(selected.field.type)
        level.columns |= plan.needs
        fields = self._selections.fields(money, selected.sets)
        names = tuple((name, nodes[0].name.value) for name, nodes in fields.items())
        convert = _conversion(get_named_type(money.fields["amount"].type), level)
        return Amount(plan.amount, plan.currency, names, selected.required, convert)

    def _computed(self, plan: ComputedPlan, selected: "Selected") -> Computed:
        selected.level.columns |= plan.needs
        finish = self._finish(selected.field.type, selected.sets, selected.where)
        return Computed(plan.compute, finish)

    def _finish(self, type_: Any, sets: list[SelectionSetNode], where: str) -> Finish:
        required, nullable = isinstance(type_, GraphQLNonNull), get_nullable_type(type_)
        if is_list_type(nullable):
            return Finish(required, items=self._finish(nullable.of_type, sets, where))
        if is_leaf_type(nullable):
            return Finish(required, convert=nullable.coerce_output_value)
        if not isinstance(nullable, GraphQLObjectType):
            raise CannotPlan(f"{where} is computed and abstract")
        entries: list[tuple[str, str, Finish]] = []
        for name, nodes in self._selections.fields(nullable, sets).items():
            field_name = nodes[0].name.value
            if field_name == TYPENAME:
                entries.append((name, "", Finish(required=True, constant=nullable.name)))
                continue
            field_ = nullable.fields[field_name]
            definition = definition_of(field_)
            if not _is_attribute(definition):
                raise CannotPlan(f"{nullable.name}.{field_name} is more than an attribute")
            below = [node.selection_set for node in nodes if node.selection_set]
            finish = self._finish(field_.type, below, f"{nullable.name}.{field_name}")
            entries.append((name, definition.python_name, finish))
        return Finish(required, entries=tuple(entries))

    def _related(self, plan: RelationPlan, selected: "Selected") -> One | Many:
        selected.level.columns.add(plan.key)
        shape = self._below(selected, Followed(plan.relation, plan.bind), plan.key)
        if plan.relation.many:
            return Many(shape, plan.key)
        return One(shape, plan.key, selected.required)

    def _listed(self, plan: ListedPlan, selected: "Selected") -> Many:
        selected.level.columns.add(plan.ids)
        shape = self._below(selected, Followed(plan.relation, None), plan.ids, listed=True)
        return Many(shape, plan.ids, listed=True)

    def _related_any(self, plan: AnyRelationPlan, selected: "Selected") -> Either:
        level = selected.level
        level.columns |= plan.needs
        if selected.required:
            raise CannotPlan(f"{selected.where} must not be null and may be any type")
        abstract: Any = get_named_type(selected.field.type)
        shapes = []
        for word, (type_, node) in kinds(self._selections.schema, abstract).items():
            if node.requires is None or node.requires in self._permissions:
                source, kind = Followed(node.by_id, None), (plan.kind, word)
                child = self._child(selected, source, plan.key, kind=kind)
                shapes.append((word, self._shape(type_, selected.sets, child, selected.path)))
        return Either(plan.kind, plan.key, tuple(shapes))

    def _held(self, plan: HeldPlan, selected: "Selected") -> Own:
        selected.level.columns.add(plan.column)
        type_: Any = get_nullable_type(selected.field.type)
        many = is_list_type(type_)
        shape = self._below(selected, Held(plan.column, many), plan.column)
        required_items = many and isinstance(type_.of_type, GraphQLNonNull)
        return Own(shape, plan.column, many, selected.required, required_items)

    def _part(self, plan: PartPlan, selected: "Selected") -> Part:
        type_, level, path = _object_type(selected.field.type), selected.level, selected.path
        fields = self._selections.fields(type_, selected.sets)
        entries = (
            (name, self._value(type_, name, nodes, level, path, part=plan))
            for name, nodes in fields.items()
        )
        return Part(tuple(entries))

    def _fetched(self, plan: FetchPlan, selected: "Selected") -> One | Many:
        type_ = get_nullable_type(selected.field.type)
        many = is_list_type(type_)
        shape = self._below(selected, Fetched(plan, many), "")
        if many:
            item = type_.of_type  # type: ignore[union-attr]
            return Many(shape, "", required_items=isinstance(item, GraphQLNonNull))
        return One(shape, "", selected.required)

    def _chosen(self, plan: ChoicePlan, selected: "Selected") -> Ready:
        if selected.required:
            raise CannotPlan(f"{selected.where} must not be null and may be any type")
        return Ready(self._child(selected, Chosen(plan, selected.sets), ""))

    def _below(
        self, selected: "Selected", source: Source, key: str, *, listed: bool = False
    ) -> Shape:
        named = get_named_type(selected.field.type)
        if not isinstance(named, GraphQLObjectType):
            raise CannotPlan(f"{selected.where} is abstract")
        child = self._child(selected, source, key, listed=listed)
        return self._shape(named, selected.sets, child, selected.path)

    def _page(self, plan: ConnectionPlan, selected: "Selected") -> Page:
        if plan.parent is not None:
            selected.level.columns.add(plan.key)
        child = self._child(selected, Paged(plan.listing, plan.parent), plan.key)
        type_ = _object_type(selected.field.type)
        node_type = _object_type(type_.fields["nodes"].type)
        fields = self._selections.fields(type_, selected.sets)
        entries = tuple(
            (part, self._page_part(nodes, child, node_type, type_, (*selected.path, part)))
            for part, nodes in fields.items()
        )
        return Page(child, plan.key, entries)

    def _page_part(
        self,
        nodes: list[FieldNode],
        level: Level,
        node_type: GraphQLObjectType,
        connection: GraphQLObjectType,
        path: tuple[str, ...],
    ) -> PagePart:
        field_name = nodes[0].name.value
        sets = [node.selection_set for node in nodes if node.selection_set]
        match field_name:
            case "__typename":
                return Constant(connection.name)
            case "nodes":
                level.paged = True
                return Nodes(self._shape(node_type, sets, level, path))
            case "edges":
                level.paged = True
                edge = _object_type(connection.fields["edges"].type)
                return Nodes(None, tuple(self._edge_parts(edge, sets, level, node_type, path)))
            case "pageInfo":
                level.paged = True
                info = _object_type(connection.fields["pageInfo"].type)
                fields = self._selections.fields(info, sets)
                return PageInfo(tuple((n, nodes[0].name.value) for n, nodes in fields.items()))
            case "totalCount":
                level.counted = True
                return "total"
            case "aggregates":
                return self._groups(connection, nodes, level, path)
            case _:
                raise CannotPlan(f"{connection.name}.{field_name} is no part of a page known here")

    def _groups(
        self,
        connection: GraphQLObjectType,
        nodes: list[FieldNode],
        page: Level,
        path: tuple[str, ...],
    ) -> Groups:
        field_ = connection.fields["aggregates"]
        plan = plan_of(definition_of(field_))
        assert isinstance(plan, AggregatesPlan)
        assert page.parent is not None
        where = f"{connection.name}.aggregates"
        selected = Selected(path[-1], where, field_, nodes, page.parent, path)
        shape = self._below(selected, Grouped(plan, page), page.key)
        shape.level.path = (*page.path, path[-1])
        return Groups(shape)

    def _edge_parts(
        self,
        edge: GraphQLObjectType,
        sets: list[SelectionSetNode],
        level: Level,
        node_type: GraphQLObjectType,
        path: tuple[str, ...],
    ) -> Iterator[tuple[str, Shape | str]]:
        for name, nodes in self._selections.fields(edge, sets).items():
            field_name = nodes[0].name.value
            if field_name == "node":
                below = [node.selection_set for node in nodes if node.selection_set]
                yield name, self._shape(node_type, below, level, (*path, name))
            else:
                yield name, edge.name if field_name == TYPENAME else field_name


def _object_type(type_: Any) -> GraphQLObjectType:
    named = get_named_type(type_)
    assert isinstance(named, GraphQLObjectType)
    return named


def _is_attribute(definition: Any) -> bool:
    """Tell whether a field is read from its object as it is, by everybody."""
    guarded = REQUIRES in definition.metadata
    return definition.base_resolver is None and plan_of(definition) is None and not guarded


def _conversion(type_: Any, level: Level) -> Callable[[Any], Any] | None:
    """Return what makes JSON of a value in a row of ``level``; None where it is JSON already.

    What is read from the database is text, what functions give may be Python's values.
    """
    if isinstance(level.source, Given | Held):
        ready = False
    elif isinstance(level.source, Fetched):
        ready = type_.name in _THE_SAME_EVERYWHERE
    else:
        ready = type_.name in _READY_FOR_JSON
    return None if ready else type_.coerce_output_value


def _words(type_: GraphQLEnumType) -> dict[Any, str]:
    """Return the names of an enum by the values that columns hold."""
    return {value.value: name for name, value in type_.values.items()}

"""What clients read: the SDL is committed, current, and every part of it described for people."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_schema,
    is_non_null_type,
    is_specified_scalar_type,
)

from gateway.sdl import SDL_FILE, current_sdl
from schema.core.ids import encode_id
from schema.core.node import NODE_TYPES
from tests.fixtures.gateway import Gateway, principal
from tests.fixtures.layout import ROOT
from tests.fixtures.recording import record
from tests.fixtures.schema_walk import EDGES, SCHEMA, object_types, required_permission

LONGEST = 400
"""Characters of a description; more is documentation and belongs in docs."""


def descriptions() -> Iterator[tuple[str, str | None]]:
    """Yield every part of the schema a client can name, with its description."""
    for type_ in SCHEMA.type_map.values():
        if type_.name.startswith("__") or is_specified_scalar_type(type_):
            continue
        yield type_.name, type_.description
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in type_.fields.items():
                yield f"{type_.name}.{name}", field.description
                for argument, definition in field.args.items():
                    yield f"{type_.name}.{name}({argument}:)", definition.description
        elif isinstance(type_, GraphQLInputObjectType):
            for name, input_field in type_.fields.items():
                yield f"{type_.name}.{name}", input_field.description
        elif isinstance(type_, GraphQLEnumType):
            for name, value in type_.values.items():
                yield f"{type_.name}.{name}", value.description


def words(text: str) -> str:
    """Return the letters of a name or sentence, for comparison."""
    return re.sub(r"[^a-z]", "", text.lower())


def fault(name: str, text: str | None) -> str | None:
    """Say what is wrong with the description of ``name``; None when nothing is."""
    own = re.split(r"[.(]", name.rstrip(":)"))[-1]
    if not text or text != text.strip() or "\n" in text:
        return "one line of text is missing"
    if not re.match(r"[A-Z0-9`]|onHand ", text):
        return "begin with a capital letter"
    if not text.endswith("."):
        return "end with a full stop"
    if len(text) > LONGEST:
        return "too long; the rest belongs into docs"
    return "say more than the name" if words(text) == words(own) else None


class TestFile:
    """The committed SDL is what the code says."""

    def test_current(self) -> None:
        """`schema/schema.graphql` is what `python -m gateway schema export` writes."""
        assert SDL_FILE.read_text("utf-8") == current_sdl()

    def test_valid(self) -> None:
        """The file is a schema by itself, for the tools of clients."""
        assert build_schema(SDL_FILE.read_text("utf-8")).query_type

    def test_order_is_stable(self) -> None:
        """Another process, with another hash seed, writes the same file."""
        program = "from gateway.sdl import current_sdl; print(current_sdl(), end='')"
        for seed in ("1", "2"):
            written = subprocess.run(
                [sys.executable, "-c", program],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
                check=True,
                capture_output=True,
                text=True,
                encoding="utf-8",
            ).stdout
            assert written == current_sdl()

    def test_types_are_in_alphabetical_order(self) -> None:
        """A new type changes the file where it belongs and nowhere else."""
        names = re.findall(r"^(?:type|enum|input|interface) (\w+)", current_sdl(), re.MULTILINE)
        assert names == sorted(names)


class TestDescriptions:
    """Every type, field, argument, input field and enum value says what it is."""

    def test_written_for_people(self) -> None:
        """A description is one short text of sentences that says more than the name."""
        faults = {name: fault(name, text) for name, text in descriptions() if fault(name, text)}
        assert not faults

    @pytest.mark.parametrize(
        "text",
        [None, "", "Order", "order.", "Total price", "total price.", " Total.", "a sum.", "A.\nB."],
    )
    def test_a_bad_one_is_found(self, text: str | None) -> None:
        """The rule for descriptions refuses what it is meant to refuse."""
        assert fault("Order", text) or fault("SalesOrder.total(order:)", text)


class TestNodes:
    """Every type with an id can be fetched by it."""

    def test_node_types_are_those_with_an_id(self) -> None:
        """A type implements Node if and only if it has an id, and `node(id:)` knows it."""
        with_id = {type_.name for type_ in object_types() if "id" in type_.fields}
        interface = SCHEMA.type_map["Node"]
        assert isinstance(interface, GraphQLInterfaceType)
        assert {type_.name for type_ in SCHEMA.get_possible_types(interface)} == with_id
        assert set(NODE_TYPES) == with_id

    @pytest.mark.parametrize("name", NODE_TYPES)
    async def test_fetched_by_id(self, gateway: Gateway, name: str) -> None:
        """`node(id:)` returns the object that has the id, as its own type."""
        entity = NODE_TYPES[name].entity
        owned = "company_id" in entity.table.c
        key = await gateway.owner.fetchval(
            f"select min({entity.key}) from {entity.table.name}"
            + (" where company_id = 1" if owned else "")
        )
        id_ = encode_id(name, key)
        query = f"query ($id: ID!) {{ node(id: $id) {{ __typename id ... on {name} {{ id }} }} }}"
        recorded = await record(gateway.runtime, query, {"id": id_}, principal())
        assert recorded.answer.body() == {"data": {"node": {"__typename": name, "id": id_}}}
        assert recorded.statements == 1


class TestPermissions:
    """A field that is denied must be able to be null."""

    @pytest.mark.parametrize("type_", list(object_types()), ids=str)
    def test_denied_fields_are_nullable(self, type_: GraphQLObjectType) -> None:
        """Denying one field never takes its siblings or its parent along."""
        guarded = {n: f for n, f in type_.fields.items() if required_permission(f) is not None}
        # a denied subscription never starts, so it has nothing beside it
        never_null = {n for n, f in guarded.items() if is_non_null_type(f.type)}
        assert not never_null or type_.name == "Subscription"

    def test_relation_lists_hold_no_null(self) -> None:
        """Items of relation lists are non-null: a row is there or it is not."""
        for edge in EDGES:
            if edge.is_many and not edge.is_connection:
                assert str(edge.field.type).rstrip("!").endswith("!]"), edge

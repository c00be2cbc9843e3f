"""How errors are told: codes, masking, order, length, and no hint at names of the schema."""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

import pytest
import strawberry
from graphql import GraphQLError, Source, located_error, parse
from graphql.execution import get_variable_values
from strawberry.exceptions import StrawberryInputCoercionError

from resolvers.core.errors import Conflict, ErrorCode, Invalid, NotFound
from schema.core.documents import read_document, validation_errors
from schema.core.error_format import (
    MAX_MESSAGE,
    in_answer_order,
    tell_expected,
    tell_failures,
    tell_refusal,
)
from schema.core.limits import Limits


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[Mapping[str, Any]] = []

    def error(self, event: str, **values: Any) -> None:
        """Keep one line."""
        self.lines.append({"event": event, **values})

    warning = error


def raised(error: Exception) -> Exception:
    """Return ``error`` with a traceback, as if a resolver had raised it."""
    try:
        raise error
    except type(error) as caught:
        return caught


def at(error: Exception, *path: str | int) -> GraphQLError:
    """Return ``error`` as graphql-core reports it for the field at ``path``."""
    field = parse("{ field }").definitions[0].selection_set.selections[0]  # type: ignore[attr-defined]
    return located_error(error, [field], list(path))


def tell(*errors: GraphQLError, data: Any = None, log: Log | None = None) -> list[dict[str, Any]]:
    """Tell errors of an execution."""
    return tell_failures(errors, data, request_id="r-1", log=log or Log())


def test_expected_failures_are_told_as_they_are() -> None:
    """An expected failure keeps its message, code, details and the input field at fault."""
    error = Conflict("The order changed.", path=("input", "version"), details={"version": 4})
    assert tell(at(error, "a"), data={"a": None}) == [
        {
            "message": "The order changed.",
            "locations": [{"line": 1, "column": 3}],
            "path": ["a"],
            "extensions": {
                "code": "CONFLICT_VERSION",
                "details": {"version": 4},
                "inputPath": ["input", "version"],
            },
        }
    ]
    assert tell_expected(NotFound("No such order.")) == {
        "message": "No such order.",
        "extensions": {"code": "NOT_FOUND"},
    }


def test_unexpected_failures_are_masked_and_logged() -> None:
    """What nobody expected says nothing but the request id; the log has the rest."""
    log = Log()
    cause = raised(RuntimeError("select secret from /etc/passwd"))
    (told,) = tell(at(cause, "a"), data={"a": None}, log=log)
    assert told["message"] == "Internal error"
    assert told["extensions"] == {"code": "INTERNAL", "requestId": "r-1"}
    assert told["path"] == ["a"]
    assert log.lines == [
        {"event": "unexpected error", "request_id": "r-1", "path": ["a"], "exc_info": cause}
    ]


def test_the_same_fault_is_logged_once() -> None:
    """A fault that strikes every row is one line in the log, another fault another line."""
    log = Log()
    same = [at(raised(ValueError(f"row {n}")), "rows", n) for n in range(50)]
    other = at(raised(KeyError("x")), "b")
    data = {"rows": [None] * 50, "b": None}
    assert len(tell(*same, other, data=data, log=log)) == 51
    assert len(log.lines) == 2


def test_faults_of_arguments_are_the_clients() -> None:
    """Errors that point at a value, and Strawberry's coercion errors, are told as validation."""
    value = parse("{ f(a: 1) }").definitions[0].selection_set.selections[0].arguments[0]  # type: ignore[attr-defined]
    coercion = GraphQLError("Argument 'a' has invalid value.", value)
    strawberry_error = StrawberryInputCoercionError("Expected a global id.")
    told = tell(at(coercion, "a"), at(strawberry_error, "b"), data={"a": None, "b": None})
    assert [(t["message"], t["extensions"]["code"]) for t in told] == [
        ("Argument 'a' has invalid value.", "VALIDATION"),
        ("Expected a global id.", "VALIDATION"),
    ]


def test_faults_graphql_core_finds_in_our_values_are_masked() -> None:
    """A value that does not fit its type is our fault, and its text is not for clients."""
    told = tell(at(GraphQLError("Int cannot represent 'secret'"), "a"), data={"a": None})
    assert told[0]["message"] == "Internal error"


def test_errors_come_in_the_order_of_the_answer() -> None:
    """Errors are sorted by where their nulls are, whichever came first."""
    data = {"b": [{"x": None, "y": None}, None, {"x": 1, "y": None}], "a": None}
    paths: list[tuple[str | int, ...]] = [
        ("b", 0, "x"), ("b", 0, "y"), ("b", 1), ("b", 2, "y"), ("a",),
    ]  # fmt: skip
    errors = [at(Invalid("no"), *path) for path in paths]
    for shuffled in (errors, errors[::-1], errors[2:] + errors[:2]):
        assert [e["path"] for e in tell(*shuffled, data=data)] == [list(p) for p in paths]


def test_one_error_for_each_null() -> None:
    """Errors below a null that another error caused are dropped: the last one caused it."""
    below = at(Invalid("a nullable field"), "a", "b", "c")
    cause = at(Invalid("a field that may not be null"), "a", "b", "d")
    assert in_answer_order([below, cause], {"a": {"b": None}}) == [cause]
    assert in_answer_order([below, cause], {"a": None}) == [cause]
    assert in_answer_order([below, cause], None) == [cause]
    both = {"a": {"b": {"c": None, "d": None}}}
    assert in_answer_order([cause, below], both) == [below, cause]


def test_a_failure_without_a_place_is_told() -> None:
    """What fails outside all fields has neither path nor locations."""
    (told,) = tell(located_error(raised(RuntimeError("x"))))
    assert told == {
        "message": "Internal error",
        "extensions": {"code": "INTERNAL", "requestId": "r-1"},
    }


def test_messages_are_bounded() -> None:
    """No message is longer than 300 characters, whatever the client wrote into the document."""
    error = GraphQLError(f"Cannot query field '{'x' * 100_000}'.", source=Source("{ x }"))
    (told,) = tell_refusal([error], ErrorCode.GRAPHQL_VALIDATION_FAILED, suggest=True)
    assert len(told["message"]) == MAX_MESSAGE
    assert told["message"].endswith("…")
    assert len(tell_expected(Invalid("x" * 5_000))["message"]) == MAX_MESSAGE


def test_messages_can_be_sent() -> None:
    """A message that echoes half a character is told without it."""
    (told,) = tell_refusal([GraphQLError("no \ud800")], ErrorCode.VALIDATION, suggest=True)
    assert told["message"] == "no ?"


class Color(Enum):
    """A color."""

    CRIMSON = "crimson"
    SCARLET = "scarlet"


@strawberry.input
class ProductFilter:
    """A filter."""

    category: str | None = None
    color: strawberry.enum(Color) | None = None  # type: ignore[valid-type]


@strawberry.type
class Product:
    """A product."""

    description: str


def resolve_products(
    filter: ProductFilter | None = None,  # noqa: A002 - the name clients see
    first: int = 10,
) -> list[Product]:
    """Return nothing."""
    raise NotImplementedError(filter, first)


@strawberry.type
class Query:
    """Roots."""

    products: list[Product] = strawberry.field(resolver=resolve_products)


SCHEMA = strawberry.Schema(query=Query)._schema

TYPOS = [
    ("{ product { description } }", "products"),
    ("{ products { descriptio } }", "description"),
    ("{ products { descriptio ... { descriptions } } }", "description"),
    ("{ products }", "products {"),
    ("{ ... on Quer { products { description } } }", "Query"),
    ("fragment F on Produc { description } { products { ...F } }", "Product"),
    ("query ($f: ProductFilte) { products(filter: $f) { description } }", "ProductFilter"),
    ("query ($f: Strin) { products(filter: {category: $f}) { description } }", "String"),
    ("{ products(firs: 1) { description } }", "first"),
    ("{ products(filte: {}) { description } }", "filter"),
    ("{ products @includ(if: true) { description } }", "include"),
    ("{ products @include(if: true, iff: true) { description } }", "'if'"),
    ("{ products(filter: {color: CRIMSO}) { description } }", "CRIMSON"),
    ('{ products(filter: {color: "SCARLET"}) { description } }', "the enum value"),
    ('{ products(filter: {categor: "x"}) { description } }', "category"),
    ("query ($c: Color = SCARLE) { products(filter: {color: $c}) { description } }", "SCARLET"),
]


@pytest.mark.parametrize(("text", "right"), TYPOS)
def test_typos_get_no_suggestion(text: str, right: str) -> None:
    """No typo in any kind of name makes a message hint at the name that would be right."""
    document = read_document(SCHEMA, text, Limits())
    errors = validation_errors(SCHEMA, document, suggest=False)
    told = tell_refusal(errors, ErrorCode.GRAPHQL_VALIDATION_FAILED, suggest=False)
    assert told
    for message in (t["message"] for t in told):
        assert "id you mean" not in message
        assert not re.search(rf"(?<!\w){re.escape(right)}(?!\w)", message)


def test_known_callers_get_suggestions() -> None:
    """Whoever may read the schema is told what they could have meant."""
    hinted = 0
    for text, right in TYPOS:
        document = read_document(SCHEMA, text, Limits())
        errors = validation_errors(SCHEMA, document, suggest=True)
        told = tell_refusal(errors, ErrorCode.GRAPHQL_VALIDATION_FAILED, suggest=True)
        hinted += any("Did you mean" in t["message"] and right in t["message"] for t in told)
    assert hinted == len(TYPOS) - 1, "graphql-core has no suggestions for directives"


@pytest.mark.parametrize(
    "value", [{"categor": "x"}, {"color": "CRIMSO"}, {"color": "crimson"}, {"colr": "CRIMSON"}]
)
def test_variables_get_no_suggestion(value: dict[str, str]) -> None:
    """Typos inside variables get none either."""
    document = read_document(
        SCHEMA, "query ($f: ProductFilter) { products(filter: $f) { description } }", Limits()
    )
    declared = document.operation(None).node.variable_definitions or ()
    errors = get_variable_values(SCHEMA, declared, {"f": value}, hide_suggestions=True)
    assert isinstance(errors, list)
    told = tell_refusal(errors, ErrorCode.VALIDATION, suggest=False)
    assert told
    for message in (t["message"] for t in told):
        assert "id you mean" not in message
        assert not any(name in message for name in ("category", "SCARLET", "color'."))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Unknown type 'Prodct'. Did you mean 'Product' or 'Products'?", "Unknown type 'Prodct'."),
        ("No field 'x'. Did you mean 'y'? Found: {}.", "No field 'x'. Found: {}."),
        ("Unexpected '..', did you mean '...'?", "Unexpected '..'"),
        ("x" * 280 + " Did you mean 'Confidential'?", "x" * 280),
    ],
)
def test_suggestions_are_taken_out_of_any_message(message: str, expected: str) -> None:
    """A suggestion is taken out whoever wrote it, also where the end of the message is cut off."""
    (told,) = tell_refusal([GraphQLError(message)], ErrorCode.VALIDATION, suggest=False)
    assert told["message"] == expected

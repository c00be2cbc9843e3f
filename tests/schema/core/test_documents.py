"""Documents: bounded before they cost anything, kept within bounds once they are valid."""

import sys
from collections.abc import Callable
from time import thread_time

import pytest
from graphql import GraphQLSyntaxError, build_schema, parse, validate

from schema.core.documents import (
    _RULES,
    MAX_ERRORS,
    Document,
    DocumentCache,
    TooLarge,
    read_document,
    validation_errors,
)
from schema.core.limits import Limits

SCHEMA = build_schema(
    """
    type Query { name: String, self: Query, list(values: [[Int]], filter: Filter): [Query] }
    input Filter { and: [Filter!], name: String }
    """
)
OPEN = Limits(variables=10**9, depth=10**9, aliases=10**9, directives=10**9, root_fields=10**9)


def read(text: str, limits: Limits | None = None) -> Document:
    """Read a document under the usual limits."""
    return read_document(SCHEMA, text, limits or Limits())


def told(text: str, limits: Limits | None = None) -> list[str]:
    """Return what is said of a document that is too large."""
    with pytest.raises(TooLarge) as raised:
        read(text, limits)
    return [error.message for error in raised.value.excesses]


def test_tokens_are_bounded_before_the_document_is_read() -> None:
    """Parsing stops at the maximum; comments count for themselves."""
    expected = ["Tokens limit exceeded: more than 4,000 found, 4,000 allowed."]
    assert told("{ " + "name " * 4_000 + "}") == expected
    assert told("#\n" * 4_001 + "{ name }") == expected


def test_characters_are_bounded_before_the_document_is_parsed() -> None:
    """A token, a comment or a space may be long, not endless."""
    assert told("{ name }" + " " * 200_000) == [
        "Characters limit exceeded: 200,008 found, 200,000 allowed."
    ]


@pytest.mark.parametrize("levels", [150, 190, 195, 199, 201, 1_000, 2_000])
@pytest.mark.parametrize(
    "nest",
    [
        lambda n: "{ " + "self { " * n + "name" + " }" * n + " }",
        lambda n: "{ " + "... { " * n + "name" + " }" * n + " }",
        lambda n: "{ list(values: " + "[" * n + "]" * n + ") { name } }",
        lambda n: "{ list(filter: " + "{and: " * n + "{}" + "}" * n + ") { name } }",
        lambda n: "query ($v: " + "[" * n + "Int" + "]" * n + ") { list(values: $v) { name } }",
    ],
    ids=["fields", "inline fragments", "lists", "inputs", "types"],
)
def test_nesting_never_reaches_the_end_of_the_stack(
    nest: Callable[[int], str], levels: int
) -> None:
    """However deep selections, lists, inputs or types are nested, the answer is an error."""
    try:
        document = read(nest(levels), OPEN)
        validation_errors(SCHEMA, document, suggest=False)
    except TooLarge:
        pass


def test_nesting_is_refused_also_when_the_stack_is_nearly_used_up() -> None:
    """Whatever the parser still manages on the stack that is left, the walk manages too."""

    def deep(frames: int) -> None:
        if frames:
            deep(frames - 1)
            return
        for levels in range(1, 200, 3):
            text = "{ " + "self { " * levels + "name" + " }" * levels + " }"
            try:
                read(text, OPEN)
            except TooLarge as error:
                assert error.excesses[0].details["limit"] == "nesting"  # noqa: PT017

    for frames in range(300, 800, 50):
        if frames < sys.getrecursionlimit() - 200:
            deep(frames)


def doubling(count: int, *, fields: bool) -> str:
    """Return a small document of huge extent."""
    body = "a: self {{ ...F{0} }} b: self {{ ...F{0} }}" if fields else "...F{0} ...F{0}"
    parts = [f"fragment F{i} on Query {{ {body.format(i + 1)} }}" for i in range(count)]
    return "{ ...F0 } " + " ".join(parts) + f" fragment F{count} on Query {{ name }}"


@pytest.mark.parametrize("count", [20, 30, 300])
@pytest.mark.parametrize("fields", [False, True])
def test_doubling_fragments_are_refused_at_once(count: int, *, fields: bool) -> None:
    """A kilobyte that stands for a billion fields is refused in no time."""
    started = thread_time()
    assert told(doubling(count, fields=fields))
    assert thread_time() - started < 1


@pytest.mark.parametrize(
    "text",
    [
        "{ self { " + "name " * 3_900 + "} }",
        "{ self { " + "self { name } " * 900 + "} }",
        "{ self { " + "...F " * 1_300 + "} } fragment F on Query { name }",
        "{ " + " ".join(f"a{i}: self {{ name }}" for i in range(600)) + " }",
        "{ " + "self { name ...F } " * 500 + "} fragment F on Query { name self { name } }",
        "{ ...F0 }"
        + "".join(f"fragment F{i} on Query {{ self {{ name }} ...F{i + 1} }}" for i in range(300))
        + "fragment F300 on Query { name }",
        "{ name " + "@skip(if: true) " * 500 + "}",
        "query (" + " ".join(f"$v{i}: Int" for i in range(900)) + ") { name }",
        "{ " + "x" * 100_000 + " }",
        "{ " + "unknown " * 3_900 + "}",
    ],
    ids=range(10),
)
def test_hostile_documents_take_bounded_time(text: str) -> None:
    """Documents made to be expensive are validated or refused within the budget, limits apart."""
    started = thread_time()
    try:
        document = read(text, OPEN)
        errors = validation_errors(SCHEMA, document, suggest=True)
        assert len(errors) <= MAX_ERRORS + 1
    except TooLarge as error:
        assert error.excesses[0].details["limit"] == "validation"  # noqa: PT017
    assert thread_time() - started < 2


def test_comparing_the_same_field_too_often_is_refused() -> None:
    """The rule that compares fields pairwise has a budget, told as a limit."""
    document = read("{ self { " + "self { name } " * 900 + "} }", OPEN)
    with pytest.raises(TooLarge, match="fields selected too often"):
        validation_errors(SCHEMA, document, suggest=False)


def test_syntax_errors_are_not_limits() -> None:
    """What is not GraphQL at all is a syntax error with its place."""
    with pytest.raises(GraphQLSyntaxError) as raised:
        read("{ name ")
    assert raised.value.locations


def test_operations_are_picked_by_name() -> None:
    """One operation needs no name; several do; unknown names and missing operations are refused."""
    assert read("query A { name }").operation(None).name == "A"
    assert read("{ name }").operation(None).name is None
    two = read("query A { name } query B { name }")
    assert two.operation("B").name == "B"
    for document, name, message in (
        (two, None, "Must provide operation name"),
        (two, "C", "Unknown operation named 'C'"),
        (read("{ name }"), "A", "Unknown operation named 'A'"),
        (read("fragment F on Query { name }"), None, "Must provide an operation"),
    ):
        with pytest.raises(LookupError, match=message):
            document.operation(name)


def test_documents_used_last_are_kept() -> None:
    """The cache forgets what was not asked for longest."""
    cache = DocumentCache(2)
    first, second, third = (read("{ name }" + "#" * n) for n in range(3))
    cache.keep(first)
    cache.keep(second)
    assert cache.get(first.text) is first
    cache.keep(third)
    assert cache.get(second.text) is None
    assert cache.get(first.text) is first
    cache.keep(read(first.text))
    assert cache.get(first.text) is first
    assert len(cache) == 2


def test_kept_documents_are_bounded_in_memory() -> None:
    """Large documents push out more than one small one, and each other."""
    cache = DocumentCache(100, max_bytes=4_000_000)
    small = read("{ name }")
    cache.keep(small)
    for n in range(5):
        cache.keep(read("{ self { " + "name " * 3_900 + "} }" + "#" * n))
    assert cache.get(small.text) is None
    assert len(cache) == 2
    cache.keep(read("#" + "x" * 150_000 + "\n{ name }"))
    assert len(cache) == 3


@pytest.mark.parametrize(
    "text",
    [
        "{ name nothing self }",
        "query A { ...F } query A($a: Int, $b: Nothing) { name @include(if: 1) } { name }",
        "fragment F on Query { self { ...G } name { x } } fragment G on Query { ...F } { ...F }",
        'query($v: [Int]) { list(values: [[1, "a"]], filter: { name: "\\u0000" }) { name } }',
        "{ list(values: $v, values: 1, no: 2) @nope { ... on Filter { name } a: name a: self } }",
        "subscription { name } query($v: String) { list(values: $v) }",
    ],
)
def test_rules_together_find_what_they_find_alone(text: str) -> None:
    """The same errors in the same order as when graphql-core asks each rule about every node."""
    document = read(text)
    found = validation_errors(SCHEMA, document, suggest=True)
    alone = validate(SCHEMA, parse(text), _RULES, max_errors=MAX_ERRORS)
    assert [error.formatted for error in found] == [error.formatted for error in alone]
    assert found

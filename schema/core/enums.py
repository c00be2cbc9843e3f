"""GraphQL enums from the words of the rules: the database stores the very names clients see."""

from collections.abc import Mapping
from enum import StrEnum

import strawberry


def describe_enum(words: type[StrEnum], description: str, values: Mapping[str, str]) -> None:
    """Make a rule's words a GraphQL enum; ``values`` describes every one of them.

    Raises:
        TypeError: a word has no description, or a description no word.

    """
    if {word.value for word in words} != set(values):
        raise TypeError(f"describe exactly the words of {words.__name__}")
    strawberry.enum(words, description=description)
    for value in words.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = values[value.name]

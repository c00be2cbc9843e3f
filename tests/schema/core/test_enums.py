"""Enums: the words of the rules are the words of the API and of the database."""

import re
from enum import StrEnum
from typing import Final

import pytest
from graphql import GraphQLEnumType
from sqlalchemy import CheckConstraint

from resolvers.modules import data_modules
from schema.build import build_schema, core_schema
from schema.core.enums import describe_enum

SCHEMA: Final = core_schema(build_schema())
CHECKS: Final = {
    f"{table.name}.{constraint.sqltext.text.partition(' ')[0]}": set(
        re.findall(r"'(\w+)'", constraint.sqltext.text)
    )
    for module in data_modules()
    for table in module.tables
    for constraint in table.constraints
    if isinstance(constraint, CheckConstraint) and " in ('" in str(constraint.sqltext)
}
"""What the database allows in columns with a list of words, by `table.column`."""


def test_every_word_needs_a_description() -> None:
    """A word without one, and a description without a word, are found when the module loads."""

    class Mood(StrEnum):
        """How it is."""

        GOOD = "GOOD"
        BAD = "BAD"

    for values in ({"GOOD": "Fine."}, {"GOOD": "Fine.", "BAD": "Not.", "UGLY": "What?"}):
        with pytest.raises(TypeError, match="exactly the words of Mood"):
            describe_enum(Mood, "How it is.", values)


@pytest.mark.parametrize("column", sorted(CHECKS))
def test_the_words_of_a_column_are_an_enum_of_the_api(column: str) -> None:
    """What can be stored is what clients can meet, to the word."""
    enums = {
        frozenset(type_.values)
        for type_ in SCHEMA.type_map.values()
        if isinstance(type_, GraphQLEnumType)
    }
    # what the API has no field for, or shows as the object itself
    internal = {
        "company.costing",
        "company.tax_rounding",
        "account.role",
        "journal_entry.source",
    }
    assert (CHECKS[column] in enums) is (column not in internal)


def test_enums_of_the_database_are_known() -> None:
    """The constraints are found, so the test above is not empty."""
    assert {"sales_order.state", "stock_move.kind", "partner.kind"} <= set(CHECKS)

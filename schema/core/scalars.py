"""Scalars: exact decimals, dates, instants and currency codes, all as strings on the wire.

And an object of such strings, for what has other names with every kind of error.

Numbers of the database arrive as text already (see `gateway.database`), so a decimal goes from
PostgreSQL to the client without ever being rounded or rewritten.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NewType

from graphql import GraphQLError
from graphql.language import ValueNode
from graphql.pyutils import did_you_mean, inspect, suggestion_list
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition, scalar

_MAX_DIGITS = 40
"""More than any column holds, so that a number that is too large is refused where it is used."""
_MAX_SCALE = 12
_SHORT = _MAX_SCALE + len("0.")
"""Characters of a number that cannot have too many digits."""

# ASCII digits, where \d and the parsers of the standard library take those of any script
_PLAIN_NUMBER = re.compile(r"-?[0-9]+(?:\.(?P<behind>[0-9]+))?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    _DATE.pattern + r"[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_CURRENCY = re.compile("[A-Z]{3}")


def serialize_decimal(value: Any) -> str:
    """Return the fixed-point text of an exact number; never an exponent."""
    return value if isinstance(value, str) else format(value, "f")


def parse_decimal(value: Any) -> Decimal:
    """Read a decimal given as a string or an integer.

    Raises:
        GraphQLError: not a finite decimal of at most 40 digits, 12 of them behind the point.

    """
    if type(value) is str and len(value) <= _SHORT:
        whole, point, behind = value.partition(".")
        # of a text of ASCII alone these are the digits that a number may have, and no others
        if value.isascii() and whole.isdigit() and (behind.isdigit() or not point):
            return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise GraphQLError('A Decimal is written as a string, such as "12.50".')
    text = str(value) if len(str(value)) <= _MAX_DIGITS + len("-.") else ""
    plain = _PLAIN_NUMBER.fullmatch(text)
    if plain is None or len(text.strip("-").replace(".", "")) > _MAX_DIGITS:
        raise GraphQLError(
            f'A Decimal is a plain number of at most {_MAX_DIGITS} digits, such as "12.50".'
        )
    if len(plain["behind"] or "") > _MAX_SCALE:
        raise GraphQLError(f"A Decimal has at most {_MAX_SCALE} digits behind the point.")
    return Decimal(text)


def serialize_date(value: Any) -> str:
    """Return a date as YYYY-MM-DD."""
    return value if isinstance(value, str) else str(value.isoformat())


def parse_date(value: Any) -> date:
    """Read a date written YYYY-MM-DD.

    Raises:
        GraphQLError: anything else.

    """
    try:
        if isinstance(value, str) and _DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise GraphQLError('A Date is written YYYY-MM-DD, such as "2026-01-31".')


def serialize_instant(value: Any) -> str:
    """Return an instant in UTC, RFC 3339, with a Z."""
    moment: datetime = value if value.tzinfo is UTC else value.astimezone(UTC)
    return moment.isoformat().replace("+00:00", "Z")


def parse_instant(value: Any) -> datetime:
    """Read an RFC 3339 instant with its offset.

    Raises:
        GraphQLError: anything else, also an instant without an offset.

    """
    try:
        if isinstance(value, str) and _INSTANT.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise GraphQLError('A DateTime is written with its offset, such as "2026-01-31T12:00:00Z".')


def parse_currency(value: Any) -> str:
    """Read an ISO 4217 code.

    Raises:
        GraphQLError: not three capital letters.

    """
    if isinstance(value, str) and _CURRENCY.fullmatch(value):
        return value
    raise GraphQLError('A CurrencyCode is three capital letters, such as "EUR".')


CurrencyCode = NewType("CurrencyCode", str)

ErrorDetails = NewType("ErrorDetails", dict[str, str])
"""Named values that explain a refusal, each as text."""


def error_details(values: Mapping[str, Any]) -> ErrorDetails:
    """Return `ErpError.details` as clients are told them.

    By name, because jsonb, which stores answers, keeps no order: the same refusal is the same text.
    """
    return ErrorDetails({name: str(values[name]) for name in sorted(values)})


def _literal(parse: Any) -> Any:
    def parse_literal(node: ValueNode, _variables: Any = None) -> Any:
        try:
            return parse(getattr(node, "value", None))
        except GraphQLError as error:
            raise GraphQLError(error.message, node) from None

    return parse_literal


def _definition(
    name: str, description: str, serialize: Any, parse: Any, specified_by: str | None = None
) -> ScalarDefinition:
    return scalar(
        name=name,
        description=description,
        serialize=serialize,
        parse_value=parse,
        parse_literal=_literal(parse),
        specified_by_url=specified_by,
    )


SCALARS: dict[object, ScalarDefinition] = {
    Decimal: _definition(
        "Decimal",
        'An exact decimal number, as a string such as "12.5000". Money has 4 decimals, '
        "unit prices 6, "
        "quantities 4. Never parse it into a floating-point number before calculating.",
        serialize_decimal,
        parse_decimal,
    ),
    date: _definition("Date", "A calendar date, YYYY-MM-DD.", serialize_date, parse_date),
    datetime: _definition(
        "DateTime",
        "An instant in UTC, RFC 3339, such as 2026-01-31T12:00:00Z.",
        serialize_instant,
        parse_instant,
        "https://www.rfc-editor.org/rfc/rfc3339",
    ),
    CurrencyCode: _definition(
        "CurrencyCode",
        "A currency by its ISO 4217 code, such as EUR.",
        str,
        parse_currency,
        "https://www.iso.org/iso-4217-currency-codes.html",
    ),
    ErrorDetails: scalar(
        name="ErrorDetails",
        description="A JSON object of texts by their names, such as "
        '{"onHand": "2.0000", "sku": "HAM-00004"}. Quantities and amounts in it are written as '
        "Decimal is, days and instants as Date and DateTime. Which names there are depends on the "
        "code of the error; new ones may come. Never an argument.",
        serialize=dict,
    ),
}


def words_scalar(name: str, description: str, words: type[StrEnum]) -> ScalarDefinition:
    """Return a scalar for the words of a rule, given as strings in small letters.

    For arguments that programs give strings, where an enum takes none. As an enum does, it takes
    the words in capitals too, and refuses any other before something runs. Parsed, it is the word.
    """
    small = {word.value.lower(): word.value for word in words}
    known = small | {word.value: word.value for word in words}
    expected = ", ".join(f'"{word}"' for word in small)

    def parse(value: Any) -> str:
        if not isinstance(value, str):
            raise GraphQLError(f"{inspect(value)} is no {name}, which is one of {expected}.")
        if value in known:
            return known[value]
        meant = did_you_mean(suggestion_list(value.lower(), small))
        raise GraphQLError(f'"{value}" is no {name}, which is one of {expected}.{meant}')

    return _definition(name, description, str.lower, parse)


def schema_config(scalars: Mapping[object, ScalarDefinition] | None = None) -> StrawberryConfig:
    """Return the configuration every schema of the product is built with, and its own scalars."""
    return StrawberryConfig(scalar_map={**SCALARS, **(scalars or {})})

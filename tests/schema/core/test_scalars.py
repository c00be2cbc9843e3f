"""Scalars: one written form each, exact in both directions, and nothing else is taken."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from graphql import GraphQLError, GraphQLScalarType, parse_value
from hypothesis import assume, given
from hypothesis import strategies as st

from resolvers.sales.rules import OrderAxis
from schema.build import build_schema, core_schema
from schema.core.scalars import (
    parse_currency,
    parse_date,
    parse_decimal,
    parse_instant,
    serialize_date,
    serialize_decimal,
    serialize_instant,
)

SCHEMA = core_schema(build_schema())


def scalar(name: str) -> GraphQLScalarType:
    """Return a scalar of the schema."""
    found = SCHEMA.type_map[name]
    assert isinstance(found, GraphQLScalarType)
    return found


DECIMALS = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=12
)


@given(DECIMALS)
def test_decimals_come_back_exactly(number: Decimal) -> None:
    """Every digit survives, and no exponent appears."""
    text = serialize_decimal(number)
    assert re.fullmatch(r"-?[0-9]+\.[0-9]{12}", text)
    assert parse_decimal(text) == number


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("0", "0"),
        ("-0", "-0"),
        ("12.50", "12.50"),
        ("-12.5000", "-12.5000"),
        ("007", "7"),
        ("9" * 40, "9" * 40),
        ("-" + "9" * 28 + "." + "9" * 12, "-" + "9" * 28 + "." + "9" * 12),
        (5, "5"),
        (-5, "-5"),
    ],
)
def test_plain_numbers_are_decimals(given_: Any, expected: str) -> None:
    """Strings and integers are taken with all their digits, trailing zeros included."""
    assert str(parse_decimal(given_)) == expected


NO_DECIMALS: list[Any] = [
    *("NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "inf", "1e5", "1E5", "1e-5", "0x10"),
    *("", " ", " 1", "1 ", "+1", "1,5", "1.", ".5", ".", "-", "--1", "1.2.3", "1_000", "1\n"),
    *("\uff11\uff12", "٣", "½", "1\0", "\ud800", "9" * 41, "0." + "1" * 13, "1" * 5_000),
    *(True, False, None, 1.5, float("nan"), [], ["1"], {}, {"a": 1}, b"1", 10**40),
]


@pytest.mark.parametrize("value", NO_DECIMALS, ids=lambda value: repr(value)[:20])
def test_other_numbers_are_no_decimals(value: Any) -> None:
    """Exponents, floats, other scripts, spaces and too many digits are refused with an example."""
    with pytest.raises(GraphQLError, match="A Decimal"):
        parse_decimal(value)


@given(st.text(max_size=40))
def test_any_text_is_a_decimal_or_refused(text: str) -> None:
    """What is taken is a plain ASCII number, whatever Python would take."""
    if re.fullmatch(r"-?[0-9]+(\.[0-9]{1,12})?", text) and not text.endswith("\n"):
        assume(len(re.sub("[^0-9]", "", text)) <= 40)
        assert parse_decimal(text) == Decimal(text)
    else:
        with pytest.raises(GraphQLError):
            parse_decimal(text)


@given(st.dates())
def test_dates_come_back(day: date) -> None:
    """Every day of the calendar is written and read."""
    assert parse_date(serialize_date(day)) == day


@pytest.mark.parametrize(
    "value",
    [
        *("", "2026", "2026-01", "2026-1-1", "20260131", "2026-W01-1", "2026-031", "2026-02-30"),
        *("2026-13-01", "0000-01-01", "10000-01-01", " 2026-01-31", "2026-01-31\n", "2026/01/31"),
        *(
            "31-01-2026",
            "2026-01-31T00:00:00Z",
            "\uff12026-01-31",
            "today",
            "infinity",
            "\0",
        ),
        *(20260131, 1.5, True, None, [], {}),
    ],
    ids=repr,
)
def test_other_texts_are_no_dates(value: Any) -> None:
    """Week dates, other forms and days that do not exist are refused with an example."""
    with pytest.raises(GraphQLError, match="A Date is written YYYY-MM-DD"):
        parse_date(value)


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.integers(-14 * 60, 14 * 60),
)
def test_instants_come_back_in_utc(moment: datetime, offset: int) -> None:
    """An instant is the same whatever offset it is written with, to the microsecond."""
    try:
        there = moment.astimezone(timezone(timedelta(minutes=offset)))
    except OverflowError:
        assume(False)  # noqa: FBT003 - beyond the calendar
        raise
    assert serialize_instant(there) == serialize_instant(moment)
    assert serialize_instant(moment).endswith("Z")
    assert parse_instant(there.isoformat()) == moment
    assert parse_instant(serialize_instant(moment).lower()) == moment


@pytest.mark.parametrize(
    "value",
    [
        *("", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31T12:00Z", "2026-01-31 12:00:00Z"),
        *("2026-01-31\x0012:00:00Z", "2026-01-31x12:00:00Z", "2026-W01-1T12:00:00Z"),
        *("20260131T120000Z", "2026-01-31T12:00:00+0100", "2026-01-31T12:00:00+01"),
        *("2026-01-31T24:00:00Z", "2026-01-31T23:60:00Z", "2026-01-31T23:59:60Z"),
        *("2026-01-31T12:00:00+24:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
        *(
            "2026-01-31T12:00:00Z\n",
            " 2026-01-31T12:00:00Z",
            "\uff12026-01-31T12:00:00Z",
            "now",
        ),
        *(1767225600, 1.5, True, None, [], {}),
    ],
    ids=repr,
)
def test_other_texts_are_no_instants(value: Any) -> None:
    """Without offset, in other forms or beyond the calendar an instant is refused."""
    with pytest.raises(GraphQLError, match="A DateTime is written with its offset"):
        parse_instant(value)


@pytest.mark.parametrize("value", ["eur", "EU", "EURO", "ÄÖÜ", "E R", "", "EUR\n", 978, None, []])
def test_other_texts_are_no_currencies(value: Any) -> None:
    """A currency is three capital letters of the Latin alphabet."""
    assert parse_currency("EUR") == "EUR"
    with pytest.raises(GraphQLError, match="three capital letters"):
        parse_currency(value)


@pytest.mark.parametrize("axis", OrderAxis)
def test_names_are_strings_or_bare(axis: OrderAxis) -> None:
    """A word is taken in small letters and in capitals, and comes back in small ones."""
    names = scalar("OrderAxisName")
    for text in (axis.value, axis.value.lower()):
        assert names.coerce_input_value(text) == axis
        for literal in (text, f'"{text}"'):
            assert names.parse_literal(parse_value(literal)) == axis
    assert names.coerce_output_value(axis.value) == axis.value.lower()


@pytest.mark.parametrize("value", ["STATE", "Shipment", "", " payment", 7, True, None, []])
def test_other_names_are_refused_with_those_there_are(value: Any) -> None:
    """What is no word is an error that has them all."""
    with pytest.raises(GraphQLError, match=r'OrderAxisName, which is one of "lifecycle", "hold"'):
        scalar("OrderAxisName").coerce_input_value(value)


def test_names_are_suggested() -> None:
    """Who mistyped a name is told which one was meant."""
    with pytest.raises(GraphQLError, match="Did you mean 'shipment'"):
        scalar("OrderAxisName").coerce_input_value("Shipmnt")


@pytest.mark.parametrize("name", ["Decimal", "Date", "DateTime"])
@pytest.mark.parametrize("literal", ["true", "[1]", "{a: 1}", "FOO", '"x"', "1.5e3"])
def test_a_wrong_literal_is_pointed_at(name: str, literal: str) -> None:
    """An error of a value in a document says where it stands."""
    node = parse_value(literal)
    with pytest.raises(GraphQLError) as refusal:
        scalar(name).parse_literal(node, None)
    assert refusal.value.nodes == [node]


def test_numbers_in_documents_keep_their_digits() -> None:
    """A literal number is read from its text, never as a float."""
    assert str(scalar("Decimal").parse_literal(parse_value("0.10"), None)) == "0.10"
    digits = "1234567890123456.123456789012"
    assert str(scalar("Decimal").parse_literal(parse_value(digits), None)) == digits

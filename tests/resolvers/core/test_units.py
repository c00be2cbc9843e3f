"""Quantities in one unit as quantities in another: exact, or none."""

from decimal import Decimal
from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.core.quantities import QUANTITY_STEP
from resolvers.core.units import Unit, convert, nearest

PIECE: Final = Unit("PCE", "COUNT", Decimal(1), Decimal(1))
DOZEN: Final = Unit("DZN", "COUNT", Decimal(12), Decimal(1))
KILOGRAM: Final = Unit("KG", "MASS", Decimal(1), Decimal("0.001"))
GRAM: Final = Unit("G", "MASS", Decimal("0.001"), Decimal(1))
HOUR: Final = Unit("H", "TIME", Decimal(60), Decimal("0.25"))
MINUTE: Final = Unit("MIN", "TIME", Decimal(1), Decimal(1))
BOX: Final = Unit("BOX", "COUNT", Decimal(12))

quantities = st.decimals(-(10**14) + 1, 10**14 - 1, places=4)
factors = st.one_of(
    st.sampled_from([Decimal(n) for n in ("1", "12", "1000", "60", "0.001", "0.453592370000")]),
    st.decimals(Decimal("0.000000000001"), Decimal(10**12) - 1, places=12),
)
roundings = st.sampled_from([Decimal(n) for n in ("1", "0.25", "0.001", "0.0001", "0.00003", "5")])
units = st.builds(Unit, st.just("U"), st.just("D"), factors, roundings)


@pytest.mark.parametrize(
    ("quantity", "given_unit", "wanted", "expected", "near"),
    [
        ("2", BOX, PIECE, "24", ("2", "2")),
        ("0.5", BOX, PIECE, "6", ("0.5", "0.5")),
        ("0.55", BOX, PIECE, None, ("0.5", "0.75")),
        ("-0.55", BOX, PIECE, None, ("-0.75", "-0.5")),
        ("1.5", DOZEN, PIECE, None, ("1", "2")),
        ("24", PIECE, DOZEN, "2", ("24", "24")),
        ("25", PIECE, DOZEN, None, ("24", "36")),
        ("1500", GRAM, KILOGRAM, "1.5", ("1500", "1500")),
        ("1.5", GRAM, KILOGRAM, None, ("1", "2")),
        ("0.0005", KILOGRAM, KILOGRAM, None, ("0", "0.001")),
        ("45", MINUTE, HOUR, "0.75", ("45", "45")),
        ("20", MINUTE, HOUR, None, ("15", "30")),
        ("1.25", HOUR, MINUTE, "75", ("1.25", "1.25")),
        ("0", BOX, PIECE, "0", ("0", "0")),
    ],
)
def test_examples(
    quantity: str, given_unit: Unit, wanted: Unit, expected: str | None, near: tuple[str, str]
) -> None:
    """Boxes and dozens, grams and kilograms, minutes of which sixty are an hour."""
    found = convert(Decimal(quantity), given_unit, wanted)
    assert found == (None if expected is None else Decimal(expected))
    assert nearest(Decimal(quantity), given_unit, wanted) == tuple(map(Decimal, near))


@given(quantities, units, units)
def test_it_is_exact_or_none(quantity: Decimal, one: Unit, other: Unit) -> None:
    """What is converted is what fractions say, in steps of both units; all else is refused."""
    exact = Fraction(quantity) * Fraction(one.factor) / Fraction(other.factor)
    fits = not Fraction(quantity) % one.step and not exact % other.step
    found = convert(quantity, one, other)
    assert (found is not None) == fits
    if found is not None:
        assert Fraction(found) == exact
        assert found.as_tuple().exponent == QUANTITY_STEP.as_tuple().exponent


@given(quantities, units, units)
def test_there_and_back_is_the_same(quantity: Decimal, one: Unit, other: Unit) -> None:
    """What converted comes back as it was."""
    there = convert(nearest(quantity, one, other)[0], one, other)
    assert there is not None
    assert convert(there, other, one) == nearest(quantity, one, other)[0]


@given(quantities, units, units, st.floats(0, 1, exclude_max=True))
def test_the_nearest_are_exact_and_nothing_is_between(
    quantity: Decimal, one: Unit, other: Unit, place: float
) -> None:
    """Both convert, they enclose what was asked, and no step between them converts."""
    below, above = nearest(quantity, one, other)
    assert below <= quantity <= above
    assert convert(below, one, other) is not None
    assert convert(above, one, other) is not None
    assert (below == above) == (convert(quantity, one, other) is not None)
    step = Fraction(QUANTITY_STEP)
    first, last = Fraction(below) / step, Fraction(above) / step
    if first + 1 < last:
        between = int(first) + 1 + int(Fraction(place) * (last - first - 1))
        assert convert(Decimal(f"{between}E-4"), one, other) is None


@given(quantities, units)
def test_in_its_own_unit_it_stays(quantity: Decimal, unit: Unit) -> None:
    """Only the unit's own steps count."""
    fits = not Fraction(quantity) % unit.step
    assert convert(quantity, unit, unit) == (quantity if fits else None)


def test_other_dimensions_do_not_convert() -> None:
    """A kilogram is no piece."""
    for rule in (convert, nearest):
        with pytest.raises(ValueError, match="another dimension"):
            rule(Decimal(1), KILOGRAM, PIECE)
